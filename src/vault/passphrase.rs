//! Where the passphrase of the file vault comes from: a file, a file descriptor, or a person.
//!
//! Knows nothing about the vault but its path. Never the environment: a child would inherit it, and `/proc` show it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::VaultError;
use super::file::read_private;
use crate::attendant::{Attendant, Echo, Question, Unattended};

/// How long a person has for a passphrase, and whoever writes into a pipe.
const ANSWER: Duration = Duration::from_secs(60);

/// More than the longest passphrase: the buffer must not grow, since growing leaves copies.
const LONGEST: usize = 4096;

/// Where the passphrase comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PassphraseSource {
    /// An open file descriptor, read once to its end.
    Descriptor(u32),
    /// A file that only its owner may read.
    File(PathBuf),
    /// Whoever sits at the terminal.
    #[default]
    Person,
}

/// What the passphrase is for; a new one is asked for twice, since a slip of the finger would lock its owner out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Create,
    Open,
}

impl PassphraseSource {
    /// The passphrase of the vault at `vault`. Blocks until `deadline`, and 60 s at the longest for each question.
    pub(super) fn obtain(
        &self,
        wanted: Use,
        vault: &Path,
        attendant: &dyn Attendant,
        deadline: Option<Instant>,
    ) -> Result<SecretString, VaultError> {
        let until = || {
            let now = Instant::now();
            let own = now.checked_add(ANSWER).unwrap_or(now);
            deadline.map_or(own, |deadline| deadline.min(own))
        };
        match self {
            Self::Descriptor(number) => {
                let bytes = descriptor(*number, until())?;
                line(&bytes).ok_or_else(|| {
                    VaultError::Locked(format!("the file descriptor {number} holds no passphrase"))
                })
            }
            Self::File(path) => {
                let bytes = read_private(path)?.ok_or_else(|| {
                    VaultError::Locked(format!("there is no passphrase file {}", path.display()))
                })?;
                line(&bytes)
                    .ok_or_else(|| VaultError::Locked(format!("{} holds no passphrase", path.display())))
            }
            Self::Person => {
                let ask = |prompt: String| {
                    attendant.ask(Question { prompt, echo: Echo::Hidden, deadline: until() })
                };
                person(wanted, vault, ask)
            }
        }
    }
}

fn person(
    wanted: Use,
    vault: &Path,
    ask: impl Fn(String) -> Result<SecretString, Unattended>,
) -> Result<SecretString, VaultError> {
    let given = ask(match wanted {
        Use::Create => format!("New passphrase for the vault {}", vault.display()),
        Use::Open => format!("Passphrase of the vault {}", vault.display()),
    })?;
    if given.expose_secret().is_empty() {
        return Err(VaultError::Locked("no passphrase was given".into()));
    }
    if wanted == Use::Create
        && ask("The same passphrase again".into())?.expose_secret() != given.expose_secret()
    {
        return Err(VaultError::Locked("the two passphrases differ".into()));
    }
    Ok(given)
}

/// All that an inherited descriptor gives, on a thread that is left behind: nobody may ever close the pipe's other end.
fn descriptor(number: u32, deadline: Instant) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let refused = |error: io::Error| {
        let place = format!("from the file descriptor {number}");
        VaultError::Locked(format!("the passphrase cannot be read {place}: {error}"))
    };
    let (send, read) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let _ = send.send(drain(number));
    });
    match read.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(bytes) => bytes.map_err(refused),
        Err(_) => Err(Unattended::TimedOut.into()),
    }
}

// Opened anew by its name, since to adopt a number is `unsafe`. A pipe and a terminal give the same; a file, all of it.
fn drain(number: u32) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; LONGEST]);
    let mut filled: usize = 0;
    let mut file = File::open(format!("/dev/fd/{number}"))?;
    while let Some(free) = bytes.get_mut(filled..).filter(|free| !free.is_empty()) {
        match file.read(free) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The passphrase in a file's bytes: UTF-8, less one newline at its end; `None` if nothing is left.
fn line(bytes: &[u8]) -> Option<SecretString> {
    let text = str::from_utf8(bytes).ok()?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    (!text.is_empty()).then(|| text.into())
}
