//! Which STS is asked, and how the way there is secured.
//!
//! Source: AWS SDKs and Tools Reference ("AWS Region", "Service-specific endpoints", "STS Regional endpoints",
//! "Dual-stack and FIPS endpoints").

use std::path::PathBuf;

use crate::profiles::Profiles;

use super::view::View;
use super::{Endpoint, Partition, PlanError, Wishes};

/// The regions whose users were served by the one global STS, for `sts_regional_endpoints = legacy`.
const LEGACY: [&str; 16] = [
    "ap-northeast-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "aws-global",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// Where STS is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The part of AWS in which the user lives.
    pub partition: Partition,
    /// The region whose STS is asked; `aws-global` for the one at `sts.amazonaws.com`.
    pub sts_region: String,
    /// Where STS is, if not at AWS's own address.
    pub endpoint: Option<Endpoint>,
    /// Whether the address serves IPv6 too.
    pub dualstack: bool,
    /// Whether the address is one with FIPS-validated cryptography.
    pub fips: bool,
    /// `AWS_CA_BUNDLE` or `ca_bundle`: a PEM file that replaces the system's certificates.
    pub ca_bundle: Option<PathBuf>,
}

impl Network {
    /// What a profile, if there is one, and the environment say; `partition` is the MFA device's or the role's.
    pub fn of(
        view: Option<&View<'_>>,
        region: Option<&str>,
        partition: Option<Partition>,
        wishes: &Wishes,
    ) -> Result<Self, PlanError> {
        let partition = partition.or_else(|| region.and_then(Partition::of_region)).unwrap_or(Partition::Aws);
        let legacy = word(
            view,
            ("sts_regional_endpoints", "AWS_STS_REGIONAL_ENDPOINTS"),
            wishes.sts_regional.as_deref(),
            ["regional", "legacy"],
        )?;
        // A region of another partition does not know this user; STS is then asked at home.
        let sts_region = match region {
            Some(region) if Partition::of_region(region) == Some(partition) => region,
            _ => partition.home_region(),
        };
        let global = legacy && partition == Partition::Aws && LEGACY.contains(&sts_region);
        let switch = |names, wish: &Option<String>| word(view, names, wish.as_deref(), ["false", "true"]);
        let bundle = || view?.value("ca_bundle").map(PathBuf::from);
        Ok(Self {
            partition,
            sts_region: if global { "aws-global".into() } else { sts_region.into() },
            endpoint: endpoint(view, wishes)?,
            dualstack: switch(("use_dualstack_endpoint", "AWS_USE_DUALSTACK_ENDPOINT"), &wishes.dualstack)?,
            fips: switch(("use_fips_endpoint", "AWS_USE_FIPS_ENDPOINT"), &wishes.fips)?,
            ca_bundle: wishes.ca_bundle.clone().or_else(bundle),
        })
    }
}

/// Whether the second of two words was said: by the variable, else by the profile, else the first holds.
fn word(
    view: Option<&View<'_>>,
    (key, variable): (&'static str, &'static str),
    wish: Option<&str>,
    [no, yes]: [&str; 2],
) -> Result<bool, PlanError> {
    let read = |text: &str| match text {
        text if text.eq_ignore_ascii_case(no) => Ok(false),
        text if text.eq_ignore_ascii_case(yes) => Ok(true),
        _ => Err(format!("write {no} or {yes}")),
    };
    match wish {
        Some(text) => {
            read(text).map_err(|reason| PlanError::BadVariable { variable, value: text.into(), reason })
        }
        None => Ok(view.map(|view| view.parsed(key, read)).transpose()?.flatten().unwrap_or(false)),
    }
}

/// The configured region: the profile's, the environment's, `[default]`'s.
pub fn region(
    profiles: &Profiles,
    view: Option<&View<'_>>,
    wishes: &Wishes,
) -> Result<Option<String>, PlanError> {
    let known = |text: &str| match Partition::of_region(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("is not the name of a region, such as eu-west-1".to_owned()),
    };
    if let Some(own) = view.map(|view| view.parsed("region", known)).transpose()?.flatten() {
        return Ok(Some(own));
    }
    if let Some((variable, text)) = &wishes.region {
        let bad = |reason| PlanError::BadVariable { variable, value: text.clone(), reason };
        return known(text).map(Some).map_err(bad);
    }
    match profiles.profile("default") {
        Some(_) => View::of(profiles, "default")?.parsed("region", known),
        None => Ok(None),
    }
}

/// The configured address of STS.
fn endpoint(view: Option<&View<'_>>, wishes: &Wishes) -> Result<Option<Endpoint>, PlanError> {
    service_endpoint("sts", view, wishes)
}

/// The configured address of a service, in the order of the AWS SDKs and Tools Reference ("Service-specific endpoints");
/// `wishes` holds the service's own variable, else the one for all.
pub fn service_endpoint(
    service: &str,
    view: Option<&View<'_>>,
    wishes: &Wishes,
) -> Result<Option<Endpoint>, PlanError> {
    if wishes.ignore_endpoints {
        return Ok(None);
    }
    if let Some((variable, value)) = &wishes.endpoint {
        return value.parse().map(Some).map_err(|reason| PlanError::BadVariable {
            variable,
            value: value.clone(),
            reason,
        });
    }
    let Some(view) = view else { return Ok(None) };
    match view.service_endpoint(service) {
        Some((text, section)) => text.parse().map(Some).map_err(|reason| PlanError::BadService {
            section: section.into(),
            value: text.into(),
            reason,
        }),
        None => view.parsed("endpoint_url", str::parse),
    }
}
