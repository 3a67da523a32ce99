//! What one run of a program costs: wall time, instructions and memory.
//!
//! Knows nothing about which program it is. Instructions are user instructions as callgrind counts them, the dynamic
//! loader's included, and can be repeated; wall time and memory belong to the machine.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Something to run again and again, without input, terminal or an environment but its own.
#[derive(Clone, Debug)]
pub struct Program {
    /// The binary.
    pub binary: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
}

impl Program {
    /// One run. Fails if the program does; its standard output is thrown away.
    pub fn run(&self) -> io::Result<()> {
        self.under(&[]).map(|_| ())
    }

    /// Wall time of one run, from before it is started until it was waited for.
    pub fn wall(&self) -> io::Result<Duration> {
        let mut command = self.command(&[]);
        command.stderr(Stdio::null());
        let began = Instant::now();
        let status = command.status()?;
        let took = began.elapsed();
        if status.success() { Ok(took) } else { Err(io::Error::other(format!("{self:?}: {status}"))) }
    }

    /// User instructions of one run, all threads together (valgrind's callgrind).
    pub fn instructions(&self) -> io::Result<u64> {
        let said = self.under(&["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"])?;
        let collected = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
        collected.ok_or_else(|| io::Error::other(format!("no count from callgrind: {said}")))
    }

    /// Peak resident memory of one run, in KiB (GNU time). The kernel counts what a program is forked from too, so
    /// that the small `time` has to stand between.
    pub fn peak(&self) -> io::Result<u64> {
        let said = self.under(&["/usr/bin/time", "--quiet", "--format=peak %M"])?;
        let peak = said.lines().find_map(|line| line.strip_prefix("peak ")?.trim().parse().ok());
        peak.ok_or_else(|| io::Error::other(format!("no peak from time: {said}")))
    }

    fn command(&self, tool: &[&str]) -> Command {
        let mut command = match tool.split_first() {
            Some((tool, arguments)) => {
                let mut command = Command::new(tool);
                command.args(arguments).arg(&self.binary);
                command
            }
            None => Command::new(&self.binary),
        };
        command.args(&self.arguments).env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Runs it under a tool, and returns what both said on standard error.
    fn under(&self, tool: &[&str]) -> io::Result<String> {
        let output = self.command(tool).output().map_err(|error| {
            let name = tool.first().map_or("", |name| name.trim_start_matches("/usr/bin/"));
            io::Error::new(error.kind(), format!("{error} (Debian: apt-get install {name})"))
        })?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            Ok(said)
        } else {
            Err(io::Error::other(format!("{self:?}: {}: {said}", output.status)))
        }
    }
}

/// The middle of many times; zero of none.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
