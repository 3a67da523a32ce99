//! How AWS refuses: codes, messages and statuses, for STS, IAM and EC2.
//!
//! Source: the STS and EC2 API references, "Common errors", and messages as AWS sends them.

use super::xml::Service;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The caller may not, for the reason given.
    AccessDenied(&'static str),
    /// The request's time is too far from the server's; STS says how far.
    Clock(String),
    /// The session is over.
    Ended,
    /// The request's `Authorization` cannot be read.
    Incomplete(String),
    /// No such action in that version.
    InvalidAction {
        /// What was asked.
        action: String,
        /// The API version asked for.
        version: String,
    },
    /// The stand-in itself failed, for the reason given.
    Internal(String),
    /// IAM refuses for a reason of its own: status, code and message.
    Iam(u16, &'static str, String),
    /// EC2 does not know the instance.
    InvalidInstance(String),
    /// Parameters that contradict each other.
    InvalidParameter(String),
    /// The request carries no `Authorization` at all.
    NoAuthentication,
    /// IAM decided against it: "User: ... is not authorized to perform ...".
    NotAuthorized(String),
    /// STS is switched off in that region, for that account.
    RegionOff(String),
    /// Too many requests.
    Throttled,
    /// No such key, or a session token that does not belong to it.
    UnknownKey,
    /// A parameter that the action does not have, or that the stand-in does not play.
    UnknownParameter(String),
    /// A parameter does not keep its limits.
    Validation(String),
    /// A web identity token that is no token, or that no known provider made.
    WebToken(String),
    /// A web identity token whose time is over.
    WebTokenEnded,
    /// The signature was made for another service, region or day.
    WrongScope(String),
    /// The signature is another than the one that the secret gives.
    WrongSignature,
}

impl Refusal {
    /// A code, or a code used before.
    pub(crate) const WRONG_CODE: Self =
        Self::AccessDenied("MultiFactorAuthentication failed with invalid MFA one time pass code.");
    /// A serial that is not one of the user's, or does not make codes.
    pub(crate) const UNKNOWN_DEVICE: Self = Self::AccessDenied(
        "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is \
         valid and associated with this user.",
    );
    /// Only one of SerialNumber and TokenCode.
    pub(crate) const HALF_MFA: Self = Self::AccessDenied(
        "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.",
    );
    /// GetSessionToken, signed with a session's keys.
    pub(crate) const FROM_A_SESSION: Self =
        Self::AccessDenied("Cannot call GetSessionToken with session credentials");

    /// The root user has no roles.
    pub(crate) const ROOT_ASSUMES_NOTHING: Self =
        Self::AccessDenied("Roles may not be assumed by root accounts.");
    /// A role that does not trust the token's provider or subject.
    pub(crate) const WEB_UNTRUSTED: Self =
        Self::AccessDenied("Not authorized to perform sts:AssumeRoleWithWebIdentity");

    /// Two codes that are not those of two steps in a row.
    pub(crate) fn wrong_codes() -> Self {
        Self::Iam(403, "InvalidAuthenticationCode", "Authentication code for device is not valid.".into())
    }

    /// Something of that kind and name is there already.
    pub(crate) fn exists(message: impl Into<String>) -> Self {
        Self::Iam(409, "EntityAlreadyExists", message.into())
    }

    /// What was named is not there.
    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self::Iam(404, "NoSuchEntity", message.into())
    }

    /// A quota is reached, for example `AccessKeysPerUser: 2`.
    pub(crate) fn quota(limit: &str) -> Self {
        Self::Iam(409, "LimitExceeded", format!("Cannot exceed quota for {limit}"))
    }

    /// A role that there is not, or whose trust policy does not let the caller in: AWS does not tell which.
    pub(crate) fn untrusted(caller: &str, action: &str, role: &str) -> Self {
        Self::NotAuthorized(format!(
            "User: {caller} is not authorized to perform: {action} on resource: {role}"
        ))
    }

    /// A planned refusal: it names nobody, since it comes before the signature is read.
    pub(crate) fn forbidden(service: Service, action: &str) -> Self {
        let action = format!("{}:{action}", service.name());
        Self::not_authorized("the caller", &action, "*", "with an explicit deny in an identity-based policy")
    }

    /// IAM's sentence, with its reason at the end.
    pub(crate) fn not_authorized(caller: &str, action: &str, resource: &str, why: &str) -> Self {
        Self::NotAuthorized(format!(
            "User: {caller} is not authorized to perform: {action} on resource: {resource} {why}"
        ))
    }

    /// HTTP status, error code and message, in the words of `service`.
    pub(crate) fn told(&self, service: Service) -> (u16, &'static str, String) {
        match service {
            Service::Ec2 => self.told_by_ec2(),
            Service::Iam | Service::Sts => self.told_by_sts(),
        }
    }

    fn told_by_ec2(&self) -> (u16, &'static str, String) {
        match self {
            Self::Clock(_) | Self::Ended => (400, "RequestExpired", "Request has expired.".into()),
            Self::InvalidAction { action, .. } => {
                (400, "InvalidAction", format!("The action {action} is not valid for this web service."))
            }
            Self::NotAuthorized(sentence) => {
                let message = format!("You are not authorized to perform this operation. {sentence}");
                (403, "UnauthorizedOperation", message)
            }
            Self::Throttled => (503, "RequestLimitExceeded", "Request limit exceeded.".into()),
            Self::UnknownKey | Self::WrongScope(_) | Self::WrongSignature => {
                let message = "AWS was not able to validate the provided access credentials";
                (401, "AuthFailure", message.into())
            }
            Self::Validation(message) => (400, "InvalidParameterValue", message.clone()),
            other => other.told_by_sts(),
        }
    }

    fn told_by_sts(&self) -> (u16, &'static str, String) {
        match self {
            Self::AccessDenied(message) => (403, "AccessDenied", (*message).into()),
            Self::Clock(message) | Self::WrongScope(message) => (403, "SignatureDoesNotMatch", message.clone()),
            Self::Ended => {
                (403, "ExpiredToken", "The security token included in the request is expired".into())
            }
            Self::Incomplete(message) => (400, "IncompleteSignature", message.clone()),
            Self::InvalidAction { action, version } => {
                (400, "InvalidAction", format!("Could not find operation {action} for version {version}"))
            }
            Self::Internal(why) => (500, "InternalFailure", format!("the stand-in failed: {why}")),
            Self::Iam(status, code, message) => (*status, code, message.clone()),
            Self::InvalidInstance(id) => {
                (400, "InvalidInstanceID.NotFound", format!("The instance ID '{id}' does not exist"))
            }
            Self::InvalidParameter(message) => (400, "InvalidParameterValue", message.clone()),
            Self::NoAuthentication => {
                (403, "MissingAuthenticationToken", "Request is missing Authentication Token".into())
            }
            Self::NotAuthorized(message) => (403, "AccessDenied", message.clone()),
            Self::RegionOff(account) => (
                403,
                "RegionDisabledException",
                format!(
                    "STS is not activated in this region for account:{account}. Your account administrator can \
                     activate STS in this region using the IAM Console."
                ),
            ),
            Self::Throttled => (400, "Throttling", "Rate exceeded".into()),
            Self::UnknownKey => (
                403,
                "InvalidClientTokenId",
                "The security token included in the request is invalid.".into(),
            ),
            Self::UnknownParameter(name) => {
                (400, "UnknownParameter", format!("The parameter {name} is not recognized"))
            }
            Self::Validation(message) => (400, "ValidationError", message.clone()),
            Self::WebToken(message) => (400, "InvalidIdentityToken", message.clone()),
            Self::WebTokenEnded => {
                (400, "ExpiredTokenException", "Token expired: it was renewed too late".into())
            }
            Self::WrongSignature => (
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your AWS \
                 Secret Access Key and signing method. Consult the service documentation for details."
                    .into(),
            ),
        }
    }
}
