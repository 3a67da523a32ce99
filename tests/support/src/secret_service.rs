//! A real Secret Service in a home of its own: a bus and a gnome-keyring daemon that nobody else sees.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a daemon may take to come up, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// The collection that holds a person's passwords, as gnome-keyring makes it with `--unlock`.
const LOGIN: &str = "/org/freedesktop/secrets/collection/login";

/// The running service; dropping it ends both daemons and removes what they stored.
#[derive(Debug)]
pub struct SecretService {
    // In the order in which they are to end: the daemon before its bus.
    daemon: Option<Running>,
    bus: Running,
    address: String,
    home: Home,
}

/// What the default collection is at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collection {
    /// None: as after the installation, before anybody logged in on a desktop.
    Absent,
    /// There and open: as after a person logged in.
    Unlocked,
}

impl SecretService {
    /// Starts a bus and the daemon. An error names the program that lacks, and the package that has it.
    pub fn start(collection: Collection) -> io::Result<Self> {
        let mut service = Self::bus_only()?;
        service.start_daemon(collection)?;
        Ok(service)
    }

    /// Starts a bus without any service on it.
    pub fn bus_only() -> io::Result<Self> {
        let home = Home::new()?;
        let (bus, address) = start_bus(&home)?;
        Ok(Self { daemon: None, bus, address, home })
    }

    /// Starts the daemon again, after [`SecretService::kill_daemon`] for example.
    pub fn start_daemon(&mut self, collection: Collection) -> io::Result<()> {
        let mut command = Command::new("gnome-keyring-daemon");
        command.args(["--foreground", "--components=secrets"]);
        if collection == Collection::Unlocked {
            command.arg("--unlock");
        }
        command
            .env_clear()
            .envs(self.env())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut daemon = Running(spawn(command, "gnome-keyring")?);
        // Without a newline, which would become part of the password.
        daemon.0.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(b"test-pw"))?;
        self.daemon = Some(daemon);
        let ready = || match collection {
            Collection::Absent => self.owned(),
            Collection::Unlocked => self.default_collection().is_some_and(|path| path != "/"),
        };
        wait("the Secret Service", ready)
    }

    /// The environment that a child needs to find the service and nothing else: a home, a bus, no display.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.home.0.join(name).display().to_string();
        vec![
            ("DBUS_SESSION_BUS_ADDRESS", self.address.clone()),
            ("HOME", self.home.0.display().to_string()),
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("XDG_CACHE_HOME", path("cache")),
            ("XDG_CONFIG_HOME", path("config")),
            ("XDG_DATA_HOME", path("data")),
            ("XDG_RUNTIME_DIR", path("run")),
            ("XDG_STATE_HOME", path("state")),
        ]
    }

    /// The home that [`SecretService::env`] names.
    pub fn home(&self) -> &Path {
        &self.home.0
    }

    /// Locks the default collection, as a screen saver may.
    pub fn lock(&self) -> io::Result<()> {
        let login = format!("array:objpath:{LOGIN}");
        let call = "org.freedesktop.Secret.Service.Lock";
        let answer = self.call("org.freedesktop.secrets", "/org/freedesktop/secrets", call, &[&login]);
        answer.map(|_| ()).ok_or_else(|| io::Error::other("the Secret Service did not lock"))
    }

    /// Kills the daemon and leaves the bus.
    pub fn kill_daemon(&mut self) {
        self.daemon = None;
    }

    /// Stops the daemon in its tracks, as if it died in the middle of a call; it goes with its owner.
    pub fn freeze_daemon(&self) -> io::Result<()> {
        let pid = self.daemon.as_ref().map(|daemon| daemon.0.id().to_string()).unwrap_or_default();
        let stopped = Command::new("kill").args(["-STOP", &pid]).status()?;
        if stopped.success() { Ok(()) } else { Err(io::Error::other("kill -STOP failed")) }
    }

    /// Stops the bus in its tracks: it still accepts, and never answers.
    pub fn freeze_bus(&self) -> io::Result<()> {
        let stopped = Command::new("kill").args(["-STOP", &self.bus.0.id().to_string()]).status()?;
        if stopped.success() { Ok(()) } else { Err(io::Error::other("kill -STOP failed")) }
    }

    fn owned(&self) -> bool {
        let call = "org.freedesktop.DBus.NameHasOwner";
        let answer = self.call("org.freedesktop.DBus", "/", call, &["string:org.freedesktop.secrets"]);
        answer.is_some_and(|text| text.contains("boolean true"))
    }

    /// The object path of the default collection; `/` if there is none.
    pub fn default_collection(&self) -> Option<String> {
        let call = "org.freedesktop.Secret.Service.ReadAlias";
        let answer =
            self.call("org.freedesktop.secrets", "/org/freedesktop/secrets", call, &["string:default"])?;
        answer.split('"').nth(1).map(str::to_owned)
    }

    /// Whether the default collection says that it is locked.
    pub fn is_locked(&self) -> bool {
        let Some(path) = self.default_collection() else { return false };
        let arguments = ["string:org.freedesktop.Secret.Collection", "string:Locked"];
        let answer =
            self.call("org.freedesktop.secrets", &path, "org.freedesktop.DBus.Properties.Get", &arguments);
        answer.is_some_and(|text| text.contains("boolean true"))
    }

    fn call(&self, name: &str, path: &str, call: &str, arguments: &[&str]) -> Option<String> {
        let output = Command::new("dbus-send")
            .args([
                "--session",
                "--print-reply",
                "--reply-timeout=2000",
                &format!("--dest={name}"),
                path,
                call,
            ])
            .args(arguments)
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .stdin(Stdio::null())
            .output()
            .ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// A child that ends with its owner.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that goes with its owner.
#[derive(Debug)]
struct Home(PathBuf);

impl Home {
    fn new() -> io::Result<Self> {
        let mut template = Command::new("mktemp");
        let made = template.arg("-d").output()?;
        let home = Self(String::from_utf8_lossy(&made.stdout).trim_end().into());
        for folder in ["cache", "config", "data", "run", "state"] {
            let mut builder = std::fs::DirBuilder::new();
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(home.0.join(folder))?;
        }
        Ok(home)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start_bus(home: &Home) -> io::Result<(Running, String)> {
    // A configuration of its own: the system's would start services by name, also ones with windows.
    let config = home.0.join("bus.conf");
    let socket = home.0.join("run/bus");
    std::fs::write(
        &config,
        format!(
            "<busconfig><type>session</type><listen>unix:path={}</listen><policy context=\"default\">\
             <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/>\
             </policy></busconfig>",
            socket.display()
        ),
    )?;
    let mut command = Command::new("dbus-daemon");
    command.args([
        "--nofork",
        "--nosyslog",
        "--print-address=1",
        &format!("--config-file={}", config.display()),
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut bus = Running(spawn(command, "dbus-daemon")?);
    let stdout = bus.0.stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
    let (send, address) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let _ = BufReader::new(stdout).read_line(&mut line);
        let _ = send.send(line.trim_end().to_owned());
    });
    match address.recv_timeout(PATIENCE) {
        Ok(address) if !address.is_empty() => Ok((bus, address)),
        _ => Err(io::Error::other("the bus did not come up")),
    }
}

fn spawn(mut command: Command, package: &str) -> io::Result<Child> {
    command.spawn().map_err(|error| {
        let program = command.get_program().to_string_lossy();
        io::Error::new(error.kind(), format!("{program}: {error} (Debian: apt-get install {package})"))
    })
}

fn wait(what: &str, ready: impl Fn() -> bool) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !ready() {
        if Instant::now() >= deadline {
            return Err(io::Error::other(format!("{what} did not come up")));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
