//! AssumeRole.
//!
//! Source: STS API reference, "AssumeRole"; IAM User Guide, "Cross-account policy evaluation logic", "Passing session
//! tags" and "Monitor and control actions taken with assumed roles".

use std::collections::BTreeMap;
use std::sync::Arc;

use super::limits;
use crate::aws::call::Call;
use crate::aws::caller::{Assumed, Part};
use crate::aws::iam::{Context, Key, Trusted};
use crate::aws::refusal::Refusal;
use crate::aws::session::{Granted, Owner};
use crate::aws::state::State;
use crate::aws::{Seen, xml};

/// Limits and default of a role's session, in seconds (DurationSeconds).
pub(crate) const SHORTEST: i64 = 900;
pub(crate) const LONGEST: i64 = 43_200;
pub(crate) const USUAL: i64 = 3600;
/// A role assumed with a session's keys ends after an hour ("Role chaining").
const LONGEST_CHAINED: i64 = 3600;

const KNOWN: [&str; 10] = [
    "DurationSeconds",
    "ExternalId",
    "RoleArn",
    "RoleSessionName",
    "SerialNumber",
    "SourceIdentity",
    "Tags.member.Key",
    "Tags.member.Value",
    "TokenCode",
    "TransitiveTagKeys.member",
];

/// What the call asks for, well-formed.
struct Wish<'c> {
    arn: &'c str,
    session_name: &'c str,
    external_id: Option<&'c str>,
    source_identity: Option<&'c str>,
    tags: Vec<(&'c str, &'c str)>,
    transitive: Vec<&'c str>,
    life: Option<i64>,
}

impl<'c> Wish<'c> {
    fn read(call: &'c Call) -> Result<Self, Refusal> {
        call.takes(&KNOWN)?;
        let arn = limits::needed("roleArn", call.parameter("RoleArn"))?;
        limits::role_arn(arn)?;
        let session_name = limits::needed("roleSessionName", call.parameter("RoleSessionName"))?;
        limits::name("roleSessionName", session_name)?;
        let external_id = call.parameter("ExternalId");
        external_id.map_or(Ok(()), limits::external_id)?;
        let source_identity = call.parameter("SourceIdentity");
        source_identity.map_or(Ok(()), |name| limits::name("sourceIdentity", name))?;
        let tags = call.pairs("Tags.member", "Key", "Value");
        limits::tags(&tags)?;
        let transitive = call.list("TransitiveTagKeys.member");
        let is_set = |key: &&str| tags.iter().any(|(known, _)| known.eq_ignore_ascii_case(key));
        if !transitive.iter().all(is_set) {
            let message = "The specified transitive tag key must be included in the requested tags.";
            return Err(Refusal::InvalidParameter(message.into()));
        }
        let life = limits::life(call.parameter("DurationSeconds"), SHORTEST..=LONGEST)?;
        Ok(Self { arn, session_name, external_id, source_identity, tags, transitive, life })
    }

    /// The request's context: the caller's, the code's, and what is to be set.
    fn context(&self, call: &Call, with_code: bool) -> Context {
        let mut context = call.caller.context(call.now).with(Key::RoleSessionName, self.session_name);
        if with_code {
            context = context.with(Key::MultiFactorAuthPresent, "true").with(Key::MultiFactorAuthAge, "0");
        }
        if let Some(id) = self.external_id {
            context = context.with(Key::ExternalId, id);
        }
        if let Some(source) = self.source_identity {
            context = context.with(Key::SetSourceIdentity, source);
        }
        self.tags.iter().fold(context, |context, (key, value)| context.with(Key::request_tag(key), *value))
    }
}

pub(crate) fn assume_role(call: &Call, seen: &mut Seen, state: &mut State) -> Result<String, Refusal> {
    let wish = Wish::read(call)?;
    if call.caller.is_root() {
        return Err(Refusal::ROOT_ASSUMES_NOTHING);
    }
    let with_code = super::code_given(call, seen, state)?;
    let context = wish.context(call, with_code);
    let part = state.part(wish.arn);
    let part = admitted("sts:AssumeRole", &wish, part.as_ref(), call, &context)?;
    if !wish.tags.is_empty() || !inherited(call).is_empty() {
        admitted("sts:TagSession", &wish, Some(part), call, &context)?;
    }
    let kept_source = call.caller.role().and_then(|assumed| assumed.source_identity.clone());
    if wish.source_identity.is_some() || kept_source.is_some() {
        admitted("sts:SetSourceIdentity", &wish, Some(part), call, &context)?;
    }
    // A source identity stays as it was first set, through every role of a chain.
    let source_identity = match (kept_source, wish.source_identity) {
        (Some(kept), Some(asked)) if kept != asked => {
            return Err(Refusal::Validation(
                "Source identity cannot be changed once it has been set for the session.".into(),
            ));
        }
        (kept, asked) => kept.or(asked.map(String::from)),
    };
    let life = life(&wish, part, call)?;
    let (tags, transitive) = tags(&wish, call)?;
    let assumed = Assumed {
        part: Arc::clone(part),
        session_name: wish.session_name.into(),
        source_identity,
        tags,
        transitive,
        chained: call.caller.session.is_some(),
    };
    let assumed = Arc::new(assumed);
    // The code counts for this call alone: MFA is not carried into the role's session.
    let granted = state.grant(Owner::Role(Arc::clone(&assumed)), false, life, call.now);
    seen.issued = Some(granted.access_key_id.clone());
    Ok(answer(&granted, &assumed))
}

/// The role, if its trust policy and the caller's own policies let the caller do `action` with it.
fn admitted<'p>(
    action: &str,
    wish: &Wish,
    part: Option<&'p Arc<Part>>,
    call: &Call,
    context: &Context,
) -> Result<&'p Arc<Part>, Refusal> {
    let caller = &call.caller;
    let own = State::authorize_in(action, wish.arn, caller, context);
    let untrusted = || Refusal::untrusted(&caller.arn(), action, wish.arn);
    let part = part.ok_or_else(untrusted)?;
    let (identity, boundary) = caller.policies();
    let denied = identity.iter().chain(boundary).any(|policy| policy.denies(action, wish.arn, context));
    if denied {
        return own.map(|()| part);
    }
    match part.trust.trusts(action, &caller.who(), context) {
        Trusted::Denied | Trusted::No => Err(untrusted()),
        // Named itself, in its own account: its own policies need not say anything.
        Trusted::Itself if caller.account == part.role.account => Ok(part),
        Trusted::Account | Trusted::Itself => own.map(|()| part),
    }
}

fn life(wish: &Wish, part: &Part, call: &Call) -> Result<i64, Refusal> {
    let life = wish.life.unwrap_or(USUAL);
    if life > part.role.max_session_seconds {
        let message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(Refusal::Validation(message.into()));
    }
    if call.caller.session.is_some() && life > LONGEST_CHAINED {
        let message = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
        return Err(Refusal::Validation(message.into()));
    }
    Ok(life)
}

/// The tags that the caller's session hands on.
fn inherited(call: &Call) -> Vec<(&String, &String)> {
    let Some(assumed) = call.caller.role() else {
        return Vec::new();
    };
    assumed.tags.iter().filter(|(key, _)| assumed.transitive.contains(key)).collect()
}

fn tags(wish: &Wish, call: &Call) -> Result<(BTreeMap<String, String>, Vec<String>), Refusal> {
    let mut tags = BTreeMap::new();
    let mut transitive: Vec<String> = wish.transitive.iter().map(|key| (*key).to_owned()).collect();
    for (key, value) in &wish.tags {
        if inherited(call).iter().any(|(known, _)| known.eq_ignore_ascii_case(key)) {
            let message = "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key \
                 from the calling session.";
            return Err(Refusal::InvalidParameter(message.into()));
        }
        tags.insert((*key).to_owned(), (*value).to_owned());
    }
    for (key, value) in inherited(call) {
        tags.insert(key.clone(), value.clone());
        transitive.push(key.clone());
    }
    Ok((tags, transitive))
}

/// The inside of an answer that hands out a role's session.
pub(crate) fn answer(granted: &Granted, assumed: &Assumed) -> String {
    let source = assumed
        .source_identity
        .as_ref()
        .map_or(String::new(), |source| format!("<SourceIdentity>{}</SourceIdentity>", xml::text(source)));
    format!(
        "{source}<AssumedRoleUser><AssumedRoleId>{}</AssumedRoleId><Arn>{}</Arn></AssumedRoleUser>{}",
        xml::text(&assumed.id()),
        xml::text(&assumed.arn()),
        super::credentials(granted)
    )
}
