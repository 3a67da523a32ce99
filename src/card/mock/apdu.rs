//! Command APDUs and their data as the virtual token reads them.
//!
//! The card's side of the protocol, written apart from the client's, so that an error in one is seen by the other.
//! Source: ISO/IEC 7816-4, section 5.1 (all seven cases of a command); Yubico, "YKOATH Protocol".

/// A command, taken apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Apdu<'a> {
    /// Class.
    pub cla: u8,
    /// Instruction.
    pub ins: u8,
    /// First parameter.
    pub p1: u8,
    /// Second parameter.
    pub p2: u8,
    /// Data, perhaps none.
    pub data: &'a [u8],
    /// Whether the caller wrote an extended length, and so takes a long answer in one piece.
    pub extended: bool,
}

impl<'a> Apdu<'a> {
    /// Takes a command apart; `None` if its lengths contradict each other.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let ([cla, ins, p1, p2], body) = bytes.split_first_chunk::<4>()?;
        let (data, extended): (&[u8], bool) = match body {
            [] | [_] => (&[], false),
            [0, _, _] => (&[], true),
            [0, high, low, rest @ ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                let (data, expected) = rest.split_at_checked(length)?;
                (matches!(expected.len(), 0 | 2) && length > 0).then_some((data, true))?
            }
            [length, rest @ ..] => {
                let (data, expected) = rest.split_at_checked(usize::from(*length))?;
                (expected.len() <= 1 && *length > 0).then_some((data, false))?
            }
        };
        Some(Self { cla: *cla, ins: *ins, p1: *p1, p2: *p2, data, extended })
    }
}

/// What a command is called, for the log.
pub(super) fn name(bytes: &[u8]) -> &'static str {
    match *bytes {
        [_, 0xa4, 0x04, ..] => "SELECT",
        [_, 0xa4, ..] => "CALCULATE-ALL",
        [_, 0x01, ..] => "PUT",
        [_, 0x02, ..] => "DELETE",
        [_, 0x03, ..] => "SET-CODE",
        [_, 0x04, ..] => "RESET",
        [_, 0x05, ..] => "RENAME",
        [_, 0x1d, ..] => "READ-CONFIG",
        [_, 0xa1, ..] => "LIST",
        [_, 0xa2, ..] => "CALCULATE",
        [_, 0xa3, ..] => "VALIDATE",
        [_, 0xa5, ..] => "SEND-REMAINING",
        _ => "unknown",
    }
}

/// Takes the value of `tag` from the front of `data`; `None` if something else stands there.
pub(super) fn take<'a>(tag: u8, data: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = match **data {
        [found, ..] if found != tag => return None,
        [_, length @ 0..=0x7f, ref rest @ ..] => (usize::from(length), rest),
        [_, 0x81, length, ref rest @ ..] => (usize::from(length), rest),
        [_, 0x82, high, low, ref rest @ ..] => (usize::from(u16::from_be_bytes([high, low])), rest),
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    *data = rest;
    Some(value)
}

/// Appends tag, length and value; nothing that the token says is longer than 255 bytes.
pub(super) fn put(tag: u8, value: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    let length = u8::try_from(value.len()).unwrap_or(u8::MAX);
    if length > 0x7f {
        out.push(0x81);
    }
    out.push(length);
    out.extend(value.iter().take(usize::from(length)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(bytes: &[u8]) -> Option<(Vec<u8>, bool)> {
        Apdu::read(bytes).map(|apdu| (apdu.data.to_vec(), apdu.extended))
    }

    #[test]
    fn all_seven_cases_of_a_command_are_read() {
        for (bytes, read) in [
            (vec![0, 0xa1, 0, 0], (vec![], false)),
            (vec![0, 0xa1, 0, 0, 0], (vec![], false)),
            (vec![0, 0xa1, 0, 0, 2, 7, 8], (vec![7, 8], false)),
            (vec![0, 0xa1, 0, 0, 2, 7, 8, 0], (vec![7, 8], false)),
            (vec![0, 0xa1, 0, 0, 0, 0, 0], (vec![], true)),
            (vec![0, 0xa1, 0, 0, 0, 0, 1, 7], (vec![7], true)),
            (vec![0, 0xa1, 0, 0, 0, 0, 1, 7, 0, 0], (vec![7], true)),
        ] {
            assert_eq!(data(&bytes), Some(read), "{bytes:02x?}");
        }
        for bytes in [
            &[0, 0xa1, 0][..],
            &[0, 0xa1, 0, 0, 2, 7],
            &[0, 0xa1, 0, 0, 1, 7, 8, 9],
            &[0, 1, 0, 0, 0, 0, 1, 7, 8],
        ] {
            assert_eq!(data(bytes), None, "{bytes:02x?}");
        }
    }
}
