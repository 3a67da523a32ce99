//! Stories of the Tab key in real shells, and of the man pages.
//!
//! What Tab made of a line is told by a program that stands in for onetap once the line is entered: it prints the arguments
//! that the shell gives it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use onetap_support::aws::{Aws, User, World};
use onetap_support::home::{Home, Said, uri};
use onetap_support::pty::{Start, Terminal};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const ARN: &str = "arn:aws:iam::123456789012:mfa/doug";
/// Generous: the machine may be busy with other tests.
const LIMIT: Duration = Duration::from_secs(30);
/// An account that no shell may expand.
const HOSTILE: &str = "Amazon it's $(touch pwned):a `touch pwned`";

/// What is typed before Tab, and the arguments that it then stands for.
const TYPED: [(&str, &[&str]); 9] = [
    ("doc", &["doctor"]),
    ("exec dougl", &["exec", "douglas"]),
    ("exec --timeout 5 dougl", &["exec", "--timeout", "5", "douglas"]),
    ("export doug --format pow", &["export", "doug", "--format", "powershell"]),
    ("token delete arn:aws:iam::123456789012:mfa/dou", &["token", "delete", ARN]),
    ("token rename Amaz", &["token", "rename", HOSTILE]),
    ("token accounts --token 12", &["token", "accounts", "--token", "12345678"]),
    ("token add --qr /etc/passw", &["token", "add", "--qr", "/etc/passwd"]),
    ("exec doug -- cat /etc/passw", &["exec", "doug", "--", "cat", "/etc/passwd"]),
];

struct Bench {
    home: Home,
}

/// A home with two profiles, a key that wants a touch, and an `onetap` in the path that completes and otherwise shows.
fn bench(token: &str) -> Bench {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::of_doug(BINARY, &aws, &doug, "");
    let config = home.read(".aws/config");
    home.private(
        ".aws/config",
        &format!("{config}{}", config.replace("[profile doug]", "[profile douglas]")),
    );
    let seed = &doug.devices[0].seed_base32;
    let hostile: String = HOSTILE.bytes().map(|b| format!("%{b:02X}")).collect();
    home.token(&format!(
        "serial 12345678\n{}\notpauth://totp/{hostile}?secret={seed}\n{token}\n",
        uri(ARN, seed, true)
    ));
    let shown = format!(
        "#!/bin/sh\nif [ \"$1\" = complete ]; then exec '{BINARY}' \"$@\"; fi\nprintf '[%s]' \"$@\"; echo ' end'\n"
    );
    let path = home.private("bin/onetap", &shown);
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    let folder = home.path("bin").display().to_string();
    home.set("PATH", format!("{folder}:/usr/local/bin:/usr/bin:/bin"));
    home.set("TERM", "xterm-256color");
    Bench { home }
}

impl Bench {
    /// A shell that has read its script, behind its first prompt.
    fn shell(&self, program: &str, arguments: &[&str], before: &str, name: &str) -> Terminal {
        let script = self.home.run(&["completions", name]);
        assert_eq!((script.status, script.stderr.as_str()), (0, ""));
        let file = self.home.private("completion", &script.stdout);
        let start = Start::new(program).args(arguments).env_clear().envs(self.home.env());
        let mut terminal = start.folder(self.home.path("")).spawn().unwrap();
        terminal.send(&format!("{before} source {}; echo rea''dy\r", file.display())).unwrap();
        terminal.wait_for("ready", LIMIT).unwrap();
        terminal
    }

    fn completes(&self, mut terminal: Terminal) {
        for (typed, expected) in TYPED {
            terminal.send(&format!("onetap {typed}\t")).unwrap();
            // What Tab adds stands on the terminal before the line is entered.
            terminal.wait_for(&typed[typed.len() - 3..], LIMIT).unwrap();
            terminal.send("\r").unwrap();
            let shown = terminal.wait_for(" end\n", LIMIT).unwrap();
            let expected: String = expected.iter().map(|word| format!("[{word}]")).collect();
            assert!(shown.contains(&format!("{expected} end\n")), "{typed}: {shown}");
        }
        terminal.send("exit 0\r").unwrap();
        terminal.finish(LIMIT).unwrap();
        assert!(!self.home.path("pwned").exists());
        assert_eq!(self.home.touches(), 0);
        assert_eq!(self.home.read(".local/state/onetap/keys.json"), "", "nothing is learned by a Tab");
    }
}

#[test]
fn bash_completes_profiles_accounts_serials_and_files() {
    let bench = bench("");
    bench.completes(bench.shell("/bin/bash", &["--norc", "--noprofile"], "PS1='> ';", "bash"));
}

#[test]
fn zsh_completes_profiles_accounts_serials_and_files() {
    let bench = bench("");
    let before = "PROMPT='> '; autoload -Uz compinit; compinit -u -d ~/dump;";
    bench.completes(bench.shell("/usr/bin/zsh", &["-f"], before, "zsh"));
}

#[test]
fn fish_completes_profiles_accounts_serials_and_files() {
    let bench = bench("");
    let before = "function fish_prompt; echo '> '; end; set -g fish_greeting;";
    bench.completes(bench.shell("/usr/bin/fish", &["--no-config"], before, "fish"));
}

#[test]
fn zsh_finds_the_script_where_a_package_puts_it() {
    let bench = bench("");
    let script = bench.home.run(&["completions", "zsh"]).stdout;
    bench.home.private("site/_onetap", &script);
    let start = Start::new("/usr/bin/zsh").args(["-f"]).env_clear().envs(bench.home.env());
    let mut terminal = start.folder(bench.home.path("")).spawn().unwrap();
    terminal.send("PROMPT='> '; fpath=(~/site $fpath); autoload -Uz compinit; compinit -u -d ~/dump; echo rea''dy\r").unwrap();
    terminal.wait_for("ready", LIMIT).unwrap();
    terminal.send("onetap exec dougl\t\r").unwrap();
    let shown = terminal.wait_for(" end\n", LIMIT).unwrap();
    assert!(shown.contains("[exec][douglas] end"), "{shown}");
}

fn candidates(home: &Home, words: &[&str]) -> Vec<String> {
    let said = home.run(&[&["complete", "--", "onetap"], words].concat());
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    let value = |line: &str| line.split('\t').next().unwrap().to_owned();
    said.stdout.lines().map(value).collect()
}

#[test]
fn a_script_is_told_what_may_stand_here_with_a_description() {
    let bench = bench("");
    let said = bench.home.run(&["complete", "--", "onetap", "exec", "="]);
    assert_eq!(said.stdout, format!("doug\t{ARN}\ndouglas\t{ARN}\n"));
    let accounts = format!("{HOSTILE}\ton the key 12345678\n{ARN}\ton the key 12345678\n");
    assert_eq!(bench.home.run(&["complete", "--", "onetap", "token", "delete", "="]).stdout, accounts);
    assert_eq!(candidates(&bench.home, &["add", "--mfa-serial", "="]), [ARN]);
    assert_eq!(
        candidates(&bench.home, &["exec", "--vault=k"]),
        Vec::<String>::new(),
        "a word without its mark"
    );
    assert_eq!(candidates(&bench.home, &["exec", "=--vault=k"]), ["--vault=keychain"]);
    assert!(candidates(&bench.home, &["exec", "=--"]).contains(&"--timeout".to_owned()));
    let verbs = candidates(&bench.home, &["="]);
    assert!(verbs.contains(&"credential-process".to_owned()), "{verbs:?}");
    assert!(
        !verbs.iter().any(|verb| verb == "complete" || verb == "pages" || verb.starts_with('-')),
        "{verbs:?}"
    );
}

#[test]
fn a_tab_never_asks_for_a_touch_or_a_password_and_waits_for_no_card() {
    // A profile's account is known without the key.
    for token in ["password secret", "fault touch never", "fault busy 100", "fault removed-after 0"] {
        let mut bench = bench(token);
        bench.home.unset("ONETAP_VAULT_PASSPHRASE_FILE");
        let began = Instant::now();
        let found = candidates(&bench.home, &["token", "delete", "="]);
        // 300 ms are for the card; the rest is a busy machine's.
        assert!(began.elapsed() < Duration::from_secs(3), "{token}: {:?}", began.elapsed());
        assert!(found.contains(&ARN.to_owned()), "{token}: {found:?}");
        assert_eq!(found.len(), if token == "fault touch never" { 2 } else { 1 }, "{token}: {found:?}");
        assert_eq!(bench.home.touches(), 0);
    }
    let held = bench("");
    let lock = fs::File::create(held.home.path("token.lock")).unwrap();
    lock.lock().unwrap();
    let began = Instant::now();
    assert_eq!(candidates(&held.home, &["token", "delete", "="]), [ARN]);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn every_verb_has_a_man_page_and_the_first_has_the_exit_codes() {
    let home = Home::new(BINARY);
    let folder = home.path("pages");
    let silent = Said { status: 0, stdout: String::new(), stderr: String::new() };
    assert_eq!(home.run(&["pages", folder.to_str().unwrap()]), silent);
    let mut command = <onetap::cli::Cli as clap::CommandFactory>::command();
    command.build();
    let mut commands = vec![(String::from("onetap"), &command)];
    let mut count = 0;
    while let Some((name, command)) = commands.pop() {
        let page = home.read(&format!("pages/man1/{name}.1"));
        assert!(page.contains(".SH NAME\n") && page.contains(".SH SYNOPSIS\n"), "{name} has no page");
        for option in command.get_arguments().filter_map(|option| option.get_long()) {
            assert!(page.contains(&option.replace('-', "\\-")), "{name}: --{option} lacks");
        }
        let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
        commands.extend(shown.map(|verb| (format!("{name}-{}", verb.get_name()), verb)));
        count += 1;
    }
    assert_eq!(fs::read_dir(folder.join("man1")).unwrap().count(), count);
    let (_, codes) = home
        .read("pages/man1/onetap.1")
        .split_once(".SH \"EXIT STATUS\"\n")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    for code in [0, 2, 3, 4, 5, 6, 7, 8, 9, 125, 126, 127, 130] {
        assert!(codes.contains(&format!(".TP\n\\fB{code}\\fR\n")), "{code} lacks");
    }
    // groff finds nothing to complain about.
    for page in fs::read_dir(folder.join("man1")).unwrap() {
        let page = page.unwrap().path();
        let output = Command::new("groff").args(["-man", "-Tutf8", "-ww", "-z"]).arg(&page).output();
        let output = output.expect("groff is not installed; tests/run installs it");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{}", page.display());
    }
}
