//! Every failure meets its exit code and its next action on this page.
//!
//! Leaf errors state facts; advice is written here once, as what to do next.

use std::path::PathBuf;
use std::time::Duration;

use crate::attendant::Unattended;
use crate::card::CardError;
use crate::code::CodeError;
use crate::keys::NotAKey;
use crate::oath::OathError;
use crate::plan::PlanError;
use crate::profiles::{Location, Unreadable};
use crate::session::store::StoreError;
use crate::settings::SettingsError;
use crate::sts::StsError;
use crate::turn::TurnError;
use crate::vault::VaultError;

pub mod token;

use token::TokenError;

/// Why a command failed. `Display` is the fact; [`Error::hint`] is the next action.
#[derive(Debug, thiserror::Error)]
pub enum Error {
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
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// A virtual token's codes would go to AWS itself.
    #[error("the virtual token's seed stands in plain text, and {endpoint} is not this machine")]
    MockOnAws {
        /// Where the code would go.
        endpoint: String,
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
    /// The touch or question was refused while this process waited for its turn.
    #[error("{why} (the request came from another process)")]
    RefusedElsewhere {
        /// What happened there.
        why: String,
        /// Whether it was Ctrl-C.
        interrupted: bool,
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
    /// STS.
    #[error(transparent)]
    Sts(#[from] StsError),
    /// The whole command took too long.
    #[error("no session within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// What a verb that looks after a token cannot do.
    #[error(transparent)]
    Token(#[from] TokenError),
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
    pub(super) const INTERRUPTED: u8 = 130;
}

impl Error {
    /// The exit code.
    pub fn status(&self) -> u8 {
        match self {
            Self::Code(error) => code_status(error),
            Self::Exec { status, .. } => *status,
            Self::File { .. }
            | Self::NoHome
            | Self::Plan { .. }
            | Self::Settings(_)
            | Self::Unreadable(_) => status::CONFIGURATION,
            Self::Interrupted | Self::RefusedElsewhere { interrupted: true, .. } => status::INTERRUPTED,
            Self::MockOnAws { .. } | Self::Unwell(_) => status::TOKEN,
            Self::Store(StoreError::Vault(VaultError::Unattended(error)))
            | Self::Vault(VaultError::Unattended(error)) => unattended_status(error),
            Self::NoKeys { .. } | Self::Store(_) | Self::Vault(_) => status::VAULT,
            Self::NoProfile | Self::NotAKey(_) | Self::Output(_) | Self::Seed(_) | Self::Usage(_) => {
                status::USAGE
            }
            Self::RefusedElsewhere { .. } | Self::TimedOut(_) | Self::Turn(_) => status::REFUSED,
            Self::Sts(StsError::Network(_) | StsError::Tls(_) | StsError::TryAgain(_)) => status::NETWORK,
            Self::Sts(StsError::CaBundle { .. }) => status::CONFIGURATION,
            Self::Sts(_) => status::AWS,
            Self::Token(error) => error.status(),
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
            Self::Code(error) => return code_hint(error),
            Self::Exec { status: 127, .. } => "check the name, or give its path".into(),
            Self::Exec { .. } => "make it executable".into(),
            Self::File { .. } => "free some space or mend the permissions, and run the command again".into(),
            Self::MockOnAws { .. } => "add --allow-mock-on-aws if that is meant".into(),
            Self::Unwell(_) => "what to do stands beside each".into(),
            Self::NoHome => "set HOME".into(),
            Self::NoKeys { profile } => format!("run `onetap add {profile}`"),
            Self::NoProfile => "name one: `onetap status` lists what is known".into(),
            Self::NotAKey(NotAKey::Temporary(_)) => {
                "create an access key for the IAM user in the console (it begins with AKIA)".into()
            }
            Self::Plan { lost: Some(lost), .. } => lost.clone(),
            Self::Plan { source, .. } => return plan_hint(source),
            Self::Settings(SettingsError::OtherVault { path, recorded, wanted }) => format!(
                "leave --vault and ONETAP_VAULT away; or to move, run `onetap remove` for each profile, replace \
                 `vault = {}` by `vault = {}` in {}, and run `onetap add` again",
                recorded.word(),
                wanted.word(),
                path.display()
            ),
            Self::Store(StoreError::Vault(error)) | Self::Vault(error) => return vault_hint(error),
            Self::Sts(error) => return sts_hint(error),
            Self::Token(error) => return error.hint(),
            Self::Unattended(Unattended::Nobody(_)) => "run it in a terminal".into(),
            Self::RefusedElsewhere { .. }
            | Self::TimedOut(_)
            | Self::Turn(_)
            | Self::Unattended(Unattended::TimedOut) => "run the command again".into(),
            // Whoever pressed Ctrl-C knows what to do next.
            Self::Unattended(Unattended::Interrupted) => return None,
            Self::Interrupted | Self::NotAKey(_) | Self::Output(_) | Self::Seed(_) | Self::Settings(_) => {
                return None;
            }
            Self::Store(_) | Self::Unreadable(_) | Self::Usage(_) => return None,
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
        CodeError::TouchTimedOut | CodeError::Card(CardError::TimedOut) => status::REFUSED,
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

fn code_hint(error: &CodeError) -> Option<String> {
    Some(match error {
        CodeError::BadAccount { .. } => "set onetap_account to the account that AWS's QR code made".into(),
        CodeError::Card(error) => return card_hint(error),
        CodeError::NoAccount { present, .. } => match present.first() {
            Some(nearest) => {
                format!("if it has another name, put `onetap_account = {nearest}` into the profile")
            }
            None => "add the MFA device to this key, or plug in the key that holds it".into(),
        },
        CodeError::NoSeed { profile } => format!("run `onetap seed add {profile}`"),
        CodeError::NotACode => "type the six digits that the device shows".into(),
        CodeError::SeveralAccounts { fitting, .. } => match fitting.first() {
            Some(first) => format!("put the right one into the profile, such as `onetap_account = {first}`"),
            None => return None,
        },
        CodeError::SeedUnusable { profile, .. } => format!("run `onetap seed add {profile}` again"),
        CodeError::TouchTimedOut => "run the command again and touch the key while it blinks".into(),
        CodeError::Unattended(Unattended::Nobody(_)) => "run it in a terminal".into(),
        CodeError::Unattended(Unattended::TimedOut) => "run the command again".into(),
        CodeError::Vault(error) => return vault_hint(error),
        CodeError::Oath(OathError::Full) => "remove one: `onetap token delete NAME`".into(),
        CodeError::Oath(OathError::TooOld(_, "touch")) => "add --no-touch to store it without".into(),
        CodeError::Oath(OathError::NoApplet) => "enable it: `ykman config usb --enable OATH`".into(),
        CodeError::Oath(OathError::WrongPassword) => {
            "type the password that was set for the OATH application".into()
        }
        CodeError::Unattended(Unattended::Interrupted) | CodeError::Oath(_) => return None,
    })
}

fn card_hint(error: &CardError) -> Option<String> {
    Some(match error {
        CardError::Busy | CardError::Reset => {
            "close Yubico Authenticator; if GnuPG holds the key, run `gpgconf --kill scdaemon`, or put `pcsc-shared` \
             into ~/.gnupg/scdaemon.conf"
                .into()
        }
        CardError::NoReader | CardError::NoToken { .. } => "plug it in and run the command again".into(),
        CardError::NoService if cfg!(target_os = "linux") => {
            "start it: `sudo systemctl start pcscd.socket` (Debian: `sudo apt-get install pcscd`)".into()
        }
        CardError::NotAllowed => {
            "allow the polkit actions org.debian.pcsc-lite.access_pcsc and org.debian.pcsc-lite.access_card".into()
        }
        CardError::Removed => "plug it in again and leave it in until the code was read".into(),
        CardError::TimedOut => "run the command again and touch the key while it blinks".into(),
        _ => return None,
    })
}

fn plan_hint(error: &PlanError) -> Option<String> {
    Some(match error {
        PlanError::Fido { .. } => {
            "a user may have eight devices: add a virtual one to the same YubiKey (IAM console, Security credentials, \
             Assign MFA device, Authenticator app), keep its account with `ykman oath accounts uri --touch URI`, and set \
             mfa_serial to its arn:aws:iam::ACCOUNT:mfa/NAME"
                .into()
        }
        PlanError::NoMfa { profile } => {
            format!("put `mfa_serial = arn:aws:iam::ACCOUNT:mfa/NAME` into [profile {profile}]")
        }
        PlanError::NoProfile { name, .. } => format!("run `onetap add {name}` to make it"),
        PlanError::OtherKind { key, .. } if *key == "role_arn" => {
            "name the profile that owns the access key (its source_profile)".into()
        }
        PlanError::OtherKind { .. } => "use the AWS CLI for it".into(),
        PlanError::BadValue { .. } | PlanError::BadVariable { .. } => return None,
    })
}

fn sts_hint(error: &StsError) -> Option<String> {
    Some(match error {
        StsError::Clock { .. } if cfg!(target_os = "linux") => {
            "set the clock: `sudo timedatectl set-ntp true`".into()
        }
        StsError::Clock { .. } => "set the clock".into(),
        StsError::CodeRefused => {
            "check that mfa_serial and onetap_account name the same device, and that its seed is the newest"
                .into()
        }
        StsError::DeadKey(_) => {
            "check in the IAM console that it is active, and store the right one with `onetap add`".into()
        }
        StsError::Network(_) | StsError::TryAgain(_) | StsError::Incomplete => {
            "check the connection and the proxy, and run the command again".into()
        }
        StsError::UnknownDevice => {
            "check mfa_serial against `aws iam list-mfa-devices`, and that the access key is the same user's"
                .into()
        }
        StsError::WrongSecret => "store the key again with `onetap add`".into(),
        StsError::CaBundle { .. } | StsError::Refused { .. } | StsError::Tls(_) => return None,
    })
}

fn vault_hint(error: &VaultError) -> Option<String> {
    Some(match error {
        VaultError::Locked(_) => "unlock it and run the command again".into(),
        VaultError::NoKeychain(_) => {
            "start one (on Linux a Secret Service such as gnome-keyring), or keep secrets in an encrypted file with \
             --vault file"
                .into()
        }
        VaultError::OpenToOthers { place } => format!("run `chmod 600 {place}`"),
        VaultError::TimedOut => "look for its unlock window, and run the command again".into(),
        VaultError::WrongPassphrase { .. } => "run the command again with the right one".into(),
        VaultError::Unattended(Unattended::Nobody(_)) => {
            "run it in a terminal, or name a file with the passphrase in ONETAP_VAULT_PASSPHRASE_FILE".into()
        }
        VaultError::Damaged { .. } | VaultError::Other(_) | VaultError::Unattended(_) => return None,
    })
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
