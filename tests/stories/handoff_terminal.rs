//! Stories of a person at a terminal who names no profile.

use std::time::Duration;

use onetap_support::aws::{Aws, User, World, policy};
use onetap_support::home::{Home, Said};
use onetap_support::pty::{CTRL_C, ENTER, Finished, Start, Stream};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
/// Generous: the machine may be busy with other tests.
const LIMIT: Duration = Duration::from_secs(30);
const DOWN: &str = "\x1b[B";

struct Bench {
    aws: Aws,
    home: Home,
}

/// Doug's device serves three profiles; a fourth is not onetap's.
fn bench() -> Bench {
    let doug = User::doug().policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    let config = home.read(".aws/config");
    let more = |name: &str| config.replace("[profile doug]", &format!("[profile {name}]"));
    let sso = "[profile dsso]\nsso_session = corp\n";
    home.private(".aws/config", &format!("{config}{}{}{sso}", more("douglas"), more("dora")));
    Bench { aws, home }
}

impl Bench {
    /// Under a shell that says `same modes` if the terminal's modes are afterwards what they were before.
    fn watched(&self, line: &str) -> Start {
        let script = format!(
            "before=$(stty -g)\n{line}\nstatus=$?\n[ \"$before\" = \"$(stty -g)\" ] && echo same modes; exit $status"
        );
        let start = Start::new("/bin/bash").args(["-c", &script]).env_clear().envs(self.home.env());
        start.env("ONETAP", BINARY).env("TERM", "xterm-256color").folder(self.home.path(""))
    }
}

/// Modes, cursor and paste are as they were.
fn restored(finished: &Finished) {
    assert!(finished.terminal.ends_with("same modes\n"), "{}", finished.terminal);
    let raw = String::from_utf8_lossy(&finished.raw).into_owned();
    assert!(raw.rfind("\x1b[?25h") >= raw.rfind("\x1b[?25l"), "the cursor is hidden");
    assert!(raw.rfind("\x1b[?2004l") >= raw.rfind("\x1b[?2004h"), "a paste is bracketed");
}

#[test]
fn some_letters_of_a_profile_are_enough_while_stdout_is_a_pipe() {
    let bench = bench();
    let mut terminal = bench
        .watched("eval \"$($ONETAP export)\" && echo \"${AWS_ACCESS_KEY_ID:0:4} it is\"")
        .spawn()
        .unwrap();
    let seen = terminal.wait_for("type to filter", LIMIT).unwrap();
    for name in ["dora", "doug", "douglas"] {
        assert!(seen.contains(name), "{seen}");
    }
    assert!(!seen.contains("dsso"), "{seen}");
    // As scripts type: all at once.
    terminal.send(&format!("ug{ENTER}")).unwrap();
    let finished = terminal.finish(LIMIT).unwrap();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.terminal);
    assert!(finished.terminal.contains("Profile doug\n"), "{}", finished.terminal);
    assert!(finished.terminal.contains("ASIA it is\n"), "{}", finished.terminal);
    restored(&finished);
    assert_eq!(bench.aws.count("GetSessionToken"), 1);
}

#[test]
fn the_arrows_walk_and_enter_takes() {
    let bench = bench();
    let mut terminal = bench.watched("$ONETAP exec -- sh -c 'echo it is $ONETAP_PROFILE'").spawn().unwrap();
    terminal.wait_for("type to filter", LIMIT).unwrap();
    terminal.send(DOWN).unwrap();
    terminal.send(ENTER).unwrap();
    terminal.wait_for("it is doug\n", LIMIT).unwrap();
    let finished = terminal.finish(LIMIT).unwrap();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.terminal);
    restored(&finished);
    assert_eq!(bench.aws.count("GetSessionToken"), 1);
}

#[test]
fn ctrl_c_leaves_the_terminal_as_it_was_and_asks_nobody_else() {
    let bench = bench();
    for (line, status) in [("$ONETAP export", 130), ("$ONETAP code </dev/null", 130), ("$ONETAP exec", 125)] {
        let mut terminal = bench.watched(line).spawn().unwrap();
        terminal.wait_for("type to filter", LIMIT).unwrap();
        terminal.send(CTRL_C).unwrap();
        let finished = terminal.finish(LIMIT).unwrap();
        assert_eq!(finished.status.code(), Some(status), "{}", finished.terminal);
        assert!(finished.terminal.contains("onetap: interrupted\n"), "{}", finished.terminal);
        restored(&finished);
    }
    assert_eq!((bench.home.touches(), bench.aws.count("GetSessionToken")), (0, 0));
}

#[test]
fn a_choice_that_nobody_makes_ends_at_the_limit() {
    let bench = bench();
    let mut terminal = bench.watched("$ONETAP export --timeout 1").spawn().unwrap();
    terminal.wait_for("type to filter", LIMIT).unwrap();
    let finished = terminal.finish(LIMIT).unwrap();
    assert_eq!(finished.status.code(), Some(6), "{}", finished.terminal);
    assert!(finished.terminal.contains("no answer came in time"), "{}", finished.terminal);
    restored(&finished);
}

#[test]
fn without_a_terminal_and_for_sdks_nobody_picks() {
    let bench = bench();
    let line = "onetap: no profile is named, and AWS_PROFILE is not set; name one: `onetap status` lists what is known\n";
    let refused = |status| Said { status, stdout: String::new(), stderr: line.into() };
    assert_eq!(bench.home.run(&["export"]), refused(2));
    assert_eq!(bench.home.run(&["code"]), refused(2));
    assert_eq!(bench.home.run(&["exec"]), refused(125));
    // An SDK at a terminal, and a person whose stderr goes elsewhere.
    for arguments in [["credential-process"], ["export"]] {
        let start = Start::new(BINARY).args(arguments).env_clear().envs(bench.home.env());
        let terminal = start.stdout(Stream::Pipe).stderr(Stream::Pipe).spawn().unwrap();
        let finished = terminal.finish(LIMIT).unwrap();
        assert_eq!((finished.status.code(), finished.terminal.as_str()), (Some(2), ""));
        assert_eq!(String::from_utf8_lossy(&finished.stderr), line);
    }
}
