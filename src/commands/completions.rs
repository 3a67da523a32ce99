//! `onetap completions`: the scripts for the shells; and what they ask, `onetap complete`.
//!
//! Between a script and the binary stands a protocol of our own, so that a script that was kept goes on working: the words
//! before the cursor, the last with `=` in front (PowerShell drops an empty word); back comes a line for each candidate,
//! with a tab before its description. Asks for no touch and no passphrase, and waits for a card for 300 ms at the longest.
//! Source: clap_complete's engine (`docs/adr/completions.md`).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Command, CommandFactory as _};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate, complete};

use crate::card::Reader;
use crate::cli::{Cli, Shell};
use crate::error::Error;
use crate::profiles::Profiles;

use super::token::glance;
use super::{Context, print};

/// How long a person at the Tab key waits for a card.
const PATIENCE: Duration = Duration::from_millis(300);

/// The script for a shell.
pub(super) fn script(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("completions/onetap.bash"),
        Shell::Fish => include_str!("completions/onetap.fish"),
        Shell::Powershell => include_str!("completions/onetap.ps1"),
        Shell::Zsh => include_str!("completions/onetap.zsh"),
    }
}

pub(super) fn run(shell: Shell) -> Result<(), Error> {
    print(script(shell).as_bytes())
}

/// Answers a script: the candidates for the last word. Whatever goes wrong is no candidate: nobody can be told.
pub(super) fn answer(context: &Context, mut words: Vec<OsString>) -> Result<(), Error> {
    let marked = words.pop().unwrap_or_default();
    let Some(current) = marked.to_str().and_then(|word| word.strip_prefix('=')) else { return Ok(()) };
    let known = Arc::new(Known::new(context, &words));
    words.push(current.into());
    let last = words.len().saturating_sub(1);
    let mut command = with_candidates(Cli::command(), &known);
    let folder = std::env::current_dir().ok();
    let mut found = complete(&mut command, words, last, folder.as_deref()).unwrap_or_default();
    // Options are offered to those who begin one, and where there is nothing else.
    let option = |found: &CompletionCandidate| found.get_value().to_string_lossy().starts_with('-');
    if !current.starts_with('-') && !found.iter().all(option) {
        found.retain(|found| !option(found));
    }
    let mut text = String::new();
    for candidate in &found {
        let Some(value) = candidate.get_value().to_str().filter(|value| !value.contains(char::is_control))
        else {
            continue;
        };
        text.push_str(value);
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        if let Some(help) = help.lines().next() {
            text.push('\t');
            text.extend(help.chars().filter(|c| !c.is_control()));
        }
        text.push('\n');
    }
    print(text.as_bytes())
}

/// The whole command line, with what is known here for its values.
fn with_candidates(command: Command, known: &Arc<Known>) -> Command {
    let command = command.mut_args(|argument| {
        let known = known.clone();
        let candidates = match argument.get_id().as_str() {
            "account" | "name" | "old" => ArgValueCandidates::new(move || known.accounts()),
            "code" => ArgValueCandidates::new(|| fixed(&["yubikey", "software", "prompt"])),
            "mfa_serial" => ArgValueCandidates::new(move || known.values("mfa_serial")),
            "profile" => ArgValueCandidates::new(move || known.profiles()),
            "reader" => ArgValueCandidates::new(|| fixed(&["pcsc", "pcsc:", "mock:"])),
            "region" => ArgValueCandidates::new(move || known.values("region")),
            "token" => ArgValueCandidates::new(move || known.serials()),
            "vault" => ArgValueCandidates::new(|| fixed(&["keychain", "file"])),
            _ => return argument,
        };
        argument.add(candidates)
    });
    command.mut_subcommands(|verb| with_candidates(verb, known))
}

fn fixed(values: &[&'static str]) -> Vec<CompletionCandidate> {
    values.iter().map(|value| CompletionCandidate::new(*value)).collect()
}

/// What is known on this machine without asking a person.
struct Known {
    profiles: Option<Profiles>,
    reader: Reader,
    keys: OnceLock<Vec<Key>>,
}

/// A key that answered in time.
struct Key {
    serial: Option<String>,
    accounts: Vec<String>,
}

impl Known {
    /// Of the words before the cursor, `--reader` counts.
    fn new(context: &Context, words: &[OsString]) -> Self {
        let words: Vec<_> = words.iter().filter_map(|word| word.to_str()).collect();
        let apart = words.windows(2).find_map(|two| match two {
            ["--reader", value] => Some(*value),
            _ => None,
        });
        let named = apart.or_else(|| words.iter().find_map(|word| word.strip_prefix("--reader=")));
        let reader = named.and_then(|text| text.parse().ok()).unwrap_or_else(|| context.any_reader());
        Self { profiles: context.profiles().ok(), reader, keys: OnceLock::new() }
    }

    fn profiles(&self) -> Vec<CompletionCandidate> {
        let Some(profiles) = &self.profiles else { return vec![] };
        let helped = profiles.names().map(|name| {
            let value = |key| profiles.profile(name)?.value(key);
            let help = value("mfa_serial").or_else(|| value("role_arn")).or_else(|| value("region"));
            (name.to_owned(), help.unwrap_or_default().to_owned())
        });
        candidates(helped.collect())
    }

    /// The values of a key in all profiles, with the names of these.
    fn values(&self, key: &str) -> Vec<CompletionCandidate> {
        candidates(self.in_profiles(key))
    }

    fn in_profiles(&self, key: &str) -> BTreeMap<String, String> {
        let mut found = BTreeMap::<String, String>::new();
        let Some(profiles) = &self.profiles else { return found };
        let mut names: Vec<_> = profiles.names().collect();
        names.sort_unstable();
        for name in names {
            let Some(value) = profiles.profile(name).and_then(|profile| profile.value(key)) else { continue };
            let help = found.entry(value.into()).or_default();
            if !help.is_empty() {
                help.push_str(", ");
            }
            help.push_str(name);
        }
        found
    }

    /// The accounts on the keys that are there, and those that profiles name.
    fn accounts(&self) -> Vec<CompletionCandidate> {
        let mut found = self.in_profiles("mfa_serial");
        found.extend(self.in_profiles("onetap_account"));
        for key in self.keys() {
            let place =
                key.serial.as_ref().map_or("on the key".into(), |serial| format!("on the key {serial}"));
            found.extend(key.accounts.iter().map(|account| (account.clone(), place.clone())));
        }
        candidates(found)
    }

    fn serials(&self) -> Vec<CompletionCandidate> {
        let mut found = self.in_profiles("onetap_token");
        let there = |key: &Key| Some((key.serial.clone()?, "plugged in".to_owned()));
        found.extend(self.keys().iter().filter_map(there));
        candidates(found)
    }

    /// SELECT and LIST, which need no touch; a key with a password tells nothing. What takes longer than [`PATIENCE`] is left
    /// to its thread, which ends with the process.
    fn keys(&self) -> &[Key] {
        self.keys.get_or_init(|| {
            let (reader, (found, answer)) = (self.reader.clone(), mpsc::channel());
            let deadline = Instant::now() + PATIENCE;
            let asking = thread::Builder::new().name("keys".into()).spawn(move || {
                let there = reader.each(deadline, glance).unwrap_or_default();
                let key = |key: crate::card::Present<_, _>| Key {
                    serial: key.serial.map(|serial| serial.to_string()),
                    accounts: seen(key.seen),
                };
                let _ = found.send(there.into_iter().map(key).collect::<Vec<_>>());
            });
            match asking {
                Ok(_) => answer.recv_timeout(PATIENCE).unwrap_or_default(),
                Err(_) => vec![],
            }
        })
    }
}

fn seen(looked: Result<super::token::Glance, crate::code::CodeError>) -> Vec<String> {
    let accounts = looked.ok().and_then(|glance| glance.accounts).unwrap_or_default();
    accounts.into_iter().map(|account| account.id).collect()
}

/// Values with their descriptions, in order.
fn candidates(found: BTreeMap<String, String>) -> Vec<CompletionCandidate> {
    let candidate = |(value, help): (String, String)| {
        CompletionCandidate::new(value).help((!help.is_empty()).then(|| help.into()))
    };
    found.into_iter().map(candidate).collect()
}
