//! The plain-text copy of an imported key: found in both of AWS's files, and removed if the person says so.

use secrecy::ExposeSecret as _;

use crate::attendant::{Echo, Notice, Unattended};
use crate::error::Error;
use crate::profiles::Profiles;
use crate::profiles::edit;

use super::super::{Context, config_file};
use super::ask;

/// What makes a key in a profile.
const KEYS: [&str; 2] = ["aws_access_key_id", "aws_secret_access_key"];

/// Offers to remove the key `id` from both files, each as a whole or not at all; no other byte changes. Another key
/// that stands there is left alone.
pub(super) fn offer(
    context: &Context,
    profiles: &Profiles,
    profile: &str,
    id: &str,
    agreed: bool,
) -> Result<(), Error> {
    let files = profiles.files();
    let places = [(&files.credentials, profile.to_owned()), (&files.config, config_file::section(profile))];
    for (file, section) in places {
        let content = std::fs::read(file).unwrap_or_default();
        let ids = edit::values(&content, &section, "aws_access_key_id");
        let (ours, others) = ids.into_iter().partition::<Vec<_>, _>(|found| *found == id.as_bytes());
        // A secret without an id beside it belongs to the id in the other file.
        let lone = others.is_empty() && !edit::values(&content, &section, "aws_secret_access_key").is_empty();
        if !others.is_empty() {
            context.attendant.notice(Notice::Warning(format!(
                "{} has another access key in this profile, which stays there",
                file.display()
            )));
        } else if (lone || !ours.is_empty()) && (agreed || confirmed(context, file)?) {
            config_file::unset_in(context, file, &section, &KEYS)?;
            let told = format!("Removed the plain-text key of {profile} from {}.", file.display());
            context.attendant.notice(Notice::Told(told));
        }
    }
    Ok(())
}

/// Nobody to ask means no.
fn confirmed(context: &Context, file: &std::path::Path) -> Result<bool, Error> {
    let prompt = format!("Remove the plain-text key from {}? Type yes to go on", file.display());
    match ask(context, &prompt, Echo::Shown) {
        Ok(answer) => Ok(answer.expose_secret().trim().eq_ignore_ascii_case("yes")),
        Err(Error::Unattended(Unattended::Nobody(_))) => Ok(false),
        Err(error) => Err(error),
    }
}
