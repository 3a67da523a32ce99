//! What one run of a program costs: wall time, instructions and memory.
//!
//! Knows nothing about which program it is. Instructions are user instructions as callgrind counts them, the dynamic
//! loader's included, and can be repeated; wall time and memory belong to the machine.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs for the median of the peak memory.
const PEAK_ROUNDS: usize = 21;

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
    /// that the small `time` has to stand between. Nine tenths are pages of the binary and of libraries, of which the
    /// kernel maps now more and now fewer at once: take many runs.
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

/// The value that `percent` of many values do not exceed: 50 is the median, and 10 is what a machine does when
/// nobody disturbs it. The type's default of none.
pub fn quantile<T: Copy + Default + Ord>(values: &[T], percent: usize) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
}

/// What was measured.
#[derive(Debug, Default)]
pub struct Table {
    /// The first is the floor of all ratios.
    pub rows: Vec<Row>,
    /// What, how many, and how many at most.
    pub counts: Vec<(String, usize, usize)>,
}

/// One program. What is empty was not measured.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub what: &'static str,
    /// Wall times of many runs.
    pub walls: Vec<Duration>,
    /// User instructions of one run.
    pub instructions: u64,
    /// Peak memory of some runs, in KiB.
    pub peaks: Vec<u64>,
    /// The most instructions that it may take.
    pub budget: Option<u64>,
}

impl Table {
    /// Counts a program's instructions, measures its peaks, and adds a row of them.
    pub fn row(
        &mut self,
        what: &'static str,
        walls: Vec<Duration>,
        program: &Program,
        budget: Option<u64>,
    ) -> io::Result<()> {
        let instructions = program.instructions()?;
        let peaks = (0..PEAK_ROUNDS).map(|_| program.peak()).collect::<Result<_, _>>()?;
        self.rows.push(Row { what, walls, instructions, peaks, budget });
        Ok(())
    }

    /// What is over its budget.
    pub fn broken(&self) -> impl Iterator<Item = &str> {
        let rows = self.rows.iter().filter(|row| row.budget.is_some_and(|budget| row.instructions > budget));
        let counts = self.counts.iter().filter(|(_, count, budget)| count > budget);
        rows.map(|row| row.what).chain(counts.map(|(what, ..)| what.as_str()))
    }

    /// Writes it as Markdown.
    pub fn print(&self, out: &mut impl io::Write) -> io::Result<()> {
        let million = |n: u64| format!("{:.2} M", n as f64 / 1e6);
        let floor = self.rows.first().map(|row| row.walls.as_slice()).unwrap_or_default();
        writeln!(
            out,
            "| | wall: median | x floor | fastest tenth | x floor | instructions | budget | peak memory |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|---|---|")?;
        for row in &self.rows {
            write!(out, "| {} ", row.what)?;
            for percent in [50, 10] {
                let (wall, floor) = (quantile(&row.walls, percent), quantile(floor, percent));
                match row.walls.is_empty() {
                    true => write!(out, "| | ")?,
                    false => {
                        let ratio = wall.as_secs_f64() / floor.as_secs_f64();
                        write!(out, "| {:.2} ms | {ratio:.2} ", wall.as_secs_f64() * 1e3)?;
                    }
                }
            }
            let budget = row.budget.map(million).unwrap_or_default();
            let peak = match quantile(&row.peaks, 50) {
                0 => String::new(),
                peak => format!("{:.1} MiB", peak as f64 / 1024.0),
            };
            writeln!(out, "| {} | {budget} | {peak} |", million(row.instructions))?;
        }
        for (what, count, budget) in &self.counts {
            writeln!(out, "{what}: {count} (budget {budget})")?;
        }
        for what in self.broken() {
            writeln!(out, "OVER BUDGET: {what}")?;
        }
        Ok(())
    }
}
