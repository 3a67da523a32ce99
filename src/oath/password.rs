//! The applet's password: its derived key, and the proofs made with it.
//!
//! Source: Yubico, "YKOATH Protocol", sections SET CODE and VALIDATE; RFC 2104 for keys longer than a block.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use zeroize::Zeroizing;

use super::OathError;
use super::answer::Key;
use crate::otpauth::Algorithm;

/// Rounds of PBKDF2-HMAC-SHA1: what Yubico's software uses, so that one password opens the key everywhere.
const ROUNDS: u32 = 1000;

/// The key derived from a password and one YubiKey's salt: worth as much as the password, on that key only.
#[derive(Clone)]
pub struct PasswordKey(Zeroizing<[u8; 16]>);

impl PasswordKey {
    /// Derives it: PBKDF2-HMAC-SHA1, 1000 rounds, 16 bytes. About a millisecond.
    pub fn derive(password: &SecretString, salt: &[u8]) -> Self {
        let mut key = Zeroizing::new([0; 16]);
        pbkdf2::pbkdf2_hmac::<Sha1>(password.expose_secret().as_bytes(), salt, ROUNDS, &mut *key);
        Self(key)
    }

    /// Takes it as it was stored.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Its bytes, for whoever stores it.
    pub fn expose(&self) -> &[u8; 16] {
        &self.0
    }

    /// What SET CODE takes: TOTP and HMAC-SHA1 (`21`), then the key.
    pub(super) fn tagged(&self) -> Key {
        let mut tagged = Zeroizing::new(Vec::with_capacity(17));
        tagged.push(0x21);
        tagged.extend_from_slice(&*self.0);
        tagged
    }

    /// HMAC-SHA1 of `challenge`.
    pub fn prove(&self, challenge: &[u8]) -> [u8; 20] {
        match self.mac(challenge) {
            Some(mac) => mac.finalize().into_bytes().into(),
            None => [0; 20],
        }
    }

    /// Whether `proof` is HMAC-SHA1 of `challenge`; in constant time.
    pub fn proven(&self, challenge: &[u8], proof: &[u8]) -> bool {
        self.mac(challenge).is_some_and(|mac| mac.verify_slice(proof).is_ok())
    }

    /// Always there: HMAC takes keys of every length.
    fn mac(&self, challenge: &[u8]) -> Option<Hmac<Sha1>> {
        Some(Hmac::<Sha1>::new_from_slice(&*self.0).ok()?.chain_update(challenge))
    }
}

impl fmt::Debug for PasswordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordKey(..)")
    }
}

/// Eight bytes that were never used before.
pub(super) fn challenge() -> Result<[u8; 8], OathError> {
    let mut challenge = [0; 8];
    getrandom::fill(&mut challenge).map_err(|_| OathError::Malformed("this system gives no random bytes"))?;
    Ok(challenge)
}

/// A key as HMAC uses it: longer than the hash's block, it is hashed first (RFC 2104, section 3).
pub(super) fn block_key(algorithm: Algorithm, secret: &[u8]) -> Key {
    Zeroizing::new(match algorithm {
        Algorithm::Sha1 if secret.len() > 64 => Sha1::digest(secret).to_vec(),
        Algorithm::Sha256 if secret.len() > 64 => Sha256::digest(secret).to_vec(),
        Algorithm::Sha512 if secret.len() > 128 => Sha512::digest(secret).to_vec(),
        _ => secret.to_vec(),
    })
}
