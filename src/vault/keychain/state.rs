//! What the Secret Service says of itself, where its "there is no such entry" may mean "I am locked".
//!
//! Knows three questions to the service; asks for nothing to be unlocked and reads no secret.
//! Source: Secret Service API 0.2, `ReadAlias`, `Collections` and `Locked`; KeePassXC and oo7, which hide the items of what is locked.

use std::time::Duration;

use zbus::blocking::{Connection, connection};
use zbus::zvariant::{OwnedObjectPath, OwnedValue};

/// A service takes milliseconds; the caller's own patience is 1.5 s at least.
const ANSWER: Duration = Duration::from_secs(1);

const NAME: &str = "org.freedesktop.secrets";
const SERVICE: &str = "/org/freedesktop/secrets";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// What the collections of the Secret Service are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The one that would hold ours is locked, and what it holds may be hidden.
    Locked,
    /// There is none that could hold anything.
    None,
    /// Open: what is not there is not there.
    Open,
    /// Nothing was said.
    Silent,
}

/// Asks. Blocks a few seconds at the longest.
pub(super) fn state() -> State {
    ask().unwrap_or(State::Silent)
}

fn ask() -> Option<State> {
    let bus = connection::Builder::session().ok()?.method_timeout(ANSWER).build().ok()?;
    let alias = ("default",);
    let interface = Some("org.freedesktop.Secret.Service");
    let default = bus.call_method(Some(NAME), SERVICE, interface, "ReadAlias", &alias).ok()?;
    let default: OwnedObjectPath = default.body().deserialize().ok()?;
    // Ours are in the default collection; where a locked service names none, they may be in any.
    let places = if default.as_str() == "/" { collections(&bus)? } else { vec![default] };
    if places.is_empty() {
        return Some(State::None);
    }
    for path in places {
        let locked = property(&bus, path.as_str(), "org.freedesktop.Secret.Collection", "Locked")?;
        if bool::try_from(locked).ok()? {
            return Some(State::Locked);
        }
    }
    Some(State::Open)
}

fn collections(bus: &Connection) -> Option<Vec<OwnedObjectPath>> {
    let all = property(bus, SERVICE, "org.freedesktop.Secret.Service", "Collections")?;
    let mut all = <Vec<OwnedObjectPath>>::try_from(all).ok()?;
    // What is gone at logout holds nothing of ours.
    all.retain(|path| !path.as_str().ends_with("/session"));
    Some(all)
}

fn property(bus: &Connection, path: &str, interface: &str, name: &str) -> Option<OwnedValue> {
    let answer = bus.call_method(Some(NAME), path, Some(PROPERTIES), "Get", &(interface, name)).ok()?;
    answer.body().deserialize().ok()
}
