//! Policy documents ready to be attached; the documents themselves stand in `tests/support/policies`.

use serde_json::{Value, json};

/// Looking is always allowed, stopping an instance only with MFA: story (a).
pub fn stop_only_with_mfa() -> Value {
    document(include_str!("../../policies/stop-only-with-mfa.json"))
}

/// Everything is allowed with MFA and nothing without: as the permissions boundary of story (b).
pub fn everything_only_with_mfa() -> Value {
    document(include_str!("../../policies/everything-only-with-mfa.json"))
}

/// Everything is allowed: the identity policy that a boundary needs beside it.
pub fn everything() -> Value {
    document(include_str!("../../policies/everything.json"))
}

/// Everything is allowed, and denied again without MFA (`BoolIfExists`), as AWS's own guide writes it.
pub fn deny_without_mfa() -> Value {
    document(include_str!("../../policies/deny-without-mfa.json"))
}

/// A role's trust policy: this user's or role's ARN may assume it, tag the session and set a source identity.
/// `arn:aws:iam::ACCOUNT:root` stands for everybody in the account whose own policies allow `sts:AssumeRole`.
pub fn trust(arn: &str) -> Value {
    trust_when(arn, json!({}))
}

/// As [`trust`], under a condition, for example `{ "StringEquals": { "sts:ExternalId": "42" } }`.
pub fn trust_when(arn: &str, condition: Value) -> Value {
    json!({ "Version": "2012-10-17", "Statement": {
        "Effect": "Allow",
        "Principal": { "AWS": arn },
        "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
        "Condition": condition,
    } })
}

/// As [`trust`], only with MFA in the caller's session or in the call itself.
pub fn trust_with_mfa(arn: &str) -> Value {
    trust_when(arn, json!({ "Bool": { "aws:MultiFactorAuthPresent": "true" } }))
}

/// A role's trust policy: a web identity provider's tokens for this subject may assume it.
pub fn trust_web(provider_arn: &str, provider: &str, subject: &str) -> Value {
    let mut names = serde_json::Map::new();
    names.insert(format!("{provider}:sub"), subject.into());
    json!({ "Version": "2012-10-17", "Statement": {
        "Effect": "Allow",
        "Principal": { "Federated": provider_arn },
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": { "StringEquals": names },
    } })
}

/// A role's trust policy that lets nobody in.
pub(crate) fn trust_nobody() -> Value {
    json!({ "Version": "2012-10-17", "Statement": {
        "Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole",
    } })
}

fn document(text: &str) -> Value {
    // A document that is no JSON becomes `null`, which no world accepts.
    serde_json::from_str(text).unwrap_or_default()
}
