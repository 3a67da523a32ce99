//! `--no-prompt`: exit code 7 where a person would be needed; nothing sent, no touch spent, nothing asked.

use std::time::{Duration, Instant};

use onetap_support::aws::{Aws, User, World};
use onetap_support::home::{Home, Said, said, uri};
use onetap_support::pty::Start;
use onetap_support::secret_service::{Collection, SecretService};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");

struct Bench {
    aws: Aws,
    home: Home,
    doug: User,
}

fn bench(touch: &str) -> Bench {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, touch);
    Bench { aws, home, doug }
}

impl Bench {
    /// With a terminal, so that a question could be asked: there is none, nothing reaches AWS, and no code is made.
    fn refused(&self, arguments: &[&str]) -> Said {
        let (before, codes) = (self.aws.requests().len(), self.home.touches());
        let start = Start::new(BINARY).args(arguments).args(["--no-prompt"]);
        let terminal = start.env_clear().envs(self.home.env()).spawn().unwrap();
        let finished = terminal.finish(Duration::from_secs(60)).unwrap();
        assert!(!finished.terminal.contains("assphrase of"), "{}", finished.terminal);
        // And the same without one, by the variable.
        let said = said(self.home.onetap(arguments).env("ONETAP_NO_PROMPT", "1"));
        assert_eq!((said.status, said.stdout.as_str()), (7, ""), "{arguments:?}: {}", said.stderr);
        assert_eq!(finished.status.code(), Some(7), "{arguments:?}: {}", finished.terminal);
        assert_eq!((self.aws.requests().len(), self.home.touches()), (before, codes), "{arguments:?}");
        said
    }
}

const FORBIDDEN: &str =
    "onetap: there is nobody to ask: --no-prompt or ONETAP_NO_PROMPT forbids it; run it without";

#[test]
fn a_typed_code_is_not_asked_for() {
    let bench = bench("");
    let said = bench.refused(&["credential-process", "doug", "--code", "prompt"]);
    assert_eq!(said.stderr.trim(), FORBIDDEN);
    bench.refused(&["code", "doug", "--code", "prompt"]);
}

#[test]
fn a_key_that_wants_a_touch_does_not_blink() {
    let bench = bench("fault touch-after 1");
    let said = bench.refused(&["credential-process", "doug"]);
    assert!(said.stderr.ends_with(&format!("{FORBIDDEN}\n")), "{}", said.stderr);
}

#[test]
fn the_vaults_passphrase_is_not_asked_for() {
    let mut bench = bench("");
    bench.home.unset("ONETAP_VAULT_PASSPHRASE_FILE");
    for arguments in [vec!["credential-process", "doug"], vec!["remove", "doug"]] {
        let said = bench.refused(&arguments);
        assert_eq!(said.stderr.lines().last().unwrap(), FORBIDDEN);
    }
}

/// gnome-keyring without a display answers a prompt at once, so that what opens a window is told by the bus.
#[test]
fn a_locked_keychain_stays_locked_and_no_window_opens() {
    let mut bench = bench("");
    let service = SecretService::start(Collection::Unlocked).expect("this test needs dbus and gnome-keyring");
    let address = service.env().into_iter().find(|(name, _)| *name == "DBUS_SESSION_BUS_ADDRESS").unwrap().1;
    bench.home.set("DBUS_SESSION_BUS_ADDRESS", address.as_str());
    bench.home.set("ONETAP_VAULT", "keychain");
    std::fs::remove_file(bench.home.path(".config/onetap/config")).unwrap();
    let serial = bench.doug.devices[0].serial.clone();
    let added = bench.home.add(&bench.doug, &["--mfa-serial", &serial]);
    assert_eq!(added.status, 0, "{}", added.stderr);
    // While it is open it serves.
    let served = bench.home.run(&["--no-prompt", "credential-process", "doug"]);
    assert_eq!(served.status, 0, "{}", served.stderr);
    service.lock().unwrap();
    std::fs::remove_file(bench.home.path(".cache/onetap/sessions")).unwrap();
    let mut monitor = std::process::Command::new("dbus-monitor")
        .args(["--address", &address, "member='Unlock'", "member='Prompt'"])
        .stdout(std::fs::File::create(bench.home.path("bus")).unwrap())
        .spawn()
        .expect("this test needs dbus-monitor");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !bench.home.read("bus").contains("NameAcquired") && !bench.home.read("bus").contains("NameLost") {
        assert!(Instant::now() < deadline, "dbus-monitor says nothing");
        std::thread::yield_now();
    }
    let said = bench.refused(&["credential-process", "doug"]);
    assert_eq!(said.stderr.lines().last().unwrap(), FORBIDDEN);
    let seen = bench.home.read("bus");
    assert!(!seen.contains("member=Unlock") && !seen.contains("member=Prompt"), "{seen}");
    // The same monitor sees it where a person may be asked.
    let asked = bench.home.run(&["credential-process", "doug"]);
    assert_eq!(asked.status, 4, "{}", asked.stderr);
    let deadline = Instant::now() + Duration::from_secs(30);
    while !bench.home.read("bus").contains("member=Unlock") {
        assert!(Instant::now() < deadline, "nothing was asked: {}", bench.home.read("bus"));
        std::thread::yield_now();
    }
    monitor.kill().unwrap();
    monitor.wait().unwrap();
}

#[test]
fn adding_asks_for_neither_key_nor_device() {
    let mut bench = bench("");
    bench.refused(&["add", "eve"]);
    bench.home.set("AWS_ACCESS_KEY_ID", bench.doug.access_key_id.as_str());
    bench.home.set("AWS_SECRET_ACCESS_KEY", bench.doug.secret_access_key.as_str());
    let said = bench.refused(&["add", "eve", "--from-env"]);
    assert!(said.stderr.contains("add --mfa-serial"), "{}", said.stderr);
    assert!(!bench.home.read(".aws/config").contains("eve"));
}

#[test]
fn a_seed_is_not_asked_for() {
    let bench = bench("");
    assert_eq!(bench.refused(&["seed", "add", "doug"]).stderr.trim(), FORBIDDEN);
}

#[test]
fn no_verb_of_token_asks() {
    let mut bench = bench("");
    let (account, seed) = (bench.doug.devices[0].serial.clone(), bench.doug.devices[0].seed_base32.clone());
    for arguments in [
        vec!["token", "add", "--account", "AWS:new"],
        vec!["token", "delete", &account],
        vec!["token", "reset"],
        vec!["token", "password", "set"],
    ] {
        bench.refused(&arguments);
    }
    bench.home.token(&format!("{}\npassword secret\n", uri(&account, &seed, false)));
    bench.refused(&["token", "accounts"]);
    bench.refused(&["credential-process", "doug"]);
}

#[test]
fn what_needs_nobody_serves() {
    let bench = bench("");
    let served = bench.home.run(&["--no-prompt", "credential-process", "doug"]);
    assert_eq!(served.status, 0, "{}", served.stderr);
    assert_eq!((bench.aws.count("GetSessionToken"), bench.home.touches()), (1, 1));
}
