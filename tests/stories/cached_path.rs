//! The cached path: what a call with a kept session asks of the system, as strace sees it.

use std::fs;
use std::process::{Command, Stdio};

use onetap_support::aws::{Aws, User, World};
use onetap_support::home::Home;
use onetap_support::root;

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");

/// The system calls of one run of onetap, its threads' too; one call a line.
fn calls(home: &Home, arguments: &[&str]) -> Vec<String> {
    let log = home.path("strace.log");
    let mut command = Command::new("strace");
    command.args(["--follow-forks", "--string-limit=256", "--output"]).arg(&log);
    let output = command
        .arg(home.binary())
        .args(arguments)
        .env_clear()
        .envs(home.env())
        .stdin(Stdio::null())
        .output()
        .expect("strace is needed here (Debian: apt-get install strace)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let calls: Vec<_> = fs::read_to_string(&log)
        .unwrap()
        .lines()
        .map(|line| line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start().to_owned())
        .collect();
    assert!(calls.iter().any(|call| call.starts_with("execve(")), "strace saw nothing");
    // onetap hides its memory: only root's strace still reads names of files there.
    let read = calls.iter().any(|call| call.starts_with("openat(") && call.contains(".aws/config"));
    assert!(read, "strace cannot read onetap's memory, which takes CAP_SYS_PTRACE");
    calls
}

fn named<'a>(calls: &'a [String], names: &[&str]) -> Vec<&'a String> {
    let is = |call: &&String| names.iter().any(|name| call.split('(').next() == Some(name));
    calls.iter().filter(is).collect()
}

#[test]
fn a_cached_call_opens_no_socket_makes_no_thread_and_touches_no_card() {
    if !root::is_ours("cached_path::a_cached_call_opens_no_socket_makes_no_thread_and_touches_no_card") {
        return;
    }
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    let cold = calls(&home, &["credential-process", "doug"]);
    // The same look at a cold call finds all of it, so that the test can see what it forbids.
    for seen in [["socket", "connect"], ["clone", "clone3"], ["epoll_create", "epoll_create1"]] {
        assert!(!named(&cold, &seen).is_empty(), "{seen:?} lack in a cold call");
    }
    let token = home.path("token").display().to_string();
    assert!(cold.iter().any(|call| call.contains(&token)), "the virtual token is read in a cold call");

    let exec = ["exec", "doug", "--", "/bin/true"];
    for arguments in [["credential-process", "doug"].as_slice(), &exec] {
        let calls = calls(&home, arguments);
        let sockets = ["socket", "socketpair", "connect", "bind", "sendto", "sendmsg", "recvfrom", "recvmsg"];
        let runtime = ["epoll_create1", "epoll_create", "epoll_ctl", "epoll_wait", "eventfd2", "pipe2"];
        let threads = ["clone", "clone3", "fork", "vfork"];
        for forbidden in [sockets.as_slice(), &runtime, &threads] {
            assert_eq!(named(&calls, forbidden), Vec::<&String>::new(), "{arguments:?}");
        }
        // Neither the card nor the person nor the vault is asked: the key is in the kernel's keyring.
        for path in [token.as_str(), "pcscd", "/dev/tty", "vault.age", "/etc/ssl", "passphrase\""] {
            let touched: Vec<_> = calls.iter().filter(|call| opened(call, path)).collect();
            assert_eq!(touched, Vec::<&String>::new(), "{arguments:?}");
        }
        assert!(!named(&calls, &["keyctl"]).is_empty(), "{arguments:?}");
    }
}

fn opened(call: &str, path: &str) -> bool {
    ["open(", "openat(", "connect("].iter().any(|name| call.starts_with(name)) && call.contains(path)
}
