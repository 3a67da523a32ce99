//! The notification service of the session's D-Bus.
//!
//! Source: Desktop Notifications Specification 1.2, `Notify` and `CloseNotification`.

use std::collections::HashMap;
use std::time::Duration;

use zbus::blocking::{Connection, connection};
use zbus::zvariant::Value;

/// A desktop that takes longer than this to answer is not looked at by anybody.
const ANSWER: Duration = Duration::from_secs(2);

const SERVICE: &str = "org.freedesktop.Notifications";
const OBJECT: &str = "/org/freedesktop/Notifications";

/// A notice on the screen.
pub(super) struct Notice {
    bus: Connection,
    id: u32,
}

/// Shows a notice; `None` where nothing takes it. Blocks as long as the bus does.
pub(super) fn show(summary: &str, body: &str, longest: Duration) -> Option<Notice> {
    let bus = connection::Builder::session().ok()?.method_timeout(ANSWER).build().ok()?;
    // Critical ones stay in sight until they are withdrawn; transient ones are not kept in a list afterwards.
    let hints = HashMap::from([("urgency", Value::U8(2)), ("transient", Value::Bool(true))]);
    let (actions, replaces, expires) = (Vec::<&str>::new(), 0_u32, i32::try_from(longest.as_millis()).ok()?);
    let what = ("onetap", replaces, "dialog-password", summary, body, actions, hints, expires);
    let answer = bus.call_method(Some(SERVICE), OBJECT, Some(SERVICE), "Notify", &what).ok()?;
    let id = answer.body().deserialize().ok()?;
    Some(Notice { bus, id })
}

impl Notice {
    pub(super) fn withdraw(self) {
        let _ = self.bus.call_method(Some(SERVICE), OBJECT, Some(SERVICE), "CloseNotification", &(self.id,));
    }
}
