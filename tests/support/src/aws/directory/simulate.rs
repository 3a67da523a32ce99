//! SimulatePrincipalPolicy: what policies would say, about a context that the caller makes up.
//!
//! Source: IAM API reference, "SimulatePrincipalPolicy" and "EvaluationResult".

use std::collections::BTreeSet;

use crate::aws::call::Call;
use crate::aws::iam::{self, Context, Key, Verdict, Why};
use crate::aws::refusal::Refusal;
use crate::aws::state::State;
use crate::aws::{clock, xml};

const KNOWN: [&str; 6] = [
    "ActionNames.member",
    "ContextEntries.member.ContextKeyName",
    "ContextEntries.member.ContextKeyType",
    "ContextEntries.member.ContextKeyValues.member",
    "PolicySourceArn",
    "ResourceArns.member",
];

pub(super) fn simulate(call: &Call, state: &State) -> Result<String, Refusal> {
    call.takes(&KNOWN)?;
    let source = call.needed("PolicySourceArn")?;
    state.authorize("iam:SimulatePrincipalPolicy", source, &call.caller, call.now)?;
    let found = state.people.iter().find(|person| person.arn == source && !person.user.root);
    let Some(person) = found else {
        return Err(Refusal::missing(format!("The entity {source} cannot be found.")));
    };
    let given = Context::default()
        .with(Key::CurrentTime, clock::iso(call.now))
        .with(Key::PrincipalArn, &person.arn)
        .with(Key::UserId, &person.user_id)
        .with(Key::UserName, &person.user.name);
    let context = entries(call, given)?;
    let actions = call.list("ActionNames.member");
    if actions.is_empty() {
        return Err(Refusal::Validation("At least one action must be given".into()));
    }
    let mut resources = call.list("ResourceArns.member");
    if resources.is_empty() {
        resources.push("*");
    }
    let boundary = person.boundary.as_ref();
    let mut results = Vec::new();
    for action in &actions {
        for resource in &resources {
            let verdict = iam::evaluate(action, resource, &person.policies, boundary, &context);
            let outside = state.organization.as_ref();
            let decision = match verdict {
                _ if outside.is_some_and(|policy| policy.denies(action, resource, &context)) => {
                    "explicitDeny"
                }
                Verdict::Allowed => "allowed",
                Verdict::Denied(Why::BoundaryDenies | Why::IdentityDenies) => "explicitDeny",
                Verdict::Denied(Why::BoundaryIsSilent | Why::IdentityIsSilent) => "implicitDeny",
            };
            let missing: BTreeSet<String> = person
                .policies
                .iter()
                .chain(boundary)
                .flat_map(|policy| policy.unknown(action, resource, &context))
                .map(|key| key.name())
                .collect();
            let bounded = boundary.map_or(String::new(), |policy| {
                let one = std::slice::from_ref(policy);
                let allowed = iam::evaluate(action, resource, one, None, &context) == Verdict::Allowed;
                format!(
                    "<PermissionsBoundaryDecisionDetail><AllowedByPermissionsBoundary>{allowed}\
                     </AllowedByPermissionsBoundary></PermissionsBoundaryDecisionDetail>"
                )
            });
            results.push(format!(
                "{}{}<EvalDecision>{decision}</EvalDecision><MatchedStatements/>{}{bounded}",
                xml::tag("EvalActionName", action),
                xml::tag("EvalResourceName", resource),
                xml::members("MissingContextValues", missing.iter().map(|name| xml::text(name)))
            ));
        }
    }
    Ok(super::whole("EvaluationResults", results))
}

/// Adds what the caller says about the context.
fn entries(call: &Call, mut context: Context) -> Result<Context, Refusal> {
    for number in 1_u32.. {
        let part = |name: &str| call.parameter(&format!("ContextEntries.member.{number}.{name}"));
        let Some(name) = part("ContextKeyName") else { break };
        let key = Key::read(name).map_err(|why| Refusal::Iam(400, "InvalidInput", why))?;
        match (part("ContextKeyValues.member.1"), part("ContextKeyValues.member.2")) {
            (Some(value), None) => context = context.with(key, value),
            // The stand-in knows no key with several values.
            _ => return Err(Refusal::Iam(400, "InvalidInput", format!("{name} takes one value"))),
        }
    }
    Ok(context)
}
