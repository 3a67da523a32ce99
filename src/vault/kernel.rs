//! Secrets (kernel).
