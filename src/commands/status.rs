//! `onetap status`: profiles, devices, sessions.

use std::time::Duration;

use crate::error::Error;
use crate::plan;
use crate::session::Session;
use crate::session::store::Kept;

use super::{Context, located, print};

pub(super) fn run(context: &Context, only: Option<&str>) -> Result<(), Error> {
    let profiles = context.profiles()?;
    if let Some(name) = only {
        plan::named(&profiles, name).map_err(|error| located(&profiles, error))?;
    }
    let kept = if context.places.sessions().exists() {
        context.store(context.vault()?).read()?
    } else {
        Kept::default()
    };
    let mut names = profiles
        .names()
        .filter(|name| only.is_none_or(|only| only == *name))
        .filter_map(|name| {
            let profile = profiles.profile(name)?;
            let serial = profile.value("mfa_serial");
            (serial.is_some() || only.is_some()).then(|| (name, serial.unwrap_or("-")))
        })
        .collect::<Vec<_>>();
    names.sort_unstable();
    if names.is_empty() {
        return print(b"No profile has an MFA device yet; `onetap add PROFILE` makes one.\n");
    }
    let width = names.iter().map(|(name, _)| name.len()).max().unwrap_or_default().max("PROFILE".len());
    let serials =
        names.iter().map(|(_, serial)| serial.len()).max().unwrap_or_default().max("MFA DEVICE".len());
    let mut text = format!("{:width$}  {:serials$}  SESSION\n", "PROFILE", "MFA DEVICE");
    for (name, serial) in names {
        let session = session(context, &kept, name);
        text.push_str(&format!("{name:width$}  {serial:serials$}  {session}\n"));
    }
    print(text.as_bytes())
}

fn session(context: &Context, kept: &Kept, profile: &str) -> String {
    let now = context.clock.now();
    let Some(id) = kept.access_keys.get(profile) else { return "-".into() };
    let best = kept
        .sessions
        .iter()
        .filter(|(key, session)| key.is_from(id) && session.left(now) > Duration::ZERO)
        .map(|(_, session): (_, &Session)| session)
        .max_by_key(|session| session.expiration);
    match best {
        None => "-".into(),
        Some(session) => {
            let minutes = session.left(now).as_secs() / 60;
            format!("{} h {:02} min left, with MFA", minutes / 60, minutes % 60)
        }
    }
}
