//! `onetap token reset`: a key without accounts and without a password.

use crate::code::password::Remembered;
use crate::error::Error;
use crate::oath;

use super::{CardError, CodeError, Context, Key, confirm, print};

pub(super) fn run(context: &Context, yes: bool) -> Result<(), Error> {
    let key = Key::find(context)?;
    let what = match (key.locked, key.accounts.len()) {
        (true, _) => "all OATH accounts and the password".to_owned(),
        (false, 0) => "what the OATH application keeps (it holds no account)".into(),
        (false, 1) => "the one OATH account".into(),
        (false, count) => format!("all {count} OATH accounts"),
    };
    let question = format!("{what} on {} are removed for good.", key.named());
    confirm(context, &question, "reset", yes)?;
    key.hold(context, |card| match oath::select(card)?.device() == &key.device {
        true => Ok(oath::reset(card)?),
        false => Err(CodeError::from(CardError::Swapped)),
    })?;
    if key.locked {
        // The device's id is another one now, so that nobody would ever find what was remembered.
        Remembered::new(context.vault()?.as_ref()).forget(&key.device)?;
    }
    print(format!("The OATH application of {} is empty.\n", key.named()).as_bytes())
}
