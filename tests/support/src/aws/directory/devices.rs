//! MFA devices: made, enabled with two codes, brought into step again, taken away.

use data_encoding::BASE64;

use super::{about, named, told, whole};
use crate::aws::account::Held;
use crate::aws::call::Call;
use crate::aws::refusal::Refusal;
use crate::aws::state::State;
use crate::aws::sts::limits;
use crate::aws::totp::{Codes, PERIOD};
use crate::aws::world::{self, Device};
use crate::aws::{clock, xml};

/// MFA devices that a user may have (IAM User Guide, "IAM and AWS STS quotas").
const MOST: usize = 8;

/// Steps on either side in which ResyncMFADevice looks for the two codes. AWS tells no number.
const RESYNC_STEPS: i64 = 40;

pub(super) fn create(call: &Call, state: &mut State) -> Result<String, Refusal> {
    call.takes(&["Path", "VirtualMFADeviceName"])?;
    let name = call.needed("VirtualMFADeviceName")?;
    limits::device_name(name)?;
    let path = call.parameter("Path").unwrap_or("/").trim_start_matches('/');
    let serial = format!("{}:mfa/{path}{name}", state.root());
    state.authorize("iam:CreateVirtualMFADevice", &serial, &call.caller, call.now)?;
    if state.devices.iter().any(|held| held.device.serial == serial) {
        return Err(Refusal::exists("MFADevice entity at the same path and name already exists."));
    }
    let seed = world::seed();
    state.canaries.plant_seed("a new device's seed", &seed);
    let blob = BASE64.encode(seed.as_bytes());
    // A device of this name may have been used and deleted before: the new seed's codes are all unused.
    state.used.remove(&serial);
    let device = Device { serial: serial.clone(), seed_base32: seed };
    state.devices.push(Held { device, owner: None, enabled: 0, settling: 0, drift: 0 });
    Ok(format!(
        "<VirtualMFADevice>{}<Base32StringSeed>{blob}</Base32StringSeed></VirtualMFADevice>",
        xml::tag("SerialNumber", &serial)
    ))
}

pub(super) fn enable(call: &Call, state: &mut State) -> Result<String, Refusal> {
    call.takes(&["AuthenticationCode1", "AuthenticationCode2", "SerialNumber", "UserName"])?;
    let (serial, first, second) = codes(call)?;
    let person = named(call, "iam:EnableMFADevice", state)?;
    let owned = state.devices_of(&person.user.name).len();
    let settling = state.settle_devices;
    let held = find(state, serial)?;
    if held.owner.is_some() {
        return Err(Refusal::exists("MFA Device is already in use."));
    }
    if owned >= MOST {
        return Err(Refusal::quota(&format!("MFADevicesPerUser: {MOST}")));
    }
    let step = row(held, first, second, call.now, 1)?;
    held.owner = Some(person.user_id.clone());
    held.enabled = call.now;
    held.settling = settling;
    // Both codes are used up.
    state.mark_used(serial, step.saturating_add(1));
    Ok(String::new())
}

pub(super) fn resync(call: &Call, state: &mut State) -> Result<String, Refusal> {
    call.takes(&["AuthenticationCode1", "AuthenticationCode2", "SerialNumber", "UserName"])?;
    let (serial, first, second) = codes(call)?;
    let person = named(call, "iam:ResyncMFADevice", state)?;
    let used = state.used.get(serial).copied();
    let held = find(state, serial)?;
    if held.owner.as_ref() != Some(&person.user_id) {
        return Err(not_the_users());
    }
    let step = row(held, first, second, call.now, RESYNC_STEPS)?;
    if used.is_some_and(|last| last >= step) {
        return Err(Refusal::wrong_codes());
    }
    let last = step.saturating_add(1);
    held.drift = last.saturating_sub(call.now.div_euclid(PERIOD));
    // A step either side is no drift: that much is forgiven anyway.
    if held.drift.abs() <= 1 {
        held.drift = 0;
    }
    state.mark_used(serial, last);
    Ok(String::new())
}

pub(super) fn deactivate(call: &Call, state: &mut State) -> Result<String, Refusal> {
    call.takes(&["SerialNumber", "UserName"])?;
    let serial = call.needed("SerialNumber")?;
    let person = about(call, "iam:DeactivateMFADevice", state)?;
    let mut devices = state.devices.iter_mut();
    let owned =
        devices.find(|held| held.device.serial == serial && held.owner.as_ref() == Some(&person.user_id));
    let held = owned.ok_or_else(not_the_users)?;
    held.owner = None;
    held.drift = 0;
    Ok(String::new())
}

pub(super) fn delete(call: &Call, state: &mut State) -> Result<String, Refusal> {
    call.takes(&["SerialNumber"])?;
    let serial = call.needed("SerialNumber")?;
    state.authorize("iam:DeleteVirtualMFADevice", serial, &call.caller, call.now)?;
    if find(state, serial)?.owner.is_some() {
        let message = "MFA VirtualDevice in use. Must deactivate first.";
        return Err(Refusal::Iam(409, "DeleteConflict", message.into()));
    }
    state.devices.retain(|held| held.device.serial != serial);
    Ok(String::new())
}

pub(super) fn list(call: &Call, state: &State) -> Result<String, Refusal> {
    call.takes(&["UserName"])?;
    let person = about(call, "iam:ListMFADevices", state)?;
    let owned = state.devices.iter().filter(|held| held.owner.as_ref() == Some(&person.user_id));
    Ok(whole(
        "MFADevices",
        owned.map(|held| {
            let name = xml::tag("UserName", &person.user.name);
            let serial = xml::tag("SerialNumber", &held.device.serial);
            format!("{name}{serial}{}", xml::tag("EnableDate", &clock::iso(held.enabled)))
        }),
    ))
}

pub(super) fn list_virtual(call: &Call, state: &State) -> Result<String, Refusal> {
    call.takes(&["AssignmentStatus"])?;
    let (assigned, loose) = match call.parameter("AssignmentStatus") {
        None | Some("Any") => (true, true),
        Some("Assigned") => (true, false),
        Some("Unassigned") => (false, true),
        Some(other) => return Err(Refusal::Validation(format!("{other} is no AssignmentStatus"))),
    };
    let resource = format!("{}:mfa/", state.root());
    state.authorize("iam:ListVirtualMFADevices", &resource, &call.caller, call.now)?;
    let chosen = state.devices.iter().filter(|held| held.device.serial.contains(":mfa/"));
    let chosen = chosen.filter(|held| if held.owner.is_some() { assigned } else { loose });
    Ok(whole(
        "VirtualMFADevices",
        chosen.map(|held| {
            let serial = xml::tag("SerialNumber", &held.device.serial);
            let owner = state.people.iter().find(|person| held.owner.as_ref() == Some(&person.user_id));
            let owner = owner.map_or(String::new(), |person| {
                format!("<User>{}</User>{}", told(person), xml::tag("EnableDate", &clock::iso(held.enabled)))
            });
            format!("{serial}{owner}")
        }),
    ))
}

/// SerialNumber and the two codes, well-formed.
fn codes(call: &Call) -> Result<(&str, &str, &str), Refusal> {
    let serial = call.needed("SerialNumber")?;
    limits::serial(serial)?;
    let (first, second) = (call.needed("AuthenticationCode1")?, call.needed("AuthenticationCode2")?);
    limits::six_digits("authenticationCode1", first)?;
    limits::six_digits("authenticationCode2", second)?;
    Ok((serial, first, second))
}

/// The step of the first of two codes in a row, at most `around` steps from now.
fn row(held: &Held, first: &str, second: &str, now: i64, around: i64) -> Result<i64, Refusal> {
    let start = now.div_euclid(PERIOD).saturating_sub(around).max(0);
    let count = usize::try_from(around.saturating_mul(2).saturating_add(1)).unwrap_or(usize::MAX);
    let codes = Codes::of(start, count, &held.device.seed_base32);
    let codes = codes.map_err(|error| Refusal::Internal(error.to_string()))?;
    codes.row(first, second).ok_or_else(Refusal::wrong_codes)
}

fn find<'s>(state: &'s mut State, serial: &str) -> Result<&'s mut Held, Refusal> {
    let found =
        state.devices.iter_mut().find(|held| held.device.serial == serial && held.device.makes_codes());
    found.ok_or_else(|| {
        Refusal::missing(format!("VirtualMFADevice with serial number {serial} does not exist."))
    })
}

fn not_the_users() -> Refusal {
    Refusal::missing("MFA Device invalid for user.")
}
