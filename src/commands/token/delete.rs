//! `onetap token delete`: an account off the key, for good.

use crate::error::Error;

use super::{Context, Key, confirm, print, shown};

pub(super) fn run(context: &Context, name: &str, yes: bool) -> Result<(), Error> {
    let key = Key::open(context)?;
    let id = key.account(name)?.id.clone();
    let question = format!(
        "{} is removed from {}, and its codes are wanted wherever it was registered.",
        shown(&id),
        key.named()
    );
    confirm(context, &question, "yes", yes)?;
    key.work(context, |applet| applet.delete(&id))?;
    print(format!("Removed {} from {}.\n", shown(&id), key.named()).as_bytes())
}
