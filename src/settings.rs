//! onetap's own settings file: which vault holds the keys, written down once.
//!
//! A vault that is chosen anew at each run loses keys; so the first one that is used is recorded.

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::files::{Private, write_whole};

/// A kind of vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VaultKind {
    /// An encrypted file, for machines without a keychain.
    File,
    /// The operating system's.
    Keychain,
}

impl VaultKind {
    /// What a person calls it, after "the".
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "vault file",
            Self::Keychain => "keychain",
        }
    }

    /// The word in the settings file and for `--vault`.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Keychain => "keychain",
        }
    }
}

impl FromStr for VaultKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "file" => Ok(Self::File),
            "keychain" => Ok(Self::Keychain),
            _ => Err(format!("{text:?} is neither keychain nor file")),
        }
    }
}

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    path: PathBuf,
    /// The vault in use; `None` before anything was stored.
    pub vault: Option<VaultKind>,
}

/// Why the vault to use is not clear.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The command line wants another vault than the recorded one.
    #[error("the keys rest in the {} (recorded in {}), not in the {}", .recorded.name(), .path.display(), .wanted.name())]
    OtherVault {
        /// The settings file.
        path: PathBuf,
        /// What it records.
        recorded: VaultKind,
        /// What `--vault` or `ONETAP_VAULT` says.
        wanted: VaultKind,
    },
    /// The file cannot be read or written, or a line makes no sense.
    #[error("{place}: {reason}")]
    Unusable {
        /// The file, and the line if there is one.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

impl Settings {
    /// Reads the file; one that is not there says nothing.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(SettingsError::Unusable {
                    place: path.display().to_string(),
                    reason: error.to_string(),
                });
            }
        };
        let mut settings = Self { path: path.into(), vault: None };
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            settings.take(line).map_err(|reason| SettingsError::Unusable {
                place: format!("{}:{}", path.display(), index.saturating_add(1)),
                reason,
            })?;
        }
        Ok(settings)
    }

    fn take(&mut self, line: &str) -> Result<(), String> {
        match line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
            Some(("vault", value)) => self.vault = Some(value.parse()?),
            _ => {
                return Err(format!(
                    "{line:?} is not a setting; the only one is `vault = keychain` or `vault = file`"
                ));
            }
        }
        Ok(())
    }

    /// The vault to use: the recorded one, else the wanted one, else the keychain.
    pub fn vault(&self, wanted: Option<VaultKind>) -> Result<VaultKind, SettingsError> {
        match (self.vault, wanted) {
            (Some(recorded), Some(wanted)) if recorded != wanted => {
                Err(SettingsError::OtherVault { path: self.path.clone(), recorded, wanted })
            }
            (recorded, wanted) => Ok(recorded.or(wanted).unwrap_or(VaultKind::Keychain)),
        }
    }

    /// Records another vault than the recorded one; other lines stay as they are.
    pub fn change(&mut self, kind: VaultKind) -> Result<(), SettingsError> {
        let unusable = |error: io::Error| SettingsError::Unusable {
            place: self.path.display().to_string(),
            reason: error.to_string(),
        };
        let text = match std::fs::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text.map_err(unusable)?,
        };
        let is_record = |line: &&str| line.trim().split('=').next().is_some_and(|key| key.trim() == "vault");
        let mut lines: Vec<_> = text.lines().filter(|line| !is_record(line)).collect();
        let record = format!("vault = {}", kind.word());
        lines.push(&record);
        let text = lines.join("\n") + "\n";
        write_whole(&self.path, text.as_bytes(), Private::AsItWas).map_err(unusable)?;
        self.vault = Some(kind);
        Ok(())
    }

    /// Records the vault in use, unless one is recorded; other lines stay as they are.
    pub fn record(&mut self, kind: VaultKind) -> Result<(), SettingsError> {
        if self.vault.is_some() {
            return Ok(());
        }
        let mut text = std::fs::read_to_string(&self.path).unwrap_or_default();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("vault = {}\n", kind.word()));
        write_whole(&self.path, text.as_bytes(), Private::AsItWas).map_err(|error| {
            SettingsError::Unusable { place: self.path.display().to_string(), reason: error.to_string() }
        })?;
        self.vault = Some(kind);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_vault_is_recorded_and_another_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("config");
        std::fs::write(&path, "# mine").unwrap();
        let mut settings = Settings::read(&path).unwrap();
        assert_eq!(settings.vault(None), Ok(VaultKind::Keychain));
        settings.record(settings.vault(Some(VaultKind::File)).unwrap()).unwrap();
        settings.record(VaultKind::Keychain).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# mine\nvault = file\n");
        let settings = Settings::read(&path).unwrap();
        assert_eq!(settings.vault(None), Ok(VaultKind::File));
        assert!(matches!(settings.vault(Some(VaultKind::Keychain)), Err(SettingsError::OtherVault { .. })));
    }

    #[test]
    fn the_record_can_be_changed_and_other_lines_stay() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("config");
        std::fs::write(&path, "# mine\n vault=file\n# vault = neither").unwrap();
        let mut settings = Settings::read(&path).unwrap();
        settings.change(VaultKind::Keychain).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# mine\n# vault = neither\nvault = keychain\n");
        assert_eq!(Settings::read(&path).unwrap().vault, Some(VaultKind::Keychain));
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("config");
        std::fs::write(&path, "\nvault = pocket\n").unwrap();
        let refused = Settings::read(&path).unwrap_err().to_string();
        assert!(refused.contains("config:2") && refused.contains("pocket"), "{refused}");
    }
}
