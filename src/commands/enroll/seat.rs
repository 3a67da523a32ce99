//! The places that a seed is put into: YubiKeys, one after another, and the vault.

use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use crate::attendant::{Echo, Notice};
use crate::card::{Reader, Serial};
use crate::code::software;
use crate::code::{CodeError, TimeStep};
use crate::error::Error;
use crate::error::iam::UserError;
use crate::otpauth::{Credential, Touch};
use crate::vault::Entry;

use super::super::token::{Key, ask, confirm, shown};
use super::super::{Context, auto, located};
use super::Enrolment;
use super::pair::touched;

/// Where one more key is.
#[derive(Clone, Debug)]
pub(super) enum Backup {
    /// In this reader.
    In(Reader),
    /// Whatever is plugged in next.
    Next,
}

impl Backup {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        match (text, text.parse::<u32>()) {
            ("", _) => Ok(Self::Next),
            (_, Ok(serial)) => Ok(Self::In(Reader::Pcsc(Some(Serial(serial))))),
            _ => text.parse().map(Self::In).map_err(|error| Error::Usage(format!("--backup: {error}"))),
        }
    }

    /// The same verb's context for the key there.
    pub(super) fn context(&self, context: &Context) -> Context {
        let mut context = context.anew();
        if let Self::In(reader) = self {
            context.options.reader = Some(reader.clone());
            context.options.token = None;
        }
        context
    }
}

/// A key, opened, and the context in which it is reached.
pub(super) struct Seat {
    pub(super) key: Key,
    pub(super) context: Context,
}

impl Seat {
    /// Opens the key. An account of this name is replaced only if the person says so, or on a key that is `ours`, by its
    /// id.
    pub(super) fn take(context: Context, account: &str, ours: &[String], yes: bool) -> Result<Self, Error> {
        if let Reader::Mock(path) = context.any_reader() {
            context.attendant.notice(Notice::VirtualToken { path });
        }
        let key = Key::open(&context)?;
        if key.holds(account) && !ours.contains(&key.id()) {
            let question =
                format!("{} already holds {}: its seed would be lost.", key.named(), shown(account));
            confirm(&context, &question, "yes", yes)?;
        }
        Ok(Self { key, context })
    }

    /// Puts the seed on the key; each code takes a touch.
    pub(super) fn put(&self, account: &str, seed: &SecretString) -> Result<(), Error> {
        let mut credential = Credential::from_base32("x", seed.expose_secret())
            .map_err(|error| Error::Seed(error.to_string()))?;
        (credential.issuer, credential.name, credential.touch) = (None, account.into(), Touch::Required);
        self.key.work(&self.context.anew(), |applet| applet.put(&credential))
    }

    pub(super) fn remove(&self, account: &str) -> Result<(), Error> {
        self.key.work(&self.context.anew(), |applet| applet.delete(account))
    }

    /// Has the key prove that it holds the seed: one touch.
    pub(super) fn prove(&self, enrolment: &Enrolment<'_>) -> Result<(), Error> {
        let step = TimeStep::at(self.context.clock.now());
        let given = touched(&self.context, &self.key, enrolment.profile, &enrolment.account, step)?;
        same(&self.key, enrolment.seed, step, &given)
    }
}

/// Whether a code is the one that the seed gives.
pub(super) fn same(
    key: &Key,
    seed: &SecretString,
    step: TimeStep,
    given: &crate::code::Code,
) -> Result<(), Error> {
    let expected = software::code(seed.expose_secret(), step).map_err(|why| Error::Seed(why.to_string()))?;
    match expected.expose() == given.expose() {
        true => Ok(()),
        false => Err(UserError::KeyDiffers { key: key.named() }.into()),
    }
}

/// One more key, once the person has plugged it in; `None` if there is none. `used` are the ids of those that were.
pub(super) fn next(
    context: &Context,
    account: &str,
    used: &[String],
    yes: bool,
) -> Result<Option<Seat>, Error> {
    loop {
        let prompt = "Plug in the next YubiKey alone and press Enter, or type done";
        let answer = ask(&context.anew(), prompt, Echo::Shown)?;
        if answer.expose_secret().trim().eq_ignore_ascii_case("done") {
            return Ok(None);
        }
        match Seat::take(context.anew(), account, used, yes) {
            Ok(seat) if used.contains(&seat.key.id()) => {
                context.attendant.notice(Notice::Told(format!("{} has it already.", seat.key.named())));
            }
            Ok(seat) => return Ok(Some(seat)),
            Err(error @ (Error::Code(CodeError::Card(_)) | Error::Token(_))) => {
                context.attendant.notice(Notice::Told(format!("{}.", error.line())));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Refuses where the vault holds another seed of the profile: it may be of a device that is in use.
pub(super) fn vault_is_free(context: &Context, profile: &str) -> Result<(), Error> {
    match context.vault()?.read(&Entry::Seed(profile.into()))? {
        None => Ok(()),
        Some(_) => Err(UserError::SeedThere { profile: profile.into() }.into()),
    }
}

pub(super) fn into_vault(context: &Context, profile: &str, seed: &SecretString) -> Result<(), Error> {
    let bytes = SecretSlice::from(seed.expose_secret().as_bytes().to_vec());
    context.vault()?.write(&Entry::Seed(profile.into()), &bytes)?;
    context.attendant.notice(Notice::Warning(
        "the seed rests beside the access key too: whoever opens this vault has both".into(),
    ));
    Ok(())
}

/// What the profile's device is called on keys.
pub(in super::super) fn account_of(
    context: &Context,
    profile: &str,
) -> Result<Option<(String, String)>, Error> {
    let profiles = context.profiles()?;
    let view = crate::plan::View::of(&profiles, profile).map_err(|error| located(&profiles, error))?;
    let serial = match view.value("mfa_serial") {
        Some(crate::plan::AUTO) => auto::remembered(context, profile),
        written => written.map(str::to_owned),
    };
    Ok(serial.map(|serial| {
        let account = view.value("onetap_account").map_or_else(|| serial.clone(), str::to_owned);
        (serial, account)
    }))
}
