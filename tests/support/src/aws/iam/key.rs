//! The names that conditions and variables can ask for.
//!
//! Source: IAM User Guide, "AWS global condition context keys", and the keys of STS and IAM in the Service
//! Authorization Reference.

/// A key that conditions and variables can name. Names are compared without regard to case, as IAM does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// `aws:CurrentTime`, as `2026-01-31T12:00:00Z`.
    CurrentTime,
    /// `sts:ExternalId`.
    ExternalId,
    /// `aws:MultiFactorAuthAge`: whole seconds since the code was given; only in a session made with one.
    MultiFactorAuthAge,
    /// `aws:MultiFactorAuthPresent`: absent for long-term keys, "true" or "false" in a session.
    MultiFactorAuthPresent,
    /// `iam:PermissionsBoundary`: the ARN that PutUserPermissionsBoundary is given.
    PermissionsBoundary,
    /// `aws:PrincipalArn`: a role's own ARN for its sessions.
    PrincipalArn,
    /// `aws:PrincipalTag/NAME`: a tag of the session.
    PrincipalTag(String),
    /// `HOST:sub` and the like: what a web identity token says.
    Provider(String),
    /// `aws:RequestTag/NAME`: a tag that the request wants to set.
    RequestTag(String),
    /// `sts:RoleSessionName`.
    RoleSessionName,
    /// `sts:SourceIdentity`: what the request wants to set.
    SetSourceIdentity,
    /// `aws:SourceIdentity`: what the session has.
    SourceIdentity,
    /// `aws:TokenIssueTime`: only in a session.
    TokenIssueTime,
    /// `aws:userid`.
    UserId,
    /// `aws:username`: absent for the root user and for roles.
    UserName,
}

impl Key {
    const PLAIN: [(&'static str, Self); 12] = [
        ("aws:CurrentTime", Self::CurrentTime),
        ("sts:ExternalId", Self::ExternalId),
        ("aws:MultiFactorAuthAge", Self::MultiFactorAuthAge),
        ("aws:MultiFactorAuthPresent", Self::MultiFactorAuthPresent),
        ("iam:PermissionsBoundary", Self::PermissionsBoundary),
        ("aws:PrincipalArn", Self::PrincipalArn),
        ("sts:RoleSessionName", Self::RoleSessionName),
        ("sts:SourceIdentity", Self::SetSourceIdentity),
        ("aws:SourceIdentity", Self::SourceIdentity),
        ("aws:TokenIssueTime", Self::TokenIssueTime),
        ("aws:userid", Self::UserId),
        ("aws:username", Self::UserName),
    ];

    /// Reads a key's name.
    pub(crate) fn read(name: &str) -> Result<Self, String> {
        let wanted = name.to_ascii_lowercase();
        if let Some(tag) = wanted.strip_prefix("aws:principaltag/").filter(|tag| !tag.is_empty()) {
            return Ok(Self::PrincipalTag(tag.into()));
        }
        if let Some(tag) = wanted.strip_prefix("aws:requesttag/").filter(|tag| !tag.is_empty()) {
            return Ok(Self::RequestTag(tag.into()));
        }
        let is_claim = |claim: &str| matches!(claim, "amr" | "aud" | "sub");
        if wanted.rsplit_once(':').is_some_and(|(host, claim)| host.contains('.') && is_claim(claim)) {
            return Ok(Self::Provider(wanted));
        }
        let mut plain = Self::PLAIN.into_iter();
        let found = plain.find(|(known, _)| known.eq_ignore_ascii_case(&wanted));
        found.map(|(_, key)| key).ok_or_else(|| format!("unknown condition key {name:?}"))
    }

    /// A tag of a session.
    pub(crate) fn principal_tag(name: &str) -> Self {
        Self::PrincipalTag(name.to_ascii_lowercase())
    }

    /// A tag that a request wants to set.
    pub(crate) fn request_tag(name: &str) -> Self {
        Self::RequestTag(name.to_ascii_lowercase())
    }

    /// What a provider's token says, for example its `sub`.
    pub(crate) fn claim(provider: &str, claim: &str) -> Self {
        Self::Provider(format!("{provider}:{claim}").to_ascii_lowercase())
    }

    /// The name as IAM writes it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::PrincipalTag(tag) => format!("aws:PrincipalTag/{tag}"),
            Self::Provider(name) => name.clone(),
            Self::RequestTag(tag) => format!("aws:RequestTag/{tag}"),
            plain => {
                let found = Self::PLAIN.iter().find(|(_, key)| key == plain);
                found.map_or_else(String::new, |(name, _)| (*name).to_owned())
            }
        }
    }
}
