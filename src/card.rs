//! A smart card: bytes in, bytes out.
//!
//! Knows how to name a reader and to hold its card for a while; knows nothing about what the bytes mean.
//! A real reader, the virtual token, and the virtual token behind a real `pcscd` all satisfy [`Card`].

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

pub mod mock;
pub mod pcsc;
mod place;
mod serial;

pub use place::Place;

/// One card, held for the length of a transaction.
pub trait Card {
    /// Sends one command APDU and returns the whole response APDU, status word included.
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardError>;
}

/// A YubiKey's serial number, as printed on its back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(pub u32);

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is not a serial number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a serial number; it is a whole number, as on the key's back")]
pub struct NotASerial(String);

impl FromStr for Serial {
    type Err = NotASerial;

    fn from_str(text: &str) -> Result<Self, NotASerial> {
        text.parse().map(Self).map_err(|_| NotASerial(text.to_owned()))
    }
}

/// Where a card is looked for. Text forms: `pcsc`, `pcsc:SERIAL`, `mock:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The virtual token in a file.
    Mock(PathBuf),
    /// A YubiKey behind PC/SC: the one with this serial number, or the first.
    Pcsc(Option<Serial>),
}

/// Why a card could not be reached or did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// Another program holds the card, and went on holding it.
    #[error("another program holds the YubiKey")]
    Busy,
    /// The answer was not one that a card gives.
    #[error("the card gave an answer that makes no sense ({0})")]
    Malformed(&'static str),
    /// The virtual token's file cannot be used.
    #[error("the virtual token {path} cannot be used: {reason}")]
    MockFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and in which line.
        reason: String,
    },
    /// Not one reader is there, a YubiKey's own included.
    #[error("no reader is connected")]
    NoReader,
    /// The smart card service is not there.
    #[error("the smart card service (pcscd) is not running")]
    NoService,
    /// No YubiKey, or not the one that was asked for.
    #[error("{}", no_token(.wanted, .present))]
    NoToken {
        /// The serial that was asked for, if any.
        wanted: Option<Serial>,
        /// The serials that are there.
        present: Vec<Serial>,
    },
    /// The system refused access to the smart card service.
    #[error("this process may not use the smart card service")]
    NotAllowed,
    /// Anything else that PC/SC reports.
    #[error("the smart card service reports: {0}")]
    Other(String),
    /// The card was pulled while it was in use.
    #[error("the YubiKey was removed")]
    Removed,
    /// Another program reset the card, and with it what was selected: the conversation must begin again, once.
    #[error("another program reset the YubiKey")]
    Reset,
    /// The smart card service ended, or was restarted, while a touch was waited for.
    #[error("the smart card service (pcscd) was stopped or restarted while the YubiKey waited for its touch")]
    ServiceLost,
    /// Between two looks at it, the key in the reader became another one.
    #[error("another YubiKey was plugged in meanwhile, or this one was reset")]
    Swapped,
    /// The limit passed.
    #[error("the YubiKey did not answer in time")]
    TimedOut,
}

impl CardError {
    /// The same, said of the key that was asked for.
    fn of_key(self, wanted: Option<Serial>) -> Self {
        match self {
            Self::NoToken { present, .. } => Self::NoToken { wanted, present },
            other => other,
        }
    }
}

fn no_token(wanted: &Option<Serial>, present: &[Serial]) -> String {
    let found = present.iter().map(Serial::to_string).collect::<Vec<_>>().join(", ");
    match (wanted, present.is_empty()) {
        (Some(serial), false) => format!("the YubiKey {serial} is not plugged in; found {found}"),
        (Some(serial), true) => format!("the YubiKey {serial} is not plugged in"),
        (None, _) => "no YubiKey is plugged in".into(),
    }
}

/// A reader's text form that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a reader; write pcsc, pcsc:SERIAL or mock:PATH")]
pub struct NotAReader(String);

impl FromStr for Reader {
    type Err = NotAReader;

    fn from_str(text: &str) -> Result<Self, NotAReader> {
        let refused = || NotAReader(text.to_owned());
        match text.split_once(':') {
            None if text == "pcsc" => Ok(Self::Pcsc(None)),
            Some(("pcsc", serial)) => {
                serial.parse().map(|n| Self::Pcsc(Some(Serial(n)))).map_err(|_| refused())
            }
            Some(("mock", path)) if !path.is_empty() => Ok(Self::Mock(path.into())),
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mock(path) => write!(f, "mock:{}", path.display()),
            Self::Pcsc(None) => f.write_str("pcsc"),
            Self::Pcsc(Some(serial)) => write!(f, "pcsc:{serial}"),
        }
    }
}

impl Reader {
    /// Connects to the first of [`Reader::places`], holds the card while `work` runs, and leaves it as it was found.
    ///
    /// Blocks until `deadline` at the longest: connecting to a busy card and a command that waits for a touch
    /// both end there with [`CardError::TimedOut`] or [`CardError::Busy`].
    pub fn transact<T, E: From<CardError>>(
        &self,
        deadline: Instant,
        work: impl FnOnce(&mut dyn Card) -> Result<T, E>,
    ) -> Result<T, E> {
        match self.places(deadline)?.first() {
            Some(place) => place.transact(deadline, work),
            None => Err(CardError::NoToken { wanted: None, present: Vec::new() }.into()),
        }
    }
}

/// How long one card may hold up a look at all of them.
const A_LOOK: Duration = Duration::from_secs(5);

/// A YubiKey that is there, and what was seen of it.
#[derive(Clone, Debug)]
pub struct Present<T, E> {
    /// The reader's name, or `mock:PATH`.
    pub reader: String,
    /// Its serial number, if it tells one.
    pub serial: Option<Serial>,
    /// What the look at it gave.
    pub seen: Result<T, E>,
}

impl Reader {
    /// Looks at every YubiKey that is there (at the one that was asked for, if a serial number is named), one after the
    /// other, each for 5 s at most. None at all is an error; one that is busy or refuses is not.
    pub fn each<T, E: From<CardError>>(
        &self,
        deadline: Instant,
        mut look: impl FnMut(&mut dyn Card) -> Result<T, E>,
    ) -> Result<Vec<Present<T, E>>, CardError> {
        let wanted = match self {
            Self::Mock(path) => {
                let (mut serial, mut look) = (None, look);
                let seen = mock::transact(path, deadline, |card| told_and(&mut serial, card, &mut look));
                return Ok(vec![Present { reader: self.to_string(), serial, seen }]);
            }
            Self::Pcsc(wanted) => *wanted,
        };
        let mut there = Vec::new();
        for name in pcsc::present::readers(deadline)? {
            let reader = name.to_string_lossy().into_owned();
            let limit = deadline.min(Instant::now() + A_LOOK);
            let mut serial = None;
            let seen = match pcsc::transact_in(name, limit, |card| {
                Ok::<_, CardError>(told_and(&mut serial, card, &mut look))
            }) {
                // A key that is just being pulled.
                Err(CardError::Removed) => continue,
                Err(error) => Err(error.into()),
                Ok(seen) => seen,
            };
            let serial = serial.or_else(|| serial::by_piv(&reader));
            there.push(Present { reader, serial, seen });
        }
        let present: Vec<_> = there.iter().filter_map(|key| key.serial).collect();
        there.retain(|key| wanted.is_none() || key.serial == wanted);
        match there.is_empty() {
            true => Err(CardError::NoToken { wanted, present }),
            false => Ok(there),
        }
    }
}

/// Asks for the serial number, and then looks.
fn told_and<T, E: From<CardError>>(
    serial: &mut Option<Serial>,
    card: &mut dyn Card,
    look: &mut impl FnMut(&mut dyn Card) -> Result<T, E>,
) -> Result<T, E> {
    *serial = serial::told(card)?;
    look(card)
}

/// How long a card that is held by others, or that is not there yet, is asked again: a key that was just used over
/// HID needs up to 3 s before its card answers.
const PATIENCE: Duration = Duration::from_secs(3);

/// The pause between two attempts.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Why an attempt to reach a card gave nothing.
enum Attempt {
    /// It may go better in a moment.
    Again(CardError),
    /// It will not go better.
    Never(CardError),
}

/// Repeats `attempt` for about three seconds, and never beyond `deadline`.
fn patiently<T>(deadline: Instant, mut attempt: impl FnMut() -> Result<T, Attempt>) -> Result<T, CardError> {
    let enough = deadline.min(Instant::now() + PATIENCE);
    loop {
        match attempt() {
            Ok(reached) => return Ok(reached),
            Err(Attempt::Again(error)) if Instant::now() >= enough => return Err(error),
            Err(Attempt::Again(_)) => std::thread::sleep(ASK_AGAIN),
            Err(Attempt::Never(error)) => return Err(error),
        }
    }
}
