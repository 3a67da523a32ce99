//! Which account, which key, and what a person sees of it.

use onetap_support::aws::{Aws, User, World};
use onetap_support::home::{Home, uri};
use onetap_support::notifications::Notifications;
use onetap_support::pty::{CTRL_C, Start};

use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");

/// The account that AWS's QR code makes for doug.
const QR: &str = "Amazon Web Services:doug@123456789012";

#[test]
fn an_account_from_awss_qr_code_serves_and_its_name_is_remembered() {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::of_doug(BINARY, &aws, &doug, "");
    home.token(&format!("{}\n", uri(QR, &doug.devices[0].seed_base32, false)));
    let said = home.run(&["exec", "doug", "--", "true"]);
    assert_eq!((said.status, aws.count("GetSessionToken")), (0, 1), "{}", said.stderr);
    assert_eq!(home.apdus(), ["00a40400", "00a20001", "00a10000", "00a20001"]);
    let learned = home.read(".local/state/onetap/keys.json");
    assert!(learned.contains(QR) && !learned.contains(&doug.devices[0].seed_base32), "{learned}");
}

#[test]
fn where_no_name_fits_or_several_do_the_line_for_the_profile_is_told_and_aws_is_not_asked() {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::of_doug(BINARY, &aws, &doug, "");
    let before = aws.requests().len();
    let seed = &doug.devices[0].seed_base32;
    let ask = |home: &mut Home, names: &[&str]| {
        let lines: Vec<_> = names.iter().map(|name| uri(name, seed, false)).collect();
        home.token(&lines.join("\n"));
        home.run(&["code", "doug", "--code", "yubikey"])
    };
    let none = ask(&mut home, &["GitHub:octo", "Amazon Web Services:doug@acme"]);
    assert_eq!((none.status, none.stdout.as_str()), (5, ""));
    assert!(none.stderr.contains("it holds: Amazon Web Services:doug@acme, GitHub:octo"), "{}", none.stderr);
    assert!(
        none.stderr.contains("put `onetap_account = Amazon Web Services:doug@acme` into the profile"),
        "{}",
        none.stderr
    );
    let several = ask(&mut home, &[QR, "aws/iam/123456789012:doug"]);
    assert_eq!((several.status, several.stdout.as_str()), (5, ""));
    for told in [QR, "aws/iam/123456789012:doug", "`onetap_account = "] {
        assert!(several.stderr.contains(told), "{told} lacks: {}", several.stderr);
    }
    assert_eq!(aws.requests().len(), before);
}

/// Doug with a touch to give, in a desktop session.
fn at_a_desktop(touch: &str) -> (Aws, Home, Notifications) {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::of_doug(BINARY, &aws, &doug, touch);
    let desktop = Notifications::start().unwrap();
    for (name, value) in desktop.env() {
        home.set(name, value);
    }
    (aws, home, desktop)
}

#[test]
fn a_touch_is_shown_on_the_desktop_until_it_came() {
    let (_aws, home, desktop) = at_a_desktop("fault touch-after 1500");
    let said = home.run(&["exec", "doug", "--", "true"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    let calls = desktop.wait_for(2).unwrap();
    assert_eq!(calls.len(), 2, "{calls:?}");
    for word in ["\"onetap\"", "\"Touch your YubiKey\"", "Profile doug: arn:aws:iam::123456789012:mfa/doug"] {
        assert!(calls[0].starts_with("Notify ") && calls[0].contains(word), "{word} lacks: {}", calls[0]);
    }
    assert_eq!(calls[1], "CloseNotification 1");
    // Kept: nobody is asked, and nothing is shown.
    assert_eq!(home.run(&["exec", "doug", "--", "true"]).status, 0);
    assert_eq!(desktop.calls().len(), 2);
}

#[test]
fn ctrl_c_takes_the_desktops_notice_away_and_the_terminal_counts_meanwhile() {
    let (_aws, home, desktop) = at_a_desktop("fault touch never");
    let start = Start::new(BINARY).args(["exec", "doug", "--", "true"]).env_clear().envs(home.env());
    let mut terminal = start.folder(home.path("")).spawn().unwrap();
    let limit = Duration::from_secs(30);
    terminal.wait_for(" s left ...", limit).unwrap();
    desktop.wait_for(1).unwrap();
    terminal.send(CTRL_C).unwrap();
    let interrupted = terminal.finish(limit).unwrap();
    assert_eq!(interrupted.status.code(), Some(125));
    assert!(interrupted.terminal.ends_with("onetap: interrupted\n"), "{}", interrupted.terminal);
    let cleared = String::from_utf8_lossy(&interrupted.raw).into_owned();
    assert!(cleared.contains("\r\u{1b}[Konetap: interrupted"), "{cleared:?}");
    assert_eq!(desktop.wait_for(2).unwrap()[1], "CloseNotification 1");
}

#[test]
fn a_desktop_that_is_off_absent_or_frozen_keeps_nobody_from_the_touch() {
    let (_aws, mut home, desktop) = at_a_desktop("fault touch-after 600");
    let config = home.read(".aws/config");
    home.private(".aws/config", &config.replace("mfa_serial", "onetap_notify = off\nmfa_serial"));
    assert_eq!(home.run(&["exec", "doug", "--", "true"]).status, 0);
    home.private(".aws/config", &config.replace("mfa_serial", "onetap_notify = loud\nmfa_serial"));
    let refused = home.run(&["code", "doug"]);
    assert!(refused.status == 3 && refused.stderr.contains("write on or off"), "{}", refused.stderr);
    home.private(".aws/config", &config);
    assert_eq!(home.run(&["clear"]).status, 0);
    home.unset("DISPLAY");
    assert_eq!(home.run(&["exec", "doug", "--", "true"]).status, 0);
    assert_eq!(desktop.calls(), Vec::<String>::new());
    home.set("DISPLAY", ":99");
    assert_eq!(home.run(&["clear"]).status, 0);
    desktop.freeze().unwrap();
    let began = Instant::now();
    let served = home.run(&["exec", "doug", "--", "true"]);
    assert_eq!(served.status, 0, "{}", served.stderr);
    assert!(began.elapsed() < Duration::from_secs(50), "a step's wait and a moment");
}
