//! A question on a Unix terminal, with a time limit, restored on every way out.
//!
//! `rpassword` reads without a limit and leaves the echo off when Ctrl-C ends the process in the middle; here the
//! terminal hands over single bytes, Ctrl-C among them, so that the answer, the limit and the interrupt all return.
//! Signals from elsewhere are in `ending.rs`.
//! Source: termios(3).

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcgetpgrp, tcsetattr};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::ending::{self, Signals};
use crate::attendant::{Echo, Unattended};

/// More than the longest answer, an `otpauth://` URI: the buffer must not grow, since growing leaves copies.
const LONGEST: usize = 4096;

/// Asks and reads one line.
pub(super) fn ask(
    tty: &mut File,
    prompt: &str,
    echo: Echo,
    deadline: Instant,
) -> Result<SecretString, Unattended> {
    let failed = |error: io::Error| Unattended::Nobody(error.to_string());
    if in_background(tty) {
        return Err(Unattended::Nobody("onetap runs in the background of its terminal".into()));
    }
    let signals = Signals::hear().map_err(failed)?;
    // The mode before the words: what answers the words at once, as expect(1) does, is neither shown nor lost.
    let raw = Raw::enter(tty).map_err(failed)?;
    write!(tty, "{prompt}: ").map_err(failed)?;
    let answer = read_line(tty, echo, deadline, &signals);
    drop(raw);
    let _ = writeln!(tty);
    if signals.obey() { Err(Unattended::Interrupted) } else { answer }
}

/// Whether the terminal belongs to another job now. To ask all the same would stop this process (SIGTTOU, SIGTTIN),
/// with the turn in its hands; `cmd &` and timeout(1) start such jobs.
pub(super) fn in_background(tty: &File) -> bool {
    // No answer comes where the foreground is out of sight, in another PID namespace: then the question is tried.
    tcgetpgrp(tty).is_ok_and(|foreground| foreground != getpgrp())
}

fn read_line(
    tty: &mut File,
    echo: Echo,
    deadline: Instant,
    signals: &Signals,
) -> Result<SecretString, Unattended> {
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
    loop {
        let mut byte = [0; 1];
        wait(tty, deadline, signals)?;
        match tty.read(&mut byte) {
            Ok(1) => {}
            Ok(_) => return Err(Unattended::Nobody("the terminal was closed".into())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Unattended::Nobody(error.to_string())),
        }
        match byte {
            [b'\n' | b'\r'] => break,
            [0x03] => return Err(Unattended::Interrupted), // Ctrl-C
            [0x04] if line.is_empty() => {
                return Err(Unattended::Nobody("the terminal sent end of file".into()));
            }
            [0x08 | 0x7f] => {
                // A character of UTF-8 is its first byte and those that follow it (10xxxxxx).
                while line.pop().is_some_and(|last| last & 0xc0 == 0x80) {}
                redraw(tty, echo, b"\x08 \x08");
            }
            [0x15] => {
                // Ctrl-U
                line.iter().filter(|b| **b & 0xc0 != 0x80).for_each(|_| redraw(tty, echo, b"\x08 \x08"));
                line.clear();
            }
            [control] if control < 0x20 => {}
            _ if line.len() == LONGEST => return Err(Unattended::Nobody("the answer is too long".into())),
            [byte] => {
                line.push(byte);
                redraw(tty, echo, &[byte]);
            }
        }
    }
    std::str::from_utf8(&line)
        .map(SecretString::from)
        .map_err(|_| Unattended::Nobody("the answer is not UTF-8".into()))
}

fn redraw(tty: &mut File, echo: Echo, bytes: &[u8]) {
    if echo == Echo::Shown {
        let _ = tty.write_all(bytes);
    }
}

fn wait(tty: &File, deadline: Instant, signals: &Signals) -> Result<(), Unattended> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let limit = Timespec::try_from(left).map_err(|_| Unattended::TimedOut)?;
        let signal = signals.pipe();
        let mut both = [PollFd::new(tty, PollFlags::IN), PollFd::new(&signal, PollFlags::IN)];
        let ready = poll(&mut both, Some(&limit));
        if signals.heard() {
            return Err(Unattended::Interrupted);
        }
        match ready {
            Ok(0) => return Err(Unattended::TimedOut),
            Ok(_) if both.iter().take(1).any(|tty| !tty.revents().is_empty()) => return Ok(()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Unattended::Nobody(error.to_string())),
        }
    }
}

/// A terminal that hands over single bytes without echo, until dropped. A process that ends meanwhile restores it all
/// the same: [`ending::restore`].
struct Raw;

impl Raw {
    fn enter(tty: &File) -> io::Result<Self> {
        let tty = tty.try_clone()?;
        let before = tcgetattr(tty.as_fd())?;
        let mut raw = before.clone();
        raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        // Noted first: a process that ends between the two restores what it did not yet change.
        ending::note(tty.try_clone()?, before);
        // Flush: what was typed before the question is not its answer.
        tcsetattr(tty.as_fd(), OptionalActions::Flush, &raw).inspect_err(|_| ending::restore())?;
        Ok(Self)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        ending::restore();
    }
}
