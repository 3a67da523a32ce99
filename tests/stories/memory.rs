//! The memory of a process that stays: once its session is there, no long-term secret may be found in it.
//!
//! Reads the memory of a process that guards itself, which takes root's right to (CAP_SYS_PTRACE). Whoever is not root
//! has that right over a namespace of users that is their own (user_namespaces(7)), and onetap is started in one. Where
//! neither is to be had these stories fail and say so. That the search finds what is there is shown by the session that such a process holds, and by
//! a process that waits for its touch with the keys in its hands.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use onetap_support::aws::{Aws, User, World};
use onetap_support::canary::{self, Kind};
use onetap_support::home::{Home, said};
use onetap_support::pty::Start;
use onetap_support::secret_service::{Collection, SecretService};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const LIMIT: Duration = Duration::from_secs(60);

fn until<T>(what: &str, reached: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = reached() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Beside the canaries that each story has: what becomes of a secret on the way to a signature, and parts of it.
fn plant_parts(doug: &User) {
    let secret = doug.secret_access_key.as_bytes();
    let wide = |text: &[u8]| text.iter().flat_map(|byte| [*byte, 0]).collect::<Vec<_>>();
    let plant = |name: &str, part: &[u8]| canary::here().plant(name, Kind::LongTerm, part);
    plant("half of the secret access key", &secret[..20]);
    plant("the other half", &secret[20..]);
    plant("half of it in UTF-16", &wide(&secret[..20]));
    plant("AWS4 and its beginning", &[b"AWS4", &secret[..12]].concat());
    for device in &doug.devices {
        let seed = device.seed_base32.as_bytes();
        plant("half of a seed", &seed[..seed.len() / 2]);
    }
}

/// Prints what stands in these ranges of a process's memory. Not by `/proc/PID/mem`: where a process guards itself, that
/// file is root's.
const PEEK: &str = r"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.process_vm_readv.restype = ctypes.c_ssize_t
class Range(ctypes.Structure):
    _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]
for words in sys.argv[2:]:
    begin, end = (int(word, 16) for word in words.split('-'))
    bytes = ctypes.create_string_buffer(end - begin)
    here, there = Range(ctypes.addressof(bytes), end - begin), Range(begin, end - begin)
    one = ctypes.c_ulong(1)
    got = libc.process_vm_readv(int(sys.argv[1]), ctypes.byref(here), one, ctypes.byref(there), one, ctypes.c_ulong(0))
    if got != end - begin:
        sys.exit(f'{words}: {got} bytes: {os.strerror(ctypes.get_errno())}')
    sys.stdout.buffer.write(bytes.raw)
";

/// All that a process has in memory, a mapping each with its name.
fn memory(pid: u32) -> Vec<(String, Vec<u8>)> {
    let needs = "this story needs root (CAP_SYS_PTRACE), or `unshare --user`";
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"));
    let maps = maps.unwrap_or_else(|error| panic!("/proc/{pid}/maps: {error}: {needs}"));
    let mut mappings = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, mode) = (words.next().unwrap(), words.next().unwrap());
        let name = words.nth(3).unwrap_or("anonymous");
        // The kernel's own pages cannot be read this way, and the program's text is what stands in its file.
        let kernel = ["[vvar", "[vsyscall]"].iter().any(|kernel| name.starts_with(kernel));
        if mode.starts_with('r') && !kernel && (!name.starts_with('/') || mode.starts_with("rw")) {
            mappings.push((name.to_owned(), range));
        }
    }
    let mut peek = Command::new("/usr/bin/python3");
    peek.args(["-I", "-c", PEEK, &pid.to_string()]).args(mappings.iter().map(|(_, range)| range));
    let read = peek.output().expect("this story needs /usr/bin/python3");
    assert!(read.status.success(), "{}{needs}", String::from_utf8_lossy(&read.stderr));
    let mut rest = read.stdout.as_slice();
    let bound = |hex: &str| usize::from_str_radix(hex, 16).unwrap();
    let mut out = Vec::new();
    for (name, range) in mappings {
        let (begin, end) = range.split_once('-').map(|(begin, end)| (bound(begin), bound(end))).unwrap();
        let (bytes, others) = rest.split_at(end - begin);
        out.push((name, bytes.to_vec()));
        rest = others;
    }
    assert!(out.iter().any(|(name, _)| name == "[heap]") && out.iter().any(|(name, _)| name == "[stack]"));
    out
}

/// Fails if a long-term secret is in the process's memory, or if its session is not, which it holds by right.
fn holds_its_session_only(pid: u32) {
    let (mut found, mut sessions) = (Vec::new(), 0);
    for (name, bytes) in memory(pid) {
        let seen = canary::here().seen(&bytes, Kind::LongTerm);
        sessions += canary::here().seen(&bytes, Kind::Session).len() - seen.len();
        found.extend(seen.into_iter().map(|needle| format!("{needle} in {name}")));
    }
    assert!(sessions > 0, "not even the session is found: the search is no good");
    assert!(found.is_empty(), "{found:#?}");
}

/// Doug with his keys in the file vault.
fn doug(touch: &str) -> (Aws, Home) {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, touch);
    home.lend(".aws");
    plant_parts(&doug);
    (aws, home)
}

/// What is started for onetap with these arguments to run where its memory can be read.
fn readable(arguments: &[&str]) -> Vec<String> {
    let own = ["unshare", "--map-current-user", "--"];
    let root = rustix::process::geteuid().is_root();
    let words = own.iter().take(if root { 0 } else { own.len() }).chain([&BINARY]).chain(arguments);
    words.map(|word| (*word).to_owned()).collect()
}

/// Looks into a process that stays, and ends it.
struct Stayer(Child);

impl Stayer {
    fn start(home: &Home, arguments: &[&str]) -> Self {
        let words = readable(arguments);
        let mut command = home.program(&words[0]); // setsid and unshare become what they start
        command.args(&words[1..]);
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn holds_its_session_only(&self) {
        holds_its_session_only(self.0.id());
    }
}

impl Drop for Stayer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn id_in(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    Some(text.lines().find_map(|line| line.strip_prefix("aws_access_key_id = "))?.to_owned())
}

/// A watch, after its session was made and after it was renewed.
fn watch(home: &Home, options: &[&str]) {
    let file = home.path(".aws/credentials");
    let watch = Stayer::start(home, &[&["write", "doug", "--watch", "--renew"], options].concat());
    let first = until("the first session stands there", || id_in(&file));
    watch.holds_its_session_only();
    until("the second one does", || id_in(&file).filter(|id| *id != first));
    watch.holds_its_session_only();
}

/// Asks for credentials until others come than at first, writes that down, and stays.
const UNTIL_RENEWED: &str = r#"
import http.client, os, json, time, urllib.parse
url = urllib.parse.urlparse(os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI'])
head = {'Authorization': os.environ['AWS_CONTAINER_AUTHORIZATION_TOKEN']}
seen = set()
while len(seen) < 2:
    c = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
    c.request('GET', '/', headers=head)
    r = c.getresponse()
    if r.status == 200: seen.add(json.loads(r.read())['AccessKeyId'])
    open(f'seen-{len(seen)}', 'w').close()
    time.sleep(0.05)
while True: time.sleep(1)
"#;

/// A child with an address, after its first session and after the next.
fn refresh(home: &Home) {
    let child = ["exec", "doug", "--refresh", "--", "/usr/bin/python3", "-c", UNTIL_RENEWED];
    let parent = Stayer::start(home, &child);
    for seen in ["seen-1", "seen-2"] {
        until("the child has its session", || home.path(seen).exists().then_some(()));
        parent.holds_its_session_only();
        fs::remove_file(home.path(seen)).unwrap();
    }
}

#[test]
fn the_search_finds_the_keys_of_a_process_that_waits_for_its_touch() {
    let (_aws, home) = doug("fault touch never");
    let waiting = Stayer::start(&home, &["credential-process", "doug"]);
    until("the token is asked", || (home.touches() > 0).then_some(()));
    let seen = |bytes: &Vec<u8>| canary::here().seen(bytes, Kind::LongTerm);
    let found: Vec<_> = memory(waiting.0.id()).iter().flat_map(|(_, bytes)| seen(bytes)).collect();
    let finds = |words: &str| found.iter().any(|needle| needle.starts_with(words));
    assert!(finds("half of the secret access key") && finds("the passphrase (raw)"), "{found:?}");
}

#[test]
fn a_watch_holds_no_long_term_secret_after_it_has_minted() {
    let (aws, home) = doug("");
    aws.shorten_sessions(Duration::from_secs(8));
    watch(&home, &[]);
}

#[test]
fn a_child_s_address_is_served_without_a_long_term_secret() {
    let (aws, home) = doug("");
    aws.shorten_sessions(Duration::from_secs(40));
    refresh(&home);
}

#[test]
fn neither_holds_one_of_a_secret_service() {
    let service =
        SecretService::start(Collection::Unlocked).expect("this story needs dbus and gnome-keyring");
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::new(BINARY);
    home.lend(".aws");
    home.set("AWS_ENDPOINT_URL", aws.endpoint());
    home.set("ONETAP_VAULT", "keychain");
    for (name, value) in service.env().into_iter().filter(|(name, _)| *name == "DBUS_SESSION_BUS_ADDRESS") {
        home.set(name, value);
    }
    let serial = doug.devices[0].serial.clone();
    home.set("ONETAP_CODE", "software");
    assert_eq!(home.add(&doug, &["--mfa-serial", &serial, "--region", "eu-west-1"]).status, 0);
    let mut seed = home.onetap(&["seed", "add", "doug", "--stdin"]);
    fs::write(home.path("seed"), &doug.devices[0].seed_base32).unwrap();
    assert_eq!(said(seed.stdin(File::open(home.path("seed")).unwrap())).status, 0);
    fs::remove_file(home.path("seed")).unwrap();
    plant_parts(&doug);
    // A code serves once, so that each session waits for the next: a life that covers two steps.
    aws.shorten_sessions(Duration::from_secs(80));
    let parent = Stayer::start(
        &home,
        &["exec", "doug", "--refresh", "--", "sh", "-c", "touch there; exec sleep 1000"],
    );
    until("the child runs", || home.path("there").exists().then_some(()));
    parent.holds_its_session_only();
    let watch = Stayer::start(&home, &["write", "doug", "--watch"]);
    until("the session stands there", || id_in(&home.path(".aws/credentials")));
    watch.holds_its_session_only();
}

#[test]
fn a_passphrase_that_was_typed_is_gone_and_so_are_the_keys_of_several_profiles() {
    let (_aws, mut home) = doug("");
    home.unset("ONETAP_VAULT_PASSPHRASE_FILE");
    let words = ["exec", "doug", "--also", "other=doug", "--", "sh", "-c", "touch there; exec sleep 1000"];
    let words = readable(&words);
    let start = Start::new(&words[0]).args(&words[1..]).env_clear().envs(home.env()).folder(home.path(""));
    let mut terminal = start.spawn().unwrap();
    terminal.wait_for("vault.age: ", LIMIT).unwrap();
    terminal.send("correct horse battery staple\r").unwrap();
    until("the child runs", || home.path("there").exists().then_some(()));
    let pid = terminal.pid();
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    assert_eq!(comm.trim(), "onetap");
    holds_its_session_only(pid);
    terminal.send("\x03").unwrap();
    let finished = terminal.finish(LIMIT).unwrap();
    assert!(!finished.terminal.contains("onetap: "), "{}", finished.terminal);
}

/// A terminal that shows how onetap ended and whether its modes are as before.
fn watched(home: &Home, arguments: &[&str]) -> onetap_support::pty::Terminal {
    // Where the one that was asked is killed, the other gives the terminal back a moment later.
    let script = r#"trap : INT; before=$(stty -g); "$@"; status=$?; tries=0
        until [ "$before" = "$(stty -g)" ] || [ $tries -gt 100 ]; do tries=$((tries + 1)); sleep 0.05; done
        if [ $tries -lt 100 ]; then echo same modes; fi; echo "ended $status""#;
    let all = [&["-c", script, "sh", BINARY], arguments].concat();
    Start::new("/bin/sh").args(all).env_clear().envs(home.env()).folder(home.path("")).spawn().unwrap()
}

/// The onetap that a shell started, and the one that makes its session.
fn both_below(shell: u32) -> (u32, u32) {
    let below = |pid: u32| -> Option<u32> {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        let others = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
        let others = others.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let all = others.chain([children]).collect::<Vec<_>>().join(" ");
        all.split_whitespace().next()?.parse().ok()
    };
    until("both run", || {
        let ours = below(shell)?;
        Some((ours, below(ours)?))
    })
}

fn send(pid: u32, signal: &str) {
    assert!(Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status().unwrap().success());
}

fn gone(pid: u32) {
    until("it is gone", || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
}

const REFRESH: [&str; 5] = ["exec", "doug", "--refresh", "--", "true"];
const WATCH: [&str; 3] = ["write", "doug", "--watch"];

#[test]
fn ctrl_c_and_every_other_end_reach_both_processes_and_the_terminal_is_as_before() {
    let (aws, mut home) = doug("fault touch never");
    let interrupted = "onetap: interrupted\r\nsame modes";
    for (words, signal, status) in [
        (&REFRESH[..], "typed", 125),
        (&REFRESH, "INT", 125),
        (&REFRESH, "TERM", 143),
        (&REFRESH, "KILL", 137),
        (&WATCH, "typed", 0),
        (&WATCH, "INT", 0),
        (&WATCH, "TERM", 0),
    ] {
        let mut terminal = watched(&home, words);
        terminal.wait_for("Touch your YubiKey", LIMIT).unwrap();
        let (ours, other) = both_below(terminal.pid());
        match signal {
            "typed" => terminal.send("\x03").unwrap(),
            signal => send(ours, signal),
        }
        gone(other);
        let finished = terminal.finish(LIMIT).unwrap();
        let (case, text) = (format!("{words:?} {signal}"), finished.terminal.replace('\n', "\r\n"));
        assert!(
            text.ends_with(&format!("ended {status}\r\n")) && text.contains("same modes"),
            "{case}: {text}"
        );
        assert_eq!(text.contains(interrupted), status == 125, "{case}: {text}");
        assert_eq!(text.contains("Nothing was written."), status == 0, "{case}: {text}");
    }
    home.unset("ONETAP_VAULT_PASSPHRASE_FILE");
    for (words, signal) in [(&REFRESH[..], "typed"), (&REFRESH, "TERM"), (&WATCH, "typed"), (&WATCH, "TERM")]
    {
        let mut terminal = watched(&home, words);
        terminal.wait_for("vault.age: ", LIMIT).unwrap();
        terminal.send("correct horse").unwrap();
        let (ours, other) = both_below(terminal.pid());
        match signal {
            "typed" => terminal.send("\x03").unwrap(),
            signal => send(ours, signal),
        }
        gone(other);
        let finished = terminal.finish(LIMIT).unwrap();
        let (case, text) = (format!("{words:?} {signal}"), finished.terminal);
        assert!(!text.contains("correct horse"), "{case}: {text}");
        assert!(text.contains("same modes"), "{case}: {text}");
    }
    assert_eq!(aws.count("GetSessionToken"), 0);
}

#[test]
fn what_the_other_process_is_refused_is_said_once_in_the_same_words() {
    let (aws, home) = doug("fault touch never");
    for (words, status) in [(&REFRESH[..], 125), (&WATCH, 6), (&["credential-process", "doug"], 6)] {
        let answer = home.run(&[&["--timeout", "5"], words].concat());
        assert_eq!((answer.status, answer.stdout.as_str()), (status, ""), "{}", answer.stderr);
        let line = "onetap: the YubiKey was not touched in time; run the command again and touch the key while it blinks";
        assert_eq!(answer.stderr.lines().last(), Some(line), "{words:?}: {}", answer.stderr);
        assert_eq!(answer.stderr.matches("not touched").count(), 1, "{words:?}: {}", answer.stderr);
    }
    for (words, status) in [(&REFRESH[..], 125), (&WATCH, 7)] {
        let answer = home.run(&[&["--no-prompt"], words].concat());
        assert_eq!((answer.status, answer.stdout.as_str()), (status, ""), "{}", answer.stderr);
        assert!(answer.stderr.ends_with(
            "there is nobody to ask: --no-prompt or ONETAP_NO_PROMPT forbids it; run it without\n"
        ));
    }
    assert_eq!(aws.count("GetSessionToken"), 0);
}

#[test]
fn an_auto_device_is_found_out_for_one_that_stays() {
    let (aws, home) = doug("");
    let before = home.read(".aws/config");
    let config =
        before.lines().map(|line| if line.starts_with("mfa_serial") { "mfa_serial = auto" } else { line });
    home.private(".aws/config", &format!("{}\n", config.collect::<Vec<_>>().join("\n")));
    let child = ["exec", "doug", "--refresh", "--", "sh", "-c", "touch there; exec sleep 1000"];
    let parent = Stayer::start(&home, &child);
    until("the child runs", || home.path("there").exists().then_some(()));
    parent.holds_its_session_only();
    assert_eq!((home.touches(), aws.count("GetSessionToken")), (1, 1));
}

#[test]
fn nobody_but_onetap_is_answered_under_the_other_name() {
    use std::os::unix::process::CommandExt as _;
    let (aws, home) = doug("");
    let run = |parent: u32, word: &str| {
        let mut command = Command::new(BINARY);
        command.arg0("onetap: for one that stays").args([&parent.to_string(), word, "doug", "exec", "doug"]);
        said(command.env_clear().envs(home.env()))
    };
    let strange = run(std::process::id(), "anything");
    assert!(strange.stdout.starts_with("{\"Refused\":{") && strange.status == 0, "{strange:?}");
    // Its parent is gone by now: nobody is there to read the session, and none is made.
    let orphan = run(1, "exec");
    assert!(orphan.stdout.starts_with("{\"Refused\":{\"why\":\"interrupted\""), "{orphan:?}");
    assert_eq!(aws.count("GetSessionToken"), 0);
}
