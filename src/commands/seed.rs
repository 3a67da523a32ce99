//! `onetap seed`: a TOTP seed in the vault, for people without a token.

use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use crate::attendant::{Echo, Notice, Question};
use crate::code::software;
use crate::error::Error;
use crate::keys::AccessKey;
use crate::plan;
use crate::vault::Entry;

use super::{Context, located, print, stdin};

pub(super) fn add(context: &Context, profile: &str, from_stdin: bool) -> Result<(), Error> {
    let profiles = context.profiles()?;
    plan::named(&profiles, profile).map_err(|error| located(&profiles, error))?;
    let kind = context.vault_kind()?;
    let text = if from_stdin { stdin::read(context.deadline)? } else { ask(context)? };
    let seed = software::check(text.expose_secret()).map_err(|reason| Error::Seed(reason.to_string()))?;
    let vault = context.vault()?;
    let beside_a_key = AccessKey::read(vault.as_ref(), profile)?.is_some();
    let bytes = SecretSlice::from(seed.expose_secret().as_bytes().to_vec());
    vault.write(&Entry::Seed(profile.into()), &bytes)?;
    context.settings()?.record(kind)?;
    if beside_a_key {
        context.attendant.notice(Notice::Warning(
            "the seed now rests beside the access key: whoever opens this vault has both, so this is one factor, not two"
                .into(),
        ));
    }
    print(format!("Stored the seed for {profile} in the {}.\n", kind.name()).as_bytes())
}

pub(super) fn remove(context: &Context, profile: &str) -> Result<(), Error> {
    let (vault, entry) = (context.vault()?, Entry::Seed(profile.into()));
    if vault.read(&entry)?.is_none() {
        return Err(crate::code::CodeError::NoSeed { profile: profile.into() }.into());
    }
    vault.remove(&entry)?;
    print(format!("Forgot the seed for {profile}.\n").as_bytes())
}

fn ask(context: &Context) -> Result<SecretString, Error> {
    let prompt = "Seed (base32 or otpauth:// URI)".to_owned();
    Ok(context.attendant.ask(Question { prompt, echo: Echo::Hidden, deadline: context.deadline })?)
}
