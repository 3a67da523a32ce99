//! A YubiKey's serial number.
