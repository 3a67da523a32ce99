//! Every failure meets its exit code and its next action on this page.
//!
//! Leaf errors state facts; advice is written here once, as what to do next.

use std::path::PathBuf;
use std::time::Duration;

use crate::attendant::Unattended;
use crate::card::CardError;
use crate::code::CodeError;
use crate::foreign::ForeignError;
use crate::iam::IamError;
use crate::keys::NotAKey;
use crate::plan::PlanError;
use crate::profiles::edit::owned::NotOurs;
use crate::profiles::{Location, Unreadable};
use crate::session::store::StoreError;
use crate::settings::SettingsError;
use crate::sts::StsError;
use crate::turn::TurnError;
use crate::vault::VaultError;

pub mod handoff;
mod hint;
pub mod iam;
mod section;
pub mod token;

use handoff::HandOffError;
use iam::UserError;
use token::TokenError;

/// Why a command failed. `Display` is the fact; [`Error::hint`] is the next action.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process of the same command failed on its behalf.
    #[error("{why}")]
    Apart {
        /// What happened there.
        why: String,
        /// The next action, if there is one.
        hint: Option<String>,
        /// The exit code there.
        status: u8,
    },
    /// A program that gives a profile's credentials, or a device's code, asks onetap for the same.
    #[error("the {what} is being asked for already, by a program that runs on its behalf")]
    Circular {
        /// The profile or the device.
        what: String,
        /// The profile's key with the program's command line.
        key: &'static str,
    },
    /// No source gave a code.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// The child's command cannot be run.
    #[error("{command}: {reason}")]
    Exec {
        /// The command as it was given.
        command: String,
        /// The system's words.
        reason: String,
        /// 126 (not executable) or 127 (not found).
        status: u8,
    },
    /// A file of the person's could not be written.
    #[error("{path} cannot be written: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// A program of the person's own.
    #[error(transparent)]
    Foreign(#[from] ForeignError),
    /// What a verb that hands credentials on cannot do.
    #[error(transparent)]
    HandOff(#[from] HandOffError),
    /// IAM.
    #[error(transparent)]
    Iam(#[from] IamError),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// A virtual token's codes would go to AWS itself.
    #[error("the virtual token's seed stands in plain text, and {endpoint} is not this machine")]
    MockOnAws {
        /// Where the code would go.
        endpoint: String,
    },
    /// `credential_source = Environment`, and nothing there.
    #[error(
        "the profile {profile:?} takes its credentials from the environment, and AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set"
    )]
    NoKeysInEnvironment {
        /// The profile.
        profile: String,
    },
    /// The MFA device would have to be asked for, and nobody can be.
    #[error("the MFA device is not known, and there is nobody to ask")]
    NoDevice {
        /// What it is probably called.
        example: String,
    },
    /// A key that is not a long-term access key.
    #[error(transparent)]
    NotAKey(#[from] NotAKey),
    /// The person has no home folder.
    #[error("there is no home folder: HOME is not set")]
    NoHome,
    /// No long-term key is stored for the profile.
    #[error("no access key is stored for the profile {profile:?}")]
    NoKeys {
        /// The profile.
        profile: String,
    },
    /// A section of the credentials file that cannot be ours.
    #[error("{0}: {1}")]
    NotOurs(PathBuf, #[source] NotOurs),
    /// No profile was named.
    #[error("no profile is named, and AWS_PROFILE is not set")]
    NoProfile,
    /// The result could not be handed over.
    #[error("the result cannot be written to stdout: {0}")]
    Output(String),
    /// The profile's text gives no plan.
    #[error("{}{source}", .at.as_ref().map(|at| format!("{at}: ")).unwrap_or_default())]
    Plan {
        /// Why not.
        source: Box<PlanError>,
        /// Where the value stands.
        at: Option<Location>,
        /// What AWS's loader lost in silence, if that explains it.
        lost: Option<String>,
    },
    /// A person, or AWS, refused another process what this one waited for.
    #[error("{why} (the request came from another process)")]
    RefusedElsewhere {
        /// What happened there.
        why: String,
        /// The next action, if there is one.
        hint: Option<String>,
        /// The exit code there.
        status: u8,
    },
    /// The TOTP seed that a person gave cannot be used.
    #[error("the seed cannot be used: {0}")]
    Seed(String),
    /// onetap's own settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The kept sessions.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An MFA device would have to count for a session.
    #[error(
        "the credentials that {profile:?} starts from are a session's, and an MFA device counts only for a user's own key"
    )]
    NotAUser {
        /// The profile.
        profile: String,
    },
    /// STS.
    #[error(transparent)]
    Sts(#[from] StsError),
    /// The whole command took too long.
    #[error("no session within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// A session as long as was demanded is not to be had.
    #[error("a session with {} s left is demanded, and AWS grants {} s", .wanted.as_secs(), .granted.as_secs())]
    TooShort {
        /// What `--min-ttl` or `onetap_min_ttl` demands.
        wanted: Duration,
        /// What the plan asks for, or AWS gave.
        granted: Duration,
    },
    /// What a verb that looks after a token cannot do.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Policies that do not do what they look like; each was told with its remedy.
    #[error("policies with traps: {0}")]
    Traps(usize),
    /// The turn.
    #[error(transparent)]
    Turn(#[from] TurnError),
    /// A person was needed.
    #[error(transparent)]
    Unattended(#[from] Unattended),
    /// Checks of `doctor` went wrong; each told its remedy itself.
    #[error("checks that went wrong: {0}")]
    Unwell(usize),
    /// The AWS configuration as a whole.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The command line.
    #[error("{0}")]
    Usage(String),
    /// The token of a web identity.
    #[error("the web identity token of profile {profile:?}, {path}, cannot be read: {reason}")]
    WebIdentity {
        /// The profile.
        profile: String,
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// What a verb that looks after a user's devices and keys cannot do.
    #[error(transparent)]
    User(#[from] UserError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// Exit codes of every verb but `exec`, which answers 125 for every failure of ours; `docs/EXIT-CODES.md`.
mod status {
    pub(super) const USAGE: u8 = 2;
    pub(super) const CONFIGURATION: u8 = 3;
    pub(super) const VAULT: u8 = 4;
    pub(super) const TOKEN: u8 = 5;
    pub(super) const REFUSED: u8 = 6;
    pub(super) const NOBODY: u8 = 7;
    pub(super) const AWS: u8 = 8;
    pub(super) const NETWORK: u8 = 9;
    pub(super) const TOO_SHORT: u8 = 10;
    pub(super) const INTERRUPTED: u8 = 130;
}

impl Error {
    /// The exit code.
    pub fn status(&self) -> u8 {
        match self {
            Self::Code(error) => code_status(error),
            Self::Apart { status, .. }
            | Self::Exec { status, .. }
            | Self::RefusedElsewhere { status, .. } => *status,
            Self::Circular { .. }
            | Self::File { .. }
            | Self::NoHome
            | Self::NotAUser { .. }
            | Self::NotOurs(..)
            | Self::Plan { .. }
            | Self::Settings(_)
            | Self::Traps(_)
            | Self::WebIdentity { .. }
            | Self::Unreadable(_) => status::CONFIGURATION,
            Self::HandOff(error) => error.status(),
            Self::Interrupted => status::INTERRUPTED,
            Self::MockOnAws { .. } | Self::Unwell(_) => status::TOKEN,
            Self::Store(StoreError::Vault(VaultError::Dismissed | VaultError::Unanswered))
            | Self::Vault(VaultError::Dismissed | VaultError::Unanswered) => status::REFUSED,
            Self::Store(StoreError::Vault(VaultError::Unattended(error)))
            | Self::Vault(VaultError::Unattended(error)) => unattended_status(error),
            Self::Foreign(_)
            | Self::NoKeys { .. }
            | Self::NoKeysInEnvironment { .. }
            | Self::Store(_)
            | Self::Vault(_) => status::VAULT,
            Self::NoDevice { .. } => status::NOBODY,
            Self::TooShort { .. } => status::TOO_SHORT,
            Self::NoProfile | Self::NotAKey(_) | Self::Output(_) | Self::Seed(_) | Self::Usage(_) => {
                status::USAGE
            }
            Self::TimedOut(_) | Self::Turn(_) => status::REFUSED,
            Self::Iam(error) => iam::iam_status(error),
            Self::Sts(error) => iam::sts_status(error),
            Self::Token(error) => error.status(),
            Self::User(error) => error.status(),
            Self::Unattended(error) => unattended_status(error),
        }
    }

    /// Whether a person was asked and did not answer, so that those who wait for the same answer are refused too.
    pub fn is_refusal(&self) -> bool {
        matches!(self.status(), status::REFUSED | status::INTERRUPTED)
    }

    /// What to do next, if there is something to do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Code(error) => return hint::code_hint(error),
            Self::Circular { key: "mfa_process", .. } => {
                "remove mfa_process: onetap asks the device itself".into()
            }
            Self::Circular { .. } => {
                "name the profile that it takes its credentials from in source_profile".into()
            }
            Self::Exec { status: 127, .. } => "check the name, or give its path".into(),
            Self::Exec { .. } => "make it executable".into(),
            Self::File { .. } => "free some space or mend the permissions, and run the command again".into(),
            Self::HandOff(error) => return error.hint(),
            Self::MockOnAws { .. } => "add --allow-mock-on-aws if that is meant".into(),
            Self::Traps(_) | Self::Unwell(_) => "what to do stands beside each".into(),
            Self::NoDevice { example } => format!("add --mfa-serial {example}"),
            Self::NoHome => "set HOME".into(),
            Self::NoKeys { profile } => format!("run `onetap add {profile}`"),
            Self::NotOurs(_, source) => return section::hint(source),
            Self::NoProfile => "name one: `onetap status` lists what is known".into(),
            Self::NotAKey(NotAKey::Temporary(_)) => {
                "create an access key for the IAM user in the console (it begins with AKIA)".into()
            }
            Self::Plan { lost: Some(lost), .. } => lost.clone(),
            Self::Plan { source, .. } => return hint::plan_hint(source),
            Self::Settings(SettingsError::OtherVault { wanted, .. }) => format!(
                "leave --vault and ONETAP_VAULT away, or run `onetap vault move --to {}`",
                wanted.word()
            ),
            Self::Store(StoreError::Vault(error)) | Self::Vault(error) => return hint::vault_hint(error),
            Self::Sts(error) => return hint::sts_hint(error),
            Self::Iam(error) => return iam::iam_hint(error),
            Self::Token(error) => return error.hint(),
            Self::User(error) => return error.hint(),
            Self::Unattended(Unattended::Nobody(why)) => hint::nobody_hint(why),
            Self::Apart { hint, .. } | Self::RefusedElsewhere { hint, .. } => return hint.clone(),
            Self::TimedOut(_) | Self::Turn(_) | Self::Unattended(Unattended::TimedOut) => {
                "run the command again".into()
            }
            // Whoever pressed Ctrl-C knows what to do next.
            Self::Unattended(Unattended::Interrupted) => return None,
            Self::Interrupted | Self::NotAKey(_) | Self::Output(_) | Self::Seed(_) | Self::Settings(_) => {
                return None;
            }
            Self::TooShort { .. } => {
                "demand less, or ask for a longer session (onetap_session_duration, duration_seconds)".into()
            }
            Self::Foreign(_)
            | Self::NoKeysInEnvironment { .. }
            | Self::NotAUser { .. }
            | Self::Store(_)
            | Self::Unreadable(_)
            | Self::Usage(_)
            | Self::WebIdentity { .. } => return None,
        })
    }

    /// The one line for stderr: the fact, then the next action.
    pub fn line(&self) -> String {
        let text = match self.hint() {
            Some(hint) => format!("{self}; {hint}"),
            None => self.to_string(),
        };
        // One line also where a cause of somebody else's has several, and no control characters of theirs.
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

fn code_status(error: &CodeError) -> u8 {
    match error {
        CodeError::TouchTimedOut
        | CodeError::Card(CardError::TimedOut)
        | CodeError::Vault(VaultError::Dismissed | VaultError::Unanswered) => status::REFUSED,
        CodeError::Unattended(error) | CodeError::Vault(VaultError::Unattended(error)) => {
            unattended_status(error)
        }
        CodeError::NoSeed { .. } | CodeError::SeedUnusable { .. } | CodeError::Vault(_) => status::VAULT,
        CodeError::NotACode => status::USAGE,
        _ => status::TOKEN,
    }
}

fn unattended_status(error: &Unattended) -> u8 {
    match error {
        Unattended::Interrupted => status::INTERRUPTED,
        Unattended::Nobody(_) => status::NOBODY,
        Unattended::TimedOut => status::REFUSED,
    }
}

impl From<CardError> for Error {
    fn from(error: CardError) -> Self {
        Self::Code(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_failure_has_its_exit_code() {
        let cases: [(Error, u8); 17] = [
            (Error::NoProfile, 2),
            (Error::NoHome, 3),
            (StsError::CaBundle { path: "x".into(), reason: "y".into() }.into(), 3),
            (Error::NoKeys { profile: "doug".into() }, 4),
            (VaultError::Locked("x".into()).into(), 4),
            (CodeError::NoSeed { profile: "doug".into() }.into(), 4),
            (CardError::NoReader.into(), 5),
            (CodeError::NoAccount { wanted: "a".into(), present: vec![] }.into(), 5),
            (CodeError::TouchTimedOut.into(), 6),
            (Unattended::TimedOut.into(), 6),
            (CodeError::Unattended(Unattended::Nobody("x".into())).into(), 7),
            (StsError::CodeRefused.into(), 8),
            (StsError::Network("x".into()).into(), 9),
            (Error::Exec { command: "x".into(), reason: "y".into(), status: 127 }, 127),
            (CodeError::Vault(Unattended::Interrupted.into()).into(), 130),
            (Unattended::Interrupted.into(), 130),
            (Error::Interrupted, 130),
        ];
        for (error, status) in cases {
            assert_eq!(error.status(), status, "{error}");
        }
    }

    #[test]
    fn a_line_is_one_line_with_fact_and_advice() {
        let error = Error::from(StsError::Network("a\nb\x1b[2J".into()));
        assert_eq!(
            error.line(),
            "STS cannot be reached: a b [2J; check the connection and the proxy, and run the command again"
        );
    }
}
