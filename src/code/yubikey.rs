//! Codes from a YubiKey's OATH applet: SELECT, CALCULATE, and that is all where nothing is in the way.
//!
//! Knows which key is asked, and in which order where there are several; what is said to one is
//! `conversation`'s, the bytes are [`crate::oath`]'s.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Code, CodeError, CodeSource, TimeStep};
use crate::attendant::{Attendant, Notice, when_slow};
use crate::card::{CardError, Place, Reader};
use crate::oath::OathError;
use crate::places::Places;
use crate::vault::Vault;

pub mod account;
mod conversation;
pub mod memory;
pub mod queue;

use conversation::{Conversation, IfLocked};
use memory::Memory;
use queue::Queue;

/// How long the search for a key may take before a person is told.
const PATIENCE: Duration = Duration::from_millis(200);

/// An account on a YubiKey.
#[derive(Clone, Debug)]
pub struct YubiKey {
    reader: Reader,
    account: String,
    device: Option<String>,
    memory: Option<Memory>,
    profile: Option<String>,
    queue: Option<Queue>,
    vault: Option<Arc<dyn Vault>>,
}

impl YubiKey {
    /// The account of this exact name, prefixes included, on the YubiKey in this reader. A password is asked for.
    pub fn new(reader: Reader, account: String) -> Self {
        Self { reader, account, device: None, memory: None, profile: None, queue: None, vault: None }
    }

    /// For this profile with this MFA device. If the account is named as the device is, it may have any of the names that
    /// such accounts really have ([`account::meant`]). What was learned of a key is kept in `places`, as are the locks
    /// that keep other processes from talking to the same key meanwhile.
    pub fn of_profile(self, profile: String, device: String, places: &Places) -> Self {
        Self {
            device: Some(device),
            memory: Some(Memory::new(places.keys())),
            profile: Some(profile),
            queue: Some(Queue::new(places.turns())),
            ..self
        }
    }

    /// A password that this vault remembers is not asked for. The vault is opened only when the key is locked.
    pub fn remembering(self, vault: Arc<dyn Vault>) -> Self {
        Self { vault: Some(vault), ..self }
    }

    /// Asks the key in one place; `Err((true, _))` if another key may hold the account all the same.
    fn ask(&self, asked: Conversation<'_>) -> Result<Code, (bool, CodeError)> {
        let Conversation { place, deadline, attendant, .. } = asked;
        let queued = self.queue.as_ref().map(|queue| queue.take(&place.name(), deadline, attendant));
        let _held = queued.transpose().map_err(|error| (true, error.into()))?;
        let (reached, code) = asked.hold();
        code.map_err(|error| {
            let elsewhere = match &error {
                CodeError::Card(_) => !reached,
                CodeError::NoAccount { .. } => true,
                CodeError::Oath(OathError::Locked | OathError::NoApplet) => true,
                _ => false,
            };
            (elsewhere, error)
        })
    }

    /// The first key that holds the account: those that are open first, then those whose password the vault remembers,
    /// so that neither the vault nor a person is asked for the password of a key that is not the one.
    fn first(
        &self,
        places: &[Place],
        step: TimeStep,
        deadline: Instant,
        attendant: &dyn Attendant,
    ) -> Result<Code, CodeError> {
        use IfLocked::{Ask, PassOver, Recall, RecallAndAsk};
        let rounds: &[IfLocked] = match places.len() {
            0 | 1 => &[RecallAndAsk],
            _ => &[PassOver, Recall, Ask],
        };
        let mut why = None;
        let mut left: Vec<&Place> = places.iter().collect();
        for if_locked in rounds.iter().copied() {
            let passes_over = matches!(if_locked, PassOver | Recall);
            let mut locked = Vec::new();
            for place in left {
                let asked = Conversation { source: self, place, if_locked, step, deadline, attendant };
                match self.ask(asked) {
                    Ok(code) => return Ok(code),
                    Err((true, CodeError::Oath(OathError::Locked))) if passes_over => locked.push(place),
                    Err((true, error)) => why = Some(graver(why, error)),
                    Err((false, error)) => return Err(error),
                }
            }
            left = locked;
        }
        Err(why.unwrap_or(CodeError::Card(CardError::NoToken { wanted: None, present: Vec::new() })))
    }
}

/// What to say of several keys that did not serve: a key that could not be asked may hold the account; of those that do
/// not hold it, the names on all of them help.
fn graver(before: Option<CodeError>, now: CodeError) -> CodeError {
    match (before, now) {
        (None, now) => now,
        (Some(CodeError::NoAccount { wanted, present }), CodeError::NoAccount { present: more, .. }) => {
            let mut all = present;
            all.extend(more);
            all.sort();
            all.dedup();
            CodeError::NoAccount { present: account::nearest(&wanted, all), wanted }
        }
        (Some(CodeError::NoAccount { .. } | CodeError::Oath(_)), now @ CodeError::Card(_)) => now,
        (Some(CodeError::Oath(_)), now @ CodeError::NoAccount { .. }) => now,
        (Some(before), _) => before,
    }
}

fn bad(account: &str, reason: String) -> CodeError {
    CodeError::BadAccount { account: account.into(), reason }
}

/// Refuses a name that tells another period than AWS's.
fn in_time(name: &str) -> Result<(), CodeError> {
    match account::period(name).filter(|period| *period != super::PERIOD) {
        Some(period) => Err(bad(name, format!("its period is {period} s and AWS's is {} s", super::PERIOD))),
        None => Ok(()),
    }
}

impl CodeSource for YubiKey {
    fn name(&self) -> &'static str {
        "yubikey"
    }

    fn code(&self, step: TimeStep, deadline: Instant, attendant: &dyn Attendant) -> Result<Code, CodeError> {
        in_time(&self.account)?;
        if let Reader::Mock(path) = &self.reader {
            attendant.notice(Notice::VirtualToken { path: path.clone() });
        }
        let places = when_slow(attendant, PATIENCE, Notice::CardBusy, Notice::CardFree, || {
            self.reader.places(deadline)
        })?;
        self.first(&places, step, deadline, attendant)
    }

    fn refused(&self) {
        if let Some(memory) = &self.memory {
            memory.forget_account(&self.account);
        }
    }
}

#[cfg(test)]
mod tests;
