//! A person's home for one story: the binary under test, a file vault, a virtual token, and nothing of the machine's
//! own environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use onetap::vault::kernel;

use crate::aws::{Aws, User};
use crate::canary::{self, Canaries, Kind};

/// What opens every home's vault.
const PASSPHRASE: &str = "correct horse battery staple";

/// The home; removed when dropped.
#[derive(Debug)]
pub struct Home {
    folder: tempfile::TempDir,
    binary: PathBuf,
    env: BTreeMap<OsString, OsString>,
    canaries: Canaries,
    /// What the story itself wrote, and so may be read there.
    own: Mutex<Vec<(PathBuf, Vec<u8>)>>,
    /// Folders in which sessions rest by contract.
    lent: Mutex<Vec<PathBuf>>,
}

/// What a command gave back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The exit code; 128 + n for a signal n.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Home {
    /// An empty home for the binary at `binary`, with a file vault whose passphrase stands in a file.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        let folder = tempfile::Builder::new().prefix("onetap-story-").tempdir().expect("a temporary folder");
        let mut home = Self {
            folder,
            binary: binary.into(),
            env: BTreeMap::new(),
            canaries: canary::here(),
            own: Mutex::default(),
            lent: Mutex::default(),
        };
        home.canaries.plant("the passphrase", Kind::LongTerm, PASSPHRASE.as_bytes());
        let passphrase = home.private("passphrase", &format!("{PASSPHRASE}\n"));
        let folder = home.path("").into_os_string();
        home.set("HOME", folder);
        home.set("PATH", std::env::var_os("PATH").unwrap_or_default());
        home.set("LANG", "C.UTF-8");
        home.set("ONETAP_VAULT", "file");
        home.set("ONETAP_VAULT_PASSPHRASE_FILE", passphrase);
        // The most that anything in onetap could be made to say; it has no log of its own.
        home.set("RUST_LOG", "trace");
        // Nothing in a story may ask the address that clouds answer on.
        home.set("AWS_EC2_METADATA_DISABLED", "true");
        home
    }

    /// A home where `doug` was added with his MFA device, and the virtual token at its usual place holds its seed.
    pub fn of_doug(binary: impl Into<PathBuf>, aws: &Aws, doug: &User, touch: &str) -> Self {
        let mut home = Self::new(binary);
        home.set("AWS_ENDPOINT_URL", aws.endpoint());
        let serial = doug.devices[0].serial.clone();
        home.token(&format!("{}\n{touch}", uri(&serial, &doug.devices[0].seed_base32, !touch.is_empty())));
        let said = home.add(doug, &["--mfa-serial", &serial, "--region", "eu-west-1"]);
        assert_eq!(said.status, 0, "{}", said.stderr);
        home
    }

    /// Runs `onetap add NAME --from-env` with a user's keys.
    pub fn add(&self, user: &User, arguments: &[&str]) -> Said {
        let mut command = self.onetap(&["add", &user.name, "--from-env"]);
        command
            .args(arguments)
            .env("AWS_ACCESS_KEY_ID", &user.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &user.secret_access_key);
        said(&mut command)
    }

    /// Sets a variable for every command from now on.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.env.insert(name.into(), value.into());
    }

    /// Takes a variable away.
    pub fn unset(&mut self, name: &str) {
        self.env.remove(&OsString::from(name));
    }

    /// A path in this home.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// The content of a file in this home; empty if it is not there.
    pub fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap_or_default()
    }

    /// Writes a file that only its owner may read, and the folders above it.
    pub fn private(&self, relative: &str, content: &str) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a folder");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(&path).and_then(|mut file| file.write_all(content.as_bytes())).expect("a file");
        self.wrote(relative, content.as_bytes());
        path
    }

    /// Tells that the story itself wrote this into a file, so that secrets in it are no leak.
    pub fn wrote(&self, relative: &str, content: &[u8]) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.push((self.path(relative), content.to_vec()));
    }

    /// Tells that sessions rest in plain text in this folder by contract: `onetap write`. Long-term secrets do not.
    pub fn lend(&self, relative: &str) {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner).push(self.path(relative));
    }

    /// The files that are virtual tokens, by how the story began them: they stand for cards, which hold seeds.
    fn cards(&self) -> Vec<PathBuf> {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = |text: &[u8]| text.starts_with(b"serial ") || text.starts_with(b"otpauth://");
        own.iter().filter(|(_, text)| begun(text)).map(|(path, _)| path.clone()).collect()
    }

    /// Fails if a secret of this story can be read in a file of this home; also done when the home goes.
    pub fn holds_no_secret(&self) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner).clone();
        own.extend(self.cards().into_iter().map(|card| {
            let content = fs::read(&card).unwrap_or_default();
            (card, seeds(&content))
        }));
        let lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        self.canaries.hidden_below(&self.path(""), &own, &lent);
    }

    /// Writes the virtual token's file and makes it the reader.
    pub fn token(&mut self, content: &str) {
        for seed in content.split("secret=").skip(1) {
            let end = seed.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(seed.len());
            self.canaries.plant_seed("a seed on the token", &seed[..end]);
        }
        let path = self.private("token", content);
        self.set("ONETAP_READER", format!("mock:{}", path.display()));
    }

    /// The APDUs that the virtual token answered: header bytes in hex, first to last.
    pub fn apdus(&self) -> Vec<String> {
        self.read("token.log").lines().map(|line| line[..8].to_lowercase()).collect()
    }

    /// How many codes the virtual token computed.
    pub fn touches(&self) -> usize {
        self.apdus().iter().filter(|header| header.starts_with("00a2")).count()
    }

    /// A program in this home, with nothing of the machine's environment but PATH. Its standard input is empty, and
    /// it has no terminal.
    pub fn program(&self, program: impl Into<PathBuf>) -> Command {
        // A session of its own has no controlling terminal, wherever the tests run.
        let mut command = Command::new("setsid");
        command
            .arg("--wait")
            .arg(program.into())
            .env_clear()
            .envs(&self.env)
            .stdin(Stdio::null())
            .current_dir(self.path(""));
        command
    }

    /// The binary under test.
    pub fn onetap(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(&self.binary);
        command.args(arguments);
        command
    }

    /// Runs the binary under test to its end.
    pub fn run(&self, arguments: &[&str]) -> Said {
        said(&mut self.onetap(arguments))
    }

    /// The variables of this home.
    pub fn env(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        self.env.iter()
    }

    /// The binary under test.
    pub fn binary(&self) -> &Path {
        &self.binary
    }
}

/// A story's sealing key would rest in the kernel's keyring for hours, and a user has room for some 170 of them.
impl Drop for Home {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.holds_no_secret();
        }
        // Where the key's name stands is told by `session/seal.rs`: 16 bytes of magic, then 16 of the store's name.
        let sealed = fs::read(self.path(".cache/onetap/sessions")).unwrap_or_default();
        if let Some(store) = sealed.get(16..32) {
            kernel::remove(&format!("onetap:{}", data_encoding::HEXLOWER.encode(store)));
        }
    }
}

/// The seeds in a virtual token's file and nothing else of it.
fn seeds(content: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(content);
    let seeds = text.split("secret=").skip(1).filter_map(|rest| rest.split(['&', '\n']).next());
    seeds.collect::<Vec<_>>().join("\n").into_bytes()
}

/// Runs a command to its end.
pub fn said(command: &mut Command) -> Said {
    command.output().expect("the program can be started").into()
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let (status, canaries) = (output.status, canary::here());
        // A session may stand there by contract: `credential-process`, `exec -- env`.
        canaries.hidden("stdout", &output.stdout, Kind::LongTerm);
        canaries.hidden("stderr", &output.stderr, Kind::Session);
        Self {
            status: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A line of the virtual token's file.
pub fn uri(account: &str, seed: &str, touch: bool) -> String {
    let touch = if touch { "&touch=true" } else { "" };
    format!("otpauth://totp/{}?secret={seed}{touch}", account.replace(':', "%3A").replace('/', "%2F"))
}

/// A program of the private Python environment that `tests/run` makes; its path is in `ONETAP_TEST_VENV`.
pub fn python_tool(name: &str) -> PathBuf {
    let folder = std::env::var_os("ONETAP_TEST_VENV")
        .expect("ONETAP_TEST_VENV is not set: run the tests with tests/run");
    let path = Path::new(&folder).join("bin").join(name);
    assert!(path.exists(), "{} lacks: run the tests with tests/run", path.display());
    path
}
