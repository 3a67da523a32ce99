//! One socket, asked of the kernel by its four numbers: no table is walked for it.
//!
//! Source: sock_diag(7); for a request without `NLM_F_DUMP`, `inet_diag_dump_one_icsk` in the kernel's
//! `net/ipv4/inet_diag.c`.

use std::net::SocketAddr;

use netlink_packet_core::{
    Emitable as _, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage, Parseable as _,
};
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags};
use netlink_packet_sock_diag::{SOCK_DIAG_BY_FAMILY, SockDiagMessage};
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// More than the answer about one socket: a header of 16 bytes, 72 about the socket, and a few attributes.
const ANSWER: usize = 4096;
/// "Any socket with these numbers" (`INET_DIAG_NOCOOKIE`).
const NO_COOKIE: [u8; 8] = [u8::MAX; 8];

/// The owner of the socket whose own end is `peer` and whose other end is `own`. `None` where the kernel does not tell:
/// the socket is gone, or netlink is not to be had (a container's seccomp, a kernel without tcp_diag). Does not wait.
pub(super) fn owner(peer: SocketAddr, own: SocketAddr) -> Option<u32> {
    let question = question(peer, own);
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(SOCK_DIAG),
    )
    .ok()?;
    // To the kernel, which then is the only one who can answer.
    rustix::net::connect(&socket, &SocketAddrNetlink::new(0, 0)).ok()?;
    rustix::net::send(&socket, &question, SendFlags::empty()).ok()?;
    // The kernel has answered by the time it has taken the question.
    let mut answer = [0; ANSWER];
    let (length, _) = rustix::net::recv(&socket, &mut answer, RecvFlags::DONTWAIT).ok()?;
    read(answer.get(..length)?, peer, own)
}

fn question(peer: SocketAddr, own: SocketAddr) -> Vec<u8> {
    let socket_id = SocketId {
        source_port: peer.port(),
        destination_port: own.port(),
        source_address: peer.ip(),
        destination_address: own.ip(),
        interface_id: 0,
        cookie: NO_COOKIE,
    };
    let family = if peer.is_ipv4() { AF_INET } else { AF_INET6 };
    let (extensions, states) = (ExtensionFlags::empty(), StateFlags::all());
    let request = InetRequest { family, protocol: IPPROTO_TCP, extensions, states, socket_id };
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}

/// The owner in an answer about that very socket.
fn read(answer: &[u8], peer: SocketAddr, own: SocketAddr) -> Option<u32> {
    let message = NetlinkBuffer::new_checked(answer).ok()?;
    if message.message_type() != SOCK_DIAG_BY_FAMILY {
        return None; // an error: there is no such socket
    }
    let found = InetResponseHeader::parse(message.payload()).ok()?;
    let ports = (found.socket_id.source_port, found.socket_id.destination_port);
    // A socket that nobody holds any more is said to be root's, and has no inode.
    (ports == (peer.port(), own.port()) && found.inode != 0).then_some(found.uid)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

    use super::super::{own_uid, stands_as_ours};
    use super::*;

    /// A listener's own address, and a client that has reached it by `address`.
    fn connected(
        listener: &TcpListener,
        address: impl Into<std::net::IpAddr>,
    ) -> (TcpStream, SocketAddr, SocketAddr) {
        let own = listener.local_addr().unwrap();
        let client = TcpStream::connect((address.into(), own.port())).unwrap();
        let (_, peer) = listener.accept().unwrap();
        (client, peer, own)
    }

    #[test]
    fn the_kernel_and_its_table_name_the_same_owner() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // A client that speaks IPv6 and means an address of IPv4, too.
        for address in
            [Ipv4Addr::LOCALHOST.into(), std::net::IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped())]
        {
            let (client, peer, own) = connected(&listener, address);
            assert_eq!(owner(peer, own), own_uid(), "{address}");
            assert!(stands_as_ours(peer, own), "{address}");
            assert_eq!(owner((Ipv4Addr::LOCALHOST, 1).into(), own), None, "nobody is there");
            assert_eq!(owner(own, (Ipv4Addr::LOCALHOST, 1).into()), None, "a listener is nobody's peer");
            drop(client);
        }
        if let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
            let (_client, peer, own) = connected(&listener, Ipv6Addr::LOCALHOST);
            assert_eq!(owner(peer, own), own_uid());
        }
    }

    #[test]
    fn a_client_that_has_gone_is_nobody() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let own = listener.local_addr().unwrap();
        let client = TcpStream::connect(own).unwrap();
        let (_server, peer) = listener.accept().unwrap();
        drop(client);
        assert_eq!(owner(peer, own), None);
    }

    #[test]
    fn an_answer_about_another_socket_and_every_prefix_of_one_is_none() {
        let (peer, own) = (([127, 0, 0, 1], 50_000).into(), ([127, 0, 0, 1], 8080).into());
        // As the kernel answers: a header, then `struct inet_diag_msg` with the ports in network order.
        let mut answer = vec![0; 88];
        answer[..4].copy_from_slice(&88_u32.to_ne_bytes());
        answer[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        answer[16] = AF_INET;
        answer[20..24].copy_from_slice(&[0xc3, 0x50, 0x1f, 0x90]);
        answer[80..84].copy_from_slice(&65_534_u32.to_ne_bytes());
        assert_eq!(read(&answer, peer, own), None, "a socket without an inode is nobody's");
        answer[84] = 1;
        assert_eq!(read(&answer, peer, own), Some(65_534));
        assert_eq!(read(&answer, own, peer), None);
        for end in 0..answer.len() {
            assert_eq!(read(&answer[..end], peer, own), None, "{end}");
        }
    }
}
