//! A desktop's notification daemon that writes down what it is asked: python-dbusmock's, on a bus of its own.
//!
//! Needs the Debian package `python3-dbusmock`; where it lacks, starting fails and says so.

use std::io::{self, BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::secret_service::SecretService;

/// A busy machine starts a Python in seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// A desktop session: a bus with a notification daemon on it. Both end with it.
#[derive(Debug)]
pub struct Notifications {
    daemon: Child,
    calls: Arc<Mutex<Vec<String>>>,
    bus: SecretService,
}

impl Notifications {
    /// Starts both, and waits until the daemon answers.
    pub fn start() -> io::Result<Self> {
        let bus = SecretService::bus_only()?;
        // Debian's own Python, whatever environment the tests run in: dbusmock is a package of Debian's.
        let mut daemon = Command::new("/usr/bin/python3")
            .args(["-u", "-m", "dbusmock", "--template", "notification_daemon"])
            .envs(bus.env())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdout = daemon.stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
        let calls: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = calls.clone();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let started = Self { daemon, calls, bus };
        started.answers()?;
        Ok(started)
    }

    /// The variables of a program that runs in this desktop session.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let mut env: Vec<_> =
            self.bus.env().into_iter().filter(|(name, _)| *name == "DBUS_SESSION_BUS_ADDRESS").collect();
        env.push(("DISPLAY", ":99".into()));
        env
    }

    /// What it was asked, a line a call: `Notify "onetap" ...` and `CloseNotification ...`.
    pub fn calls(&self) -> Vec<String> {
        let lines = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        // Each line begins with a time stamp; signals are told as well.
        let words = lines.iter().filter_map(|line| line.split_once(' ').map(|(_, call)| call.to_owned()));
        words.filter(|call| call.starts_with("Notify ") || call.starts_with("CloseNotification ")).collect()
    }

    /// Waits until so many calls have come, and tells them.
    pub fn wait_for(&self, count: usize) -> io::Result<Vec<String>> {
        let deadline = Instant::now() + PATIENCE;
        while self.calls().len() < count {
            if Instant::now() >= deadline {
                return Err(io::Error::other(format!("only {:?}", self.calls())));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(self.calls())
    }

    /// Stops the bus in its tracks: it still accepts, and never answers.
    pub fn freeze(&self) -> io::Result<()> {
        self.bus.freeze_bus()
    }

    fn answers(&self) -> io::Result<()> {
        let call = "org.freedesktop.Notifications.GetServerInformation";
        let deadline = Instant::now() + PATIENCE;
        loop {
            let asked = Command::new("dbus-send")
                .args(["--session", "--print-reply", "--reply-timeout=2000"])
                .args(["--dest=org.freedesktop.Notifications", "/org/freedesktop/Notifications", call])
                .envs(self.bus.env())
                .output()?;
            if asked.status.success() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(io::Error::other(
                    "no notification daemon of the test's own (Debian: apt-get install python3-dbusmock)",
                ));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Notifications {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
