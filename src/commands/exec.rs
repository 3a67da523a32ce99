//! `onetap exec`: becomes the child, with credentials in its environment.
//!
//! Where something must live as long as the child does (copies of AWS's files, the endpoint), it stays above it.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use crate::attendant::Notice;
use crate::cli::HandOver;
use crate::error::Error;
use crate::plan::Plan;
use crate::profiles::Profiles;
use crate::session::Session;
use secrecy::ExposeSecret as _;

#[cfg(unix)]
use super::apart::{self, Stayer};
use super::{Context, block_on, profile};

#[cfg(unix)]
mod aside;
#[cfg(unix)]
mod endpoint;
#[cfg(unix)]
mod overlay;
#[cfg(unix)]
mod parent;
#[cfg(unix)]
mod peer;
mod program;
#[cfg(unix)]
mod renewal;
pub mod subshell;

#[cfg(unix)]
pub(super) use aside::Aside;
#[cfg(unix)]
pub use parent::stand_in_for_child;

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

pub(super) fn run(
    context: &Context,
    profile: Option<String>,
    wanted: &HandOver,
    command: Vec<OsString>,
) -> Result<(), Error> {
    let staying = context.staying();
    let context = if wanted.is_more() { &staying } else { context };
    let profiles = context.profiles()?;
    let plan = context.plan(&profiles, &profile::chosen(context, &profiles, profile)?)?;
    context.refuse_mock_on_aws(&plan)?;
    // Before the touch: a person who mistyped a command should not pay for it.
    let (mut child, name) = prepare(context, &plan, command)?;
    if wanted.is_more() {
        return hand_over_more(context, &profiles, &plan, wanted, child, name);
    }
    let session = session(context, &plan, MIN_TTL)?;
    hand_over(context, &mut child, &plan);
    set_keys(&mut child, &session);
    program::become_child(child, &name)
}

/// The kept session, or a new one.
fn session(context: &Context, plan: &Plan, min_ttl: Duration) -> Result<Session, Error> {
    let authenticator = context.authenticator(plan.clone(), "exec", min_ttl)?;
    match authenticator.kept(context.clock.now())? {
        Some(session) => Ok(session),
        None => block_on(authenticator.session()),
    }
}

/// Other ways than keys in the environment.
#[cfg(unix)]
fn hand_over_more(
    context: &Context,
    profiles: &Profiles,
    plan: &Plan,
    wanted: &HandOver,
    mut child: Command,
    name: OsString,
) -> Result<(), Error> {
    let texts = overlay::Texts::of(context, profiles, plan, wanted)?;
    let stays = wanted.refresh || !texts.is_empty();
    // A person pays for the child's session now, not in the middle of its work.
    let session = match stays {
        true => block_on(apart::session(context, &plan.profile, Stayer::Exec))?,
        false => session(context, plan, renewal::MIN_TTL)?,
    };
    hand_over(context, &mut child, plan);
    let mut service = None;
    if wanted.profile_env {
        // It reads the profile again, and other profiles have other addresses.
        child.env("AWS_PROFILE", &plan.profile);
        if context.variable("AWS_ENDPOINT_URL").is_none() {
            child.env_remove("AWS_ENDPOINT_URL");
        }
    } else if wanted.refresh {
        let endpoint = endpoint::Endpoint::bind()
            .map_err(|error| Error::Usage(format!("no port of this machine can be served: {error}")))?;
        child
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoint.url())
            .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", endpoint.token().expose_secret());
        let aside = beside_a_child(context);
        service = Some((endpoint, renewal::Renewal::new(session, aside, plan.profile.clone())));
    } else {
        set_keys(&mut child, &session);
    }
    if !stays {
        return program::become_child(child, &name);
    }
    let runtime = context.variable("XDG_RUNTIME_DIR").map(std::path::PathBuf::from);
    let laid = match texts.is_empty() {
        true => None,
        false => Some(texts.lay(runtime.as_deref(), context.clock.now())?),
    };
    child.envs(laid.iter().flat_map(|laid| laid.env().iter().map(|(variable, file)| (variable, file))));
    let status = parent::accompany(&child, &name, service);
    drop(laid);
    std::process::exit(status?.into())
}

#[cfg(not(unix))]
fn hand_over_more(
    _: &Context,
    _: &Profiles,
    _: &Plan,
    _: &HandOver,
    _: Command,
    _: OsString,
) -> Result<(), Error> {
    Err(Error::Usage("--profile-env, --also and --refresh are not there on this system".into()))
}

/// The same surroundings for somebody who may not ask at the terminal, since a child has it.
#[cfg(unix)]
fn beside_a_child(context: &Context) -> Context {
    Context { attendant: std::sync::Arc::new(Aside(context.attendant.clone())), ..context.clone() }
}

/// The command that was given, or a shell that knows it is one, and the name under which it runs.
fn prepare(context: &Context, plan: &Plan, command: Vec<OsString>) -> Result<(Command, OsString), Error> {
    let mut words = command.into_iter();
    let Some(name) = words.next() else {
        return shell(context, &plan.profile);
    };
    let mut child = Command::new(program::find(&name)?);
    child.args(words);
    Ok((child, name))
}

/// The person's shell, with its prompt prepared.
fn shell(context: &Context, profile: &str) -> Result<(Command, OsString), Error> {
    let variable = |name| context.variable(name).map(OsString::from);
    let (shell, zdotdir) = (variable("SHELL"), variable("ZDOTDIR"));
    let made = subshell(shell.as_deref(), zdotdir.as_deref(), profile, &context.places.shells());
    if let Some(error) = made.unnamed {
        let warning = format!("the shell's prompt does not name the profile: {error}");
        context.attendant.notice(Notice::Warning(warning));
    }
    let mut child = Command::new(program::find(made.program.as_os_str())?);
    child.args(made.args).envs(made.env);
    let name = child.get_program().to_owned();
    Ok((child, name))
}

/// What every child gets, however its credentials come to it.
fn hand_over(context: &Context, child: &mut Command, plan: &Plan) {
    for name in SHADOWS {
        child.env_remove(name);
    }
    child.env_remove("AWS_SECRET_ACCESS_KEY").env_remove("AWS_SESSION_TOKEN");
    child.env("ONETAP_PROFILE", &plan.profile);
    if let Some(region) = &plan.region {
        // botocore reads the one, the other SDKs the other.
        child.env("AWS_REGION", region).env("AWS_DEFAULT_REGION", region);
    }
    if let (Some(endpoint), None) = (&plan.endpoint_url, context.variable("AWS_ENDPOINT_URL")) {
        // The child no longer reads the profile, so what the profile says of addresses goes with it.
        child.env("AWS_ENDPOINT_URL", endpoint);
    }
}

fn set_keys(child: &mut Command, session: &Session) {
    child
        .env("AWS_ACCESS_KEY_ID", &session.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", session.secret_access_key.expose_secret())
        .env("AWS_SESSION_TOKEN", session.session_token.expose_secret())
        .env("AWS_CREDENTIAL_EXPIRATION", session.expiration_text());
}
