//! Enrolment, resync and rotation under the policies that onetap prints, with codes from a key and from a person.

use std::time::Duration;

use onetap_support::aws::{ACCOUNT, Aws, User, World, policy};
use onetap_support::home::{Home, Said};
use onetap_support::pty::{ENTER, Finished, Start, Terminal};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const ARN: &str = "arn:aws:iam::123456789012:mfa/doug";
/// A wait for the next time step or two, on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A home in which doug's key was added, with a YubiKey that holds nothing.
fn home_of(doug: &User, aws: &Aws) -> Home {
    let mut home = Home::new(BINARY);
    home.set("AWS_ENDPOINT_URL", aws.endpoint());
    home.token("serial 11111111\n");
    let said = home.add(doug, &["--mfa-serial", ARN, "--region", "eu-west-1"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    home
}

/// The same, and his device is on a phone: codes are typed.
fn with_a_phone(doug: &User, aws: &Aws) -> Home {
    let home = home_of(doug, aws);
    let config = home.read(".aws/config");
    home.private(".aws/config", &format!("{config}onetap_code = prompt\n"));
    home
}

/// What `onetap policy` prints for doug.
fn printed(word: &str) -> Value {
    let said = Home::new(BINARY).run(&["policy", word, "--account", ACCOUNT, "--user", "doug"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    serde_json::from_str(&said.stdout).unwrap()
}

fn served(home: &Home, arguments: &[&str]) -> Said {
    let said = home.run(arguments);
    assert_eq!(said.status, 0, "{arguments:?}: {}", said.stderr);
    said
}

fn refused(said: &Said, status: i32, words: &[&str]) {
    assert_eq!((said.status, said.stdout.as_str()), (status, ""), "{}", said.stderr);
    for word in words {
        assert!(said.stderr.contains(word), "{word} lacks in {}", said.stderr);
    }
}

fn at_terminal(home: &Home, arguments: &[&str]) -> Terminal {
    let start = Start::new(BINARY).args(arguments).env_clear().envs(home.env());
    start.folder(home.path("")).spawn().unwrap()
}

/// Answers the questions, one after another.
fn answered(mut terminal: Terminal, answers: &[(&str, String)]) -> Finished {
    for (question, answer) in answers {
        terminal.wait_for(question, LIMIT).unwrap();
        terminal.send(&format!("{answer}{ENTER}")).unwrap();
    }
    terminal.finish(LIMIT).unwrap()
}

#[test]
fn onboarding_lets_the_first_device_in_and_permanent_no_thief_s() {
    let doug = User::doug().without_devices();
    let aws = Aws::start(World::of(doug.clone()));
    let home = home_of(&doug, &aws);
    refused(&home.run(&["enroll", "doug"]), 8, &["AWS refused iam:CreateVirtualMFADevice"]);
    aws.attach_policy("doug", "Onboarding", &printed("onboarding"));
    let said = served(&home, &["enroll", "doug"]);
    assert!(!said.stderr.contains("asking for a session with MFA"), "{}", said.stderr);
    assert_eq!(aws.devices_of("doug"), [ARN]);
    aws.detach_policy("doug", "Onboarding");
    aws.attach_policy("doug", "Permanent", &printed("permanent"));

    // The access key is stolen. The thief has a YubiKey too, and onetap.
    let thief = home_of(&doug, &aws);
    for more in [&[][..], &["--device", "thief"]] {
        let said = thief.run(&[&["enroll", "doug", "--yes"], more].concat());
        refused(&said, 8, &["AWS refused iam:CreateVirtualMFADevice"]);
    }
    refused(&thief.run(&["unenroll", "doug", "--yes"]), 8, &["AWS refused iam:DeactivateMFADevice"]);
    refused(&thief.run(&["rotate", "doug"]), 8, &["AWS refused iam:ListAccessKeys"]);
    assert!(!thief.read("token").contains("otpauth"), "{}", thief.read("token"));
    assert_eq!((aws.devices_of("doug"), aws.loose_devices()), (vec![ARN.to_owned()], vec![]));
    assert_eq!(aws.keys_of("doug"), [(doug.access_key_id.clone(), true)]);

    // Doug goes on, with the session that his key has given.
    let sessions = aws.count("GetSessionToken");
    served(&home, &["resync", "doug"]);
    let rotated = served(&home, &["rotate", "doug"]);
    assert!(rotated.stdout.ends_with("which is deleted. AWS has taken it.\n"), "{}", rotated.stdout);
    assert_eq!(aws.count("GetSessionToken"), sessions);
    let said = served(&home, &["enroll", "doug", "--device", "spare"]);
    assert!(said.stderr.contains("asking for a session with MFA"), "{}", said.stderr);
    let spare = ARN.replace("doug", "spare");
    assert_eq!(aws.devices_of("doug"), [ARN, &spare]);
    served(&home, &["unenroll", "doug", "--device", ARN, "--yes"]);
    assert_eq!((aws.devices_of("doug"), aws.loose_devices()), (vec![spare], vec![]));
}

#[test]
fn under_the_boundary_a_phone_s_code_lets_the_yubikey_in() {
    let doug = User::doug().policy(policy::everything()).boundary(printed("boundary"));
    let aws = Aws::start(World::of(doug.clone()));
    let home = with_a_phone(&doug, &aws);
    let terminal = at_terminal(&home, &["enroll", "doug", "--device", "yubikey"]);
    let code = aws.code(ARN, 0).unwrap();
    let finished = answered(terminal, &[(&format!("Code for {ARN}"), code)]);
    let text = &finished.terminal;
    assert!(finished.status.success(), "{text}");
    for told in [
        format!("The user keeps {ARN}; the new device comes beside it."),
        "AWS refuses iam:CreateVirtualMFADevice to the access key alone; asking for a session with MFA."
            .into(),
        "onetap_code = prompt is taken out of the profile: it was about another device.".into(),
    ] {
        assert!(text.contains(&told), "{told} lacks in {text}");
    }
    let yubikey = ARN.replace("doug", "yubikey");
    assert_eq!(
        (aws.devices_of("doug"), aws.loose_devices()),
        (vec![ARN.to_owned(), yubikey.clone()], vec![])
    );
    let config = home.read(".aws/config");
    assert_eq!(config, format!("[profile doug]\nmfa_serial = {yubikey}\nregion = eu-west-1\n"));
    assert_eq!(aws.count("GetSessionToken"), 2, "the phone's and the proof");
    served(&home, &["exec", "doug", "--", "true"]);
}

#[test]
fn under_the_boundary_a_wrong_code_of_the_phone_s_leaves_nothing() {
    let doug = User::doug().policy(policy::everything()).boundary(printed("boundary"));
    let aws = Aws::start(World::of(doug.clone()));
    let home = with_a_phone(&doug, &aws);
    let terminal = at_terminal(&home, &["enroll", "doug", "--device", "yubikey"]);
    let wrong = || aws.code(ARN, 30).unwrap();
    let question = format!("Code for {ARN}");
    // A code may have been used before: another one is asked for, once.
    let finished = answered(terminal, &[(&question, wrong()), (&question, wrong())]);
    assert_eq!(finished.status.code(), Some(8), "{}", finished.terminal);
    assert!(finished.terminal.contains("AWS refused iam:CreateVirtualMFADevice"), "{}", finished.terminal);
    assert_eq!((aws.devices_of("doug"), aws.loose_devices()), (vec![ARN.to_owned()], vec![]));
    assert!(!home.read("token").contains("otpauth"));
    assert_eq!(home.read(".local/state/onetap/enrolments.json"), "{}");
}

#[test]
fn a_phone_whose_clock_ran_away_is_brought_into_step_with_two_typed_codes() {
    let doug = User::doug().policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let home = with_a_phone(&doug, &aws);
    // Ten minutes ahead.
    let code = |steps: i64| aws.code(ARN, 20 + steps).unwrap();
    let two = |first: String, second: String| {
        let terminal = at_terminal(&home, &["resync", "doug"]);
        let next = format!("The next code, once it is shown, for {ARN}");
        answered(terminal, &[(&format!("Code for {ARN}"), first), (&next, second)])
    };
    let not_in_a_row = two(code(0), code(3));
    assert_eq!(not_in_a_row.status.code(), Some(8), "{}", not_in_a_row.terminal);
    assert!(not_in_a_row.terminal.contains("AWS refused the two codes"), "{}", not_in_a_row.terminal);
    let said =
        answered(at_terminal(&home, &["resync", "doug"]), &[(&format!("Code for {ARN}"), "12".into())]);
    assert!(!said.status.success(), "{}", said.terminal);
    assert_eq!(aws.count("ResyncMFADevice"), 1, "what is no code is not sent");

    let said = two(code(0), code(1));
    assert!(said.status.success(), "{}", said.terminal);
    assert!(said.terminal.ends_with(&format!("{ARN} is in step again.\n")), "{}", said.terminal);
    // The phone's codes count from now on, although its clock is what it was.
    let terminal = at_terminal(&home, &["exec", "doug", "--", "true"]);
    let said = answered(terminal, &[(&format!("Code for {ARN}"), code(2))]);
    assert!(said.status.success(), "{}", said.terminal);
    assert_eq!(aws.count("GetSessionToken"), 1);
    // Without anybody to type them.
    refused(&home.run(&["resync", "doug"]), 7, &["there is no terminal"]);
}

#[test]
fn under_the_boundary_a_device_is_brought_into_step_through_the_session_that_it_gave_before() {
    let doug = User::doug().policy(policy::everything()).boundary(printed("boundary"));
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    served(&home, &["exec", "doug", "--", "true"]);
    let said = served(&home, &["resync", "doug"]);
    assert_eq!(said.stdout, format!("{ARN} is in step again.\n"));
    assert_eq!((aws.count("ResyncMFADevice"), aws.count("GetSessionToken")), (2, 1));
    // Once there is none, its own codes are of no use: an administrator must help.
    served(&home, &["clear", "doug"]);
    let statement = "\"iam:ResyncMFADevice\"],\"Resource\":";
    refused(&home.run(&["resync", "doug"]), 8, &["AWS refused iam:ResyncMFADevice", statement]);
    assert_eq!((aws.count("ResyncMFADevice"), aws.count("GetSessionToken")), (3, 1));
}
