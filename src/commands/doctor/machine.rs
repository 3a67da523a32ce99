//! What the machine tells without a card: the service's socket, the keys on USB, GnuPG's configuration.
//!
//! Looks and changes nothing. Sources: pcsc-lite's `PCSCLITE_CSOCK_NAME`; the kernel's sysfs; scdaemon(1).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Check, State};

/// Yubico's vendor number on USB.
const YUBICO: &str = "1050";

/// The class of a smart card reader's interface (USB CCID, section 4.1).
const CCID: &str = "0b";

/// Where distributions put GnuPG's card daemon.
const SCDAEMONS: [&str; 4] = [
    "/usr/lib/gnupg/scdaemon",
    "/usr/lib/gnupg2/scdaemon",
    "/usr/libexec/scdaemon",
    "/usr/local/libexec/scdaemon",
];

/// The places that are looked at.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    socket: PathBuf,
    usb: PathBuf,
    /// GnuPG's home, and where its sockets may be.
    gnupg: Option<PathBuf>,
    sockets: Vec<PathBuf>,
    scdaemons: Vec<PathBuf>,
}

/// The service's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Socket {
    /// There is none.
    Absent,
    /// Somebody takes connections.
    Answers,
    /// There is one, and connecting failed.
    Refuses,
    /// This system has no such socket.
    Unknown,
}

/// What a key on USB lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) fact: String,
    pub(super) remedy: String,
}

impl Machine {
    /// This one, as the environment's variables describe it.
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let home = variable("HOME").map(|home| Path::new(&home).join(".gnupg"));
        let gnupg = variable("GNUPGHOME").map(PathBuf::from).or(home);
        let runtime = variable("XDG_RUNTIME_DIR").map(|folder| Path::new(&folder).join("gnupg"));
        Self {
            socket: variable("PCSCLITE_CSOCK_NAME").unwrap_or_else(|| "/run/pcscd/pcscd.comm".into()).into(),
            usb: "/sys/bus/usb/devices".into(),
            sockets: gnupg.iter().cloned().chain(runtime).collect(),
            gnupg,
            scdaemons: SCDAEMONS.map(PathBuf::from).into(),
        }
    }

    /// A machine where nothing is found.
    #[cfg(test)]
    pub(super) fn nothing() -> Self {
        let absent = PathBuf::from("/nonexistent");
        Self { socket: absent.clone(), usb: absent, gnupg: None, sockets: Vec::new(), scdaemons: Vec::new() }
    }

    pub(super) fn socket(&self) -> Socket {
        if !cfg!(target_os = "linux") {
            return Socket::Unknown;
        }
        match knock(&self.socket) {
            Ok(()) => Socket::Answers,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Socket::Absent,
            Err(_) => Socket::Refuses,
        }
    }

    pub(super) fn check_of(&self, socket: Socket) -> Check {
        let path = self.socket.display();
        let start = "start the service: `sudo systemctl enable --now pcscd.socket` (Debian: `sudo apt-get install pcscd`)";
        let wrong =
            |what: &str| Check::new("socket", State::Wrong, format!("{path} {what}"), Some(start.to_owned()));
        match socket {
            Socket::Absent => wrong("is not there"),
            Socket::Answers => Check::ok("socket", format!("{path} takes connections")),
            Socket::Refuses => wrong("is there and takes no connection"),
            Socket::Unknown => Check::not_checked("socket", "this system's service has none"),
        }
    }

    /// A YubiKey that is plugged in, though no reader shows it: what it lacks. `None` where none is seen.
    pub(super) fn usb(&self) -> Option<Advice> {
        let devices: Vec<_> = fs::read_dir(&self.usb).ok()?.flatten().map(|entry| entry.path()).collect();
        let says = |device: &Path, file: &str, value: &str| {
            fs::read_to_string(device.join(file)).is_ok_and(|text| text.trim() == value)
        };
        let key = devices.iter().find(|device| says(device, "idVendor", YUBICO))?;
        let name = key.file_name()?.to_string_lossy().into_owned();
        // The interfaces of the device 1-2 stand beside it, as 1-2:1.0.
        let ours = |path: &Path| {
            path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&format!("{name}:")))
        };
        let reader = devices.iter().any(|path| ours(path) && says(path, "bInterfaceClass", CCID));
        Some(match reader {
            true => Advice {
                fact: "a YubiKey is on USB, and the smart card service does not show it".into(),
                remedy: "let the service see it: `sudo systemctl restart pcscd` (Debian: `sudo apt-get install libccid`)"
                    .into(),
            },
            false => Advice {
                fact: "a YubiKey is on USB with its smart card interface turned off".into(),
                remedy: "turn it on: `ykman config usb --enable OATH`".into(),
            },
        })
    }

    /// GnuPG's card daemon: as it comes it takes a key for itself, and for ever. `held` tells that somebody holds one.
    pub(super) fn scdaemon(&self, held: bool) -> Check {
        let name = "scdaemon";
        if !self.scdaemons.iter().any(|path| path.exists()) {
            return Check::ok(name, "GnuPG's card daemon is not installed");
        }
        let Some(home) = &self.gnupg else { return Check::not_checked(name, "there is no home folder") };
        let config = home.join("scdaemon.conf");
        let text = fs::read_to_string(&config).unwrap_or_default();
        if text.lines().any(|line| line.trim() == "pcsc-shared") {
            return Check::ok(name, format!("it shares keys ({})", config.display()));
        }
        let running = self.sockets.iter().any(|folder| folder.join("S.scdaemon").exists());
        let remedy = format!("put `pcsc-shared` into {} and run `gpgconf --kill scdaemon`", config.display());
        match (held, running) {
            (true, _) => Check::new(
                name,
                State::Wrong,
                "a key is held by another program, and GnuPG's card daemon is not told to share",
                Some(remedy),
            ),
            (false, true) => Check::new(
                name,
                State::Wrong,
                "GnuPG's card daemon has been started, and is not told to share",
                Some(remedy),
            ),
            (false, false) => Check::new(
                name,
                State::Ok,
                "GnuPG's card daemon is installed and not in use; once it is, it keeps keys for itself",
                Some(format!("to share them, {remedy}")),
            ),
        }
    }
}

#[cfg(unix)]
fn knock(socket: &Path) -> io::Result<()> {
    std::os::unix::net::UnixStream::connect(socket).map(drop)
}

#[cfg(not(unix))]
fn knock(_socket: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usb(files: &[(&str, &str)]) -> Option<Advice> {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        }
        Machine { usb: folder.path().into(), ..Machine::nothing() }.usb()
    }

    #[test]
    fn a_key_on_usb_without_a_reader_is_told_by_its_interfaces() {
        assert_eq!(usb(&[("1-1/idVendor", "046d")]), None);
        let hid =
            [("1-2/idVendor", "1050"), ("1-2:1.0/bInterfaceClass", "03"), ("1-1:1.0/bInterfaceClass", "0b")];
        assert!(usb(&hid).unwrap().remedy.contains("ykman config usb --enable OATH"));
        let ccid = [("1-2/idVendor", "1050"), ("1-2:1.2/bInterfaceClass", "0b")];
        assert!(usb(&ccid).unwrap().remedy.contains("restart pcscd"));
    }

    #[test]
    fn scdaemon_is_wrong_only_where_it_is_used_without_sharing() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("scdaemon");
        let home = folder.path().to_path_buf();
        let machine = Machine {
            gnupg: Some(home.clone()),
            sockets: vec![home.clone()],
            scdaemons: vec![program.clone()],
            ..Machine::nothing()
        };
        let state = |held| machine.scdaemon(held).state;
        assert_eq!(state(true), State::Ok, "not installed");
        fs::write(&program, "").unwrap();
        assert_eq!((state(false), state(true)), (State::Ok, State::Wrong));
        fs::write(home.join("S.scdaemon"), "").unwrap();
        assert_eq!(state(false), State::Wrong);
        fs::write(home.join("scdaemon.conf"), "# pcsc-shared\n").unwrap();
        assert_eq!(state(false), State::Wrong);
        fs::write(home.join("scdaemon.conf"), "disable-ccid\n pcsc-shared \n").unwrap();
        assert_eq!((state(false), state(true)), (State::Ok, State::Ok));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_socket_answers_refuses_or_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine { socket: folder.path().join("s"), ..Machine::nothing() };
        assert_eq!(machine.socket(), Socket::Absent);
        let listener = std::os::unix::net::UnixListener::bind(&machine.socket).unwrap();
        assert_eq!(machine.socket(), Socket::Answers);
        drop(listener);
        assert_eq!(machine.socket(), Socket::Refuses);
        assert_eq!(machine.check_of(Socket::Refuses).state, State::Wrong);
    }
}
