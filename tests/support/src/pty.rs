//! A program on a pseudo-terminal of its own, driven as a person would: look, type, press Ctrl-C, wait for the end.
//!
//! Any of the three standard streams may be something else than the terminal, while `/dev/tty` still is the
//! terminal: that is how SDKs start a `credential_process`. This is why it stands on the crate `pty-process`, which
//! makes the session and its controlling terminal and leaves the streams alone; rexpect, expectrl and portable-pty
//! put all three on the terminal.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Read, Write as _};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::canary::{self, Kind};
use pty_process::blocking::{Command, Pts, Pty};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// What Ctrl-C sends.
pub const CTRL_C: &str = "\x03";
/// What Ctrl-D sends: the end of input, at the begin of a line.
pub const CTRL_D: &str = "\x04";
/// What the return key sends.
pub const ENTER: &str = "\r";

/// How long the reader listens before it looks whether the program is gone.
const LISTEN: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// Where one of the program's standard streams leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Nowhere.
    Null,
    /// Into a pipe of its own. Output is collected; input stays open and never comes.
    Pipe,
    /// To the terminal.
    Terminal,
}

/// A program that is about to be started.
pub struct Start {
    command: Command,
    streams: [Stream; 3],
    size: (u16, u16),
}

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start")
            .field("streams", &self.streams)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl Start {
    /// Names the program; all streams lead to the terminal, of 24 rows and 200 columns (so that lines do not wrap).
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self { command: Command::new(program), streams: [Stream::Terminal; 3], size: (24, 200) }
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(self, args: impl IntoIterator<Item = A>) -> Self {
        Self { command: self.command.args(args), ..self }
    }

    /// Sets a variable.
    pub fn env(self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        Self { command: self.command.env(name, value), ..self }
    }

    /// Sets variables.
    pub fn envs<N: AsRef<OsStr>, V: AsRef<OsStr>>(self, variables: impl IntoIterator<Item = (N, V)>) -> Self {
        Self { command: self.command.envs(variables), ..self }
    }

    /// Starts from no environment at all.
    pub fn env_clear(self) -> Self {
        Self { command: self.command.env_clear(), ..self }
    }

    /// The folder to start in.
    pub fn folder(self, folder: impl AsRef<std::path::Path>) -> Self {
        Self { command: self.command.current_dir(folder), ..self }
    }

    /// Where standard input comes from.
    pub fn stdin(mut self, stream: Stream) -> Self {
        self.streams[0] = stream;
        self
    }

    /// Where standard output goes.
    pub fn stdout(mut self, stream: Stream) -> Self {
        self.streams[1] = stream;
        self
    }

    /// Where standard error goes.
    pub fn stderr(mut self, stream: Stream) -> Self {
        self.streams[2] = stream;
        self
    }

    /// The terminal's size.
    pub fn size(self, rows: u16, columns: u16) -> Self {
        Self { size: (rows, columns), ..self }
    }

    /// Starts the program as the leader of a session whose controlling terminal is the new one.
    pub fn spawn(self) -> io::Result<Terminal> {
        let (pty, pts) = pty_process::blocking::open().map_err(io::Error::other)?;
        pty.resize(pty_process::Size::new(self.size.0, self.size.1)).map_err(io::Error::other)?;
        let stdio = |stream| match stream {
            Stream::Null => Some(Stdio::null()),
            Stream::Pipe => Some(Stdio::piped()),
            Stream::Terminal => None,
        };
        let mut command = self.command;
        if let Some(stdin) = stdio(self.streams[0]) {
            command = command.stdin(stdin);
        }
        if let Some(stdout) = stdio(self.streams[1]) {
            command = command.stdout(stdout);
        }
        if let Some(stderr) = stdio(self.streams[2]) {
            command = command.stderr(stderr);
        }
        let mut child = command.spawn_borrowed(&pts).map_err(io::Error::other)?;
        let pid = Pid::from_child(&child);
        let shared = Arc::<Shared>::default();
        let pty = Arc::new(pty);
        {
            let (shared, pty) = (shared.clone(), pty.clone());
            thread::spawn(move || listen(&shared, &pty));
        }
        {
            let shared = shared.clone();
            thread::spawn(move || {
                // The child is left for `Child::wait`, so that its number stays its own until then.
                let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
                while waitid(WaitId::Pid(pid), options).is_err_and(|error| error == Errno::INTR) {}
                shared.change(|heard| heard.exited = true);
            });
        }
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().map(|stream| drain(stream, &shared));
        let stderr = child.stderr.take().map(|stream| drain(stream, &shared));
        Ok(Terminal {
            pty,
            _pts: pts,
            child,
            pid,
            reaped: None,
            shared,
            seen: 0,
            _stdin: stdin,
            stdout,
            stderr,
        })
    }
}

/// A program that runs on its terminal. Dropping it kills it and what it started.
pub struct Terminal {
    pty: Arc<Pty>,
    /// A program whose streams are all pipes holds no end of its terminal: somebody must, or it hangs up.
    _pts: Pts,
    child: Child,
    pid: Pid,
    reaped: Option<ExitStatus>,
    shared: Arc<Shared>,
    /// How much of the plain text was waited for already.
    seen: usize,
    _stdin: Option<ChildStdin>,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

/// All that a program left behind.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What stood on the terminal, from the first byte, without control sequences.
    pub terminal: String,
    /// The same with them.
    pub raw: Vec<u8>,
    /// Standard output, if it led into a pipe.
    pub stdout: Vec<u8>,
    /// Standard error, if it led into a pipe.
    pub stderr: Vec<u8>,
}

/// What was waited for did not come; shows all that stood on the terminal.
pub struct Unseen {
    wanted: String,
    because: &'static str,
    terminal: String,
}

impl fmt::Debug for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted, because, terminal } = self;
        write!(f, "waited for {wanted}, but {because}; on the terminal:\n{terminal}\n(end of the terminal)")
    }
}

impl Terminal {
    /// The program's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types.
    pub fn send(&self, keys: &str) -> io::Result<()> {
        (&*self.pty).write_all(keys.as_bytes())
    }

    /// Gives the terminal another size, of which its foreground programs are told (SIGWINCH).
    pub fn resize(&self, rows: u16, columns: u16) -> io::Result<()> {
        self.pty.resize(pty_process::Size::new(rows, columns)).map_err(io::Error::other)
    }

    /// Everything that stood on the terminal so far, without control sequences.
    pub fn text(&self) -> String {
        plain(&self.shared.heard().raw)
    }

    /// Waits until `text` stands on the terminal behind what was waited for before, and returns what came up to its end.
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> Result<String, Unseen> {
        let begin = self.seen;
        let look = |heard: &Heard| {
            let all = plain(&heard.raw);
            let fresh = all.get(begin..).unwrap_or_default();
            let end = fresh.find(text)? + text.len();
            Some(fresh[..end].to_owned())
        };
        let outcome = self.shared.wait(Instant::now() + limit, |heard| match look(heard) {
            Some(found) => Some(Ok(found)),
            None if heard.ended => Some(Err("the program ended")),
            None => None,
        });
        match outcome.unwrap_or(Err("time ran out")) {
            Ok(found) => {
                self.seen += found.len();
                Ok(found)
            }
            Err(because) => Err(self.unseen(format!("{text:?}"), because)),
        }
    }

    /// Waits for the program's end and for the last of its output.
    pub fn finish(mut self, limit: Duration) -> Result<Finished, Unseen> {
        let deadline = Instant::now() + limit;
        let pipes = [&self.stdout, &self.stderr].into_iter().flatten().count();
        let over = |heard: &Heard| (heard.exited && heard.ended && heard.drained == pipes).then_some(());
        if self.shared.wait(deadline, over).is_none() {
            let because = match self.shared.heard().exited {
                true => "others still hold its streams",
                false => "it still runs",
            };
            return Err(self.unseen("the program's end".into(), because));
        }
        let status = match self.child.wait() {
            Ok(status) => status,
            Err(_) => return Err(self.unseen("the program's end".into(), "the system lost it")),
        };
        self.reaped = Some(status);
        let collect = |stream: Option<JoinHandle<Vec<u8>>>| {
            stream.and_then(|reader| reader.join().ok()).unwrap_or_default()
        };
        let raw = self.shared.heard().raw.clone();
        let finished = Finished {
            status,
            terminal: plain(&raw),
            raw,
            stdout: collect(self.stdout.take()),
            stderr: collect(self.stderr.take()),
        };
        let canaries = canary::here();
        canaries.hidden("what stood on the terminal", &finished.raw, Kind::Session);
        canaries.hidden("stdout", &finished.stdout, Kind::LongTerm);
        canaries.hidden("stderr", &finished.stderr, Kind::Session);
        Ok(finished)
    }

    fn unseen(&self, wanted: String, because: &'static str) -> Unseen {
        Unseen { wanted, because, terminal: self.text() }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.reaped.is_none() {
            // It leads its own session, and so its own group; jobs in other groups lose their terminal.
            let _ = kill_process_group(self.pid, Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal")
            .field("pid", &self.pid())
            .field("text", &self.text())
            .finish_non_exhaustive()
    }
}

/// What the threads around a program know of it.
#[derive(Default)]
struct Heard {
    raw: Vec<u8>,
    /// Nothing more will come from the terminal.
    ended: bool,
    /// The program is gone.
    exited: bool,
    /// How many pipes were read to their ends.
    drained: usize,
}

#[derive(Default)]
struct Shared {
    heard: Mutex<Heard>,
    changed: Condvar,
}

impl Shared {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Heard)) {
        change(&mut self.heard());
        self.changed.notify_all();
    }

    fn wait<T>(&self, deadline: Instant, look: impl Fn(&Heard) -> Option<T>) -> Option<T> {
        let mut heard = self.heard();
        loop {
            if let Some(found) = look(&heard) {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            heard = self.changed.wait_timeout(heard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Collects what comes from the terminal until the program is gone and nothing more is there.
fn listen(shared: &Shared, pty: &Pty) {
    let mut buffer = [0; 4096];
    loop {
        let gone = shared.heard().exited;
        let readable = poll(&mut [PollFd::new(pty, PollFlags::IN)], Some(&LISTEN)).unwrap_or(1) > 0;
        if readable {
            let mut reader = pty;
            match reader.read(&mut buffer) {
                Ok(read @ 1..) => shared.change(|heard| heard.raw.extend_from_slice(&buffer[..read])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The end of the terminal; Linux says EIO.
                Ok(_) | Err(_) => return shared.change(|heard| heard.ended = true),
            }
        } else if gone {
            return shared.change(|heard| heard.ended = true);
        }
    }
}

fn drain(mut stream: impl Read + Send + 'static, shared: &Arc<Shared>) -> JoinHandle<Vec<u8>> {
    let shared = shared.clone();
    thread::spawn(move || {
        let mut content = Vec::new();
        let _ = stream.read_to_end(&mut content);
        shared.change(|heard| heard.drained += 1);
        content
    })
}

/// The text without control sequences and carriage returns; what is still incomplete at the end is left out, so
/// that more bytes only ever add to it. Source: ECMA-48, and xterm's OSC.
pub fn plain(raw: &[u8]) -> String {
    let complete = match std::str::from_utf8(raw) {
        Err(error) if error.error_len().is_none() => &raw[..error.valid_up_to()],
        _ => raw,
    };
    let text = String::from_utf8_lossy(complete);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(here) = rest.next() {
        let skipped = match here {
            '\u{1b}' => match rest.next() {
                Some('[') => rest.find(|c| ('\u{40}'..='\u{7e}').contains(c)),
                Some(']' | 'P' | '_' | '^' | 'X') => end_of_string(&mut rest),
                Some('(' | ')' | '*' | '+' | '#' | '%' | ' ') => rest.next(),
                other => other,
            },
            '\r' | '\u{7}' | '\u{f}' | '\u{e}' => Some(here),
            _ => {
                out.push(here);
                Some(here)
            }
        };
        if skipped.is_none() {
            break;
        }
    }
    out
}

/// Skips a control string: up to BEL or ESC and what follows it.
fn end_of_string(rest: &mut std::str::Chars<'_>) -> Option<char> {
    match rest.find(|c| matches!(c, '\u{7}' | '\u{1b}'))? {
        '\u{1b}' => rest.next(),
        bell => Some(bell),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn sh(script: &str) -> Start {
        Start::new("/bin/sh").args(["-c", script]).env("LC_ALL", "C")
    }

    #[test]
    fn both_outputs_are_captured_while_the_terminal_asks() {
        let script =
            "echo out; echo err >&2; printf 'name? ' >/dev/tty; read n </dev/tty; echo \"got $n\"; exit 3";
        let mut terminal =
            sh(script).stdin(Stream::Pipe).stdout(Stream::Pipe).stderr(Stream::Pipe).spawn().unwrap();
        terminal.wait_for("name? ", LIMIT).unwrap();
        terminal.send("doug\r").unwrap();
        let finished = terminal.finish(LIMIT).unwrap();
        assert_eq!(finished.status.code(), Some(3));
        assert_eq!(finished.stdout, b"out\ngot doug\n");
        assert_eq!(finished.stderr, b"err\n");
        assert_eq!(finished.terminal, "name? doug\n");
    }

    #[test]
    fn a_program_may_have_no_streams_and_still_has_its_terminal() {
        let start = sh("cat; echo x; echo y >&2; echo z >/dev/tty");
        let terminal = start.stdin(Stream::Null).stdout(Stream::Null).stderr(Stream::Null).spawn().unwrap();
        assert_eq!(terminal.finish(LIMIT).unwrap().terminal, "z\n");
    }

    #[test]
    fn ctrl_c_interrupts_what_is_in_the_foreground() {
        let mut terminal = sh("echo ready; exec cat").spawn().unwrap();
        terminal.wait_for("ready", LIMIT).unwrap();
        terminal.send(CTRL_C).unwrap();
        assert_eq!(terminal.finish(LIMIT).unwrap().status.signal(), Some(2));
    }

    #[test]
    fn a_new_size_is_told() {
        let mut terminal = sh("trap 'stty size' WINCH; stty size; while :; do read x; done").spawn().unwrap();
        terminal.wait_for("24 200\n", LIMIT).unwrap();
        terminal.resize(30, 100).unwrap();
        terminal.wait_for("30 100\n", LIMIT).unwrap();
    }

    #[test]
    fn the_environment_and_the_folder_are_what_was_asked() {
        let script = "printf '%s %s %s' \"$A\" \"${HOME-no home}\" \"$PWD\"";
        let terminal = sh(script).env_clear().envs([("A", "a")]).folder("/").spawn().unwrap();
        assert_eq!(terminal.finish(LIMIT).unwrap().terminal, "a no home /");
    }

    #[test]
    fn text_is_waited_for_behind_what_was_seen() {
        let mut terminal = sh("echo one two one; exec cat").spawn().unwrap();
        assert_eq!(terminal.wait_for("one", LIMIT).unwrap(), "one");
        assert_eq!(terminal.wait_for("one", LIMIT).unwrap(), " two one");
        let refused = terminal.wait_for("one", Duration::from_millis(50)).unwrap_err();
        assert!(
            format!("{refused:?}").contains("time ran out; on the terminal:\none two one\n"),
            "{refused:?}"
        );
    }

    #[test]
    fn an_end_is_not_waited_for_in_vain() {
        let mut terminal = sh("echo bye").spawn().unwrap();
        let refused = terminal.wait_for("hello", LIMIT).unwrap_err();
        assert!(format!("{refused:?}").contains("the program ended"), "{refused:?}");
        let refused = sh("exec cat").spawn().unwrap().finish(Duration::from_millis(50)).unwrap_err();
        assert!(format!("{refused:?}").contains("it still runs"), "{refused:?}");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        assert!(Start::new("/nonexistent/program").spawn().is_err());
    }

    #[test]
    fn control_sequences_are_not_text_and_text_only_grows() {
        let raw =
            "\u{1b}]0;title\u{7}\u{1b}[01;32mé\u{1b}[0m\r\n\u{1b}(B$ \u{1b}]2;t\u{1b}\\x\u{1b}=y".as_bytes();
        assert_eq!(plain(raw), "é\n$ xy");
        for end in 0..raw.len() {
            assert!(plain(raw).starts_with(&plain(&raw[..end])), "{end}");
        }
    }
}
