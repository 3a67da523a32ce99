//! What the applet's answers mean.
//!
//! Pure: bytes to values, and an error for everything else.
//! Source: Yubico, "YKOATH Protocol", the answers of SELECT, LIST, CALCULATE and CALCULATE ALL.

use std::fmt;

use data_encoding::BASE64_NOPAD;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::wire::{self, NotWire};
use crate::otpauth::Algorithm;

/// A firmware's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u8, pub u8, pub u8);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The key as its OATH applet shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The firmware.
    pub version: Version,
    /// What a password is derived with; changes at RESET only.
    pub salt: Vec<u8>,
}

impl Device {
    /// A name for the key that is stable until RESET: base64 of the first half of SHA-256 of the salt.
    pub fn id(&self) -> String {
        let digest = Sha256::digest(&self.salt);
        let (half, _) = digest.split_at(digest.len() / 2);
        BASE64_NOPAD.encode(half)
    }
}

/// What moves an account on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moves {
    /// HOTP.
    ByCounter,
    /// TOTP.
    ByTime,
}

/// An account as LIST shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name, with its prefixes; bytes that are no UTF-8 show as U+FFFD.
    pub id: String,
    /// Counter or time.
    pub moves: Moves,
    /// The hash.
    pub algorithm: Algorithm,
}

/// An account as CALCULATE ALL shows it.
#[derive(Clone, Debug)]
pub struct Account {
    /// The name, with its prefixes; bytes that are no UTF-8 show as U+FFFD.
    pub id: String,
    /// Its code, or why there is none.
    pub calculated: Calculated,
}

/// What CALCULATE ALL says about one account.
#[derive(Clone, Debug)]
pub enum Calculated {
    /// Its code.
    Code(OneTime),
    /// It counts, and is not moved on by this command.
    Counts {
        /// How many digits its codes have: 6 to 8.
        digits: u8,
    },
    /// It wants a touch.
    WantsTouch {
        /// How many digits its codes have: 6 to 8.
        digits: u8,
    },
}

/// A one-time code as the card gives it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct OneTime {
    /// How many digits it has: 6 to 8.
    pub digits: u8,
    truncated: u32,
}

impl OneTime {
    /// The digits, padded with zeros on the left.
    pub fn text(&self) -> SecretString {
        let code = self.truncated % 10_u32.pow(u32::from(self.digits));
        format!("{code:0width$}", width = usize::from(self.digits)).into()
    }
}

impl fmt::Debug for OneTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OneTime({} digits)", self.digits)
    }
}

/// SELECT's answer: the key, and its challenge if a password is set.
pub(super) fn selected(mut data: &[u8]) -> Result<(Device, Option<Vec<u8>>), NotWire> {
    let (mut version, mut salt, mut challenge) = (None, None, None);
    while !data.is_empty() {
        match wire::take_tlv(&mut data)? {
            (0x79, &[major, minor, patch]) => version = Some(Version(major, minor, patch)),
            (0x79, _) => return Err(NotWire("a version has three parts")),
            (0x71, value) if !value.is_empty() => salt = Some(value.to_vec()),
            (0x74, value) if !value.is_empty() => challenge = Some(value.to_vec()),
            (0x7b, [0x01]) => {}
            (0x7b, _) => return Err(NotWire("the password's algorithm is not SHA-1")),
            // Firmware to come may tell more.
            _ => {}
        }
    }
    let version = version.ok_or(NotWire("there is no version"))?;
    let salt = salt.ok_or(NotWire("there is no salt"))?;
    Ok((Device { version, salt }, challenge))
}

/// LIST's answer.
pub(super) fn listed(mut data: &[u8]) -> Result<Vec<Listed>, NotWire> {
    let mut accounts = Vec::new();
    while !data.is_empty() {
        let (kind, name) =
            wire::take(0x72, &mut data)?.split_first().ok_or(NotWire("an account has no type"))?;
        let moves = match kind & 0xf0 {
            0x10 => Moves::ByCounter,
            0x20 => Moves::ByTime,
            _ => return Err(NotWire("an account's type is unknown")),
        };
        accounts.push(Listed { id: text(name), moves, algorithm: algorithm(kind & 0x0f)? });
    }
    Ok(accounts)
}

/// CALCULATE ALL's answer, truncated.
pub(super) fn calculated(mut data: &[u8]) -> Result<Vec<Account>, NotWire> {
    let mut accounts = Vec::new();
    while !data.is_empty() {
        let id = text(wire::take(0x71, &mut data)?);
        let calculated = match wire::take_tlv(&mut data)? {
            (0x76, value) => Calculated::Code(one_time(value)?),
            (0x77, &[digits @ 6..=8]) => Calculated::Counts { digits },
            (0x7c, &[digits @ 6..=8]) => Calculated::WantsTouch { digits },
            _ => return Err(NotWire("an account has no response")),
        };
        accounts.push(Account { id, calculated });
    }
    Ok(accounts)
}

/// The value of a truncated response: digits, and four bytes whose first bit means nothing (RFC 4226, section 5.3).
pub(super) fn one_time(value: &[u8]) -> Result<OneTime, NotWire> {
    match *value {
        [digits @ 6..=8, a, b, c, d] => {
            Ok(OneTime { digits, truncated: u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff })
        }
        [_, _, _, _, _] => Err(NotWire("a code has 6 to 8 digits")),
        _ => Err(NotWire("a truncated response has five bytes")),
    }
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

pub(super) fn algorithm_byte(algorithm: Algorithm) -> u8 {
    match algorithm {
        Algorithm::Sha1 => 0x01,
        Algorithm::Sha256 => 0x02,
        Algorithm::Sha512 => 0x03,
    }
}

fn algorithm(byte: u8) -> Result<Algorithm, NotWire> {
    match byte {
        0x01 => Ok(Algorithm::Sha1),
        0x02 => Ok(Algorithm::Sha256),
        0x03 => Ok(Algorithm::Sha512),
        _ => Err(NotWire("an account's algorithm is unknown")),
    }
}

/// A key's bytes, kept out of the memory they leave.
pub(super) type Key = Zeroizing<Vec<u8>>;
