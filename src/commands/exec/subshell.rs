//! How a shell is started so that its prompt names the profile.
//!
//! Knows nothing about credentials. Each shell reads the person's own files exactly once, as it would without us;
//! the profile's name reaches the prompt through `ONETAP_PROFILE` and is shown, never expanded.
//! Source: bash(1) INVOCATION and PROMPTING; zshall(1) STARTUP/SHUTDOWN FILES; fish(1) `--init-command`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::{Private, write_whole};

/// The shell where nothing else is known.
const ANY_SHELL: &str = "/bin/sh";

const RC_BASH: &str = include_str!("subshell/rc.bash");
const ZSHENV: &str = include_str!("subshell/zshenv.zsh");
const ZSHRC: &str = include_str!("subshell/zshrc.zsh");
const INIT_FISH: &str = include_str!("subshell/init.fish");

/// For shells that take `PS1` from the environment and expand variables in it (POSIX, sh, `PS1`).
const PS1: &str = "(onetap ${ONETAP_PROFILE}) $ ";

/// What to start.
#[derive(Debug)]
pub struct Subshell {
    /// The person's shell, as `$SHELL` names it.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables to set beside the child's own environment.
    pub env: Vec<(&'static str, OsString)>,
    /// Why the prompt will not name the profile, if its files could not be written. The shell works all the same.
    pub unnamed: Option<io::Error>,
}

/// Prepares the person's shell.
///
/// `shell` is `$SHELL`, `zdotdir` is `$ZDOTDIR`, `profile` becomes `ONETAP_PROFILE`. `folder` (in the cache, since
/// exec becomes the shell and nobody is left to tidy up) gets the files that bash and zsh read; they hold no
/// secret and are the same for every profile. Blocks on the file system only.
pub fn subshell(shell: Option<&OsStr>, zdotdir: Option<&OsStr>, profile: &str, folder: &Path) -> Subshell {
    let program = PathBuf::from(shell.filter(|path| !path.is_empty()).unwrap_or(ANY_SHELL.as_ref()));
    let mut env = vec![("ONETAP_PROFILE", OsString::from(profile))];
    let hint = match Kind::of(&program) {
        Kind::Bash => bash(folder).map(|args| (args, vec![])),
        Kind::Fish => Ok((vec!["--init-command".into(), INIT_FISH.into()], vec![])),
        Kind::Other => Ok((vec![], vec![("PS1", PS1.into())])),
        Kind::Zsh => zsh(zdotdir.unwrap_or_default(), folder).map(|env| (vec![], env)),
    };
    match hint {
        Ok((args, more)) => {
            env.extend(more);
            Subshell { program, args, env, unnamed: None }
        }
        Err(error) => Subshell { program, args: vec![], env, unnamed: Some(error) },
    }
}

enum Kind {
    Bash,
    Fish,
    Other,
    Zsh,
}

impl Kind {
    /// By the file's name, also with a version behind it: `zsh-5.9`.
    fn of(program: &Path) -> Self {
        let name = program.file_name().and_then(OsStr::to_str).unwrap_or_default();
        match name.split('-').next() {
            Some("bash") => Self::Bash,
            Some("fish") => Self::Fish,
            Some("zsh") => Self::Zsh,
            _ => Self::Other,
        }
    }
}

fn bash(folder: &Path) -> io::Result<Vec<OsString>> {
    let rc = folder.join("rc.bash");
    refresh(&rc, RC_BASH)?;
    Ok(vec!["--rcfile".into(), rc.into()])
}

fn zsh(zdotdir: &OsStr, folder: &Path) -> io::Result<Vec<(&'static str, OsString)>> {
    let shim = folder.join("zsh");
    refresh(&shim.join(".zshenv"), ZSHENV)?;
    refresh(&shim.join(".zshrc"), ZSHRC)?;
    Ok(vec![("ZDOTDIR", shim.into()), ("ONETAP_ZDOTDIR", zdotdir.to_owned())])
}

/// Writes a file only where it differs: a shell may be starting from it at this moment, and disks may be read-only.
fn refresh(path: &Path, text: &str) -> io::Result<()> {
    match fs::read(path) {
        Ok(there) if there == text.as_bytes() => Ok(()),
        _ => write_whole(path, text.as_bytes(), Private::OwnerOnly),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(env: &[(&'static str, OsString)]) -> Vec<&'static str> {
        env.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn each_shell_gets_its_own_way() {
        let folder = tempfile::tempdir().unwrap();
        for (shell, program, args, env) in [
            (Some("/usr/bin/bash"), "/usr/bin/bash", 2, vec!["ONETAP_PROFILE"]),
            (Some("/opt/zsh-5.9"), "/opt/zsh-5.9", 0, vec!["ONETAP_PROFILE", "ZDOTDIR", "ONETAP_ZDOTDIR"]),
            (Some("/usr/bin/fish"), "/usr/bin/fish", 2, vec!["ONETAP_PROFILE"]),
            (Some("/usr/bin/nu"), "/usr/bin/nu", 0, vec!["ONETAP_PROFILE", "PS1"]),
            (Some(""), "/bin/sh", 0, vec!["ONETAP_PROFILE", "PS1"]),
            (None, "/bin/sh", 0, vec!["ONETAP_PROFILE", "PS1"]),
        ] {
            let made = subshell(shell.map(OsStr::new), None, "doug", folder.path());
            assert_eq!((made.program.to_str().unwrap(), made.args.len()), (program, args));
            assert_eq!(names(&made.env), env);
            assert!(made.unnamed.is_none());
        }
    }

    #[test]
    fn the_files_hold_no_name_and_are_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let rc = folder.path().join("rc.bash");
        let written = |profile| {
            subshell(Some("bash".as_ref()), None, profile, folder.path());
            (fs::read(&rc).unwrap(), fs::metadata(&rc).unwrap().modified().unwrap())
        };
        assert_eq!(written("doug"), written("another"));
        fs::write(&rc, "an older text").unwrap();
        assert_eq!(written("doug").0, RC_BASH.as_bytes());
    }

    #[test]
    fn a_shell_starts_without_its_hint_where_nothing_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for shell in ["bash", "zsh"] {
            let made = subshell(Some(shell.as_ref()), None, "doug", &file);
            assert!(made.unnamed.is_some());
            assert_eq!((made.args.len(), names(&made.env)), (0, vec!["ONETAP_PROFILE"]));
        }
    }
}
