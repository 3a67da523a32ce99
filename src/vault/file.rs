//! Secrets (file).
