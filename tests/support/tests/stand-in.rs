//! The stand-in as a command.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn stand_in(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stand-in"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn lines(child: &mut Child, count: usize) -> Vec<String> {
    let stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.lines().take(count).map(Result::unwrap).collect()
}

/// Waits for the end, with a limit; a child that goes on is killed.
fn ended(mut child: Child) -> Output {
    let deadline = Instant::now() + Duration::from_secs(20);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("the stand-in does not end");
        }
        std::thread::yield_now();
    }
    child.wait_with_output().unwrap()
}

fn get(url: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn it_says_where_it_listens_counts_requests_and_ends_with_its_input() {
    let mut child = stand_in(&["--verbose"]).spawn().unwrap();
    let line = lines(&mut child, 1).remove(0);
    let url = line.strip_prefix("listening on ").unwrap();
    assert!(get(url, "/stand-in/requests").ends_with("\r\n\r\n[]"));
    assert!(get(url, "/?Action=GetCallerIdentity&Version=2011-06-15").contains("MissingAuthenticationToken"));
    let asked = get(url, "/stand-in/requests");
    assert!(asked.contains("\"action\":\"GetCallerIdentity\""), "{asked}");
    drop(child.stdin.take());
    let output = ended(child);
    assert_eq!(output.status.code(), Some(0));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told, "GetCallerIdentity by nobody: 403 MissingAuthenticationToken\n");
}

#[test]
fn with_tls_it_tells_which_authority_to_trust() {
    let mut child = stand_in(&["--tls"]).spawn().unwrap();
    let told = lines(&mut child, 2);
    assert!(told[0].starts_with("listening on https://127.0.0.1:"), "{told:?}");
    let pem = std::fs::read_to_string(told[1].strip_prefix("ca bundle ").unwrap()).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----") && !pem.contains("PRIVATE"));
    drop(child.stdin.take());
    assert_eq!(ended(child).status.code(), Some(0));
}

#[test]
fn what_it_cannot_serve_it_refuses_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("odd.json");
    std::fs::write(&odd, r#"{ "users": [], "planets": [] }"#).unwrap();
    for (arguments, why) in [
        (vec!["--fast"], "usage: stand-in"),
        (vec!["--listen"], "usage: stand-in"),
        (vec!["--listen", "0.0.0.0:0"], "loopback"),
        (vec!["--world", "/no/such/file"], "No such file"),
        (vec!["--world", odd.to_str().unwrap()], "unknown field `planets`"),
    ] {
        let output = ended(stand_in(&arguments).spawn().unwrap());
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{told}");
        assert!(told.starts_with("stand-in: ") && told.contains(why), "{told}");
        assert!(output.stdout.is_empty());
    }
}
