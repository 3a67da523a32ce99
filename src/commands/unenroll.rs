//! `onetap unenroll`: takes an MFA device away, from IAM, from the key that is plugged in, and from the profile.
//!
//! What is gone already is passed over, so that a run that was cut short is completed by the next.

use crate::attendant::Notice;
use crate::cli::Unenroll;
use crate::code::yubikey::account;
use crate::error::Error;
use crate::iam::IamError;
use crate::plan::AUTO;
use crate::vault::Entry;

use super::enroll::{Unfinished, account_of};
use super::token::{Key, confirm, shown};
use super::user::User;
use super::{Context, auto, clear, config_file, print};

pub(super) fn run(context: &Context, asked: &Unenroll) -> Result<(), Error> {
    let profile = asked.profile.as_str();
    let profiles = context.profiles()?;
    let is_auto = profiles.profile(profile).and_then(|own| own.value("mfa_serial")) == Some(AUTO);
    if is_auto && asked.device.is_none() {
        auto::device(context, profile)?;
    }
    let own = account_of(context, profile)?;
    let (serial, account) = match (&asked.device, &own) {
        (Some(device), Some((serial, account))) if device == serial => (serial.clone(), account.clone()),
        (Some(device), _) => (device.clone(), device.clone()),
        (None, Some(own)) => own.clone(),
        (None, None) => return Err(super::no_mfa(profile)),
    };
    let mut user = User::of(context, profile, "unenroll")?;
    let name = user.name.clone();
    let devices = user.call(async |iam| iam.devices(&name).await)?;
    let others = devices.iter().filter(|device| device.serial != serial).count();
    let enabled = devices.iter().any(|device| device.serial == serial);
    let last = if enabled && others == 0 {
        format!(
            " It is the only one: where policies demand MFA, nothing works afterwards, so that another one should be \
             there first (`onetap enroll {profile} --device NAME`, then `onetap unenroll {profile} --device {serial}`)."
        )
    } else {
        String::new()
    };
    let question = format!("Take {serial} away from {name}, at IAM and on the YubiKey?{last}");
    confirm(&user.context.anew(), &question, "yes", asked.yes)?;
    let gone = [
        gone(user.call(async |iam| iam.deactivate_device(&name, &serial).await))?,
        // A hardware device is its maker's; only a virtual one can be deleted.
        !serial.contains(":mfa/") || gone(user.call(async |iam| iam.delete_device(&serial).await))?,
    ];
    if gone == [true, true] && serial.contains(":mfa/") {
        let text = format!("IAM knows no device {serial} of {name}; what is left of it is taken away here");
        user.context.attendant.notice(Notice::Warning(text));
    }
    let places = from_the_key(&user.context.anew(), &serial, &account)?;
    if own.is_some_and(|(own, _)| own == serial) {
        user.context.vault()?.remove(&Entry::Seed(profile.into()))?;
        let both = ["mfa_serial", "onetap_account"];
        // `auto` stays: it stands for whatever device comes next.
        let keys = both.get(usize::from(is_auto)..).unwrap_or_default();
        config_file::unset(&user.context.anew(), &profiles.files().config, profile, keys)?;
        clear::forget(&user.context, Some(profile))?;
    }
    Unfinished::forget(&user.context, profile)?;
    auto::forget(&user.context, profile)?;
    print(
        format!("{serial} is gone from IAM{places}. AWS keeps sessions alive until their end.\n").as_bytes(),
    )
}

/// Whether IAM knew nothing of it.
fn gone(answer: Result<(), Error>) -> Result<bool, Error> {
    match answer {
        Ok(()) => Ok(false),
        Err(Error::Iam(IamError::Gone(_))) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Removes the account from the key that is plugged in, if it holds it; says in a few words what was done.
fn from_the_key(context: &Context, serial: &str, account: &str) -> Result<String, Error> {
    let left = |why: String| {
        let text = format!(
            "{why}: where a YubiKey still holds {}, remove it with `onetap token delete`",
            shown(account)
        );
        context.attendant.notice(Notice::Told(text));
        Ok(String::new())
    };
    let key = match Key::open(context) {
        Ok(key) => key,
        Err(error) if error.is_refusal() => return Err(error),
        Err(error) => return left(error.to_string()),
    };
    let meant = account::meant(account, Some(serial), key.accounts());
    let [id] = meant.as_slice() else { return left(format!("{} does not hold it", key.named())) };
    key.work(context, |applet| applet.delete(id))?;
    Ok(format!(", and {} from {}", shown(id), key.named()))
}
