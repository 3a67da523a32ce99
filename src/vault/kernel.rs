//! The Linux kernel's keyring: where a key rests in memory for a set time, so that a cached call wakes no D-Bus.
//!
//! Refuses to fail: a kernel without keyrings, a container that forbids them and a quota that is full all look like
//! absence, since the vault holds the same key. Never a vault itself: what is here is lost at the next boot.
//! Source: keyrings(7), user-keyring(7), keyctl_search(3), and trials with several sessions (docs/adr).

use std::time::Duration;

use linux_keyutils::{Key, KeyError, KeyPermissionsBuilder, KeyRing, KeyRingIdentifier, Permission};
use secrecy::{ExposeSecret, SecretSlice};
use zeroize::Zeroizing;

/// The longest value that [`read`] returns. A sealing key has 32 bytes; the user's whole quota is 20,000.
const LONGEST: usize = 1024;

/// Reads the key `name` of this user; `None` when it is not there, has expired, or cannot be had.
/// Three system calls; does not block.
pub fn read(name: &str) -> Option<SecretSlice<u8>> {
    let key = find(name).ok()?;
    let mut bytes = Zeroizing::new(vec![0_u8; LONGEST]);
    let length = key.read(&mut *bytes).ok()?;
    bytes.get(..length).map(|held| SecretSlice::from(held.to_vec()))
}

/// Keeps `value` under `name` for `life`, in place of what was there; `false` when the kernel refused.
/// Every process of this user can read it meanwhile, in any session and any terminal.
pub fn write(name: &str, value: &SecretSlice<u8>, life: Duration) -> bool {
    value.expose_secret().len() <= LONGEST && place(name, value, life).is_ok()
}

/// Removes the key `name`; `false` when it may still be there, since the kernel refused.
pub fn remove(name: &str) -> bool {
    match find(name) {
        // Invalidated, not only unlinked: whoever found it a moment ago can no longer read it.
        Ok(key) => key.invalidate().is_ok(),
        Err(error) => error != KeyError::PermissionDenied,
    }
}

// The user keyring is the one that a login, a cron job and an SSH session of one user share without help from PAM:
// a session keyring belongs to one login, and the persistent keyring has to be linked into it first.
fn find(name: &str) -> Result<Key, KeyError> {
    KeyRing::from_special_id(KeyRingIdentifier::User, false)?.search(name)
}

fn place(name: &str, value: &SecretSlice<u8>, life: Duration) -> Result<(), KeyError> {
    let shared = KeyRing::from_special_id(KeyRingIdentifier::User, true)?;
    // Only a key's possessor may change it, and in a session of its own a process does not possess what hangs in the
    // user keyring. So the key is made in the thread's keyring, and is shared only once its life is limited.
    let own = KeyRing::from_special_id(KeyRingIdentifier::Thread, true)?;
    let key = own.add_key(name, value.expose_secret())?;
    let shown = limit(&key, life).and_then(|()| shared.link_key(key));
    own.unlink_key(key)?;
    shown
}

fn limit(key: &Key, life: Duration) -> Result<(), KeyError> {
    // A time-out of 0 would mean for ever.
    key.set_timeout(usize::try_from(life.as_secs()).unwrap_or(usize::MAX).max(1))?;
    // A new key shows the user its name only; without these bits another session finds it and cannot read it.
    let reader = Permission::VIEW | Permission::READ | Permission::SEARCH;
    key.set_perms(KeyPermissionsBuilder::builder().posessor(Permission::ALL).user(reader).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(test: &str) -> String {
        format!("onetap-test:{test}:{}", std::process::id())
    }

    #[test]
    fn a_key_is_read_by_another_thread_replaced_and_removed() {
        let name = name("replaced");
        assert!(read(&name).is_none());
        assert!(
            write(&name, &SecretSlice::from(vec![1; 32]), Duration::from_secs(60)),
            "no kernel keyring here"
        );
        assert!(write(&name, &SecretSlice::from(vec![2; 16]), Duration::from_secs(60)));
        let other = name.clone();
        let found = std::thread::spawn(move || read(&other)).join().unwrap().unwrap();
        assert_eq!(found.expose_secret(), [2; 16]);
        assert!(remove(&name));
        assert!(read(&name).is_none());
        assert!(remove(&name));
    }

    #[test]
    fn a_key_is_never_there_without_a_time_limit() {
        let name = name("limit");
        assert!(write(&name, &SecretSlice::from(vec![1; 32]), Duration::ZERO), "no kernel keyring here");
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while read(&name).is_some() {
            assert!(std::time::Instant::now() < deadline, "the key outlives its life");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_value_that_could_not_be_read_back_is_not_written() {
        let name = name("long");
        assert!(!write(&name, &SecretSlice::from(vec![1; LONGEST + 1]), Duration::from_secs(60)));
        assert!(read(&name).is_none());
    }
}
