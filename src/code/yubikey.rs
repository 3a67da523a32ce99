//! Codes from a YubiKey's OATH applet: SELECT, CALCULATE, and that is all where nothing is in the way.
//!
//! Knows what to say to a person meanwhile; the bytes are [`crate::oath`]'s.

use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;

use super::password::{self, Remembered};
use super::{Code, CodeError, CodeSource, TimeStep};
use crate::attendant::{Attendant, Notice, when_slow};
use crate::card::{Card, CardError, Reader};
use crate::oath::{self, Applet, OathError, OneTime, Selected};
use crate::vault::Vault;

pub mod account;
pub mod memory;

use memory::Memory;

/// How long a card may take before a person is told what is waited for. Without touch a code takes a few ms.
const PATIENCE: Duration = Duration::from_millis(200);

/// An account on a YubiKey.
#[derive(Clone, Debug)]
pub struct YubiKey {
    reader: Reader,
    account: String,
    device: Option<String>,
    memory: Option<Memory>,
    vault: Option<Arc<dyn Vault>>,
}

impl YubiKey {
    /// The account of this exact name, prefixes included, on the YubiKey in this reader. A password is asked for.
    pub fn new(reader: Reader, account: String) -> Self {
        Self { reader, account, device: None, memory: None, vault: None }
    }

    /// If the account is named as this MFA device is, it may have any of the names that such accounts really have
    /// ([`account::meant`]); which one is remembered in the file at `memory`.
    pub fn of_device(self, device: String, memory: PathBuf) -> Self {
        let memory = (device == self.account).then(|| Memory::new(memory));
        Self { device: Some(device), memory, ..self }
    }

    /// A password that this vault remembers is not asked for. The vault is opened only when the key is locked.
    pub fn remembering(self, vault: Arc<dyn Vault>) -> Self {
        Self { vault: Some(vault), ..self }
    }

    /// SELECT to CALCULATE, once.
    fn converse(
        &self,
        card: &mut dyn Card,
        step: TimeStep,
        deadline: Instant,
        attendant: &dyn Attendant,
    ) -> Result<Code, CodeError> {
        let selected = match (oath::select(card)?, &self.vault) {
            (Selected::Locked(locked), Some(vault)) => {
                Remembered::new(vault.as_ref()).unlock(locked, attendant)?
            }
            (selected, _) => selected,
        };
        let mut applet = match selected {
            Selected::Open(applet) => applet,
            Selected::Locked(locked) => {
                let key = password::ask(locked.device(), deadline, attendant)?;
                locked.unlock(&key)?
            }
        };
        let key = applet.device().id();
        let known = self.memory.as_ref().and_then(|memory| memory.account(&key, &self.account));
        let mut name = known.unwrap_or_else(|| self.account.clone());
        let mut calculated = self.calculate(&mut applet, &name, step, attendant);
        if let Err(CodeError::Oath(OathError::NoAccount)) = calculated {
            name = self.look(&mut applet)?;
            if let Some(memory) = &self.memory {
                memory.learn_account(&key, &self.account, &name);
            }
            calculated = self.calculate(&mut applet, &name, step, attendant);
        }
        let code = calculated?;
        let reason = || format!("its codes have {} digits and AWS takes 6", code.digits);
        Code::parse(code.text().expose_secret()).ok_or_else(|| bad(&name, reason()))
    }

    /// CALCULATE, and a touch if the key wants one.
    fn calculate(
        &self,
        applet: &mut Applet<'_>,
        name: &str,
        step: TimeStep,
        attendant: &dyn Attendant,
    ) -> Result<OneTime, CodeError> {
        let calculated = when_slow(
            attendant,
            PATIENCE,
            Notice::TouchWanted { account: self.account.clone() },
            Notice::TouchOver,
            || applet.calculate(name, step.0),
        );
        match calculated {
            // The card had answered before, and only a touch takes long: this is the person's silence, not the card's.
            Err(OathError::Card(CardError::TimedOut)) => Err(CodeError::TouchTimedOut),
            calculated => Ok(calculated?),
        }
    }

    /// The account's name on this key. One APDU more for a handful of accounts, and only where the key holds none of
    /// the name that was tried.
    fn look(&self, applet: &mut Applet<'_>) -> Result<String, CodeError> {
        let listed = applet.list()?;
        let mut meant = account::meant(&self.account, self.device.as_deref(), &listed);
        match (meant.pop(), meant.is_empty()) {
            (Some(name), true) => in_time(&name).map(|()| name),
            (Some(name), false) => {
                meant.push(name);
                Err(CodeError::SeveralAccounts { wanted: self.account.clone(), fitting: meant })
            }
            (None, _) => {
                let present = account::nearest(&self.account, listed.into_iter().map(|account| account.id));
                Err(CodeError::NoAccount { wanted: self.account.clone(), present })
            }
        }
    }
}

fn bad(account: &str, reason: String) -> CodeError {
    CodeError::BadAccount { account: account.into(), reason }
}

/// Refuses a name that tells another period than AWS's.
fn in_time(name: &str) -> Result<(), CodeError> {
    match account::period(name).filter(|period| *period != super::PERIOD) {
        Some(period) => Err(bad(name, format!("its period is {period} s and AWS's is {} s", super::PERIOD))),
        None => Ok(()),
    }
}

impl CodeSource for YubiKey {
    fn name(&self) -> &'static str {
        "yubikey"
    }

    fn code(&self, step: TimeStep, deadline: Instant, attendant: &dyn Attendant) -> Result<Code, CodeError> {
        in_time(&self.account)?;
        if let Reader::Mock(path) = &self.reader {
            attendant.notice(Notice::VirtualToken { path: path.clone() });
        }
        thread::scope(|scope| {
            let (connected, connecting) = mpsc::channel::<()>();
            scope.spawn(move || {
                if connecting.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                    attendant.notice(Notice::CardBusy);
                    // Ends when `connected` is dropped: the card is ours, or we gave up.
                    let _ = connecting.recv();
                    attendant.notice(Notice::CardFree);
                }
            });
            self.reader.transact(deadline, move |card| {
                drop(connected);
                match self.converse(card, step, deadline, attendant) {
                    // Somebody came between SELECT and CALCULATE, and what was selected is no more.
                    Err(CodeError::Card(CardError::Reset) | CodeError::Oath(OathError::OtherApplet)) => {
                        self.converse(card, step, deadline, attendant)
                    }
                    outcome => outcome,
                }
            })
        })
    }

    fn refused(&self) {
        if let Some(memory) = &self.memory {
            memory.forget_account(&self.account);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use secrecy::SecretString;

    use super::*;
    use crate::attendant::{Echo, Question, Unattended};
    use crate::files::{Private, write_whole};

    const ARN: &str = "arn:aws:iam::123456789012:mfa/doug";
    const URI: &str =
        "otpauth://totp/arn:aws:iam::123456789012:mfa/doug?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    /// A person who writes down what is said, and knows at most one password.
    #[derive(Debug, Default)]
    struct Notebook {
        said: Mutex<Vec<Notice>>,
        password: Option<&'static str>,
    }

    impl Attendant for Notebook {
        fn notice(&self, notice: Notice) {
            self.said.lock().unwrap().push(notice);
        }

        fn ask(&self, question: Question) -> Result<SecretString, Unattended> {
            assert_eq!(question.echo, Echo::Hidden);
            self.password.map(SecretString::from).ok_or(Unattended::Nobody("test".into()))
        }
    }

    struct Bench {
        _home: tempfile::TempDir,
        path: PathBuf,
        person: Notebook,
    }

    impl Bench {
        fn new(text: &str) -> Self {
            let home = tempfile::tempdir().unwrap();
            let path = home.path().join("token");
            write_whole(&path, text.as_bytes(), Private::OwnerOnly).unwrap();
            Self { _home: home, path, person: Notebook::default() }
        }

        fn source(&self, account: &str) -> YubiKey {
            YubiKey::new(Reader::Mock(self.path.clone()), account.into())
        }

        /// As a profile asks, that names its MFA device and no account.
        fn code_of_device(&self) -> Result<String, CodeError> {
            let source = self.source(ARN).of_device(ARN.into(), self.path.with_file_name("keys.json"));
            let code = source.code(TimeStep(1), Instant::now() + Duration::from_secs(20), &self.person)?;
            Ok(code.expose().to_owned())
        }

        /// The commands since the last look.
        fn commands(&self) -> String {
            let log = self.log();
            let _ = std::fs::remove_file(self.path.with_extension("log"));
            log
        }

        fn code_within(&self, account: &str, limit: Duration) -> Result<String, CodeError> {
            let source = self.source(account);
            let code = source.code(TimeStep(1), Instant::now() + limit, &self.person)?;
            Ok(code.expose().to_owned())
        }

        fn code(&self, account: &str) -> Result<String, CodeError> {
            self.code_within(account, Duration::from_secs(20))
        }

        fn log(&self) -> String {
            let log = std::fs::read_to_string(self.path.with_extension("log")).unwrap_or_default();
            log.lines().filter_map(|line| line.split_once(' ')).map(|(_, name)| format!("{name} ")).collect()
        }

        /// What was said after the remark that this is no hardware.
        fn said(&self) -> Vec<Notice> {
            let mut said = self.person.said.lock().unwrap().clone();
            assert_eq!(said.remove(0), Notice::VirtualToken { path: self.path.clone() });
            said
        }
    }

    /// RFC 6238: at 59 s, 94287082; six digits of it.
    const AT_STEP_1: &str = "287082";

    #[test]
    fn a_code_takes_two_commands_and_nothing_is_said_where_no_touch_is_needed() {
        let bench = Bench::new(URI);
        assert_eq!(bench.code(ARN).unwrap(), AT_STEP_1);
        assert_eq!(bench.log(), "SELECT CALCULATE ");
        assert_eq!(bench.said(), []);
    }

    #[test]
    fn a_touch_is_announced_and_its_end_too() {
        let bench = Bench::new(&format!("{URI}&touch=true"));
        assert_eq!(bench.code(ARN).unwrap(), AT_STEP_1);
        assert_eq!(bench.log(), "SELECT CALCULATE ");
        assert_eq!(bench.said(), [Notice::TouchWanted { account: ARN.into() }, Notice::TouchOver]);
    }

    #[test]
    fn a_touch_that_never_comes_is_the_persons_refusal_and_is_not_asked_again() {
        let bench = Bench::new(&format!("{URI}&touch=true\nfault touch never"));
        let refused = bench.code_within(ARN, Duration::from_millis(500)).unwrap_err();
        assert!(matches!(refused, CodeError::TouchTimedOut), "{refused:?}");
        assert!(!refused.is_absence());
        assert_eq!(bench.log(), "SELECT CALCULATE ");
        assert_eq!(bench.said(), [Notice::TouchWanted { account: ARN.into() }, Notice::TouchOver]);
    }

    #[test]
    fn a_locked_key_is_opened_with_the_password_in_three_commands() {
        let mut bench = Bench::new(&format!("password hunter2\n{URI}"));
        assert!(matches!(bench.code(ARN), Err(CodeError::Unattended(_))));
        assert_eq!(bench.log(), "SELECT ");
        bench.person.password = Some("hunter2");
        assert_eq!(bench.code(ARN).unwrap(), AT_STEP_1);
        assert_eq!(bench.log(), "SELECT SELECT VALIDATE CALCULATE ");
        bench.person.password = Some("hunter3");
        assert!(matches!(bench.code(ARN), Err(CodeError::Oath(OathError::WrongPassword))));
    }

    #[test]
    fn a_key_that_is_pulled_is_removed_and_a_reset_one_is_asked_once_more() {
        let pulled = Bench::new(&format!("{URI}\nfault removed-after 1"));
        assert!(matches!(pulled.code(ARN), Err(CodeError::Card(CardError::Removed))));
        let reset = Bench::new(&format!("{URI}\nfault reset-after 1"));
        assert_eq!(reset.code(ARN).unwrap(), AT_STEP_1);
        assert_eq!(reset.log(), "SELECT CALCULATE SELECT CALCULATE ");
        let first = Bench::new(&format!("{URI}\nfault reset-after 0"));
        assert_eq!(first.code(ARN).unwrap(), AT_STEP_1);
        let twice = Bench::new(&format!("{URI}\nfault reset-after 1\nfault reset-after 1"));
        assert!(matches!(twice.code(ARN), Err(CodeError::Card(CardError::Reset))));
    }

    #[test]
    fn a_card_that_others_hold_is_waited_for_and_that_is_said() {
        let bench = Bench::new(&format!("{URI}\nfault busy 10"));
        assert_eq!(bench.code(ARN).unwrap(), AT_STEP_1);
        assert_eq!(bench.said(), [Notice::CardBusy, Notice::CardFree]);
        let held = Bench::new(&format!("{URI}\nfault busy 100000"));
        assert!(matches!(
            held.code_within(ARN, Duration::from_millis(300)),
            Err(CodeError::Card(CardError::Busy))
        ));
        assert_eq!(held.said(), [Notice::CardBusy, Notice::CardFree]);
        assert_eq!(held.log(), "");
    }

    #[test]
    fn an_account_that_is_not_there_is_answered_with_the_nearest_names_first() {
        let seed = "secret=GEZDGNBVGY3TQOJQ";
        let near = "aws:arn:aws:iam::123456789012:mfa/doug";
        let bench = Bench::new(&format!("otpauth://totp/GitHub:octo?{seed}\notpauth://totp/{near}?{seed}"));
        match bench.code(ARN).unwrap_err() {
            CodeError::NoAccount { wanted, present } => {
                assert_eq!(
                    (wanted.as_str(), present),
                    (ARN, vec![near.to_owned(), "GitHub:octo".to_owned()])
                );
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(bench.log(), "SELECT CALCULATE LIST ");
        let long: String =
            (0..32).map(|n| format!("otpauth://totp/{n}{}?{seed}\n", "n".repeat(60))).collect();
        let full = Bench::new(&long);
        assert!(matches!(full.code(ARN), Err(CodeError::NoAccount { present, .. }) if present.len() == 32));
        assert!(full.log().starts_with("SELECT CALCULATE LIST SEND-REMAINING "), "{}", full.log());
    }

    const AT: &str =
        "otpauth://totp/Amazon Web Services:doug@123456789012?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    const OTHER: &str = "otpauth://totp/GitHub:octo?secret=GEZDGNBVGY3TQOJQ";

    #[test]
    fn an_account_under_another_name_is_found_in_four_commands_and_then_takes_two() {
        let bench = Bench::new(&format!("{OTHER}\n{AT}"));
        assert_eq!(bench.code_of_device().unwrap(), AT_STEP_1);
        assert_eq!(bench.commands(), "SELECT CALCULATE LIST CALCULATE ");
        assert_eq!(bench.code_of_device().unwrap(), AT_STEP_1);
        assert_eq!(bench.commands(), "SELECT CALCULATE ");
    }

    #[test]
    fn a_stale_memory_heals_itself() {
        let bench = Bench::new(AT);
        bench.code_of_device().unwrap();
        bench.commands();
        let renamed =
            AT.replace("Amazon Web Services", "aws/iam/123456789012").replace("doug@123456789012", "doug");
        for text in [renamed.as_str(), URI] {
            write_whole(&bench.path, text.as_bytes(), Private::OwnerOnly).unwrap();
            assert_eq!(bench.code_of_device().unwrap(), AT_STEP_1);
            assert_eq!(bench.commands(), "SELECT CALCULATE LIST CALCULATE ");
            assert_eq!(bench.code_of_device().unwrap(), AT_STEP_1);
            assert_eq!(bench.commands(), "SELECT CALCULATE ");
        }
        write_whole(&bench.path, OTHER.as_bytes(), Private::OwnerOnly).unwrap();
        assert!(matches!(bench.code_of_device(), Err(CodeError::NoAccount { .. })));
    }

    #[test]
    fn a_code_that_aws_refused_makes_the_exact_name_be_tried_first_again() {
        let bench = Bench::new(AT);
        bench.code_of_device().unwrap();
        bench.commands();
        write_whole(&bench.path, format!("{AT}\n{URI}").as_bytes(), Private::OwnerOnly).unwrap();
        let source = bench.source(ARN).of_device(ARN.into(), bench.path.with_file_name("keys.json"));
        source.refused();
        bench.code_of_device().unwrap();
        assert_eq!(bench.commands(), "SELECT CALCULATE ");
        assert_eq!(std::fs::read_to_string(bench.path.with_file_name("keys.json")).unwrap(), "{}");
    }

    #[test]
    fn several_accounts_that_may_be_meant_are_listed_and_none_is_asked() {
        let bench = Bench::new(&format!("{AT}\n{}", URI.replace("arn:aws", "aws:arn:aws")));
        match bench.code_of_device().unwrap_err() {
            CodeError::SeveralAccounts { wanted, mut fitting } => {
                fitting.sort();
                assert_eq!(wanted, ARN);
                assert_eq!(
                    fitting,
                    ["Amazon Web Services:doug@123456789012", "aws:arn:aws:iam::123456789012:mfa/doug"]
                );
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(bench.log(), "SELECT CALCULATE LIST ");
        let chosen = "aws:arn:aws:iam::123456789012:mfa/doug";
        assert_eq!(bench.code(chosen).unwrap(), AT_STEP_1);
    }

    #[test]
    fn an_account_that_aws_would_not_take_is_told_as_such() {
        let bench = Bench::new(&format!("{URI}&digits=8"));
        assert!(matches!(bench.code(ARN), Err(CodeError::BadAccount { .. })));
        let slow = format!("60/{ARN}");
        let bench = Bench::new(&format!("{URI}&period=60"));
        assert!(matches!(bench.code(&slow), Err(CodeError::BadAccount { .. })));
        assert_eq!(bench.log(), "");
        match bench.code_of_device().unwrap_err() {
            CodeError::BadAccount { account, reason } => assert!(account == slow && reason.contains("60 s")),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn many_at_once_at_one_token_all_get_their_code() {
        let bench = Bench::new(URI);
        thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| bench.code(ARN))).collect();
            for one in all {
                assert_eq!(one.join().unwrap().unwrap(), AT_STEP_1);
            }
        });
        assert_eq!(bench.log().matches("CALCULATE").count(), 8);
    }
}
