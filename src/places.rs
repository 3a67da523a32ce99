//! Where onetap keeps its own files: the XDG base directories, on Windows the person's profile folders.
//!
//! Knows only names; makes nothing.

use std::path::PathBuf;

use etcetera::BaseStrategy as _;

/// The folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// `$XDG_CONFIG_HOME/onetap`: what a person decides.
    pub config: PathBuf,
    /// `$XDG_STATE_HOME/onetap`: turns, and the file vault.
    pub state: PathBuf,
    /// `$XDG_CACHE_HOME/onetap`: sealed sessions and the shells' start files; may be deleted at any time.
    pub cache: PathBuf,
}

impl Places {
    /// The folders of the person who runs this; `None` without a home.
    pub fn of_this_person() -> Option<Self> {
        let base = etcetera::choose_base_strategy().ok()?;
        let cache = base.cache_dir().join("onetap");
        Some(Self {
            config: base.config_dir().join("onetap"),
            // Windows has no state folder.
            state: base.state_dir().map_or_else(|| cache.join("state"), |state| state.join("onetap")),
            cache,
        })
    }

    /// The settings file.
    pub fn settings(&self) -> PathBuf {
        self.config.join("config")
    }

    /// The encrypted file vault.
    pub fn vault(&self) -> PathBuf {
        self.state.join("vault.age")
    }

    /// The sealed sessions.
    pub fn sessions(&self) -> PathBuf {
        self.cache.join("sessions")
    }

    /// The turns, one pair of files a device.
    pub fn turns(&self) -> PathBuf {
        self.state.join("turns")
    }

    /// What was learned about keys: which name an account has on which.
    pub fn keys(&self) -> PathBuf {
        self.state.join("keys.json")
    }

    /// The start files that name the profile in a subshell's prompt.
    pub fn shells(&self) -> PathBuf {
        self.cache.join("shell")
    }
}
