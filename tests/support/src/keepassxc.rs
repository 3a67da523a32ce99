//! KeePassXC as the Secret Service on a bus of its own, without a display: the second implementation beside GNOME's.

use std::fs;
use std::io::{self, Write as _};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use data_encoding::{BASE64, HEXLOWER};

use crate::secret_service::SecretService;

const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "test-pw";

/// What makes it serve, and ask nobody.
const CONFIG: &str = "[General]\nConfigVersion=2\nUpdateCheckMessageShown=true\nSingleInstance=true\n\
    [GUI]\nCheckForUpdates=false\n\
    [FdoSecrets]\nEnabled=true\nConfirmAccessItem=false\nConfirmDeleteItem=false\nShowNotification=false\n\
    UnlockBeforeSearch=false\n[Security]\nLockDatabaseIdle=false\n";

/// The running program with one open database; dropping it ends it.
#[derive(Debug)]
pub struct KeePassXc {
    service: SecretService,
    child: Child,
}

impl KeePassXc {
    /// Makes a database whose entries the Secret Service may hand out, and opens it. An error names what lacks; it is
    /// `ConnectionAborted` where KeePassXC died.
    pub fn start() -> io::Result<Self> {
        let service = SecretService::bus_only()?;
        let home = service.home().to_path_buf();
        let path = |name: &str| home.join(name).display().to_string();
        let twice = format!("{PASSWORD}\n{PASSWORD}\n");
        cli(&service, &["db-create", "-p", &path("empty.kdbx")], &twice)?;
        let once = format!("{PASSWORD}\n");
        let xml = cli(&service, &["export", "-f", "xml", &path("empty.kdbx")], &once)?;
        fs::write(home.join("db.xml"), exposed(&xml).ok_or_else(|| io::Error::other("an odd export"))?)?;
        cli(&service, &["import", "-p", &path("db.xml"), &path("db.kdbx")], &twice)?;
        fs::write(home.join("keepassxc.ini"), CONFIG)?;
        let mut command = program(&service, "keepassxc");
        let mut child = command
            .args(["--config", &path("keepassxc.ini"), "--localconfig", &path("local.ini")])
            .args(["--pw-stdin", &path("db.kdbx")])
            .stdin(Stdio::piped())
            .spawn()?;
        child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(once.as_bytes()))?;
        let mut this = Self { service, child };
        let deadline = Instant::now() + PATIENCE;
        // The collection is there, locked, before the password has been read.
        while this.service.default_collection().is_none_or(|path| path == "/") || this.service.is_locked() {
            if let Some(status) = this.child.try_wait()? {
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, format!("KeePassXC: {status}")));
            }
            if Instant::now() >= deadline {
                return Err(io::Error::other("KeePassXC did not come up"));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(this)
    }

    /// The bus that it is on.
    pub fn service(&self) -> &SecretService {
        &self.service
    }

    /// Locks its database, as its owner does.
    pub fn lock(&self) -> io::Result<()> {
        let path = |name: &str| self.service.home().join(name).display().to_string();
        let mut command = program(&self.service, "keepassxc");
        command.args(["--config", &path("keepassxc.ini"), "--localconfig", &path("local.ini"), "--lock"]);
        if !command.status()?.success() {
            return Err(io::Error::other("KeePassXC does not lock"));
        }
        let deadline = Instant::now() + PATIENCE;
        while !self.service.is_locked() {
            if Instant::now() >= deadline {
                return Err(io::Error::other("KeePassXC did not lock"));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for KeePassXc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(service: &SecretService, name: &str) -> Command {
    let mut command = Command::new(name);
    // In its temporary folder stands the lock by which it finds another instance, this user's whichever it is.
    let temporary = service.home();
    command
        .env_clear()
        .envs(service.env())
        .env("QT_QPA_PLATFORM", "offscreen")
        .env("LANG", "C.UTF-8")
        .env("TMPDIR", temporary);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn cli(service: &SecretService, arguments: &[&str], input: &str) -> io::Result<String> {
    let mut command = program(service, "keepassxc-cli");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| {
        io::Error::new(error.kind(), format!("keepassxc-cli: {error} (Debian: apt-get install keepassxc)"))
    })?;
    child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input.as_bytes()))?;
    let output = child.wait_with_output()?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(io::Error::other(format!("keepassxc-cli {}: {}", arguments[0], output.status))),
    }
}

/// The database's text with its root group exposed: what a person ticks in the database's settings.
fn exposed(xml: &str) -> Option<String> {
    let (_, group) = xml.split_once("<Group>")?;
    let (_, id) = group.split_once("<UUID>")?;
    let id = HEXLOWER.encode(&BASE64.decode(id.split_once('<')?.0.as_bytes()).ok()?);
    let id = [id.get(..8)?, id.get(8..12)?, id.get(12..16)?, id.get(16..20)?, id.get(20..)?].join("-");
    let item = format!("<Item><Key>FDO_SECRETS_EXPOSED_GROUP</Key><Value>{{{id}}}</Value></Item>");
    Some(xml.replacen("<Binaries/>", &format!("<Binaries/><CustomData>{item}</CustomData>"), 1))
}
