//! Roles of a world, and the web identity tokens that it knows.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::ACCOUNT;
use crate::aws::policy;

/// A role that can be assumed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The role's name.
    pub name: String,
    /// The account it belongs to, twelve digits.
    #[serde(default = "account")]
    pub account: String,
    /// `MaxSessionDuration` in seconds, 3600 to 43,200.
    #[serde(default = "an_hour")]
    pub max_session_seconds: i64,
    /// The trust policy's document: who may assume it, and when.
    pub trust: Value,
    /// Identity-based policy documents: what the role's sessions may do.
    #[serde(default)]
    pub policies: Vec<Value>,
}

impl Role {
    /// A role of the usual account that trusts nobody until [`Role::trust`] says whom, and may do nothing until
    /// [`Role::policy`] says what. Its sessions last an hour at most.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            account: account(),
            max_session_seconds: an_hour(),
            trust: policy::trust_nobody(),
            policies: Vec::new(),
        }
    }

    /// Sets the trust policy: see [`policy::trust`] and [`policy::trust_when`].
    #[must_use]
    pub fn trust(mut self, document: Value) -> Self {
        self.trust = document;
        self
    }

    /// Sets `MaxSessionDuration`.
    #[must_use]
    pub fn max_session(mut self, longest: Duration) -> Self {
        self.max_session_seconds = i64::try_from(longest.as_secs()).unwrap_or(i64::MAX);
        self
    }

    /// Puts the role into another account.
    #[must_use]
    pub fn account(mut self, account: &str) -> Self {
        self.account = account.into();
        self
    }

    /// Attaches an identity-based policy.
    #[must_use]
    pub fn policy(mut self, document: Value) -> Self {
        self.policies.push(document);
        self
    }

    /// `arn:aws:iam::ACCOUNT:role/NAME`.
    pub fn arn(&self) -> String {
        self.arn_in("aws")
    }

    /// The ARN in a partition.
    pub(crate) fn arn_in(&self, partition: &str) -> String {
        format!("arn:{partition}:iam::{}:role/{}", self.account, self.name)
    }
}

fn account() -> String {
    ACCOUNT.into()
}

/// Seconds that a role's sessions last at most unless it says otherwise (IAM API reference, MaxSessionDuration).
fn an_hour() -> i64 {
    3600
}

/// A token of a web identity provider, as AssumeRoleWithWebIdentity takes it. Only the text counts: no signature in
/// it is checked, the world either knows a token or does not.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebIdentity {
    /// Three parts of Base64 with points between.
    pub token: String,
    /// The provider's host, for example `token.actions.githubusercontent.com`.
    pub provider: String,
    /// Whom the token speaks of.
    pub subject: String,
    /// Whom it was made for.
    pub audience: String,
    /// Whether its time is over.
    #[serde(default)]
    pub ended: bool,
}

impl WebIdentity {
    /// A token with a fresh text for a subject, made by `provider` for `sts.amazonaws.com`.
    pub fn of(provider: &str, subject: &str) -> Self {
        let audience = "sts.amazonaws.com";
        let claims =
            format!("{{\"iss\":\"https://{provider}\",\"sub\":\"{subject}\",\"aud\":\"{audience}\"}}");
        let part = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
        let head = part(b"{\"alg\":\"RS256\"}");
        let token = format!("{head}.{}.{}", part(claims.as_bytes()), part(&super::random::<32>()));
        Self {
            token,
            provider: provider.into(),
            subject: subject.into(),
            audience: audience.into(),
            ended: false,
        }
    }

    /// The ARN of its provider in the usual account, for a trust policy's `Federated`.
    pub fn provider_arn(&self) -> String {
        format!("arn:aws:iam::{ACCOUNT}:oidc-provider/{}", self.provider)
    }
}

impl fmt::Debug for WebIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebIdentity({}, {})", self.provider, self.subject)
    }
}
