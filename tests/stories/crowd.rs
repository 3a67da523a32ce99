//! Many processes at once, on any mix of profiles: one touch a device, one request a session, whoever dies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use onetap_support::aws::{Aws, Role, User, World, policy};
use onetap_support::home::{Home, Said, said, uri};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const PROFILES: [&str; 5] = ["doug", "anna", "reader", "writer", "auditor"];
/// The machine may be busy with other tests, and all these processes share it.
const LIMIT: Duration = Duration::from_secs(60);

struct Crowd {
    aws: Aws,
    home: Home,
}

impl Crowd {
    /// Two users with a device each, both on one virtual token; three roles, each of which demands MFA.
    fn new(touch: &str) -> Self {
        let (doug, anna) = (User::doug(), User::named("anna"));
        let role = |name: &str, user: &User| Role::named(name).trust(policy::trust_with_mfa(&user.arn()));
        let roles = vec![role("reader", &doug), role("writer", &doug), role("auditor", &anna)];
        let arns: Vec<_> = roles.iter().map(Role::arn).collect();
        let aws = Aws::start(World { roles, ..World::of(doug.clone()).user(anna.clone()) });
        let mut home = Home::of_doug(BINARY, &aws, &doug, touch);
        let serial = &anna.devices[0].serial;
        home.token(&format!(
            "{}{}\n",
            home.read("token") + "\n",
            uri(serial, &anna.devices[0].seed_base32, true)
        ));
        assert_eq!(home.add(&anna, &["--mfa-serial", serial]).status, 0);
        let mut config = home.read(".aws/config");
        for (arn, (name, source)) in
            arns.iter().zip([("reader", "doug"), ("writer", "doug"), ("auditor", "anna")])
        {
            config.push_str(&format!("\n[profile {name}]\nrole_arn = {arn}\nsource_profile = {source}\n"));
        }
        home.private(".aws/config", &config);
        Self { aws, home }
    }

    fn start(&self, profile: &str) -> Child {
        let mut command = self.home.onetap(&["--timeout", "300", "credential-process", profile]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn start_all(&self, count: usize) -> Vec<(&'static str, Child)> {
        PROFILES.into_iter().cycle().take(count).map(|profile| (profile, self.start(profile))).collect()
    }

    /// Who holds or last held each turn, by what they wrote down: the verb's profile and the process.
    fn holders(&self) -> Vec<u32> {
        let Ok(turns) = fs::read_dir(self.home.path(".local/state/onetap/turns")) else { return Vec::new() };
        let pid = |text: String| text.split_once("\"pid\":")?.1.split([',', '}']).next()?.parse().ok();
        turns.flatten().filter_map(|entry| pid(fs::read_to_string(entry.path()).ok()?)).collect()
    }

    fn granted(&self, action: &str) -> usize {
        self.aws.requests().iter().filter(|seen| seen.action == action && seen.outcome == "ok").count()
    }

    /// No code reached AWS twice, and each that did was taken.
    fn codes_are_good(&self, story: &str) {
        let mut used = BTreeSet::new();
        for seen in self.aws.requests().into_iter().filter(|seen| seen.code_given) {
            assert_eq!(seen.outcome, "ok", "{story}");
            assert!(used.insert((seen.serial, seen.code_step)), "{story}: a code was sent twice");
        }
    }
}

/// All that ended well printed the same for the same profile; gives those that did not.
fn same_answers(children: Vec<(&'static str, Child)>, story: &str) -> Vec<Said> {
    let mut answers = BTreeMap::new();
    let mut others = Vec::new();
    for (profile, child) in children {
        let said = Said::from(child.wait_with_output().unwrap());
        if said.status != 0 {
            others.push(said);
            continue;
        }
        assert!(said.stdout.starts_with("{\"Version\":1,\"AccessKeyId\":\"ASIA"), "{story}: {}", said.stdout);
        let first = answers.entry(profile).or_insert_with(|| said.stdout.clone());
        assert_eq!((profile, first.as_str()), (profile, said.stdout.as_str()), "{story}");
    }
    let different: BTreeSet<_> = answers.values().collect();
    assert_eq!(different.len(), answers.len(), "{story}: profiles share no credentials");
    others
}

#[test]
fn two_hundred_processes_over_five_profiles_and_two_devices_cost_two_touches() {
    let crowd = Crowd::new("fault touch-after 1000");
    let began = Instant::now();
    let others = same_answers(crowd.start_all(200), "200");
    eprintln!("200 processes, 5 profiles, 2 devices: {:.1} s", began.elapsed().as_secs_f64());
    assert_eq!(others, []);
    let counts = (crowd.home.touches(), crowd.aws.count("GetSessionToken"), crowd.aws.count("AssumeRole"));
    assert_eq!(counts, (2, 2, 3));
    crowd.codes_are_good("200");
}

#[test]
fn the_first_holder_killed_at_any_point_leaves_nothing_wrong_behind() {
    let (rounds, processes) = if std::env::var_os("ONETAP_TEST_ALL").is_some() { (50, 200) } else { (3, 25) };
    for round in 0..rounds {
        let crowd = Crowd::new("fault touch-after 400");
        let children = crowd.start_all(processes);
        // Anywhere between the start and the last AssumeRole; the machine's own clock is random enough.
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
        let point = Duration::from_millis(u64::from(nanos / 1000 % 3500));
        let story = format!("round {round}, killed after {point:?}");
        let began = Instant::now();
        let mut killed = None;
        while began.elapsed() < LIMIT && killed.is_none() {
            std::thread::yield_now();
            let ours = |pid: &u32| children.iter().any(|(_, child)| child.id() == *pid);
            if began.elapsed() >= point {
                killed = crowd.holders().into_iter().find(ours);
            }
        }
        let pid = killed.unwrap_or_else(|| panic!("{story}: nobody held a turn")).to_string();
        said(crowd.home.program("kill").args(["-KILL", &pid])); // it may have ended by itself
        let others = same_answers(children, &story);
        assert!(others.len() <= 1, "{story}: {others:?}");
        assert!(others.iter().all(|said| said.status == 128 + 9), "{story}: {others:?}");
        // One touch, and one answer of AWS's, may be lost with the process that asked for it.
        let (touches, sessions) = (crowd.home.touches(), crowd.granted("GetSessionToken"));
        let roles = crowd.granted("AssumeRole");
        assert!((2..=3).contains(&touches) && (2..=3).contains(&sessions), "{story}: {touches} {sessions}");
        assert!((3..=4).contains(&roles) && touches + roles <= 6, "{story}: {touches} {roles}");
        assert_eq!(crowd.aws.requests().iter().filter(|seen| seen.outcome != "ok").count(), 0, "{story}");
        crowd.codes_are_good(&story);
        for profile in PROFILES {
            let kept = crowd.home.run(&["credential-process", profile]);
            assert_eq!((kept.status, kept.stderr.as_str()), (0, ""), "{story}: {profile} is kept");
        }
        assert_eq!((crowd.home.touches(), crowd.granted("AssumeRole")), (touches, roles), "{story}");
    }
}

#[test]
fn two_devices_on_one_key_are_asked_one_after_the_other() {
    let crowd = Crowd::new("fault touch-after 1500");
    let began = Instant::now();
    let children = ["doug", "anna"].map(|profile| (profile, crowd.start(profile)));
    assert_eq!(same_answers(children.into(), "two"), []);
    assert!(began.elapsed() >= Duration::from_secs(3), "both touches at once: {:?}", began.elapsed());
    assert_eq!((crowd.home.touches(), crowd.aws.count("GetSessionToken")), (2, 2));
}

#[test]
fn twenty_that_ask_for_a_new_session_ask_once() {
    let crowd = Crowd::new("fault touch-after 2500");
    let first = crowd.home.run(&["credential-process", "doug"]);
    assert_eq!(first.status, 0, "{}", first.stderr);
    let start = |_| {
        let mut command = crowd.home.onetap(&["--renew", "credential-process", "doug"]);
        ("doug", command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    };
    let children: Vec<_> = (0..20).map(start).collect();
    assert_eq!(same_answers(children, "renew"), []);
    assert_eq!((crowd.home.touches(), crowd.aws.count("GetSessionToken")), (2, 2));
    assert_ne!(crowd.home.run(&["credential-process", "doug"]).stdout, first.stdout);
}

#[test]
fn twenty_at_once_share_a_session_of_the_shortest_life() {
    let crowd = Crowd::new("fault touch-after 1000");
    crowd.aws.shorten_sessions(Duration::from_secs(900));
    for _ in 0..2 {
        let children: Vec<_> = (0..20).map(|_| ("reader", crowd.start("reader"))).collect();
        assert_eq!(same_answers(children, "900 s"), []);
    }
    let counts = (crowd.home.touches(), crowd.aws.count("GetSessionToken"), crowd.aws.count("AssumeRole"));
    assert_eq!(counts, (1, 1, 1));
}
