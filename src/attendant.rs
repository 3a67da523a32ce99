//! How the crate reaches a person, as a seam.
//!
//! Knows what may be said and asked, never where it appears: a terminal, a desktop, a test's notebook.
//! Does no I/O.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use zeroize::Zeroizing;

/// Something a person should know now. Most come in pairs, so that a notice on a desktop can be withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Another program holds the card; ends with [`Notice::CardFree`].
    CardBusy,
    /// The card is ours, or we gave up.
    CardFree,
    /// A source of codes could not serve and the next one is asked.
    FellBack {
        /// The source that could not serve, for example `yubikey`.
        from: &'static str,
        /// The source asked instead.
        to: &'static str,
        /// Why, as a fact in lower case.
        why: String,
    },
    /// A wait for the next time step; repeated each second, `left` counts down to zero.
    StepWait {
        /// Whole seconds until the next code may be used.
        left: u64,
    },
    /// A touch is still waited for; repeated each second between [`Notice::TouchWanted`] and [`Notice::TouchOver`].
    TouchLeft {
        /// Whole seconds until it is too late.
        left: u64,
    },
    /// Something a person may want to know, and nothing is wrong.
    Told(String),
    /// The token answered, or the wait ended otherwise.
    TouchOver,
    /// The token waits for its button; ends with [`Notice::TouchOver`].
    TouchWanted {
        /// The account whose code is computed: the MFA serial, or the OATH account's name.
        account: String,
        /// The key's serial number, where it is known; it is where there are several keys.
        key: Option<String>,
        /// The profile that asks, if one does.
        profile: Option<String>,
    },
    /// Another process holds the turn for this MFA device; ends with [`Notice::TurnTaken`].
    TurnHeld {
        /// Who holds it, for example `pid 4711 (exec doug)`.
        holder: String,
    },
    /// The turn is ours, or we gave up.
    TurnTaken,
    /// Codes come from a virtual token's file, not from hardware.
    VirtualToken {
        /// The file.
        path: PathBuf,
    },
    /// Something is wrong and the work goes on all the same.
    Warning(String),
}

/// Something that only a person can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The words in front of the cursor, without a colon.
    pub prompt: String,
    /// Whether the answer is hidden while it is typed.
    pub echo: Echo,
    /// When an answer no longer helps.
    pub deadline: Instant,
}

/// Whether typed characters are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// For secrets.
    Hidden,
    /// For names and one-time codes.
    Shown,
}

/// Why a question got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unattended {
    /// The person pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// There is no terminal, or a person may not be asked.
    #[error("there is nobody to ask: {0}")]
    Nobody(String),
    /// The limit passed.
    #[error("no answer came in time")]
    TimedOut,
}

/// The way to a person. Implementations must not block for long in `notice`; `ask` blocks up to its own limit.
pub trait Attendant: fmt::Debug + Send + Sync {
    /// Says something. Never fails: a person who cannot be reached is not a reason to stop.
    fn notice(&self, notice: Notice);
    /// Asks something.
    fn ask(&self, question: Question) -> Result<SecretString, Unattended>;
    /// Shows lines that only a person at a terminal may see, and nothing keeps; none, to find out whether there is one.
    fn show(&self, _secret: &[Zeroizing<String>]) -> Result<(), Unattended> {
        Err(Unattended::Nobody("there is no terminal".into()))
    }
    /// Whether a person may be asked for anything at all, a touch included.
    fn may_ask(&self) -> bool {
        true
    }
}

/// Passes notices on and answers no question: for `--no-prompt`.
#[derive(Debug)]
pub struct Undisturbed(pub Arc<dyn Attendant>);

/// Why nobody is asked.
pub const NO_PROMPT: &str = "--no-prompt or ONETAP_NO_PROMPT forbids it";

impl Attendant for Undisturbed {
    fn notice(&self, notice: Notice) {
        self.0.notice(notice);
    }
    fn ask(&self, _: Question) -> Result<SecretString, Unattended> {
        Err(Unattended::Nobody(NO_PROMPT.into()))
    }
    fn may_ask(&self) -> bool {
        false
    }
}

/// Runs `work`; says `begun` only if it takes longer than `patience`, and then `ended` once it is over.
pub fn when_slow<T>(
    attendant: &dyn Attendant,
    patience: Duration,
    begun: Notice,
    ended: Notice,
    work: impl FnOnce() -> T,
) -> T {
    accompany(attendant, patience, None, begun, ended, work)
}

/// Runs `work`, which waits for a touch until `too_late`, as [`when_slow`] does; the seconds left are told one by one.
pub fn until_touched<T>(
    attendant: &dyn Attendant,
    patience: Duration,
    too_late: Instant,
    begun: Notice,
    work: impl FnOnce() -> T,
) -> T {
    accompany(attendant, patience, Some(too_late), begun, Notice::TouchOver, work)
}

fn accompany<T>(
    attendant: &dyn Attendant,
    patience: Duration,
    too_late: Option<Instant>,
    begun: Notice,
    ended: Notice,
    work: impl FnOnce() -> T,
) -> T {
    let (done, waiting) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if waiting.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout) {
                attendant.notice(begun);
                // Each ends when `done` is dropped, also by a panic in `work`.
                match too_late {
                    Some(too_late) => count_down(attendant, too_late, &waiting),
                    None => drop(waiting.recv()),
                }
                attendant.notice(ended);
            }
        });
        let outcome = work();
        drop(done);
        outcome
    })
}

fn count_down(attendant: &dyn Attendant, too_late: Instant, waiting: &mpsc::Receiver<()>) {
    while waiting.recv_timeout(Duration::from_secs(1)) == Err(mpsc::RecvTimeoutError::Timeout) {
        let left = too_late.saturating_duration_since(Instant::now()).as_secs();
        attendant.notice(Notice::TouchLeft { left });
    }
}
