//! Which sessions of other processes are as good as one's own: those that AWS was asked for in the same words.

use super::{Link, Plan, Role, Source};
use crate::session::SessionKey;

impl Plan {
    /// The key of each link's session, in the links' order. `identity` is the id of the access key that signs the
    /// first request; where the source is not a key of ours, [`Plan::stranger`].
    pub fn session_keys(&self, identity: &str) -> Vec<SessionKey> {
        let endpoint = self.network.endpoint.as_ref().map(|endpoint| endpoint.as_str());
        let partition = self.network.partition.name();
        let mut keys: Vec<SessionKey> = Vec::new();
        for link in &self.links {
            let serial = self.mfa.as_ref().map_or("", |mfa| mfa.serial.as_str());
            keys.push(match link {
                Link::MfaSession { .. } => SessionKey::mfa(identity, serial, partition, endpoint),
                Link::Role { role, with_mfa } => {
                    let request = request(role, with_mfa.then_some(serial));
                    SessionKey::role(identity, &request, keys.last(), partition, endpoint)
                }
            });
        }
        keys
    }

    /// What stands for an access key id where another program or an identity provider gives the credentials.
    pub fn stranger(&self) -> Option<String> {
        match &self.source {
            Source::Environment | Source::Keys { .. } => None,
            Source::Process { command, .. } => Some(format!("process {command:?}")),
            Source::WebIdentity { token_file } => Some(format!("web identity {token_file:?}")),
        }
    }

    /// The name of the turn for a link: the MFA device's where a code is asked for, else what is asked of AWS.
    pub fn turn(&self, at: usize) -> String {
        match (self.links.get(at), &self.mfa) {
            (Some(link), Some(mfa)) if link.asks() => mfa.serial.as_str().into(),
            _ => {
                let identity = format!("{:?}", self.source);
                self.session_keys(&identity).get(at).map(|key| key.as_str().to_owned()).unwrap_or_default()
            }
        }
    }
}

/// All that AssumeRole is told, on one line; `Debug` escapes what could be mistaken for a separator.
fn request(role: &Role, serial: Option<&str>) -> String {
    let Role { profile: _, arn, session_name, duration, external_id, tags, transitive_tags, source_identity } =
        role;
    let seconds = duration.as_secs();
    format!("{:?}", (arn, session_name, seconds, external_id, tags, transitive_tags, source_identity, serial))
}
