//! The life of devices and keys, the same steps against the strict stand-in and against moto's server.
//!
//! moto is an independent implementation: names, seeds, errors and documents come from somebody else's reading of IAM.
//! It looks at no code, no policy and no key's state, does not count devices, deletes devices that are enabled, and lacks
//! ResyncMFADevice, SimulatePrincipalPolicy and PutUserPermissionsBoundary. The stand-in's stories are about those.
//! What is left on either server is told by boto3, not by onetap.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use onetap_support::aws::{Aws, Group, User, World, policy};
use onetap_support::canary::{self, Kind};
use onetap_support::home::{Home, Said, python_tool, said};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const ARN: &str = "arn:aws:iam::123456789012:mfa/doug";
/// Python takes its time on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// moto's server on a port of this machine; it ends with the story.
struct Moto {
    process: Child,
    endpoint: String,
}

impl Moto {
    fn start() -> Self {
        // Free a moment ago; moto's server takes no port of its own choice.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(python_tool("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut moto = Self { process: command.spawn().unwrap(), endpoint: format!("http://{address}") };
        let deadline = Instant::now() + LIMIT;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "moto's server does not listen");
            assert!(moto.process.try_wait().unwrap().is_none(), "moto's server ended");
            std::thread::sleep(Duration::from_millis(50));
        }
        moto
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A person's home, the user's keys and where the account is.
struct Bench {
    endpoint: String,
    home: Home,
    doug: User,
}

/// What boto3 sees, with a key that works: the user's devices, devices that nobody has, and keys.
const LOOK: &str = "
import boto3, json
iam = boto3.client('iam')
loose = iam.list_virtual_mfa_devices(AssignmentStatus='Unassigned')['VirtualMFADevices']
print(json.dumps({
    'devices': [device['SerialNumber'] for device in iam.list_mfa_devices(UserName='doug')['MFADevices']],
    'loose': [device['SerialNumber'] for device in loose],
    'keys': [[key['AccessKeyId'], key['Status']] for key in iam.list_access_keys(UserName='doug')['AccessKeyMetadata']],
}))
";

/// Makes doug with a group and a policy of every kind, as the stand-in's world has them.
const FOUND: &str = "
import boto3, json, sys
iam = boto3.client('iam')
documents = json.load(open(sys.argv[1]))
iam.create_user(UserName='doug')
iam.put_user_policy(UserName='doug', PolicyName='inline-1', PolicyDocument=json.dumps(documents['everything']))
managed = iam.create_policy(PolicyName='Managed', PolicyDocument=json.dumps(documents['managed']))['Policy']['Arn']
iam.attach_user_policy(UserName='doug', PolicyArn=managed)
iam.create_group(GroupName='operators')
iam.add_user_to_group(GroupName='operators', UserName='doug')
iam.put_group_policy(GroupName='operators', PolicyName='inline-1', PolicyDocument=json.dumps(documents['inline']))
shared = iam.create_policy(PolicyName='Shared', PolicyDocument=json.dumps(documents['shared']))['Policy']['Arn']
iam.attach_group_policy(GroupName='operators', PolicyArn=shared)
key = iam.create_access_key(UserName='doug')['AccessKey']
print(json.dumps([key['AccessKeyId'], key['SecretAccessKey']]))
";

/// Without IfExists: one trap for each of the three places in which such a document may stand.
fn trap(action: &str) -> Value {
    json!({ "Version": "2012-10-17", "Statement": { "Sid": "Trap", "Effect": "Deny", "Action": action, "Resource": "*",
        "Condition": { "Bool": { "aws:MultiFactorAuthPresent": "false" } } } })
}

impl Bench {
    fn python(&self, script: &str, arguments: &[&str], keys: [&str; 2]) -> Value {
        let mut python = self.home.program(python_tool("python3"));
        python.arg("-c").arg(script).args(arguments).env("AWS_ENDPOINT_URL", &self.endpoint);
        python.env("AWS_ACCESS_KEY_ID", keys[0]).env("AWS_SECRET_ACCESS_KEY", keys[1]);
        let output = python.env("AWS_DEFAULT_REGION", "eu-west-1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What boto3 sees, as whoever runs onetap with the profile.
    fn look(&self) -> Value {
        let mut seen = self.home.onetap(&["exec", "doug", "--"]);
        seen.arg(python_tool("python3")).args(["-c", LOOK]);
        let seen = said(&mut seen);
        assert_eq!(seen.status, 0, "{}", seen.stderr);
        serde_json::from_str(&seen.stdout).unwrap()
    }

    /// One call of boto3's, as whoever runs onetap with the profile.
    fn admin(&self, call: &str) -> Value {
        let script = format!("import boto3, json; iam = boto3.client('iam'); {call}");
        let mut python = self.home.onetap(&["exec", "doug", "--"]);
        let said = said(python.arg(python_tool("python3")).args(["-c", &script]));
        assert_eq!(said.status, 0, "{}", said.stderr);
        serde_json::from_str(&said.stdout).unwrap()
    }

    fn served(&self, arguments: &[&str]) -> Said {
        let said = self.home.run(arguments);
        assert_eq!(said.status, 0, "{arguments:?}: {}", said.stderr);
        said
    }

    /// The key is stored, and nothing else is there.
    fn begun(endpoint: String, doug: User) -> Self {
        let mut home = Home::new(BINARY);
        home.set("AWS_ENDPOINT_URL", &endpoint);
        home.token("serial 11111111\n");
        let said = home.add(&doug, &["--mfa-serial", ARN, "--region", "eu-west-1"]);
        assert_eq!(said.status, 0, "{}", said.stderr);
        Self { endpoint, home, doug }
    }
}

fn documents() -> [Value; 3] {
    ["ec2:StopInstances", "ec2:RebootInstances", "ec2:TerminateInstances"].map(trap)
}

fn on_the_stand_in(steps: impl FnOnce(&Bench)) {
    let [managed, inline, shared] = documents();
    let doug = User::doug().without_devices().policy(policy::everything()).attach("Managed", managed);
    let group = Group::of("operators", &["doug"]).policy(inline).attach("Shared", shared);
    let aws = Aws::start(World::of(doug.clone()).group(group));
    steps(&Bench::begun(aws.endpoint(), doug));
}

fn on_moto(steps: impl FnOnce(&Bench)) {
    let moto = Moto::start();
    let [managed, inline, shared] = documents();
    let nobody = User::doug();
    let mut bench =
        Bench { endpoint: moto.endpoint.clone(), home: Home::new(BINARY), doug: nobody.without_devices() };
    let documents = json!({ "everything": policy::everything(), "managed": managed, "inline": inline,
        "shared": shared });
    let file = bench.home.private("documents.json", &documents.to_string());
    // moto takes any key for an administrator's.
    let key = bench.python(FOUND, &[file.to_str().unwrap()], ["AKIAIOSFODNN7EXAMPLE", "any"]);
    bench.doug.access_key_id = key[0].as_str().unwrap().into();
    bench.doug.secret_access_key = key[1].as_str().unwrap().into();
    canary::here().plant("moto's access key", Kind::LongTerm, bench.doug.secret_access_key.as_bytes());
    steps(&Bench::begun(moto.endpoint.clone(), bench.doug.clone()));
}

/// From an access key to a second device, a new access key and none at all.
fn a_life(bench: &Bench, knows_resync: bool) {
    let doug = &bench.doug;
    let enrolled = bench.served(&["enroll", "doug"]);
    let told = format!(
        "{ARN} is enabled for doug, its seed is on a YubiKey, and AWS gave a session for it. Next: `onetap exec doug -- COMMAND`.\n"
    );
    assert_eq!(enrolled.stdout, told);
    assert_eq!(bench.home.touches(), 3);
    let active = json!([[doug.access_key_id, "Active"]]);
    assert_eq!(bench.look(), json!({ "devices": [ARN], "loose": [], "keys": active }));
    let again = bench.home.run(&["enroll", "doug"]);
    assert_eq!((again.status, again.stdout.as_str()), (2, ""), "{}", again.stderr);

    let listed = bench.served(&["mfa", "list", "doug", "--json"]);
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let [line] = listed.as_array().unwrap().as_slice() else { panic!("{listed}") };
    let facts = ["serial", "kind", "keys", "profile"].map(|name| line[name].clone());
    assert_eq!(facts, [json!(ARN), json!("virtual"), json!(["11111111"]), json!(true)]);
    assert!(line["enabled"].as_str().is_some_and(|at| at.ends_with('Z') && at.len() == 20), "{line}");

    // The same device, found out.
    assert_eq!(bench.home.run(&["clear", "doug"]).status, 0);
    bench.home.private(".aws/config", "[profile doug]\nmfa_serial = auto\nregion = eu-west-1\n");
    let found = bench.served(&["exec", "doug", "--", "true"]);
    assert!(found.stderr.contains(&format!("mfa_serial = auto in [doug] stands for {ARN}.")));

    // A second device beside the first.
    let second = ARN.replace("doug", "spare");
    let told = bench.served(&["enroll", "doug", "--device", "spare"]).stderr;
    assert!(told.contains(&format!("The user keeps {ARN}")), "{told}");
    assert_eq!(bench.look(), json!({ "devices": [ARN, second], "loose": [], "keys": active }));
    bench.served(&["unenroll", "doug", "--device", ARN, "--yes"]);
    assert_eq!(bench.look(), json!({ "devices": [second], "loose": [], "keys": active }));

    // Somebody made a key in the console, and nobody has used it.
    let other =
        bench.admin("print(json.dumps(iam.create_access_key(UserName='doug')['AccessKey']['AccessKeyId']))");
    let other = other.as_str().unwrap();
    let full = bench.home.run(&["rotate", "doug"]);
    assert_eq!((full.status, full.stdout.as_str()), (8, ""), "{}", full.stderr);
    let told = format!(
        "{other} is active, never used: if nothing uses it, run `onetap rotate doug --delete {other}`"
    );
    assert!(full.stderr.contains(&told), "{}", full.stderr);

    let rotated = bench.served(&["rotate", "doug", "--delete", other]).stdout;
    let seen = bench.look();
    let new = seen["keys"][0][0].as_str().unwrap();
    assert_ne!(new, doug.access_key_id);
    assert_eq!(
        rotated,
        format!("{new} is in the place of {}, which is deleted. AWS has taken it.\n", doug.access_key_id)
    );
    assert_eq!(seen, json!({ "devices": [second], "loose": [], "keys": [[new, "Active"]] }));
    bench.served(&["--renew", "exec", "doug", "--", "true"]);

    let again = bench.home.run(&["resync", "doug"]);
    match knows_resync {
        true => assert_eq!((again.status, again.stdout), (0, format!("{second} is in step again.\n"))),
        // What a server does not have is the server's error.
        false => {
            assert_eq!((again.status, again.stdout.as_str()), (9, ""), "{}", again.stderr);
            assert!(again.stderr.contains("IAM is overloaded"), "{}", again.stderr);
        }
    }

    let gone = bench.served(&["unenroll", "doug", "--yes"]).stdout;
    assert!(gone.starts_with(&format!("{second} is gone from IAM")), "{gone}");
    assert!(!bench.home.read("token").contains("otpauth"));
    let none = bench.served(&["mfa", "list", "doug"]).stdout;
    assert_eq!(none, "doug has no MFA device; `onetap enroll doug` makes one.\n");
}

/// What counts for a user, from each place in which a policy can stand.
fn a_look_at_policies(bench: &Bench) {
    let actions = "ec2:StopInstances,ec2:RebootInstances,ec2:TerminateInstances,ec2:DescribeInstances";
    let said = bench.home.run(&["policy", "check", "doug", "--json", "--actions", actions]);
    assert_eq!(said.status, 3, "{}", said.stderr);
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    let mut at: Vec<_> = report["traps"].as_array().unwrap().iter().map(|trap| &trap["at"]).collect();
    at.sort_by_key(|at| at.to_string());
    let places = [
        "Managed, Trap",
        "Shared (group operators), Trap",
        "all policies together",
        "inline-1 (group operators), Trap",
    ];
    assert_eq!(at, places, "{report}");
    // A long-term key passes all of them.
    for verdict in report["actions"].as_array().unwrap() {
        assert_eq!(
            (&verdict["without_mfa"], &verdict["with_mfa"]),
            (&json!("yes"), &json!("yes")),
            "{report}"
        );
    }
    assert_eq!(bench.home.touches(), 0);
}

#[test]
fn devices_and_keys_live_the_same_life_on_the_stand_in() {
    on_the_stand_in(|bench| a_life(bench, true));
}

#[test]
fn devices_and_keys_live_the_same_life_on_moto() {
    on_moto(|bench| a_life(bench, false));
}

#[test]
fn policies_are_found_in_each_of_their_places_on_the_stand_in() {
    on_the_stand_in(a_look_at_policies);
}

#[test]
fn policies_are_found_in_each_of_their_places_on_moto() {
    on_moto(a_look_at_policies);
}
