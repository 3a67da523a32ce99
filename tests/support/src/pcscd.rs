//! A real `pcscd` of a test's own: its own socket, its own virtual readers, no USB, and no trace afterwards.
//!
//! Debian's daemon has the path of its socket compiled in, so it is started in a mount namespace where `/run/pcscd` is
//! a temporary folder; clients find that socket through `PCSCLITE_CSOCK_NAME`. Needs Linux, `unshare`, and the Debian
//! packages `pcscd` and `vsmartcard-vpcd`: where one of them lacks, starting fails and says which.

use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

mod between;

pub use between::{Between, Event, Happens};

/// Where Debian puts vpcd's driver.
const DRIVER: &str = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so";

/// What the daemon's namespace looks like: its folder for sockets is ours, and no driver for USB is there, so that a
/// developer's own YubiKey stays with the system's daemon.
const NAMESPACE: &str = r#"
set -e
mount -t tmpfs none /run
mkdir /run/pcscd
mount --bind "$1" /run/pcscd
mount -t tmpfs none /usr/lib/pcsc/drivers
exec pcscd --foreground --config "$2" --debug
"#;

/// A running daemon; stopped when dropped.
#[derive(Debug)]
pub struct Pcscd {
    daemon: Child,
    home: TempDir,
    ports: Vec<u16>,
}

impl Pcscd {
    /// Starts a daemon with one virtual reader for each of these names (`Yubico YubiKey OTP+FIDO+CCID`, say), and
    /// waits until clients can reach it. Names must differ: the daemon tells readers from its file apart by nothing else.
    pub fn start(readers: &[&str]) -> io::Result<Self> {
        let home = tempfile::tempdir()?;
        fs::create_dir(home.path().join("run"))?;
        let mut config = String::new();
        let mut ports = Vec::new();
        for (place, name) in readers.iter().enumerate() {
            let driver = driver(home.path(), place)?;
            let port = free_ports()?;
            let driver = driver.display();
            config += &format!(
                "FRIENDLYNAME \"{name}\"\nDEVICENAME /dev/null:{port:#x}\nLIBPATH {driver}\nCHANNELID {port:#x}\n\n"
            );
            ports.push(port);
        }
        fs::write(home.path().join("reader.conf"), config)?;
        let mut started = Self { daemon: daemon(home.path())?, home, ports };
        started.wait_for_socket()?;
        Ok(started)
    }

    /// Stops the daemon and starts it again, with the same socket and readers; what was plugged in is not.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill()?;
        // What the first one left would be taken for an answer of the second.
        fs::remove_file(self.socket())?;
        self.daemon = daemon(self.home.path())?;
        self.wait_for_socket()
    }

    /// The path for `PCSCLITE_CSOCK_NAME`.
    pub fn socket(&self) -> PathBuf {
        self.home.path().join("run/pcscd.comm")
    }

    /// The port on which the reader of this place in [`Pcscd::start`]'s list waits for its card.
    pub fn port(&self, reader: usize) -> u16 {
        self.ports.get(reader).copied().unwrap_or_default()
    }

    /// What the daemon said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("pcscd.log")).unwrap_or_default()
    }

    /// Waits until the daemon has powered a card so many times, or fails with its log.
    pub fn wait_for_cards(&self, cards: usize) -> io::Result<()> {
        let powered = || {
            let log = self.log();
            // A card that is there when the daemon first looks at its reader is not told as inserted.
            let found = log.lines().zip(log.lines().skip(1));
            let found = found.filter(|(a, b)| a.contains("POWER_STATE_POWERED") && b.contains(" Card ATR: "));
            log.matches("Card inserted into").count() + found.count() >= cards
        };
        wait_until(powered).map_err(|error| io::Error::new(error.kind(), self.log()))
    }

    /// Kills the daemon, as a crash does.
    pub fn kill(&mut self) -> io::Result<()> {
        self.daemon.kill()?;
        self.daemon.wait().map(drop)
    }

    fn wait_for_socket(&mut self) -> io::Result<()> {
        let socket = self.socket();
        let mut ended = false;
        let daemon = &mut self.daemon;
        let reached = wait_until(|| {
            ended = !matches!(daemon.try_wait(), Ok(None));
            ended || answers(&socket)
        });
        match (reached, ended) {
            (Ok(()), false) => Ok(()),
            (outcome, _) => Err(io::Error::other(format!(
                "no pcscd of the test's own (packages pcscd, vsmartcard-vpcd; the right to `unshare --mount`): {outcome:?} {}",
                self.log()
            ))),
        }
    }
}

impl Drop for Pcscd {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Starts the daemon in a namespace of its own.
fn daemon(home: &Path) -> io::Result<Child> {
    let log = fs::File::create(home.join("pcscd.log"))?;
    let mut unshare = Command::new("unshare");
    // Whoever is not root becomes it in a namespace of users.
    unshare.arg(if rustix::process::geteuid().is_root() { "--mount" } else { "--map-root-user" });
    unshare.args(["--mount", "sh", "-c", NAMESPACE, "pcscd"]);
    unshare.arg(home.join("run")).arg(home.join("reader.conf"));
    unshare
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .map_err(lacks("unshare (util-linux)"))
}

/// A driver of one slot around a copy of vpcd's: it keeps its state in global variables, so every reader needs a copy.
fn driver(home: &Path, place: usize) -> io::Result<PathBuf> {
    let (vpcd, driver) = (home.join(format!("vpcd{place}.so")), home.join(format!("one-slot{place}.so")));
    let (stub, source) = (home.join(format!("stub{place}.so")), home.join("one-slot.c"));
    fs::copy(DRIVER, &vpcd).map_err(lacks("vsmartcard-vpcd"))?;
    fs::write(&source, include_str!("one-slot.c"))?;
    // The loader knows libraries by their names and would find every copy to be the first; the stub has the copy's path
    // for its name, and is linked in its place.
    let soname = format!("-Wl,-soname,{}", vpcd.display());
    let shared = |arguments: &[&Path]| {
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-Wl,--no-as-needed", "-o"]).args(arguments);
        compiler
    };
    let mut empty = shared(&[&stub]);
    empty.args([&soname, "-x", "c", "/dev/null"]);
    let mut whole = shared(&[&driver, &source, &stub]);
    for command in [&mut empty, &mut whole] {
        let output = command.output().map_err(lacks("a C compiler (gcc)"))?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
    }
    Ok(driver)
}

fn answers(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

fn wait_until(mut reached: impl FnMut() -> bool) -> io::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !reached() {
        if Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn lacks(part: &'static str) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("this test needs {part}: {error}"))
}

/// A port that is free now, and the next one too: Debian's driver listens on two. Below those that systems give to
/// outgoing connections, since thousands of such have a port each for a minute after their end.
fn free_ports() -> io::Result<u16> {
    // Counted on from any place, so that those who look at the same time in this process get different ones.
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
        let any = RandomState::new().build_hasher().finish();
        AtomicU16::new(u16::try_from(any % 6_000).unwrap_or_default())
    });
    for _ in 0..1000 {
        let port = 20_000 + NEXT.fetch_add(1, Ordering::Relaxed) % 6_000 * 2;
        if let Ok(_first) = TcpListener::bind(("127.0.0.1", port))
            && TcpListener::bind(("127.0.0.1", port + 1)).is_ok()
        {
            return Ok(port);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}
