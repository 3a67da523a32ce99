//! Runs a command line of the person's own, and takes what it prints.
//!
//! Knows nothing about what is printed. Source: AWS SDKs and Tools Reference, "Process credential provider": the
//! system's shell reads the line.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use secrecy::zeroize::Zeroizing;

/// Names the profiles for which a program of the person's is running, and the MFA devices whose code is wanted from
/// one, a line each: such a program may not ask onetap for one of them again.
pub const WITHIN: &str = "ONETAP_WITHIN";

/// How much a program may print: any credentials with room to spare.
const LONGEST: u64 = 65_536;
/// How often a running program is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Why there is no output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForeignError {
    /// It ended otherwise than well; what it had to say stands on its standard error.
    #[error("{key} of profile {profile:?} failed: {reason}")]
    Failed {
        /// The key with the command line.
        key: &'static str,
        /// The profile.
        profile: String,
        /// How it ended, or the system's words.
        reason: String,
    },
    /// It did not end.
    #[error("{key} of profile {profile:?} did not end within {} s", .limit.as_secs())]
    TimedOut {
        /// The key with the command line.
        key: &'static str,
        /// The profile.
        profile: String,
        /// How long it had.
        limit: Duration,
    },
    /// What it printed is not what the key stands for.
    #[error("{key} of profile {profile:?} printed no {what}")]
    Unreadable {
        /// The key with the command line.
        key: &'static str,
        /// The profile.
        profile: String,
        /// What was expected.
        what: &'static str,
    },
}

/// Runs `line` and returns what it printed; `asked` are the profile and the device that it may not ask for in its turn.
/// Its standard input is empty, its standard error the person's. Blocks
/// until `deadline` at the longest; a program that is still running then is killed.
pub fn output(
    line: &str,
    key: &'static str,
    profile: &str,
    asked: &[&str],
    deadline: Instant,
) -> Result<Zeroizing<Vec<u8>>, ForeignError> {
    let failed = |reason: String| ForeignError::Failed { key, profile: profile.into(), reason };
    let limit = deadline.saturating_duration_since(Instant::now());
    let mut within = std::env::var(WITHIN).unwrap_or_default();
    for name in asked {
        within.push_str(name);
        within.push('\n');
    }
    let mut child = shell(line)
        .env(WITHIN, within)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let printed = reader(&mut child);
    loop {
        if let Some(status) = child.try_wait().map_err(|error| failed(error.to_string()))? {
            if !status.success() {
                return Err(failed(status.to_string()));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            // A child of its own may keep the pipe open for ever.
            return match printed.recv_timeout(left.max(LOOK_AGAIN)) {
                Ok(text) => Ok(text),
                Err(_) => Err(ForeignError::TimedOut { key, profile: profile.into(), limit }),
            };
        }
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Err(ForeignError::TimedOut { key, profile: profile.into(), limit });
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn shell(line: &str) -> Command {
    let (program, option) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    let mut command = Command::new(program);
    command.arg(option).arg(line);
    command
}

/// Reads in a thread of its own: a full pipe would stop the program, and a read cannot be given a limit.
fn reader(child: &mut Child) -> mpsc::Receiver<Zeroizing<Vec<u8>>> {
    let (sender, printed) = mpsc::channel();
    let stdout = child.stdout.take();
    std::thread::spawn(move || {
        // Large enough from the start: a buffer that grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(LONGEST as usize));
        let read = stdout.map(|stdout| stdout.take(LONGEST).read_to_end(&mut text));
        if matches!(read, Some(Ok(_))) {
            let _ = sender.send(text);
        }
    });
    printed
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn run(line: &str, seconds: u64) -> Result<String, String> {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        output(line, "mfa_process", "doug", &["doug"], deadline)
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_program_s_words_and_how_it_failed() {
        assert_eq!(run("echo 123456", 20), Ok("123456\n".into()));
        assert_eq!(run("cat", 20), Ok(String::new()), "its input is empty");
        assert_eq!(run("printenv ONETAP_WITHIN", 20), Ok("doug\n\n".into()), "what runs is named to it");
        assert_eq!(run("exit 3", 20), Err("mfa_process of profile \"doug\" failed: exit status: 3".into()));
        let late = run("exec sleep 60", 0).unwrap_err();
        assert_eq!(late, "mfa_process of profile \"doug\" did not end within 0 s");
    }
}
