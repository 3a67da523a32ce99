//! A session from AWS, what it was asked for, and whether it is still fresh.
//!
//! Knows nothing about how sessions are made; how they are kept is in [`store`].

use std::time::{Duration, SystemTime};

use secrecy::SecretString;

mod seal;
pub mod store;

/// Temporary credentials.
#[derive(Clone, Debug)]
pub struct Session {
    /// `ASIA...`; public.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: SecretString,
    /// The session token.
    pub session_token: SecretString,
    /// When AWS stops taking it: the answer's own `Expiration`.
    pub expiration: SystemTime,
    /// When it was made.
    pub minted: SystemTime,
}

/// What a session was asked for: two requests with equal keys may share one session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(String);

impl SessionKey {
    /// The key of an MFA session. Region and duration are not in it: any session with enough life serves.
    pub fn mfa(access_key_id: &str, mfa_serial: &str, partition: &str, endpoint: Option<&str>) -> Self {
        Self(format!("mfa\n{access_key_id}\n{mfa_serial}\n{partition}\n{}", endpoint.unwrap_or_default()))
    }

    /// The stable text form, for the store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for SessionKey {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Session {
    /// How long AWS still takes it; zero once it is over.
    pub fn left(&self, now: SystemTime) -> Duration {
        self.expiration.duration_since(now).unwrap_or_default()
    }

    /// Whether it has more than `wish` left, or more than a quarter of its granted life where that is less.
    /// A session that AWS made short would otherwise never be fresh.
    pub fn fresh(&self, now: SystemTime, wish: Duration) -> bool {
        let granted = self.expiration.duration_since(self.minted).unwrap_or_default();
        self.left(now) > wish.min(granted / 4)
    }
}
