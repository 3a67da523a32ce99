//! The bench that the stories run on.

pub mod aws;
pub mod home;
pub mod secret_service;
#[cfg(unix)]
pub mod pty;
