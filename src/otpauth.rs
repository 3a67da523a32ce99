//! The `otpauth://` URI.
