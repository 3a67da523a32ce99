//! The bench that the stories run on.

pub mod aws;
pub mod canary;
pub mod home;
pub mod keepassxc;
pub mod measure;
pub mod notifications;
pub mod pcscd;
pub mod prompter;
#[cfg(unix)]
pub mod pty;
#[cfg(unix)]
pub mod root;
pub mod secret_service;
pub mod vpcd;
