//! Whether the Secret Service would have to ask a person before it gives or takes a secret, and the asking.
//!
//! Source: Secret Service API draft 0.2: `SearchItems` tells locked items apart without unlocking them, a collection has the
//! property `Locked`, and a prompt's signal `Completed` says whether it was dismissed. The keyring crate unlocks whatever it
//! finds, and asks; what became of that it does not tell.

use std::collections::HashMap;
use std::time::Duration;

use zbus::blocking::{Connection, Proxy, connection};
use zbus::zvariant::{OwnedObjectPath, OwnedValue};

const BUS_NAME: &str = "org.freedesktop.secrets";
const OBJECT: &str = "/org/freedesktop/secrets";
const SERVICE: &str = "org.freedesktop.Secret.Service";
const PROMPT: &str = "org.freedesktop.Secret.Prompt";
const COLLECTION: &str = "org.freedesktop.Secret.Collection";

/// Whether everything of ours is open; `None` where no service answers within `limit` a call. Blocks so long.
pub(super) fn unlocked(ours: &str, limit: Duration) -> Option<bool> {
    let bus = connection::Builder::session().ok()?.method_timeout(limit).build().ok()?;
    Some(locked(&bus, ours)?.is_empty())
}

/// What the person at the unlock window did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unlocking {
    /// Closed it.
    Dismissed,
    /// Gave the password, or there was nothing to ask.
    Open,
    /// The service said something that the API does not know; the caller's own call will tell.
    Unclear,
}

/// Has the desktop ask for the password of what is locked of ours. Blocks until the person answers: the caller keeps the time.
pub(super) fn unlock(ours: &str) -> Unlocking {
    ask(ours).unwrap_or(Unlocking::Unclear)
}

fn ask(ours: &str) -> Option<Unlocking> {
    let bus = Connection::session().ok()?;
    let wanted = (locked(&bus, ours)?,);
    let answer = bus.call_method(Some(BUS_NAME), OBJECT, Some(SERVICE), "Unlock", &wanted).ok()?;
    let (_, prompt): (Vec<OwnedObjectPath>, OwnedObjectPath) = answer.body().deserialize().ok()?;
    if prompt.as_str() == "/" {
        return Some(Unlocking::Open);
    }
    let prompt = Proxy::new(&bus, BUS_NAME, prompt, PROMPT).ok()?;
    // Heard before it is asked: a service may answer at once.
    let mut completed = prompt.receive_signal("Completed").ok()?;
    prompt.call_method("Prompt", &("",)).ok()?;
    let (dismissed, _): (bool, OwnedValue) = completed.next()?.body().deserialize().ok()?;
    Some(if dismissed { Unlocking::Dismissed } else { Unlocking::Open })
}

/// What is locked: items of ours, else the collection that would take them.
fn locked(bus: &Connection, ours: &str) -> Option<Vec<OwnedObjectPath>> {
    let wanted = (HashMap::from([("service", ours)]),);
    let found = bus.call_method(Some(BUS_NAME), OBJECT, Some(SERVICE), "SearchItems", &wanted).ok()?;
    let (_, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = found.body().deserialize().ok()?;
    if !locked.is_empty() {
        return Some(locked);
    }
    let alias = bus.call_method(Some(BUS_NAME), OBJECT, Some(SERVICE), "ReadAlias", &("default",)).ok()?;
    let default: OwnedObjectPath = alias.body().deserialize().ok()?;
    if default.as_str() == "/" {
        return Some(vec![]); // No collection yet, and none is made: the crate only opens what is there.
    }
    let properties = Some("org.freedesktop.DBus.Properties");
    let asked = (COLLECTION, "Locked");
    let answer = bus.call_method(Some(BUS_NAME), default.as_str(), properties, "Get", &asked).ok()?;
    let closed: OwnedValue = answer.body().deserialize().ok()?;
    Some(if bool::try_from(closed).ok()? { vec![default] } else { vec![] })
}
