//! A small JSON file of ours that several processes change: what is unfinished, what was found out. Never a secret.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::files::{Lock, Private, write_whole};

/// How long a writer waits for others, who only write a file.
const PATIENCE: Duration = Duration::from_secs(5);

/// What stands under `name`; nothing where the file is not there or is damaged.
pub(super) fn read<T: DeserializeOwned>(path: &Path, name: &str) -> Option<T> {
    all(path).remove(name)
}

/// Writes what stands under `name`, or takes it away. It is on the disk afterwards.
pub(super) fn write<T: Serialize + DeserializeOwned>(
    path: &Path,
    name: &str,
    value: Option<T>,
) -> Result<(), Error> {
    let refused = |reason: String| Error::File { path: path.into(), reason };
    let limit = Instant::now() + PATIENCE;
    let _lock =
        Lock::take(&path.with_extension("lock"), limit).map_err(|error| refused(error.to_string()))?;
    let mut held: BTreeMap<String, T> = all(path);
    match value {
        Some(value) => drop(held.insert(name.into(), value)),
        None if !held.contains_key(name) => return Ok(()),
        None => drop(held.remove(name)),
    }
    let text = serde_json::to_vec(&held).map_err(|error| refused(error.to_string()))?;
    write_whole(path, &text, Private::OwnerOnly).map_err(|error| refused(error.to_string()))
}

fn all<T: DeserializeOwned>(path: &Path) -> BTreeMap<String, T> {
    std::fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}
