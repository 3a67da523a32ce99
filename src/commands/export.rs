//! `onetap export`: credentials as the text that a shell or a tool takes in.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::cli::{Export, Format};
use crate::error::Error;
use crate::plan::Plan;
use crate::session::Session;

use super::{Context, block_on, credential_process, print, profile};

pub mod quote;

/// As `exec`: what is typed now runs now.
const MIN_TTL: Duration = Duration::from_secs(5 * 60);

pub(super) fn run(context: &Context, export: Export) -> Result<(), Error> {
    let profiles = context.profiles()?;
    let plan = context.plan(&profiles, &profile::chosen(context, &profiles, export.profile)?)?;
    context.refuse_mock_on_aws(&plan)?;
    // Before the touch: a profile that the form cannot carry should not cost one.
    let public = vec![("AWS_SESSION_TOKEN", SecretString::from("x"))];
    written(export.format, &plan, &[public, surroundings(context, &plan)].concat())?;
    let authenticator = context.authenticator(plan.clone(), "export", MIN_TTL)?;
    let session = match authenticator.kept(context.clock.now())? {
        Some(session) => session,
        None => block_on(authenticator.session())?,
    };
    if export.format == Format::Json {
        return print(&credential_process::json(&session)?);
    }
    let variables = [credentials(&session), surroundings(context, &plan)].concat();
    print(written(export.format, &plan, &variables)?.as_bytes())
}

type Variable = (&'static str, SecretString);

fn written(format: Format, plan: &Plan, variables: &[Variable]) -> Result<zeroize::Zeroizing<String>, Error> {
    let exposed: Vec<_> = variables.iter().map(|(name, value)| (*name, value.expose_secret())).collect();
    quote::text(format, &plan.profile, &exposed)
        .map_err(|refused| Error::Usage(format!("{refused}; choose another --format")))
}

fn credentials(session: &Session) -> Vec<Variable> {
    vec![
        ("AWS_ACCESS_KEY_ID", session.access_key_id.as_str().into()),
        ("AWS_SECRET_ACCESS_KEY", session.secret_access_key.clone()),
        ("AWS_SESSION_TOKEN", session.session_token.clone()),
        ("AWS_CREDENTIAL_EXPIRATION", session.expiration_text().into()),
    ]
}

/// Where the credentials are used: as `exec` tells its child.
fn surroundings(context: &Context, plan: &Plan) -> Vec<Variable> {
    let mut variables = vec![];
    if let Some(region) = &plan.region {
        variables.push(("AWS_REGION", region.as_str().into()));
        variables.push(("AWS_DEFAULT_REGION", region.as_str().into()));
    }
    if let (Some(endpoint), None) = (&plan.endpoint_url, context.variable("AWS_ENDPOINT_URL")) {
        variables.push(("AWS_ENDPOINT_URL", endpoint.as_str().into()));
    }
    variables
}
