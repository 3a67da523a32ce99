//! IAM's own calls: users, their keys, devices and policies. Each asks IAM first.
//!
//! Source: IAM API reference; which resource an action is about: Service Authorization Reference, "IAM".

use std::sync::Arc;

use super::call::Call;
use super::caller::Person;
use super::refusal::Refusal;
use super::state::State;
use super::{Seen, clock, xml};

mod devices;
mod keys;
mod policies;
mod simulate;

/// Answers one of IAM's actions.
pub(crate) fn answer(call: &Call, seen: &mut Seen, state: &mut State) -> Result<String, Refusal> {
    match seen.action.as_str() {
        "AttachUserPolicy" => policies::attach(call, state),
        "CreateAccessKey" => keys::create(call, seen, state),
        "CreateVirtualMFADevice" => devices::create(call, state),
        "DeactivateMFADevice" => devices::deactivate(call, state),
        "DeleteAccessKey" => keys::delete(call, state),
        "DeleteUserPermissionsBoundary" => policies::unbind(call, state),
        "DeleteVirtualMFADevice" => devices::delete(call, state),
        "DetachUserPolicy" => policies::detach(call, state),
        "EnableMFADevice" => devices::enable(call, state),
        "GetAccessKeyLastUsed" => keys::last_used(call, state),
        "GetGroupPolicy" => policies::inline_of_group(call, state),
        "GetPolicy" => policies::managed(call, state),
        "GetPolicyVersion" => policies::version(call, state),
        "GetUser" => user(call, state),
        "GetUserPolicy" => policies::inline_of_user(call, state),
        "ListAccessKeys" => keys::list(call, state),
        "ListAttachedGroupPolicies" => policies::attached_to_group(call, state),
        "ListAttachedUserPolicies" => policies::attached_to_user(call, state),
        "ListGroupPolicies" => policies::names_of_group(call, state),
        "ListGroupsForUser" => policies::groups(call, state),
        "ListMFADevices" => devices::list(call, state),
        "ListUserPolicies" => policies::names_of_user(call, state),
        "ListVirtualMFADevices" => devices::list_virtual(call, state),
        "PutUserPermissionsBoundary" => policies::bind(call, state),
        "ResyncMFADevice" => devices::resync(call, state),
        "SimulatePrincipalPolicy" => simulate::simulate(call, state),
        "UpdateAccessKey" => keys::update(call, state),
        action => {
            let version = call.parameter("Version").unwrap_or_default().into();
            Err(Refusal::InvalidAction { action: action.into(), version })
        }
    }
}

/// The user that `UserName` names, or the caller where it is left out; after IAM allowed `action` on that user.
fn about(call: &Call, action: &str, state: &State) -> Result<Arc<Person>, Refusal> {
    let name = match (call.parameter("UserName"), call.caller.user()) {
        (Some(name), _) => name,
        (None, Some(person)) if person.user.root => {
            return Ok(Arc::clone(person));
        }
        (None, Some(person)) => &person.user.name,
        (None, None) => {
            let message = "Must specify userName when calling with non-User credentials";
            return Err(Refusal::Validation(message.into()));
        }
    };
    let resource = format!("{}:user/{name}", state.root());
    state.authorize(action, &resource, &call.caller, call.now)?;
    let mut people = state.people.iter().filter(|person| !person.user.root);
    let person = people.find(|person| person.user.name == name);
    person
        .map(Arc::clone)
        .ok_or_else(|| Refusal::missing(format!("The user with name {name} cannot be found.")))
}

/// As [`about`], where `UserName` must be there.
fn named(call: &Call, action: &str, state: &State) -> Result<Arc<Person>, Refusal> {
    call.needed("UserName")?;
    about(call, action, state)
}

fn user(call: &Call, state: &State) -> Result<String, Refusal> {
    call.takes(&["UserName"])?;
    let person = about(call, "iam:GetUser", state)?;
    let boundary = person.boundary_arn.as_ref().map_or(String::new(), |arn| {
        format!(
            "<PermissionsBoundary><PermissionsBoundaryType>Policy</PermissionsBoundaryType>{}</PermissionsBoundary>",
            xml::tag("PermissionsBoundaryArn", arn)
        )
    });
    Ok(format!("<User>{}{boundary}</User>", told(&person)))
}

/// A user's elements.
fn told(person: &Person) -> String {
    let name = match person.user.root {
        true => String::new(),
        false => format!("<Path>/</Path>{}", xml::tag("UserName", &person.user.name)),
    };
    format!(
        "{name}{}{}{}",
        xml::tag("UserId", &person.user_id),
        xml::tag("Arn", &person.arn),
        xml::tag("CreateDate", &clock::iso(0))
    )
}

/// A list that is whole: the stand-in has no second page.
fn whole(name: &str, members: impl IntoIterator<Item = String>) -> String {
    format!("<IsTruncated>false</IsTruncated>{}", xml::members(name, members))
}
