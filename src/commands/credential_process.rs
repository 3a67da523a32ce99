//! `onetap credential-process`: one JSON object on stdout and nothing else.
//!
//! Source: AWS SDKs and Tools Reference, "Process credential provider"; the SDKs' real habits are in `docs/adr/`.

use std::time::Duration;

use crate::error::Error;
use crate::session::Session;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{Context, block_on, print};

/// botocore asks again from 15 minutes before the end.
const MIN_TTL: Duration = Duration::from_secs(15 * 60);

pub(super) fn run(context: &Context, profile: Option<String>) -> Result<(), Error> {
    let profiles = context.profiles()?;
    let plan = context.plan(&profiles, &context.named(profile)?)?;
    context.refuse_mock_on_aws(&plan)?;
    let authenticator = context.authenticator(plan, "credential-process", MIN_TTL)?;
    let session = match authenticator.kept(context.clock.now())? {
        Some(session) => session,
        None => block_on(authenticator.session())?,
    };
    print(&json(&session)?)
}

/// `Version` first; `Expiration` with a `Z`, since Go's SDK prints the whole JSON, secrets included, when it cannot
/// read the time.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    version: u8,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    session_token: &'a str,
    expiration: String,
}

pub(super) fn json(session: &Session) -> Result<Zeroizing<Vec<u8>>, Error> {
    let document = Document {
        version: 1,
        access_key_id: &session.access_key_id,
        secret_access_key: session.secret_access_key.expose_secret(),
        session_token: session.session_token.expose_secret(),
        expiration: session.expiration_text(),
    };
    // Large enough for any session, since a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(8192));
    serde_json::to_writer(&mut *text, &document).map_err(|error| Error::Output(error.to_string()))?;
    text.push(b'\n');
    Ok(text)
}
