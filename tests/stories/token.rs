//! The virtual token behind a real `pcscd`: our client's codes, and Yubico's client as the judge of the token.
//!
//! Needs the Debian packages `pcscd`, `vsmartcard-vpcd` and `oathtool`, and `ykman` in `$ONETAP_TEST_VENV/bin`.

use std::fs;
use std::io::{BufRead as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use onetap::attendant::{Attendant, Notice, Question, Unattended};
use onetap::card::Reader;
use onetap::code::yubikey::YubiKey;
use onetap::code::{CodeSource as _, TimeStep};
use onetap::files::{Private, write_whole};
use onetap_support::pcscd::Pcscd;
use onetap_support::secret_service::{Collection, SecretService};
use onetap_support::vpcd::InsertedToken;
use secrecy::SecretString;

const NAME: &str = "Yubico YubiKey OTP+FIDO+CCID";
const ARN: &str = "arn:aws:iam::123456789012:mfa/doug";
const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// A virtual token's file in a folder of its own.
struct TokenFile {
    _home: tempfile::TempDir,
    path: PathBuf,
}

impl TokenFile {
    fn new(text: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("token");
        write_whole(&path, text.as_bytes(), Private::OwnerOnly).unwrap();
        Self { _home: home, path }
    }

    /// The names of the commands that the token was sent.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.path.with_extension("log")).unwrap_or_default();
        log.lines().filter_map(|line| line.split_once(' ')).map(|(_, name)| format!("{name} ")).collect()
    }

    fn forget_log(&self) {
        let _ = fs::remove_file(self.path.with_extension("log"));
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }
}

/// A daemon with one reader, and a token in it.
struct Bench {
    env: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    token: TokenFile,
    inserted: InsertedToken,
    pcscd: Pcscd,
}

impl Bench {
    fn new(text: &str) -> Self {
        let pcscd = Pcscd::start(&[NAME]).unwrap();
        let token = TokenFile::new(text);
        let inserted = InsertedToken::insert(&token.path, pcscd.port(0)).unwrap();
        pcscd.wait_for_cards(1).unwrap();
        Self { env: Vec::new(), token, inserted, pcscd }
    }

    fn client(&self, reader: &str, account: &str) -> Client {
        Client::ask(&self.pcscd, reader, account, Duration::from_secs(30))
    }

    fn ykman(&self, args: &[&str]) -> String {
        let output = self.ykman_output(args);
        assert!(output.status.success(), "ykman {args:?}: {output:?}\n{}", self.pcscd.log());
        String::from_utf8(output.stdout).unwrap()
    }

    fn ykman_output(&self, args: &[&str]) -> Output {
        let venv = std::env::var("ONETAP_TEST_VENV")
            .expect("ONETAP_TEST_VENV names a Python environment with ykman");
        Command::new(Path::new(&venv).join("bin/ykman"))
            .args(args)
            .env("PCSCLITE_CSOCK_NAME", self.pcscd.socket())
            .env("HOME", self.pcscd.socket().parent().unwrap())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .expect("ykman (PyPI yubikey-manager) is in $ONETAP_TEST_VENV/bin")
    }
}

/// Our own client in a process of its own: `libpcsclite` finds its daemon through the environment.
struct Client(Child);

impl Client {
    fn ask(pcscd: &Pcscd, reader: &str, account: &str, limit: Duration) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "token::the_client_that_other_stories_start", "--nocapture"])
            .env("PCSCLITE_CSOCK_NAME", pcscd.socket())
            .env("STORY_CLIENT", format!("{reader}\n{account}\n{}", limit.as_millis()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// What it said and did: its notices and its outcome, a line each.
    fn outcome(self) -> String {
        let output = self.0.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .filter_map(|line| line.split_once("CLIENT "))
            .map(|(_, said)| format!("{said}\n"))
            .collect()
    }
}

/// A program that is not ours: sends LIST without a transaction; or holds the card, exclusively or in a transaction,
/// until its input ends.
#[test]
fn the_other_program_that_other_stories_start() {
    let Ok(task) = std::env::var("STORY_OTHER_PROGRAM") else { return };
    let context = pcsc::Context::establish(pcsc::Scope::User).unwrap();
    let reader = std::ffi::CString::new(format!("{NAME} 00 00")).unwrap();
    let share = if task == "hold" { pcsc::ShareMode::Exclusive } else { pcsc::ShareMode::Shared };
    let mut card = context.connect(&reader, share, pcsc::Protocols::ANY).unwrap();
    if task == "transact" {
        let transaction = card.transaction().unwrap();
        println!("\nCLIENT holds");
        let _ = std::io::stdin().read_line(&mut String::new());
        transaction.end(pcsc::Disposition::LeaveCard).map_err(|(_, error)| error).unwrap();
    } else if task == "list" {
        let mut buffer = [0; 264];
        let answer = card.transmit(&[0x00, 0xa1, 0x00, 0x00], &mut buffer).unwrap();
        println!("\nCLIENT status {:02x?}", &answer[answer.len() - 2..]);
    } else {
        println!("\nCLIENT holds");
        let _ = std::io::stdin().read_line(&mut String::new());
    }
    card.disconnect(pcsc::Disposition::LeaveCard).map_err(|(_, error)| error).unwrap();
}

pub(super) fn other_program(pcscd: &Pcscd, task: &str) -> OtherProgram {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "token::the_other_program_that_other_stories_start", "--nocapture"])
        .env("PCSCLITE_CSOCK_NAME", pcscd.socket())
        .env("STORY_OTHER_PROGRAM", task)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    OtherProgram { child, lines: None }
}

/// Somebody else at the card.
pub(super) struct OtherProgram {
    child: Child,
    // It ends with its pipe.
    lines: Option<std::io::BufReader<std::process::ChildStdout>>,
}

impl OtherProgram {
    /// Waits until it holds the card.
    pub(super) fn holding(mut self) -> Self {
        let mut lines = std::io::BufReader::new(self.child.stdout.take().unwrap());
        assert!(lines.by_ref().lines().any(|line| line.unwrap().ends_with("CLIENT holds")));
        Self { lines: Some(lines), ..self }
    }

    /// Ends its hold.
    pub(super) fn let_go(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
        drop(self.lines.take());
    }

    fn outcome(self) -> String {
        Client(self.child).outcome()
    }
}

#[derive(Debug, Default)]
struct Said(Mutex<Vec<Notice>>);

impl Attendant for Said {
    fn notice(&self, notice: Notice) {
        self.0.lock().unwrap().push(notice);
    }

    fn ask(&self, _question: Question) -> Result<SecretString, Unattended> {
        Ok("hunter2".into())
    }
}

#[test]
fn the_client_that_other_stories_start() {
    let Ok(task) = std::env::var("STORY_CLIENT") else { return };
    let [reader, account, limit] = task.split('\n').collect::<Vec<_>>().try_into().unwrap();
    let reader: Reader = reader.parse().unwrap();
    let said = Said::default();
    let deadline = Instant::now() + Duration::from_millis(limit.parse().unwrap());
    let code = YubiKey::new(reader, account.into()).code(TimeStep(1), deadline, &said);
    for notice in said.0.lock().unwrap().iter() {
        println!("\nCLIENT {notice:?}");
    }
    match code {
        Ok(code) => println!("\nCLIENT code {}", code.expose()),
        Err(error) => println!("\nCLIENT error {error:?}: {error}"),
    }
}

fn oathtool(args: &[&str]) -> String {
    let output = Command::new("oathtool").args(args).output().expect("oathtool (package oathtool)");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn at_step_1() -> String {
    oathtool(&["--totp", "--base32", "--now", "1970-01-01 00:00:59 UTC", SEED])
}

fn uri(more: &str) -> String {
    format!("otpauth://totp/{ARN}?secret={SEED}{more}\n")
}

#[test]
fn a_code_through_a_real_pcscd_is_oathtools_and_takes_two_commands() {
    let bench = Bench::new(&uri(""));
    assert_eq!(bench.client("pcsc", ARN).outcome(), format!("code {}\n", at_step_1()));
    assert_eq!(bench.token.log(), "SELECT CALCULATE ");
}

#[test]
fn a_locked_key_behind_pcscd_takes_three_commands_and_is_locked_again_afterwards() {
    let bench = Bench::new(&format!("password hunter2\n{}", uri("")));
    for _ in 0..2 {
        bench.token.forget_log();
        assert_eq!(bench.client("pcsc", ARN).outcome(), format!("code {}\n", at_step_1()));
        assert_eq!(bench.token.log(), "SELECT VALIDATE CALCULATE ");
    }
}

#[test]
fn a_card_is_left_as_it_was_found_and_reset_only_after_an_unlock() {
    for (password, status) in [("", "status [90, 00]\n"), ("password hunter2\n", "status [6d, 00]\n")] {
        let bench = Bench::new(&format!("{password}{}", uri("")));
        assert!(bench.client("pcsc", ARN).outcome().starts_with("code "));
        assert_eq!(other_program(&bench.pcscd, "list").outcome(), status);
    }
}

#[test]
fn a_card_that_another_program_holds_for_itself_is_busy_and_served_once_it_is_free() {
    let bench = Bench::new(&uri(""));
    let holder = other_program(&bench.pcscd, "hold").holding();
    let began = Instant::now();
    let refused = bench.client("pcsc", ARN).outcome();
    assert_eq!(refused, "CardBusy\nCardFree\nerror Card(Busy): another program holds the YubiKey\n");
    assert!(began.elapsed() < Duration::from_secs(6), "the patience is about three seconds");
    let patient = bench.client("pcsc", ARN);
    holder.let_go();
    assert!(patient.outcome().ends_with(&format!("code {}\n", at_step_1())));
}

#[test]
fn a_pinned_serial_is_found_among_two_keys_in_four_commands_and_a_missing_one_is_told_with_what_is_there() {
    let pcscd = Pcscd::start(&[NAME, "Yubico YubiKey CCID"]).unwrap();
    let (one, two) = (
        TokenFile::new(&format!("serial 1\n{}", uri(""))),
        TokenFile::new(&format!("serial 2\n{}", uri(""))),
    );
    let _one = InsertedToken::insert(&one.path, pcscd.port(0)).unwrap();
    let _two = InsertedToken::insert(&two.path, pcscd.port(1)).unwrap();
    pcscd.wait_for_cards(2).unwrap();
    let ask = |reader| Client::ask(&pcscd, reader, ARN, Duration::from_secs(10)).outcome();
    assert_eq!(ask("pcsc:2"), format!("code {}\n", at_step_1()), "{}", pcscd.log());
    assert_eq!(two.log(), "SELECT READ-CONFIG SELECT CALCULATE ");
    assert!(!one.log().contains("CALCULATE"));
    let missing = ask("pcsc:3");
    assert!(missing.contains("the YubiKey 3 is not plugged in; found"), "{missing}");
    assert!(missing.contains("present: [Serial(") && missing.contains("Serial(2)"), "{missing}");
}

#[test]
fn of_several_keys_the_one_that_holds_the_account_is_asked_whatever_is_on_the_others() {
    let pcscd = Pcscd::start(&[NAME, "Yubico YubiKey CCID"]).unwrap();
    let other = format!("otpauth://totp/GitHub:octo?secret={SEED}\n");
    let ask = || Client::ask(&pcscd, "pcsc", ARN, Duration::from_secs(20)).outcome();
    let mut cards = 0;
    let mut plug = |texts: [String; 2]| {
        let keys = texts.map(|text| TokenFile::new(&text));
        let [one, two] = [0, 1].map(|n| InsertedToken::insert(&keys[n].path, pcscd.port(n)).unwrap());
        cards += 2;
        pcscd.wait_for_cards(cards).unwrap();
        (keys, [one, two])
    };
    let pull = |keys: [InsertedToken; 2]| {
        keys.into_iter().for_each(|key| key.pull().unwrap());
        wait_until(|| ask().contains("NoToken"));
    };

    // The account is on the second, and the first is locked with a password that nobody is asked for.
    let (keys, inserted) =
        plug([format!("serial 1\npassword swordfish\n{other}"), format!("serial 2\n{}", uri("&touch=true"))]);
    let wanted = format!("TouchWanted {{ account: {ARN:?}, key: Some(\"2\"), profile: None }}");
    assert_eq!(ask(), format!("{wanted}\nTouchOver\ncode {}\n", at_step_1()), "{}", pcscd.log());
    assert_eq!(keys[0].log(), "SELECT READ-CONFIG SELECT ");
    assert_eq!(keys[1].log(), "SELECT READ-CONFIG SELECT CALCULATE ");
    pull(inserted);

    // Both hold it: the first in the readers' order, and the notice names it.
    let (keys, inserted) =
        plug([format!("serial 1\n{}", uri("&touch=true")), format!("serial 2\n{}", uri("&touch=true"))]);
    let both = ask();
    let (first, second) = if both.contains("key: Some(\"1\")") { (0, 1) } else { (1, 0) };
    assert!(both.ends_with(&format!("code {}\n", at_step_1())), "{both}");
    assert!(keys[first].log().contains("CALCULATE") && !keys[second].log().contains("CALCULATE"));
    pull(inserted);

    // None holds it: the names on both are told.
    let (_keys, inserted) = plug([format!("serial 1\n{other}"), "serial 2\n".into()]);
    let none = ask();
    assert!(none.contains("NoAccount") && none.contains("it holds: GitHub:octo\n"), "{none}");
    drop(inserted);
}

#[test]
fn a_touch_behind_pcscd_is_announced_and_a_key_pulled_meanwhile_is_removed() {
    let bench = Bench::new(&uri("&touch=true"));
    let touched = bench.client("pcsc", ARN).outcome();
    let wanted = format!("TouchWanted {{ account: {ARN:?}, key: None, profile: None }}");
    assert_eq!(touched, format!("{wanted}\nTouchOver\ncode {}\n", at_step_1()));
    drop(bench);
    let bench = Bench::new(&format!("{}fault touch-after 60000\n", uri("&touch=true")));
    let client = bench.client("pcsc", ARN);
    wait_until(|| bench.token.log().contains("CALCULATE"));
    bench.inserted.pull().unwrap();
    let pulled = client.outcome();
    assert!(pulled.ends_with("error Card(Removed): the YubiKey was removed\n"), "{pulled}");
}

#[test]
fn a_daemon_that_dies_while_a_touch_is_awaited_and_one_that_never_was_are_told() {
    let mut bench = Bench::new(&format!("{}fault touch-after 60000\n", uri("&touch=true")));
    let client = bench.client("pcsc", ARN);
    wait_until(|| bench.token.log().contains("CALCULATE"));
    bench.pcscd.kill().unwrap();
    let died = client.outcome();
    assert!(died.contains("error Card(NoService): the smart card service (pcscd) is not running"), "{died}");
    let absent = bench.client("pcsc", ARN).outcome();
    assert!(absent.contains("error Card(NoService)"), "{absent}");
}

#[test]
fn a_touch_that_never_comes_ends_at_the_deadline_though_the_card_is_stuck() {
    let bench = Bench::new(&format!("{}fault touch-after 60000\n", uri("&touch=true")));
    let began = Instant::now();
    let refused = Client::ask(&bench.pcscd, "pcsc", ARN, Duration::from_secs(1)).outcome();
    assert!(refused.ends_with("error TouchTimedOut: the YubiKey was not touched in time\n"), "{refused}");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_card_in_another_programs_transaction_is_waited_for_and_said_to_be_busy() {
    let bench = Bench::new(&format!("{}fault touch-after 5000\n", uri("&touch=true")));
    let first = bench.client("pcsc", ARN);
    wait_until(|| bench.token.log().contains("CALCULATE"));
    let impatient = Client::ask(&bench.pcscd, "pcsc", ARN, Duration::from_millis(500)).outcome();
    assert!(
        impatient.ends_with("CardFree\nerror Card(Busy): another program holds the YubiKey\n"),
        "{impatient}"
    );
    assert!(first.outcome().ends_with(&format!("code {}\n", at_step_1())));
}

#[test]
fn readers_without_a_key_and_no_reader_at_all_are_told_apart() {
    let empty = Pcscd::start(&[NAME]).unwrap();
    let ask = |pcscd: &Pcscd| Client::ask(pcscd, "pcsc", ARN, Duration::from_secs(10)).outcome();
    let outcome = ask(&empty);
    assert!(outcome.ends_with("present: [] }): no YubiKey is plugged in\n"), "{outcome}");
    let other = Pcscd::start(&["ACS ACR122U"]).unwrap();
    assert!(ask(&other).ends_with("present: [] }): no YubiKey is plugged in\n"));
    let none = Pcscd::start(&[]).unwrap();
    assert_eq!(ask(&none), "error Card(NoReader): no reader is connected\n");
}

#[test]
fn yubicos_client_takes_the_virtual_token_for_a_yubikey_and_computes_the_same_codes() {
    let bench = Bench::new(&format!("serial 11111111\n{}otpauth://hotp/count?secret={SEED}\n", uri("")));
    let info = bench.ykman(&["info"]);
    assert!(info.contains("11111111") && info.contains("5.4.3"), "{info}");
    assert_eq!(bench.ykman(&["oath", "accounts", "list"]), format!("{ARN}\ncount\n"));
    same_totp(&bench, ARN, &["--totp", "--base32"], SEED);
    assert_eq!(
        bench.ykman(&["oath", "accounts", "code", "-s", "count"]).trim(),
        oathtool(&["--hotp", "--base32", SEED])
    );
    assert!(bench.token.text().contains("&counter=1"), "{}", bench.token.text());
    for (name, digits, algorithm) in
        [("Acme:six", "6", "SHA1"), ("Acme:seven", "7", "SHA256"), ("eight", "8", "SHA512")]
    {
        bench.ykman(&["oath", "accounts", "add", "-f", "-d", digits, "-a", algorithm, name, SEED]);
        let totp = format!("--totp={algorithm}");
        same_totp(&bench, name, &[&totp, "--base32", "--digits", digits], SEED);
    }
    bench.ykman(&["oath", "accounts", "add", "-f", "-P", "60", "slow", SEED]);
    assert!(bench.token.text().contains("&period=60"), "{}", bench.token.text());
    bench.ykman(&["oath", "accounts", "add", "-f", "-o", "HOTP", "-c", "3", "counted", SEED]);
    let counted = bench.ykman(&["oath", "accounts", "code", "-s", "counted"]);
    assert_eq!(counted.trim(), oathtool(&["--hotp", "--base32", "--counter", "3", SEED]));
    bench.ykman(&["oath", "accounts", "rename", "-f", "eight", "Other:renamed"]);
    bench.ykman(&["oath", "accounts", "delete", "-f", "Acme:six"]);
    bench.ykman(&["oath", "accounts", "add", "-f", "-t", "touchy", SEED]);
    let touchy = bench.ykman(&["oath", "accounts", "code", "-s", "touchy"]);
    assert_eq!(touchy.trim().len(), 6, "{touchy}");
    let mut names: Vec<_> = bench.ykman(&["oath", "accounts", "list"]).lines().map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, ["60/slow", "Acme:seven", "Other:renamed", ARN, "count", "counted", "touchy"]);
}

#[test]
fn an_account_and_a_password_of_yubicos_client_are_used_by_ours_and_a_reset_leaves_nothing() {
    let bench = Bench::new("serial 11111111\n");
    bench.ykman(&["oath", "accounts", "add", "-f", ARN, SEED]);
    assert_eq!(bench.client("pcsc:11111111", ARN).outcome(), format!("code {}\n", at_step_1()));
    bench.ykman(&["oath", "access", "change", "-n", "hunter2"]);
    assert!(bench.token.text().contains("password-key "), "{}", bench.token.text());
    assert!(bench.ykman(&["oath", "info"]).contains("enabled"));
    bench.token.forget_log();
    assert_eq!(bench.client("pcsc", ARN).outcome(), format!("code {}\n", at_step_1()));
    assert_eq!(bench.token.log(), "SELECT VALIDATE CALCULATE ");
    let wrong = bench.ykman_output(&["oath", "accounts", "list", "-p", "wrong"]);
    assert!(!wrong.status.success());
    assert_eq!(bench.ykman(&["oath", "accounts", "list", "-p", "hunter2"]), format!("{ARN}\n"));
    bench.ykman(&["oath", "access", "change", "-p", "hunter2", "--clear"]);
    bench.ykman(&["oath", "reset", "-f"]);
    assert_eq!(bench.ykman(&["oath", "accounts", "list"]), "");
    let text = bench.token.text();
    assert!(text.starts_with("serial 11111111\nsalt ") && !text.contains("otpauth"), "{text}");
}

#[test]
fn accounts_that_came_by_a_pskc_file_are_computed_alike_and_found_by_ours() {
    let bench = Bench::new("serial 11111111\n");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.pskc");
    let file = file.to_str().unwrap();
    // Makes an account with a random seed on the key and in a file, and has only the file left.
    let seed_of = |words: &[&str]| {
        bench.ykman(&[&["oath", "accounts", "add", "-f", "-g", "-O", file], words].concat());
        let text = fs::read_to_string(file).unwrap();
        let plain = text.split_once("PlainValue>").unwrap().1.split('<').next().unwrap();
        bench.ykman(&["oath", "accounts", "delete", "-f", words.last().unwrap()]);
        assert_eq!(bench.ykman(&["oath", "accounts", "list"]), "");
        assert_eq!(
            bench.ykman(&["oath", "accounts", "import", "-f", file]).lines().last(),
            Some("1 OATH account(s) added.")
        );
        data_encoding::BASE32.encode(&data_encoding::BASE64.decode(plain.trim().as_bytes()).unwrap())
    };

    let seed = seed_of(&[ARN]);
    // A name with a colon comes back with its first word as an issuer.
    assert_eq!(bench.ykman(&["oath", "accounts", "list"]), format!("arn:{ARN}\n"));
    same_totp(&bench, ARN, &["--totp", "--base32"], &seed);
    let expected = oathtool(&["--totp", "--base32", "--now", "1970-01-01 00:00:30 UTC", &seed]);
    assert_eq!(bench.client("pcsc", &format!("arn:{ARN}")).outcome(), format!("code {expected}\n"));
    bench.ykman(&["oath", "accounts", "delete", "-f", ARN]);

    let seed = seed_of(&["-d", "8", "-a", "SHA256", "-P", "60", "eight"]);
    same_totp(
        &bench,
        "eight",
        &["--totp=SHA256", "--base32", "--digits", "8", "--time-step-size", "60s"],
        &seed,
    );
    bench.ykman(&["oath", "accounts", "delete", "-f", "eight"]);

    let seed = seed_of(&["-o", "HOTP", "-c", "5", "counted"]);
    let counted = bench.ykman(&["oath", "accounts", "code", "-s", "counted"]);
    assert_eq!(counted.trim(), oathtool(&["--hotp", "--base32", "--counter", "5", &seed]));
}

/// Yubico's client and oathtool give one code within one time step.
fn same_totp(bench: &Bench, account: &str, oathtool_args: &[&str], seed: &str) {
    for _ in 0..3 {
        let began = step();
        let theirs = bench.ykman(&["oath", "accounts", "code", "-s", account]);
        let expected = oathtool(&[oathtool_args, &[seed]].concat());
        if step() == began {
            assert_eq!(theirs.trim(), expected, "{account}");
            return;
        }
    }
    panic!("three time steps passed");
}

fn step() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 30
}

fn wait_until(reached: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !reached() {
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn yubicos_client_finds_the_token_by_itself_and_by_its_serial_and_remembers_its_password() {
    let mut bench = Bench::new(&format!("serial 11111111\n{}", uri("")));
    let service = SecretService::start(Collection::Unlocked).expect("this test needs dbus and gnome-keyring");
    bench.env = service.env().into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    assert_eq!(bench.ykman(&["list", "--serials"]), "11111111\n");
    let told = bench.ykman(&["list"]);
    assert!(told.starts_with("YubiKey ") && told.contains("[OTP+FIDO+CCID] Serial: 11111111"), "{told}");
    let list = ["--device", "11111111", "oath", "accounts", "list"];
    assert_eq!(bench.ykman(&list), format!("{ARN}\n"));
    assert!(!bench.ykman_output(&["--device", "22222222", "oath", "accounts", "list"]).status.success());

    bench.ykman(&["oath", "access", "change", "-n", "hunter2"]);
    let refused = |args: &[&str]| {
        let output = bench.ykman_output(args);
        assert!(!output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    refused(&["oath", "accounts", "list"]);
    assert!(refused(&["oath", "access", "remember", "-p", "hunter3"]).contains("Wrong password?"));
    refused(&["oath", "accounts", "list"]);
    assert!(bench.ykman(&["oath", "access", "remember", "-p", "hunter2"]).contains("Password remembered."));
    assert_eq!(bench.ykman(&list), format!("{ARN}\n"));
    assert!(bench.ykman(&["oath", "info"]).contains("is remembered by ykman"));
    bench.ykman(&["oath", "access", "forget"]);
    refused(&list);
    assert_eq!(bench.client("pcsc", ARN).outcome(), format!("code {}\n", at_step_1()));
}
