//! Systems whose keychain says itself that it is locked.

/// What the keychain says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "the Secret Service has the other states")]
pub(super) enum State {
    Locked,
    None,
    Open,
    Silent,
}

/// Its answers can be believed.
pub(super) fn state() -> State {
    State::Open
}
