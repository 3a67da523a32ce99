//! The Linux kernel's keyring, on systems that have none: always absent.
//!
//! The functions are those of `kernel.rs`, so that their callers need not know the system.

use std::time::Duration;

use secrecy::SecretSlice;

/// There is no kernel keyring here: `None`.
pub fn read(_name: &str) -> Option<SecretSlice<u8>> {
    None
}

/// There is no kernel keyring here: `false`.
pub fn write(_name: &str, _value: &SecretSlice<u8>, _life: Duration) -> bool {
    false
}

/// There is no kernel keyring here, so nothing to remove: `true`.
pub fn remove(_name: &str) -> bool {
    true
}
