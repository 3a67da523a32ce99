//! Time passes: near the end of a step, on a clock that is wrong, and over a year. STS is a few lines on a socket
//! here, on the same hands as the clock, so that a year takes seconds.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use super::*;

/// A clock that goes on from some time.
#[derive(Debug)]
struct Going(SystemTime, Instant);

impl TimeSource for Going {
    fn now(&self) -> SystemTime {
        self.0 + self.1.elapsed()
    }
}

#[test]
fn a_code_that_would_die_on_its_way_is_not_asked_for() {
    // 1.5 s before the end of a step, and at the beginning of one.
    for (since, expected) in [(Duration::from_millis(28_500), 60_000_001), (Duration::ZERO, 60_000_000)] {
        let (mut desk, sources) = Desk::new(vec![("software", succeeds())]);
        desk.authenticator.clock = SharedTimeSource::new(Going(desk.hands.now() + since, Instant::now()));
        block(desk.authenticator.code()).unwrap();
        assert_eq!(*sources[0].asked.lock().unwrap(), [TimeStep(expected)]);
    }
}

#[test]
fn a_code_that_was_used_elsewhere_is_told_from_one_of_a_wrong_time() {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let hands = Hands(Arc::new(Mutex::new(now)));
    for (seconds, astray) in [(0, false), (30, false), (59, false), (60, true), (3_600, true)] {
        for ahead in [true, false] {
            let mut hand = Hand::new(SharedTimeSource::new(hands.clone()));
            hand.sent(TimeStep::at(now));
            let skew = crate::sts::Skew { ahead, by: Duration::from_secs(seconds) };
            // Behind, the step that is 31 s away is the next but one already.
            let astray = astray || (ahead && seconds > 30);
            assert_eq!(hand.correct(skew).is_some(), astray, "{skew:?}");
        }
    }
}

/// The last digits of the step, so that the server knows which one it was.
#[derive(Debug, Default)]
struct Telling(Mutex<Vec<TimeStep>>);

impl CodeSource for Telling {
    fn name(&self) -> &'static str {
        "software"
    }
    fn code(&self, step: TimeStep, _: Instant, _: &dyn Attendant) -> Result<Code, CodeError> {
        self.0.lock().unwrap().push(step);
        Ok(Code::parse(&format!("{:06}", step.0 % 1_000_000)).unwrap())
    }
}

/// Moves the hands on to the step that is waited for.
#[derive(Debug)]
struct Patient(Hands, Mutex<usize>);

impl Attendant for Patient {
    fn notice(&self, notice: Notice) {
        if let Notice::StepWait { left } = notice
            && left > 0
        {
            *self.1.lock().unwrap() += 1;
            move_on(&self.0, left);
        }
    }
    fn ask(&self, _: Question) -> Result<SecretString, Unattended> {
        Err(Unattended::Nobody("a test".into()))
    }
}

/// AWS, as far as a code goes: its clock is `ahead` of the hands, and a step is taken once, in its order.
struct Server {
    hands: Hands,
    ahead: Arc<Mutex<i64>>,
    used: u64,
}

impl Server {
    fn start(hands: Hands, ahead: Arc<Mutex<i64>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut server = Self { hands, ahead, used: 0 };
        std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| server.serve(stream)));
        url
    }

    fn serve(&mut self, mut stream: TcpStream) {
        let mut text = String::new();
        let mut part = [0; 4096];
        // The code stands in the last of the form's fields.
        while !text.contains("&TokenCode=") || text.rsplit('=').next().unwrap().len() < 6 {
            let read = stream.read(&mut part).unwrap();
            assert!(read > 0, "the request ended early: {text}");
            text.push_str(&String::from_utf8_lossy(&part[..read]));
        }
        let code: u64 = text.rsplit('=').next().unwrap().parse().unwrap();
        let machine = self.hands.now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let now = machine.checked_add_signed(*self.ahead.lock().unwrap()).unwrap();
        let step = [now / 30 - 1, now / 30, now / 30 + 1].into_iter().find(|step| step % 1_000_000 == code);
        let (status, body) = match step {
            Some(step) if step > self.used => {
                self.used = step;
                let end = DateTime::from_secs(now as i64 + 43_200).fmt(Format::DateTime).unwrap();
                let body = format!(
                    "<GetSessionTokenResponse><GetSessionTokenResult><Credentials><AccessKeyId>ASIA{step}\
                     </AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>{end}\
                     </Expiration></Credentials></GetSessionTokenResult></GetSessionTokenResponse>"
                );
                ("200 OK", body)
            }
            _ => {
                let words = "MultiFactorAuthentication failed with invalid MFA one time pass code.";
                let error = format!("<Code>AccessDenied</Code><Message>{words}</Message>");
                ("403 Forbidden", format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>"))
            }
        };
        let date = DateTime::from_secs(now as i64).fmt(Format::HttpDate).unwrap();
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        );
        stream.write_all(answer.as_bytes()).unwrap();
    }
}

#[test]
fn over_a_year_no_code_is_used_twice_and_no_file_grows() {
    const DAY: u64 = 86_400;
    let (mut desk, _) = Desk::new(vec![]);
    let hands = desk.hands.clone();
    let ahead = Arc::new(Mutex::new(0));
    let url = Server::start(hands.clone(), ahead.clone());
    let text = format!("[profile doug]\nmfa_serial = {SERIAL}\nendpoint_url = {url}\nregion = eu-west-1\n");
    let person = Arc::new(Patient(hands.clone(), Mutex::default()));
    let source = Arc::new(Telling::default());
    let policy = &mut desk.authenticator;
    policy.plan = plan::plan(&Profiles::of_text(&text, ""), "doug", &Wishes::default()).unwrap();
    policy.sources = vec![source.clone()];
    policy.attendant = person.clone();
    policy.freshness.renew = true;
    policy.deadline = Instant::now() + Duration::from_secs(1_800);

    let home = desk._home.path();
    let size = |path: &std::path::Path| std::fs::metadata(path).unwrap().len();
    let (mut stores, mut memories, mut mints) = (BTreeSet::new(), BTreeSet::new(), 0);
    let began = hands.now();
    while hands.now() < began + Duration::from_secs(365 * DAY) {
        // Weeks on a clock that is off, to both sides; the code that follows at once has to wait for its step.
        *ahead.lock().unwrap() = match mints {
            300..350 => 600,
            700..750 => -600,
            1_100..1_120 => 45,
            1_200..1_220 => -45,
            _ => 0,
        };
        let again = mints % 250 == 10 || [305, 306, 705, 706, 1_105, 1_205].contains(&mints);
        for _ in 0..if again { 2 } else { 1 } {
            move_on(&hands, 1); // or the session would be one that was made for this caller
            let made = block(policy.session()).unwrap_or_else(|error| panic!("mint {mints}: {error}"));
            assert!(made.left(hands.now()) > Duration::from_secs(42_000), "mint {mints}");
            mints += 1;
        }
        stores.insert(size(&home.join("sessions")));
        let turns = std::fs::read_dir(&policy.turns).unwrap().flatten();
        let turns: Vec<_> = turns.map(|entry| size(&entry.path())).collect();
        assert_eq!(turns.len(), 2, "a lock and a memory");
        memories.extend(turns);
        // To the beginning of a step: the hands stand still, and nobody would move them at its end.
        let into = hands.now().duration_since(began).unwrap().as_secs() % 30;
        move_on(&hands, 3 * 3_600 + 30 * (mints % 120) - into);
    }
    let asked = source.0.lock().unwrap();
    let steps: BTreeSet<_> = asked.iter().map(|step| step.0).collect();
    assert_eq!(steps.len(), asked.len(), "a code was used twice");
    let waits = *person.1.lock().unwrap();
    assert!(mints > 2_000 && waits > 8, "{mints} sessions, {waits} waits");
    assert!(asked.len() > mints as usize + 100, "a clock that is off costs a second code");
    assert!(stores.last().unwrap() - stores.first().unwrap() < 16, "{stores:?}");
    assert!(memories.last().unwrap() < &1_000, "{memories:?}");
}
