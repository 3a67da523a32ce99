//! A role's trust policy: who may assume it.
//!
//! Source: IAM User Guide, "AWS JSON policy elements: Principal" and "Cross-account policy evaluation logic".

use serde_json::Value;

use super::pattern::{Case, Pattern, Syntax};
use super::{Context, Effect, Policy, Reach, Statement, Unreadable, conditions, one_or_many, only};

/// Whom a statement means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Principal {
    /// Twelve digits, or the `:root` of an account: everybody there whose own policies allow it.
    Account(String),
    /// `*`.
    Anyone,
    /// The ARN of a user, a role or one session of a role.
    Arn(String),
    /// The ARN of a web identity provider.
    Federated(String),
}

/// Who asks to be let in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Who {
    /// The account that the caller belongs to; empty for a web identity.
    pub(crate) account: String,
    /// The ARNs that mean the caller: a role's session answers to the role's as well.
    pub(crate) arns: Vec<String>,
    /// The ARN of the provider of a web identity.
    pub(crate) federated: Option<String>,
}

/// What a trust policy says about a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trusted {
    /// A statement denies it.
    Denied,
    /// No statement allows it.
    No,
    /// The caller's account is trusted: the caller's own policies decide.
    Account,
    /// The caller itself is trusted: in the same account that is enough.
    Itself,
}

impl Policy {
    /// Reads a role's trust policy.
    pub(crate) fn load_trust(document: &Value) -> Result<Self, Unreadable> {
        Self::read(document, trust_statement).map_err(Unreadable)
    }

    /// What a trust policy says about `action`.
    pub(crate) fn trusts(&self, action: &str, who: &Who, context: &Context) -> Trusted {
        let mut best = Trusted::No;
        for statement in &self.0 {
            let applies = statement.actions.covers(action, Case::Folded, context)
                && statement.conditions.iter().all(|condition| condition.holds(context));
            let meant = statement.principals.iter().filter_map(|principal| principal.means(who)).max();
            match (applies, meant, statement.effect) {
                (true, Some(_), Effect::Deny) => return Trusted::Denied,
                (true, Some(how), Effect::Allow) => best = best.max(how),
                _ => (),
            }
        }
        best
    }
}

impl Principal {
    fn means(&self, who: &Who) -> Option<Trusted> {
        match self {
            Self::Account(account) => (*account == who.account).then_some(Trusted::Account),
            // Everybody, but each with what the own account allows.
            Self::Anyone => Some(if who.federated.is_some() { Trusted::Itself } else { Trusted::Account }),
            Self::Arn(arn) => who.arns.contains(arn).then_some(Trusted::Itself),
            Self::Federated(provider) => {
                (who.federated.as_ref() == Some(provider)).then_some(Trusted::Itself)
            }
        }
    }

    fn read(value: &Value) -> Result<Vec<Self>, String> {
        if value.as_str() == Some("*") {
            return Ok(vec![Self::Anyone]);
        }
        let mut principals = Vec::new();
        for (kind, names) in value.as_object().ok_or("a Principal is neither an object nor \"*\"")? {
            for name in one_or_many(names) {
                let name = name.as_str().ok_or_else(|| format!("{name} is no Principal"))?;
                principals.push(match kind.as_str() {
                    "AWS" => Self::of_aws(name)?,
                    "Federated" => Self::Federated(name.into()),
                    _ => return Err(format!("unknown kind of Principal {kind:?}")),
                });
            }
        }
        Ok(principals)
    }

    fn of_aws(name: &str) -> Result<Self, String> {
        let is_account = |text: &str| text.len() == 12 && text.bytes().all(|digit| digit.is_ascii_digit());
        let parts: Vec<&str> = name.split(':').collect();
        match parts.as_slice() {
            ["*"] => Ok(Self::Anyone),
            [account] if is_account(account) => Ok(Self::Account((*account).into())),
            ["arn", _, "iam", "", account, "root"] if is_account(account) => {
                Ok(Self::Account((*account).into()))
            }
            // IAM refuses wildcards here: a part of a name is nobody.
            ["arn", _, "iam" | "sts", "", account, who]
                if is_account(account) && !who.contains(['*', '?']) =>
            {
                Ok(Self::Arn(name.into()))
            }
            _ => Err(format!("Invalid principal in policy: {name:?}")),
        }
    }
}

fn trust_statement(value: &Value, variables: bool) -> Result<Statement, String> {
    let fields = value.as_object().ok_or("a Statement is not an object")?;
    only(fields, &["Action", "Condition", "Effect", "Principal", "Sid"])?;
    Ok(Statement {
        effect: Effect::read(fields)?,
        principals: Principal::read(fields.get("Principal").ok_or("a Statement has no Principal")?)?,
        actions: Reach::read(fields, "Action", "NotAction", variables)?,
        // The role itself is the resource.
        resources: Reach::Only(vec![Pattern::read("*", Syntax::Wildcards { variables })?]),
        conditions: conditions(fields, variables)?,
    })
}
