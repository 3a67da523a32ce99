//! What onetap costs, in one run: the cached call beside an empty Rust `main`, the cold call over TLS, a code beside
//! Yubico's client, and the address of `exec --refresh` beside a small server.
//!
//! `bench ONETAP FLOOR [--check]`: two binaries of one profile; `tests/bench` builds them and calls this. `bench ONETAP
//! --codes [--check]` measures the codes only, `--address` the address. With `--check` a broken budget of instructions,
//! APDUs or requests is an error. Wall time and memory belong to the machine: they are printed and never fail.

use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

#[path = "bench/codes.rs"]
mod codes;
#[path = "bench/endpoint.rs"]
mod endpoint;

use codes::Codes;
use endpoint::Endpoint;
use linux_keyutils::{KeyRing, KeyRingIdentifier};
use onetap_support::aws::{Aws, Options, User, World};
use onetap_support::home::{Home, uri};
use onetap_support::measure::{Program, Row, Table};
use onetap_support::secret_service::{Collection, SecretService};

/// Runs of each program for a median; they take turns, so that a busy machine is busy for all of them.
const ROUNDS: usize = 301;
/// The same with a daemon in between.
const SERVICE_ROUNDS: usize = 31;
/// Runs for the median of the peak memory, with the daemon in between.
const SERVICE_PEAKS: usize = 5;
/// Cold calls for a median; each needs a user whose code was not used yet.
const COLD_ROUNDS: usize = 7;
/// Where Debian keeps the system's certificates.
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (paths, flags): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|argument| !argument.starts_with("--"));
    let flag = |wanted: &str| flags.iter().any(|flag| *flag == wanted);
    let outcome = match paths.as_slice() {
        [kind] if flag("--ask") => endpoint::ask(kind).map(|()| false),
        [onetap] if flag("--address") => print_endpoint(onetap),
        [onetap] if flag("--codes") => print(onetap, None),
        [onetap, floor] => print(onetap, Some(floor)),
        _ => {
            return failed(
                "usage: bench ONETAP FLOOR [--check], or bench ONETAP --codes|--address [--check]",
            );
        }
    };
    match outcome {
        Ok(true) if flag("--check") => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => failed(&error.to_string()),
    }
}

/// Measures and prints; whether a budget is broken.
fn print(onetap: &str, floor: Option<&String>) -> Outcome<bool> {
    let mut broken = false;
    if let Some(floor) = floor {
        let table = measure(onetap, floor)?;
        table.print(&mut io::stdout())?;
        broken = table.broken().next().is_some();
    }
    if floor.is_some() {
        broken |= print_endpoint(onetap)?;
    }
    let codes = Codes::measure(&fs::canonicalize(onetap)?)?;
    codes.print(&mut io::stdout())?;
    Ok(broken || codes.broken())
}

fn print_endpoint(onetap: &str) -> Outcome<bool> {
    let endpoint = Endpoint::measure(&fs::canonicalize(onetap)?)?;
    endpoint.print(&mut io::stdout())?;
    Ok(endpoint.broken())
}

fn failed(why: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "bench: {why}");
    ExitCode::from(2)
}

fn measure(onetap: &str, floor: &str) -> Outcome<Table> {
    // Each call runs in its home.
    let (onetap, floor) = (fs::canonicalize(onetap)?, fs::canonicalize(floor)?);
    let (onetap, floor) = (onetap.as_path(), floor.as_path());
    let users: Vec<User> = (0..COLD_ROUNDS + 3).map(|n| User::named(&format!("user{n}"))).collect();
    let world = World { users: users.clone(), ..World::default() };
    let aws = Aws::start_with(world, Options { tls: true, ..Options::default() })?;
    let service = SecretService::start(Collection::Unlocked)?;
    let home = home(onetap, &aws, &service, &users)?;
    let bench = Bench { aws, home, onetap };
    let (first, others) = users.split_first().ok_or("no users")?;

    let mut table = Table::default();
    profiles(&bench.home, &[first], 3);
    bench.call(first).run()?; // keeps the session
    let key = KernelKey::of(&bench.home)?;
    let before = bench.asked();
    bench.cached(first, floor, &mut table)?;
    let handshake = bench.through_the_service(first, &key, &mut table)?;
    bench.count("all cached calls", before, [0, 0], &mut table);
    bench.cold(others, handshake, &mut table)?;
    key.forget()?;
    Ok(table)
}

/// What the calls are made with.
struct Bench<'a> {
    aws: Aws,
    home: Home,
    onetap: &'a Path,
}

impl Bench<'_> {
    fn call(&self, user: &User) -> Program {
        Program {
            binary: self.onetap.into(),
            arguments: vec!["credential-process".into(), user.name.clone()],
            env: self.home.env().map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }

    /// APDUs and requests so far.
    fn asked(&self) -> [usize; 2] {
        [self.home.apdus().len(), self.aws.requests().len()]
    }

    fn count(&self, of: &str, before: [usize; 2], budgets: [usize; 2], table: &mut Table) {
        let counted = self.asked().into_iter().zip(before).zip(budgets).zip(["APDUs", "requests"]);
        table.counts.extend(
            counted.map(|(((now, before), budget), what)| (format!("{what} of {of}"), now - before, budget)),
        );
    }

    /// A kept session, its key in the kernel's keyring, beside the floor.
    fn cached(&self, user: &User, floor: &Path, table: &mut Table) -> Outcome<()> {
        let floor = Program { binary: floor.into(), arguments: Vec::new(), env: Vec::new() };
        let cached = self.call(user);
        let (mut empty_main, mut with_few, mut with_many) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            empty_main.push(floor.wall()?);
            profiles(&self.home, &[user], 3);
            with_few.push(cached.wall()?);
            profiles(&self.home, &[user], 300);
            with_many.push(cached.wall()?);
        }
        table.row("an empty Rust `main`", empty_main, &floor, None)?;
        profiles(&self.home, &[user], 3);
        table.row("cached, 3 profiles", with_few, &cached, Some(1_000_000))?;
        profiles(&self.home, &[user], 300);
        table.row("cached, 300 profiles", with_many, &cached, Some(10_000_000))?;
        Ok(())
    }

    /// The same, while the kernel does not hold the key. Returns what the Secret Service adds, in instructions.
    fn through_the_service(&self, user: &User, key: &KernelKey, table: &mut Table) -> Outcome<u64> {
        profiles(&self.home, &[user], 3);
        let cached = self.call(user);
        let (mut walls, mut peaks) = (Vec::new(), Vec::new());
        for _ in 0..SERVICE_ROUNDS {
            key.forget()?;
            walls.push(cached.wall()?);
        }
        for _ in 0..SERVICE_PEAKS {
            key.forget()?;
            peaks.push(cached.peak()?);
        }
        key.forget()?;
        let instructions = cached.instructions()?;
        let what = "cached, 3 profiles, key from the Secret Service";
        table.rows.push(Row { what, walls, instructions, peaks, budget: None });
        Ok(instructions.saturating_sub(cached.instructions()?))
    }

    /// Calls without a session, for users who were never served: the access key comes from the Secret Service.
    fn cold(&self, users: &[User], handshake: u64, table: &mut Table) -> Outcome<()> {
        let mut users = users.iter();
        let mut next = || {
            let user = users.next().ok_or("too few users")?;
            profiles(&self.home, &[user], 3);
            Ok::<_, Box<dyn Error>>(self.call(user))
        };
        let mut walls = Vec::new();
        for _ in 0..COLD_ROUNDS {
            walls.push(next()?.wall()?);
        }
        let peaks = vec![next()?.peak()?];
        let before = self.asked();
        let instructions = next()?.instructions()?;
        self.count("a cold call", before, [2, 1], table);
        table.rows.push(Row { what: "cold, over TLS", walls, instructions, peaks, budget: None });
        table.rows.push(Row {
            what: "cold, less the Secret Service's part",
            walls: Vec::new(),
            instructions: instructions.saturating_sub(handshake),
            peaks: Vec::new(),
            budget: Some(30_000_000),
        });
        Ok(())
    }
}

/// A home whose keys rest in a real Secret Service, with a user's key for each of `users`, and their accounts on one
/// virtual token without touch.
fn home(onetap: &Path, aws: &Aws, service: &SecretService, users: &[User]) -> Outcome<Home> {
    let mut home = Home::new(onetap);
    home.unset("ONETAP_VAULT_PASSPHRASE_FILE");
    home.set("ONETAP_VAULT", "keychain");
    for (name, value) in service.env() {
        if name == "DBUS_SESSION_BUS_ADDRESS" || name == "XDG_RUNTIME_DIR" {
            home.set(name, value);
        }
    }
    // Under callgrind the Secret Service's handshake takes longer than onetap waits where nobody could be asked.
    home.set("DISPLAY", ":0");
    // The variable replaces the system's certificates, as it does for AWS's CLI; so it gets them too.
    let authority = fs::read_to_string(aws.ca_bundle().ok_or("the stand-in speaks no TLS")?)?;
    let roots = fs::read_to_string(ROOTS).map_err(|error| format!("{ROOTS}: {error}"))?;
    home.set("AWS_CA_BUNDLE", home.private("roots.pem", &format!("{roots}\n{authority}")));
    home.set("AWS_ENDPOINT_URL", aws.endpoint());
    let lines: Vec<_> =
        users.iter().filter_map(account).map(|(serial, seed)| uri(serial, seed, false)).collect();
    home.token(&lines.join("\n"));
    for user in users {
        let (serial, _) = account(user).ok_or("a user without a device")?;
        let said = home.add(user, &["--mfa-serial", serial, "--region", "eu-west-1", "--offline"]);
        if said.status != 0 {
            return Err(said.stderr.into());
        }
    }
    Ok(home)
}

fn account(user: &User) -> Option<(&str, &str)> {
    user.devices.first().map(|device| (device.serial.as_str(), device.seed_base32.as_str()))
}

/// Writes a config file of `count` profiles, those of `users` among them, each with three lines as people have them.
fn profiles(home: &Home, users: &[&User], count: usize) {
    let others = (users.len()..count)
        .map(|n| (format!("other{n}"), format!("arn:aws:iam::123456789012:mfa/other{n}")));
    let named = users.iter().filter_map(|user| Some((user.name.clone(), account(user)?.0.to_owned())));
    let text: Vec<_> = others
        .chain(named)
        .map(|(name, serial)| {
            format!("[profile {name}]\nregion = eu-west-1\noutput = json\nmfa_serial = {serial}\n")
        })
        .collect();
    home.private(".aws/config", &text.join("\n"));
}

/// The sealing key's copy in the kernel's keyring.
struct KernelKey(String);

impl KernelKey {
    /// The key of the sessions kept in this home: they name it in bytes 16 to 32.
    fn of(home: &Home) -> Outcome<Self> {
        let sealed = fs::read(home.path(".cache/onetap/sessions"))?;
        let id = sealed.get(16..32).ok_or("the kept sessions are too short")?;
        Ok(Self(format!("onetap:{}", data_encoding::HEXLOWER.encode(id))))
    }

    /// Takes it away, so that the next call asks the vault.
    fn forget(&self) -> Outcome<()> {
        let found =
            KeyRing::from_special_id(KeyRingIdentifier::User, false).and_then(|ring| ring.search(&self.0));
        let key = found.map_err(|error| format!("the kernel's keyring does not hold the key: {error:?}"))?;
        Ok(key.invalidate().map_err(|error| format!("{error:?}"))?)
    }
}
