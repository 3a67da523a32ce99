//! Secrets (keychain).
