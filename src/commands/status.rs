//! `onetap status`: profiles, devices, sessions; and a line for a shell's prompt.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::cli::Status;
use crate::error::Error;
use crate::plan::{self, Plan};
use crate::session::store::Kept;
use crate::session::{Session, SessionKey};

use super::kept::key_of;
use super::{Context, located, print, print_json};

/// What `--json` prints: `docs/SCRIPTS.md`.
#[derive(Serialize)]
struct Document<'a> {
    profiles: Vec<Shown<'a>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    profile: &'a str,
    mfa_device: Option<String>,
    session: Option<ShownSession>,
}

#[derive(Serialize)]
struct ShownSession {
    access_key_id: String,
    expires: String,
    seconds_left: u64,
    mfa: bool,
    role: bool,
}

pub(super) fn run(context: &Context, status: &Status) -> Result<(), Error> {
    if status.prompt {
        return prompt(context, status.profile.clone());
    }
    let only = status.profile.as_deref();
    let profiles = context.profiles()?;
    if let Some(name) = only {
        plan::named(&profiles, name).map_err(|error| located(&profiles, error))?;
    }
    let kept = if context.places.sessions().exists() {
        context.store(context.vault()?).read()?
    } else {
        Kept::default()
    };
    let now = context.clock.now();
    let mut shown = profiles
        .names()
        .filter(|name| only.is_none_or(|only| only == *name))
        .filter_map(|name| {
            let plan = context.plan_unasked(&profiles, name).ok();
            let is_role = plan.as_ref().is_some_and(Plan::is_role);
            let device = plan.and_then(|plan| plan.mfa).map(|mfa| mfa.serial.to_string());
            let mfa_device = device.or_else(|| Some(profiles.profile(name)?.value("mfa_serial")?.to_owned()));
            (mfa_device.is_some() || is_role || only.is_some()).then(|| Shown {
                profile: name,
                mfa_device,
                session: living(&kept, key_of(context, &profiles, &kept, name), now).map(|session| {
                    ShownSession {
                        access_key_id: session.access_key_id.clone(),
                        expires: session.expiration_text(),
                        seconds_left: session.left(now).as_secs(),
                        mfa: session.authenticated.is_some(),
                        role: is_role,
                    }
                }),
            })
        })
        .collect::<Vec<_>>();
    shown.sort_unstable_by_key(|shown| shown.profile);
    match status.json {
        true => print_json(&Document { profiles: shown }),
        false => print(table(&shown).as_bytes()),
    }
}

fn table(shown: &[Shown<'_>]) -> String {
    if shown.is_empty() {
        return "No profile has an MFA device yet; `onetap add PROFILE` makes one.\n".into();
    }
    let mut rows = vec![["PROFILE".into(), "MFA DEVICE".into(), "SESSION".into()].to_vec()];
    rows.extend(shown.iter().map(|shown| {
        let session = shown.session.as_ref().map_or("-".into(), |session| {
            let minutes = session.seconds_left / 60;
            let mfa = match session {
                ShownSession { mfa: false, .. } => "without MFA",
                // A role's session does not carry it on (docs/ROLES.md).
                ShownSession { role: true, .. } => "MFA at sign-in",
                ShownSession { .. } => "with MFA",
            };
            format!("{} h {:02} min left, {mfa}", minutes / 60, minutes % 60)
        });
        vec![shown.profile.into(), shown.mfa_device.as_deref().unwrap_or("-").into(), session]
    }));
    super::token::table(&rows)
}

/// The session of this key, if it is not over.
fn living(kept: &Kept, key: Option<SessionKey>, now: SystemTime) -> Option<&Session> {
    kept.sessions.get(&key?).filter(|session| session.left(now) > Duration::ZERO)
}

/// The key of a user's session, where the profile itself can no longer be read.
fn of_user(kept: &Kept, profile: &str) -> Option<SessionKey> {
    let id = kept.access_keys.get(profile)?;
    kept.sessions.keys().find(|key| key.as_str().starts_with("mfa\n") && key.is_from(id)).cloned()
}

/// One short line, or nothing at all: a prompt has no place for an error, and no time for a keychain.
fn prompt(context: &Context, profile: Option<String>) -> Result<(), Error> {
    let variable = |name| context.variable(name);
    let named = profile.or_else(|| variable("ONETAP_PROFILE")).or_else(|| variable("AWS_PROFILE"));
    let Some(profile) = named else { return Ok(()) };
    // Which vault it is does not matter: it is not asked.
    let Some(kept) = crate::session::store::at_hand(&context.places.sessions()) else { return Ok(()) };
    let now = context.clock.now();
    let planned = context.profiles().ok().and_then(|profiles| key_of(context, &profiles, &kept, &profile));
    let key = planned.or_else(|| of_user(&kept, &profile));
    let Some(session) = living(&kept, key, now) else { return Ok(()) };
    let minutes = session.left(now).as_secs() / 60;
    // A name from a file must not move the cursor.
    let name: String = profile.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    print(format!("{name} {}h{:02}m\n", minutes / 60, minutes % 60).as_bytes())
}
