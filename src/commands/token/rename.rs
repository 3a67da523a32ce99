//! `onetap token rename`: another name for an account.

use crate::error::Error;
use crate::oath::answer::Moves;
use crate::otpauth::{Algorithm, Credential, Kind, Touch};

use super::{Context, Key, print, shown};

pub(super) fn run(context: &Context, old: &str, new: &str) -> Result<(), Error> {
    let key = Key::open(context)?;
    let account = key.account(old)?;
    let new = match account.moves {
        Moves::ByCounter => new.to_owned(),
        Moves::ByTime => with_period(period(old), new)?,
    };
    if new == old {
        return Err(Error::Usage(format!("{old:?} is its name already")));
    }
    if key.holds(&new) {
        return Err(Error::Usage(format!("the YubiKey already holds an account {new:?}")));
    }
    key.work(context, |applet| applet.rename(old, &new))?;
    print(format!("{} is now {} on {}.\n", shown(old), shown(&new), key.named()).as_bytes())
}

/// The period that a TOTP account's name tells: the name is the only place where it stands.
fn period(id: &str) -> u64 {
    let kind = Kind::Totp { period: 30 };
    match Credential::with_id(id, vec![0].into(), kind, Algorithm::Sha1, 6, Touch::NotNeeded).kind {
        Kind::Totp { period } => period,
        Kind::Hotp { .. } => 30,
    }
}

/// The new name with the old period, so that a rename never changes the codes.
fn with_period(before: u64, new: &str) -> Result<String, Error> {
    match (before, period(new)) {
        (before, after) if before == after => Ok(new.into()),
        (before, 30) => Ok(format!("{before}/{new}")),
        (before, after) => Err(Error::Usage(format!(
            "the name {new:?} would make a period of {after} s out of {before} s; leave `{after}/` away"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rename_keeps_the_period_that_stands_in_the_name() {
        for (old, new, kept) in [
            ("a", "b", Some("b")),
            ("60/a", "b", Some("60/b")),
            ("60/a", "60/b", Some("60/b")),
            ("60/a", "15/b", None),
            ("a", "60/b", None),
            ("a/b", "c/d", Some("c/d")),
        ] {
            assert_eq!(with_period(period(old), new).ok().as_deref(), kept, "{old} to {new}");
        }
    }
}
