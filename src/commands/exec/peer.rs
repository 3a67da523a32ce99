//! Whose process is at the other end of a connection within this machine.
//!
//! Source: proc_pid_net(5), `/proc/net/tcp`: addresses in hex as the machine holds them, the owner in the eighth column.

use std::net::{IpAddr, SocketAddr};

#[cfg(target_os = "linux")]
mod diag;

/// Whether the peer is a process of ours, or of root's, who can read our memory anyway. Where the kernel does not tell
/// (no `/proc`), everybody is: the token still stands.
pub(super) async fn is_ours(peer: SocketAddr, own: SocketAddr) -> bool {
    // An answer about one socket takes microseconds, one about all of them milliseconds.
    #[cfg(target_os = "linux")]
    if let Some(uid) = diag::owner(peer, own) {
        return may_ask(uid);
    }
    tokio::task::spawn_blocking(move || stands_as_ours(peer, own)).await.unwrap_or_default()
}

fn may_ask(uid: u32) -> bool {
    uid == 0 || Some(uid) == own_uid()
}

/// What the kernel's tables say.
fn stands_as_ours(peer: SocketAddr, own: SocketAddr) -> bool {
    // The kernel walks all its sockets for each of these, so that the second is read only where the first does not tell.
    let mut told = false;
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let Ok(table) = std::fs::read_to_string(table) else { continue };
        told = true;
        if let Some(uid) = owner(&table, peer, own) {
            return may_ask(uid);
        }
    }
    !told
}

#[cfg(unix)]
fn own_uid() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw())
}

#[cfg(not(unix))]
fn own_uid() -> Option<u32> {
    None
}

/// The owner of the socket whose own end is `peer` and whose other end is `own`.
fn owner(table: &str, peer: SocketAddr, own: SocketAddr) -> Option<u32> {
    forms(peer).iter().zip(forms(own)).find_map(|(peer, own)| {
        let (_, rest) = table.split_once(&format!(" {peer} {own} "))?;
        rest.split_whitespace().nth(4)?.parse().ok()
    })
}

/// An address as `/proc/net/tcp` writes it, and as `/proc/net/tcp6` does.
fn forms(address: SocketAddr) -> Vec<String> {
    let hex = |octets: &[u8]| {
        let words = octets.chunks(4).map(|word| word.iter().rev().copied().collect::<Vec<_>>());
        let native = |word: Vec<u8>| {
            if cfg!(target_endian = "little") { word } else { word.into_iter().rev().collect() }
        };
        words.map(|word| data_encoding::HEXUPPER.encode(&native(word))).collect::<String>()
    };
    let port = address.port();
    match address.ip() {
        IpAddr::V4(ip) => vec![
            format!("{}:{port:04X}", hex(&ip.octets())),
            format!("{}:{port:04X}", hex(&ip.to_ipv6_mapped().octets())),
        ],
        IpAddr::V6(ip) => vec![format!("{}:{port:04X}", hex(&ip.octets()))],
    }
}

#[cfg(test)]
#[cfg(target_endian = "little")] // the lines are from such a machine
mod tests {
    use super::*;

    #[test]
    fn the_owner_stands_in_the_eighth_column_of_the_peers_own_line() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                     0: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 1 1\n\
                     1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000 65534        0 2 1\n";
        let (own, peer) = (([127, 0, 0, 1], 8080).into(), ([127, 0, 0, 1], 50_000).into());
        assert_eq!(owner(table, peer, own), Some(65_534));
        assert_eq!(owner(table, own, peer), Some(1000));
        assert_eq!(owner(table, ([127, 0, 0, 1], 50_001).into(), own), None);
        let mapped = "0: 0000000000000000FFFF00000100007F:C350 0000000000000000FFFF00000100007F:1F90 01 0:0 0:0 0 7 0 2\n";
        assert_eq!(owner(mapped, peer, own), Some(7));
    }
}
