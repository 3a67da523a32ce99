//! Groups of users, and policies with names.

use serde::Deserialize;
use serde_json::Value;

/// A policy document with a name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The policy's name.
    pub name: String,
    /// The policy itself.
    pub document: Value,
}

/// An IAM group.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The group's name.
    pub name: String,
    /// The names of its users.
    pub members: Vec<String>,
    /// Inline policy documents, called `inline-1`, `inline-2`, ...
    #[serde(default)]
    pub policies: Vec<Value>,
    /// Managed policies that are attached.
    #[serde(default)]
    pub attached: Vec<Named>,
}

impl Group {
    /// A group of these users, without a policy.
    pub fn of(name: &str, members: &[&str]) -> Self {
        let members = members.iter().map(|member| (*member).to_owned()).collect();
        Self { name: name.into(), members, policies: Vec::new(), attached: Vec::new() }
    }

    /// Adds an inline policy.
    #[must_use]
    pub fn policy(mut self, document: Value) -> Self {
        self.policies.push(document);
        self
    }

    /// Attaches a managed policy.
    #[must_use]
    pub fn attach(mut self, name: &str, document: Value) -> Self {
        self.attached.push(Named { name: name.into(), document });
        self
    }
}
