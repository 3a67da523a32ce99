//! Stories of a user's access keys: exchanged, cut short at each step, and what is left then.

use std::process::Stdio;
use std::time::{Duration, Instant};

use onetap_support::aws::{Aws, Fault, User, World, policy};
use onetap_support::home::{Home, Said};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const LIMIT: Duration = Duration::from_secs(60);

struct Bench {
    aws: Aws,
    home: Home,
    old: String,
}

fn bench() -> Bench {
    let doug = User::doug().policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    Bench { aws, home, old: doug.access_key_id }
}

impl Bench {
    fn rotate(&self) -> Said {
        self.home.run(&["rotate", "doug"])
    }

    /// One key, active and not the old one, with which the profile works; nothing is left to do.
    fn is_rotated(&self) {
        let keys = self.aws.keys_of("doug");
        assert!(matches!(keys.as_slice(), [(id, true)] if *id != self.old), "{keys:?}");
        self.works();
        let seen = self.aws.requests();
        let minted = seen.iter().rev().find(|seen| seen.action == "GetSessionToken").unwrap();
        assert_eq!(minted.access_key_id, keys[0].0);
        let left = self.home.read(".local/state/onetap/rotations.json");
        assert!(left.is_empty() || left == "{}", "{left}");
    }

    /// The profile's key is one that AWS takes.
    fn works(&self) {
        let served = self.home.run(&["--renew", "exec", "doug", "--", "true"]);
        assert_eq!(served.status, 0, "{}", served.stderr);
    }

    fn killed_at(&self, action: &str) {
        // The server's deed is done, and its answer never comes.
        self.aws.fail_next(action, Fault::Slow(Duration::from_secs(20)));
        let before = self.aws.count(action);
        let mut child = std::process::Command::new(BINARY)
            .args(["rotate", "doug"])
            .env_clear()
            .envs(self.home.env())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + LIMIT;
        while self.aws.count(action) == before {
            assert!(Instant::now() < deadline, "{action} never came");
            assert!(child.try_wait().unwrap().is_none(), "it ended before {action}");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

fn refused(said: &Said, status: i32, words: &[&str]) {
    assert_eq!((said.status, said.stdout.as_str()), (status, ""), "{}", said.stderr);
    for word in words {
        assert!(said.stderr.contains(word), "{word} lacks in {}", said.stderr);
    }
}

/// Each story waits for time steps; all wait at once.
fn at_once<T: Send, const N: usize>(cases: [T; N], story: impl Fn(T) + Sync) {
    let story = &story;
    std::thread::scope(|scope| {
        let begun = cases.map(|case| scope.spawn(move || story(case)));
        let _: [(); N] = begun.map(|story| story.join().unwrap());
    });
}

const STEPS: [&str; 4] = ["ListAccessKeys", "CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"];

#[test]
fn rotate_exchanges_the_key_and_waits_until_aws_knows_the_new_one() {
    let bench = bench();
    bench.aws.settle_keys_after(2);
    let said = bench.rotate();
    let new = bench.aws.keys_of("doug")[0].0.clone();
    let done = format!("{new} is in the place of {}, which is deleted. AWS has taken it.\n", bench.old);
    assert_eq!((said.status, said.stdout.as_str()), (0, done.as_str()), "{}", said.stderr);
    assert_eq!(said.stderr, "onetap: AWS does not know the new key everywhere yet; waiting.\n");
    bench.is_rotated();
    // Proven before the old one was touched.
    let seen = bench.aws.requests();
    let proven = seen.iter().position(|seen| seen.access_key_id == new && seen.outcome == "ok").unwrap();
    let touched = seen.iter().position(|seen| seen.action == "UpdateAccessKey").unwrap();
    assert!(proven < touched);
}

#[test]
fn refused_at_any_step_one_key_works_and_is_named_and_the_next_run_repairs_it() {
    at_once(STEPS, |action| {
        let bench = bench();
        // Once for the key alone, once more with MFA.
        bench.aws.fail_next(action, Fault::Refuse);
        bench.aws.fail_next(action, Fault::Refuse);
        let said = bench.rotate();
        refused(
            &said,
            8,
            &[&format!("AWS refused iam:{action}"), "\"iam:CreateAccessKey\",\"iam:DeleteAccessKey\""],
        );
        let keys = bench.aws.keys_of("doug");
        let expected = match action {
            "UpdateAccessKey" => vec![true, true],
            "DeleteAccessKey" => vec![false, true],
            _ => vec![true],
        };
        assert_eq!(keys.iter().map(|key| key.1).collect::<Vec<_>>(), expected, "refused at {action}");
        bench.works();
        let said = bench.rotate();
        assert_eq!(said.status, 0, "after {action}: {}", said.stderr);
        bench.is_rotated();
    });
}

#[test]
fn killed_at_any_step_one_key_works_and_the_next_run_repairs_it() {
    at_once(STEPS, |action| {
        let bench = bench();
        bench.killed_at(action);
        let expected = match action {
            "ListAccessKeys" | "DeleteAccessKey" => vec![true],
            "CreateAccessKey" => vec![true, true],
            _ => vec![false, true],
        };
        let keys = bench.aws.keys_of("doug");
        assert_eq!(keys.iter().map(|key| key.1).collect::<Vec<_>>(), expected, "killed at {action}");
        bench.works();
        let said = bench.rotate();
        assert_eq!(said.status, 0, "after {action}: {}", said.stderr);
        bench.is_rotated();
    });
}

#[test]
fn an_answer_that_gets_lost_leaves_one_working_key_that_is_named() {
    let told = [
        ("CreateAccessKey", "the profile still uses"),
        ("UpdateAccessKey", "is still active"),
        ("DeleteAccessKey", "is inactive"),
    ];
    at_once(told, |(action, words)| {
        let bench = bench();
        bench.aws.fail_next(action, Fault::Drop);
        refused(&bench.rotate(), 9, &["IAM cannot be reached", words, "run the command again"]);
        bench.works();
        let said = bench.rotate();
        assert_eq!(said.status, 0, "after {action}: {}", said.stderr);
        bench.is_rotated();
    });
}

#[test]
fn a_second_key_that_is_not_ours_is_never_deleted_unasked() {
    let bench = bench();
    // The first rotation's key becomes the profile's; the old one is made again by hand.
    assert_eq!(bench.rotate().status, 0);
    bench.aws.fail_next("UpdateAccessKey", Fault::Drop);
    assert_eq!(bench.rotate().status, 9);
    std::fs::remove_file(bench.home.path(".local/state/onetap/rotations.json")).unwrap();
    let keys = bench.aws.keys_of("doug");
    let said = bench.rotate();
    refused(
        &said,
        8,
        &[
            "the user has two access keys",
            "AWS allows no third",
            "active, last used 20",
            " for iam: ",
            "--delete",
        ],
    );
    assert_eq!(bench.aws.keys_of("doug"), keys);
    let other = &keys[0].0;
    let said = bench.home.run(&["rotate", "doug", "--delete", other]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    bench.is_rotated();
    assert!(bench.aws.keys_of("doug")[0].0 != keys[1].0);
}

#[test]
fn with_mfa_only_permissions_one_touch_rotates() {
    let bench = bench();
    bench.aws.set_boundary("doug", Some(policy::everything_only_with_mfa()));
    let said = bench.rotate();
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert_eq!((bench.aws.count("GetSessionToken"), bench.home.touches()), (1, 1));
    bench.is_rotated();
}

#[test]
fn another_profile_with_the_same_key_gets_the_new_one_too() {
    let bench = bench();
    let config = bench.home.read(".aws/config");
    bench.home.private(
        ".aws/config",
        &format!("{config}[profile twin]\nmfa_serial = arn:aws:iam::123456789012:mfa/doug\n"),
    );
    let mut command = bench.home.onetap(&["add", "twin", "--from-env"]);
    command.env("AWS_ACCESS_KEY_ID", &bench.old);
    command.env("AWS_SECRET_ACCESS_KEY", "x".repeat(40)).arg("--offline");
    assert_eq!(onetap_support::home::said(&mut command).status, 0);
    assert_eq!(bench.rotate().status, 0);
    let served = bench.home.run(&["exec", "twin", "--", "true"]);
    assert_eq!(served.status, 0, "{}", served.stderr);
}
