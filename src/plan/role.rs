//! A role as a profile asks for it.
//!
//! Sources: STS API reference, AssumeRole and AssumeRoleWithWebIdentity; aws-vault for the keys of session tags.

use std::time::Duration;

use super::view::View;
use super::{Partition, PlanError};

/// The life that AssumeRole gives when it is not told one, and the longest for a role that is assumed from a session
/// (STS API reference, AssumeRole, DurationSeconds; IAM User Guide, "Role chaining"): one hour.
pub const CHAINED: Duration = Duration::from_secs(3_600);
/// The shortest and the longest life of a role's session (STS API reference, AssumeRole), in seconds.
const DURATIONS: std::ops::RangeInclusive<u64> = 900..=43_200;
/// STS takes at most so many session tags.
const TAGS: usize = 50;

/// What AssumeRole is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// The profile that names the role.
    pub profile: String,
    /// `arn:PARTITION:iam::ACCOUNT:role/NAME`.
    pub arn: String,
    /// The name of the session, for the account's log: 2 to 64 of `[\w+=,.@-]`.
    pub session_name: String,
    /// How long the role's session shall live: 900 to 43,200 s.
    pub duration: Duration,
    /// What the role's owner agreed upon with a third party; no secret, says AWS.
    pub external_id: Option<String>,
    /// Tags of the session, in the order of the profile.
    pub tags: Vec<(String, String)>,
    /// Those tags that go on to the next role.
    pub transitive_tags: Vec<String>,
    /// Who stands behind the session.
    pub source_identity: Option<String>,
}

impl Role {
    /// The role that a profile names in `role_arn`; `caller` names the session where the profile does not.
    pub fn of(view: &View<'_>, caller: &str) -> Result<Self, PlanError> {
        let arn = view.value("role_arn").unwrap_or_default();
        if partition(arn).is_none() {
            return Err(view.bad("role_arn", "is not arn:aws:iam::ACCOUNT:role/NAME"));
        }
        let session_name = view.parsed("role_session_name", |text| word(text, 64))?;
        let tags = view.parsed("session_tags", tags)?.unwrap_or_default();
        let transitive_tags = view.parsed("transitive_session_tags", |text| {
            let keys: Vec<_> = text.split(',').map(|key| key.trim().to_owned()).collect();
            match keys.iter().find(|key| !tags.iter().any(|(known, _)| known == *key)) {
                Some(unknown) => Err(format!("{unknown:?} is not one of session_tags")),
                None => Ok(keys),
            }
        })?;
        Ok(Self {
            profile: view.name().into(),
            arn: arn.into(),
            session_name: session_name.unwrap_or_else(|| usual_name(caller)),
            duration: view.parsed("duration_seconds", duration)?.unwrap_or(CHAINED),
            external_id: view.parsed("external_id", external_id)?,
            transitive_tags: transitive_tags.unwrap_or_default(),
            tags,
            source_identity: view.parsed("source_identity", |text| word(text, 64))?,
        })
    }

    /// The part of AWS that holds the role.
    pub fn partition(&self) -> Option<Partition> {
        partition(&self.arn)
    }
}

fn partition(arn: &str) -> Option<Partition> {
    let parts = arn.splitn(6, ':').collect::<Vec<_>>();
    let ["arn", partition, "iam", "", account, resource] = parts.as_slice() else { return None };
    let digits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    // IAM, CreateRole: path and name from these.
    let good = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/+=,.@-_".contains(&b))
    };
    let named = resource.strip_prefix("role/").is_some_and(good);
    Partition::named(partition).filter(|_| digits && named)
}

/// The name of a session that no profile names. It is the same each time, so that processes share the session.
fn usual_name(caller: &str) -> String {
    let fitting = |c: char| if c.is_ascii_alphanumeric() || "_+=,.@-".contains(c) { c } else { '-' };
    format!("onetap-{caller}").chars().map(fitting).take(64).collect()
}

fn word(text: &str, longest: usize) -> Result<String, String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    if (2..=longest).contains(&text.len()) && text.bytes().all(fits) {
        Ok(text.into())
    } else {
        Err(format!("AWS takes 2 to {longest} letters, digits and _+=,.@-"))
    }
}

fn external_id(text: &str) -> Result<String, String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b);
    if (2..=1224).contains(&text.len()) && text.bytes().all(fits) {
        Ok(text.into())
    } else {
        Err("AWS takes 2 to 1224 letters, digits and _+=,.@:/-".into())
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(seconds) if DURATIONS.contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("AWS grants {} to {} seconds", DURATIONS.start(), DURATIONS.end())),
    }
}

/// `key=value,key=value`, as aws-vault reads it.
fn tags(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for pair in text.split(',').map(str::trim) {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(format!("{pair:?} is not KEY=VALUE"));
        };
        let (key, value) = (key.trim(), value.trim());
        if !(1..=128).contains(&key.chars().count()) || value.chars().count() > 256 {
            return Err(format!("{pair:?}: AWS takes keys of 1 to 128 characters and values of up to 256"));
        }
        if tags.iter().any(|(known, _)| known == key) {
            return Err(format!("{key} stands twice"));
        }
        tags.push((key.into(), value.into()));
    }
    if tags.len() > TAGS { Err(format!("AWS takes at most {TAGS} tags")) } else { Ok(tags) }
}
