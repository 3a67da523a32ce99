//! What IAM's faults mean.
//!
//! Source: IAM API reference, the errors of each action.

use crate::sts::StsError;

/// Why IAM did not serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IamError {
    /// What should be made, or enabled, is there already.
    #[error("IAM says that it exists already: {0}")]
    AlreadyThere(String),
    /// The two codes are not those of two steps in a row, near AWS's time.
    #[error("AWS refused the two codes")]
    CodesRefused,
    /// No policy allows it, or one forbids it.
    #[error("AWS refused iam:{action}: {message}")]
    Denied {
        /// The action, without `iam:`.
        action: &'static str,
        /// AWS's words.
        message: String,
    },
    /// It is not there, or not this user's.
    #[error("IAM does not know it: {0}")]
    Gone(String),
    /// The answer lacked what it must hold.
    #[error("the answer of IAM is incomplete")]
    Incomplete,
    /// The device is enabled, and cannot be deleted.
    #[error("the MFA device is enabled")]
    InUse,
    /// IAM could not be reached, or the answer did not arrive: the call may have been carried out.
    #[error("IAM cannot be reached: {0}")]
    Network(String),
    /// One more than AWS allows.
    #[error("AWS allows no more: {0}")]
    Quota(String),
    /// Any other refusal.
    #[error("IAM refused: {code}: {message}")]
    Refused {
        /// AWS's error code.
        code: String,
        /// AWS's words.
        message: String,
    },
    /// What can happen to any signed call: the key, the clock, TLS.
    #[error(transparent)]
    Signed(#[from] StsError),
    /// Too many requests, or an error of AWS's own; trying again may help.
    #[error("IAM is overloaded: {0}")]
    TryAgain(String),
}

/// Reads what the failure means that every AWS service shares, for this action.
pub(super) fn of(action: &'static str, shared: StsError) -> IamError {
    match shared {
        StsError::Network(why) => IamError::Network(why),
        StsError::TryAgain(why) => IamError::TryAgain(why),
        StsError::Refused { code, message } => match code.as_str() {
            "AccessDenied" | "AccessDeniedException" => IamError::Denied { action, message },
            "DeleteConflict" => IamError::InUse,
            "EntityAlreadyExists" => IamError::AlreadyThere(message),
            "EntityTemporarilyUnmodifiable" => IamError::TryAgain(message),
            "InvalidAuthenticationCode" => IamError::CodesRefused,
            "LimitExceeded" => IamError::Quota(message),
            "NoSuchEntity" => IamError::Gone(message),
            _ => IamError::Refused { code, message },
        },
        other => IamError::Signed(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_iam_s_error_codes_has_its_meaning() {
        let read = |code: &str| {
            of("EnableMFADevice", StsError::Refused { code: code.into(), message: "words".into() })
        };
        let words = || "words".to_owned();
        for (code, expected) in [
            ("AccessDenied", IamError::Denied { action: "EnableMFADevice", message: words() }),
            ("DeleteConflict", IamError::InUse),
            ("EntityAlreadyExists", IamError::AlreadyThere(words())),
            ("InvalidAuthenticationCode", IamError::CodesRefused),
            ("LimitExceeded", IamError::Quota(words())),
            ("NoSuchEntity", IamError::Gone(words())),
            (
                "PasswordPolicyViolation",
                IamError::Refused { code: "PasswordPolicyViolation".into(), message: words() },
            ),
        ] {
            assert_eq!(read(code), expected, "{code}");
        }
        assert_eq!(of("x", StsError::WrongSecret), IamError::Signed(StsError::WrongSecret));
    }
}
