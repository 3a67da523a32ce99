//! One process at a time per MFA device, and what that device's users must remember: the last used time step
//! and the last refusal.
//!
//! Knows nothing about AWS or tokens. The lock is the system's (`flock`): it is free again however its holder dies.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::attendant::{Attendant, Notice};
use crate::code::TimeStep;
use crate::files::{Lock, Private, write_whole};

/// How long a waiter sleeps between two looks at the lock.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A waiter says who holds the turn only after this time, so that a quick holder is never mentioned.
const PATIENCE: Duration = Duration::from_millis(200);

/// How far ahead of now a spent step can be: a touch or a typed code may come one step late, on a clock that is then
/// set back a little.
const STEPS_AHEAD: u64 = 2;
/// How many steps are remembered: a command uses two at most, and on a clock that is wrong one command's steps must
/// not drive out another's.
const STEPS_KEPT: usize = 16;
/// How many refusals are remembered: one a role that people on one device wait for at the same time.
const REFUSALS_KEPT: usize = 8;

/// The turn: held until dropped.
#[derive(Debug)]
pub struct Turn {
    // `None` where the home cannot be written: then every process is alone.
    _lock: Option<Lock>,
    path: PathBuf,
    memory: Memory,
    // A person needs to hear once that nothing can be remembered.
    forgetful: bool,
}

/// What is remembered of a device between processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    #[serde(default)]
    holder: Option<Holder>,
    /// Steps whose codes may have reached AWS, by AWS's time as far as it was known; the newest last.
    #[serde(default)]
    steps: Vec<u64>,
    /// Steps of a wrong time whose codes AWS has refused: never sent again, and they say nothing about the right time.
    #[serde(default)]
    astray: Vec<u64>,
    #[serde(default)]
    refusals: Vec<Refusal>,
}

/// Who holds the turn; never the command line, which may hold secrets of the child's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process id.
    pub pid: u32,
    /// The verb, for example `exec`.
    pub verb: String,
    /// The profile.
    pub profile: String,
    /// Since when, in seconds since the epoch.
    pub since: u64,
}

/// An unanswered touch or question, or what AWS would not give for a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// When, in milliseconds since the epoch.
    at: u64,
    /// What was asked of AWS, as a digest; `None` if a person refused, which goes for whatever they were asked for.
    asked: Option<String>,
    /// What happened, as a fact.
    pub why: String,
    /// The next action, if there is one.
    pub hint: Option<String>,
    /// The exit code.
    pub status: u8,
}

impl Refusal {
    /// A refusal at a time; `asked` is what was asked of AWS, if it was AWS that refused.
    pub fn new(at: SystemTime, asked: Option<&str>, why: String, hint: Option<String>, status: u8) -> Self {
        Self { at: millis(at), asked: asked.map(digest), why, hint, status }
    }
}

/// Why the turn could not be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TurnError {
    /// Somebody held it until the limit passed.
    #[error("the wait for {0} took too long")]
    Held(String),
    /// The file system refused.
    #[error("the turn cannot be taken at {path}: {reason}")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
}

impl Turn {
    /// Takes the turn for the device called `name`, waiting until `deadline`. After a fifth of a second the
    /// attendant is told who holds it.
    pub async fn take(
        folder: &Path,
        name: &str,
        holder: Holder,
        deadline: Instant,
        attendant: &dyn Attendant,
    ) -> Result<Self, TurnError> {
        // The name holds an account and a user: neither belongs into a file's name, and an ARN has slashes.
        let stem = folder.join(digest(name));
        let (lock_path, path) = (stem.with_extension("lock"), stem.with_extension("json"));
        let lock = match wait(&lock_path, &path, deadline, attendant).await {
            Err(TurnError::Io { path, reason }) => {
                // A full or read-only home must not keep a person from working.
                attendant.notice(Notice::Warning(format!(
                    "other processes cannot be kept waiting: {}: {reason}",
                    path.display()
                )));
                None
            }
            taken => Some(taken?),
        };
        let mut turn = Self { _lock: lock, memory: recall(&path), path, forgetful: false };
        turn.memory.holder = Some(holder);
        turn.keep(attendant);
        Ok(turn)
    }

    /// The last time step whose code may have reached AWS, as seen in the step `now`. One that lies further ahead
    /// than any code can comes from a clock that was wrong, and does not count.
    pub fn spent(&self, now: TimeStep) -> Option<TimeStep> {
        let near = |step: &u64| *step <= now.0.saturating_add(STEPS_AHEAD);
        self.memory.steps.iter().copied().filter(near).max().map(TimeStep)
    }

    /// Whether the code of `step` must not be sent: it, or a later one, may have reached AWS.
    pub fn is_spent(&self, step: TimeStep) -> bool {
        self.spent(step).is_some_and(|spent| step <= spent) || self.memory.astray.contains(&step.0)
    }

    /// Remembers, on disk and before the code is sent, that `step` is used.
    pub fn spend(&mut self, step: TimeStep, attendant: &dyn Attendant) {
        remember(&mut self.memory.steps, step);
        self.keep(attendant);
    }

    /// Remembers that a code was sent for `step` by a clock that was wrong, so that others need not wait for what
    /// comes after it.
    pub fn strayed(&mut self, step: TimeStep, attendant: &dyn Attendant) {
        self.memory.steps.retain(|known| *known != step.0);
        remember(&mut self.memory.astray, step);
        self.keep(attendant);
    }

    /// The last refusal, if it came after `began`: whoever waited then is refused too. One of AWS's counts only for
    /// those who want the same of AWS, `asked`.
    pub fn refusal_since(&self, began: SystemTime, asked: Option<&str>) -> Option<Refusal> {
        let asked = asked.map(digest);
        let for_us = |refusal: &&Refusal| refusal.asked.is_none() || refusal.asked == asked;
        self.memory.refusals.iter().rev().filter(for_us).find(|refusal| refusal.at >= millis(began)).cloned()
    }

    /// Remembers a refusal for those that are waiting.
    pub fn refuse(&mut self, refusal: Refusal, attendant: &dyn Attendant) {
        let refusals = &mut self.memory.refusals;
        refusals.retain(|known| known.asked != refusal.asked);
        refusals.push(refusal);
        refusals.drain(..refusals.len().saturating_sub(REFUSALS_KEPT));
        self.keep(attendant);
    }

    fn keep(&mut self, attendant: &dyn Attendant) {
        let written = serde_json::to_vec(&self.memory)
            .map_err(io::Error::other)
            .and_then(|text| write_whole(&self.path, &text, Private::OwnerOnly));
        if let Err(error) = written
            && !std::mem::replace(&mut self.forgetful, true)
        {
            attendant.notice(Notice::Warning(format!(
                "the last used code cannot be remembered in {}: {error}",
                self.path.display()
            )));
        }
    }
}

async fn wait(
    lock: &Path,
    memory: &Path,
    deadline: Instant,
    attendant: &dyn Attendant,
) -> Result<Lock, TurnError> {
    let refused = |error: io::Error| TurnError::Io { path: lock.into(), reason: error.to_string() };
    let began = Instant::now();
    let mut said = None;
    loop {
        if let Some(lock) = Lock::try_take(lock).map_err(refused)? {
            if said.is_some() {
                attendant.notice(Notice::TurnTaken);
            }
            return Ok(lock);
        }
        if said.is_none() && began.elapsed() >= PATIENCE {
            let holder = name(recall(memory).holder);
            attendant.notice(Notice::TurnHeld { holder: holder.clone() });
            said = Some(holder);
        }
        if Instant::now() >= deadline {
            attendant.notice(Notice::TurnTaken);
            return Err(TurnError::Held(said.unwrap_or_else(|| name(None))));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn remember(steps: &mut Vec<u64>, step: TimeStep) {
    steps.retain(|known| *known != step.0);
    steps.push(step.0);
    steps.drain(..steps.len().saturating_sub(STEPS_KEPT));
}

fn name(holder: Option<Holder>) -> String {
    match holder {
        Some(Holder { pid, verb, profile, .. }) => format!("pid {pid} ({verb} {profile})"),
        None => "another onetap".into(),
    }
}

/// What was remembered; nothing if the file is damaged, since a forgotten step costs one refused code at most.
fn recall(path: &Path) -> Memory {
    std::fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

fn digest(name: &str) -> String {
    let mut digest = data_encoding::HEXLOWER.encode(Sha256::digest(name).as_slice());
    digest.truncate(32);
    digest
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attendant::{Question, Unattended};
    use secrecy::SecretString;
    use std::sync::Mutex;

    #[derive(Debug, Default)]
    struct Notebook(Mutex<Vec<Notice>>);

    impl Attendant for Notebook {
        fn notice(&self, notice: Notice) {
            self.0.lock().unwrap().push(notice);
        }
        fn ask(&self, _: Question) -> Result<SecretString, Unattended> {
            Err(Unattended::Nobody("a test".into()))
        }
    }

    fn holder() -> Holder {
        Holder { pid: 4711, verb: "exec".into(), profile: "doug".into(), since: 0 }
    }

    fn block<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn the_last_step_and_the_last_refusal_outlive_the_holder() {
        let folder = tempfile::tempdir().unwrap();
        let book = Notebook::default();
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let take = || block(Turn::take(folder.path(), "a/b:c", holder(), Instant::now(), &book)).unwrap();
        let mut turn = take();
        assert_eq!((turn.spent(TimeStep(7)), turn.refusal_since(UNIX_EPOCH, None)), (None, None));
        turn.spend(TimeStep(7), &book);
        turn.spend(TimeStep(5), &book);
        turn.refuse(Refusal::new(at(100), None, "not touched".into(), None, 6), &book);
        drop(turn);
        let turn = take();
        assert_eq!(turn.spent(TimeStep(5)), Some(TimeStep(7)), "a step does not go back");
        assert!(turn.is_spent(TimeStep(6)) && turn.is_spent(TimeStep(7)) && !turn.is_spent(TimeStep(8)));
        assert_eq!(turn.spent(TimeStep(2)), None, "but those of a wrong clock do not count");
        assert_eq!(turn.refusal_since(at(99), Some("a role")).unwrap().why, "not touched");
        assert_eq!(turn.refusal_since(at(101), None), None, "who starts later is not refused");
        assert!(book.0.lock().unwrap().is_empty());
    }

    #[test]
    fn what_aws_refused_counts_for_those_who_want_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let book = Notebook::default();
        let mut turn = block(Turn::take(folder.path(), "x", holder(), Instant::now(), &book)).unwrap();
        for role in ["a", "b"] {
            let why = format!("no {role}");
            turn.refuse(Refusal::new(UNIX_EPOCH, Some(role), why, None, 8), &book);
        }
        let why = |asked| turn.refusal_since(UNIX_EPOCH, asked).map(|refusal| refusal.why);
        assert_eq!((why(Some("a")), why(Some("b"))), (Some("no a".into()), Some("no b".into())));
        assert_eq!((why(Some("c")), why(None)), (None, None));
        for role in 0..100 {
            turn.refuse(Refusal::new(UNIX_EPOCH, Some(&role.to_string()), String::new(), None, 8), &book);
        }
        assert_eq!(turn.memory.refusals.len(), REFUSALS_KEPT);
    }

    #[test]
    fn a_step_that_went_astray_is_not_used_again_and_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let book = Notebook::default();
        let take = || block(Turn::take(folder.path(), "x", holder(), Instant::now(), &book)).unwrap();
        // A clock that is 20 steps behind, then right; a clock that is 20 steps ahead, then right.
        for wrong in [980, 1020] {
            let mut turn = take();
            turn.spend(TimeStep(wrong), &book);
            turn.strayed(TimeStep(wrong), &book);
            assert!(!turn.is_spent(TimeStep(1000 + wrong / 1000)), "{turn:?}");
            turn.spend(TimeStep(1000 + wrong / 1000), &book);
        }
        let turn = take();
        for step in [980, 1000, 1001, 1020] {
            assert!(turn.is_spent(TimeStep(step)), "{step}: {turn:?}");
        }
        for step in [981, 1002, 1019, 1021] {
            assert!(!turn.is_spent(TimeStep(step)), "{step}: {turn:?}");
        }
    }

    #[test]
    fn only_so_many_steps_are_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let book = Notebook::default();
        let mut turn = block(Turn::take(folder.path(), "x", holder(), Instant::now(), &book)).unwrap();
        let mut sizes = std::collections::BTreeSet::new();
        for step in 1_000..2_000 {
            assert!(!turn.is_spent(TimeStep(step)));
            turn.spend(TimeStep(step), &book);
            if step % 2 == 0 {
                turn.strayed(TimeStep(step), &book);
            }
            sizes.insert(std::fs::metadata(&turn.path).unwrap().len());
        }
        assert!(sizes.last().unwrap() < &400, "{sizes:?}");
        assert!(turn.is_spent(TimeStep(1_999)));
    }

    #[test]
    fn a_waiter_is_told_who_holds_the_turn_and_gives_up_at_the_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let book = Notebook::default();
        let held = block(Turn::take(folder.path(), "x", holder(), Instant::now(), &book)).unwrap();
        let deadline = Instant::now() + Duration::from_millis(300);
        let refused = block(Turn::take(folder.path(), "x", holder(), deadline, &book)).unwrap_err();
        assert_eq!(refused, TurnError::Held("pid 4711 (exec doug)".into()));
        let said = book.0.lock().unwrap().clone();
        assert_eq!(said, [Notice::TurnHeld { holder: "pid 4711 (exec doug)".into() }, Notice::TurnTaken]);
        drop(held);
    }

    #[test]
    fn a_home_that_cannot_be_written_is_a_warning_of_each_kind() {
        let book = Notebook::default();
        let mut turn =
            block(Turn::take(Path::new("/dev/null/x"), "x", holder(), Instant::now(), &book)).unwrap();
        assert_eq!(turn.spent(TimeStep(0)), None);
        turn.spend(TimeStep(7), &book);
        let said = book.0.lock().unwrap().iter().map(|notice| format!("{notice:?}")).collect::<Vec<_>>();
        assert!(said[0].contains("cannot be kept waiting") && said[1].contains("cannot be remembered"));
        assert_eq!(said.len(), 2, "each is said once: {said:?}");
    }
}
