//! Bytes of the OATH applet: command APDUs, TLV, status words.
//!
//! Knows nothing about what a command is for. Every function is total: no input panics, leftovers are errors.
//! Source: ISO/IEC 7816-4, sections 5.1 and 5.2; Yubico, "YKOATH Protocol".

use zeroize::Zeroizing;

/// Most data bytes that a short command APDU carries (ISO/IEC 7816-4, section 5.1). NEO and NFC take no others.
const MOST_DATA: usize = 255;

/// The status word after a response's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    /// The command was carried out.
    pub const OK: Self = Self(0x9000);
    /// The account cannot be used any more.
    pub const CORRUPTED: Self = Self(0x6581);
    /// No such account; for VALIDATE, no password is set.
    pub const NO_SUCH_OBJECT: Self = Self(0x6984);
    /// Locked; or, after a wait, not touched.
    pub const REFUSED: Self = Self(0x6982);
    /// What some cards answer in place of [`Status::REFUSED`].
    pub const REFUSED_TOO: Self = Self(0x6985);
    /// No room for another account.
    pub const FULL: Self = Self(0x6a84);
    /// The data do not parse; for VALIDATE, the proof is wrong.
    pub const WRONG_DATA: Self = Self(0x6a80);
    /// No such instruction in the applet that is selected.
    pub const UNKNOWN_INS: Self = Self(0x6d00);

    /// Whether more of the answer waits (`61xx`).
    pub fn more(self) -> bool {
        self.0 >> 8 == 0x61
    }
}

/// Bytes that are not what the protocol says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotWire(pub &'static str);

/// A short command APDU, without an expected length (Le): a YubiKey answers all the same.
pub fn command(ins: u8, p1: u8, p2: u8, data: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotWire> {
    // The final size from the start: growing would leave copies of a key behind.
    let mut apdu = Zeroizing::new(Vec::with_capacity(5 + data.len()));
    apdu.extend_from_slice(&[0x00, ins, p1, p2]);
    if data.is_empty() {
        return Ok(apdu);
    }
    if data.len() > MOST_DATA {
        return Err(NotWire("a command is longer than a short APDU"));
    }
    let length = u8::try_from(data.len()).map_err(|_| NotWire("a command is longer than a short APDU"))?;
    apdu.push(length);
    apdu.extend_from_slice(data);
    Ok(apdu)
}

/// Divides a response APDU into its data and its status word.
pub fn response(apdu: &[u8]) -> Result<(&[u8], Status), NotWire> {
    let (data, status) = apdu.split_last_chunk::<2>().ok_or(NotWire("no status word"))?;
    Ok((data, Status(u16::from_be_bytes(*status))))
}

/// Appends tag, length and value.
pub fn put_tlv(tag: u8, value: &[u8], out: &mut Vec<u8>) -> Result<(), NotWire> {
    out.push(tag);
    match (value.len(), u8::try_from(value.len())) {
        (0..=0x7f, Ok(length)) => out.push(length),
        (_, Ok(length)) => out.extend_from_slice(&[0x81, length]),
        _ => return Err(NotWire("a value is longer than a short APDU")),
    }
    out.extend_from_slice(value);
    Ok(())
}

/// Takes one tag, length and value from the front of `bytes`.
pub fn take_tlv<'b>(bytes: &mut &'b [u8]) -> Result<(u8, &'b [u8]), NotWire> {
    let cut_short = NotWire("a value is cut short");
    let ([tag, length], rest) = bytes.split_first_chunk::<2>().ok_or(cut_short)?;
    let (length, rest) = match *length {
        length @ 0..=0x7f => (usize::from(length), rest),
        0x81 => {
            let ([length], rest) = rest.split_first_chunk::<1>().ok_or(cut_short)?;
            (usize::from(*length), rest)
        }
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>().ok_or(cut_short)?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return Err(NotWire("a length is written in an unknown way")),
    };
    let (value, rest) = rest.split_at_checked(length).ok_or(cut_short)?;
    *bytes = rest;
    Ok((*tag, value))
}

/// Takes the value of `tag` from the front of `bytes`.
pub fn take<'b>(tag: u8, bytes: &mut &'b [u8]) -> Result<&'b [u8], NotWire> {
    let mut ahead = *bytes;
    let (found, value) = take_tlv(&mut ahead)?;
    if found != tag {
        return Err(NotWire("another tag was expected"));
    }
    *bytes = ahead;
    Ok(value)
}

/// The one value that `bytes` hold, under `tag`.
pub fn only(tag: u8, mut bytes: &[u8]) -> Result<&[u8], NotWire> {
    let value = take(tag, &mut bytes)?;
    match bytes {
        [] => Ok(value),
        _ => Err(NotWire("something is left over")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_short_apdu_or_none_at_all() {
        assert_eq!(*command(0xa1, 0, 0, &[]).unwrap(), [0, 0xa1, 0, 0]);
        assert_eq!(*command(0x04, 0xde, 0xad, &[7]).unwrap(), [0, 4, 0xde, 0xad, 1, 7]);
        assert_eq!(command(1, 0, 0, &[0; 255]).unwrap().len(), 260);
        assert!(command(1, 0, 0, &[0; 256]).is_err());
    }

    #[test]
    fn every_length_reads_as_it_was_written() {
        for length in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = Vec::new();
            put_tlv(0x71, &vec![9; length], &mut bytes).unwrap();
            assert_eq!(only(0x71, &bytes).unwrap().len(), length);
            assert!(only(0x72, &bytes).is_err());
            for end in 0..bytes.len() {
                assert!(only(0x71, &bytes[..end]).is_err());
            }
            bytes.push(0);
            assert_eq!(only(0x71, &bytes), Err(NotWire("something is left over")));
        }
        assert!(put_tlv(0x71, &[0; 256], &mut Vec::new()).is_err());
        assert_eq!(only(0x71, &[0x71, 0x82, 0, 1, 5]), Ok([5].as_slice()));
        assert!(only(0x71, &[0x71, 0x80]).is_err());
    }

    #[test]
    fn a_response_needs_a_status_word() {
        assert_eq!(response(&[1, 0x90, 0]), Ok(([1].as_slice(), Status::OK)));
        assert_eq!(response(&[0x61, 5]), Ok(([].as_slice(), Status(0x6105))));
        assert!(response(&[0x90]).is_err() && response(&[]).is_err());
        assert!(Status(0x61ff).more() && !Status::OK.more());
    }
}
