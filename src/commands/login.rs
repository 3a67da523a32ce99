//! `onetap login`: the console in a browser, with a role's session.

use std::ffi::OsString;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use crate::cli::Login;
use crate::error::Error;
use crate::error::handoff::HandOffError;
use crate::plan::{Endpoint, Network, Partition, Plan};
use crate::session::Session;
use crate::sts::console;

use super::{Context, block_on, print, profile};

mod address;
mod browser;

/// A page that is opened now is used for a while.
const MIN_TTL: Duration = Duration::from_secs(15 * 60);

pub(super) fn run(context: &Context, login: Login) -> Result<(), Error> {
    let profiles = context.profiles()?;
    let plan = context.plan(&profiles, &profile::chosen(context, &profiles, login.profile.clone())?)?;
    // Before the touch: it would be for nothing.
    may_sign_in(&plan)?;
    context.refuse_mock_on_aws(&plan)?;
    let page = page(&plan, &login)?;
    let network = plan.network.clone();
    let authenticator = context.authenticator(plan, "login", MIN_TTL)?;
    let session = match authenticator.kept(context.clock.now())? {
        Some(session) => session,
        None => block_on(authenticator.session())?,
    };
    sign_in(context, network, &session, &page, login.url)
}

/// The one place that knows whose sessions open the console: AWS takes those of AssumeRole and GetFederationToken there, and
/// refuses GetSessionToken's.
fn may_sign_in(plan: &Plan) -> Result<(), Error> {
    if plan.is_role() {
        Ok(())
    } else {
        Err(HandOffError::NoConsole { profile: plan.profile.clone() }.into())
    }
}

/// The page that was asked for, in the region that was asked for or configured.
fn page(plan: &Plan, login: &Login) -> Result<String, Error> {
    let region = login.region.as_deref().or(plan.region.as_deref());
    if let Some(region) = region.filter(|region| Partition::of_region(region) != Some(plan.network.partition))
    {
        let partition = plan.network.partition.name();
        return Err(Error::Usage(format!("{region:?} is not the name of a region of {partition}")));
    }
    address::page(plan.network.partition, region, login.service.as_deref()).ok_or_else(|| {
        let service = login.service.as_deref().unwrap_or_default();
        Error::Usage(format!("{service:?} is not the name of a service, such as ec2 or s3/buckets"))
    })
}

/// Has the session become an address, and shows it.
fn sign_in(
    context: &Context,
    network: Network,
    session: &Session,
    page: &str,
    url: bool,
) -> Result<(), Error> {
    let elsewhere = ["AWS_ENDPOINT_URL_SIGNIN", "AWS_ENDPOINT_URL"]
        .into_iter()
        .find_map(|name| Some((name, context.variable(name)?)))
        .filter(|_| !context.wishes().ignore_endpoints);
    let (federation, endpoint) = match elsewhere {
        None => (address::federation(network.partition), None),
        Some((name, text)) => {
            let endpoint: Endpoint =
                text.parse().map_err(|reason| Error::Usage(format!("{name} = {text}: {reason}")))?;
            (format!("{}/federation", endpoint.as_str().trim_end_matches('/')), Some(endpoint))
        }
    };
    let way = Network { endpoint, ..network };
    let token = block_on(async { Ok(console::sign_in_token(&federation, &way, session).await?) })?;
    let address = address::sign_in(&federation, page, &token)
        .ok_or_else(|| Error::Usage(format!("{federation} is not an address")))?;
    if url {
        return print(format!("{}\n", address.expose_secret()).as_bytes());
    }
    let program = context.variable("BROWSER").map_or_else(opener, OsString::from);
    browser::show(address, &program, context.deadline).map_err(|error| {
        Error::Usage(format!("no browser shows the console: {error}; or add --url and open it yourself"))
    })
}

/// What opens an address in the person's browser.
fn opener() -> OsString {
    if cfg!(target_os = "macos") {
        "open".into()
    } else if cfg!(windows) {
        "explorer".into()
    } else {
        "xdg-open".into()
    }
}
