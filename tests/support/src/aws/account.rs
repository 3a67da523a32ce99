//! What IAM keeps for an account: access keys, MFA devices, managed policies and groups.

use std::fmt;

use serde_json::Value;

use super::iam::{Policy, Unreadable};
use super::world::{self, Device, Group, Named};

/// A long-term access key.
#[derive(Clone)]
pub(crate) struct AccessKey {
    pub(crate) id: String,
    pub(crate) secret: String,
    /// The user's id.
    pub(crate) owner: String,
    pub(crate) active: bool,
    pub(crate) created: i64,
    /// Requests that are still answered as if the key were unknown: IAM is eventually consistent.
    pub(crate) settling: u32,
    /// When, for which service and in which region it was used last.
    pub(crate) used: Option<(i64, &'static str, String)>,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessKey({})", self.id)
    }
}

/// An MFA device, whether a user has it or not.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) device: Device,
    /// The user's id; absent until the device is enabled.
    pub(crate) owner: Option<String>,
    pub(crate) enabled: i64,
    /// Codes that are still refused as if the device were unknown.
    pub(crate) settling: u32,
    /// Steps by which its clock was found to be ahead of the server's.
    pub(crate) drift: i64,
}

/// A managed policy of the account.
#[derive(Clone, Debug)]
pub(crate) struct Managed {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) document: Value,
    pub(crate) policy: Policy,
}

/// The inline and attached policies of a user or a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holder {
    pub(crate) inline: Vec<(String, Value, Policy)>,
    /// ARNs of managed policies.
    pub(crate) attached: Vec<String>,
}

/// A group whose policies were understood.
#[derive(Clone, Debug)]
pub(crate) struct Circle {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) arn: String,
    pub(crate) held: Holder,
}

/// The account's managed policies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf(Vec<Managed>);

impl Shelf {
    /// The policy of that ARN.
    pub(crate) fn find(&self, arn: &str) -> Option<&Managed> {
        self.0.iter().find(|managed| managed.arn == arn)
    }

    /// Puts a policy up, in the place of one of the same ARN; gives the ARN back.
    pub(crate) fn put(&mut self, root: &str, name: &str, document: &Value) -> Result<String, Unreadable> {
        let policy = Policy::load(document)?;
        let arn = format!("{root}:policy/{name}");
        self.0.retain(|managed| managed.arn != arn);
        self.0.push(Managed { name: name.into(), arn: arn.clone(), document: document.clone(), policy });
        Ok(arn)
    }
}

impl Holder {
    /// Understands inline policies, and puts managed ones up. `root` is `arn:PARTITION:iam::ACCOUNT`.
    pub(crate) fn load(
        root: &str,
        inline: &[Value],
        attached: &[Named],
        shelf: &mut Shelf,
    ) -> Result<Self, Unreadable> {
        let mut holder = Self::default();
        for (number, document) in (1..).zip(inline) {
            let policy = Policy::load(document)?;
            holder.inline.push((format!("inline-{number}"), document.clone(), policy));
        }
        for Named { name, document } in attached {
            holder.attached.push(shelf.put(root, name, document)?);
        }
        Ok(holder)
    }

    /// Every policy that it holds.
    pub(crate) fn all(&self, shelf: &Shelf) -> Vec<Policy> {
        let attached = self.attached.iter().filter_map(|arn| shelf.find(arn)).map(|managed| &managed.policy);
        self.inline.iter().map(|(_, _, policy)| policy).chain(attached).cloned().collect()
    }
}

impl Circle {
    /// Understands a group's policies.
    pub(crate) fn load(root: &str, group: &Group, shelf: &mut Shelf) -> Result<Self, Unreadable> {
        Ok(Self {
            name: group.name.clone(),
            id: world::key_id("AGPA"),
            arn: format!("{root}:group/{}", group.name),
            held: Holder::load(root, &group.policies, &group.attached, shelf)?,
        })
    }
}
