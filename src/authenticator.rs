//! The one policy: look, wait for my turn, look again, mint; link by link.
//!
//! Knows the order of things and nothing of their insides. One person is asked once, however many processes need
//! the same MFA device; whoever waited for the turn takes what its holder kept.

use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_smithy_async::time::SharedTimeSource;

use crate::attendant::{Attendant, Notice};
use crate::code::{Code, CodeSource};
use crate::error::Error;
use crate::plan::{Link, Mfa, Plan, Source};
use crate::session::store::{Kept, SessionStore, StoreError};
use crate::session::{Freshness, MinTtl, Session};
use crate::sts::StsError;
use crate::turn::{Holder, Refusal, Turn};
use crate::vault::Vault;

mod codes;
mod mint;
mod provide;
mod source;
pub use source::Given;

use codes::Hand;

/// An old session is handed out, if a new one cannot be had, as long as it has more than this left; and one that only
/// signs the next request needs no more.
const STILL_USEFUL: Duration = Duration::from_secs(60);
/// What passes of a session's life before it is handed out: a call's time, and the part of a second that AWS cuts off.
const ON_ARRIVAL: Duration = Duration::from_secs(20);
/// How much longer than its parts the whole may take, so that the part's own words are heard.
const GRACE: Duration = Duration::from_secs(1);

/// Makes and keeps the sessions of one plan.
#[derive(Clone, Debug)]
pub struct Authenticator {
    /// What to ask of AWS.
    pub plan: Plan,
    /// Who is asked for codes, in order.
    pub sources: Vec<Arc<dyn CodeSource>>,
    /// The credentials in the environment, for a plan that starts there.
    pub environment: Option<Given>,
    /// Holds the long-term key.
    pub vault: Arc<dyn Vault>,
    /// Holds the sessions.
    pub store: Arc<SessionStore>,
    /// The folder of the turns.
    pub turns: PathBuf,
    /// The verb, for those who wait.
    pub verb: &'static str,
    /// What a kept session must be like.
    pub freshness: Freshness,
    /// When the caller gives up.
    pub deadline: Instant,
    /// How long that was when it began.
    pub limit: Duration,
    /// Whether Ctrl-C is ours to answer.
    pub on_interrupt: OnInterrupt,
    /// The person.
    pub attendant: Arc<dyn Attendant>,
    /// The time.
    pub clock: SharedTimeSource,
}

/// Whose Ctrl-C it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnInterrupt {
    /// It ends the wait for a code, and whoever waits for the same code hears of it.
    GiveUp,
    /// It is another program's, which has its own mind about it.
    LeaveIt,
}

impl OnInterrupt {
    /// Ends when Ctrl-C is pressed and is ours.
    async fn pressed(self) {
        match self {
            // Without a handler there is nothing to wait for.
            Self::GiveUp => {
                if tokio::signal::ctrl_c().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            Self::LeaveIt => std::future::pending().await,
        }
    }
}

impl Authenticator {
    /// The session that is kept, if it is fresh for a caller who begins now. Synchronous: no runtime, no network, no
    /// card.
    pub fn kept(&self, began: SystemTime) -> Result<Option<Session>, Error> {
        let last = self.plan.links.len().saturating_sub(1);
        Ok(self.kept_link(last, None, began)?.map(|(session, _)| session))
    }

    /// A session: the kept one, or a new one. Waits for the turn, for a person and for AWS, until the deadline.
    pub async fn session(&self) -> Result<Session, Error> {
        let began = self.clock.now();
        if let Some(session) = self.kept(began)? {
            return Ok(session);
        }
        self.grantable()?;
        let mut interrupt = pin!(self.on_interrupt.pressed());
        let mut hand = Hand::new(self.clock.clone());
        let mut made = self.chain(began, &mut hand, interrupt.as_mut()).await;
        // A session that was kept and that AWS has revoked is gone now; once, a new one is made in its place.
        for _ in 1..self.plan.links.len() {
            if !matches!(made, Err(Error::Sts(StsError::Ended))) {
                break;
            }
            made = self.chain(began, &mut hand, interrupt.as_mut()).await;
        }
        let session = made.or_else(|error| self.make_do(error))?;
        match self.freshness.min_ttl {
            MinTtl::Strict(wanted) if session.left(self.clock.now()) < wanted => {
                Err(Error::TooShort { wanted, granted: session.left(self.clock.now()) })
            }
            _ => Ok(session),
        }
    }

    /// One code, whose step then counts as used: a code that was printed may have reached AWS.
    pub async fn code(&self) -> Result<Code, Error> {
        let began = self.clock.now();
        let mut interrupt = pin!(self.on_interrupt.pressed());
        let name = self.device()?.serial.to_string();
        let mut turn = self.within_limits(interrupt.as_mut(), self.turn(&name)).await?;
        self.refused_before(&turn, None, began)?;
        let mut hand = Hand::new(self.clock.clone());
        let code = self.within_limits(interrupt, self.next_code(&mut hand, &mut turn)).await;
        self.remember_refusal(&mut turn, None, code)
    }

    /// What is wanted and never granted is said before anybody is asked.
    fn grantable(&self) -> Result<(), Error> {
        let granted = self.plan.links.last().map(Link::duration).unwrap_or_default();
        match self.freshness.min_ttl {
            MinTtl::Strict(wanted) if wanted.saturating_add(ON_ARRIVAL) > granted => {
                Err(Error::TooShort { wanted, granted })
            }
            _ => Ok(()),
        }
    }

    fn device(&self) -> Result<&Mfa, Error> {
        self.plan.device().map_err(|source| Error::Plan { source: Box::new(source), at: None, lost: None })
    }

    /// From the longest part of the chain whose session still serves, link by link to its end.
    async fn chain(
        &self,
        began: SystemTime,
        hand: &mut Hand,
        mut interrupt: Pin<&mut impl Future>,
    ) -> Result<Session, Error> {
        let mut session = None;
        let mut next = 0;
        for at in (0..self.plan.links.len()).rev() {
            if let Some((kept, _)) = self.kept_link(at, None, began)? {
                (session, next) = (Some(kept), at.saturating_add(1));
                break;
            }
        }
        for (at, link) in self.plan.links.iter().enumerate().skip(next) {
            let mut turn = self.within_limits(interrupt.as_mut(), self.turn(&self.plan.turn(at))).await?;
            if let Some((kept, _)) = self.kept_link(at, None, began)? {
                session = Some(kept); // whoever held the turn before us did the work
                continue;
            }
            let asked = self.asked_of_aws(at).filter(|_| link.asks());
            if link.asks() {
                self.refused_before(&turn, asked.as_deref(), began)?; // one unanswered touch must not become twenty
            }
            let work = self.mint(at, link, session, began, hand, &mut turn);
            let minted = self.within_limits(interrupt.as_mut(), work).await;
            session = Some(self.remember_refusal(&mut turn, asked.as_deref(), minted)?);
        }
        session.ok_or_else(|| Error::Usage("the plan is empty; please report this".into()))
    }

    /// The kept session of a link, if it serves, and its key; `identity` where it is known better than from what is
    /// kept.
    fn kept_link(
        &self,
        at: usize,
        identity: Option<&str>,
        began: SystemTime,
    ) -> Result<Option<(Session, String)>, Error> {
        let kept = self.all_kept()?;
        let Some(identity) = identity.map(str::to_owned).or_else(|| self.identity(&kept)) else {
            return Ok(None);
        };
        let Some(session) = self.plan.session_keys(&identity).get(at).and_then(|key| kept.sessions.get(key))
        else {
            return Ok(None);
        };
        let now = self.clock.now();
        let serves = if at.saturating_add(1) == self.plan.links.len() {
            self.freshness.serves(session, now, began)
        } else {
            session.left(now) > STILL_USEFUL && self.freshness.trusts(session, now, began)
        };
        Ok(serves.then(|| (session.clone(), identity)))
    }

    fn all_kept(&self) -> Result<Kept, Error> {
        match self.store.read() {
            Ok(kept) => Ok(kept),
            // Without its vault nothing else would work either; anything else costs one more touch.
            Err(StoreError::Vault(error)) => Err(error.into()),
            Err(error) => {
                self.attendant.notice(Notice::Warning(format!("kept sessions are passed over: {error}")));
                Ok(Kept::default())
            }
        }
    }

    fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Who signs the first request, as far as that is known without asking a vault or a program.
    fn identity(&self, kept: &Kept) -> Option<String> {
        match &self.plan.source {
            Source::Environment => self.environment.as_ref().map(|given| given.id().to_owned()),
            Source::Keys { profile } => kept.access_keys.get(profile).cloned(),
            Source::Process { .. } | Source::WebIdentity { .. } => self.plan.stranger(),
        }
    }

    async fn turn(&self, name: &str) -> Result<Turn, Error> {
        let holder = Holder {
            pid: std::process::id(),
            verb: self.verb.into(),
            profile: self.plan.profile.clone(),
            since: self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        };
        Ok(Turn::take(&self.turns, name, holder, self.deadline, self.attendant.as_ref()).await?)
    }

    /// What AWS is asked for with a link, whoever's key that is.
    fn asked_of_aws(&self, at: usize) -> Option<String> {
        let identity = format!("{:?}", self.plan.source);
        self.plan.session_keys(&identity).get(at).map(|key| key.as_str().to_owned())
    }

    fn refused_before(&self, turn: &Turn, asked: Option<&str>, began: SystemTime) -> Result<(), Error> {
        match turn.refusal_since(began, asked) {
            Some(Refusal { why, hint, status, .. }) => Err(Error::RefusedElsewhere { why, hint, status }),
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

    /// A person's refusal is one for all who wait for the device; AWS's, after a code was given for `asked`, is one
    /// for those who want the same. Either would only cost them a touch.
    fn remember_refusal<T>(
        &self,
        turn: &mut Turn,
        asked: Option<&str>,
        outcome: Result<T, Error>,
    ) -> Result<T, Error> {
        if let Err(error) = &outcome {
            let now = self.clock.now();
            let refusal = match error {
                Error::Sts(_) if asked.is_some() => {
                    Some(Refusal::new(now, asked, error.to_string(), error.hint(), error.status()))
                }
                _ if error.is_refusal() => {
                    let hint = Some("run the command again".to_owned());
                    Some(Refusal::new(now, None, error.to_string(), hint, error.status()))
                }
                _ => None,
            };
            refusal.into_iter().for_each(|refusal| turn.refuse(refusal, self.attendant.as_ref()));
        }
        outcome
    }

    /// What can be done when nobody answered: a session that is old but alive still serves.
    fn make_do(&self, error: Error) -> Result<Session, Error> {
        if !self.freshness.yields() || error.status() == Error::Interrupted.status() {
            return Err(error);
        }
        let kept = self.all_kept().ok();
        let session = kept.and_then(|kept| {
            let identity = self.identity(&kept)?;
            kept.sessions.get(self.plan.session_keys(&identity).last()?).cloned()
        });
        match session.filter(|session| session.left(self.clock.now()) > STILL_USEFUL) {
            Some(session) => {
                let left = session.left(self.clock.now()).as_secs() / 60;
                self.attendant
                    .notice(Notice::Warning(format!("{error}; the old session has {left} min left")));
                Ok(session)
            }
            None => Err(error),
        }
    }
}

/// A blocking task fails only by a panic, which is a bug; it is reported like any failure.
fn finished<T>(joined: Result<T, tokio::task::JoinError>) -> Result<T, Error> {
    joined.map_err(|_| Error::Usage("an internal task failed; please report this".into()))
}

#[cfg(test)]
#[path = "authenticator/tests.rs"]
mod tests;
