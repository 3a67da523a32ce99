//! How files are written: whole or not at all, for the owner's eyes, under a lock.
//!
//! Knows nothing about what is in them.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How long a waiter sleeps between two looks at a lock. `flock` has no time limit of its own.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How the temporary files begin that become the new content.
const TEMPORARY: &str = ".onetap-";
/// A temporary file of this age is nobody's any more: it becomes the file within milliseconds.
const ABANDONED: Duration = Duration::from_secs(60);

/// Replaces the content of `path`: temporary file beside it, fsync, rename, fsync of the folder.
///
/// A symbolic link is followed, so that the link stays and its target changes. A new file gets mode 0600; an
/// existing one keeps its mode, less what it grants to others if `private`. Folders that lack are made, 0700.
pub fn write_whole(path: &Path, content: &[u8], private: Private) -> io::Result<()> {
    replace(path, content, private, |_| Ok(true)).map(|_| ())
}

/// The same, unless the content is no longer `before` (empty for a file that is not there): then nothing is written,
/// and the answer is `false`. Between the last look and the rename some microseconds remain.
pub fn write_if_still(path: &Path, before: &[u8], content: &[u8], private: Private) -> io::Result<bool> {
    replace(path, content, private, |target| match fs::read(target) {
        Ok(now) => Ok(now == before),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(before.is_empty()),
        Err(error) => Err(error),
    })
}

fn replace(
    path: &Path,
    content: &[u8],
    private: Private,
    ready: impl FnOnce(&Path) -> io::Result<bool>,
) -> io::Result<bool> {
    let target = resolve(path)?;
    let folder = beside(&target);
    make_folder(folder)?;
    // `tempfile` creates with mode 0600 whatever the umask.
    let mut temporary = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder)?;
    temporary.write_all(content)?;
    keep_mode(&target, temporary.as_file(), private)?;
    temporary.as_file().sync_all()?;
    if !ready(&target)? {
        return Ok(false);
    }
    temporary.persist(&target).map_err(|refused| refused.error)?;
    sync_folder(folder)?;
    Ok(true)
}

fn beside(target: &Path) -> &Path {
    match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Removes the temporary files that writers of `path` left behind when they were killed. Failures are passed over: the
/// next call tries again.
pub fn sweep_beside(path: &Path, now: SystemTime) {
    let Ok(target) = resolve(path) else { return };
    let Ok(entries) = fs::read_dir(beside(&target)) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(TEMPORARY));
        let old = |about: fs::Metadata| {
            let age = now.duration_since(about.modified()?).unwrap_or_default();
            Ok::<_, io::Error>(about.is_file() && age > ABANDONED)
        };
        if ours && entry.metadata().and_then(old).unwrap_or_default() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Makes a folder with a name that nobody can guess, for the owner only, and leaves it there.
pub fn private_folder(within: &Path, prefix: &str) -> io::Result<PathBuf> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    Ok(builder.tempdir_in(within)?.keep())
}

/// Whether a file's mode is narrowed to its owner when it is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Private {
    /// The mode that the file has is kept.
    AsItWas,
    /// Only the owner may read.
    OwnerOnly,
}

/// Where a path really leads, also when the last link dangles.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_path_buf();
    // As many links as Linux follows (path_resolution(7)).
    for _ in 0..40 {
        match fs::read_link(&target) {
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// Makes a folder and those above it that lack, for the owner only.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(unix)]
fn keep_mode(target: &Path, temporary: &File, private: Private) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let old = match fs::metadata(target) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mode = match private {
        Private::AsItWas => old.mode() & 0o777,
        Private::OwnerOnly => old.mode() & 0o600,
    };
    temporary.set_permissions(fs::Permissions::from_mode(mode))?;
    let ours = temporary.metadata()?;
    if (ours.uid(), ours.gid()) != (old.uid(), old.gid()) {
        // Only root can give a file away; where it is refused, the content is still the person's own.
        let _ = std::os::unix::fs::fchown(temporary, Some(old.uid()), Some(old.gid()));
    }
    Ok(())
}

#[cfg(not(unix))]
fn keep_mode(_target: &Path, _temporary: &File, _private: Private) -> io::Result<()> {
    Ok(()) // A new file in the person's own profile folder inherits an access list for that person.
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(()) // Windows cannot open a folder for this; its rename is journalled.
}

/// An exclusive lock on a file of its own, held until dropped and released by the system if the holder dies.
#[derive(Debug)]
pub struct Lock {
    // The lock file is never removed: whoever opened it before would hold a lock that nobody else sees.
    _file: File,
}

impl Lock {
    /// Takes the lock at `path` if it is free.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Takes the lock at `path`, waiting until `deadline`; `TimedOut` if somebody held it all the while.
    pub fn take(path: &Path, deadline: Instant) -> io::Result<Self> {
        loop {
            if let Some(lock) = Self::try_take(path)? {
                return Ok(lock);
            }
            if Instant::now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
#[cfg(unix)] // modes and links
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_file_is_for_its_owner_only_and_so_is_its_folder() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b");
        write_whole(&path, b"x", Private::AsItWas).unwrap();
        assert_eq!((mode(&path), mode(&home.path().join("a"))), (0o600, 0o700));
    }

    #[test]
    fn a_link_stays_a_link_and_a_mode_stays_or_narrows() {
        let home = tempfile::tempdir().unwrap();
        let (real, link) = (home.path().join("real"), home.path().join("link"));
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        write_whole(&link, b"new", Private::AsItWas).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!((fs::read(&real).unwrap().as_slice(), mode(&real)), (b"new".as_slice(), 0o644));
        write_whole(&link, b"newer", Private::OwnerOnly).unwrap();
        assert_eq!(mode(&real), 0o600);
    }

    #[test]
    fn a_file_that_changed_meanwhile_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("x");
        assert!(write_if_still(&path, b"", b"1", Private::AsItWas).unwrap());
        assert!(!write_if_still(&path, b"0", b"2", Private::AsItWas).unwrap());
        assert!(write_if_still(&path, b"1", b"3", Private::AsItWas).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"3");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn what_a_killed_writer_left_is_swept_once_it_is_old() {
        let home = tempfile::tempdir().unwrap();
        let (path, left) = (home.path().join("x"), home.path().join(".onetap-abc"));
        fs::write(&path, "").unwrap();
        fs::write(&left, "").unwrap();
        let now = fs::metadata(&left).unwrap().modified().unwrap();
        sweep_beside(&path, now + Duration::from_secs(59));
        assert!(left.exists());
        sweep_beside(&path, now + Duration::from_secs(61));
        assert!(!left.exists() && path.exists());
    }

    #[test]
    fn a_lock_is_held_once_and_the_wait_for_it_ends() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lock");
        let held = Lock::try_take(&path).unwrap().unwrap();
        assert!(Lock::try_take(&path).unwrap().is_none());
        assert_eq!(Lock::take(&path, Instant::now()).unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(held);
        assert!(Lock::try_take(&path).unwrap().is_some());
    }
}
