//! `policy check` where IAM's own simulation is permitted, where it is not, and where it says more than the policies.

use onetap_support::aws::{ACCOUNT, Aws, User, World, policy};
use onetap_support::home::{Home, Said};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const ACTIONS: &str = "ec2:StopInstances,ec2:DescribeInstances,iam:DeactivateMFADevice,s3:*";

fn statement(effect: &str, actions: &[&str], condition: &Value) -> Value {
    json!({ "Version": "2012-10-17", "Statement": { "Effect": effect, "Action": actions, "Resource": "*",
        "Condition": condition } })
}

fn bench(doug: User) -> (Aws, Home) {
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    (aws, home)
}

/// The report and what was said; the exit code is 3 where a trap is a hole.
fn check(home: &Home) -> (Value, Said) {
    let said = home.run(&["policy", "check", "doug", "--json", "--actions", ACTIONS]);
    let report: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"));
    assert_eq!(said.status, if report["ok"] == true { 0 } else { 3 }, "{said:?}");
    (report, said)
}

/// Each action, whether it passes without MFA and with, and who says so.
fn answers(report: &Value) -> Vec<[&str; 4]> {
    let told = |one| ["action", "without_mfa", "with_mfa", "told_by"].map(|name| text(one, name));
    report["actions"].as_array().unwrap().iter().map(told).collect()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} lacks in {value}"))
}

fn told_by(report: &Value) -> Vec<&str> {
    answers(report).into_iter().map(|[.., by]| by).collect()
}

fn printed(word: &str) -> Value {
    let said = Home::new(BINARY).run(&["policy", word, "--account", ACCOUNT, "--user", "doug"]);
    serde_json::from_str(&said.stdout).unwrap()
}

#[test]
fn iam_s_simulation_is_asked_where_it_is_permitted_and_agrees_with_reading() {
    let trap = json!({ "Bool": { "aws:MultiFactorAuthPresent": "false" } });
    let hidden = statement("Deny", &["iam:SimulatePrincipalPolicy"], &json!({}));
    for document in [
        policy::deny_without_mfa(),
        statement("Deny", &["ec2:Stop*", "iam:Deactivate*"], &trap),
        statement("Deny", &["ec2:Describe*"], &json!({})),
        printed("permanent"),
    ] {
        let doug = User::doug().policy(policy::everything()).policy(document.clone());
        let (aws, home) = bench(doug.clone());
        let (simulated, said) = check(&home);
        assert!(!said.stderr.contains("says otherwise"), "{}", said.stderr);
        assert_eq!(told_by(&simulated), ["simulation", "simulation", "simulation", "reading"], "{simulated}");
        assert_eq!(aws.count("SimulatePrincipalPolicy"), 3, "once for each kind of request");

        let (aws, home) = bench(doug.policy(hidden.clone()));
        let (read, said) = check(&home);
        assert_eq!(told_by(&read), ["reading"; 4], "{read}");
        assert_eq!(aws.count("SimulatePrincipalPolicy"), 1, "what is refused is not asked again");
        assert!(!said.stderr.contains("Simulate"), "{}", said.stderr);
        let without_teller = |report| {
            answers(report).into_iter().map(|[a, b, c, _]| [a, b, c].map(str::to_owned)).collect::<Vec<_>>()
        };
        assert_eq!(without_teller(&simulated), without_teller(&read), "{document}");
        assert_eq!(simulated["traps"], read["traps"], "{document}");
    }
}

#[test]
fn what_depends_on_more_than_mfa_is_told_by_reading() {
    let anna = json!({ "StringEquals": { "aws:SourceIdentity": "anna" } });
    let doug = User::doug().policy(statement("Allow", &["ec2:StopInstances"], &anna));
    let doug = doug.policy(statement("Allow", &["iam:Get*", "iam:List*", "iam:Simulate*"], &json!({})));
    let (_aws, home) = bench(doug);
    let (report, _) = check(&home);
    assert_eq!(answers(&report)[0], ["ec2:StopInstances", "depends", "depends", "reading"]);
    assert_eq!(answers(&report)[1], ["ec2:DescribeInstances", "no", "no", "simulation"]);
}

#[test]
fn a_service_control_policy_that_nobody_sees_is_told_by_the_simulation() {
    let (aws, home) = bench(User::doug().policy(policy::everything()));
    let without = json!({ "BoolIfExists": { "aws:MultiFactorAuthPresent": "false" } });
    aws.set_organization(&statement("Deny", &["ec2:StopInstances"], &without));
    let (report, said) = check(&home);
    assert_eq!(answers(&report)[0], ["ec2:StopInstances", "no", "yes", "simulation"]);
    assert_eq!(answers(&report)[1], ["ec2:DescribeInstances", "yes", "yes", "simulation"]);
    let told = "IAM's simulation of ec2:StopInstances says otherwise than the policies: something counts that they do \
                not show, such as a service control policy";
    assert_eq!(said.stderr.matches("says otherwise").count(), 1);
    assert!(said.stderr.contains(told), "{}", said.stderr);
    assert_eq!(home.touches(), 0);
}

#[test]
fn where_the_policies_stay_hidden_the_simulation_alone_is_told() {
    let with = json!({ "Bool": { "aws:MultiFactorAuthPresent": "true" } });
    for (adds, status, traps) in
        [("ec2:Nothing", 0, json!([])), ("iam:*MFADevice", 3, json!(["device-without-mfa"]))]
    {
        let doug = User::doug()
            .policy(statement("Allow", &["iam:SimulatePrincipalPolicy", "ec2:Describe*", adds], &json!({})))
            .policy(statement("Allow", &["ec2:Stop*"], &with));
        let (_aws, home) = bench(doug);
        let (report, said) = check(&home);
        assert_eq!(said.status, status, "{report}");
        let told: Vec<_> = report["traps"].as_array().unwrap().iter().map(|trap| &trap["trap"]).collect();
        assert_eq!(json!(told), traps);
        assert_eq!(answers(&report)[0], ["ec2:StopInstances", "no", "yes", "simulation"]);
        assert_eq!(answers(&report)[1], ["ec2:DescribeInstances", "yes", "yes", "simulation"]);
        assert_eq!(answers(&report)[3], ["s3:*", "depends", "depends", "simulation"]);
        assert!(
            said.stderr.contains("AWS refuses iam:GetUser: the policies cannot be read"),
            "{}",
            said.stderr
        );
    }
    // Neither is permitted.
    let (_aws, home) = bench(User::doug());
    let said = home.run(&["policy", "check", "doug", "--json", "--actions", ACTIONS]);
    assert_eq!((said.status, said.stdout.as_str()), (8, ""), "{}", said.stderr);
    assert!(said.stderr.contains("AWS refused iam:GetUser"), "{}", said.stderr);
}
