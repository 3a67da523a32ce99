//! A reader with a YubiKey in it.

use std::ffi::CString;
use std::path::PathBuf;
use std::time::Instant;

use super::{Card, CardError, Reader, Serial, mock};

/// A reader with a YubiKey in it, as it was when it was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    slot: Slot,
    serial: Option<Serial>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Slot {
    Mock(PathBuf),
    Pcsc(CString),
}

impl Reader {
    /// The places where there is a key now, in the system's order, at least one; with `pcsc:SERIAL`, that key's place.
    ///
    /// A lone key costs no APDU unless a serial is wanted; several are asked for their serials, two APDUs each. Blocks
    /// until `deadline` at the longest.
    pub fn places(&self, deadline: Instant) -> Result<Vec<Place>, CardError> {
        Ok(match self {
            Self::Mock(path) => vec![Place { slot: Slot::Mock(path.clone()), serial: None }],
            Self::Pcsc(wanted) => super::pcsc::present::keys(*wanted, deadline)?
                .into_iter()
                .map(|(name, serial)| Place { slot: Slot::Pcsc(name), serial })
                .collect(),
        })
    }
}

impl Reader {
    /// The names of the places where there is a key now, at least one; no key is asked for anything, so that
    /// `pcsc:SERIAL` gives all of them. Limits as [`Reader::places`]'s.
    pub fn names(&self, deadline: Instant) -> Result<Vec<String>, CardError> {
        Ok(match self {
            Self::Mock(_) => vec![self.to_string()],
            Self::Pcsc(wanted) => super::pcsc::present::readers(deadline)
                .map_err(|error| error.of_key(*wanted))?
                .iter()
                .map(|name| name.to_string_lossy().into_owned())
                .collect(),
        })
    }
}

impl Place {
    /// The reader's name, or `mock:PATH`.
    pub fn name(&self) -> String {
        match &self.slot {
            Slot::Mock(path) => Reader::Mock(path.clone()).to_string(),
            Slot::Pcsc(name) => name.to_string_lossy().into_owned(),
        }
    }

    /// The key's serial number, where it was asked for and told.
    pub fn serial(&self) -> Option<Serial> {
        self.serial
    }

    /// Waits for about three seconds until the smart card service is back after a restart, with the key in its reader;
    /// [`CardError::NoService`] where it does not come.
    pub fn wait_for_service(&self, deadline: Instant) -> Result<(), CardError> {
        match &self.slot {
            Slot::Mock(_) => Ok(()),
            Slot::Pcsc(name) => super::pcsc::present::wait_for(name.clone(), deadline),
        }
    }

    /// Connects, holds the card while `work` runs, and leaves it as it was found. Limits as [`Reader::transact`]'s.
    pub fn transact<T, E: From<CardError>>(
        &self,
        deadline: Instant,
        work: impl FnOnce(&mut dyn Card) -> Result<T, E>,
    ) -> Result<T, E> {
        match &self.slot {
            Slot::Mock(path) => mock::transact(path, deadline, work),
            Slot::Pcsc(name) => super::pcsc::transact_in(name.clone(), deadline, work),
        }
    }
}
