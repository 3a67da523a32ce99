//! The encrypted file vault, for machines without a keychain.
//!
//! Knows where the file is and who may read it; where its passphrase comes from is in `passphrase.rs`, how bytes are
//! sealed in `seal.rs`. Nothing is ever written that is not sealed.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

pub use super::passphrase::PassphraseSource;
use super::passphrase::Use;
use super::seal::{self, Closed};
use super::{Entry, Vault, VaultError};
use crate::attendant::Attendant;
use crate::files::{self, Lock, Private};
use crate::shield;

/// How long a writer waits for others: twenty at once, each with two derivations of some 0.2 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// The layout of the sealed JSON.
const VERSION: u32 = 1;

type Entries = BTreeMap<String, SecretSlice<u8>>;

/// One age file under a passphrase. The passphrase is obtained once at most, and the file is decrypted once for each
/// content that it had. Making one touches nothing.
pub struct FileVault {
    path: PathBuf,
    source: PassphraseSource,
    attendant: Arc<dyn Attendant>,
    deadline: Option<Instant>,
    work: u8,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    // A refusal is remembered too: one person is asked once.
    passphrase: Option<Result<SecretString, VaultError>>,
    opened: Option<Opened>,
}

struct Opened {
    sealed: Vec<u8>,
    entries: Entries,
}

impl fmt::Debug for FileVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileVault").field("path", &self.path).finish_non_exhaustive()
    }
}

impl FileVault {
    /// The vault in the file `path`. Its passphrase is the content of `passphrase_file`, less one newline at its
    /// end; without such a file the attendant is asked.
    pub fn new(
        path: impl Into<PathBuf>,
        passphrase_file: Option<PathBuf>,
        attendant: Arc<dyn Attendant>,
    ) -> Self {
        let source = passphrase_file.map_or(PassphraseSource::Person, PassphraseSource::File);
        Self::with(path, source, attendant)
    }

    /// The same with any source of the passphrase.
    pub fn with(path: impl Into<PathBuf>, source: PassphraseSource, attendant: Arc<dyn Attendant>) -> Self {
        Self {
            path: path.into(),
            source,
            attendant,
            deadline: None,
            work: seal::WORK_FACTOR,
            state: Mutex::default(),
        }
    }

    /// The same, whose question ends at `deadline`, if that comes before its own limit of 60 s.
    #[must_use]
    pub fn until(self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// The names of all entries; none if there is no file.
    pub fn names(&self) -> Result<Vec<String>, VaultError> {
        let mut state = self.state();
        Ok(self.entries(&mut state)?.map(|entries| entries.keys().cloned().collect()).unwrap_or_default())
    }

    /// Forgets what was decrypted, so that the next reading proves what is on the disk.
    pub fn doubt(&self) {
        self.state().opened = None;
    }

    /// Removes the file if it holds these entries and no other; `false` if it holds another one.
    pub fn discard(&self, moved: &[Entry]) -> Result<bool, VaultError> {
        let _held = self.lock()?;
        let names = self.names()?;
        if names.iter().any(|name| !moved.iter().any(|entry| entry.to_string() == *name)) {
            return Ok(false);
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&self.path, &error)),
            _ => Ok(true),
        }
    }

    fn lock(&self) -> Result<Lock, VaultError> {
        let lock = beside(&self.path);
        Lock::take(&lock, Instant::now() + PATIENCE).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => {
                VaultError::Other(format!("another process holds {} and does not let go", lock.display()))
            }
            _ => failed(&lock, &error),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entries in the file; `None` if there is no file.
    fn entries<'s>(&self, state: &'s mut State) -> Result<Option<&'s Entries>, VaultError> {
        let Some(sealed) = read_private(&self.path)? else {
            return Ok(None);
        };
        let opened = match state.opened.take() {
            Some(opened) if opened.sealed == *sealed => opened,
            _ => {
                let entries = self.open(&sealed, state)?;
                Opened { sealed: sealed.to_vec(), entries }
            }
        };
        Ok(Some(&state.opened.insert(opened).entries))
    }

    fn open(&self, sealed: &[u8], state: &mut State) -> Result<Entries, VaultError> {
        let place = || self.path.display().to_string();
        let passphrase = self.passphrase(state, Use::Open)?;
        let plain = seal::open(sealed, &passphrase).map_err(|closed| match closed {
            Closed::Damaged(reason) => VaultError::Damaged { place: place(), reason },
            Closed::WrongPassphrase => {
                let wrong = VaultError::WrongPassphrase { place: place() };
                state.passphrase = Some(Err(wrong.clone()));
                wrong
            }
        })?;
        parse(&plain).map_err(|reason| VaultError::Damaged { place: place(), reason })
    }

    /// Rewrites the file with what `change` makes of its entries, unless that is nothing new.
    fn change(&self, change: impl FnOnce(&mut Entries) -> Changed) -> Result<(), VaultError> {
        let mut state = self.state();
        // Before the lock, not under it: a person may need minutes, and others would wait.
        let wanted = if exists(&self.path)? { Use::Open } else { Use::Create };
        let passphrase = self.passphrase(&mut state, wanted)?;
        let _held = self.lock()?;
        let mut entries = self.entries(&mut state)?.cloned().unwrap_or_default();
        if change(&mut entries) == Changed::No {
            return Ok(());
        }
        let sealed = seal::seal(&text(&entries)?, &passphrase, self.work).map_err(VaultError::Other)?;
        files::write_whole(&self.path, &sealed, Private::OwnerOnly)
            .map_err(|error| failed(&self.path, &error))?;
        state.opened = Some(Opened { sealed, entries });
        Ok(())
    }

    fn passphrase(&self, state: &mut State, wanted: Use) -> Result<SecretString, VaultError> {
        let held = state.passphrase.get_or_insert_with(|| {
            self.source
                .obtain(wanted, &self.path, self.attendant.as_ref(), self.deadline)
                .inspect(|given| shield::pin(given.expose_secret().as_bytes()))
        });
        held.clone()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Changed {
    No,
    Yes,
}

impl Vault for FileVault {
    fn read(&self, entry: &Entry) -> Result<Option<SecretSlice<u8>>, VaultError> {
        let mut state = self.state();
        Ok(self.entries(&mut state)?.and_then(|entries| entries.get(&entry.to_string()).cloned()))
    }

    fn write(&self, entry: &Entry, value: &SecretSlice<u8>) -> Result<(), VaultError> {
        self.change(|entries| {
            entries.insert(entry.to_string(), value.clone());
            Changed::Yes
        })
    }

    fn remove(&self, entry: &Entry) -> Result<(), VaultError> {
        if !exists(&self.path)? {
            return Ok(());
        }
        self.change(|entries| match entries.remove(&entry.to_string()) {
            Some(_) => Changed::Yes,
            None => Changed::No,
        })
    }
}

/// The lock's own file: the vault's name and `.lock`. The vault itself is replaced, and a lock on it would go too.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn failed(path: &Path, error: &io::Error) -> VaultError {
    VaultError::Other(format!("{}: {error}", path.display()))
}

fn exists(path: &Path) -> Result<bool, VaultError> {
    fs::exists(path).map_err(|error| failed(path, &error))
}

/// The content of a file that only its owner, who runs this, may read; `None` if there is none.
pub(super) fn read_private(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
    let read = || -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let mut file = File::open(path)?;
        let about = file.metadata()?; // Of the open file: the path may lead elsewhere a moment later.
        if open_to_others(&about) {
            return Ok(None);
        }
        let length = usize::try_from(about.len()).unwrap_or(0);
        let mut bytes = Zeroizing::new(Vec::with_capacity(length.saturating_add(1)));
        file.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    };
    match read() {
        Ok(Some(bytes)) => Ok(Some(bytes)),
        Ok(None) => Err(VaultError::OpenToOthers { place: path.display().to_string() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, &error)),
    }
}

#[cfg(unix)]
fn open_to_others(about: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    about.mode() & 0o077 != 0 || about.uid() != rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn open_to_others(_about: &fs::Metadata) -> bool {
    false // A file in the person's own profile folder inherits an access list for that person.
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    entries: BTreeMap<&'a str, Base64<'a>>,
}

struct Base64<'a>(&'a SecretSlice<u8>);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&BASE64.encode_display(self.0.expose_secret()))
    }
}

fn text(entries: &Entries) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    // Room for the longest text that JSON can make of them, so that the buffer never grows and leaves no copy behind.
    let room = entries.iter().map(|(name, value)| 6 * name.len() + 2 * value.expose_secret().len() + 16);
    let mut text = Zeroizing::new(Vec::with_capacity(room.sum::<usize>() + 64));
    let written =
        Written { version: VERSION, entries: entries.iter().map(|(n, v)| (n.as_str(), Base64(v))).collect() };
    serde_json::to_writer(&mut *text, &written).map_err(|error| VaultError::Other(error.to_string()))?;
    Ok(text)
}

#[derive(Deserialize)]
struct Read<'a> {
    version: u32,
    #[serde(borrow)]
    entries: BTreeMap<String, &'a str>,
}

fn parse(plain: &[u8]) -> Result<Entries, String> {
    // The parser's own words may quote what it read.
    let strange = || "its content is not what onetap writes".to_owned();
    let read: Read<'_> = serde_json::from_slice(plain).map_err(|_| strange())?;
    if read.version != VERSION {
        return Err(format!("it has version {}, and this onetap reads version {VERSION}", read.version));
    }
    let decode = |(name, text): (String, &str)| {
        let bytes = Zeroizing::new(BASE64.decode(text.as_bytes()).map_err(|_| strange())?);
        Ok((name, SecretSlice::from(bytes.to_vec())))
    };
    read.entries.into_iter().map(decode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attendant::{Echo, Notice, Question, Unattended};

    /// A person who gives these answers, and then none.
    #[derive(Debug, Default)]
    struct Person(Mutex<Vec<&'static str>>);

    impl Attendant for Person {
        fn notice(&self, _notice: Notice) {}
        fn ask(&self, question: Question) -> Result<SecretString, Unattended> {
            assert_eq!(question.echo, Echo::Hidden);
            let mut answers = self.0.lock().unwrap();
            if answers.is_empty() {
                return Err(Unattended::Nobody("no terminal".into()));
            }
            Ok(answers.remove(0).into())
        }
    }

    /// A vault whose passphrase is cheap to try, before a person with these answers.
    fn vault(path: &Path, answers: &[&'static str]) -> FileVault {
        let person = Arc::new(Person(Mutex::new(answers.to_vec())));
        FileVault { work: 2, ..FileVault::new(path, None, person) }
    }

    fn home() -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state/vault.age");
        (home, path)
    }

    fn secret(bytes: &[u8]) -> SecretSlice<u8> {
        SecretSlice::from(bytes.to_vec())
    }

    fn seed() -> Entry {
        Entry::Seed("doug".into())
    }

    fn held(vault: &FileVault, entry: &Entry) -> Result<Option<Vec<u8>>, VaultError> {
        vault.read(entry).map(|found| found.map(|value| value.expose_secret().to_vec()))
    }

    /// A file made by [`seal::seal`], with this content, for its owner only.
    fn put(path: &Path, bytes: &[u8]) {
        files::write_whole(path, bytes, Private::OwnerOnly).unwrap();
    }

    #[test]
    fn what_is_written_is_read_again_after_one_question_and_removed() {
        let (_home, path) = home();
        let first = vault(&path, &["pw", "pw"]);
        first.write(&seed(), &secret(b"\0\xffseed")).unwrap();
        first.write(&Entry::SealingKey, &secret(&[7; 32])).unwrap();
        let second = vault(&path, &["pw"]);
        assert_eq!(held(&second, &seed()), Ok(Some(b"\0\xffseed".to_vec())));
        assert_eq!(held(&second, &Entry::SealingKey), Ok(Some(vec![7; 32])));
        second.remove(&seed()).unwrap();
        second.remove(&seed()).unwrap();
        assert_eq!(held(&first, &seed()), Ok(None), "another process's change is seen");
    }

    #[test]
    fn where_there_is_no_file_nobody_is_asked_and_none_is_made() {
        let (_home, path) = home();
        let vault = vault(&path, &[]);
        assert_eq!(held(&vault, &seed()), Ok(None));
        assert_eq!(vault.remove(&seed()), Ok(()));
        assert!(!path.exists());
    }

    #[test]
    fn a_new_vault_wants_its_passphrase_twice_and_the_same() {
        let (_home, path) = home();
        let refused = vault(&path, &["pw", "wp"]).write(&seed(), &secret(b"x"));
        assert_eq!(refused, Err(VaultError::Locked("the two passphrases differ".into())));
        assert!(matches!(vault(&path, &["", ""]).write(&seed(), &secret(b"x")), Err(VaultError::Locked(_))));
        assert!(!path.exists());
    }

    #[test]
    fn a_wrong_passphrase_opens_nothing_changes_nothing_and_is_not_asked_for_again() {
        let (_home, path) = home();
        vault(&path, &["pw", "pw"]).write(&seed(), &secret(b"x")).unwrap();
        let before = fs::read(&path).unwrap();
        let wrong = VaultError::WrongPassphrase { place: path.display().to_string() };
        let other = vault(&path, &["guess", "pw"]);
        assert_eq!(held(&other, &seed()), Err(wrong.clone()));
        assert_eq!(other.write(&seed(), &secret(b"y")), Err(wrong.clone()));
        assert_eq!(held(&other, &seed()), Err(wrong));
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn where_nobody_can_be_asked_that_is_the_error() {
        let (_home, path) = home();
        let refused = vault(&path, &[]).write(&seed(), &secret(b"x"));
        assert_eq!(refused, Err(VaultError::Unattended(Unattended::Nobody("no terminal".into()))));
    }

    #[test]
    fn the_passphrase_file_loses_one_newline_and_must_be_private() {
        let (home, path) = home();
        let word = home.path().join("word");
        let from_file =
            || FileVault { work: 2, ..FileVault::new(&path, Some(word.clone()), Arc::<Person>::default()) };
        assert!(matches!(from_file().write(&seed(), &secret(b"x")), Err(VaultError::Locked(_))));
        put(&word, b"\n");
        assert!(matches!(from_file().write(&seed(), &secret(b"x")), Err(VaultError::Locked(_))));
        put(&word, b"pw\n");
        from_file().write(&seed(), &secret(b"x")).unwrap();
        assert_eq!(held(&vault(&path, &["pw"]), &seed()), Ok(Some(b"x".to_vec())));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            for open in [&word, &path] {
                fs::set_permissions(open, fs::Permissions::from_mode(0o640)).unwrap();
                let refused = VaultError::OpenToOthers { place: open.display().to_string() };
                assert_eq!(held(&from_file(), &seed()), Err(refused));
                fs::set_permissions(open, fs::Permissions::from_mode(0o600)).unwrap();
            }
        }
    }

    #[test]
    fn a_vault_cut_short_anywhere_is_refused_and_left_alone() {
        let (_home, path) = home();
        vault(&path, &["pw", "pw"]).write(&seed(), &secret(b"x")).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            put(&path, &whole[..length]);
            let vault = vault(&path, &["pw"]);
            let refused = held(&vault, &seed());
            assert!(matches!(refused, Err(VaultError::Damaged { .. })), "{length} bytes: {refused:?}");
            vault.write(&seed(), &secret(b"y")).unwrap_err();
            assert_eq!(fs::read(&path).unwrap(), &whole[..length]);
        }
    }

    #[test]
    fn a_vault_with_any_bit_flipped_does_not_open() {
        let (_home, path) = home();
        vault(&path, &["pw", "pw"]).write(&seed(), &secret(b"x")).unwrap();
        let whole = fs::read(&path).unwrap();
        for (place, bit) in (0..whole.len()).flat_map(|place| (0..8).map(move |bit| (place, bit))) {
            let mut changed = whole.clone();
            changed[place] ^= 1 << bit;
            let refused = seal::open(&changed, &"pw".into());
            assert!(refused.is_err(), "bit {bit} of byte {place}");
        }
    }

    #[test]
    fn a_file_that_asks_for_too_much_work_or_comes_from_elsewhere_is_damaged() {
        let (_home, path) = home();
        for (content, reason) in [
            ("{\"version\":2,\"entries\":{}}", "it has version 2, and this onetap reads version 1"),
            ("{\"version\":1,\"entries\":{\"a\":\"SECRET!\"}}", "its content is not what onetap writes"),
            ("{\"version\":1,\"entries\":{\"a\":7}}", "its content is not what onetap writes"),
        ] {
            put(&path, &seal::seal(content.as_bytes(), &"pw".into(), 2).unwrap());
            let damaged = VaultError::Damaged { place: path.display().to_string(), reason: reason.into() };
            assert_eq!(held(&vault(&path, &["pw"]), &seed()), Err(damaged));
        }
        let greedy = String::from_utf8_lossy(&fs::read(&path).unwrap()).replacen(" 2\n", " 23\n", 1);
        put(&path, greedy.as_bytes());
        let refused = held(&vault(&path, &["pw"]), &seed());
        assert!(format!("{refused:?}").contains("2^23"), "{refused:?}");
    }

    #[test]
    fn twenty_writers_at_once_lose_nothing() {
        let (_home, path) = home();
        std::thread::scope(|scope| {
            for n in 0..20 {
                let path = &path;
                // A vault of its own each, as processes have. The file may appear between the look and the question.
                scope.spawn(move || {
                    let vault = vault(path, &["pw", "pw"]);
                    vault.write(&Entry::Seed(n.to_string()), &secret(&[n])).unwrap();
                });
            }
        });
        let vault = vault(&path, &["pw"]);
        for n in 0..20 {
            assert_eq!(held(&vault, &Entry::Seed(n.to_string())), Ok(Some(vec![n])));
        }
    }

    #[test]
    fn a_vault_that_cannot_be_reached_says_where_it_is() {
        let (home, _path) = home();
        let file = home.path().join("file");
        put(&file, b"");
        let vault = vault(&file.join("vault.age"), &["pw", "pw"]);
        let refused = held(&vault, &seed()).unwrap_err().to_string();
        assert!(refused.contains("file/vault.age"), "{refused}");
        assert!(vault.write(&seed(), &secret(b"x")).is_err());
    }
}
