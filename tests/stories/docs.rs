//! The pages that people's scripts rely on, held against the binary and its source.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::CommandFactory as _;
use onetap::cli::Cli;
use onetap_support::aws::{Aws, User, World};
use onetap_support::home::{Home, Said, said};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const SCRIPTS: &str = include_str!("../../docs/SCRIPTS.md");
const EXIT_CODES: &str = include_str!("../../docs/EXIT-CODES.md");

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn source() -> String {
    let mut found = Vec::new();
    files(&project().join("src"), &mut found);
    assert!(found.len() > 30);
    found.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// The words in quotes that begin with one of these, as the source spells variables and keys.
fn quoted<'a>(source: &'a str, beginnings: &[&str]) -> BTreeSet<&'a str> {
    let word = |text: &&str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let ours = |text: &&str| {
        beginnings.iter().any(|start| text.strip_prefix(start).is_some_and(|rest| !rest.is_empty()))
    };
    source.split('"').filter(word).filter(ours).collect()
}

#[test]
fn every_verb_and_option_stands_in_scripts_md() {
    let command = Cli::command();
    let mut commands = vec![(command.get_name().to_owned(), &command)];
    let mut seen = 0;
    while let Some((path, command)) = commands.pop() {
        for verb in command.get_subcommands() {
            commands.push((format!("{path} {}", verb.get_name()), verb));
        }
        let runs = command.get_subcommands().next().is_none();
        let stands = SCRIPTS.contains(&format!("`{path} ")) || SCRIPTS.contains(&format!("`{path}`"));
        assert!(!runs || stands, "`{path}` lacks");
        for argument in command.get_arguments() {
            if let Some(long) = argument.get_long() {
                assert!(
                    SCRIPTS.contains(&format!("`--{long}`")) || SCRIPTS.contains(&format!("[--{long}]")),
                    "--{long} lacks"
                );
                seen += 1;
            }
        }
    }
    assert!(seen >= 12, "{seen}");
}

#[test]
fn every_variable_and_key_of_the_source_stands_in_scripts_md() {
    let source = source();
    let names = quoted(&source, &["ONETAP_", "AWS_", "onetap_"]);
    assert!(
        names.contains("ONETAP_READER") && names.contains("onetap_token") && names.len() > 20,
        "{names:?}"
    );
    for name in names {
        let stands = [format!("`{name}`"), format!("`{name}=")].iter().any(|text| SCRIPTS.contains(text));
        assert!(stands, "{name} lacks");
    }
}

#[test]
fn every_file_that_onetap_makes_stands_in_scripts_md() {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::of_doug(BINARY, &aws, &doug, "");
    assert_eq!(home.run(&["exec", "doug", "--", "true"]).status, 0);
    home.set("SHELL", "/bin/bash");
    assert_eq!(home.run(&["exec", "doug"]).status, 0);
    let places = [("CONFIG", ".config"), ("STATE", ".local/state"), ("CACHE", ".cache")];
    let mut count = 0;
    for (name, folder) in places {
        let folder = home.path(folder);
        let mut made = Vec::new();
        files(&folder, &mut made);
        for file in made {
            let relative = file.strip_prefix(&folder).unwrap();
            let parent = relative.parent().unwrap().to_str().unwrap();
            let extension = relative.extension().map(|extension| extension.to_str().unwrap());
            let shown = match parent {
                "onetap/shell" => "shell/`".to_owned(),
                "onetap/turns" => format!("*.{}`", extension.unwrap()),
                _ => format!("{}`", relative.file_name().unwrap().to_str().unwrap()),
            };
            let top = format!("| `$XDG_{name}_HOME/onetap/");
            let line = SCRIPTS.lines().find(|line| line.starts_with(&top) && line.contains(&shown));
            assert!(line.is_some(), "{} lacks", relative.display());
            count += 1;
        }
    }
    assert!(count >= 8, "{count}");
}

#[test]
fn the_environment_of_the_child_is_as_scripts_md_says() {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    let (_, table) = SCRIPTS.split_once("## The environment of exec's child").unwrap();
    let row = |title: &str| {
        let line = table.lines().find(|line| line.starts_with(&format!("| {title}"))).unwrap();
        line.split('`')
            .filter(|word| word.starts_with("AWS_") || word.starts_with("ONETAP_"))
            .collect::<Vec<_>>()
    };
    let unset = row("unset |");
    assert!(unset.len() > 10);
    let mut command = home.onetap(&["exec", "doug", "--", "env"]);
    for name in &unset {
        command.env(name, "shadow");
    }
    command.env("AWS_PROFILE", "doug");
    let printed = said(&mut command);
    assert_eq!(printed.status, 0, "{}", printed.stderr);
    let env = printed.stdout.lines().filter_map(|line| line.split_once('=')).collect::<BTreeMap<_, _>>();
    for name in unset {
        assert!(!env.contains_key(name), "{name} is not unset");
    }
    for name in row("set |").into_iter().chain(row("set if a region")) {
        assert!(env.contains_key(name), "{name} is not set");
    }
}

/// The table of EXIT-CODES.md: code to example.
fn table() -> BTreeMap<i32, String> {
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| ")?.splitn(3, " | ");
        let code = cells.next()?.parse().ok()?;
        let example = cells.nth(1)?.strip_suffix('|')?.trim().trim_matches('`').trim();
        Some((code, example.to_owned()))
    };
    EXIT_CODES.lines().filter_map(row).collect()
}

#[test]
fn every_exit_code_of_the_source_stands_in_exit_codes_md() {
    let error = fs::read_to_string(project().join("src/error.rs")).unwrap();
    let main = fs::read_to_string(project().join("src/main.rs")).unwrap();
    let codes = error
        .lines()
        .chain(main.lines())
        .filter_map(|line| line.trim().strip_suffix(';')?.split_once(": u8 = ")?.1.parse().ok())
        .collect::<BTreeSet<i32>>();
    assert_eq!(codes.len(), 11, "{codes:?}");
    let listed = table().into_keys().collect::<BTreeSet<_>>();
    assert_eq!(listed, codes.into_iter().chain([0, 126, 127]).collect());
}

#[test]
fn every_example_in_exit_codes_md_is_what_onetap_says() {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::of_doug(BINARY, &aws, &doug, "fault touch never");
    let uris = home.read("token").replace("fault touch never", "");
    let config = home.read(".aws/config");
    home.private(
        ".aws/config",
        &format!(
            "{config}[profile other]\nmfa_serial = arn:aws:iam::123456789012:mfa/doug\n[profile second]\n\
             region = eu-west-1\nmfa_serial = arn:aws:iam::123456789012:mfa/nobody\nonetap_account = {}\n",
            doug.devices[0].serial
        ),
    );
    let mut command = home.onetap(&["add", "second", "--from-env"]);
    command
        .env("AWS_ACCESS_KEY_ID", &doug.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &doug.secret_access_key);
    assert_eq!(said(&mut command).status, 0);

    let process = |more: &[&str]| home.run(&[&["credential-process"], more].concat());
    let mut answers = vec![
        process(&[]),
        process(&["dough"]),
        process(&["other"]),
        said(
            home.onetap(&["--reader", "pcsc", "credential-process", "doug"])
                .env("PCSCLITE_CSOCK_NAME", "/absent/pcscd.comm"),
        ),
        process(&["doug", "--timeout", "5"]),
        process(&["doug", "--code", "prompt"]),
        process(&["doug", "--min-ttl", "50000"]),
        interrupted(&home),
        home.run(&["exec", "doug", "--", "/etc/passwd"]),
        home.run(&["exec", "doug", "--", "no-such-command"]),
    ];
    home.token(&uris);
    answers.push(said(
        home.onetap(&["credential-process", "doug"]).env("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
    ));
    answers.push(home.run(&["credential-process", "second"]));
    home.token(&format!("{uris}\nfault removed-after 1\n"));
    answers.push(home.run(&["exec", "doug", "--", "true"]));

    let mut examples = table();
    assert_eq!(examples.remove(&0).as_deref(), Some(""));
    let real = answers
        .into_iter()
        .map(|answer| (answer.status, answer.stderr.lines().last().unwrap_or_default().to_owned()))
        .collect::<BTreeMap<_, _>>();
    assert_eq!(examples, real);
}

/// Ctrl-C while the touch is waited for: the turn's file tells who waits.
fn interrupted(home: &Home) -> Said {
    let child =
        home.onetap(&["credential-process", "doug"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let before = home.touches();
    let deadline = Instant::now() + Duration::from_secs(30);
    while home.touches() == before {
        assert!(Instant::now() < deadline, "the token was never asked");
        std::thread::yield_now();
    }
    let mut turns = Vec::new();
    files(&home.path(".local/state/onetap/turns"), &mut turns);
    let memory = turns.iter().find(|file| file.extension().is_some_and(|end| end == "json")).unwrap();
    let memory: serde_json::Value = serde_json::from_slice(&fs::read(memory).unwrap()).unwrap();
    let pid = memory["holder"]["pid"].to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    child.wait_with_output().unwrap().into()
}

#[test]
fn every_link_of_the_pages_leads_somewhere() {
    let mut pages = vec![project().join("README.md")];
    files(&project().join("docs"), &mut pages);
    let mut count = 0;
    for page in pages.iter().filter(|page| page.extension().is_some_and(|end| end == "md")) {
        let text = fs::read_to_string(page).unwrap();
        for target in
            text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
        {
            if target.contains("://") || target.starts_with('#') {
                continue;
            }
            let file = target.split('#').next().unwrap();
            assert!(page.with_file_name(file).exists(), "{}: {target}", page.display());
            count += 1;
        }
    }
    assert!(count > 3, "{count}");
}
