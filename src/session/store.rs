//! The kept sessions: one sealed file, whose key rests in the vault.
//!
//! Knows where the key is looked for and in which order; knows nothing about which session is wanted. Reading with
//! the key in the kernel's keyring starts no thread, opens no socket and wakes no D-Bus: every cached call does it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::seal::{self, StoreId};
use super::{Session, SessionKey};
use crate::files::{self, Lock, Private};
use crate::vault::{Entry, Vault, VaultError, kernel};

/// How long the sealing key rests in the kernel's keyring: a working day, and GetSessionToken's default duration
/// (STS API reference). Each new session renews it.
const AT_HAND: Duration = Duration::from_secs(43_200);

/// How long a writer waits for others: a write takes milliseconds, and the session is handed over without it too.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is kept.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// The access key id of each profile, so that a cached call needs no vault to know its session's key.
    pub access_keys: BTreeMap<String, String>,
    /// The sessions, by what they were asked for.
    pub sessions: BTreeMap<SessionKey, Session>,
}

/// Why nothing could be read or kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Others held the lock all the while.
    #[error("another process holds {path} and does not let go")]
    Busy {
        /// The lock file.
        path: PathBuf,
    },
    /// What is there does not open or makes no sense; to its reader nothing is kept, and the next update starts over.
    #[error("the kept sessions in {path} are lost: {reason}")]
    Damaged {
        /// The store's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system refused.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// The vault with the key did not serve.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// One file of sessions. Making one touches nothing.
#[derive(Clone)]
pub struct SessionStore {
    path: PathBuf,
    vault: Arc<dyn Vault>,
}

impl fmt::Debug for SessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionStore").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A file that opened.
struct Opened {
    id: StoreId,
    key: SecretSlice<u8>,
    kept: Kept,
}

impl SessionStore {
    /// The store in the file `path`, whose key is in `vault`.
    pub fn new(path: impl Into<PathBuf>, vault: Arc<dyn Vault>) -> Self {
        Self { path: path.into(), vault }
    }

    /// What is kept, expired or not; nothing if there is no file. Takes no lock: the file is replaced whole.
    /// Blocks only if the key is not in the kernel's keyring, as long as the vault does.
    pub fn read(&self) -> Result<Kept, StoreError> {
        Ok(self.open()?.map(|opened| opened.kept).unwrap_or_default())
    }

    /// Rewrites what is kept with what `change` makes of it, less the sessions that are over at `now`.
    /// A damaged file is started over. Blocks for 5 s at the longest, and as long as the vault does.
    pub fn update(&self, change: impl FnOnce(&mut Kept), now: SystemTime) -> Result<(), StoreError> {
        let lock = beside(&self.path);
        let _held = Lock::take(&lock, Instant::now() + PATIENCE).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => StoreError::Busy { path: lock.clone() },
            _ => failed(&lock, &error),
        })?;
        let opened = match self.open() {
            Ok(opened) => opened,
            Err(StoreError::Damaged { .. }) => None,
            Err(error) => return Err(error),
        };
        let existing = opened.is_some() || self.path.exists();
        let (place, mut kept) = match opened {
            Some(Opened { id, key, kept }) => (Some((id, key)), kept),
            None => (None, Kept::default()),
        };
        change(&mut kept);
        kept.sessions.retain(|_, session| session.expiration > now);
        if !existing && kept.sessions.is_empty() && kept.access_keys.is_empty() {
            return Ok(()); // Nothing to keep is no reason to make a key.
        }
        let (id, key) = place.map_or_else(|| self.begin(), Ok)?;
        let sealed = seal::seal(id, text(&kept).ok_or_else(|| self.no_random())?, &key)
            .ok_or_else(|| self.no_random())?;
        files::write_whole(&self.path, &sealed, Private::OwnerOnly)
            .map_err(|error| failed(&self.path, &error))?;
        kernel::write(&id.kernel_name(), &key, AT_HAND);
        Ok(())
    }

    fn open(&self) -> Result<Option<Opened>, StoreError> {
        let sealed = match fs::read(&self.path) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&self.path, &error)),
        };
        let id = StoreId::of(&sealed).ok_or_else(|| self.damaged("it is not a file of this onetap's"))?;
        let at_hand = kernel::read(&id.kernel_name());
        if let Some(key) = at_hand
            && let Some(plain) = seal::open(&sealed, &key)
        {
            return Ok(Some(Opened { id, key, kept: self.parse(&plain)? }));
        }
        let key = self
            .vault
            .read(&Entry::SealingKey)?
            .ok_or_else(|| self.damaged("the vault does not hold their key"))?;
        let plain = seal::open(&sealed, &key)
            .ok_or_else(|| self.damaged("the file was changed or has another key"))?;
        let kept = self.parse(&plain)?;
        kernel::write(&id.kernel_name(), &key, AT_HAND);
        Ok(Some(Opened { id, key, kept }))
    }

    /// A new store's name, and the vault's key, which is made if it lacks.
    fn begin(&self) -> Result<(StoreId, SecretSlice<u8>), StoreError> {
        let id = StoreId::fresh().map_err(|_| self.no_random())?;
        if let Some(key) = self.vault.read(&Entry::SealingKey)?
            && key.expose_secret().len() == seal::KEY
        {
            return Ok((id, key));
        }
        let key = seal::fresh_key().map_err(|_| self.no_random())?;
        self.vault.write(&Entry::SealingKey, &key)?;
        Ok((id, key))
    }

    fn parse(&self, plain: &[u8]) -> Result<Kept, StoreError> {
        parse(plain).ok_or_else(|| self.damaged("the content is not what this onetap writes"))
    }

    fn damaged(&self, reason: &str) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), reason: reason.into() }
    }

    fn no_random(&self) -> StoreError {
        StoreError::File {
            path: self.path.clone(),
            reason: "the system gives no random bytes to seal it".into(),
        }
    }
}

/// What the store in the file `path` keeps, if its key is in the kernel's keyring: no vault is asked, and whatever stands in
/// the way is absence. For those who have a millisecond and nobody to tell.
pub fn at_hand(path: &Path) -> Option<Kept> {
    let sealed = fs::read(path).ok()?;
    let key = kernel::read(&StoreId::of(&sealed)?.kernel_name())?;
    parse(&seal::open(&sealed, &key)?)
}

/// The lock's own file: the store's name and `.lock`. The store itself is replaced, and a lock on it would go too.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn failed(path: &Path, error: &io::Error) -> StoreError {
    StoreError::File { path: path.into(), reason: error.to_string() }
}

/// The sealed JSON. Secrets are borrowed from the buffer, which is wiped; times are whole seconds since the epoch,
/// as AWS gives them.
#[derive(Deserialize, Serialize)]
struct Written<'a> {
    access_keys: Cow<'a, BTreeMap<String, String>>,
    #[serde(borrow)]
    sessions: Vec<WrittenSession<'a>>,
}

#[derive(Deserialize, Serialize)]
struct WrittenSession<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    access_key_id: Cow<'a, str>,
    #[serde(borrow)]
    secret_access_key: Cow<'a, str>,
    #[serde(borrow)]
    session_token: Cow<'a, str>,
    expiration: u64,
    minted: u64,
    /// The part of a second in `minted`: whoever asks for a new session may do so within the second of the old one.
    #[serde(default)]
    minted_millis: u32,
    #[serde(default)]
    authenticated: Option<u64>,
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn text(kept: &Kept) -> Option<Zeroizing<Vec<u8>>> {
    let sessions: Vec<_> = kept
        .sessions
        .iter()
        .map(|(key, session)| WrittenSession {
            key: key.as_str().into(),
            access_key_id: session.access_key_id.as_str().into(),
            secret_access_key: session.secret_access_key.expose_secret().into(),
            session_token: session.session_token.expose_secret().into(),
            expiration: seconds(session.expiration),
            minted: seconds(session.minted),
            minted_millis: session.minted.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_millis(),
            authenticated: session.authenticated.map(seconds),
        })
        .collect();
    // Room for the longest text that JSON can make of them (six bytes for one), so that the buffer never grows and
    // leaves no copy behind.
    let keys = kept.access_keys.iter().map(|(profile, id)| 6 * (profile.len() + id.len()) + 8);
    let lives = sessions.iter().map(|s| {
        6 * (s.key.len() + s.access_key_id.len() + s.secret_access_key.len() + s.session_token.len()) + 240
    });
    let room = 64 + keys.sum::<usize>() + lives.sum::<usize>() + seal::GROWTH;
    let mut text = Zeroizing::new(Vec::with_capacity(room));
    let written = Written { access_keys: Cow::Borrowed(&kept.access_keys), sessions };
    serde_json::to_writer(&mut *text, &written).ok()?;
    Some(text)
}

fn parse(plain: &[u8]) -> Option<Kept> {
    let written: Written<'_> = serde_json::from_slice(plain).ok()?;
    let time = |seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    let session = |s: WrittenSession<'_>| {
        let session = Session {
            access_key_id: s.access_key_id.into_owned(),
            secret_access_key: SecretString::from(&*s.secret_access_key),
            session_token: SecretString::from(&*s.session_token),
            expiration: time(s.expiration)?,
            minted: time(s.minted)?.checked_add(Duration::from_millis(s.minted_millis.into()))?,
            authenticated: s.authenticated.map(time).map_or(Some(None), |time| time.map(Some))?,
        };
        Some((SessionKey::from(s.key.into_owned()), session))
    };
    let sessions = written.sessions.into_iter().map(session).collect::<Option<_>>()?;
    Some(Kept { access_keys: written.access_keys.into_owned(), sessions })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A vault in memory that counts how often it was asked.
    #[derive(Default)]
    struct Memory {
        asked: AtomicUsize,
        held: Mutex<BTreeMap<Entry, Vec<u8>>>,
        locked: bool,
    }

    impl fmt::Debug for Memory {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Memory")
        }
    }

    impl Vault for Memory {
        fn read(&self, entry: &Entry) -> Result<Option<SecretSlice<u8>>, VaultError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.locked {
                return Err(VaultError::Locked("no prompt".into()));
            }
            Ok(self.held.lock().unwrap().get(entry).map(|bytes| SecretSlice::from(bytes.clone())))
        }
        fn write(&self, entry: &Entry, value: &SecretSlice<u8>) -> Result<(), VaultError> {
            if self.locked {
                return Err(VaultError::Locked("no prompt".into()));
            }
            self.held.lock().unwrap().insert(entry.clone(), value.expose_secret().to_vec());
            Ok(())
        }
        fn remove(&self, entry: &Entry) -> Result<(), VaultError> {
            self.held.lock().unwrap().remove(entry);
            Ok(())
        }
    }

    /// A home whose key is taken out of the kernel's keyring at the end.
    struct Home {
        _folder: tempfile::TempDir,
        path: PathBuf,
        vault: Arc<Memory>,
    }

    impl Home {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("cache/sessions");
            Self { _folder: folder, path, vault: Arc::default() }
        }
        fn store(&self) -> SessionStore {
            SessionStore::new(&self.path, self.vault.clone())
        }
        fn forget_in_kernel(&self) {
            if let Some(id) = fs::read(&self.path).ok().and_then(|sealed| StoreId::of(&sealed)) {
                kernel::remove(&id.kernel_name());
            }
        }
        fn asked(&self) -> usize {
            self.vault.asked.load(Ordering::Relaxed)
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            self.forget_in_kernel();
        }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn session(end: u64) -> Session {
        Session {
            access_key_id: "ASIAEXAMPLE".into(),
            secret_access_key: "wJalr/EXAMPLE+KEY".into(),
            session_token: "FwoGZXIvYXdzE//EXAMPLE==".into(),
            expiration: at(end),
            minted: at(1_000),
            authenticated: None,
        }
    }

    fn key(name: &str) -> SessionKey {
        SessionKey::mfa("AKIAEXAMPLE", name, "aws", None)
    }

    fn keep(store: &SessionStore, name: &str, end: u64) -> Result<(), StoreError> {
        store.update(
            |kept| {
                kept.access_keys.insert("doug".into(), "AKIAEXAMPLE".into());
                kept.sessions.insert(key(name), session(end));
            },
            at(2_000),
        )
    }

    #[test]
    fn what_is_kept_is_read_again_and_is_nowhere_in_the_file() {
        let home = Home::new();
        keep(&home.store(), "a", 9_000).unwrap();
        let kept = home.store().read().unwrap();
        assert_eq!(kept.access_keys["doug"], "AKIAEXAMPLE");
        let found = &kept.sessions[&key("a")];
        assert_eq!(found.secret_access_key.expose_secret(), "wJalr/EXAMPLE+KEY");
        assert_eq!(found.session_token.expose_secret(), "FwoGZXIvYXdzE//EXAMPLE==");
        assert_eq!((found.expiration, found.minted), (at(9_000), at(1_000)));
        let file = fs::read(&home.path).unwrap();
        for word in ["EXAMPLE", "doug", "ASIA"] {
            assert!(!file.windows(word.len()).any(|part| part == word.as_bytes()), "{word}");
        }
    }

    #[test]
    fn a_missing_file_keeps_nothing_and_asks_no_vault() {
        let home = Home::new();
        let kept = home.store().read().unwrap();
        assert!(kept.sessions.is_empty() && kept.access_keys.is_empty());
        home.store().update(|kept| kept.sessions.clear(), at(0)).unwrap();
        assert!(!home.path.exists());
        assert_eq!(home.asked(), 0);
    }

    #[test]
    fn the_vault_is_asked_only_while_the_kernel_does_not_hold_the_key() {
        let home = Home::new();
        keep(&home.store(), "a", 9_000).unwrap();
        let asked = home.asked();
        home.store().read().unwrap();
        keep(&home.store(), "b", 9_000).unwrap();
        assert_eq!(home.asked(), asked, "no kernel keyring here");
        home.forget_in_kernel();
        home.store().read().unwrap();
        home.store().read().unwrap();
        assert_eq!(home.asked(), asked + 1);
    }

    #[test]
    fn a_wrong_key_in_the_kernel_does_not_hide_the_right_one_in_the_vault() {
        let home = Home::new();
        keep(&home.store(), "a", 9_000).unwrap();
        let id = StoreId::of(&fs::read(&home.path).unwrap()).unwrap();
        assert!(kernel::write(&id.kernel_name(), &SecretSlice::from(vec![1; 32]), AT_HAND));
        assert_eq!(home.store().read().unwrap().sessions.len(), 1);
    }

    #[test]
    fn sessions_that_are_over_are_pruned_by_the_next_update() {
        let home = Home::new();
        keep(&home.store(), "short", 2_001).unwrap();
        keep(&home.store(), "long", 9_000).unwrap();
        assert_eq!(home.store().read().unwrap().sessions.len(), 2);
        home.store().update(|_| (), at(2_001)).unwrap();
        assert_eq!(home.store().read().unwrap().sessions.into_keys().collect::<Vec<_>>(), [key("long")]);
    }

    #[test]
    fn a_damaged_file_is_an_error_to_its_reader_and_started_over_by_its_writer() {
        let home = Home::new();
        keep(&home.store(), "a", 9_000).unwrap();
        home.forget_in_kernel();
        let whole = fs::read(&home.path).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for damage in [&b""[..], b"{}", &whole[..whole.len() - 1], &flipped] {
            fs::write(&home.path, damage).unwrap();
            let refused = home.store().read();
            assert!(matches!(refused, Err(StoreError::Damaged { .. })), "{refused:?}");
        }
        keep(&home.store(), "b", 9_000).unwrap();
        assert_eq!(home.store().read().unwrap().sessions.into_keys().collect::<Vec<_>>(), [key("b")]);
    }

    #[test]
    fn a_key_that_is_gone_from_the_vault_is_damage_and_is_made_anew() {
        let home = Home::new();
        keep(&home.store(), "a", 9_000).unwrap();
        home.forget_in_kernel();
        home.vault.remove(&Entry::SealingKey).unwrap();
        assert!(matches!(home.store().read(), Err(StoreError::Damaged { .. })));
        keep(&home.store(), "b", 9_000).unwrap();
        assert_eq!(home.store().read().unwrap().sessions.len(), 1);
    }

    #[test]
    fn a_vault_that_is_locked_is_said_and_the_file_stays() {
        let home = Home::new();
        keep(&home.store(), "a", 9_000).unwrap();
        home.forget_in_kernel();
        let whole = fs::read(&home.path).unwrap();
        let locked = SessionStore::new(&home.path, Arc::new(Memory { locked: true, ..Memory::default() }));
        let said = StoreError::Vault(VaultError::Locked("no prompt".into()));
        assert_eq!(locked.read().unwrap_err(), said);
        assert_eq!(keep(&locked, "b", 9_000).unwrap_err(), said);
        assert_eq!(fs::read(&home.path).unwrap(), whole);
    }

    #[test]
    fn twenty_writers_at_once_lose_nothing() {
        let home = Home::new();
        std::thread::scope(|scope| {
            for n in 0..20 {
                let store = home.store();
                scope.spawn(move || keep(&store, &n.to_string(), 9_000).unwrap());
            }
        });
        assert_eq!(home.store().read().unwrap().sessions.len(), 20);
    }

    #[test]
    fn two_homes_of_one_user_do_not_see_each_others_key() {
        let (one, other) = (Home::new(), Home::new());
        keep(&one.store(), "a", 9_000).unwrap();
        keep(&other.store(), "b", 9_000).unwrap();
        for home in [&one, &other] {
            assert_eq!(home.store().read().unwrap().sessions.len(), 1);
        }
    }

    #[test]
    fn a_text_with_room_to_spare_never_grows() {
        let mut kept = Kept::default();
        kept.access_keys.insert("\u{1}\"\\ä".into(), "\u{1f}".into());
        kept.sessions.insert(key("\u{1}\u{2}\u{3}"), session(u64::from(u32::MAX)));
        let text = text(&kept).unwrap();
        assert!(text.capacity() >= text.len() + seal::GROWTH);
        assert_eq!(parse(&text).unwrap().sessions.len(), 1);
    }
}
