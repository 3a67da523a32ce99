//! Enrolment and rotation killed between their own writes: to the card, to the vault, to the profile, to the notes of what
//! is unfinished. Kills at the calls to AWS are in `enroll.rs` and `rotate.rs`.
//!
//! Every write of ours ends with a rename (`src/files.rs`; the virtual token's file too), so that kills behind each rename
//! are kills between all writes. Strace counts the calls of each thread apart; here they are counted in its log.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use onetap_support::aws::{Aws, User, World, policy};
use onetap_support::home::{Home, Said, uri};
use onetap_support::root;

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const ARN: &str = "arn:aws:iam::123456789012:mfa/doug";
const SPARE: &str = "arn:aws:iam::123456789012:mfa/spare";
const RENAMES: &str = "rename,renameat,renameat2";
/// How long a process rests behind each rename: time to see it, and to kill the process there.
const REST: &str = "2000000";
/// How many stories wait for time steps at once.
const AT_ONCE: usize = 6;
/// More than any of the commands makes.
const MOST: usize = 200;
const LIMIT: Duration = Duration::from_secs(240);

struct Bench {
    aws: Aws,
    home: Home,
    doug: User,
}

/// Doug, whose device is on his key.
fn bench() -> Bench {
    let doug = User::doug().policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::new(BINARY);
    home.set("AWS_ENDPOINT_URL", aws.endpoint());
    home.token(&format!("serial 11111111\n{}\n", uri(ARN, &doug.devices[0].seed_base32, true)));
    let said = home.add(&doug, &["--mfa-serial", ARN, "--region", "eu-west-1"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    Bench { aws, home, doug }
}

impl Bench {
    /// Runs a command that is killed behind its `n`th rename: that rename, or `None` if it came to its end before.
    fn killed_behind(&self, n: usize, arguments: &[&str]) -> Option<String> {
        let log = self.home.path("calls");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-s", "300", "-e", &format!("trace={RENAMES}"), "-e", "signal=none"]);
        strace.args(["-e", &format!("inject={RENAMES}:delay_exit={REST}"), "-o"]).arg(&log).arg(BINARY);
        strace.args(arguments).env_clear().envs(self.home.env()).current_dir(self.home.path(""));
        strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut strace = strace.spawn().expect("strace is needed here (Debian: apt-get install strace)");
        let limit = Instant::now() + LIMIT;
        let nth = || self.home.read("calls").split_inclusive('\n').nth(n - 1).map(str::to_owned);
        let complete = |line: &String| line.ends_with('\n');
        loop {
            if let Some(rename) = nth().filter(complete) {
                let pid =
                    std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", strace.id())).unwrap();
                let killed = Command::new("kill").arg("-KILL").arg(pid.trim()).status().unwrap();
                assert!(killed.success(), "{n}: it ended while it rested");
                strace.wait().unwrap();
                assert_eq!(self.home.read("calls").lines().filter(|line| line.contains("= 0")).count(), n);
                return Some(rename);
            }
            if strace.try_wait().unwrap().is_some() && nth().is_none() {
                let said = Said::from(strace.wait_with_output().unwrap());
                assert_eq!(said.status, 0, "{n}: {}", said.stderr);
                return None;
            }
            assert!(Instant::now() < limit, "{n}: neither a rename nor an end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What is where: at IAM, on the card, in the profile, in our notes.
    fn state(&self) -> String {
        let config = self.home.read(".aws/config");
        let serial = config.lines().find_map(|line| line.strip_prefix("mfa_serial = ")).unwrap_or_default();
        format!(
            "devices {:?}, loose {:?}, keys {:?}, accounts {}, profile {serial}, notes {}{}",
            self.aws.devices_of("doug"),
            self.aws.loose_devices(),
            self.aws.keys_of("doug"),
            self.home.read("token").matches("otpauth").count(),
            self.home.read(".local/state/onetap/enrolments.json"),
            self.home.read(".local/state/onetap/rotations.json"),
        )
    }

    fn nothing_unfinished(&self) -> bool {
        ["enrolments", "rotations"].iter().all(|name| {
            let notes = self.home.read(&format!(".local/state/onetap/{name}.json"));
            notes.is_empty() || notes == "{}"
        })
    }

    /// A touch gives a session.
    fn serves(&self) -> Said {
        self.home.run(&["--renew", "--code", "yubikey", "exec", "doug", "--", "true"])
    }

    /// AWS takes the profile's access key; no code is spent on it.
    fn key_is_taken(&self) -> Said {
        self.home.run(&["policy", "permanent", "doug"])
    }
}

/// Whether the longest rounds are run.
fn thoroughly() -> bool {
    std::env::var_os("ONETAP_TEST_ALL").is_some()
}

/// Runs a story for each rename or, usually, for every so many of them, until a command came to its end; says behind which
/// ones the commands were killed.
fn behind_each_rename(usual: usize, story: impl Fn(usize) -> Option<String> + Sync) -> Vec<String> {
    let step = if thoroughly() { 1 } else { usual };
    let mut killed = Vec::new();
    let mut places = (step..MOST).step_by(step);
    loop {
        let round: Vec<_> = places.by_ref().take(AT_ONCE).collect();
        assert!(!round.is_empty(), "no command ever came to its end");
        let story = &story;
        let found: Vec<_> = std::thread::scope(|scope| {
            let begun: Vec<_> = round.into_iter().map(|n| scope.spawn(move || story(n))).collect();
            begun.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let over = found.iter().any(Option::is_none);
        killed.extend(found.into_iter().flatten());
        if over {
            return killed;
        }
    }
}

/// A command was killed behind a write of each of these files.
fn each_was_met(killed: &[String], names: &[&str]) {
    for name in names {
        let met = |call: &String| call.contains(name);
        assert!(killed.iter().any(met), "{name}: {killed:#?}");
    }
}

#[test]
fn an_enrolment_killed_at_any_write_leaves_a_device_that_serves_and_the_next_run_completes_it() {
    const STORY: &str =
        "killed::an_enrolment_killed_at_any_write_leaves_a_device_that_serves_and_the_next_run_completes_it";
    if !root::is_ours(STORY) {
        return;
    }
    let killed = behind_each_rename(2, |n| {
        let bench = bench();
        let enroll = ["enroll", "doug", "--device", "spare", "--software"];
        let place = bench.killed_behind(n, &enroll);
        let at = format!("{n}, {place:?}: {}", bench.state());
        println!("killed behind {at}");
        let served = bench.serves();
        assert_eq!(served.status, 0, "killed behind {at}: {}", served.stderr);
        let again = bench.home.run(&enroll);
        match again.status {
            0 => assert!(place.is_some(), "{at}"),
            // It was done but for its last words.
            _ => {
                assert!(again.stderr.contains("has an MFA device already"), "{at}: {}", again.stderr);
                assert!(at.contains(SPARE) && bench.nothing_unfinished(), "{at}");
            }
        }
        let now = bench.state();
        assert!(bench.nothing_unfinished(), "{at}, and then {now}");
        assert_eq!(bench.aws.devices_of("doug"), [ARN, SPARE], "{at}, and then {now}");
        assert!(bench.aws.loose_devices().is_empty(), "{at}, and then {now}");
        assert!(now.contains(&format!("accounts 2, profile {SPARE},")), "{at}, and then {now}");
        for code in ["yubikey", "software"] {
            let served = bench.home.run(&["--renew", "--code", code, "exec", "doug", "--", "true"]);
            assert_eq!(served.status, 0, "{at}, and then {now}: {}", served.stderr);
        }
        place
    });
    each_was_met(&killed, &["/token\"", ".aws/config"]);
    if thoroughly() {
        each_was_met(&killed, &["enrolments.json", "vault.age"]);
    }
}

#[test]
fn a_rotation_killed_at_any_write_leaves_a_key_that_serves_and_the_next_run_completes_it() {
    const STORY: &str =
        "killed::a_rotation_killed_at_any_write_leaves_a_key_that_serves_and_the_next_run_completes_it";
    if !root::is_ours(STORY) {
        return;
    }
    let killed = behind_each_rename(1, |n| {
        let bench = bench();
        let place = bench.killed_behind(n, &["rotate", "doug"]);
        let at = format!("{n}, {place:?}: {}", bench.state());
        println!("killed behind {at}");
        let taken = bench.key_is_taken();
        assert_eq!(taken.status, 0, "killed behind {at}: {}", taken.stderr);
        if place.is_some() {
            let again = bench.home.run(&["rotate", "doug"]);
            assert_eq!(again.status, 0, "killed behind {at}: {}", again.stderr);
        }
        let keys = bench.aws.keys_of("doug");
        assert!(matches!(keys.as_slice(), [(id, true)] if *id != bench.doug.access_key_id), "{at}: {keys:?}");
        assert!(bench.nothing_unfinished(), "{at}, and then {}", bench.state());
        let served = bench.serves();
        assert_eq!(served.status, 0, "{at}: {}", served.stderr);
        let minted = bench.aws.requests().into_iter().rev().find(|seen| seen.action == "GetSessionToken");
        assert_eq!(minted.unwrap().access_key_id, keys[0].0, "{at}");
        place
    });
    each_was_met(&killed, &["rotations.json", "vault.age"]);
}
