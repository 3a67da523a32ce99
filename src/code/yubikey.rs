//! Codes from a YubiKey's OATH applet: SELECT, CALCULATE, and that is all where nothing is in the way.
//!
//! Knows what to say to a person meanwhile; the bytes are [`crate::oath`]'s.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;

use super::{Code, CodeError, CodeSource, TimeStep};
use crate::attendant::{Attendant, Echo, Notice, Question, when_slow};
use crate::card::{Card, CardError, Reader};
use crate::oath::{self, Applet, OathError, PasswordKey, Selected};

/// How long a card may take before a person is told what is waited for. Without touch a code takes a few ms.
const PATIENCE: Duration = Duration::from_millis(200);

/// An account on a YubiKey.
#[derive(Clone, Debug)]
pub struct YubiKey {
    reader: Reader,
    account: String,
}

impl YubiKey {
    /// The account of this exact name, prefixes included, on the YubiKey in this reader.
    pub fn new(reader: Reader, account: String) -> Self {
        Self { reader, account }
    }

    /// SELECT to CALCULATE, once.
    fn converse(
        &self,
        card: &mut dyn Card,
        step: TimeStep,
        deadline: Instant,
        attendant: &dyn Attendant,
    ) -> Result<Code, CodeError> {
        let mut applet = match oath::select(card)? {
            Selected::Open(applet) => applet,
            Selected::Locked(locked) => {
                let prompt = "Password of the YubiKey's OATH accounts".into();
                let password = attendant.ask(Question { prompt, echo: Echo::Hidden, deadline })?;
                let key = PasswordKey::derive(&password, &locked.device().salt);
                locked.unlock(&key)?
            }
        };
        let asked = Instant::now();
        let calculated = when_slow(
            attendant,
            PATIENCE,
            Notice::TouchWanted { account: self.account.clone() },
            Notice::TouchOver,
            || applet.calculate(&self.account, step.0),
        );
        match calculated {
            Ok(code) => {
                let reason = || format!("its codes have {} digits and AWS takes 6", code.digits);
                Code::parse(code.text().expose_secret()).ok_or_else(|| self.bad(reason()))
            }
            // The card was there and a touch was asked for: this is the person's silence, not the card's.
            Err(OathError::Card(CardError::TimedOut)) if asked.elapsed() >= PATIENCE => {
                Err(CodeError::TouchTimedOut)
            }
            Err(OathError::NoAccount) => Err(self.not_there(&mut applet)),
            Err(error) => Err(error.into()),
        }
    }

    fn bad(&self, reason: String) -> CodeError {
        CodeError::BadAccount { account: self.account.clone(), reason }
    }

    /// The names that are there, nearest first. One APDU more, and only now.
    fn not_there(&self, applet: &mut Applet<'_>) -> CodeError {
        let listed = match applet.list() {
            Ok(listed) => listed,
            Err(error) => return error.into(),
        };
        let wanted = self.account.to_lowercase();
        let mut present: Vec<_> = listed
            .into_iter()
            .map(|account| (strsim::jaro_winkler(&wanted, &account.id.to_lowercase()), account.id))
            .collect();
        present.sort_by(|(near, a), (nearer, b)| nearer.total_cmp(near).then_with(|| a.cmp(b)));
        let present = present.into_iter().map(|(_, id)| id).collect();
        CodeError::NoAccount { wanted: self.account.clone(), present }
    }
}

impl CodeSource for YubiKey {
    fn name(&self) -> &'static str {
        "yubikey"
    }

    fn code(&self, step: TimeStep, deadline: Instant, attendant: &dyn Attendant) -> Result<Code, CodeError> {
        if let Some(period) = period(&self.account).filter(|period| *period != super::PERIOD) {
            return Err(self.bad(format!("its period is {period} s and AWS's is {} s", super::PERIOD)));
        }
        if let Reader::Mock(path) = &self.reader {
            attendant.notice(Notice::VirtualToken { path: path.clone() });
        }
        thread::scope(|scope| {
            let (connected, connecting) = mpsc::channel::<()>();
            scope.spawn(move || {
                if connecting.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                    attendant.notice(Notice::CardBusy);
                    // Ends when `connected` is dropped: the card is ours, or we gave up.
                    let _ = connecting.recv();
                    attendant.notice(Notice::CardFree);
                }
            });
            self.reader.transact(deadline, move |card| {
                drop(connected);
                match self.converse(card, step, deadline, attendant) {
                    // Somebody came between SELECT and CALCULATE, and what was selected is no more.
                    Err(CodeError::Card(CardError::Reset) | CodeError::Oath(OathError::OtherApplet)) => {
                        self.converse(card, step, deadline, attendant)
                    }
                    outcome => outcome,
                }
            })
        })
    }
}

/// The period that a name's prefix tells: `60/...` (YKOATH; left out where it is 30).
fn period(account: &str) -> Option<u64> {
    account.split_once('/').and_then(|(digits, _)| digits.parse().ok())
}
