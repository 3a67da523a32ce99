//! The matrix of plans: each file in `tests/plans` is a configuration and the plan or refusal that must follow.
//!
//! A case says which profiles are planned, with which variables and options; several profiles also tell which links
//! share a session. What it expects stands behind `== plan`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use aws_types::os_shim_internal::{Env, Fs};

use crate::error::Error;
use crate::plan::origin::{Origin, Origins};
use crate::plan::{Link, Notify, Plan, PlanError, Source, SourceName, Wishes, plan};
use crate::profiles::{Profiles, Spot};

struct Case {
    name: String,
    profiles: Vec<String>,
    wishes: Wishes,
    config: String,
    credentials: String,
    plan: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans")
}

fn cases() -> Vec<Case> {
    let mut files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    files.sort();
    files.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Case {
    let text = fs::read_to_string(path).unwrap();
    let mut case = Case {
        name: path.file_stem().unwrap().to_str().unwrap().into(),
        profiles: Vec::new(),
        wishes: Wishes::default(),
        config: String::new(),
        credentials: String::new(),
        plan: String::new(),
    };
    let mut parts = text.split("== ");
    for line in parts.next().unwrap().lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.splitn(3, ' ').collect::<Vec<_>>().as_slice() {
            ["profile", name] => case.profiles.push((*name).into()),
            ["env" | "option", name, value] => wish(&mut case.wishes, name, value),
            _ => panic!("{}: {line}", case.name),
        }
    }
    for part in parts {
        let (title, body) = part.split_once('\n').unwrap();
        match title {
            "config" => case.config = body.into(),
            "credentials" => case.credentials = body.into(),
            "plan" => case.plan = body.into(),
            _ => panic!("{}: {title}", case.name),
        }
    }
    case
}

fn wish(wishes: &mut Wishes, name: &str, value: &str) {
    let value = value.to_owned();
    match name {
        "AWS_REGION" => wishes.region = Some(("AWS_REGION", value)),
        "AWS_DEFAULT_REGION" => wishes.region = Some(("AWS_DEFAULT_REGION", value)),
        "AWS_ENDPOINT_URL" => wishes.endpoint = Some(("AWS_ENDPOINT_URL", value)),
        "AWS_ENDPOINT_URL_STS" => wishes.endpoint = Some(("AWS_ENDPOINT_URL_STS", value)),
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS" => wishes.ignore_endpoints = value == "true",
        "AWS_CA_BUNDLE" => wishes.ca_bundle = Some(value.into()),
        "AWS_USE_DUALSTACK_ENDPOINT" => wishes.dualstack = Some(value),
        "AWS_USE_FIPS_ENDPOINT" => wishes.fips = Some(value),
        "AWS_STS_REGIONAL_ENDPOINTS" => wishes.sts_regional = Some(value),
        "code" => wishes.codes = Some(SourceName::list(&value).unwrap()),
        "token" => wishes.token = Some(crate::card::Serial(value.parse().unwrap())),
        _ => panic!("no such wish: {name}"),
    }
}

/// A plan in words, one fact a line; what nobody configured is left out.
fn words(plan: &Plan) -> String {
    let mut text = match &plan.source {
        Source::Environment => "source environment\n".to_owned(),
        Source::Keys { profile } => format!("source keys {profile}\n"),
        Source::Process { profile, command } => format!("source process {profile}: {command}\n"),
        Source::WebIdentity { token_file } => format!("source web-identity {}\n", token_file.display()),
    };
    let add = &mut text;
    if let Some(mfa) = &plan.mfa {
        let codes = mfa.codes.iter().map(|name| name.word()).collect::<Vec<_>>().join(",");
        write!(add, "mfa {} owner {} codes {codes}", mfa.serial, mfa.owner).unwrap();
        if mfa.account != mfa.serial.as_str() {
            write!(add, " account {}", mfa.account).unwrap();
        }
        mfa.token.iter().for_each(|token| write!(add, " token {token}").unwrap());
        mfa.process.iter().for_each(|line| write!(add, " process {line}").unwrap());
        add.push('\n');
    }
    for link in &plan.links {
        match link {
            Link::MfaSession { duration } => {
                writeln!(add, "link mfa-session {}", duration.as_secs()).unwrap()
            }
            Link::Role { role, with_mfa } => {
                write!(add, "link role {} {} as {}", role.arn, role.duration.as_secs(), role.session_name)
                    .unwrap();
                if *with_mfa {
                    add.push_str(" with-code");
                }
                role.external_id.iter().for_each(|id| write!(add, " external-id {id}").unwrap());
                role.tags.iter().for_each(|(key, value)| write!(add, " tag {key}={value}").unwrap());
                role.transitive_tags.iter().for_each(|key| write!(add, " transitive {key}").unwrap());
                role.source_identity.iter().for_each(|id| write!(add, " source-identity {id}").unwrap());
                add.push('\n');
            }
        }
    }
    let network = &plan.network;
    write!(add, "sts {}", network.sts_region).unwrap();
    network.endpoint.iter().for_each(|endpoint| write!(add, " at {}", endpoint.as_str()).unwrap());
    add.push_str(if network.dualstack { " dualstack" } else { "" });
    add.push_str(if network.fips { " fips" } else { "" });
    network.ca_bundle.iter().for_each(|path| write!(add, " ca-bundle {}", path.display()).unwrap());
    add.push('\n');
    plan.region.iter().for_each(|region| writeln!(add, "child region {region}").unwrap());
    plan.endpoint_url.iter().for_each(|url| writeln!(add, "child endpoint {url}").unwrap());
    plan.min_ttl.iter().for_each(|least| writeln!(add, "min-ttl {}", least.as_secs()).unwrap());
    plan.mfa_max_age.iter().for_each(|most| writeln!(add, "mfa-max-age {}", most.as_secs()).unwrap());
    if plan.notify == Notify::Off {
        add.push_str("notify off\n");
    }
    plan.why.iter().for_each(|why| writeln!(add, "why {why}").unwrap());
    writeln!(add, "touches {}", plan.links.iter().filter(|link| link.asks()).count()).unwrap();
    text
}

/// What a person reads; every refusal has a next action, and a place unless no file is at fault.
fn refusal(profiles: &Profiles, source: PlanError, home: &str) -> String {
    let at = source.place().and_then(|spot| profiles.locate_spot(&spot));
    let nowhere = matches!(source, PlanError::BadVariable { .. } | PlanError::NoProfile { .. });
    assert_eq!(at.is_none(), nowhere, "{source}");
    let error = Error::Plan { source: Box::new(source), at, lost: None };
    assert_eq!(error.status(), 3, "{error}");
    assert!(error.hint().is_some(), "{error}");
    format!("error: {}\n", error.line().replace(home, ""))
}

/// Who would sign the first request: users of different profiles have different keys here.
fn identity(plan: &Plan) -> String {
    let keys = || plan.source.keys().map_or("AKIAENVIRONMENT".to_owned(), |name| format!("AKIA{name}"));
    plan.stranger().unwrap_or_else(keys)
}

fn outcome(case: &Case) -> String {
    let home = tempfile::tempdir().unwrap();
    let place = |name: &str, text: &str| {
        let path = home.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (config, credentials) = (place("config", &case.config), place("credentials", &case.credentials));
    let env = Env::from_slice(&[
        ("AWS_CONFIG_FILE", config.as_str()),
        ("AWS_SHARED_CREDENTIALS_FILE", credentials.as_str()),
    ]);
    let profiles = Profiles::load(&env, &Fs::real()).unwrap();
    let shown = format!("{}/", home.path().display());
    let mut text = String::new();
    let mut links = Vec::new();
    for name in &case.profiles {
        if case.profiles.len() > 1 {
            writeln!(text, "profile {name}").unwrap();
        }
        match plan(&profiles, name, &case.wishes) {
            Ok(plan) => {
                text.push_str(&words(&plan));
                let keys = plan.session_keys(&identity(&plan));
                links.extend(keys.into_iter().enumerate().map(|(at, key)| (name, at + 1, key)));
            }
            Err(error) => text.push_str(&refusal(&profiles, error, &shown)),
        }
    }
    for (index, (name, at, key)) in links.iter().enumerate() {
        for (other, there, same) in links.iter().skip(index + 1) {
            if key == same && name != other {
                writeln!(text, "shared {name} {at} = {other} {there}").unwrap();
            }
        }
    }
    text
}

#[test]
fn every_case_has_its_plan_or_its_refusal() {
    let cases = cases();
    assert!(cases.len() >= 120, "only {} cases", cases.len());
    let mut wrong = String::new();
    for case in &cases {
        assert!(!case.profiles.is_empty(), "{} asks for nothing", case.name);
        let outcome = outcome(case);
        if outcome != case.plan {
            write!(wrong, "--- {}\n{outcome}--- instead of\n{}", case.name, case.plan).unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// The text at an origin; `None` for a default.
fn text_at(profiles: &Profiles, wishes: &Wishes, origin: Origin) -> Option<String> {
    match origin {
        Origin::Default => None,
        Origin::File(Spot::Profile(name, Some(key))) => {
            Some(profiles.profile(&name).unwrap().value(key).expect(key).to_owned())
        }
        Origin::File(Spot::Profile(_, None) | Spot::Service(..)) => panic!("no value"),
        Origin::Variable(name) => {
            let (set, value) = wishes.region.clone().unwrap();
            assert_eq!(set, name);
            Some(value)
        }
    }
}

#[test]
fn each_origin_holds_the_value_that_the_plan_has() {
    let mut seen = 0;
    for case in cases() {
        let profiles = Profiles::of_text(&case.config, &case.credentials);
        for name in &case.profiles {
            let Ok(plan) = plan(&profiles, name, &case.wishes) else { continue };
            let origins = Origins::of(&profiles, name, &case.wishes).unwrap();
            let text = |origin| text_at(&profiles, &case.wishes, origin);
            assert_eq!(text(origins.region()), plan.region, "{}", case.name);
            let serial = plan.mfa.as_ref().map(|mfa| mfa.serial.to_string());
            assert_eq!(text(origins.nearest("mfa_serial")), serial, "{}", case.name);
            let process = plan.mfa.as_ref().and_then(|mfa| mfa.process.clone());
            assert_eq!(text(origins.nearest("mfa_process")), process, "{}", case.name);
            for link in &plan.links {
                let Link::Role { role, .. } = link else { continue };
                let at = |key| text(origins.of_profile(&role.profile, key));
                assert_eq!(at("role_arn").as_ref(), Some(&role.arn), "{}", case.name);
                assert_eq!(at("external_id"), role.external_id, "{}", case.name);
                assert_eq!(at("source_identity"), role.source_identity, "{}", case.name);
                let seconds = at("duration_seconds").unwrap_or_else(|| "3600".into());
                assert_eq!(seconds, role.duration.as_secs().to_string(), "{}", case.name);
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn every_combination_of_sharing_has_its_case() {
    let there = cases().into_iter().map(|case| case.name).collect::<BTreeSet<_>>();
    for kind in ["user", "role", "chain"] {
        for serial in ["own", "inherited", "none"] {
            for duration in ["short", "long"] {
                let name = format!("sharing-{kind}-{serial}-{duration}");
                assert!(there.contains(&name), "{name} lacks");
            }
        }
    }
}

#[test]
fn every_key_that_is_read_has_its_case() {
    let configs = cases().into_iter().map(|case| case.config).collect::<String>();
    let mut source = String::new();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plan")).unwrap() {
        source += &fs::read_to_string(file.unwrap().path()).unwrap_or_default();
    }
    source += include_str!("../../plan.rs");
    let mut keys = 0;
    for call in [".value(\"", ".find(\"", "first(\"", "parsed(\"", "word(view, (\""] {
        for rest in source.split(call).skip(1) {
            let key = rest.split('"').next().unwrap();
            assert!(configs.contains(&format!("{key} =")), "{key} stands in no case");
            keys += 1;
        }
    }
    assert!(keys > 15, "{keys}");
}
