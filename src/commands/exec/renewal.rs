//! The session of a child that runs for long: kept at hand, and renewed before its end.
//!
//! Knows when to ask a person again. SDKs wait a second or two for an answer and a touch takes longer, so that a session
//! is renewed beside the answers, while the old one still serves.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::attendant::Notice;
use crate::session::Session;
use tokio::sync::Notify;

use super::super::Context;
use super::super::apart::{self, Stayer};

/// botocore asks again from 15 minutes before the end.
pub(super) const MIN_TTL: Duration = Duration::from_secs(15 * 60);
/// An old session is handed out while it has more than this left.
const STILL_USEFUL: Duration = Duration::from_secs(60);
/// After a renewal that failed, a person is left in peace for so long.
const AGAIN: Duration = Duration::from_secs(5 * 60);
/// SDKs wait a second (JavaScript) or two (botocore) for an answer, and say more of an error than of none.
const WAIT: Duration = Duration::from_millis(800);
/// The longest sleep: timers stand still while a laptop sleeps, and sessions do not.
const NAP: Duration = Duration::from_secs(60);
/// The shortest.
const REST: Duration = Duration::from_secs(1);

/// The session, and what became of its renewals.
pub(super) struct Renewal {
    context: Context,
    profile: String,
    state: Mutex<State>,
    ended: Notify,
}

struct State {
    session: Session,
    /// Whether the child asked since this session was made: a child that sleeps wants no touch.
    asked: bool,
    running: bool,
    failed: Option<(SystemTime, String)>,
}

impl Renewal {
    pub(super) fn new(session: Session, context: Context, profile: String) -> Arc<Self> {
        let state = Mutex::new(State { session, asked: false, running: false, failed: None });
        Arc::new(Self { context, profile, state, ended: Notify::new() })
    }

    /// A session that serves, or in one line why there is none. Waits, and not for long, only where the old one is over.
    pub(super) async fn session(self: &Arc<Self>) -> Result<Session, String> {
        let late =
            |_| Err("the session is over, and a new one is waited for: touch the key, and try again".into());
        tokio::time::timeout(WAIT, self.served()).await.unwrap_or_else(late)
    }

    async fn served(self: &Arc<Self>) -> Result<Session, String> {
        loop {
            let mut ended = pin!(self.ended.notified());
            ended.as_mut().enable();
            if let Some(answer) = self.at_once() {
                return answer;
            }
            ended.await;
        }
    }

    fn at_once(self: &Arc<Self>) -> Option<Result<Session, String>> {
        let now = self.context.clock.now();
        let mut state = self.state();
        state.asked = true;
        if !state.session.fresh(now, MIN_TTL) {
            self.begin(&mut state, now);
            let granted = state.session.expiration.duration_since(state.session.minted).unwrap_or_default();
            if state.session.left(now) <= STILL_USEFUL.min(granted / 16) {
                let failed = state.failed.as_ref().filter(|_| !state.running);
                return failed.map(|(_, line)| Err(line.clone()));
            }
        }
        Some(Ok(state.session.clone()))
    }

    /// Renews before the end what the child uses; never returns.
    pub(super) async fn watch(self: Arc<Self>) {
        loop {
            let now = self.context.clock.now();
            let wait = {
                let mut state = self.state();
                if state.asked && !state.session.fresh(now, MIN_TTL) {
                    self.begin(&mut state, now);
                }
                let granted =
                    state.session.expiration.duration_since(state.session.minted).unwrap_or_default();
                state.session.left(now).saturating_sub(MIN_TTL.min(granted / 4))
            };
            tokio::time::sleep(if wait.is_zero() { NAP } else { wait.clamp(REST, NAP) }).await;
        }
    }

    fn begin(self: &Arc<Self>, state: &mut State, now: SystemTime) {
        let peace = |(at, _): &(SystemTime, String)| now.duration_since(*at).unwrap_or_default() < AGAIN;
        if state.running || state.failed.as_ref().is_some_and(peace) {
            return;
        }
        (state.running, state.asked) = (true, false);
        let own = self.clone();
        tokio::spawn(async move { own.renew().await });
    }

    async fn renew(&self) {
        let outcome = apart::session(&self.context, &self.profile, Stayer::Refresh).await;
        let now = self.context.clock.now();
        {
            let mut state = self.state();
            state.running = false;
            match outcome {
                Ok(session) => {
                    // An old one is handed out where nobody answered.
                    state.failed =
                        (!session.fresh(now, MIN_TTL)).then(|| (now, "no new session could be had".into()));
                    state.session = session;
                }
                Err(error) => {
                    self.context.attendant.notice(Notice::Warning(error.line()));
                    state.failed = Some((now, error.line()));
                }
            }
        }
        self.ended.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
