//! AssumeRoleWithWebIdentity: the one action that nobody signs.
//!
//! Source: STS API reference, "AssumeRoleWithWebIdentity".

use std::collections::BTreeMap;
use std::sync::Arc;

use super::limits;
use super::role::{LONGEST, SHORTEST, USUAL};
use crate::aws::call;
use crate::aws::caller::Assumed;
use crate::aws::iam::{Context, Key, Trusted, Who};
use crate::aws::refusal::Refusal;
use crate::aws::session::Owner;
use crate::aws::state::State;
use crate::aws::{Seen, clock, xml};

/// The action's name.
pub(crate) const ACTION: &str = "AssumeRoleWithWebIdentity";

const KNOWN: [&str; 6] =
    ["Action", "DurationSeconds", "RoleArn", "RoleSessionName", "Version", "WebIdentityToken"];

pub(crate) fn assume_role(
    parameters: &[(String, String)],
    seen: &mut Seen,
    now: i64,
    state: &mut State,
) -> Result<String, Refusal> {
    if let Some((name, _)) = parameters.iter().find(|(name, _)| !KNOWN.contains(&name.as_str())) {
        return Err(Refusal::UnknownParameter(name.clone()));
    }
    let value = |name| call::value(parameters, name);
    let arn = limits::needed("roleArn", value("RoleArn"))?;
    limits::role_arn(arn)?;
    let session_name = limits::needed("roleSessionName", value("RoleSessionName"))?;
    limits::name("roleSessionName", session_name)?;
    let token = limits::needed("webIdentityToken", value("WebIdentityToken"))?;
    let life = limits::life(value("DurationSeconds"), SHORTEST..=LONGEST)?.unwrap_or(USUAL);
    let looks_like_one =
        token.split('.').count() == 3 && token.split('.').all(|part| !part.is_empty() && is_base64(part));
    if !looks_like_one {
        return Err(Refusal::WebToken(
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
                .into(),
        ));
    }
    let Some(identity) = state.web_identities.iter().find(|known| known.token == token).cloned() else {
        return Err(Refusal::WebToken(
            "No OpenIDConnect provider found in your account for this token".into(),
        ));
    };
    if identity.ended {
        return Err(Refusal::WebTokenEnded);
    }
    let context = Context::default()
        .with(Key::CurrentTime, clock::iso(now))
        .with(Key::RoleSessionName, session_name)
        .with(Key::claim(&identity.provider, "sub"), &identity.subject)
        .with(Key::claim(&identity.provider, "aud"), &identity.audience);
    let provider =
        format!("arn:{}:iam::{}:oidc-provider/{}", state.partition, state.account, identity.provider);
    let who = Who { federated: Some(provider), ..Who::default() };
    let trusts = |part: &Arc<_>| trusted(part, &who, &context);
    let part = state.part(arn).filter(trusts).ok_or(Refusal::WEB_UNTRUSTED)?;
    if life > part.role.max_session_seconds {
        let message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(Refusal::Validation(message.into()));
    }
    let assumed = Arc::new(Assumed {
        part,
        session_name: session_name.into(),
        source_identity: None,
        tags: BTreeMap::new(),
        transitive: Vec::new(),
        chained: false,
    });
    let granted = state.grant(Owner::Role(Arc::clone(&assumed)), false, life, now);
    seen.issued = Some(granted.access_key_id.clone());
    Ok(format!(
        "<SubjectFromWebIdentityToken>{}</SubjectFromWebIdentityToken><Audience>{}</Audience><Provider>{}</Provider>{}",
        xml::text(&identity.subject),
        xml::text(&identity.audience),
        xml::text(&identity.provider),
        super::role::answer(&granted, &assumed)
    ))
}

fn trusted(part: &Arc<crate::aws::caller::Part>, who: &Who, context: &Context) -> bool {
    part.trust.trusts("sts:AssumeRoleWithWebIdentity", who, context) == Trusted::Itself
}

fn is_base64(part: &str) -> bool {
    part.bytes().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_' | b'='))
}
