//! From a profile along `source_profile` down to whoever owns long-term credentials.
//!
//! Sources: AWS CLI User Guide, "Using an IAM role"; botocore's `AssumeRoleProvider` for what may stand together.

use crate::profiles::Profiles;

use super::view::{View, absent};
use super::{PlanError, Source, process};

/// The way from a profile to its credentials.
#[derive(Debug)]
pub(super) struct Way<'a> {
    /// Every profile on the way, the one that was asked for first, and what it is there for.
    pub(super) stops: Vec<Stop<'a>>,
    /// Where the way ends.
    pub(super) source: Source,
}

/// One profile on the way.
#[derive(Debug)]
pub(super) struct Stop<'a> {
    pub(super) view: View<'a>,
    /// Whether a role is assumed here, with the credentials of the stop after it.
    pub(super) role: bool,
}

impl<'a> Way<'a> {
    pub(super) fn of(profiles: &'a Profiles, name: &str) -> Result<Self, PlanError> {
        let mut stops: Vec<Stop<'a>> = Vec::new();
        let mut view = View::of(profiles, name)?;
        loop {
            let own = view.name();
            for key in ["sso_session", "sso_start_url", "login_session"] {
                if view.value(key).is_some() {
                    return Err(PlanError::OtherKind { profile: own.into(), key });
                }
            }
            let role = view.value("role_arn").is_some();
            let (next, env, token) = (
                view.value("source_profile"),
                view.value("credential_source"),
                view.value("web_identity_token_file"),
            );
            if role && token.is_some() && next.or(env).is_some() {
                let key = "web_identity_token_file";
                return Err(view.bad(key, "source_profile or credential_source cannot stand beside it"));
            }
            if role && next.is_some() && env.is_some() {
                return Err(view.bad("credential_source", "source_profile cannot stand beside it"));
            }
            let source = match (role, token, next, env) {
                (true, Some(token), ..) => {
                    let source = Source::WebIdentity { token_file: token.into() };
                    stops.push(Stop { view, role });
                    return Ok(Self { stops, source });
                }
                (true, _, _, Some("Environment")) => Source::Environment,
                (true, _, _, Some(_)) => {
                    let reason = "onetap takes Environment; the other sources are a machine's own, and nobody is there \
                                  to touch a key";
                    return Err(view.bad("credential_source", reason));
                }
                (true, _, None, None) => return Err(PlanError::NoSource { profile: own.into() }),
                (_, _, Some(next), _) if next != own => {
                    let known = stops.iter().any(|stop| stop.view.name() == next);
                    if known {
                        let names = stops.iter().map(|stop| stop.view.name());
                        let profiles = names.chain([own, next]).map(str::to_owned).collect();
                        return Err(PlanError::Cycle { profiles, key: "source_profile" });
                    }
                    if profiles.profile(next).is_none() {
                        return Err(view.bad("source_profile", absent(profiles, next)));
                    }
                    stops.push(Stop { view, role });
                    view = View::of(profiles, next)?;
                    continue;
                }
                // A profile that is its own source: a role, and the keys of the user who assumes it.
                _ => owner(&view)?,
            };
            stops.push(Stop { view, role });
            return Ok(Self { stops, source });
        }
    }
}

/// Where a profile without a source has its own credentials.
fn owner(view: &View<'_>) -> Result<Source, PlanError> {
    let keys = Source::Keys { profile: view.name().into() };
    match view.value("credential_process") {
        None => Ok(keys),
        Some(line) => match process::calls_us(line) {
            // The profile's own hand-off to the SDKs.
            Some(profile) if profile == view.name() => Ok(keys),
            Some(profile) => {
                let reason = format!("calls onetap again: write `source_profile = {profile}` instead");
                Err(view.bad("credential_process", reason))
            }
            None => Ok(Source::Process { profile: view.name().into(), command: line.into() }),
        },
    }
}
