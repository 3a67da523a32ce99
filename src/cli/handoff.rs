//! The types of the verbs that hand credentials on or tell about them.

use std::fmt;

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
