//! The calls to STS that onetap makes, and what their faults mean.
//!
//! Knows nothing about where codes come from or where sessions are kept.
//! Source: STS API reference; `docs/adr/` tells why the client is built by hand and its retries are off.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_sts::Client;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::config::{BehaviorVersion, Region};
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{SharedHttpConnector, http_client_fn};
use secrecy::ExposeSecret;

use crate::code::Code;
use crate::keys::AccessKey;
use crate::plan::{Endpoint, MfaSerial};
use crate::session::Session;

mod fault;
mod roots;

pub use fault::StsError;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a whole call may take, so that `credential-process` ends before Go's SDK gives up at 60 s.
const CALL: Duration = Duration::from_secs(20);

/// Where STS is, and how the way there is secured.
#[derive(Clone, Debug)]
pub struct Address {
    /// The region to sign for.
    pub region: String,
    /// Another address than AWS's own.
    pub endpoint: Option<Endpoint>,
    /// `AWS_CA_BUNDLE` or the profile's `ca_bundle`: a PEM file that replaces the system's certificates.
    pub ca_bundle: Option<PathBuf>,
}

/// STS, as one user sees it.
#[derive(Clone, Debug)]
pub struct Sts {
    client: Client,
    clock: SharedTimeSource,
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
    /// Builds a client. Reads the certificate bundle, touches no network.
    pub fn new(address: &Address, key: &AccessKey, clock: SharedTimeSource) -> Result<Self, StsError> {
        let credentials =
            Credentials::new(key.id.clone(), key.secret.expose_secret(), None, None, "onetap vault");
        let connector = SharedHttpConnector::new(connector(address)?);
        let mut config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(address.region.clone()))
            .credentials_provider(credentials)
            // One connector for all calls: a second would read the system's certificates again.
            .http_client(http_client_fn(move |_, _| connector.clone()))
            // Standard retry sends the same code again on throttling and 5xx.
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_timeout(CALL).build())
            .time_source(clock.clone());
        if let Some(endpoint) = &address.endpoint {
            config = config.endpoint_url(endpoint.as_str());
        }
        Ok(Self { client: Client::from_conf(config.build()), clock })
    }

    /// GetSessionToken with a code. One request, never repeated.
    pub async fn session_token(
        &self,
        serial: &MfaSerial,
        code: &Code,
        duration: Duration,
    ) -> Result<Session, StsError> {
        let seconds = i32::try_from(duration.as_secs()).unwrap_or(i32::MAX);
        let answer = self
            .client
            .get_session_token()
            .serial_number(serial.as_str())
            .token_code(code.expose())
            .duration_seconds(seconds)
            .send()
            .await
            .map_err(|error| fault::of(error, self.clock.clone()))?;
        let credentials = answer.credentials.ok_or(StsError::Incomplete)?;
        let expiration = SystemTime::try_from(credentials.expiration).map_err(|_| StsError::Incomplete)?;
        Ok(Session {
            access_key_id: credentials.access_key_id,
            secret_access_key: credentials.secret_access_key.into(),
            session_token: credentials.session_token.into(),
            expiration,
            minted: aws_smithy_async::time::TimeSource::now(&self.clock),
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

fn connector(address: &Address) -> Result<Connector, StsError> {
    let mut trust = TrustStore::default();
    if let Some(path) = &address.ca_bundle {
        // The SDK for Rust knows neither AWS_CA_BUNDLE nor ca_bundle. As in the AWS CLI, the file replaces the roots.
        trust = TrustStore::empty().with_pem_certificate(roots::read(path)?);
    }
    let context = TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .map_err(|error| StsError::Tls(error.to_string()))?;
    let local = address.endpoint.as_ref().is_some_and(Endpoint::is_loopback);
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
