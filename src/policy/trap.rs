//! The well-known traps of policies about MFA.
//!
//! Source: IAM User Guide, "AWS global condition context keys", `aws:MultiFactorAuthPresent` and `...Age`: both are
//! absent from requests that are signed with a long-term key.

use std::fmt;

use super::reading::{Answer, Condition, Key, Policy, Request, Statement, passes};

/// Something in a policy that does not do what its author meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trap {
    /// The policy, and the statement where it has a name; empty where all policies together make it.
    pub at: String,
    /// Which one.
    pub kind: Kind,
}

/// The traps. `Display` says what is wrong and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A limit on the age of the code, which kept sessions must know.
    Age(String),
    /// Allowed `...IfExists`: a long-term key has no such key, and passes.
    AllowIfExists,
    /// Denied without `IfExists`: a long-term key has no such key, and is not denied.
    DenyWithoutIfExists,
    /// The user can give himself, or a thief with his key can give the user, a device without MFA.
    Device,
    /// Those with MFA are refused, or those without are allowed.
    Inverted,
    /// `Null` cannot tell a session without MFA from one with.
    Null,
}

impl Kind {
    /// The word for scripts.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Age(_) => "age",
            Self::AllowIfExists => "allow-if-exists",
            Self::DenyWithoutIfExists => "deny-without-if-exists",
            Self::Device => "device-without-mfa",
            Self::Inverted => "inverted",
            Self::Null => "null",
        }
    }

    /// Whether it lets somebody in; the other is only in the way.
    pub fn is_hole(&self) -> bool {
        !matches!(self, Self::Age(_))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Age(limit) => write!(
                f,
                "the code may be at most {limit} s old (aws:MultiFactorAuthAge); put `onetap_mfa_max_age = {limit}` \
                 into the profile, so that an older session is not used"
            ),
            Self::AllowIfExists => f.write_str(
                "this allows with IfExists, and a long-term key has no such key in its requests: it passes without MFA; \
                 write the operator without IfExists",
            ),
            Self::DenyWithoutIfExists => f.write_str(
                "this denies without IfExists, and a long-term key has no such key in its requests: it is not denied; \
                 write BoolIfExists (NumericGreaterThanIfExists)",
            ),
            Self::Device => f.write_str(
                "a device can be made and enabled without MFA: whoever steals the access key adds a device of his own; \
                 attach what `onetap policy permanent` prints",
            ),
            Self::Inverted => f.write_str(
                "the condition is the wrong way round: it refuses those with MFA, or allows those without",
            ),
            Self::Null => f.write_str(
                "Null asks whether aws:MultiFactorAuthPresent is there, and a session without MFA has it too, as \
                 \"false\"; write Bool (in a Deny BoolIfExists)",
            ),
        }
    }
}

/// The traps in a user's policies and boundary. `user` and `device` are the ARNs that enabling and making a device
/// are about.
pub fn traps(identity: &[Policy], boundary: Option<&Policy>, user: &str, device: &str) -> Vec<Trap> {
    let mut found = Vec::new();
    for policy in identity.iter().chain(boundary) {
        for (number, statement) in policy.statements.iter().enumerate() {
            let place = match &statement.sid {
                Some(sid) => format!("{}, {sid}", policy.name),
                None => format!("{}, statement {}", policy.name, number.saturating_add(1)),
            };
            let kinds = statement.conditions.iter().filter_map(|condition| of(statement, condition));
            found.extend(kinds.map(|kind| Trap { at: place.clone(), kind }));
        }
    }
    let open = |request| {
        let made = passes(identity, boundary, "iam:CreateVirtualMFADevice", device, request);
        made.and(passes(identity, boundary, "iam:EnableMFADevice", user, request))
    };
    // A condition that is not about MFA leaves it open, which is no answer to a thief.
    if [Request::LongTermKey, Request::WithoutMfa].into_iter().any(|request| open(request) != Answer::No) {
        found.push(Trap { at: String::new(), kind: Kind::Device });
    }
    found
}

fn of(statement: &Statement, condition: &Condition) -> Option<Kind> {
    let says = |truth: &str| condition.values.iter().any(|value| value.eq_ignore_ascii_case(truth));
    let operator = condition.operator.as_str();
    match (condition.key, statement.allows) {
        (Key::Other, _) => None,
        (Key::Present, _) if operator == "Null" => Some(Kind::Null),
        (Key::Present, true) if says("false") => Some(Kind::Inverted),
        (Key::Present, false) if says("true") && !operator.contains("Not") => Some(Kind::Inverted),
        (Key::Present, false) if operator.contains("Not") => None,
        (_, true) if condition.if_exists => Some(Kind::AllowIfExists),
        (_, false) if operator == "Null" => None,
        (_, false) if !condition.if_exists => Some(Kind::DenyWithoutIfExists),
        (Key::Age, _) if operator.starts_with("Numeric") => {
            condition.values.first().map(|limit| Kind::Age(limit.clone()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const USER: &str = "arn:aws:iam::123456789012:user/doug";
    const DEVICE: &str = "arn:aws:iam::123456789012:mfa/doug";

    fn policy(statements: &Value) -> Policy {
        Policy::read("p", &json!({ "Version": "2012-10-17", "Statement": statements }).to_string(), None)
            .unwrap()
    }

    fn words(policies: &[Policy], boundary: Option<&Policy>) -> Vec<&'static str> {
        traps(policies, boundary, USER, DEVICE).iter().map(|trap| trap.kind.word()).collect()
    }

    fn one(effect: &str, operator: &str, key: &str, value: &str) -> Policy {
        policy(
            &json!({ "Effect": effect, "Action": "ec2:*", "Resource": "*", "Condition": { operator: { key: value } } }),
        )
    }

    #[test]
    fn each_operator_is_judged_beside_its_effect() {
        let present = "aws:MultiFactorAuthPresent";
        let age = "aws:multifactorauthage";
        let cases: [(&str, &str, &str, &str, &[&str]); 15] = [
            ("Allow", "Bool", present, "true", &[]),
            ("Allow", "BoolIfExists", present, "true", &["allow-if-exists"]),
            ("Allow", "Bool", present, "false", &["inverted"]),
            ("Allow", "Null", present, "false", &["null"]),
            ("Deny", "BoolIfExists", present, "false", &[]),
            ("Deny", "Bool", present, "false", &["deny-without-if-exists"]),
            ("Deny", "Bool", present, "true", &["inverted"]),
            ("Deny", "Null", present, "true", &["null"]),
            ("Deny", "StringNotEquals", present, "true", &[]),
            ("Allow", "NumericLessThan", age, "3600", &["age"]),
            ("Allow", "NumericLessThanIfExists", age, "3600", &["allow-if-exists"]),
            ("Deny", "NumericGreaterThan", age, "3600", &["deny-without-if-exists"]),
            ("Deny", "NumericGreaterThanIfExists", age, "3600", &["age"]),
            ("Deny", "Null", age, "true", &[]),
            ("Deny", "Bool", "aws:SecureTransport", "false", &[]),
        ];
        for (effect, operator, key, value, expected) in cases {
            assert_eq!(
                words(&[one(effect, operator, key, value)], None),
                expected,
                "{effect} {operator} {key}"
            );
        }
    }

    #[test]
    fn a_device_without_mfa_is_found_in_all_policies_together() {
        let all = || policy(&json!({ "Effect": "Allow", "Action": "*", "Resource": "*" }));
        let own = policy(&json!([
            { "Effect": "Allow", "Action": "iam:createvirtualmfadevice", "Resource": "arn:aws:iam::*:mfa/*" },
            { "Effect": "Allow", "Action": ["iam:Enable*"], "Resource": USER }
        ]));
        let elsewhere =
            policy(&json!({ "Effect": "Allow", "Action": "iam:*", "Resource": "arn:aws:iam::*:role/*" }));
        let only_with = |operator: &str| {
            policy(&json!({ "Effect": "Deny", "NotAction": "iam:ListMFADevices", "Resource": "*",
                "Condition": { operator: { "aws:MultiFactorAuthPresent": "false" } } }))
        };
        let boundary = policy(&json!({ "Effect": "Allow", "Action": "*", "Resource": "*",
            "Condition": { "Bool": { "aws:MultiFactorAuthPresent": true } } }));
        let by_address = policy(&json!({ "Effect": "Deny", "Action": "*", "Resource": "*",
            "Condition": { "NotIpAddress": { "aws:SourceIp": "10.0.0.0/8" } } }));
        assert_eq!(words(&[all()], None), ["device-without-mfa"]);
        assert_eq!(words(&[own], None), ["device-without-mfa"]);
        assert_eq!(words(&[elsewhere], None), Vec::<&str>::new());
        assert_eq!(words(&[all(), only_with("BoolIfExists")], None), Vec::<&str>::new());
        assert_eq!(
            words(&[all(), only_with("Bool")], None),
            ["deny-without-if-exists", "device-without-mfa"]
        );
        assert_eq!(words(&[all()], Some(&boundary)), Vec::<&str>::new());
        assert_eq!(
            words(&[all(), by_address], None),
            ["device-without-mfa"],
            "an address is no second factor"
        );
    }

    #[test]
    fn a_policy_that_asks_for_mfa_is_told_from_one_that_does_not() {
        let asks = |policy: &Policy| policy.asks_for_mfa("ec2:StopInstances", "*");
        assert!(asks(&one("Allow", "Bool", "aws:MultiFactorAuthPresent", "true")));
        assert!(asks(&one("Deny", "BoolIfExists", "aws:MultiFactorAuthPresent", "false")));
        assert!(!asks(&one("Deny", "Bool", "aws:MultiFactorAuthPresent", "false")));
        assert!(!asks(&one("Allow", "BoolIfExists", "aws:MultiFactorAuthPresent", "true")));
        assert!(!asks(&policy(&json!({ "Effect": "Allow", "Action": "*", "Resource": "*" }))));
        assert!(!asks(&policy(&json!({ "Effect": "Deny", "Action": "*", "Resource": "*" }))));
        assert!(!asks(&policy(&json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "*" }))));
    }

    #[test]
    fn a_document_inside_the_clis_answer_is_read_like_one_alone() {
        let alone = json!({ "Statement": { "Effect": "Allow", "Action": "iam:*", "Resource": "*" } });
        for text in [
            alone.to_string(),
            json!({ "UserName": "doug", "PolicyName": "p", "PolicyDocument": alone }).to_string(),
            json!({ "PolicyVersion": { "VersionId": "v1", "Document": alone } }).to_string(),
        ] {
            assert_eq!(
                words(&[Policy::read("p", &text, None).unwrap()], None),
                ["device-without-mfa"],
                "{text}"
            );
        }
        let variable = json!({ "Statement": { "Effect": "Allow", "Action": "iam:*", "Resource": [
            "arn:aws:iam::*:user/${aws:username}", "arn:aws:iam::*:mfa/${aws:username}"] } });
        let of = |user| Policy::read("p", &variable.to_string(), user).unwrap();
        assert_eq!(words(&[of(Some("doug"))], None), ["device-without-mfa"]);
        assert_eq!(words(&[of(Some("anna"))], None), Vec::<&str>::new());
    }

    #[test]
    fn what_is_no_policy_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", "EOF"),
            ("{}", "no Statement"),
            (r#"{"Statement":[1]}"#, "not an object"),
            (r#"{"Statement":{"Effect":"Maybe"}}"#, "neither Allow nor Deny"),
            (r#"{"Statement":{"Effect":"Deny","Resource":"*"}}"#, "one of Action and NotAction"),
        ] {
            let refused = Policy::read("p", text, None).unwrap_err().to_string();
            assert!(refused.contains(reason) && refused.contains("policy p"), "{refused}");
        }
    }
}
