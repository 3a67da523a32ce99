//! What STS's faults mean.
//!
//! Source: STS API reference (common errors); the messages as AWS sends them, since codes alone do not tell a
//! wrong code from a wrong device.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// Beyond this a code is computed for the wrong step even with one step of tolerance either side.
const CODE_SKEW: Duration = Duration::from_secs(15);

/// Why STS did not serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StsError {
    /// The certificate bundle cannot be used.
    #[error("the certificate bundle {path} cannot be used: {reason}")]
    CaBundle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// This machine's clock differs from AWS's.
    #[error("this machine's clock is {} AWS's", offset(*.ahead, *.by))]
    Clock {
        /// Whether this machine is ahead.
        ahead: bool,
        /// By how much.
        by: Duration,
    },
    /// The code was refused.
    #[error("AWS refused the code")]
    CodeRefused,
    /// The access key does not exist or is not active.
    #[error("AWS does not know the access key {}", .0.as_deref().unwrap_or("that is stored"))]
    DeadKey(Option<String>),
    /// The session that signed the request is over, or AWS has revoked it.
    #[error("AWS no longer takes the session that signs the request")]
    Ended,
    /// The answer lacked what it must hold.
    #[error("the answer of STS is incomplete")]
    Incomplete,
    /// STS could not be reached, or the answer did not arrive.
    #[error("STS cannot be reached: {0}")]
    Network(String),
    /// Any other refusal.
    #[error("STS refused: {code}: {message}")]
    Refused {
        /// AWS's error code.
        code: String,
        /// AWS's words.
        message: String,
    },
    /// The console's sign-in did not take the session.
    #[error("the console's sign-in refused the session: {0}")]
    SignIn(String),
    /// Too many requests, or an error of AWS's own; trying again may help.
    #[error("STS is overloaded: {0}")]
    TryAgain(String),
    /// TLS could not be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// The MFA device is not this user's.
    #[error("AWS does not know this MFA device as this user's")]
    UnknownDevice,
    /// The stored secret does not belong to the key id.
    #[error("the stored secret does not belong to its access key id")]
    WrongSecret,
}

fn offset(ahead: bool, by: Duration) -> String {
    format!("{} s {}", by.as_secs(), if ahead { "ahead of" } else { "behind" })
}

/// A call that failed.
pub(crate) type Failed<E> = SdkError<E, HttpResponse>;

/// Reads a failed call.
pub(crate) fn of<E>(error: Failed<E>, clock: SharedTimeSource) -> StsError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let skew = error.raw_response().and_then(|raw| skew(raw, clock.now()));
    let status = error.raw_response().map(|raw| raw.status().as_u16());
    let (code, message) = (
        error.code().unwrap_or_default().to_owned(),
        error.message().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "),
    );
    match (&error, status) {
        (SdkError::ServiceError(_), Some(400..500)) => refusal(&code, &message, skew),
        (_, Some(429 | 500..)) => {
            let words = if code.is_empty() { format!("HTTP {}", status.unwrap_or_default()) } else { code };
            StsError::TryAgain(words)
        }
        _ => StsError::Network(root_cause(&error)),
    }
}

/// What a refusal means; `skew` is this clock less the server's.
fn refusal(code: &str, message: &str, skew: Option<Skew>) -> StsError {
    let far = |limit: Duration| skew.filter(|skew| skew.by > limit).map(Skew::error);
    match code {
        "AccessDenied" if message.contains("invalid MFA one time pass code") => {
            far(CODE_SKEW).unwrap_or(StsError::CodeRefused)
        }
        "AccessDenied" if message.contains("unable to validate MFA code") => StsError::UnknownDevice,
        "ExpiredToken" | "ExpiredTokenException" => StsError::Ended,
        "InvalidClientTokenId" => StsError::DeadKey(None),
        "SignatureDoesNotMatch" if message.contains("expired") || message.contains("not yet current") => {
            // AWS's limit is 15 minutes; the `Date` header tells the real offset.
            far(Duration::ZERO).unwrap_or(StsError::WrongSecret)
        }
        "SignatureDoesNotMatch" => StsError::WrongSecret,
        "Throttling" | "ThrottlingException" => StsError::TryAgain(message.into()),
        _ => StsError::Refused { code: code.into(), message: message.into() },
    }
}

/// This machine's clock less AWS's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skew {
    /// Whether this machine is ahead.
    pub ahead: bool,
    /// By how much.
    pub by: Duration,
}

impl Skew {
    /// The same as an error.
    pub fn error(self) -> StsError {
        StsError::Clock { ahead: self.ahead, by: self.by }
    }

    /// AWS's time, when this clock says `time`.
    pub fn corrected(self, time: SystemTime) -> SystemTime {
        let moved = if self.ahead { time.checked_sub(self.by) } else { time.checked_add(self.by) };
        moved.unwrap_or(time)
    }
}

pub(super) fn skew(response: &HttpResponse, now: SystemTime) -> Option<Skew> {
    let date = DateTime::from_str(response.headers().get("date")?, Format::HttpDate).ok()?;
    let server = UNIX_EPOCH + Duration::from_secs(u64::try_from(date.secs()).ok()?);
    Some(match now.duration_since(server) {
        Ok(by) => Skew { ahead: true, by },
        Err(behind) => Skew { ahead: false, by: behind.duration() },
    })
}

/// The innermost cause says most: "Connection refused", "failed to lookup address information".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_s_words_become_our_errors() {
        let wrong = "MultiFactorAuthentication failed with invalid MFA one time pass code. ";
        let device = "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify";
        let expired = "Signature expired: 20260101T000000Z is now earlier than 20260101T010000Z";
        let behind = Some(Skew { ahead: false, by: Duration::from_secs(100) });
        let near = Some(Skew { ahead: true, by: Duration::from_secs(2) });
        let clock = StsError::Clock { ahead: false, by: Duration::from_secs(100) };
        let cases = [
            ("AccessDenied", wrong, None, StsError::CodeRefused),
            ("AccessDenied", wrong, near, StsError::CodeRefused),
            ("AccessDenied", wrong, behind, clock.clone()),
            ("AccessDenied", device, None, StsError::UnknownDevice),
            ("InvalidClientTokenId", "x", None, StsError::DeadKey(None)),
            ("SignatureDoesNotMatch", expired, behind, clock),
            ("SignatureDoesNotMatch", "The request signature we calculated", near, StsError::WrongSecret),
            ("Throttling", "Rate exceeded", None, StsError::TryAgain("Rate exceeded".into())),
        ];
        for (code, message, skew, expected) in cases {
            assert_eq!(refusal(code, message, skew), expected, "{code} {message}");
        }
        assert!(matches!(refusal("RegionDisabledException", "m", None), StsError::Refused { .. }));
    }

    #[test]
    fn an_offset_is_said_in_seconds() {
        let error = StsError::Clock { ahead: true, by: Duration::from_secs(94) };
        assert_eq!(error.to_string(), "this machine's clock is 94 s ahead of AWS's");
    }
}
