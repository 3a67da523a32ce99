//! The virtual token: a whole YubiKey's OATH applet, kept in a text file.
//!
//! Chosen only by an explicit `mock:PATH`. The applet itself is [`emulator`], the file's format is [`mod@file`]; here is
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
pub mod faults;
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

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const SELECT: &[u8] = &[0, 0xa4, 4, 0, 7, 0xa0, 0, 0, 5, 0x27, 0x21, 1];
    const CALCULATE: &[u8] = &[0, 0xa2, 0, 1, 13, 0x71, 1, b'c', 0x74, 8, 0, 0, 0, 0, 0, 0, 0, 1];

    fn token(text: &str) -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("token");
        files::write_whole(&path, text.as_bytes(), Private::OwnerOnly).unwrap();
        (home, path)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    fn code(path: &Path) -> Result<Vec<u8>, CardError> {
        transact(path, soon(), |card| {
            card.transmit(SELECT)?;
            card.transmit(CALCULATE)
        })
    }

    #[test]
    fn a_counter_is_written_back_and_every_command_is_logged() {
        let (_home, path) = token("# mine\notpauth://hotp/c?secret=GEZDGNBVGY3TQOJQ\n");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        let first = code(&path).unwrap();
        assert!(first.starts_with(&[0x76, 5, 6]) && first != code(&path).unwrap());
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "# mine\notpauth://hotp/c?secret=GEZDGNBVGY3TQOJQ&counter=2\n");
        let log = path.with_extension("log");
        assert_eq!(fs::read_to_string(&log).unwrap(), "00a40400 SELECT\n00a20001 CALCULATE\n".repeat(2));
        assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_command_that_mends_it() {
        let (_home, path) = token("");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = code(&path).unwrap_err().to_string();
        assert!(refused.contains(&format!("run: chmod 600 {}", path.display())), "{refused}");
        assert!(!path.with_extension("log").exists());
    }

    #[test]
    fn a_file_that_is_wrong_or_not_there_is_named() {
        let (_home, path) = token("serial x\n");
        let refused = code(&path).unwrap_err().to_string();
        assert!(refused.contains("token cannot be used: line 1: a serial"), "{refused}");
        let absent = path.with_file_name("absent");
        assert!(matches!(code(&absent), Err(CardError::MockFile { .. })));
        assert!(!path.with_file_name("absent.lock").exists());
    }

    #[test]
    fn a_token_that_another_holds_is_busy_until_the_deadline_and_free_afterwards() {
        let (_home, path) = token("otpauth://totp/c?secret=GEZDGNBVGY3TQOJQ\n");
        let held = Held::take(&path, soon()).unwrap();
        let at_once = transact(&path, Instant::now(), |_| Ok::<_, CardError>(()));
        assert_eq!(at_once, Err(CardError::Busy));
        drop(held);
        assert!(code(&path).is_ok());
    }

    #[test]
    fn the_scripted_faults_happen_where_they_are_scripted() {
        let uri = "otpauth://totp/c?secret=GEZDGNBVGY3TQOJQ";
        for (fault, outcome) in [
            ("removed-after 1", Err(CardError::Removed)),
            ("reset-after 1", Err(CardError::Reset)),
            ("busy 3", Ok(())),
            ("busy 100000", Err(CardError::Busy)),
        ] {
            let (_home, path) = token(&format!("{uri}\nfault {fault}\n"));
            assert_eq!(code(&path).map(|_| ()), outcome, "{fault}");
        }
        let (_home, path) = token(&format!("{uri}&touch=true\nfault touch-after 60000\n"));
        let soon = Instant::now() + Duration::from_millis(50);
        let waited = transact(&path, soon, |card| {
            card.transmit(SELECT)?;
            card.transmit(CALCULATE)
        });
        assert_eq!(waited, Err(CardError::TimedOut));
    }
}
