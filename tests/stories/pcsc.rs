//! What PC/SC reports, row by row: the line that a person reads, the exit code, and that nothing was sent to AWS.
//!
//! A real `pcscd` each time. What it cannot be made to do here (polkit needs a system's bus, and some answers need
//! hardware) is put into its mouth by `onetap_support::pcscd::Between`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use onetap_support::aws::{Aws, User, World};
use onetap_support::home::{Home, Said, uri};
use onetap_support::pcscd::{Between, Event, Happens, Pcscd};
use onetap_support::vpcd::InsertedToken;

use super::token::{OtherProgram, other_program};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const NAME: &str = "Yubico YubiKey OTP+FIDO+CCID";
const ARN: &str = "arn:aws:iam::123456789012:mfa/doug";

const INSUFFICIENT_BUFFER: u32 = 0x8010_0008;
const NO_SMARTCARD: u32 = 0x8010_000c;
const NOT_TRANSACTED: u32 = 0x8010_0016;
const READER_UNAVAILABLE: u32 = 0x8010_0017;
const REMOVED_CARD: u32 = 0x8010_0069;
const RESET_CARD: u32 = 0x8010_0068;
const SECURITY_VIOLATION: u32 = 0x8010_006a;
const SHARING_VIOLATION: u32 = 0x8010_000b;
const UNKNOWN_READER: u32 = 0x8010_0009;

const ALWAYS: usize = usize::MAX;
const SELECT: Event = Event::Transmit(0xa4);
const CALCULATE: Event = Event::Transmit(0xa2);

const BUSY: &str = "close Yubico Authenticator; if GnuPG holds the key, run `gpgconf --kill scdaemon`, or put `pcsc-shared` \
                    into ~/.gnupg/scdaemon.conf";
const REMOVED: &str = "the YubiKey was removed; plug it in again and leave it in until the code was read";

/// Doug, whose key is in the one reader of a `pcscd`.
struct Bench {
    aws: Aws,
    before: usize,
    home: Home,
    key: Option<InsertedToken>,
    pcscd: Pcscd,
}

impl Bench {
    /// With a key that holds Doug's account, whose line has `more` after it.
    fn new(touch: bool, more: &str) -> Self {
        let mut bench = Self::without_key(&[NAME]);
        let text = format!("{}\n{more}", uri(ARN, &User::doug().devices[0].seed_base32, touch));
        bench.home.private("key", &text);
        bench.plug();
        bench
    }

    fn without_key(readers: &[&str]) -> Self {
        let pcscd = Pcscd::start(readers).unwrap();
        let doug = User::doug();
        let aws = Aws::start(World::of(doug.clone()));
        let mut home = Home::of_doug(BINARY, &aws, &doug, "");
        home.set("ONETAP_READER", "pcsc");
        home.set("PCSCLITE_CSOCK_NAME", pcscd.socket());
        let before = aws.requests().len();
        Self { aws, before, home, key: None, pcscd }
    }

    fn plug(&mut self) {
        self.key = Some(InsertedToken::insert(&self.home.path("key"), self.pcscd.port(0)).unwrap());
        self.pcscd.wait_for_cards(1).unwrap();
    }

    /// Stops the daemon and starts it again; the key is in its reader as before.
    fn restart(&mut self) {
        drop(self.key.take());
        self.pcscd.restart().unwrap();
        self.plug();
    }

    /// From now on somebody stands between onetap and the daemon.
    fn between(&mut self, script: &[(Event, Happens)]) -> Between {
        let between = Between::start(&self.pcscd.socket(), script).unwrap();
        self.home.set("PCSCLITE_CSOCK_NAME", between.socket());
        between
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.home.onetap(&[&["--code", "yubikey"], arguments].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// What an SDK would start.
    fn session(&self, more: &[&str]) -> Child {
        self.start(&[more, &["credential-process", "doug"]].concat())
    }

    fn commands(&self) -> String {
        let log = self.home.read("key.log");
        log.lines().filter_map(|line| line.split_once(' ')).map(|(_, name)| format!("{name} ")).collect()
    }

    fn until_asked(&self) {
        until(|| self.commands().contains("CALCULATE"));
    }

    /// Nothing but this line at the end, this exit code, and nothing sent to AWS.
    fn refused(&self, asked: Child, status: i32, line: &str) {
        let said = finished(asked);
        assert_eq!((said.status, said.stdout.as_str()), (status, ""), "{said:?}");
        assert_eq!(said.stderr.lines().last().unwrap_or_default(), format!("onetap: {line}"), "{said:?}");
        assert_eq!(self.aws.requests().len(), self.before, "nothing was sent to AWS");
    }

    /// A code, and nothing sent to AWS for it.
    fn served(&self, asked: Child) -> Said {
        let said = finished(asked);
        assert_eq!(said.status, 0, "{said:?}\n{}", self.pcscd.log());
        assert!(said.stdout.len() == 7 && said.stdout.trim().parse::<u32>().is_ok(), "{said:?}");
        assert_eq!(self.aws.requests().len(), self.before);
        said
    }
}

fn finished(child: Child) -> Said {
    child.wait_with_output().unwrap().into()
}

fn until(reached: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !reached() {
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What the daemon is made to say, and the line that comes of it.
fn scripted(rows: &[(Event, u32, &str)]) {
    let mut bench = Bench::new(false, "");
    for (event, code, line) in rows {
        let between = bench.between(&[(*event, Happens::Answer(*code, ALWAYS))]);
        bench.refused(bench.session(&[]), 5, line);
        let calculated = between.transmitted().contains(&0xa2);
        assert_eq!(calculated, *event == CALCULATE, "{line}: {:02x?}", between.transmitted());
    }
    assert!(!bench.commands().contains("CALCULATE"), "the key itself was never asked");
}

const NO_SERVICE: &str = "the smart card service (pcscd) is not running; start it: `sudo systemctl start pcscd.socket` \
                          (Debian: `sudo apt-get install pcscd`); if it runs, `onetap doctor` tells what is in the way";
const NOT_ALLOWED: &str = "this process may not use the smart card service; allow the polkit actions \
                           org.debian.pcsc-lite.access_pcsc and org.debian.pcsc-lite.access_card";

/// The action `access_card` is asked for at each connection to a card, and `access_pcsc` at the first word: pcscd then
/// hangs up.
#[test]
fn polkits_refusal_names_the_actions_that_have_to_be_allowed() {
    scripted(&[(Event::Connect, SECURITY_VIOLATION, NOT_ALLOWED)]);
    let mut bench = Bench::new(false, "");
    let between = bench.between(&[(Event::Hello, Happens::HangUp)]);
    // libpcsclite sees the end before or after its own first word, and has a word of its own for each.
    let said = finished(bench.session(&[]));
    assert_eq!((said.status, said.stdout.as_str(), bench.aws.requests().len()), (5, "", bench.before));
    let line = said.stderr.strip_prefix("onetap: ").and_then(|line| line.strip_suffix('\n'));
    assert!(line == Some(NOT_ALLOWED) || line == Some(NO_SERVICE), "{}", said.stderr);
    let doctor = bench.home.run(&["doctor"]);
    let wrong: Vec<_> = doctor.stdout.lines().filter(|line| line.starts_with("wrong")).collect();
    assert!(doctor.status == 5 && wrong.len() == 1 && wrong[0].contains("  polkit "), "{}", doctor.stdout);
    assert!(wrong[0].ends_with(NOT_ALLOWED), "{wrong:?}");
    assert!(between.transmitted().is_empty());
}

#[test]
fn an_answer_that_is_too_long_and_each_way_to_lose_a_card_have_their_lines() {
    scripted(&[
        (
            CALCULATE,
            INSUFFICIENT_BUFFER,
            "the card gave an answer that makes no sense (it is longer than a short answer can be)",
        ),
        (CALCULATE, READER_UNAVAILABLE, REMOVED),
        (CALCULATE, NOT_TRANSACTED, REMOVED),
        (CALCULATE, REMOVED_CARD, REMOVED),
        (Event::Connect, UNKNOWN_READER, REMOVED),
    ]);
}

#[test]
fn a_card_that_others_reset_again_and_again_names_the_likely_holder() {
    let line = format!("another program reset the YubiKey; {BUSY}");
    scripted(&[
        (CALCULATE, RESET_CARD, &line),
        (SELECT, RESET_CARD, &line),
        (Event::Begin, RESET_CARD, &line),
    ]);
}

#[test]
fn one_reset_before_or_within_the_conversation_costs_a_few_commands_and_nobody_notices() {
    for event in [Event::Begin, SELECT, CALCULATE] {
        let mut bench = Bench::new(false, "");
        let between = bench.between(&[(event, Happens::Answer(RESET_CARD, 1))]);
        let said = bench.served(bench.start(&["code", "doug"]));
        assert_eq!(said.stderr, "", "{event:?}");
        assert_eq!(bench.commands().matches("CALCULATE").count(), 1);
        assert!(between.transmitted().len() <= 4, "{:02x?}", between.transmitted());
    }
}

#[test]
fn after_a_reset_by_another_process_the_selection_is_lost_and_made_anew_once() {
    let once = Bench::new(false, "fault reset-after 1\n");
    once.served(once.start(&["code", "doug"]));
    // The virtual token writes down the command that met the reset, and again with its answer 6D00.
    assert_eq!(once.commands(), "SELECT CALCULATE CALCULATE SELECT CALCULATE ");
    let twice = Bench::new(false, "fault reset-after 1\nfault reset-after 2\n");
    let line = format!("another program used the YubiKey in the middle of the conversation; {BUSY}");
    twice.refused(twice.session(&[]), 5, &line);
    assert_eq!(twice.commands(), "SELECT CALCULATE CALCULATE SELECT CALCULATE CALCULATE ");
}

#[test]
fn a_key_that_was_just_used_over_hid_is_waited_for_and_not_for_long() {
    // So long its card is not there, or held.
    for code in [NO_SMARTCARD, SHARING_VIOLATION] {
        let mut bench = Bench::new(false, "");
        let _between = bench.between(&[(Event::Connect, Happens::Answer(code, 20))]);
        let began = Instant::now();
        bench.served(bench.start(&["code", "doug"]));
        assert!(began.elapsed() >= Duration::from_millis(900), "twenty times, 50 ms each");
        assert_eq!(bench.commands(), "SELECT CALCULATE ");
    }
    let began = Instant::now();
    let busy = format!("another program holds the YubiKey; {BUSY}");
    scripted(&[(Event::Connect, NO_SMARTCARD, REMOVED), (Event::Connect, SHARING_VIOLATION, &busy)]);
    assert!(began.elapsed() >= Duration::from_secs(6), "three seconds each");
}

#[test]
fn a_key_that_is_plugged_in_while_it_is_looked_for_is_found() {
    let mut bench = Bench::without_key(&[NAME]);
    bench.home.private("key", &uri(ARN, &User::doug().devices[0].seed_base32, false));
    let asked = bench.start(&["code", "doug"]);
    until(|| bench.pcscd.log().contains("Establishing Context"));
    bench.plug();
    bench.served(asked);
}

#[test]
fn no_service_no_reader_and_a_reader_without_a_key_are_three_different_lines() {
    let mut bench = Bench::without_key(&[]);
    let plug = "plug it in and run the command again";
    bench.refused(bench.session(&[]), 5, &format!("no reader is connected; {plug}"));
    for name in [NAME, "ACS ACR122U"] {
        let empty = Bench::without_key(&[name]);
        empty.refused(empty.session(&[]), 5, &format!("no YubiKey is plugged in; {plug}"));
    }
    bench.pcscd.kill().unwrap();
    bench.refused(bench.session(&[]), 5, NO_SERVICE);
}

#[test]
fn a_service_killed_while_a_touch_is_awaited_is_one_line() {
    let mut bench = Bench::new(true, "fault touch-after 60000\n");
    let mut asked = bench.session(&[]);
    let mut said = BufReader::new(asked.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("ouch")), "nobody is asked for a touch");
    bench.pcscd.kill().unwrap();
    let line = "onetap: the smart card service (pcscd) was stopped or restarted while the YubiKey waited for its touch; \
                run the command again; a touch that was given does not count";
    assert_eq!(said.last().as_deref(), Some(line));
    let ended = finished(asked);
    assert_eq!((ended.status, ended.stdout.as_str(), bench.aws.requests().len()), (5, "", bench.before));
    assert_eq!(bench.commands(), "SELECT CALCULATE ");
}

#[test]
fn a_key_pulled_while_a_touch_is_awaited_is_one_line() {
    let mut bench = Bench::new(true, "fault touch-after 60000\n");
    let asked = bench.session(&[]);
    bench.until_asked();
    bench.key.take().unwrap().pull().unwrap();
    bench.refused(asked, 5, REMOVED);
    assert_eq!(bench.commands(), "SELECT CALCULATE ");
}

#[test]
fn another_programs_exclusive_hold_and_its_transaction_end_in_the_same_remedy() {
    let busy = format!("another program holds the YubiKey; {BUSY}");
    for task in ["hold", "transact"] {
        let bench = Bench::new(false, "");
        let holder: OtherProgram = other_program(&bench.pcscd, task).holding();
        let began = Instant::now();
        bench.refused(bench.session(&["--timeout", "5"]), 5, &busy);
        assert!(began.elapsed() < Duration::from_secs(10), "the connection itself would wait for ever");
        assert_eq!(bench.commands(), "");
        let patient = bench.start(&["code", "doug"]);
        holder.let_go();
        bench.served(patient);
    }
}

#[test]
fn a_restart_of_the_service_between_two_commands_is_not_noticed() {
    let mut bench = Bench::new(false, "");
    let accounts = bench.home.run(&["token", "accounts"]);
    assert!(accounts.status == 0 && accounts.stdout.contains(ARN), "{accounts:?}");
    bench.restart();
    assert_eq!(bench.served(bench.start(&["code", "doug"])).stderr, "");
}

#[test]
fn a_restart_between_select_and_calculate_is_told_and_everything_said_once_more() {
    let mut bench = Bench::new(true, "fault touch-after 700\n");
    let between = bench.between(&[(SELECT, Happens::AnswerHeld)]);
    let asked = bench.start(&["code", "doug"]);
    between.wait_for_held().unwrap();
    bench.restart();
    between.release();
    let said = bench.served(asked);
    let told = "the smart card service was restarted; the YubiKey is asked once more";
    assert_eq!(said.stderr.matches(told).count(), 1, "{}", said.stderr);
    assert_eq!(bench.commands(), "SELECT SELECT CALCULATE ", "one touch");
}

#[test]
fn a_service_that_never_comes_back_is_not_running() {
    let mut bench = Bench::new(false, "");
    let between = bench.between(&[(SELECT, Happens::AnswerHeld)]);
    let asked = bench.session(&[]);
    between.wait_for_held().unwrap();
    bench.pcscd.kill().unwrap();
    fs::remove_file(between.socket()).unwrap();
    between.release();
    bench.refused(asked, 5, NO_SERVICE);
    assert_eq!(bench.commands(), "SELECT ");
}
