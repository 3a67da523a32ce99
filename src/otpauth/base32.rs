//! A secret in base32, as people write it.
//!
//! Source: RFC 4648, section 6, and what consoles and other people's tools make of it.

use data_encoding::{Encoding, Specification};
use secrecy::SecretSlice;
use zeroize::Zeroizing;

use super::OtpauthError;

/// Longest secret: what PUT can carry with its longest name in one short APDU is far less.
const LONGEST_SECRET: usize = 1024;

/// Reads base32 as people meet it: blanks, dashes, padding, either case, bits left over at the end.
pub(super) fn base32(text: &str) -> Result<SecretSlice<u8>, OtpauthError> {
    let clean: Zeroizing<String> =
        Zeroizing::new(text.chars().filter(|c| !c.is_whitespace() && *c != '-').collect());
    let clean = clean.trim_end_matches('=');
    if clean.is_empty() {
        return Err(OtpauthError::NoSecret);
    }
    if clean.len() > LONGEST_SECRET {
        return Err(OtpauthError::NotBase32);
    }
    let bytes = lenient().and_then(|encoding| encoding.decode(clean.as_bytes()).ok());
    match bytes {
        Some(bytes) if bytes.is_empty() => Err(OtpauthError::NoSecret),
        Some(bytes) => Ok(bytes.into()),
        None => Err(OtpauthError::NotBase32),
    }
}

/// Base32 whose last bits may be anything: 26 letters drawn at random are a seed in the field.
fn lenient() -> Option<Encoding> {
    let mut rules = Specification::new();
    rules.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    rules.check_trailing_bits = false;
    rules.translate.from.push_str("abcdefghijklmnopqrstuvwxyz");
    rules.translate.to.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    rules.encoding().ok()
}
