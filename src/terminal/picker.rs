//! A choice among names at the controlling terminal: type some letters of one, or walk with the arrows.
//!
//! Drawn on stderr and read from the terminal, so that stdout may be a pipe. The crate reads without a limit, on a thread
//! that is left behind then; the terminal's modes are put back from here.
//! Source: inquire, crossterm (`docs/adr/picker.md`).

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use inquire::{InquireError, Select};

use super::clean;
use crate::attendant::Unattended;

/// Lets the person choose one of `names`; returns its place among them. Blocks until `deadline`.
pub fn pick(question: &str, names: &[String], deadline: Instant) -> Result<usize, Unattended> {
    let nobody = |why: &str| Unattended::Nobody(why.into());
    if !io::stderr().is_terminal() {
        return Err(nobody("stderr is no terminal"));
    }
    let before = AsItWas::find().ok_or_else(|| nobody("there is no terminal"))?;
    let (question, shown) = (clean(question), names.iter().map(|name| clean(name)).collect::<Vec<_>>());
    let (chosen, answer) = mpsc::channel();
    thread::Builder::new()
        .name("picker".into())
        .spawn(move || {
            let select = Select::new(&question, shown).with_help_message("type to filter, Enter to take");
            let _ = chosen.send(select.raw_prompt().map(|chosen| chosen.index));
        })
        .map_err(|error| Unattended::Nobody(error.to_string()))?;
    let answer = answer.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    drop(before);
    match answer {
        Ok(Ok(place)) => Ok(place),
        Ok(Err(InquireError::OperationCanceled | InquireError::OperationInterrupted)) => {
            Err(Unattended::Interrupted)
        }
        Ok(Err(error)) => Err(Unattended::Nobody(error.to_string())),
        Err(RecvTimeoutError::Timeout) => Err(Unattended::TimedOut),
        Err(RecvTimeoutError::Disconnected) => Err(nobody("the picker ended by itself")),
    }
}

#[cfg(unix)]
use unix::AsItWas;

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io::Write as _;
    use std::os::fd::AsFd as _;

    use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

    /// The terminal's modes before the picker, put back when dropped.
    pub(super) struct AsItWas {
        tty: File,
        modes: Termios,
    }

    impl AsItWas {
        /// `None` where there is no terminal, or it belongs to another job now.
        pub(super) fn find() -> Option<Self> {
            let tty = crate::terminal::open().ok()?;
            if crate::terminal::question::in_background(&tty) {
                return None;
            }
            let modes = tcgetattr(tty.as_fd()).ok()?;
            Some(Self { tty, modes })
        }
    }

    impl Drop for AsItWas {
        fn drop(&mut self) {
            // The cursor is shown, and a paste is no longer bracketed (xterm, "Bracketed Paste Mode").
            let _ = self.tty.write_all(b"\x1b[?25h\x1b[?2004l");
            let _ = tcsetattr(self.tty.as_fd(), OptionalActions::Now, &self.modes);
        }
    }
}

#[cfg(not(unix))]
struct AsItWas;

#[cfg(not(unix))]
impl AsItWas {
    fn find() -> Option<Self> {
        super::open().ok().map(|_| Self)
    }
}
