//! Why there is no plan, as facts.

use crate::profiles::Spot;

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// `mfa_serial = auto`, and the device was not found out yet.
    #[error("the MFA device of profile {profile:?} is not found out yet")]
    Auto {
        /// The profile in which it stands.
        profile: String,
    },
    /// The address of STS in a `services` section.
    #[error("endpoint_url = {value} for sts in [services {section}]: {reason}")]
    BadService {
        /// The section's name.
        section: String,
        /// The value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value in a profile.
    #[error("{key} = {value} in profile {profile:?}: {reason}")]
    BadValue {
        /// The profile that holds the value.
        profile: String,
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value in the environment.
    #[error("{variable} = {value}: {reason}")]
    BadVariable {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Profiles that lead back to themselves.
    #[error("{key} goes round in a circle: {}", .profiles.join(" -> "))]
    Cycle {
        /// The profiles on the way; the last one is also an earlier one.
        profiles: Vec<String>,
        /// The key that closes the circle.
        key: &'static str,
    },
    /// The profile's MFA device is a FIDO key.
    #[error(
        "mfa_serial in profile {profile:?}: {serial} is a FIDO security key, and STS takes only six-digit codes"
    )]
    Fido {
        /// The profile.
        profile: String,
        /// The device.
        serial: String,
    },
    /// The profile names no MFA device.
    #[error("the profile {profile:?} has no mfa_serial")]
    NoMfa {
        /// The profile.
        profile: String,
    },
    /// There is no such profile.
    #[error("there is no profile {name:?}{}", did_you_mean(.near))]
    NoProfile {
        /// The name that was asked for.
        name: String,
        /// Names that are like it.
        near: Vec<String>,
    },
    /// A role that nobody is said to assume.
    #[error("the profile {profile:?} has role_arn, and nothing says whose credentials assume the role")]
    NoSource {
        /// The profile.
        profile: String,
    },
    /// A kind of profile that gets its credentials in another way.
    #[error("the profile {profile:?} has {key}, which onetap does not carry out")]
    OtherKind {
        /// The profile.
        profile: String,
        /// The key that makes it another kind.
        key: &'static str,
    },
}

fn did_you_mean(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; did you mean {}?", names.join(" or ")) }
}

impl PlanError {
    /// What is at fault, for naming the file and the line.
    pub fn place(&self) -> Option<Spot> {
        let (profile, key) = match self {
            Self::BadService { section, .. } => return Some(Spot::Service(section.clone(), "sts")),
            Self::BadValue { profile, key, .. } | Self::OtherKind { profile, key } => (profile, Some(*key)),
            Self::Cycle { profiles, key } => (profiles.iter().rev().nth(1)?, Some(*key)),
            Self::Auto { profile } | Self::Fido { profile, .. } => (profile, Some("mfa_serial")),
            Self::NoMfa { profile } => (profile, None),
            Self::NoSource { profile } => (profile, Some("role_arn")),
            Self::BadVariable { .. } | Self::NoProfile { .. } => return None,
        };
        Some(Spot::Profile(profile.clone(), key))
    }
}
