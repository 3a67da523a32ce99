//! What IAM says a user may do: every policy that is the user's own, the groups', and the boundary.
//!
//! Source: IAM API reference. Documents come URL-encoded (RFC 3986). One page of each list: a user has at most ten
//! managed policies and ten groups (IAM User Guide, quotas).

use percent_encoding::percent_decode_str;

use super::{Iam, IamError};

/// A policy and its document, as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What a person calls it: its name, and the group through which it comes.
    pub name: String,
    /// The document.
    pub json: String,
}

/// What counts for a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policies {
    /// The user's and the groups'.
    pub identity: Vec<Document>,
    /// The permissions boundary, if there is one.
    pub boundary: Option<Document>,
}

impl Iam {
    /// All policies of a user. About a dozen requests, none of which changes anything; the first that IAM denies ends it.
    pub async fn policies(&self, user: &str) -> Result<Policies, IamError> {
        let sent = self.client.get_user().user_name(user).send().await;
        let about = sent.map_err(|error| self.fault("GetUser", error))?.user.ok_or(IamError::Incomplete)?;
        let arn = about.permissions_boundary.and_then(|boundary| boundary.permissions_boundary_arn);
        let boundary = match arn {
            Some(arn) => Some(self.managed(&arn, "").await?),
            None => None,
        };
        let mut identity = Vec::new();

        let sent = self.client.list_user_policies().user_name(user).send().await;
        let names = sent.map_err(|error| self.fault("ListUserPolicies", error))?.policy_names;
        for name in names {
            let sent = self.client.get_user_policy().user_name(user).policy_name(&name).send().await;
            let answer = sent.map_err(|error| self.fault("GetUserPolicy", error))?;
            identity.push(Document { json: decoded(&answer.policy_document)?, name });
        }
        let sent = self.client.list_attached_user_policies().user_name(user).send().await;
        let attached = sent.map_err(|error| self.fault("ListAttachedUserPolicies", error))?.attached_policies;
        for arn in attached.into_iter().flatten().filter_map(|policy| policy.policy_arn) {
            identity.push(self.managed(&arn, "").await?);
        }

        let sent = self.client.list_groups_for_user().user_name(user).send().await;
        for group in sent.map_err(|error| self.fault("ListGroupsForUser", error))?.groups {
            self.of_group(&group.group_name, &mut identity).await?;
        }
        Ok(Policies { identity, boundary })
    }

    async fn of_group(&self, group: &str, identity: &mut Vec<Document>) -> Result<(), IamError> {
        let through = format!(" (group {group})");
        let sent = self.client.list_group_policies().group_name(group).send().await;
        let names = sent.map_err(|error| self.fault("ListGroupPolicies", error))?.policy_names;
        for name in names {
            let sent = self.client.get_group_policy().group_name(group).policy_name(&name).send().await;
            let answer = sent.map_err(|error| self.fault("GetGroupPolicy", error))?;
            let json = decoded(&answer.policy_document)?;
            identity.push(Document { name: name + &through, json });
        }
        let sent = self.client.list_attached_group_policies().group_name(group).send().await;
        let attached =
            sent.map_err(|error| self.fault("ListAttachedGroupPolicies", error))?.attached_policies;
        for arn in attached.into_iter().flatten().filter_map(|policy| policy.policy_arn) {
            identity.push(self.managed(&arn, &through).await?);
        }
        Ok(())
    }

    /// A managed policy in the version that counts.
    async fn managed(&self, arn: &str, through: &str) -> Result<Document, IamError> {
        let sent = self.client.get_policy().policy_arn(arn).send().await;
        let about =
            sent.map_err(|error| self.fault("GetPolicy", error))?.policy.ok_or(IamError::Incomplete)?;
        let version = about.default_version_id.ok_or(IamError::Incomplete)?;
        let sent = self.client.get_policy_version().policy_arn(arn).version_id(version).send().await;
        let answer = sent.map_err(|error| self.fault("GetPolicyVersion", error))?;
        let document = answer.policy_version.and_then(|version| version.document);
        let name = about.policy_name.unwrap_or_else(|| arn.to_owned());
        Ok(Document { name: name + through, json: decoded(&document.ok_or(IamError::Incomplete)?)? })
    }
}

fn decoded(document: &str) -> Result<String, IamError> {
    Ok(percent_decode_str(document).decode_utf8().map_err(|_| IamError::Incomplete)?.into_owned())
}
