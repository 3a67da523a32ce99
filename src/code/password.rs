//! The password of a YubiKey's OATH accounts: remembered, or asked of a person.
//!
//! What is remembered is the key derived from it, never the password: worth as much on that one YubiKey, and nothing
//! anywhere else. It rests in the vault under the device's id.

use std::time::Instant;

use secrecy::{ExposeSecret as _, SecretSlice};

use super::CodeError;
use crate::attendant::{Attendant, Echo, Notice, Question};
use crate::card::Serial;
use crate::oath::{Device, LockedApplet, PasswordKey, Selected};
use crate::vault::{Entry, Vault, VaultError};

/// Asks for the password, of the key with this serial number if there are several, and derives the key. Blocks until
/// `deadline` at the longest.
pub fn ask(
    device: &Device,
    serial: Option<Serial>,
    deadline: Instant,
    attendant: &dyn Attendant,
) -> Result<PasswordKey, CodeError> {
    let prompt = match serial {
        Some(serial) => format!("Password of the OATH accounts on the YubiKey {serial}"),
        None => "Password of the YubiKey's OATH accounts".into(),
    };
    let password = attendant.ask(Question { prompt, echo: Echo::Hidden, deadline })?;
    Ok(PasswordKey::derive(&password, &device.salt))
}

/// The derived keys that a vault remembers.
#[derive(Clone, Copy, Debug)]
pub struct Remembered<'v>(&'v dyn Vault);

impl<'v> Remembered<'v> {
    /// Opens nothing yet.
    pub fn new(vault: &'v dyn Vault) -> Self {
        Self(vault)
    }

    /// The key that opens this device, if it is remembered.
    pub fn key(&self, device: &Device) -> Result<Option<PasswordKey>, VaultError> {
        let stored = self.0.read(&entry(device))?;
        // Anything but 16 bytes was not written by us, and opens nothing.
        let bytes = stored.and_then(|stored| <[u8; 16]>::try_from(stored.expose_secret()).ok());
        Ok(bytes.map(PasswordKey::from_bytes))
    }

    /// Remembers it.
    pub fn keep(&self, device: &Device, key: &PasswordKey) -> Result<(), VaultError> {
        self.0.write(&entry(device), &SecretSlice::from(key.expose().to_vec()))
    }

    /// Forgets it; forgetting what was never remembered succeeds.
    pub fn forget(&self, device: &Device) -> Result<(), VaultError> {
        self.0.remove(&entry(device))
    }

    /// Opens the applet if what is remembered opens it. A key that is stale, since the password was changed elsewhere,
    /// is forgotten and the applet is handed back locked; so it is where the vault cannot be read.
    pub fn unlock<'c>(
        &self,
        locked: LockedApplet<'c>,
        attendant: &dyn Attendant,
    ) -> Result<Selected<'c>, CodeError> {
        let device = locked.device().clone();
        let warn = |text: String| attendant.notice(Notice::Warning(text));
        let key = match self.key(&device) {
            Ok(Some(key)) => key,
            Ok(None) => return Ok(Selected::Locked(locked)),
            Err(error) => {
                warn(format!("the remembered password cannot be read: {error}"));
                return Ok(Selected::Locked(locked));
            }
        };
        let selected = locked.try_unlock(&key)?;
        if let Selected::Locked(_) = selected {
            self.forget(&device)?;
            warn("the remembered password opens the YubiKey no more, and is forgotten".into());
        }
        Ok(selected)
    }
}

fn entry(device: &Device) -> Entry {
    Entry::OathKey(device.id())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use secrecy::SecretString;

    use super::*;
    use crate::attendant::Unattended;
    use crate::card::Reader;
    use crate::code::yubikey::YubiKey;
    use crate::code::{CodeSource as _, TimeStep};
    use crate::files::{Private, write_whole};

    /// A vault in memory, that may be closed.
    #[derive(Debug, Default)]
    struct Pocket {
        entries: Mutex<BTreeMap<Entry, Vec<u8>>>,
        closed: bool,
    }

    impl Vault for Pocket {
        fn read(&self, entry: &Entry) -> Result<Option<SecretSlice<u8>>, VaultError> {
            if self.closed {
                return Err(VaultError::Locked("test".into()));
            }
            Ok(self.entries.lock().unwrap().get(entry).cloned().map(SecretSlice::from))
        }

        fn write(&self, entry: &Entry, value: &SecretSlice<u8>) -> Result<(), VaultError> {
            self.entries.lock().unwrap().insert(entry.clone(), value.expose_secret().to_vec());
            Ok(())
        }

        fn remove(&self, entry: &Entry) -> Result<(), VaultError> {
            self.entries.lock().unwrap().remove(entry);
            Ok(())
        }
    }

    /// A person who knows the password, and writes down what happens.
    #[derive(Debug, Default)]
    struct Person {
        asked: Mutex<usize>,
        warned: Mutex<Vec<String>>,
    }

    impl Attendant for Person {
        fn notice(&self, notice: Notice) {
            if let Notice::Warning(text) = notice {
                self.warned.lock().unwrap().push(text);
            }
        }

        fn ask(&self, _question: Question) -> Result<SecretString, Unattended> {
            *self.asked.lock().unwrap() += 1;
            Ok("hunter2".into())
        }
    }

    const SALT: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

    fn device() -> Device {
        Device { version: crate::oath::answer::Version(5, 4, 3), salt: SALT.to_vec() }
    }

    /// One code of a token whose password is `hunter2`: the commands it took, how often was asked, what was said.
    fn code(vault: &Arc<Pocket>) -> (String, usize, Vec<String>) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("token");
        let text = "salt 0102030405060708\npassword hunter2\notpauth://totp/a?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n";
        write_whole(&path, text.as_bytes(), Private::OwnerOnly).unwrap();
        let person = Person::default();
        let source = YubiKey::new(Reader::Mock(path.clone()), "a".into()).remembering(vault.clone());
        let soon = Instant::now() + Duration::from_secs(20);
        assert_eq!(source.code(TimeStep(1), soon, &person).unwrap().expose(), "287082");
        let log = std::fs::read_to_string(path.with_extension("log")).unwrap();
        let names: Vec<_> = log.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        (names.join(" "), *person.asked.lock().unwrap(), person.warned.lock().unwrap().clone())
    }

    #[test]
    fn a_remembered_password_costs_three_commands_and_no_question() {
        let vault = Arc::new(Pocket::default());
        Remembered::new(vault.as_ref())
            .keep(&device(), &PasswordKey::derive(&"hunter2".into(), &SALT))
            .unwrap();
        assert_eq!(code(&vault), ("SELECT VALIDATE CALCULATE".into(), 0, vec![]));
        let kept = vault.entries.lock().unwrap();
        assert_eq!(
            kept.keys().map(Entry::to_string).collect::<Vec<_>>(),
            [format!("oath-key:{}", device().id())]
        );
        assert!(!kept.values().any(|value| value.windows(7).any(|some| some == b"hunter2")));
    }

    #[test]
    fn a_stale_one_is_forgotten_and_the_password_is_asked_for() {
        for stored in [PasswordKey::derive(&"old".into(), &SALT).expose().to_vec(), vec![]] {
            let vault = Arc::new(Pocket::default());
            vault.write(&entry(&device()), &SecretSlice::from(stored.clone())).unwrap();
            let (commands, asked, warned) = code(&vault);
            assert_eq!(asked, 1);
            if stored.is_empty() {
                assert_eq!((commands.as_str(), warned), ("SELECT VALIDATE CALCULATE", vec![]));
            } else {
                assert_eq!(commands, "SELECT VALIDATE SELECT VALIDATE CALCULATE");
                assert!(warned[0].contains("is forgotten"), "{warned:?}");
                assert!(vault.entries.lock().unwrap().is_empty());
            }
        }
    }

    #[test]
    fn a_vault_that_is_closed_costs_a_question_and_nothing_else() {
        let vault = Arc::new(Pocket { closed: true, ..Pocket::default() });
        let (commands, asked, warned) = code(&vault);
        assert_eq!((commands.as_str(), asked), ("SELECT VALIDATE CALCULATE", 1));
        assert!(warned[0].contains("cannot be read"), "{warned:?}");
    }
}
