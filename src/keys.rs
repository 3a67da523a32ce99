//! A person's long-term access key: its form in the vault, and what tells it from a temporary one.
//!
//! Source: IAM User Guide, "IAM identifiers" (unique ID prefixes).

use secrecy::{ExposeSecret, SecretSlice, SecretString};

use crate::shield;
use crate::vault::{Entry, Vault, VaultError};

/// An access key of an IAM user.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// `AKIA...`; public.
    pub id: String,
    /// The secret access key.
    pub secret: SecretString,
}

/// Why two texts are not a long-term access key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// The id is not one that AWS gives.
    #[error("{0:?} is not an access key id, such as AKIAIOSFODNN7EXAMPLE")]
    Id(String),
    /// The secret is empty or holds a blank.
    #[error("the secret access key is empty or holds a blank")]
    Secret,
    /// Temporary credentials, which end by themselves.
    #[error("{0} is the id of temporary credentials; only a user's long-term key is stored")]
    Temporary(String),
}

impl AccessKey {
    /// Checks the form of both parts.
    pub fn parse(id: &str, secret: &SecretString) -> Result<Self, NotAKey> {
        let id = id.trim();
        if id.starts_with("ASIA") {
            return Err(NotAKey::Temporary(id.into()));
        }
        // STS API reference, Credentials, AccessKeyId: 16 to 128 word characters.
        let word = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !(16..=128).contains(&id.len()) || !word {
            return Err(NotAKey::Id(id.into()));
        }
        let trimmed = secret.expose_secret().trim();
        if trimmed.is_empty() || trimmed.contains(char::is_whitespace) {
            return Err(NotAKey::Secret);
        }
        Ok(Self { id: id.into(), secret: trimmed.into() })
    }

    /// Reads a profile's key; `None` if none is stored.
    pub fn read(vault: &dyn Vault, profile: &str) -> Result<Option<Self>, VaultError> {
        Self::read_entry(vault, &Entry::AccessKey(profile.into()))
    }

    /// Reads the key of an entry that holds one.
    pub fn read_entry(vault: &dyn Vault, entry: &Entry) -> Result<Option<Self>, VaultError> {
        let Some(stored) = vault.read(entry)? else { return Ok(None) };
        let damaged =
            || VaultError::Damaged { place: entry.to_string(), reason: "it holds no access key".into() };
        let text = std::str::from_utf8(stored.expose_secret()).map_err(|_| damaged())?;
        let (id, secret) = text.split_once('\n').ok_or_else(damaged)?;
        let key = Self::parse(id, &secret.into()).map_err(|_| damaged())?;
        // It may wait for minutes until somebody touches a token.
        shield::pin(key.secret.expose_secret().as_bytes());
        Ok(Some(key))
    }

    /// Stores the key for a profile.
    pub fn write(&self, vault: &dyn Vault, profile: &str) -> Result<(), VaultError> {
        self.write_entry(vault, &Entry::AccessKey(profile.into()))
    }

    /// Stores the key in an entry that holds one.
    pub fn write_entry(&self, vault: &dyn Vault, entry: &Entry) -> Result<(), VaultError> {
        let bytes = [self.id.as_bytes(), b"\n", self.secret.expose_secret().as_bytes()].concat();
        vault.write(entry, &SecretSlice::from(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_term_keys_are_taken() {
        let parsed = |id: &str, secret: &str| AccessKey::parse(id, &secret.into()).map(|key| key.id);
        assert_eq!(parsed(" AKIAIOSFODNN7EXAMPLE\n", "s/e+c"), Ok("AKIAIOSFODNN7EXAMPLE".into()));
        assert!(matches!(parsed("ASIAIOSFODNN7EXAMPLE", "s"), Err(NotAKey::Temporary(_))));
        assert!(matches!(parsed("AKIA", "s"), Err(NotAKey::Id(_))));
        assert_eq!(parsed("AKIAIOSFODNN7EXAMPLE", " "), Err(NotAKey::Secret));
    }
}
