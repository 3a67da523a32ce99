//! Leaks. Every story looks for its secrets in what its programs say, on its terminals and in its home
//! (`onetap_support::canary`); here it is shown that such a look finds what is there, and what strace sees is looked at.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::time::Duration;

use onetap_support::aws::{Aws, User, World};
use onetap_support::canary::{self, Kind};
use onetap_support::home::{Home, said, uri};
use onetap_support::pty::Start;
use onetap_support::root;

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const LIMIT: Duration = Duration::from_secs(30);

/// Whether the story would have failed.
fn fails(story: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(story)).is_err()
}

#[test]
fn a_planted_leak_is_found_in_every_form_and_place() {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    let cached = home.run(&["credential-process", "doug"]);
    let session: serde_json::Value = serde_json::from_str(&cached.stdout).unwrap();
    home.holds_no_secret();
    let seed = data_encoding::BASE32_NOPAD.decode(doug.devices[0].seed_base32.as_bytes()).unwrap();
    let secrets: [&[u8]; 5] = [
        doug.secret_access_key.as_bytes(),
        &seed,
        b"correct horse battery staple",
        session["SecretAccessKey"].as_str().unwrap().as_bytes(),
        session["SessionToken"].as_str().unwrap().as_bytes(),
    ];
    for secret in secrets {
        for (form, text) in canary::forms(secret) {
            let around = [b"before ".as_slice(), &text, b" after"].concat();
            fs::write(home.path("leak"), &around).unwrap();
            assert!(fails(|| home.holds_no_secret()), "{form} in a file");
        }
        // Encoded together with what stands before it, as in a basic authorization header.
        for before in ["", "a", "ab", "abc", "abcd"] {
            let text = [before.as_bytes(), secret].concat();
            let base64 = data_encoding::BASE64.encode(&text);
            assert!(!canary::here().seen(base64.as_bytes(), Kind::Session).is_empty(), "{before}");
            let base32 = data_encoding::BASE32.encode(&text);
            assert!(!canary::here().seen(base32.as_bytes(), Kind::Session).is_empty(), "{before}");
        }
    }
    fs::remove_file(home.path("leak")).unwrap();

    let script = |script: &str| {
        let mut command = home.program("sh");
        command.args(["-c", script, "sh", &doug.secret_access_key]);
        command
    };
    assert!(fails(|| drop(said(&mut script("echo \"$1\"")))), "on stdout");
    assert!(fails(|| drop(said(&mut script("echo \"$1\" >&2")))), "on stderr");
    let token = session["SessionToken"].as_str().unwrap();
    let mut allowed = home.program("sh");
    assert!(!fails(|| drop(said(allowed.args(["-c", "echo \"$1\"", "sh", token])))), "a session by contract");
    let mut refused = home.program("sh");
    assert!(fails(|| drop(said(refused.args(["-c", "echo \"$1\" >&2", "sh", token])))), "not on stderr");
    let start = Start::new("/bin/sh").args(["-c", "echo $1", "sh", token]).spawn().unwrap();
    assert!(fails(|| drop(start.finish(LIMIT))), "on the terminal");

    // What a story wrote itself may stand there; anything else, or anywhere else, may not.
    home.private("mine", &doug.secret_access_key);
    home.holds_no_secret();
    fs::copy(home.path("mine"), home.path("copy")).unwrap();
    assert!(fails(|| home.holds_no_secret()), "a copy elsewhere");
    fs::remove_file(home.path("copy")).unwrap();
    fs::write(home.path(&doug.devices[0].seed_base32), "").unwrap();
    assert!(fails(|| drop(home)), "in a name, when the home goes");
}

/// One line of strace, its strings decoded: the call, the file behind its descriptor, and the rest.
struct Call {
    name: String,
    target: String,
    line: Vec<u8>,
}

/// The calls of one run that begin a program or write.
fn written(home: &Home, arguments: &[&str], more: &[(&str, &str)]) -> Vec<Call> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-qq",
        "-v",
        "-xx",
        "-y",
        "-s",
        "100000",
        "-e",
        "trace=execve,write,writev,pwrite64,sendto,sendmsg",
    ]);
    command.arg("-o").arg(log.path()).arg(BINARY).args(arguments).env_clear().envs(home.env());
    command.envs(more.iter().copied()).stdin(Stdio::null()).current_dir(home.path(""));
    let output = command.output().expect("strace is needed here (Debian: apt-get install strace)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(log.path()).unwrap();
    let calls: Vec<_> = text.lines().filter_map(call).collect();
    assert!(calls.iter().any(|call| call.name == "execve"), "strace saw nothing");
    calls
}

fn call(line: &str) -> Option<Call> {
    let line = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
    let (name, rest) = line.split_once('(')?;
    let target = rest.split_once('<').map(|(_, rest)| rest.split(['>', ',']).next().unwrap_or(rest));
    Some(Call { name: name.into(), target: decoded(target.unwrap_or_default()), line: bytes(rest) })
}

fn decoded(text: &str) -> String {
    String::from_utf8_lossy(&bytes(text)).into_owned()
}

/// `\x41B` as `AB`.
fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.strip_prefix(b"x").and_then(|digits| digits.get(..2));
        match hex.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()) {
            Some(byte) if *first == b'\\' => {
                out.push(byte);
                rest = &after[3..];
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[test]
fn strace_sees_no_secret_in_arguments_in_the_environment_or_in_what_is_written() {
    const STORY: &str = "leaks::strace_sees_no_secret_in_arguments_in_the_environment_or_in_what_is_written";
    if !root::is_ours(STORY) {
        return;
    }
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::new(BINARY);
    home.set("AWS_ENDPOINT_URL", aws.endpoint());
    let device = &doug.devices[0];
    home.token(&uri(&device.serial, &device.seed_base32, false));
    let canaries = canary::here();
    let from_env = [
        ("AWS_ACCESS_KEY_ID", doug.access_key_id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", &doug.secret_access_key),
    ];
    let add = ["add", "doug", "--from-env", "--mfa-serial", &device.serial];
    type Run<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);
    let runs: [Run<'_>; 6] = [
        (&add, &from_env),
        (&["credential-process", "doug"], &[]),
        (&["exec", "doug", "--", "/bin/true"], &[]),
        (&["code", "doug"], &[]),
        (&["status"], &[]),
        (&["clear"], &[]),
    ];
    let (mut to_files, mut handed_over, mut children) = (0, 0, 0);
    for (arguments, more) in runs {
        for call in written(&home, arguments, more) {
            let place = format!("{arguments:?}: {} {}", call.name, call.target);
            if call.name == "execve" {
                let (head, environment) = split(&call.line, b"], [");
                canaries.hidden(&format!("{place}, arguments"), &head, Kind::Session);
                let ours = head.windows(BINARY.len()).any(|part| part == BINARY.as_bytes());
                let least = match (ours, more.is_empty()) {
                    (true, false) => continue, // `--from-env` is the documented exception.
                    (true, true) => Kind::Session,
                    (false, _) => Kind::LongTerm,
                };
                children += usize::from(!ours && !canaries.seen(&environment, Kind::Session).is_empty());
                canaries.hidden(&format!("{place}, environment"), &environment, least);
                continue;
            }
            // The one place where a session may go to: the standard output of the verb whose contract that is.
            let by_contract = arguments[0] == "credential-process" && call.line.starts_with(b"1<");
            to_files += usize::from(call.target.starts_with('/'));
            handed_over += usize::from(by_contract && !canaries.seen(&call.line, Kind::Session).is_empty());
            canaries.hidden(&place, &call.line, if by_contract { Kind::LongTerm } else { Kind::Session });
        }
    }
    assert!(to_files > 10, "the vault, the sessions, the turn: {to_files}");
    assert_eq!((handed_over, children), (1, 1), "this look sees what is there");
}

fn split(line: &[u8], at: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let place = line.windows(at.len()).position(|part| part == at).unwrap();
    (line[..place].to_vec(), line[place..].to_vec())
}

#[test]
fn no_process_shows_a_secret_while_it_waits_for_a_touch() {
    const STORY: &str = "leaks::no_process_shows_a_secret_while_it_waits_for_a_touch";
    if !root::is_ours(STORY) {
        return;
    }
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "fault touch never");
    let mut child = Command::new(BINARY);
    child.args(["credential-process", "doug"]).env_clear().envs(home.env()).stdin(Stdio::null());
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = std::time::Instant::now() + LIMIT;
    while home.touches() == 0 {
        assert!(std::time::Instant::now() < deadline, "the token was never asked");
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut looked = 0;
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let pid = process.file_name().to_string_lossy().into_owned();
        for what in ["cmdline", "environ"] {
            // Other stories' processes have other secrets; all are looked at.
            if let Ok(shown) = fs::read(process.path().join(what)) {
                canary::here().hidden(&format!("{what} of {pid}"), &shown, Kind::Session);
                looked += usize::from(pid == child.id().to_string() && !shown.is_empty());
            }
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(looked, 2, "the waiting process itself was looked at");
}
