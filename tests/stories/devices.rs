//! Stories of devices that others have made, lost or forgotten: FIDO keys, names that are taken, changes that do not
//! spread, and what `auto` stood for.

use std::time::Duration;

use onetap_support::aws::{Aws, Device, User, World, policy};
use onetap_support::home::{Home, Said, python_tool, said, uri};
use onetap_support::pty::{ENTER, Start, Terminal};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const ARN: &str = "arn:aws:iam::123456789012:mfa/doug";
const AUTO: &str = "[profile doug]\nmfa_serial = auto\nregion = eu-west-1\n";
/// A wait for the next time step or two, on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

struct Bench {
    aws: Aws,
    home: Home,
    doug: User,
}

/// A user whose key was added with an `auto` device, and this YubiKey.
fn bench_in(world: World, token: &str) -> Bench {
    let doug = world.users[0].clone();
    let aws = Aws::start(world);
    let mut home = Home::new(BINARY);
    home.set("AWS_ENDPOINT_URL", aws.endpoint());
    home.token(&format!("serial 11111111\n{token}"));
    let said = home.add(&doug, &["--mfa-serial", "auto", "--region", "eu-west-1"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert_eq!(home.read(".aws/config"), AUTO);
    Bench { aws, home, doug }
}

fn bench(doug: User) -> Bench {
    bench_in(World::of(doug), "")
}

fn nobody() -> User {
    User::doug().without_devices().policy(policy::everything())
}

fn account(device: &Device) -> String {
    format!("{}\n", uri(&device.serial, &device.seed_base32, false))
}

impl Bench {
    fn served(&self, arguments: &[&str]) -> Said {
        let said = self.home.run(arguments);
        assert_eq!(said.status, 0, "{arguments:?}: {}", said.stderr);
        said
    }

    /// One call of boto3's with doug's key.
    fn boto3(&self, call: &str) {
        let mut python = self.home.program(python_tool("python3"));
        python.arg("-c").arg(format!("import boto3; iam = boto3.client('iam', 'eu-west-1'); {call}"));
        python.env("AWS_ACCESS_KEY_ID", &self.doug.access_key_id);
        let said = said(python.env("AWS_SECRET_ACCESS_KEY", &self.doug.secret_access_key));
        assert_eq!(said.status, 0, "{}", said.stderr);
    }

    fn at_terminal(&self, arguments: &[&str]) -> Terminal {
        let start = Start::new(BINARY).args(arguments).env_clear().envs(self.home.env());
        start.folder(self.home.path("")).spawn().unwrap()
    }

    fn unfinished(&self) -> String {
        self.home.read(".local/state/onetap/enrolments.json")
    }

    fn remembered(&self) -> Value {
        serde_json::from_str(&self.home.read(".local/state/onetap/devices.json")).unwrap_or_default()
    }
}

fn refused(said: &Said, status: i32, words: &[&str]) {
    assert_eq!((said.status, said.stdout.as_str()), (status, ""), "{}", said.stderr);
    for word in words {
        assert!(said.stderr.contains(word), "{word} lacks in {}", said.stderr);
    }
}

#[test]
fn a_user_with_a_fido_key_alone_gets_a_second_device_and_keeps_the_first() {
    let fido = Device::fido("doug");
    let bench = bench(nobody().device(fido.clone()));
    // A FIDO key gives no codes, so that there is nothing to choose yet.
    let none = bench.home.run(&["exec", "doug", "--", "true"]);
    refused(&none, 125, &[&fido.serial, "onetap enroll doug"]);

    let enrolled = bench.served(&["enroll", "doug"]);
    assert!(enrolled.stderr.contains(&format!("The user keeps {}", fido.serial)), "{}", enrolled.stderr);
    assert_eq!(bench.aws.devices_of("doug"), [fido.serial.as_str(), ARN]);
    let listed: Value =
        serde_json::from_str(&bench.served(&["mfa", "list", "doug", "--json"]).stdout).unwrap();
    assert_eq!((&listed[0]["kind"], &listed[1]["kind"]), (&json!("fido"), &json!("virtual")));
    assert_eq!((&listed[0]["keys"], &listed[1]["keys"]), (&json!([]), &json!(["11111111"])));
    assert_eq!((&listed[0]["profile"], &listed[1]["profile"]), (&json!(false), &json!(true)));

    // With both there, `auto` means the one that gives codes.
    bench.home.private(".aws/config", AUTO);
    let found = bench.served(&["exec", "doug", "--", "true"]);
    assert_eq!(found.stderr, format!("onetap: mfa_serial = auto in [doug] stands for {ARN}.\n"));
    assert_eq!(bench.aws.count("GetSessionToken"), 1, "the session of the proof serves");
}

#[test]
fn a_loose_device_of_the_same_name_is_deleted_only_if_the_person_says_so() {
    let bench = bench(nobody());
    let make = "iam.create_virtual_mfa_device(VirtualMFADeviceName='doug')";
    bench.boto3(make);
    let question =
        format!("{ARN} is there and not this user's: an earlier attempt may have left it. Delete it?");
    let untouched = || {
        assert_eq!((bench.aws.devices_of("doug"), bench.aws.loose_devices()), (vec![], vec![ARN.to_owned()]));
        assert_eq!((bench.aws.count("DeleteVirtualMFADevice"), bench.unfinished().as_str()), (0, "{}"));
        assert!(!bench.home.read("token").contains("otpauth"));
    };
    refused(&bench.home.run(&["enroll", "doug"]), 7, &["nobody to confirm", "--yes"]);
    untouched();
    let mut terminal = bench.at_terminal(&["enroll", "doug"]);
    terminal.wait_for(&format!("{question} Type yes to go on: "), LIMIT).unwrap();
    terminal.send(&format!("no{ENTER}")).unwrap();
    let finished = terminal.finish(LIMIT).unwrap();
    assert_eq!(finished.status.code(), Some(6), "{}", finished.terminal);
    untouched();

    bench.served(&["enroll", "doug", "--yes"]);
    assert_eq!((bench.aws.devices_of("doug"), bench.aws.loose_devices()), (vec![ARN.to_owned()], vec![]));
    assert_eq!(bench.home.read("token").matches("otpauth").count(), 1);
}

#[test]
fn another_user_s_device_of_the_same_name_is_never_taken_from_them() {
    let anna = User::named("anna").without_devices().device(Device::virtual_mfa("doug"));
    let bench = bench_in(World::of(nobody()).user(anna), "");
    let said = bench.home.run(&["enroll", "doug", "--yes"]);
    refused(&said, 2, &[&format!("{ARN} is another user's"), "--device"]);
    assert_eq!(bench.aws.devices_of("anna"), [ARN]);
    assert_eq!((bench.unfinished().as_str(), bench.home.touches()), ("{}", 0));
    bench.served(&["enroll", "doug", "--device", "doug-yubikey"]);
    assert_eq!(bench.aws.devices_of("doug"), [ARN.replace("doug", "doug-yubikey")]);
    assert_eq!(bench.aws.devices_of("anna"), [ARN]);
}

#[test]
fn a_device_that_aws_does_not_come_to_know_is_named_and_the_next_run_completes_it() {
    if std::env::var_os("ONETAP_TEST_ALL").is_none() {
        // Five codes, each of a step of its own: three minutes.
        return;
    }
    let bench = bench(nobody());
    bench.aws.settle_devices_after(5);
    let said = bench.home.run(&["enroll", "doug"]);
    let what = format!("the MFA device {ARN} is not taken by AWS yet: ");
    refused(&said, 8, &[&what, "run the command again"]);
    assert_eq!(bench.aws.count("GetSessionToken"), 5);
    assert_eq!(bench.aws.devices_of("doug"), [ARN]);
    let made = bench.aws.count("CreateVirtualMFADevice");
    let said = bench.served(&["enroll", "doug"]);
    assert!(said.stdout.starts_with(&format!("{ARN} is enabled for doug")), "{}", said.stdout);
    assert_eq!((bench.aws.count("CreateVirtualMFADevice"), bench.unfinished().as_str()), (made, "{}"));
}

#[test]
fn a_key_that_aws_does_not_come_to_know_is_named_and_the_old_one_stays() {
    let doug = User::doug().policy(policy::everything());
    let bench = bench_in(World::of(doug.clone()), &account(&doug.devices[0]));
    // More than the looks of a minute, less than those of two.
    bench.aws.settle_keys_after(35);
    let old = &doug.access_key_id;
    let said = bench.home.run(&["rotate", "doug"]);
    let keys = bench.aws.keys_of("doug");
    let new = keys[1].0.clone();
    let what = format!("the access key {new} is not taken by AWS yet: ");
    refused(&said, 8, &[&what, &format!("; the profile still uses {old}; run the command again")]);
    assert_eq!(keys, [(old.clone(), true), (new.clone(), true)]);
    bench.served(&["exec", "doug", "--", "true"]);

    let said = bench.served(&["rotate", "doug"]);
    assert_eq!(said.stdout, format!("{new} is in the place of {old}, which is deleted. AWS has taken it.\n"));
    assert_eq!(bench.aws.keys_of("doug"), [(new.clone(), true)]);
    assert_eq!(bench.aws.count("CreateAccessKey"), 1);
    // The old key's session is of no use to anybody.
    let forgot: Value = serde_json::from_str(&bench.served(&["clear", "--json"]).stdout).unwrap();
    assert_eq!(forgot["sessions"], 0, "{forgot}");
    bench.served(&["exec", "doug", "--", "true"]);
}

#[test]
fn a_remembered_device_that_aws_no_longer_knows_is_found_out_anew_once() {
    let (old, new) = (Device::virtual_mfa("doug"), Device::virtual_mfa("laptop"));
    let doug = nobody().device(old.clone());
    let world = World::of(doug).user(User::named("anna").without_devices().device(new.clone()));
    // The key still holds the account of the device that is gone.
    let bench = bench_in(world, &format!("{}{}", account(&old), account(&new)));
    bench.served(&["exec", "doug", "--", "true"]);
    assert_eq!(bench.remembered(), json!({ "doug": old.serial }));

    // Gone, and nothing came in its place.
    bench.boto3(&format!("iam.deactivate_mfa_device(UserName='doug', SerialNumber='{}')", old.serial));
    bench.boto3(&format!("iam.delete_virtual_mfa_device(SerialNumber='{}')", old.serial));
    let lost = bench.home.run(&["--renew", "exec", "doug", "--", "true"]);
    let told = format!("AWS no longer knows {}, for which mfa_serial = auto in [doug] stood.", old.serial);
    refused(&lost, 125, &[&told, "onetap enroll doug"]);
    assert_eq!((bench.remembered(), bench.aws.count("GetSessionToken")), (json!({}), 2));

    // Enrolled anew, by the same key under another name.
    bench.served(&["enroll", "doug", "--device", "second"]);
    let second = ARN.replace("doug", "second");
    bench.home.private(".aws/config", AUTO);
    bench.home.private(".local/state/onetap/devices.json", &json!({ "doug": old.serial }).to_string());
    let asked = bench.aws.count("ListMFADevices");
    let found = bench.served(&["--renew", "exec", "doug", "--", "true"]);
    let stands = format!("mfa_serial = auto in [doug] stands for {second}.");
    assert!(found.stderr.contains(&told) && found.stderr.contains(&stands), "{}", found.stderr);
    assert_eq!(
        (bench.remembered(), bench.aws.count("ListMFADevices")),
        (json!({ "doug": second }), asked + 1)
    );
}

#[test]
fn a_remembered_device_whose_account_is_on_no_key_is_looked_up_and_kept_if_aws_knows_it() {
    let doug = User::doug().policy(policy::everything());
    let mut bench = bench_in(World::of(doug.clone()), &account(&doug.devices[0]));
    bench.served(&["exec", "doug", "--", "true"]);
    bench.home.token("serial 22222222\n");
    let said = bench.home.run(&["--renew", "exec", "doug", "--", "true"]);
    assert_eq!((said.status, said.stderr.contains(ARN)), (125, true), "{}", said.stderr);
    assert!(!said.stderr.contains("no longer knows"), "{}", said.stderr);
    assert_eq!((bench.remembered(), bench.aws.count("GetSessionToken")), (json!({ "doug": ARN }), 1));
}

#[test]
fn verbs_that_ask_nobody_do_not_find_out_an_auto_device() {
    let doug = User::doug().policy(policy::everything());
    let bench = bench_in(World::of(doug.clone()), &account(&doug.devices[0]));
    let before = bench.aws.requests().len();
    for named in [&["doctor", "doug", "--json"][..], &["doctor", "--json"]] {
        let report: Value = serde_json::from_str(&bench.served(named).stdout).unwrap();
        let checks = report["checks"].as_array().unwrap();
        let account = checks.iter().find(|check| check["name"] == "account").unwrap();
        assert_eq!(account["state"], "not checked");
        let fact = "profile doug: AWS was not asked which device mfa_serial = auto stands for";
        assert_eq!(account["fact"], fact);
        assert_eq!(account["remedy"], "`onetap exec doug -- true` finds it out");
    }
    assert!(bench.served(&["status"]).stdout.contains("auto"));
    bench.served(&["list"]);
    bench.served(&["clear", "doug"]);
    refused(&bench.home.run(&["explain", "doug"]), 3, &["is not found out yet", "onetap exec doug -- true"]);
    assert_eq!((bench.aws.requests().len(), bench.home.touches()), (before, 0));
    bench.served(&["exec", "doug", "--", "true"]);
    assert!(bench.served(&["doctor", "doug"]).stdout.contains(&format!("profile doug: {ARN} on")));
    assert_eq!(bench.aws.count("ListMFADevices"), 1);
}

#[test]
fn where_iam_tells_nothing_without_mfa_a_remembered_device_that_is_gone_costs_one_more_code_at_most() {
    let old = Device::virtual_mfa("old");
    for (name, there) in [("doug", true), ("phone", false)] {
        let enabled = Device::virtual_mfa(name);
        let doug = nobody().device(enabled.clone()).boundary(policy::everything_only_with_mfa());
        // The device that is guessed has the user's name; its account is on the key either way.
        let guessed = Device { serial: ARN.into(), ..enabled };
        let bench = bench_in(World::of(doug), &format!("{}{}", account(&old), account(&guessed)));
        let remember = json!({ "doug": old.serial }).to_string();
        bench.home.private(".local/state/onetap/devices.json", &remember);
        let said = bench.home.run(&["exec", "doug", "--", "true"]);
        let gone =
            format!("AWS no longer knows {}, for which mfa_serial = auto in [doug] stood.", old.serial);
        assert!(said.stderr.contains(&gone), "{}", said.stderr);
        assert!(said.stderr.contains(&format!("stands for {ARN}.")), "{}", said.stderr);
        assert_eq!((said.status, bench.aws.count("GetSessionToken")), (if there { 0 } else { 125 }, 2));
        assert_eq!(bench.remembered(), if there { json!({ "doug": ARN }) } else { json!({}) });
    }
}
