//! Stories with the real parts around onetap: pcscd, a Secret Service, many processes, a disk that is full.
//!
//! Needs `pcscd`, `vsmartcard-vpcd`, `gnome-keyring`, `dbus`, the right to `unshare --mount`, and the real AWS CLI in
//! `$ONETAP_TEST_VENV`; a test whose part lacks fails and says which.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use onetap_support::aws::{Aws, INSTANCE, User, World, policy};
use onetap_support::home::{Home, Said, python_tool, said, uri};
use onetap_support::pcscd::Pcscd;
use onetap_support::secret_service::{Collection, SecretService};
use onetap_support::vpcd::InsertedToken;

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const ARN: &str = "arn:aws:iam::123456789012:mfa/doug";
/// Generous: the machine may be busy with other tests.
const LIMIT: Duration = Duration::from_secs(30);

struct Bench {
    aws: Aws,
    home: Home,
    doug: User,
}

fn bench(touch: &str) -> Bench {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::of_doug(BINARY, &aws, &doug, touch);
    home.set("ONETAP_CODE", "yubikey");
    Bench { aws, home, doug }
}

/// A home where nothing was done yet, and a virtual token without touch.
fn fresh() -> Bench {
    let doug = User::doug().policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::new(BINARY);
    home.set("AWS_ENDPOINT_URL", aws.endpoint());
    home.token(&uri(ARN, &doug.devices[0].seed_base32, false));
    Bench { aws, home, doug }
}

impl Bench {
    fn process(&self, arguments: &[&str]) -> Child {
        let mut command = self.home.onetap(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn sessions(&self) -> usize {
        self.aws.count("GetSessionToken")
    }

    /// The same as [`Home::run`] in a mount namespace of its own, after `script` was run there.
    fn run_where(&self, script: &str, arguments: &[&str]) -> Said {
        let mut command = self.home.program("unshare");
        command.arg(if is_root() { "--mount" } else { "--map-root-user" });
        command.args(["--mount", "sh", "-ec", &format!("{script}\n\"$@\""), "sh", BINARY]).args(arguments);
        said(&mut command)
    }
}

/// Whoever is not root becomes it in a namespace of users.
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

fn finished(child: Child) -> Said {
    child.wait_with_output().unwrap().into()
}

fn until(what: &str, reached: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !reached() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn one_line(said: &Said, status: i32, words: &[&str]) {
    assert_eq!((said.status, said.stdout.as_str()), (status, ""), "{}", said.stderr);
    assert!(said.stderr.starts_with("onetap: ") && said.stderr.lines().count() == 1, "{}", said.stderr);
    for word in words {
        assert!(said.stderr.contains(word), "{word:?} lacks in {}", said.stderr);
    }
}

#[test]
fn story_b_a_boundary_allows_everything_only_with_mfa_and_the_token_is_behind_a_real_pcscd() {
    let doug = User::doug().boundary(policy::everything_only_with_mfa()).policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::new(BINARY);
    home.set("AWS_ENDPOINT_URL", aws.endpoint());
    let seed = &doug.devices[0].seed_base32;
    let token = home.private("token", &format!("{}\nfault touch-after 700\n", uri(ARN, seed, true)));
    let pcscd = Pcscd::start(&["Yubico YubiKey OTP+FIDO+CCID"]).unwrap();
    let _inserted = InsertedToken::insert(&token, pcscd.port(0)).unwrap();
    pcscd.wait_for_cards(1).unwrap();
    home.set("PCSCLITE_CSOCK_NAME", pcscd.socket());

    let added = home.add(&doug, &["--mfa-serial", ARN]);
    assert_eq!((added.status, added.stderr.as_str()), (0, ""), "no policy governs GetCallerIdentity");
    home.private(
        ".aws/config",
        &format!("[default]\nregion = eu-west-1\n\n[profile doug]\nmfa_serial = {ARN}\n"),
    );

    let aws_cli = python_tool("aws");
    let calls = [&["ec2", "describe-instances"][..], &["ec2", "stop-instances", "--instance-ids", INSTANCE]];
    for call in calls {
        let mut command = home.program(&aws_cli);
        command
            .args(call)
            .env("AWS_ACCESS_KEY_ID", &doug.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &doug.secret_access_key);
        let refused = said(&mut command);
        assert_ne!(refused.status, 0);
        assert!(refused.stderr.contains("UnauthorizedOperation"), "{}", refused.stderr);
    }
    for (call, stderr) in calls
        .iter()
        .zip([format!("onetap: Touch your YubiKey for {ARN} (profile doug) ...\n"), String::new()])
    {
        let served = home.run(&[&["exec", "doug", "--", aws_cli.to_str().unwrap()], *call].concat());
        assert_eq!((served.status, served.stderr), (0, stderr), "{}", pcscd.log());
        assert!(served.stdout.contains(INSTANCE), "{}", served.stdout);
    }
    assert_eq!(home.apdus(), ["00a40400", "00a20001"], "SELECT and CALCULATE, once for both");
    assert_eq!(aws.count("GetSessionToken"), 1);
}

#[test]
fn a_real_secret_service_holds_the_keys_and_a_cached_call_does_not_need_it() {
    let mut service =
        SecretService::start(Collection::Unlocked).expect("this test needs dbus and gnome-keyring");
    let bus = service.env().into_iter().find(|(name, _)| *name == "DBUS_SESSION_BUS_ADDRESS").unwrap().1;
    let mut bench = fresh();
    bench.home.set("ONETAP_CODE", "yubikey");
    bench.home.set("ONETAP_VAULT", "keychain");
    bench.home.set("DBUS_SESSION_BUS_ADDRESS", &bus);
    let added = bench.home.add(&bench.doug, &["--mfa-serial", ARN, "--region", "eu-west-1"]);
    assert_eq!(added.status, 0, "{}", added.stderr);
    assert!(added.stdout.contains("in the keychain;"), "{}", added.stdout);
    assert!(!bench.home.path(".local/state/onetap/vault.age").exists());
    bench.home.unset("ONETAP_VAULT"); // it was recorded
    let cold = bench.home.run(&["exec", "doug", "--", "true"]);
    assert_eq!((cold.status, bench.sessions()), (0, 1), "{}", cold.stderr);

    bench.home.set("DBUS_SESSION_BUS_ADDRESS", "unix:path=/absent");
    let cached = bench.home.run(&["exec", "doug", "--", "true"]);
    assert_eq!(
        (cached.status, cached.stderr.as_str(), bench.sessions()),
        (0, "", 1),
        "the kernel holds the key"
    );
    bench.home.set("DBUS_SESSION_BUS_ADDRESS", &bus);

    assert_eq!(bench.home.run(&["clear"]).status, 0);
    service.lock().unwrap();
    one_line(
        &bench.home.run(&["credential-process", "doug"]),
        4,
        &["locked", "unlock it and run the command again"],
    );
    one_line(&bench.home.run(&["exec", "doug", "--", "true"]), 125, &["locked", "unlock it"]);
    assert_eq!((bench.home.touches(), bench.sessions()), (1, 1), "no touch for a key that cannot be read");

    service.kill_daemon();
    service.start_daemon(Collection::Unlocked).unwrap();
    let removed = bench.home.run(&["remove", "doug"]);
    assert!(removed.status == 0 && removed.stdout.contains(&bench.doug.access_key_id), "{removed:?}");
    one_line(
        &bench.home.run(&["credential-process", "doug"]),
        4,
        &["no access key is stored", "onetap add doug"],
    );
}

#[test]
fn a_secret_service_where_nobody_logged_in_takes_nothing_and_nothing_is_recorded() {
    let service = SecretService::start(Collection::Absent).expect("this test needs dbus and gnome-keyring");
    let mut bench = fresh();
    bench.home.set("ONETAP_VAULT", "keychain");
    for (name, value) in service.env().into_iter().filter(|(name, _)| *name == "DBUS_SESSION_BUS_ADDRESS") {
        bench.home.set(name, value);
    }
    let refused = bench.home.add(&bench.doug, &["--mfa-serial", ARN]);
    one_line(&refused, 4, &["the vault is locked: the keychain opens no collection", "unlock it"]);
    assert!(!bench.home.path(".config/onetap/config").exists() && !bench.home.path(".aws").exists());
}

/// Who holds the turn, by what it wrote down.
fn holder(home: &Home) -> Option<String> {
    let turns = fs::read_dir(home.path(".local/state/onetap/turns")).ok()?;
    let memory = turns.flatten().find(|entry| entry.path().extension().is_some_and(|end| end == "json"))?;
    let text = fs::read_to_string(memory.path()).ok()?;
    let pid = text.split_once("\"pid\":")?.1.split([',', '}']).next()?;
    Some(pid.to_owned())
}

#[test]
fn of_twenty_the_first_is_killed_at_the_touch_and_the_next_one_takes_over() {
    let bench = bench("fault touch-after 2500");
    let children = (0..20).map(|_| bench.process(&["credential-process", "doug"])).collect::<Vec<_>>();
    until("the token is asked", || bench.home.touches() == 1);
    let holder = holder(&bench.home).unwrap();
    assert!(children.iter().any(|child| child.id().to_string() == holder), "{holder} is none of ours");
    assert_eq!(said(bench.home.program("kill").args(["-KILL", &holder])).status, 0);

    let (killed, served): (Vec<_>, Vec<_>) =
        children.into_iter().map(finished).partition(|answer| answer.status == 128 + 9);
    assert_eq!((killed.len(), served.len()), (1, 19));
    for answer in &served {
        assert_eq!((answer.status, &answer.stdout), (0, &served[0].stdout), "{}", answer.stderr);
        assert!(answer.stdout.starts_with("{\"Version\":1,\"AccessKeyId\":\"ASIA"), "{}", answer.stdout);
    }
    assert_eq!((bench.home.touches(), bench.sessions()), (2, 1), "one touch was lost with its asker");
}

#[test]
fn a_refused_touch_refuses_those_that_wait_and_nobody_who_comes_later() {
    let bench = bench("fault touch never");
    let asker = bench.process(&["--timeout", "6", "credential-process", "doug"]);
    until("the token is asked", || bench.home.touches() == 1);
    let began = Instant::now();
    let waiting = (0..5).map(|_| bench.process(&["credential-process", "doug"])).collect::<Vec<_>>();
    let refused = finished(asker);
    assert_eq!(refused.status, 6);
    assert!(refused.stderr.ends_with(
        "onetap: the YubiKey was not touched in time; run the command again and touch the key while it blinks\n"
    ));
    for answer in waiting.into_iter().map(finished) {
        assert_eq!((answer.status, answer.stdout.as_str()), (6, ""), "{}", answer.stderr);
        let last = answer.stderr.lines().last().unwrap();
        assert_eq!(
            last,
            "onetap: the YubiKey was not touched in time (the request came from another process); run the command again"
        );
    }
    assert!(began.elapsed() < Duration::from_secs(20), "their own limit is 55 s");
    assert_eq!(bench.home.touches(), 1, "one unanswered touch did not become six");

    let later = bench.home.run(&["--timeout", "4", "credential-process", "doug"]);
    assert_eq!((later.status, bench.home.touches(), bench.sessions()), (6, 2, 0), "{}", later.stderr);
    assert!(!later.stderr.contains("another process"), "{}", later.stderr);
}

#[test]
fn a_full_disk_keeps_no_session_and_hands_it_over_all_the_same() {
    let bench = bench("");
    let full = r#"
        mkdir "$HOME/full" "$HOME/full.state"
        mount -t tmpfs -o size=128k,mode=700 none "$HOME/full"
        cp -a "$HOME/.local/state" "$HOME/full/state"
        mkdir "$HOME/full/cache"
        dd if=/dev/zero of="$HOME/full/ballast" bs=4k 2>/dev/null || true
        export XDG_STATE_HOME="$HOME/full/state" XDG_CACHE_HOME="$HOME/full/cache"
        trap 'find "$HOME/full" -type f -printf "left %P %s\n"' EXIT"#;
    let served = bench.run_where(full, &["exec", "doug", "--", "env"]);
    assert_eq!(served.status, 0, "{}", served.stderr);
    assert!(served.stdout.contains("AWS_SESSION_TOKEN="), "{}", served.stdout);
    for warning in
        ["the last used code cannot be remembered", "the session is not kept, so the next command asks again"]
    {
        assert_eq!(served.stderr.matches(warning).count(), 1, "{warning}: {}", served.stderr);
    }
    assert!(served.stderr.contains("No space left on device"), "{}", served.stderr);
    let left = |name: &str| served.stdout.lines().filter(|line| line.contains(name)).collect::<Vec<_>>();
    assert_eq!(left("left cache"), ["left cache/onetap/sessions.lock 0"], "no half of a file");
    assert!(left(".onetap-").is_empty(), "{}", served.stdout);
    assert_eq!(bench.sessions(), 1);
}

#[test]
fn a_read_only_home_keeps_no_session_and_hands_it_over_all_the_same() {
    let mut bench = bench("");
    // The virtual token's notebook stands beside its file, which a real one does without.
    let elsewhere = tempfile::tempdir().unwrap();
    let token = elsewhere.path().join("token");
    fs::copy(bench.home.path("token"), &token).unwrap();
    bench.home.set("ONETAP_READER", format!("mock:{}", token.display()));
    let read_only = r#"mount --bind "$HOME" "$HOME"; mount -o remount,bind,ro "$HOME"; cd "$HOME""#;
    let served = bench.run_where(read_only, &["credential-process", "doug"]);
    assert_eq!((served.status, bench.sessions()), (0, 1), "{}", served.stderr);
    assert!(served.stdout.starts_with("{\"Version\":1,") && served.stdout.lines().count() == 1);
    for warning in [
        "other processes cannot be kept waiting",
        "the last used code cannot be remembered",
        "the session is not kept, so the next command asks again",
    ] {
        assert_eq!(served.stderr.matches(warning).count(), 1, "{warning}: {}", served.stderr);
    }
    assert_eq!(served.stderr.matches("Read-only file system").count(), 3, "{}", served.stderr);
}
