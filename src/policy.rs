//! IAM policies about MFA: the ready documents, and what is wrong with those that a user has.
//!
//! Knows nothing about how a document reaches IAM. `docs/POLICY.md` tells which document is for what.
//! Source: IAM User Guide, "AWS: Allows MFA-authenticated IAM users to manage their own MFA device", "Permissions
//! boundaries for IAM entities" and "Revoke IAM role temporary security credentials".

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use crate::plan::Partition;

pub mod reading;
pub mod trap;

/// Asks for MFA where the context has the key: an Allow with it never fits a long-term key, which lacks it.
const PRESENT: &str = "aws:MultiFactorAuthPresent";

/// The user that a document is written for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    account: String,
    partition: Partition,
    user: String,
}

/// Stands for whoever makes the request, so that one document serves a whole group.
pub const WHOEVER: &str = "${aws:username}";

/// Why a text names no user or no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAHolder {
    /// Not twelve digits.
    #[error("{0:?} is no account: twelve digits")]
    Account(String),
    /// Not the name of an IAM user.
    #[error("{0:?} is no IAM user's name, such as doug")]
    User(String),
}

/// What a document is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Everything only with MFA, as a permissions boundary.
    Boundary,
    /// These actions only with MFA, whatever else the user may do.
    Guard(Vec<Action>),
    /// Enrolling a device without MFA, until this time.
    Onboarding {
        /// As IAM writes times: `2026-01-31T12:34:56Z`.
        until: String,
    },
    /// One's own devices and keys, and only with MFA.
    Permanent,
    /// No session that was made before this time.
    Revoke {
        /// As IAM writes times.
        before: String,
    },
}

/// An action as a policy names it, wildcards included: `ec2:StopInstances`, `s3:Delete*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action(String);

/// A policy document, in the order in which people write them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Document {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: &'static str,
    effect: &'static str,
    action: Vec<String>,
    resource: Vec<String>,
    #[serde(skip_serializing_if = "Value::is_null")]
    condition: Value,
}

impl Holder {
    /// A user by account and name; the name may have a path in front (`team/doug`) or be [`WHOEVER`].
    pub fn new(partition: Partition, account: &str, user: &str) -> Result<Self, NotAHolder> {
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NotAHolder::Account(account.into()));
        }
        // IAM API reference, CreateUser: `[\w+=,.@-]+`, 64 characters; a path from printable ones.
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-/".contains(&b);
        let named = !user.is_empty() && !user.starts_with('/') && !user.ends_with('/');
        if user != WHOEVER && !(named && user.len() <= 512 && user.bytes().all(plain)) {
            return Err(NotAHolder::User(user.into()));
        }
        Ok(Self { account: account.into(), partition, user: user.into() })
    }

    /// The user's name without its path.
    pub fn name(&self) -> &str {
        self.user.rsplit('/').next().unwrap_or(&self.user)
    }

    /// Whether the document is for whoever it is attached to.
    pub fn is_whoever(&self) -> bool {
        self.user == WHOEVER
    }

    /// `arn:PARTITION:iam::ACCOUNT:KIND/NAME`.
    pub fn arn(&self, kind: &str, name: &str) -> String {
        format!("arn:{}:iam::{}:{kind}/{name}", self.partition.name(), self.account)
    }

    /// The user's own ARN.
    pub fn user_arn(&self) -> String {
        self.arn("user", &self.user)
    }
}

impl Action {
    /// Reads an action of one service; `*` alone is not one: that is what the boundary is for.
    pub fn parse(text: &str) -> Option<Self> {
        let (service, name) = text.trim().split_once(':')?;
        let service_fits = service.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let name_fits = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"*?".contains(&b));
        let whole = !service.is_empty() && !name.is_empty();
        (whole && service_fits && name_fits).then(|| Self(text.trim().into()))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What only looks: onetap reads the user's devices where `mfa_serial` does not tell them.
const LOOK: [&str; 2] = ["GetUser", "ListMFADevices"];

/// What gives somebody else a way in, or takes these policies away.
const GUARDED: [&str; 22] = [
    "AddUserToGroup",
    "AttachUserPolicy",
    "CreateAccessKey",
    "CreateLoginProfile",
    "CreatePolicyVersion",
    "CreateVirtualMFADevice",
    "DeactivateMFADevice",
    "DeleteAccessKey",
    "DeletePolicyVersion",
    "DeleteUserPermissionsBoundary",
    "DeleteUserPolicy",
    "DeleteVirtualMFADevice",
    "DetachUserPolicy",
    "EnableMFADevice",
    "PutUserPermissionsBoundary",
    "PutUserPolicy",
    "RemoveUserFromGroup",
    "ResyncMFADevice",
    "SetDefaultPolicyVersion",
    "UpdateAccessKey",
    "UpdateLoginProfile",
    "UpdateUser",
];

/// The document that does what is wanted for a user.
pub fn document(wanted: &Wanted, holder: &Holder) -> Document {
    // The name of a device is free, and a second one has another: the user's name is no limit here. A device that
    // is enabled cannot be deleted, and enabling and deactivating are about the user.
    let device = holder.arn("mfa", "*");
    let user = holder.user_arn();
    let everything = || vec!["*".to_owned()];
    let with_mfa = json!({ "Bool": { PRESENT: "true" } });
    // A long-term key has no such key in its context: without `IfExists` it would pass.
    let without_mfa = json!({ "BoolIfExists": { PRESENT: "false" } });
    let look = |condition| allow("LookAtOwnDevices", iam(&LOOK), vec![user.clone()], condition);
    let statement = match wanted {
        Wanted::Boundary => {
            vec![allow("EverythingOnlyWithMfa", everything(), everything(), with_mfa), look(Value::Null)]
        }
        Wanted::Guard(actions) => {
            let actions = actions.iter().map(Action::to_string).collect();
            vec![deny("OnlyWithMfa", actions, everything(), without_mfa)]
        }
        Wanted::Onboarding { until } => {
            let soon = json!({ "DateLessThan": { "aws:CurrentTime": until } });
            let make = iam(&["CreateVirtualMFADevice", "DeleteVirtualMFADevice"]);
            vec![
                allow("MakeADevice", make, vec![device], soon.clone()),
                allow("EnableIt", iam(&["EnableMFADevice"]), vec![user.clone()], soon),
                look(Value::Null),
            ]
        }
        Wanted::Permanent => {
            let make = iam(&["CreateVirtualMFADevice", "DeleteVirtualMFADevice"]);
            let own = iam(&[
                "CreateAccessKey",
                "DeactivateMFADevice",
                "DeleteAccessKey",
                "EnableMFADevice",
                "GetAccessKeyLastUsed",
                "ListAccessKeys",
                "ResyncMFADevice",
                "UpdateAccessKey",
            ]);
            vec![
                look(Value::Null),
                allow("OwnDevicesWithMfa", make, vec![device], with_mfa.clone()),
                allow("OwnDevicesAndKeysWithMfa", own, vec![user.clone()], with_mfa),
                deny("NothingOfThisWithoutMfa", iam(&GUARDED), everything(), without_mfa),
            ]
        }
        Wanted::Revoke { before } => {
            // Absent for long-term keys, which this leaves alone.
            let old = json!({ "DateLessThan": { "aws:TokenIssueTime": before } });
            vec![deny("NoSessionMadeBefore", everything(), everything(), old)]
        }
    };
    Document { version: "2012-10-17", statement }
}

fn iam(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("iam:{name}")).collect()
}

fn allow(sid: &'static str, action: Vec<String>, resource: Vec<String>, condition: Value) -> Statement {
    Statement { sid, effect: "Allow", action, resource, condition }
}

fn deny(sid: &'static str, action: Vec<String>, resource: Vec<String>, condition: Value) -> Statement {
    Statement { sid, effect: "Deny", action, resource, condition }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_those_of_the_partition() {
        for partition in ["aws", "aws-cn", "aws-eusc", "aws-us-gov"] {
            let holder =
                Holder::new(Partition::named(partition).unwrap(), "123456789012", "team/doug").unwrap();
            assert_eq!(holder.name(), "doug");
            let text = serde_json::to_string(&document(&Wanted::Permanent, &holder)).unwrap();
            assert!(
                text.contains(&format!("\"arn:{partition}:iam::123456789012:user/team/doug\"")),
                "{text}"
            );
            assert!(text.contains(&format!("\"arn:{partition}:iam::123456789012:mfa/*\"")), "{text}");
            assert_eq!(text.matches("arn:").count(), text.matches(&format!("arn:{partition}:")).count());
        }
    }

    #[test]
    fn what_is_no_user_account_or_action_is_refused() {
        let holder = |account, user| Holder::new(Partition::Aws, account, user);
        assert!(holder("123456789012", WHOEVER).unwrap().is_whoever());
        for (account, user) in [("12345678901", "doug"), ("12345678901x", "doug")] {
            assert_eq!(holder(account, user), Err(NotAHolder::Account(account.into())));
        }
        for user in ["", "do ug", "doug\"", "/doug", "doug/", "${aws:userid}", "*"] {
            assert_eq!(holder("123456789012", user), Err(NotAHolder::User(user.into())));
        }
        for action in ["ec2:StopInstances", "s3:Delete*", "execute-api:Invoke"] {
            assert_eq!(Action::parse(action).unwrap().to_string(), action);
        }
        for action in ["", "*", "ec2", "ec2:", ":Stop", "EC2:Stop Instances", "ec2:Stop,Start"] {
            assert_eq!(Action::parse(action), None, "{action}");
        }
    }
}
