//! The controlling terminal's voice: one law for every line that a person reads.
//!
//! Notices and questions go to `/dev/tty`, because SDKs swallow stderr (boto/botocore#1348). Without a terminal a
//! notice becomes one plain line on stderr, and a question has nobody to answer it.
//! Two laws: nothing here goes to stdout, and a control character from outside never reaches the terminal.

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex};

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::attendant::{Attendant, Notice, Question, Unattended};

#[cfg_attr(not(unix), path = "terminal/ending_absent.rs")]
mod ending;
pub mod picker;
#[cfg_attr(not(unix), path = "terminal/console.rs")]
mod question;

pub(crate) use ending::leave_interrupts_to_others;
pub use ending::restore;

/// The person at the controlling terminal, if there is one.
pub struct Terminal {
    // Opened at the first word: a cached call has none to say.
    tty: LazyLock<Mutex<Option<File>>>,
    // The last countdown is overwritten in place; any other line first ends it.
    counting: Mutex<bool>,
    // A count that comes after the end, from a thread that was left behind, is not shown.
    touching: AtomicBool,
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal").finish_non_exhaustive()
    }
}

impl Terminal {
    /// The controlling terminal, looked for when there is something to say or to ask. Opening it fails where there
    /// is none (cron, CI, an editor).
    pub fn find() -> Self {
        Self {
            tty: LazyLock::new(|| Mutex::new(open().ok())),
            counting: Mutex::default(),
            touching: AtomicBool::default(),
        }
    }

    fn say(&self, line: &str, way: Way) {
        let (Ok(mut tty), Ok(mut counting)) = (self.tty.lock(), self.counting.lock()) else { return };
        let line = clean(line);
        // Nobody can be told that telling failed.
        let _ = match (tty.as_mut(), way) {
            (Some(_), Way::Aside) if !self.touching.load(Ordering::SeqCst) => Ok(()),
            (Some(tty), Way::Aside | Way::InPlace) => {
                *counting = true;
                write!(tty, "\r\x1b[K{line}")
            }
            (Some(tty), Way::Line) => {
                let end = if std::mem::take(&mut *counting) { "\r\x1b[K" } else { "" };
                writeln!(tty, "{end}{line}")
            }
            (None, Way::Aside) => Ok(()),
            (None, Way::Line) => writeln!(io::stderr(), "onetap: {line}"),
            // A log file wants one line, not thirty.
            (None, Way::InPlace) if std::mem::replace(&mut *counting, true) => Ok(()),
            (None, Way::InPlace) => writeln!(io::stderr(), "onetap: {line}"),
        };
    }

    fn end_count(&self) {
        let counted = self.counting.lock().is_ok_and(|mut counting| std::mem::take(&mut *counting));
        if counted
            && let Ok(mut tty) = self.tty.lock()
            && let Some(tty) = tty.as_mut()
        {
            let _ = write!(tty, "\r\x1b[K");
        }
    }
}

#[derive(Clone, Copy)]
enum Way {
    /// In place, and on a terminal only.
    Aside,
    InPlace,
    Line,
}

/// Text from files and from AWS must not move the cursor or set the title.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(unix)]
fn open() -> io::Result<File> {
    std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty")
}

#[cfg(not(unix))]
fn open() -> io::Result<File> {
    std::fs::OpenOptions::new().write(true).open("CONOUT$")
}

impl Attendant for Terminal {
    fn notice(&self, notice: Notice) {
        match notice {
            Notice::CardBusy => {
                self.say("Another program is using the YubiKey; waiting for it ...", Way::Line)
            }
            Notice::FellBack { from, to, why } => {
                self.say(&format!("No code from {from}: {why}. Trying {to}."), Way::Line)
            }
            Notice::StepWait { left: 0 } => self.end_count(),
            Notice::StepWait { left } => {
                self.say(
                    &format!("The last code was used; the next one comes in {left} s ..."),
                    Way::InPlace,
                );
            }
            Notice::TouchWanted { account, key, profile } => {
                let key = key.map_or("your YubiKey".into(), |serial| format!("the YubiKey {serial}"));
                let profile = profile.map(|name| format!(" (profile {name})")).unwrap_or_default();
                self.touching.store(true, Ordering::SeqCst);
                self.say(&format!("Touch {key} for {account}{profile} ..."), Way::Line)
            }
            Notice::TouchLeft { left } => self.say(&format!("{left} s left ..."), Way::Aside),
            Notice::TurnHeld { holder } => self.say(&format!("Waiting for {holder} ..."), Way::Line),
            Notice::VirtualToken { path } => {
                self.say(
                    &format!("Codes come from the file {}, not from a token.", path.display()),
                    Way::Line,
                );
            }
            Notice::Told(text) => self.say(&text, Way::Line),
            Notice::Warning(text) => self.say(&format!("Warning: {text}"), Way::Line),
            // These withdraw a notice; what was printed stands, but for a count.
            Notice::TouchOver => {
                if self.touching.swap(false, Ordering::SeqCst) {
                    // A count that is just being written comes before the end.
                    drop(self.tty.lock());
                }
                self.end_count();
            }
            Notice::CardFree | Notice::TurnTaken => {}
        }
    }

    fn ask(&self, question: Question) -> Result<SecretString, Unattended> {
        let Ok(mut tty) = self.tty.lock() else {
            return Err(Unattended::Nobody("the terminal failed".into()));
        };
        let Some(tty) = tty.as_mut() else {
            return Err(Unattended::Nobody("there is no terminal".into()));
        };
        question::ask(tty, &clean(&question.prompt), question.echo, question.deadline)
    }

    fn show(&self, secret: &[Zeroizing<String>]) -> Result<(), Unattended> {
        let failed = |error: io::Error| Unattended::Nobody(error.to_string());
        let mut tty = self.tty.lock().map_err(|_| Unattended::Nobody("the terminal failed".into()))?;
        // Never to stderr, which may lead into a log.
        let tty = tty.as_mut().ok_or_else(|| Unattended::Nobody("there is no terminal".into()))?;
        secret.iter().try_for_each(|line| writeln!(tty, "{}", line.as_str())).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_from_outside_never_reach_the_terminal() {
        assert_eq!(clean("arn\x1b[2J\r\nx"), "arn\u{fffd}[2J\u{fffd}\u{fffd}x");
    }
}
