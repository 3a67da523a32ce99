//! The credentials that sign the first request.
//!
//! Source of the JSON: AWS SDKs and Tools Reference, "Process credential provider".

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use secrecy::SecretString;
use serde::Deserialize;

use crate::foreign::ForeignError;
use crate::keys::AccessKey;
use crate::session::Session;
use crate::sts::Signer;

/// Credentials that somebody gave us, long-term or temporary.
#[derive(Clone, Debug)]
pub enum Given {
    /// A user's own key: an MFA device counts.
    Key(AccessKey),
    /// Nothing: the request carries a web identity's token.
    Nothing,
    /// A session: only roles can be assumed with it.
    Session(Session),
}

impl Given {
    /// From an id, a secret and perhaps a session's token, as three variables or a JSON object hold them.
    pub fn of(
        id: &str,
        secret: &SecretString,
        token: Option<SecretString>,
        expiration: Option<SystemTime>,
        now: SystemTime,
    ) -> Self {
        match token {
            None => Self::Key(AccessKey { id: id.into(), secret: secret.clone() }),
            Some(token) => Self::Session(Session {
                access_key_id: id.into(),
                secret_access_key: secret.clone(),
                session_token: token,
                // Nobody said when; AWS will.
                expiration: expiration.unwrap_or(now + Duration::from_secs(900)),
                minted: now,
                authenticated: None,
            }),
        }
    }

    /// Who signs.
    pub fn signer(&self) -> Signer<'_> {
        match self {
            Self::Key(key) => Signer::Key(key),
            Self::Nothing => Signer::Nobody,
            Self::Session(session) => Signer::Session(session),
        }
    }

    /// The access key id.
    pub fn id(&self) -> &str {
        match self {
            Self::Key(key) => &key.id,
            Self::Nothing => "",
            Self::Session(session) => &session.access_key_id,
        }
    }

    /// What another program's `credential_process` printed.
    pub(super) fn printed(text: &[u8], profile: &str, now: SystemTime) -> Result<Self, ForeignError> {
        let unreadable = || ForeignError::Unreadable {
            key: "credential_process",
            profile: profile.into(),
            what: "credentials (a JSON object with Version 1, AccessKeyId and SecretAccessKey)",
        };
        let printed: Printed<'_> = serde_json::from_slice(text).map_err(|_| unreadable())?;
        if printed.version != 1 {
            return Err(unreadable());
        }
        let expiration = match &printed.expiration {
            Some(text) => {
                let time = DateTime::from_str(text, Format::DateTimeWithOffset).map_err(|_| unreadable())?;
                Some(SystemTime::try_from(time).map_err(|_| unreadable())?)
            }
            None => None,
        };
        let token = printed.session_token.filter(|token| !token.is_empty()).map(|token| (*token).into());
        let secret = SecretString::from(&*printed.secret_access_key);
        Ok(Self::of(&printed.access_key_id, &secret, token, expiration, now))
    }
}

/// Secrets are borrowed from the program's output, which is wiped.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed<'a> {
    version: u8,
    #[serde(borrow)]
    access_key_id: Cow<'a, str>,
    #[serde(borrow)]
    secret_access_key: Cow<'a, str>,
    #[serde(borrow)]
    session_token: Option<Cow<'a, str>>,
    #[serde(borrow)]
    expiration: Option<Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn what_a_program_prints_is_a_key_or_a_session() {
        let read =
            |text: &str| Given::printed(text.as_bytes(), "doug", UNIX_EPOCH).map_err(|e| e.to_string());
        let key = r#"{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":"s"}"#;
        assert!(matches!(read(key), Ok(Given::Key(key)) if key.id == "AKIA"));
        let session = r#"{"Version":1,"AccessKeyId":"ASIA","SecretAccessKey":"s","SessionToken":"t",
            "Expiration":"2026-01-01T01:00:00+01:00"}"#;
        let Ok(Given::Session(session)) = read(session) else { panic!("a session") };
        assert_eq!(session.expiration_text(), "2026-01-01T00:00:00Z");
        for wrong in ["", "{}", r#"{"Version":2,"AccessKeyId":"a","SecretAccessKey":"s"}"#] {
            assert!(
                read(wrong).unwrap_err().starts_with("credential_process of profile \"doug\" printed no")
            );
        }
    }
}
