//! What the verbs that look after a user's devices and keys cannot do, with exit code and next action.

use super::status;
use crate::iam::IamError;
use crate::sts::StsError;

/// Why a verb of enrolment or rotation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// The device that the profile names is enabled already, and nothing says that another one is meant.
    #[error("the profile {profile:?} has an MFA device already, {serial}")]
    AlreadyEnrolled {
        /// The profile.
        profile: String,
        /// Its device.
        serial: String,
    },
    /// The policies do not allow it, with or without MFA.
    #[error("AWS refused iam:{action}: {message}{}", .mfa.as_ref().map(|why| format!(" (and with MFA: {why})")).unwrap_or_default())]
    Denied {
        /// The action, without `iam:`.
        action: String,
        /// AWS's words.
        message: String,
        /// Why a session with MFA did not help, if one was tried.
        mfa: Option<String>,
        /// The statement that an administrator must add.
        statement: String,
    },
    /// A user has as many devices as AWS allows.
    #[error("the user has {} MFA devices, and AWS allows no more: {}", .serials.len(), .serials.join(", "))]
    FullOfDevices {
        /// The devices.
        serials: Vec<String>,
    },
    /// A user has two access keys, and one of them is not ours to delete.
    #[error("the user has two access keys, {used} and {other}, and AWS allows no third")]
    FullOfKeys {
        /// The profile.
        profile: String,
        /// The key that the profile uses.
        used: String,
        /// The other one.
        other: String,
        /// Whether the other one is active.
        active: bool,
        /// When it was used last, in AWS's knowledge: `never used`, or `last used ...`.
        used_last: Option<String>,
    },
    /// The key makes other codes than its seed gives.
    #[error("{key} does not give the codes of the seed that was just put on it")]
    KeyDiffers {
        /// The YubiKey.
        key: String,
    },
    /// The profile has no device that onetap could take away.
    #[error("the user has no MFA device {serial}")]
    NoDevice {
        /// The device.
        serial: String,
    },
    /// The policies want MFA, and the profile has no device that could give it.
    #[error(
        "AWS refused iam:{action} to the access key alone, and the profile {profile:?} has no MFA device: {message}"
    )]
    NoMfa {
        /// The action, without `iam:`.
        action: String,
        /// AWS's words.
        message: String,
        /// The profile.
        profile: String,
    },
    /// The access key is not an IAM user's.
    #[error("the access key is not an IAM user's, but {arn}")]
    NotAUser {
        /// Whose it is.
        arn: String,
    },
    /// The new key or device is made, and AWS does not take it yet.
    #[error("{what} is not taken by AWS yet: {why}")]
    NotSpread {
        /// The key or the device.
        what: String,
        /// What AWS said last.
        why: String,
    },
    /// The access key was rotated in part: which one works, and why it went no further.
    #[error("{why}; {works}")]
    Rotation {
        /// What failed.
        why: String,
        /// Which key works now.
        works: String,
        /// The exit code of what failed.
        status: u8,
    },
    /// The vault holds the seed of another device for this profile.
    #[error("the vault holds the seed of another device for the profile {profile:?}")]
    SeedThere {
        /// The profile.
        profile: String,
    },
}

impl UserError {
    /// The exit code.
    pub fn status(&self) -> u8 {
        match self {
            Self::AlreadyEnrolled { .. } | Self::SeedThere { .. } => status::USAGE,
            Self::NotAUser { .. } => status::CONFIGURATION,
            Self::KeyDiffers { .. } => status::TOKEN,
            Self::Denied { .. }
            | Self::FullOfDevices { .. }
            | Self::FullOfKeys { .. }
            | Self::NoDevice { .. }
            | Self::NoMfa { .. }
            | Self::NotSpread { .. } => status::AWS,
            Self::Rotation { status, .. } => *status,
        }
    }

    /// What to do next, if there is something to do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::AlreadyEnrolled { profile, .. } => format!(
                "to have one more, run `onetap enroll {profile} --device NAME` with a new name; to start over, \
                 `onetap unenroll {profile}` first"
            ),
            Self::Denied { statement, .. } => format!(
                "an administrator must allow it, in the user's permissions and, where there is one, in the \
                 permissions boundary: {statement}"
            ),
            Self::FullOfDevices { .. } => {
                "take one away: `onetap unenroll PROFILE --device ARN`, or in the IAM console".into()
            }
            Self::FullOfKeys { profile, other, active, used_last, .. } => format!(
                "{other} is {}{}: if nothing uses it, run `onetap rotate {profile} --delete {other}`",
                if *active { "active" } else { "inactive" },
                used_last.as_ref().map(|used| format!(", {used}")).unwrap_or_default()
            ),
            Self::KeyDiffers { .. } => {
                "look at the account with `onetap token accounts`, and run it again".into()
            }
            Self::NoDevice { .. } => "`onetap mfa list` shows what there is".into(),
            Self::NoMfa { profile, .. } => format!(
                "run `onetap enroll {profile}`; where AWS refuses that too, an administrator takes the permissions boundary \
                 off until it is done"
            ),
            Self::NotAUser { .. } => "store an IAM user's own key with `onetap add`".into(),
            Self::NotSpread { .. } | Self::Rotation { .. } => "run the command again".into(),
            Self::SeedThere { profile } => {
                format!("if it is no longer used, run `onetap seed remove {profile}`")
            }
        })
    }
}

/// The exit code of what IAM said.
pub(super) fn iam_status(error: &IamError) -> u8 {
    match error {
        IamError::Network(_) | IamError::TryAgain(_) => status::NETWORK,
        IamError::Signed(error) => sts_status(error),
        _ => status::AWS,
    }
}

/// The exit code of what STS said.
pub(super) fn sts_status(error: &StsError) -> u8 {
    match error {
        StsError::Network(_) | StsError::Tls(_) | StsError::TryAgain(_) => status::NETWORK,
        StsError::CaBundle { .. } => status::CONFIGURATION,
        _ => status::AWS,
    }
}

/// What to do about what IAM said.
pub(super) fn iam_hint(error: &IamError) -> Option<String> {
    Some(match error {
        IamError::CodesRefused => "set the clock, and run the command again".into(),
        IamError::Network(_) | IamError::TryAgain(_) | IamError::Incomplete => {
            "check the connection and the proxy, and run the command again".into()
        }
        IamError::Signed(error) => return super::hint::sts_hint(error),
        _ => return None,
    })
}
