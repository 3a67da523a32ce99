//! Where a process cannot start itself under another name, whoever stays makes its sessions itself.

use super::{Context, auto};
use crate::error::Error;
use crate::session::Session;

/// Who stays.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stayer {
    /// `write --watch`.
    Watch,
}

/// The kept session of a profile, or a new one.
pub(super) async fn session(context: &Context, profile: &str, stayer: Stayer) -> Result<Session, Error> {
    let Stayer::Watch = stayer;
    let context = context.anew();
    let plan = context.plan(&context.profiles()?, profile)?;
    context.authenticator(plan, "write", super::write::MIN_TTL)?.session().await
}

/// Finds out which device `mfa_serial = auto` of a profile stands for, and remembers it.
pub(super) fn find_device(context: &Context, profile: &str) -> Result<(), Error> {
    let here = Context { stays: false, ..context.clone() };
    auto::device(&here, profile).map(|_| ())
}
