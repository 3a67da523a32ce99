//! The vault as its owner handles it: moved, killed in the middle, opened by a descriptor, asked for in time.
//!
//! A long round (`ONETAP_TEST_ALL=1`) kills at every system call that can change a file or reach the keychain.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use onetap_support::aws::{Aws, User, World};
use onetap_support::home::{Home, Said, said};
use onetap_support::pty::{ENTER, Start};
use onetap_support::secret_service::{Collection, SecretService};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const LIMIT: Duration = Duration::from_secs(60);
const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

struct Bench {
    _aws: Aws,
    home: Home,
    doug: User,
}

fn bench() -> Bench {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    Bench { _aws: aws, home, doug }
}

fn service() -> SecretService {
    SecretService::start(Collection::Unlocked).expect("this test needs dbus and gnome-keyring")
}

impl Bench {
    /// From now on the record decides, and this service's keychain is there.
    fn with(&mut self, service: &SecretService) {
        self.home.unset("ONETAP_VAULT");
        for (name, value) in service.env().into_iter().filter(|(name, _)| *name == "DBUS_SESSION_BUS_ADDRESS")
        {
            self.home.set(name, value);
        }
    }

    fn moved(&self, to: &str) -> Said {
        self.home.run(&["vault", "move", "--to", to])
    }

    /// Doug's key still serves a new session.
    fn serves(&self) {
        assert_eq!(self.home.run(&["clear"]).status, 0);
        let served = self.home.run(&["code", "doug"]);
        assert_eq!(served.status, 0, "{}", served.stderr);
        let removed = self.home.run(&["exec", "doug", "--", "true"]);
        assert_eq!(removed.status, 0, "{}", removed.stderr);
    }

    fn record(&self) -> String {
        self.home.read(".config/onetap/config")
    }

    fn file(&self) -> bool {
        self.home.path(".local/state/onetap/vault.age").exists()
    }
}

#[test]
fn secrets_move_to_the_keychain_and_back_and_serve_everywhere() {
    let service = service();
    let mut bench = bench();
    bench.with(&service);
    assert_eq!(bench.home.run(&["exec", "doug", "--", "true"]).status, 0);

    let there = bench.moved("keychain");
    let expected = "Secrets rest in the keychain now. 2 entries removed from the vault file.\n";
    assert_eq!((there.status, there.stdout.as_str(), there.stderr.as_str()), (0, expected, ""));
    assert_eq!((bench.record().as_str(), bench.file()), ("vault = keychain\n", false));
    let kept = bench.home.run(&["exec", "doug", "--", "true"]);
    assert_eq!((kept.status, kept.stderr.as_str()), (0, ""), "the session stayed");
    bench.serves();
    let again = bench.moved("keychain");
    assert_eq!((again.status, again.stdout.as_str()), (0, "Secrets rest in the keychain already.\n"));

    let back = bench.moved("file");
    let expected = "Secrets rest in the vault file now. 2 entries removed from the keychain.\n";
    assert_eq!((back.status, back.stdout.as_str(), back.stderr.as_str()), (0, expected, ""));
    assert_eq!((bench.record().as_str(), bench.file()), ("vault = file\n", true));
    drop(service);
    bench.serves();
}

#[test]
fn a_move_that_cannot_be_made_changes_nothing_and_says_why() {
    let mut bench = bench();
    let service = SecretService::bus_only().expect("this test needs dbus");
    bench.with(&service);
    let refused = bench.moved("keychain");
    assert_eq!((refused.status, refused.stdout.as_str()), (4, ""));
    assert!(refused.stderr.starts_with("onetap: no keychain can be reached: "), "{}", refused.stderr);
    assert_eq!((bench.record().as_str(), bench.file()), ("vault = file\n", true));
    bench.serves();

    let wrong = bench.home.private("wrong", "another passphrase\n");
    let refused = said(
        bench.home.onetap(&["vault", "move", "--to", "keychain"]).env("ONETAP_VAULT_PASSPHRASE_FILE", wrong),
    );
    assert_eq!(refused.status, 4);
    assert!(refused.stderr.contains("the passphrase does not open"), "{}", refused.stderr);

    let empty = Home::new(BINARY);
    let refused = empty.run(&["vault", "move", "--to", "keychain"]);
    assert_eq!(refused.status, 2);
    assert!(refused.stderr.contains("nothing is stored yet"), "{}", refused.stderr);
}

/// Runs a command that is killed when it makes the `n`th of these system calls; true if it never came to it.
fn killed_at(home: &Home, arguments: &[&str], calls: &str, n: usize, stdin: &str) -> bool {
    let input = home.private("input", stdin);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
    command.args(["-e", &format!("inject={calls}:signal=KILL:when={n}")]);
    command.arg(BINARY).args(arguments).env_clear().envs(home.env()).current_dir(home.path(""));
    command.stdin(fs::File::open(input).unwrap()).stdout(Stdio::null()).stderr(Stdio::piped());
    let output = command.output().expect("strace is needed here (Debian: apt-get install strace)");
    let killed = output.status.signal() == Some(9) || output.status.code() == Some(137);
    assert!(killed || output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    !killed
}

/// All that can change a file or its name, whatever the file system's library calls are named.
const CHANGING: &str =
    "openat,mkdir,write,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,fchmod,fchown,ftruncate";

/// The steps of a round: each place where it can be killed, or some of them.
fn places(usual: usize) -> impl Iterator<Item = usize> {
    let step = if std::env::var_os("ONETAP_TEST_ALL").is_some() { 1 } else { usual };
    (1..).step_by(step)
}

#[test]
fn a_writer_killed_anywhere_leaves_the_old_or_the_new_content() {
    let bench = bench();
    let home = &bench.home;
    let vault = home.path(".local/state/onetap/vault.age");
    let before = fs::read(&vault).unwrap();
    let (mut old, mut new) = (0, 0);
    for n in places(2) {
        fs::write(&vault, &before).unwrap();
        let through = killed_at(home, &["seed", "add", "doug", "--stdin"], CHANGING, n, SEED);
        let forgotten = home.run(&["seed", "remove", "doug"]);
        match forgotten.status {
            0 => new += 1,
            _ => {
                assert!(forgotten.stderr.contains("no TOTP seed is stored"), "{n}: {}", forgotten.stderr);
                old += 1;
                assert!(!through, "it ended and wrote nothing");
            }
        }
        if through {
            break;
        }
    }
    assert!(old > 3 && new > 0, "{old} times the old content, {new} times the new");
    // What the killed ones left beside it is sealed or empty: the home is looked through when it goes.
    let left = fs::read_dir(vault.parent().unwrap()).unwrap().flatten();
    assert!(left.filter(|file| file.file_name().to_string_lossy().starts_with(".onetap-")).count() <= old);
    bench.serves();
}

#[test]
fn a_move_killed_anywhere_loses_nothing_and_is_finished_by_another() {
    let calls = format!("{CHANGING},sendmsg,sendto");
    for (from, to) in [("file", "keychain"), ("keychain", "file")] {
        let mut finished = false;
        for n in places(9) {
            let service = service();
            let mut bench = bench();
            bench.with(&service);
            if from == "keychain" {
                assert_eq!(bench.moved("keychain").status, 0);
            }
            finished = killed_at(&bench.home, &["vault", "move", "--to", to], &calls, n, "");
            // Whatever the record says now, the key is where it says.
            let code = bench.home.run(&["add", "other", "--from-env", "--offline"]);
            assert_ne!(code.status, 4, "{from} to {to}, killed at {n}: {}", code.stderr);
            let served = bench.home.run(&["exec", "doug", "--", "true"]);
            assert_eq!(served.status, 0, "{from} to {to}, killed at {n}: {}", served.stderr);
            let again = bench.moved(to);
            assert_eq!(again.status, 0, "{from} to {to}, killed at {n}: {}", again.stderr);
            assert_eq!(bench.record(), format!("vault = {to}\n"));
            assert_eq!(bench.file(), to == "file", "{from} to {to}, killed at {n}");
            let removed = bench.home.run(&["remove", "doug"]);
            assert!(removed.stdout.contains(&bench.doug.access_key_id), "{}", removed.stderr);
            if finished {
                break;
            }
        }
        assert!(finished);
    }
}

#[test]
fn the_passphrase_comes_through_a_descriptor_and_through_it_alone() {
    let mut bench = bench();
    bench.home.unset("ONETAP_VAULT_PASSPHRASE_FILE");
    let run = |word: &str, number: &str| {
        let script = "printf '%s\\n' \"$WORD\" | { exec 7<&0 </dev/null; exec \"$@\"; }";
        let mut command = bench.home.program("sh");
        command.args(["-c", script, "sh", BINARY, "exec", "doug", "--", "true"]);
        said(command.env("WORD", word).env("ONETAP_VAULT_PASSPHRASE_FD", number))
    };
    let served = run("correct horse battery staple", "7");
    assert_eq!(served.status, 0, "{}", served.stderr);
    assert_eq!(bench.home.run(&["clear"]).status, 0, "the sealing key is at hand, so that nobody is asked");
    let wrong = run("wrong", "7");
    assert!(wrong.stderr.contains("the passphrase does not open"), "{}", wrong.stderr);
    let closed = run("correct horse battery staple", "9");
    assert!(
        closed.stderr.contains("the passphrase cannot be read from the file descriptor 9"),
        "{}",
        closed.stderr
    );
    let empty = run("", "7");
    assert!(empty.stderr.contains("the file descriptor 7 holds no passphrase"), "{}", empty.stderr);
    let strange = run("x", "seven");
    assert!(strange.stderr.contains("ONETAP_VAULT_PASSPHRASE_FD is \"seven\""), "{}", strange.stderr);

    // A pipe into which nobody writes is not waited for for ever.
    let script = "sleep 30 | { exec 7<&0 </dev/null; exec \"$@\"; }";
    let mut command = bench.home.program("sh");
    let began = Instant::now();
    command.args(["-c", script, "sh", BINARY, "--timeout", "1", "seed", "remove", "doug"]);
    let mut child = command.env("ONETAP_VAULT_PASSPHRASE_FD", "7").stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stderr.take().unwrap()), &mut line)
        .unwrap();
    assert!(line.contains("no answer came in time"), "{line}");
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    let _ = child.kill();
    let _ = child.wait();
}

#[test]
fn the_question_for_the_passphrase_ends_with_the_commands_time() {
    let mut bench = bench();
    bench.home.unset("ONETAP_VAULT_PASSPHRASE_FILE");
    let start = Start::new(BINARY).args(["--timeout", "1", "credential-process", "doug"]);
    let mut terminal = start.env_clear().envs(bench.home.env()).spawn().unwrap();
    terminal.wait_for("vault.age: ", LIMIT).unwrap();
    let began = Instant::now();
    let finished = terminal.finish(LIMIT).unwrap();
    assert_eq!(finished.status.code(), Some(6), "{}", finished.terminal);
    assert!(finished.terminal.ends_with("onetap: no answer came in time; run the command again\n"));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let mut terminal = Start::new(BINARY)
        .args(["credential-process", "doug"])
        .env_clear()
        .envs(bench.home.env())
        .stdout(onetap_support::pty::Stream::Pipe)
        .spawn()
        .unwrap();
    terminal.wait_for("vault.age: ", LIMIT).unwrap();
    terminal.send(&format!("correct horse battery staple{ENTER}")).unwrap();
    assert_eq!(terminal.finish(LIMIT).unwrap().status.code(), Some(0));
}

#[test]
fn a_vault_that_others_can_read_or_own_is_refused_with_the_command_that_mends_it() {
    let bench = bench();
    let vault = bench.home.path(".local/state/onetap/vault.age");
    let chmod = |mode: &str| {
        assert!(Command::new("chmod").arg(mode).arg(&vault).status().unwrap().success());
    };
    for mode in ["640", "604", "660"] {
        chmod(mode);
        let refused = bench.home.run(&["exec", "doug", "--", "true"]);
        assert_eq!(refused.status, 125);
        let path = vault.display();
        let line = format!("onetap: the vault {path} is open to others; run `chmod 600 {path}`\n");
        assert_eq!(refused.stderr, line);
    }
    chmod("600");
    assert_eq!(bench.home.run(&["exec", "doug", "--", "true"]).status, 0);
}
