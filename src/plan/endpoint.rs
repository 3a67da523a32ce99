//! An address of STS that somebody configured.

use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

/// An address of STS other than AWS's own: `https://`, or `http://` to this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// The URL.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it leads to this machine.
    pub fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
            Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
            None => false,
        }
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let endpoint = Self(Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?);
        match endpoint.0.scheme() {
            "https" => Ok(endpoint),
            "http" if endpoint.is_loopback() => Ok(endpoint),
            "http" => Err("would send a code in plain text; http:// is only for this machine".into()),
            _ => Err("does not begin with https://".into()),
        }
    }
}
