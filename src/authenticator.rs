//! The one policy: look, wait for my turn, look again, mint.
//!
//! Knows the order of things and nothing of their insides. One person is asked once, however many processes need
//! the same MFA device; whoever waited for the turn takes what its holder kept.

use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_smithy_async::time::SharedTimeSource;

use crate::attendant::{Attendant, Notice, Unattended};
use crate::code::{Code, CodeError, CodeSource, TimeStep};
use crate::error::Error;
use crate::keys::AccessKey;
use crate::plan::Plan;
use crate::session::store::{Kept, SessionStore, StoreError};
use crate::session::{Session, SessionKey};
use crate::sts::{Address, Sts, StsError};
use crate::turn::{Holder, Turn};
use crate::vault::Vault;

/// An old session is handed out, if a new one cannot be had, as long as it has more than this left.
const STILL_USEFUL: Duration = Duration::from_secs(60);
/// How much longer than its parts the whole may take, so that the part's own words are heard.
const GRACE: Duration = Duration::from_secs(1);

/// The source whose codes a person types.
const PROMPT: &str = "prompt";

/// Makes and keeps the MFA session of one plan.
#[derive(Clone, Debug)]
pub struct Authenticator {
    /// What to ask of AWS.
    pub plan: Plan,
    /// Where STS is.
    pub address: Address,
    /// Who is asked for codes, in order.
    pub sources: Vec<Arc<dyn CodeSource>>,
    /// Holds the long-term key.
    pub vault: Arc<dyn Vault>,
    /// Holds the sessions.
    pub store: Arc<SessionStore>,
    /// The folder of the turns.
    pub turns: PathBuf,
    /// The verb, for those who wait.
    pub verb: &'static str,
    /// The life that a session should have left.
    pub min_ttl: Duration,
    /// When the caller gives up.
    pub deadline: Instant,
    /// How long that was when it began.
    pub limit: Duration,
    /// The person.
    pub attendant: Arc<dyn Attendant>,
    /// The time.
    pub clock: SharedTimeSource,
}

impl Authenticator {
    /// The session that is kept, if it has enough life left. Synchronous: no runtime, no network, no card.
    pub fn kept(&self, now: SystemTime, min_ttl: Duration) -> Result<Option<Session>, Error> {
        let kept = match self.store.read() {
            Ok(kept) => kept,
            // Without its vault nothing else would work either; anything else costs one more touch.
            Err(StoreError::Vault(error)) => return Err(error.into()),
            Err(error) => {
                self.attendant.notice(Notice::Warning(format!("kept sessions are passed over: {error}")));
                return Ok(None);
            }
        };
        let Some(id) = kept.access_keys.get(&self.plan.profile) else { return Ok(None) };
        Ok(kept.sessions.get(&self.key(id)).filter(|session| session.fresh(now, min_ttl)).cloned())
    }

    /// A session: the kept one, or a new one. Waits for the turn, for a person and for AWS, until the deadline.
    pub async fn session(&self) -> Result<Session, Error> {
        let began = self.clock.now();
        if let Some(session) = self.kept(began, self.min_ttl)? {
            return Ok(session);
        }
        self.renewed(began).await.or_else(|error| self.make_do(error))
    }

    async fn renewed(&self, began: SystemTime) -> Result<Session, Error> {
        let mut interrupt = pin!(tokio::signal::ctrl_c());
        let mut turn = self.within_limits(interrupt.as_mut(), self.turn()).await?;
        if let Some(session) = self.kept(self.clock.now(), self.min_ttl)? {
            return Ok(session); // whoever held the turn before us did the work
        }
        self.refused_before(&turn, began)?; // one unanswered touch must not become twenty
        let minted = self.within_limits(interrupt, self.mint(&mut turn)).await;
        self.remember_refusal(&mut turn, minted)
    }

    /// One code, whose step then counts as used: a code that was printed may have reached AWS.
    pub async fn code(&self) -> Result<Code, Error> {
        let began = self.clock.now();
        let mut interrupt = pin!(tokio::signal::ctrl_c());
        let mut turn = self.within_limits(interrupt.as_mut(), self.turn()).await?;
        self.refused_before(&turn, began)?;
        let code = self.within_limits(interrupt, self.next_code(&mut turn)).await;
        self.remember_refusal(&mut turn, code)
    }

    async fn turn(&self) -> Result<Turn, Error> {
        let holder = Holder {
            pid: std::process::id(),
            verb: self.verb.into(),
            profile: self.plan.profile.clone(),
            since: self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        };
        let name = self.plan.mfa_serial.as_str();
        Ok(Turn::take(&self.turns, name, holder, self.deadline, self.attendant.as_ref()).await?)
    }

    fn refused_before(&self, turn: &Turn, began: SystemTime) -> Result<(), Error> {
        match turn.refusal_since(began) {
            Some(refusal) => {
                Err(Error::RefusedElsewhere { why: refusal.why, interrupted: refusal.interrupted })
            }
            None => Ok(()),
        }
    }

    /// Ctrl-C and the deadline end the work; a thread that is stuck with a card stays behind. One `interrupt` serves a
    /// whole policy: Ctrl-C is heard from its first poll on, also between two parts of the work.
    async fn within_limits<T>(
        &self,
        interrupt: Pin<&mut impl Future>,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let error = tokio::select! {
            biased;
            _ = interrupt => Error::Interrupted,
            done = work => return done,
            // Whoever waits for a card or a person ends at the deadline and knows better what was missing.
            () = tokio::time::sleep_until((self.deadline + GRACE).into()) => Error::TimedOut(self.limit),
        };
        // A countdown that was cut short must not stand in the line of the error.
        self.attendant.notice(Notice::StepWait { left: 0 });
        self.attendant.notice(Notice::TouchOver);
        Err(error)
    }

    fn remember_refusal<T>(&self, turn: &mut Turn, outcome: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &outcome
            && error.is_refusal()
        {
            let interrupted = error.status() == Error::Interrupted.status();
            turn.refuse(error.to_string(), interrupted, self.clock.now(), self.attendant.as_ref());
        }
        outcome
    }

    async fn mint(&self, turn: &mut Turn) -> Result<Session, Error> {
        let key = self.access_key().await?;
        if let Some(session) = self.shared(&key.id).await {
            return Ok(session);
        }
        let sts = Sts::new(&self.address, &key, self.clock.clone())?;
        let mut tried_before = false;
        loop {
            let code = self.next_code(turn).await?;
            let answer = sts.session_token(&self.plan.mfa_serial, &code, self.plan.duration).await;
            match answer {
                Ok(session) => {
                    self.keep(&key.id, session.clone()).await;
                    return Ok(session);
                }
                // The code may have been used at the console, or AWS was overloaded; the next step gets one try.
                Err(error @ (StsError::CodeRefused | StsError::TryAgain(_))) if !tried_before => {
                    if matches!(error, StsError::CodeRefused) {
                        self.sources.iter().for_each(|source| source.refused());
                    }
                    self.attendant
                        .notice(Notice::Warning(format!("{error}; trying once more with the next code")));
                    tried_before = true;
                }
                Err(StsError::DeadKey(None)) => return Err(StsError::DeadKey(Some(key.id)).into()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The session of another profile with the same key and device, which is this one's too.
    async fn shared(&self, access_key_id: &str) -> Option<Session> {
        let (key, now) = (self.key(access_key_id), self.clock.now());
        let kept = self.store.read().unwrap_or_default();
        let session = kept.sessions.get(&key).filter(|session| session.fresh(now, self.min_ttl))?.clone();
        self.keep(access_key_id, session.clone()).await;
        Some(session)
    }

    async fn access_key(&self) -> Result<AccessKey, Error> {
        let (vault, profile) = (self.vault.clone(), self.plan.profile.clone());
        let read = tokio::task::spawn_blocking(move || AccessKey::read(vault.as_ref(), &profile)).await;
        finished(read)??.ok_or_else(|| Error::NoKeys { profile: self.plan.profile.clone() })
    }

    /// A code that was never used, marked as used before anybody sees it.
    async fn next_code(&self, turn: &mut Turn) -> Result<Code, Error> {
        loop {
            let step = self.unspent_step(turn).await;
            let (code, source) = self.ask(step).await?;
            let now = TimeStep::at(self.clock.now());
            // A typed code belongs to the step in which it was typed, however late that is.
            if source != PROMPT && now > step.next() {
                continue; // the touch came so late that AWS would refuse the code
            }
            turn.spend(step.max(now), self.attendant.as_ref());
            return Ok(code);
        }
    }

    async fn unspent_step(&self, turn: &Turn) -> TimeStep {
        loop {
            let now = self.clock.now();
            let step = TimeStep::at(now);
            let Some(spent) = turn.spent(step).filter(|spent| step <= *spent) else {
                self.attendant.notice(Notice::StepWait { left: 0 });
                return step;
            };
            let wait = spent.next().begins().duration_since(now).unwrap_or_default();
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

    /// Keeps a session. A failure is a warning: a person paid for the session with a touch.
    async fn keep(&self, access_key_id: &str, session: Session) {
        let (store, profile, id, key, now) = (
            self.store.clone(),
            self.plan.profile.clone(),
            access_key_id.to_owned(),
            self.key(access_key_id),
            self.clock.now(),
        );
        let kept = tokio::task::spawn_blocking(move || {
            let add = |kept: &mut Kept| {
                kept.access_keys.insert(profile, id);
                kept.sessions.insert(key, session);
            };
            store.update(add, now)
        });
        if let Err(error) = finished(kept.await).and_then(|kept| kept.map_err(Error::from)) {
            let text = format!("the session is not kept, so the next command asks again: {error}");
            self.attendant.notice(Notice::Warning(text));
        }
    }

    /// What can be done when nobody answered: a session that is old but alive still serves.
    fn make_do(&self, error: Error) -> Result<Session, Error> {
        if error.status() == Error::Interrupted.status() {
            return Err(error);
        }
        match self.kept(self.clock.now(), STILL_USEFUL) {
            Ok(Some(session)) => {
                let left = session.left(self.clock.now()).as_secs() / 60;
                self.attendant
                    .notice(Notice::Warning(format!("{error}; the old session has {left} min left")));
                Ok(session)
            }
            _ => Err(error),
        }
    }

    fn key(&self, access_key_id: &str) -> SessionKey {
        let endpoint = self.plan.endpoint.as_ref().map(|endpoint| endpoint.as_str());
        SessionKey::mfa(access_key_id, self.plan.mfa_serial.as_str(), self.plan.partition.name(), endpoint)
    }
}

/// A blocking task fails only by a panic, which is a bug; it is reported like any failure.
fn finished<T>(joined: Result<T, tokio::task::JoinError>) -> Result<T, Error> {
    joined.map_err(|_| Error::Usage("an internal task failed; please report this".into()))
}

#[cfg(test)]
#[path = "authenticator/tests.rs"]
mod tests;
