//! `onetap token add`: an account onto a key, from a seed, a URI or a screenshot.

use std::io::Read as _;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::attendant::{Echo, Unattended};
use crate::cli::TokenAdd;
use crate::error::Error;
use crate::error::token::TokenError;
use crate::otpauth::{Credential, Kind, Touch};
use crate::qr;

use super::{Context, Key, ask, confirm, print, shown, stdin};

/// More than any screenshot has.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Longest name of an account, in bytes (YKOATH, "PUT instruction").
const LONGEST_NAME: usize = 64;

pub(super) fn run(context: &Context, add: &TokenAdd) -> Result<(), Error> {
    let text = match &add.qr {
        Some(path) => from_screenshot(path)?,
        None if add.stdin => stdin::read(context.deadline)?,
        None => ask(context, "Seed (base32 or otpauth:// URI)", Echo::Hidden)?,
    };
    let credential = credential(context, add, &text)?;
    let id = credential.id();
    if id.len() > LONGEST_NAME {
        return Err(Error::Usage(format!(
            "the name {:?} has {} bytes, and a YubiKey takes {LONGEST_NAME}; give a shorter one with --account",
            shown(&id),
            id.len()
        )));
    }
    let key = Key::open(context)?;
    let replaced = key.holds(&id);
    if replaced {
        let question = format!("{} already holds {}: its seed would be lost.", key.named(), shown(&id));
        confirm(context, &question, "yes", add.yes)?;
    }
    key.work(context, |applet| applet.put(&credential))?;
    let verb = if replaced { "Replaced" } else { "Added" };
    let touch = match credential.touch {
        Touch::Required => "each code takes a touch",
        Touch::NotNeeded => "codes come without a touch",
    };
    print(format!("{verb} {} on {}; {touch}.\n", shown(&id), key.named()).as_bytes())
}

/// What is asked for, named as `--account` says, else as it names itself, else as the person says.
fn credential(context: &Context, add: &TokenAdd, text: &SecretString) -> Result<Credential, Error> {
    let unusable = |reason: String| Error::Seed(reason);
    let text = text.expose_secret().trim();
    if has_scheme(text, "otpauth-migration:") {
        return Err(unusable(
            "it is an export of Google Authenticator; take the QR code that the service itself shows".into(),
        ));
    }
    let touch = if add.no_touch { Touch::NotNeeded } else { Touch::Required };
    if has_scheme(text, "otpauth:") {
        let read: Credential = text.parse().map_err(|error| unusable(format!("{error}")))?;
        return Ok(match &add.account {
            Some(name) => renamed(read, name, touch)?,
            None => Credential { touch, ..read },
        });
    }
    // The seed is looked at before a name is asked for.
    let bare = Credential::from_base32("x", text).map_err(|error| unusable(error.to_string()))?;
    let name = match &add.account {
        Some(name) => name.clone(),
        None => match ask(context, "Name of the account", Echo::Shown) {
            Ok(name) => name.expose_secret().trim().to_owned(),
            Err(Error::Unattended(Unattended::Nobody(_))) => {
                return Err(Error::Usage("base32 tells no name; add --account NAME".into()));
            }
            Err(error) => return Err(error),
        },
    };
    renamed(bare, &name, touch)
}

fn has_scheme(text: &str, scheme: &str) -> bool {
    text.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
}

/// The same under another name. A period that is not the usual one stands in the name, and stays there.
fn renamed(credential: Credential, name: &str, touch: Touch) -> Result<Credential, Error> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(Error::Usage(
            "an account's name has 1 to 64 bytes, none of them a control character".into(),
        ));
    }
    let Credential { secret, kind, algorithm, digits, .. } = credential;
    let named = |id: &str| Credential::with_id(id, secret.clone(), kind, algorithm, digits, touch);
    let made = named(name);
    match (kind, made.kind) {
        (Kind::Totp { period }, Kind::Totp { period: read }) if period != read && read == 30 => {
            Ok(named(&format!("{period}/{name}")))
        }
        (Kind::Totp { period: 30 }, _) | (Kind::Hotp { .. }, _) => Ok(made),
        (before, after) if before == after => Ok(made),
        _ => Err(Error::Usage(format!("the name {name:?} tells another period than the URI"))),
    }
}

fn from_screenshot(path: &Path) -> Result<SecretString, Error> {
    let failed = |reason: String| Error::from(TokenError::Screenshot { path: path.into(), reason });
    let mut picture = Zeroizing::new(Vec::new());
    let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    file.take(LARGEST).read_to_end(&mut picture).map_err(|error| failed(error.to_string()))?;
    let mut codes = qr::codes(&picture).map_err(|error| failed(error.to_string()))?;
    let read = codes.len();
    codes.retain(|code| has_scheme(code.expose_secret(), "otpauth"));
    match (codes.pop(), codes.is_empty(), read) {
        (Some(code), true, _) => Ok(code),
        (Some(_), false, _) => {
            Err(failed("it shows several accounts; cut the picture down to the one that is meant".into()))
        }
        (None, _, 0) => Err(failed(
            "no QR code can be read in it; take the screenshot again with the whole code and its margin"
                .into(),
        )),
        (None, ..) => Err(failed("its QR code holds no otpauth:// URI".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_name_keeps_the_period_and_says_so_in_the_name() {
        let read = |query: &str| -> Credential {
            format!("otpauth://totp/a:b?secret=GEZDGNBVGY3TQOJQ{query}").parse().unwrap()
        };
        for (query, name, id) in [
            ("", "arn:aws:iam::1:mfa/d", Some("arn:aws:iam::1:mfa/d")),
            ("&period=60", "x", Some("60/x")),
            ("&period=60", "60/x", Some("60/x")),
            ("&period=60", "15/x", None),
            ("", "60/x", Some("60/x")),
            ("", "", None),
            ("", "x\u{1b}[2J", None),
        ] {
            let made = renamed(read(query), name, Touch::Required).ok();
            assert_eq!(made.map(|made| made.id()).as_deref(), id, "{query} {name:?}");
        }
    }
}
