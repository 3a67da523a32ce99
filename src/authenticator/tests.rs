//! The policy with a clock, a person and a vault of the test's own. No network: none of these reaches STS.

use std::collections::BTreeMap;
use std::sync::Mutex;

use aws_smithy_async::time::TimeSource;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use super::*;
use crate::attendant::Question;
use crate::attendant::Unattended;
use crate::card::CardError;
use crate::code::{CodeError, TimeStep};
use crate::keys::AccessKey;
use crate::plan::{self, Wishes};
use crate::profiles::Profiles;
use crate::vault::{Entry, VaultError};

#[path = "codes/tests.rs"]
mod time;

const SERIAL: &str = "arn:aws:iam::123456789012:mfa/doug";
const KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";

/// A clock that stands still until somebody moves it.
#[derive(Clone, Debug)]
struct Hands(Arc<Mutex<SystemTime>>);

impl TimeSource for Hands {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

#[derive(Debug, Default)]
struct Drawer(Mutex<BTreeMap<Entry, Vec<u8>>>);

impl Vault for Drawer {
    fn read(&self, entry: &Entry) -> Result<Option<SecretSlice<u8>>, VaultError> {
        Ok(self.0.lock().unwrap().get(entry).cloned().map(SecretSlice::from))
    }
    fn write(&self, entry: &Entry, value: &SecretSlice<u8>) -> Result<(), VaultError> {
        self.0.lock().unwrap().insert(entry.clone(), value.expose_secret().to_vec());
        Ok(())
    }
    fn remove(&self, entry: &Entry) -> Result<(), VaultError> {
        self.0.lock().unwrap().remove(entry);
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Notebook(Mutex<Vec<Notice>>);

impl Attendant for Notebook {
    fn notice(&self, notice: Notice) {
        self.0.lock().unwrap().push(notice);
    }
    fn ask(&self, _: Question) -> Result<SecretString, Unattended> {
        Err(Unattended::Nobody("a test".into()))
    }
}

type Answer = Box<dyn Fn(usize, &Hands) -> Result<Code, CodeError> + Send + Sync>;

/// A source that does what the test says; remembers the steps it was asked for.
struct Scripted {
    name: &'static str,
    hands: Hands,
    asked: Mutex<Vec<TimeStep>>,
    answer: Answer,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl CodeSource for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }
    fn code(&self, step: TimeStep, _: Instant, _: &dyn Attendant) -> Result<Code, CodeError> {
        let mut asked = self.asked.lock().unwrap();
        asked.push(step);
        (self.answer)(asked.len(), &self.hands)
    }
}

struct Desk {
    _home: tempfile::TempDir,
    authenticator: Authenticator,
    book: Arc<Notebook>,
    hands: Hands,
}

impl Desk {
    fn new(answers: Vec<(&'static str, Answer)>) -> (Self, Vec<Arc<Scripted>>) {
        let home = tempfile::tempdir().unwrap();
        let hands = Hands(Arc::new(Mutex::new(UNIX_EPOCH + Duration::from_secs(1_800_000_000))));
        let sources = answers
            .into_iter()
            .map(|(name, answer)| {
                Arc::new(Scripted { name, hands: hands.clone(), asked: Mutex::default(), answer })
            })
            .collect::<Vec<_>>();
        let profiles = Profiles::of_text(&format!("[profile doug]\nmfa_serial = {SERIAL}\n"), "");
        let plan = plan::plan(&profiles, "doug", &Wishes::default()).unwrap();
        let vault: Arc<dyn Vault> = Arc::new(Drawer::default());
        AccessKey { id: KEY_ID.into(), secret: "secret".into() }.write(vault.as_ref(), "doug").unwrap();
        let book = Arc::new(Notebook::default());
        let authenticator = Authenticator {
            sources: sources.iter().map(|source| source.clone() as Arc<dyn CodeSource>).collect(),
            store: Arc::new(SessionStore::new(home.path().join("sessions"), vault.clone())),
            vault,
            turns: home.path().join("turns"),
            verb: "test",
            freshness: Freshness::wish(Duration::from_secs(900)),
            environment: None,
            deadline: Instant::now() + Duration::from_secs(20),
            limit: Duration::from_secs(20),
            on_interrupt: OnInterrupt::GiveUp,
            attendant: book.clone(),
            clock: SharedTimeSource::new(hands.clone()),
            plan,
        };
        (Self { _home: home, authenticator, book, hands }, sources)
    }

    fn keep(&self, left: u64) {
        let now = self.hands.now();
        let session = Session {
            access_key_id: "ASIA".into(),
            secret_access_key: "s".into(),
            session_token: "t".into(),
            expiration: now + Duration::from_secs(left),
            minted: now - Duration::from_secs(40_000),
            authenticated: None,
        };
        let add = |kept: &mut Kept| {
            kept.access_keys.insert("doug".into(), KEY_ID.into());
            let key = self.authenticator.plan.session_keys(KEY_ID).remove(0);
            kept.sessions.insert(key, session);
        };
        self.authenticator.store.update(add, now).unwrap();
    }

    fn warnings(&self) -> Vec<String> {
        let said = self.book.0.lock().unwrap();
        said.iter()
            .filter_map(|notice| if let Notice::Warning(text) = notice { Some(text.clone()) } else { None })
            .collect()
    }
}

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn fails(error: fn() -> CodeError) -> Answer {
    Box::new(move |_, _| Err(error()))
}

fn succeeds() -> Answer {
    Box::new(|_, _| Ok(Code::parse("123456").unwrap()))
}

fn move_on(hands: &Hands, seconds: u64) {
    *hands.0.lock().unwrap() += Duration::from_secs(seconds);
}

#[test]
fn a_fresh_session_asks_nobody() {
    let (desk, sources) = Desk::new(vec![("yubikey", fails(|| CodeError::TouchTimedOut))]);
    desk.keep(901);
    assert_eq!(block(desk.authenticator.session()).unwrap().access_key_id, "ASIA");
    assert!(sources[0].asked.lock().unwrap().is_empty() && desk.warnings().is_empty());
}

#[test]
fn an_old_session_serves_when_nobody_touches_and_a_dying_one_does_not() {
    let (desk, sources) = Desk::new(vec![("yubikey", fails(|| CodeError::TouchTimedOut))]);
    desk.keep(300);
    assert_eq!(block(desk.authenticator.session()).unwrap().access_key_id, "ASIA");
    assert_eq!(desk.warnings(), ["the YubiKey was not touched in time; the old session has 5 min left"]);
    assert_eq!(sources[0].asked.lock().unwrap().len(), 1);
    move_on(&desk.hands, 245);
    let refused = block(desk.authenticator.session()).unwrap_err();
    assert!(matches!(refused, Error::Code(CodeError::TouchTimedOut)), "{refused}");
}

#[test]
fn an_interrupt_is_an_interrupt_even_with_an_old_session() {
    let interrupted = || CodeError::Unattended(Unattended::Interrupted);
    let (desk, _) = Desk::new(vec![("prompt", fails(interrupted))]);
    desk.keep(300);
    assert_eq!(block(desk.authenticator.session()).unwrap_err().status(), 130);
}

#[test]
fn a_touch_that_came_too_late_is_asked_again_and_its_code_is_never_used() {
    let late = |count: usize, hands: &Hands| {
        if count == 1 {
            move_on(hands, 60);
        }
        Ok(Code::parse("123456").unwrap())
    };
    let (desk, sources) = Desk::new(vec![("yubikey", Box::new(late))]);
    block(desk.authenticator.code()).unwrap();
    let asked = sources[0].asked.lock().unwrap().clone();
    assert_eq!(asked, [TimeStep(60_000_000), TimeStep(60_000_002)]);
}

#[test]
fn a_code_that_was_seen_is_spent_and_the_next_one_waits_for_its_step() {
    let (desk, sources) = Desk::new(vec![("software", succeeds())]);
    block(desk.authenticator.code()).unwrap();
    let hands = desk.hands.clone();
    // The clock is moved once the second caller has said that it waits.
    let book = desk.book.clone();
    let mover = std::thread::spawn(move || {
        let limit = Instant::now() + Duration::from_secs(10);
        let waits = |notice: &Notice| matches!(notice, Notice::StepWait { left } if *left > 0);
        while !book.0.lock().unwrap().iter().any(waits) {
            assert!(Instant::now() < limit, "nobody waits");
            std::thread::yield_now();
        }
        move_on(&hands, 30);
    });
    block(desk.authenticator.code()).unwrap();
    mover.join().unwrap();
    assert_eq!(*sources[0].asked.lock().unwrap(), [TimeStep(60_000_000), TimeStep(60_000_001)]);
}

#[test]
fn a_step_remembered_by_a_clock_that_was_wrong_keeps_nobody_waiting() {
    let (desk, sources) = Desk::new(vec![("software", succeeds())]);
    move_on(&desk.hands, 86_400);
    block(desk.authenticator.code()).unwrap();
    *desk.hands.0.lock().unwrap() -= Duration::from_secs(86_400);
    block(desk.authenticator.code()).unwrap();
    assert_eq!(sources[0].asked.lock().unwrap().last(), Some(&TimeStep(60_000_000)));
    let turn = block(desk.authenticator.turn(SERIAL)).unwrap();
    assert_eq!(
        turn.spent(TimeStep(60_000_000)),
        Some(TimeStep(60_000_000)),
        "and the right step is remembered"
    );
}

#[test]
fn an_absent_source_is_followed_by_the_next_and_that_is_said_aloud() {
    let (desk, _) = Desk::new(vec![
        ("yubikey", fails(|| CodeError::Card(CardError::NoReader))),
        ("software", succeeds()),
    ]);
    block(desk.authenticator.code()).unwrap();
    let said = desk.book.0.lock().unwrap().clone();
    let fell = Notice::FellBack { from: "yubikey", to: "software", why: "no reader is connected".into() };
    assert!(said.contains(&fell), "{said:?}");
}

#[test]
fn a_refused_touch_is_an_answer_and_nobody_else_is_asked() {
    let (desk, sources) =
        Desk::new(vec![("yubikey", fails(|| CodeError::TouchTimedOut)), ("software", succeeds())]);
    assert!(block(desk.authenticator.code()).is_err());
    assert!(sources[1].asked.lock().unwrap().is_empty());
}

#[test]
fn where_all_are_absent_the_first_absence_is_what_the_person_hears() {
    let (desk, _) = Desk::new(vec![
        ("yubikey", fails(|| CodeError::Card(CardError::NoReader))),
        ("software", fails(|| CodeError::NoSeed { profile: "doug".into() })),
    ]);
    let refused = block(desk.authenticator.code()).unwrap_err();
    assert!(matches!(refused, Error::Code(CodeError::Card(CardError::NoReader))), "{refused}");
    assert!(desk.book.0.lock().unwrap().iter().all(|notice| !matches!(notice, Notice::FellBack { .. })));
}

#[test]
fn a_code_that_was_typed_late_is_of_the_step_in_which_it_was_typed() {
    let slow = |_: usize, hands: &Hands| {
        move_on(hands, 65);
        Ok(Code::parse("123456").unwrap())
    };
    let (desk, sources) = Desk::new(vec![("prompt", Box::new(slow))]);
    block(desk.authenticator.code()).unwrap();
    assert_eq!(sources[0].asked.lock().unwrap().len(), 1, "not thrown away, and not asked for again");
    let turn = block(desk.authenticator.turn(SERIAL)).unwrap();
    assert_eq!(turn.spent(TimeStep(60_000_002)), Some(TimeStep(60_000_002)));
}

#[test]
fn the_sdk_gets_what_is_kept_with_its_end_and_our_words_when_there_is_nothing() {
    use aws_credential_types::provider::ProvideCredentials as _;

    let (desk, _) = Desk::new(vec![("yubikey", fails(|| CodeError::TouchTimedOut))]);
    let refused = block(desk.authenticator.provide_credentials()).unwrap_err();
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert_eq!(cause, "the YubiKey was not touched in time");
    desk.keep(3_600);
    let credentials = block(desk.authenticator.provide_credentials()).unwrap();
    assert_eq!((credentials.access_key_id(), credentials.session_token()), ("ASIA", Some("t")));
    assert_eq!(credentials.expiry(), Some(desk.hands.now() + Duration::from_secs(3_600)));
    assert!(!format!("{credentials:?}").contains("\"s\""), "{credentials:?}");
}
