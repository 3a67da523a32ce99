//! The terminal as it was, where questions leave it to the console: nothing to restore.

/// There is nothing to restore.
pub fn restore() {}

/// Nobody else is in the way.
pub(crate) fn leave_interrupts_to_others() {}
