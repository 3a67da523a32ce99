//! The verbs that look after a YubiKey's accounts; the doc comments are the help text.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Clone, Debug, Subcommand)]
pub enum Token {
    /// Show the accounts on a key
    Accounts {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Put an account on a key: base32, or the otpauth:// URI of the QR code. Asked on the terminal
    Add(TokenAdd),
    /// Remove an account from a key, for good
    Delete {
        /// The account's exact name
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Show the keys that are plugged in
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Lock a key's accounts with a password, and have it remembered
    #[command(subcommand)]
    Password(Password),
    /// Give an account another name
    Rename {
        /// The account's exact name
        old: String,
        /// Its new name
        new: String,
    },
    /// Remove all accounts and the password from a key, for good
    Reset {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Args, Clone, Debug)]
pub struct TokenAdd {
    /// The account's name on the key [default: what the URI says]
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Read the seed or the URI from standard input
    #[arg(long, conflicts_with = "qr")]
    pub stdin: bool,
    /// Read it from the QR code in a screenshot (PNG or JPEG)
    #[arg(long, value_name = "FILE")]
    pub qr: Option<PathBuf>,
    /// Codes come without a touch
    #[arg(long)]
    pub no_touch: bool,
    /// Replace an account of this name without asking
    #[arg(long)]
    pub yes: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Password {
    /// Take the password off
    Clear,
    /// Forget what was remembered; the key stays locked
    Forget,
    /// Remember the password in the vault, as the key derived from it
    Remember {
        /// Read the password from standard input
        #[arg(long)]
        stdin: bool,
    },
    /// Set a password, or another one
    Set {
        /// Read the new password from standard input
        #[arg(long)]
        stdin: bool,
    },
}
