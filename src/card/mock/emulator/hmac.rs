//! The one computation that the virtual token does.
//!
//! Source: RFC 2104; RFC 4226, section 5.3.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

use crate::otpauth::Algorithm;

/// RFC 4226, section 5.3.
pub(super) fn truncate(whole: &[u8]) -> [u8; 4] {
    let offset = usize::from(whole.last().copied().unwrap_or(0) & 0x0f);
    let four = whole.get(offset..).and_then(|tail| tail.first_chunk::<4>()).copied().unwrap_or_default();
    (u32::from_be_bytes(four) & 0x7fff_ffff).to_be_bytes()
}

/// HMAC of a message of any length: Yubico's client also sends challenges that are no time step.
pub(super) fn hmac(algorithm: Algorithm, key: &[u8], message: &[u8]) -> Zeroizing<Vec<u8>> {
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

pub(super) fn proves(key: &[u8], challenge: &[u8], proof: &[u8]) -> bool {
    Hmac::<Sha1>::new_from_slice(key).is_ok_and(|mac| mac.chain_update(challenge).verify_slice(proof).is_ok())
}
