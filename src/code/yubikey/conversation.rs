//! One conversation with one key: SELECT, the password if there is one, CALCULATE.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;

use super::{YubiKey, account, bad, in_time};
use crate::attendant::{Attendant, NO_PROMPT, Notice, Unattended, until_touched};
use crate::card::{Card, CardError, Place, Serial};
use crate::code::password::{self, Remembered};
use crate::code::{Code, CodeError, TimeStep};
use crate::oath::{self, Applet, Calculated, LockedApplet, OathError, OneTime, Selected};

/// How long a card may take before a person is told what is waited for. Without touch a code takes a few ms.
const PATIENCE: Duration = Duration::from_millis(200);

/// How long a key blinks before it gives up by itself.
const KEYS_PATIENCE: Duration = Duration::from_secs(15);

/// What to do with a key whose accounts are locked with a password. What does not open it passes it over
/// ([`OathError::Locked`]): the account may be on another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IfLocked {
    /// Ask a person for the password.
    Ask,
    /// Nothing: whoever reads the vault may make a person unlock it.
    PassOver,
    /// Try the password that the vault remembers.
    Recall,
    /// Try what the vault remembers, and then ask.
    RecallAndAsk,
}

/// One code, asked of the key in one place.
#[derive(Clone, Copy)]
pub(super) struct Conversation<'a> {
    pub(super) source: &'a YubiKey,
    pub(super) place: &'a Place,
    pub(super) if_locked: IfLocked,
    pub(super) step: TimeStep,
    pub(super) deadline: Instant,
    pub(super) attendant: &'a dyn Attendant,
}

impl Conversation<'_> {
    /// The code, and whether the card was reached at all.
    ///
    /// If the service goes away before a person was asked for a touch, it is waited for and everything is said once
    /// more; afterwards, the touch may have been given and its code lost ([`CardError::ServiceLost`]): nobody is made to
    /// touch twice unawares.
    pub(super) fn hold(&self) -> (bool, Result<Code, CodeError>) {
        match self.converse() {
            (_, Err(CodeError::Card(CardError::NoService))) => {}
            outcome => return outcome,
        }
        let text = "the smart card service was restarted; the YubiKey is asked once more";
        if let Err(error) = self.place.wait_for_service(self.deadline) {
            return (true, Err(error.into()));
        }
        self.attendant.notice(Notice::Warning(text.into()));
        self.converse()
    }

    fn converse(&self) -> (bool, Result<Code, CodeError>) {
        let mut reached = false;
        let code = thread::scope(|scope| {
            let (connected, connecting) = mpsc::channel::<()>();
            scope.spawn(move || {
                if connecting.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                    self.attendant.notice(Notice::CardBusy);
                    // Ends when `connected` is dropped: the card is ours, or we gave up.
                    let _ = connecting.recv();
                    self.attendant.notice(Notice::CardFree);
                }
            });
            self.place.transact(self.deadline, |card| {
                drop(connected);
                reached = true;
                match self.once(card) {
                    // Somebody came between SELECT and CALCULATE, and what was selected is no more.
                    Err(CodeError::Card(CardError::Reset) | CodeError::Oath(OathError::OtherApplet)) => {
                        self.once(card)
                    }
                    outcome => outcome,
                }
            })
        });
        (reached, code)
    }

    /// SELECT to CALCULATE, once.
    fn once(&self, card: &mut dyn Card) -> Result<Code, CodeError> {
        let mut applet = match oath::select(card)? {
            Selected::Open(applet) => applet,
            Selected::Locked(locked) => self.unlock(locked)?,
        };
        let (key, wanted, memory) = (applet.device().id(), &self.source.account, &self.source.memory);
        let serial = self.serial(&key);
        let known = memory.as_ref().and_then(|memory| memory.account(&key, wanted));
        let mut name = known.unwrap_or_else(|| wanted.clone());
        let mut calculated = self.calculate(&mut applet, serial, &name);
        if let Err(CodeError::Oath(OathError::NoAccount)) = calculated {
            name = self.look(&mut applet)?;
            if let Some(memory) = memory {
                memory.learn_account(&key, wanted, &name);
            }
            calculated = self.calculate(&mut applet, serial, &name);
        }
        let code = calculated?;
        let reason = || format!("its codes have {} digits and AWS takes 6", code.digits);
        Code::parse(code.text().expose_secret()).ok_or_else(|| bad(&name, reason()))
    }

    /// Opens the applet with what the vault remembers, else with what a person says, as far as either may be asked.
    fn unlock<'c>(&self, locked: LockedApplet<'c>) -> Result<Applet<'c>, CodeError> {
        let recall = matches!(self.if_locked, IfLocked::Recall | IfLocked::RecallAndAsk);
        let ask = matches!(self.if_locked, IfLocked::Ask | IfLocked::RecallAndAsk);
        let selected = match &self.source.vault {
            Some(vault) if recall => Remembered::new(vault.as_ref()).unlock(locked, self.attendant)?,
            _ => Selected::Locked(locked),
        };
        match selected {
            Selected::Open(applet) => Ok(applet),
            Selected::Locked(_) if !ask => Err(OathError::Locked.into()),
            Selected::Locked(locked) => {
                let serial = self.place.serial();
                let key = password::ask(locked.device(), serial, self.deadline, self.attendant)?;
                Ok(locked.unlock(&key)?)
            }
        }
    }

    /// The key's serial, for a person: told now, or at another time.
    fn serial(&self, key: &str) -> Option<Serial> {
        let (told, memory) = (self.place.serial(), self.source.memory.as_ref());
        if let (Some(told), Some(memory)) = (told, memory) {
            memory.learn_serial(key, told);
        }
        told.or_else(|| memory?.serial(key))
    }

    /// CALCULATE, and a touch if the key wants one.
    fn calculate(
        &self,
        applet: &mut Applet<'_>,
        key: Option<Serial>,
        name: &str,
    ) -> Result<OneTime, CodeError> {
        if !self.attendant.may_ask() {
            // One command more, and none that would set the key blinking.
            let all = applet.calculate_all(self.step.0)?;
            if all.iter().any(|one| one.id == name && matches!(one.calculated, Calculated::WantsTouch { .. }))
            {
                return Err(Unattended::Nobody(NO_PROMPT.into()).into());
            }
        }
        let (account, profile) = (self.source.account.clone(), self.source.profile.clone());
        let asked = Instant::now();
        let calculated = until_touched(
            self.attendant,
            PATIENCE,
            self.deadline.min(Instant::now() + KEYS_PATIENCE),
            Notice::TouchWanted { account, key: key.map(|serial| serial.to_string()), profile },
            || applet.calculate(name, self.step.0),
        );
        match calculated {
            // The card had answered before, and only a touch takes long: this is the person's silence, not the card's.
            Err(OathError::Card(CardError::TimedOut)) => Err(CodeError::TouchTimedOut),
            // Before that nobody was told to touch anything.
            Err(OathError::Card(CardError::NoService)) if asked.elapsed() >= PATIENCE => {
                Err(CardError::ServiceLost.into())
            }
            calculated => Ok(calculated?),
        }
    }

    /// The account's name on this key. One APDU more for a handful of accounts, and only where the key holds none of
    /// the name that was tried.
    fn look(&self, applet: &mut Applet<'_>) -> Result<String, CodeError> {
        let (wanted, listed) = (&self.source.account, applet.list()?);
        let mut meant = account::meant(wanted, self.source.device.as_deref(), &listed);
        match (meant.pop(), meant.is_empty()) {
            (Some(name), true) => in_time(&name).map(|()| name),
            (Some(name), false) => {
                meant.push(name);
                Err(CodeError::SeveralAccounts { wanted: wanted.clone(), fitting: meant })
            }
            (None, _) => {
                let present = account::nearest(wanted, listed.into_iter().map(|account| account.id));
                Err(CodeError::NoAccount { wanted: wanted.clone(), present })
            }
        }
    }
}
