//! The options that every verb takes.

use std::ffi::OsString;
use std::str::FromStr;

use clap::Args;

use crate::card::{Reader, Serial};
use crate::plan::SourceName;
use crate::settings::VaultKind;

/// Options of every verb.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Where the token is: pcsc, pcsc:SERIAL, or mock:PATH for a virtual one
    #[arg(long, global = true, env = "ONETAP_READER", value_name = "READER")]
    pub reader: Option<Reader>,

    /// The YubiKey that is asked, by the serial number on its back, where several may hold the account
    #[arg(long, global = true, value_name = "SERIAL")]
    pub token: Option<Serial>,

    /// Who is asked for a code, in this order: yubikey, software, prompt
    #[arg(long, global = true, env = "ONETAP_CODE", value_name = "LIST")]
    pub code: Option<Codes>,

    /// Where secrets rest: keychain or file. Recorded at the first use
    #[arg(long, global = true, env = "ONETAP_VAULT", value_name = "VAULT")]
    pub vault: Option<VaultKind>,

    /// Seconds until a touch, an answer or another process must have come [default: 55 for credential-process, else 120]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: Option<u64>,

    /// Fail, with exit code 7, where a person would have to touch or answer something
    #[arg(long, global = true, env = "ONETAP_NO_PROMPT", value_parser = clap::builder::BoolishValueParser::new())]
    pub no_prompt: bool,

    /// Seconds that a session must have left, else the command fails; by default some are only wished for
    #[arg(long, global = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=129_600))]
    pub min_ttl: Option<u64>,

    /// Seconds since the code was given after which a session no longer serves (aws:MultiFactorAuthAge)
    #[arg(long, global = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=129_600))]
    pub mfa_max_age: Option<u64>,

    /// Make a new session, whatever is kept
    #[arg(long, global = true)]
    pub renew: bool,

    /// Let a virtual token's codes go to AWS itself, although its seed stands in plain text
    #[arg(long, global = true)]
    pub allow_mock_on_aws: bool,
}

impl Options {
    /// What the environment alone says; `None` where a value makes no sense, or has a spelling that is left to clap.
    pub fn of_variables(variable: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        Some(Self {
            reader: parsed(variable("ONETAP_READER"))?,
            token: None,
            code: parsed(variable("ONETAP_CODE"))?,
            vault: parsed(variable("ONETAP_VAULT"))?,
            timeout: None,
            // Whatever else clap takes for yes or no is left to clap.
            no_prompt: match variable("ONETAP_NO_PROMPT") {
                None => false,
                Some(value) if value == "1" => true,
                Some(_) => return None,
            },
            min_ttl: None,
            mfa_max_age: None,
            renew: false,
            allow_mock_on_aws: false,
        })
    }
}

/// A fallback order; a type of its own, since clap takes a `Vec` for a repeated option.
#[derive(Clone, Debug)]
pub struct Codes(pub Vec<SourceName>);

impl FromStr for Codes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        SourceName::list(text).map(Self)
    }
}

/// `None` for a value that makes no sense, `Some(None)` for a variable that is not set.
fn parsed<T: FromStr>(value: Option<OsString>) -> Option<Option<T>> {
    match value {
        Some(value) => value.to_str()?.parse().ok().map(Some),
        None => Some(None),
    }
}
