//! A six-digit code, the time step it belongs to, and the seam it comes through.
//!
//! Knows nothing about tokens, seeds or people. Does no I/O.
//! Source: RFC 6238; AWS's virtual MFA devices use SHA-1, 6 digits and 30 seconds.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use secrecy::{ExposeSecret, SecretString};

use crate::attendant::{Attendant, Unattended};
use crate::card::CardError;
use crate::foreign::ForeignError;
use crate::oath::OathError;
use crate::vault::VaultError;

pub mod password;
pub mod process;
pub mod prompt;
pub mod software;
pub mod yubikey;

/// Seconds in a time step (RFC 6238, section 4.1: the default, and what AWS uses).
pub const PERIOD: u64 = 30;

/// The number of whole periods since the epoch: `floor(unix time / 30)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeStep(pub u64);

impl TimeStep {
    /// The step that `time` falls in.
    pub fn at(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / PERIOD)
    }

    /// The step after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// When the step begins.
    pub fn begins(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.0.saturating_mul(PERIOD))
    }
}

/// A one-time code of six digits.
#[derive(Clone)]
pub struct Code(SecretString);

impl Code {
    /// Takes a code as a card or a person gives it; `None` unless it is six ASCII digits.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        (text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit())).then(|| Self(text.into()))
    }

    /// The digits, for the one place that sends or prints them.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(******)")
    }
}

/// Where codes come from.
pub trait CodeSource: fmt::Debug + Send + Sync {
    /// The source's name in `onetap_code` and `--code`: `yubikey`, `software`, `prompt` or `process`.
    fn name(&self) -> &'static str;

    /// The code of `step`. Blocks, until `deadline` at the longest, on a card or on a person.
    fn code(&self, step: TimeStep, deadline: Instant, attendant: &dyn Attendant) -> Result<Code, CodeError>;

    /// AWS refused the last code: what the source had assumed about its device may be wrong.
    fn refused(&self) {}
}

/// Why there is no code.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CodeError {
    /// The key answers, but not with a code that AWS takes.
    #[error("the OATH account {account:?} does not make codes for AWS: {reason}")]
    BadAccount {
        /// The account's name.
        account: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The card could not be reached.
    #[error(transparent)]
    Card(#[from] CardError),
    /// The key holds no such account.
    #[error("{}", no_account(.wanted, .present))]
    NoAccount {
        /// The name that was looked for.
        wanted: String,
        /// All names on the key, nearest first.
        present: Vec<String>,
    },
    /// The program that prints codes did not.
    #[error(transparent)]
    Foreign(#[from] ForeignError),
    /// No seed is stored for this profile.
    #[error("no TOTP seed is stored for the profile {profile:?}")]
    NoSeed {
        /// The profile.
        profile: String,
    },
    /// A typed answer that is not six digits.
    #[error("a code has six digits")]
    NotACode,
    /// The applet refused; never [`OathError::Card`].
    #[error(transparent)]
    Oath(OathError),
    /// Several accounts may be meant, and a wrong one would spend a touch.
    #[error("the YubiKey holds several OATH accounts that may be {wanted:?}: {}", .fitting.join(", "))]
    SeveralAccounts {
        /// The name that was looked for.
        wanted: String,
        /// The accounts that fit it.
        fitting: Vec<String>,
    },
    /// The stored seed cannot be used.
    #[error("the stored TOTP seed of {profile:?} cannot be used: {reason}")]
    SeedUnusable {
        /// The profile.
        profile: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The button was not touched.
    #[error("the YubiKey was not touched in time")]
    TouchTimedOut,
    /// A person was needed and did not answer.
    #[error(transparent)]
    Unattended(#[from] Unattended),
    /// The seed could not be read.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl From<OathError> for CodeError {
    fn from(error: OathError) -> Self {
        match error {
            OathError::Card(error) => Self::Card(error),
            OathError::NotTouched => Self::TouchTimedOut,
            other => Self::Oath(other),
        }
    }
}

/// So many of the names on a full key help a person; all 64 would not.
const NEAR: usize = 5;

fn no_account(wanted: &str, present: &[String]) -> String {
    if present.is_empty() {
        return format!("the YubiKey holds no OATH account at all, so not {wanted:?} either");
    }
    let near = present.iter().take(NEAR).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match present.len().saturating_sub(NEAR) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("the YubiKey holds no OATH account {wanted:?}; it holds: {near}{more}")
}

impl CodeError {
    /// Whether the source cannot serve at all, so that the next one may be asked. A refused touch or an
    /// interrupted question is an answer, not an absence.
    pub fn is_absence(&self) -> bool {
        match self {
            Self::Card(error) => {
                use CardError::{MockFile, Removed, ServiceLost, TimedOut};
                !matches!(error, MockFile { .. } | Removed | ServiceLost | TimedOut)
            }
            Self::NoAccount { .. } | Self::NoSeed { .. } | Self::Oath(OathError::NoApplet) => true,
            Self::Unattended(Unattended::Nobody(_)) => true,
            Self::Vault(error) => {
                !matches!(error, VaultError::Unattended(Unattended::Interrupted | Unattended::TimedOut))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_persons_answer_is_no_absence() {
        let vault = |why: Unattended| CodeError::Vault(why.into());
        for refused in [Unattended::Interrupted, Unattended::TimedOut] {
            assert!(!vault(refused.clone()).is_absence(), "the question for a passphrase: {refused}");
            assert!(!CodeError::from(refused).is_absence());
        }
        assert!(vault(Unattended::Nobody("a test".into())).is_absence());
        assert!(CodeError::from(CardError::NoReader).is_absence());
        assert!(!CodeError::TouchTimedOut.is_absence());
    }
}
