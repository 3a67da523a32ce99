//! An MFA device as STS names it.
//!
//! Sources: STS API reference, GetSessionToken; IAM API reference, CreateVirtualMFADevice.

use std::fmt;
use std::str::FromStr;

use super::Partition;

/// An MFA device as STS names it: an ARN, or a hardware device's serial number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MfaSerial(String);

impl MfaSerial {
    /// The text for STS.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The partition that an ARN names; hardware serials name none.
    pub fn partition(&self) -> Option<Partition> {
        let mut parts = self.0.strip_prefix("arn:")?.split(':');
        Partition::named(parts.next()?)
    }

    /// The account that an ARN names.
    pub fn account(&self) -> Option<&str> {
        self.0.strip_prefix("arn:")?.split(':').nth(3)
    }

    /// Whether it is an ARN, so that the device may be a virtual one.
    pub fn is_arn(&self) -> bool {
        self.0.starts_with("arn:")
    }
}

impl fmt::Display for MfaSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not an MFA device for STS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotASerial {
    /// A FIDO security key: STS takes only six-digit codes.
    #[error("{0} is a FIDO security key, and STS takes only six-digit codes")]
    Fido(String),
    /// Neither an ARN of a device nor a hardware serial.
    #[error("{0:?} is neither arn:aws:iam::ACCOUNT:mfa/NAME nor a hardware serial such as GAHT12345678")]
    Malformed(String),
}

impl FromStr for MfaSerial {
    type Err = NotASerial;

    fn from_str(text: &str) -> Result<Self, NotASerial> {
        let malformed = || NotASerial::Malformed(text.to_owned());
        // STS API reference, GetSessionToken, SerialNumber: 9 to 256 characters.
        if !(9..=256).contains(&text.len()) {
            return Err(malformed());
        }
        if !text.contains(':') {
            let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            return if plain { Ok(Self(text.into())) } else { Err(malformed()) };
        }
        let parts = text.splitn(6, ':').collect::<Vec<_>>();
        let ["arn", partition, "iam", "", account, resource] = parts.as_slice() else {
            return Err(malformed());
        };
        if resource.starts_with("u2f/") {
            return Err(NotASerial::Fido(text.into()));
        }
        let known = Partition::named(partition).is_some();
        let digits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        let named = resource.strip_prefix("mfa/").is_some_and(|name| {
            // IAM, CreateVirtualMFADevice: path and name from these.
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/+=,.@-_".contains(&b))
        });
        if known && digits && named { Ok(Self(text.into())) } else { Err(malformed()) }
    }
}
