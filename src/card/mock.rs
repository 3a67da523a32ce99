//! The virtual token: a whole YubiKey's OATH applet, kept in a text file.
//!
//! Chosen only by an explicit `mock:PATH`. The applet itself is [`emulator`], the file's format is [`file`]; here is
//! what a reader does: hold the card, log each command, write back what changed. `PATH.log` gets a line an APDU, its
//! four header bytes in hex first. Two processes that use one file meet as they would at one card: through `PATH.lock`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;

use super::{Attempt, Card, CardError, patiently};
use crate::files::{self, Lock, Private};

pub mod apdu;
pub mod emulator;
pub mod file;

use emulator::{Emulator, Outcome};
use file::TokenFile;

pub(super) fn transact<T, E: From<CardError>>(
    path: &Path,
    deadline: Instant,
    work: impl FnOnce(&mut dyn Card) -> Result<T, E>,
) -> Result<T, E> {
    let mut held = Held::take(path, deadline)?;
    let mut left = held.file.token.faults.busy;
    patiently(deadline, || match left {
        0 => Ok(()),
        _ => {
            left -= 1;
            Err(Attempt::Again(CardError::Busy))
        }
    })?;
    work(&mut InReader { held: &mut held, deadline })
}

/// A virtual token that is in somebody's reader: read from its file, and locked against everybody else.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    file: TokenFile,
    emulator: Emulator,
    _lock: Lock,
}

impl Held {
    /// Reads the token's file. Blocks while another process holds the token, until `deadline`, and then says
    /// [`CardError::Busy`].
    pub fn take(path: &Path, deadline: Instant) -> Result<Self, CardError> {
        let refused = |reason: String| CardError::MockFile { path: path.to_path_buf(), reason };
        let unusable = |error: io::Error| refused(error.to_string());
        // A file that is not there gets no lock beside it.
        fs::metadata(path).map_err(unusable)?;
        let lock = Lock::take(&beside(path, ".lock"), deadline).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => CardError::Busy,
            _ => unusable(error),
        })?;
        for_the_owner_only(path)?;
        let text = fs::read_to_string(path).map_err(unusable)?;
        let file = TokenFile::read(&text).map_err(|bad| refused(bad.to_string()))?;
        let mut entropy = [0; 20];
        getrandom::fill(&mut entropy).map_err(|error| refused(error.to_string()))?;
        let emulator = Emulator::new(file.token.clone(), entropy);
        Ok(Self { path: path.to_path_buf(), file, emulator, _lock: lock })
    }

    /// Hands the token one command APDU. After [`Outcome::AwaitTouch`], wait that long and call [`Held::touched`].
    pub fn respond(&mut self, command: &[u8]) -> Result<Outcome, CardError> {
        self.log(command).map_err(|error| self.unusable(&error))?;
        let outcome = self.emulator.respond(command);
        self.keep()?;
        Ok(outcome)
    }

    /// The answer of the command that waited for a touch.
    pub fn touched(&mut self) -> Result<Vec<u8>, CardError> {
        let answer = self.emulator.touched();
        self.keep()?;
        Ok(answer)
    }

    /// What a reset or a lost supply of power does to the card.
    pub fn power_cycle(&mut self) {
        self.emulator.power_cycle();
    }

    /// Writes the file again if the last command changed what is in it.
    fn keep(&mut self) -> Result<(), CardError> {
        if !self.emulator.take_changed() {
            return Ok(());
        }
        let text = self.file.write_back(self.emulator.token());
        files::write_whole(&self.path, text.as_bytes(), Private::OwnerOnly)
            .map_err(|error| self.unusable(&error))
    }

    /// One write of one short line, so that the lines of many processes do not mix.
    fn log(&self, command: &[u8]) -> io::Result<()> {
        let header = command.get(..4).unwrap_or(command);
        let line = format!("{} {}\n", HEXLOWER.encode(header), apdu::name(command));
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(beside(&self.path, ".log"))?.write_all(line.as_bytes())
    }

    fn unusable(&self, error: &io::Error) -> CardError {
        CardError::MockFile { path: self.path.clone(), reason: error.to_string() }
    }
}

/// The file's own path with something added to its name.
fn beside(path: &Path, added: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(added);
    name.into()
}

/// The file is a seed in plain text.
#[cfg(unix)]
fn for_the_owner_only(path: &Path) -> Result<(), CardError> {
    use std::os::unix::fs::PermissionsExt as _;
    let refused = |reason: String| CardError::MockFile { path: path.to_path_buf(), reason };
    let mode = fs::metadata(path).map_err(|error| refused(error.to_string()))?.permissions().mode();
    if mode & 0o077 != 0 {
        let open =
            format!("others may use it (mode {:04o}); run: chmod 600 {}", mode & 0o7777, path.display());
        return Err(refused(open));
    }
    Ok(())
}

#[cfg(not(unix))]
fn for_the_owner_only(_path: &Path) -> Result<(), CardError> {
    Ok(()) // The person's own profile folder is closed to others by its access list.
}

/// The token as `work` sees it: it waits for touches, up to a deadline.
struct InReader<'h> {
    held: &'h mut Held,
    deadline: Instant,
}

impl Card for InReader<'_> {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardError> {
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        if left(self.deadline) == Duration::ZERO {
            return Err(CardError::TimedOut);
        }
        match self.held.respond(command)? {
            Outcome::Answer(answer) => Ok(answer),
            Outcome::AwaitTouch(wait) if wait > left(self.deadline) => {
                std::thread::sleep(left(self.deadline));
                Err(CardError::TimedOut)
            }
            Outcome::AwaitTouch(wait) => {
                std::thread::sleep(wait);
                self.held.touched()
            }
            Outcome::Removed => Err(CardError::Removed),
            Outcome::Reset => Err(CardError::Reset),
        }
    }
}
