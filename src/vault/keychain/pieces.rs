//! Values that are longer than a keychain takes, in pieces: a manifest where the value would be, and the pieces beside it.
//!
//! Knows the order in which they are written, so that an interruption leaves the old value or the new one; knows nothing
//! about keychains. Source: wincred.h, `CRED_MAX_CREDENTIAL_BLOB_SIZE` (5 * 512 bytes).

use data_encoding::HEXLOWER;
use secrecy::{ExposeSecret as _, SecretSlice};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::VaultError;

/// What a manifest begins with; no value of ours does.
const MAGIC: &str = "onetap in pieces 1\n";

/// Named values of limited length.
pub(super) trait Cells {
    /// The value; `None` if there is none.
    fn get(&self, name: &str) -> Result<Option<SecretSlice<u8>>, VaultError>;
    /// Writes it, replacing what was there.
    fn set(&self, name: &str, value: &[u8]) -> Result<(), VaultError>;
    /// Removes it; one that is not there is no failure.
    fn delete(&self, name: &str) -> Result<(), VaultError>;
}

/// How many pieces, how many bytes in all, and their SHA-256 in hex, which also names the pieces: those of two values
/// never mix.
#[derive(Debug, PartialEq, Eq)]
struct Manifest {
    count: usize,
    length: usize,
    digest: String,
}

impl Manifest {
    fn of(value: &[u8], limit: usize) -> Self {
        let digest = HEXLOWER.encode(Sha256::digest(value).as_slice());
        Self { count: value.len().div_ceil(limit.max(1)), length: value.len(), digest }
    }

    fn parse(value: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(value).ok()?.strip_prefix(MAGIC)?.lines();
        let (count, length) = (lines.next()?.parse().ok()?, lines.next()?.parse().ok()?);
        Some(Self { count, length, digest: lines.next()?.to_owned() })
    }

    fn text(&self) -> String {
        format!("{MAGIC}{}\n{}\n{}", self.count, self.length, self.digest)
    }

    fn names(&self, name: &str) -> impl Iterator<Item = String> {
        let stem = format!("{name}#{}", self.digest.get(..16).unwrap_or_default());
        (0..self.count).map(move |n| format!("{stem}.{n}"))
    }
}

/// Whether this is the name of a piece, not of an entry.
pub(super) fn is_piece(name: &str) -> bool {
    let Some((_, mark)) = name.rsplit_once('#') else { return false };
    let Some((digest, number)) = mark.split_once('.') else { return false };
    digest.len() == 16 && digest.bytes().all(|b| b.is_ascii_hexdigit()) && number.parse::<usize>().is_ok()
}

/// Reads a value, whole or in pieces.
pub(super) fn read(cells: &dyn Cells, name: &str) -> Result<Option<SecretSlice<u8>>, VaultError> {
    let Some(value) = cells.get(name)? else { return Ok(None) };
    let Some(manifest) = Manifest::parse(value.expose_secret()) else { return Ok(Some(value)) };
    let damaged =
        |reason: &str| VaultError::Damaged { place: format!("entry {name:?}"), reason: reason.into() };
    let mut whole = Zeroizing::new(Vec::with_capacity(manifest.length));
    for piece in manifest.names(name) {
        let part = cells.get(&piece)?.ok_or_else(|| damaged("a piece of it lacks"))?;
        whole.extend_from_slice(part.expose_secret());
    }
    let right = HEXLOWER.encode(Sha256::digest(&*whole).as_slice()) == manifest.digest;
    if whole.len() != manifest.length || !right {
        return Err(damaged("its pieces do not fit together"));
    }
    Ok(Some(SecretSlice::from(whole.to_vec())))
}

/// Writes a value, in pieces if it is longer than `limit`. The manifest comes last, and the old pieces go after it.
pub(super) fn write(cells: &dyn Cells, name: &str, value: &[u8], limit: usize) -> Result<(), VaultError> {
    let old = manifest(cells, name)?;
    let new = (value.len() > limit).then(|| Manifest::of(value, limit));
    match &new {
        None => cells.set(name, value)?,
        Some(manifest) => {
            for (piece, part) in manifest.names(name).zip(value.chunks(limit.max(1))) {
                cells.set(&piece, part)?;
            }
            cells.set(name, manifest.text().as_bytes())?;
        }
    }
    match old {
        Some(old) if new.as_ref() != Some(&old) => forget(cells, name, &old),
        _ => Ok(()),
    }
}

/// Removes a value and its pieces.
pub(super) fn remove(cells: &dyn Cells, name: &str) -> Result<(), VaultError> {
    let old = manifest(cells, name)?;
    cells.delete(name)?;
    old.map_or(Ok(()), |old| forget(cells, name, &old))
}

fn manifest(cells: &dyn Cells, name: &str) -> Result<Option<Manifest>, VaultError> {
    Ok(cells.get(name)?.and_then(|value| Manifest::parse(value.expose_secret())))
}

fn forget(cells: &dyn Cells, name: &str, old: &Manifest) -> Result<(), VaultError> {
    old.names(name).try_for_each(|piece| cells.delete(&piece))
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;

    use super::*;

    const LIMIT: usize = 120;

    /// Cells that fail from the `left`th change on, as at the death of a process.
    struct Memory {
        held: RefCell<BTreeMap<String, Vec<u8>>>,
        left: Cell<usize>,
    }

    impl Memory {
        fn new() -> Self {
            Self { held: RefCell::default(), left: Cell::new(usize::MAX) }
        }
        fn change(&self) -> Result<(), VaultError> {
            let left = self.left.get().checked_sub(1).ok_or(VaultError::TimedOut)?;
            self.left.set(left);
            Ok(())
        }
        fn value(&self) -> Result<Option<Vec<u8>>, VaultError> {
            Ok(read(self, "seed:doug")?.map(|value| value.expose_secret().to_vec()))
        }
    }

    impl Cells for Memory {
        fn get(&self, name: &str) -> Result<Option<SecretSlice<u8>>, VaultError> {
            Ok(self.held.borrow().get(name).map(|value| SecretSlice::from(value.clone())))
        }
        fn set(&self, name: &str, value: &[u8]) -> Result<(), VaultError> {
            assert!(value.len() <= LIMIT, "{name}: {} bytes", value.len());
            self.change()?;
            self.held.borrow_mut().insert(name.into(), value.to_vec());
            Ok(())
        }
        fn delete(&self, name: &str) -> Result<(), VaultError> {
            self.change()?;
            self.held.borrow_mut().remove(name);
            Ok(())
        }
    }

    fn value(length: usize, salt: usize) -> Vec<u8> {
        (0..length).map(|n| ((n + salt) % 251) as u8).collect()
    }

    #[test]
    fn a_value_of_any_length_comes_back_and_goes_without_a_trace() {
        let cells = Memory::new();
        for length in [0, 1, LIMIT - 1, LIMIT, LIMIT + 1, 2 * LIMIT, 65_536, 7] {
            write(&cells, "seed:doug", &value(length, 0), LIMIT).unwrap();
            assert_eq!(cells.value(), Ok(Some(value(length, 0))), "{length}");
            let pieces = if length > LIMIT { length.div_ceil(LIMIT) } else { 0 };
            assert_eq!(cells.held.borrow().len(), 1 + pieces, "{length}");
            assert_eq!(cells.held.borrow().keys().filter(|name| is_piece(name)).count(), pieces);
        }
        write(&cells, "seed:doug", &value(1_000, 0), LIMIT).unwrap();
        remove(&cells, "seed:doug").unwrap();
        assert!(cells.held.borrow().is_empty());
        assert_eq!(cells.value(), Ok(None));
    }

    #[test]
    fn an_interruption_anywhere_leaves_the_old_value_or_the_new_one() {
        for (old, new) in [(500, 700), (500, 10), (10, 500), (500, 500)] {
            for changes in 0..20 {
                let cells = Memory::new();
                write(&cells, "seed:doug", &value(old, 0), LIMIT).unwrap();
                cells.left.set(changes);
                let written = write(&cells, "seed:doug", &value(new, 9), LIMIT).is_ok();
                let found = cells.value().unwrap().unwrap();
                assert!(
                    found == value(new, 9) || !written && found == value(old, 0),
                    "{old} {new} {changes}"
                );
            }
        }
    }

    #[test]
    fn a_piece_that_lacks_or_was_changed_is_damage() {
        let cells = Memory::new();
        write(&cells, "seed:doug", &value(500, 0), LIMIT).unwrap();
        let whole = cells.held.borrow().clone();
        for piece in whole.keys().filter(|name| is_piece(name)) {
            cells.held.borrow_mut().remove(piece);
            assert!(matches!(cells.value(), Err(VaultError::Damaged { .. })), "{piece}");
            cells.held.borrow_mut().insert(piece.clone(), whole[piece].iter().rev().copied().collect());
            assert!(matches!(cells.value(), Err(VaultError::Damaged { .. })), "{piece}");
            *cells.held.borrow_mut() = whole.clone();
        }
        assert!(!is_piece("seed:doug") && !is_piece("access-key:a#b.1") && !is_piece("seed:#"));
    }
}
