//! From a profile's text to what will be asked of AWS, and of whom.
//!
//! Pure: no file, no clock, no network. What can be decided from text is decided here.
//! Sources: AWS SDKs and Tools Reference (config file settings), STS API reference (limits).

use std::str::FromStr;
use std::time::Duration;

use crate::card::Serial;
use crate::profiles::{Profile, Profiles};

mod endpoint;
mod partition;
mod serial;
pub use endpoint::Endpoint;
pub use partition::Partition;
pub use serial::{MfaSerial, NotASerial};

/// The life that GetSessionToken gives when it is not told one (STS API reference): 12 hours.
const DEFAULT_DURATION: Duration = Duration::from_secs(43_200);
/// The shortest and the longest life that GetSessionToken grants an IAM user (STS API reference), in seconds.
const DURATIONS: std::ops::RangeInclusive<u64> = 900..=129_600;

/// What an MFA session needs, with nothing left to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The profile, whose long-term keys stand in the vault under this name.
    pub profile: String,
    /// The device that AWS asks about.
    pub mfa_serial: MfaSerial,
    /// The OATH account's exact name on the token.
    pub account: String,
    /// The token, if it must be a certain one.
    pub token: Option<Serial>,
    /// Whether a touch is announced on the desktop too.
    pub notify: Notify,
    /// Who is asked for a code, in this order.
    pub codes: Vec<SourceName>,
    /// The part of AWS in which the user lives.
    pub partition: Partition,
    /// The region whose STS is asked.
    pub sts_region: String,
    /// The region that was configured, for the child; `None` if nobody named one.
    pub region: Option<String>,
    /// Where STS is, if not at AWS's own address.
    pub endpoint: Option<Endpoint>,
    /// The profile's own `endpoint_url`, for the child; not checked, since other services use it.
    pub endpoint_url: Option<String>,
    /// How long the session shall live: 900 to 129,600 s.
    pub duration: Duration,
}

/// What the command line and the environment say about a plan.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// `AWS_REGION`, else `AWS_DEFAULT_REGION`.
    pub region: Option<String>,
    /// `AWS_ENDPOINT_URL_STS`, else `AWS_ENDPOINT_URL`, with the variable's name.
    pub endpoint: Option<(&'static str, String)>,
    /// `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS`: no configured address is used at all.
    pub ignore_endpoints: bool,
    /// `--code` or `ONETAP_CODE`.
    pub codes: Option<Vec<SourceName>>,
    /// `--reader pcsc:SERIAL`.
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
            "prompt" => Ok(Self::Prompt),
            "software" => Ok(Self::Software),
            "yubikey" => Ok(Self::YubiKey),
            _ => Err(format!("{text:?} is not one of yubikey, software, prompt")),
        }
    }
}

impl SourceName {
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

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A value in a profile.
    #[error("{key} = {value} in profile {profile:?}: {reason}")]
    BadValue {
        /// The profile that holds the value.
        profile: String,
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value in the environment.
    #[error("{variable} = {value}: {reason}")]
    BadVariable {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The profile's MFA device is a FIDO key.
    #[error(
        "mfa_serial in profile {profile:?}: {serial} is a FIDO security key, and STS takes only six-digit codes"
    )]
    Fido {
        /// The profile.
        profile: String,
        /// The device.
        serial: String,
    },
    /// The profile names no MFA device.
    #[error("the profile {profile:?} has no mfa_serial")]
    NoMfa {
        /// The profile.
        profile: String,
    },
    /// There is no such profile.
    #[error("there is no profile {name:?}{}", did_you_mean(.near))]
    NoProfile {
        /// The name that was asked for.
        name: String,
        /// Names that are like it.
        near: Vec<String>,
    },
    /// A kind of profile that gets its credentials in another way.
    #[error("the profile {profile:?} has {key}, which onetap does not carry out")]
    OtherKind {
        /// The profile.
        profile: String,
        /// The key that makes it another kind.
        key: &'static str,
    },
}

fn did_you_mean(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; did you mean {}?", names.join(" or ")) }
}

impl PlanError {
    /// The profile and key at fault, for naming the file and the line.
    pub fn place(&self) -> Option<(&str, &'static str)> {
        match self {
            Self::BadValue { profile, key, .. } | Self::OtherKind { profile, key } => Some((profile, key)),
            Self::Fido { profile, .. } => Some((profile, "mfa_serial")),
            Self::BadVariable { .. } | Self::NoMfa { .. } | Self::NoProfile { .. } => None,
        }
    }
}

/// Computes the plan for a profile.
pub fn plan(profiles: &Profiles, name: &str, wishes: &Wishes) -> Result<Plan, PlanError> {
    let profile = named(profiles, name)?;
    for key in ["role_arn", "sso_session", "sso_start_url", "login_session", "web_identity_token_file"] {
        if profile.value(key).is_some() {
            return Err(PlanError::OtherKind { profile: name.into(), key });
        }
    }
    let serial = profile.value("mfa_serial").ok_or_else(|| PlanError::NoMfa { profile: name.into() })?;
    let mfa_serial = serial.parse::<MfaSerial>().map_err(|refused| match refused {
        NotASerial::Fido(serial) => PlanError::Fido { profile: name.into(), serial },
        NotASerial::Malformed(_) => bad(&profile, "mfa_serial", serial, refused.to_string()),
    })?;

    let region = region(profiles, &profile, wishes)?;
    let partition = mfa_serial
        .partition()
        .or_else(|| region.as_deref().and_then(Partition::of_region))
        .unwrap_or(Partition::Aws);
    // A region of another partition does not know this user; STS is then asked at home.
    let sts_region = match region.as_deref() {
        Some(region) if Partition::of_region(region) == Some(partition) => region.into(),
        _ => partition.home_region().into(),
    };
    let codes = match (&wishes.codes, parsed(&profile, "onetap_code", SourceName::list)?) {
        (Some(wished), _) => wished.clone(),
        (None, Some(listed)) => listed,
        // A hardware device shows its code on a display of its own.
        (None, None) if !mfa_serial.is_arn() => vec![SourceName::Prompt],
        (None, None) => vec![SourceName::YubiKey, SourceName::Software],
    };
    Ok(Plan {
        profile: name.into(),
        account: profile.value("onetap_account").unwrap_or(serial).into(),
        token: wishes.token.or(parsed(&profile, "onetap_token", |text| {
            text.parse().map(Serial).map_err(|_| "a serial number is a whole number".to_owned())
        })?),
        notify: parsed(&profile, "onetap_notify", str::parse)?.unwrap_or_default(),
        codes,
        partition,
        sts_region,
        region,
        endpoint: endpoint(Some(&profile), wishes)?,
        endpoint_url: profile.value("endpoint_url").filter(|_| !wishes.ignore_endpoints).map(str::to_owned),
        duration: parsed(&profile, "onetap_session_duration", session_duration)?.unwrap_or(DEFAULT_DURATION),
        mfa_serial,
    })
}

/// A profile that must be there.
pub fn named<'a>(profiles: &'a Profiles, name: &str) -> Result<Profile<'a>, PlanError> {
    profiles.profile(name).ok_or_else(|| {
        let mut near = profiles
            .names()
            .filter(|known| known.eq_ignore_ascii_case(name) || strsim::damerau_levenshtein(known, name) <= 2)
            .map(str::to_owned)
            .collect::<Vec<_>>();
        near.sort();
        PlanError::NoProfile { name: name.into(), near }
    })
}

/// The configured region: the profile's, the environment's, `[default]`'s.
pub fn region(
    profiles: &Profiles,
    profile: &Profile<'_>,
    wishes: &Wishes,
) -> Result<Option<String>, PlanError> {
    let known = |text: &str| Partition::of_region(text).is_some();
    let why = || "is not the name of a region, such as eu-west-1".to_owned();
    if let Some(text) = profile.value("region") {
        return if known(text) { Ok(Some(text.into())) } else { Err(bad(profile, "region", text, why())) };
    }
    if let Some(text) = &wishes.region {
        return if known(text) {
            Ok(Some(text.clone()))
        } else {
            Err(PlanError::BadVariable { variable: "AWS_REGION", value: text.clone(), reason: why() })
        };
    }
    let default = profiles.profile("default");
    match default.and_then(|default| Some((default, default.value("region")?))) {
        Some((_, text)) if known(text) => Ok(Some(text.into())),
        Some((default, text)) => Err(bad(&default, "region", text, why())),
        None => Ok(None),
    }
}

/// The configured address of STS, in the order of the AWS SDKs and Tools Reference ("Service-specific endpoints").
pub fn endpoint(profile: Option<&Profile<'_>>, wishes: &Wishes) -> Result<Option<Endpoint>, PlanError> {
    if wishes.ignore_endpoints {
        return Ok(None);
    }
    if let Some((variable, value)) = &wishes.endpoint {
        return value.parse().map(Some).map_err(|reason| PlanError::BadVariable {
            variable,
            value: value.clone(),
            reason,
        });
    }
    let Some(profile) = profile else { return Ok(None) };
    let Some(text) = profile.service_endpoint("sts").or_else(|| profile.value("endpoint_url")) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|reason| bad(profile, "endpoint_url", text, reason))
}

fn session_duration(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(seconds) if DURATIONS.contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("AWS grants {} to {} seconds", DURATIONS.start(), DURATIONS.end())),
    }
}

fn parsed<T>(
    profile: &Profile<'_>,
    key: &'static str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, PlanError> {
    let Some(text) = profile.value(key) else { return Ok(None) };
    parse(text).map(Some).map_err(|reason| bad(profile, key, text, reason))
}

fn bad(profile: &Profile<'_>, key: &'static str, value: &str, reason: String) -> PlanError {
    PlanError::BadValue { profile: profile.name().into(), key, value: value.into(), reason }
}

#[cfg(test)]
#[path = "plan/tests.rs"]
mod tests;
