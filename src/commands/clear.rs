//! `onetap clear`: forgets sessions.

use serde::Serialize;

use crate::error::Error;
use crate::session::Session;
use crate::session::store::Kept;

use super::kept::key_of;
use super::{Context, print, print_json};

/// What `--json` prints: `docs/SCRIPTS.md`.
#[derive(Serialize)]
struct Cleared {
    /// How many sessions were forgotten.
    sessions: usize,
    /// The last moment at which AWS takes one of them; `None` if there were none.
    alive_until: Option<String>,
}

pub(super) fn run(context: &Context, profile: Option<&str>, json: bool) -> Result<(), Error> {
    let gone = forget(context, profile)?;
    let last = gone.iter().max_by_key(|session| session.expiration).map(Session::expiration_text);
    if json {
        return print_json(&Cleared { sessions: gone.len(), alive_until: last });
    }
    let end = last
        .map(|last| format!(" AWS itself keeps a session alive until its end, {last}."))
        .unwrap_or_default();
    let sessions = if gone.len() == 1 { "session" } else { "sessions" };
    print(format!("Forgot {} {sessions}.{end}\n", gone.len()).as_bytes())
}

/// Forgets the sessions of a profile's key, or all; returns those that were still alive.
pub(super) fn forget(context: &Context, profile: Option<&str>) -> Result<Vec<Session>, Error> {
    if !context.places.sessions().exists() {
        return Ok(vec![]);
    }
    let now = context.clock.now();
    let mut gone = vec![];
    let store = context.store(context.vault()?);
    let profiles = profile.map(|_| context.profiles()).transpose()?;
    let forget = |kept: &mut Kept| {
        let id = profile.map(|profile| kept.access_keys.get(profile).cloned());
        // A user's sessions go with the roles that were assumed with them; a role's goes alone.
        let role = profile.zip(profiles.as_ref());
        let role = role.and_then(|(profile, profiles)| key_of(context, profiles, kept, profile));
        kept.sessions.retain(|key, session| {
            let named = match &id {
                None => true,
                Some(Some(id)) => key.is_from(id),
                Some(None) => role.as_ref() == Some(key),
            };
            if named && session.expiration > now {
                gone.push(session.clone());
            }
            !named
        });
    };
    store.update(forget, now)?;
    Ok(gone)
}
