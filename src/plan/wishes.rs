//! What the command line and the environment say about a plan, and the words that profiles use.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use crate::card::Serial;

/// What the command line and the environment say about a plan.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// `AWS_REGION`, else `AWS_DEFAULT_REGION`, with the variable's name.
    pub region: Option<(&'static str, String)>,
    /// `AWS_ENDPOINT_URL_STS`, else `AWS_ENDPOINT_URL`, with the variable's name.
    pub endpoint: Option<(&'static str, String)>,
    /// `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS`: no configured address is used at all.
    pub ignore_endpoints: bool,
    /// `AWS_CA_BUNDLE`.
    pub ca_bundle: Option<PathBuf>,
    /// `AWS_USE_DUALSTACK_ENDPOINT`.
    pub dualstack: Option<String>,
    /// `AWS_USE_FIPS_ENDPOINT`.
    pub fips: Option<String>,
    /// `AWS_STS_REGIONAL_ENDPOINTS`.
    pub sts_regional: Option<String>,
    /// `--code` or `ONETAP_CODE`.
    pub codes: Option<Vec<SourceName>>,
    /// The devices that `mfa_serial = auto` stands for, as they were found out, by the profile in which it stands.
    pub found: BTreeMap<String, String>,
    /// `--reader pcsc:SERIAL` or `--token`.
    pub token: Option<Serial>,
}

/// Whether a desktop shows what is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Notify {
    /// The terminal alone.
    Off,
    /// The desktop too, where there is one.
    #[default]
    On,
}

impl FromStr for Notify {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "on" => Ok(Self::On),
            _ => Err("write on or off".into()),
        }
    }
}

/// The name of a source of codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceName {
    /// A program prints it: the profile's `mfa_process`.
    Process,
    /// A person types it.
    Prompt,
    /// From a seed in the vault.
    Software,
    /// From the OATH applet.
    YubiKey,
}

impl FromStr for SourceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "process" => Ok(Self::Process),
            "prompt" => Ok(Self::Prompt),
            "software" => Ok(Self::Software),
            "yubikey" => Ok(Self::YubiKey),
            _ => Err(format!("{text:?} is not one of yubikey, software, prompt, process")),
        }
    }
}

impl SourceName {
    /// The word in `onetap_code` and `--code`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Prompt => "prompt",
            Self::Software => "software",
            Self::YubiKey => "yubikey",
        }
    }

    /// A list such as `yubikey,prompt`: each name once, at least one.
    pub fn list(text: &str) -> Result<Vec<Self>, String> {
        let mut names = Vec::new();
        for word in text.split(',').map(str::trim) {
            let name = word.parse()?;
            if names.contains(&name) {
                return Err(format!("{word} stands twice"));
            }
            names.push(name);
        }
        Ok(names)
    }
}
