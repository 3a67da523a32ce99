//! IAM's simulation of a user's policies, where IAM permits it.
//!
//! It knows what reading does not: policies of kinds that a user does not see. Reading knows what depends on the resource.

use crate::error::Error;
use crate::iam::{Iam, Simulated};
use crate::policy::reading::{ANY, Answer, Request};

use super::super::user::User;

/// How a request may stand to MFA.
const REQUESTS: [Request; 3] = [Request::LongTermKey, Request::WithoutMfa, Request::WithMfa];

/// What IAM said.
#[derive(Debug)]
pub(super) struct Simulation(Vec<(Request, Vec<Simulated>)>);

impl Simulation {
    /// Three requests; `None` where IAM permits none or does not know an action. Nobody is asked for a touch because of it.
    pub(super) fn of(user: &User, actions: &[String]) -> Option<Self> {
        // IAM simulates single actions only.
        let single: Vec<_> =
            actions.iter().map(String::as_str).filter(|name| !name.contains(['*', '?'])).collect();
        if single.is_empty() {
            return None;
        }
        // What is refused once is not asked again.
        let told = |request| Some((request, simulated(user, &single, ANY, request).ok()?));
        REQUESTS.into_iter().map(told).collect::<Option<_>>().map(Self)
    }

    /// Whether such a request would pass; `None` where IAM was not asked or could not tell.
    pub(super) fn answer(&self, action: &str, request: Request) -> Option<Answer> {
        let (_, told) = self.0.iter().find(|(about, _)| *about == request)?;
        let told = told.iter().find(|told| told.action.eq_ignore_ascii_case(action))?;
        match (told.depends, told.allowed) {
            (true, _) => None,
            (false, true) => Some(Answer::Yes),
            (false, false) => Some(Answer::No),
        }
    }
}

/// Whether a device could be made and enabled without MFA: what traps need where no policy can be read.
pub(super) fn adds_a_device(user: &User, device: &str) -> Result<bool, Error> {
    for request in [Request::LongTermKey, Request::WithoutMfa] {
        let made = simulated(user, &["iam:CreateVirtualMFADevice"], device, request)?;
        let enabled = simulated(user, &["iam:EnableMFADevice"], &user.identity.arn, request)?;
        // A condition that is not about MFA leaves it open, which is no answer to a thief.
        if made.iter().chain(&enabled).all(|told| told.allowed || told.depends) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn simulated(
    user: &User,
    actions: &[&str],
    resource: &str,
    request: Request,
) -> Result<Vec<Simulated>, Error> {
    user.as_is(&async |iam: &Iam| iam.simulate(&user.identity.arn, actions, resource, request).await)
}
