use serde_json::json;

use super::*;

const STOP: &str = "ec2:StopInstances";
const INSTANCE: &str = "arn:aws:ec2:eu-central-1:123456789012:instance/i-0abc";

fn keys() -> Context {
    Context::default()
        .with(Key::CurrentTime, "2026-01-31T12:00:00Z")
        .with(Key::UserId, "AIDAEXAMPLE")
        .with(Key::UserName, "doug")
}

fn session(age: Option<&str>) -> Context {
    let context = keys()
        .with(Key::MultiFactorAuthPresent, age.is_some().to_string())
        .with(Key::TokenIssueTime, "2026-01-31T11:00:00Z");
    match age {
        Some(age) => context.with(Key::MultiFactorAuthAge, age),
        None => context,
    }
}

fn policy(document: &Value) -> Policy {
    Policy::load(document).unwrap()
}

fn statement(fields: Value) -> Value {
    json!({ "Version": "2012-10-17", "Statement": fields })
}

fn allow(action: &str) -> Policy {
    policy(&statement(json!({ "Effect": "Allow", "Action": action, "Resource": "*" })))
}

fn deny(action: &str) -> Policy {
    policy(&statement(json!({ "Effect": "Deny", "Action": action, "Resource": "*" })))
}

fn decide(identity: &[Policy], boundary: Option<&Policy>, context: &Context) -> Verdict {
    evaluate(STOP, INSTANCE, identity, boundary, context)
}

/// Whether a statement that allows everything under `condition` allows.
fn met(condition: Value, context: &Context) -> bool {
    let document =
        statement(json!({ "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition }));
    decide(&[policy(&document)], None, context) == Verdict::Allowed
}

#[test]
fn an_explicit_deny_wins_wherever_it_stands() {
    let (all, none) = (allow("*"), deny("ec2:Stop*"));
    let alone = [all.clone()];
    let denied = |why| Verdict::Denied(why);
    assert_eq!(decide(&[], None, &keys()), denied(Why::IdentityIsSilent));
    assert_eq!(decide(&alone, None, &keys()), Verdict::Allowed);
    assert_eq!(decide(&[all.clone(), none.clone()], None, &keys()), denied(Why::IdentityDenies));
    assert_eq!(decide(&[none.clone(), all.clone()], None, &keys()), denied(Why::IdentityDenies));
    assert_eq!(decide(&alone, Some(&none), &keys()), denied(Why::BoundaryDenies));
    assert_eq!(decide(&alone, Some(&allow("iam:*")), &keys()), denied(Why::BoundaryIsSilent));
    assert_eq!(decide(&alone, Some(&all), &keys()), Verdict::Allowed);
}

#[test]
fn a_boundary_without_an_identity_policy_denies_even_with_a_code() {
    let boundary = policy(&crate::aws::policy::everything_only_with_mfa());
    let with_code = session(Some("1"));
    let (nothing, everything) = (vec![], vec![policy(&crate::aws::policy::everything())]);
    assert_eq!(decide(&nothing, Some(&boundary), &with_code), Verdict::Denied(Why::IdentityIsSilent));
    assert_eq!(decide(&everything, Some(&boundary), &with_code), Verdict::Allowed);
    assert_eq!(decide(&everything, Some(&boundary), &keys()), Verdict::Denied(Why::BoundaryIsSilent));
    assert_eq!(decide(&everything, Some(&boundary), &session(None)), Verdict::Denied(Why::BoundaryIsSilent));
}

#[test]
fn bool_false_does_not_match_an_absent_key_and_bool_if_exists_does() {
    let key = "aws:MultiFactorAuthPresent";
    // Each row: the condition, then long-term keys, a session without a code, a session with one.
    for (condition, wanted) in [
        (json!({ "Bool": { key: "true" } }), [false, false, true]),
        (json!({ "Bool": { key: true } }), [false, false, true]),
        (json!({ "Bool": { key: "false" } }), [false, true, false]),
        (json!({ "Bool": { key: ["true", "false"] } }), [false, true, true]),
        (json!({ "BoolIfExists": { key: "true" } }), [true, false, true]),
        (json!({ "BoolIfExists": { key: "false" } }), [true, true, false]),
        (json!({ "Null": { key: "true" } }), [true, false, false]),
        (json!({ "Null": { key: false } }), [false, true, true]),
        (json!({ "StringEquals": { key: "true" } }), [false, false, true]),
        (json!({ "StringNotEquals": { key: "true" } }), [true, true, false]),
        (json!({ "Bool": { "AWS:multifactorauthpresent": "True" } }), [false, false, true]),
    ] {
        let found =
            [keys(), session(None), session(Some("60"))].map(|context| met(condition.clone(), &context));
        assert_eq!(found, wanted, "{condition}");
    }
}

#[test]
fn the_ready_policies_decide_as_their_names_say() {
    use crate::aws::policy::{deny_without_mfa, stop_only_with_mfa};
    let ask = |document: Value, action, resource, context: &Context| {
        evaluate(action, resource, &[policy(&document)], None, context) == Verdict::Allowed
    };
    for (context, stops) in [(keys(), false), (session(None), false), (session(Some("5")), true)] {
        assert!(ask(stop_only_with_mfa(), "ec2:DescribeInstances", "*", &context));
        assert_eq!(ask(stop_only_with_mfa(), STOP, INSTANCE, &context), stops);
        assert_eq!(ask(deny_without_mfa(), STOP, INSTANCE, &context), stops);
        assert!(!ask(stop_only_with_mfa(), "ec2:TerminateInstances", INSTANCE, &context));
        assert!(ask(deny_without_mfa(), "iam:ListMFADevices", "*", &context));
    }
}

#[test]
fn numbers_dates_and_strings_are_compared() {
    let context = session(Some("300"));
    let (age, now, issued, name) =
        ("aws:MultiFactorAuthAge", "aws:CurrentTime", "aws:TokenIssueTime", "aws:username");
    for (condition, wanted) in [
        (json!({ "NumericLessThan": { age: "301" } }), true),
        (json!({ "NumericLessThan": { age: 300 } }), false),
        (json!({ "NumericLessThanEquals": { age: 300 } }), true),
        (json!({ "NumericGreaterThan": { age: 299 } }), true),
        (json!({ "NumericGreaterThan": { age: 300 } }), false),
        (json!({ "NumericGreaterThanEquals": { age: 300 } }), true),
        (json!({ "NumericEquals": { age: [1, 300] } }), true),
        (json!({ "NumericNotEquals": { age: [1, 300] } }), false),
        (json!({ "NumericNotEquals": { age: [1, 2] } }), true),
        (json!({ "DateLessThan": { now: "2026-02-01T00:00:00Z" } }), true),
        (json!({ "DateLessThan": { now: "2026-01-31T12:00:00Z" } }), false),
        (json!({ "DateGreaterThan": { issued: "2026-01-31T10:59:59Z" } }), true),
        (json!({ "DateLessThan": { issued: "1769857200" } }), false),
        (json!({ "DateLessThan": { issued: 1_769_857_201 } }), true),
        (json!({ "StringEquals": { name: ["anna", "doug"] } }), true),
        (json!({ "StringEquals": { name: "Doug" } }), false),
        (json!({ "StringEqualsIgnoreCase": { name: "Doug" } }), true),
        (json!({ "StringEquals": { name: "d*" } }), false),
        (json!({ "StringLike": { name: "d*" } }), true),
        (json!({ "StringLike": { name: "d?g" } }), false),
        (json!({ "StringNotLike": { name: ["a*", "d*"] } }), false),
        (json!({ "StringNotEquals": { name: ["anna", "bert"] } }), true),
        (json!({ "StringLike": { name: "${aws:username}" } }), true),
        // Every line of a condition must hold.
        (json!({ "StringLike": { name: "d*" }, "NumericLessThan": { age: 1 } }), false),
        (json!({ "StringLike": { name: "d*", "aws:userid": "AIDA*" } }), true),
    ] {
        assert_eq!(met(condition.clone(), &context), wanted, "{condition}");
    }
}

#[test]
fn an_absent_key_fails_a_comparison_unless_it_is_negated_or_if_exists() {
    let age = "aws:MultiFactorAuthAge";
    for (condition, wanted) in [
        (json!({ "NumericLessThan": { age: 300 } }), false),
        (json!({ "NumericGreaterThan": { age: 300 } }), false),
        (json!({ "NumericLessThanIfExists": { age: 300 } }), true),
        (json!({ "NumericGreaterThanIfExists": { age: 300 } }), true),
        (json!({ "NumericNotEquals": { age: 300 } }), true),
        (json!({ "DateLessThan": { "aws:TokenIssueTime": "2030-01-01T00:00:00Z" } }), false),
        (json!({ "DateLessThanIfExists": { "aws:TokenIssueTime": "2000-01-01T00:00:00Z" } }), true),
        (json!({ "StringLike": { age: "*" } }), false),
        (json!({ "StringLikeIfExists": { age: "x" } }), true),
        (json!({ "StringNotEqualsIfExists": { age: "x" } }), true),
    ] {
        assert_eq!(met(condition.clone(), &keys()), wanted, "{condition}");
    }
}

#[test]
fn actions_ignore_case_and_resources_do_not() {
    for (fields, wanted) in [
        (json!({ "Action": "EC2:stopinstances", "Resource": "*" }), true),
        (json!({ "Action": "ec2:*Instances", "Resource": INSTANCE }), true),
        (json!({ "Action": "ec2:Stop?nstances", "Resource": INSTANCE }), true),
        (json!({ "Action": "ec2:Stop", "Resource": "*" }), false),
        (
            json!({ "Action": ["s3:*", "ec2:*"], "Resource": ["arn:aws:s3:::b", "arn:aws:ec2:*:*:instance/*"] }),
            true,
        ),
        (json!({ "Action": "*", "Resource": "arn:aws:ec2:*:*:INSTANCE/*" }), false),
        (json!({ "NotAction": "iam:*", "Resource": "*" }), true),
        (json!({ "NotAction": ["iam:*", "ec2:stop*"], "Resource": "*" }), false),
        (json!({ "Action": "*", "NotResource": "arn:aws:ec2:*:*:instance/*" }), false),
        (json!({ "Action": "*", "NotResource": "arn:aws:ec2:*:*:volume/*" }), true),
        (json!({ "Action": "*", "Resource": "arn:aws:ec2:*:*:instance/${aws:username}" }), false),
    ] {
        let mut statement_fields = fields.clone();
        statement_fields["Effect"] = json!("Allow");
        let verdict = decide(&[policy(&statement(statement_fields))], None, &keys());
        assert_eq!(verdict == Verdict::Allowed, wanted, "{fields}");
    }
}

#[test]
fn a_variable_is_filled_in_as_plain_text_and_only_since_2012() {
    let document = |version: &str| {
        json!({ "Version": version, "Statement": {
            "Effect": "Allow", "Action": "iam:*", "Resource": "arn:aws:iam::*:mfa/${aws:username}" } })
    };
    let ask = |version, resource, context: &Context| {
        evaluate("iam:EnableMFADevice", resource, &[policy(&document(version))], None, context)
            == Verdict::Allowed
    };
    let star = Context::default().with(Key::UserName, "*");
    assert!(ask("2012-10-17", "arn:aws:iam::1:mfa/doug", &keys()));
    assert!(!ask("2012-10-17", "arn:aws:iam::1:mfa/anna", &keys()));
    assert!(!ask("2012-10-17", "arn:aws:iam::1:mfa/anna", &star));
    assert!(!ask("2012-10-17", "arn:aws:iam::1:mfa/", &Context::default()));
    assert!(!ask("2008-10-17", "arn:aws:iam::1:mfa/doug", &keys()));
    assert!(ask("2008-10-17", "arn:aws:iam::1:mfa/${aws:username}", &keys()));
    let signs = statement(json!({ "Effect": "Allow", "Action": "*", "Resource": "a${*}${?}${$}" }));
    let ask = |resource| evaluate(STOP, resource, &[policy(&signs)], None, &keys()) == Verdict::Allowed;
    assert!(ask("a*?$") && !ask("abcd"));
}

#[test]
fn what_is_not_understood_does_not_load() {
    let condition = |condition: Value| {
        statement(json!({ "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition }))
    };
    for (document, why) in [
        (
            condition(json!({ "Boolean": { "aws:username": "true" } })),
            "unknown condition operator \"Boolean\"",
        ),
        (
            condition(json!({ "NumericAbout": { "aws:username": "1" } })),
            "unknown condition operator \"NumericAbout\"",
        ),
        (
            condition(json!({ "ForAnyValue:StringLike": { "aws:username": "a" } })),
            "unknown condition operator",
        ),
        (condition(json!({ "NullIfExists": { "aws:username": "true" } })), "NullIfExists"),
        (condition(json!({ "Bool": { "aws:MFA": "true" } })), "unknown condition key \"aws:MFA\""),
        (condition(json!({ "Bool": { "aws:MultiFactorAuthPresent": "yes" } })), "neither true nor false"),
        (condition(json!({ "NumericLessThan": { "aws:MultiFactorAuthAge": "soon" } })), "is no number"),
        (condition(json!({ "DateLessThan": { "aws:CurrentTime": "soon" } })), "is no date"),
        (
            statement(json!({ "Effect": "Allow", "Action": "*", "Resource": "${aws:nobody}" })),
            "unknown variable",
        ),
        (statement(json!({ "Effect": "Allow", "Action": "*", "Resource": "${aws:username" })), "has no end"),
        (statement(json!({ "Effect": "Allow", "Action": "*" })), "one of Resource and NotResource"),
        (
            statement(json!({ "Effect": "Allow", "Action": "*", "NotAction": "*", "Resource": "*" })),
            "one of Action and NotAction",
        ),
        (statement(json!({ "Effect": "Perhaps", "Action": "*", "Resource": "*" })), "neither Allow nor Deny"),
        (
            statement(json!({ "Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*" })),
            "unknown element \"Principal\"",
        ),
        (json!({ "Version": "2012-10-17" }), "has no Statement"),
        (json!({ "Version": "2013-10-17", "Statement": [] }), "Version"),
        (Value::Null, "not an object"),
    ] {
        let told = Policy::load(&document).unwrap_err().to_string();
        assert!(told.contains(why), "{told} lacks {why}");
    }
}
