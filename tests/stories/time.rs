//! Time: clocks that differ, sessions that end, and what callers demand of a session's age and life.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use onetap::attendant::{Attendant, Notice, Question, Unattended};
use onetap::session::Session;
use onetap::session::store::SessionStore;
use onetap::vault::file::FileVault;
use onetap_support::aws::{Aws, Role, User, World, policy};
use onetap_support::home::{Home, Said, python_tool, uri};
use secrecy::SecretString;
use serde_json::json;

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const CLOCK: &str = "this machine's clock is";

struct Bench {
    aws: Aws,
    home: Home,
    doug: User,
}

/// Doug, and a role that demands MFA under one more condition.
fn bench(condition: serde_json::Value) -> Bench {
    let doug = User::doug();
    let mut demands = json!({ "Bool": { "aws:MultiFactorAuthPresent": "true" } });
    demands.as_object_mut().unwrap().extend(condition.as_object().unwrap().clone());
    let reader = Role::named("reader").trust(policy::trust_when(&doug.arn(), demands));
    let arn = reader.arn();
    let aws = Aws::start(World::of(doug.clone()).role(reader));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    let config = home.read(".aws/config");
    home.private(
        ".aws/config",
        &format!("{config}\n[profile reader]\nrole_arn = {arn}\nsource_profile = doug\n"),
    );
    Bench { aws, home, doug }
}

#[derive(Debug)]
struct Nobody;

impl Attendant for Nobody {
    fn notice(&self, _: Notice) {}
    fn ask(&self, _: Question) -> Result<SecretString, Unattended> {
        Err(Unattended::Nobody("a test".into()))
    }
}

impl Bench {
    fn run(&self, arguments: &[&str]) -> Said {
        self.home.run(arguments)
    }

    /// Makes the sessions that are kept old: made hours ago, with so many seconds left.
    fn near_the_end(&self, left: u64) {
        self.age(|session| {
            session.minted -= Duration::from_secs(40_000);
            session.expiration = SystemTime::now() + Duration::from_secs(left);
        });
    }

    /// Changes the sessions that are kept, as time would.
    fn age(&self, change: impl Fn(&mut Session)) {
        let vault = FileVault::new(
            self.home.path(".local/state/onetap/vault.age"),
            Some(self.home.path("passphrase")),
            Arc::new(Nobody),
        );
        let store = SessionStore::new(self.home.path(".cache/onetap/sessions"), Arc::new(vault));
        store.update(|kept| kept.sessions.values_mut().for_each(&change), SystemTime::now()).unwrap();
    }

    fn requests(&self) -> usize {
        self.aws.requests().iter().filter(|seen| seen.action != "GetCallerIdentity").count()
    }
}

fn one_line(said: &Said, status: i32, words: &[&str]) {
    assert_eq!((said.status, said.stdout.as_str()), (status, ""), "{}", said.stderr);
    let last = said.stderr.lines().last().unwrap_or_default();
    for word in words {
        assert!(last.contains(word), "{word:?} lacks in {}", said.stderr);
    }
}

fn good(said: &Said) {
    assert_eq!(said.status, 0, "{}", said.stderr);
}

/// Two commands right after each other: a code of the first must not come again in the second.
fn skewed(seconds: i64) {
    let bench = bench(json!({}));
    bench.aws.shift_clock(seconds);
    for profile in ["reader", "doug"] {
        let before = bench.requests();
        let made = bench.run(&["--renew", "--timeout", "200", "credential-process", profile]);
        assert_eq!(made.status, 0, "{seconds}: {}", made.stderr);
        let links = if profile == "reader" { 2 } else { 1 };
        let requests = bench.requests() - before;
        assert!((links..=links + 1).contains(&requests), "{seconds}: {requests} requests");
        let words = made.stderr.matches(CLOCK).count();
        let expected = if seconds.abs() > 60 { 1..=1 } else { 0..=1 };
        assert!(expected.contains(&words), "{seconds}: {}", made.stderr);
        if seconds.abs() > 60 {
            let off = if seconds < 0 { "ahead of" } else { "behind" };
            assert!(made.stderr.contains(&format!("s {off} AWS's")), "{seconds}: {}", made.stderr);
        }
    }
    let mut taken = Vec::new();
    for seen in bench.aws.requests().into_iter().filter(|seen| seen.code_given) {
        if seen.outcome == "ok" {
            assert!(!taken.contains(&seen.code_step), "{seconds}: a code was sent twice");
            taken.push(seen.code_step);
        } else {
            let known = seen.code_step.is_some_and(|step| taken.contains(&Some(step)));
            assert!(!known, "{seconds}: a used code was sent again");
        }
    }
    assert_eq!(taken.len(), 2, "{seconds}");
}

#[test]
fn a_clock_that_is_off_by_up_to_twenty_minutes_costs_one_request_and_one_line() {
    let skews = [20, 120, 600, 1_200].into_iter().flat_map(|by| [by, -by]);
    let threads: Vec<_> = skews.map(|by| std::thread::spawn(move || skewed(by))).collect();
    let wrong = threads.into_iter().map(std::thread::JoinHandle::join).filter(Result::is_err).count();
    assert_eq!(wrong, 0, "what went wrong stands above");
}

#[test]
fn a_clock_that_is_off_by_a_day_is_an_error_after_one_request() {
    for day in [86_400, -86_400] {
        let bench = bench(json!({}));
        bench.aws.shift_clock(day);
        let off = if day < 0 { "ahead of AWS's" } else { "behind AWS's" };
        one_line(&bench.run(&["credential-process", "reader"]), 8, &[CLOCK, off, "set the clock"]);
        assert_eq!((bench.requests(), bench.home.touches()), (1, 1));
    }
}

#[test]
fn a_life_that_cannot_be_granted_is_refused_before_any_touch() {
    let bench = bench(json!({}));
    for (profile, wanted) in [("doug", "43201"), ("doug", "43200"), ("reader", "3601"), ("reader", "3600")] {
        let refused = bench.run(&["--min-ttl", wanted, "credential-process", profile]);
        one_line(&refused, 10, &[&format!("a session with {wanted} s left is demanded")]);
    }
    assert_eq!((bench.requests(), bench.home.touches()), (0, 0));
    good(&bench.run(&["--min-ttl", "3500", "credential-process", "reader"]));
    good(&bench.run(&["--min-ttl", "43000", "credential-process", "doug"]));
    assert_eq!((bench.requests(), bench.home.touches()), (2, 1));
}

#[test]
fn a_session_that_aws_made_shorter_than_demanded_is_refused_after_one_touch() {
    let bench = bench(json!({}));
    bench.aws.shorten_sessions(Duration::from_secs(1_800));
    let refused = bench.run(&["--min-ttl", "3000", "credential-process", "doug"]);
    one_line(&refused, 10, &["a session with 3000 s left is demanded"]);
    assert_eq!((bench.requests(), bench.home.touches()), (1, 1));
    good(&bench.run(&["--min-ttl", "1000", "credential-process", "doug"]));
    assert_eq!((bench.requests(), bench.home.touches()), (1, 1), "what was paid for is kept");
}

#[test]
fn a_policy_on_the_age_of_the_code_is_met_with_mfa_max_age() {
    let bench = bench(json!({ "NumericLessThan": { "aws:MultiFactorAuthAge": "3000" } }));
    // AWS's clock is behind while the session is made, so that the session is old once it is right.
    bench.aws.shift_clock(-3_500);
    good(&bench.run(&["credential-process", "doug"]));
    bench.aws.shift_clock(0);
    bench.age(|session| session.authenticated = Some(SystemTime::now() - Duration::from_secs(3_500)));
    let touches = bench.home.touches();
    one_line(&bench.run(&["credential-process", "reader"]), 8, &["AccessDenied", "role/reader"]);
    assert_eq!(bench.home.touches(), touches, "nobody asked for a new code");
    let aged = ["--mfa-max-age", "3000", "--timeout", "200", "credential-process", "reader"];
    good(&bench.run(&aged));
    assert_eq!(bench.home.touches(), touches + 1);
    let kept = bench.run(&aged);
    assert_eq!((kept.status, kept.stderr.as_str()), (0, ""));
    assert_eq!(bench.home.touches(), touches + 1);
}

#[test]
fn an_old_session_serves_where_nobody_touches_unless_more_was_demanded() {
    let bench = bench(json!({}));
    good(&bench.run(&["credential-process", "doug"]));
    bench.near_the_end(400);
    let serial = &bench.doug.devices[0].serial;
    let token = format!("{}\nfault touch never\n", uri(serial, &bench.doug.devices[0].seed_base32, true));
    bench.home.private("token", &token);
    let ask = |limit: &str, more: &[&str]| {
        bench.run(&[&["--timeout", limit], more, &["credential-process", "doug"]].concat())
    };
    // The first has to wait for a code that was not used yet.
    for (limit, strict) in
        [("50", &["--min-ttl", "900"][..]), ("4", &["--mfa-max-age", "1"]), ("4", &["--renew"])]
    {
        one_line(&ask(limit, strict), 6, &["the YubiKey was not touched in time"]);
    }
    let old = ask("4", &[]);
    assert!(old.status == 0 && old.stdout.starts_with("{\"Version\":1"), "{}", old.stderr);
    assert!(old.stderr.contains("not touched in time; the old session has "), "{}", old.stderr);
    assert_eq!(bench.aws.count("GetSessionToken"), 1);
    bench.near_the_end(30);
    one_line(&ask("4", &[]), 6, &["the YubiKey was not touched in time"]);
}

/// A program that asks AWS who it is each time it reads a line.
const WATCHER: &str = "
import sys, boto3
client = boto3.Session(profile_name='reader-cp').client('sts')
for line in sys.stdin:
    client.get_caller_identity()
    print(client._request_signer._credentials.access_key, flush=True)
";

#[test]
fn botocore_and_the_cli_refresh_near_the_end_and_nobody_is_asked_within_the_window() {
    let bench = bench(json!({}));
    let config = bench.home.read(".aws/config");
    let line = format!("credential_process = {BINARY} credential-process reader");
    bench
        .home
        .private(".aws/config", &format!("{config}\n[profile reader-cp]\nregion = eu-west-1\n{line}\n"));
    // botocore refreshes in the last 15 minutes, so that it asks each time.
    bench.aws.shorten_sessions(Duration::from_secs(900));
    let mut python = bench.home.program(python_tool("python"));
    python.args(["-c", WATCHER]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = python.spawn().unwrap();
    let mut input = python.stdin.take().unwrap();
    let mut answers = BufReader::new(python.stdout.take().unwrap()).lines();
    let mut ask = || {
        writeln!(input).unwrap();
        answers.next().expect("boto3 failed; its words stand above").unwrap()
    };
    let first = ask();
    assert_eq!([ask(), ask(), ask()], [first.clone(), first.clone(), first.clone()]);
    assert_eq!((bench.home.touches(), bench.aws.count("AssumeRole")), (1, 1));

    // The role's session has less than a quarter of its life left: a new one, from the same MFA session.
    bench.near_the_end(200);
    let second = ask();
    assert_ne!(second, first);
    assert_eq!([ask(), ask()], [second.clone(), second.clone()]);
    assert_eq!((bench.home.touches(), bench.aws.count("AssumeRole")), (1, 2));

    let mut cli = bench.home.program(python_tool("aws"));
    cli.args(["sts", "get-caller-identity", "--profile", "reader-cp"]);
    let seen = onetap_support::home::said(&mut cli);
    assert!(seen.status == 0 && seen.stdout.contains("assumed-role/reader/onetap-doug"), "{}", seen.stderr);
    assert_eq!((bench.home.touches(), bench.aws.count("AssumeRole")), (1, 2));

    // The MFA session ends too: one more touch.
    bench.near_the_end(30);
    assert_ne!(ask(), second);
    ask();
    assert_eq!((bench.home.touches(), bench.aws.count("GetSessionToken")), (2, 2));
    drop(input);
    assert!(python.wait().unwrap().success());
}
