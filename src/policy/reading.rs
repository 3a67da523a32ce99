//! A policy document as somebody else wrote it, read as far as MFA is concerned.
//!
//! Decides what a document says about a request with, without and far from a code. A condition that is not about
//! MFA leaves the answer open.
//! Source: IAM User Guide, "IAM JSON policy reference" and "Policy evaluation logic".

use serde_json::{Map, Value};

/// A policy document.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name, for messages.
    pub name: String,
    pub(super) statements: Vec<Statement>,
}

/// Some resource, whichever it is.
pub const ANY: &str = "*";

/// Why a text is no policy document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the policy {name} cannot be read: {reason}")]
pub struct Unreadable {
    /// The policy.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

/// How a request stands to MFA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Signed with the long-term key itself: the context has no key about MFA.
    LongTermKey,
    /// By a session that was made with a code.
    WithMfa,
    /// By a session that was made without: `aws:MultiFactorAuthPresent` is "false", and there is no age.
    WithoutMfa,
}

/// What can be said by reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Not so.
    No,
    /// It depends on what is not about MFA.
    Open,
    /// Certainly.
    Yes,
}

#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) sid: Option<String>,
    pub(super) allows: bool,
    actions: Reach,
    resources: Reach,
    pub(super) conditions: Vec<Condition>,
}

#[derive(Clone, Debug)]
enum Reach {
    AllBut(Vec<String>),
    Only(Vec<String>),
}

#[derive(Clone, Debug)]
pub(super) struct Condition {
    /// Without `IfExists`.
    pub(super) operator: String,
    pub(super) if_exists: bool,
    pub(super) key: Key,
    pub(super) values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Age,
    Other,
    Present,
}

impl Policy {
    /// Reads a document: JSON text, alone or inside the AWS CLI's answer (get-user-policy, get-policy-version). `user` is the name that `${aws:username}` stands for, where it is known.
    pub fn read(name: &str, text: &str, user: Option<&str>) -> Result<Self, Unreadable> {
        let refused = |reason: String| Unreadable { name: name.into(), reason };
        let text = text.trim_start_matches('\u{feff}');
        let text = user.map_or_else(|| text.to_owned(), |user| text.replace("${aws:username}", user));
        let document: Value = serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
        // The AWS CLI prints the document inside its answer.
        let inside =
            ["/PolicyDocument", "/PolicyVersion/Document"].iter().find_map(|at| document.pointer(at));
        let document = inside.unwrap_or(&document);
        let statements = document.get("Statement").map(many).unwrap_or_default();
        if statements.is_empty() {
            return Err(refused("it has no Statement".into()));
        }
        let statements = statements.into_iter().map(Statement::read).collect::<Result<_, _>>();
        Ok(Self { name: name.into(), statements: statements.map_err(refused)? })
    }

    /// Whether a statement with this effect fits the request.
    fn says(&self, allows: bool, action: &str, resource: &str, request: Request) -> Answer {
        let own = self.statements.iter().filter(|statement| statement.allows == allows);
        own.map(|statement| statement.fits(action, resource, request)).fold(Answer::No, Answer::or)
    }

    /// Whether the document alone refuses `action` to a request without MFA that it leaves to one with: by denying
    /// it, or by allowing it with MFA only.
    pub fn asks_for_mfa(&self, action: &str, resource: &str) -> bool {
        let refuses = |request| {
            self.says(false, action, resource, request) == Answer::Yes
                || self.allows_something() && self.says(true, action, resource, request) == Answer::No
        };
        let serves = self.says(false, action, resource, Request::WithMfa) != Answer::Yes
            && (!self.allows_something()
                || self.says(true, action, resource, Request::WithMfa) != Answer::No);
        serves && refuses(Request::WithoutMfa) && refuses(Request::LongTermKey)
    }

    fn allows_something(&self) -> bool {
        self.statements.iter().any(|statement| statement.allows)
    }
}

/// Whether these policies, within the boundary where there is one, let the request pass.
pub fn passes(
    identity: &[Policy],
    boundary: Option<&Policy>,
    action: &str,
    resource: &str,
    request: Request,
) -> Answer {
    let any = |allows, policies: &mut dyn Iterator<Item = &Policy>| {
        policies.map(|policy| policy.says(allows, action, resource, request)).fold(Answer::No, Answer::or)
    };
    let denied = any(false, &mut identity.iter().chain(boundary));
    let allowed = any(true, &mut identity.iter());
    let bounded = boundary.map_or(Answer::Yes, |policy| policy.says(true, action, resource, request));
    denied.not().and(allowed).and(bounded)
}

impl Answer {
    fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Open => Self::Open,
            Self::Yes => Self::No,
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Open,
        }
    }

    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }
}

impl Statement {
    fn read(value: &Value) -> Result<Self, String> {
        let fields = value.as_object().ok_or("a Statement is not an object")?;
        let allows = match fields.get("Effect").and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Err("an Effect is neither Allow nor Deny".into()),
        };
        let mut conditions = Vec::new();
        if let Some(blocks) = fields.get("Condition") {
            for (operator, block) in blocks.as_object().ok_or("a Condition is not an object")? {
                let (plain, if_exists) = match operator.strip_suffix("IfExists") {
                    Some(plain) => (plain, true),
                    None => (operator.as_str(), false),
                };
                for (key, values) in block.as_object().ok_or("a Condition's operator has no object")? {
                    let values = many(values).into_iter().map(text).collect();
                    let key = Key::read(key);
                    conditions.push(Condition { operator: plain.into(), if_exists, key, values });
                }
            }
        }
        Ok(Self {
            sid: fields.get("Sid").and_then(Value::as_str).map(str::to_owned),
            allows,
            actions: Reach::read(fields, "Action", "NotAction")?,
            resources: Reach::read(fields, "Resource", "NotResource")?,
            conditions,
        })
    }

    pub(super) fn fits(&self, action: &str, resource: &str, request: Request) -> Answer {
        if !self.actions.covers(&action.to_ascii_lowercase(), true) {
            return Answer::No;
        }
        let reached = match self.resources.covers(resource, false) {
            true => Answer::Yes,
            // Nobody said which resource.
            false if resource == ANY => Answer::Open,
            false => Answer::No,
        };
        self.conditions.iter().map(|condition| condition.holds(request)).fold(reached, Answer::and)
    }
}

impl Reach {
    fn read(fields: &Map<String, Value>, only: &str, all_but: &str) -> Result<Self, String> {
        let texts = |value| many(value).into_iter().map(text).collect();
        match (fields.get(only), fields.get(all_but)) {
            (Some(value), None) => Ok(Self::Only(texts(value))),
            (None, Some(value)) => Ok(Self::AllBut(texts(value))),
            _ => Err(format!("a Statement needs one of {only} and {all_but}")),
        }
    }

    fn covers(&self, name: &str, folded: bool) -> bool {
        let any = |patterns: &[String]| {
            patterns.iter().any(|pattern| match folded {
                true => fits(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes()),
                false => fits(pattern.as_bytes(), name.as_bytes()),
            })
        };
        match self {
            Self::AllBut(patterns) => !any(patterns),
            Self::Only(patterns) => any(patterns),
        }
    }
}

impl Key {
    fn read(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "aws:multifactorauthage" => Self::Age,
            "aws:multifactorauthpresent" => Self::Present,
            _ => Self::Other,
        }
    }
}

impl Condition {
    fn holds(&self, request: Request) -> Answer {
        let fact = match (self.key, request) {
            (Key::Other, _) => return Answer::Open,
            (Key::Age, Request::WithMfa) => return Answer::Open,
            (_, Request::LongTermKey) | (Key::Age, Request::WithoutMfa) => None,
            (Key::Present, Request::WithMfa) => Some("true"),
            (Key::Present, Request::WithoutMfa) => Some("false"),
        };
        let fits = |fact: &str| self.values.iter().any(|value| value.eq_ignore_ascii_case(fact));
        let negated = self.operator.contains("Not");
        let holds = match (self.operator.as_str(), fact) {
            ("Null", fact) => fits(if fact.is_none() { "true" } else { "false" }),
            (_, None) => self.if_exists || negated,
            ("Bool", Some(fact)) => fits(fact),
            (operator, Some(fact)) if operator.starts_with("String") => fits(fact) != negated,
            _ => return Answer::Open,
        };
        if holds { Answer::Yes } else { Answer::No }
    }
}

/// IAM's wildcards: `*` for any run, `?` for one character. Without backtracking: each piece between two stars takes
/// the first place where it fits.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let same = |piece: &[u8], part: &[u8]| {
        piece.len() == part.len()
            && piece.iter().zip(part).all(|(wanted, byte)| *wanted == b'?' || wanted == byte)
    };
    let mut pieces: Vec<&[u8]> = pattern.split(|byte| *byte == b'*').collect();
    let last = pieces.pop().unwrap_or_default();
    let mut rest = name;
    for (number, piece) in pieces.iter().enumerate() {
        let places = if number == 0 { 0..=0 } else { 0..=rest.len() };
        let part = |at: usize| rest.get(at..)?.split_at_checked(piece.len());
        let found = places.filter_map(part).find(|(part, _)| same(piece, part));
        let Some((_, behind)) = found else { return false };
        rest = behind;
    }
    match pieces.is_empty() {
        true => same(last, rest),
        false => rest
            .len()
            .checked_sub(last.len())
            .and_then(|at| rest.get(at..))
            .is_some_and(|end| same(last, end)),
    }
}

fn many(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(values) => values.iter().collect(),
        one => vec![one],
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn wildcards_are_iams() {
        let cases = [
            ("*", "", true),
            ("*", "iam:x", true),
            ("iam:*", "iam:", true),
            ("iam:*mfa*", "iam:enablemfadevice", true),
            ("iam:*mfa*", "iam:getuser", false),
            ("a*b*b", "abb", true),
            ("a*b*b", "ab", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*a*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
            ("abc", "abcd", false),
            ("*:user/doug", "arn:aws:iam::1:user/doug", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
