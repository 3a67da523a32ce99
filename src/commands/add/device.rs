//! The MFA device of a profile that is added: named, or `auto`, to be found out by the first command that needs it.

use secrecy::ExposeSecret as _;

use crate::attendant::{Echo, Unattended};
use crate::cli::Add;
use crate::error::Error;
use crate::plan::{AUTO, MfaSerial, NotASerial, PlanError};
use crate::profiles::Profiles;
use crate::sts::Identity;

use super::super::{Context, located};
use super::ask;

/// What stands behind `mfa_serial`.
#[derive(Clone, Debug)]
pub(super) enum Device {
    Auto,
    Named(MfaSerial),
}

impl Device {
    /// What the command line or the profile says.
    pub(super) fn given(profiles: &Profiles, add: &Add) -> Result<Option<Self>, Error> {
        let stored = profiles.profile(&add.profile).and_then(|profile| profile.value("mfa_serial"));
        let Some(text) = add.mfa_serial.as_deref().or(stored) else { return Ok(None) };
        Self::read(text).map(Some).map_err(|refused| match refused {
            NotASerial::Fido(serial) => {
                located(profiles, PlanError::Fido { profile: add.profile.clone(), serial })
            }
            malformed => not_a_device(&malformed),
        })
    }

    /// What the person at the terminal says.
    pub(super) fn asked(context: &Context, identity: Option<&Identity>) -> Result<Self, Error> {
        // A virtual device usually has its user's name.
        let usual = identity.and_then(|identity| {
            let (head, user) = identity.arn.split_once(":user/")?;
            Some(format!("{head}:mfa/{}", user.rsplit('/').next()?))
        });
        let prompt = match &usual {
            Some(usual) => format!("MFA device [{usual}]"),
            None => "MFA device (arn:aws:iam::ACCOUNT:mfa/NAME)".into(),
        };
        let answer = match ask(context, &prompt, Echo::Shown) {
            Err(Error::Unattended(Unattended::Nobody(_))) => return Err(none(usual)),
            answer => answer?,
        };
        let text = match (answer.expose_secret().trim(), usual) {
            ("", Some(usual)) => usual,
            (text, _) => text.to_owned(),
        };
        Self::read(&text).map_err(|refused| not_a_device(&refused))
    }

    fn read(text: &str) -> Result<Self, NotASerial> {
        if text == AUTO { Ok(Self::Auto) } else { text.parse().map(Self::Named) }
    }

    /// The value of `mfa_serial`.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Auto => AUTO,
            Self::Named(serial) => serial.as_str(),
        }
    }

    /// The device, if it is named.
    pub(super) fn serial(&self) -> Option<&MfaSerial> {
        match self {
            Self::Auto => None,
            Self::Named(serial) => Some(serial),
        }
    }

    /// Refuses a device of another account than the key's.
    pub(super) fn of_the_same_account(&self, identity: Option<&Identity>) -> Result<(), Error> {
        match (identity, self.serial().and_then(MfaSerial::account)) {
            (Some(identity), Some(account)) if identity.account != account => Err(Error::Usage(format!(
                "the key belongs to {}, and the MFA device {} to another account; check both",
                identity.arn,
                self.text()
            ))),
            _ => Ok(()),
        }
    }
}

fn not_a_device(refused: &NotASerial) -> Error {
    Error::Usage(format!("the MFA device {refused}"))
}

/// There is nobody to ask for it.
pub(super) fn none(usual: Option<String>) -> Error {
    Error::NoDevice { example: usual.unwrap_or_else(|| "arn:aws:iam::ACCOUNT:mfa/NAME".into()) }
}
