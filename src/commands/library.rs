//! onetap inside another Rust program.

use std::time::Duration;

use crate::authenticator::Authenticator;
use crate::cli::Options;
use crate::error::Error;

use super::{Context, TIMEOUT};

/// The SDK's identity cache asks again this long before the end, and so there must be more than that left.
const MIN_TTL: Duration = Duration::from_secs(60);

impl Authenticator {
    /// What `onetap exec` would use for a profile: the same files, variables (`ONETAP_...`, `AWS_...`), vault, token and
    /// kept sessions. Reads files only; a touch is asked for when the SDK wants credentials that are not kept, on the
    /// controlling terminal and the desktop, for two minutes at the longest.
    ///
    /// It is a [`ProvideCredentials`](aws_credential_types::provider::ProvideCredentials): give it to the SDK as
    /// `credentials_provider`, and raise the identity cache's `load_timeout`, which is 5 s and too short for a person.
    /// Needs a tokio runtime with its clock and its network. Fails where the profile makes no plan, or a variable makes
    /// no sense.
    pub fn of_profile(profile: &str) -> Result<Self, Error> {
        let options = Options::of_variables(|name| std::env::var_os(name))
            .ok_or_else(|| Error::Usage("a variable of onetap's (ONETAP_...) makes no sense".into()))?;
        let context = Context::new(options, TIMEOUT)?;
        let profiles = context.profiles()?;
        // Asking AWS here would block the caller's runtime.
        let plan = context.plan_unasked(&profiles, profile)?;
        context.refuse_mock_on_aws(&plan)?;
        context.authenticator(plan, "library", MIN_TTL)
    }
}
