//! The invariants of `docs/ARCHITECTURE.md`, held against the text of `src/`. Each rule can fail: a test plants a
//! violation and sees it found. Tests inside `src/` are not looked at.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;

/// The files where a foreign crate may appear; a name that ends in `/` is a folder and the file that heads it.
const CRATES: &[(&str, &[&str])] = &[
    ("age", &["vault/seal.rs"]),
    ("aws_config", &["profiles.rs"]),
    ("aws_credential_types", &["authenticator/", "sts.rs"]),
    ("aws_runtime", &["profiles.rs"]),
    ("aws_sdk_iam", &["iam/"]),
    ("aws_sdk_sts", &["sts/"]),
    ("aws_smithy_async", &["authenticator/", "commands.rs", "iam/", "sts/"]),
    ("aws_smithy_http_client", &["sts/"]),
    ("aws_smithy_runtime_api", &["iam/", "sts/"]),
    // Its `DateTime` writes times as AWS does.
    ("aws_smithy_types", &["authenticator/source.rs", "session.rs", "sts/"]),
    ("aws_types", &["commands.rs", "profiles.rs"]),
    ("chacha20poly1305", &["session/seal.rs"]),
    // main.rs parses and lets it say what is wrong with the arguments.
    ("clap", &["cli/", "commands/completions.rs", "commands/pages.rs", "main.rs"]),
    ("clap_complete", &["commands/completions.rs"]),
    ("clap_mangen", &["commands/pages.rs"]),
    ("etcetera", &["places.rs"]),
    ("form_urlencoded", &["otpauth/"]),
    (
        "getrandom",
        &[
            "card/mock/",
            "commands/exec/endpoint.rs",
            "commands/login/browser.rs",
            "oath/password.rs",
            "session/seal.rs",
        ],
    ),
    ("hmac", &["card/mock/", "oath/password.rs"]),
    ("http_body_util", &["commands/exec/endpoint.rs"]),
    ("hyper", &["commands/exec/endpoint.rs"]),
    ("hyper_util", &["commands/exec/endpoint.rs"]),
    ("inquire", &["terminal/picker.rs"]),
    ("keyring", &["vault/keychain/"]),
    ("keyring_core", &["vault/keychain/"]),
    ("linux_keyutils", &["vault/kernel.rs"]),
    ("netlink_packet_core", &["commands/exec/peer/"]),
    ("netlink_packet_sock_diag", &["commands/exec/peer/"]),
    ("pbkdf2", &["card/mock/", "oath/password.rs"]),
    ("pcsc", &["card/pcsc/"]),
    ("percent_encoding", &["iam/", "otpauth/"]),
    ("png", &["qr.rs"]),
    ("qrcodegen", &["commands/"]),
    ("region", &["shield.rs"]),
    ("rpassword", &["terminal/"]),
    ("rqrr", &["qr.rs"]),
    ("rustix", &["commands/apart.rs", "commands/exec/", "shield.rs", "terminal/", "vault/file.rs"]),
    ("rustls", &["sts/"]),
    ("sha1", &["card/mock/", "oath/password.rs"]),
    (
        "sha2",
        &[
            "card/mock/",
            "code/yubikey/queue.rs",
            "oath/answer.rs",
            "oath/password.rs",
            "turn.rs",
            "vault/keychain/",
        ],
    ),
    ("shlex", &["plan/process.rs"]),
    ("signal_hook", &["terminal/"]),
    // Near names, where a wrong one was given.
    ("strsim", &["code/yubikey/", "plan/"]),
    ("subtle", &["commands/exec/endpoint.rs", "commands/vault.rs", "oath/password.rs"]),
    ("tempfile", &["files.rs"]),
    (
        "tokio",
        &[
            "authenticator/",
            "commands.rs",
            "commands/apart.rs",
            "commands/exec/",
            "commands/write/",
            "turn.rs",
        ],
    ),
    ("totp_rs", &["card/mock/", "code/software.rs"]),
    ("url", &["commands/login/address.rs", "otpauth/", "plan/endpoint.rs", "sts/console.rs"]),
    ("zbus", &["desktop/bus.rs", "vault/aws_vault.rs", "vault/keychain/", "vault/unlocked.rs"]),
    ("yubikey", &["card/serial.rs", "vault/piv.rs"]),
    ("zune_jpeg", &["qr.rs"]),
];

/// Crates that are vocabulary: types, derives and encodings, of no consequence where they stand.
const VOCABULARY: &[&str] = &["data_encoding", "secrecy", "serde", "serde_json", "thiserror", "zeroize"];

/// Where secrets are handed over: to AWS, to the child, to a vault, to a cipher.
const SECRETS: &[&str] = &[
    "authenticator/mint.rs",
    "authenticator/provide.rs",
    "card/mock/",
    "code.rs",
    "code/",
    "commands/",
    "keys.rs",
    "oath/",
    "otpauth/",
    "session/seal.rs",
    "session/store.rs",
    "sts/",
    "terminal/",
    "vault/",
];

/// Modules that only compute.
const PURE: &[&str] = &["attendant.rs", "code.rs", "oath/", "plan/", "policy/"];
/// What they may not reach for.
const IO: &[&[&str]] = &[&["std", "env"], &["std", "fs"], &["std", "net"], &["std", "process"], &["tokio"]];
/// An address is a value.
const VALUES: &[&[&str]] =
    &[&["std", "net", "IpAddr"], &["std", "net", "Ipv4Addr"], &["std", "net", "Ipv6Addr"]];

/// Names that say nothing.
const EMPTY_NAMES: &[&str] =
    &["common", "helper", "helpers", "manager", "misc", "mod", "prelude", "types", "util", "utils"];

/// Lines of code a file may have: without blank lines, comments and tests.
const LONGEST: usize = 300;

struct Source {
    /// From `src/`, with `/` on every system.
    path: String,
    /// How many lines of code there are.
    lines: usize,
    /// The code without comments, tests and the insides of literals, in words and signs.
    tokens: Vec<String>,
    /// The paths in it, `use` groups written out.
    paths: Vec<Vec<String>>,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let code = without_tests(&without_words(text));
        let tokens = tokens(&code);
        let owned = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
        Self {
            path: path.into(),
            lines: code.lines().filter(|line| !line.trim().is_empty()).count(),
            paths: paths(&tokens).iter().map(|path| owned(path)).collect(),
            tokens: owned(&tokens),
        }
    }

    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    fn stands_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| match place.strip_suffix('/') {
            Some(folder) => self.path.starts_with(place) || self.path == format!("{folder}.rs"),
            None => self.path == *place,
        })
    }

    /// How many `super::` lead from here to the crate's root.
    fn depth(&self) -> usize {
        self.path.split('/').count()
    }
}

/// All of `src/`.
fn sources() -> Vec<Source> {
    fn walk(folder: &Path, root: &Path, found: &mut Vec<Source>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            if path.is_dir() {
                walk(&path, root, found);
            } else if name.ends_with(".rs") && !name.ends_with("/tests.rs") {
                found.push(Source::new(&name, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = vec![];
    walk(&root, &root, &mut found);
    assert!(found.len() > 20, "src/ is not where it was");
    found
}

// The text of Rust, as far as it is needed here.

/// Blanks out comments and the insides of string and character literals.
fn without_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let hashes = rest[1.min(rest.len())..].bytes().take_while(|b| *b == b'#').count();
        let word = after_word(&out);
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if first == 'r' && !word && rest[1 + hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let inside = &rest[2 + hashes..];
            2 + hashes + inside.find(&end).map_or(inside.len(), |at| at + end.len())
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == '\'' && !word && is_character(rest) {
            quoted(rest, '\'')
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        // A literal leaves a mark, so that what stands on both sides does not grow together.
        out.push(' ');
        out.extend(rest[..length].matches('\n'));
        rest = &rest[length..];
    }
    out
}

/// Whether a word ends here, other than the `b` of a byte string.
fn after_word(out: &str) -> bool {
    let before = out.strip_suffix('b').unwrap_or(out);
    before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().unwrap().len_utf8();
        }
    }
    at
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, here) in text.char_indices().skip(1) {
        match here {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if here == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character, and not a lifetime.
fn is_character(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    matches!((chars.next(), chars.next()), (Some('\\'), _) | (Some(_), Some('\'')))
}

/// Drops the items behind `#[cfg(test)]` and the like.
fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    loop {
        let marks = ["#[cfg(test)]", "#[cfg(all(test"];
        let Some(at) = marks.iter().filter_map(|mark| rest.find(mark)).min() else {
            out.push_str(rest);
            return out;
        };
        out.push_str(&rest[..at]);
        rest = &rest[at + item(&rest[at..])..];
    }
}

/// How long an item is, attributes and all: up to its `;` or the bracket that closes its body.
fn item(text: &str) -> usize {
    let mut depth = 0_i32;
    for (at, here) in text.char_indices() {
        depth += match here {
            '(' | '[' | '{' => 1,
            ')' | ']' | '}' => -1,
            _ => 0,
        };
        if depth == 0 && (here == ';' || here == '}') {
            return at + 1;
        }
    }
    text.len()
}

fn tokens(code: &str) -> Vec<&str> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = vec![];
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if word(first) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            _ if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        out.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    out
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Every path of at least two words in the code, `use` groups written out.
fn paths<'a>(tokens: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut out = vec![];
    let mut at = 0;
    while at < tokens.len() {
        if is_word(tokens[at]) && tokens.get(at + 1) == Some(&"::") && (at == 0 || tokens[at - 1] != ".") {
            at = tree(tokens, at, &[], &mut out);
        } else {
            at += 1;
        }
    }
    out
}

/// Reads one tree of paths at `at` and returns where it ends.
fn tree<'a>(tokens: &[&'a str], mut at: usize, prefix: &[&'a str], out: &mut Vec<Vec<&'a str>>) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(at) {
            Some(&"{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| *token != "}") {
                    at = tree(tokens, at, &path, out);
                    while tokens.get(at).is_some_and(|token| *token != "," && *token != "}") {
                        at += 1; // `as name`
                    }
                    at += usize::from(tokens.get(at) == Some(&","));
                }
                return at + 1;
            }
            Some(token) if is_word(token) => {
                path.push(token);
                at += 1;
            }
            _ => break,
        }
        match tokens.get(at) {
            Some(&"::") => at += 1,
            _ => break,
        }
    }
    out.push(path);
    at
}

// The rules. Each returns a sentence for each violation.

fn arrows(order: &[&str], files: &[Source]) -> Vec<String> {
    let place = |module: &str| order.iter().position(|name| *name == module);
    let mut out = vec![];
    for file in files.iter().filter(|file| file.path != "lib.rs" && file.path != "main.rs") {
        let Some(own) = place(file.module()) else {
            out.push(format!("{}: lib.rs does not list its module", file.path));
            continue;
        };
        for path in &file.paths {
            let supers = path.iter().take_while(|word| *word == "super").count();
            let target = match path[0].as_str() {
                "crate" => path.get(1),
                "super" if supers >= file.depth() => path.get(supers),
                _ => None,
            };
            match target.map(|target| (target, place(target))) {
                Some((target, Some(theirs))) if theirs < own => {
                    out.push(format!("{}: {} points upward to {target}", file.path, path.join("::")));
                }
                _ => {}
            }
        }
    }
    out
}

fn no_io(files: &[Source]) -> Vec<String> {
    let begins = |path: &[String], all: &[&[&str]]| {
        all.iter().any(|begin| path.len() >= begin.len() && path.iter().zip(*begin).all(|(a, b)| a == b))
    };
    let mut out = vec![];
    for file in files.iter().filter(|file| file.stands_in(PURE)) {
        for path in &file.paths {
            if begins(path, IO) && !begins(path, VALUES) {
                out.push(format!("{}: {} in a module that only computes", file.path, path.join("::")));
            }
        }
    }
    out
}

fn foreign_crates(manifest: &str, files: &[Source]) -> Vec<String> {
    let mut out = vec![];
    for name in dependencies(manifest) {
        let Some((_, places)) = CRATES.iter().find(|(listed, _)| *listed == name) else {
            if !VOCABULARY.contains(&name.as_str()) {
                out.push(format!("Cargo.toml: no file is named for the crate {name}"));
            }
            continue;
        };
        for file in files.iter().filter(|file| !file.stands_in(places)) {
            // A module of ours may have the crate's name: `mod pcsc;`.
            let tokens = &file.tokens;
            let ours = tokens.windows(2).any(|two| two == ["mod", name.as_str()]);
            let used = file.paths.iter().any(|path| path[0] == name);
            let renamed = tokens.windows(3).any(|three| three == ["use", name.as_str(), ";"]);
            if (used || renamed) && !ours {
                out.push(format!(
                    "{}: uses the crate {name}, whose place is {}",
                    file.path,
                    places.join(", ")
                ));
            }
        }
    }
    out
}

/// The crates that the shipped binary may use, under their names in code.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut out = vec![];
    for line in manifest.lines() {
        if let Some(header) = line.trim().strip_prefix('[') {
            inside = header.starts_with("dependencies]")
                || header.starts_with("target.") && header.ends_with(".dependencies]");
        } else if inside
            && let Some((name, _)) = line.split_once([' ', '=', '.'])
            && !name.is_empty()
            && !name.starts_with('#')
        {
            out.push(name.replace('-', "_"));
        }
    }
    out
}

/// Finds a run of tokens outside the places where it may stand.
fn only_in(places: &[&str], what: &[&str], files: &[Source]) -> Vec<String> {
    let mut out = vec![];
    for file in files.iter().filter(|file| !file.stands_in(places)) {
        let tokens = &file.tokens;
        let found = tokens.windows(what.len()).enumerate();
        let found = found.filter(|(at, some)| {
            some.iter().zip(what).all(|(a, b)| a == b) && (*at == 0 || tokens[at - 1] != ".")
        });
        out.extend(
            found.map(|_| format!("{}: {} belongs to {}", file.path, what.concat(), places.join(", "))),
        );
    }
    out
}

fn wall_clock(files: &[Source]) -> Vec<String> {
    let mut out = only_in(&["commands.rs"], &["SystemTime", "::", "now"], files);
    out.extend(only_in(&["commands.rs"], &["SystemTimeSource", "::"], files));
    out
}

fn streams(files: &[Source]) -> Vec<String> {
    let mut out = only_in(&["commands.rs"], &["stdout", "("], files);
    out.extend(only_in(&["main.rs", "terminal/"], &["stderr", "("], files));
    for name in ["dbg", "eprint", "eprintln", "print", "println"] {
        out.extend(only_in(&[], &[name, "!"], files));
    }
    out
}

fn secrets(files: &[Source]) -> Vec<String> {
    let mut out = vec![];
    for file in files.iter().filter(|file| !file.stands_in(SECRETS)) {
        if file.tokens.iter().any(|token| token.starts_with("expose_secret")) {
            out.push(format!("{}: a secret is handed over here, and the file is not listed", file.path));
        }
    }
    out
}

fn names(files: &[Source]) -> Vec<String> {
    let empty = |path: &str| path.trim_end_matches(".rs").split('/').any(|part| EMPTY_NAMES.contains(&part));
    let found = files.iter().filter(|file| empty(&file.path));
    found.map(|file| format!("{}: a name that says nothing", file.path)).collect()
}

fn heads(files: &[Source]) -> Vec<String> {
    let mut out = vec![];
    for file in files {
        if let Some((folder, _)) = file.path.rsplit_once('/') {
            let head = format!("{folder}.rs");
            if !files.iter().any(|file| file.path == head) {
                out.push(format!("{}: {head} lacks", file.path));
            }
        }
    }
    out
}

fn lengths(files: &[Source]) -> Vec<String> {
    let mut out = vec![];
    for file in files {
        let lines = file.lines;
        if lines > LONGEST {
            out.push(format!("{}: {lines} lines of code", file.path));
        }
    }
    out
}

/// The modules of lib.rs, from the top.
fn order(lib: &Source) -> Vec<&str> {
    let modules = lib.tokens.windows(3).filter(|three| three[0] == "mod" && three[2] == ";");
    modules.map(|three| three[1].as_str()).collect()
}

fn kept(violations: Vec<String>) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

fn manifest() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap()
}

#[test]
fn modules_use_only_what_stands_below_them() {
    let files = sources();
    let lib = files.iter().find(|file| file.path == "lib.rs").unwrap();
    kept(arrows(&order(lib), &files));
}

#[test]
fn what_only_computes_does_no_io() {
    kept(no_io(&sources()));
}

#[test]
fn foreign_crates_stand_in_the_files_named_for_them() {
    kept(foreign_crates(&manifest(), &sources()));
}

#[test]
fn the_wall_clock_is_read_in_one_place() {
    kept(wall_clock(&sources()));
}

#[test]
fn the_streams_are_written_in_one_place_each() {
    kept(streams(&sources()));
}

#[test]
fn secrets_are_handed_over_only_in_listed_files() {
    kept(secrets(&sources()));
}

#[test]
fn names_say_something_and_folders_have_a_head() {
    kept(names(&sources()));
    kept(heads(&sources()));
}

#[test]
fn files_fit_in_one_head() {
    kept(lengths(&sources()));
}

// And each of them can fail.

/// What a rule says to one file with this text.
fn planted(path: &str, text: &str, rule: impl Fn(&[Source]) -> Vec<String>) -> usize {
    rule(&[Source::new(path, text)]).len()
}

#[test]
fn an_arrow_upward_is_found() {
    let rule = |files: &[Source]| arrows(&["commands", "plan", "card"], files);
    for (path, text, expected) in [
        ("card.rs", "use crate::plan::Plan;", 1),
        ("card/pcsc.rs", "use crate::{card, plan::{self, Plan}};", 2),
        ("card.rs", "fn f() { crate::commands::run() }", 1),
        ("card.rs", "use super::plan;", 1),
        ("card/pcsc.rs", "use super::super::plan::Plan;", 1),
        ("other.rs", "", 1),
        ("card/pcsc.rs", "use super::plan;", 0),
        ("plan.rs", "use crate::{card::{Card, Reader}, plan::x};", 0),
        ("card.rs", "// use crate::plan;\nconst X: &str = \"crate::plan::x\";", 0),
        ("card.rs", "#[cfg(test)]\nmod tests { use crate::plan; fn f() { { } } }", 0),
        ("card.rs", "#[cfg(test)]\nmod tests { }\nuse crate::plan;", 1),
    ] {
        assert_eq!(planted(path, text, rule), expected, "{path}: {text}");
    }
}

#[test]
fn io_where_nothing_but_computing_belongs_is_found() {
    for (path, text, expected) in [
        ("oath/wire.rs", "use std::{fmt, fs::File};", 1),
        ("oath.rs", "fn f() { std::env::var(\"A\"); }", 1),
        ("plan.rs", "use tokio::time;", 1),
        ("plan/endpoint.rs", "use std::net::{IpAddr, TcpStream};", 1),
        ("plan/endpoint.rs", "use std::net::IpAddr;", 0),
        ("attendant.rs", "fn f() { ::std::process::exit(1) }", 1),
        ("code.rs", "use std::fs;", 1),
        ("code/software.rs", "use std::fs;", 0),
    ] {
        assert_eq!(planted(path, text, no_io), expected, "{path}: {text}");
    }
}

#[test]
fn a_crate_in_a_foreign_file_is_found() {
    let rule =
        |files: &[Source]| foreign_crates("[dependencies]\npcsc = \"2\"\nkeyring-core = \"1\"\n", files);
    for (path, text, expected) in [
        ("oath.rs", "use pcsc::Context;", 1),
        ("oath.rs", "fn f() { pcsc::connect() }", 1),
        ("oath.rs", "use pcsc;", 1),
        ("code.rs", "use keyring_core::{Entry, Error};", 1),
        ("card/pcsc.rs", "use pcsc::Context;", 0),
        ("card.rs", "pub mod pcsc;\nfn f() { pcsc::transact() }", 0),
        ("code.rs", "use crate::card::pcsc::x; // pcsc::y", 0),
    ] {
        assert_eq!(planted(path, text, rule), expected, "{path}: {text}");
    }
    let named = |manifest: &str| foreign_crates(manifest, &[]).len();
    assert_eq!(named("[dependencies]\nleft-pad = \"1\"\n[dev-dependencies]\nproptest = \"1\"\n"), 1);
    assert_eq!(named("[target.'cfg(unix)'.dependencies]\nleft-pad.workspace = true\n"), 1);
    assert_eq!(named("[dependencies]\n# why\nserde = \"1\"\n\n[lints.rust]\nunsafe_code = \"forbid\"\n"), 0);
}

#[test]
fn a_second_clock_is_found() {
    assert_eq!(planted("sts.rs", "let x = std::time::SystemTime::now();", wall_clock), 1);
    assert_eq!(planted("sts.rs", "SystemTimeSource::new()", wall_clock), 1);
    assert_eq!(planted("commands.rs", "SystemTimeSource::new()", wall_clock), 0);
    assert_eq!(planted("sts.rs", "#[cfg(test)] mod tests { fn f() { SystemTime::now(); } }", wall_clock), 0);
}

#[test]
fn a_word_on_the_wrong_stream_is_found() {
    assert_eq!(planted("sts.rs", "fn f() { println!(\"x\"); std::io::stdout().lock(); }", streams), 2);
    assert_eq!(planted("commands/add.rs", "eprintln!(\"x\"); io::stderr()", streams), 2);
    assert_eq!(planted("terminal.rs", "io::stderr(); command.stdout(Stdio::null())", streams), 0);
}

#[test]
fn a_secret_handed_over_elsewhere_is_found() {
    assert_eq!(planted("turn.rs", "fn f(x: SecretString) { g(x.expose_secret()) }", secrets), 1);
    assert_eq!(planted("turn.rs", "x.expose_secret_mut()", secrets), 1);
    assert_eq!(planted("vault/seal.rs", "x.expose_secret()", secrets), 0);
}

#[test]
fn an_empty_name_is_found() {
    let found = |path: &str| planted(path, "", names);
    assert_eq!(
        (found("card/mod.rs"), found("util.rs"), found("helpers/x.rs"), found("card/model.rs")),
        (1, 1, 1, 0)
    );
}

#[test]
fn a_long_file_is_found_and_words_are_not_code() {
    let long = "fn f() {}\n".repeat(LONGEST + 1);
    assert_eq!(planted("card.rs", &long, lengths), 1);
    let words = "// why\n\n/* and\nhow */\n".repeat(LONGEST);
    let tests = format!("#[cfg(all(test, unix))]\nmod tests {{\n{long}}}\n");
    assert_eq!(planted("card.rs", &format!("{words}{}{tests}", "fn f() {}\n".repeat(LONGEST)), lengths), 0);
}

#[test]
fn literals_and_lifetimes_are_told_apart() {
    let code = without_words(
        r##"f('"', '\'', "a\"//b", r#"x"y"#, br"\", b'"'); fn g<'a>(x: &'a str) { 'l: loop {} } // z"##,
    );
    assert_eq!(code.split_whitespace().collect::<String>(), "f(,,,,b,b);fng<'a>(x:&'astr){'l:loop{}}");
}
