//! `onetap write --watch`: each new session is written before the old one ends.
//!
//! Knows when to look again and when to give up. Between two looks nothing runs but a timer.

use std::time::{Duration, SystemTime};

use crate::attendant::Notice;
use crate::error::Error;
use crate::plan::Plan;
use crate::session::Session;

use super::super::apart::{self, Stayer};
use super::{MIN_TTL, Section, print};

/// After a renewal that failed, a person is left in peace for so long.
const AGAIN: Duration = Duration::from_secs(5 * 60);
/// The longest sleep: timers stand still while a laptop sleeps, and sessions do not.
const NAP: Duration = Duration::from_secs(60);
/// Never busy, however short AWS made the sessions.
const REST: Duration = Duration::from_secs(1);

pub(super) async fn watch(section: &Section<'_>, plan: &Plan) -> Result<(), Error> {
    let mut ended = std::pin::pin!(asked_to_end());
    let mut written: Option<Session> = None;
    loop {
        let outcome = tokio::select! {
            biased;
            () = &mut ended => break,
            outcome = renewed(section, plan, written.as_ref()) => outcome,
        };
        let now = section.context.clock.now();
        let again = match outcome {
            Ok(session) => {
                let stale = stale(&session);
                if written.is_none() {
                    let end = session.expiration_text();
                    print(
                        format!("Wrote {}, until {end}; Ctrl-C ends the watch.\n", section.place())
                            .as_bytes(),
                    )?;
                }
                written = Some(session);
                // A session that is handed out although it is old means that nobody answered.
                if stale > now { stale } else { now + AGAIN }
            }
            Err(error) if error.status() == Error::Interrupted.status() => break,
            Err(error) => match written.as_ref().filter(|session| session.expiration > now) {
                None => return Err(error),
                Some(session) => {
                    let text = format!(
                        "{}; the session in {} ends at {}",
                        error.line(),
                        section.place(),
                        session.expiration_text()
                    );
                    section.context.attendant.notice(Notice::Warning(text));
                    now + AGAIN
                }
            },
        };
        let end = written.as_ref().map_or(again, |session| again.min(session.expiration));
        let rested = tokio::select! {
            biased;
            () = &mut ended => false,
            () = until(section, end) => true,
        };
        if !rested {
            break;
        }
    }
    // A renewal that was cut short leaves no count on the terminal.
    section.context.attendant.notice(Notice::StepWait { left: 0 });
    section.context.attendant.notice(Notice::TouchOver);
    print(last_words(section, written.as_ref()).as_bytes())
}

/// A session that serves, written down where it is another than before.
async fn renewed(section: &Section<'_>, plan: &Plan, written: Option<&Session>) -> Result<Session, Error> {
    let session = apart::session(section.context, &plan.profile, Stayer::Watch).await?;
    if written.is_none_or(|written| written.access_key_id != session.access_key_id) {
        section.write(plan, &session)?;
    }
    Ok(session)
}

/// When a session is no longer [`Session::fresh`].
fn stale(session: &Session) -> SystemTime {
    let granted = session.expiration.duration_since(session.minted).unwrap_or_default();
    session.expiration.checked_sub(MIN_TTL.min(granted / 4)).unwrap_or(session.minted)
}

async fn until(section: &Section<'_>, end: SystemTime) {
    tokio::time::sleep(REST).await;
    while let Ok(left) = end.duration_since(section.context.clock.now())
        && !left.is_zero()
    {
        tokio::time::sleep(left.min(NAP)).await;
    }
}

fn last_words(section: &Section<'_>, written: Option<&Session>) -> String {
    match written {
        None => "Nothing was written.\n".into(),
        Some(session) => {
            let (place, end) = (section.place(), session.expiration_text());
            format!("{place} stays until you remove it; its session ends at {end}.\n")
        }
    }
}

/// Ctrl-C, or the polite end of the process or its terminal.
#[cfg(unix)]
async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}

#[cfg(not(unix))]
async fn asked_to_end() {
    let _ = tokio::signal::ctrl_c().await;
}
