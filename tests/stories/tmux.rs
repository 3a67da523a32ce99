//! A person's session under tmux: a shell inside `onetap exec`, its jobs, Ctrl-C, Ctrl-Z and `fg`, another size, and the
//! exit status; as the child's own self and with a parent above it (`--refresh`).

use std::process::Command;
use std::time::{Duration, Instant};

use onetap_support::aws::{Aws, User, World, policy};
use onetap_support::home::{Home, said};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const LIMIT: Duration = Duration::from_secs(60);

/// A server of our own with one pane, in which a bash runs.
struct Tmux {
    aws: Aws,
    home: Home,
}

impl Tmux {
    fn start() -> Self {
        let doug = User::doug().policy(policy::everything());
        let aws = Aws::start(World::of(doug.clone()));
        let mut home = Home::of_doug(BINARY, &aws, &doug, "fault touch-after 2000");
        home.set("TMUX_TMPDIR", home.path(""));
        home.set("PS1", "outer> ");
        home.set("LC_ALL", "C.UTF-8");
        let tmux = Self { aws, home };
        let bash = ["bash", "--norc", "--noprofile", "-i"];
        tmux.tells(&[&["-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40"][..], &bash].concat());
        tmux
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.program("tmux");
        command.args(["-L", "onetap-story"]).args(arguments);
        command
    }

    fn tells(&self, arguments: &[&str]) -> String {
        let answer = said(&mut self.command(arguments));
        assert_eq!((answer.status, answer.stderr.as_str()), (0, ""), "{arguments:?}");
        answer.stdout
    }

    /// Waits for a shell's prompt, and types a line and Enter there.
    fn types(&self, prompt: &str, line: &str) {
        let deadline = Instant::now() + LIMIT;
        while !self.pane().trim_end().ends_with(&format!("{prompt}>")) {
            assert!(Instant::now() < deadline, "no {prompt}> before {line:?}:\n{}", self.pane());
            std::thread::sleep(Duration::from_millis(10));
        }
        self.tells(&["send-keys", "-l", line]);
        self.presses("Enter");
    }

    fn presses(&self, key: &str) {
        self.tells(&["send-keys", key]);
    }

    /// Everything that stood in the pane so far.
    fn pane(&self) -> String {
        self.tells(&["capture-pane", "-p", "-J", "-S", "-"])
    }

    /// Waits until `text` stands in the pane for the `times`-th time.
    fn shows(&self, text: &str, times: usize) {
        let deadline = Instant::now() + LIMIT;
        while self.pane().matches(text).count() < times {
            assert!(Instant::now() < deadline, "waited in vain for {times} x {text:?}:\n{}", self.pane());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until this program's group has the terminal.
    fn front(&self, program: &str) {
        let deadline = Instant::now() + LIMIT;
        let now = || self.tells(&["display-message", "-p", "#{pane_current_command}"]);
        while now().trim() != program {
            assert!(Instant::now() < deadline, "{program} never came in front:\n{}", self.pane());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Leaves the shells, which ends the server.
    fn ends(&self) {
        self.types("outer", "exit");
        let deadline = Instant::now() + LIMIT;
        while said(&mut self.command(&["has-session"])).status == 0 {
            assert!(Instant::now() < deadline, "the session does not end:\n{}", self.pane());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]).output();
    }
}

/// `above` is what has the terminal while a job of the outer shell runs: the child itself, or onetap.
fn a_session(options: &str, above: &str) {
    let tmux = Tmux::start();
    tmux.types("outer", &format!("run() {{ {BINARY} exec doug{options} -- \"$@\"; }}"));

    // The touch is asked for where the person looks, and a shell comes.
    tmux.types("outer", "run env PS1='inner> ' bash --norc --noprofile -i");
    tmux.shows("Touch your YubiKey", 1);

    // Its jobs are its own.
    let job = "sh -c 'echo rea\"\"dy; exec tail -f /dev/null'";
    tmux.types("inner", job);
    tmux.shows("\nready", 1);
    tmux.presses("C-z");
    tmux.shows("Stopped", 1);
    tmux.types("inner", "echo jobs=$(jobs -s | wc -l).");
    tmux.shows("\njobs=1.", 1);
    tmux.types("inner", "fg");
    tmux.front("tail");
    tmux.presses("C-c");
    tmux.types("inner", "echo inner=$?.");
    tmux.shows("\ninner=130.", 1);

    // Another size.
    tmux.tells(&["resize-window", "-x", "97", "-y", "31"]);
    tmux.types("inner", "echo size=$(stty size).");
    tmux.shows("\nsize=31 97.", 1);

    // The whole shell is a job of the one outside.
    tmux.types("inner", "suspend");
    tmux.shows("Stopped", 2);
    tmux.types("outer", "echo jobs=$(jobs -s | wc -l) size=$(stty size).");
    tmux.shows("\njobs=1 size=31 97.", 1);
    tmux.types("outer", "fg");
    tmux.types("inner", "echo back=$ONETAP_PROFILE.");
    tmux.shows("\nback=doug.", 1);
    tmux.types("inner", "exit 9");
    tmux.types("outer", "echo outer=$?. jobs=$(jobs | wc -l).");
    tmux.shows("\nouter=9. jobs=0.", 1);

    // One program: stopped, woken, interrupted; and one that a signal ends.
    tmux.types("outer", &format!("run {job}"));
    tmux.shows("\nready", 2);
    tmux.front(above);
    tmux.presses("C-z");
    tmux.shows("Stopped", 3);
    tmux.front("bash");
    tmux.types("outer", "fg");
    tmux.front(above);
    tmux.presses("C-c");
    tmux.types("outer", "echo outer=$?. jobs=$(jobs | wc -l).");
    tmux.shows("\nouter=130. jobs=0.", 1);
    tmux.types("outer", "run sh -c 'kill -QUIT $$'");
    tmux.types("outer", "echo outer=$?.");
    tmux.shows("\nouter=131.", 1);
    tmux.types("outer", "run sh -c 'kill -KILL $$'");
    tmux.types("outer", "echo outer=$?.");
    tmux.shows("\nouter=137.", 1);
    assert_eq!((tmux.home.touches(), tmux.aws.count("GetSessionToken")), (1, 1), "{}", tmux.pane());
    tmux.ends();
}

#[test]
fn under_tmux_a_shell_inside_exec_is_as_if_onetap_were_not_there() {
    a_session("", "tail");
}

#[test]
fn under_tmux_a_shell_inside_exec_refresh_is_as_if_onetap_were_not_there() {
    a_session(" --refresh", "onetap");
}
