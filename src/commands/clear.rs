//! `onetap clear`: forgets sessions.

use crate::error::Error;
use crate::session::store::Kept;

use super::{Context, print};

pub(super) fn run(context: &Context, profile: Option<&str>) -> Result<(), Error> {
    let gone = forget(context, profile)?;
    let end = if gone == 0 { "" } else { " AWS itself keeps a session alive until its end." };
    let sessions = if gone == 1 { "session" } else { "sessions" };
    print(format!("Forgot {gone} {sessions}.{end}\n").as_bytes())
}

/// Forgets the sessions of a profile's key, or all; returns how many there were.
pub(super) fn forget(context: &Context, profile: Option<&str>) -> Result<usize, Error> {
    if !context.places.sessions().exists() {
        return Ok(0);
    }
    let mut gone = 0;
    let store = context.store(context.vault()?);
    let forget = |kept: &mut Kept| {
        let before = kept.sessions.len();
        match profile {
            None => kept.sessions.clear(),
            Some(profile) => {
                if let Some(id) = kept.access_keys.get(profile) {
                    kept.sessions.retain(|key, _| !key.is_from(id));
                }
            }
        }
        gone = before.saturating_sub(kept.sessions.len());
    };
    store.update(forget, context.clock.now())?;
    Ok(gone)
}
