//! `onetap explain`: the plan with its origins, and nobody is asked for anything.

use std::fs;

use onetap_support::aws::{Aws, Role, User, World, policy};
use onetap_support::home::{Home, said};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");

struct Bench {
    aws: Aws,
    home: Home,
    doug: User,
}

/// doug, and the role admin in his account.
fn bench() -> Bench {
    let doug = User::doug();
    let admin = Role::named("admin").trust(policy::trust_with_mfa(&doug.arn()));
    let arn = admin.arn();
    let aws = Aws::start(World::of(doug.clone()).role(admin));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    let config = home.read(".aws/config");
    home.private(
        ".aws/config",
        &format!(
            "{config}[profile admin]\nrole_arn = {arn}\nsource_profile = doug\nduration_seconds = 1800\n"
        ),
    );
    Bench { aws, home, doug }
}

impl Bench {
    fn line(&self, text: &str) -> String {
        let config = self.home.read(".aws/config");
        let at = config.lines().position(|line| line.starts_with(text)).unwrap() + 1;
        format!("{}:{at}", self.home.path(".aws/config").display())
    }

    fn json(&self, profile: &str) -> Value {
        let said = self.home.run(&["explain", profile, "--json"]);
        assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{}", said.stdout);
        assert_eq!(said.stdout.lines().count(), 1);
        assert!(!said.stdout.contains(&self.doug.secret_access_key));
        serde_json::from_str(&said.stdout).unwrap()
    }
}

#[test]
fn each_value_has_its_origin_and_nothing_is_asked() {
    let bench = bench();
    let (before, touches) = (bench.aws.requests().len(), bench.home.touches());
    let explained = bench.json("admin");
    let serial = bench.doug.devices[0].serial.as_str();
    let from = |name: &str, value: &str, from: String| json!({"name": name, "value": value, "from": from});
    let default = || "default".to_owned();
    assert_eq!(explained["source"]["kind"], "keys");
    assert_eq!(
        explained["source"]["values"],
        json!([from("source_profile", "doug", bench.line("source_profile"))])
    );
    assert_eq!(
        explained["steps"],
        json!([
            {
                "call": "GetSessionToken", "code": true, "mfa": "yes", "kept": "no", "until": null,
                "values": [
                    from("mfa_serial", serial, bench.line("mfa_serial")),
                    from("onetap_code", "yubikey,software", default()),
                    from("onetap_account", serial, default()),
                    from("onetap_session_duration", "43200", default()),
                ],
            },
            {
                "call": "AssumeRole", "code": false, "mfa": "at sign-in", "kept": "no", "until": null,
                "values": [
                    from("role_arn", "arn:aws:iam::123456789012:role/admin", bench.line("role_arn")),
                    from("duration_seconds", "1800", bench.line("duration_seconds")),
                    from("role_session_name", "onetap-doug", default()),
                ],
            },
        ])
    );
    assert_eq!(explained["sts"][0], from("region", "us-east-1", default()));
    assert_eq!(explained["sts"][1]["from"], "AWS_ENDPOINT_URL");
    assert_eq!((&explained["codes_now"], &explained["codes_cold"]), (&json!(1), &json!(1)));
    assert_eq!((bench.aws.requests().len(), bench.home.touches()), (before, touches));
    assert!(!bench.home.path(".cache/onetap/sessions").exists());
}

#[test]
fn what_is_kept_is_told_with_its_end_and_no_secret() {
    let bench = bench();
    let made = bench.home.run(&["credential-process", "admin"]);
    assert_eq!(made.status, 0, "{}", made.stderr);
    let session: Value = serde_json::from_str(&made.stdout).unwrap();
    let explained = bench.json("admin");
    assert_eq!(explained["steps"][0]["kept"], "yes");
    assert_eq!(explained["steps"][1]["until"], session["Expiration"]);
    assert_eq!(explained["codes_now"], 0);
    let said = bench.home.run(&["explain", "admin"]);
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    for part in ["SecretAccessKey", "SessionToken"] {
        assert!(!said.stdout.contains(session[part].as_str().unwrap()), "{part}");
    }
    let until = session["Expiration"].as_str().unwrap();
    for line in [
        "1. The access key of doug, in the vault file",
        &format!("3. AssumeRole; MFA at sign-in; kept until {until}"),
        &format!("   duration_seconds = 1800  ({})", bench.line("duration_seconds")),
        "Now nobody is asked for a code.",
    ] {
        assert!(said.stdout.lines().any(|found| found == line), "{line:?} lacks in\n{}", said.stdout);
    }
    // The user's own profile shares the first session.
    assert_eq!(bench.json("doug")["codes_now"], 0);
}

#[test]
fn a_vault_that_would_ask_a_person_is_not_opened() {
    let bench = bench();
    assert_eq!(bench.home.run(&["credential-process", "doug"]).status, 0);
    // Another store's name: the kernel's keyring holds no key for it.
    let sessions = bench.home.path(".cache/onetap/sessions");
    let mut sealed = fs::read(&sessions).unwrap();
    let kept = sealed.clone();
    sealed[20] ^= 1;
    fs::write(&sessions, &sealed).unwrap();
    let mut command = bench.home.onetap(&["explain", "doug", "--json"]);
    let said = said(command.env_remove("ONETAP_VAULT_PASSPHRASE_FILE"));
    fs::write(&sessions, kept).unwrap();
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    let explained: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(
        (&explained["steps"][0]["kept"], &explained["codes_now"]),
        (&json!("not looked at"), &Value::Null)
    );
    assert_eq!(explained["codes_cold"], 1);
}

#[test]
fn variables_and_options_are_named_as_origins() {
    let bench = bench();
    let mut command =
        bench.home.onetap(&["explain", "doug", "--json", "--code", "prompt", "--min-ttl", "600"]);
    command.env("AWS_CA_BUNDLE", "/etc/corp.pem").env("AWS_USE_FIPS_ENDPOINT", "true");
    let explained: Value = serde_json::from_str(&said(&mut command).stdout).unwrap();
    let text = explained.to_string();
    for origin in [
        json!({"name": "onetap_code", "value": "prompt", "from": "--code"}),
        json!({"name": "onetap_min_ttl", "value": "600", "from": "--min-ttl"}),
        json!({"name": "ca_bundle", "value": "/etc/corp.pem", "from": "AWS_CA_BUNDLE"}),
        json!({"name": "use_fips_endpoint", "value": "true", "from": "AWS_USE_FIPS_ENDPOINT"}),
        json!({"name": "region", "value": "eu-west-1", "from": bench.line("region")}),
    ] {
        assert!(text.contains(&origin.to_string()), "{origin} lacks in {text}");
    }
}

#[test]
fn what_cannot_be_planned_is_refused_as_everywhere() {
    let bench = bench();
    let said = bench.home.run(&["explain", "admni", "--json"]);
    assert_eq!((said.status, said.stdout.as_str()), (3, ""));
    assert!(said.stderr.contains("did you mean admin?"), "{}", said.stderr);
}
