//! The OATH applet's commands, on the card's side.
//!
//! Source: Yubico, "YKOATH Protocol", a section a command.

use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::super::apdu::{self, Apdu};
use super::super::file::{Account, LONGEST_NAME};
use super::hmac::{hmac, proves, truncate};
use super::{Emulator, Response, Waiting};
use crate::otpauth::{Algorithm, Credential, Kind, Touch};

impl Emulator {
    pub(super) fn oath(&mut self, ins: u8, apdu: Apdu<'_>, rest: Vec<u8>) -> Response {
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
    pub(super) fn code(&mut self, place: usize, challenge: &[u8], truncated: bool) -> Response {
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
