//! One conversation at a time per reader, however many devices' accounts are on its key.
//!
//! Taken after the turn of the MFA device, and held from before the notice until after the card's answer: so notices
//! come one after the other, and a touch is never credited to the wrong one.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::attendant::{Attendant, Notice, when_slow};
use crate::card::CardError;
use crate::files::Lock;

/// A quick neighbour is never mentioned.
const PATIENCE: Duration = Duration::from_millis(200);

/// The folder of the readers' locks.
#[derive(Clone, Debug)]
pub struct Queue(PathBuf);

impl Queue {
    /// Opens nothing yet.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Waits until no other onetap talks to the key in the reader of this name ([`Place::name`]); [`CardError::Busy`] at
    /// the deadline. `None` where the lock cannot be made: a full or read-only home must not keep a person from working.
    ///
    /// [`Place::name`]: crate::card::Place::name
    pub fn take(
        &self,
        reader: &str,
        deadline: Instant,
        attendant: &dyn Attendant,
    ) -> Result<Option<Lock>, CardError> {
        // A reader's name has blanks, a virtual token's has slashes.
        let digest = data_encoding::HEXLOWER.encode(Sha256::digest(reader).as_slice());
        let path = self.0.join(format!("reader-{}.lock", digest.get(..16).unwrap_or(&digest)));
        let holder = "another onetap that uses this YubiKey".into();
        let taken = when_slow(attendant, PATIENCE, Notice::TurnHeld { holder }, Notice::TurnTaken, || {
            Lock::take(&path, deadline)
        });
        match taken {
            Ok(lock) => Ok(Some(lock)),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(CardError::Busy),
            Err(_) => Ok(None),
        }
    }
}
