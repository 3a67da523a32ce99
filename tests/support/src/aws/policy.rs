//! Policy documents ready to be attached; the documents themselves stand in `tests/support/policies`.

use serde_json::Value;

/// Looking is always allowed, stopping an instance only with MFA: story (a).
pub fn stop_only_with_mfa() -> Value {
    document(include_str!("../../policies/stop-only-with-mfa.json"))
}

/// Everything is allowed with MFA and nothing without: as the permissions boundary of story (b).
pub fn everything_only_with_mfa() -> Value {
    document(include_str!("../../policies/everything-only-with-mfa.json"))
}

/// Everything is allowed: the identity policy that a boundary needs beside it.
pub fn everything() -> Value {
    document(include_str!("../../policies/everything.json"))
}

/// Everything is allowed, and denied again without MFA (`BoolIfExists`), as AWS's own guide writes it.
pub fn deny_without_mfa() -> Value {
    document(include_str!("../../policies/deny-without-mfa.json"))
}

fn document(text: &str) -> Value {
    // A document that is no JSON becomes `null`, which no world accepts.
    serde_json::from_str(text).unwrap_or_default()
}
