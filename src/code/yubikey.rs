//! Codes (yubikey).
