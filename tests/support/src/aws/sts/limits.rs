//! The limits of STS's and IAM's parameters, and the words in which they refuse what does not keep them.
//!
//! Source: the STS and IAM API references; every message has the form "1 validation error detected: ...".

use std::ops::RangeInclusive;

use crate::aws::refusal::Refusal;

/// DurationSeconds, within `limits`; `None` if it was not given.
pub(crate) fn life(asked: Option<&str>, limits: RangeInclusive<i64>) -> Result<Option<i64>, Refusal> {
    let Some(asked) = asked else {
        return Ok(None);
    };
    let unmet = |limit| unmet("durationSeconds", asked, limit);
    let seconds: i64 = asked.parse().map_err(|_| unmet("Member must be a whole number of seconds".into()))?;
    if seconds < *limits.start() {
        return Err(unmet(format!("Member must have value greater than or equal to {}", limits.start())));
    }
    if seconds > *limits.end() {
        return Err(unmet(format!("Member must have value less than or equal to {}", limits.end())));
    }
    Ok(Some(seconds))
}

/// SerialNumber: 9 to 256 of `[\w+=/:,.@-]`.
pub(crate) fn serial(serial: &str) -> Result<(), Refusal> {
    length("serialNumber", serial, 9..=256)?;
    pattern("serialNumber", serial, "_+=/:,.@-", "[\\w+=/:,.@-]*")
}

/// TokenCode: six digits.
pub(crate) fn code(code: &str) -> Result<(), Refusal> {
    six_digits("tokenCode", code)
}

/// AuthenticationCode1 and AuthenticationCode2 keep the same limits.
pub(crate) fn six_digits(member: &str, code: &str) -> Result<(), Refusal> {
    if !code.bytes().all(|digit| digit.is_ascii_digit()) {
        let limit = "Member must satisfy regular expression pattern: [\\d]*";
        return Err(unmet(member, code, limit.into()));
    }
    length(member, code, 6..=6)
}

/// VirtualMFADeviceName: 1 to 226 of `[\w+=,.@-]`.
pub(crate) fn device_name(name: &str) -> Result<(), Refusal> {
    length("virtualMFADeviceName", name, 1..=226)?;
    pattern("virtualMFADeviceName", name, "_+=,.@-", "[\\w+=,.@-]+")
}

/// RoleArn: 20 to 2048 characters; whether it names a role is another question.
pub(crate) fn role_arn(arn: &str) -> Result<(), Refusal> {
    length("roleArn", arn, 20..=2048)?;
    match arn.split(':').collect::<Vec<_>>().as_slice() {
        ["arn", _, "iam", "", _, resource] if resource.starts_with("role/") => Ok(()),
        _ => Err(Refusal::Validation(format!("{arn} is invalid"))),
    }
}

/// RoleSessionName and SourceIdentity: 2 to 64 of `[\w+=,.@-]`.
pub(crate) fn name(member: &str, name: &str) -> Result<(), Refusal> {
    length(member, name, 2..=64)?;
    pattern(member, name, "_+=,.@-", "[\\w+=,.@-]*")
}

/// ExternalId: 2 to 1224 of `[\w+=,.@:/-]`.
pub(crate) fn external_id(id: &str) -> Result<(), Refusal> {
    length("externalId", id, 2..=1224)?;
    pattern("externalId", id, "_+=,.@:/-", "[\\w+=,.@:\\/-]*")
}

/// Tags: at most 50, keys of 1 to 128 characters, values of at most 256, no key twice in any case.
pub(crate) fn tags(tags: &[(&str, &str)]) -> Result<(), Refusal> {
    if tags.len() > 50 {
        let limit = "Member must have length less than or equal to 50";
        return Err(unmet("tags", &format!("{} tags", tags.len()), limit.into()));
    }
    for (place, (key, value)) in tags.iter().enumerate() {
        let member = |part| format!("tags.{}.member.{part}", place.saturating_add(1));
        length(&member("key"), key, 1..=128)?;
        length(&member("value"), value, 0..=256)?;
        let again =
            tags.iter().skip(place.saturating_add(1)).any(|(other, _)| other.eq_ignore_ascii_case(key));
        if again {
            let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(Refusal::InvalidParameter(message.into()));
        }
    }
    Ok(())
}

fn length(member: &str, value: &str, limits: RangeInclusive<usize>) -> Result<(), Refusal> {
    let letters = value.chars().count();
    if letters < *limits.start() {
        let limit = format!("Member must have length greater than or equal to {}", limits.start());
        return Err(unmet(member, value, limit));
    }
    if letters > *limits.end() {
        let limit = format!("Member must have length less than or equal to {}", limits.end());
        return Err(unmet(member, value, limit));
    }
    Ok(())
}

fn pattern(member: &str, value: &str, signs: &str, pattern: &str) -> Result<(), Refusal> {
    match value.chars().all(|letter| letter.is_ascii_alphanumeric() || signs.contains(letter)) {
        true => Ok(()),
        false => {
            let limit = format!("Member must satisfy regular expression pattern: {pattern}");
            Err(unmet(member, value, limit))
        }
    }
}

/// A parameter that must be there.
pub(crate) fn needed<'v>(member: &str, value: Option<&'v str>) -> Result<&'v str, Refusal> {
    value.ok_or_else(|| {
        Refusal::Validation(format!(
            "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be \
             null"
        ))
    })
}

fn unmet(member: &str, value: &str, limit: String) -> Refusal {
    Refusal::Validation(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {limit}"
    ))
}
