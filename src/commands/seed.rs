//! `onetap seed`: a TOTP seed in the vault, for people without a token.

use std::io::Read as _;
use std::sync::mpsc;
use std::time::Instant;

use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use zeroize::Zeroizing;

use crate::attendant::{Echo, Notice, Question, Unattended};
use crate::code::software;
use crate::error::Error;
use crate::keys::AccessKey;
use crate::plan;
use crate::vault::Entry;

use super::{Context, located, print};

/// Longer than any `otpauth://` URI.
const LONGEST: usize = 4096;

pub(super) fn add(context: &Context, profile: &str, stdin: bool) -> Result<(), Error> {
    let profiles = context.profiles()?;
    plan::named(&profiles, profile).map_err(|error| located(&profiles, error))?;
    let kind = context.vault_kind()?;
    let text = if stdin { read_stdin(context.deadline)? } else { ask(context)? };
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

/// Reads all of stdin. A pipe that nobody closes ends at the deadline; its thread is left behind.
fn read_stdin(deadline: Instant) -> Result<SecretString, Error> {
    let (done, waiting) = mpsc::channel();
    std::thread::spawn(move || {
        // Large enough at once: a buffer that grows leaves copies, and so would the standard reader's own.
        let mut text = Zeroizing::new(vec![0; LONGEST]);
        let mut filled: usize = 0;
        let mut stdin = std::io::stdin().lock();
        while let Some(free) = text.get_mut(filled..).filter(|free| !free.is_empty()) {
            match stdin.read(free) {
                Ok(0) => break,
                Ok(count) => filled = filled.saturating_add(count),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let seed =
            text.get(..filled).and_then(|bytes| std::str::from_utf8(bytes).ok()).map(SecretString::from);
        let _ = done.send(seed);
    });
    match waiting.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(Some(seed)) => Ok(seed),
        Ok(None) => Err(Error::Seed("standard input is not UTF-8".into())),
        Err(_) => Err(Unattended::TimedOut.into()),
    }
}
