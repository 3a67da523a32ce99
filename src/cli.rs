//! The command line: types only. The doc comments are the help text, so that a field's own doc is for its user.
#![allow(missing_docs)]

use std::ffi::OsString;
use std::path::PathBuf;

use crate::settings::VaultKind;
use clap::{Args, Parser, Subcommand};

mod enrolment;
mod handoff;
mod options;
mod policy;
mod token;

pub use enrolment::{Enroll, Mfa, Unenroll};
pub use handoff::{Also, Export, Format, HandOver, Login, Shell, Status, Write};
pub use options::{Codes, Options};
pub use policy::{Check, Policy, Whose};
pub use token::{Password, Token, TokenAdd};

/// One touch of a YubiKey becomes AWS credentials for everything on your machine.
#[derive(Debug, Parser)]
#[command(name = "onetap", version, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub options: Options,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Store a user's long-term access key and write the profile
    Add(Add),
    /// Forget sessions, of one profile or of all; AWS keeps a session alive until its end
    Clear {
        /// The profile [default: all]
        profile: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print one code, for a console's login page
    Code {
        /// The profile [default: $AWS_PROFILE]
        profile: Option<String>,
    },
    /// Tell a completion script what may stand here
    #[command(hide = true)]
    Complete {
        /// The words before the cursor, the last one with = in front
        #[arg(last = true, value_name = "WORD")]
        words: Vec<OsString>,
    },
    /// Print the script with which a shell's Tab key completes profiles, accounts and serials
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print credentials as JSON, for `credential_process` in ~/.aws/config
    CredentialProcess {
        /// The profile [default: $AWS_PROFILE]
        profile: Option<String>,
    },
    /// Look for what stands in a code's way, and say what to do; asks for nothing
    Doctor {
        /// The profile whose account is looked for [default: $AWS_PROFILE, else all]
        profile: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make an MFA device for a user, put its seed on a YubiKey, enable it and write the profile
    Enroll(Enroll),
    /// Run a command with credentials in its environment; without a command, a shell
    Exec {
        /// The profile [default: $AWS_PROFILE]
        profile: Option<String>,
        #[command(flatten)]
        hand_over: HandOver,
        /// The command and its arguments
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Show what would be asked of AWS and of whom, where each value comes from, and what is kept; asks for nothing
    Explain {
        /// The profile [default: $AWS_PROFILE]
        profile: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print credentials as a shell or a tool reads them
    Export(Export),
    /// Show all profiles of AWS's files, and where their keys are
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Open the AWS console in a browser, with a role's session
    Login(Login),
    /// Look at a user's MFA devices
    #[command(subcommand)]
    Mfa(Mfa),
    /// Write man pages and completion scripts into a folder
    #[command(hide = true)]
    Pages {
        /// The folder
        folder: PathBuf,
    },
    /// Print IAM policies that ask for MFA, and look for traps in those that a user has
    #[command(subcommand)]
    Policy(Policy),
    /// Forget a profile's access key, seed and sessions
    Remove {
        /// The profile
        profile: String,
    },
    /// Bring an MFA device whose codes AWS refuses into step again
    Resync {
        /// The profile
        profile: String,
    },
    /// Exchange a user's access key for a new one
    Rotate {
        /// The profile
        profile: String,
        /// Delete this other access key of the user first, for good
        #[arg(long, value_name = "ID")]
        delete: Option<String>,
    },
    /// Keep a TOTP seed in the vault, for people without a token
    #[command(subcommand)]
    Seed(Seed),
    /// Show profiles, devices and sessions
    Status(Status),
    /// Look after the OATH accounts on a YubiKey
    #[command(subcommand)]
    Token(Token),
    /// Take a user's MFA device away: from IAM, from the YubiKey, from the profile
    Unenroll(Unenroll),
    /// Look after the vault, where secrets rest
    #[command(subcommand)]
    Vault(Vaults),
    /// Write the session into ~/.aws/credentials, for tools that read nothing else
    Write(Write),
}

#[derive(Args, Clone, Debug)]
pub struct Add {
    /// The profile
    pub profile: String,
    /// Take the key from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead of asking
    #[arg(long, group = "source")]
    pub from_env: bool,
    /// Take the key that stands in plain text in the profile, in ~/.aws/credentials or ~/.aws/config
    #[arg(long, group = "source")]
    pub import: bool,
    /// Remove that plain text without asking, once the stored key has been proven
    #[arg(long, requires = "import", conflicts_with = "offline")]
    pub remove_plain: bool,
    /// Take the key from the CSV file that the console downloads
    #[arg(long, group = "source", value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Take the key that aws-vault keeps for a profile of this name in the Secret Service
    #[arg(long, group = "source")]
    pub from_aws_vault: bool,
    /// The MFA device: arn:aws:iam::ACCOUNT:mfa/NAME, a hardware serial, or auto
    #[arg(long, value_name = "ARN")]
    pub mfa_serial: Option<String>,
    /// The OATH account's exact name on the token, if it is not the MFA device's ARN
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// The profile's region
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Write a credential_process line too, so that every AWS tool gets its credentials here
    #[arg(long)]
    pub credential_process: bool,
    /// Do not ask AWS whether the key works
    #[arg(long)]
    pub offline: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Seed {
    /// Store a seed: base32, or the otpauth:// URI of the QR code. Asked on the terminal
    Add {
        /// The profile
        profile: String,
        /// Read the seed from standard input
        #[arg(long)]
        stdin: bool,
    },
    /// Forget a seed
    Remove {
        /// The profile
        profile: String,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub enum Vaults {
    /// Move all secrets into the other vault, and use that from now on
    Move {
        /// Where to: keychain or file
        #[arg(long, value_name = "VAULT")]
        to: VaultKind,
    },
}

impl Cli {
    /// A command line that was understood before, once more; `arguments` are those behind the program's name.
    pub fn again(arguments: &[OsString]) -> Option<Self> {
        Self::try_parse_from([OsString::from("onetap")].iter().chain(arguments)).ok()
    }

    /// The lines that SDKs and prompts call hundreds of times a day, `credential-process PROFILE` and
    /// `status --prompt [PROFILE]`, read without clap, whose tree of verbs and options costs more than all that the call
    /// then does (docs/PERFORMANCE.md). `None` for anything else, also for anything wrong: clap then reads it, and has the
    /// words for what is wrong.
    pub fn in_short(arguments: &[OsString], variable: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        let (first, rest) = arguments.split_first()?;
        let verb = match (first.to_str()?, rest) {
            ("credential-process", [profile]) => Verb::CredentialProcess { profile: Some(plain(profile)?) },
            ("status", [prompt, named @ ..]) if prompt == "--prompt" && named.len() < 2 => {
                let profile = named.first().map(plain);
                let profile = profile.map_or(Some(None), |plain| plain.map(Some))?;
                Verb::Status(Status { profile, json: false, prompt: true })
            }
            _ => return None,
        };
        let options = Options::of_variables(variable)?;
        Some(Self { options, verb })
    }
}

/// A word that is no option.
fn plain(word: &OsString) -> Option<String> {
    word.to_str().filter(|word| !word.starts_with('-')).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn in_short(line: &[&str], set: &[(&str, &str)]) -> Option<Cli> {
        let line: Vec<OsString> = line.iter().map(OsString::from).collect();
        Cli::in_short(&line, |name| Some(set.iter().find(|(known, _)| *known == name)?.1.into()))
    }

    #[test]
    fn what_is_read_without_clap_is_what_clap_reads() {
        // Tests run side by side, so that the variables' values reach clap as options here.
        let cases = [
            vec![],
            vec![("ONETAP_READER", "mock:/t")],
            vec![("ONETAP_CODE", "software,prompt")],
            vec![("ONETAP_NO_PROMPT", "1")],
            vec![("ONETAP_VAULT", "file"), ("ONETAP_READER", "pcsc:7")],
        ];
        let quiet = Cli::command().mut_args(|argument| argument.env(None::<&str>));
        for set in cases {
            let option = |(name, value): &(&str, &str)| {
                let option = name.trim_start_matches("ONETAP_").to_lowercase().replace('_', "-");
                if option == "no-prompt" { "--no-prompt".into() } else { format!("--{option}={value}") }
            };
            let options = set.iter().map(option);
            let options: Vec<_> = ["onetap".to_owned()].into_iter().chain(options).collect();
            let lines: [&[&str]; 3] =
                [&["credential-process", "doug"], &["status", "--prompt"], &["status", "--prompt", "doug"]];
            for words in lines {
                let line = options.iter().cloned().chain(words.iter().map(|word| (*word).to_owned()));
                let mut matches = quiet.clone().try_get_matches_from(line).unwrap();
                let by_clap = <Cli as clap::FromArgMatches>::from_arg_matches_mut(&mut matches).unwrap();
                let short = in_short(words, &set).unwrap();
                assert_eq!(format!("{short:?}"), format!("{by_clap:?}"));
            }
        }
    }

    #[test]
    fn everything_else_is_left_to_clap() {
        let lines: [&[&str]; 9] = [
            &[],
            &["status"],
            &["status", "--prompt", "--json"],
            &["status", "--prompt", "doug", "other"],
            &["credential-process"],
            &["credential-process", "--help"],
            &["credential-process", "doug", "--timeout=5"],
            &["exec", "doug"],
            &["credential-process", "-"],
        ];
        for line in lines {
            assert!(in_short(line, &[]).is_none(), "{line:?}");
        }
        for wrong in [
            ("ONETAP_READER", ""),
            ("ONETAP_VAULT", "pocket"),
            ("ONETAP_CODE", "prompt,prompt"),
            ("ONETAP_NO_PROMPT", "x"),
        ] {
            assert!(in_short(&["credential-process", "doug"], &[wrong]).is_none(), "{wrong:?}");
        }
    }
}
