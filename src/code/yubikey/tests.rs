//! One key, and several.

use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

use secrecy::SecretString;

use super::*;
use crate::attendant::{Echo, Question, Unattended};
use crate::files::{Private, write_whole};

const ARN: &str = "arn:aws:iam::123456789012:mfa/doug";
const URI: &str = "otpauth://totp/arn:aws:iam::123456789012:mfa/doug?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

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

    fn places(&self) -> Places {
        let home = self.path.with_file_name("state");
        Places { config: home.clone(), state: home.clone(), cache: home }
    }

    /// As a profile asks, that names its MFA device and no account.
    fn code_of_device(&self) -> Result<String, CodeError> {
        let source = self.source(ARN).of_profile("doug".into(), ARN.into(), &self.places());
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

fn touch_wanted(account: &str) -> Notice {
    Notice::TouchWanted { account: account.into(), key: None, profile: None }
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
    assert_eq!(bench.said(), [touch_wanted(ARN), Notice::TouchOver]);
}

#[test]
fn a_touch_that_never_comes_is_the_persons_refusal_and_is_not_asked_again() {
    let bench = Bench::new(&format!("{URI}&touch=true\nfault touch never"));
    let refused = bench.code_within(ARN, Duration::from_millis(500)).unwrap_err();
    assert!(matches!(refused, CodeError::TouchTimedOut), "{refused:?}");
    assert!(!refused.is_absence());
    assert_eq!(bench.log(), "SELECT CALCULATE ");
    assert_eq!(bench.said(), [touch_wanted(ARN), Notice::TouchOver]);
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
            assert_eq!((wanted.as_str(), present), (ARN, vec![near.to_owned(), "GitHub:octo".to_owned()]));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.log(), "SELECT CALCULATE LIST ");
    let long: String = (0..32).map(|n| format!("otpauth://totp/{n}{}?{seed}\n", "n".repeat(60))).collect();
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
    let source = bench.source(ARN).of_profile("doug".into(), ARN.into(), &bench.places());
    source.refused();
    bench.code_of_device().unwrap();
    assert_eq!(bench.commands(), "SELECT CALCULATE ");
    assert_eq!(std::fs::read_to_string(bench.places().keys()).unwrap(), "{}");
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

#[test]
fn two_devices_on_one_key_are_asked_one_after_the_other() {
    let other = "arn:aws:iam::210987654321:mfa/doug";
    let bench = Bench::new(&format!(
        "{URI}&touch=true\n{}&touch=true\nfault touch-after 600\n",
        URI.replace(ARN, other)
    ));
    thread::scope(|scope| {
        for device in [ARN, other] {
            let source = bench.source(device).of_profile("p".into(), device.into(), &bench.places());
            let person = &bench.person;
            scope.spawn(move || {
                source.code(TimeStep(1), Instant::now() + Duration::from_secs(20), person).unwrap()
            });
        }
    });
    let mut wanted = 0;
    for notice in bench.person.said.lock().unwrap().iter() {
        match notice {
            Notice::TouchWanted { profile, .. } => {
                assert_eq!((wanted, profile.as_deref()), (0, Some("p")), "two touches at once");
                wanted += 1;
            }
            Notice::TouchOver => wanted -= 1,
            Notice::CardBusy => panic!("the card is not even tried meanwhile"),
            _ => {}
        }
    }
    assert_eq!(bench.log(), "SELECT CALCULATE SELECT CALCULATE ");
}

#[test]
fn of_several_keys_the_gravest_obstacle_is_told_and_the_names_on_all() {
    let none = |present: &[&str]| CodeError::NoAccount {
        wanted: ARN.into(),
        present: present.iter().map(|name| (*name).into()).collect(),
    };
    let busy = || CodeError::Card(CardError::Busy);
    let told = |before, now| format!("{:?}", graver(Some(before), now));
    assert_eq!(
        told(none(&["GitHub:a", "z"]), none(&["z", "aws:arn:aws:iam"])),
        format!("{:?}", none(&["aws:arn:aws:iam", "GitHub:a", "z"]))
    );
    assert_eq!(told(none(&["a"]), busy()), format!("{:?}", busy()));
    assert_eq!(told(busy(), none(&["a"])), format!("{:?}", busy()));
    assert_eq!(told(CodeError::Oath(OathError::NoApplet), none(&["a"])), format!("{:?}", none(&["a"])));
}

/// Several keys: which are asked, in which order, and what for.
mod several {
    use std::path::PathBuf;
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    use secrecy::{SecretSlice, SecretString};

    use super::super::*;
    use crate::attendant::{Question, Unattended};
    use crate::files::{Private, write_whole};
    use crate::oath::PasswordKey;
    use crate::vault::{Entry, VaultError};

    const SEED: &str = "secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    /// A vault that counts how often it is read, and remembers one key.
    #[derive(Debug)]
    struct Counting {
        remembers: Entry,
        key: [u8; 16],
        reads: Mutex<usize>,
    }

    impl Vault for Counting {
        fn read(&self, entry: &Entry) -> Result<Option<SecretSlice<u8>>, VaultError> {
            *self.reads.lock().unwrap() += 1;
            Ok((*entry == self.remembers).then(|| self.key.to_vec().into()))
        }

        fn write(&self, entry: &Entry, _value: &SecretSlice<u8>) -> Result<(), VaultError> {
            panic!("{entry:?} is written")
        }

        fn remove(&self, entry: &Entry) -> Result<(), VaultError> {
            panic!("{entry:?} is removed")
        }
    }

    /// A person who knows one password, and counts the questions.
    #[derive(Debug, Default)]
    struct Person(Mutex<usize>);

    impl Attendant for Person {
        fn notice(&self, notice: Notice) {
            assert!(!matches!(notice, Notice::Warning(_)), "{notice:?}");
        }

        fn ask(&self, _question: Question) -> Result<SecretString, Unattended> {
            *self.0.lock().unwrap() += 1;
            Ok("hunter2".into())
        }
    }

    /// Asks for the code of `wanted` with these keys plugged in, the first of which has a remembered password; what
    /// came of it, the vault's reads, the questions, and the commands to each key.
    fn asked(keys: &[String]) -> (Result<String, CodeError>, usize, usize, Vec<String>) {
        let home = tempfile::tempdir().unwrap();
        let path = |place: usize| home.path().join(format!("key{place}"));
        let places: Vec<Place> = keys
            .iter()
            .enumerate()
            .flat_map(|(place, text)| {
                write_whole(
                    &path(place),
                    format!("salt 000000000000000{place}\n{text}").as_bytes(),
                    Private::OwnerOnly,
                )
                .unwrap();
                Reader::Mock(path(place)).places(Instant::now()).unwrap()
            })
            .collect();
        let salt = [0; 8];
        let device =
            crate::oath::Device { version: crate::oath::answer::Version(5, 4, 3), salt: salt.to_vec() };
        let vault = Arc::new(Counting {
            remembers: Entry::OathKey(device.id()),
            key: PasswordKey::derive(&"hunter1".into(), &salt).expose().to_owned(),
            reads: Mutex::new(0),
        });
        let (person, reader) = (Person::default(), Reader::Mock(PathBuf::from("/nowhere")));
        let source = YubiKey::new(reader, "wanted".into()).remembering(vault.clone());
        let deadline = Instant::now() + Duration::from_secs(20);
        let code = source.first(&places, TimeStep(1), deadline, &person).map(|code| code.expose().to_owned());
        let log =
            |place: usize| std::fs::read_to_string(path(place).with_extension("log")).unwrap_or_default();
        let names =
            |log: String| log.lines().filter_map(|line| line.split(' ').nth(1)).collect::<Vec<_>>().join(" ");
        let logs = (0..keys.len()).map(|place| names(log(place))).collect();
        let (reads, questions) = (*vault.reads.lock().unwrap(), *person.0.lock().unwrap());
        (code, reads, questions, logs)
    }

    fn key(password: &str, account: &str) -> String {
        let password = if password.is_empty() { String::new() } else { format!("password {password}\n") };
        format!("{password}otpauth://totp/{account}?{SEED}\n")
    }

    #[test]
    fn an_open_key_that_holds_the_account_spares_the_vault_and_the_person() {
        let (code, reads, questions, logs) =
            asked(&[key("hunter1", "wanted"), key("hunter2", "wanted"), key("", "wanted")]);
        assert_eq!((code.unwrap().as_str(), reads, questions), ("287082", 0, 0));
        assert_eq!(logs, ["SELECT", "SELECT", "SELECT CALCULATE"]);
    }

    #[test]
    fn a_remembered_password_comes_before_a_question_whatever_the_readers_order() {
        let (code, reads, questions, logs) =
            asked(&[key("hunter1", "wanted"), key("hunter2", "wanted"), key("", "other")]);
        assert_eq!((code.unwrap().as_str(), reads, questions), ("287082", 1, 0));
        assert_eq!(logs, ["SELECT SELECT VALIDATE CALCULATE", "SELECT", "SELECT CALCULATE LIST"]);
    }

    #[test]
    fn a_person_is_asked_once_and_last_for_a_key_that_nothing_else_opens() {
        let (code, reads, questions, logs) =
            asked(&[key("hunter1", "other"), key("hunter2", "wanted"), key("", "another")]);
        assert_eq!((code.unwrap().as_str(), reads, questions), ("287082", 2, 1), "each locked key once");
        assert_eq!(
            logs,
            [
                "SELECT SELECT VALIDATE CALCULATE LIST",
                "SELECT SELECT SELECT VALIDATE CALCULATE",
                "SELECT CALCULATE LIST"
            ]
        );
    }

    #[test]
    fn where_no_key_holds_the_account_all_their_names_are_told() {
        let (code, reads, questions, _) = asked(&[key("hunter1", "a"), key("hunter2", "b"), key("", "c")]);
        let Err(CodeError::NoAccount { mut present, .. }) = code else { panic!("{code:?}") };
        present.sort();
        assert_eq!((present.join(" ").as_str(), reads, questions), ("a b c", 2, 1));
    }

    #[test]
    fn a_lone_key_whose_password_is_remembered_is_opened_at_once() {
        let (code, reads, questions, logs) = asked(&[key("hunter1", "wanted")]);
        assert_eq!((code.unwrap().as_str(), reads, questions), ("287082", 1, 0));
        assert_eq!(logs, ["SELECT VALIDATE CALCULATE"]);
    }
}
