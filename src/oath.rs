//! The OATH applet's commands, as functions.
//!
//! Knows nothing about readers or people: it is given a [`Card`] and returns what the card said. Does no I/O of its own.
//! Source: Yubico, "YKOATH Protocol"; the section's name is quoted beside each command. Where a card was seen to
//! differ from it, the comment says so.

use std::fmt;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use crate::card::{Card, CardError};
use crate::otpauth::{Algorithm, Credential, Kind, Touch};

pub mod answer;
pub mod fault;
pub mod password;
pub mod wire;

pub use answer::{Account, Calculated, Device, Listed, OneTime};
pub use fault::OathError;
pub use password::PasswordKey;
use wire::Status;

/// YKOATH, "SELECT instruction".
const AID: [u8; 7] = [0xa0, 0x00, 0x00, 0x05, 0x27, 0x21, 0x01];

/// Most chunks of one answer: 64 accounts of the longest name fill 20. A card was seen that never ends.
const MOST_CHUNKS: usize = 64;

/// Longest name of an account, in bytes (YKOATH, "PUT instruction").
const LONGEST_NAME: usize = 64;

/// A card that is locked says so at once; one that was not touched, after about 15 s.
const A_PERSONS_TIME: Duration = Duration::from_secs(1);

/// Shortest key that the applet takes; shorter ones get zeros, which HMAC does not notice.
const SHORTEST_KEY: usize = 14;

/// What SELECT found.
#[derive(Debug)]
pub enum Selected<'c> {
    /// A password is set: there is nothing to do but [`LockedApplet::unlock`] (or to reset).
    Locked(LockedApplet<'c>),
    /// Everything can be asked.
    Open(Applet<'c>),
}

impl Selected<'_> {
    /// What SELECT told about the key.
    pub fn device(&self) -> &Device {
        match self {
            Self::Locked(locked) => locked.device(),
            Self::Open(applet) => applet.device(),
        }
    }
}

/// The applet before VALIDATE.
pub struct LockedApplet<'c> {
    card: &'c mut dyn Card,
    device: Device,
    challenge: Vec<u8>,
}

/// The applet, ready to serve.
pub struct Applet<'c> {
    card: &'c mut dyn Card,
    device: Device,
}

impl fmt::Debug for LockedApplet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockedApplet").field("device", &self.device).finish_non_exhaustive()
    }
}

impl fmt::Debug for Applet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Applet").field("device", &self.device).finish_non_exhaustive()
    }
}

/// Sends one command and gathers its answer, continued with SEND REMAINING (A5; a real key refuses C0).
fn send(
    card: &mut dyn Card,
    ins: u8,
    p1: u8,
    p2: u8,
    data: &[u8],
) -> Result<(Zeroizing<Vec<u8>>, Status), OathError> {
    let mut gathered = Zeroizing::new(Vec::new());
    let mut next = wire::command(ins, p1, p2, data)?;
    for _ in 0..MOST_CHUNKS {
        let answer = Zeroizing::new(card.transmit(&next)?);
        let (chunk, status) = wire::response(&answer)?;
        gathered.extend_from_slice(chunk);
        if !status.more() {
            return Ok((gathered, status));
        }
        if chunk.is_empty() {
            return Ok((gathered, Status::OK));
        }
        next = wire::command(0xa5, 0, 0, &[])?;
    }
    Err(OathError::Malformed("it does not end"))
}

/// SELECT: makes the OATH applet the one that is spoken to, and forgets an earlier unlock. One APDU.
pub fn select(card: &mut dyn Card) -> Result<Selected<'_>, OathError> {
    let answer = match send(card, 0xa4, 0x04, 0x00, &AID) {
        // A reset before the first command has undone nothing of ours.
        Err(OathError::Card(CardError::Reset)) => send(card, 0xa4, 0x04, 0x00, &AID)?,
        answer => answer?,
    };
    let (data, status) = answer;
    match status {
        Status::OK => {}
        Status(0x6a82 | 0x6999 | 0x6d00 | 0x6b00) => return Err(OathError::NoApplet),
        other => return Err(OathError::from_status(other)),
    }
    let (device, challenge) = answer::selected(&data)?;
    Ok(match challenge {
        Some(challenge) => Selected::Locked(LockedApplet { card, device, challenge }),
        None => Selected::Open(Applet { card, device }),
    })
}

/// RESET: removes every account and the password; the key gets a new identity. Needs no unlock. One APDU.
///
/// The applet must have been selected.
pub fn reset(card: &mut dyn Card) -> Result<(), OathError> {
    done(send(card, 0x04, 0xde, 0xad, &[])?)
}

/// An answer that is nothing but a status word.
fn done((data, status): (Zeroizing<Vec<u8>>, Status)) -> Result<(), OathError> {
    match (status, data.is_empty()) {
        (Status::OK, true) => Ok(()),
        (Status::OK, false) => Err(OathError::Malformed("something is left over")),
        (other, _) => Err(OathError::from_status(other)),
    }
}

fn named(id: &str) -> Result<Vec<u8>, OathError> {
    if id.is_empty() || id.len() > LONGEST_NAME {
        return Err(OathError::Name);
    }
    let mut data = Vec::with_capacity(2 * LONGEST_NAME + 80);
    wire::put_tlv(0x71, id.as_bytes(), &mut data)?;
    Ok(data)
}

impl<'c> LockedApplet<'c> {
    /// What SELECT told about the key.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// VALIDATE: proves that we know the password, and has the key prove it too. One APDU.
    ///
    /// The unlock lasts until another SELECT or a reset; whoever shares the card could ride on it.
    pub fn unlock(mut self, key: &PasswordKey) -> Result<Applet<'c>, OathError> {
        self.validate(key)?;
        Ok(Applet { card: self.card, device: self.device })
    }

    /// VALIDATE with a key that may be stale: where it does not open the applet, that is selected anew and still
    /// locked. One APDU, or two.
    pub fn try_unlock(mut self, key: &PasswordKey) -> Result<Selected<'c>, OathError> {
        match self.validate(key) {
            Ok(()) => Ok(Selected::Open(Applet { card: self.card, device: self.device })),
            Err(OathError::WrongPassword) => select(self.card),
            Err(error) => Err(error),
        }
    }

    fn validate(&mut self, key: &PasswordKey) -> Result<(), OathError> {
        let ours = password::challenge()?;
        let mut data = Vec::with_capacity(40);
        wire::put_tlv(0x75, &key.prove(&self.challenge), &mut data)?;
        wire::put_tlv(0x74, &ours, &mut data)?;
        let (answer, status) = send(self.card, 0xa3, 0, 0, &data)?;
        match status {
            Status::OK => {}
            Status::WRONG_DATA => return Err(OathError::WrongPassword),
            other => return Err(OathError::from_status(other)),
        }
        if !key.proven(&ours, wire::only(0x75, &answer)?) {
            return Err(OathError::Impostor);
        }
        Ok(())
    }
}

impl Applet<'_> {
    /// What SELECT told about the key.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// LIST: all accounts, in no stable order. One APDU for a handful of accounts. Does not tell who wants touch.
    pub fn list(&mut self) -> Result<Vec<Listed>, OathError> {
        match send(self.card, 0xa1, 0, 0, &[])? {
            (data, Status::OK) => Ok(answer::listed(&data)?),
            (_, status) => Err(OathError::from_status(status)),
        }
    }

    /// CALCULATE: the code of the account `id` (the exact bytes, prefix included) for `step`. One APDU.
    ///
    /// Blocks while the key waits for a touch. A counter-based account ignores `step` and moves on.
    pub fn calculate(&mut self, id: &str, step: u64) -> Result<OneTime, OathError> {
        let answer = self.calculate_raw(0x01, id, &step.to_be_bytes())?;
        Ok(answer::one_time(wire::only(0x76, &answer)?)?)
    }

    /// CALCULATE, untruncated: the whole HMAC of `challenge`, for what is no one-time code. One APDU.
    pub fn calculate_whole(&mut self, id: &str, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, OathError> {
        let answer = self.calculate_raw(0x00, id, challenge)?;
        let (_digits, hmac) =
            wire::only(0x75, &answer)?.split_first().ok_or(OathError::Malformed("a response is empty"))?;
        Ok(Zeroizing::new(hmac.to_vec()))
    }

    fn calculate_raw(&mut self, p2: u8, id: &str, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, OathError> {
        let mut data = named(id)?;
        wire::put_tlv(0x74, challenge, &mut data)?;
        let asked = Instant::now();
        match send(self.card, 0xa2, 0, p2, &data)? {
            (answer, Status::OK) => Ok(answer),
            (_, Status::REFUSED | Status::REFUSED_TOO) if asked.elapsed() >= A_PERSONS_TIME => {
                Err(OathError::NotTouched)
            }
            (_, status) => Err(OathError::from_status(status)),
        }
    }

    /// CALCULATE ALL: every account with its code for `step`, but for those that want a touch or count.
    ///
    /// The only command that tells who wants touch. `step` should be that of the commonest period.
    pub fn calculate_all(&mut self, step: u64) -> Result<Vec<Account>, OathError> {
        let mut data = Vec::with_capacity(10);
        wire::put_tlv(0x74, &step.to_be_bytes(), &mut data)?;
        match send(self.card, 0xa4, 0x00, 0x01, &data)? {
            (answer, Status::OK) => Ok(answer::calculated(&answer)?),
            (_, status) => Err(OathError::from_status(status)),
        }
    }

    /// PUT: writes an account, over one of the same name. One APDU.
    pub fn put(&mut self, credential: &Credential) -> Result<(), OathError> {
        self.needs((4, 2, 4), credential.touch == Touch::Required, "touch")?;
        self.needs((4, 3, 1), credential.algorithm == Algorithm::Sha512, "SHA-512")?;
        let kind = match credential.kind {
            Kind::Hotp { .. } => 0x10,
            Kind::Totp { .. } => 0x20,
        };
        let mut key = Zeroizing::new(Vec::with_capacity(2 + 64));
        key.extend_from_slice(&[kind | answer::algorithm_byte(credential.algorithm), credential.digits]);
        let bytes = password::block_key(credential.algorithm, credential.secret.expose_secret());
        key.extend_from_slice(&bytes);
        let padded = key.len().max(2 + SHORTEST_KEY);
        key.resize(padded, 0);
        let mut data = Zeroizing::new(named(&credential.id())?);
        wire::put_tlv(0x73, &key, &mut data)?;
        if credential.touch == Touch::Required {
            // Tag and value, no length (YKOATH, "PUT instruction").
            data.extend_from_slice(&[0x78, 0x02]);
        }
        if let Kind::Hotp { counter: counter @ 1.. } = credential.kind {
            let counter = u32::try_from(counter).map_err(|_| OathError::Refused)?;
            wire::put_tlv(0x7a, &counter.to_be_bytes(), &mut data)?;
        }
        done(send(self.card, 0x01, 0, 0, &data)?)
    }

    /// DELETE: removes an account. One APDU.
    pub fn delete(&mut self, id: &str) -> Result<(), OathError> {
        done(send(self.card, 0x02, 0, 0, &named(id)?)?)
    }

    /// RENAME: gives an account another name; firmware 5.3 and later. One APDU.
    pub fn rename(&mut self, old: &str, new: &str) -> Result<(), OathError> {
        self.needs((5, 3, 0), true, "rename an account")?;
        let mut data = named(old)?;
        data.append(&mut named(new)?);
        done(send(self.card, 0x05, 0, 0, &data)?)
    }

    /// SET CODE: sets the password, by its derived key. One APDU.
    pub fn set_password(&mut self, key: &PasswordKey) -> Result<(), OathError> {
        let challenge = password::challenge()?;
        let mut data = Zeroizing::new(Vec::with_capacity(60));
        wire::put_tlv(0x73, &key.tagged(), &mut data)?;
        wire::put_tlv(0x74, &challenge, &mut data)?;
        wire::put_tlv(0x75, &key.prove(&challenge), &mut data)?;
        done(send(self.card, 0x03, 0, 0, &data)?)
    }

    /// SET CODE with an empty key: no password any more. One APDU.
    pub fn clear_password(&mut self) -> Result<(), OathError> {
        done(send(self.card, 0x03, 0, 0, &[0x73, 0x00])?)
    }

    fn needs(&self, firmware: (u8, u8, u8), wanted: bool, what: &'static str) -> Result<(), OathError> {
        let answer::Version(major, minor, patch) = self.device.version;
        match wanted && (major, minor, patch) < firmware {
            true => Err(OathError::TooOld(self.device.version, what)),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
