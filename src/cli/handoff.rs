//! The types of the verbs that hand credentials on or tell about them.

use std::fmt;
use std::str::FromStr;

use clap::{Args, ValueEnum};

/// A form in which `export` writes credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// cmd.exe: set "NAME=value"
    Cmd,
    /// NAME=value, for docker, compose, systemd and dotenv libraries
    Dotenv,
    /// sh, bash, zsh: export NAME='value'
    #[default]
    Env,
    /// fish: set -gx NAME 'value'
    Fish,
    /// A section for ~/.aws/credentials
    Ini,
    /// The object of credential-process
    Json,
    /// Nushell: a record for load-env
    Nu,
    /// PowerShell: $env:NAME = 'value'
    Powershell,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

/// A shell whose Tab key knows onetap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Fish,
    Powershell,
    Zsh,
}

#[derive(Args, Clone, Debug)]
pub struct Export {
    /// The profile [default: $AWS_PROFILE]
    pub profile: Option<String>,
    /// The form
    #[arg(long, value_name = "FORMAT", default_value_t)]
    pub format: Format,
}

#[derive(Args, Clone, Debug)]
pub struct Login {
    /// The profile, of a role [default: $AWS_PROFILE]
    pub profile: Option<String>,
    /// Print the address instead; whoever opens it within 15 minutes is signed in
    #[arg(long)]
    pub url: bool,
    /// The region that the console shows [default: the profile's]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// The service that it shows, such as ec2 or s3/buckets [default: the first page]
    #[arg(long, value_name = "SERVICE")]
    pub service: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub struct Status {
    /// The profile [default: all]
    pub profile: Option<String>,
    /// Print JSON
    #[arg(long, conflicts_with = "prompt")]
    pub json: bool,
    /// Print the profile and what is left of its session, for a shell's prompt; nothing where none is kept
    #[arg(long)]
    pub prompt: bool,
}

/// How exec's child gets its credentials, if not as keys in its environment.
#[derive(Args, Clone, Debug, Default)]
pub struct HandOver {
    /// Set AWS_PROFILE instead of keys: the child asks onetap by credential_process, as often as it needs
    #[arg(long, conflicts_with = "refresh")]
    pub profile_env: bool,
    /// A further profile for the child: NAME=PROFILE, or NAME=ARN of a role. May be repeated
    #[arg(long, value_name = "NAME=PROFILE")]
    pub also: Vec<Also>,
    /// Serve the credentials at an address of this machine instead, and renew them while the child runs
    #[arg(long)]
    pub refresh: bool,
}

impl HandOver {
    /// Whether anything but keys in the environment is wanted.
    pub fn is_more(&self) -> bool {
        self.profile_env || self.refresh || !self.also.is_empty()
    }
}

/// `NAME=PROFILE` or `NAME=ARN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Also {
    /// The child's name for it.
    pub name: String,
    /// A profile, or the ARN of a role.
    pub what: String,
}

impl FromStr for Also {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, what) =
            text.split_once('=').ok_or("write NAME=PROFILE or NAME=arn:aws:iam::ACCOUNT:role/ROLE")?;
        match (name, what) {
            ("", _) | (_, "") => Err("neither side of the = may be empty".into()),
            (_, arn) if arn.starts_with("arn:") && !arn.contains(":role/") => {
                Err("the ARN is not a role's".into())
            }
            _ => Ok(Self { name: name.into(), what: what.into() }),
        }
    }
}

#[derive(Args, Clone, Debug)]
pub struct Write {
    /// The profile [default: $AWS_PROFILE]
    pub profile: Option<String>,
    /// The section's name in the credentials file [default: the profile's]
    #[arg(long = "as", value_name = "NAME")]
    pub name: Option<String>,
    /// Remove the section again
    #[arg(long, conflicts_with = "watch")]
    pub remove: bool,
    /// Stay, and write each new session before the old one ends
    #[arg(long)]
    pub watch: bool,
}
