//! The operating system's keychain.
//!
//! Knows which call to make and how long to wait for it; knows nothing about what is stored.
//! Source: keyring 4.2 and keyring-core 1.0, and trials with gnome-keyring, a silent bus and no bus (docs/adr).

use std::collections::HashMap;
use std::env;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretSlice};
use zeroize::Zeroizing;

use super::unlocked::unlocked;
use super::{Entry, Vault, VaultError};
use crate::attendant::{NO_PROMPT, Unattended};

mod pieces;
#[cfg_attr(any(not(unix), target_os = "macos"), path = "keychain/state_absent.rs")]
mod state;
mod window;

use pieces::Cells;
use state::State;
use window::Window;

/// The service under which every entry is stored; the account is the entry's own text form.
const SERVICE: &str = "onetap";

/// The longest value that one entry takes: Windows' limit (wincred.h, `CRED_MAX_CREDENTIAL_BLOB_SIZE`); the others have
/// none that matters.
const LONGEST: usize = if cfg!(windows) { 2_560 } else { usize::MAX };

/// How long to wait where nobody could be asked: a call takes 15 to 17 ms, and a silent bus hangs for ever.
const WITHOUT_PROMPT: Duration = Duration::from_millis(1_500);

/// How long to wait where the desktop may be asking for the keychain's password.
const WITH_PROMPT: Duration = Duration::from_secs(60);

/// Secret Service on Linux, Keychain on macOS, Credential Manager on Windows. Making one touches nothing.
#[derive(Clone, Debug)]
pub struct Keychain {
    patience: Duration,
    may_ask: bool,
    deadline: Option<Instant>,
    window: Option<Arc<Window>>,
}

impl Keychain {
    /// The keychain of whoever runs this. A call blocks 60 s at the longest where a desktop may ask for a password,
    /// else 1.5 s.
    pub fn new() -> Self {
        // Prompts of the Secret Service appear on a display; macOS and Windows bring their own.
        let prompts = cfg!(any(target_os = "macos", windows))
            || ["DISPLAY", "WAYLAND_DISPLAY"]
                .iter()
                .any(|name| env::var_os(name).is_some_and(|v| !v.is_empty()));
        let patience = if prompts { WITH_PROMPT } else { WITHOUT_PROMPT };
        Self { patience, may_ask: true, deadline: None, window: None }
    }

    /// The same where nobody may be asked: a locked Secret Service stays locked, and no window opens. A call blocks
    /// 1.5 s at the longest.
    pub fn undisturbed() -> Self {
        Self { patience: WITHOUT_PROMPT, may_ask: false, deadline: None, window: None }
    }

    /// The same, which waits for a person until `deadline` at the longest.
    #[must_use]
    pub fn until(self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// The same, where of all processes that name this folder one at a time has the desktop ask for the password, and whoever
    /// waits meanwhile takes the answer, a refusal too. Makes nothing before the keychain is found locked.
    #[must_use]
    pub fn in_turn(self, folder: &Path) -> Self {
        Self { window: Some(Arc::new(Window::of(folder))), ..self }
    }
}

impl Keychain {
    /// Whether an entry that is said not to be there can be believed not to be: KeePassXC and oo7 hide what is locked.
    fn believed(&self) -> Result<(), VaultError> {
        match within(self.patience, || Ok(state::state()))? {
            State::Locked => Err(VaultError::Locked("a collection of the keychain is locked".into())),
            State::None | State::Open | State::Silent => Ok(()),
        }
    }

    /// The accounts of all entries of ours.
    pub fn names(&self) -> Result<Vec<String>, VaultError> {
        within(self.patience, || {
            let found = match keyring::Entry::store_status() {
                Ok(()) => {
                    // Windows' store knows no attributes, only a pattern over names.
                    let (key, wanted) =
                        if cfg!(windows) { ("pattern", "onetap") } else { ("service", SERVICE) };
                    keyring_core::Entry::search(&HashMap::from([(key, wanted)]))
                }
                Err(_) => Err(keyring::Error::NoDefaultStore),
            };
            let entries = outcome("all of onetap's", found)?.unwrap_or_default();
            // A list that lacks one would be worse than none.
            let unnamed = || VaultError::Locked("the keychain does not tell what it holds".into());
            let named = entries.iter().map(|entry| entry.get_specifiers().ok_or_else(unnamed));
            let ours = named.filter_map(|named| match named {
                Ok((service, account)) => {
                    (service == SERVICE && !pieces::is_piece(&account)).then_some(Ok(account))
                }
                Err(locked) => Some(Err(locked)),
            });
            ours.collect()
        })
    }
}

impl Default for Keychain {
    fn default() -> Self {
        Self::new()
    }
}

impl Vault for Keychain {
    fn read(&self, entry: &Entry) -> Result<Option<SecretSlice<u8>>, VaultError> {
        match pieces::read(self, &entry.to_string())? {
            None => self.believed().map(|()| None),
            found => Ok(found),
        }
    }

    fn write(&self, entry: &Entry, value: &SecretSlice<u8>) -> Result<(), VaultError> {
        let account = entry.to_string();
        match LONGEST {
            usize::MAX => self.set(&account, value.expose_secret()),
            limit => pieces::write(self, &account, value.expose_secret(), limit),
        }
    }

    fn remove(&self, entry: &Entry) -> Result<(), VaultError> {
        let account = entry.to_string();
        match LONGEST {
            usize::MAX => match self.ask(&account, |entry| entry.delete_credential())? {
                None => self.believed(),
                Some(()) => Ok(()),
            },
            _ => pieces::remove(self, &account),
        }
    }
}

impl Cells for Keychain {
    fn get(&self, account: &str) -> Result<Option<SecretSlice<u8>>, VaultError> {
        self.ask(account, |entry| {
            let bytes = Zeroizing::new(entry.get_secret()?);
            Ok(SecretSlice::from(bytes.to_vec()))
        })
    }

    fn set(&self, account: &str, value: &[u8]) -> Result<(), VaultError> {
        let value = SecretSlice::from(value.to_vec());
        match self.ask(account, move |entry| entry.set_secret(value.expose_secret()))? {
            Some(()) => Ok(()),
            None => Err(VaultError::NoKeychain("it has no default collection to store into".into())),
        }
    }

    fn delete(&self, account: &str) -> Result<(), VaultError> {
        self.ask(account, |entry| entry.delete_credential()).map(|_| ())
    }
}

impl Keychain {
    /// How long the next call may take. Whoever is late still gets what an open keychain needs.
    fn patience(&self) -> Duration {
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        self.patience.min(self.deadline.map_or(self.patience, left)).max(WITHOUT_PROMPT)
    }

    /// Makes one call on a thread of its own. The thread is never joined: a keychain whose daemon died in the middle of
    /// a call does not answer, and cannot be told to stop.
    fn ask<T: Send + 'static>(
        &self,
        account: &str,
        call: impl FnOnce(&keyring::Entry) -> keyring::Result<T> + Send + 'static,
    ) -> Result<Option<T>, VaultError> {
        let (account, may_ask) = (account.to_owned(), self.may_ask);
        if let Some(window) = self.window.as_ref().filter(|_| self.patience > WITHOUT_PROMPT) {
            window.pass(SERVICE, Instant::now() + self.patience())?;
        }
        within(self.patience(), move || {
            if !may_ask && unlocked(SERVICE, WITHOUT_PROMPT) == Some(false) {
                return Err(Unattended::Nobody(NO_PROMPT.into()).into());
            }
            outcome(&account, keyring::Entry::new(SERVICE, &account).and_then(|entry| call(&entry)))
        })
    }
}

pub(super) fn within<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> Result<T, VaultError> + Send + 'static,
) -> Result<T, VaultError> {
    let (answer, answered) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("keychain".into())
        .spawn(move || {
            let _ = answer.send(work()); // Nobody listens any more once the wait is over.
        })
        .map_err(|error| VaultError::Other(error.to_string()))?;
    match answered.recv_timeout(patience) {
        Ok(outcome) => outcome,
        Err(RecvTimeoutError::Timeout) => Err(VaultError::TimedOut),
        Err(RecvTimeoutError::Disconnected) => Err(VaultError::Other("the keychain's client failed".into())),
    }
}

/// What a store's answer means. Its errors are never formatted with `{:?}`: two of them hold the secret's bytes.
fn outcome<T>(account: &str, answer: keyring::Result<T>) -> Result<Option<T>, VaultError> {
    use keyring::Error;
    let damaged =
        |reason: &str| VaultError::Damaged { place: format!("entry {account:?}"), reason: reason.into() };
    match answer {
        Ok(value) => Ok(Some(value)),
        // A locked KeePassXC or oo7 says this too though the entry exists: see `believed`.
        Err(Error::NoEntry) => Ok(None),
        // Two states in one answer: a locked collection, and none yet because nobody logged in on a desktop.
        Err(Error::NoStorageAccess(cause)) => {
            Err(VaultError::Locked(format!("the keychain opens no collection ({cause})")))
        }
        Err(Error::NoDefaultStore) => Err(VaultError::NoKeychain(why_none())),
        Err(Error::PlatformFailure(cause)) => Err(VaultError::Other(cause.to_string())),
        Err(Error::BadEncoding(_) | Error::BadDataFormat(..)) => Err(damaged("its bytes make no sense")),
        Err(Error::BadStoreFormat(_)) => Err(damaged("the keychain itself makes no sense")),
        Err(Error::Ambiguous(entries)) => Err(damaged(&format!("it is there {} times", entries.len()))),
        Err(Error::TooLong(what, limit)) => {
            Err(VaultError::Other(format!("the keychain takes {limit} bytes at most for the {what}")))
        }
        Err(Error::Invalid(what, reason)) => Err(VaultError::Other(format!("{what}: {reason}"))),
        Err(_) => Err(VaultError::Other("the keychain does not support this".into())),
    }
}

fn why_none() -> String {
    use keyring::Error::{NoStorageAccess, PlatformFailure};
    match keyring::Entry::store_status() {
        Err(PlatformFailure(cause) | NoStorageAccess(cause)) => cause.to_string(),
        _ => "this system has none that onetap knows".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(error: keyring::Error) -> String {
        format!("{:?}", outcome::<()>("seed:doug", Err(error)).unwrap_err())
    }

    #[test]
    fn an_error_that_holds_bytes_does_not_show_them() {
        let bytes = b"JBSWY3DP".to_vec();
        for text in [
            failed(keyring::Error::BadEncoding(bytes.clone())),
            failed(keyring::Error::BadDataFormat(bytes.clone(), "odd".into())),
        ] {
            assert!(text.starts_with("Damaged"), "{text}");
            assert!(!text.contains("JBSWY3DP") && !text.contains("74, 66"), "{text}");
        }
    }

    #[test]
    fn each_failure_keeps_its_cause() {
        assert_eq!(outcome::<()>("seed:doug", Err(keyring::Error::NoEntry)), Ok(None));
        let locked = failed(keyring::Error::NoStorageAccess("prompt dismissed".into()));
        assert_eq!(locked, r#"Locked("the keychain opens no collection (prompt dismissed)")"#);
        assert_eq!(failed(keyring::Error::PlatformFailure("NoSession".into())), r#"Other("NoSession")"#);
    }

    #[test]
    fn a_keychain_that_is_silent_or_dies_is_not_waited_for() {
        let (hold, held) = mpsc::channel::<()>();
        let silent = within(Duration::from_millis(10), move || {
            let _ = held.recv();
            Ok(())
        });
        assert_eq!(silent, Err(VaultError::TimedOut));
        drop(hold);
    }
}
