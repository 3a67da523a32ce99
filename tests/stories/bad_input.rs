//! Bad input: one clear line, its exit code, no touch spent, nothing sent to AWS, nothing lost.

use onetap_support::aws::{Aws, Device, Fault, User, World};
use onetap_support::home::{Home, Said, said, uri};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const ARN: &str = "arn:aws:iam::123456789012:mfa/doug";

struct Bench {
    aws: Aws,
    home: Home,
    doug: User,
}

fn bench(touch: &str) -> Bench {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, touch);
    Bench { aws, home, doug }
}

impl Bench {
    /// The same fault through both verbs: `exec` answers 125, the other its own code; each with one line that holds
    /// all of these words.
    fn refused(&self, profile: &str, status: i32, words: &[&str]) {
        let before = (self.home.read(".aws/config"), self.aws.count("GetSessionToken"));
        let through_exec = self.home.run(&["exec", profile, "--", "true"]);
        let process = self.home.run(&["credential-process", profile]);
        for (said, expected) in [(&through_exec, 125), (&process, status)] {
            one_line(said, expected, words);
        }
        let after = (self.home.read(".aws/config"), self.aws.count("GetSessionToken"));
        assert_eq!(after, before, "nothing is lost and nothing is sent");
    }

    fn config(&self, lines: &str) {
        self.home.private(".aws/config", &format!("[profile doug]\n{lines}\n"));
    }
}

fn one_line(said: &Said, status: i32, words: &[&str]) {
    assert_eq!((said.status, said.stdout.as_str()), (status, ""), "{}", said.stderr);
    let last = said.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("onetap: "), "{}", said.stderr);
    for word in words {
        assert!(last.contains(word), "{word:?} lacks in {last:?}");
    }
}

#[test]
fn the_profile() {
    let bench = bench("");
    bench.refused("dough", 3, &["no profile \"dough\"", "did you mean doug?"]);
    bench.config("region = eu-west-1");
    bench.refused("doug", 3, &["has no mfa_serial", "mfa_serial = arn:aws:iam::ACCOUNT:mfa/NAME"]);
    bench.config("mfa_serial = arn:aws:iam::123456789012:u2f/user/doug/default-R1EXAMPLE");
    bench.refused(
        "doug",
        3,
        &["config:2", "FIDO security key", "six-digit codes", "eight devices", "ykman oath accounts uri"],
    );
    bench.config(&format!("mfa_serial = {ARN}\nonetap_code = fax"));
    bench.refused("doug", 3, &["config:3", "onetap_code = fax", "yubikey, software, prompt"]);
    bench.config(&format!("mfa_serial = {ARN}\nonetap_session_duration = 100"));
    bench.refused("doug", 3, &["config:3", "900 to 129600"]);
    bench.config(&format!("mfa_serial = {ARN}\nendpoint_url"));
    bench.refused("doug", 3, &["config", "line 3"]);
    bench.home.private(".aws/config", &format!("[profile \"doug\"]\nmfa_serial = {ARN}\n"));
    bench.refused("doug", 3, &["config:1", "quotes"]);
    bench.home.private(".aws/config", &format!("[profile doug]\nrole_arn = x\nmfa_serial = {ARN}\n"));
    bench.refused("doug", 3, &["config:2", "role_arn"]);
    assert_eq!(bench.home.touches(), 0);
}

#[test]
fn no_profile_at_all() {
    let bench = bench("");
    one_line(&bench.home.run(&["credential-process"]), 2, &["no profile is named"]);
    let mut command = bench.home.onetap(&["credential-process"]);
    assert_eq!(said(command.env("AWS_PROFILE", "doug")).status, 0, "AWS_PROFILE names it");
}

#[test]
fn no_keys_stored() {
    let bench = bench("");
    bench.home.private(".aws/config", &format!("[profile other]\nmfa_serial = {ARN}\n"));
    bench.refused("other", 4, &["no access key is stored for the profile \"other\"", "onetap add other"]);
    assert_eq!(bench.home.touches(), 0);
}

#[test]
fn the_token() {
    let mut bench = bench("");
    bench.home.token(&uri("arn:aws:iam::123456789012:mfa/dough", &bench.doug.devices[0].seed_base32, false));
    bench.refused(
        "doug",
        5,
        &[
            "holds no OATH account \"arn:aws:iam::123456789012:mfa/doug\"",
            "onetap_account = arn:aws:iam::123456789012:mfa/dough",
        ],
    );
    bench.home.token("# a key that holds nothing\n");
    bench.refused("doug", 5, &["holds no OATH account"]);
    bench.home.token("otpauth://totp/x?secret=1\n");
    bench.refused("doug", 5, &["token", "line 1"]);
    bench.home.set("ONETAP_READER", format!("mock:{}/absent", bench.home.path("").display()));
    bench.refused("doug", 5, &["absent"]);
    assert_eq!(bench.aws.count("GetSessionToken"), 0);
}

#[test]
fn a_virtual_token_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = bench("");
    let path = bench.home.path("token");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    bench.refused("doug", 5, &["chmod 600"]);
}

#[test]
fn a_virtual_token_on_aws_itself() {
    let mut bench = bench("");
    bench.home.unset("AWS_ENDPOINT_URL");
    bench.refused("doug", 5, &["plain text", "--allow-mock-on-aws"]);
    assert_eq!(bench.home.touches(), 0);
}

#[test]
fn no_reader_and_no_service() {
    let mut bench = bench("");
    bench.home.unset("ONETAP_READER");
    bench.home.set("PCSCLITE_CSOCK_NAME", "/absent/pcscd.comm");
    bench.refused("doug", 5, &["pcscd", "systemctl start pcscd.socket"]);
    // Software TOTP works where no pcscd runs; the person is told that it is used.
    let mut command = bench.home.onetap(&["seed", "add", "doug", "--stdin"]);
    let seed = bench.home.private("seed", &bench.doug.devices[0].seed_base32);
    let stored = said(command.stdin(std::fs::File::open(seed).unwrap()));
    assert!(stored.status == 0 && stored.stderr.contains("one factor, not two"), "{}", stored.stderr);
    let served = bench.home.run(&["exec", "doug", "--", "true"]);
    assert_eq!(served.status, 0, "{}", served.stderr);
    assert!(served.stderr.contains("Trying software"), "{}", served.stderr);
}

#[test]
fn the_touch() {
    let mut bench = bench("fault touch never");
    bench.home.set("ONETAP_CODE", "yubikey");
    let mut command = bench.home.onetap(&["--timeout", "4", "credential-process", "doug"]);
    one_line(&said(&mut command), 6, &["not touched in time", "run the command again"]);
    let mut command = bench.home.onetap(&["--timeout", "4", "exec", "doug", "--", "true"]);
    one_line(&said(&mut command), 125, &["not touched in time"]);
    assert_eq!(bench.aws.count("GetSessionToken"), 0);
}

#[test]
fn a_key_that_is_pulled() {
    let bench = bench("fault removed-after 1");
    bench.refused("doug", 5, &["was removed"]);
}

#[test]
fn nobody_to_ask() {
    let mut bench = bench("");
    bench.home.set("ONETAP_CODE", "prompt");
    bench.refused("doug", 7, &["nobody to ask", "terminal"]);
}

#[test]
fn the_command() {
    let bench = bench("fault touch-after 100");
    let not_found = bench.home.run(&["exec", "doug", "--", "no-such-command"]);
    one_line(&not_found, 127, &["no-such-command: command not found"]);
    let not_executable = bench.home.run(&["exec", "doug", "--", "/etc/passwd"]);
    one_line(&not_executable, 126, &["/etc/passwd"]);
    assert_eq!(
        (bench.home.touches(), bench.aws.count("GetSessionToken")),
        (0, 0),
        "found out before the touch"
    );
    assert_eq!(bench.home.run(&["exec", "--no-such-option"]).status, 125);
    assert_eq!(bench.home.run(&["credential-process", "--no-such-option"]).status, 2);
}

#[test]
fn what_aws_refuses() {
    let serial = "arn:aws:iam::123456789012:mfa/doug";
    // A code that is wrong: the seed on the key is not the device's.
    let mut bench = bench("");
    bench.home.token(&uri(serial, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", false));
    bench.home.set("ONETAP_CODE", "yubikey");
    let refused = bench.home.run(&["credential-process", "doug"]);
    one_line(&refused, 8, &["AWS refused the code", "onetap_account"]);
    assert_eq!(bench.aws.count("GetSessionToken"), 2, "one more try, with the next step");
}

#[test]
fn a_device_of_somebody_else_s() {
    let bench = bench("");
    bench.config("mfa_serial = arn:aws:iam::123456789012:mfa/other\nonetap_account = arn:aws:iam::123456789012:mfa/doug");
    let refused = bench.home.run(&["credential-process", "doug"]);
    one_line(
        &refused,
        8,
        &["does not know this MFA device", "`onetap mfa list`", "gets one by `onetap enroll`"],
    );
    assert_eq!(bench.aws.count("GetSessionToken"), 1, "not tried again");
}

#[test]
fn a_skewed_clock() {
    let bench = bench("");
    bench.aws.shift_clock(86_400);
    let refused = bench.home.run(&["credential-process", "doug"]);
    one_line(&refused, 8, &["clock is 86", "s behind AWS's", "timedatectl"]);
    assert_eq!(bench.aws.count("GetSessionToken"), 1, "an offset of a day is never applied");
}

#[test]
fn dead_keys_and_wrong_secrets() {
    let bench = bench("");
    let mut nobody = bench.doug.clone();
    nobody.access_key_id = "AKIANOBODYKNOWSTHIS1".into();
    one_line(&bench.home.add(&nobody, &[]), 8, &["AWS does not know the access key"]);
    let mut wrong = bench.doug.clone();
    wrong.secret_access_key = "not/the/secret".into();
    one_line(&bench.home.add(&wrong, &[]), 8, &["does not belong to its access key id"]);
    assert_eq!(
        bench.home.run(&["exec", "doug", "--", "true"]).status,
        0,
        "the stored key is still the good one"
    );
}

#[test]
fn no_network() {
    let mut bench = bench("");
    bench.home.set("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    bench.refused("doug", 9, &["STS cannot be reached", "refused"]);
}

#[test]
fn an_overloaded_sts_gets_a_new_code_and_a_lost_answer_none() {
    let bench = bench("");
    bench.aws.fail_next("GetSessionToken", Fault::Drop);
    one_line(&bench.home.run(&["credential-process", "doug"]), 9, &["STS cannot be reached"]);
    assert_eq!(bench.aws.count("GetSessionToken"), 1, "a code that may have arrived is never sent again");
    bench.aws.fail_next("GetSessionToken", Fault::Status(503));
    let served = bench.home.run(&["--timeout", "120", "credential-process", "doug"]);
    assert_eq!(served.status, 0, "{}", served.stderr);
    let steps = bench.aws.requests().iter().filter_map(|seen| seen.code_step).collect::<Vec<_>>();
    assert_eq!(steps.len(), 3);
    assert!(steps.windows(2).all(|pair| pair[0] < pair[1]), "three codes, no step twice: {steps:?}");
}

#[test]
fn a_home_that_keeps_nothing_still_gets_its_session() {
    let mut bench = bench("");
    bench.home.set("XDG_CACHE_HOME", "/dev/null");
    let served = bench.home.run(&["exec", "doug", "--", "env"]);
    assert_eq!(served.status, 0, "{}", served.stderr);
    assert!(served.stdout.contains("AWS_SESSION_TOKEN="));
    assert!(served.stderr.contains("Warning: the session is not kept"), "{}", served.stderr);
}

#[test]
fn add_takes_long_term_keys_only_and_writes_nothing_before_they_are_proven() {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::new(BINARY);
    home.set("AWS_ENDPOINT_URL", aws.endpoint());
    let mut command = home.onetap(&["add", "doug", "--from-env", "--mfa-serial", ARN]);
    command.env("AWS_ACCESS_KEY_ID", "ASIAIOSFODNN7EXAMPLE").env("AWS_SECRET_ACCESS_KEY", "x");
    one_line(&said(&mut command), 2, &["temporary credentials", "AKIA"]);
    one_line(&home.run(&["add", "doug", "--from-env"]), 2, &["AWS_ACCESS_KEY_ID"]);
    one_line(&home.run(&["add", "do ug", "--from-env"]), 2, &["cannot name a profile"]);
    let fido = Device::fido("doug").serial;
    one_line(&home.add(&doug, &["--mfa-serial", &fido]), 3, &["FIDO"]);
    one_line(&home.add(&doug, &[]), 7, &["--mfa-serial arn:aws:iam::123456789012:mfa/doug"]);
    one_line(
        &home.add(&doug, &["--mfa-serial", "arn:aws:iam::999999999999:mfa/doug"]),
        2,
        &["another account"],
    );
    one_line(&home.add(&doug, &["--mfa-serial", ARN, "--region", "mars"]), 2, &["region"]);
    assert!(!home.path(".aws").exists() && !home.path(".local/state/onetap/vault.age").exists());

    home.private(".aws/credentials", "[doug]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n");
    let added = home.add(&doug, &["--mfa-serial", ARN, "--credential-process", "--account", "AWS:doug"]);
    assert_eq!(added.status, 0, "{}", added.stderr);
    assert!(
        added.stderr.contains("credentials:2") && added.stderr.contains("MFA never happens"),
        "{}",
        added.stderr
    );
    let line = format!("credential_process = {BINARY} credential-process doug\n");
    assert!(home.read(".aws/config").contains(&line), "{}", home.read(".aws/config"));
    assert!(home.read(".aws/config").contains("onetap_account = AWS:doug\n"));
}

#[test]
fn another_vault_than_the_recorded_one() {
    let mut bench = bench("");
    bench.home.set("ONETAP_VAULT", "keychain");
    bench.refused("doug", 3, &["the vault file", "recorded in", "`onetap vault move --to keychain`"]);
    bench.home.unset("ONETAP_VAULT");
    assert_eq!(bench.home.run(&["exec", "doug", "--", "true"]).status, 0, "what is recorded is used");
}

#[test]
fn no_keychain() {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::new(BINARY);
    home.set("AWS_ENDPOINT_URL", aws.endpoint());
    home.set("ONETAP_VAULT", "keychain");
    home.set("DBUS_SESSION_BUS_ADDRESS", "unix:path=/absent");
    one_line(&home.add(&doug, &["--mfa-serial", ARN]), 4, &["no keychain can be reached", "--vault file"]);
    assert!(!home.path(".config/onetap/config").exists(), "nothing is recorded");
}
