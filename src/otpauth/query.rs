//! The parameters after a URI's `?`.

use secrecy::SecretSlice;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::base32::base32;
use super::{Algorithm, OtpauthError, Touch};

#[derive(Default)]
pub(super) struct Query {
    pub(super) algorithm: Algorithm,
    pub(super) counter: Option<u64>,
    pub(super) digits: Option<u8>,
    pub(super) issuer: Option<String>,
    pub(super) period: Option<u64>,
    pub(super) secret: Option<SecretSlice<u8>>,
    pub(super) touch: Touch,
}

impl Query {
    /// Reads the parameters; one that we do not know (`image`, say) is passed over.
    pub(super) fn read(query: &str) -> Result<Self, OtpauthError> {
        let mut read = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = Zeroizing::new(value.into_owned());
            let bad = |key, expected| OtpauthError::BadValue { key, expected };
            match key.to_ascii_lowercase().as_str() {
                "algorithm" => {
                    read.algorithm = match value.to_ascii_uppercase().as_str() {
                        "SHA1" | "SHA-1" | "HMACSHA1" => Algorithm::Sha1,
                        "SHA256" | "SHA-256" | "HMACSHA256" => Algorithm::Sha256,
                        "SHA512" | "SHA-512" | "HMACSHA512" => Algorithm::Sha512,
                        _ => return Err(bad("algorithm", "SHA1, SHA256 or SHA512")),
                    };
                }
                "counter" => {
                    read.counter = Some(value.parse().map_err(|_| bad("counter", "a whole number"))?)
                }
                "digits" => {
                    let digits = value.parse().ok().filter(|n| (6..=8).contains(n));
                    read.digits = Some(digits.ok_or(bad("digits", "6, 7 or 8"))?);
                }
                "issuer" if !value.is_empty() => read.issuer = Some(value.to_string()),
                "period" => {
                    let period = value.parse().ok().filter(|n| *n > 0);
                    read.period = Some(period.ok_or(bad("period", "seconds, at least 1"))?);
                }
                "secret" => read.secret = Some(base32(&value)?),
                "touch" => {
                    read.touch = match value.as_str() {
                        "true" | "1" => Touch::Required,
                        "false" | "0" => Touch::NotNeeded,
                        _ => return Err(bad("touch", "true or false")),
                    };
                }
                _ => {}
            }
        }
        Ok(read)
    }
}
