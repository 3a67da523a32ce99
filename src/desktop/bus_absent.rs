//! Systems without a session D-Bus: the terminal says it alone.

use std::time::Duration;

/// A notice on the screen; there is none.
pub(super) struct Notice;

/// Shows nothing.
pub(super) fn show(_summary: &str, _body: &str, _longest: Duration) -> Option<Notice> {
    None
}

impl Notice {
    pub(super) fn withdraw(self) {}
}
