//! onetap: one touch of a YubiKey becomes AWS credentials for everything on a developer's machine.
//!
//! The modules stand in the order of their dependencies: each may use only those below it in this list
//! (`tests/architecture.rs` holds the list against the code). `docs/ARCHITECTURE.md` is the guided tour.

pub mod commands;

pub mod cli;

pub mod desktop;
pub mod terminal;

pub mod authenticator;

pub mod error;

pub mod iam;
pub mod sts;

pub mod turn;

pub mod settings;

pub mod policy;

pub mod plan;
pub mod profiles;

pub mod session;

pub mod code;

pub mod oath;

pub mod card;

pub mod keys;
pub mod otpauth;
pub mod qr;

pub mod vault;

pub mod attendant;
pub mod files;
pub mod foreign;
pub mod places;

pub use authenticator::Authenticator;
pub mod shield;
