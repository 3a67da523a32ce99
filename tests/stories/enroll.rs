//! Stories of enrolment: from an access key to MFA, and what is left when it is cut short.

use std::time::{Duration, Instant};

use onetap_support::aws::{Aws, Device, Fault, User, World, policy};
use onetap_support::home::{Home, Said, uri};
use onetap_support::pty::{ENTER, Start, Terminal};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const ARN: &str = "arn:aws:iam::123456789012:mfa/doug";
/// A wait for the next time step or two, on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

struct Bench {
    aws: Aws,
    home: Home,
    doug: User,
}

impl Bench {
    fn enroll(&self, more: &[&str]) -> Said {
        self.home.run(&[&["enroll", "doug"], more].concat())
    }

    fn at_terminal(&self, arguments: &[&str]) -> Terminal {
        let start = Start::new(BINARY).args(arguments).env_clear().envs(self.home.env());
        start.folder(self.home.path("")).spawn().unwrap()
    }

    /// The device is enabled, a touch gives a session, and nothing is left to do.
    fn is_enrolled(&self) {
        assert_eq!((self.aws.devices_of("doug"), self.aws.loose_devices()), (vec![ARN.to_owned()], vec![]));
        let served = self.home.run(&["--renew", "exec", "doug", "--", "true"]);
        assert_eq!(served.status, 0, "{}", served.stderr);
        assert!(self.unfinished().is_empty(), "{}", self.unfinished());
    }

    /// What an enrolment has left to do.
    fn unfinished(&self) -> String {
        let text = self.home.read(".local/state/onetap/enrolments.json");
        if text == "{}" { String::new() } else { text }
    }

    /// Nobody has a device, and the key holds no account.
    fn has_nothing(&self) {
        assert_eq!((self.aws.devices_of("doug"), self.aws.loose_devices()), (vec![], vec![]));
        assert!(!self.home.read("token").contains("otpauth"), "{}", self.home.read("token"));
        assert!(self.unfinished().is_empty(), "{}", self.unfinished());
    }
}

/// A user whose key was added, and an empty YubiKey.
fn bench_of(doug: User) -> Bench {
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::new(BINARY);
    home.set("AWS_ENDPOINT_URL", aws.endpoint());
    home.token("serial 11111111\n");
    let said = home.add(&doug, &["--mfa-serial", ARN, "--region", "eu-west-1"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    Bench { aws, home, doug }
}

/// A user without a device.
fn bench() -> Bench {
    bench_of(User::doug().without_devices().policy(policy::everything()))
}

fn refused(said: &Said, status: i32, words: &[&str]) {
    assert_eq!((said.status, said.stdout.as_str()), (status, ""), "{}", said.stderr);
    for word in words {
        assert!(said.stderr.contains(word), "{word} lacks in {}", said.stderr);
    }
}

/// The seed on the virtual token.
fn seed(token: &str) -> String {
    let (_, rest) = token.split_once("secret=").unwrap_or_else(|| panic!("no account in {token}"));
    rest.chars().take_while(char::is_ascii_alphanumeric).collect()
}

/// Every file of the home but the token's own, as text.
fn files(home: &Home) -> String {
    fn walk(folder: &std::path::Path, all: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, all);
            } else if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("token")) {
                all.push_str(&String::from_utf8_lossy(&std::fs::read(&path).unwrap()));
            }
        }
    }
    let mut all = String::new();
    walk(&home.path(""), &mut all);
    all
}

#[test]
fn enroll_makes_a_device_puts_it_on_the_key_enables_it_and_proves_it() {
    let bench = bench();
    let too_early = bench.home.run(&["credential-process", "doug"]);
    refused(&too_early, 5, &["`onetap enroll` makes a new one"]);
    assert_eq!(bench.aws.count("GetSessionToken"), 0);
    let asked_in_vain = bench.home.touches();
    let said = bench.enroll(&[]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    let done = format!(
        "{ARN} is enabled for doug, its seed is on a YubiKey, and AWS gave a session for it. Next: `onetap exec doug -- COMMAND`.\n"
    );
    assert_eq!(said.stdout, done);
    assert_eq!(said.stderr.matches("Touch ").count(), 3, "{}", said.stderr);
    assert!(said.stderr.contains("AWS wants two codes in a row, so two touches."), "{}", said.stderr);
    let served = bench.home.run(&["exec", "doug", "--", "true"]);
    assert_eq!((served.status, bench.aws.count("GetSessionToken")), (0, 1), "{}", served.stderr);
    assert_eq!(
        bench.home.read(".aws/config"),
        format!("[profile doug]\nmfa_serial = {ARN}\nregion = eu-west-1\n")
    );
    assert_eq!(bench.home.touches(), asked_in_vain + 3);
    let token = bench.home.read("token");
    assert!(token.contains("touch=true"), "{token}");
    let seed = seed(&token);
    assert_eq!(seed.len(), 64);
    for text in [&said.stdout, &said.stderr, &files(&bench.home)] {
        assert!(!text.contains(&seed) && !text.contains(&bench.doug.secret_access_key), "{text}");
    }
    assert!(bench.unfinished().is_empty());
    bench.is_enrolled();

    refused(&bench.enroll(&[]), 2, &["has an MFA device already", "--device NAME", "onetap unenroll doug"]);
    assert_eq!(bench.aws.count("CreateVirtualMFADevice"), 1);
}

#[test]
fn a_change_that_spreads_slowly_is_waited_for_with_fresh_codes() {
    let bench = bench();
    bench.aws.settle_devices_after(1);
    let said = bench.enroll(&[]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(said.stderr.contains("trying again with the next code"), "{}", said.stderr);
    let asked: Vec<_> =
        bench.aws.requests().into_iter().filter(|seen| seen.action == "GetSessionToken").collect();
    assert_eq!(asked.iter().map(|seen| seen.outcome.as_str()).collect::<Vec<_>>(), ["AccessDenied", "ok"]);
    assert_eq!(bench.home.touches(), 4, "each try has a code of its own");
}

#[test]
fn what_aws_refuses_is_taken_back_and_told_with_the_statement_that_lacks() {
    let bench = bench();
    for action in ["CreateVirtualMFADevice", "EnableMFADevice"] {
        // Once for the key alone, and no device gives a session with MFA.
        bench.aws.fail_next(action, Fault::Refuse);
        let said = bench.enroll(&[]);
        let statement = "{\"Effect\":\"Allow\",\"Action\":[\"iam:CreateVirtualMFADevice\",";
        refused(&said, 8, &[&format!("AWS refused iam:{action}"), statement, "permissions boundary"]);
        bench.has_nothing();
    }
    let said = bench.enroll(&[]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    bench.is_enrolled();
}

#[test]
fn a_full_key_and_a_full_quota_have_their_own_words_and_leave_nothing() {
    let mut bench = bench();
    let full: String = (0..32)
        .map(|number| {
            format!("{}\n", uri(&format!("other{number}"), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", false))
        })
        .collect();
    bench.home.token(&format!("serial 11111111\n{full}"));
    refused(&bench.enroll(&[]), 5, &["as many OATH accounts as it can"]);
    assert_eq!((bench.aws.devices_of("doug"), bench.aws.loose_devices()), (vec![], vec![]));
    assert!(bench.unfinished().is_empty());

    let eight = (1..=8).fold(User::doug().without_devices().policy(policy::everything()), |user, number| {
        user.device(Device::virtual_mfa(&format!("phone-{number}")))
    });
    let bench = bench_of(eight);
    refused(&bench.enroll(&[]), 8, &["has 8 MFA devices, and AWS allows no more", "mfa/phone-8"]);
    assert_eq!(bench.aws.count("CreateVirtualMFADevice"), 0);
}

#[test]
fn a_phone_stays_and_the_key_becomes_a_second_device() {
    let bench = bench_of(User::doug().policy(policy::everything()));
    let said = bench.enroll(&[]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(said.stderr.contains(&format!("The user keeps {ARN}")), "{}", said.stderr);
    assert_eq!(bench.aws.devices_of("doug"), [ARN.to_owned(), format!("{ARN}-2")]);
    assert!(bench.home.read(".aws/config").contains(&format!("mfa_serial = {ARN}-2\n")));
    assert!(bench.aws.loose_devices().is_empty() && bench.unfinished().is_empty());
}

#[test]
fn without_a_key_the_seed_goes_into_the_vault_and_nowhere_else() {
    let mut bench = bench();
    bench.home.unset("ONETAP_READER");
    bench.home.set("PCSCLITE_CSOCK_NAME", "/absent/pcscd.comm");
    refused(&bench.enroll(&["--no-key"]), 2, &["--software"]);
    let said = bench.enroll(&["--software", "--no-key"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(said.stderr.contains("whoever opens this vault has both"), "{}", said.stderr);
    bench.is_enrolled();
    assert!(!files(&bench.home).contains("secret="));
}

#[test]
fn two_keys_one_after_another_hold_the_same_account_and_a_qr_code_is_shown_on_the_terminal_alone() {
    let bench = bench();
    let other = bench.home.private("other", "serial 22222222\n");
    let mut terminal = bench.at_terminal(&["enroll", "doug", "--backup", "--software", "--show-qr"]);
    let question = "Plug in the next YubiKey alone and press Enter, or type done: ";
    terminal.wait_for(question, LIMIT).unwrap();
    // The same key again, then another one, then no more.
    terminal.send(ENTER).unwrap();
    terminal.wait_for("has it already.", LIMIT).unwrap();
    terminal.wait_for(question, LIMIT).unwrap();
    std::fs::rename(bench.home.path("token"), bench.home.path("first")).unwrap();
    std::fs::rename(other, bench.home.path("token")).unwrap();
    bench.home.wrote("first", b"serial 11111111\n");
    terminal.send(ENTER).unwrap();
    terminal.wait_for(question, LIMIT).unwrap();
    terminal.send(&format!("done{ENTER}")).unwrap();
    let finished = terminal.finish(LIMIT).unwrap();
    assert!(finished.status.success(), "{}", finished.terminal);
    assert!(finished.terminal.contains("its seed is on 2 YubiKeys and the vault"), "{}", finished.terminal);
    let (first, second) = (bench.home.read("first"), bench.home.read("token"));
    assert_eq!(seed(&first), seed(&second));
    assert!(finished.terminal.lines().filter(|line| line.contains("\u{2588}\u{2588}")).count() > 20);
    assert!(!finished.terminal.contains(&seed(&first)));
    for code in ["yubikey", "software"] {
        let served = bench.home.run(&["--renew", "--code", code, "exec", "doug", "--", "true"]);
        assert_eq!(served.status, 0, "{}", served.stderr);
    }
    // Without a terminal it is refused before anything is made.
    let said = bench.enroll(&["--show-qr", "--device", "third"]);
    refused(&said, 7, &["there is no terminal"]);
    assert_eq!(bench.aws.count("CreateVirtualMFADevice"), 1);
    // The new seed is looked for everywhere but on the keys: anywhere else it is found.
    std::fs::copy(bench.home.path("first"), bench.home.path("copy")).unwrap();
    let look = std::panic::AssertUnwindSafe(|| bench.home.holds_no_secret());
    assert!(std::panic::catch_unwind(look).is_err());
    std::fs::remove_file(bench.home.path("copy")).unwrap();
}

#[test]
fn with_the_boundary_already_on_the_old_device_lets_the_new_one_in_and_without_one_the_statement_is_told() {
    let mut bench = bench_of(User::doug().policy(policy::everything()));
    bench.aws.set_boundary("doug", Some(policy::everything_only_with_mfa()));
    let old = bench.doug.devices[0].seed_base32.clone();
    bench.home.token(&format!("serial 11111111\n{}\n", uri(ARN, &old, true)));
    let said = bench.enroll(&["--device", "spare", "--account", "spare"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(
        said.stderr.contains("to the access key alone; asking for a session with MFA"),
        "{}",
        said.stderr
    );
    assert_eq!(bench.aws.devices_of("doug"), [ARN.to_owned(), ARN.replace("doug", "spare")]);
    assert!(bench.home.read(".aws/config").contains("onetap_account = spare\n"));

    let bench = self::bench();
    bench.aws.set_boundary("doug", Some(policy::everything_only_with_mfa()));
    let said = bench.enroll(&[]);
    refused(&said, 8, &["AWS refused iam:CreateVirtualMFADevice", "permissions boundary: {\"Effect\""]);
    bench.has_nothing();
}

/// Kills an enrolment once the server has done `action`, and before the answer came.
fn kill_at(bench: &Bench, action: &str) {
    bench.aws.fail_next(action, Fault::Slow(Duration::from_secs(20)));
    let before = bench.aws.count(action);
    let mut child = std::process::Command::new(BINARY)
        .args(["enroll", "doug"])
        .env_clear()
        .envs(bench.home.env())
        .current_dir(bench.home.path(""))
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + LIMIT;
    while bench.aws.count(action) == before {
        assert!(Instant::now() < deadline, "{action} never came");
        assert!(child.try_wait().unwrap().is_none(), "it ended before {action}");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn killed_at_any_call_to_aws_the_next_run_completes_or_begins_anew() {
    let actions = [
        "GetCallerIdentity",
        "ListMFADevices",
        "CreateVirtualMFADevice",
        "EnableMFADevice",
        "GetSessionToken",
    ];
    // Each waits for time steps; all wait at once.
    std::thread::scope(|scope| {
        actions.map(|action| scope.spawn(move || killed_at(action))).map(|story| story.join().unwrap())
    });
}

fn killed_at(action: &str) {
    let bench = bench();
    kill_at(&bench, action);
    let (enabled, loose) = (bench.aws.devices_of("doug"), bench.aws.loose_devices());
    let arn = vec![ARN.to_owned()];
    let expected = match action {
        "CreateVirtualMFADevice" => (vec![], arn),
        "EnableMFADevice" | "GetSessionToken" => (arn, vec![]),
        _ => (vec![], vec![]),
    };
    assert_eq!((enabled, loose), expected, "killed at {action}");
    let said = bench.enroll(&[]);
    assert_eq!(said.status, 0, "after a kill at {action}: {}", said.stderr);
    bench.is_enrolled();
    assert_eq!(bench.home.read("token").matches("otpauth").count(), 1, "killed at {action}");
}

#[test]
fn the_devices_are_listed_beside_the_keys_that_hold_them_brought_into_step_and_taken_away() {
    let doug = User::doug().policy(policy::everything()).device(Device::virtual_mfa("phone"));
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    let listed = home.run(&["mfa", "list", "doug", "--json"]);
    assert_eq!(listed.status, 0, "{}", listed.stderr);
    let lines: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(
        (&lines[0]["serial"], &lines[0]["kind"], &lines[0]["profile"]),
        (&ARN.into(), &"virtual".into(), &true.into())
    );
    assert_eq!(lines[0]["keys"].as_array().unwrap().len(), 1, "{lines}");
    assert_eq!((&lines[1]["keys"], &lines[1]["profile"]), (&serde_json::json!([]), &false.into()));
    let table = home.run(&["mfa", "list", "doug"]).stdout;
    assert!(table.starts_with("DEVICE ") && table.contains(&ARN.replace("doug", "phone")), "{table}");

    let said = home.run(&["resync", "doug"]);
    assert_eq!(
        (said.status, said.stdout.as_str()),
        (0, &*format!("{ARN} is in step again.\n")),
        "{}",
        said.stderr
    );
    let served = home.run(&["exec", "doug", "--", "true"]);
    assert_eq!((served.status, aws.count("GetSessionToken")), (0, 1), "{}", served.stderr);

    refused(&home.run(&["unenroll", "doug"]), 7, &["nobody to confirm", "--yes"]);
    assert_eq!(aws.devices_of("doug").len(), 2);
    // The answer gets lost between the two steps; the next run passes over the first.
    aws.fail_next("DeleteVirtualMFADevice", Fault::Refuse);
    aws.fail_next("DeleteVirtualMFADevice", Fault::Refuse);
    refused(&home.run(&["unenroll", "doug", "--yes"]), 8, &["AWS refused iam:DeleteVirtualMFADevice"]);
    let said = home.run(&["unenroll", "doug", "--yes"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(
        said.stdout.starts_with(&format!("{ARN} is gone from IAM, and {ARN} from the virtual token")),
        "{}",
        said.stdout
    );
    assert_eq!((aws.devices_of("doug"), aws.loose_devices()), (vec![ARN.replace("doug", "phone")], vec![]));
    assert!(!home.read("token").contains("otpauth") && !home.read(".aws/config").contains("mfa_serial"));
}

#[test]
fn an_auto_device_is_found_out_once_with_and_without_iam_s_leave() {
    for boundary in [false, true] {
        let doug = User::doug().policy(policy::everything());
        let aws = Aws::start(World::of(doug.clone()));
        if boundary {
            aws.set_boundary("doug", Some(policy::everything_only_with_mfa()));
        }
        let home = Home::of_doug(BINARY, &aws, &doug, "");
        home.private(".aws/config", "[profile doug]\nmfa_serial = auto\nregion = eu-west-1\n");
        let told = format!("onetap: mfa_serial = auto in [doug] stands for {ARN}.\n");
        let served = home.run(&["exec", "doug", "--", "true"]);
        assert_eq!(served.status, 0, "{}", served.stderr);
        assert!(served.stderr.contains(&told), "{}", served.stderr);
        assert_eq!((aws.count("GetSessionToken"), home.touches()), (1, 1), "one code at most");
        let again = home.run(&["exec", "doug", "--", "true"]);
        assert_eq!((again.status, again.stderr.as_str()), (0, ""));
        assert_eq!(aws.count("ListMFADevices"), 1);
    }
}
