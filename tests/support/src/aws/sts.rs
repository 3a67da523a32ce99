//! The actions of STS that ask no policy (STS API reference, "GetSessionToken": no permissions are required), and below
//! them those that make a role's session.

use super::call::Call;
use super::refusal::Refusal;
use super::session::{Granted, Owner};
use super::state::State;
use super::{Seen, clock, xml};

pub(crate) mod limits;
pub(crate) mod role;
pub(crate) mod web;

/// Limits and default of a user's session, in seconds (STS API reference, DurationSeconds).
const SHORTEST: i64 = 900;
const LONGEST: i64 = 129_600;
const USUAL: i64 = 43_200;
/// The root user's sessions end after an hour, whatever was asked (same page).
const LONGEST_OF_ROOT: i64 = 3600;

pub(crate) fn caller_identity(call: &Call) -> Result<String, Refusal> {
    call.takes(&[])?;
    Ok(format!(
        "<Arn>{}</Arn><UserId>{}</UserId><Account>{}</Account>",
        xml::text(&call.caller.arn()),
        xml::text(&call.caller.id()),
        xml::text(&call.caller.account)
    ))
}

pub(crate) fn session_token(call: &Call, seen: &mut Seen, state: &mut State) -> Result<String, Refusal> {
    call.takes(&["DurationSeconds", "SerialNumber", "TokenCode"])?;
    let (Some(person), None) = (call.caller.user(), call.caller.session) else {
        return Err(Refusal::FROM_A_SESSION);
    };
    let life = limits::life(call.parameter("DurationSeconds"), SHORTEST..=LONGEST)?.unwrap_or(USUAL);
    let with_code = code_given(call, seen, state)?;
    let life = if person.user.root { life.min(LONGEST_OF_ROOT) } else { life };
    let granted = state.grant(Owner::User(person.user_id.clone()), with_code, life, call.now);
    seen.issued = Some(granted.access_key_id.clone());
    Ok(credentials(&granted))
}

/// Whether the call itself brings MFA: checks SerialNumber and TokenCode, and uses the code up.
fn code_given(call: &Call, seen: &mut Seen, state: &mut State) -> Result<bool, Refusal> {
    let (serial, code) = (call.parameter("SerialNumber"), call.parameter("TokenCode"));
    if let Some(serial) = serial {
        limits::serial(serial)?;
    }
    if let Some(code) = code {
        limits::code(code)?;
    }
    let (serial, code) = match (serial, code) {
        (None, None) => return Ok(false),
        (Some(serial), Some(code)) => (serial, code),
        _ => return Err(Refusal::HALF_MFA),
    };
    // A serial counts only for a user's own call: a session has no device.
    let (Some(person), None) = (call.caller.user(), call.caller.session) else {
        return Err(Refusal::UNKNOWN_DEVICE);
    };
    let (step, outcome) = state.spend(person, serial, code, call.now);
    seen.code_step = step.and_then(|step| u64::try_from(step).ok());
    outcome.map(|()| true)
}

fn credentials(granted: &Granted) -> String {
    format!(
        "<Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}\
         </SessionToken><Expiration>{}</Expiration></Credentials>",
        granted.access_key_id,
        granted.secret,
        granted.token,
        clock::iso(granted.expires)
    )
}
