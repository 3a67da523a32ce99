//! The sessions that were handed out, and how they end.

use std::fmt;
use std::sync::Arc;

use super::caller::{Assumed, SessionFacts};
use super::world;

/// Whose a session is.
#[derive(Clone, Debug)]
pub(crate) enum Owner {
    /// A role that was assumed.
    Role(Arc<Assumed>),
    /// The user with this id.
    User(String),
}

/// Temporary credentials as they are handed out.
pub(crate) struct Granted {
    pub(crate) access_key_id: String,
    pub(crate) secret: String,
    pub(crate) token: String,
    pub(crate) expires: i64,
}

/// A session that AWS remembers.
pub(crate) struct Kept {
    pub(crate) access_key_id: String,
    pub(crate) secret: String,
    pub(crate) token: String,
    pub(crate) owner: Owner,
    pub(crate) facts: SessionFacts,
    pub(crate) expires: i64,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({})", self.access_key_id)
    }
}

/// Every session that may still be used or told to be over.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Vec<Kept>);

impl Sessions {
    /// The session of a key id.
    pub(crate) fn find(&self, access_key_id: &str) -> Option<&Kept> {
        self.0.iter().find(|kept| kept.access_key_id == access_key_id)
    }

    /// Makes a session that is over at `expires`.
    pub(crate) fn grant(&mut self, owner: Owner, facts: SessionFacts, expires: i64) -> Granted {
        let granted = Granted {
            access_key_id: world::key_id("ASIA"),
            secret: world::secret(),
            token: world::token(),
            expires,
        };
        self.0.push(Kept {
            access_key_id: granted.access_key_id.clone(),
            secret: granted.secret.clone(),
            token: granted.token.clone(),
            owner,
            facts,
            expires,
        });
        granted
    }

    /// Ends the sessions that `chosen` picks, as if their time were over.
    pub(crate) fn end(&mut self, chosen: impl Fn(&Kept) -> bool) {
        self.0.iter_mut().filter(|kept| chosen(kept)).for_each(|kept| kept.expires = i64::MIN);
    }

    /// Forgets the sessions that `chosen` picks: their keys are unknown from now on.
    pub(crate) fn forget(&mut self, chosen: impl Fn(&Kept) -> bool) {
        self.0.retain(|kept| !chosen(kept));
    }
}
