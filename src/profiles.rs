//! What stands in `~/.aws/config` and `~/.aws/credentials`, read by AWS's own loader.
//!
//! Knows nothing about what the values mean. All edge cases of the format are the loader's; what it loses in
//! silence (quoted headers, other encodings, files it may not read) is found here when a profile is missing.

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use aws_runtime::env_config::file::EnvConfigFiles;
use aws_runtime::env_config::property::PropertiesKey;
use aws_runtime::env_config::section::{self, EnvConfigSections};
use aws_runtime::env_config::source;
use aws_runtime::fs_util::{Os, home_dir};
use aws_types::os_shim_internal::{Env, Fs};

pub mod edit;

/// All profiles of both files.
#[derive(Debug)]
pub struct Profiles {
    sections: EnvConfigSections,
    files: Files,
}

/// Where the two files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// `AWS_CONFIG_FILE`, or `~/.aws/config`.
    pub config: PathBuf,
    /// `AWS_SHARED_CREDENTIALS_FILE`, or `~/.aws/credentials`.
    pub credentials: PathBuf,
}

/// One profile.
#[derive(Clone, Copy, Debug)]
pub struct Profile<'a> {
    inner: &'a section::Profile,
    all: &'a Profiles,
}

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    file: PathBuf,
    line: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// What a person may be pointed to in the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spot {
    /// A key of a profile, or the profile itself.
    Profile(String, Option<&'static str>),
    /// A service in the `services` section of this name.
    Service(String, &'static str),
}

/// A file that AWS's loader refuses as a whole; it names the file and the line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

impl Files {
    /// The paths that AWS's loader uses with this environment.
    pub fn of(env: &Env) -> Self {
        let home = home_dir(env, Os::real()).unwrap_or_else(|| "~".into());
        let expand = |variable: &str, default: &str| {
            let path = env.get(variable).unwrap_or_else(|_| default.into());
            match path.strip_prefix("~/") {
                Some(rest) => Path::new(&home).join(rest),
                None => PathBuf::from(path),
            }
        };
        Self {
            config: expand("AWS_CONFIG_FILE", "~/.aws/config"),
            credentials: expand("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
        }
    }
}

impl Profiles {
    /// Reads both files; a file that is not there is empty. Blocks on the file system only.
    pub fn load(env: &Env, fs: &Fs) -> Result<Self, Unreadable> {
        let files = EnvConfigFiles::default();
        let source = at_once(source::load(env, fs, &files))
            .ok_or_else(|| Unreadable("the AWS configuration could not be read at once".into()))?
            .map_err(|error| Unreadable(chain(&error)))?;
        let sections = EnvConfigSections::parse(source).map_err(|error| Unreadable(chain(&error)))?;
        Ok(Self { sections, files: Files::of(env) })
    }

    /// The profiles in these texts, for tables of cases.
    #[cfg(test)]
    pub(crate) fn of_text(config: &str, credentials: &str) -> Self {
        let env = Env::from_slice(&[("HOME", "/home/doug")]);
        let fs = Fs::from_slice(&[
            ("/home/doug/.aws/config", config),
            ("/home/doug/.aws/credentials", credentials),
        ]);
        Self::load(&env, &fs).unwrap()
    }

    /// A profile by its name.
    pub fn profile(&self, name: &str) -> Option<Profile<'_>> {
        self.sections.get_profile(name).map(|inner| Profile { inner, all: self })
    }

    /// All names, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sections.profiles()
    }

    /// Where the files are.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Where the value of `key` stands; the credentials file wins, as it does for AWS. Reads the files again: this is
    /// for a person's eyes only.
    pub fn locate(&self, profile: &str, key: &'static str) -> Option<Location> {
        self.locate_spot(&Spot::Profile(profile.into(), Some(key)))
    }

    /// The same for any spot.
    pub fn locate_spot(&self, spot: &Spot) -> Option<Location> {
        let Files { config, credentials } = &self.files;
        let places = match spot {
            Spot::Profile(name, key) if name == "default" => {
                vec![(credentials, name.clone(), *key), (config, name.clone(), *key)]
            }
            Spot::Profile(name, key) => {
                vec![(credentials, name.clone(), *key), (config, format!("profile {name}"), *key)]
            }
            Spot::Service(name, service) => vec![(config, format!("services {name}"), Some(*service))],
        };
        places.into_iter().find_map(|(file, section, key)| {
            let line = edit::locate(&std::fs::read(file).ok()?, &section, key)?;
            Some(Location { file: file.clone(), line })
        })
    }

    /// Why a profile that stands in a file is not among the profiles, if AWS's loader lost it in silence.
    pub fn lost(&self, profile: &str) -> Option<String> {
        for file in [&self.files.config, &self.files.credentials] {
            let content = match std::fs::read(file) {
                Ok(content) => content,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Some(format!("{} cannot be read: {error}", file.display())),
            };
            let Ok(text) = String::from_utf8(content) else {
                return Some(format!("{} is not UTF-8, so AWS's tools take it for empty", file.display()));
            };
            for (index, line) in text.lines().enumerate() {
                let place = format!("{}:{}", file.display(), index.saturating_add(1));
                let Some(header) = line.trim().strip_prefix('[').and_then(|rest| rest.split(']').next())
                else {
                    continue;
                };
                if header.contains(['"', '\'']) && header.replace(['"', '\''], "").ends_with(profile) {
                    return Some(format!("{place} has quotes in its header, which AWS's SDKs do not read"));
                }
                if header.trim() == profile && *file == self.files.config {
                    return Some(format!("{place} lacks the word \"profile\": write [profile {profile}]"));
                }
            }
        }
        None
    }
}

impl<'a> Profile<'a> {
    /// The profile's name.
    pub fn name(&self) -> &'a str {
        self.inner.name()
    }

    /// The value of a key, without blanks around it; `None` if it is absent or empty.
    pub fn value(&self, key: &str) -> Option<&'a str> {
        self.inner.get(key).map(str::trim).filter(|value| !value.is_empty())
    }

    /// The value of `endpoint_url` for a service in the profile's `services` section.
    pub fn service_endpoint(&self, service: &str) -> Option<&'a str> {
        let key = PropertiesKey::builder()
            .section_key("services")
            .section_name(self.value("services")?)
            .property_name(service)
            .sub_property_name("endpoint_url")
            .build()
            .ok()?;
        self.all.sections.other_sections().get(&key).map(|value| value.trim())
    }
}

/// Polls once: the loader's `async` functions only read files, so that no runtime is needed on the cached path.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_both_files_are_merged_and_blank_ones_are_absent() {
        let profiles = Profiles::of_text(
            "[profile doug]\nregion = eu-west-1\nmfa_serial =\n[services s]\nsts =\n  endpoint_url = http://a\n",
            "[doug]\nregion = eu-west-2\nservices = s\n",
        );
        let doug = profiles.profile("doug").unwrap();
        assert_eq!(doug.value("region"), Some("eu-west-2"), "the credentials file wins");
        assert_eq!(doug.value("mfa_serial"), None);
        assert_eq!(doug.service_endpoint("sts"), Some("http://a"));
        assert!(profiles.profile("nobody").is_none());
    }

    #[test]
    fn a_malformed_file_is_named_with_its_line() {
        let env = Env::from_slice(&[("HOME", "/h")]);
        let fs = Fs::from_slice(&[("/h/.aws/config", "[profile doug]\nregion\n")]);
        let refused = Profiles::load(&env, &fs).unwrap_err().to_string();
        assert!(refused.contains("/h/.aws/config") && refused.contains("line 2"), "{refused}");
    }

    #[test]
    fn the_environment_moves_the_files() {
        let env = Env::from_slice(&[
            ("HOME", "/h"),
            ("AWS_CONFIG_FILE", "~/c"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/k"),
        ]);
        assert_eq!(Files::of(&env), Files { config: "/h/c".into(), credentials: "/k".into() });
    }

    #[test]
    fn what_the_loader_loses_is_explained() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let lost = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            let file = path.to_str().unwrap();
            let env =
                Env::from_slice(&[("AWS_CONFIG_FILE", file), ("AWS_SHARED_CREDENTIALS_FILE", "/absent")]);
            Profiles::load(&env, &Fs::real()).unwrap().lost("doug")
        };
        assert!(lost(b"\n[profile \"doug\"]\n").unwrap().contains("config:2 has quotes"));
        assert!(lost(b"[doug]\nregion = x\n").unwrap().contains("[profile doug]"));
        assert!(lost(b"[profile doug]\nx = \xff\n").unwrap().contains("UTF-8"));
        assert_eq!(lost(b"[profile other]\n"), None);
    }
}
