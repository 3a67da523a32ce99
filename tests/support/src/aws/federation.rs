//! The sign-in service's federation endpoint: a role's session becomes a sign-in to the console.
//!
//! Source: IAM User Guide, "Enable custom identity broker access to the AWS console". Its refusals are plain text; AWS
//! documents only their status, 400, and the one about sessions of users is as people report it.

use std::fmt;

use serde_json::{Value, json};

use super::call::{Answered, value};
use super::http::{Reply, Request};
use super::session::Owner;
use super::state::State;
use super::{Seen, clock, world};

/// Where it is served.
pub(crate) const PATH: &str = "/federation";

/// Seconds for which a sign-in token is good.
const LIFE: i64 = 900;

/// SessionDuration's limits, in seconds.
const DURATIONS: std::ops::RangeInclusive<i64> = 900..=43_200;

/// A sign-in token that was not used yet.
pub(crate) struct SigninToken {
    text: String,
    access_key_id: String,
    expires: i64,
}

impl fmt::Debug for SigninToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigninToken({})", self.access_key_id)
    }
}

/// An answer's status, and its body or the place that it sends the browser to.
enum Said {
    Body(String),
    Elsewhere(String),
    Refused(&'static str),
}

/// Answers a request and writes down that it came.
pub(crate) fn answer(request: &Request, state: &mut State) -> Answered {
    let now = state.now();
    let parameters = request.parameters();
    let action = value(&parameters, "Action").unwrap_or_default();
    let mut seen = Seen { action: action.into(), ..Seen::default() };
    seen.duration = value(&parameters, "SessionDuration").map(String::from);
    let fault = state.fault(action);
    let said = match action {
        "getSigninToken" => signin_token(&parameters, &mut seen, now, state),
        "login" => login(&parameters, &mut seen, now, state),
        _ => Said::Refused("Invalid Action"),
    };
    let mut headers = vec![("Date", clock::http_date(now))];
    let (status, outcome, kind, body) = match said {
        Said::Body(body) => (200, "ok", "application/json", body),
        Said::Elsewhere(location) => {
            headers.push(("Location", location));
            (302, "ok", "text/html", String::new())
        }
        Said::Refused(why) => (400, why, "text/plain", why.into()),
    };
    headers.push(("Content-Type", kind.into()));
    (seen.status, seen.outcome) = (status, outcome.into());
    state.seen.push(seen.clone());
    Answered { reply: Reply { status, headers, body }, fault, seen }
}

fn signin_token(parameters: &[(String, String)], seen: &mut Seen, now: i64, state: &mut State) -> Said {
    let known = |name: &str| {
        matches!(name, "Action" | "Session" | "SessionDuration" | "SessionType" | "SigninTokenType")
    };
    if !parameters.iter().all(|(name, _)| known(name)) {
        return Said::Refused("Unknown parameter");
    }
    if value(parameters, "SessionType").is_some_and(|kind| kind != "json") {
        return Said::Refused("SessionType is not json");
    }
    let session: Value =
        serde_json::from_str(value(parameters, "Session").unwrap_or_default()).unwrap_or_default();
    let field = |name: &str| session.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (id, secret, token) = (field("sessionId"), field("sessionKey"), field("sessionToken"));
    seen.access_key_id.clone_from(&id);
    let Some(kept) = state.sessions.find(&id).filter(|kept| kept.secret == secret && kept.token == token)
    else {
        return Said::Refused("The credentials are not those of a session");
    };
    if kept.expires <= now {
        return Said::Refused("The session is over");
    }
    let Owner::Role(assumed) = &kept.owner else {
        return Said::Refused(
            "Only federation tokens or assume role tokens may be used for federated login.",
        );
    };
    if let Some(duration) = value(parameters, "SessionDuration") {
        if !duration.parse().is_ok_and(|seconds: i64| DURATIONS.contains(&seconds)) {
            return Said::Refused("SessionDuration is not within 900 and 43200");
        }
        if assumed.chained {
            return Said::Refused(
                "SessionDuration cannot be given for a role that was assumed by role chaining",
            );
        }
    }
    seen.caller = Some(assumed.arn());
    let text = world::token();
    let kept = SigninToken { text: text.clone(), access_key_id: id, expires: now.saturating_add(LIFE) };
    state.signin_tokens.push(kept);
    Said::Body(json!({ "SigninToken": text }).to_string())
}

fn login(parameters: &[(String, String)], seen: &mut Seen, now: i64, state: &mut State) -> Said {
    let Some(token) = value(parameters, "SigninToken") else {
        return Said::Refused("SigninToken is missing");
    };
    let Some(place) = state.signin_tokens.iter().position(|known| known.text == token) else {
        return Said::Refused("SigninToken is unknown");
    };
    // Good for one sign-in.
    let known = state.signin_tokens.remove(place);
    seen.access_key_id = known.access_key_id;
    if known.expires <= now {
        return Said::Refused("SigninToken is over");
    }
    match value(parameters, "Destination").filter(|place| place.starts_with("https://")) {
        Some(destination) => Said::Elsewhere(destination.replace(['\r', '\n'], "")),
        None => Said::Refused("Destination is not a URL"),
    }
}
