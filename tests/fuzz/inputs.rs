//! What the readers of foreign bytes promise, as functions of any bytes: they never panic, and what they took and wrote
//! again they take again.
//!
//! The fuzz targets and the ordinary test of the corpus (`tests/stories/corpus.rs`) both stand on this file.

use onetap::card::mock::emulator::{Emulator, Outcome};
use onetap::card::mock::file::{Account, TokenFile};
use onetap::card::{Card, CardError};
use onetap::oath::{self, PasswordKey, Selected, wire};
use onetap::otpauth::Credential;
use onetap::qr;
use secrecy::ExposeSecret as _;

/// Takes any bytes, and panics if a promise is broken.
pub(crate) type Reader = fn(&[u8]);

/// Each reader's name, which is its folder in `tests/corpus`, and what it promises.
pub(crate) const READERS: [(&str, Reader); 6] = [
    ("commands", commands),
    ("otpauth", otpauth),
    ("qr", codes),
    ("responses", responses),
    ("tlv", tlv),
    ("token-file", token_file),
];

/// Tags, lengths and values.
pub(crate) fn tlv(bytes: &[u8]) {
    let (mut rest, mut again, mut taken) = (bytes, Vec::new(), Vec::new());
    while let Ok((tag, value)) = wire::take_tlv(&mut rest) {
        if wire::put_tlv(tag, value, &mut again).is_err() {
            return; // longer than our side ever writes
        }
        taken.push((tag, value));
    }
    let mut rest = again.as_slice();
    for expected in taken {
        assert_eq!(wire::take_tlv(&mut rest), Ok(expected));
    }
    assert!(rest.is_empty());
}

/// What a card answers: one byte of length and so many of answer, again and again.
pub(crate) fn responses(bytes: &[u8]) {
    let Ok(selected) = oath::select(&mut Replay(bytes)).map(|selected| selected.device().clone()) else {
        return;
    };
    assert!(!selected.id().is_empty());
    let mut card = Replay(bytes);
    let mut applet = match oath::select(&mut card) {
        Ok(Selected::Open(applet)) => applet,
        Ok(Selected::Locked(locked)) => {
            // Nobody can prove a key that was drawn after the answer was written.
            assert!(locked.unlock(&PasswordKey::from_bytes([7; 16])).is_err());
            return;
        }
        Err(_) => return,
    };
    if let Ok(code) = applet.calculate("a", 1) {
        assert_eq!(code.text().expose_secret().len(), usize::from(code.digits));
    }
    let _ = applet.calculate_whole("a", &[0; 8]);
    let _ = applet.list();
    let _ = applet.calculate_all(1);
}

/// A card that says what is written, and then is gone.
struct Replay<'b>(&'b [u8]);

impl Card for Replay<'_> {
    fn transmit(&mut self, _command: &[u8]) -> Result<Vec<u8>, CardError> {
        let (length, rest) = self.0.split_first().ok_or(CardError::Removed)?;
        let (answer, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        self.0 = rest;
        Ok(answer.to_vec())
    }
}

/// An `otpauth://` URI.
pub(crate) fn otpauth(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(read) = text.parse::<Credential>() {
        the_same_again(&read);
    }
    if let Ok(read) = Credential::from_base32("x", text) {
        the_same_again(&read);
    }
}

fn the_same_again(read: &Credential) {
    let again: Credential = read.to_uri().expose_secret().parse().expect("what we wrote");
    assert_eq!((again.id(), again.kind, again.algorithm), (read.id(), read.kind, read.algorithm));
    assert_eq!((again.digits, again.touch), (read.digits, read.touch));
    assert!(again.secret.expose_secret() == read.secret.expose_secret());
}

/// The virtual token's file.
pub(crate) fn token_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(file) = TokenFile::read(text) else { return };
    let ids =
        |file: &TokenFile| file.token.accounts.iter().map(|account| account.credential().id()).collect();
    let unchanged = TokenFile::read(&file.write_back(&file.token)).expect("what we wrote");
    let (before, after): (Vec<_>, Vec<_>) = (ids(&file), ids(&unchanged));
    assert_eq!(before, after);
    assert_eq!(
        (unchanged.token.serial, unchanged.token.salt.as_slice()),
        (file.token.serial, &*file.token.salt)
    );
    let mut changed = file.token.clone();
    changed.accounts.iter_mut().for_each(Account::count);
    changed.set_password_key(None);
    let written = TokenFile::read(&file.write_back(&changed)).expect("what we wrote");
    let after: Vec<_> = ids(&written);
    assert_eq!(before, after);
    assert!(written.token.password_key.is_none());
}

/// What a program sends to the virtual token: one byte of length and so many of command, again and again.
pub(crate) fn commands(bytes: &[u8]) {
    let file = TokenFile::read(
        "serial 1\notpauth://totp/a?secret=MZXW6YTBOI&touch=true\notpauth://hotp/b?secret=MZXW6YTBOI\n",
    );
    let mut token = Emulator::new(file.expect("a token").token, [3; 20]);
    let mut rest = bytes;
    while let Some((length, more)) = rest.split_first() {
        let (command, more) = more.split_at(usize::from(*length).min(more.len()));
        rest = more;
        let answer = match token.respond(command) {
            Outcome::Answer(answer) => answer,
            Outcome::AwaitTouch(_) => token.touched(),
            Outcome::Removed | Outcome::Reset => return,
        };
        assert!(answer.len() >= 2, "a status word at least");
    }
}

/// A screenshot.
pub(crate) fn codes(bytes: &[u8]) {
    let _ = qr::codes(bytes);
}
