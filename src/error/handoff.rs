//! What the verbs that hand credentials on cannot do.

use crate::error::status;

/// Why credentials are not handed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandOffError {
    /// The profile's session cannot open the console.
    #[error(
        "the profile {profile:?} gives a session of an IAM user (GetSessionToken), and AWS lets only a role's into the console"
    )]
    NoConsole {
        /// The profile.
        profile: String,
    },
}

impl HandOffError {
    /// The exit code.
    pub(super) fn status(&self) -> u8 {
        match self {
            Self::NoConsole { .. } => status::CONFIGURATION,
        }
    }

    /// What to do next.
    pub(super) fn hint(&self) -> Option<String> {
        let Self::NoConsole { profile } = self;
        Some(format!(
            "name a profile with role_arn, or sign in with the user's password and the code of `onetap code {profile}`"
        ))
    }
}
