//! What a secret leaves behind when things go wrong: a crash, a signal in the middle of a question, a curious program.
//!
//! Needs `setpriv` and `stty`. What only the guard prevents is seen to happen without it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use onetap::shield;
use onetap_support::aws::{Aws, User, World};
use onetap_support::home::Home;
use onetap_support::pty::Start;

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const STEP: &str = "ONETAP_HYGIENE_STEP";
const LIMIT: Duration = Duration::from_secs(60);

/// Nothing by itself: a process with or without the guard, which waits for its end.
#[test]
#[allow(clippy::print_stdout, reason = "stdout is how the child tells that it is ready")]
fn the_child() {
    match std::env::var(STEP).as_deref() {
        Ok("guarded") => shield::raise(),
        Ok("bare") => {}
        _ => return,
    }
    println!("\nready");
    // Until the pipe's other end is closed.
    let _ = std::io::stdin().lock().read_line(&mut String::new());
}

/// What starts a program without root's right to look into others.
fn plain_user() -> Command {
    let mut command = Command::new("setpriv");
    if fs::read_to_string("/proc/self/status").unwrap().contains("Uid:\t0\t") {
        command.arg("--bounding-set=-sys_ptrace,-sys_admin,-perfmon");
    }
    command
}

/// The child in `folder`, where a core file would appear.
fn child(step: &str, folder: &Path) -> Child {
    let test = std::env::current_exe().unwrap();
    let script = "ulimit -c unlimited && exec \"$@\"";
    let mut command = plain_user();
    command.args(["sh", "-c", script, "sh"]).arg(test);
    command.args(["--exact", "hygiene::the_child", "--nocapture"]).env(STEP, step).current_dir(folder);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while line != "ready\n" {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "it never became ready");
    }
    child.stdout = Some(stdout.into_inner());
    child
}

/// Sends a signal until the process is gone: Rust's own handler of SIGSEGV takes the first one.
fn end(child: &mut Child, signal: &str) -> ExitStatus {
    let deadline = Instant::now() + LIMIT;
    loop {
        send(child.id(), signal);
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn send(pid: u32, signal: &str) {
    let _ =
        Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).stderr(Stdio::null()).status();
}

fn cores(folder: &Path) -> usize {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("core")).count()
}

#[test]
fn a_crash_leaves_no_core_and_would_leave_one_without_the_guard() {
    for signal in ["SEGV", "ABRT"] {
        let folder = tempfile::tempdir().unwrap();
        let bare = end(&mut child("bare", folder.path()), signal);
        assert!(
            bare.core_dumped(),
            "this system writes no cores at all, so that nothing can be shown: {bare}"
        );
        let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
        // Elsewhere the pattern pipes cores to a program; then the exit status alone tells.
        assert!(cores(folder.path()) == 1 || !pattern.starts_with("core"));

        let folder = tempfile::tempdir().unwrap();
        let guarded = end(&mut child("guarded", folder.path()), signal);
        assert!(!guarded.core_dumped() && guarded.signal().is_some(), "{guarded}");
        assert_eq!(cores(folder.path()), 0);
    }
}

#[test]
fn a_program_of_the_same_user_reads_neither_memory_nor_environment() {
    let folder = tempfile::tempdir().unwrap();
    let look = |step: &str, what: &str| {
        let child = child(step, folder.path());
        let mut reader = plain_user();
        let path = format!("/proc/{}/{what}", child.id());
        let read = reader.args(["cat", &path]).output().unwrap();
        drop(child);
        read.status.success() && !read.stdout.is_empty()
    };
    for what in ["environ", "maps"] {
        assert!(look("bare", what), "{what}: without the guard there is something to read");
        assert!(!look("guarded", what), "{what}");
    }
}

/// Doug with his keys, and a token that nobody touches.
fn waiting() -> (Aws, Home) {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "fault touch never");
    (aws, home)
}

/// The binary itself, started with unlimited cores, once it waits for the touch with the keys in its memory.
fn at_the_touch(home: &Home) -> Child {
    let script = "ulimit -c unlimited && exec \"$@\"";
    let mut command = Command::new("setsid");
    command.args(["sh", "-c", script, "sh", BINARY, "credential-process", "doug"]);
    command.env_clear().envs(home.env()).current_dir(home.path("")).stdin(Stdio::null());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + LIMIT;
    while home.touches() == 0 {
        assert!(Instant::now() < deadline, "the token was never asked");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn onetap_that_waits_for_a_touch_crashes_without_a_core_and_holds_its_keys_out_of_swap() {
    let (_aws, home) = waiting();
    let mut child = at_the_touch(&home);
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    assert!(!locked.trim().starts_with("0 "), "no page is locked: {locked}");
    let ended = end(&mut child, "ABRT");
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(6), false));
    assert_eq!(cores(&home.path("")), 0);
}

#[test]
fn the_child_of_exec_has_its_own_limits_again() {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    for limit in ["unlimited", "1000", "0"] {
        let script = format!("ulimit -S -c {limit} && exec \"$@\"");
        let mut command = home.program("sh");
        command.args([
            "-c",
            &script,
            "sh",
            BINARY,
            "exec",
            "doug",
            "--",
            "sh",
            "-c",
            "ulimit -S -c; ulimit -H -c",
        ]);
        let said = onetap_support::home::said(&mut command);
        assert_eq!(said.stdout, format!("{limit}\nunlimited\n"), "{}", said.stderr);
    }
    // And it may be traced and dumped as any program of the person's.
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -c unlimited && exec \"$@\"", "sh", BINARY, "exec", "doug", "--"]);
    command.args(["sh", "-c", "kill -ABRT $$"]).env_clear().envs(home.env()).current_dir(folder.path());
    let ended = command.stdin(Stdio::null()).status().unwrap();
    assert!(ended.core_dumped(), "{ended}");
}

/// Starts `onetap ARGUMENTS` under a shell that tells whether the terminal is afterwards as it was before.
fn watched(home: &Home, arguments: &[&str]) -> Start {
    let script = r#"before=$(stty -g); "$@"; status=$?; after=$(stty -g)
        if [ "$before" = "$after" ]; then echo same modes; fi; echo "ended $status""#;
    let all = [&["-c", script, "sh", BINARY], arguments].concat();
    Start::new("/bin/sh").args(all).env_clear().envs(home.env()).folder(home.path(""))
}

/// The process id of the onetap that a shell started.
fn onetap_below(shell: u32) -> u32 {
    let deadline = Instant::now() + LIMIT;
    loop {
        let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
        let ours = children.split_whitespace().find(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "onetap")
        });
        if let Some(pid) = ours {
            return pid.parse().unwrap();
        }
        assert!(Instant::now() < deadline, "no onetap below {shell}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_signal_in_the_middle_of_a_hidden_question_brings_the_echo_back() {
    let (_aws, home) = waiting();
    for (signal, status) in [("TERM", 143), ("HUP", 129), ("QUIT", 131), ("INT", 130)] {
        let mut terminal = watched(&home, &["seed", "add", "doug"]).spawn().unwrap();
        terminal.wait_for("Seed (base32 or otpauth:// URI): ", LIMIT).unwrap();
        terminal.send("JBSWY3DP").unwrap();
        send(onetap_below(terminal.pid()), signal);
        let finished = terminal.finish(LIMIT).unwrap();
        assert!(finished.terminal.contains("same modes\n"), "{signal}: {}", finished.terminal);
        assert!(finished.terminal.ends_with(&format!("ended {status}\n")), "{signal}: {}", finished.terminal);
        assert!(!finished.terminal.contains("JBSWY3DP"), "{signal}: {}", finished.terminal);
    }
}

#[test]
fn a_signal_while_a_code_is_asked_brings_the_echo_back() {
    let (aws, home) = waiting();
    for (signal, status) in [("TERM", 143), ("HUP", 129), ("INT", 130)] {
        let mut terminal =
            watched(&home, &["--code", "prompt", "credential-process", "doug"]).spawn().unwrap();
        terminal.wait_for("Code for arn:aws:iam::123456789012:mfa/doug: ", LIMIT).unwrap();
        send(onetap_below(terminal.pid()), signal);
        let finished = terminal.finish(LIMIT).unwrap();
        assert!(finished.terminal.contains("same modes\n"), "{signal}: {}", finished.terminal);
        assert!(finished.terminal.ends_with(&format!("ended {status}\n")), "{signal}: {}", finished.terminal);
    }
    assert_eq!(aws.count("GetSessionToken"), 0);
}

#[test]
fn between_two_questions_a_signal_ends_the_process_as_ever() {
    let (aws, mut home) = waiting();
    home.unset("ONETAP_VAULT_PASSPHRASE_FILE");
    for (signal, status) in [("TERM", 143), ("INT", 130)] {
        let mut terminal = watched(&home, &["credential-process", "doug"]).spawn().unwrap();
        terminal.wait_for("vault.age: ", LIMIT).unwrap();
        terminal.send("correct horse battery staple\r").unwrap();
        terminal.wait_for("Touch your YubiKey", LIMIT).unwrap();
        send(onetap_below(terminal.pid()), signal);
        let finished = terminal.finish(LIMIT).unwrap();
        assert!(finished.terminal.ends_with(&format!("ended {status}\n")), "{signal}: {}", finished.terminal);
        assert!(finished.terminal.contains("same modes\n"), "{signal}: {}", finished.terminal);
    }
    assert_eq!(aws.count("GetSessionToken"), 0);
}

/// Everything below a folder with its mode.
fn modes(folder: &Path, found: &mut Vec<(std::path::PathBuf, u32)>) {
    use std::os::unix::fs::PermissionsExt as _;
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let about = fs::symlink_metadata(&path).unwrap();
        found.push((path.clone(), about.permissions().mode() & 0o7777));
        if about.is_dir() {
            modes(&path, found);
        }
    }
}

#[test]
fn everything_that_onetap_makes_is_for_its_owner_only_whatever_the_umask() {
    for umask in ["000", "022", "077"] {
        let doug = User::doug();
        let aws = Aws::start(World::of(doug.clone()));
        let mut home = Home::new(BINARY);
        home.set("AWS_ENDPOINT_URL", aws.endpoint());
        home.set("SHELL", "/bin/bash");
        let device = &doug.devices[0];
        home.token(&onetap_support::home::uri(&device.serial, &device.seed_base32, false));
        let masked = |arguments: &[&str]| {
            let mut command = home.program("sh");
            command.args(["-c", &format!("umask {umask} && exec \"$@\""), "sh", BINARY]).args(arguments);
            command.env("AWS_ACCESS_KEY_ID", &doug.access_key_id);
            command.env("AWS_SECRET_ACCESS_KEY", &doug.secret_access_key);
            let said = onetap_support::home::said(&mut command);
            assert_eq!(said.status, 0, "{arguments:?}: {}", said.stderr);
        };
        masked(&["add", "doug", "--from-env", "--mfa-serial", &device.serial]);
        masked(&["credential-process", "doug"]);
        masked(&["exec", "doug"]);
        masked(&["exec", "doug", "--", "true"]);
        masked(&["status"]);
        let mut found = Vec::new();
        modes(&home.path(""), &mut found);
        assert!(found.len() > 15, "{found:?}");
        for (path, mode) in found {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode, expected, "umask {umask}: {} has {mode:o}", path.display());
        }
    }
}
