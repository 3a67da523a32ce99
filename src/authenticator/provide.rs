//! The authenticator as a source of credentials for AWS's SDK for Rust.

use std::time::Instant;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result, future};
use secrecy::ExposeSecret as _;

use super::{Authenticator, OnInterrupt};

/// What the SDK calls these credentials in its own log.
const NAME: &str = "onetap";

/// Every call has the whole limit for itself, and leaves Ctrl-C to the program.
impl ProvideCredentials for Authenticator {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.provided())
    }
}

impl Authenticator {
    async fn provided(&self) -> Result {
        let now = Instant::now();
        let deadline = now.checked_add(self.limit).unwrap_or(now);
        let asked = Self { deadline, on_interrupt: OnInterrupt::LeaveIt, ..self.clone() };
        let session = asked.session().await.map_err(CredentialsError::provider_error)?;
        let mut credentials = Credentials::builder()
            .access_key_id(session.access_key_id)
            .secret_access_key(session.secret_access_key.expose_secret())
            .session_token(session.session_token.expose_secret())
            .provider_name(NAME);
        credentials.set_expiry(Some(session.expiration));
        Ok(credentials.build())
    }
}
