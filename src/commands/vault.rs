//! `onetap vault`: from one vault into the other, so that nothing is lost wherever it is interrupted.
//!
//! The order is the promise: copy, prove the copy from its own medium, change the record, and only then remove what is
//! certain to be in the other vault. Whatever ends it, a second run finishes it.

use std::time::Instant;

use secrecy::{ExposeSecret as _, SecretSlice};
use subtle::ConstantTimeEq as _;

use crate::attendant::Notice;
use crate::error::Error;
use crate::files::Lock;
use crate::settings::VaultKind;
use crate::vault::file::FileVault;
use crate::vault::keychain::Keychain;
use crate::vault::{Entry, Vault, VaultError};

use super::{Context, print};

/// A vault whose entries can be counted.
enum Place {
    File(FileVault),
    Keychain(Keychain),
}

impl Place {
    fn open(context: &Context, kind: VaultKind) -> Result<Self, Error> {
        Ok(match kind {
            VaultKind::File => Self::File(context.file_vault()?),
            VaultKind::Keychain => Self::Keychain(Keychain::new()),
        })
    }

    fn vault(&self) -> &dyn Vault {
        match self {
            Self::File(vault) => vault,
            Self::Keychain(vault) => vault,
        }
    }

    /// All entries. One that a newer onetap wrote stops the move, since it would be left behind.
    fn entries(&self) -> Result<Vec<Entry>, Error> {
        let names = match self {
            Self::File(vault) => vault.names(),
            Self::Keychain(vault) => vault.names(),
        }?;
        let read = |name: &String| name.parse().map_err(|error| VaultError::Other(format!("{error}")));
        let mut entries = names.iter().map(read).collect::<Result<Vec<Entry>, _>>()?;
        entries.sort();
        entries.dedup();
        Ok(entries)
    }

    /// Makes the next reading come from where the secrets rest.
    fn doubt(&self) {
        if let Self::File(vault) = self {
            vault.doubt();
        }
    }
}

/// Moves everything into the vault `to`.
pub(super) fn move_to(context: &Context, to: VaultKind) -> Result<(), Error> {
    let lock = context.places.state.join("move.lock");
    let _held =
        Lock::take(&lock, context.deadline.max(Instant::now())).map_err(|error| match error.kind() {
            std::io::ErrorKind::TimedOut => Error::TimedOut(context.limit),
            _ => Error::File { path: lock.clone(), reason: error.to_string() },
        })?;
    let mut settings = context.settings()?;
    let from = other(to);
    let (source, target) = (Place::open(context, from)?, Place::open(context, to)?);
    match settings.vault {
        None => {
            return Err(Error::Usage("nothing is stored yet: the first `onetap add` takes --vault".into()));
        }
        Some(recorded) if recorded == to => {
            // Nothing to do, or what an interrupted move left to be removed.
            let left = source.entries().unwrap_or_default();
            let gone = remove(context, &left, &source, &target)?;
            let rest = if gone == 0 { String::new() } else { format!(" {}", removed(gone, from)) };
            return print(format!("Secrets rest in the {} already.{rest}\n", to.name()).as_bytes());
        }
        Some(_) => {}
    }
    let entries = source.entries()?;
    for entry in &entries {
        let Some(value) = source.vault().read(entry)? else { continue };
        if !holds(&target, entry, &value)? {
            target.vault().write(entry, &value)?;
        }
    }
    target.doubt();
    source.doubt();
    for entry in &entries {
        if let Some(value) = source.vault().read(entry)?
            && !holds(&target, entry, &value)?
        {
            let reason = format!("the {} does not give back what it took as {entry}", to.name());
            return Err(VaultError::Other(reason).into());
        }
    }
    settings.change(to)?;
    let gone = remove(context, &entries, &source, &target)?;
    if context.options.vault == Some(from) {
        let word = from.word();
        context.attendant.notice(Notice::Warning(format!(
            "ONETAP_VAULT={word} or --vault {word} contradicts the record now: take it away"
        )));
    }
    print(format!("Secrets rest in the {} now. {}\n", to.name(), removed(gone, from)).as_bytes())
}

fn other(kind: VaultKind) -> VaultKind {
    match kind {
        VaultKind::File => VaultKind::Keychain,
        VaultKind::Keychain => VaultKind::File,
    }
}

fn removed(count: usize, from: VaultKind) -> String {
    let entries = if count == 1 { "entry" } else { "entries" };
    format!("{count} {entries} removed from the {}.", from.name())
}

fn holds(place: &Place, entry: &Entry, value: &SecretSlice<u8>) -> Result<bool, Error> {
    let held = place.vault().read(entry)?;
    Ok(held.is_some_and(|held| bool::from(held.expose_secret().ct_eq(value.expose_secret()))))
}

/// Removes from `source` what `target` holds too; what another process wrote meanwhile stays, and is told.
fn remove(context: &Context, entries: &[Entry], source: &Place, target: &Place) -> Result<usize, Error> {
    let mut same = Vec::new();
    for entry in entries {
        match source.vault().read(entry)? {
            Some(value) if holds(target, entry, &value)? => same.push(entry.clone()),
            Some(_) => context.attendant.notice(Notice::Warning(format!(
                "{entry} was changed meanwhile and stays in both vaults; run the command that changed it again"
            ))),
            None => {}
        }
    }
    let whole = match source {
        Place::File(vault) if same.len() == entries.len() && !same.is_empty() => vault.discard(&same)?,
        _ => false,
    };
    if !whole {
        for entry in &same {
            source.vault().remove(entry)?;
        }
    }
    Ok(same.len())
}
