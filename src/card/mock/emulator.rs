//! The virtual token's applets, as a state machine: a command in, an outcome out.
//!
//! Knows no file, no clock and no randomness but what it is given, so that tests drive it at full speed.
//! Faithful to a YubiKey 5 as Yubico's own client takes it. Source: Yubico, "YKOATH Protocol"; the management
//! applet as yubikey-manager reads it; RFC 4226, section 5.3.

use std::fmt;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac as _};
use secrecy::ExposeSecret as _;
use sha1::{Digest as _, Sha1};
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

use super::apdu::{self, Apdu};
use super::file::{Account, Token, TouchComes};
use crate::otpauth::{Algorithm, Credential, Kind, Touch};

const OATH: &[u8] = &[0xa0, 0x00, 0x00, 0x05, 0x27, 0x21, 0x01];
const MANAGEMENT: &[u8] = &[0xa0, 0x00, 0x00, 0x05, 0x27, 0x47, 0x11, 0x17];

/// Most bytes of one answer to a short command, before `61xx`.
const CHUNK: usize = 255;

/// Longest name (YKOATH, "PUT instruction").
pub(super) const LONGEST_NAME: usize = 64;

/// How long a YubiKey waits for its button.
const TOUCH_LIMIT: Duration = Duration::from_secs(15);

/// What came of a command.
#[derive(Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The response APDU.
    Answer(Vec<u8>),
    /// The button blinks; [`Emulator::touched`] has the response after this long.
    AwaitTouch(Duration),
    /// The token is not there any more.
    Removed,
    /// Another program has reset the card: the command was not carried out, and what was selected is no more.
    Reset,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(bytes) => write!(f, "Answer({} bytes)", bytes.len()),
            Self::AwaitTouch(wait) => write!(f, "AwaitTouch({wait:?})"),
            Self::Removed => f.write_str("Removed"),
            Self::Reset => f.write_str("Reset"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Applet {
    Management,
    Oath,
}

/// A response before it is cut into chunks: data, or a status word that is not 9000.
type Response = Result<Vec<u8>, u16>;

/// A CALCULATE that waits for its touch.
struct Waiting {
    account: usize,
    challenge: Vec<u8>,
    truncated: bool,
}

/// A token in a reader.
pub struct Emulator {
    token: Token,
    selected: Option<Applet>,
    unlocked: bool,
    challenge: Vec<u8>,
    rest: Vec<u8>,
    waiting: Option<Waiting>,
    changed: bool,
    served: u32,
    since_reset: u32,
    resets: usize,
    entropy: [u8; 20],
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator")
            .field("selected", &self.selected)
            .field("unlocked", &self.unlocked)
            .finish_non_exhaustive()
    }
}

impl Emulator {
    /// Puts a token into a reader. Challenges and a new salt are drawn from `entropy`.
    pub fn new(token: Token, entropy: [u8; 20]) -> Self {
        Self {
            token,
            selected: None,
            unlocked: false,
            challenge: Vec::new(),
            rest: Vec::new(),
            waiting: None,
            changed: false,
            served: 0,
            since_reset: 0,
            resets: 0,
            entropy,
        }
    }

    /// What the token holds now.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// Whether something changed since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Forgets the selection, the unlock and what was left of an answer.
    pub fn power_cycle(&mut self) {
        self.selected = None;
        self.unlocked = false;
        self.rest.clear();
        self.waiting = None;
    }

    /// Takes one command APDU.
    pub fn respond(&mut self, command: &[u8]) -> Outcome {
        self.waiting = None;
        let faults = &self.token.faults;
        if faults.removed_after.is_some_and(|limit| self.served >= limit) {
            return Outcome::Removed;
        }
        if faults.reset_after.get(self.resets).is_some_and(|limit| self.since_reset >= *limit) {
            self.resets += 1;
            self.since_reset = 0;
            self.power_cycle();
            return Outcome::Reset;
        }
        self.served = self.served.saturating_add(1);
        self.since_reset = self.since_reset.saturating_add(1);
        let Some(apdu) = Apdu::read(command) else {
            return Outcome::Answer(0x6700_u16.to_be_bytes().to_vec());
        };
        let response = self.carry_out(apdu);
        if self.waiting.is_some() {
            return Outcome::AwaitTouch(match self.token.faults.touch {
                TouchComes::After(wait) => wait,
                TouchComes::Never => TOUCH_LIMIT,
            });
        }
        Outcome::Answer(self.pack(response, apdu.extended))
    }

    /// The response to the command that waited for a touch.
    pub fn touched(&mut self) -> Vec<u8> {
        let response = match (self.waiting.take(), self.token.faults.touch) {
            (Some(waiting), TouchComes::After(_)) => {
                self.code(waiting.account, &waiting.challenge, waiting.truncated)
            }
            _ => Err(0x6982),
        };
        self.pack(response, false)
    }

    /// Adds the status word; keeps for SEND REMAINING what does not fit.
    fn pack(&mut self, response: Response, extended: bool) -> Vec<u8> {
        let (mut data, mut status) = match response {
            Ok(data) => (data, 0x9000_u16),
            Err(status) => (Vec::new(), status),
        };
        if data.len() > CHUNK && !extended {
            self.rest = data.split_off(CHUNK);
            status = 0x6100 | u16::try_from(self.rest.len().min(CHUNK)).unwrap_or(0xff);
        }
        data.extend_from_slice(&status.to_be_bytes());
        data
    }

    fn carry_out(&mut self, apdu: Apdu<'_>) -> Response {
        let rest = std::mem::take(&mut self.rest);
        match (apdu.cla, apdu.ins, apdu.p1, self.selected) {
            (0x00, 0xa4, 0x04, _) => self.select(apdu.data),
            (0x00, 0x1d, page, Some(Applet::Management)) => self.config(page),
            (0x00, ins, _, Some(Applet::Oath)) => self.oath(ins, apdu, rest),
            (0x00, ..) => Err(0x6d00),
            _ => Err(0x6e00),
        }
    }

    fn select(&mut self, aid: &[u8]) -> Response {
        let firmware = self.token.firmware;
        match aid {
            OATH => {
                self.selected = Some(Applet::Oath);
                self.unlocked = self.token.password_key.is_none();
                let mut answer = Vec::new();
                apdu::put(0x79, &[firmware.0, firmware.1, firmware.2], &mut answer);
                apdu::put(0x71, &self.token.salt, &mut answer);
                if !self.unlocked {
                    self.challenge = self.draw().to_vec();
                    apdu::put(0x74, &self.challenge, &mut answer);
                    apdu::put(0x7b, &[0x01], &mut answer);
                }
                Ok(answer)
            }
            MANAGEMENT => {
                self.selected = Some(Applet::Management);
                let (major, minor, patch) = firmware;
                Ok(format!("Virtual mgr - FW version {major}.{minor}.{patch}").into_bytes())
            }
            _ => Err(0x6a82),
        }
    }

    /// The management applet's READ CONFIG: what a YubiKey 5 says of itself, from firmware 4.1.
    fn config(&self, page: u8) -> Response {
        let (major, minor, patch) = self.token.firmware;
        if (major, minor) < (4, 1) {
            return Err(0x6d00);
        }
        if page != 0 {
            return Err(0x6a86);
        }
        // OTP, U2F, OpenPGP, PIV, OATH and FIDO2.
        const CAPABILITIES: [u8; 2] = [0x02, 0x3b];
        let mut fields = Vec::new();
        apdu::put(0x01, &CAPABILITIES, &mut fields);
        if let Some(serial) = self.token.serial {
            apdu::put(0x02, &serial.to_be_bytes(), &mut fields);
        }
        apdu::put(0x04, &[0x01], &mut fields); // a keychain's form, USB-A
        apdu::put(0x05, &[major, minor, patch], &mut fields);
        apdu::put(0x03, &CAPABILITIES, &mut fields);
        apdu::put(0x06, &[0, 0], &mut fields);
        apdu::put(0x07, &[0x0f], &mut fields);
        apdu::put(0x08, &[0], &mut fields);
        apdu::put(0x0a, &[0], &mut fields); // no lock code
        let mut answer = vec![u8::try_from(fields.len()).unwrap_or(u8::MAX)];
        answer.append(&mut fields);
        Ok(answer)
    }

    fn oath(&mut self, ins: u8, apdu: Apdu<'_>, rest: Vec<u8>) -> Response {
        match (ins, apdu.p1, apdu.p2) {
            (0x04, 0xde, 0xad) => return self.reset(),
            (0x04, ..) => return Err(0x6a86),
            (0xa3, ..) => return self.validate(apdu.data),
            (0x01..=0x03 | 0x05 | 0xa1 | 0xa2 | 0xa4 | 0xa5, ..) if !self.unlocked => return Err(0x6982),
            _ => {}
        }
        match ins {
            0x01 => self.put(apdu.data),
            0x02 => self.delete(apdu.data),
            0x03 => self.set_code(apdu.data),
            0x05 if self.token.firmware >= (5, 3, 0) => self.rename(apdu.data),
            0xa1 => Ok(self.list()),
            0xa2 if apdu.p2 <= 1 => self.calculate(apdu.data, apdu.p2 == 1),
            0xa4 if apdu.p2 <= 1 => self.calculate_all(apdu.data, apdu.p2 == 1),
            0xa2 | 0xa4 => Err(0x6a86),
            0xa5 => Ok(rest),
            _ => Err(0x6d00),
        }
    }

    fn put(&mut self, mut data: &[u8]) -> Response {
        let id = name(&mut data)?;
        let (&[kind, digits], key) =
            apdu::take(0x73, &mut data).and_then(|key| key.split_first_chunk::<2>()).ok_or(0x6a80_u16)?;
        let mut touch = Touch::NotNeeded;
        // The property has a tag and a value, and no length.
        if let [0x78, property, rest @ ..] = data {
            touch = if property & 0x02 == 0 { Touch::NotNeeded } else { Touch::Required };
            data = rest;
        }
        let mut counter = 0;
        if !data.is_empty() {
            let imf = apdu::take(0x7a, &mut data)
                .and_then(|imf| <[u8; 4]>::try_from(imf).ok())
                .ok_or(0x6a80_u16)?;
            counter = u64::from(u32::from_be_bytes(imf));
        }
        let kind_of = match kind & 0xf0 {
            0x10 => Kind::Hotp { counter },
            0x20 => Kind::Totp { period: 30 },
            _ => return Err(0x6a80),
        };
        let algorithm = match kind & 0x0f {
            0x01 => Algorithm::Sha1,
            0x02 => Algorithm::Sha256,
            0x03 if self.token.firmware >= (4, 3, 1) => Algorithm::Sha512,
            _ => return Err(0x6a80),
        };
        let sound = (6..=8).contains(&digits) && (14..=128).contains(&key.len()) && data.is_empty();
        if !sound || (touch == Touch::Required && self.token.firmware < (4, 2, 4)) {
            return Err(0x6a80);
        }
        let credential = Credential::with_id(&id, key.to_vec().into(), kind_of, algorithm, digits, touch);
        match self.find(&id) {
            Ok(place) => {
                if let Some(account) = self.token.accounts.get_mut(place) {
                    account.replace(credential);
                }
            }
            Err(_) if self.token.accounts.len() >= self.most_accounts() => return Err(0x6a84),
            Err(_) => self.token.accounts.push(Account::new(credential)),
        }
        self.changed = true;
        Ok(Vec::new())
    }

    fn most_accounts(&self) -> usize {
        if self.token.firmware >= (5, 7, 0) { 64 } else { 32 }
    }

    fn delete(&mut self, mut data: &[u8]) -> Response {
        let id = only_name(&mut data)?;
        let place = self.find(&id)?;
        self.token.accounts.remove(place);
        self.changed = true;
        Ok(Vec::new())
    }

    fn rename(&mut self, mut data: &[u8]) -> Response {
        let old = name(&mut data)?;
        let new = only_name(&mut data)?;
        let place = self.find(&old)?;
        if old != new && self.find(&new).is_ok() {
            return Err(0x6a80);
        }
        if let Some(account) = self.token.accounts.get_mut(place) {
            let was = account.credential();
            let renamed =
                Credential::with_id(&new, was.secret.clone(), was.kind, was.algorithm, was.digits, was.touch);
            account.replace(renamed);
        }
        self.changed = true;
        Ok(Vec::new())
    }

    fn set_code(&mut self, mut data: &[u8]) -> Response {
        let key = apdu::take(0x73, &mut data).ok_or(0x6a80_u16)?;
        if key.is_empty() {
            self.token.set_password_key(None);
            self.changed = true;
            return Ok(Vec::new());
        }
        let challenge = apdu::take(0x74, &mut data).ok_or(0x6a80_u16)?;
        let proof = apdu::take(0x75, &mut data).ok_or(0x6a80_u16)?;
        let ([kind], key) = key.split_first_chunk::<1>().ok_or(0x6a80_u16)?;
        let key: [u8; 16] = key.try_into().map_err(|_| 0x6a80_u16)?;
        if kind & 0x0f != 0x01 || !data.is_empty() {
            return Err(0x6a80);
        }
        if !proves(&key, challenge, proof) {
            return Err(0x6984);
        }
        self.token.set_password_key(Some(Zeroizing::new(key)));
        self.changed = true;
        Ok(Vec::new())
    }

    fn validate(&mut self, mut data: &[u8]) -> Response {
        let Some(key) = self.token.password_key.clone() else { return Err(0x6984) };
        let proof = apdu::take(0x75, &mut data).ok_or(0x6a80_u16)?;
        let theirs = apdu::take(0x74, &mut data).ok_or(0x6a80_u16)?;
        if !data.is_empty() || !proves(&*key, &self.challenge, proof) {
            return Err(0x6a80);
        }
        self.unlocked = true;
        let mut answer = Vec::new();
        apdu::put(0x75, &hmac(Algorithm::Sha1, &*key, theirs), &mut answer);
        Ok(answer)
    }

    fn reset(&mut self) -> Response {
        let salt = self.draw();
        self.token.forget_everything(salt);
        self.unlocked = true;
        self.changed = true;
        Ok(Vec::new())
    }

    fn list(&self) -> Vec<u8> {
        let mut answer = Vec::new();
        for account in &self.token.accounts {
            let credential = account.credential();
            let mut entry = vec![kind_byte(credential)];
            entry.extend_from_slice(credential.id().as_bytes());
            apdu::put(0x72, &entry, &mut answer);
        }
        answer
    }

    fn calculate(&mut self, mut data: &[u8], truncated: bool) -> Response {
        let id = name(&mut data)?;
        let challenge = apdu::take(0x74, &mut data).filter(|_| data.is_empty()).ok_or(0x6a80_u16)?.to_vec();
        let account = self.find(&id)?;
        let touch = self.token.accounts.get(account).map(|account| account.credential().touch);
        if touch == Some(Touch::Required) {
            self.waiting = Some(Waiting { account, challenge, truncated });
            return Ok(Vec::new());
        }
        self.code(account, &challenge, truncated)
    }

    /// One account's response; a counter moves on.
    fn code(&mut self, place: usize, challenge: &[u8], truncated: bool) -> Response {
        let account = self.token.accounts.get_mut(place).ok_or(0x6984_u16)?;
        let mut answer = Vec::new();
        let counter = match account.credential().kind {
            Kind::Hotp { counter } => Some(counter),
            Kind::Totp { .. } => None,
        };
        match counter {
            Some(counter) => {
                respond_with(account.credential(), &counter.to_be_bytes(), truncated, &mut answer);
                account.count();
                self.changed = true;
            }
            None => respond_with(account.credential(), challenge, truncated, &mut answer),
        }
        Ok(answer)
    }

    fn calculate_all(&self, mut data: &[u8], truncated: bool) -> Response {
        let challenge = apdu::take(0x74, &mut data).filter(|_| data.is_empty()).ok_or(0x6a80_u16)?;
        let mut answer = Vec::new();
        for credential in self.token.accounts.iter().map(Account::credential) {
            apdu::put(0x71, credential.id().as_bytes(), &mut answer);
            match (credential.kind, credential.touch) {
                (Kind::Hotp { .. }, _) => apdu::put(0x77, &[credential.digits], &mut answer),
                (_, Touch::Required) => apdu::put(0x7c, &[credential.digits], &mut answer),
                _ => respond_with(credential, challenge, truncated, &mut answer),
            }
        }
        Ok(answer)
    }

    fn find(&self, id: &str) -> Result<usize, u16> {
        self.token.accounts.iter().position(|account| account.credential().id() == id).ok_or(0x6984)
    }

    /// Eight bytes that were not drawn before.
    fn draw(&mut self) -> [u8; 8] {
        self.entropy = Sha1::digest(self.entropy).into();
        let mut drawn = [0; 8];
        drawn
            .iter_mut()
            .zip(Sha1::digest([self.entropy.as_slice(), b"drawn"].concat()))
            .for_each(|(to, from)| *to = from);
        drawn
    }
}

fn name(data: &mut &[u8]) -> Result<String, u16> {
    let name =
        apdu::take(0x71, data).filter(|name| (1..=LONGEST_NAME).contains(&name.len())).ok_or(0x6a80_u16)?;
    String::from_utf8(name.to_vec()).map_err(|_| 0x6a80)
}

fn only_name(data: &mut &[u8]) -> Result<String, u16> {
    name(data).and_then(|name| if data.is_empty() { Ok(name) } else { Err(0x6a80) })
}

fn kind_byte(credential: &Credential) -> u8 {
    let kind = match credential.kind {
        Kind::Hotp { .. } => 0x10,
        Kind::Totp { .. } => 0x20,
    };
    kind | match credential.algorithm {
        Algorithm::Sha1 => 0x01,
        Algorithm::Sha256 => 0x02,
        Algorithm::Sha512 => 0x03,
    }
}

/// Appends the response for one challenge: digits, then the HMAC or its truncation.
fn respond_with(credential: &Credential, challenge: &[u8], truncated: bool, out: &mut Vec<u8>) {
    let whole = hmac(credential.algorithm, credential.secret.expose_secret(), challenge);
    let mut value = vec![credential.digits];
    match truncated {
        true => value.extend_from_slice(&truncate(&whole)),
        false => value.extend_from_slice(&whole),
    }
    apdu::put(if truncated { 0x76 } else { 0x75 }, &value, out);
}

/// RFC 4226, section 5.3.
fn truncate(whole: &[u8]) -> [u8; 4] {
    let offset = usize::from(whole.last().copied().unwrap_or(0) & 0x0f);
    let four = whole.get(offset..).and_then(|tail| tail.first_chunk::<4>()).copied().unwrap_or_default();
    (u32::from_be_bytes(four) & 0x7fff_ffff).to_be_bytes()
}

/// HMAC of a message of any length: Yubico's client also sends challenges that are no time step.
fn hmac(algorithm: Algorithm, key: &[u8], message: &[u8]) -> Zeroizing<Vec<u8>> {
    let whole = match algorithm {
        Algorithm::Sha1 => Hmac::<Sha1>::new_from_slice(key)
            .map(|m| m.chain_update(message).finalize().into_bytes().to_vec()),
        Algorithm::Sha256 => Hmac::<Sha256>::new_from_slice(key)
            .map(|m| m.chain_update(message).finalize().into_bytes().to_vec()),
        Algorithm::Sha512 => Hmac::<Sha512>::new_from_slice(key)
            .map(|m| m.chain_update(message).finalize().into_bytes().to_vec()),
    };
    // HMAC takes keys of every length.
    Zeroizing::new(whole.unwrap_or_default())
}

fn proves(key: &[u8], challenge: &[u8], proof: &[u8]) -> bool {
    Hmac::<Sha1>::new_from_slice(key).is_ok_and(|mac| mac.chain_update(challenge).verify_slice(proof).is_ok())
}
