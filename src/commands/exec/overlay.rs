//! A private copy of AWS's two files for one child, with what was asked for put in.
//!
//! Knows what is changed in the copies, and that they die with the child: the folder is removed by its owner, and
//! where the owner was killed, by the next onetap that finds its lock free.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::cli::{Also, HandOver};
use crate::error::Error;
use crate::files::{Lock, Private, private_folder, write_whole};
use crate::plan::Plan;
use crate::plan::process::calls_us;
use crate::profiles::edit::{self, EditError, owned};
use crate::profiles::{Profile, Profiles};
use zeroize::Zeroizing;

use super::super::config_file::section;
use super::super::{Context, add::hand_off_line};

/// How the folders' names begin.
const PREFIX: &str = "onetap-exec-";
/// A folder without a lock is this old before it is nobody's: its owner takes the lock at once.
const UNLOCKED: Duration = Duration::from_secs(60);
/// Credentials in a profile, which win over a `credential_process`, or over the container's address.
const KEYS: [&str; 3] = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];
/// What else gives the profile `default` credentials.
const SOURCES: [&str; 7] = [
    "credential_process",
    "credential_source",
    "login_session",
    "role_arn",
    "source_profile",
    "sso_session",
    "sso_start_url",
];

/// What makes an SDK assume a profile's role itself.
const ROLE: [&str; 5] =
    ["credential_source", "mfa_serial", "role_arn", "source_profile", "web_identity_token_file"];

/// What the child reads instead of the person's files; `None` where those serve.
#[derive(Default)]
pub(super) struct Texts {
    config: Option<Vec<u8>>,
    credentials: Option<Zeroizing<Vec<u8>>>,
}

impl Texts {
    /// What was asked for, written into copies.
    pub(super) fn of(
        context: &Context,
        profiles: &Profiles,
        plan: &Plan,
        wanted: &HandOver,
    ) -> Result<Self, Error> {
        let files = profiles.files();
        let mut copy = Copy {
            config: read(&files.config)?,
            credentials: Zeroizing::new(read(&files.credentials)?),
            profiles,
        };
        let before = (copy.config.clone(), copy.credentials.clone());
        let role = |also: &Also| also.what.starts_with("arn:");
        if wanted.profile_env || wanted.also.iter().any(role) {
            copy.serve(&plan.profile)?;
        }
        for also in &wanted.also {
            copy.add(context, plan, also)?;
        }
        if wanted.refresh {
            copy.clear_default();
        }
        let Copy { config, credentials, .. } = copy;
        Ok(Self {
            config: (config != before.0).then_some(config),
            credentials: (credentials != before.1).then_some(credentials),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.config.is_none() && self.credentials.is_none()
    }

    /// Puts the copies into a folder of their own.
    pub(super) fn lay(&self, runtime: Option<&Path>, now: SystemTime) -> Result<Overlay, Error> {
        let base = match runtime.filter(|folder| folder.is_absolute() && folder.is_dir()) {
            Some(folder) => folder.to_path_buf(),
            None => std::env::temp_dir(),
        };
        sweep(&base, now);
        let refused = |error: io::Error| Error::File { path: base.clone(), reason: error.to_string() };
        let folder = private_folder(&base, PREFIX).map_err(refused)?;
        let lock = Lock::try_take(&folder.join("lock")).map_err(refused)?;
        let mut overlay = Overlay { folder, env: Vec::new(), _lock: lock };
        let texts = [
            ("AWS_CONFIG_FILE", "config", self.config.as_deref()),
            (
                "AWS_SHARED_CREDENTIALS_FILE",
                "credentials",
                self.credentials.as_ref().map(|text| text.as_slice()),
            ),
        ];
        for (variable, name, text) in texts {
            let Some(text) = text else { continue };
            let file = overlay.folder.join(name);
            write_whole(&file, text, Private::OwnerOnly).map_err(refused)?;
            overlay.env.push((variable, file));
        }
        Ok(overlay)
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    match fs::read(file) {
        Ok(content) => Ok(content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::Usage(format!("{} cannot be read: {error}", file.display()))),
    }
}

/// A path as one word of a command line, which a shell or its imitation in an SDK reads.
fn quoted(path: &Path) -> Result<String, Error> {
    let unfit = || Error::Usage(format!("{} cannot stand in a command line", path.display()));
    let text = path.to_str().filter(|text| !text.contains(char::is_control)).ok_or_else(unfit)?;
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

struct Copy<'a> {
    config: Vec<u8>,
    credentials: Zeroizing<Vec<u8>>,
    profiles: &'a Profiles,
}

impl Copy<'_> {
    /// A profile of the person's gets its credentials from onetap.
    fn serve(&mut self, profile: &str) -> Result<(), Error> {
        let known = self.profiles.profile(profile);
        let value = |key| known.as_ref().and_then(|known: &Profile<'_>| known.value(key));
        if KEYS.iter().any(|key| value(key).is_some()) {
            self.config = edit::unset(&self.config, &section(profile), &KEYS);
            self.credentials = Zeroizing::new(edit::unset(&self.credentials, profile, &KEYS));
        }
        let line = hand_off_line(profile)?;
        // SDKs that find a role take it themselves, and ask for a code themselves or not at all. The copy has none, and
        // onetap reads the person's own files.
        if value("role_arn").is_some() {
            self.config = edit::unset(&self.config, &section(profile), &ROLE);
            self.credentials = Zeroizing::new(edit::unset(&self.credentials, profile, &ROLE));
            let files = self.profiles.files();
            let (config, credentials) = (quoted(&files.config)?, quoted(&files.credentials)?);
            let line =
                format!("env AWS_CONFIG_FILE={config} AWS_SHARED_CREDENTIALS_FILE={credentials} {line}");
            self.set(profile, &[("credential_process", &line)])?;
        } else if value("credential_process").and_then(calls_us).is_none_or(|known| known != profile) {
            self.set(profile, &[("credential_process", &line)])?;
        }
        Ok(())
    }

    /// A profile that stands in the copy only.
    fn add(&mut self, context: &Context, plan: &Plan, also: &Also) -> Result<(), Error> {
        if also.name == also.what {
            context.plan(self.profiles, &also.what)?;
            return self.serve(&also.name);
        }
        if also.name == plan.profile {
            return Err(Error::Usage(format!(
                "--also {}: this is the name of the child's own profile",
                also.name
            )));
        }
        self.config = owned::without(&self.config, &section(&also.name));
        self.credentials = Zeroizing::new(owned::without(&self.credentials, &also.name));
        if also.what.starts_with("arn:") {
            let mut keys = vec![("role_arn", also.what.as_str()), ("source_profile", plan.profile.as_str())];
            keys.extend(plan.region.as_deref().map(|region| ("region", region)));
            keys.extend(plan.endpoint_url.as_deref().map(|url| ("endpoint_url", url)));
            return self.set(&also.name, &keys);
        }
        let other = context.plan(self.profiles, &also.what)?;
        let line = hand_off_line(&other.profile)?;
        let mut keys = vec![("credential_process", line.as_str())];
        keys.extend(other.region.as_deref().map(|region| ("region", region)));
        keys.extend(other.endpoint_url.as_deref().map(|url| ("endpoint_url", url)));
        self.set(&also.name, &keys)
    }

    /// SDKs look into the profile `default` before they ask the container's address.
    fn clear_default(&mut self) {
        let Some(default) = self.profiles.profile("default") else { return };
        let keys = [KEYS.as_slice(), &SOURCES].concat();
        if keys.iter().any(|key| default.value(key).is_some()) {
            self.config = edit::unset(&self.config, "default", &keys);
            self.credentials = Zeroizing::new(edit::unset(&self.credentials, "default", &keys));
        }
    }

    fn set(&mut self, profile: &str, keys: &[(&str, &str)]) -> Result<(), Error> {
        let refused =
            |error: EditError| Error::Usage(format!("the profile {profile:?} for the child: {error}"));
        self.config = edit::set(&self.config, &section(profile), keys).map_err(refused)?;
        Ok(())
    }
}

/// The folder of one child; it goes when this goes.
pub(super) struct Overlay {
    folder: PathBuf,
    env: Vec<(&'static str, PathBuf)>,
    _lock: Option<Lock>,
}

impl Overlay {
    /// The variables that lead to the copies.
    pub(super) fn env(&self) -> &[(&'static str, PathBuf)] {
        &self.env
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Removes the folders whose owner is gone: a lock dies with its holder.
fn sweep(base: &Path, now: SystemTime) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let named = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let Some(about) = entry.metadata().ok().filter(|about| named && about.is_dir() && is_own(about))
        else {
            continue;
        };
        let lock = entry.path().join("lock");
        let abandoned = match lock.exists() {
            true => Lock::try_take(&lock).is_ok_and(|lock| lock.is_some()),
            false => {
                about.modified().is_ok_and(|made| now.duration_since(made).unwrap_or_default() > UNLOCKED)
            }
        };
        if abandoned {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(unix)]
fn is_own(about: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::uid(about) == rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn is_own(_about: &fs::Metadata) -> bool {
    true
}
