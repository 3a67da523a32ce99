//! Whether the Secret Service would have to ask a person before it gives or takes a secret.
//!
//! Source: Secret Service API draft 0.2: `SearchItems` tells locked items apart without unlocking them, and a
//! collection has the property `Locked`. The keyring crate unlocks whatever it finds, and asks.

use std::collections::HashMap;
use std::time::Duration;

use zbus::blocking::connection;
use zbus::zvariant::{OwnedObjectPath, OwnedValue};

const BUS_NAME: &str = "org.freedesktop.secrets";
const OBJECT: &str = "/org/freedesktop/secrets";
const SERVICE: &str = "org.freedesktop.Secret.Service";
const COLLECTION: &str = "org.freedesktop.Secret.Collection";

/// Whether everything of ours is open; `None` where no service answers within `limit` a call. Blocks so long.
pub(super) fn unlocked(ours: &str, limit: Duration) -> Option<bool> {
    let bus = connection::Builder::session().ok()?.method_timeout(limit).build().ok()?;
    let wanted = (HashMap::from([("service", ours)]),);
    let found = bus.call_method(Some(BUS_NAME), OBJECT, Some(SERVICE), "SearchItems", &wanted).ok()?;
    let (_, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = found.body().deserialize().ok()?;
    if !locked.is_empty() {
        return Some(false);
    }
    let alias = bus.call_method(Some(BUS_NAME), OBJECT, Some(SERVICE), "ReadAlias", &("default",)).ok()?;
    let default: OwnedObjectPath = alias.body().deserialize().ok()?;
    if default.as_str() == "/" {
        return Some(true); // No collection yet, and none is made: the crate only opens what is there.
    }
    let properties = Some("org.freedesktop.DBus.Properties");
    let asked = (COLLECTION, "Locked");
    let answer = bus.call_method(Some(BUS_NAME), default, properties, "Get", &asked).ok()?;
    let locked: OwnedValue = answer.body().deserialize().ok()?;
    Some(!bool::try_from(locked).ok()?)
}
