//! Which account, which key, and what a person sees of it.

use onetap_support::aws::{Aws, User, World};
use onetap_support::home::{Home, uri};

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
