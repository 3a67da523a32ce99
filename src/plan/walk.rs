//! From a profile along `source_profile` down to whoever owns long-term credentials.
//!
//! Sources: AWS CLI User Guide, "Using an IAM role"; botocore's `AssumeRoleProvider` for what may stand together.

use crate::profiles::Profiles;

use super::process::{self, Calls};
use super::view::{View, absent};
use super::{PlanError, Source};

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
            if !role && token.is_some() {
                return Err(view.bad("web_identity_token_file", "role_arn does not stand beside it"));
            }
            if role && token.is_some() && next.or(env).is_some() {
                let key = "web_identity_token_file";
                return Err(view.bad(key, "source_profile or credential_source cannot stand beside it"));
            }
            if role && next.is_some() && env.is_some() {
                return Err(view.bad("credential_source", "source_profile cannot stand beside it"));
            }
            let source = match (role, token, next, env) {
                (true, Some(token), ..) => {
                    // AssumeRoleWithWebIdentity has no such parameters (STS API reference).
                    for key in ["session_tags", "transitive_session_tags", "source_identity"] {
                        if view.value(key).is_some() {
                            return Err(view.bad(key, "a web identity's token says that itself"));
                        }
                    }
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
        Some(line) => match process::calls(line) {
            // The profile's own hand-off to the SDKs.
            Calls::HandOff(profile) if profile.as_deref().is_none_or(|name| name == view.name()) => Ok(keys),
            Calls::HandOff(Some(profile)) => {
                let reason = format!("calls onetap again: write `source_profile = {profile}` instead");
                Err(view.bad("credential_process", reason))
            }
            Calls::HandOff(None) | Calls::Us => {
                Err(view
                    .bad("credential_process", "calls onetap again, which would ask while it is being asked"))
            }
            Calls::Another => Ok(Source::Process { profile: view.name().into(), command: line.into() }),
        },
    }
}
