//! A person at the keychain's unlock window: GNOME's prompter on a private bus, played by a small program.
//!
//! Needs the Debian packages `python3-dbus`, `python3-gi` and `gir1.2-gcr-3`; where one lacks, starting fails and says so.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::secret_service::SecretService;

/// A busy machine starts a Python in seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// The prompter; it goes with its owner.
#[derive(Debug)]
pub struct Prompter {
    program: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Prompter {
    /// Starts it on the service's bus, where it answers nothing until told.
    pub fn start(service: &SecretService) -> io::Result<Self> {
        // Debian's own Python, whatever environment the tests run in.
        let mut program = Command::new("/usr/bin/python3")
            .args(["-u", "-c", include_str!("prompter.py")])
            .env_clear()
            .envs(service.env())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = program.stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = said.clone();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let mut prompter = Self { program, said };
        let deadline = Instant::now() + PATIENCE;
        while prompter.count("ready") == 0 {
            if prompter.program.try_wait()?.is_some() || Instant::now() > deadline {
                let lacks = "the prompter did not come up (Debian: apt-get install python3-dbus python3-gi gir1.2-gcr-3)";
                return Err(io::Error::other(lacks));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(prompter)
    }

    /// How many windows have asked so far.
    pub fn prompts(&self) -> usize {
        self.count("prompt")
    }

    /// From now on the right password is typed.
    pub fn answer(&mut self) -> io::Result<()> {
        self.tell("answer test-pw")
    }

    /// From now on the window is closed without a password.
    pub fn dismiss(&mut self) -> io::Result<()> {
        self.tell("dismiss")
    }

    /// From now on nobody is there.
    pub fn leave(&mut self) -> io::Result<()> {
        self.tell("wait")
    }

    fn tell(&mut self, line: &str) -> io::Result<()> {
        let stdin = self.program.stdin.as_mut().ok_or_else(|| io::Error::other("no pipe"))?;
        writeln!(stdin, "{line}")
    }

    fn count(&self, word: &str) -> usize {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().filter(|line| line.starts_with(word)).count()
    }
}

impl Drop for Prompter {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
