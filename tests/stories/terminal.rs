//! Stories of a person at a terminal: what is asked, shown, hidden and interrupted there.
//!
//! Needs `stty`, the shells, and the real AWS CLI in `$ONETAP_TEST_VENV`.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use onetap_support::aws::{Aws, Fault, User, World, policy};
use onetap_support::home::{Home, Said, python_tool, uri};
use onetap_support::pty::{CTRL_C, ENTER, Finished, Start, Stream, Terminal};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const ARN: &str = "arn:aws:iam::123456789012:mfa/doug";
const TOUCH: &str = "Touch your YubiKey for arn:aws:iam::123456789012:mfa/doug (profile doug) ...\n";
/// Generous: the machine may be busy with other tests.
const LIMIT: Duration = Duration::from_secs(30);
/// A wait for the next time step, and then some.
const STEP: Duration = Duration::from_secs(60);

struct Bench {
    aws: Aws,
    home: Home,
    doug: User,
}

/// Doug was added already; what follows his URI in the token's file tells how it behaves.
fn bench(touch: &str) -> Bench {
    let doug = User::doug().policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, touch);
    Bench { aws, home, doug }
}

/// A home where nothing was done yet.
fn fresh() -> Bench {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::new(BINARY);
    home.set("AWS_ENDPOINT_URL", aws.endpoint());
    home.token(&uri(ARN, &doug.devices[0].seed_base32, false));
    Bench { aws, home, doug }
}

impl Bench {
    fn program(&self, program: &str, arguments: &[&str]) -> Start {
        Start::new(program).args(arguments).env_clear().envs(self.home.env()).folder(self.home.path(""))
    }

    fn onetap(&self, arguments: &[&str]) -> Start {
        self.program(BINARY, arguments)
    }

    /// The same under a shell that says `same` if the terminal's modes are afterwards what they were before.
    fn watched(&self, arguments: &[&str]) -> Start {
        let script = r#"before=$(stty -g); "$@"; status=$?
            if [ "$before" = "$(stty -g)" ]; then echo same modes; fi; exit $status"#;
        self.program("/bin/sh", &[&["-c", script, "sh", BINARY], arguments].concat())
    }

    fn sessions(&self) -> usize {
        self.aws.count("GetSessionToken")
    }

    /// A `credential-process` that has no terminal; its errors go into a file of the home.
    fn elsewhere(&self, errors: &str) -> Child {
        let errors = fs::File::create(self.home.path(errors)).unwrap();
        let mut command = self.home.onetap(&["credential-process", "doug"]);
        command.stdout(Stdio::piped()).stderr(errors).spawn().unwrap()
    }

    /// Waits until the token computes its `n`th code.
    fn wait_for_touch(&self, n: usize) {
        until("the token is asked", || self.home.touches() >= n);
    }

    /// Nothing of an `add` that was given up is left: no key, no profile, no record of a vault.
    fn holds_nothing(&self) {
        for left in [".aws", ".config", ".cache", ".local/state/onetap/vault.age"] {
            assert!(!self.home.path(left).exists(), "{left} was left behind");
        }
    }
}

fn until(what: &str, reached: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !reached() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn type_in(terminal: &mut Terminal, question: &str, answer: &str) {
    terminal.wait_for(question, STEP).unwrap();
    terminal.send(answer).unwrap();
}

fn ends(terminal: Terminal, status: i32) -> Finished {
    let finished = terminal.finish(STEP).unwrap();
    assert_eq!(finished.status.code(), Some(status), "{}", finished.terminal);
    finished
}

fn virtual_token(bench: &Bench) -> String {
    format!("Codes come from the file {}, not from a token.\n", bench.home.path("token").display())
}

#[test]
fn add_asks_hides_the_secret_and_takes_the_usual_device_by_enter() {
    let bench = fresh();
    let mut terminal = bench.watched(&["add", "doug"]).spawn().unwrap();
    type_in(&mut terminal, "Access key id: ", &format!("{}{ENTER}", bench.doug.access_key_id));
    // Typed the moment the words are there, as expect(1) does.
    type_in(&mut terminal, "Secret access key: ", &format!("{}{ENTER}", bench.doug.secret_access_key));
    type_in(&mut terminal, &format!("MFA device [{ARN}]: "), ENTER);
    let added = ends(terminal, 0);
    let expected = format!(
        "Access key id: {id}\nSecret access key: \nMFA device [{ARN}]: \n\
         Stored {id} of arn:aws:iam::123456789012:user/doug in the vault file; [profile doug] is in {}.\nsame modes\n",
        bench.home.path(".aws/config").display(),
        id = bench.doug.access_key_id,
    );
    assert_eq!(added.terminal, expected);
    assert_eq!(bench.home.read(".aws/config"), format!("[profile doug]\nmfa_serial = {ARN}\n"));
    let served = bench.home.run(&["exec", "doug", "--", "true"]);
    assert_eq!((served.status, bench.sessions()), (0, 1), "{}", served.stderr);
}

#[test]
fn ctrl_c_at_any_question_of_add_leaves_nothing_behind() {
    let mut bench = fresh();
    bench.home.unset("ONETAP_VAULT_PASSPHRASE_FILE");
    let passphrase = format!(
        "New passphrase for the vault {}: ",
        bench.home.path(".local/state/onetap/vault.age").display()
    );
    let questions = [
        ("Access key id: ", bench.doug.access_key_id.as_str()),
        ("Secret access key: ", &bench.doug.secret_access_key),
        ("MFA device [", ""),
        (&passphrase, "correct horse"),
        ("The same passphrase again: ", "correct horse"),
    ];
    for asked in 1..=questions.len() {
        let mut terminal = bench.watched(&["add", "doug"]).spawn().unwrap();
        for (question, answer) in &questions[..asked - 1] {
            type_in(&mut terminal, question, &format!("{answer}{ENTER}"));
        }
        type_in(&mut terminal, questions[asked - 1].0, CTRL_C);
        let given_up = ends(terminal, 130);
        assert!(given_up.terminal.ends_with("\nonetap: interrupted\nsame modes\n"), "{}", given_up.terminal);
        for secret in [bench.doug.secret_access_key.as_str(), "horse"] {
            assert!(!given_up.terminal.contains(secret), "{}", given_up.terminal);
        }
        bench.holds_nothing();
    }
}

#[test]
fn a_question_ends_with_its_time() {
    let bench = fresh();
    let mut terminal = bench.watched(&["--timeout", "3", "add", "doug"]).spawn().unwrap();
    terminal.wait_for("Access key id: ", LIMIT).unwrap();
    terminal.send("AKIA").unwrap();
    let given_up = ends(terminal, 6);
    assert_eq!(
        given_up.terminal,
        "Access key id: AKIA\nonetap: no answer came in time; run the command again\nsame modes\n"
    );
    bench.holds_nothing();
}

#[test]
fn a_seed_is_hidden_and_beside_a_key_it_is_one_factor() {
    let bench = bench("");
    let seed = &bench.doug.devices[0].seed_base32;
    let mut terminal = bench.watched(&["seed", "add", "doug"]).spawn().unwrap();
    type_in(&mut terminal, "Seed (base32 or otpauth:// URI): ", &format!("{seed}{ENTER}"));
    let stored = ends(terminal, 0);
    assert!(!stored.terminal.contains(seed.as_str()), "{}", stored.terminal);
    assert!(stored.terminal.contains("this is one factor, not two"), "{}", stored.terminal);
    assert!(stored.terminal.ends_with("Stored the seed for doug in the vault file.\nsame modes\n"));

    let mut terminal = bench.onetap(&["seed", "add", "doug"]).spawn().unwrap();
    type_in(&mut terminal, "URI): ", &format!("not a seed!{ENTER}"));
    let refused = ends(terminal, 2);
    assert!(refused.terminal.contains("onetap: the seed cannot be used"), "{}", refused.terminal);
    assert!(!refused.terminal.contains("not a seed!"), "{}", refused.terminal);
}

#[test]
fn the_touch_notice_reaches_the_terminal_while_an_sdk_holds_all_streams() {
    let bench = bench("fault touch-after 700");
    let config = format!(
        "{}\n[profile doug-cp]\nregion = eu-west-1\ncredential_process = {BINARY} credential-process doug\n",
        bench.home.read(".aws/config")
    );
    bench.home.private(".aws/config", &config);
    let aws = python_tool("aws");
    let call = ["ec2", "describe-instances", "--profile", "doug-cp"];
    let start = || {
        let start = bench.program(aws.to_str().unwrap(), &call);
        start.stdin(Stream::Null).stdout(Stream::Pipe).stderr(Stream::Pipe).spawn().unwrap()
    };
    let cold = ends(start(), 0);
    assert_eq!(cold.terminal, format!("{}{TOUCH}", virtual_token(&bench)));
    assert!(String::from_utf8_lossy(&cold.stdout).contains("i-0abc"));
    assert_eq!(String::from_utf8_lossy(&cold.stderr), "");
    let cached = ends(start(), 0);
    assert_eq!((cached.terminal.as_str(), bench.home.touches()), ("", 1), "cached: not a word");
}

#[test]
fn an_account_without_touch_is_served_in_silence() {
    let bench = bench("");
    let served = ends(bench.onetap(&["exec", "doug", "--", "true"]).spawn().unwrap(), 0);
    assert_eq!(served.terminal, virtual_token(&bench), "and nothing of a touch");
    assert_eq!(bench.home.apdus(), ["00a40400", "00a20001"], "SELECT and CALCULATE");
}

#[test]
fn ctrl_c_while_the_touch_is_awaited_sends_nothing_and_keeps_nothing() {
    let bench = bench("fault touch never");
    for (n, (arguments, status)) in
        [(&["credential-process", "doug"][..], 130), (&["exec", "doug", "--", "true"], 125)]
            .iter()
            .enumerate()
    {
        let mut terminal = bench.onetap(arguments).stdout(Stream::Pipe).spawn().unwrap();
        terminal.wait_for(TOUCH, LIMIT).unwrap();
        bench.wait_for_touch(n + 1);
        // Without a terminal, and so out of reach for Ctrl-C: it is refused with the one that holds the turn.
        let waiting = bench.elsewhere("waiting");
        until("it waits", || bench.home.read("waiting").contains("Waiting for pid"));
        terminal.send(CTRL_C).unwrap();
        let interrupted = ends(terminal, *status);
        let line = "onetap: interrupted\n";
        // A second may have passed, and so a count have been shown and cleared.
        let begin = format!("{}{TOUCH}", virtual_token(&bench));
        assert!(interrupted.terminal.starts_with(&begin), "{}", interrupted.terminal);
        assert!(interrupted.terminal.ends_with(&format!("^C{line}")), "{}", interrupted.terminal);
        assert_eq!(interrupted.terminal.lines().count(), 3, "{}", interrupted.terminal);
        assert!(interrupted.stdout.is_empty());
        let refused = Said::from(waiting.wait_with_output().unwrap());
        let said = bench.home.read("waiting");
        assert_eq!((refused.status, refused.stdout.as_str()), (130, ""), "{said}");
        assert!(said.ends_with("(the request came from another process); run the command again\n"), "{said}");
    }
    assert_eq!((bench.home.touches(), bench.sessions()), (2, 0), "nobody asked a second time");
    assert!(!bench.home.path(".cache/onetap/sessions").exists());
    // The next command asks anew.
    bench.home.private("token", &uri(ARN, &bench.doug.devices[0].seed_base32, false));
    assert_eq!(bench.home.run(&["exec", "doug", "--", "true"]).status, 0);
}

#[test]
fn ctrl_c_while_another_holds_the_turn_ends_only_the_one_that_waits() {
    let bench = bench("fault touch-after 4000");
    let holder = bench.elsewhere("holder");
    bench.wait_for_touch(1);
    let mut terminal = bench.onetap(&["credential-process", "doug"]).stdout(Stream::Pipe).spawn().unwrap();
    terminal
        .wait_for(&format!("Waiting for pid {} (credential-process doug) ...", holder.id()), LIMIT)
        .unwrap();
    terminal.send(CTRL_C).unwrap();
    let interrupted = ends(terminal, 130);
    assert!(interrupted.terminal.ends_with("^Conetap: interrupted\n"));
    let served = Said::from(holder.wait_with_output().unwrap());
    assert_eq!((served.status, bench.home.touches()), (0, 1), "{}", bench.home.read("holder"));
}

#[test]
fn ctrl_c_while_aws_does_not_answer_ends_the_wait() {
    let bench = bench("");
    bench.aws.fail_next("GetSessionToken", Fault::Slow(Duration::from_secs(3)));
    let terminal = bench.onetap(&["credential-process", "doug"]).spawn().unwrap();
    until("the code is sent", || bench.sessions() == 1);
    terminal.send(CTRL_C).unwrap();
    let interrupted = ends(terminal, 130);
    assert!(interrupted.terminal.ends_with("^Conetap: interrupted\n"), "{}", interrupted.terminal);
    assert!(!bench.home.path(".cache/onetap/sessions").exists());
}

#[test]
fn a_typed_code_serves_and_a_refused_one_is_asked_for_once_more() {
    let bench = bench("");
    let question = format!("Code for {ARN}: ");
    let arguments = ["--code", "prompt", "exec", "doug", "--", "true"];

    let mut terminal = bench.watched(&["--code", "prompt", "credential-process", "doug"]).spawn().unwrap();
    type_in(&mut terminal, &question, &format!("12345{ENTER}"));
    let refused = ends(terminal, 2);
    let line = "onetap: a code has six digits; type the six digits that the device shows\n";
    assert_eq!(refused.terminal, format!("{question}12345\n{line}same modes\n"));
    assert_eq!(bench.sessions(), 0);

    let mut terminal = bench.watched(&arguments).spawn().unwrap();
    type_in(&mut terminal, &question, &format!("{}{ENTER}", wrong(&bench)));
    terminal.wait_for("trying once more with the next code\n", LIMIT).unwrap();
    terminal.wait_for(&question, STEP).unwrap();
    terminal.send(&format!("{}{ENTER}", bench.aws.code(ARN, 0).unwrap())).unwrap();
    let served = ends(terminal, 0);
    assert!(served.terminal.ends_with("same modes\n"), "{}", served.terminal);
    assert_eq!((bench.sessions(), bench.home.touches()), (2, 0), "no token was asked");
}

/// Six digits that the device shows neither now nor in the neighbouring steps.
fn wrong(bench: &Bench) -> String {
    let right = (-2..=2).map(|steps| bench.aws.code(ARN, steps).unwrap()).collect::<Vec<_>>();
    let mut candidates = (0..).map(|n| format!("{n:06}"));
    candidates.find(|code| !right.contains(code)).unwrap()
}

#[test]
fn without_a_reader_the_fall_back_is_said_before_the_question() {
    let mut bench = bench("");
    bench.home.unset("ONETAP_READER");
    bench.home.set("PCSCLITE_CSOCK_NAME", "/absent/pcscd.comm");
    let mut terminal =
        bench.onetap(&["--code", "yubikey,prompt", "exec", "doug", "--", "true"]).spawn().unwrap();
    let said = terminal.wait_for(&format!("Code for {ARN}: "), LIMIT).unwrap();
    let aloud = "No code from yubikey: the smart card service (pcscd) is not running. Trying prompt.\n";
    assert_eq!(said, format!("{aloud}Code for {ARN}: "));
    terminal.send(&format!("{}{ENTER}", bench.aws.code(ARN, 0).unwrap())).unwrap();
    ends(terminal, 0);
}

#[test]
fn between_a_printed_code_and_a_cold_exec_the_terminal_counts_down() {
    let bench = bench("");
    // In a step that is nearly over, there would be nothing to count.
    until("a step has begun", || seconds_left() > 4);
    let printed = bench.home.run(&["code", "doug"]);
    assert_eq!(printed.status, 0, "{}", printed.stderr);
    let mut terminal = bench.onetap(&["exec", "doug", "--", "true"]).spawn().unwrap();
    terminal.wait_for("The last code was used; the next one comes in ", LIMIT).unwrap();
    let first = terminal.wait_for(" s ...", LIMIT).unwrap();
    terminal.wait_for("The last code was used; the next one comes in ", LIMIT).unwrap();
    let second = terminal.wait_for(" s ...", LIMIT).unwrap();
    let number = |text: &str| text.trim_end_matches(" s ...").parse::<u64>().unwrap();
    assert!((1..=30).contains(&number(&first)) && number(&second) < number(&first), "{first}, {second}");
    let served = ends(terminal, 0);
    // Overwritten in place, and taken away before the next line.
    assert!(
        String::from_utf8_lossy(&served.raw).contains("\r\u{1b}[KCodes come from"),
        "{}",
        served.terminal
    );
    let sent = bench.aws.requests().into_iter().find_map(|seen| seen.code_step).unwrap();
    let now = i64::try_from(unix_time() / 30).unwrap();
    let code = bench.aws.code(ARN, i64::try_from(sent).unwrap() - now).unwrap();
    assert_ne!(printed.stdout.trim(), code);
    assert_eq!(bench.sessions(), 1);
}

fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn seconds_left() -> u64 {
    30 - unix_time() % 30
}

#[test]
fn exec_without_a_command_is_the_persons_shell_with_the_profile_in_its_prompt() {
    let mut bench = bench("");
    for entry in fs::read_dir("/etc/skel").unwrap().flatten().filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), bench.home.path(entry.file_name().to_str().unwrap())).unwrap();
    }
    bench.home.set("TERM", "xterm-256color");
    let config = bench.home.read(".bashrc") + "alias hi='echo aliased'\n";
    bench.home.private(".bashrc", &config);
    bench.home.private(".zshrc", "alias hi='echo aliased'\n");
    bench.home.private(".config/fish/config.fish", "alias hi 'echo aliased'\n");
    for shell in ["/bin/bash", "/usr/bin/zsh", "/usr/bin/fish"] {
        bench.home.set("SHELL", shell);
        let mut terminal = bench.onetap(&["exec", "doug"]).spawn().unwrap();
        terminal.wait_for("(onetap doug) ", LIMIT).unwrap();
        terminal.send(&format!("hi; echo $ONETAP_PROFILE.$AWS_ACCESS_KEY_ID{ENTER}")).unwrap();
        terminal.wait_for("aliased\ndoug.ASIA", LIMIT).unwrap();
        terminal.wait_for("(onetap doug) ", LIMIT).unwrap();
        // The shell's own Ctrl-C: the line goes, the shell stays. What is typed while it goes may go with it.
        terminal.send(CTRL_C).unwrap();
        let deadline = Instant::now() + LIMIT;
        loop {
            terminal.send(&format!("echo still $ONETAP_PROFILE here{ENTER}")).unwrap();
            match terminal.wait_for("still doug here", Duration::from_secs(1)) {
                Ok(_) => break,
                Err(unseen) => assert!(Instant::now() < deadline, "{unseen:?}"),
            }
        }
        terminal.send(&format!("exit 7{ENTER}")).unwrap();
        ends(terminal, 7);
    }
    assert_eq!((bench.home.touches(), bench.sessions()), (1, 1));
}

#[test]
fn the_child_gets_ctrl_c_itself() {
    let bench = bench("");
    let script = "trap 'echo caught; exit 5' INT; echo ready; while :; do read line; done";
    let mut terminal = bench.onetap(&["exec", "doug", "--", "sh", "-c", script]).spawn().unwrap();
    terminal.wait_for("ready", LIMIT).unwrap();
    terminal.send(CTRL_C).unwrap();
    terminal.wait_for("caught", LIMIT).unwrap();
    ends(terminal, 5);

    let mut terminal = bench.onetap(&["exec", "doug", "--", "cat"]).spawn().unwrap();
    type_in(&mut terminal, "", &format!("echoed by the terminal, and by cat{ENTER}"));
    terminal.wait_for("by cat\nechoed by the terminal, and by cat", LIMIT).unwrap();
    terminal.send(CTRL_C).unwrap();
    let killed = terminal.finish(LIMIT).unwrap();
    assert_eq!(killed.status.signal(), Some(2), "{}", killed.terminal);
    assert!(!killed.terminal.contains("onetap:"), "{}", killed.terminal);
}

#[test]
fn a_job_in_the_background_does_not_ask_and_does_not_stop() {
    let bench = bench("");
    let script = format!("set -m; '{BINARY}' --code prompt credential-process doug & wait $!; echo ended $?");
    let ended = ends(bench.program("/bin/bash", &["-c", &script]).spawn().unwrap(), 0);
    assert!(ended.terminal.contains("onetap runs in the background of its terminal"), "{}", ended.terminal);
    assert!(ended.terminal.ends_with("ended 7\n"), "{}", ended.terminal);
    assert!(!ended.terminal.contains("Code for"), "{}", ended.terminal);
}
