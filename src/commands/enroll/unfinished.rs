//! What an enrolment that was cut short has left behind. Holds no secret: the seed of such a device is lost, by design.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::Error;

use super::super::{Context, ledger};

/// An enrolment between its first step and its proof.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in super::super) struct Unfinished {
    /// The device's ARN; IAM may know it or not.
    pub(super) serial: String,
    /// The OATH account's name.
    pub(super) account: String,
    /// The keys that may hold the seed, by their ids.
    #[serde(default)]
    pub(super) keys: Vec<String>,
    /// Whether the vault may hold it.
    #[serde(default)]
    pub(super) software: bool,
    /// Whether a YubiKey is left out.
    #[serde(default)]
    pub(super) no_key: bool,
}

impl Unfinished {
    pub(super) fn of(context: &Context, profile: &str) -> Option<Self> {
        ledger::read(&place(context), profile)
    }

    pub(super) fn keep(&self, context: &Context, profile: &str) -> Result<(), Error> {
        ledger::write(&place(context), profile, Some(self.clone()))
    }

    /// Nothing is left of it.
    pub(in super::super) fn forget(context: &Context, profile: &str) -> Result<(), Error> {
        ledger::write::<Self>(&place(context), profile, None)
    }
}

fn place(context: &Context) -> PathBuf {
    context.places.state.join("enrolments.json")
}
