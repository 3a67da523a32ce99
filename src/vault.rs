//! Secrets at rest, as a seam. Every secret that onetap stores is named in [`Entry`].
//!
//! Knows nothing about profiles or AWS.

use std::fmt;
use std::str::FromStr;

use secrecy::SecretSlice;

use crate::attendant::Unattended;

#[cfg_attr(any(not(unix), target_os = "macos"), path = "vault/aws_vault_absent.rs")]
pub mod aws_vault;
pub mod file;
#[cfg_attr(not(target_os = "linux"), path = "vault/kernel_absent.rs")]
pub mod kernel;
pub mod keychain;
mod passphrase;
mod seal;
#[cfg_attr(not(all(unix, not(target_os = "macos"))), path = "vault/unlocked_absent.rs")]
mod unlocked;

/// The name of a stored secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    /// A profile's long-term access key: `ID` and `SECRET` on a line each.
    AccessKey(String),
    /// The key that shall take its place, from its making until it was proven; in the same form.
    NextAccessKey(String),
    /// The 16 bytes that open a YubiKey's OATH accounts, derived from their password; by the device's id, which RESET
    /// changes.
    OathKey(String),
    /// The 32 bytes that seal the kept sessions.
    SealingKey,
    /// A profile's TOTP seed, as Base32 or an `otpauth://` URI.
    Seed(String),
}

impl fmt::Display for Entry {
    /// The stable text form under which the entry is stored: `access-key:PROFILE`, `next-access-key:PROFILE`, `oath-key:ID`,
    /// `sealing-key`, `seed:PROFILE`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccessKey(profile) => write!(f, "access-key:{profile}"),
            Self::NextAccessKey(profile) => write!(f, "next-access-key:{profile}"),
            Self::OathKey(id) => write!(f, "oath-key:{id}"),
            Self::SealingKey => f.write_str("sealing-key"),
            Self::Seed(profile) => write!(f, "seed:{profile}"),
        }
    }
}

/// A name under which nothing of this version is stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a secret that this onetap knows")]
pub struct UnknownEntry(pub String);

impl FromStr for Entry {
    type Err = UnknownEntry;

    fn from_str(text: &str) -> Result<Self, UnknownEntry> {
        Ok(match text.split_once(':') {
            Some(("access-key", profile)) => Self::AccessKey(profile.into()),
            Some(("oath-key", id)) => Self::OathKey(id.into()),
            Some(("seed", profile)) => Self::Seed(profile.into()),
            None if text == "sealing-key" => Self::SealingKey,
            _ => return Err(UnknownEntry(text.into())),
        })
    }
}

/// Why the vault did not serve. Absence of an entry is not a failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The vault is there and what it holds is damaged.
    #[error("the vault {place} is damaged: {reason}")]
    Damaged {
        /// The file or service.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The vault is there and closed: a locked keychain, or a passphrase that nobody gave.
    #[error("the vault is locked: {0}")]
    Locked(String),
    /// No keychain on this machine, or it cannot be reached.
    #[error("no keychain can be reached: {0}")]
    NoKeychain(String),
    /// The desktop asked for the keychain's password, and the person closed the window.
    #[error("the keychain's unlock window was closed without its password")]
    Dismissed,
    /// Others may read or own the vault's file.
    #[error("the vault {place} is open to others")]
    OpenToOthers {
        /// The file.
        place: String,
    },
    /// Anything else that the system reports.
    #[error("the vault could not be used: {0}")]
    Other(String),
    /// The keychain accepted the call and then said nothing.
    #[error("the keychain did not answer in time")]
    TimedOut,
    /// The desktop asked for the keychain's password, and nobody gave it.
    #[error("the keychain was not unlocked in time")]
    Unanswered,
    /// The passphrase was asked for and nobody gave it.
    #[error(transparent)]
    Unattended(#[from] Unattended),
    /// The passphrase does not open the file.
    #[error("the passphrase does not open {place}")]
    WrongPassphrase {
        /// The file.
        place: String,
    },
}

/// Secrets at rest.
pub trait Vault: fmt::Debug + Send + Sync {
    /// Reads an entry; `Ok(None)` if there is none. Blocks, with a limit of the vault's own.
    fn read(&self, entry: &Entry) -> Result<Option<SecretSlice<u8>>, VaultError>;
    /// Writes an entry, replacing what it held.
    fn write(&self, entry: &Entry, value: &SecretSlice<u8>) -> Result<(), VaultError>;
    /// Removes an entry; removing one that is not there succeeds.
    fn remove(&self, entry: &Entry) -> Result<(), VaultError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for entry in [
            Entry::AccessKey("a:b".into()),
            Entry::OathKey("0123".into()),
            Entry::SealingKey,
            Entry::Seed("doug".into()),
        ] {
            assert_eq!(entry.to_string().parse(), Ok(entry));
        }
        for strange in ["", "sealing-key:", "password:doug", "doug"] {
            assert_eq!(strange.parse::<Entry>(), Err(UnknownEntry(strange.into())));
        }
    }
}
