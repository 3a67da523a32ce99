//! What to do about a section of the credentials file that cannot be ours.

use crate::profiles::edit::owned::NotOurs;

/// The next action, if there is one.
pub(super) fn hint(error: &NotOurs) -> Option<String> {
    Some(match error {
        NotOurs::Guest { .. } => "move it into a section of its own".into(),
        NotOurs::Other { .. } => "choose another name with --as, or remove that section".into(),
        NotOurs::Edit(_) | NotOurs::NotText => return None,
    })
}
