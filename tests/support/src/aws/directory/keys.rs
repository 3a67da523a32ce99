//! Access keys: at most two a user, and new ones that take a while to be known.

use super::about;
use super::whole;
use crate::aws::account::AccessKey;
use crate::aws::call::Call;
use crate::aws::refusal::Refusal;
use crate::aws::state::State;
use crate::aws::{Seen, clock, world, xml};
use crate::canary::Kind;

/// Access keys that a user may have (IAM User Guide, "IAM and AWS STS quotas").
const MOST: usize = 2;

pub(super) fn create(call: &Call, seen: &mut Seen, state: &mut State) -> Result<String, Refusal> {
    call.takes(&["UserName"])?;
    let person = about(call, "iam:CreateAccessKey", state)?;
    if state.keys.iter().filter(|key| key.owner == person.user_id).count() >= MOST {
        return Err(Refusal::quota(&format!("AccessKeysPerUser: {MOST}")));
    }
    let key = AccessKey {
        id: world::key_id("AKIA"),
        secret: world::secret(),
        owner: person.user_id.clone(),
        active: true,
        created: call.now,
        settling: state.settle_keys,
        used: None,
    };
    state.canaries.plant("a new secret access key", Kind::LongTerm, key.secret.as_bytes());
    seen.issued = Some(key.id.clone());
    let told = format!(
        "<AccessKey>{}<SecretAccessKey>{}</SecretAccessKey></AccessKey>",
        metadata(&key, &person.user.name),
        key.secret
    );
    state.keys.push(key);
    Ok(told)
}

pub(super) fn update(call: &Call, state: &mut State) -> Result<String, Refusal> {
    call.takes(&["AccessKeyId", "Status", "UserName"])?;
    let active = match call.needed("Status")? {
        "Active" => true,
        "Inactive" => false,
        other => {
            return Err(Refusal::Validation(format!(
                "1 validation error detected: Value '{other}' at 'status' failed to satisfy constraint: Member must \
                 satisfy enum value set: [Active, Inactive]"
            )));
        }
    };
    let id = call.needed("AccessKeyId")?;
    let person = about(call, "iam:UpdateAccessKey", state)?;
    let mut keys = state.keys.iter_mut();
    let key = keys.find(|key| key.id == id && key.owner == person.user_id).ok_or_else(|| absent(id))?;
    key.active = active;
    Ok(String::new())
}

pub(super) fn delete(call: &Call, state: &mut State) -> Result<String, Refusal> {
    call.takes(&["AccessKeyId", "UserName"])?;
    let id = call.needed("AccessKeyId")?;
    let person = about(call, "iam:DeleteAccessKey", state)?;
    let mut keys = state.keys.iter();
    let place = keys.position(|key| key.id == id && key.owner == person.user_id).ok_or_else(|| absent(id))?;
    state.keys.remove(place);
    Ok(String::new())
}

pub(super) fn list(call: &Call, state: &State) -> Result<String, Refusal> {
    call.takes(&["UserName"])?;
    let person = about(call, "iam:ListAccessKeys", state)?;
    let owned = state.keys.iter().filter(|key| key.owner == person.user_id);
    Ok(whole("AccessKeyMetadata", owned.map(|key| metadata(key, &person.user.name))))
}

pub(super) fn last_used(call: &Call, state: &State) -> Result<String, Refusal> {
    call.takes(&["AccessKeyId"])?;
    let id = call.needed("AccessKeyId")?;
    let found = state.keys.iter().find(|key| key.id == id);
    let owner = found.and_then(|key| state.people.iter().find(|person| person.user_id == key.owner));
    let resource = owner.map_or("*", |person| person.arn.as_str());
    state.authorize("iam:GetAccessKeyLastUsed", resource, &call.caller, call.now)?;
    let (key, person) = found.zip(owner).ok_or_else(|| absent(id))?;
    let (when, service, region) = match &key.used {
        Some((when, service, region)) => {
            (xml::tag("LastUsedDate", &clock::iso(*when)), *service, region.as_str())
        }
        None => (String::new(), "N/A", "N/A"),
    };
    Ok(format!(
        "{}<AccessKeyLastUsed>{when}{}{}</AccessKeyLastUsed>",
        xml::tag("UserName", &person.user.name),
        xml::tag("ServiceName", service),
        xml::tag("Region", region)
    ))
}

fn metadata(key: &AccessKey, user: &str) -> String {
    format!(
        "{}{}<Status>{}</Status>{}",
        xml::tag("UserName", user),
        xml::tag("AccessKeyId", &key.id),
        if key.active { "Active" } else { "Inactive" },
        xml::tag("CreateDate", &clock::iso(key.created))
    )
}

fn absent(id: &str) -> Refusal {
    Refusal::missing(format!("The Access Key with id {id} cannot be found."))
}
