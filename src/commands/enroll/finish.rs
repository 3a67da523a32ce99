//! The end of an enrolment: the profile, and a session as the proof.

use crate::attendant::Notice;
use crate::error::Error;
use crate::error::iam::UserError;
use crate::sts::StsError;
use crate::vault::Entry;

use super::super::user::User;
use super::super::{config_file, print};
use super::Unfinished;

/// How often a session is asked for until IAM's change has spread; each try takes a code, and so half a minute.
const TRIES: u32 = 5;

/// The device is enabled: the profile, the proof, and the end.
pub(super) fn finish(user: &User, record: &Unfinished) -> Result<(), Error> {
    let context = &user.context;
    write_profile(user, record)?;
    prove(user, &record.serial)?;
    Unfinished::forget(context, &user.profile)?;
    warn_of_an_old_seed(user, record)?;
    let places = match (record.keys.len(), record.software) {
        (0, _) => "the vault".to_owned(),
        (1, false) => "a YubiKey".into(),
        (1, true) => "a YubiKey and the vault".into(),
        (keys, false) => format!("{keys} YubiKeys"),
        (keys, true) => format!("{keys} YubiKeys and the vault"),
    };
    let text = format!(
        "{} is enabled for {}, its seed is on {places}, and AWS gave a session for it. Next: `onetap exec {} -- COMMAND`.\n",
        record.serial, user.name, user.profile
    );
    print(text.as_bytes())
}

/// The vault's seed of a device that the profile had before would be asked in the new one's name.
fn warn_of_an_old_seed(user: &User, record: &Unfinished) -> Result<(), Error> {
    let left = !record.software && user.context.vault()?.read(&Entry::Seed(user.profile.clone()))?.is_some();
    if left {
        let text = format!(
            "the vault still holds the seed of another device of this profile, whose codes AWS refuses for this one: \
             `onetap seed remove {}`",
            user.profile
        );
        user.context.attendant.notice(Notice::Warning(text));
    }
    Ok(())
}

fn write_profile(user: &User, record: &Unfinished) -> Result<(), Error> {
    let context = &user.context;
    let profiles = context.profiles()?;
    let file = &profiles.files().config;
    let value = |key: &str| profiles.profile(&user.profile).and_then(|own| own.value(key));
    let mut keys = vec![("mfa_serial", record.serial.as_str())];
    let mut old = Vec::new();
    match record.account == record.serial {
        true => old.push("onetap_account"),
        false => keys.push(("onetap_account", &record.account)),
    }
    // A list that does not name where the seed is now, or one certain key, was about the device before.
    let wanted = if record.no_key { "software" } else { "yubikey" };
    if value("onetap_code").is_some_and(|list| !list.split(',').any(|name| name.trim() == wanted)) {
        old.push("onetap_code");
    }
    old.push("onetap_token");
    old.retain(|key| value(key).is_some());
    for key in &old {
        let text = format!(
            "{key} = {} is taken out of the profile: it was about another device.",
            value(key).unwrap_or_default()
        );
        context.attendant.notice(Notice::Told(text));
    }
    config_file::set(context, file, &user.profile, &keys)?;
    config_file::unset(context, file, &user.profile, &old)
}

/// One session. AWS may take a while to know the device everywhere; each try has a code of its own.
fn prove(user: &User, serial: &str) -> Result<(), Error> {
    for attempt in 1..=TRIES {
        let error = match user.new_session() {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        match error {
            Error::Sts(error @ (StsError::UnknownDevice | StsError::CodeRefused)) if attempt == TRIES => {
                let what = format!("the MFA device {serial}");
                return Err(UserError::NotSpread { what, why: error.to_string() }.into());
            }
            Error::Sts(StsError::UnknownDevice | StsError::CodeRefused) => {
                let text =
                    "AWS does not know the new device everywhere yet; trying again with the next code.";
                user.context.attendant.notice(Notice::Told(text.into()));
            }
            error => return Err(error),
        }
    }
    Ok(())
}
