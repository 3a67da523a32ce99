//! Stories: tests with real parts, one module each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "stories/bad_input.rs"]
mod bad_input;
#[path = "stories/main_job.rs"]
mod main_job;
#[path = "stories/vault.rs"]
mod vault;
