//! A YubiKey's serial number, asked of the key.
//!
//! First of the management applet, over any [`Card`]; keys where it does not answer are asked through their PIV
//! applet, by the crate `yubikey`, over a connection of its own.
//! Source: yubikey-manager, `management.py`: READ CONFIG (1D), tag 02, firmware 4.1 and later.

use super::{Card, CardError, Serial};

/// SELECT of the management applet.
const SELECT: &[u8] = &[0x00, 0xa4, 0x04, 0x00, 0x08, 0xa0, 0x00, 0x00, 0x05, 0x27, 0x47, 0x11, 0x17];

/// READ CONFIG, first page.
const READ_CONFIG: &[u8] = &[0x00, 0x1d, 0x00, 0x00];

/// What the management applet says; `None` where it does not answer or has no serial to tell. Two APDUs.
pub(super) fn told(card: &mut dyn Card) -> Result<Option<Serial>, CardError> {
    if !card.transmit(SELECT)?.ends_with(&[0x90, 0x00]) {
        return Ok(None);
    }
    Ok(in_config(&card.transmit(READ_CONFIG)?))
}

/// The value of tag 02 in READ CONFIG's answer: its length, then fields, then 9000.
fn in_config(answer: &[u8]) -> Option<Serial> {
    let (length, fields) = answer.strip_suffix(&[0x90, 0x00])?.split_first()?;
    if usize::from(*length) != fields.len() {
        return None;
    }
    let mut fields = fields;
    loop {
        let ([tag, length], rest) = fields.split_first_chunk::<2>()?;
        let (value, rest) = rest.split_at_checked(usize::from(*length))?;
        if *tag == 0x02 {
            return Some(Serial(u32::from_be_bytes(value.try_into().ok()?)));
        }
        fields = rest;
    }
}

/// What the PIV applet says of the key in the reader of this name; `None` where there is no such applet.
pub(super) fn by_piv(reader: &str) -> Option<Serial> {
    let mut context = yubikey::reader::Context::open().ok()?;
    let key = context.iter().ok()?.find(|there| there.name() == reader)?.open().ok()?;
    let serial = Serial(key.serial().into());
    // Dropping it would reset the card, and throw away another program's PIN state.
    let _ = key.disconnect(super::pcsc::AS_FOUND);
    Some(serial)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_is_found_among_other_fields_or_not_at_all() {
        let answer = [0x0f, 1, 2, 2, 0x3b, 2, 4, 0, 0xa9, 0x8a, 0xc7, 5, 3, 5, 4, 3, 0x90, 0];
        assert_eq!(in_config(&answer), Some(Serial(11_111_111)));
        for end in 0..answer.len() {
            assert_eq!(in_config(&answer[..end]), None);
        }
        assert_eq!(in_config(&[4, 1, 2, 2, 0x3b, 0x90, 0]), None);
        assert_eq!(in_config(&[6, 2, 4, 0, 0, 0, 0x90, 0]), None);
        assert_eq!(in_config(&[0x6d, 0]), None);
    }
}
