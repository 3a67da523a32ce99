//! `onetap rotate`: a new access key in the place of the old one, with one that works at every moment.
//!
//! The new key is stored beside the old one, proven, put in its place; only then is the old one deactivated, and deleted.
//! Each step is written down before it is done, so that the next run knows what a run that was cut short has left.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::attendant::Notice;
use crate::error::Error;
use crate::error::iam::UserError;
use crate::iam::{Iam, IamError, KeyState};
use crate::keys::AccessKey;
use crate::session::store::Kept;
use crate::sts::{Signer, Sts, StsError};
use crate::vault::Entry;

use super::user::User;
use super::{Context, block_on, ledger, print};

/// How long a new key may take to be known everywhere. IAM says seconds, and promises nothing.
const SPREADS: Duration = Duration::from_secs(60);
/// The pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// A key whose making was not answered was made within this time of its being asked for.
const JUST_THEN: Duration = Duration::from_secs(120);

/// A rotation between its first step and its last.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Rotation {
    /// The id of the key that shall go.
    old: String,
    /// When the new one was asked for, in seconds since the epoch.
    since: u64,
}

pub(super) fn run(context: &Context, profile: &str, delete: Option<&str>) -> Result<(), Error> {
    let mut user = User::of(context, profile, "rotate")?;
    let next = Entry::NextAccessKey(profile.into());
    let vault = user.context.vault()?;
    if let Some(id) = delete {
        delete_other(&mut user, id)?;
    }
    let mut record: Option<Rotation> = ledger::read(&place(context), profile);
    let stored = AccessKey::read_entry(vault.as_ref(), &next)?;
    let (old, new) = match (record.take(), stored) {
        // The new key is in its place already.
        (Some(record), _) if record.old != user.key.id => (record.old, user.key.clone()),
        (_, Some(new)) => (user.key.id.clone(), new),
        (begun, None) => {
            let new = made(&mut user, begun.as_ref(), &next)?;
            (user.key.id.clone(), new)
        }
    };
    if new.id != user.key.id {
        let still = format!("the profile still uses {old}");
        proven(&user, &new).map_err(|error| cut_short(&error, still.clone()))?;
        in_place(&user, &old, &new).map_err(|error| cut_short(&error, still))?;
        user.key = new.clone();
    }
    vault.remove(&next)?;
    retire(&mut user, &old)?;
    ledger::write::<Rotation>(&place(context), profile, None)?;
    print(format!("{} is in the place of {old}, which is deleted. AWS has taken it.\n", new.id).as_bytes())
}

fn place(context: &Context) -> PathBuf {
    context.places.state.join("rotations.json")
}

fn cut_short(error: &Error, works: String) -> Error {
    let (why, status) = (error.to_string(), error.status());
    match error {
        // What an administrator must do is worth more than a line about the key, which is as it was.
        Error::User(denied @ (UserError::Denied { .. } | UserError::NoMfa { .. })) => denied.clone().into(),
        _ => UserError::Rotation { why, works, status }.into(),
    }
}

/// Takes the user's other key away, as its owner said.
fn delete_other(user: &mut User, id: &str) -> Result<(), Error> {
    if id == user.key.id {
        return Err(Error::Usage(format!("{id} is the key that the profile uses")));
    }
    let name = user.name.clone();
    match user.call(async |iam| iam.delete_access_key(&name, id).await) {
        Err(Error::Iam(IamError::Gone(_))) => Err(Error::Usage(format!("{name} has no access key {id}"))),
        deleted => deleted,
    }
}

/// Makes the new key and stores it beside the old one.
fn made(user: &mut User, begun: Option<&Rotation>, next: &Entry) -> Result<AccessKey, Error> {
    let (name, path) = (user.name.clone(), place(&user.context));
    let still = format!("the profile still uses {}", user.key.id);
    let keys = user.call(async |iam| iam.access_keys(&name).await)?;
    if let Some(other) = keys.iter().find(|key| key.id != user.key.id) {
        if !begun.is_some_and(|begun| is_lost(begun, other)) {
            // It helps to decide; who may not see it decides without.
            let used = user.as_is(&async |iam: &Iam| iam.last_used(&other.id).await).ok();
            return Err(UserError::FullOfKeys {
                profile: user.profile.clone(),
                used: user.key.id.clone(),
                other: other.id.clone(),
                active: other.active,
                used_last: used
                    .map(|used| used.map_or("never used".into(), |used| format!("last used {used}"))),
            }
            .into());
        }
        let text = format!("Deleting {}, which an earlier run made and whose secret is lost.", other.id);
        user.context.attendant.notice(Notice::Told(text));
        user.call(async |iam| iam.delete_access_key(&name, &other.id).await)?;
    }
    let since = user.context.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    ledger::write(&path, &user.profile, Some(Rotation { old: user.key.id.clone(), since }))?;
    let new = match user.call(async |iam| iam.create_access_key(&name).await) {
        // It may have been made.
        Err(error @ Error::Iam(IamError::Network(_) | IamError::TryAgain(_))) => {
            return Err(cut_short(&error, still));
        }
        Err(error) => {
            ledger::write::<Rotation>(&path, &user.profile, None)?;
            return Err(cut_short(&error, still));
        }
        Ok(new) => new,
    };
    if let Err(error) = new.write_entry(user.context.vault()?.as_ref(), next) {
        let id = new.id.clone();
        let deleted = user.call(async |iam| iam.delete_access_key(&name, &id).await);
        if deleted.is_ok() {
            ledger::write::<Rotation>(&path, &user.profile, None)?;
        }
        return Err(cut_short(&error.into(), still));
    }
    Ok(new)
}

/// Whether this is the key that an earlier run asked for, and whose secret never came to be stored.
fn is_lost(begun: &Rotation, key: &KeyState) -> bool {
    let asked = UNIX_EPOCH.checked_add(Duration::from_secs(begun.since));
    let apart = |a: SystemTime, b: SystemTime| a.duration_since(b).unwrap_or_else(|error| error.duration());
    matches!((asked, key.made), (Some(asked), Some(made)) if apart(asked, made) <= JUST_THEN)
}

/// Has AWS take the new key, as the same user's.
fn proven(user: &User, new: &AccessKey) -> Result<(), Error> {
    let ask = || {
        block_on(async {
            let sts = Sts::new(&user.network, Signer::Key(new), user.context.clock.clone())?;
            Ok(sts.caller_identity().await?)
        })
    };
    let identity = patiently(user, &new.id, ask)?;
    match identity == user.identity {
        true => Ok(()),
        false => Err(UserError::NotAUser { arn: identity.arn }.into()),
    }
}

/// Repeats what AWS refuses because it does not know a new key everywhere yet.
fn patiently<T>(user: &User, id: &str, mut ask: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    let enough = Instant::now() + SPREADS;
    let mut said = false;
    loop {
        let error = match ask() {
            Err(
                error @ (Error::Sts(StsError::DeadKey(_))
                | Error::Iam(IamError::Signed(StsError::DeadKey(_)))),
            ) => error,
            answer => return answer,
        };
        if Instant::now() >= enough {
            let what = format!("the access key {id}");
            return Err(UserError::NotSpread { what, why: error.to_string() }.into());
        }
        if !std::mem::replace(&mut said, true) {
            let text = "AWS does not know the new key everywhere yet; waiting.";
            user.context.attendant.notice(Notice::Told(text.into()));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Puts the new key where the old one stood: in this profile, and in others that were given the same key.
fn in_place(user: &User, old: &str, new: &AccessKey) -> Result<(), Error> {
    let (context, vault) = (&user.context, user.context.vault()?);
    let profiles = context.profiles()?;
    let mut owners = vec![user.profile.clone()];
    for name in profiles.names().filter(|name| *name != user.profile) {
        if AccessKey::read(vault.as_ref(), name)?.is_some_and(|key| key.id == old) {
            owners.push(name.into());
        }
        if profiles.profile(name).and_then(|profile| profile.value("aws_access_key_id")) == Some(old) {
            let text =
                format!("{old} also stands in plain text in the profile {name}, where it will work no more");
            context.attendant.notice(Notice::Warning(text));
        }
    }
    // This profile last: until it has changed, the next run begins here again.
    for owner in owners.iter().rev() {
        new.write(vault.as_ref(), owner)?;
    }
    if context.places.sessions().exists() {
        let follow = |kept: &mut Kept| {
            for owner in &owners {
                kept.access_keys.insert(owner.clone(), new.id.clone());
            }
            // No profile asks for them any more.
            kept.sessions.retain(|key, _| !key.is_from(old));
        };
        context.store(vault).update(follow, context.clock.now())?;
    }
    Ok(())
}

/// Deactivates the old key, and deletes it.
fn retire(user: &mut User, old: &str) -> Result<(), Error> {
    let uses = format!("the profile uses {}", user.key.id);
    let name = user.name.clone();
    done(user, async |iam| iam.deactivate_access_key(&name, old).await)
        .map_err(|error| cut_short(&error, format!("{uses}, and {old} is still active")))?;
    done(user, async |iam| iam.delete_access_key(&name, old).await)
        .map_err(|error| cut_short(&error, format!("{uses}, and {old} is inactive")))
}

/// One call; what is gone already is done.
fn done(user: &mut User, call: impl AsyncFn(&Iam) -> Result<(), IamError>) -> Result<(), Error> {
    let enough = Instant::now() + SPREADS;
    loop {
        match user.call(&call) {
            Err(Error::Iam(IamError::Gone(_))) => return Ok(()),
            Err(Error::Iam(IamError::Signed(StsError::DeadKey(_)))) if Instant::now() < enough => {
                std::thread::sleep(LOOK_AGAIN);
            }
            answer => return answer,
        }
    }
}
