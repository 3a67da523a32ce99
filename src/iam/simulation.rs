//! What IAM itself says that a user's policies would decide, about a request that is made up.
//!
//! Source: IAM API reference, "SimulatePrincipalPolicy" and "EvaluationResult".

use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, PolicyEvaluationDecisionType};

use super::{Iam, IamError};
use crate::policy::reading::Request;

/// The context keys that say how a request stands to MFA.
const PRESENT: &str = "aws:MultiFactorAuthPresent";
const AGE: &str = "aws:MultiFactorAuthAge";

/// What would become of one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulated {
    /// The action, with its service: `ec2:StopInstances`.
    pub action: String,
    /// Whether IAM would allow it.
    pub allowed: bool,
    /// Whether conditions about something else than MFA were asked, which nobody has told IAM.
    pub depends: bool,
}

impl Iam {
    /// SimulatePrincipalPolicy: what would become of these actions on a resource, `*` for any, in a request of this kind.
    /// Changes nothing. An action with a wildcard, or one that IAM does not know, fails the whole call.
    pub async fn simulate(
        &self,
        user_arn: &str,
        actions: &[&str],
        resource: &str,
        request: Request,
    ) -> Result<Vec<Simulated>, IamError> {
        let entry = |name: &str, kind, value: &str| {
            let entry = ContextEntry::builder().context_key_name(name).context_key_type(kind);
            entry.context_key_values(value).build()
        };
        let mut call = self.client.simulate_principal_policy().policy_source_arn(user_arn);
        call = call.set_action_names(Some(actions.iter().map(|action| (*action).to_owned()).collect()));
        call = call.resource_arns(resource);
        let boolean = ContextKeyTypeEnum::Boolean;
        call =
            match request {
                Request::LongTermKey => call,
                Request::WithMfa => call
                    .context_entries(entry(PRESENT, boolean, "true"))
                    .context_entries(entry(AGE, ContextKeyTypeEnum::Numeric, "1")),
                Request::WithoutMfa => call.context_entries(entry(PRESENT, boolean, "false")),
            };
        let answer = call.send().await.map_err(|error| self.fault("SimulatePrincipalPolicy", error))?;
        let about_mfa = |name: &String| [PRESENT, AGE].iter().any(|known| name.eq_ignore_ascii_case(known));
        let simulated = answer.evaluation_results().iter().map(|result| Simulated {
            action: result.eval_action_name().to_owned(),
            allowed: *result.eval_decision() == PolicyEvaluationDecisionType::Allowed,
            // What a resource was named for is told with that resource.
            depends: std::iter::once(result.missing_context_values())
                .chain(result.resource_specific_results().iter().map(|one| one.missing_context_values()))
                .flatten()
                .any(|name| !about_mfa(name)),
        });
        Ok(simulated.collect())
    }
}
