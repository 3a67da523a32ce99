//! aws-vault's items where there is no Secret Service: not read.

use secrecy::SecretString;

use super::VaultError;

/// Always an error that says so.
pub fn read(_profile: &str) -> Result<Option<(String, SecretString)>, VaultError> {
    Err(VaultError::Other("aws-vault's items are read from the Secret Service only".into()))
}
