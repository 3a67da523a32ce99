//! A session from AWS, what it was asked for, and whether it is still fresh.
//!
//! Knows nothing about how sessions are made; how they are kept is in [`store`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
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

    /// Whether it was made with this long-term key.
    pub fn is_from(&self, access_key_id: &str) -> bool {
        self.0.split('\n').nth(1) == Some(access_key_id)
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
    /// The end as every SDK reads it: `YYYY-MM-DDTHH:MM:SSZ`, whole seconds, always with the zone.
    pub fn expiration_text(&self) -> String {
        let seconds = self.expiration.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let time = DateTime::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        // A year beyond 9999 cannot come from AWS.
        time.fmt(Format::DateTime).unwrap_or_default()
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn session(granted: u64) -> Session {
        let minted = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        Session {
            access_key_id: "ASIA".into(),
            secret_access_key: "s".into(),
            session_token: "t".into(),
            expiration: minted + Duration::from_secs(granted),
            minted,
        }
    }

    #[test]
    fn fresh_means_the_wish_or_a_quarter_of_the_granted_life() {
        let cases = [
            // granted, elapsed, wish, fresh
            (43_200, 0, 900, true),
            (43_200, 42_299, 900, true),
            (43_200, 42_300, 900, false),
            (900, 0, 900, true),
            (900, 674, 900, true),
            (900, 675, 900, false),
            (900, 900, 0, false),
            (900, 2_000, 0, false),
        ];
        for (granted, elapsed, wish, fresh) in cases {
            let session = session(granted);
            let now = session.minted + Duration::from_secs(elapsed);
            assert_eq!(session.fresh(now, Duration::from_secs(wish)), fresh, "{granted} {elapsed} {wish}");
        }
    }

    #[test]
    fn the_end_is_written_as_every_sdk_reads_it() {
        let mut session = session(0);
        assert_eq!(session.expiration_text(), "2023-11-14T22:13:20Z");
        session.expiration += Duration::from_millis(250);
        assert_eq!(session.expiration_text(), "2023-11-14T22:13:20Z", "no fractions");
    }
}
