//! Policies: which ones a user or a group has, what they say, and the boundary.

use serde_json::Value;

use super::{named, whole};
use crate::aws::account::{Circle, Holder, Managed};
use crate::aws::call::Call;
use crate::aws::caller::Person;
use crate::aws::iam::Key;
use crate::aws::refusal::Refusal;
use crate::aws::state::State;
use crate::aws::{clock, xml};

pub(super) fn attached_to_user(call: &Call, state: &State) -> Result<String, Refusal> {
    call.takes(&["UserName"])?;
    Ok(attached(&named(call, "iam:ListAttachedUserPolicies", state)?.held, state))
}

pub(super) fn attached_to_group(call: &Call, state: &State) -> Result<String, Refusal> {
    call.takes(&["GroupName"])?;
    Ok(attached(&group(call, "iam:ListAttachedGroupPolicies", state)?.held, state))
}

fn attached(held: &Holder, state: &State) -> String {
    let policies = held.attached.iter().filter_map(|arn| state.shelf.find(arn));
    let told = |policy: &Managed| {
        format!("{}{}", xml::tag("PolicyName", &policy.name), xml::tag("PolicyArn", &policy.arn))
    };
    whole("AttachedPolicies", policies.map(told))
}

pub(super) fn names_of_user(call: &Call, state: &State) -> Result<String, Refusal> {
    call.takes(&["UserName"])?;
    Ok(names(&named(call, "iam:ListUserPolicies", state)?.held))
}

pub(super) fn names_of_group(call: &Call, state: &State) -> Result<String, Refusal> {
    call.takes(&["GroupName"])?;
    Ok(names(&group(call, "iam:ListGroupPolicies", state)?.held))
}

fn names(held: &Holder) -> String {
    whole("PolicyNames", held.inline.iter().map(|(name, _, _)| xml::text(name)))
}

pub(super) fn inline_of_user(call: &Call, state: &State) -> Result<String, Refusal> {
    call.takes(&["PolicyName", "UserName"])?;
    let person = named(call, "iam:GetUserPolicy", state)?;
    inline(call, &person.held, &xml::tag("UserName", &person.user.name))
}

pub(super) fn inline_of_group(call: &Call, state: &State) -> Result<String, Refusal> {
    call.takes(&["GroupName", "PolicyName"])?;
    let circle = group(call, "iam:GetGroupPolicy", state)?;
    inline(call, &circle.held, &xml::tag("GroupName", &circle.name))
}

fn inline(call: &Call, held: &Holder, whose: &str) -> Result<String, Refusal> {
    let wanted = call.needed("PolicyName")?;
    let Some((name, document, _)) = held.inline.iter().find(|(name, _, _)| name == wanted) else {
        let message = format!("The user policy with name {wanted} cannot be found.");
        return Err(Refusal::missing(message));
    };
    Ok(format!(
        "{whose}{}<PolicyDocument>{}</PolicyDocument>",
        xml::tag("PolicyName", name),
        encoded(document)
    ))
}

pub(super) fn managed(call: &Call, state: &State) -> Result<String, Refusal> {
    call.takes(&["PolicyArn"])?;
    let arn = call.needed("PolicyArn")?;
    let policy = on_shelf(call, "iam:GetPolicy", arn, state)?;
    let attachments =
        state.people.iter().filter(|person| person.held.attached.iter().any(|held| held == arn));
    // Seventeen letters that stay the same for a name.
    let letters = policy.name.bytes().map(|byte| char::from(b'A'.saturating_add(byte % 26)));
    let id: String = letters.chain(std::iter::repeat('A')).take(17).collect();
    Ok(format!(
        "<Policy>{}<PolicyId>ANPA{id}</PolicyId>{}<Path>/</Path><DefaultVersionId>v1</DefaultVersionId>\
         <AttachmentCount>{}</AttachmentCount><IsAttachable>true</IsAttachable>{}{}</Policy>",
        xml::tag("PolicyName", &policy.name),
        xml::tag("Arn", arn),
        attachments.count(),
        xml::tag("CreateDate", &clock::iso(0)),
        xml::tag("UpdateDate", &clock::iso(0))
    ))
}

pub(super) fn version(call: &Call, state: &State) -> Result<String, Refusal> {
    call.takes(&["PolicyArn", "VersionId"])?;
    let (arn, version) = (call.needed("PolicyArn")?, call.needed("VersionId")?);
    let policy = on_shelf(call, "iam:GetPolicyVersion", arn, state)?;
    if version != "v1" {
        return Err(Refusal::missing(format!(
            "Policy {arn} version {version} does not exist or is not attachable."
        )));
    }
    Ok(format!(
        "<PolicyVersion><Document>{}</Document><VersionId>v1</VersionId><IsDefaultVersion>true</IsDefaultVersion>{}\
         </PolicyVersion>",
        encoded(&policy.document),
        xml::tag("CreateDate", &clock::iso(0))
    ))
}

pub(super) fn groups(call: &Call, state: &State) -> Result<String, Refusal> {
    call.takes(&["UserName"])?;
    let person = named(call, "iam:ListGroupsForUser", state)?;
    let circles = state.groups.iter().filter(|circle| person.groups.contains(&circle.name));
    Ok(whole(
        "Groups",
        circles.map(|circle| {
            format!(
                "<Path>/</Path>{}{}{}{}",
                xml::tag("GroupName", &circle.name),
                xml::tag("GroupId", &circle.id),
                xml::tag("Arn", &circle.arn),
                xml::tag("CreateDate", &clock::iso(0))
            )
        }),
    ))
}

pub(super) fn bind(call: &Call, state: &mut State) -> Result<String, Refusal> {
    call.takes(&["PermissionsBoundary", "UserName"])?;
    let (name, arn) = (call.needed("UserName")?, call.needed("PermissionsBoundary")?);
    let context = call.caller.context(call.now).with(Key::PermissionsBoundary, arn);
    let resource = format!("{}:user/{name}", state.root());
    State::authorize_in("iam:PutUserPermissionsBoundary", &resource, &call.caller, &context)?;
    if state.shelf.find(arn).is_none() {
        return Err(no_policy(arn));
    }
    change(state, name, |person| person.boundary_arn = Some(arn.into()))
}

pub(super) fn unbind(call: &Call, state: &mut State) -> Result<String, Refusal> {
    call.takes(&["UserName"])?;
    let person = named(call, "iam:DeleteUserPermissionsBoundary", state)?;
    change(state, &person.user.name, |person| person.boundary_arn = None)
}

pub(super) fn attach(call: &Call, state: &mut State) -> Result<String, Refusal> {
    call.takes(&["PolicyArn", "UserName"])?;
    let arn = call.needed("PolicyArn")?;
    let person = named(call, "iam:AttachUserPolicy", state)?;
    if state.shelf.find(arn).is_none() {
        return Err(no_policy(arn));
    }
    change(state, &person.user.name, |person| {
        person.held.attached.retain(|attached| attached != arn);
        person.held.attached.push(arn.into());
    })
}

pub(super) fn detach(call: &Call, state: &mut State) -> Result<String, Refusal> {
    call.takes(&["PolicyArn", "UserName"])?;
    let arn = call.needed("PolicyArn")?;
    let person = named(call, "iam:DetachUserPolicy", state)?;
    if !person.held.attached.iter().any(|attached| attached == arn) {
        return Err(Refusal::missing(format!("Policy {arn} was not found.")));
    }
    change(state, &person.user.name, |person| person.held.attached.retain(|attached| attached != arn))
}

fn change(state: &mut State, name: &str, change: impl FnOnce(&mut Person)) -> Result<String, Refusal> {
    let changed = state.change(name, change);
    let absent = || Refusal::missing(format!("The user with name {name} cannot be found."));
    changed.map(|()| String::new()).ok_or_else(absent)
}

fn group<'s>(call: &Call, action: &str, state: &'s State) -> Result<&'s Circle, Refusal> {
    let name = call.needed("GroupName")?;
    state.authorize(action, &format!("{}:group/{name}", state.root()), &call.caller, call.now)?;
    let found = state.groups.iter().find(|circle| circle.name == name);
    found.ok_or_else(|| Refusal::missing(format!("The group with name {name} cannot be found.")))
}

fn on_shelf<'s>(call: &Call, action: &str, arn: &str, state: &'s State) -> Result<&'s Managed, Refusal> {
    state.authorize(action, arn, &call.caller, call.now)?;
    state.shelf.find(arn).ok_or_else(|| no_policy(arn))
}

fn no_policy(arn: &str) -> Refusal {
    Refusal::missing(format!("Policy {arn} does not exist or is not attachable."))
}

/// A document as IAM sends it: JSON, encoded as in a URL (RFC 3986).
fn encoded(document: &Value) -> String {
    let text = document.to_string();
    // The form encoding writes a blank as `+`, and a plus as `%2B`.
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
