//! `onetap exec`: becomes the child, with credentials in its environment.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use crate::attendant::Notice;
use crate::error::Error;
use crate::plan::Plan;
use crate::session::Session;
use secrecy::ExposeSecret as _;

use super::{Context, block_on, profile};

mod program;
pub mod subshell;

use subshell::subshell;

/// A command that runs for a moment wants no new session because of it.
const MIN_TTL: Duration = Duration::from_secs(5 * 60);

/// What would shadow the credentials that the child is given, in one SDK or another.
const SHADOWS: [&str; 14] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CREDENTIAL_FILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SDK_LOAD_CONFIG",
    "AWS_SECURITY_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

pub(super) fn run(context: &Context, profile: Option<String>, command: Vec<OsString>) -> Result<(), Error> {
    let profiles = context.profiles()?;
    let plan = context.plan(&profiles, &profile::chosen(context, &profiles, profile)?)?;
    context.refuse_mock_on_aws(&plan)?;
    // Before the touch: a person who mistyped a command should not pay for it.
    let mut child = prepare(context, &plan, command)?;
    let authenticator = context.authenticator(plan.clone(), "exec", MIN_TTL)?;
    let session = match authenticator.kept(context.clock.now())? {
        Some(session) => session,
        None => block_on(authenticator.session())?,
    };
    hand_over(context, &mut child, &plan, &session);
    program::become_child(child)
}

/// The command that was given, or a shell that knows it is one.
fn prepare(context: &Context, plan: &Plan, command: Vec<OsString>) -> Result<Command, Error> {
    let mut words = command.into_iter();
    let Some(name) = words.next() else {
        return shell(context, &plan.profile);
    };
    let mut child = Command::new(program::find(&name)?);
    child.args(words);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::arg0(&mut child, name);
    Ok(child)
}

/// The person's shell, with its prompt prepared.
fn shell(context: &Context, profile: &str) -> Result<Command, Error> {
    let variable = |name| context.variable(name).map(OsString::from);
    let (shell, zdotdir) = (variable("SHELL"), variable("ZDOTDIR"));
    let made = subshell(shell.as_deref(), zdotdir.as_deref(), profile, &context.places.shells());
    if let Some(error) = made.unnamed {
        let warning = format!("the shell's prompt does not name the profile: {error}");
        context.attendant.notice(Notice::Warning(warning));
    }
    let mut child = Command::new(program::find(made.program.as_os_str())?);
    child.args(made.args).envs(made.env);
    Ok(child)
}

fn hand_over(context: &Context, child: &mut Command, plan: &Plan, session: &Session) {
    for name in SHADOWS {
        child.env_remove(name);
    }
    child
        .env("AWS_ACCESS_KEY_ID", &session.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", session.secret_access_key.expose_secret())
        .env("AWS_SESSION_TOKEN", session.session_token.expose_secret())
        .env("AWS_CREDENTIAL_EXPIRATION", session.expiration_text())
        .env("ONETAP_PROFILE", &plan.profile);
    if let Some(region) = &plan.region {
        // botocore reads the one, the other SDKs the other.
        child.env("AWS_REGION", region).env("AWS_DEFAULT_REGION", region);
    }
    if let (Some(endpoint), None) = (&plan.endpoint_url, context.variable("AWS_ENDPOINT_URL")) {
        // The child no longer reads the profile, so what the profile says of addresses goes with it.
        child.env("AWS_ENDPOINT_URL", endpoint);
    }
}
