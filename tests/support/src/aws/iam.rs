//! How IAM decides: policy documents and a request go in, a verdict comes out.
//!
//! Knows nothing about servers, users or sessions. What a policy says and this file does not know is an error
//! when the policy is loaded, since a condition that is passed over would make a test green for nothing.
//! Source: IAM User Guide, "Policy evaluation logic" and "Permissions boundaries for IAM entities".

use std::collections::BTreeMap;

use serde_json::{Map, Value};

mod condition;
mod key;
mod pattern;
mod trust;

use condition::Condition;
use pattern::{Case, Pattern, Syntax};

pub use key::Key;
pub(crate) use trust::{Trusted, Who};

/// What is known about a request; a key that is not there is absent, which is not "false".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Context(BTreeMap<Key, String>);

impl Context {
    /// Adds a key's value, in the text form given at [`Key`].
    #[must_use]
    pub fn with(mut self, key: Key, value: impl Into<String>) -> Self {
        self.0.insert(key, value.into());
        self
    }

    /// A key's value, if it has one.
    pub(crate) fn fact(&self, key: &Key) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

/// A policy document that was understood completely.
#[derive(Clone, Debug)]
pub struct Policy(Vec<Statement>);

#[derive(Clone, Debug)]
struct Statement {
    effect: Effect,
    /// Who is meant; empty in a policy that belongs to a user or role.
    principals: Vec<trust::Principal>,
    actions: Reach,
    resources: Reach,
    conditions: Vec<Condition>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Effect {
    Allow,
    Deny,
}

/// What a statement reaches: `Action` and `Resource`, or `NotAction` and `NotResource`.
#[derive(Clone, Debug)]
enum Reach {
    AllBut(Vec<Pattern>),
    Only(Vec<Pattern>),
}

/// A policy that cannot be loaded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the policy cannot be read: {0}")]
pub struct Unreadable(String);

/// Whether a request may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Allowed,
    /// It may not.
    Denied(Why),
}

/// What denied a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The boundary has a statement that denies it.
    BoundaryDenies,
    /// The boundary has no statement that allows it.
    BoundaryIsSilent,
    /// A policy of the user's has a statement that denies it.
    IdentityDenies,
    /// No policy of the user's has a statement that allows it.
    IdentityIsSilent,
}

impl Why {
    /// The end of AWS's sentence (IAM User Guide, "Troubleshoot access denied error messages").
    pub fn told(self, action: &str) -> String {
        match self {
            Self::BoundaryDenies => "with an explicit deny in a permissions boundary".into(),
            Self::BoundaryIsSilent => format!("because no permissions boundary allows the {action} action"),
            Self::IdentityDenies => "with an explicit deny in an identity-based policy".into(),
            Self::IdentityIsSilent => {
                format!("because no identity-based policy allows the {action} action")
            }
        }
    }
}

/// Decides about one action on one resource.
///
/// An explicit Deny anywhere wins. Then both the user's own policies and the boundary, where there is one, must
/// allow: a boundary grants nothing by itself.
pub fn evaluate(
    action: &str,
    resource: &str,
    identity: &[Policy],
    boundary: Option<&Policy>,
    context: &Context,
) -> Verdict {
    let says = |policy: &Policy, effect| policy.says(effect, action, resource, context);
    if identity.iter().any(|policy| says(policy, Effect::Deny)) {
        return Verdict::Denied(Why::IdentityDenies);
    }
    if boundary.is_some_and(|policy| says(policy, Effect::Deny)) {
        return Verdict::Denied(Why::BoundaryDenies);
    }
    if !identity.iter().any(|policy| says(policy, Effect::Allow)) {
        return Verdict::Denied(Why::IdentityIsSilent);
    }
    if boundary.is_some_and(|policy| !says(policy, Effect::Allow)) {
        return Verdict::Denied(Why::BoundaryIsSilent);
    }
    Verdict::Allowed
}

impl Policy {
    /// Reads an identity-based policy document.
    pub fn load(document: &Value) -> Result<Self, Unreadable> {
        Self::read(document, Statement::read).map_err(Unreadable)
    }

    fn read(
        document: &Value,
        statement: fn(&Value, bool) -> Result<Statement, String>,
    ) -> Result<Self, String> {
        let fields = document.as_object().ok_or("it is not an object")?;
        only(fields, &["Id", "Statement", "Version"])?;
        let variables = match fields.get("Version").map(Value::as_str) {
            Some(Some("2012-10-17")) => true,
            // Variables are plain text before 2012 ("IAM JSON policy elements: Version").
            Some(Some("2008-10-17")) | None => false,
            _ => return Err("its Version is neither 2012-10-17 nor 2008-10-17".into()),
        };
        let statements = fields.get("Statement").map(one_or_many).unwrap_or_default();
        if statements.is_empty() {
            return Err("it has no Statement".into());
        }
        statements.into_iter().map(|value| statement(value, variables)).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a statement denies the action.
    pub(crate) fn denies(&self, action: &str, resource: &str, context: &Context) -> bool {
        self.says(Effect::Deny, action, resource, context)
    }

    /// The keys that statements about the action ask for and `context` does not know.
    pub(crate) fn unknown(&self, action: &str, resource: &str, context: &Context) -> Vec<Key> {
        let about = |statement: &&Statement| {
            statement.actions.covers(action, Case::Folded, context)
                && statement.resources.covers(resource, Case::Exact, context)
        };
        let asked = self.0.iter().filter(about).flat_map(|statement| &statement.conditions);
        asked.map(Condition::key).filter(|key| context.fact(key).is_none()).cloned().collect()
    }

    fn says(&self, effect: Effect, action: &str, resource: &str, context: &Context) -> bool {
        self.0.iter().any(|statement| {
            statement.effect == effect
                && statement.actions.covers(action, Case::Folded, context)
                && statement.resources.covers(resource, Case::Exact, context)
                && statement.conditions.iter().all(|condition| condition.holds(context))
        })
    }
}

impl Statement {
    fn read(value: &Value, variables: bool) -> Result<Self, String> {
        let fields = value.as_object().ok_or("a Statement is not an object")?;
        // A Principal has no place in an identity-based policy, and is refused with the other unknown words.
        only(fields, &["Action", "Condition", "Effect", "NotAction", "NotResource", "Resource", "Sid"])?;
        let effect = Effect::read(fields)?;
        let actions = Reach::read(fields, "Action", "NotAction", variables)?;
        let resources = Reach::read(fields, "Resource", "NotResource", variables)?;
        let conditions = conditions(fields, variables)?;
        Ok(Self { effect, principals: Vec::new(), actions, resources, conditions })
    }
}

impl Effect {
    fn read(fields: &Map<String, Value>) -> Result<Self, String> {
        match fields.get("Effect").and_then(Value::as_str) {
            Some("Allow") => Ok(Self::Allow),
            Some("Deny") => Ok(Self::Deny),
            _ => Err("an Effect is neither Allow nor Deny".into()),
        }
    }
}

fn conditions(fields: &Map<String, Value>, variables: bool) -> Result<Vec<Condition>, String> {
    let mut conditions = Vec::new();
    if let Some(blocks) = fields.get("Condition") {
        for (operator, block) in blocks.as_object().ok_or("a Condition is not an object")? {
            conditions.extend(Condition::read_block(operator, block, variables)?);
        }
    }
    Ok(conditions)
}

impl Reach {
    fn read(fields: &Map<String, Value>, only: &str, all_but: &str, variables: bool) -> Result<Self, String> {
        let patterns = |value: &Value| -> Result<Vec<Pattern>, String> {
            let read = |value: &Value| match value.as_str() {
                Some(text) => Pattern::read(text, Syntax::Wildcards { variables }),
                None => Err(format!("{value} is no {only}")),
            };
            one_or_many(value).into_iter().map(read).collect()
        };
        match (fields.get(only), fields.get(all_but)) {
            (Some(value), None) => patterns(value).map(Self::Only),
            (None, Some(value)) => patterns(value).map(Self::AllBut),
            _ => Err(format!("a Statement needs one of {only} and {all_but}")),
        }
    }

    fn covers(&self, text: &str, case: Case, context: &Context) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.fits(text, case, context));
        match self {
            Self::AllBut(patterns) => !any(patterns),
            Self::Only(patterns) => any(patterns),
        }
    }
}

fn only(fields: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("unknown element {name:?}")),
        None => Ok(()),
    }
}

/// IAM takes a single value wherever it takes a list.
fn one_or_many(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(values) => values.iter().collect(),
        single => vec![single],
    }
}

#[cfg(test)]
mod tests;
