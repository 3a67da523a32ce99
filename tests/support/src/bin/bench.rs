//! What onetap costs, in one run: the cached call beside an empty Rust `main`, and the cold call over TLS.
//!
//! `bench ONETAP FLOOR [--check]`: two binaries of one profile; `tests/bench` builds them and calls this. With
//! `--check` a broken budget of instructions, APDUs or requests is an error. Wall time and memory belong to the
//! machine: they are printed and never fail.

use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use linux_keyutils::{KeyRing, KeyRingIdentifier};
use onetap_support::aws::{Aws, Options, User, World};
use onetap_support::home::{Home, uri};
use onetap_support::measure::{Program, median};
use onetap_support::secret_service::{Collection, SecretService};

/// Runs of each program for a median; they take turns, so that a busy machine is busy for all of them.
const ROUNDS: usize = 301;
/// The same with a daemon in between.
const SERVICE_ROUNDS: usize = 31;
/// Cold calls for a median; each needs a user whose code was not used yet.
const COLD_ROUNDS: usize = 7;
/// Where Debian keeps the system's certificates.
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (onetap, floor, check) = match arguments.as_slice() {
        [onetap, floor] => (onetap, floor, false),
        [onetap, floor, flag] if flag == "--check" => (onetap, floor, true),
        _ => return failed("usage: bench ONETAP FLOOR [--check]"),
    };
    let table = match measure(Path::new(onetap), Path::new(floor)) {
        Ok(table) => table,
        Err(error) => return failed(&error.to_string()),
    };
    let _ = table.print(&mut io::stdout());
    match table.broken().next() {
        Some(_) if check => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

fn failed(why: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "bench: {why}");
    ExitCode::from(2)
}

fn measure(onetap: &Path, floor: &Path) -> Outcome<Table> {
    let floor = Program { binary: floor.into(), arguments: Vec::new(), env: Vec::new() };
    let users: Vec<User> = (0..COLD_ROUNDS + 3).map(|n| User::named(&format!("user{n}"))).collect();
    let (first, fresh) = users.split_first().ok_or("no users")?;
    let mut fresh = fresh.iter();
    let world = World { users: users.clone(), ..World::default() };
    let aws = Aws::start_with(world, Options { tls: true, ..Options::default() })?;
    let service = SecretService::start(Collection::Unlocked)?;
    let home = home(onetap, &aws, &service, &users)?;
    let call = |user: &User| Program {
        binary: onetap.into(),
        arguments: vec!["credential-process".into(), user.name.clone()],
        env: home.env().map(|(name, value)| (name.clone(), value.clone())).collect(),
    };
    let mut table = Table::default();

    let cached = call(first);
    let few = || profiles(&home, &[first], 3);
    let many = || profiles(&home, &[first], 300);
    few();
    cached.run()?;
    let key = KernelKey::of(&home)?;
    let (mut empty_main, mut with_few, mut with_many) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        empty_main.push(floor.wall()?);
        few();
        with_few.push(cached.wall()?);
        many();
        with_many.push(cached.wall()?);
    }
    table.row("an empty Rust main", empty_main, &floor, None)?;
    few();
    table.row("cached, 3 profiles", with_few, &cached, Some(1_000_000))?;
    many();
    table.row("cached, 300 profiles", with_many, &cached, Some(10_000_000))?;

    few();
    let mut walls = Vec::new();
    for _ in 0..SERVICE_ROUNDS {
        key.forget()?;
        walls.push(cached.wall()?);
    }
    key.forget()?;
    let from_service = cached.instructions()?;
    key.forget()?;
    let peak = cached.peak()?;
    let plain = cached.instructions()?;
    let handshake = from_service.saturating_sub(plain);
    table.rows.push(Row {
        what: "the same, key from the Secret Service",
        wall: median(walls),
        instructions: from_service,
        peak,
        budget: None,
    });

    let mut cold =
        || fresh.next().inspect(|user| profiles(&home, &[first, user], 3)).map(&call).ok_or("no user");
    let mut walls = Vec::new();
    for _ in 0..COLD_ROUNDS {
        walls.push(cold()?.wall()?);
    }
    let peak = cold()?.peak()?;
    let (apdus, requests) = (home.apdus().len(), aws.requests().len());
    let instructions = cold()?.instructions()?;
    table.counts = vec![
        ("APDUs of a cold call", home.apdus().len().saturating_sub(apdus), 2),
        ("requests of a cold call", aws.requests().len().saturating_sub(requests), 1),
    ];
    table.rows.push(Row { what: "cold, over TLS", wall: median(walls), instructions, peak, budget: None });
    table.rows.push(Row {
        what: "the same without the Secret Service's part",
        wall: Duration::ZERO,
        instructions: instructions.saturating_sub(handshake),
        peak: 0,
        budget: Some(30_000_000),
    });
    key.forget()?;
    Ok(table)
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

/// What was measured.
#[derive(Default)]
struct Table {
    rows: Vec<Row>,
    /// What, how many, and how many at most.
    counts: Vec<(&'static str, usize, usize)>,
}

/// One program. A zero was not measured.
struct Row {
    what: &'static str,
    wall: Duration,
    instructions: u64,
    peak: u64,
    budget: Option<u64>,
}

impl Table {
    fn row(
        &mut self,
        what: &'static str,
        walls: Vec<Duration>,
        program: &Program,
        budget: Option<u64>,
    ) -> Outcome<()> {
        let (instructions, peak) = (program.instructions()?, program.peak()?);
        self.rows.push(Row { what, wall: median(walls), instructions, peak, budget });
        Ok(())
    }

    fn broken(&self) -> impl Iterator<Item = &str> {
        let rows = self.rows.iter().filter(|row| row.budget.is_some_and(|budget| row.instructions > budget));
        let counts = self.counts.iter().filter(|(_, count, budget)| count > budget);
        rows.map(|row| row.what).chain(counts.map(|(what, ..)| *what))
    }

    fn print(&self, out: &mut impl io::Write) -> io::Result<()> {
        let floor = self.rows.first().map_or(Duration::ZERO, |row| row.wall).as_secs_f64();
        let million = |n: u64| format!("{:.2} M", n as f64 / 1e6);
        writeln!(out, "| | wall, median | x floor | instructions | budget | peak memory |")?;
        writeln!(out, "|---|---|---|---|---|---|")?;
        for row in &self.rows {
            let wall = row.wall.as_secs_f64();
            let (wall, ratio) = match row.wall.is_zero() {
                true => ("".into(), "".into()),
                false => (format!("{:.2} ms", wall * 1e3), format!("{:.2}", wall / floor)),
            };
            let peak = if row.peak == 0 { "".into() } else { format!("{:.1} MiB", row.peak as f64 / 1024.0) };
            let budget = row.budget.map(million).unwrap_or_default();
            writeln!(
                out,
                "| {} | {wall} | {ratio} | {} | {budget} | {peak} |",
                row.what,
                million(row.instructions)
            )?;
        }
        for (what, count, budget) in &self.counts {
            writeln!(out, "{what}: {count} (budget {budget})")?;
        }
        for what in self.broken() {
            writeln!(out, "OVER BUDGET: {what}")?;
        }
        Ok(())
    }
}
