//! A user's first day with MFA, and a later one on which a key is lost: typed into a shell on one terminal, with both
//! keys behind a real `pcscd`.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use onetap_support::aws::{Aws, INSTANCE, User, World, policy};
use onetap_support::home::{Home, python_tool};
use onetap_support::pcscd::Pcscd;
use onetap_support::pty::{ENTER, Start, Terminal};
use onetap_support::secret_service::{Collection, SecretService};
use onetap_support::vpcd::InsertedToken;

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const ARN: &str = "arn:aws:iam::123456789012:mfa/doug";
/// A wait for the next time step or two, on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);
/// The end of the shell's prompt, which begins with the status of what ran before.
const READY: &str = ";ready$ ";
const QUESTION: &str = "Plug in the next YubiKey alone and press Enter, or type done: ";

/// A shell with onetap and the AWS CLI.
fn shell(home: &Home) -> Terminal {
    let own = [Path::new(BINARY), &python_tool("aws")].map(|file| file.parent().unwrap().to_path_buf());
    let system = std::env::var_os("PATH").unwrap();
    let path: OsString = std::env::join_paths(own.into_iter().chain(std::env::split_paths(&system))).unwrap();
    let bash = Start::new("bash").args(["--norc", "--noprofile", "--noediting", "-i"]);
    let bash = bash.env_clear().envs(home.env()).env("PATH", path).env("PS1", "$?;ready$ ");
    let bash = bash.env("AWS_PAGER", "").env("HISTFILE", "").env("TERM", "dumb");
    let mut terminal = bash.folder(home.path("")).spawn().expect("bash starts");
    terminal.wait_for(READY, LIMIT).unwrap();
    terminal
}

struct Day {
    aws: Aws,
    home: Home,
    pcscd: Pcscd,
    terminal: Terminal,
}

impl Day {
    fn types(&self, line: &str) {
        self.terminal.send(&format!("{line}{ENTER}")).unwrap();
    }

    /// What stood there until the prompt came again, and the status.
    fn ended(&mut self) -> (String, i32) {
        let text = self.terminal.wait_for(READY, LIMIT).unwrap();
        let text = text.strip_suffix(READY).unwrap();
        let (text, status) = text.rsplit_once('\n').unwrap();
        // The first line is what was typed.
        let text = text.split_once('\n').map_or("", |(_, text)| text);
        (text.to_owned(), status.parse().unwrap_or_else(|_| panic!("no status: {status:?}")))
    }

    fn does(&mut self, line: &str) -> String {
        self.types(line);
        let (text, status) = self.ended();
        assert_eq!(status, 0, "{line}: {text}");
        text
    }

    fn fails(&mut self, line: &str) -> (String, i32) {
        self.types(line);
        let (text, status) = self.ended();
        assert_ne!(status, 0, "{line}: {text}");
        (text, status)
    }

    fn is_asked(&mut self, question: &str) -> String {
        self.terminal.wait_for(question, LIMIT).unwrap()
    }

    fn plugged(&self, key: &str, reader: usize) -> InsertedToken {
        let cards = self.pcscd.log().matches("Card inserted into").count();
        let key = InsertedToken::insert(&self.home.path(key), self.pcscd.port(reader)).unwrap();
        self.pcscd.wait_for_cards(cards + 1).unwrap();
        key
    }

    /// Pulls a key, and waits until the daemon has seen it.
    fn pulls(&self, key: InsertedToken) {
        let removed = |log: String| log.matches("Card Removed From").count();
        let before = removed(self.pcscd.log());
        key.pull().unwrap();
        let deadline = Instant::now() + LIMIT;
        while removed(self.pcscd.log()) == before {
            assert!(Instant::now() < deadline, "the daemon never saw that the key is gone");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The seeds on a key's file.
    fn seeds(&self, key: &str) -> Vec<String> {
        let text = self.home.read(key);
        let seeds = text.split("secret=").skip(1);
        seeds.map(|rest| rest.chars().take_while(char::is_ascii_alphanumeric).collect()).collect()
    }
}

/// Doug, who may do everything and has no device yet, with the file that the console gave him, and two empty keys.
fn morning() -> (Day, User) {
    let doug = User::doug().without_devices().policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::new(BINARY);
    home.set("AWS_ENDPOINT_URL", aws.endpoint());
    let (id, secret) = (&doug.access_key_id, &doug.secret_access_key);
    let csv = format!("\u{feff}Access key ID,Secret access key\r\n{id},{secret}\r\n");
    home.private("doug_accessKeys.csv", &csv);
    let stolen =
        format!("[default]\naws_access_key_id={id}\naws_secret_access_key={secret}\nregion=eu-west-1\n");
    home.private("stolen", &stolen);
    home.private("first", "serial 11111111\nfault touch-after 300\n");
    home.private("backup", "serial 22222222\nfault touch-after 300\n");
    let pcscd = Pcscd::start(&["Yubico YubiKey OTP+FIDO+CCID", "Yubico YubiKey CCID"]).unwrap();
    home.set("PCSCLITE_CSOCK_NAME", pcscd.socket());
    let terminal = shell(&home);
    (Day { aws, home, pcscd, terminal }, doug)
}

#[test]
fn the_first_day_from_the_console_s_file_to_mfa_everywhere_and_a_lost_key_on_one_terminal() {
    let (mut day, doug) = morning();

    // The key comes in.
    day.types("onetap add doug --csv doug_accessKeys.csv --region eu-west-1 --credential-process");
    day.is_asked(&format!("MFA device [{ARN}]: "));
    day.types("");
    let (added, status) = day.ended();
    assert_eq!(status, 0, "{added}");
    assert!(added.contains(&format!("Stored {} of ", doug.access_key_id)), "{added}");
    assert!(added.contains("doug_accessKeys.csv still holds the key in plain text; delete it"), "{added}");
    day.does("rm doug_accessKeys.csv");

    // A device on two keys and in the vault.
    let first = day.plugged("first", 0);
    day.types("onetap enroll doug --backup --software");
    day.is_asked(QUESTION);
    day.pulls(first);
    let backup = day.plugged("backup", 1);
    day.types("");
    day.is_asked(QUESTION);
    day.types("done");
    let (enrolled, status) = day.ended();
    assert_eq!(status, 0, "{enrolled}");
    assert!(enrolled.contains("its seed is on 2 YubiKeys and the vault"), "{enrolled}");
    assert_eq!((day.seeds("first").len(), day.seeds("first")), (1, day.seeds("backup")));
    day.pulls(backup);

    // The boundary, as it was printed.
    day.does("onetap policy boundary doug > boundary.json");
    let boundary = serde_json::from_str(&day.home.read("boundary.json")).unwrap();
    day.aws.set_boundary("doug", Some(boundary));

    // The access key alone is good for nothing, and opens no other way.
    let stop = format!("aws ec2 stop-instances --instance-ids {INSTANCE}");
    for (call, refusal) in [
        (stop.as_str(), "UnauthorizedOperation"),
        (
            "aws iam create-virtual-mfa-device --virtual-mfa-device-name thief --outfile qr.png --bootstrap-method QRCodePNG",
            "AccessDenied",
        ),
        (&format!("aws iam deactivate-mfa-device --user-name doug --serial-number {ARN}"), "AccessDenied"),
        ("aws iam create-access-key --user-name doug", "AccessDenied"),
        ("aws iam delete-user-permissions-boundary --user-name doug", "AccessDenied"),
    ] {
        let (text, _) = day.fails(&format!("AWS_SHARED_CREDENTIALS_FILE=stolen {call}"));
        assert!(text.contains(refusal), "{call}: {text}");
    }
    assert_eq!((day.aws.devices_of("doug"), day.aws.loose_devices()), (vec![ARN.to_owned()], vec![]));

    // With onetap everything works: through exec with the session that proved the device, and through the profile's
    // credential_process.
    let first = day.plugged("first", 0);
    let touch = format!("Touch your YubiKey for {ARN} (profile doug) ...");
    let with_onetap = format!("onetap exec doug -- {stop}");
    let kept = day.does(&with_onetap);
    assert!(!kept.contains("Touch") && kept.contains("StoppingInstances"), "{kept}");
    let handed = day.does(&format!("onetap clear; {stop} --profile doug"));
    assert!(handed.contains(&touch) && handed.contains("StoppingInstances"), "{handed}");

    // The first key is lost. Without any key the vault serves, and says so; then the backup does.
    day.pulls(first);
    let lost = day.seeds("first");
    std::fs::remove_file(day.home.path("first")).unwrap();
    let served = day.does(&format!("onetap clear; {with_onetap}"));
    assert!(served.contains("StoppingInstances") && !served.contains("Touch"), "{served}");
    assert!(served.contains("No code from yubikey: no YubiKey is plugged in. Trying software."), "{served}");
    let backup = day.plugged("backup", 1);
    let served = day.does(&format!("onetap clear; {with_onetap}"));
    assert!(served.contains(&touch) && served.contains("StoppingInstances"), "{served}");

    // Its device shall go. It is the only one, and onetap says what comes first: another one, let in by the backup.
    day.types("onetap unenroll doug");
    let warned = day.is_asked("Type yes to go on: ");
    assert!(
        warned.contains("nothing works afterwards") && warned.contains("`onetap enroll doug --device NAME`")
    );
    day.types("no");
    assert_ne!(day.ended().1, 0);
    let anew = day.does("onetap enroll doug --device doug-2");
    assert!(anew.contains("to the access key alone; asking for a session with MFA"), "{anew}");
    assert!(anew.contains("the vault still holds the seed of another device"), "{anew}");
    day.does("onetap seed remove doug");
    day.types(&format!("onetap unenroll doug --device {ARN}"));
    let asked = day.is_asked("Type yes to go on: ");
    assert!(!asked.contains("the only one"), "{asked}");
    day.types("yes");
    let (gone, status) = day.ended();
    assert!(status == 0 && gone.contains(&format!("and {ARN} from the YubiKey 22222222")), "{gone}");
    let other = format!("{ARN}-2");
    assert_eq!((day.aws.devices_of("doug"), day.aws.loose_devices()), (vec![other.clone()], vec![]));
    let seeds = day.seeds("backup");
    assert!(seeds.len() == 1 && seeds != lost);

    // A new access key, too.
    let rotated = day.does("onetap rotate doug");
    let keys = day.aws.keys_of("doug");
    assert!(keys.len() == 1 && keys[0].0 != doug.access_key_id, "{keys:?}");
    assert!(rotated.contains(&format!("{} is in the place of {}", keys[0].0, doug.access_key_id)));
    let served = day.does(&format!("onetap --renew exec doug -- {stop}"));
    assert!(served.contains(&format!("Touch your YubiKey for {other}")), "{served}");

    // Who takes the last device away all the same is told by whom it can be mended.
    day.types("onetap unenroll doug");
    day.is_asked("Type yes to go on: ");
    day.types("yes");
    let (gone, status) = day.ended();
    assert!(status == 0 && day.seeds("backup").is_empty(), "{gone}");
    let (told, status) = day.fails("onetap rotate doug");
    assert!(status == 8 && told.lines().count() == 1, "{told}");
    for words in [
        "has no MFA device",
        "run `onetap enroll doug`",
        "an administrator takes the permissions boundary off",
    ] {
        assert!(told.contains(words), "{words} lacks: {told}");
    }
    day.aws.set_boundary("doug", None);
    day.does("onetap enroll doug --device doug-3");
    drop(backup);

    day.types("exit");
    let now = day.seeds("backup");
    let finished = day.terminal.finish(LIMIT).unwrap();
    for seed in seeds.iter().chain(&lost).chain(&now) {
        assert!(!finished.terminal.contains(seed));
    }
}

/// The first block of the README's first page: what is typed and what stands there then.
fn first_page() -> String {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("## First use\n").unwrap();
    let block = rest.lines().skip_while(|line| !line.starts_with("    "));
    let block = block.take_while(|line| line.is_empty() || line.starts_with("    "));
    block.filter(|line| !line.is_empty()).map(|line| format!("{}\n", line.trim())).collect()
}

/// What a person sees in the end: a line that was written over shows what was written last.
fn screen(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let seen = text.split('\n').map(|line| line.trim_end_matches('\r').rsplit("\r\u{1b}[K").next().unwrap());
    seen.map(|line| format!("{}\n", line.trim())).collect()
}

#[test]
fn the_readme_s_five_commands_show_what_stands_there_in_an_empty_home() {
    let shown = first_page();
    let (install, shown) = shown.split_once("$ onetap add").expect("the README adds a key");
    // Cargo's own words: to install is for tests/package, which starts from an empty Debian.
    let version = env!("CARGO_PKG_VERSION");
    let installed =
        format!("Installed package `onetap v{version} (/home/doug/onetap)` (executable `onetap`)\n");
    assert!(install.ends_with(&installed), "{install}");
    let shown = format!("$ onetap add{shown}");
    let commands: Vec<_> = shown.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert!(install.lines().filter(|line| line.starts_with("$ ")).count() + commands.len() <= 5, "{shown}");

    let doug = User::doug().without_devices().policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let service = SecretService::start(Collection::Unlocked).expect("this test needs dbus and gnome-keyring");
    let mut home = Home::new(BINARY);
    home.set("AWS_ENDPOINT_URL", aws.endpoint());
    for name in ["ONETAP_VAULT", "ONETAP_VAULT_PASSPHRASE_FILE"] {
        home.unset(name);
    }
    let bus = service.env().into_iter().find(|(name, _)| *name == "DBUS_SESSION_BUS_ADDRESS").unwrap();
    home.set(bus.0, bus.1);
    let pcscd = Pcscd::start(&["Yubico YubiKey OTP+FIDO+CCID"]).unwrap();
    home.set("PCSCLITE_CSOCK_NAME", pcscd.socket());
    let key = home.private("key", "serial 11111111\nfault touch-after 300\n");
    let _key = InsertedToken::insert(&key, pcscd.port(0)).unwrap();
    pcscd.wait_for_cards(1).unwrap();
    let mut day = Day { terminal: shell(&home), aws, home, pcscd };
    for command in commands {
        day.types(command);
        if command.starts_with("onetap add") {
            let answers = [("key id: ", &doug.access_key_id), ("access key: ", &doug.secret_access_key)];
            for (question, answer) in answers.into_iter().chain([("mfa/doug]: ", &String::new())]) {
                day.is_asked(question);
                day.types(answer);
            }
        }
        let (text, status) = day.ended();
        assert_eq!(status, 0, "{command}: {text}");
    }
    let seed = day.seeds("key");
    let home = day.home.path("").to_str().unwrap().to_owned();
    day.types("exit");
    let finished = day.terminal.finish(LIMIT).unwrap();
    assert!(!finished.terminal.contains(&doug.secret_access_key) && !finished.terminal.contains(&seed[0]));
    let seen = screen(&finished.raw)
        .replace("0;ready$ ", "$ ")
        .replace(&home, "/home/doug/")
        .replace(&doug.access_key_id, "AKIAIOSFODNN7EXAMPLE");
    let (seen, _) = seen.split_once("$ exit").unwrap();
    let (before, id) = seen.split_once("\"UserId\": \"").unwrap();
    let (id, behind) = id.split_once('"').unwrap();
    assert!(id.starts_with("AIDA"), "{id}");
    let seen = &format!("{before}\"UserId\": \"AIDACKCEVSQ6C2EXAMPLE\"{behind}");
    // Whether a step has room for two touches is up to the clock, and whether the daemon is slow up to the machine.
    let lines = |text: &str| {
        let chance = ["Waiting ", "Another program is using the YubiKey; waiting"];
        let settled = text
            .lines()
            .filter(|line| !chance.iter().any(|begin| line.starts_with(begin)) && !line.is_empty());
        settled.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(seen), lines(&shown), "seen:\n{seen}");
}
