//! From a profile's text to what will be asked of AWS, and of whom.
//!
//! Pure: no file, no clock, no network. What can be decided from text is decided here; the sharing of sessions
//! follows from it, since two plans with an equal link share that link's session.
//! Sources: AWS SDKs and Tools Reference (config file settings), STS API reference (limits).

use std::path::PathBuf;
use std::time::Duration;

use crate::card::Serial;
use crate::profiles::Profiles;

mod endpoint;
mod key;
mod network;
pub mod origin;
mod partition;
pub mod process;
mod refusal;
mod role;
mod serial;
mod view;
mod walk;
mod wishes;
pub use endpoint::Endpoint;
pub use network::{Network, region, service_endpoint};
pub use partition::Partition;
pub use refusal::PlanError;
pub use role::{CHAINED, Role};
pub use serial::{MfaSerial, NotASerial};
pub use view::{View, named};
pub use wishes::{Notify, SourceName, Wishes};

use walk::{Stop, Way};

/// The value of `mfa_serial` that has the device found out.
pub const AUTO: &str = "auto";
/// The life that GetSessionToken gives when it is not told one (STS API reference): 12 hours.
const DEFAULT_DURATION: Duration = Duration::from_secs(43_200);
/// The shortest and the longest life that GetSessionToken grants an IAM user (STS API reference), in seconds.
const DURATIONS: std::ops::RangeInclusive<u64> = 900..=129_600;

/// What a session needs, with nothing left to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The profile that was asked for.
    pub profile: String,
    /// Whose credentials the first request is signed with.
    pub source: Source,
    /// The device whose code is asked for, if one is.
    pub mfa: Option<Mfa>,
    /// The requests to STS, each signed with what the one before it gave; never empty.
    pub links: Vec<Link>,
    /// Which STS is asked.
    pub network: Network,
    /// The region that was configured, for the child; `None` if nobody named one.
    pub region: Option<String>,
    /// The profile's own `endpoint_url`, for the child; not checked, since other services use it.
    pub endpoint_url: Option<String>,
    /// How much life a session must have left; none of its owner's, if `None`.
    pub min_ttl: Option<Duration>,
    /// How old a code may be that a session was made with.
    pub mfa_max_age: Option<Duration>,
    /// Whether a touch is announced on the desktop too.
    pub notify: Notify,
    /// Why the plan is not what its owner may expect, as a fact.
    pub why: Option<String>,
}

/// Where the credentials come from that sign the first request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `credential_source = Environment`: `AWS_ACCESS_KEY_ID` and its companions.
    Environment,
    /// A user's long-term key, which stands in the vault under this profile's name.
    Keys {
        /// The profile.
        profile: String,
    },
    /// Another program's `credential_process`.
    Process {
        /// The profile that names it.
        profile: String,
        /// The command line, for the system's shell.
        command: String,
    },
    /// Nothing is signed: the first request is AssumeRoleWithWebIdentity.
    WebIdentity {
        /// The file with the identity provider's token.
        token_file: PathBuf,
    },
}

impl Source {
    /// The profile whose key the vault holds.
    pub fn keys(&self) -> Option<&str> {
        match self {
            Self::Keys { profile } => Some(profile),
            Self::Environment | Self::Process { .. } | Self::WebIdentity { .. } => None,
        }
    }
}

/// An MFA device, and who makes its codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mfa {
    /// The device that AWS asks about.
    pub serial: MfaSerial,
    /// The profile whose seed the vault holds, for software codes.
    pub owner: String,
    /// The OATH account's exact name on the token.
    pub account: String,
    /// The token, if it must be a certain one.
    pub token: Option<Serial>,
    /// Who is asked for a code, in this order.
    pub codes: Vec<SourceName>,
    /// The profile's `mfa_process`: a command line that prints a code.
    pub process: Option<String>,
}

/// One request to STS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// GetSessionToken with a code.
    MfaSession {
        /// How long the session shall live: 900 to 129,600 s.
        duration: Duration,
    },
    /// AssumeRole, or AssumeRoleWithWebIdentity where the source is one.
    Role {
        /// The role.
        role: Role,
        /// Whether AssumeRole itself carries the code.
        with_mfa: bool,
    },
}

impl Link {
    /// How long its session shall live.
    pub fn duration(&self) -> Duration {
        match self {
            Self::MfaSession { duration } => *duration,
            Self::Role { role, .. } => role.duration,
        }
    }

    /// Whether a code is asked for.
    pub fn asks(&self) -> bool {
        matches!(self, Self::MfaSession { .. } | Self::Role { with_mfa: true, .. })
    }
}

impl Plan {
    /// The device, or why there is none where one is needed.
    pub fn device(&self) -> Result<&Mfa, PlanError> {
        self.mfa.as_ref().ok_or_else(|| PlanError::NoMfa { profile: self.profile.clone() })
    }

    /// Whether what the child gets is a role's session.
    pub fn is_role(&self) -> bool {
        matches!(self.links.last(), Some(Link::Role { .. }))
    }
}

/// Computes the plan for a profile.
pub fn plan(profiles: &Profiles, name: &str, wishes: &Wishes) -> Result<Plan, PlanError> {
    let way = Way::of(profiles, name)?;
    let asked = &way.stops.first().ok_or_else(|| PlanError::NoSource { profile: name.into() })?.view;
    let mfa = mfa(&way, wishes)?;
    let (links, why) = links(&way, mfa.is_some())?;
    let roles =
        || links.iter().filter_map(|link| if let Link::Role { role, .. } = link { Some(role) } else { None });
    let partition =
        mfa.as_ref().and_then(|mfa| mfa.serial.partition()).or_else(|| roles().next()?.partition());
    if let Some(stranger) = roles().find(|role| partition.is_some() && role.partition() != partition) {
        let home = partition.map_or("", Partition::name);
        let view = View::of(profiles, &stranger.profile)?;
        return Err(
            view.bad("role_arn", format!("is in another partition than {home}, where the user lives"))
        );
    }
    let region = region(profiles, Some(asked), wishes)?;
    Ok(Plan {
        profile: name.into(),
        network: Network::of(Some(asked), region.as_deref(), partition, wishes)?,
        region,
        endpoint_url: asked.value("endpoint_url").filter(|_| !wishes.ignore_endpoints).map(str::to_owned),
        min_ttl: way.first("onetap_min_ttl", |text| seconds(text, 0..=*DURATIONS.end()))?,
        mfa_max_age: way.first("onetap_mfa_max_age", |text| seconds(text, 1..=*DURATIONS.end()))?,
        notify: way.first("onetap_notify", str::parse)?.unwrap_or_default(),
        source: way.source,
        mfa,
        links,
        why,
    })
}

/// The device of the user at the end of the way: the serial of whoever calls AWS as that user, else the user's own.
fn mfa(way: &Way<'_>, wishes: &Wishes) -> Result<Option<Mfa>, PlanError> {
    let Some((at, (text, profile))) =
        way.stops.iter().enumerate().find_map(|(at, stop)| Some((at, stop.view.find("mfa_serial")?)))
    else {
        return Ok(None);
    };
    let view = &way.stops.get(at).ok_or_else(|| PlanError::NoMfa { profile: profile.name().into() })?.view;
    let called_by_role = way.stops.get(at.saturating_add(1)..).into_iter().flatten().any(|stop| stop.role);
    let web = matches!(way.source, Source::WebIdentity { .. });
    if called_by_role || web {
        let whose = if web { "a web identity's" } else { "another role's" };
        let stands_for = match way.stops.get(at) {
            Some(stop) if stop.role => "this role is assumed with",
            _ => "this profile stands for",
        };
        let reason = format!("a device counts only for a user's own call, and {stands_for} {whose} session");
        return Err(view.bad("mfa_serial", reason));
    }
    let text = match (text, wishes.found.get(profile.name())) {
        (AUTO, Some(found)) => found,
        (AUTO, None) => return Err(PlanError::Auto { profile: profile.name().into() }),
        (text, _) => text,
    };
    let serial = text.parse::<MfaSerial>().map_err(|refused| match refused {
        NotASerial::Fido(serial) => PlanError::Fido { profile: profile.name().into(), serial },
        NotASerial::Malformed(_) => view.bad("mfa_serial", refused.to_string()),
    })?;
    // The seed is stored under the name of the profile that owns the key, if the device is that user's.
    let last = way.stops.last().map_or(view, |stop| &stop.view);
    let owner = if last.value("mfa_serial").is_none_or(|own| own == text) { last } else { view };
    let process = way.first("mfa_process", |text| Ok(text.to_owned()))?;
    let codes = match (&wishes.codes, way.first("onetap_code", SourceName::list)?) {
        (Some(wished), _) => wished.clone(),
        (None, Some(listed)) => listed,
        (None, None) if process.is_some() => vec![SourceName::Process],
        // A hardware device shows its code on a display of its own.
        (None, None) if !serial.is_arn() => vec![SourceName::Prompt],
        (None, None) => vec![SourceName::YubiKey, SourceName::Software],
    };
    if process.is_none() && codes.contains(&SourceName::Process) {
        return Err(no_process(way, wishes));
    }
    let token = way.first("onetap_token", |text| {
        text.parse().map(Serial).map_err(|_| "a serial number is a whole number".to_owned())
    })?;
    Ok(Some(Mfa {
        owner: owner.name().into(),
        account: way.first("onetap_account", |text| Ok(text.to_owned()))?.unwrap_or_else(|| text.into()),
        token: wishes.token.or(token),
        codes,
        process,
        serial,
    }))
}

/// A program is named as a source of codes, and there is none.
fn no_process(way: &Way<'_>, wishes: &Wishes) -> PlanError {
    let reason = "process stands there, and no profile on the way has mfa_process".to_owned();
    let listed = way.stops.iter().find(|stop| stop.view.value("onetap_code").is_some());
    match (&wishes.codes, listed) {
        (None, Some(stop)) => stop.view.bad("onetap_code", reason),
        (codes, _) => {
            let words = codes.iter().flatten().map(|name| name.word()).collect::<Vec<_>>();
            PlanError::BadVariable { variable: "--code", value: words.join(","), reason }
        }
    }
}

/// The requests, from the user's own to the one whose session was asked for; and why they are not the usual ones.
fn links(way: &Way<'_>, mfa: bool) -> Result<(Vec<Link>, Option<String>), PlanError> {
    let caller = way.stops.last().map_or("", |stop| stop.view.name());
    let mut links = Vec::new();
    let mut why = None;
    let mut roles = way.stops.iter().rev().filter(|stop| stop.role).peekable();
    let Some(first) = roles.next() else {
        let Some(Stop { view, .. }) = way.stops.first() else { return Ok((links, why)) };
        if !mfa {
            return Err(PlanError::NoMfa { profile: view.name().into() });
        }
        links.push(Link::MfaSession { duration: session_duration(way)? });
        return Ok((links, why));
    };
    let role = Role::of(&first.view, caller)?;
    let long = role.duration > CHAINED;
    if mfa && long {
        why = Some(format!(
            "the role in [{}] is asked for with a code of its own: for more than 1 h AWS wants MFA on AssumeRole itself",
            role.profile
        ));
    } else if mfa {
        links.push(Link::MfaSession { duration: session_duration(way)? });
    }
    links.push(Link::Role { role, with_mfa: mfa && long });
    for stop in roles {
        let role = Role::of(&stop.view, caller)?;
        if role.duration > CHAINED {
            let reason =
                "AWS grants at most 3600 seconds to a role that is assumed from another role's session";
            return Err(stop.view.bad("duration_seconds", reason));
        }
        links.push(Link::Role { role, with_mfa: false });
    }
    Ok((links, why))
}

fn session_duration(way: &Way<'_>) -> Result<Duration, PlanError> {
    let read = |text: &str| {
        let grants = || format!("AWS grants {} to {} seconds", DURATIONS.start(), DURATIONS.end());
        seconds(text, DURATIONS).map_err(|_| grants())
    };
    Ok(way.first("onetap_session_duration", read)?.unwrap_or(DEFAULT_DURATION))
}

fn seconds(text: &str, range: std::ops::RangeInclusive<u64>) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(seconds) if range.contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("write a number of seconds from {} to {}", range.start(), range.end())),
    }
}

impl Way<'_> {
    /// The value of one of onetap's own keys: the nearest profile's on the way.
    fn first<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, PlanError> {
        match self.stops.iter().find(|stop| stop.view.value(key).is_some()) {
            Some(stop) => stop.view.parsed(key, parse),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
#[path = "plan/matrix/tests.rs"]
mod matrix;
#[cfg(test)]
#[path = "plan/tests.rs"]
mod tests;
