//! Which kept session is a profile's: the one that its plan ends with.

use crate::plan::Source;
use crate::profiles::Profiles;
use crate::session::SessionKey;
use crate::session::store::Kept;

use super::Context;

/// The key of a profile's session, as far as it is known without a vault; `None` for a profile without a plan too.
pub(super) fn key_of(context: &Context, profiles: &Profiles, kept: &Kept, name: &str) -> Option<SessionKey> {
    let plan = context.plan_unasked(profiles, name).ok()?;
    let identity = match &plan.source {
        Source::Keys { profile } => kept.access_keys.get(profile).cloned(),
        Source::Environment => context.variable("AWS_ACCESS_KEY_ID"),
        Source::Process { .. } | Source::WebIdentity { .. } => plan.stranger(),
    }?;
    plan.session_keys(&identity).pop()
}
