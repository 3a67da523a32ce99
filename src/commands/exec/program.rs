//! Finds the child's program, and becomes it.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
#[cfg(unix)]
use crate::shield;

/// Not executable, and not found, as shells and env(1) number them.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// The program behind a name: a path as it stands, else the first in `PATH` that may be run.
pub(super) fn find(name: &OsStr) -> Result<PathBuf, Error> {
    if Path::new(name).components().count() > 1 || !cfg!(unix) {
        return match std::fs::metadata(name) {
            // Windows completes names by PATHEXT, which is left to the system.
            Err(_) if !cfg!(unix) => Ok(name.into()),
            Err(error) => Err(refused(name, error)),
            Ok(_) if executable(Path::new(name)) => Ok(name.into()),
            Ok(_) => Err(refused(name, io::ErrorKind::PermissionDenied.into())),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).filter(|file| file.is_file());
    let mut not_executable = false;
    for file in found {
        if executable(&file) {
            return Ok(file);
        }
        not_executable = true;
    }
    let kind = if not_executable { io::ErrorKind::PermissionDenied } else { io::ErrorKind::NotFound };
    Err(refused(name, kind.into()))
}

#[cfg(unix)]
fn executable(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
fn executable(file: &Path) -> bool {
    file.is_file()
}

pub(super) fn refused(name: &OsStr, error: io::Error) -> Error {
    let (status, reason) = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => (NOT_FOUND, "command not found".into()),
        _ => (NOT_EXECUTABLE, error.to_string()),
    };
    Error::Exec { command: name.to_string_lossy().into_owned(), reason, status }
}

/// Replaces this process, under the name that was typed: signals, job control, terminal and exit status are then the child's own.
#[cfg(unix)]
pub(super) fn become_child(mut child: Command, name: &OsStr) -> Result<(), Error> {
    std::os::unix::process::CommandExt::arg0(&mut child, name);
    shield::lower();
    let error = std::os::unix::process::CommandExt::exec(&mut child);
    shield::raise();
    Err(refused(child.get_program(), error))
}

/// Windows cannot replace a process: waits, and passes the exit code on.
#[cfg(not(unix))]
pub(super) fn become_child(mut child: Command, _name: &OsStr) -> Result<(), Error> {
    let status = child.status().map_err(|error| refused(child.get_program(), error))?;
    std::process::exit(status.code().unwrap_or(1))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn not_found_and_not_executable_are_told_apart() {
        let status = |name: &str| find(OsStr::new(name)).unwrap_err().status();
        assert_eq!(status("no-such-command-anywhere"), 127);
        assert_eq!(status("/no/such/command"), 127);
        assert_eq!(status("/etc/passwd"), 126);
        assert_eq!(status("/etc"), 126);
        assert!(find(OsStr::new("sh")).unwrap().ends_with("sh"));
        assert_eq!(find(OsStr::new("/bin/sh")).unwrap(), Path::new("/bin/sh"));
    }
}
