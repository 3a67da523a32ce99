//! Who signed a request, and what policies may ask about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::account::Holder;
use super::clock;
use super::iam::{Context, Key, Policy, Who};
use super::world::{Role, User};

/// A user whose policies were understood.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) user: User,
    pub(crate) user_id: String,
    pub(crate) arn: String,
    /// The policies that the user has itself.
    pub(crate) held: Holder,
    pub(crate) groups: Vec<String>,
    /// The boundary's ARN.
    pub(crate) boundary_arn: Option<String>,
    /// All that count, the groups' too: put together again after each change.
    pub(crate) policies: Vec<Policy>,
    pub(crate) boundary: Option<Policy>,
}

/// A role whose policies were understood.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) role: Role,
    pub(crate) role_id: String,
    pub(crate) arn: String,
    pub(crate) trust: Policy,
    pub(crate) policies: Vec<Policy>,
}

/// A role while somebody plays it.
#[derive(Clone, Debug)]
pub(crate) struct Assumed {
    pub(crate) part: Arc<Part>,
    pub(crate) session_name: String,
    pub(crate) source_identity: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    /// The names of the tags that the next role of a chain inherits.
    pub(crate) transitive: Vec<String>,
    /// Whether it was assumed with the keys of another session.
    pub(crate) chained: bool,
}

impl Assumed {
    /// `arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION`.
    pub(crate) fn arn(&self) -> String {
        let Part { role, arn, .. } = self.part.as_ref();
        let partition = arn.split(':').nth(1).unwrap_or("aws");
        format!("arn:{partition}:sts::{}:assumed-role/{}/{}", role.account, role.name, self.session_name)
    }

    /// `AROA...:SESSION`.
    pub(crate) fn id(&self) -> String {
        format!("{}:{}", self.part.role_id, self.session_name)
    }
}

/// Whose the request is.
#[derive(Clone, Debug)]
pub(crate) enum Principal {
    /// A session of a role.
    Role(Arc<Assumed>),
    /// A user, by the long-term keys or by a session of GetSessionToken.
    User(Arc<Person>),
}

/// What a session says about how it was made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SessionFacts {
    pub(crate) issued: i64,
    pub(crate) with_code: bool,
}

/// Who signed a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    /// The account that the caller belongs to.
    pub(crate) account: String,
    /// Absent for long-term keys.
    pub(crate) session: Option<SessionFacts>,
}

impl Caller {
    /// The ARN that GetCallerIdentity and refusals name.
    pub(crate) fn arn(&self) -> String {
        match &self.principal {
            Principal::Role(assumed) => assumed.arn(),
            Principal::User(person) => person.arn.clone(),
        }
    }

    /// `AIDA...`, or `AROA...:SESSION`.
    pub(crate) fn id(&self) -> String {
        match &self.principal {
            Principal::Role(assumed) => assumed.id(),
            Principal::User(person) => person.user_id.clone(),
        }
    }

    /// The user, unless it is a role.
    pub(crate) fn user(&self) -> Option<&Arc<Person>> {
        match &self.principal {
            Principal::Role(_) => None,
            Principal::User(person) => Some(person),
        }
    }

    /// The role's session, unless it is a user.
    pub(crate) fn role(&self) -> Option<&Arc<Assumed>> {
        match &self.principal {
            Principal::Role(assumed) => Some(assumed),
            Principal::User(_) => None,
        }
    }

    /// Whether it is the account's root user.
    pub(crate) fn is_root(&self) -> bool {
        self.user().is_some_and(|person| person.user.root)
    }

    /// The identity-based policies and the boundary.
    pub(crate) fn policies(&self) -> (&[Policy], Option<&Policy>) {
        match &self.principal {
            Principal::Role(assumed) => (&assumed.part.policies, None),
            Principal::User(person) => (&person.policies, person.boundary.as_ref()),
        }
    }

    /// As which a trust policy may name the caller.
    pub(crate) fn who(&self) -> Who {
        let mut arns = vec![self.arn()];
        if let Some(assumed) = self.role() {
            arns.push(assumed.part.arn.clone());
        }
        Who { account: self.account.clone(), arns, federated: None }
    }

    /// What conditions may ask about the caller.
    pub(crate) fn context(&self, now: i64) -> Context {
        let mut context =
            Context::default().with(Key::CurrentTime, clock::iso(now)).with(Key::UserId, self.id());
        match &self.principal {
            Principal::Role(assumed) => {
                context = context.with(Key::PrincipalArn, &assumed.part.arn);
                for (name, value) in &assumed.tags {
                    context = context.with(Key::principal_tag(name), value);
                }
                if let Some(source) = &assumed.source_identity {
                    context = context.with(Key::SourceIdentity, source);
                }
            }
            Principal::User(person) => {
                context = context.with(Key::PrincipalArn, &person.arn);
                if !person.user.root {
                    context = context.with(Key::UserName, &person.user.name);
                }
            }
        }
        let Some(SessionFacts { issued, with_code }) = self.session else {
            return context;
        };
        context = context
            .with(Key::MultiFactorAuthPresent, with_code.to_string())
            .with(Key::TokenIssueTime, clock::iso(issued));
        match with_code {
            true => context.with(Key::MultiFactorAuthAge, now.saturating_sub(issued).max(0).to_string()),
            false => context,
        }
    }
}
