//! The command line: types only. The doc comments are the help text, so that a field's own doc is for its user.
#![allow(missing_docs)]

use std::ffi::OsString;

use crate::card::Reader;
use crate::plan::SourceName;
use crate::settings::VaultKind;
use clap::{Args, Parser, Subcommand};

/// One touch of a YubiKey becomes AWS credentials for everything on your machine.
#[derive(Debug, Parser)]
#[command(name = "onetap", version, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub options: Options,
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options of every verb.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Where the token is: pcsc, pcsc:SERIAL, or mock:PATH for a virtual one
    #[arg(long, global = true, env = "ONETAP_READER", value_name = "READER")]
    pub reader: Option<Reader>,

    /// Who is asked for a code, in this order: yubikey, software, prompt
    #[arg(long, global = true, env = "ONETAP_CODE", value_name = "LIST", value_parser = codes)]
    pub code: Option<Codes>,

    /// Where secrets rest: keychain or file. Recorded at the first use
    #[arg(long, global = true, env = "ONETAP_VAULT", value_name = "VAULT")]
    pub vault: Option<VaultKind>,

    /// Seconds until a touch, an answer or another process must have come [default: 55 for credential-process, else 120]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: Option<u64>,

    /// Let a virtual token's codes go to AWS itself, although its seed stands in plain text
    #[arg(long, global = true)]
    pub allow_mock_on_aws: bool,
}

/// A fallback order; a type of its own, since clap takes a `Vec` for a repeated option.
#[derive(Clone, Debug)]
pub struct Codes(pub Vec<SourceName>);

fn codes(text: &str) -> Result<Codes, String> {
    SourceName::list(text).map(Codes)
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Store a user's long-term access key and write the profile
    Add(Add),
    /// Forget sessions, of one profile or of all; AWS keeps a session alive until its end
    Clear {
        /// The profile [default: all]
        profile: Option<String>,
    },
    /// Print one code, for a console's login page
    Code {
        /// The profile [default: $AWS_PROFILE]
        profile: Option<String>,
    },
    /// Print credentials as JSON, for `credential_process` in ~/.aws/config
    CredentialProcess {
        /// The profile [default: $AWS_PROFILE]
        profile: Option<String>,
    },
    /// Run a command with credentials in its environment; without a command, a shell
    Exec {
        /// The profile [default: $AWS_PROFILE]
        profile: Option<String>,
        /// The command and its arguments
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Forget a profile's access key, seed and sessions
    Remove {
        /// The profile
        profile: String,
    },
    /// Keep a TOTP seed in the vault, for people without a token
    #[command(subcommand)]
    Seed(Seed),
    /// Show profiles, devices and sessions
    Status {
        /// The profile [default: all]
        profile: Option<String>,
    },
}

#[derive(Args, Debug)]
pub struct Add {
    /// The profile
    pub profile: String,
    /// Take the key from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead of asking
    #[arg(long)]
    pub from_env: bool,
    /// The MFA device: arn:aws:iam::ACCOUNT:mfa/NAME or a hardware serial
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

#[derive(Debug, Subcommand)]
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
