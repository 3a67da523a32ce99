//! `onetap token`: accounts and passwords on a key, at the virtual token and behind a real `pcscd` beside Yubico's client.
//!
//! The last stories need the Debian packages `pcscd`, `vsmartcard-vpcd` and `oathtool`, and `ykman` in
//! `$ONETAP_TEST_VENV/bin`.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use onetap_support::home::{Home, Said, python_tool, said, uri};
use onetap_support::pcscd::Pcscd;
use onetap_support::pty::{ENTER, Start};
use onetap_support::vpcd::InsertedToken;

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const READER: &str = "Yubico YubiKey OTP+FIDO+CCID";
const ARN: &str = "arn:aws:iam::123456789012:mfa/doug";
const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const SOON: Duration = Duration::from_secs(20);

fn home(token: &str) -> Home {
    let mut home = Home::new(BINARY);
    home.token(token);
    home
}

/// Runs a verb with this text on its standard input.
fn fed(home: &Home, arguments: &[&str], text: &str) -> Said {
    let mut command = home.onetap(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A verb that refuses before it reads has closed the pipe already.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    child.wait_with_output().unwrap().into()
}

fn good(said: &Said, words: &[&str]) {
    assert_eq!(said.status, 0, "{said:?}");
    for word in words {
        assert!(said.stdout.contains(word), "{word:?} lacks in {said:?}");
    }
}

/// Refused with this exit code, nothing on stdout, these words in the last line, and no secret anywhere.
fn refused(said: &Said, status: i32, words: &[&str]) {
    assert_eq!((said.status, said.stdout.as_str()), (status, ""), "{said:?}");
    let last = said.stderr.lines().last().unwrap_or_default();
    for word in words {
        assert!(last.contains(word), "{word:?} lacks in {last:?}");
    }
    assert!(!said.stderr.contains(SEED) && !said.stderr.contains("hunter"), "{said:?}");
}

#[test]
fn an_account_is_added_with_touch_listed_renamed_and_deleted() {
    let home = home("serial 11111111\n");
    let added = fed(&home, &["token", "add", "--stdin", "--account", ARN], &format!("{SEED}\n"));
    good(&added, &[&format!("Added {ARN} on the virtual token"), "each code takes a touch"]);
    assert!(home.read("token").contains("&touch=true"));
    let accounts = home.run(&["token", "accounts", "--json"]);
    assert_eq!(
        accounts.stdout,
        format!(
            "[{{\"name\":\"{ARN}\",\"kind\":\"totp\",\"algorithm\":\"sha1\",\"digits\":6,\"touch\":true}}]\n"
        )
    );
    good(&home.run(&["token", "accounts"]), &["NAME", ARN, "required"]);
    let list = home.run(&["token", "list"]);
    assert!(list.stdout.ends_with(&format!("\n  {ARN}\n")) && list.stdout.lines().count() == 3, "{list:?}");
    let list = home.run(&["token", "list", "--json"]).stdout;
    assert!(list.contains(&format!("\"accounts\":1,\"names\":[\"{ARN}\"],\"locked\":false")), "{list}");
    good(&home.run(&["token", "rename", ARN, "AWS:doug"]), &["is now AWS:doug on"]);
    refused(&home.run(&["token", "rename", ARN, "x"]), 5, &["no OATH account", "did you mean \"AWS:doug\"?"]);
    let before = home.read("token");
    refused(&home.run(&["token", "delete", "AWS:doug"]), 7, &["removed from", "add --yes"]);
    refused(&home.run(&["token", "delete", "AWS", "--yes"]), 5, &["no OATH account \"AWS\""]);
    assert_eq!(home.read("token"), before, "a part of a name is no name");
    good(&home.run(&["token", "delete", "AWS:doug", "--yes"]), &["Removed AWS:doug"]);
    good(&home.run(&["token", "accounts"]), &["holds no OATH account"]);
    assert_eq!(home.touches(), 0, "no verb computes a code that wants a touch");
}

#[test]
fn an_account_of_the_same_name_is_replaced_only_if_that_was_said() {
    let home = home(&format!("{}\n{}\n", uri(ARN, SEED, false), uri("b", SEED, false)));
    let before = home.read("token");
    let other = "otpauth://totp/b?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
    refused(&fed(&home, &["token", "add", "--stdin"], other), 7, &["already holds b", "add --yes"]);
    refused(&home.run(&["token", "rename", "b", ARN]), 2, &["already holds an account"]);
    assert_eq!(home.read("token"), before);
    good(
        &fed(&home, &["token", "add", "--stdin", "--yes", "--no-touch"], other),
        &["Replaced b", "without a touch"],
    );
    assert!(home.read("token").contains("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"));
    assert!(!home.read("token").contains("touch"));
}

#[test]
fn what_cannot_be_added_is_refused_before_the_key_is_written() {
    let home = home("firmware 4.2.0\n");
    let add = |more: &[&str], text: &str| fed(&home, &[&["token", "add", "--stdin"], more].concat(), text);
    refused(&add(&[], SEED), 2, &["base32 tells no name", "--account NAME"]);
    refused(&add(&["--account", "a"], "not base32 1!"), 2, &["the seed cannot be used", "base32"]);
    refused(&add(&[], "otpauth://totp/x"), 2, &["there is no secret"]);
    refused(&add(&[], "otpauth-migration://offline?data=x"), 2, &["Google Authenticator"]);
    refused(&add(&["--account", &"x".repeat(65)], SEED), 2, &["has 65 bytes", "--account"]);
    refused(&add(&["--account", "a"], SEED), 5, &["firmware 4.2.0 cannot do this: touch", "--no-touch"]);
    refused(&home.run(&["token", "rename", "a", "b"]), 5, &["no OATH account"]);
    refused(&home.run(&["token", "add"]), 7, &["there is no terminal"]);
    assert_eq!(home.read("token"), "firmware 4.2.0\n");
    let full: String = (0..32).map(|n| format!("{}\n", uri(&format!("a{n}"), SEED, false))).collect();
    home.private("token", &full);
    refused(&add(&["--account", "b"], SEED), 5, &["as many OATH accounts as it can", "token delete"]);
    assert_eq!(home.read("token"), full);
}

#[test]
fn a_remembered_password_is_used_without_a_question_until_it_is_forgotten() {
    let home = home(&format!("serial 7\n{}\n", uri(ARN, SEED, false)));
    good(&home.run(&["token", "password", "clear"]), &["has no password"]);
    refused(&fed(&home, &["token", "password", "remember", "--stdin"], "x"), 2, &["has no password", "set"]);
    refused(&fed(&home, &["token", "password", "set", "--stdin"], "\n"), 2, &["at least one character"]);
    good(&fed(&home, &["token", "password", "set", "--stdin"], "hunter2\n"), &["new password", "remember"]);
    let list = home.run(&["token", "list"]);
    good(&list, &["SERIAL", "7 ", "5.4.3", "locked", "asked for"]);
    refused(&home.run(&["token", "accounts"]), 7, &["there is nobody to ask"]);
    refused(&fed(&home, &["token", "password", "remember", "--stdin"], "hunter3"), 5, &["does not open"]);
    assert!(home.run(&["token", "list", "--json"]).stdout.contains("\"password_remembered\":false"));
    good(&fed(&home, &["token", "password", "remember", "--stdin"], "hunter2\n"), &["kept nowhere"]);
    assert!(
        home.run(&["token", "list", "--json"])
            .stdout
            .contains("\"locked\":true,\"password_remembered\":true")
    );
    good(&home.run(&["token", "accounts"]), &[ARN]);
    good(&fed(&home, &["token", "password", "set", "--stdin"], "hunter4\n"), &["the new one"]);
    good(&home.run(&["token", "rename", ARN, "b"]), &["is now b"]);
    good(&home.run(&["token", "password", "forget"]), &["Forgot"]);
    good(&home.run(&["token", "password", "forget"]), &["No password"]);
    refused(&home.run(&["token", "delete", "b", "--yes"]), 7, &["there is nobody to ask"]);
    good(&fed(&home, &["token", "password", "remember", "--stdin"], "hunter4\n"), &["Remembered"]);
    good(&home.run(&["token", "password", "clear"]), &["open without a password"]);
    good(&home.run(&["token", "list"]), &["none"]);
    assert!(!home.read("token").contains("password"));
}

#[test]
fn a_password_that_was_changed_elsewhere_is_forgotten_with_a_word() {
    let home = home(&format!("salt 0102030405060708\npassword hunter2\n{}\n", uri(ARN, SEED, false)));
    good(&fed(&home, &["token", "password", "remember", "--stdin"], "hunter2"), &["Remembered"]);
    let changed = home.read("token").replace("hunter2", "hunter3");
    home.private("token", &changed);
    let stale = home.run(&["token", "accounts"]);
    assert_eq!(stale.status, 7, "{stale:?}");
    assert!(stale.stderr.contains("opens the YubiKey no more, and is forgotten"), "{stale:?}");
    assert!(home.run(&["token", "list", "--json"]).stdout.contains("\"password_remembered\":false"));
}

#[test]
fn a_reset_takes_the_word_and_leaves_nothing() {
    let home = home(&format!("password hunter2\n{}\n", uri(ARN, SEED, false)));
    let before = home.read("token");
    refused(&home.run(&["token", "reset"]), 7, &["all OATH accounts and the password", "add --yes"]);
    let mut terminal = terminal(&home, &["token", "reset"]);
    terminal.wait_for("Type reset to go on: ", SOON).unwrap();
    terminal.send(&format!("yes{ENTER}")).unwrap();
    let declined = terminal.finish(SOON).unwrap();
    assert_eq!(declined.status.code(), Some(6), "{}", declined.terminal);
    assert!(declined.terminal.contains("nothing was changed"), "{}", declined.terminal);
    assert_eq!(home.read("token"), before);
    let mut terminal = self::terminal(&home, &["token", "reset"]);
    terminal.wait_for("Type reset to go on: ", SOON).unwrap();
    terminal.send(&format!("reset{ENTER}")).unwrap();
    assert_eq!(terminal.finish(SOON).unwrap().status.code(), Some(0));
    assert!(!home.read("token").contains("otpauth") && !home.read("token").contains("password"));
    good(&home.run(&["token", "reset", "--yes"]), &["is empty"]);
}

fn terminal(home: &Home, arguments: &[&str]) -> onetap_support::pty::Terminal {
    Start::new(home.binary()).args(arguments).env_clear().envs(home.env()).spawn().unwrap()
}

#[test]
fn a_person_types_seed_name_and_passwords_and_sees_no_secret() {
    let home = home("");
    let mut terminal = terminal(&home, &["token", "add"]);
    terminal.wait_for("Seed (base32 or otpauth:// URI): ", SOON).unwrap();
    terminal.send(&format!("{SEED}{ENTER}")).unwrap();
    terminal.wait_for("Name of the account: ", SOON).unwrap();
    terminal.send(&format!("AWS:doug{ENTER}")).unwrap();
    let added = terminal.finish(SOON).unwrap();
    assert!(added.terminal.contains("Added AWS:doug"), "{}", added.terminal);
    assert!(!added.terminal.contains(SEED));
    let mut terminal = self::terminal(&home, &["token", "password", "set"]);
    terminal.wait_for("New password of the YubiKey's OATH accounts: ", SOON).unwrap();
    terminal.send(&format!("hunter2{ENTER}")).unwrap();
    terminal.wait_for("The same again: ", SOON).unwrap();
    terminal.send(&format!("hunter3{ENTER}")).unwrap();
    let differ = terminal.finish(SOON).unwrap();
    assert_eq!(differ.status.code(), Some(2), "{}", differ.terminal);
    assert!(!home.read("token").contains("password") && !differ.terminal.contains("hunter"));
    home.private("token", &format!("{}password hunter2\n", home.read("token")));
    let mut terminal = self::terminal(&home, &["token", "delete", "AWS:doug"]);
    terminal.wait_for("Password of the YubiKey's OATH accounts: ", SOON).unwrap();
    terminal.send(&format!("hunter2{ENTER}")).unwrap();
    terminal.wait_for("Type yes to go on: ", SOON).unwrap();
    terminal.send(&format!("yes{ENTER}")).unwrap();
    let deleted = terminal.finish(SOON).unwrap();
    assert!(deleted.terminal.contains("Removed AWS:doug"), "{}", deleted.terminal);
}

/// A PNG of these codes side by side, four pixels a module.
fn screenshot(texts: &[&str]) -> Vec<u8> {
    let codes: Vec<_> = texts
        .iter()
        .map(|text| qrcodegen::QrCode::encode_text(text, qrcodegen::QrCodeEcc::Medium).unwrap())
        .collect();
    let side = codes.iter().map(|code| code.size()).max().unwrap_or(20) + 8;
    let (width, height) = (side * 4 * codes.len().max(1) as i32, side * 4);
    let mut pixels = Vec::new();
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let code = codes.get((x / (side * 4)) as usize);
        let dark = code.is_some_and(|code| code.get_module(x % (side * 4) / 4 - 4, y / 4 - 4));
        pixels.push(if dark { 0 } else { 255 });
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    bytes
}

#[test]
fn the_qr_code_in_a_screenshot_becomes_an_account() {
    let home = home("");
    let aws = format!(
        "otpauth://totp/Amazon%20Web%20Services:doug@123456789012?secret={SEED}&issuer=Amazon%20Web%20Services"
    );
    let other = format!("otpauth://totp/other?secret={SEED}");
    let shot = home.path("shot.png");
    let add = |more: &[&str]| home.run(&[&["token", "add", "--qr", shot.to_str().unwrap()], more].concat());
    for (picture, says) in [
        (screenshot(&[]), "no QR code can be read"),
        (screenshot(&["https://example.com"]), "no otpauth:// URI"),
        (screenshot(&[&aws, &other]), "several accounts"),
        (b"GIF89a".to_vec(), "neither a PNG nor a JPEG"),
        (screenshot(&[&aws])[..60].to_vec(), "damaged"),
    ] {
        fs::write(&shot, picture).unwrap();
        refused(&add(&[]), 2, &["shot.png", says]);
    }
    fs::remove_file(&shot).unwrap();
    refused(&add(&[]), 2, &["shot.png", "No such file"]);
    assert_eq!(home.read("token"), "");
    fs::write(&shot, screenshot(&["https://example.com", &aws])).unwrap();
    good(&add(&[]), &["Added Amazon Web Services:doug@123456789012"]);
    good(&add(&["--account", ARN, "--no-touch"]), &[&format!("Added {ARN}")]);
    let photo = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/qr/other.jpg");
    good(&home.run(&["token", "add", "--qr", photo]), &["Added photo:doug"]);
    let both = screenshot(&[&aws]);
    assert!(both.len() < 64 * 1024, "a screenshot stays small");
}

/// A home whose reader is a real `pcscd` of its own.
struct Rig {
    home: Home,
    pcscd: Pcscd,
    _inserted: Vec<InsertedToken>,
}

impl Rig {
    fn new(readers: &[&str]) -> Self {
        let pcscd = Pcscd::start(readers).unwrap();
        let mut home = Home::new(BINARY);
        home.set("PCSCLITE_CSOCK_NAME", pcscd.socket());
        let insert = |(place, _): (usize, _)| {
            let token = home.private(&format!("token{place}"), &format!("serial 1111111{place}\n"));
            InsertedToken::insert(&token, pcscd.port(place)).unwrap()
        };
        let inserted: Vec<_> = readers.iter().enumerate().map(insert).collect();
        pcscd.wait_for_cards(readers.len()).unwrap();
        Self { home, pcscd, _inserted: inserted }
    }

    fn ykman(&self, arguments: &[&str]) -> String {
        let mut command = self.home.program(python_tool("ykman"));
        let output = said(command.args(arguments));
        assert_eq!(output.status, 0, "ykman {arguments:?}: {output:?}\n{}", self.pcscd.log());
        output.stdout
    }
}

fn oathtool(arguments: &[&str]) -> String {
    let output = Command::new("oathtool").args(arguments).output().expect("oathtool (package oathtool)");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Two answers of one time step are equal.
fn same_step(theirs: impl Fn() -> String, expected: impl Fn() -> String) {
    let step = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 30;
    for _ in 0..3 {
        let began = step();
        let (theirs, expected) = (theirs(), expected());
        if step() == began {
            assert_eq!(theirs.trim(), expected);
            return;
        }
    }
    panic!("three time steps passed");
}

#[test]
fn accounts_of_ours_give_oathtools_codes_under_yubicos_client_and_its_accounts_are_ours() {
    let rig = Rig::new(&[READER]);
    let home = &rig.home;
    for (uri, name, oathtool_args) in [
        (format!("otpauth://totp/A:six?secret={SEED}"), "A:six", vec!["--totp"]),
        (
            format!("otpauth://totp/eight?secret={SEED}&digits=8&algorithm=SHA512"),
            "eight",
            vec!["--totp=SHA512", "--digits", "8"],
        ),
        (
            format!("otpauth://totp/slow?secret={SEED}&period=60"),
            "slow",
            vec!["--totp", "--time-step-size", "60s"],
        ),
    ] {
        let added = fed(home, &["token", "add", "--stdin", "--no-touch"], &uri);
        good(&added, &["Added", "on the YubiKey 11111110"]);
        let oathtool_args = [oathtool_args, vec!["--base32", SEED]].concat();
        same_step(|| rig.ykman(&["oath", "accounts", "code", "-s", name]), || oathtool(&oathtool_args));
    }
    let counted = format!("otpauth://hotp/counted?secret={SEED}&counter=3");
    good(&fed(home, &["token", "add", "--stdin", "--no-touch"], &counted), &["Added counted"]);
    let third = oathtool(&["--hotp", "--base32", "--counter", "3", SEED]);
    assert_eq!(rig.ykman(&["oath", "accounts", "code", "-s", "counted"]).trim(), third);
    rig.ykman(&["oath", "accounts", "add", "-f", "-t", "-a", "SHA256", "-d", "7", "theirs:touchy", SEED]);
    let accounts = home.run(&["token", "accounts", "--json"]).stdout;
    for line in [
        "{\"name\":\"60/slow\",\"kind\":\"totp\",\"algorithm\":\"sha1\",\"digits\":6,\"touch\":false}",
        "{\"name\":\"counted\",\"kind\":\"hotp\",\"algorithm\":\"sha1\",\"digits\":6,\"touch\":null}",
        "{\"name\":\"theirs:touchy\",\"kind\":\"totp\",\"algorithm\":\"sha256\",\"digits\":7,\"touch\":true}",
    ] {
        assert!(accounts.contains(line), "{line} lacks in {accounts}");
    }
    good(&home.run(&["token", "rename", "60/slow", "still slow"]), &["is now 60/still slow"]);
    good(&home.run(&["token", "delete", "theirs:touchy", "--yes"]), &["Removed"]);
    let mut names: Vec<_> = rig.ykman(&["oath", "accounts", "list"]).lines().map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, ["60/still slow", "A:six", "counted", "eight"]);
}

#[test]
fn passwords_of_ours_open_the_key_to_yubicos_client_and_the_reverse() {
    let rig = Rig::new(&[READER]);
    let home = &rig.home;
    rig.ykman(&["oath", "accounts", "add", "-f", ARN, SEED]);
    good(&fed(home, &["token", "password", "set", "--stdin"], "hunter2"), &["the YubiKey 11111110"]);
    assert_eq!(rig.ykman(&["oath", "accounts", "list", "-p", "hunter2"]), format!("{ARN}\n"));
    rig.ykman(&["oath", "access", "change", "-p", "hunter2", "-n", "hunter5"]);
    refused(&fed(home, &["token", "password", "remember", "--stdin"], "hunter2"), 5, &["does not open"]);
    good(&fed(home, &["token", "password", "remember", "--stdin"], "hunter5"), &["Remembered"]);
    good(&home.run(&["token", "accounts"]), &[ARN]);
    good(&home.run(&["token", "password", "clear"]), &["without a password"]);
    assert_eq!(rig.ykman(&["oath", "accounts", "list"]), format!("{ARN}\n"));
    good(&home.run(&["token", "reset", "--yes"]), &["is empty"]);
    assert_eq!(rig.ykman(&["oath", "accounts", "list"]), "");
}

#[test]
fn with_two_keys_both_are_listed_and_none_is_changed_unnamed() {
    let rig = Rig::new(&[READER, "Yubico YubiKey CCID"]);
    let home = &rig.home;
    let list = home.run(&["token", "list", "--json"]);
    assert_eq!(list.status, 0, "{list:?}");
    let keys: serde_json::Value = serde_json::from_str(&list.stdout).unwrap();
    let serials: Vec<_> =
        keys.as_array().unwrap().iter().map(|key| key["serial"].as_u64().unwrap()).collect();
    assert_eq!(serials, [11_111_110, 11_111_111]);
    assert!(keys[0]["reader"].as_str().unwrap().starts_with(READER));
    assert_eq!((&keys[0]["firmware"], &keys[0]["accounts"]), (&"5.4.3".into(), &0.into()));
    let add =
        |more: &[&str]| fed(home, &[&["token", "add", "--stdin", "--account", "x"], more].concat(), SEED);
    refused(&add(&[]), 2, &["several YubiKeys", "11111110, 11111111", "--reader pcsc:11111110"]);
    good(&add(&["--reader", "pcsc:11111111"]), &["Added x on the YubiKey 11111111"]);
    assert!(!home.read("token0").contains("otpauth") && home.read("token1").contains("otpauth"));
    refused(&home.run(&["token", "list", "--reader", "pcsc:5"]), 5, &["5 is not plugged in; found 11111110"]);
    drop(rig.pcscd);
    refused(&rig.home.run(&["token", "list"]), 5, &["pcscd"]);
}

#[test]
fn a_verb_waits_while_a_code_of_the_same_key_is_touched_for() {
    let rig = Rig::new(&[READER]);
    let doug = onetap_support::aws::User::doug();
    let added = rig.home.add(&doug, &["--mfa-serial", ARN, "--region", "eu-west-1", "--offline"]);
    assert_eq!(added.status, 0, "{added:?}");
    for (name, touch) in [(ARN, None), ("other", Some("--no-touch"))] {
        let mut arguments = vec!["token", "add", "--stdin", "--account", name];
        arguments.extend(touch);
        good(&fed(&rig.home, &arguments, SEED), &["Added"]);
    }
    let logged = || rig.home.read("token0.log").lines().count();
    let before = logged();
    let mut code = rig.home.onetap(&["code", "doug", "--code", "yubikey"]);
    let code = code.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = std::time::Instant::now() + SOON;
    while !rig.home.read("token0.log").lines().skip(before).any(|line| line.ends_with(" CALCULATE")) {
        assert!(std::time::Instant::now() < deadline, "no code is asked for");
        std::thread::sleep(Duration::from_millis(5));
    }
    let asked = logged();
    let renamed = rig.home.run(&["token", "rename", "other", "mine"]);
    good(&renamed, &["other is now mine"]);
    assert!(renamed.stderr.contains("another onetap that uses this YubiKey"), "{renamed:?}");
    let code = Said::from(code.wait_with_output().unwrap());
    assert!(code.status == 0 && code.stdout.len() == 7, "{code:?}");
    assert_eq!(code.stderr.matches("ouch").count(), 1, "one notice: {}", code.stderr);
    assert_eq!(asked - before, 2, "SELECT and CALCULATE, and nothing of the verb's in between");
    assert_eq!(rig.home.read("token0").matches("touch=true").count(), 1);
}
