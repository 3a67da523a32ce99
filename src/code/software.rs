//! Codes (software).
