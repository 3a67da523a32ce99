//! Sessions from a process that lives for a moment, so that a process that stays never holds a long-term secret.
//!
//! Knows how a second onetap is started, what it is told and what it answers: docs/adr/memory.md has the reason. It is
//! told whose session is meant and what the command line said, nothing secret; its answer comes through a pipe. Questions
//! and notices it brings to the terminal itself. Its end is arranged to be ours at the latest.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use super::exec::Aside;
use super::{Context, TIMEOUT, auto, block_on, print};
use crate::authenticator::OnInterrupt;
use crate::cli::Cli;
use crate::error::Error;
use crate::session::Session;

/// Our own name where we only make a session for another onetap.
const NAME: &str = "onetap: for one that stays";
/// Those who stay hand sessions to SDKs, and botocore asks again from 15 minutes before the end.
const MIN_TTL: Duration = Duration::from_secs(15 * 60);
/// More than the longest answer: the buffer must not grow, since growing leaves copies.
const LONGEST: usize = 65_536;
/// What the other may take beyond its own limit, which does not count a keychain's own minute before and after the touch.
const SLACK: Duration = Duration::from_secs(130);
/// How long the other may take to give the terminal back.
const PARTING: Duration = Duration::from_secs(1);

/// Who stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stayer {
    /// `exec`, before its child is there.
    Exec,
    /// `exec --refresh`, beside its child, whose terminal it is.
    Refresh,
    /// `write --watch`.
    Watch,
}

impl Stayer {
    /// The verb, for those who wait for the same device.
    fn verb(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Refresh => "exec --refresh",
            Self::Watch => "write",
        }
    }
}

/// What the other is to do, as its first word tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    /// Find out which device `auto` stands for, and remember it.
    Device,
    Session(Stayer),
}

impl Task {
    const ALL: [Self; 4] = [
        Self::Device,
        Self::Session(Stayer::Exec),
        Self::Session(Stayer::Refresh),
        Self::Session(Stayer::Watch),
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Session(stayer) => stayer.verb(),
        }
    }
}

/// What the other says.
#[derive(Deserialize, Serialize)]
enum Answer<'a> {
    Found,
    Made {
        #[serde(borrow)]
        access_key_id: Cow<'a, str>,
        #[serde(borrow)]
        secret_access_key: Cow<'a, str>,
        #[serde(borrow)]
        session_token: Cow<'a, str>,
        expiration: SystemTime,
        minted: SystemTime,
        authenticated: Option<SystemTime>,
    },
    Refused {
        why: String,
        hint: Option<String>,
        status: u8,
    },
}

impl<'a> Answer<'a> {
    fn of(session: &'a Session) -> Self {
        Self::Made {
            access_key_id: session.access_key_id.as_str().into(),
            secret_access_key: session.secret_access_key.expose_secret().into(),
            session_token: session.session_token.expose_secret().into(),
            expiration: session.expiration,
            minted: session.minted,
            authenticated: session.authenticated,
        }
    }
}

/// The kept session of a profile, or a new one: asked for by another process, within the command's limit. Where it ends
/// early, by Ctrl-C or because nobody wants the answer any more, so does the other.
pub(super) async fn session(context: &Context, profile: &str, stayer: Stayer) -> Result<Session, Error> {
    let text = answer(profile, Task::Session(stayer), context.limit).await?;
    match serde_json::from_slice(&text) {
        Ok(Answer::Made {
            access_key_id,
            secret_access_key,
            session_token,
            expiration,
            minted,
            authenticated,
        }) => Ok(Session {
            access_key_id: access_key_id.into_owned(),
            secret_access_key: (*secret_access_key).into(),
            session_token: (*session_token).into(),
            expiration,
            minted,
            authenticated,
        }),
        Ok(Answer::Refused { why, hint, status }) => Err(Error::Apart { why, hint, status }),
        // The parser's own words may quote what it read.
        Ok(Answer::Found) | Err(_) => Err(strange()),
    }
}

/// Has another process find out which device `mfa_serial = auto` of a profile stands for, and remember it.
pub(super) fn find_device(context: &Context, profile: &str) -> Result<(), Error> {
    let text = block_on(answer(profile, Task::Device, context.limit))?;
    match serde_json::from_slice(&text) {
        Ok(Answer::Found) => Ok(()),
        Ok(Answer::Refused { why, hint, status }) => Err(Error::Apart { why, hint, status }),
        Ok(Answer::Made { .. }) | Err(_) => Err(strange()),
    }
}

fn strange() -> Error {
    Error::Usage("the process that makes the session answered strangely; please report this".into())
}

async fn answer(profile: &str, task: Task, limit: Duration) -> Result<Zeroizing<Vec<u8>>, Error> {
    let other = Arc::new(Other::default());
    let _end = Ends(other.clone());
    // What is ignored stays so for the child of `exec`, which gets to know nothing of handlers.
    let heard = !matches!(task, Task::Session(Stayer::Refresh | Stayer::Watch)) && !interrupts_are_ignored();
    let mut interrupts = if heard { signal(SignalKind::interrupt()).ok() } else { None };
    let (owner, running) = (profile.to_owned(), other.clone());
    let mut work = tokio::task::spawn_blocking(move || running.run(&owner, task));
    let mut late = std::pin::pin!(tokio::time::sleep(limit.saturating_add(SLACK)));
    loop {
        let interrupted = async {
            match &mut interrupts {
                Some(interrupts) => interrupts.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            done = &mut work => return done.map_err(|_| strange())?,
            () = &mut late => return Err(Error::TimedOut(limit)),
            // One that was typed reached the other as well, which counts them as one. Its answer tells what became of it.
            _ = interrupted => other.send(Signal::INT),
        }
    }
}

/// Whether whoever started us wants Ctrl-C to pass by.
fn interrupts_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (Signal::INT.as_raw() - 1)) != 0)
}

/// The other process, as long as it runs.
#[derive(Default)]
struct Other {
    pid: Mutex<Option<Pid>>,
    gone: Condvar,
}

impl Other {
    fn pid(&self) -> MutexGuard<'_, Option<Pid>> {
        self.pid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, signal: Signal) {
        if let Some(pid) = *self.pid() {
            let _ = kill_process(pid, signal);
        }
    }

    /// Starts it and reads its answer. On one thread to the end: that it dies with its parent means this thread (prctl(2)).
    fn run(&self, profile: &str, task: Task) -> Result<Zeroizing<Vec<u8>>, Error> {
        let failed = |error| Error::Usage(format!("no other process can be started: {error}"));
        let mut started = start(profile, task).map_err(failed)?;
        *self.pid() = Some(Pid::from_child(&started));
        let mut text = Zeroizing::new(Vec::with_capacity(LONGEST));
        let read = started.stdout.take().map(|pipe| pipe.take(LONGEST as u64 - 1).read_to_end(&mut text));
        // It has closed the pipe: from here on its number may become another's.
        *self.pid() = None;
        self.gone.notify_all();
        let status = started.wait().map_err(failed)?;
        match read {
            Some(Ok(length)) if length > 0 => Ok(text),
            _ if status.signal() == Some(Signal::INT.as_raw()) => Err(Error::Interrupted),
            _ => {
                Err(Error::Usage(format!("the process that makes the session ended unexpectedly ({status})")))
            }
        }
    }
}

fn start(profile: &str, task: Task) -> std::io::Result<Child> {
    #[cfg(target_os = "linux")]
    let ourselves = std::path::PathBuf::from("/proc/self/exe"); // also when another version lies there by now
    #[cfg(not(target_os = "linux"))]
    let ourselves = std::env::current_exe()?;
    let mut command = Command::new(ourselves);
    command.arg0(NAME).arg(std::process::id().to_string()).arg(task.word()).arg(profile);
    command.args(std::env::args_os().skip(1)).stdout(Stdio::piped()).spawn()
}

/// Ends the other process, if it still runs, and waits until it has given the terminal back.
struct Ends(Arc<Other>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.send(Signal::TERM);
        let runs = |pid: &mut Option<Pid>| pid.is_some();
        let _ = self.0.gone.wait_timeout_while(self.0.pid(), PARTING, runs);
    }
}

/// Does what another onetap started this process for, if that is so; the outcome is whether it could be answered.
pub fn for_one_that_stays(arguments: &[OsString]) -> Option<Result<(), Error>> {
    let [own, parent, word, profile, rest @ ..] = arguments else { return None };
    if own != NAME {
        return None;
    }
    Some(made(parent, word, profile, rest).or_else(|error| {
        say(&Answer::Refused { why: error.to_string(), hint: error.hint(), status: error.status() })
    }))
}

fn made(parent: &OsString, word: &OsString, profile: &OsString, rest: &[OsString]) -> Result<(), Error> {
    die_with(parent)?;
    let task = Task::ALL.into_iter().find(|task| word == task.word());
    let (Some(task), Some(profile), Some(cli)) = (task, profile.to_str(), Cli::again(rest)) else {
        return Err(strange());
    };
    let limit = cli.options.timeout.map_or(TIMEOUT, Duration::from_secs);
    let context = Context::new(cli.options, limit)?;
    let stayer = match task {
        Task::Device => {
            auto::device(&context, profile)?;
            return say(&Answer::Found);
        }
        Task::Session(stayer) => stayer,
    };
    let context = match stayer {
        Stayer::Refresh => {
            block_on(leave_the_terminal_alone())?;
            Context { attendant: Arc::new(Aside(context.attendant.clone())), ..context }
        }
        Stayer::Exec | Stayer::Watch => context,
    };
    let plan = context.plan(&context.profiles()?, profile)?;
    context.refuse_mock_on_aws(&plan)?;
    let mut authenticator = context.authenticator(plan, stayer.verb(), MIN_TTL)?;
    if stayer == Stayer::Refresh {
        authenticator.on_interrupt = OnInterrupt::LeaveIt;
    }
    let session = match authenticator.kept(context.clock.now())? {
        Some(session) => session,
        None => block_on(authenticator.session())?,
    };
    say(&Answer::of(&session))
}

/// What is typed at the terminal is for the child, and a handler stays for as long as the process (tokio's `signal`).
async fn leave_the_terminal_alone() -> Result<(), Error> {
    for kind in [SignalKind::interrupt(), SignalKind::quit(), SignalKind::hangup()] {
        drop(signal(kind).map_err(|error| Error::Usage(format!("signals cannot be heard: {error}")))?);
    }
    Ok(())
}

/// SIGTERM, so that a question gives the terminal back.
#[cfg(target_os = "linux")]
fn die_with(parent: &OsString) -> Result<(), Error> {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::TERM));
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string());
    // It was killed before we could ask to be told.
    if now.is_some_and(|now| *parent == *now) { Ok(()) } else { Err(Error::Interrupted) }
}

/// Elsewhere the command's limit ends it.
#[cfg(not(target_os = "linux"))]
fn die_with(_parent: &OsString) -> Result<(), Error> {
    Ok(())
}

fn say(answer: &Answer<'_>) -> Result<(), Error> {
    let mut text = Zeroizing::new(Vec::with_capacity(LONGEST));
    serde_json::to_writer(&mut *text, answer).map_err(|error| Error::Output(error.to_string()))?;
    print(&text)
}
