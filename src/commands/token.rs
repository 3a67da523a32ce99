//! `onetap token`: the OATH accounts on a YubiKey, for their owner.
//!
//! A verb looks at the key, leaves it, asks everything, and only then comes back and writes: no card is held while a
//! person thinks, and nothing is half done when they change their mind.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::attendant::{Echo, Notice, Question, Unattended, when_slow};
use crate::card::{Card, CardError, Present, Reader, Serial};
use crate::cli::Token;
use crate::code::CodeError;
use crate::code::password::{self, Remembered};
use crate::code::yubikey::account::nearest;
use crate::code::yubikey::queue::Queue;
use crate::error::Error;
use crate::error::token::TokenError;
use crate::oath::{self, Applet, Device, Listed, OathError, PasswordKey, Selected};

use super::{Context, print, print_json, stdin};

mod accounts;
mod add;
mod delete;
mod list;
mod lock;
mod rename;
mod reset;

/// How long a card may take before a person is told what is waited for.
const PATIENCE: Duration = Duration::from_millis(500);

pub(super) fn run(context: &Context, token: Token) -> Result<(), Error> {
    if let Reader::Mock(path) = context.any_reader() {
        context.attendant.notice(Notice::VirtualToken { path });
    }
    match token {
        Token::Accounts { json } => accounts::run(context, json),
        Token::Add(add) => add::run(context, &add),
        Token::Delete { name, yes } => delete::run(context, &name, yes),
        Token::List { json } => list::run(context, json),
        Token::Password(verb) => lock::run(context, &verb),
        Token::Rename { old, new } => rename::run(context, &old, &new),
        Token::Reset { yes } => reset::run(context, yes),
    }
}

/// What SELECT tells, and LIST where no password is set.
#[derive(Clone, Debug)]
pub(super) struct Glance {
    pub(super) device: Device,
    /// `None` if the accounts are locked.
    pub(super) accounts: Option<Vec<Listed>>,
}

pub(super) fn glance(card: &mut dyn Card) -> Result<Glance, CodeError> {
    let selected = oath::select(card)?;
    let device = selected.device().clone();
    let accounts = match selected {
        Selected::Locked(_) => None,
        Selected::Open(mut applet) => Some(applet.list()?),
    };
    Ok(Glance { device, accounts })
}

/// All keys that are there, each with a look at it, once no other onetap talks to one of them.
pub(super) fn look_at_all(context: &Context) -> Result<Vec<Present<Glance, CodeError>>, Error> {
    let (reader, queue) = (context.any_reader(), Queue::new(context.places.turns()));
    let mut names = slowly(context, || reader.names(context.deadline))?;
    // All at once, and always in the same order, so that two of us never wait for each other.
    names.sort_unstable();
    let take = |name: &String| queue.take(name, context.deadline, context.attendant.as_ref());
    let _held = names.iter().map(take).collect::<Result<Vec<_>, _>>()?;
    Ok(slowly(context, || reader.each(context.deadline, glance)).map_err(CodeError::from)?)
}

/// Says that the card is held by others where it takes long.
pub(super) fn slowly<T>(context: &Context, work: impl FnOnce() -> T) -> T {
    when_slow(context.attendant.as_ref(), PATIENCE, Notice::CardBusy, Notice::CardFree, work)
}

/// The one key that a verb works on. It was looked at, and is not held.
#[derive(Debug)]
pub(super) struct Key {
    reader: Reader,
    serial: Option<Serial>,
    device: Device,
    locked: bool,
    /// What opens it, once it was opened.
    opens: Option<PasswordKey>,
    /// Empty while it is locked.
    accounts: Vec<Listed>,
}

impl Key {
    /// The only key that is there, or the one that `--reader` names.
    pub(super) fn find(context: &Context) -> Result<Self, Error> {
        let there = look_at_all(context)?;
        let names: Vec<_> = there
            .iter()
            .map(|key| key.serial.map_or_else(|| key.reader.clone(), |serial| serial.to_string()))
            .collect();
        let Ok([key]) = <[_; 1]>::try_from(there) else {
            return Err(TokenError::SeveralTokens { present: names }.into());
        };
        let Glance { device, accounts } = key.seen?;
        let reader = match context.any_reader() {
            Reader::Pcsc(asked) => Reader::Pcsc(key.serial.or(asked)),
            mock @ Reader::Mock(_) => mock,
        };
        let locked = accounts.is_none();
        let accounts = accounts.unwrap_or_default();
        Ok(Self { reader, serial: key.serial, device, locked, opens: None, accounts })
    }

    /// The same, opened: with what is remembered, else with a password that is asked for.
    pub(super) fn open(context: &Context) -> Result<Self, Error> {
        let mut key = Self::find(context)?;
        if !key.locked {
            return Ok(key);
        }
        let vault = context.vault()?;
        let remembered = Remembered::new(vault.as_ref());
        let opened = key.visit(context, |selected| match selected {
            Selected::Open(mut applet) => Ok(Some(applet.list()?)),
            Selected::Locked(locked) => match remembered.unlock(locked, context.attendant.as_ref())? {
                Selected::Open(mut applet) => Ok(Some(applet.list()?)),
                Selected::Locked(_) => Ok(None),
            },
        })?;
        match opened {
            Some(accounts) => {
                key.opens = remembered.key(&key.device)?;
                key.accounts = accounts;
            }
            None => {
                let asked = password::ask(&key.device, None, context.deadline, context.attendant.as_ref())?;
                key.open_with(context, asked)?;
            }
        }
        Ok(key)
    }

    /// Opens it with this password's key, or says that it is wrong.
    fn open_with(&mut self, context: &Context, opens: PasswordKey) -> Result<(), Error> {
        self.opens = Some(opens);
        self.accounts = self.work(context, |applet| applet.list())?;
        Ok(())
    }

    /// Comes back to the key, opened, and works on it.
    pub(super) fn work<T>(
        &self,
        context: &Context,
        work: impl FnOnce(&mut Applet<'_>) -> Result<T, OathError>,
    ) -> Result<T, Error> {
        self.visit(context, |selected| Ok(work(&mut self.opened(selected)?)?))
    }

    /// Comes back to the key, opened, for work that may wait for a touch.
    pub(super) fn work_until_touched<T>(
        &self,
        context: &Context,
        work: impl FnOnce(&mut Applet<'_>) -> Result<T, OathError>,
    ) -> Result<T, Error> {
        self.visit_for_long(context, |selected| Ok(work(&mut self.opened(selected)?)?))
    }

    fn opened<'c>(&self, selected: Selected<'c>) -> Result<Applet<'c>, OathError> {
        match (selected, &self.opens) {
            (Selected::Open(applet), _) => Ok(applet),
            (Selected::Locked(locked), Some(key)) => locked.unlock(key),
            (Selected::Locked(_), None) => Err(OathError::Locked),
        }
    }

    /// Comes back to the key, and makes sure that it is the same.
    fn visit<T>(
        &self,
        context: &Context,
        work: impl FnOnce(Selected<'_>) -> Result<T, CodeError>,
    ) -> Result<T, Error> {
        slowly(context, || self.visit_for_long(context, work))
    }

    /// The same for work that may wait for a person, and says so itself.
    fn visit_for_long<T>(
        &self,
        context: &Context,
        work: impl FnOnce(Selected<'_>) -> Result<T, CodeError>,
    ) -> Result<T, Error> {
        let visit = |card: &mut dyn Card| {
            let selected = oath::select(card)?;
            match selected.device() == &self.device {
                true => work(selected),
                false => Err(CardError::Swapped.into()),
            }
        };
        self.hold(context, visit)
    }

    /// Comes back to the key, once no other onetap talks to it: a touch that somebody was asked for is not disturbed.
    pub(super) fn hold<T>(
        &self,
        context: &Context,
        work: impl FnOnce(&mut dyn Card) -> Result<T, CodeError>,
    ) -> Result<T, Error> {
        let places = slowly(context, || self.reader.places(context.deadline))?;
        let missing = CardError::NoToken { wanted: self.serial, present: Vec::new() };
        let place = places.first().ok_or(missing)?;
        let queue = Queue::new(context.places.turns());
        let _held = queue.take(&place.name(), context.deadline, context.attendant.as_ref())?;
        Ok(slowly(context, || place.transact(context.deadline, work))?)
    }

    pub(super) fn holds(&self, id: &str) -> bool {
        self.accounts.iter().any(|account| account.id == id)
    }

    /// What tells this key from others, until it is reset.
    pub(super) fn id(&self) -> String {
        self.device.id()
    }

    /// Its serial number, where it tells one.
    pub(super) fn serial(&self) -> Option<Serial> {
        self.serial
    }

    /// The accounts on it.
    pub(super) fn accounts(&self) -> &[Listed] {
        &self.accounts
    }

    /// The account of this exact name, or the names that resemble it.
    fn account(&self, name: &str) -> Result<&Listed, Error> {
        let missing = || TokenError::NoAccount {
            wanted: name.into(),
            present: nearest(name, self.accounts.iter().map(|account| account.id.clone())),
        };
        Ok(self.accounts.iter().find(|account| account.id == name).ok_or_else(missing)?)
    }

    /// How a sentence names it.
    pub(super) fn named(&self) -> String {
        match (&self.reader, self.serial) {
            (Reader::Mock(path), _) => format!("the virtual token {}", path.display()),
            (Reader::Pcsc(_), Some(serial)) => format!("the YubiKey {serial}"),
            (Reader::Pcsc(_), None) => "the YubiKey".into(),
        }
    }
}

pub(super) fn ask(context: &Context, prompt: &str, echo: Echo) -> Result<SecretString, Error> {
    Ok(context.attendant.ask(Question { prompt: prompt.into(), echo, deadline: context.deadline })?)
}

/// Goes on only if the person types `word`, or said `--yes` before.
pub(super) fn confirm(context: &Context, question: &str, word: &str, yes: bool) -> Result<(), Error> {
    if yes {
        return Ok(());
    }
    let prompt = format!("{question} Type {word} to go on");
    match ask(context, &prompt, Echo::Shown) {
        Ok(answer) if answer.expose_secret().trim().eq_ignore_ascii_case(word) => Ok(()),
        Ok(_) => Err(TokenError::Declined.into()),
        Err(Error::Unattended(Unattended::Nobody(_))) => {
            Err(TokenError::Unconfirmed { question: question.into() }.into())
        }
        Err(error) => Err(error),
    }
}

/// A name as a terminal may show it: whoever wrote it to the key must not move the cursor.
pub(super) fn shown(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A table: the widest cell of each column decides.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}
