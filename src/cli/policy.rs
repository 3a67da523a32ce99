//! The command line of `onetap policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Clone, Debug, Subcommand)]
pub enum Policy {
    /// Print a permissions boundary that allows everything only with MFA
    Boundary {
        #[command(flatten)]
        whose: Whose,
    },
    /// Look for what refuses a session without MFA, and for the well-known traps
    Check(Check),
    /// Print a policy that refuses chosen actions without MFA
    Guard {
        #[command(flatten)]
        whose: Whose,
        /// The actions, such as ec2:StopInstances,ec2:TerminateInstances; `*` and `?` are wildcards
        #[arg(long, required = true, value_delimiter = ',', value_name = "LIST")]
        actions: Vec<String>,
    },
    /// Print a policy that lets a user enrol a device without MFA, for some days
    Onboarding {
        #[command(flatten)]
        whose: Whose,
        /// Days until it ends by itself
        #[arg(long, default_value_t = 7, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=90))]
        days: u64,
    },
    /// Print a policy that lets a user look after devices and keys, only with MFA
    Permanent {
        #[command(flatten)]
        whose: Whose,
    },
    /// Print a policy that refuses every session made until now, after one was stolen
    Revoke {
        #[command(flatten)]
        whose: Whose,
    },
}

/// Whose policy it is.
#[derive(Args, Clone, Debug)]
pub struct Whose {
    /// The profile whose user is meant [default: $AWS_PROFILE]
    pub profile: Option<String>,
    /// The account's twelve digits [default: that of the profile's MFA device or key]
    #[arg(long, value_name = "DIGITS")]
    pub account: Option<String>,
    /// The IAM user, or ${aws:username} for a group's policy [default: the owner of the profile's key, asked of STS]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub struct Check {
    #[command(flatten)]
    pub whose: Whose,
    /// Read the policy from a file instead of asking IAM; may be given several times
    #[arg(long, value_name = "JSON")]
    pub file: Vec<PathBuf>,
    /// Read the permissions boundary from a file
    #[arg(long, value_name = "JSON", requires = "file")]
    pub boundary: Option<PathBuf>,
    /// The actions that are looked at
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "LIST",
        default_value = "ec2:StopInstances,s3:GetObject,iam:CreateAccessKey"
    )]
    pub actions: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
