//! The calls to STS that onetap makes, and what their faults mean.
//!
//! Knows nothing about where codes come from or where sessions are kept.
//! Source: STS API reference; `docs/adr/` tells why the client is built by hand and its retries are off.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_sts::Client;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::config::{BehaviorVersion, Region};
use aws_sdk_sts::types::Tag;
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{SharedHttpConnector, http_client_fn};
use secrecy::{ExposeSecret, SecretString};

use crate::code::Code;
use crate::keys::AccessKey;
use crate::plan::{Endpoint, MfaSerial, Network, Role};
use crate::session::Session;

pub mod console;
mod fault;
mod roots;
mod watch;

pub(crate) use fault::{Failed, of as fault_of};
pub use fault::{Skew, StsError};
use watch::Watch;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a whole call may take, so that `credential-process` ends before Go's SDK gives up at 60 s.
const CALL: Duration = Duration::from_secs(20);

/// Who signs a request.
#[derive(Clone, Copy, Debug)]
pub enum Signer<'a> {
    /// A user's long-term key.
    Key(&'a AccessKey),
    /// Nobody: the request carries a token of its own.
    Nobody,
    /// Temporary credentials.
    Session(&'a Session),
}

/// STS, as one user sees it.
#[derive(Clone, Debug)]
pub struct Sts {
    client: Client,
    clock: SharedTimeSource,
    watch: Watch,
}

/// Who a key belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's ARN.
    pub arn: String,
    /// The account's twelve digits.
    pub account: String,
}

impl Sts {
    /// Builds a client, which signs at `clock`'s time. Reads the certificate bundle, touches no network.
    pub fn new(network: &Network, signer: Signer<'_>, clock: SharedTimeSource) -> Result<Self, StsError> {
        let connector = SharedHttpConnector::new(connector(network, network.endpoint.as_ref())?);
        let watch = Watch::new(clock.clone());
        let mut config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(network.sts_region.clone()))
            .use_dual_stack(network.dualstack)
            .use_fips(network.fips)
            // One connector for all calls: a second would read the system's certificates again.
            .http_client(http_client_fn(move |_, _| connector.clone()))
            // Standard retry sends the same code again on throttling and 5xx.
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_timeout(CALL).build())
            .interceptor(watch.clone())
            .time_source(clock.clone());
        config = match credentials(signer) {
            Some(credentials) => config.credentials_provider(credentials),
            None => config.allow_no_auth(),
        };
        if let Some(endpoint) = &network.endpoint {
            config = config.endpoint_url(endpoint.as_str());
        }
        Ok(Self { client: Client::from_conf(config.build()), clock, watch })
    }

    /// How far this clock was from the server's at the last answer, if by more than `limit`.
    pub fn skew(&self, limit: Duration) -> Option<Skew> {
        self.watch.last().filter(|skew| skew.by > limit)
    }

    /// GetSessionToken with a code. One request, never repeated.
    pub async fn session_token(
        &self,
        serial: &MfaSerial,
        code: &Code,
        duration: Duration,
    ) -> Result<Session, StsError> {
        let asked = self
            .client
            .get_session_token()
            .serial_number(serial.as_str())
            .token_code(code.expose())
            .duration_seconds(seconds(duration));
        let answer = asked.send().await.map_err(|error| fault::of(error, self.clock.clone()))?;
        self.session(answer.credentials, Some(self.clock.now()))
    }

    /// AssumeRole, with a code if `mfa` has one. `authenticated` is when the signer gave a code. One request.
    pub async fn assume_role(
        &self,
        role: &Role,
        mfa: Option<(&MfaSerial, &Code)>,
        authenticated: Option<SystemTime>,
    ) -> Result<Session, StsError> {
        let mut asked = self
            .client
            .assume_role()
            .role_arn(&role.arn)
            .role_session_name(&role.session_name)
            .duration_seconds(seconds(role.duration))
            .set_external_id(role.external_id.clone())
            .set_source_identity(role.source_identity.clone());
        for (key, value) in &role.tags {
            let tag = Tag::builder().key(key).value(value).build().map_err(|_| StsError::Incomplete)?;
            asked = asked.tags(tag);
        }
        for key in &role.transitive_tags {
            asked = asked.transitive_tag_keys(key);
        }
        if let Some((serial, code)) = mfa {
            asked = asked.serial_number(serial.as_str()).token_code(code.expose());
        }
        let answer = asked.send().await.map_err(|error| fault::of(error, self.clock.clone()))?;
        self.session(answer.credentials, if mfa.is_some() { Some(self.clock.now()) } else { authenticated })
    }

    /// AssumeRoleWithWebIdentity. One request, which nobody signs.
    pub async fn assume_role_with_web_identity(
        &self,
        role: &Role,
        token: &SecretString,
    ) -> Result<Session, StsError> {
        let asked = self
            .client
            .assume_role_with_web_identity()
            .role_arn(&role.arn)
            .role_session_name(&role.session_name)
            .duration_seconds(seconds(role.duration))
            .web_identity_token(token.expose_secret());
        let answer = asked.send().await.map_err(|error| fault::of(error, self.clock.clone()))?;
        self.session(answer.credentials, None)
    }

    fn session(
        &self,
        credentials: Option<aws_sdk_sts::types::Credentials>,
        authenticated: Option<SystemTime>,
    ) -> Result<Session, StsError> {
        let credentials = credentials.ok_or(StsError::Incomplete)?;
        let expiration = SystemTime::try_from(credentials.expiration).map_err(|_| StsError::Incomplete)?;
        Ok(Session {
            access_key_id: credentials.access_key_id,
            secret_access_key: credentials.secret_access_key.into(),
            session_token: credentials.session_token.into(),
            expiration,
            minted: self.clock.now(),
            authenticated,
        })
    }

    /// GetCallerIdentity: proves that the key works. Needs no permission.
    pub async fn caller_identity(&self) -> Result<Identity, StsError> {
        let answer = self
            .client
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| fault::of(error, self.clock.clone()))?;
        match (answer.arn, answer.account) {
            (Some(arn), Some(account)) => Ok(Identity { arn, account }),
            _ => Err(StsError::Incomplete),
        }
    }
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

/// What the SDK signs with; nothing for [`Signer::Nobody`].
pub(crate) fn credentials(signer: Signer<'_>) -> Option<Credentials> {
    match signer {
        Signer::Key(AccessKey { id, secret }) => {
            Some(Credentials::new(id.clone(), secret.expose_secret(), None, None, "onetap vault"))
        }
        Signer::Nobody => None,
        Signer::Session(session) => Some(Credentials::new(
            session.access_key_id.clone(),
            session.secret_access_key.expose_secret(),
            Some(session.session_token.expose_secret().into()),
            None,
            "onetap session",
        )),
    }
}

/// The way to a service of AWS's at its own address, or at `endpoint`.
pub(crate) fn connector(network: &Network, endpoint: Option<&Endpoint>) -> Result<Connector, StsError> {
    let mut trust = TrustStore::default();
    if let Some(path) = &network.ca_bundle {
        // The SDK for Rust knows neither AWS_CA_BUNDLE nor ca_bundle. As in the AWS CLI, the file replaces the roots.
        trust = TrustStore::empty().with_pem_certificate(roots::read(path)?);
    }
    let context = TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .map_err(|error| StsError::Tls(error.to_string()))?;
    let local = endpoint.is_some_and(Endpoint::is_loopback);
    // A hand-made client sees no proxy unless it is told to; this machine is never behind one.
    let proxy = if local { ProxyConfig::disabled() } else { ProxyConfig::from_env() };
    let settings = aws_smithy_runtime_api::client::http::HttpConnectorSettings::builder()
        .connect_timeout(CONNECT)
        .read_timeout(CALL)
        .build();
    Ok(Connector::builder()
        .connector_settings(settings)
        .sleep_impl(aws_smithy_async::rt::sleep::TokioSleep::new())
        .proxy_config(proxy)
        // ring: aws-lc spends 0.4 G instructions on its own entropy in every process (aws-lc-rs#1140).
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .build())
}
