//! The bench that the stories run on.

pub mod secret_service;
pub mod aws;
