//! Changes one profile in `~/.aws/config` and leaves every other byte alone.

use std::path::Path;
use std::time::Instant;

use crate::error::Error;
use crate::files::{Lock, Private, write_whole};
use crate::profiles::edit;

use super::Context;

/// The section of a profile in the config file.
pub(super) fn section(profile: &str) -> String {
    if profile == "default" { "default".into() } else { format!("profile {profile}") }
}

/// Sets keys in the profile's section, which is made if it lacks.
pub(super) fn set(context: &Context, file: &Path, profile: &str, keys: &[(&str, &str)]) -> Result<(), Error> {
    change(context, file, |content| {
        edit::set(content, &section(profile), keys).map_err(|error| error.to_string())
    })
}

/// Removes keys from the profile's section.
pub(super) fn unset(context: &Context, file: &Path, profile: &str, keys: &[&str]) -> Result<(), Error> {
    unset_in(context, file, &section(profile), keys)
}

/// Removes keys from a section by its own name, which in the credentials file is the profile's.
pub(super) fn unset_in(context: &Context, file: &Path, section: &str, keys: &[&str]) -> Result<(), Error> {
    change(context, file, |content| Ok(edit::unset(content, section, keys)))
}

fn change(
    context: &Context,
    file: &Path,
    edit: impl FnOnce(&[u8]) -> Result<Vec<u8>, String>,
) -> Result<(), Error> {
    let refused = |reason: String| Error::File { path: file.into(), reason };
    // Two of our own writers; an editor knows nothing of locks.
    let _lock = lock(context).map_err(|error| refused(error.to_string()))?;
    let before = match std::fs::read(file) {
        Ok(content) => content,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(refused(error.to_string())),
    };
    let after = edit(&before).map_err(refused)?;
    if after == before {
        return Ok(());
    }
    write_whole(file, &after, Private::AsItWas).map_err(|error| refused(error.to_string()))
}

/// Keeps two of our own writers of AWS's files apart.
pub(super) fn lock(context: &Context) -> std::io::Result<Lock> {
    Lock::take(&context.places.state.join("config.lock"), context.deadline.min(soon())).map_err(|error| {
        match error.kind() {
            std::io::ErrorKind::TimedOut => std::io::Error::other("another onetap is writing it"),
            _ => error,
        }
    })
}

/// The other writer only edits a file.
fn soon() -> Instant {
    let now = Instant::now();
    now.checked_add(std::time::Duration::from_secs(5)).unwrap_or(now)
}
