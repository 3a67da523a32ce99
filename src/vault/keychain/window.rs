//! One unlock window for all processes: they take turns, and whoever waited takes the answer.
//!
//! Knows the lock's file and what the last window came to. The file counts refusals: one that came while somebody waited is
//! theirs too, one from before is not.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::VaultError;
use super::super::unlocked::{Unlocking, unlock, unlocked};
use super::{WITHOUT_PROMPT, within};
use crate::files::{Lock, Private, write_whole};

/// The way to the window.
#[derive(Debug)]
pub(super) struct Window {
    lock: PathBuf,
    refusals: PathBuf,
}

impl Window {
    pub(super) fn of(folder: &Path) -> Self {
        Self { lock: folder.join("keychain.lock"), refusals: folder.join("keychain") }
    }

    /// Passes once nothing of `ours` is locked, or nobody can tell. Blocks until `deadline`.
    pub(super) fn pass(&self, ours: &'static str, deadline: Instant) -> Result<(), VaultError> {
        if !is_locked(ours) {
            return Ok(());
        }
        let before = self.refusals();
        // Without its file each asks for itself, which is better than not at all.
        let lock = match Lock::take(&self.lock, deadline) {
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => return Err(VaultError::Unanswered),
            lock => lock.ok(),
        };
        if lock.is_some() && !is_locked(ours) {
            return Ok(());
        }
        let after = self.refusals();
        if after.count > before.count {
            return Err(after.error());
        }
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let refusal = match within(left, move || Ok(unlock(ours))) {
            Ok(Unlocking::Dismissed) => Refusals { dismissed: true, ..after },
            Err(VaultError::TimedOut) => Refusals { dismissed: false, ..after },
            done => return done.map(|_| ()),
        };
        let text = format!("{} {}", refusal.count.saturating_add(1), u8::from(refusal.dismissed));
        // A file that cannot be written costs those that wait a window each.
        let _ = write_whole(&self.refusals, text.as_bytes(), Private::OwnerOnly);
        Err(refusal.error())
    }

    fn refusals(&self) -> Refusals {
        let text = fs::read_to_string(&self.refusals).unwrap_or_default();
        let (count, dismissed) = text.split_once(' ').unwrap_or_default();
        Refusals { count: count.parse().unwrap_or_default(), dismissed: dismissed == "1" }
    }
}

/// How often a window came to nothing, and whether the last one was closed by somebody.
struct Refusals {
    count: u64,
    dismissed: bool,
}

impl Refusals {
    fn error(&self) -> VaultError {
        if self.dismissed { VaultError::Dismissed } else { VaultError::Unanswered }
    }
}

/// Where nobody says so in time, the call itself will tell.
fn is_locked(ours: &'static str) -> bool {
    // The limit inside is for each of several calls.
    within(WITHOUT_PROMPT, move || Ok(unlocked(ours, WITHOUT_PROMPT) == Some(false))).unwrap_or_default()
}
