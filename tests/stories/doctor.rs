//! What `onetap doctor` says where something is in the way, with a real `pcscd` and GnuPG's real `scdaemon`.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use onetap_support::aws::{Aws, User, World};
use onetap_support::home::{Home, Said, uri};
use onetap_support::pcscd::Pcscd;
use onetap_support::vpcd::InsertedToken;

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const NAME: &str = "Yubico YubiKey OTP+FIDO+CCID";
const ARN: &str = "arn:aws:iam::123456789012:mfa/doug";

/// Doug, whose key is behind this daemon.
fn home(pcscd: &Pcscd) -> (Aws, Home, User) {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::of_doug(BINARY, &aws, &doug, "");
    home.set("ONETAP_READER", "pcsc");
    home.set("PCSCLITE_CSOCK_NAME", pcscd.socket());
    (aws, home, doug)
}

/// Plugs in a key with this text, less its accounts' common part.
fn plug(home: &Home, pcscd: &Pcscd, text: &str) -> InsertedToken {
    let path = home.private("key", text);
    let inserted = InsertedToken::insert(&path, pcscd.port(0)).unwrap();
    pcscd.wait_for_cards(1).unwrap();
    inserted
}

/// Each check's name and state.
fn states(said: &Said) -> Vec<(String, String)> {
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report["ok"], serde_json::Value::Bool(said.status == 0), "{}", said.stdout);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| (text(&check["name"]), text(&check["state"])))
        .collect()
}

fn of(states: &[(String, String)], name: &str) -> String {
    let found = states.iter().filter(|(known, _)| known == name).map(|(_, state)| state.as_str());
    found.collect::<Vec<_>>().join(", ")
}

#[test]
fn where_all_is_well_each_line_says_so_and_the_key_is_only_looked_at() {
    let pcscd = Pcscd::start(&[NAME]).unwrap();
    let (aws, home, doug) = home(&pcscd);
    let before = aws.requests().len();
    let _key = plug(&home, &pcscd, &uri(ARN, &doug.devices[0].seed_base32, true));
    let well = home.run(&["doctor"]);
    assert_eq!((well.status, well.stderr.as_str()), (0, ""), "{}", well.stdout);
    for line in [
        "ok           pcscd     the smart card service answers\n",
        "ok           readers   a YubiKey is in Yubico YubiKey OTP+FIDO+CCID",
        "OATH, firmware 5.4.3, 1 accounts\n",
        &format!("ok           account   profile doug: {ARN} on "),
    ] {
        assert!(well.stdout.contains(line), "{line} lacks in\n{}", well.stdout);
    }
    let states = states(&home.run(&["doctor", "doug", "--json"]));
    assert!(states.iter().all(|(_, state)| state == "ok"), "{states:?}");
    let names: Vec<_> = states.iter().map(|(name, _)| name.as_str()).collect();
    let all = ["socket", "pcscd", "polkit", "readers", "card", "applet", "password", "account", "scdaemon"];
    assert_eq!(names, all);
    assert!(!home.read("key.log").contains("CALCULATE"), "no touch is asked for");
    assert_eq!(aws.requests().len(), before);
}

#[test]
fn a_service_that_is_absent_a_reader_without_a_key_and_a_wrong_account_are_told_with_their_remedies() {
    let empty = Pcscd::start(&[]).unwrap();
    let (_aws, mut home, doug) = home(&empty);
    let none = home.run(&["doctor", "--json"]);
    assert_eq!((none.status, of(&states(&none), "readers")), (5, "wrong".into()), "{}", none.stdout);

    home.set("PCSCLITE_CSOCK_NAME", "/absent/pcscd.comm");
    let absent = home.run(&["doctor"]);
    assert_eq!(
        (absent.status, absent.stderr.as_str()),
        (5, "onetap: checks that went wrong: 2; what to do stands beside each\n")
    );
    assert!(
        absent.stdout.contains("/absent/pcscd.comm is not there; start the service"),
        "{}",
        absent.stdout
    );
    assert!(absent.stdout.contains("not checked  account   profile doug"), "{}", absent.stdout);

    let pcscd = Pcscd::start(&[NAME]).unwrap();
    home.set("PCSCLITE_CSOCK_NAME", pcscd.socket());
    let key = plug(&home, &pcscd, &uri("GitHub:octo", &doug.devices[0].seed_base32, false));
    let other = home.run(&["doctor"]);
    assert_eq!(other.status, 5);
    assert!(other.stdout.contains("put `onetap_account = GitHub:octo` into the profile"), "{}", other.stdout);
    key.pull().unwrap();
}

#[test]
fn a_locked_key_is_no_fault_and_nobody_is_asked_for_its_password() {
    let pcscd = Pcscd::start(&[NAME]).unwrap();
    let (_aws, home, doug) = home(&pcscd);
    let text = format!("password hunter2\n{}", uri(ARN, &doug.devices[0].seed_base32, false));
    let _key = plug(&home, &pcscd, &text);
    let locked = home.run(&["doctor", "--json"]);
    let states = states(&locked);
    assert_eq!(
        (locked.status, of(&states, "password"), of(&states, "account")),
        (0, "ok".into(), "not checked".into())
    );
}

#[test]
fn the_virtual_token_is_looked_into_and_the_service_is_not() {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    let said = home.run(&["doctor", "--json"]);
    let states = states(&said);
    assert_eq!(
        (said.status, of(&states, "pcscd"), of(&states, "account")),
        (0, "not checked".into(), "ok".into())
    );
    assert!(fs::read_to_string(home.path("token.log")).unwrap().ends_with("LIST\n"));
}

/// GnuPG's card daemon, at work with the card of this `pcscd`: as `gpg --card-status` leaves it behind.
struct Scdaemon {
    daemon: Child,
    // It ends with either of them.
    _streams: (ChildStdin, BufReader<ChildStdout>),
}

impl Scdaemon {
    fn hold(pcscd: &Pcscd, home: &Path) -> Self {
        let mut daemon = Command::new("/usr/lib/gnupg/scdaemon")
            .args(["--server", "--homedir"])
            .arg(home)
            .env("PCSCLITE_CSOCK_NAME", pcscd.socket())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("scdaemon (package scdaemon)");
        let mut stdin = daemon.stdin.take().unwrap();
        // The virtual token has no OpenPGP; this opens a card for what is to come, whatever is on it.
        stdin.write_all(b"SERIALNO undefined\n").unwrap();
        let mut stdout = BufReader::new(daemon.stdout.take().unwrap());
        let mut lines = stdout.by_ref().lines().map_while(Result::ok);
        let opened = lines.find(|line| line.starts_with("S SERIALNO") || line.starts_with("ERR"));
        assert!(opened.as_deref().is_some_and(|line| line.starts_with("S ")), "{opened:?}");
        Self { daemon, _streams: (stdin, stdout) }
    }
}

impl Drop for Scdaemon {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

#[test]
fn gnupgs_card_daemon_holds_the_key_is_named_and_shares_it_as_it_was_told() {
    let pcscd = Pcscd::start(&[NAME]).unwrap();
    let (aws, mut home, doug) = home(&pcscd);
    let _key = plug(&home, &pcscd, &uri(ARN, &doug.devices[0].seed_base32, false));
    let config = home.private("gnupg/scdaemon.conf", "disable-ccid\n");
    let gnupg = config.parent().unwrap().to_owned();
    fs::set_permissions(&gnupg, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    home.set("GNUPGHOME", &gnupg);
    let before = aws.requests().len();

    let scdaemon = Scdaemon::hold(&pcscd, &gnupg);
    let held = home.run(&["code", "doug", "--code", "yubikey"]);
    assert_eq!((held.status, held.stdout.as_str()), (5, ""), "{}", held.stderr);
    assert!(held.stderr.contains("onetap: another program holds the YubiKey; "), "{}", held.stderr);
    assert!(held.stderr.contains("`gpgconf --kill scdaemon`, or put `pcsc-shared` into"), "{}", held.stderr);
    let told = home.run(&["doctor"]);
    assert_eq!(told.status, 5);
    let remedy = format!("put `pcsc-shared` into {} and run `gpgconf --kill scdaemon`", config.display());
    let wrong: Vec<_> = told.stdout.lines().filter(|line| line.starts_with("wrong")).collect();
    assert!(wrong.len() == 2 && wrong[1].contains("scdaemon") && wrong[1].ends_with(&remedy), "{wrong:?}");
    drop(scdaemon);

    home.private("gnupg/scdaemon.conf", "disable-ccid\npcsc-shared\n");
    let _sharing = Scdaemon::hold(&pcscd, &gnupg);
    assert_eq!(home.run(&["doctor"]).status, 0);
    let served = home.run(&["code", "doug", "--code", "yubikey"]);
    assert_eq!(served.status, 0, "{}", served.stderr);
    assert_eq!(aws.requests().len(), before);
}
