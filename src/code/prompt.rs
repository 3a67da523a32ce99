//! Codes (prompt).
