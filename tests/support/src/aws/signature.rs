//! Whether a request was signed with the secret that its key id names.
//!
//! The signature is computed again by AWS's own crate `aws-sigv4`, over the headers that the client says it signed.
//! Source: IAM User Guide, "Signing AWS API requests"; AWS's messages as its services send them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SessionTokenMode, SignableBody, SignableRequest, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;

use super::clock;
use super::http::Request;
use super::refusal::Refusal;

/// How far a request's time may be from the server's, in seconds ("Signature expired: ... - 15 min.").
const LEEWAY: i64 = 900;

/// What a request's `Authorization` says about itself, before any of it is believed.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) access_key_id: String,
    pub(crate) region: String,
    /// `X-Amz-Date`, in Unix seconds.
    time: i64,
    date: String,
    service: String,
    signed: Vec<String>,
    signature: String,
}

impl Claim {
    /// Reads the headers `Authorization` and `X-Amz-Date`.
    pub(crate) fn read(request: &Request) -> Result<Self, Refusal> {
        let authorization = request.header("authorization").ok_or(Refusal::NoAuthentication)?;
        let incomplete = |what: &str| Refusal::Incomplete(format!("Authorization header requires {what}."));
        let fields = authorization
            .strip_prefix("AWS4-HMAC-SHA256 ")
            .ok_or_else(|| incomplete("the algorithm AWS4-HMAC-SHA256"))?;
        let field = |name: &str| {
            let mut found = fields.split(',').filter_map(|field| field.trim().split_once('='));
            found.find(|(known, _)| *known == name).map(|(_, value)| value)
        };
        let credential = field("Credential").ok_or_else(|| incomplete("'Credential' parameter"))?;
        let signed = field("SignedHeaders").ok_or_else(|| incomplete("'SignedHeaders' parameter"))?;
        let signature = field("Signature").ok_or_else(|| incomplete("'Signature' parameter"))?;
        let scope: Vec<&str> = credential.split('/').collect();
        let [access_key_id, date, region, service, "aws4_request"] = scope.as_slice() else {
            return Err(incomplete("a Credential of key, date, region, service and 'aws4_request'"));
        };
        let time = request.header("x-amz-date").and_then(clock::read_basic);
        Ok(Self {
            access_key_id: (*access_key_id).into(),
            region: (*region).into(),
            time: time.ok_or_else(|| incomplete("existence of an 'X-Amz-Date' header"))?,
            date: (*date).into(),
            service: (*service).into(),
            signed: signed.split(';').map(str::to_ascii_lowercase).collect(),
            signature: signature.into(),
        })
    }

    /// Whether the signature was made for this service, and in a region of this partition.
    pub(crate) fn fits(&self, service: &str, partition: &str) -> Result<(), Refusal> {
        let wrong = |message: String| Err(Refusal::WrongScope(message));
        if self.service != service {
            return wrong(format!("Credential should be scoped to correct service: '{service}'."));
        }
        if partition_of(&self.region) != Some(partition) {
            return wrong("Credential should be scoped to a valid region.".into());
        }
        let day: String = clock::basic(self.time).chars().take(8).collect();
        if self.date != day {
            let (scope, time) = (&self.date, clock::basic(self.time));
            return wrong(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
                 '{scope}' != '{day}', from '{time}'."
            ));
        }
        Ok(())
    }

    /// Whether the request was signed less than a quarter of an hour from `now`.
    pub(crate) fn timely(&self, now: i64) -> Result<(), Refusal> {
        let (signed, server) = (clock::basic(self.time), clock::basic(now));
        if self.time < now.saturating_sub(LEEWAY) {
            let limit = clock::basic(now.saturating_sub(LEEWAY));
            return Err(Refusal::Clock(format!(
                "Signature expired: {signed} is now earlier than {limit} ({server} - 15 min.)"
            )));
        }
        if self.time > now.saturating_add(LEEWAY) {
            let limit = clock::basic(now.saturating_add(LEEWAY));
            return Err(Refusal::Clock(format!(
                "Signature not yet current: {signed} is still later than {limit} ({server} + 15 min.)"
            )));
        }
        Ok(())
    }

    /// Whether the signature is the one that `secret` gives.
    pub(crate) fn genuine(&self, request: &Request, secret: &str) -> Result<(), Refusal> {
        // AWS wants `host` and every `x-amz-*` header signed: an unsigned session token could be exchanged.
        let unsigned = |name: &str| !self.signed.iter().any(|signed| signed == name);
        let must = |name: &str| name == "host" || name.starts_with("x-amz-");
        if request.headers.iter().any(|(name, _)| must(name) && unsigned(name)) || unsigned("host") {
            return Err(Refusal::WrongSignature);
        }
        match self.signature_by(request, secret) {
            Some(wanted) if wanted == self.signature => Ok(()),
            _ => Err(Refusal::WrongSignature),
        }
    }

    fn signature_by(&self, request: &Request, secret: &str) -> Option<String> {
        let identity: Identity = Credentials::new(&self.access_key_id, secret, None, None, "stand-in").into();
        let mut settings = SigningSettings::default();
        // The client's list decides which headers count; the crate must neither add nor leave out one.
        settings.excluded_headers = None;
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        settings.session_token_mode = SessionTokenMode::Include;
        let time: SystemTime = UNIX_EPOCH + Duration::from_secs(u64::try_from(self.time).ok()?);
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(time)
            .settings(settings)
            .build()
            .ok()?
            .into();
        let headers = request
            .headers
            .iter()
            .filter(|(name, _)| self.signed.contains(name))
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let url = format!("http://{}{}", request.header("host")?, request.target);
        let body = SignableBody::Bytes(&request.body);
        let signable = SignableRequest::new(&request.method, url, headers, body).ok()?;
        sign(signable, &parameters).ok().map(|output| output.into_parts().1)
    }
}

/// The partition of a region's name; `None` if it is none.
fn partition_of(region: &str) -> Option<&'static str> {
    let parts: Vec<&str> = region.split('-').collect();
    let word = |part: &&str| part.len() >= 2 && part.bytes().all(|letter| letter.is_ascii_lowercase());
    let (number, words) = parts.split_last()?;
    let is_region = matches!(words.len(), 2 | 3)
        && words.iter().all(word)
        && number.len() == 1
        && number.bytes().all(|digit| digit.is_ascii_digit());
    match words {
        _ if !is_region => None,
        ["cn", _] => Some("aws-cn"),
        ["eusc", _, _] => Some("aws-eusc"),
        ["us", "gov", _] => Some("aws-us-gov"),
        _ => Some("aws"),
    }
}

#[cfg(test)]
mod tests;
