//! The SDK, given the authenticator, lists instances; a person is asked once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use onetap_support::aws::{Aws, User, World, policy};
use onetap_support::home::{Home, Said};

#[test]
fn the_sdk_lists_instances_with_one_touch_and_the_next_program_with_none() {
    let doug = User::doug().policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    // The program that stores the key is onetap's own; it stands where tests/run has built it.
    let onetap = std::env::var_os("ONETAP_BINARY").expect("run this with tests/run --all");
    let home = Home::of_doug(onetap, &aws, &doug, "fault touch-after 50");
    let program = |profile: &str| -> Said {
        std::process::Command::new(env!("CARGO_BIN_EXE_onetap-sdk"))
            .arg(profile)
            .env_clear()
            .envs(home.env())
            .output()
            .unwrap()
            .into()
    };
    let listed = program("doug");
    // The program asks twice.
    let twice = "i-0abc\ni-0123456789abcdef0\n".repeat(2);
    assert_eq!((listed.status, listed.stdout.as_str()), (0, twice.as_str()), "{}", listed.stderr);
    assert_eq!(program("doug").status, 0);
    assert_eq!((home.touches(), aws.count("GetSessionToken")), (1, 1));
    let refused = program("dough");
    assert_ne!(refused.status, 0);
    // Rust prints what `main` returns as `Debug`.
    assert!(refused.stderr.contains("NoProfile { name: \"dough\", near: [\"doug\"] }"), "{}", refused.stderr);
}
