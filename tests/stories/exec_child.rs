//! `onetap exec` as a parent: copies of AWS's files, the endpoint, and a person who should not notice it.
//!
//! Needs root (another user is played by `setpriv`), python3, and boto3 and the AWS CLI in `$ONETAP_TEST_VENV`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use onetap_support::aws::{Aws, User, World, policy};
use onetap_support::home::{Home, Said, python_tool, said};
use onetap_support::pty::{Start, Terminal};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const LIMIT: Duration = Duration::from_secs(60);

struct Bench {
    aws: Aws,
    home: Home,
}

fn bench(touch: &str) -> Bench {
    let doug = User::doug().policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::of_doug(BINARY, &aws, &doug, touch);
    let runtime = home.path("run");
    fs::create_dir(&runtime).unwrap();
    home.set("XDG_RUNTIME_DIR", &runtime);
    Bench { aws, home }
}

impl Bench {
    fn exec(&self, options: &[&str], command: &[&str]) -> Said {
        self.home.run(&[&["exec", "doug"], options, &["--"], command].concat())
    }

    /// The folders of children that are there now.
    fn overlays(&self) -> Vec<PathBuf> {
        fs::read_dir(self.home.path("run")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn counts(&self) -> (usize, usize) {
        (self.home.touches(), self.aws.count("GetSessionToken"))
    }
}

fn until(what: &str, reached: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !reached() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// One request as its arguments say, printed as status and body.
const ASK: &str = r#"
import http.client, os, sys, urllib.parse
url = urllib.parse.urlparse(os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI'])
method, path, token, host = sys.argv[1:5]
c = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
c.putrequest(method, path, skip_host=True)
if host: c.putheader('Host', host.replace('PORT', str(url.port)))
if token: c.putheader('Authorization', token.replace('TOKEN', os.environ['AWS_CONTAINER_AUTHORIZATION_TOKEN']))
c.endheaders()
r = c.getresponse()
print(r.status, r.read().decode())
"#;

#[test]
fn the_endpoint_answers_its_child_and_nobody_else() {
    let bench = bench("");
    let cases = [
        (["GET", "/", "TOKEN", "127.0.0.1:PORT"], 200),
        (["GET", "/", "TOKEN", "localhost:PORT"], 200),
        (["GET", "/", "", "127.0.0.1:PORT"], 401),
        (["GET", "/", "TOKENx", "127.0.0.1:PORT"], 401),
        (["GET", "/", "Bearer TOKEN", "127.0.0.1:PORT"], 401),
        (["GET", "/", "0", "127.0.0.1:PORT"], 401),
        (["GET", "/", "TOKEN", ""], 400),
        (["GET", "/", "TOKEN", "evil.example:PORT"], 403),
        (["GET", "/", "TOKEN", "127.0.0.1"], 403),
        (["GET", "/x", "TOKEN", "127.0.0.1:PORT"], 404),
        (["POST", "/", "TOKEN", "127.0.0.1:PORT"], 405),
    ];
    for (arguments, status) in cases {
        let command = [&["/usr/bin/python3", "-c", ASK][..], &arguments].concat();
        let answer = bench.exec(&["--refresh"], &command);
        assert_eq!(answer.status, 0, "{}", answer.stderr);
        let (code, body) = answer.stdout.split_once(' ').unwrap();
        // hyper itself refuses a request without a host.
        let expected: &[i32] = if status == 400 { &[400, 403] } else { &[status] };
        assert!(expected.contains(&code.parse().unwrap()), "{arguments:?}: {}", answer.stdout);
        assert_eq!(body.contains("\"AccessKeyId\":\"ASIA"), status == 200, "{arguments:?}: {body}");
        assert_eq!(body.contains("SecretAccessKey"), status == 200, "{arguments:?}: {body}");
    }
    assert_eq!(bench.counts(), (1, 1));
    // Another user, with everything that the child knows.
    let other = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let command =
        [&other[..], &["/usr/bin/python3", "-c", ASK, "GET", "/", "TOKEN", "127.0.0.1:PORT"]].concat();
    let answer = bench.exec(&["--refresh"], &command);
    assert_eq!(answer.status, 0, "this test needs root, to become another user: {}", answer.stderr);
    assert_eq!(answer.stdout, "403 {\"code\":\"Forbidden\",\"message\":\"this is another user's\"}\n");
}

#[test]
fn the_child_gets_an_address_instead_of_keys_and_knows_nothing_of_a_terminal() {
    let bench = bench("");
    let answer = bench.exec(&["--refresh"], &["env"]);
    assert_eq!((answer.status, answer.stderr.lines().count()), (0, 1), "{}", answer.stderr);
    let has = |name: &str| answer.stdout.lines().any(|line| line.starts_with(name));
    assert!(has("AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:"), "{}", answer.stdout);
    assert!(
        has("AWS_CONTAINER_AUTHORIZATION_TOKEN=")
            && has("AWS_REGION=eu-west-1")
            && has("ONETAP_PROFILE=doug")
    );
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_CONFIG_FILE"] {
        assert!(!has(name), "{name} is there: {}", answer.stdout);
    }
}

#[test]
fn thousands_of_requests_mint_nothing() {
    let bench = bench("");
    // Two clients keep their connection, two make one for each request.
    let script = r#"
import collections, http.client, os, threading, urllib.parse
url = urllib.parse.urlparse(os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI'])
head = {'Authorization': os.environ['AWS_CONTAINER_AUTHORIZATION_TOKEN']}
seen = collections.Counter()
def ask(fresh):
    c = None
    for n in range(1000):
        if c is None or fresh: c = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
        c.request('GET', '/', headers=head)
        r = c.getresponse(); body = r.read()
        seen.update([(r.status, body)])
        if fresh: c.close()
threads = [threading.Thread(target=ask, args=(n % 2 == 0,)) for n in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
[(answer, times)] = seen.items(); print(answer[0], times)
"#;
    let answer = bench.exec(&["--refresh"], &["/usr/bin/python3", "-c", script]);
    assert_eq!((answer.status, answer.stdout.as_str()), (0, "200 4000\n"), "{}", answer.stderr);
    assert_eq!(bench.counts(), (1, 1));
}

/// Containers' seccomp often refuses netlink: then the kernel's table of sockets tells whose process asks.
#[test]
fn where_the_kernel_refuses_netlink_another_user_is_kept_out_all_the_same() {
    let bench = bench("");
    assert_eq!(bench.exec(&[], &["true"]).status, 0);
    let (other, own) = (&["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"][..], &[][..]);
    for (user, status) in
        [(own, "200 "), (other, "403 {\"code\":\"Forbidden\",\"message\":\"this is another user's\"}\n")]
    {
        let trace = bench.home.path("trace");
        let answer = said(
            bench
                .home
                .program("strace")
                .args(["-f", "-b", "execve", "-e", "trace=connect", "-e", "inject=connect:error=EPERM", "-o"])
                .arg(&trace)
                .args([BINARY, "exec", "doug", "--refresh", "--"])
                .args(user)
                .args(["/usr/bin/python3", "-c", ASK, "GET", "/", "TOKEN", "127.0.0.1:PORT"]),
        );
        assert!(answer.status == 0 && answer.stdout.starts_with(status), "{answer:?}");
        let refused = fs::read_to_string(trace).unwrap();
        assert_eq!(refused.matches("AF_NETLINK").count(), 1, "{refused}");
        assert_eq!(refused.matches("-1 EPERM (Operation not permitted) (INJECTED)").count(), 1, "{refused}");
    }
    assert_eq!(bench.counts(), (1, 1));
}

/// Asks with boto3 until another key comes, and prints how many there were.
const UNTIL_RENEWED: &str = r#"
import sys, threading, time, botocore.session
first = botocore.session.Session().get_credentials().get_frozen_credentials().access_key
seen, end = {first}, time.monotonic() + 90
def ask():
    while len(seen) < 2 and time.monotonic() < end:
        seen.add(botocore.session.Session().get_credentials().get_frozen_credentials().access_key)
        time.sleep(0.05)
threads = [threading.Thread(target=ask) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
print(len(seen))
"#;

#[test]
fn a_session_that_ends_under_the_child_costs_one_more_touch() {
    let bench = bench("fault touch-after 300");
    bench.aws.shorten_sessions(Duration::from_secs(40));
    let python = python_tool("python");
    let answer = bench.exec(&["--refresh"], &[python.to_str().unwrap(), "-c", UNTIL_RENEWED]);
    assert_eq!((answer.status, answer.stdout.as_str()), (0, "2\n"), "{}", answer.stderr);
    assert_eq!(answer.stderr.matches("Touch your YubiKey").count(), 2, "{}", answer.stderr);
    assert_eq!(bench.counts(), (2, 2));
}

#[test]
fn boto3_and_the_cli_find_the_endpoint_although_default_has_keys() {
    let bench = bench("");
    let config =
        bench.home.read(".aws/config") + "\n[default]\nregion = eu-west-1\ncredential_process = false\n";
    bench.home.private(".aws/config", &config);
    bench
        .home
        .private(".aws/credentials", "[default]\naws_access_key_id = AKIAWRONG\naws_secret_access_key = w\n");
    let (python, cli) = (python_tool("python"), python_tool("aws"));
    let script = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])";
    for command in [
        vec![python.to_str().unwrap(), "-c", script],
        vec![cli.to_str().unwrap(), "sts", "get-caller-identity", "--query", "Arn", "--output", "text"],
    ] {
        let answer = bench.exec(&["--refresh"], &command);
        assert_eq!(answer.stdout, "arn:aws:iam::123456789012:user/doug\n", "{}", answer.stderr);
    }
    assert_eq!(bench.counts(), (1, 1));
    assert!(bench.overlays().is_empty());
}

#[test]
fn several_profiles_for_one_child_stand_in_copies_that_die_with_it() {
    let bench = bench("");
    let config = bench.home.read(".aws/config")
        + "\n[profile prod]\nsso_session = x\n\n[profile second]\nregion = us-east-1\n\
           mfa_serial = arn:aws:iam::123456789012:mfa/doug\n";
    bench.home.private(".aws/config", &config);
    let credentials = "[prod]\naws_access_key_id = AKIAWRONG\naws_secret_access_key = w\n[z]\nregion = a\n";
    bench.home.private(".aws/credentials", credentials);
    let role = "arn:aws:iam::123456789012:role/admin";
    let options = ["--also", "prod=doug", "--also", &format!("admin={role}")];
    let shown = "stat -c '%a %n' \"$AWS_CONFIG_FILE\" \"$AWS_SHARED_CREDENTIALS_FILE\" \"${AWS_CONFIG_FILE%/*}\"\n\
                 cat \"$AWS_CONFIG_FILE\"; echo ---; cat \"$AWS_SHARED_CREDENTIALS_FILE\"";
    let answer = bench.exec(&options, &["sh", "-c", shown]);
    assert_eq!(answer.status, 0, "{}", answer.stderr);
    let lines = answer.stdout.lines().collect::<Vec<_>>();
    for (line, start) in lines.iter().zip(["600 ", "600 ", "700 "]) {
        assert!(line.starts_with(start) && line.contains("/run/onetap-exec-"), "{lines:?}");
    }
    let text = &answer.stdout;
    assert!(
        text.contains("[profile prod]\ncredential_process = ") && !text.contains("sso_session"),
        "{text}"
    );
    assert!(text.contains(&format!("[profile admin]\nrole_arn = {role}\nsource_profile = doug\n")), "{text}");
    assert!(text.ends_with("---\n[z]\nregion = a\n"), "{text}");
    assert_eq!(bench.home.read(".aws/config"), config);
    assert_eq!(bench.home.read(".aws/credentials"), credentials);
    assert!(bench.overlays().is_empty(), "the copies died with the child");

    let python = python_tool("python");
    let script = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'], \
                  boto3.Session(profile_name='prod').client('sts').get_caller_identity()['Arn'])";
    let answer = bench.exec(&options[..2], &[python.to_str().unwrap(), "-c", script]);
    let arn = "arn:aws:iam::123456789012:user/doug";
    assert_eq!(answer.stdout, format!("{arn} {arn}\n"), "{}", answer.stderr);
    assert_eq!(bench.counts(), (1, 1));

    for (also, words) in [
        ("prod", "NAME=PROFILE"),
        ("prod=", "may be empty"),
        ("prod=arn:aws:iam::123456789012:user/x", "not a role's"),
        ("prod=nobody", "there is no profile \"nobody\""),
        ("doug=second", "the child's own profile"),
        ("a b=doug", "cannot be the name of a section"),
    ] {
        let refused = bench.exec(&["--also", also], &["true"]);
        assert_eq!(refused.status, 125, "{also}");
        assert!(refused.stderr.contains(words), "{also}: {}", refused.stderr);
    }
    assert!(bench.overlays().is_empty());
}

#[test]
fn profile_env_lets_the_child_ask_for_itself() {
    let bench = bench("");
    let cli = python_tool("aws");
    let shown = format!(
        "echo $$; echo $PPID; echo $AWS_PROFILE ${{AWS_ACCESS_KEY_ID-none}} ${{AWS_CONFIG_FILE-none}}; {} sts get-caller-identity --query Arn --output text",
        cli.display()
    );
    let run = || {
        let mut command = bench.home.onetap(&["exec", "doug", "--profile-env", "--", "sh", "-c", &shown]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = child.id().to_string();
        let answer = Said::from(child.wait_with_output().unwrap());
        assert_eq!(answer.status, 0, "{}", answer.stderr);
        let lines = answer.stdout.lines().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(lines[3], "arn:aws:iam::123456789012:user/doug");
        (pid, lines)
    };
    let (pid, lines) = run();
    assert_eq!(lines[1], pid, "onetap stays, for the copies");
    assert!(lines[2].starts_with("doug none /") && lines[2].contains("/run/onetap-exec-"), "{lines:?}");
    assert!(bench.overlays().is_empty());

    let line = format!("credential_process = {BINARY} credential-process doug\n");
    bench.home.private(
        ".aws/config",
        &bench.home.read(".aws/config").replace("mfa_serial", &format!("{line}mfa_serial")),
    );
    let (pid, lines) = run();
    assert_eq!(
        (&lines[0], lines[2].as_str()),
        (&pid, "doug none none"),
        "nothing stays where nothing is needed"
    );
    assert_eq!(bench.counts(), (1, 1));
}

#[test]
fn a_killed_parent_takes_the_child_along_and_the_next_run_sweeps() {
    let bench = bench("");
    let mut command = bench.home.onetap(&[
        "exec",
        "doug",
        "--profile-env",
        "--",
        "sh",
        "-c",
        "echo $$ > pid; exec sleep 600",
    ]);
    let mut parent = command.spawn().unwrap();
    until("the child runs", || bench.home.read("pid").ends_with('\n'));
    let child = PathBuf::from(format!("/proc/{}", bench.home.read("pid").trim()));
    assert!(child.exists() && bench.overlays().len() == 1);
    assert_eq!(bench.exec(&["--profile-env"], &["true"]).status, 0);
    assert_eq!(bench.overlays().len(), 1, "a living one's folder is not swept");
    parent.kill().unwrap();
    parent.wait().unwrap();
    let gone = || fs::read_to_string(child.join("stat")).map_or(true, |stat| stat.contains(") Z "));
    until("the child is gone", gone);
    assert_eq!(bench.overlays().len(), 1);
    assert_eq!(bench.exec(&["--profile-env"], &["true"]).status, 0);
    assert!(bench.overlays().is_empty());
    assert_eq!(fs::metadata(bench.home.path("run")).unwrap().permissions().mode() & 0o777, 0o755);
}

#[test]
fn without_a_runtime_folder_the_copies_lie_in_the_temporary_one() {
    let mut bench = bench("");
    bench.home.unset("XDG_RUNTIME_DIR");
    let folder = bench.home.path("run");
    bench.home.set("TMPDIR", &folder);
    let answer = bench
        .exec(&["--profile-env"], &["sh", "-c", "stat -c %a ${AWS_CONFIG_FILE%/*}; echo $AWS_CONFIG_FILE"]);
    let start = format!("700\n{}/onetap-exec-", folder.display());
    assert!(answer.status == 0 && answer.stdout.starts_with(&start), "{answer:?}");
    assert!(bench.overlays().is_empty());
}

#[test]
fn exit_codes_and_signals_are_the_childs_own() {
    let bench = bench("");
    assert_eq!(bench.exec(&["--refresh"], &["sh", "-c", "exit 42"]).status, 42);
    assert_eq!(bench.exec(&["--refresh"], &["sh", "-c", "kill -KILL $$"]).status, 137);
    assert_eq!(bench.exec(&["--refresh"], &["sh", "-c", "kill -TERM $$"]).status, 143);
    assert_eq!(bench.exec(&["--refresh"], &["no-such-command"]).status, 127);
    assert_eq!(bench.exec(&["--refresh"], &["/etc/passwd"]).status, 126);
    assert_eq!(bench.exec(&["--refresh"], &["sh", "-c", "echo $0"]).stdout, "sh\n");
    for (signal, status) in [("TERM", 3), ("HUP", 4), ("USR1", 5), ("USR2", 6), ("INT", 7), ("QUIT", 8)] {
        let script = "trap 'exit 3' TERM; trap 'exit 4' HUP; trap 'exit 5' USR1; trap 'exit 6' USR2; trap 'exit 7' INT; \
                      trap 'exit 8' QUIT; echo; while :; do read x; done";
        let mut command = bench.home.onetap(&["exec", "doug", "--refresh", "--", "bash", "-c", script]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Read::read_exact(&mut child.stdout.take().unwrap(), &mut [0]).unwrap();
        // The thread beside the child says nothing when it is ready; a signal caught is one the kernel lists.
        let caught = || {
            let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).unwrap().to_owned();
            u64::from_str_radix(&line, 16).unwrap() & 0x4a07 == 0x4a07 // HUP, INT, QUIT, USR1, USR2, TERM
        };
        until("the signals are passed on", caught);
        assert_eq!(
            said(bench.home.program("kill").args([&format!("-{signal}"), &child.id().to_string()])).status,
            0
        );
        assert_eq!(child.wait().unwrap().code(), Some(status), "{signal}");
    }
    // What was ignored stays ignored.
    let nohup = bench
        .home
        .program("sh")
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh", BINARY, "exec", "doug", "--refresh", "--"])
        .args(["sh", "-c", "kill -HUP $$; echo alive"])
        .output()
        .unwrap();
    assert_eq!(Said::from(nohup).stdout, "alive\n");
}

/// A shell on a terminal, with job control.
fn shell(bench: &Bench) -> Terminal {
    let start =
        Start::new("/bin/bash").args(["--norc", "--noprofile", "-i"]).env_clear().envs(bench.home.env());
    let start = start.env("PS1", "outer> ").env("TERM", "xterm").folder(bench.home.path(""));
    let mut terminal = start.spawn().unwrap();
    terminal.wait_for("outer> ", LIMIT).unwrap();
    terminal
}

#[test]
fn at_a_terminal_ctrl_c_ctrl_z_and_a_new_size_are_the_childs() {
    let bench = bench("");
    assert_eq!(bench.exec(&[], &["true"]).status, 0);
    let mut terminal = shell(&bench);
    // Not dash, which forks by vfork: a Ctrl-Z between that and the exec stops nobody whom a shell would see.
    let run = |command: &str| format!("{BINARY} exec doug --refresh -- {command}\r");
    terminal.send(&run("bash -c 'echo run\"\"ning; sleep 600; :'")).unwrap();
    terminal.wait_for("running", LIMIT).unwrap();
    terminal.send("\x1a").unwrap();
    terminal.wait_for("Stopped", LIMIT).unwrap();
    terminal.send("jobs -s | wc -l; fg\r").unwrap();
    terminal.wait_for("1\n", LIMIT).unwrap();
    terminal.wait_for("sleep 600", LIMIT).unwrap();
    // The shell names the job before it gives it the terminal.
    let interrupted = (0..20).any(|_| {
        terminal.send("\x03").unwrap();
        terminal.wait_for("outer> ", Duration::from_secs(3)).is_ok()
    });
    assert!(interrupted, "{}", terminal.text());
    terminal.send("echo st=$?.; jobs | wc -l\r").unwrap();
    terminal.wait_for("st=130.", LIMIT).unwrap();
    terminal.wait_for("0\n", LIMIT).unwrap();

    // A shell in the shell, which has groups of its own.
    terminal.send(&run("env PS1='inner> ' bash --norc --noprofile -i")).unwrap();
    terminal.wait_for("--noprofile -i\n", LIMIT).unwrap();
    terminal.wait_for("inner> ", LIMIT).unwrap();
    terminal.send("bash -c 'echo sl\"\"eeping; sleep 600; :'\r").unwrap();
    terminal.wait_for("sleeping", LIMIT).unwrap();
    terminal.send("\x1a").unwrap();
    terminal.wait_for("Stopped", LIMIT).unwrap();
    terminal.send("kill %1; wait; echo a\"\"live\r").unwrap();
    terminal.wait_for("alive", LIMIT).unwrap();
    terminal.resize(31, 97).unwrap();
    terminal.send("stty size\r").unwrap();
    terminal.wait_for("31 97", LIMIT).unwrap();
    // readline may take the next character for its own after a Ctrl-C: an empty line gives it one.
    let echoed = (0..20).any(|_| {
        terminal.send("\x03").unwrap();
        terminal.send("\recho still\"\"here\r").unwrap();
        terminal.wait_for("stillhere", Duration::from_secs(3)).is_ok()
    });
    assert!(echoed, "{}", terminal.text());
    terminal.send("suspend\r").unwrap();
    terminal.wait_for("Stopped", LIMIT).unwrap();
    terminal.wait_for("outer> ", LIMIT).unwrap();
    terminal.send("fg\r").unwrap();
    terminal.wait_for("inner> ", LIMIT).unwrap();
    terminal.send("exit 9\r").unwrap();
    terminal.wait_for("outer> ", LIMIT).unwrap();
    terminal.send("echo st=$?.; exit 4\r").unwrap();
    terminal.wait_for("st=9.", LIMIT).unwrap();
    assert_eq!(terminal.finish(LIMIT).unwrap().status.code(), Some(4));
}

#[test]
fn one_profile_runs_inside_another() {
    let bench = bench("");
    let twin = bench.home.read(".aws/config").replace("[profile doug]", "[profile twin]");
    bench.home.private(".aws/config", &format!("{}\n{twin}", bench.home.read(".aws/config")));
    for (outer, inner) in
        [("--refresh", "--refresh"), ("--refresh", "--profile-env"), ("--profile-env", "--refresh")]
    {
        let line =
            [BINARY, "exec", "doug", inner, "--", "sh", "-c", "echo $ONETAP_PROFILE ${AWS_PROFILE-none}"];
        let answer = bench.exec(&[outer], &line);
        assert_eq!(
            answer.stdout,
            format!("doug {}\n", if inner == "--refresh" { "none" } else { "doug" }),
            "{}",
            answer.stderr
        );
    }
    assert_eq!(bench.counts(), (1, 1));
}

/// The descriptors that a program has, but for the folder that `ls` reads.
const DESCRIPTORS: &str = "echo fds: $(ls /proc/self/fd).";

#[test]
fn the_child_inherits_what_onetap_was_given_and_no_descriptor_of_ours() {
    for options in [&[][..], &["--refresh"], &["--also", "prod=doug"], &["--profile-env"]] {
        let mut bench = bench("fault touch-after 2000");
        let own = ["sh", "-c", DESCRIPTORS];
        let onetap = [&["exec", "doug"][..], options, &["--"], &own].concat();
        let on_a_terminal = |program: &str, arguments: &[&str]| {
            let start = Start::new(program).args(arguments).env_clear().envs(bench.home.env());
            let finished = start.folder(bench.home.path("")).spawn().unwrap().finish(LIMIT).unwrap();
            assert!(finished.status.success(), "{}", finished.terminal);
            finished.terminal
        };
        let last = |text: &str| text[text.rfind("fds: ").unwrap()..].to_owned();

        // Cold, with a terminal, a touch and a request; then cached, without a terminal.
        let alone = on_a_terminal("/bin/sh", &own[1..]);
        assert!(alone.starts_with("fds: 0 1 "), "{alone}");
        let cold = on_a_terminal(BINARY, &onetap);
        assert!(cold.contains("Touch your YubiKey"), "{cold}");
        assert_eq!(last(&cold), last(&alone), "{options:?}");
        let alone = said(bench.home.program("sh").args(&own[1..])).stdout;
        assert_eq!(bench.home.run(&onetap).stdout, alone, "{options:?}");

        // The passphrase's own is handed on, as docs/SCRIPTS.md says, for an onetap in the child.
        bench.home.unset("ONETAP_VAULT_PASSPHRASE_FILE");
        bench.home.set("ONETAP_VAULT_PASSPHRASE_FD", "7");
        let given = |command: &[&str]| {
            let script = ["-c", "exec 7< passphrase; exec \"$@\"", "sh"];
            said(bench.home.program("sh").args(script).args(command)).stdout
        };
        let alone = given(&own);
        assert!(alone.contains(" 7"), "{alone}");
        assert_eq!(given(&[&[BINARY], &onetap[..]].concat()), alone, "{options:?}");
        assert_eq!(bench.counts(), (1, 1));
    }
}
