//! What was learned about keys: the name that an MFA device's account has on a key, so that its next code takes two
//! commands again; and the key's serial number, for a person.
//!
//! Nothing secret, and nothing that must be true: what is stale is found out by the key's answer and learned anew. A
//! file that cannot be read or written costs a command, and is not worth a word.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::card::Serial;
use crate::files::{Lock, Private, write_whole};

/// A write takes milliseconds; whoever cannot have its turn learns it the next time.
const PATIENCE: Duration = Duration::from_millis(500);

/// The file of what was learned.
#[derive(Clone, Debug)]
pub struct Memory(PathBuf);

/// By the key's id (stable until RESET).
type Keys = BTreeMap<String, Key>;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Key {
    /// The account's name on this key, by the name under which it was looked for.
    #[serde(default)]
    accounts: BTreeMap<String, String>,
    #[serde(default)]
    serial: Option<u32>,
}

impl Memory {
    /// Opens nothing yet.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The name that the account `wanted` has on this key, where it is another.
    pub fn account(&self, key: &str, wanted: &str) -> Option<String> {
        read(&self.0).remove(key)?.accounts.remove(wanted)
    }

    /// Remembers that name; one that is the wanted one itself needs no memory.
    pub fn learn_account(&self, key: &str, wanted: &str, name: &str) {
        self.change(|keys| {
            let accounts = &mut keys.entry(key.into()).or_default().accounts;
            match name == wanted {
                true => accounts.remove(wanted),
                false => accounts.insert(wanted.into(), name.into()),
            };
        });
    }

    /// Forgets what `wanted` is called, on every key.
    pub fn forget_account(&self, wanted: &str) {
        self.change(|keys| keys.values_mut().for_each(|key| drop(key.accounts.remove(wanted))));
    }

    /// The serial number of this key, if it once told it.
    pub fn serial(&self, key: &str) -> Option<Serial> {
        read(&self.0).get(key)?.serial.map(Serial)
    }

    /// Remembers that this key has this serial number.
    pub fn learn_serial(&self, key: &str, Serial(serial): Serial) {
        if self.serial(key) != Some(Serial(serial)) {
            self.change(|keys| keys.entry(key.into()).or_default().serial = Some(serial));
        }
    }

    fn change(&self, change: impl FnOnce(&mut Keys)) {
        let Ok(_held) = Lock::take(&self.0.with_extension("lock"), Instant::now() + PATIENCE) else { return };
        let before = read(&self.0);
        let mut keys = before.clone();
        change(&mut keys);
        keys.retain(|_, key| *key != Key::default());
        if keys != before
            && let Ok(text) = serde_json::to_vec(&keys)
        {
            let _ = write_whole(&self.0, &text, Private::OwnerOnly);
        }
    }
}

fn read(path: &Path) -> Keys {
    std::fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_learned_for_one_key_replaced_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::new(folder.path().join("state/keys.json"));
        assert_eq!(memory.account("one", "arn"), None);
        memory.learn_account("one", "arn", "aws:arn");
        memory.learn_account("two", "arn", "other:arn");
        assert_eq!(memory.account("one", "arn").as_deref(), Some("aws:arn"));
        assert_eq!(memory.account("two", "arn").as_deref(), Some("other:arn"));
        assert_eq!(memory.account("one", "other"), None);
        memory.learn_account("one", "arn", "arn");
        assert_eq!(memory.account("one", "arn"), None);
        memory.forget_account("arn");
        assert_eq!(memory.account("two", "arn"), None);
        assert_eq!(std::fs::read_to_string(&memory.0).unwrap(), "{}");
        memory.learn_serial("two", Serial(7));
        assert_eq!((memory.serial("two"), memory.serial("one")), (Some(Serial(7)), None));
    }

    #[test]
    fn a_damaged_file_and_a_place_that_cannot_be_written_are_nothing_learned() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::new(folder.path().join("keys.json"));
        std::fs::write(&memory.0, "[").unwrap();
        assert_eq!(memory.account("one", "arn"), None);
        memory.learn_account("one", "arn", "aws:arn");
        assert_eq!(memory.account("one", "arn").as_deref(), Some("aws:arn"));
        let nowhere = Memory::new("/dev/null/keys.json".into());
        nowhere.learn_account("one", "arn", "aws:arn");
        assert_eq!(nowhere.account("one", "arn"), None);
    }
}
