//! Readers behind PC/SC.
//!
//! Knows what PC/SC's faults mean and nothing about what the card says. A thread of its own connects, holds the
//! transaction and transmits: a connect to a card that is held blocks without limit and a transmit cannot be
//! cancelled, so the card that `work` sees is a channel with a deadline, and a stuck thread is left behind.
//! Source: the pcsc-lite API; each fault was seen with pcscd 1.9.9.

use std::ffi::{CStr, CString};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use pcsc::{Context, Disposition, Error, MAX_BUFFER_SIZE, Protocols, Scope, ShareMode};
use zeroize::Zeroizing;

use super::{Attempt, Card, CardError, Serial, patiently, serial};

pub(super) mod present;

/// How a card is left to those who come after. `pcsc` resets a card that is merely dropped, which would throw away
/// another program's PIN state.
pub(super) const AS_FOUND: Disposition = Disposition::LeaveCard;

/// A USB key speaks T=1, an old reader may speak T=0.
const ANY: Protocols = Protocols::ANY;

/// How long the goodbye to the card may take before we go on without having seen its end.
const GOODBYE: Duration = Duration::from_secs(1);

/// How much later than the deadline the thread's own, better explanation is still waited for.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Holds the card in the reader of this name.
pub(super) fn transact_in<T, E: From<CardError>>(
    reader: CString,
    deadline: Instant,
    work: impl FnOnce(&mut dyn Card) -> Result<T, E>,
) -> Result<T, E> {
    let (requests, inbox) = mpsc::channel();
    let (ready, connected) = mpsc::channel();
    let (left, gone) = mpsc::channel::<()>();
    thread::Builder::new()
        .name("card".into())
        .spawn(move || {
            hold(&reader, deadline, &inbox, &ready);
            drop(left);
        })
        .map_err(|error| CardError::Other(error.to_string()))?;
    let limit = deadline.saturating_duration_since(Instant::now()) + LAST_WORDS;
    match connected.recv_timeout(limit) {
        Ok(outcome) => outcome?,
        Err(RecvTimeoutError::Timeout) => return Err(CardError::Busy.into()),
        Err(RecvTimeoutError::Disconnected) => return Err(CardError::NoService.into()),
    }
    let mut channel = Channel { requests, deadline, stuck: false };
    let outcome = work(&mut channel);
    let stuck = channel.stuck;
    drop(channel);
    if !stuck {
        // A process that ends before the goodbye leaves it to pcscd, which resets the card.
        let _ = gone.recv_timeout(GOODBYE);
    }
    outcome
}

/// One command on its way to the thread.
struct Request {
    command: Zeroizing<Vec<u8>>,
    answer: Sender<Result<Vec<u8>, CardError>>,
}

/// The card as `work` sees it.
struct Channel {
    requests: Sender<Request>,
    deadline: Instant,
    stuck: bool,
}

impl Card for Channel {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardError> {
        if self.stuck {
            return Err(CardError::TimedOut);
        }
        let (answer, answered) = mpsc::channel();
        let request = Request { command: Zeroizing::new(command.to_vec()), answer };
        self.requests.send(request).map_err(|_| CardError::NoService)?;
        match answered.recv_timeout(self.deadline.saturating_duration_since(Instant::now())) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => {
                self.stuck = true;
                Err(CardError::TimedOut)
            }
            Err(RecvTimeoutError::Disconnected) => Err(CardError::NoService),
        }
    }
}

/// The thread: reaches the card, says so, serves until nobody asks any more, and leaves the card as it was found.
fn hold(reader: &CStr, deadline: Instant, inbox: &Receiver<Request>, ready: &Sender<Result<(), CardError>>) {
    let reached = Context::establish(Scope::User)
        .map_err(fault)
        .and_then(|context| patiently(deadline, || connect(&context, reader)));
    let mut card = match reached {
        Ok(card) => card,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let (mut announced, mut unlocked, mut resets) = (false, false, 0);
    let trouble = loop {
        let transaction = match card.transaction2() {
            Ok(transaction) => transaction,
            Err((card, Error::ResetCard)) if resets < 3 => {
                resets += 1;
                match card.reconnect(ShareMode::Shared, ANY, AS_FOUND) {
                    Ok(()) => continue,
                    Err(error) => break Some(fault(error)),
                }
            }
            Err((_, error)) => break Some(fault(error)),
        };
        if !announced {
            announced = true;
            let _ = ready.send(Ok(()));
        }
        let end = serve(&transaction, inbox, &mut unlocked);
        drop(transaction);
        match end {
            End::Over => break None,
            End::Reset => match card.reconnect(ShareMode::Shared, ANY, AS_FOUND) {
                Ok(()) => {}
                Err(error) => break Some(fault(error)),
            },
        }
    };
    // Whoever shares the card could ride on an unlock, which lasts until a reset.
    let goodbye = if unlocked { Disposition::ResetCard } else { AS_FOUND };
    let _ = card.disconnect(goodbye);
    if let Some(trouble) = trouble {
        let _ = ready.send(Err(trouble.clone()));
        while let Ok(request) = inbox.recv() {
            let _ = request.answer.send(Err(trouble.clone()));
        }
    }
}

/// Why serving ended.
enum End {
    Over,
    Reset,
}

fn serve(card: &pcsc::Card, inbox: &Receiver<Request>, unlocked: &mut bool) -> End {
    while let Ok(request) = inbox.recv() {
        // The one thing that is read from a command: VALIDATE (A3) opens the card until its next reset.
        *unlocked |= matches!(request.command.as_slice(), [_, 0xa3, ..]);
        let outcome = Direct(card).transmit(&request.command);
        let reset = outcome == Err(CardError::Reset);
        let _ = request.answer.send(outcome);
        if reset {
            return End::Reset;
        }
    }
    End::Over
}

/// The card as the thread sees it: without a deadline.
struct Direct<'c>(&'c pcsc::Card);

impl Card for Direct<'_> {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardError> {
        let mut buffer = Zeroizing::new([0; MAX_BUFFER_SIZE]);
        match self.0.transmit(command, &mut *buffer) {
            // A card that is pulled answers with success and nothing (seen).
            Ok([] | [_]) => Err(CardError::Removed),
            Ok(answer) => Ok(answer.to_vec()),
            Err(error) => Err(fault(error)),
        }
    }
}

/// One attempt at one reader. A key that was just used over HID has no card to offer for a moment.
fn connect(context: &Context, reader: &CStr) -> Result<pcsc::Card, Attempt> {
    context.connect(reader, ShareMode::Shared, ANY).map_err(|error| match fault(error) {
        held @ (CardError::Busy | CardError::Removed) => Attempt::Again(held),
        other => Attempt::Never(other),
    })
}

/// The card and its serial, if it tells one.
fn with_serial(
    mut card: pcsc::Card,
    context: &Context,
    reader: &CStr,
) -> Result<(Option<pcsc::Card>, Option<Serial>), CardError> {
    let told = match card.transaction() {
        Ok(transaction) => serial::told(&mut Direct(&transaction)),
        Err(error) => Err(fault(error)),
    };
    match told {
        Ok(Some(serial)) => return Ok((Some(card), Some(serial))),
        Ok(None) => {}
        Err(error) => {
            let _ = card.disconnect(AS_FOUND);
            return Err(error);
        }
    }
    // The crate opens a connection of its own, so ours is put away meanwhile.
    let _ = card.disconnect(AS_FOUND);
    let serial = serial::by_piv(&reader.to_string_lossy());
    let card = context.connect(reader, ShareMode::Shared, ANY).ok();
    Ok((card, serial))
}

/// `Yubico YubiKey OTP+FIDO+CCID 00 00`, and older `Yubico Yubikey NEO OTP+U2F+CCID`.
fn is_yubikey(reader: &CString) -> bool {
    reader.to_string_lossy().to_lowercase().contains("yubico yubikey")
}

/// What PC/SC's words mean for us.
fn fault(error: Error) -> CardError {
    match error {
        Error::InsufficientBuffer => CardError::Malformed("it is longer than a short answer can be"),
        Error::NoReadersAvailable => CardError::NoReader,
        // A daemon that dies in the middle of a command is a broken line (seen).
        Error::CommError | Error::InvalidHandle | Error::NoService | Error::ServiceStopped => {
            CardError::NoService
        }
        Error::NoSmartcard
        | Error::NotReady
        | Error::NotTransacted
        | Error::ReaderUnavailable
        | Error::RemovedCard
        | Error::UnknownReader
        | Error::UnpoweredCard
        | Error::UnresponsiveCard => CardError::Removed,
        Error::ResetCard => CardError::Reset,
        Error::SecurityViolation => CardError::NotAllowed,
        Error::SharingViolation => CardError::Busy,
        Error::Timeout => CardError::TimedOut,
        other => CardError::Other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_yubikey_is_known_by_its_readers_name_in_either_spelling() {
        for (name, known) in [
            ("Yubico YubiKey OTP+FIDO+CCID 00 00", true),
            ("Yubico Yubikey NEO OTP+U2F+CCID 01 00", true),
            ("ACS ACR122U PICC Interface 00 00", false),
            ("", false),
        ] {
            assert_eq!(is_yubikey(&CString::new(name).unwrap()), known, "{name}");
        }
    }

    #[test]
    fn every_fault_that_a_person_can_mend_has_its_own_word() {
        for (error, word) in [
            (Error::NoService, CardError::NoService),
            (Error::ResetCard, CardError::Reset),
            (Error::RemovedCard, CardError::Removed),
            (Error::SecurityViolation, CardError::NotAllowed),
            (Error::SharingViolation, CardError::Busy),
        ] {
            assert_eq!(fault(error), word);
        }
        assert!(matches!(fault(Error::ProtoMismatch), CardError::Other(_)));
    }
}
