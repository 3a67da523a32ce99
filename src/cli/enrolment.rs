//! The verbs that look after a user's MFA devices; the doc comments are the help text.

use clap::{Args, Subcommand};

#[derive(Args, Clone, Debug)]
pub struct Enroll {
    /// The profile, whose access key is stored
    pub profile: String,
    /// One more YubiKey with the same account: the one in this reader, else the next that is plugged in
    #[arg(long, value_name = "READER", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub backup: Vec<String>,
    /// Put the seed into the vault too
    #[arg(long)]
    pub software: bool,
    /// Put it into the vault only, without a YubiKey
    #[arg(long, requires = "software", conflicts_with = "backup")]
    pub no_key: bool,
    /// Show the QR code on the terminal, for a phone
    #[arg(long)]
    pub show_qr: bool,
    /// The device's name at IAM [default: the user's]
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// The OATH account's name on the YubiKey [default: the device's ARN]
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Do not ask before an account or an unused device is replaced
    #[arg(long)]
    pub yes: bool,
}

#[derive(Args, Clone, Debug)]
pub struct Unenroll {
    /// The profile
    pub profile: String,
    /// Another device of the same user
    #[arg(long, value_name = "ARN")]
    pub device: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Mfa {
    /// Show a user's devices at IAM, and which of the plugged-in YubiKeys holds each
    List {
        /// The profile [default: $AWS_PROFILE]
        profile: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}
