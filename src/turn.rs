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
    #[serde(default)]
    spent: Option<u64>,
    #[serde(default)]
    refusal: Option<Refusal>,
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

/// An unanswered touch or question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// When, in milliseconds since the epoch.
    at: u64,
    /// What happened, as a fact.
    pub why: String,
    /// Whether the person pressed Ctrl-C.
    pub interrupted: bool,
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
        let digest = data_encoding::HEXLOWER.encode(Sha256::digest(name).as_slice());
        let stem = folder.join(digest.get(..32).unwrap_or(&digest));
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
    /// than any code can comes from a clock that was wrong, and is forgotten.
    pub fn spent(&self, now: TimeStep) -> Option<TimeStep> {
        self.memory.spent.map(TimeStep).filter(|spent| spent.0 <= now.0.saturating_add(STEPS_AHEAD))
    }

    /// Remembers, on disk and before the code is sent, that `step` is used.
    pub fn spend(&mut self, step: TimeStep, attendant: &dyn Attendant) {
        self.memory.spent = Some(self.spent(step).map_or(step, |spent| spent.max(step)).0);
        self.keep(attendant);
    }

    /// The last refusal, if it came after `began`: whoever waited then is refused too.
    pub fn refusal_since(&self, began: SystemTime) -> Option<Refusal> {
        self.memory.refusal.clone().filter(|refusal| refusal.at >= millis(began))
    }

    /// Remembers a refusal for those that are waiting.
    pub fn refuse(&mut self, why: String, interrupted: bool, at: SystemTime, attendant: &dyn Attendant) {
        self.memory.refusal = Some(Refusal { at: millis(at), why, interrupted });
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
        assert_eq!((turn.spent(TimeStep(7)), turn.refusal_since(UNIX_EPOCH)), (None, None));
        turn.spend(TimeStep(7), &book);
        turn.spend(TimeStep(5), &book);
        turn.refuse("not touched".into(), false, at(100), &book);
        drop(turn);
        let turn = take();
        assert_eq!(turn.spent(TimeStep(5)), Some(TimeStep(7)), "a step does not go back");
        assert_eq!(turn.spent(TimeStep(4)), None, "but one from a wrong clock is forgotten");
        assert_eq!(turn.refusal_since(at(99)).unwrap().why, "not touched");
        assert_eq!(turn.refusal_since(at(101)), None, "who starts later is not refused");
        assert!(book.0.lock().unwrap().is_empty());
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
