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
    /// When a code was given for it, or for the session that a role was assumed with; `None` without MFA.
    pub authenticated: Option<SystemTime>,
}

/// What a caller wants of a session that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// How much life it should have left.
    pub min_ttl: MinTtl,
    /// How long ago its code may have been given (`aws:MultiFactorAuthAge`).
    pub mfa_max_age: Option<Duration>,
    /// Whether only one that was made after the caller began will do.
    pub renew: bool,
}

/// How much life a session should have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinTtl {
    /// Somebody said so: less is a failure.
    Strict(Duration),
    /// A default: a session of a short life, or one made just now, is good all the same.
    Wish(Duration),
}

impl Freshness {
    /// A default, for a caller who said nothing.
    pub fn wish(min_ttl: Duration) -> Self {
        Self { min_ttl: MinTtl::Wish(min_ttl), mfa_max_age: None, renew: false }
    }

    /// Whether `session` is what a caller who began at `began` wants.
    pub fn serves(&self, session: &Session, now: SystemTime, began: SystemTime) -> bool {
        let lives = match self.min_ttl {
            MinTtl::Strict(least) => session.left(now) >= least,
            MinTtl::Wish(wish) => {
                let made_for_us = session.minted >= began && session.left(now) > Duration::ZERO;
                made_for_us || session.fresh(now, wish)
            }
        };
        lives && self.trusts(session, now, began)
    }

    /// Whether it is new enough, however long it lives; for a session that only signs the next request.
    pub fn trusts(&self, session: &Session, now: SystemTime, began: SystemTime) -> bool {
        let young = |most: Duration| {
            let at = session.authenticated.unwrap_or(session.minted);
            now.duration_since(at).is_ok_and(|age| age <= most) || at > now
        };
        // A session that was made for this caller is as new as one can be.
        session.minted >= began || (!self.renew && self.mfa_max_age.is_none_or(young))
    }

    /// Whether an old session may stand in when a new one cannot be had.
    pub fn yields(&self) -> bool {
        matches!(self.min_ttl, MinTtl::Wish(_)) && self.mfa_max_age.is_none() && !self.renew
    }
}

/// What a session was asked for: two requests with equal keys may share one session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(String);

impl SessionKey {
    /// The key of an MFA session. Region and duration are not in it: any session with enough life serves.
    pub fn mfa(access_key_id: &str, mfa_serial: &str, partition: &str, endpoint: Option<&str>) -> Self {
        Self(format!("mfa\n{access_key_id}\n{mfa_serial}\n{partition}\n{}", endpoint.unwrap_or_default()))
    }

    /// The key of a role's session: the whole `request`, the key of the session that signs it, and where it is sent.
    /// `identity` is the access key id, or whatever else stands for who signs the first request.
    pub fn role(
        identity: &str,
        request: &str,
        source: Option<&Self>,
        partition: &str,
        endpoint: Option<&str>,
    ) -> Self {
        let place = source.map_or_else(
            || format!("{partition}\n{}", endpoint.unwrap_or_default()),
            |source| source.0.clone(),
        );
        Self(format!("role\n{identity}\n{request}\n{place}"))
    }

    /// Whether it was made with this long-term key, by whatever number of roles.
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
        time_text(self.expiration)
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

/// A time as AWS writes it: `YYYY-MM-DDTHH:MM:SSZ`, whole seconds.
pub fn time_text(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let time = DateTime::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    // A year beyond 9999 cannot come from AWS.
    time.fmt(Format::DateTime).unwrap_or_default()
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
            authenticated: Some(minted),
        }
    }

    #[test]
    fn what_was_said_is_strict_and_what_is_usual_is_a_wish() {
        let session = session(3_600);
        let at = |seconds| session.minted + Duration::from_secs(seconds);
        let wish = Freshness::wish(Duration::from_secs(900));
        let strict = |least| Freshness { min_ttl: MinTtl::Strict(Duration::from_secs(least)), ..wish };
        let aged = |most| Freshness { mfa_max_age: Some(Duration::from_secs(most)), ..wish };
        let renew = Freshness { renew: true, ..wish };
        let cases = [
            // what is wanted, now, when the caller began, whether it serves
            (wish, 2_699, 2_699, true),
            (wish, 2_700, 2_700, false),
            (wish, 3_500, 0, true),
            (wish, 3_600, 0, false),
            (strict(1_800), 1_800, 1_800, true),
            (strict(1_801), 1_800, 0, false),
            (aged(60), 60, 60, true),
            (aged(60), 61, 61, false),
            (aged(60), 90, 0, true),
            (renew, 1, 1, false),
            (renew, 1, 0, true),
        ];
        for (freshness, now, began, serves) in cases {
            assert_eq!(freshness.serves(&session, at(now), at(began)), serves, "{freshness:?} {now} {began}");
        }
        assert!(wish.yields() && !strict(1).yields() && !aged(1).yields() && !renew.yields());
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
