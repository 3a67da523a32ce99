//! Stories: tests with real parts, one module each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "stories/vault.rs"]
mod vault;
