//! The actions of STS. None of them asks a policy (STS API reference, "GetSessionToken": no permissions are required).

use super::call::Call;
use super::refusal::Refusal;
use super::state::State;
use super::{Seen, clock, xml};

/// Limits and default of a user's session, in seconds (STS API reference, DurationSeconds).
const SHORTEST: i64 = 900;
const LONGEST: i64 = 129_600;
const USUAL: i64 = 43_200;
/// The root user's sessions end after an hour, whatever was asked (same page).
const LONGEST_OF_ROOT: i64 = 3600;

pub(crate) fn caller_identity(call: &Call, state: &State) -> Result<String, Refusal> {
    call.takes(&[])?;
    let person = &call.caller.person;
    Ok(format!(
        "<Arn>{}</Arn><UserId>{}</UserId><Account>{}</Account>",
        xml::text(&person.arn),
        person.user_id,
        xml::text(&state.account)
    ))
}

pub(crate) fn session_token(call: &Call, seen: &mut Seen, state: &mut State) -> Result<String, Refusal> {
    call.takes(&["DurationSeconds", "SerialNumber", "TokenCode"])?;
    if call.caller.session.is_some() {
        return Err(Refusal::FROM_A_SESSION);
    }
    let life = life(call.parameter("DurationSeconds"))?;
    let (serial, code) = (call.parameter("SerialNumber"), call.parameter("TokenCode"));
    if let Some(serial) = serial {
        well_formed_serial(serial)?;
    }
    if let Some(code) = code {
        well_formed_code(code)?;
    }
    let person = &call.caller.person;
    let with_code = match (serial, code) {
        (None, None) => false,
        (Some(serial), Some(code)) => {
            let (step, outcome) = state.spend(person, serial, code, call.now);
            seen.code_step = step.and_then(|step| u64::try_from(step).ok());
            outcome?;
            true
        }
        _ => return Err(Refusal::HALF_MFA),
    };
    let life = if person.user.root { life.min(LONGEST_OF_ROOT) } else { life };
    let granted = state.grant(person, with_code, life, call.now);
    Ok(format!(
        "<Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}\
         </SessionToken><Expiration>{}</Expiration></Credentials>",
        granted.access_key_id,
        granted.secret,
        granted.token,
        clock::iso(granted.expires)
    ))
}

fn life(asked: Option<&str>) -> Result<i64, Refusal> {
    let Some(asked) = asked else {
        return Ok(USUAL);
    };
    let seconds: i64 = asked
        .parse()
        .map_err(|_| unmet("durationSeconds", asked, "Member must be a whole number of seconds".into()))?;
    if seconds < SHORTEST {
        let limit = format!("Member must have value greater than or equal to {SHORTEST}");
        return Err(unmet("durationSeconds", asked, limit));
    }
    if seconds > LONGEST {
        let limit = format!("Member must have value less than or equal to {LONGEST}");
        return Err(unmet("durationSeconds", asked, limit));
    }
    Ok(seconds)
}

/// SerialNumber: 9 to 256 of `[\w+=/:,.@-]` (STS API reference).
fn well_formed_serial(serial: &str) -> Result<(), Refusal> {
    let letters = serial.chars().count();
    if letters < 9 {
        return Err(unmet(
            "serialNumber",
            serial,
            "Member must have length greater than or equal to 9".into(),
        ));
    }
    if letters > 256 {
        return Err(unmet(
            "serialNumber",
            serial,
            "Member must have length less than or equal to 256".into(),
        ));
    }
    if !serial.chars().all(|letter| letter.is_ascii_alphanumeric() || "_+=/:,.@-".contains(letter)) {
        let limit = "Member must satisfy regular expression pattern: [\\w+=/:,.@-]*";
        return Err(unmet("serialNumber", serial, limit.into()));
    }
    Ok(())
}

/// TokenCode: six digits (STS API reference).
fn well_formed_code(code: &str) -> Result<(), Refusal> {
    if !code.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(unmet(
            "tokenCode",
            code,
            "Member must satisfy regular expression pattern: [\\d]*".into(),
        ));
    }
    match code.len() {
        6 => Ok(()),
        0..6 => Err(unmet("tokenCode", code, "Member must have length greater than or equal to 6".into())),
        _ => Err(unmet("tokenCode", code, "Member must have length less than or equal to 6".into())),
    }
}

fn unmet(member: &str, value: &str, limit: String) -> Refusal {
    Refusal::Validation(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {limit}"
    ))
}
