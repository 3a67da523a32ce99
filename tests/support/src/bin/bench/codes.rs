//! What a code costs, beside Yubico's client: both at the same virtual token, behind the same real `pcscd`.
//!
//! The APDUs are those that the token answered. Programs take turns, so that a busy machine is busy for both.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use onetap_support::aws::{Aws, User, World};
use onetap_support::home::{Home, python_tool, uri};
use onetap_support::measure::{Program, quantile};
use onetap_support::pcscd::Pcscd;
use onetap_support::vpcd::InsertedToken;

use super::Outcome;

/// Runs of each program for a median.
const ROUNDS: usize = 15;
/// A legal name, so that Yubico's client finds the key by itself.
const READER: &str = "Yubico YubiKey OTP+FIDO+CCID";
const SERIAL: &str = "11111111";
const PASSWORD: &str = "hunter2";

/// One way to ask for a code, and how many accounts are on the key.
struct Case {
    what: &'static str,
    accounts: usize,
    pinned: bool,
    locked: bool,
    /// The most APDUs that ours may take.
    budget: usize,
}

const CASES: [Case; 6] = [
    Case { what: "one key, 1 account", accounts: 1, pinned: false, locked: false, budget: 2 },
    Case { what: "one key, 64 accounts", accounts: 64, pinned: false, locked: false, budget: 2 },
    Case { what: "with a password, 1 account", accounts: 1, pinned: false, locked: true, budget: 3 },
    Case { what: "with a password, 64 accounts", accounts: 64, pinned: false, locked: true, budget: 3 },
    Case { what: "pinned by its serial, 1 account", accounts: 1, pinned: true, locked: false, budget: 4 },
    Case { what: "pinned by its serial, 64 accounts", accounts: 64, pinned: true, locked: false, budget: 4 },
];

/// A case's numbers, ours first.
struct Row {
    what: &'static str,
    apdus: [usize; 2],
    walls: [Vec<Duration>; 2],
    budget: usize,
}

/// All cases.
pub(super) struct Codes(Vec<Row>);

impl Codes {
    pub(super) fn measure(onetap: &Path) -> Outcome<Self> {
        CASES.iter().map(|case| case.measure(onetap)).collect::<Outcome<_>>().map(Self)
    }

    /// What is over its budget.
    pub(super) fn broken(&self) -> bool {
        self.0.iter().any(|row| row.apdus[0] > row.budget)
    }

    /// Writes it as Markdown.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\n| a code | APDUs | budget | wall: median | ykman: APDUs | wall: median | x ours |")?;
        writeln!(out, "|---|---|---|---|---|---|---|")?;
        for Row { what, apdus: [ours, theirs], walls, budget } in &self.0 {
            let [fast, slow] = walls.each_ref().map(|walls| quantile(walls, 50).as_secs_f64() * 1e3);
            writeln!(
                out,
                "| {what} | {ours} | {budget} | {fast:.1} ms | {theirs} | {slow:.0} ms | {:.0} |",
                slow / fast
            )?;
        }
        for row in self.0.iter().filter(|row| row.apdus[0] > row.budget) {
            writeln!(out, "OVER BUDGET: APDUs of {}", row.what)?;
        }
        Ok(())
    }
}

impl Case {
    fn measure(&self, onetap: &Path) -> Outcome<Row> {
        let doug = User::doug();
        let device = doug.devices.first().ok_or("a user without a device")?;
        // Nobody of these asks it; the home wants an address all the same.
        let aws = Aws::start(World::of(doug.clone()));
        let mut home = Home::of_doug(onetap, &aws, &doug, "");
        let pcscd = Pcscd::start(&[READER])?;
        home.set("ONETAP_READER", "pcsc");
        home.set("PCSCLITE_CSOCK_NAME", pcscd.socket());
        let mut text = format!("serial {SERIAL}\nfirmware 5.7.0\n");
        for n in 1..self.accounts {
            text += &format!("{}\n", uri(&format!("other:{n}"), &device.seed_base32, false));
        }
        text += &format!("{}\n", uri(&device.serial, &device.seed_base32, false));
        if self.locked {
            text += &format!("password {PASSWORD}\n");
        }
        let token = InsertedToken::insert(&home.private("key", &text), pcscd.port(0))?;
        pcscd.wait_for_cards(1)?;
        if self.locked {
            remember(&home)?;
        }
        let env: Vec<_> = home.env().map(|(name, value)| (name.clone(), value.clone())).collect();
        let program = |binary: &Path, arguments: Vec<&str>| Program {
            binary: binary.into(),
            arguments: arguments.into_iter().map(str::to_owned).collect(),
            env: env.clone(),
        };
        let (mut ours, mut theirs) = (vec!["code", "doug", "--code", "yubikey"], Vec::new());
        if self.pinned {
            ours.extend(["--token", SERIAL]);
            theirs.extend(["--device", SERIAL]);
        }
        theirs.extend(["oath", "accounts", "code", "-s", &device.serial]);
        if self.locked {
            theirs.extend(["--password", PASSWORD]);
        }
        let programs = [program(onetap, ours), program(&python_tool("ykman"), theirs)];
        let (mut walls, mut apdus) = ([Vec::new(), Vec::new()], [0; 2]);
        for _ in 0..ROUNDS {
            for ((program, walls), apdus) in programs.iter().zip(&mut walls).zip(&mut apdus) {
                // A step is used once; what the device's turn remembers is forgotten, or each would wait for the next.
                let _ = fs::remove_dir_all(home.path(".local/state/onetap/turns"));
                let before = home.read("key.log").lines().count();
                walls.push(program.wall()?);
                *apdus = (*apdus).max(home.read("key.log").lines().count() - before);
            }
        }
        token.pull()?;
        Ok(Row { what: self.what, apdus, walls, budget: self.budget })
    }
}

/// Has ours remember the password, so that nobody is asked. The vault's passphrase costs its time on purpose.
fn remember(home: &Home) -> Outcome<()> {
    let mut command = home.onetap(&["token", "password", "remember", "--stdin"]);
    command.stdin(fs::File::open(home.private("password", PASSWORD))?);
    let output = command.output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into()),
    }
}
