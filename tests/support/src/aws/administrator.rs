//! What an administrator of the account does meanwhile, and sees.

use serde_json::Value;

use super::Aws;
use super::caller::Person;
use super::iam::Policy;

impl Aws {
    /// A key that IAM makes from now on is unknown for its first requests, as IAM is eventually consistent.
    pub fn settle_keys_after(&self, requests: u32) {
        self.server.shared.state().settle_keys = requests;
    }

    /// The first codes of a device that is enabled from now on are refused, and not used up, as if it were unknown.
    pub fn settle_devices_after(&self, codes: u32) {
        self.server.shared.state().settle_devices = codes;
    }

    /// An administrator sets or removes a user's permissions boundary; it counts at once, in sessions too.
    ///
    /// Panics if there is no such user or the document is not understood.
    #[allow(clippy::expect_used, reason = "a story whose administrator fails has failed")]
    pub fn set_boundary(&self, user: &str, document: Option<Value>) {
        let mut state = self.server.shared.state();
        let root = state.root();
        let name = format!("{user}-boundary");
        let arn = document.map(|document| state.shelf.put(&root, &name, &document).expect("a policy"));
        state.change(user, |person| person.boundary_arn = arn).expect("a user of that name");
    }

    /// The organization sets a service control policy, of which only the Denies count here; users do not see it.
    ///
    /// Panics if the document is not understood.
    #[allow(clippy::expect_used, reason = "a story whose organization fails has failed")]
    pub fn set_organization(&self, document: &Value) {
        let policy = Policy::load(document).expect("a policy");
        self.server.shared.state().organization = Some(policy);
    }

    /// An administrator attaches a managed policy, in the place of one of the same name.
    ///
    /// Panics if there is no such user or the document is not understood.
    #[allow(clippy::expect_used, reason = "a story whose administrator fails has failed")]
    pub fn attach_policy(&self, user: &str, name: &str, document: &Value) {
        let mut state = self.server.shared.state();
        let root = state.root();
        let arn = state.shelf.put(&root, name, document).expect("a policy");
        let attach = |person: &mut Person| {
            person.held.attached.retain(|attached| *attached != arn);
            person.held.attached.push(arn.clone());
        };
        state.change(user, attach).expect("a user of that name");
    }

    /// An administrator detaches a managed policy.
    ///
    /// Panics if there is no such user.
    #[allow(clippy::expect_used, reason = "a story whose administrator fails has failed")]
    pub fn detach_policy(&self, user: &str, name: &str) {
        let mut state = self.server.shared.state();
        let arn = format!("{}:policy/{name}", state.root());
        let detach = |person: &mut Person| person.held.attached.retain(|attached| *attached != arn);
        state.change(user, detach).expect("a user of that name");
    }

    /// The serials of the MFA devices that are enabled for a user, oldest first.
    pub fn devices_of(&self, user: &str) -> Vec<String> {
        self.server.shared.state().devices_of(user)
    }

    /// The serials of the virtual MFA devices that nobody has: made, and not enabled.
    pub fn loose_devices(&self) -> Vec<String> {
        let state = self.server.shared.state();
        let loose = state.devices.iter().filter(|held| held.owner.is_none());
        loose.map(|held| held.device.serial.clone()).collect()
    }

    /// The ids of a user's access keys and whether they are active, oldest first.
    pub fn keys_of(&self, user: &str) -> Vec<(String, bool)> {
        self.server.shared.state().keys_of(user)
    }
}
