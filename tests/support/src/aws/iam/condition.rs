//! One line of a policy's `Condition`: an operator, a key, and values.
//!
//! Source: IAM User Guide, "IAM JSON policy elements: Condition operators".

use std::cmp::Ordering;

use serde_json::Value;

use super::pattern::{Case, Pattern, Syntax};
use super::{Context, Key, one_or_many};
use crate::aws::clock;

/// A condition that the stand-in understands; anything else did not load.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    key: Key,
    operand: Operand,
    /// `...Not...`: holds when no value fits, also when the key is absent.
    negated: bool,
    /// `...IfExists`: holds when the key is absent.
    if_exists: bool,
}

#[derive(Clone, Debug)]
enum Operand {
    Bool(Vec<bool>),
    /// Unix seconds.
    Date(Comparison, Vec<f64>),
    Null(bool),
    Numeric(Comparison, Vec<f64>),
    Text(Case, Vec<Pattern>),
}

#[derive(Clone, Copy, Debug)]
enum Comparison {
    Equals,
    GreaterThan,
    GreaterThanEquals,
    LessThan,
    LessThanEquals,
}

impl Condition {
    /// Reads one operator's block: `{ "key": value or [values], ... }`.
    pub(crate) fn read_block(operator: &str, block: &Value, variables: bool) -> Result<Vec<Self>, String> {
        let keys = block.as_object().ok_or_else(|| format!("{operator} is not an object"))?;
        keys.iter().map(|(key, values)| Self::read(operator, Key::read(key)?, values, variables)).collect()
    }

    fn read(operator: &str, key: Key, values: &Value, variables: bool) -> Result<Self, String> {
        let (name, if_exists) = match operator.strip_suffix("IfExists") {
            Some("Null") => return Err("NullIfExists is no operator".into()),
            Some(name) => (name, true),
            None => (operator, false),
        };
        let values = one_or_many(values);
        let unknown = || format!("unknown condition operator {operator:?}");
        let (operand, negated) = if let Some(test) = name.strip_prefix("Numeric") {
            let (comparison, negated) = Comparison::read(test).ok_or_else(unknown)?;
            (Operand::Numeric(comparison, each(&values, number)?), negated)
        } else if let Some(test) = name.strip_prefix("Date") {
            let (comparison, negated) = Comparison::read(test).ok_or_else(unknown)?;
            (Operand::Date(comparison, each(&values, date)?), negated)
        } else if let Some(test) = name.strip_prefix("String") {
            let (syntax, case, negated) = match test {
                "Equals" => (Syntax::Words { variables }, Case::Exact, false),
                "EqualsIgnoreCase" => (Syntax::Words { variables }, Case::Folded, false),
                "Like" => (Syntax::Wildcards { variables }, Case::Exact, false),
                "NotEquals" => (Syntax::Words { variables }, Case::Exact, true),
                "NotEqualsIgnoreCase" => (Syntax::Words { variables }, Case::Folded, true),
                "NotLike" => (Syntax::Wildcards { variables }, Case::Exact, true),
                _ => return Err(unknown()),
            };
            (Operand::Text(case, each(&values, |value| Pattern::read(&text(value)?, syntax))?), negated)
        } else {
            match (name, each(&values, truth)) {
                ("Bool", truths) => (Operand::Bool(truths?), false),
                ("Null", truths) => match truths?.as_slice() {
                    [absent] => (Operand::Null(*absent), false),
                    _ => return Err("Null takes one value".into()),
                },
                _ => return Err(unknown()),
            }
        };
        Ok(Self { key, operand, negated, if_exists })
    }

    /// What it asks about.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// Whether the condition is met.
    pub(crate) fn holds(&self, context: &Context) -> bool {
        let fact = context.fact(&self.key);
        if let Operand::Null(absent) = self.operand {
            return absent == fact.is_none();
        }
        match fact {
            None => self.if_exists || self.negated,
            Some(fact) => self.operand.fits(fact, context) != self.negated,
        }
    }
}

impl Operand {
    fn fits(&self, fact: &str, context: &Context) -> bool {
        match self {
            Self::Bool(wanted) => wanted.iter().any(|truth| fact.eq_ignore_ascii_case(&truth.to_string())),
            Self::Date(comparison, wanted) => comparison.any(clock::instant(fact), wanted),
            Self::Null(_) => false,
            Self::Numeric(comparison, wanted) => comparison.any(fact.parse().ok(), wanted),
            Self::Text(case, patterns) => patterns.iter().any(|pattern| pattern.fits(fact, *case, context)),
        }
    }
}

impl Comparison {
    fn read(test: &str) -> Option<(Self, bool)> {
        Some(match test {
            "Equals" => (Self::Equals, false),
            "GreaterThan" => (Self::GreaterThan, false),
            "GreaterThanEquals" => (Self::GreaterThanEquals, false),
            "LessThan" => (Self::LessThan, false),
            "LessThanEquals" => (Self::LessThanEquals, false),
            "NotEquals" => (Self::Equals, true),
            _ => return None,
        })
    }

    fn any(self, fact: Option<f64>, wanted: &[f64]) -> bool {
        let fits = |order: Ordering| match self {
            Self::Equals => order.is_eq(),
            Self::GreaterThan => order.is_gt(),
            Self::GreaterThanEquals => order.is_ge(),
            Self::LessThan => order.is_lt(),
            Self::LessThanEquals => order.is_le(),
        };
        fact.is_some_and(|fact| wanted.iter().any(|value| fact.partial_cmp(value).is_some_and(fits)))
    }
}

fn each<T>(values: &[&Value], read: impl Fn(&Value) -> Result<T, String>) -> Result<Vec<T>, String> {
    values.iter().map(|value| read(value)).collect()
}

/// IAM takes numbers and booleans with or without quotation marks.
fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::Bool(truth) => Ok(truth.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::String(text) => Ok(text.clone()),
        other => Err(format!("{other} is no value for a condition")),
    }
}

fn truth(value: &Value) -> Result<bool, String> {
    match text(value)?.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(format!("{other:?} is neither true nor false")),
    }
}

fn number(value: &Value) -> Result<f64, String> {
    text(value)?.parse().map_err(|_| format!("{value} is no number"))
}

fn date(value: &Value) -> Result<f64, String> {
    let text = text(value)?;
    clock::instant(&text).or_else(|| text.parse().ok()).ok_or_else(|| format!("{value} is no date"))
}
