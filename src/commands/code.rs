//! `onetap code`: one code on stdout.

use std::time::Duration;

use crate::error::Error;

use super::{Context, block_on, print, profile};

pub(super) fn run(context: &Context, profile: Option<String>) -> Result<(), Error> {
    let profiles = context.profiles()?;
    let plan = context.plan(&profiles, &profile::chosen(context, &profiles, profile)?)?;
    let authenticator = context.authenticator(plan, "code", Duration::ZERO)?;
    let code = block_on(authenticator.code())?;
    print(format!("{}\n", code.expose()).as_bytes())
}
