//! Keys that tell their serial number in another way than most, or not at all, and one without OATH.
//!
//! Behind a real `pcscd`, since the crate `yubikey` asks PC/SC itself and not our `Card`.

use onetap_support::aws::{Aws, User, World};
use onetap_support::home::{Home, Said, uri};
use onetap_support::pcscd::Pcscd;
use onetap_support::vpcd::InsertedToken;

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const ARN: &str = "arn:aws:iam::123456789012:mfa/doug";

struct Bench {
    aws: Aws,
    home: Home,
    _key: InsertedToken,
    _pcscd: Pcscd,
}

/// Doug's key with the serial number 7 and these lines.
fn bench(lines: &str) -> Bench {
    let pcscd = Pcscd::start(&["Yubico YubiKey OTP+FIDO+CCID"]).unwrap();
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::of_doug(BINARY, &aws, &doug, "");
    home.set("ONETAP_READER", "pcsc");
    home.set("PCSCLITE_CSOCK_NAME", pcscd.socket());
    let account = uri(ARN, &doug.devices[0].seed_base32, false);
    let key =
        InsertedToken::insert(&home.private("key", &format!("serial 7\n{lines}{account}\n")), pcscd.port(0));
    pcscd.wait_for_cards(1).unwrap();
    Bench { aws, home, _key: key.unwrap(), _pcscd: pcscd }
}

impl Bench {
    fn code(&self, more: &[&str]) -> Said {
        self.home.run(&[&["code", "doug", "--code", "yubikey"], more].concat())
    }

    fn listed(&self) -> serde_json::Value {
        let said = self.home.run(&["token", "list", "--json"]);
        assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{said:?}");
        serde_json::from_str::<serde_json::Value>(&said.stdout).unwrap()[0]["serial"].clone()
    }

    fn commands(&self) -> usize {
        self.home.read("key.log").lines().count()
    }
}

#[test]
fn where_the_management_applet_is_silent_the_serial_comes_through_piv() {
    for lines in ["fault without management\n", "firmware 4.0.2\n"] {
        let bench = bench(lines);
        assert_eq!(bench.listed(), 7, "{lines}");
        let code = bench.code(&["--token", "7"]);
        assert!(code.status == 0 && code.stdout.len() == 7, "{lines}: {code:?}");
    }
}

#[test]
fn a_key_without_piv_is_known_by_its_management_applet_in_two_commands() {
    let bench = bench("fault without piv\n");
    assert_eq!(bench.listed(), 7);
    let before = bench.commands();
    let code = bench.code(&["--token", "7"]);
    assert!(code.status == 0 && code.stdout.len() == 7, "{code:?}");
    assert_eq!(bench.commands() - before, 4);
}

#[test]
fn a_key_that_tells_no_serial_works_unless_one_is_named() {
    let bench = bench("fault without management\nfault without piv\n");
    assert!(bench.listed().is_null());
    let before = bench.aws.requests().len();
    let pinned = bench.home.run(&["--token", "7", "--code", "yubikey", "credential-process", "doug"]);
    assert_eq!((pinned.status, pinned.stdout.as_str()), (5, ""));
    assert_eq!(
        pinned.stderr,
        "onetap: the YubiKey 7 is not plugged in; plug it in and run the command again\n"
    );
    let code = bench.code(&[]);
    assert!(code.status == 0 && code.stdout.len() == 7, "{code:?}");
    assert_eq!(bench.aws.requests().len(), before);
}

#[test]
fn a_key_without_oath_is_told_with_the_command_that_enables_it() {
    let bench = bench("fault without oath\n");
    let before = bench.aws.requests().len();
    let said = bench.home.run(&["--code", "yubikey", "credential-process", "doug"]);
    let line = "the OATH application is not there, or not enabled over USB; enable it: `ykman config usb --enable OATH`";
    assert_eq!((said.status, said.stdout.as_str(), said.stderr), (5, "", format!("onetap: {line}\n")));
    assert_eq!(bench.aws.requests().len(), before);
    let doctor = bench.home.run(&["doctor"]);
    let wrong: Vec<_> = doctor.stdout.lines().filter(|line| line.starts_with("wrong")).collect();
    assert!(doctor.status == 5 && wrong.len() == 1 && wrong[0].contains("  applet "), "{}", doctor.stdout);
    assert!(wrong[0].ends_with(line), "{wrong:?}");
}
