//! Several keys: which are asked, in which order, and what for.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use secrecy::{SecretSlice, SecretString};

use super::*;
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
    let device = crate::oath::Device { version: crate::oath::answer::Version(5, 4, 3), salt: salt.to_vec() };
    let vault = Arc::new(Counting {
        remembers: Entry::OathKey(device.id()),
        key: PasswordKey::derive(&"hunter1".into(), &salt).expose().to_owned(),
        reads: Mutex::new(0),
    });
    let (person, reader) = (Person::default(), Reader::Mock(PathBuf::from("/nowhere")));
    let source = YubiKey::new(reader, "wanted".into()).remembering(vault.clone());
    let deadline = Instant::now() + Duration::from_secs(20);
    let code = source.first(&places, TimeStep(1), deadline, &person).map(|code| code.expose().to_owned());
    let log = |place: usize| std::fs::read_to_string(path(place).with_extension("log")).unwrap_or_default();
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
