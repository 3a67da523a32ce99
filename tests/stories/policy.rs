//! The policies that onetap prints, judged by the stand-in's evaluator, by a linter that is not ours, and by a thief.

use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use onetap_support::aws::iam::{Context, Key, Policy, Verdict, evaluate};
use onetap_support::aws::{ACCOUNT, Aws, Group, INSTANCE, User, World, policy};
use onetap_support::home::{Home, Said, python_tool, said};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const DOUG: &str = "arn:aws:iam::123456789012:user/doug";
const DEVICE: &str = "arn:aws:iam::123456789012:mfa/doug";

/// What onetap prints for doug; no profile and no network are needed.
fn printed(word: &str, more: &[&str]) -> (Value, String) {
    let home = Home::new(BINARY);
    let said = home.run(&[&["policy", word, "--account", ACCOUNT, "--user", "doug"], more].concat());
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(said.stderr.lines().all(|line| line.starts_with("onetap: ")), "{}", said.stderr);
    assert!(said.stdout.ends_with("}\n") && said.stdout.starts_with("{\n  \"Version\": \"2012-10-17\""));
    (serde_json::from_str(&said.stdout).unwrap(), said.stderr)
}

fn document(word: &str, more: &[&str]) -> Value {
    printed(word, more).0
}

fn guard() -> Value {
    document("guard", &["--actions", "ec2:StopInstances,ec2:Terminate*"])
}

/// The requests of a long-term key, of a session without a code and of one with.
fn requests() -> [Context; 3] {
    let key = Context::default().with(Key::UserName, "doug").with(Key::CurrentTime, "2026-01-01T00:00:00Z");
    let session = key.clone().with(Key::TokenIssueTime, "2026-01-01T00:00:00Z");
    let without = session.clone().with(Key::MultiFactorAuthPresent, "false");
    let with = session.with(Key::MultiFactorAuthPresent, "true").with(Key::MultiFactorAuthAge, "60");
    [key, without, with]
}

/// Whether each of the three passes.
fn passing(action: &str, resource: &str, identity: &[&Value], boundary: Option<&Value>) -> [bool; 3] {
    let identity: Vec<_> = identity.iter().map(|document| Policy::load(document).unwrap()).collect();
    let boundary = boundary.map(|document| Policy::load(document).unwrap());
    requests()
        .map(|context| evaluate(action, resource, &identity, boundary.as_ref(), &context) == Verdict::Allowed)
}

const NOBODY: [bool; 3] = [false, false, false];
const WITH_MFA: [bool; 3] = [false, false, true];
const EVERYBODY: [bool; 3] = [true, true, true];

#[test]
fn the_boundary_allows_everything_with_mfa_and_only_a_look_at_ones_devices_without() {
    let (boundary, all) = (document("boundary", &[]), policy::everything());
    let with = |action, resource| passing(action, resource, &[&all], Some(&boundary));
    for (action, resource) in [
        ("ec2:StopInstances", "*"),
        ("sts:AssumeRole", "arn:aws:iam::123456789012:role/admin"),
        ("iam:CreateVirtualMFADevice", DEVICE),
        ("iam:EnableMFADevice", DOUG),
        ("iam:DeactivateMFADevice", DOUG),
        ("iam:CreateAccessKey", DOUG),
        ("iam:DeleteUserPermissionsBoundary", DOUG),
        ("iam:ListMFADevices", "arn:aws:iam::123456789012:user/anna"),
    ] {
        assert_eq!(with(action, resource), WITH_MFA, "{action}");
    }
    for action in ["iam:ListMFADevices", "iam:GetUser"] {
        assert_eq!(with(action, DOUG), EVERYBODY, "{action}");
        assert_eq!(passing(action, DOUG, &[&guard()], Some(&boundary)), NOBODY, "a boundary grants nothing");
    }
}

#[test]
fn the_guard_refuses_the_chosen_actions_without_mfa_and_no_others() {
    let (guard, all) = (guard(), policy::everything());
    for action in ["ec2:StopInstances", "ec2:TerminateInstances", "EC2:stopinstances"] {
        assert_eq!(passing(action, "*", &[&all, &guard], None), WITH_MFA, "{action}");
    }
    for action in ["ec2:DescribeInstances", "ec2:StartInstances", "s3:GetObject"] {
        assert_eq!(passing(action, "*", &[&all, &guard], None), EVERYBODY, "{action}");
    }
    assert_eq!(passing("ec2:StopInstances", "*", &[&guard], None), NOBODY, "a guard grants nothing");
    // The trap: without `IfExists` the long-term key itself passes.
    let trap: Value = serde_json::from_str(&guard.to_string().replace("BoolIfExists", "Bool")).unwrap();
    assert_eq!(passing("ec2:StopInstances", "*", &[&all, &trap], None), [true, false, true]);
}

#[test]
fn onboarding_lets_enrol_without_mfa_until_its_end_and_nothing_else() {
    let (onboarding, told) = printed("onboarding", &["--days", "2"]);
    let enrol = [
        ("iam:CreateVirtualMFADevice", DEVICE),
        ("iam:DeleteVirtualMFADevice", DEVICE),
        ("iam:EnableMFADevice", DOUG),
    ];
    for (action, resource) in enrol {
        assert_eq!(passing(action, resource, &[&onboarding], None), EVERYBODY, "{action}");
        let late = requests()[0].clone().with(Key::CurrentTime, "2099-01-01T00:00:00Z");
        let loaded = [Policy::load(&onboarding).unwrap()];
        assert_ne!(evaluate(action, resource, &loaded, None, &late), Verdict::Allowed, "{action}");
    }
    for (action, resource) in [
        ("iam:EnableMFADevice", "arn:aws:iam::123456789012:user/anna"),
        ("iam:DeactivateMFADevice", DOUG),
        ("iam:CreateAccessKey", DOUG),
        ("ec2:StopInstances", "*"),
    ] {
        assert_eq!(passing(action, resource, &[&onboarding], None), NOBODY, "{action}");
    }
    let detach = "onetap: aws iam delete-user-policy --user-name doug --policy-name onetap-onboarding\n";
    assert!(told.contains(detach), "{told}");
}

#[test]
fn the_permanent_one_needs_mfa_for_devices_and_keys_whatever_else_the_user_may_do() {
    let (permanent, all) = (document("permanent", &[]), policy::everything());
    let onboarding = document("onboarding", &[]);
    for (action, resource) in [
        ("iam:CreateVirtualMFADevice", DEVICE),
        ("iam:EnableMFADevice", DOUG),
        ("iam:DeactivateMFADevice", DOUG),
        ("iam:DeleteVirtualMFADevice", DEVICE),
        ("iam:ResyncMFADevice", DOUG),
        ("iam:CreateAccessKey", DOUG),
    ] {
        assert_eq!(passing(action, resource, &[&permanent], None), WITH_MFA, "{action}");
        assert_eq!(passing(action, resource, &[&permanent, &all, &onboarding], None), WITH_MFA, "{action}");
    }
    // Whoever may do everything could take this policy away first.
    for action in
        ["iam:DeleteUserPolicy", "iam:DetachUserPolicy", "iam:PutUserPolicy", "iam:CreateLoginProfile"]
    {
        assert_eq!(passing(action, DOUG, &[&permanent], None), NOBODY, "{action}");
        assert_eq!(passing(action, DOUG, &[&permanent, &all], None), WITH_MFA, "{action}");
    }
    assert_eq!(passing("iam:ListMFADevices", DOUG, &[&permanent], None), EVERYBODY);
    assert_eq!(passing("ec2:StopInstances", "*", &[&permanent, &all], None), EVERYBODY);
    assert_eq!(
        passing("iam:EnableMFADevice", "arn:aws:iam::123456789012:user/anna", &[&permanent], None),
        NOBODY
    );
}

#[test]
fn a_revocation_ends_sessions_made_before_and_neither_keys_nor_later_sessions() {
    let (revoke, told) = printed("revoke", &[]);
    let all = policy::everything();
    assert_eq!(passing("ec2:StopInstances", "*", &[&all, &revoke], None), [true, false, false]);
    let loaded = [Policy::load(&all).unwrap(), Policy::load(&revoke).unwrap()];
    let later = requests()[2].clone().with(Key::TokenIssueTime, "2099-01-01T00:00:00Z");
    assert_eq!(evaluate("ec2:StopInstances", "*", &loaded, None, &later), Verdict::Allowed);
    assert!(told.contains("rotating or deleting the access key is not to be relied on"), "{told}");
}

/// Names the findings of each of the documents on standard input.
const LINT: &str = "
import json, sys
from parliament import analyze_policy_string
for document in json.load(sys.stdin):
    print(','.join(sorted({finding.issue for finding in analyze_policy_string(json.dumps(document)).findings})))
";

#[test]
fn a_linter_that_is_not_ours_finds_nothing_wrong() {
    let wrong = serde_json::json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Deny", "Action": "iam:EnableMFA",
        "Resource": "*" }] });
    let documents = [
        wrong,
        document("boundary", &[]),
        guard(),
        document("onboarding", &[]),
        document("permanent", &[]),
        document("revoke", &[]),
    ];
    let home = Home::new(BINARY);
    let mut python = home.program(python_tool("python3"));
    python.args(["-c", LINT]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = python.spawn().unwrap();
    child.stdin.take().unwrap().write_all(serde_json::to_string(&documents).unwrap().as_bytes()).unwrap();
    let answer = Said::from(child.wait_with_output().unwrap());
    assert_eq!(
        (answer.status, answer.stdout.as_str()),
        (0, "UNKNOWN_ACTION\n\n\n\n\n\n"),
        "{}",
        answer.stderr
    );
}

/// Tries what a thief tries, with the key in the environment, and prints what came of it.
const THIEF: &str = "
import boto3, json
from botocore.exceptions import ClientError
iam = boto3.client('iam')
mine = dict(UserName='doug', SerialNumber='arn:aws:iam::123456789012:mfa/doug')
codes = dict(AuthenticationCode1='123456', AuthenticationCode2='654321')
tries = [
    lambda: iam.create_virtual_mfa_device(VirtualMFADeviceName='thief'),
    lambda: iam.enable_mfa_device(UserName='doug', SerialNumber='arn:aws:iam::123456789012:mfa/thief', **codes),
    lambda: iam.resync_mfa_device(**mine, **codes),
    lambda: iam.deactivate_mfa_device(**mine),
    lambda: iam.delete_virtual_mfa_device(SerialNumber=mine['SerialNumber']),
    lambda: iam.create_access_key(UserName='doug'),
    lambda: iam.delete_user_permissions_boundary(UserName='doug'),
    lambda: iam.detach_user_policy(UserName='doug', PolicyArn='arn:aws:iam::123456789012:policy/Permanent'),
]
said = []
for attempt in tries:
    try:
        attempt()
        said.append('done')
    except ClientError as error:
        said.append(error.response['Error']['Code'])
print(json.dumps(said))
";

fn thief(home: &Home, aws: &Aws, doug: &User) -> Vec<String> {
    let mut python = home.program(python_tool("python3"));
    python
        .args(["-c", THIEF])
        .env("AWS_ENDPOINT_URL", aws.endpoint())
        .env("AWS_DEFAULT_REGION", "eu-west-1")
        .env("AWS_ACCESS_KEY_ID", &doug.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &doug.secret_access_key);
    let said = said(&mut python);
    assert_eq!(said.status, 0, "{}", said.stderr);
    serde_json::from_str(&said.stdout).unwrap()
}

#[test]
fn a_thief_with_the_access_key_adds_no_device_and_opens_no_other_way() {
    let doug = User::doug().policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    let permanent = document("permanent", &[]);
    aws.attach_policy("doug", "Permanent", &permanent);
    assert_eq!(thief(&home, &aws, &doug), ["AccessDenied"; 8]);
    assert_eq!(
        (aws.devices_of("doug").len(), aws.loose_devices().len(), aws.keys_of("doug").len()),
        (1, 0, 1)
    );
    // Without the policy he would have made a device and a key of his own, and taken doug's away.
    aws.detach_policy("doug", "Permanent");
    let tries = thief(&home, &aws, &doug);
    assert_eq!(
        (tries[0].as_str(), tries[3].as_str(), tries[5].as_str()),
        ("done", "done", "done"),
        "{tries:?}"
    );
}

#[test]
fn under_the_boundary_everything_works_with_onetap_and_nothing_without() {
    let doug = User::doug().policy(policy::everything()).boundary(document("boundary", &[]));
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    let cli = python_tool("aws");
    let stop = [cli.to_str().unwrap(), "ec2", "stop-instances", "--instance-ids", INSTANCE];
    let mut plain = home.program(&cli);
    plain
        .args(&stop[1..])
        .env("AWS_DEFAULT_REGION", "eu-west-1")
        .env("AWS_ACCESS_KEY_ID", &doug.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &doug.secret_access_key);
    let refused = said(&mut plain);
    assert!(refused.stderr.contains("UnauthorizedOperation"), "{}", refused.stderr);
    let served = home.run(&[&["exec", "doug", "--"], &stop[..]].concat());
    assert_eq!((served.status, aws.count("GetSessionToken")), (0, 1), "{}", served.stderr);

    // A stolen session is revoked; a new one serves. Both are made in whole seconds.
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        aws.attach_policy("doug", "Revoke", &document("revoke", &[]));
        let stolen = home.run(&[&["exec", "doug", "--"], &stop[..]].concat());
        if stolen.stderr.contains("UnauthorizedOperation") {
            break;
        }
        assert!(Instant::now() < limit, "{}", stolen.stderr);
    }
    assert_eq!(home.run(&["clear"]).status, 0);
    let served = home.run(&[&["exec", "doug", "--"], &stop[..]].concat());
    assert_eq!((served.status, aws.count("GetSessionToken")), (0, 2), "{}", served.stderr);
}

#[test]
fn account_user_and_partition_come_from_the_profile_and_sts_is_asked_only_where_it_must() {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::of_doug(BINARY, &aws, &doug, "");
    let before = aws.requests().len();
    let given = home.run(&["policy", "permanent", "doug", "--user", "team/anna"]);
    assert!(given.stdout.contains("\"arn:aws:iam::123456789012:user/team/anna\""), "{}", given.stdout);
    assert!(given.stderr.contains(" --user-name anna "), "{}", given.stderr);
    assert_eq!(aws.requests().len(), before);
    let asked = home.run(&["policy", "permanent", "doug"]);
    assert!(asked.stdout.contains(&format!("{DOUG:?}")), "{} {}", asked.stdout, asked.stderr);
    assert_eq!((aws.requests().len(), aws.count("GetCallerIdentity")), (before + 1, 2));
    assert_eq!(home.touches(), 0);

    let group = home.run(&["policy", "permanent", "doug", "--user", "${aws:username}"]);
    assert!(group.stdout.contains(":user/${aws:username}\"") && group.stderr.contains("put-group-policy"));
    for (region, arn) in [
        ("cn-north-1", "arn:aws-cn:iam"),
        ("us-gov-west-1", "arn:aws-us-gov:iam"),
        ("eusc-de-east-1", "arn:aws-eusc:iam"),
    ] {
        home.set("AWS_REGION", region);
        let said = home.run(&["policy", "boundary", "--account", ACCOUNT, "--user", "doug"]);
        assert!(said.stdout.contains(arn) && said.stderr.contains(arn), "{said:?}");
    }
}

#[test]
fn what_cannot_be_printed_is_one_line_and_no_document() {
    let home = Home::new(BINARY);
    let doug = ["--account", ACCOUNT, "--user", "doug"];
    for (words, more, status, told) in [
        ("boundary", &[][..], 2, "name the profile whose user is meant, or both --account and --user"),
        ("boundary", &["dough"], 3, "there is no profile \"dough\""),
        ("boundary", &["--account", "12", "--user", "doug"], 2, "\"12\" is no account: twelve digits"),
        ("boundary", &["--account", ACCOUNT, "--user", "do ug"], 2, "\"do ug\" is no IAM user's name"),
        ("guard", &[&doug[..], &["--actions", "*"]].concat(), 2, "\"*\" is no action"),
        ("guard", &[&doug[..], &["--actions", "ec2:Stop,"]].concat(), 2, "\"\" is no action"),
        ("check", &[], 2, "no profile is named"),
        ("check", &["doug", "--user", "doug"], 2, "go with --file"),
        ("check", &["--file", "/absent.json"], 2, "/absent.json cannot be read"),
    ] {
        let said = home.run(&[&["policy", words], more].concat());
        assert_eq!((said.status, said.stdout.as_str()), (status, ""), "{words} {more:?} {}", said.stderr);
        assert!(said.stderr.contains(told) && said.stderr.lines().count() == 1, "{}", said.stderr);
    }
}

#[test]
fn check_asks_iam_about_the_profile_s_user_and_his_groups_with_mfa_where_iam_wants_it() {
    let bool_guard = document("guard", &["--actions", "ec2:StopInstances"]).to_string();
    let bool_guard: Value = serde_json::from_str(&bool_guard.replace("BoolIfExists", "Bool")).unwrap();
    let doug = User::doug().policy(policy::everything());
    let group = Group::of("operators", &["doug"]).policy(bool_guard);
    let aws = Aws::start(World { groups: vec![group], ..World::of(doug.clone()) });
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    let line = ["policy", "check", "doug", "--actions", "ec2:StopInstances", "--json"];
    let told = |status: i32| {
        let said = home.run(&line);
        assert_eq!(said.status, status, "{}", said.stderr);
        serde_json::from_str::<Value>(&said.stdout).unwrap()
    };
    let report = told(3);
    let traps: Vec<_> = report["traps"].as_array().unwrap().iter().map(|trap| trap["trap"].clone()).collect();
    assert!(traps.contains(&"deny-without-if-exists".into()) && traps.contains(&"device-without-mfa".into()));
    assert!(report["traps"][0]["at"].to_string().contains("(group operators)"), "{report}");
    assert_eq!(report["actions"][0]["without_mfa"], "yes", "the long-term key passes");
    assert_eq!(home.touches(), 0, "IAM answered the key");

    aws.set_boundary("doug", Some(document("boundary", &[])));
    let report = told(3);
    assert_eq!(report["actions"][0]["without_mfa"], "no", "{report}");
    assert_eq!(report["actions"][0]["with_mfa"], "yes", "{report}");
    assert_eq!(home.touches(), 1, "the boundary wants MFA for asking IAM, too");
}

#[test]
fn check_tells_what_asks_for_mfa_and_every_trap() {
    let home = Home::new(BINARY);
    home.private("all.json", &policy::everything().to_string());
    home.private("bool.json", &policy::deny_without_mfa().to_string().replace("BoolIfExists", "Bool"));
    home.private("deny.json", &policy::deny_without_mfa().to_string());
    home.private("boundary.json", &document("boundary", &[]).to_string());
    home.private("permanent.json", &document("permanent", &[]).to_string());

    let good = home.run(&["policy", "check", "--file", "deny.json", "--actions", "ec2:StopInstances"]);
    assert_eq!((good.status, good.stderr.as_str()), (0, ""));
    assert_eq!(
        good.stdout,
        "ACTION                           WITHOUT MFA WITH MFA ASKED BY\n\
         ec2:StopInstances                no          yes      deny.json\n"
    );
    let bad = home.run(&["policy", "check", "--file", "bool.json", "--actions", "ec2:StopInstances"]);
    assert_eq!(bad.status, 3);
    let hint = "onetap: policies with traps: 2; what to do stands beside each\n";
    assert_eq!(bad.stderr, hint);
    let lines: Vec<_> = bad.stdout.lines().skip(1).collect();
    assert_eq!(lines[0], "ec2:StopInstances                yes         yes      -");
    assert!(
        lines[1].starts_with("bool.json, NothingWithoutCode: this denies without IfExists"),
        "{}",
        lines[1]
    );
    assert!(lines[2].starts_with("all policies together: a device can be made and enabled"), "{}", lines[2]);

    let json = |more: &[&str]| -> Value {
        let said = home.run(&[&["policy", "check", "--json"], more].concat());
        assert!(said.stdout.ends_with("}\n") && said.stdout.lines().count() == 1, "{}", said.stdout);
        serde_json::from_str(&said.stdout).unwrap()
    };
    let alone = json(&["--file", "all.json"]);
    assert_eq!((&alone["ok"], &alone["traps"][0]["trap"]), (&false.into(), &"device-without-mfa".into()));
    let mended =
        json(&["--file", "all.json", "--file", "permanent.json", "--user", "doug", "--account", ACCOUNT]);
    assert_eq!((&mended["ok"], mended["traps"].as_array().unwrap().len()), (&true.into(), 0), "{mended}");
    let bounded = json(&["--file", "all.json", "--boundary", "boundary.json"]);
    assert_eq!(bounded["ok"], Value::Bool(true), "{bounded}");
    assert_eq!(bounded["actions"][0]["without_mfa"], "no");
    assert_eq!(bounded["actions"][0]["asked_by"][0], "boundary.json");
    // None of ours is a trap.
    for word in ["boundary", "permanent", "revoke"] {
        home.private("ours.json", &document(word, &[]).to_string());
        let said = home.run(&["policy", "check", "--file", "ours.json"]);
        assert_eq!(said.status, 0, "{word}: {}", said.stdout);
    }
}

#[test]
fn what_is_said_by_reading_is_what_the_evaluator_decides() {
    use onetap::policy::reading::{Answer, Policy as Read, Request, passes};
    let mut compared = 0;
    for effect in ["Allow", "Deny"] {
        for operator in
            ["Bool", "BoolIfExists", "Null", "StringEquals", "StringNotEquals", "StringEqualsIfExists"]
        {
            for value in ["true", "false"] {
                for (kind, actions) in [
                    ("Action", "ec2:Stop*"),
                    ("NotAction", "ec2:Stop*"),
                    ("Action", "*"),
                    ("NotAction", "s3:*"),
                ] {
                    let one = serde_json::json!({ "Version": "2012-10-17", "Statement": { "Effect": effect,
                        kind: actions, "Resource": "*",
                        "Condition": { operator: { "aws:MultiFactorAuthPresent": value } } } });
                    for (identity, boundary) in [
                        (vec![&one], None),
                        (vec![&policy::everything(), &one], None),
                        (vec![&policy::everything()], Some(&one)),
                    ] {
                        let read = |document: &Value| Read::read("p", &document.to_string(), None).unwrap();
                        let own: Vec<_> = identity.iter().map(|document| read(document)).collect();
                        let bound = boundary.map(read);
                        let said =
                            [Request::LongTermKey, Request::WithoutMfa, Request::WithMfa].map(|request| {
                                passes(&own, bound.as_ref(), "ec2:StopInstances", "*", request) == Answer::Yes
                            });
                        let decided = passing("ec2:StopInstances", "*", &identity, boundary);
                        assert_eq!(said, decided, "{one}");
                        compared += 3;
                    }
                }
            }
        }
    }
    assert_eq!(compared, 2 * 6 * 2 * 4 * 3 * 3);
}
