//! The main job: the two stories people arrive with, and what a cached call costs.

use std::process::Stdio;

use onetap_support::aws::{Aws, INSTANCE, User, World, policy};
use onetap_support::home::{Home, python_tool, said};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");

/// `aws ec2 ...` with long-term keys, as somebody without onetap would call it.
fn without_onetap(home: &Home, doug: &User, arguments: &[&str]) -> onetap_support::home::Said {
    let mut command = home.program(python_tool("aws"));
    command
        .args(arguments)
        .env("AWS_ACCESS_KEY_ID", &doug.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &doug.secret_access_key)
        .env("AWS_DEFAULT_REGION", "eu-west-1");
    said(&mut command)
}

fn through_onetap(home: &Home, arguments: &[&str]) -> onetap_support::home::Said {
    let aws = python_tool("aws");
    let mut all = vec!["exec", "doug", "--", aws.to_str().unwrap()];
    all.extend(arguments);
    home.run(&all)
}

const DESCRIBE: [&str; 2] = ["ec2", "describe-instances"];
const STOP: [&str; 4] = ["ec2", "stop-instances", "--instance-ids", INSTANCE];

#[test]
fn story_a_a_policy_lets_instances_be_stopped_only_with_mfa() {
    let doug = User::doug().policy(policy::stop_only_with_mfa());
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "fault touch-after 300");

    let seen = without_onetap(&home, &doug, &DESCRIBE);
    assert_eq!(seen.status, 0, "{}", seen.stderr);
    let refused = without_onetap(&home, &doug, &STOP);
    assert_ne!(refused.status, 0);
    assert!(refused.stderr.contains("UnauthorizedOperation"), "{}", refused.stderr);

    let stopped = through_onetap(&home, &STOP);
    assert_eq!(stopped.status, 0, "{}", stopped.stderr);
    assert!(stopped.stdout.contains("stopping"), "{}", stopped.stdout);
    assert!(
        stopped.stderr.contains("Touch your YubiKey for arn:aws:iam::123456789012:mfa/doug"),
        "{}",
        stopped.stderr
    );
    let described = through_onetap(&home, &DESCRIBE);
    assert_eq!((described.status, described.stderr.as_str()), (0, ""), "cached: not a word");
    assert_eq!((home.touches(), aws.count("GetSessionToken")), (1, 1));
}

#[test]
fn a_kept_session_costs_no_card_and_no_request() {
    let doug = User::doug().policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    assert_eq!(home.run(&["exec", "doug", "--", "true"]).status, 0);
    let (apdus, requests) = (home.apdus(), aws.requests().len());
    assert_eq!(apdus, ["00a40400", "00a20001"], "SELECT and CALCULATE, and nothing else");

    let printed = home.run(&["exec", "doug", "--", "env"]);
    assert_eq!(printed.stderr, "");
    for line in ["ONETAP_PROFILE=doug", "AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION=eu-west-1"] {
        assert!(printed.stdout.lines().any(|found| found == line), "{line} lacks in {}", printed.stdout);
    }
    for name in ["AWS_ACCESS_KEY_ID=ASIA", "AWS_SESSION_TOKEN=", "AWS_CREDENTIAL_EXPIRATION=20"] {
        assert!(printed.stdout.lines().any(|found| found.starts_with(name)), "{name} lacks");
    }
    assert!(!printed.stdout.contains(&doug.secret_access_key), "the long-term secret stays at home");
    assert_eq!((home.apdus(), aws.requests().len()), (apdus, requests));
}

#[test]
fn what_would_shadow_the_session_is_taken_away() {
    let doug = User::doug().policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    let mut command = home.onetap(&["exec", "doug", "--", "env"]);
    for name in ["AWS_PROFILE", "AWS_SECURITY_TOKEN", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_ROLE_ARN"] {
        command.env(name, "shadow");
    }
    let printed = said(&mut command);
    assert_eq!(printed.status, 0, "{}", printed.stderr);
    assert!(!printed.stdout.contains("shadow"), "{}", printed.stdout);
}

#[test]
fn the_child_keeps_its_exit_code_and_its_signal() {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    assert_eq!(home.run(&["exec", "doug", "--", "sh", "-c", "exit 42"]).status, 42);
    assert_eq!(home.run(&["exec", "doug", "--", "sh", "-c", "kill -TERM $$"]).status, 143);
}

#[test]
fn credential_process_serves_the_cli_and_boto3_cold_and_cached() {
    let doug = User::doug().boundary(policy::everything_only_with_mfa()).policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "fault touch-after 300");
    let line = format!("credential_process = {BINARY} credential-process doug");
    let config = format!("{}\n[profile doug-cp]\nregion = eu-west-1\n{line}\n", home.read(".aws/config"));
    home.private(".aws/config", &config);

    for _ in ["cold", "cached"] {
        let mut command = home.program(python_tool("aws"));
        let seen = said(command.args(DESCRIBE).args(["--profile", "doug-cp"]));
        assert_eq!(seen.status, 0, "{}", seen.stderr);
        assert!(seen.stdout.contains(INSTANCE));
    }
    let script = "import boto3; print(boto3.Session(profile_name='doug-cp').client('ec2').stop_instances(InstanceIds=['i-0abc'])['StoppingInstances'][0]['CurrentState']['Name'])";
    let mut command = home.program(python_tool("python"));
    let seen = said(command.args(["-c", script]));
    assert_eq!((seen.status, seen.stdout.trim()), (0, "stopping"), "{}", seen.stderr);
    assert_eq!((home.touches(), aws.count("GetSessionToken")), (1, 1));
}

#[test]
fn boto3_cold_asks_once_and_shows_our_one_line_when_it_fails() {
    let doug = User::doug().policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "fault touch-after 300");
    let line = format!(
        "[profile doug-cp]\nregion = eu-west-1\ncredential_process = {BINARY} credential-process doug\n"
    );
    home.private(".aws/config", &format!("{}\n{line}", home.read(".aws/config")));
    let script = "import boto3; print(boto3.Session(profile_name='doug-cp').client('sts').get_caller_identity()['Arn'])";
    let mut command = home.program(python_tool("python"));
    let seen = said(command.args(["-c", script]));
    assert_eq!(
        (seen.status, seen.stdout.trim()),
        (0, "arn:aws:iam::123456789012:user/doug"),
        "{}",
        seen.stderr
    );

    let mut command = home.program(python_tool("python"));
    let failed = said(
        command
            .args(["-c", script])
            .env("ONETAP_VAULT_PASSPHRASE_FILE", "/absent")
            .env("XDG_CACHE_HOME", "/absent"),
    );
    assert_ne!(failed.status, 0);
    assert!(failed.stderr.contains("onetap: "), "{}", failed.stderr);
}

#[test]
fn twenty_at_once_ask_once() {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "fault touch-after 700");
    let children = (0..20)
        .map(|_| {
            let mut command = home.onetap(&["credential-process", "doug"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect::<Vec<_>>();
    let answers = children
        .into_iter()
        .map(|child| onetap_support::home::Said::from(child.wait_with_output().unwrap()))
        .collect::<Vec<_>>();
    for answer in &answers {
        assert_eq!((answer.status, &answer.stdout), (0, &answers[0].stdout), "{}", answer.stderr);
        assert!(answer.stdout.starts_with("{\"Version\":1,\"AccessKeyId\":\"ASIA"));
        assert!(answer.stdout.ends_with("Z\"}\n") && answer.stdout.lines().count() == 1);
    }
    assert_eq!((home.touches(), aws.count("GetSessionToken")), (1, 1));
}

/// Waits until two commands surely fall into one time step.
fn early_in_a_step() {
    let second = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() % 30;
    while second() > 15 {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[test]
fn a_code_that_was_printed_is_never_sent() {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    early_in_a_step();
    let printed = home.run(&["code", "doug"]);
    assert_eq!((printed.status, printed.stdout.len()), (0, 7), "{}", printed.stderr);
    let cold = home.run(&["exec", "doug", "--", "true"]);
    assert_eq!((cold.status, aws.count("GetSessionToken")), (0, 1), "{}", cold.stderr);
    // Without a terminal the countdown is one line.
    assert_eq!(cold.stderr.matches("the next one comes in").count(), 1, "{}", cold.stderr);
    let sent = aws.requests().into_iter().find(|seen| seen.action == "GetSessionToken").unwrap();
    assert_eq!(sent.outcome, "ok");

    let after = home.run(&["code", "doug"]);
    assert_eq!(after.status, 0, "{}", after.stderr);
    assert_ne!(after.stdout, printed.stdout, "another step, another code");
}

#[test]
fn a_code_used_at_the_console_gets_one_more_try() {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    aws.use_code_elsewhere(&doug.devices[0].serial);
    let served = home.run(&["exec", "doug", "--", "true"]);
    assert_eq!(served.status, 0, "{}", served.stderr);
    assert!(served.stderr.contains("trying once more with the next code"), "{}", served.stderr);
    assert_eq!((home.touches(), aws.count("GetSessionToken")), (2, 2));
}

#[test]
fn clear_and_remove_forget_and_say_what_stays() {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    assert_eq!(home.run(&["exec", "doug", "--", "true"]).status, 0);
    assert!(home.run(&["status"]).stdout.contains("11 h 59 min left, with MFA"));
    let cleared = home.run(&["clear", "doug"]);
    assert!(cleared.stdout.contains("Forgot 1 session.") && cleared.stdout.contains("until its end"));
    assert!(
        home.run(&["status", "doug"]).stdout.contains("doug     arn:aws:iam::123456789012:mfa/doug  -\n")
    );

    let removed = home.run(&["remove", "doug"]);
    assert!(removed.stdout.contains(&doug.access_key_id) && removed.stdout.contains("[profile doug] stays"));
    let gone = home.run(&["exec", "doug", "--", "true"]);
    assert_eq!(gone.status, 125);
    assert!(gone.stderr.contains("no access key is stored") && gone.stderr.contains("onetap add doug"));
    assert_eq!(home.run(&["credential-process", "doug"]).status, 4);
}

#[test]
fn two_profiles_of_one_key_and_device_share_a_session() {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    let twin = User { name: "doug-east".into(), ..doug.clone() };
    let added = home.add(&twin, &["--mfa-serial", &doug.devices[0].serial, "--region", "us-east-1"]);
    assert_eq!(added.status, 0, "{}", added.stderr);
    for profile in ["doug", "doug-east", "doug-east", "doug"] {
        assert_eq!(home.run(&["exec", profile, "--", "true"]).status, 0);
    }
    assert_eq!((home.touches(), aws.count("GetSessionToken")), (1, 1));
}
