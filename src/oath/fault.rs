//! Why the OATH applet did not serve, and which status word says so.
//!
//! Source: Yubico, "YKOATH Protocol", the response codes of each command.

use super::answer::Version;
use super::wire::{NotWire, Status};
use crate::card::CardError;

/// Why the applet did not serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OathError {
    /// The card could not be reached.
    #[error(transparent)]
    Card(#[from] CardError),
    /// The account is there and its data are not.
    #[error("the OATH account is corrupted on the YubiKey")]
    Corrupted,
    /// 32 accounts, or 64 from firmware 5.7.
    #[error("the YubiKey holds as many OATH accounts as it can")]
    Full,
    /// The card took our proof and could not give its own.
    #[error("the YubiKey could not prove that it knows the password")]
    Impostor,
    /// A password is set, and it was not given in this connection.
    #[error("the YubiKey's OATH accounts are locked with a password")]
    Locked,
    /// The answer is not what the protocol says.
    #[error("the YubiKey's answer makes no sense: {0}")]
    Malformed(&'static str),
    /// The name is too long for the applet, or empty.
    #[error("an OATH account's name has 1 to 64 bytes")]
    Name,
    /// No such account.
    #[error("the YubiKey holds no such OATH account")]
    NoAccount,
    /// The card has no OATH applet, or it is disabled over USB.
    #[error("the OATH application is not there, or not enabled over USB")]
    NoApplet,
    /// A touch was wanted and did not come.
    #[error("the YubiKey was not touched")]
    NotTouched,
    /// Another program selected another applet between our commands.
    #[error("another program used the YubiKey in the middle of the conversation")]
    OtherApplet,
    /// The applet takes no such data.
    #[error("the YubiKey refuses these data")]
    Refused,
    /// Any other status word.
    #[error("the YubiKey answered with status {0:04x}")]
    Status(u16),
    /// The firmware is too old.
    #[error("the YubiKey's firmware {0} cannot do this: {1}")]
    TooOld(Version, &'static str),
    /// The proof was wrong.
    #[error("the password does not open the YubiKey's OATH accounts")]
    WrongPassword,
}

impl From<NotWire> for OathError {
    fn from(NotWire(what): NotWire) -> Self {
        Self::Malformed(what)
    }
}

impl OathError {
    pub(super) fn from_status(status: Status) -> Self {
        match status {
            Status::CORRUPTED => Self::Corrupted,
            Status::FULL => Self::Full,
            Status::NO_SUCH_OBJECT => Self::NoAccount,
            Status::REFUSED | Status::REFUSED_TOO => Self::Locked,
            Status::UNKNOWN_INS => Self::OtherApplet,
            Status::WRONG_DATA => Self::Refused,
            Status(other) => Self::Status(other),
        }
    }
}
