//! `mfa_serial = auto`: which device a user has, found out once and remembered.
//!
//! IAM is asked. Where it refuses the key alone, the device is guessed from the user's name and the accounts on the keys that
//! are plugged in, and one session is the proof: one code at most is spent on a guess, and the session is kept.

use std::path::PathBuf;

use crate::attendant::Notice;
use crate::code::yubikey::account;
use crate::error::Error;
use crate::iam::IamError;
use crate::plan::MfaSerial;

use super::token::look_at_all;
use super::user::User;
use super::{Context, ledger};

/// The device's serial, remembered or found out now.
pub(super) fn device(context: &Context, profile: &str) -> Result<String, Error> {
    if let Some(serial) = remembered(context, profile) {
        return Ok(serial);
    }
    let user = User::of(context, profile, "auto")?;
    let (candidates, certain) = match user.call_with(&user.key, async |iam| iam.devices(&user.name).await) {
        Ok(devices) => (devices.into_iter().map(|device| device.serial).collect(), true),
        Err(Error::Iam(IamError::Denied { .. })) => {
            (vec![format!("{}mfa/{}", user.root(), user.name)], false)
        }
        Err(error) => return Err(error),
    };
    let serial = chosen(&user, candidates, certain)?;
    let text = format!("mfa_serial = auto in [{profile}] stands for {serial}.");
    context.attendant.notice(Notice::Told(text));
    ledger::write(&place(context), profile, Some(serial.clone()))?;
    if !certain && let Err(error) = user.mfa_session() {
        ledger::write::<String>(&place(context), profile, None)?;
        return Err(error);
    }
    Ok(serial)
}

/// The device's serial, if it was found out before.
pub(super) fn remembered(context: &Context, profile: &str) -> Option<String> {
    ledger::read(&place(context), profile)
}

/// Has it found out anew by the next command.
pub(super) fn forget(context: &Context, profile: &str) -> Result<(), Error> {
    ledger::write::<String>(&place(context), profile, None)
}

fn place(context: &Context) -> PathBuf {
    context.places.state.join("devices.json")
}

/// The only device that makes codes; of several the one whose account is on a key that is plugged in.
fn chosen(user: &User, candidates: Vec<String>, certain: bool) -> Result<String, Error> {
    let coded: Vec<_> = candidates.iter().filter(|serial| serial.parse::<MfaSerial>().is_ok()).collect();
    let unknown = |what: &str| {
        let listed = if candidates.is_empty() { "none".into() } else { candidates.join(", ") };
        let (profile, name) = (&user.profile, &user.name);
        Error::Usage(format!(
            "mfa_serial = auto in [profile {profile}]: {what} of {name}'s devices ({listed}) is meant; write its ARN \
             instead of auto, or run `onetap enroll {profile}`"
        ))
    };
    match coded.as_slice() {
        [] => return Err(unknown("none")),
        [only] if certain => return Ok((*only).clone()),
        _ => {}
    }
    let there = look_at_all(&user.context.anew()).unwrap_or_default();
    let held = there.into_iter().filter_map(|key| key.seen.ok()?.accounts).collect::<Vec<_>>();
    let on_a_key = |serial: &&String| {
        held.iter().any(|accounts| !account::meant(serial, Some(serial), accounts).is_empty())
    };
    let mut found = coded.into_iter().filter(on_a_key);
    match (found.next(), found.next()) {
        (Some(serial), None) => Ok(serial.clone()),
        _ => Err(unknown("it cannot be told which")),
    }
}
