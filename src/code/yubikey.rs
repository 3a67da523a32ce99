//! Codes from a YubiKey's OATH applet: SELECT, CALCULATE, and that is all where nothing is in the way.
//!
//! Knows what to say to a person meanwhile; the bytes are [`crate::oath`]'s.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;

use super::{Code, CodeError, CodeSource, TimeStep};
use crate::attendant::{Attendant, Echo, Notice, Question, when_slow};
use crate::card::{Card, CardError, Reader};
use crate::oath::{self, Applet, OathError, PasswordKey, Selected};

/// How long a card may take before a person is told what is waited for. Without touch a code takes a few ms.
const PATIENCE: Duration = Duration::from_millis(200);

/// An account on a YubiKey.
#[derive(Clone, Debug)]
pub struct YubiKey {
    reader: Reader,
    account: String,
}

impl YubiKey {
    /// The account of this exact name, prefixes included, on the YubiKey in this reader.
    pub fn new(reader: Reader, account: String) -> Self {
        Self { reader, account }
    }

    /// SELECT to CALCULATE, once.
    fn converse(
        &self,
        card: &mut dyn Card,
        step: TimeStep,
        deadline: Instant,
        attendant: &dyn Attendant,
    ) -> Result<Code, CodeError> {
        let mut applet = match oath::select(card)? {
            Selected::Open(applet) => applet,
            Selected::Locked(locked) => {
                let prompt = "Password of the YubiKey's OATH accounts".into();
                let password = attendant.ask(Question { prompt, echo: Echo::Hidden, deadline })?;
                let key = PasswordKey::derive(&password, &locked.device().salt);
                locked.unlock(&key)?
            }
        };
        let asked = Instant::now();
        let calculated = when_slow(
            attendant,
            PATIENCE,
            Notice::TouchWanted { account: self.account.clone() },
            Notice::TouchOver,
            || applet.calculate(&self.account, step.0),
        );
        match calculated {
            Ok(code) => {
                let reason = || format!("its codes have {} digits and AWS takes 6", code.digits);
                Code::parse(code.text().expose_secret()).ok_or_else(|| self.bad(reason()))
            }
            // The card was there and a touch was asked for: this is the person's silence, not the card's.
            Err(OathError::Card(CardError::TimedOut)) if asked.elapsed() >= PATIENCE => {
                Err(CodeError::TouchTimedOut)
            }
            Err(OathError::NoAccount) => Err(self.not_there(&mut applet)),
            Err(error) => Err(error.into()),
        }
    }

    fn bad(&self, reason: String) -> CodeError {
        CodeError::BadAccount { account: self.account.clone(), reason }
    }

    /// The names that are there, nearest first. One APDU more, and only now.
    fn not_there(&self, applet: &mut Applet<'_>) -> CodeError {
        let listed = match applet.list() {
            Ok(listed) => listed,
            Err(error) => return error.into(),
        };
        let wanted = self.account.to_lowercase();
        let mut present: Vec<_> = listed
            .into_iter()
            .map(|account| (strsim::jaro_winkler(&wanted, &account.id.to_lowercase()), account.id))
            .collect();
        present.sort_by(|(near, a), (nearer, b)| nearer.total_cmp(near).then_with(|| a.cmp(b)));
        let present = present.into_iter().map(|(_, id)| id).collect();
        CodeError::NoAccount { wanted: self.account.clone(), present }
    }
}

impl CodeSource for YubiKey {
    fn name(&self) -> &'static str {
        "yubikey"
    }

    fn code(&self, step: TimeStep, deadline: Instant, attendant: &dyn Attendant) -> Result<Code, CodeError> {
        if let Some(period) = period(&self.account).filter(|period| *period != super::PERIOD) {
            return Err(self.bad(format!("its period is {period} s and AWS's is {} s", super::PERIOD)));
        }
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
}

/// The period that a name's prefix tells: `60/...` (YKOATH; left out where it is 30).
fn period(account: &str) -> Option<u64> {
    account.split_once('/').and_then(|(digits, _)| digits.parse().ok())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Mutex;

    use secrecy::SecretString;

    use super::*;
    use crate::attendant::Unattended;
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

        fn code_within(&self, account: &str, limit: Duration) -> Result<String, CodeError> {
            let source = YubiKey::new(Reader::Mock(self.path.clone()), account.into());
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

    #[test]
    fn an_account_that_aws_would_not_take_is_told_as_such() {
        let bench = Bench::new(&format!("{URI}&digits=8"));
        assert!(matches!(bench.code(ARN), Err(CodeError::BadAccount { .. })));
        let slow = format!("60/{ARN}");
        let bench = Bench::new(&format!("{URI}&period=60"));
        assert!(matches!(bench.code(&slow), Err(CodeError::BadAccount { .. })));
        assert_eq!(bench.log(), "");
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
