//! `mfa_serial = auto`: which device a user has, found out once and remembered.
//!
//! IAM is asked. Where it refuses the key alone, the device is guessed from the user's name and the accounts on the keys that
//! are plugged in, and one session is the proof: one code at most is spent on a guess, and the session is kept.
//! A device that was remembered, and that AWS no longer knows, is found out anew, once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::attendant::Notice;
use crate::code::CodeError;
use crate::code::yubikey::account;
use crate::error::Error;
use crate::iam::IamError;
use crate::plan::{MfaSerial, PlanError};
use crate::sts::StsError;

use super::token::look_at_all;
use super::user::User;
use super::{Context, apart, ledger};

/// The devices that `auto` stood for in this process, by profile.
#[derive(Clone, Debug, Default)]
pub(super) struct Used(Arc<Mutex<BTreeMap<String, String>>>);

impl Used {
    fn note(&self, profile: &str, serial: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(profile.into(), serial.into());
    }

    fn take(&self) -> BTreeMap<String, String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The device's serial, remembered or found out now.
pub(super) fn device(context: &Context, profile: &str) -> Result<String, Error> {
    if let Some(serial) = remembered(context, profile) {
        context.auto.note(profile, &serial);
        return Ok(serial);
    }
    if context.stays {
        apart::find_device(context, profile)?;
        let lost = || Error::Usage("what was found out about the MFA device is lost again".into());
        return remembered(context, profile).ok_or_else(lost);
    }
    let user = User::of(context, profile, "auto")?;
    let (candidates, certain) = candidates(&user)?;
    let serial = chosen(&user, candidates, certain)?;
    keep(context, profile, &serial)?;
    if !certain && let Err(error) = user.mfa_session() {
        ledger::write::<String>(&place(context), profile, None)?;
        return Err(error);
    }
    Ok(serial)
}

/// The user's devices and whether IAM told them, or the one that has the user's name.
fn candidates(user: &User) -> Result<(Vec<String>, bool), Error> {
    match user.call_with(&user.key, async |iam| iam.devices(&user.name).await) {
        Ok(devices) => Ok((devices.into_iter().map(|device| device.serial).collect(), true)),
        Err(Error::Iam(IamError::Denied { .. })) => {
            Ok((vec![format!("{}mfa/{}", user.root(), user.name)], false))
        }
        Err(error) => Err(error),
    }
}

fn keep(context: &Context, profile: &str, serial: &str) -> Result<(), Error> {
    let text = format!("mfa_serial = auto in [{profile}] stands for {serial}.");
    context.attendant.notice(Notice::Told(text));
    ledger::write(&place(context), profile, Some(serial.to_owned()))
}

/// Whether a verb failed because of a device that was remembered and is gone, and another one is found: it may go again.
/// Fails where the user has none that could be meant.
pub(super) fn is_outdated(context: &Context, error: &Error) -> Result<bool, Error> {
    let used = match error {
        Error::Sts(StsError::UnknownDevice) | Error::Code(CodeError::NoAccount { .. }) => context.auto.take(),
        _ => return Ok(false),
    };
    let refused = matches!(error, Error::Sts(_));
    for (profile, old) in used {
        match anew(&context.anew(), &profile, &old, refused) {
            Ok(true) => return Ok(true),
            // Nobody is helped by an error about a device that is not there.
            Err(none @ Error::Usage(_)) => return Err(none),
            // What failed first is what counts.
            Ok(false) | Err(_) => {}
        }
    }
    Ok(false)
}

/// Forgets what AWS does not know after all.
pub(super) fn give_up(context: &Context, error: &Error) {
    if matches!(error, Error::Sts(StsError::UnknownDevice)) {
        for profile in context.auto.take().keys() {
            // What cannot be forgotten is tried again by the next run, and found out anew then.
            drop(forget(context, profile));
        }
    }
}

/// Finds out whether another device has come in the place of `old`; `refused` tells that STS does not know `old`.
fn anew(context: &Context, profile: &str, old: &str, refused: bool) -> Result<bool, Error> {
    let user = User::of(context, profile, "auto")?;
    let (candidates, certain) = candidates(&user)?;
    let known = candidates.iter().any(|serial| serial == old);
    if known && (certain || !refused) {
        return Ok(false);
    }
    if certain || refused {
        forget(context, profile)?;
        let text = format!("AWS no longer knows {old}, for which mfa_serial = auto in [{profile}] stood.");
        context.attendant.notice(Notice::Told(text));
    }
    if known {
        return Ok(false);
    }
    let serial = chosen(&user, candidates, certain)?;
    keep(context, profile, &serial)?;
    Ok(true)
}

/// Whether a plan lacks only a device that is to be found out.
pub(super) fn is_unknown(error: &Error) -> bool {
    matches!(error, Error::Plan { source, .. } if matches!(**source, PlanError::Auto { .. }))
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
