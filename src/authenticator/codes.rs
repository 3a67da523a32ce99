//! Codes that were never used before, from whoever can give one.

use std::time::{Duration, SystemTime};

use aws_smithy_async::time::SharedTimeSource;

use super::{Authenticator, finished};
use crate::attendant::{Notice, Unattended};
use crate::code::{Code, CodeError, TimeStep};
use crate::error::Error;
use crate::sts::Skew;
use crate::turn::Turn;

/// The source whose codes a person types.
const PROMPT: &str = "prompt";
/// How long a code may be on its way: with less than this left of a step, the next one is waited for.
const ON_THE_WAY: Duration = Duration::from_secs(2);

/// The time at which codes are computed and requests signed: this machine's, until AWS says otherwise. One serves a
/// whole chain, so that a wrong clock costs one request.
#[derive(Clone, Debug)]
pub(super) struct Hand {
    clock: SharedTimeSource,
    skew: Option<Skew>,
    last: Option<TimeStep>,
    said: bool,
}

impl Hand {
    pub(super) fn new(clock: SharedTimeSource) -> Self {
        Self { clock, skew: None, last: None, said: false }
    }

    /// AWS's time, as far as it is known.
    pub(super) fn now(&self) -> SystemTime {
        let time = self.clock.now();
        self.skew.map_or(time, |skew| skew.corrected(time))
    }

    /// Whether the person is still to hear about the clock.
    pub(super) fn says_once(&mut self) -> bool {
        !std::mem::replace(&mut self.said, true)
    }

    /// Remembers which step's code is about to be sent.
    pub(super) fn sent(&mut self, step: TimeStep) {
        self.last = Some(step);
    }

    /// From now on by AWS's clock. Gives the step of the last code if that was computed for another time than the
    /// three steps that AWS looks at: it then says nothing about which codes AWS has seen.
    pub(super) fn correct(&mut self, skew: Skew) -> Option<TimeStep> {
        self.skew = Some(skew);
        let now = TimeStep::at(self.now());
        self.last.filter(|last| *last > now.next() || last.next() < now)
    }
}

impl aws_smithy_async::time::TimeSource for Hand {
    fn now(&self) -> SystemTime {
        Self::now(self)
    }
}

impl Authenticator {
    /// A code that was never used, marked as used before anybody sees it.
    pub(super) async fn next_code(&self, hand: &mut Hand, turn: &mut Turn) -> Result<Code, Error> {
        loop {
            let step = self.unspent_step(hand, turn).await;
            let (code, source) = self.ask(step).await?;
            let arrives = hand.now().checked_add(ON_THE_WAY).unwrap_or_else(|| hand.now());
            // A typed code belongs to the step in which it was typed, however late that is.
            if source != PROMPT && TimeStep::at(arrives) > step.next() {
                continue; // the touch came so late that AWS would refuse the code
            }
            let used = step.max(TimeStep::at(hand.now()));
            hand.sent(used);
            turn.spend(used, self.attendant.as_ref());
            return Ok(code);
        }
    }

    async fn unspent_step(&self, hand: &Hand, turn: &Turn) -> TimeStep {
        loop {
            let now = hand.now();
            let step = TimeStep::at(now);
            let begins = match turn.spent(step) {
                Some(spent) if step <= spent => spent.next().begins(),
                _ if turn.is_spent(step) => step.next().begins(),
                _ => {
                    let left = step.next().begins().duration_since(now).unwrap_or_default();
                    if left > ON_THE_WAY {
                        self.attendant.notice(Notice::StepWait { left: 0 });
                        return step;
                    }
                    tokio::time::sleep(left).await; // too short to be worth a word
                    continue;
                }
            };
            let wait = begins.duration_since(now).unwrap_or_default();
            self.attendant.notice(Notice::StepWait { left: wait.as_secs().saturating_add(1) });
            tokio::time::sleep(wait.min(Duration::from_secs(1))).await;
        }
    }

    /// Asks one source after the other and names the one that answered; falling back is said aloud.
    async fn ask(&self, step: TimeStep) -> Result<(Code, &'static str), Error> {
        let mut absent: Option<(&'static str, CodeError)> = None;
        for source in &self.sources {
            let fell_back = absent.as_ref().map(|(from, error)| Notice::FellBack {
                from,
                to: source.name(),
                why: error.to_string(),
            });
            // A person must know before the question; where nobody is asked, only a source that serves is worth a word.
            let (before, after) = if source.name() == PROMPT { (fell_back, None) } else { (None, fell_back) };
            before.into_iter().for_each(|notice| self.attendant.notice(notice));
            let (asked, attendant, deadline) = (source.clone(), self.attendant.clone(), self.deadline);
            let answer =
                tokio::task::spawn_blocking(move || asked.code(step, deadline, attendant.as_ref())).await;
            match finished(answer)? {
                Ok(code) => {
                    after.into_iter().for_each(|notice| self.attendant.notice(notice));
                    return Ok((code, source.name()));
                }
                // The first absence is the one that the person can mend; later ones are only stand-ins.
                Err(error) if error.is_absence() => {
                    absent.get_or_insert((source.name(), error));
                }
                Err(CodeError::Unattended(Unattended::Interrupted)) => return Err(Error::Interrupted),
                Err(error) => return Err(error.into()),
            }
        }
        match absent {
            Some((_, error)) => Err(error.into()),
            None => Err(Error::Usage("no source of codes is named".into())),
        }
    }
}
