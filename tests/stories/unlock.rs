//! A locked keychain and its unlock window: asked for once, however many wait; closed, it is not opened again.
//!
//! gnome-keyring is real, and so is the way in which it asks; the person at the window is `onetap_support::prompter`.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use onetap::vault::kernel;
use onetap_support::aws::{Aws, User, World};
use onetap_support::home::{Home, Said};
use onetap_support::prompter::Prompter;
use onetap_support::secret_service::{Collection, SecretService};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const LIMIT: Duration = Duration::from_secs(60);
const DISMISSED: &str = "onetap: the keychain's unlock window was closed without its password; run the command again and unlock the keychain";

fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !reached() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

struct Bench {
    // In the order in which they are to end.
    prompter: Prompter,
    service: SecretService,
    aws: Aws,
    home: Home,
}

/// Doug's key in a keychain that is locked, and nothing kept.
fn bench() -> Bench {
    let service =
        SecretService::start(Collection::Unlocked).expect("this story needs dbus and gnome-keyring");
    let prompter = Prompter::start(&service).unwrap();
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::new(BINARY);
    home.set("AWS_ENDPOINT_URL", aws.endpoint());
    home.set("ONETAP_VAULT", "keychain");
    home.set("DISPLAY", ":99");
    for (name, value) in service.env().into_iter().filter(|(name, _)| *name == "DBUS_SESSION_BUS_ADDRESS") {
        home.set(name, value);
    }
    let device = &doug.devices[0];
    let uri = onetap_support::home::uri(&device.serial, &device.seed_base32, true);
    home.token(&format!("{uri}\nfault touch-after 100"));
    // The desktop's notices have nobody to go to here.
    home.set("ONETAP_READER", format!("mock:{}", home.path("token").display()));
    assert_eq!(home.add(&doug, &["--mfa-serial", &device.serial, "--region", "eu-west-1"]).status, 0);
    service.lock().unwrap();
    assert!(service.is_locked());
    Bench { prompter, service, aws, home }
}

impl Bench {
    fn start(&self, options: &[&str]) -> Child {
        let mut command = self.home.onetap(&[options, &["credential-process", "doug"]].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn counts(&self) -> (usize, usize, usize) {
        (self.prompter.prompts(), self.home.touches(), self.aws.count("GetSessionToken"))
    }

    /// A session is kept, and the key that opens it is in the keychain only, as after a night.
    fn keep_and_forget_the_key(&mut self) {
        self.prompter.answer().unwrap();
        assert_eq!(self.home.run(&["credential-process", "doug"]).status, 0);
        self.service.lock().unwrap();
        assert!(self.service.is_locked());
        let sealed = fs::read(self.home.path(".cache/onetap/sessions")).unwrap();
        let id = data_encoding::HEXLOWER.encode(&sealed[16..32]);
        assert!(kernel::remove(&format!("onetap:{id}")));
    }
}

/// Waits until all but the one that asks wait for it: those that wait for a turn sleep and look again, on and on, which
/// anybody may count.
fn wait_for_one(children: &[Child]) {
    let mut looks: BTreeMap<u32, (String, usize)> = BTreeMap::new();
    until("all wait for their turn", || {
        for pid in children.iter().map(Child::id) {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let switches = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"));
            let (last, times) = looks.entry(pid).or_default();
            if switches.is_some_and(|now| now != last) {
                *last = switches.unwrap_or_default().to_owned();
                *times += 1;
            }
        }
        looks.values().filter(|(_, times)| *times > 20).count() + 1 >= children.len()
    });
}

fn ended(children: Vec<Child>) -> Vec<Said> {
    children.into_iter().map(|child| Said::from(child.wait_with_output().unwrap())).collect()
}

#[test]
fn twenty_cold_processes_open_one_window_and_cost_one_touch() {
    let mut bench = bench();
    let children: Vec<_> = (0..20).map(|_| bench.start(&[])).collect();
    until("the window is open", || bench.prompter.prompts() == 1);
    wait_for_one(&children);
    bench.prompter.answer().unwrap();
    let answers = ended(children);
    for answer in &answers {
        assert_eq!((answer.status, &answer.stdout), (0, &answers[0].stdout), "{}", answer.stderr);
    }
    assert_eq!(bench.counts(), (1, 1, 1));
}

#[test]
fn twenty_processes_whose_session_is_kept_open_one_window_and_cost_nothing() {
    let mut bench = bench();
    bench.keep_and_forget_the_key();
    bench.prompter.leave().unwrap();
    let before = bench.counts();
    let children: Vec<_> = (0..20).map(|_| bench.start(&[])).collect();
    until("the window is open", || bench.prompter.prompts() == before.0 + 1);
    wait_for_one(&children);
    bench.prompter.answer().unwrap();
    let answers = ended(children);
    for answer in &answers {
        assert_eq!((answer.status, answer.stderr.as_str()), (0, ""), "{}", answer.stderr);
    }
    assert_eq!(bench.counts(), (before.0 + 1, before.1, before.2));
}

#[test]
fn a_window_that_is_closed_is_not_opened_again_for_those_that_wait() {
    for kept in [false, true] {
        let mut bench = bench();
        if kept {
            bench.keep_and_forget_the_key();
            bench.prompter.leave().unwrap();
        }
        let before = bench.counts();
        let children: Vec<_> = (0..20).map(|_| bench.start(&[])).collect();
        until("the window is open", || bench.prompter.prompts() == before.0 + 1);
        wait_for_one(&children);
        bench.prompter.dismiss().unwrap();
        for answer in ended(children) {
            assert_eq!((answer.status, answer.stdout.as_str()), (6, ""), "{}", answer.stderr);
            let lines: Vec<_> =
                answer.stderr.lines().filter(|line| !line.starts_with("onetap: Waiting for ")).collect();
            assert_eq!(lines.len(), 1, "{lines:?}");
            let fact = DISMISSED.split(';').next().unwrap();
            assert!(lines[0].starts_with(fact) && lines[0].contains("; run the command again"), "{lines:?}");
        }
        assert_eq!(bench.counts(), (before.0 + 1, before.1, before.2));
        // Whoever comes later is a person who wants it after all.
        let again = bench.home.run(&["credential-process", "doug"]);
        assert_eq!((again.status, again.stderr.as_str()), (6, format!("{DISMISSED}\n").as_str()));
        assert_eq!(bench.prompter.prompts(), before.0 + 2);
        bench.prompter.answer().unwrap();
        assert_eq!(bench.home.run(&["credential-process", "doug"]).status, 0);
    }
}

#[test]
fn a_window_that_nobody_answers_ends_at_the_limit_and_serves_the_next_time() {
    let mut bench = bench();
    let began = Instant::now();
    let children: Vec<_> = (0..5).map(|_| bench.start(&["--timeout", "3"])).collect();
    for answer in ended(children) {
        assert_eq!((answer.status, answer.stdout.as_str()), (6, ""), "{}", answer.stderr);
        assert!(answer.stderr.ends_with("run the command again\n"), "{}", answer.stderr);
    }
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(bench.counts(), (1, 0, 0));
    bench.prompter.answer().unwrap();
    let answer = bench.home.run(&["credential-process", "doug"]);
    assert_eq!(answer.status, 0, "{}", answer.stderr);
}
