//! `onetap token password`: the lock on a key's accounts, and what the vault remembers of it.

use secrecy::{ExposeSecret as _, SecretString};

use crate::attendant::Echo;
use crate::cli::Password;
use crate::code::password::Remembered;
use crate::error::Error;
use crate::oath::PasswordKey;

use super::{Context, Key, ask, print, stdin};

pub(super) fn run(context: &Context, verb: &Password) -> Result<(), Error> {
    match verb {
        Password::Clear => clear(context),
        Password::Forget => forget(context),
        Password::Remember { stdin } => remember(context, *stdin),
        Password::Set { stdin } => set(context, *stdin),
    }
}

fn clear(context: &Context) -> Result<(), Error> {
    let key = Key::open(context)?;
    if !key.locked {
        return print(format!("{} has no password.\n", key.named()).as_bytes());
    }
    key.work(context, |applet| applet.clear_password())?;
    Remembered::new(context.vault()?.as_ref()).forget(&key.device)?;
    print(format!("The OATH accounts on {} open without a password now.\n", key.named()).as_bytes())
}

fn forget(context: &Context) -> Result<(), Error> {
    let key = Key::find(context)?;
    let vault = context.vault()?;
    let remembered = Remembered::new(vault.as_ref());
    if remembered.key(&key.device)?.is_none() {
        return print(format!("No password of {} is remembered.\n", key.named()).as_bytes());
    }
    remembered.forget(&key.device)?;
    print(format!("Forgot the password of {}; it is asked for from now on.\n", key.named()).as_bytes())
}

fn remember(context: &Context, from_stdin: bool) -> Result<(), Error> {
    let mut key = Key::find(context)?;
    if !key.locked {
        return Err(Error::Usage(format!(
            "{} has no password; `onetap token password set` sets one",
            key.named()
        )));
    }
    let kind = context.vault_kind()?;
    let password = match from_stdin {
        true => line(&stdin::read(context.deadline)?),
        false => ask(context, "Password of the YubiKey's OATH accounts", Echo::Hidden)?,
    };
    let opens = PasswordKey::derive(&password, &key.device.salt);
    // What does not open it is not remembered.
    key.open_with(context, opens.clone())?;
    Remembered::new(context.vault()?.as_ref()).keep(&key.device, &opens)?;
    context.settings()?.record(kind)?;
    print(
        format!(
            "Remembered the key derived from the password of {} in the {}; the password itself is kept nowhere.\n",
            key.named(),
            kind.word()
        )
        .as_bytes(),
    )
}

fn set(context: &Context, from_stdin: bool) -> Result<(), Error> {
    let key = Key::open(context)?;
    let password = match from_stdin {
        true => line(&stdin::read(context.deadline)?),
        false => ask_twice(context)?,
    };
    if password.expose_secret().is_empty() {
        return Err(Error::Usage(
            "a password has at least one character; `onetap token password clear` takes it off".into(),
        ));
    }
    let opens = PasswordKey::derive(&password, &key.device.salt);
    let remembered = match key.locked {
        true => Remembered::new(context.vault()?.as_ref()).key(&key.device)?.is_some(),
        false => false,
    };
    key.work(context, |applet| applet.set_password(&opens))?;
    let end = match remembered {
        true => {
            Remembered::new(context.vault()?.as_ref()).keep(&key.device, &opens)?;
            "; what was remembered is the new one"
        }
        false => "; `onetap token password remember` saves the question",
    };
    print(format!("The OATH accounts on {} open with the new password only{end}.\n", key.named()).as_bytes())
}

fn ask_twice(context: &Context) -> Result<SecretString, Error> {
    let first = ask(context, "New password of the YubiKey's OATH accounts", Echo::Hidden)?;
    let second = ask(context, "The same again", Echo::Hidden)?;
    match first.expose_secret() == second.expose_secret() {
        true => Ok(first),
        false => Err(Error::Usage("the two passwords differ; nothing was changed".into())),
    }
}

/// What a program hands over ends with a line break that is not meant.
fn line(text: &SecretString) -> SecretString {
    text.expose_secret().lines().next().unwrap_or_default().into()
}
