//! One request, from its parameters to its answer.

use super::caller::Caller;
use super::http::{Reply, Request};
use super::refusal::Refusal;
use super::signature::Claim;
use super::state::State;
use super::xml::Service;
use super::{Fault, Seen, clock, directory, ec2, sts, world};

/// Members that a list of pairs may have: more than any action takes.
const MOST_MEMBERS: usize = 1000;

/// An authenticated request.
pub(crate) struct Call {
    pub(crate) caller: Caller,
    pub(crate) now: i64,
    pub(crate) region: String,
    parameters: Vec<(String, String)>,
}

impl Call {
    /// A parameter's value.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        value(&self.parameters, name)
    }

    /// A parameter that must be there; IAM writes its name with a small first letter.
    pub(crate) fn needed(&self, name: &str) -> Result<&str, Refusal> {
        let mut letters = name.chars();
        let member: String = letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect();
        sts::limits::needed(&member, self.parameter(name))
    }

    /// The values of a numbered list: `InstanceId.1`, `InstanceId.2`, ...; `TagKeys.member.1` is one of `TagKeys.member`.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        let numbered = |known: &str| stem(known) == name && known != name;
        self.parameters.iter().filter(|(known, _)| numbered(known)).map(|(_, value)| value.as_str()).collect()
    }

    /// The pairs of a numbered list: `Tags.member.1.Key` and `Tags.member.1.Value` of `Tags.member`.
    pub(crate) fn pairs(&self, name: &str, left: &str, right: &str) -> Vec<(&str, &str)> {
        let mut pairs = Vec::new();
        for number in 1..=MOST_MEMBERS {
            let member = |part| self.parameter(&format!("{name}.{number}.{part}"));
            match (member(left), member(right)) {
                (None, None) => break,
                (key, value) => pairs.push((key.unwrap_or_default(), value.unwrap_or_default())),
            }
        }
        pairs
    }

    /// Refuses parameters that the action does not have: a strict server finds misspellings.
    pub(crate) fn takes(&self, known: &[&str]) -> Result<(), Refusal> {
        let common = |name: &str| matches!(name, "Action" | "Version");
        let unknown = |name: &&(String, String)| !common(&name.0) && !known.contains(&stem(&name.0).as_str());
        match self.parameters.iter().find(unknown) {
            Some((name, _)) => Err(Refusal::UnknownParameter(name.clone())),
            None => Ok(()),
        }
    }
}

/// A parameter's name without its numbers.
fn stem(name: &str) -> String {
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
    name.split('.').filter(|part| !is_number(part)).collect::<Vec<_>>().join(".")
}

pub(crate) fn value<'p>(parameters: &'p [(String, String)], name: &str) -> Option<&'p str> {
    parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// A reply, and the fault that was planned for it.
pub(crate) struct Answered {
    pub(crate) reply: Reply,
    pub(crate) fault: Option<Fault>,
    pub(crate) seen: Seen,
}

/// Answers a request and writes down that it came.
pub(crate) fn answer(request: &Request, state: &mut State) -> Answered {
    let now = state.now();
    let request_id = world::request_id();
    let parameters = request.parameters();
    let version = value(&parameters, "Version").unwrap_or("NO_VERSION_SPECIFIED");
    let service = Service::of_version(version);
    let action = value(&parameters, "Action").unwrap_or_default();
    let mut seen = Seen::of(action, &parameters);
    let fault = state.fault(action);
    let voice = service.unwrap_or(Service::Sts);

    let outcome = match (service, &fault) {
        // Throttling comes before the work: no code is used up.
        (_, Some(Fault::Throttle)) => Err(Refusal::Throttled),
        (_, Some(Fault::Refuse)) => Err(Refusal::forbidden(voice, action)),
        (None, _) => Err(Refusal::InvalidAction { action: action.into(), version: version.into() }),
        (Some(Service::Sts), _) if action == sts::web::ACTION => {
            sts::web::assume_role(&parameters, &mut seen, now, state)
        }
        (Some(service), _) => carry_out(request, &parameters, service, &mut seen, now, state),
    };
    let (status, outcome, body) = match outcome {
        Ok(inside) => (200, "ok", voice.answer(action, &inside, &request_id)),
        Err(refusal) => voice.refusal(&refusal, &request_id),
    };
    seen.status = status;
    seen.outcome = outcome.into();
    let mut reply = Reply { status, headers: Vec::new(), body };
    if let Some(Fault::Status(planned)) = fault {
        reply = Reply { status: planned, headers: Vec::new(), body: String::new() };
        seen.status = planned;
    }
    let is_told = |fault: &Fault| matches!(fault, Fault::Refuse | Fault::Throttle);
    if let Some(fault) = fault.filter(|fault| !is_told(fault)) {
        seen.outcome = format!("{outcome}, then {fault:?}");
    }
    reply.headers.push(("Date", clock::http_date(now)));
    reply.headers.push(("x-amzn-RequestId", request_id));
    reply.headers.push(("Content-Type", "text/xml;charset=UTF-8".into()));
    state.seen.push(seen.clone());
    Answered { reply, fault, seen }
}

fn carry_out(
    request: &Request,
    parameters: &[(String, String)],
    service: Service,
    seen: &mut Seen,
    now: i64,
    state: &mut State,
) -> Result<String, Refusal> {
    let claim = Claim::read(request)?;
    seen.access_key_id.clone_from(&claim.access_key_id);
    seen.region.clone_from(&claim.region);
    let caller = state.caller(request, &claim, service, now)?;
    seen.caller = Some(caller.arn());
    let call = Call { caller, now, region: claim.region, parameters: parameters.to_vec() };
    match (service, seen.action.as_str()) {
        (Service::Ec2, "DescribeInstances") => ec2::describe_instances(&call, state),
        (Service::Ec2, "StopInstances") => ec2::stop_instances(&call, state),
        (Service::Iam, _) => directory::answer(&call, seen, state),
        (Service::Sts, "AssumeRole") => sts::role::assume_role(&call, seen, state),
        (Service::Sts, "GetCallerIdentity") => sts::caller_identity(&call),
        (Service::Sts, "GetSessionToken") => sts::session_token(&call, seen, state),
        (_, action) => {
            let version = call.parameter("Version").unwrap_or_default().into();
            Err(Refusal::InvalidAction { action: action.into(), version })
        }
    }
}
