//! The calls to IAM that onetap makes for a user about that user: MFA devices and access keys; and what their faults mean.
//!
//! Knows nothing about tokens, vaults or the order of calls.
//! Source: IAM API reference; `docs/adr/iam-client.md` tells what the client costs.

use std::time::{Duration, SystemTime};

use aws_sdk_iam::Client;
use aws_sdk_iam::config::retry::RetryConfig;
use aws_sdk_iam::config::timeout::TimeoutConfig;
use aws_sdk_iam::config::{BehaviorVersion, Region};
use aws_sdk_iam::primitives::{DateTime, DateTimeFormat};
use aws_sdk_iam::types::StatusType;
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_runtime_api::client::http::{SharedHttpConnector, http_client_fn};
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::code::Code;
use crate::keys::AccessKey;
use crate::plan::{Endpoint, MfaSerial, Network};
use crate::sts::{self, Signer};

mod fault;
mod policies;
mod simulation;

pub use fault::IamError;
pub use policies::{Document, Policies};
pub use simulation::Simulated;

/// How long a whole call may take.
const CALL: Duration = Duration::from_secs(20);

/// IAM, as one user sees it.
#[derive(Clone, Debug)]
pub struct Iam {
    client: Client,
    clock: SharedTimeSource,
}

/// An MFA device that is enabled for a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// An ARN, or a hardware device's serial number; a FIDO key's ARN holds `:u2f/`.
    pub serial: String,
    /// Since when it is enabled, as `YYYY-MM-DDTHH:MM:SSZ`; `None` where AWS's time makes no sense.
    pub since: Option<String>,
}

/// One of a user's access keys; its secret is told only once, when it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// `AKIA...`.
    pub id: String,
    /// Whether AWS takes it.
    pub active: bool,
    /// When it was made, if AWS tells.
    pub made: Option<SystemTime>,
}

impl Iam {
    /// Builds a client for the partition of `network`, which signs at `clock`'s time. Touches no network.
    pub fn new(
        network: &Network,
        endpoint: Option<&Endpoint>,
        signer: Signer<'_>,
        clock: SharedTimeSource,
    ) -> Result<Self, IamError> {
        let connector = SharedHttpConnector::new(sts::connector(network, endpoint)?);
        let mut config = aws_sdk_iam::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            // IAM has one region in each partition; its endpoint rules find it from any.
            .region(Region::new(network.partition.home_region()))
            .use_dual_stack(network.dualstack)
            .use_fips(network.fips)
            .http_client(http_client_fn(move |_, _| connector.clone()))
            // A repeated CreateAccessKey makes a second key, and repeated codes are refused.
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_timeout(CALL).build())
            .time_source(clock.clone());
        if let Some(credentials) = sts::credentials(signer) {
            config = config.credentials_provider(credentials);
        }
        if let Some(endpoint) = endpoint {
            config = config.endpoint_url(endpoint.as_str());
        }
        Ok(Self { client: Client::from_conf(config.build()), clock })
    }

    /// CreateVirtualMFADevice: the new device's serial, and its seed as Base32 text.
    pub async fn create_device(&self, name: &str) -> Result<(MfaSerial, SecretString), IamError> {
        let sent = self.client.create_virtual_mfa_device().virtual_mfa_device_name(name).send().await;
        let answer = sent.map_err(|error| self.fault("CreateVirtualMFADevice", error))?;
        let device = answer.virtual_mfa_device.ok_or(IamError::Incomplete)?;
        let serial = device.serial_number.parse().map_err(|_| IamError::Incomplete)?;
        let seed = Zeroizing::new(device.base32_string_seed.ok_or(IamError::Incomplete)?.into_inner());
        let seed = std::str::from_utf8(&seed).map_err(|_| IamError::Incomplete)?;
        Ok((serial, seed.into()))
    }

    /// EnableMFADevice, with the codes of two steps in a row. Never repeated.
    pub async fn enable_device(
        &self,
        user: &str,
        serial: &MfaSerial,
        [first, second]: [&Code; 2],
    ) -> Result<(), IamError> {
        let call = self.client.enable_mfa_device().user_name(user).serial_number(serial.as_str());
        let call = call.authentication_code1(first.expose()).authentication_code2(second.expose());
        call.send().await.map(drop).map_err(|error| self.fault("EnableMFADevice", error))
    }

    /// ResyncMFADevice, with the codes of two steps in a row. Never repeated.
    pub async fn resync_device(
        &self,
        user: &str,
        serial: &MfaSerial,
        [first, second]: [&Code; 2],
    ) -> Result<(), IamError> {
        let call = self.client.resync_mfa_device().user_name(user).serial_number(serial.as_str());
        let call = call.authentication_code1(first.expose()).authentication_code2(second.expose());
        call.send().await.map(drop).map_err(|error| self.fault("ResyncMFADevice", error))
    }

    /// ListMFADevices. A user has eight at most, so that one page holds them all.
    pub async fn devices(&self, user: &str) -> Result<Vec<Device>, IamError> {
        let sent = self.client.list_mfa_devices().user_name(user).send().await;
        let answer = sent.map_err(|error| self.fault("ListMFADevices", error))?;
        let device = |device: aws_sdk_iam::types::MfaDevice| Device {
            serial: device.serial_number,
            since: DateTime::from_secs(device.enable_date.secs()).fmt(DateTimeFormat::DateTime).ok(),
        };
        Ok(answer.mfa_devices.into_iter().map(device).collect())
    }

    /// DeactivateMFADevice.
    pub async fn deactivate_device(&self, user: &str, serial: &str) -> Result<(), IamError> {
        let sent = self.client.deactivate_mfa_device().user_name(user).serial_number(serial).send().await;
        sent.map(drop).map_err(|error| self.fault("DeactivateMFADevice", error))
    }

    /// DeleteVirtualMFADevice; [`IamError::InUse`] while it is enabled.
    pub async fn delete_device(&self, serial: &str) -> Result<(), IamError> {
        let sent = self.client.delete_virtual_mfa_device().serial_number(serial).send().await;
        sent.map(drop).map_err(|error| self.fault("DeleteVirtualMFADevice", error))
    }

    /// ListAccessKeys. A user has two at most.
    pub async fn access_keys(&self, user: &str) -> Result<Vec<KeyState>, IamError> {
        let sent = self.client.list_access_keys().user_name(user).send().await;
        let answer = sent.map_err(|error| self.fault("ListAccessKeys", error))?;
        let state = |key: aws_sdk_iam::types::AccessKeyMetadata| {
            let active = key.status == Some(StatusType::Active);
            let made = key.create_date.and_then(|at| SystemTime::try_from(at).ok());
            Some(KeyState { id: key.access_key_id?, active, made })
        };
        Ok(answer.access_key_metadata.into_iter().filter_map(state).collect())
    }

    /// CreateAccessKey. Never repeated.
    pub async fn create_access_key(&self, user: &str) -> Result<AccessKey, IamError> {
        let sent = self.client.create_access_key().user_name(user).send().await;
        let answer = sent.map_err(|error| self.fault("CreateAccessKey", error))?;
        let key = answer.access_key.ok_or(IamError::Incomplete)?;
        let secret = SecretString::from(key.secret_access_key);
        AccessKey::parse(&key.access_key_id, &secret).map_err(|_| IamError::Incomplete)
    }

    /// UpdateAccessKey to `Inactive`: AWS no longer takes the key, and it can be made active again.
    pub async fn deactivate_access_key(&self, user: &str, id: &str) -> Result<(), IamError> {
        let call = self.client.update_access_key().user_name(user).access_key_id(id);
        let sent = call.status(StatusType::Inactive).send().await;
        sent.map(drop).map_err(|error| self.fault("UpdateAccessKey", error))
    }

    /// GetAccessKeyLastUsed: in a few words when, and for which service; `None` where AWS knows of no use.
    pub async fn last_used(&self, id: &str) -> Result<Option<String>, IamError> {
        let sent = self.client.get_access_key_last_used().access_key_id(id).send().await;
        let answer = sent.map_err(|error| self.fault("GetAccessKeyLastUsed", error))?;
        let used =
            answer.access_key_last_used.and_then(|used| Some((used.last_used_date?, used.service_name)));
        let told = |(date, service): (DateTime, String)| {
            let date = DateTime::from_secs(date.secs()).fmt(DateTimeFormat::DateTime).ok()?;
            Some(format!("{date} for {service}"))
        };
        Ok(used.and_then(told))
    }

    /// DeleteAccessKey.
    pub async fn delete_access_key(&self, user: &str, id: &str) -> Result<(), IamError> {
        let sent = self.client.delete_access_key().user_name(user).access_key_id(id).send().await;
        sent.map(drop).map_err(|error| self.fault("DeleteAccessKey", error))
    }

    fn fault<E>(&self, action: &'static str, error: sts::Failed<E>) -> IamError
    where
        E: aws_sdk_iam::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        fault::of(action, sts::fault_of(error, self.clock.clone()))
    }
}
