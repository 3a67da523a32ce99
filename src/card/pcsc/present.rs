//! Which readers hold a YubiKey now, and which key that is.
//!
//! Readers are looked at side by side, on threads of their own: a key that another program holds for a while must not
//! hide the one beside it, and a connection to it may block without limit.

use std::ffi::CString;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use pcsc::{Context, Error, ReaderState, Scope, State};

use super::{Attempt, CardError, Serial, connect, fault, is_yubikey, patiently, with_serial};

/// How much longer than the first key the others may take to tell their serials: it takes a few ms.
const STRAGGLERS: Duration = Duration::from_millis(500);

/// The names of the readers with a YubiKey in them, in the system's order, at least one. Blocks until `deadline` at the longest,
/// and for about three seconds where there is a YubiKey's reader without its card.
pub(in crate::card) fn readers(deadline: Instant) -> Result<Vec<CString>, CardError> {
    let (ready, named) = mpsc::channel();
    begin("readers", move || {
        let _ = ready.send(patiently(deadline, look));
    })?;
    named.recv_timeout(left(deadline)).unwrap_or(Err(CardError::Busy))
}

/// Waits, for about three seconds, until there is a key in the reader of this name again after the service went away.
pub(in crate::card) fn wait_for(name: CString, deadline: Instant) -> Result<(), CardError> {
    let (ready, back) = mpsc::channel();
    begin("service", move || {
        let _ = ready.send(patiently(deadline, || match look() {
            Ok(names) if names.contains(&name) => Ok(()),
            // Its readers come one after the other.
            Ok(_) | Err(Attempt::Never(CardError::NoReader | CardError::NoToken { .. })) => {
                Err(Attempt::Again(CardError::Removed))
            }
            Err(Attempt::Never(CardError::NoService)) => Err(Attempt::Again(CardError::NoService)),
            Err(other) => Err(other),
        }));
    })?;
    back.recv_timeout(left(deadline)).unwrap_or(Err(CardError::NoService))
}

/// The same with their serials, of those that tell one; or only the one of the serial that is `wanted`.
///
/// A lone key is not asked unless a serial is wanted; several are, with two APDUs each. Keys that are held by others and say
/// nothing for a while come last, and without a serial.
pub(in crate::card) fn keys(
    wanted: Option<Serial>,
    deadline: Instant,
) -> Result<Vec<(CString, Option<Serial>)>, CardError> {
    let names = match (readers(deadline).map_err(|error| error.of_key(wanted)), wanted) {
        (names, None) if names.as_ref().is_ok_and(|names| names.len() == 1) => {
            return Ok(names?.into_iter().map(|name| (name, None)).collect());
        }
        (names, _) => names?,
    };
    let answers = ask(&names, deadline)?;
    let (mut told, mut silent) = (vec![None; names.len()], names.len());
    let mut enough = deadline;
    while silent > 0
        && let Ok((place, answer)) = answers.recv_timeout(left(enough))
    {
        silent -= usize::from(answer.is_ok());
        if wanted.is_none() {
            enough = enough.min(Instant::now() + STRAGGLERS);
        } else if let (Ok(Some(serial)), Some(name)) = (&answer, names.get(place))
            && wanted == Some(*serial)
        {
            return Ok(vec![(name.clone(), wanted)]);
        }
        if let Some(told) = told.get_mut(place) {
            *told = answer.ok();
        }
    }
    if wanted.is_some() {
        // A key that could not be asked may be the one.
        let present = told.into_iter().flatten().flatten().collect();
        return Err(if silent > 0 { CardError::Busy } else { CardError::NoToken { wanted, present } });
    }
    let (answered, held): (Vec<_>, Vec<_>) =
        names.into_iter().zip(told).partition(|(_, answer)| answer.is_some());
    Ok(answered.into_iter().chain(held).map(|(name, answer)| (name, answer.flatten())).collect())
}

/// One look at all readers, in a new context: one from before a restart of the daemon never recovers.
fn look() -> Result<Vec<CString>, Attempt> {
    let never = |error| Attempt::Never(fault(error));
    let again = |error| match fault(error) {
        CardError::NoService => Attempt::Again(CardError::NoService),
        other => Attempt::Never(other),
    };
    let context = Context::establish(Scope::User).map_err(never)?;
    let readers = context.list_readers_owned().map_err(again)?;
    if readers.is_empty() {
        return Err(Attempt::Never(CardError::NoReader));
    }
    let no_token = CardError::NoToken { wanted: None, present: Vec::new() };
    let keys: Vec<_> = readers.into_iter().filter(is_yubikey).collect();
    if keys.is_empty() {
        return Err(Attempt::Never(no_token));
    }
    let mut states: Vec<_> = keys.iter().map(|name| ReaderState::new(name.clone(), State::UNAWARE)).collect();
    match context.get_status_change(Duration::ZERO, &mut states) {
        Ok(()) | Err(Error::Timeout) => {}
        // A reader went away since it was listed.
        Err(Error::UnknownReader | Error::ReaderUnavailable) => return Err(Attempt::Again(no_token)),
        Err(error) => return Err(again(error)),
    }
    let inserted = keys.into_iter().zip(states);
    let inserted = inserted.filter(|(_, state)| state.event_state().contains(State::PRESENT));
    match inserted.map(|(name, _)| name).collect::<Vec<_>>() {
        none if none.is_empty() => Err(Attempt::Again(no_token)),
        inserted => Ok(inserted),
    }
}

type Answer = (usize, Result<Option<Serial>, CardError>);

/// Asks each key for its serial; the answers come in any order, and of a key that is held perhaps never.
fn ask(names: &[CString], deadline: Instant) -> Result<Receiver<Answer>, CardError> {
    let (told, answers) = mpsc::channel();
    for (place, name) in names.iter().cloned().enumerate() {
        let told = told.clone();
        begin("serial", move || {
            let _ = told.send((place, serial(&name, deadline)));
        })?;
    }
    Ok(answers)
}

fn serial(name: &CString, deadline: Instant) -> Result<Option<Serial>, CardError> {
    let context = Context::establish(Scope::User).map_err(fault)?;
    let card = patiently(deadline, || connect(&context, name))?;
    let (card, serial) = with_serial(card, &context, name)?;
    if let Some(card) = card {
        let _ = card.disconnect(super::AS_FOUND);
    }
    Ok(serial)
}

fn begin(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), CardError> {
    let begun = thread::Builder::new().name(name.into()).spawn(work);
    begun.map(drop).map_err(|error| CardError::Other(error.to_string()))
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
