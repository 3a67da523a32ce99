//! `onetap remove`: forgets a profile's key, seed and sessions.

use crate::error::Error;
use crate::keys::AccessKey;
use crate::plan::process::calls_us;
use crate::vault::Entry;

use super::{Context, clear, config_file, print};

pub(super) fn run(context: &Context, profile: &str) -> Result<(), Error> {
    let vault = context.vault()?;
    let key = AccessKey::read(vault.as_ref(), profile)?;
    let seed = vault.read(&Entry::Seed(profile.into()))?;
    if key.is_none() && seed.is_none() {
        return Err(Error::NoKeys { profile: profile.into() });
    }
    clear::forget(context, Some(profile))?;
    vault.remove(&Entry::AccessKey(profile.into()))?;
    vault.remove(&Entry::Seed(profile.into()))?;

    let profiles = context.profiles()?;
    let config = &profiles.files().config;
    let line = profiles.profile(profile).and_then(|found| found.value("credential_process"));
    if line.and_then(calls_us).as_deref() == Some(profile) {
        // It would only fail from now on.
        config_file::unset(context, config, profile, &["credential_process"])?;
    }
    let key = key.map_or_else(String::new, |key| {
        format!(" The access key {} is still active at AWS: delete it there if it is no longer used.", key.id)
    });
    let left = profiles
        .profile(profile)
        .map(|_| format!(" [profile {profile}] stays in {}.", config.display()))
        .unwrap_or_default();
    print(format!("Forgot what was stored for {profile}.{key}{left}\n").as_bytes())
}
