//! `onetap list`: all profiles of AWS's files, what kind each is, and where its keys are.

use serde::Serialize;

use crate::error::Error;
use crate::keys::AccessKey;
use crate::profiles::Profile;

use super::{Context, print, print_json};

/// What `--json` prints: `docs/SCRIPTS.md`.
#[derive(Serialize)]
struct Document<'a> {
    profiles: Vec<Shown<'a>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    profile: &'a str,
    kind: &'static str,
    keys: Option<&'static str>,
    access_key_id: Option<String>,
    mfa_device: Option<&'a str>,
    region: Option<&'a str>,
}

pub(super) fn run(context: &Context, json: bool) -> Result<(), Error> {
    let profiles = context.profiles()?;
    // Where nothing was ever stored, no vault is opened and none is chosen.
    let stored = match context.settings()?.vault {
        Some(_) => Some((context.vault_kind()?.word(), context.vault()?)),
        None => None,
    };
    let mut shown = vec![];
    for name in profiles.names() {
        let Some(profile) = profiles.profile(name) else { continue };
        let mut keys = None;
        if let Some((word, vault)) = &stored
            && let Some(key) = AccessKey::read(vault.as_ref(), name)?
        {
            keys = Some((*word, key.id));
        }
        let plain = || Some(("plain text", profile.value("aws_access_key_id")?.to_owned()));
        let (keys, access_key_id) = keys.or_else(plain).unzip();
        shown.push(Shown {
            profile: name,
            kind: kind(&profile, keys),
            keys,
            access_key_id,
            mfa_device: profile.value("mfa_serial"),
            region: profile.value("region"),
        });
    }
    shown.sort_unstable_by_key(|shown| shown.profile);
    if json {
        return print_json(&Document { profiles: shown });
    }
    if shown.is_empty() {
        return print(b"There is no profile yet; `onetap add PROFILE` makes one.\n");
    }
    let titles = ["PROFILE", "KIND", "KEYS", "ACCESS KEY", "MFA DEVICE"].map(String::from).to_vec();
    let row = |shown: &Shown<'_>| {
        let cells = [
            Some(shown.profile),
            Some(shown.kind),
            shown.keys,
            shown.access_key_id.as_deref(),
            shown.mfa_device,
        ];
        cells.map(|cell| cell.unwrap_or("-").to_owned()).to_vec()
    };
    let rows: Vec<_> = std::iter::once(titles).chain(shown.iter().map(row)).collect();
    print(super::token::table(&rows).as_bytes())
}

/// How the profile gets its credentials, in the order in which AWS's SDKs look.
fn kind(profile: &Profile<'_>, keys: Option<&str>) -> &'static str {
    let kinds = [
        ("web_identity_token_file", "web identity"),
        ("role_arn", "role"),
        ("sso_session", "sso"),
        ("sso_start_url", "sso"),
        ("login_session", "login"),
        ("mfa_serial", "mfa"),
    ];
    let named = kinds.into_iter().find(|(key, _)| profile.value(key).is_some());
    match named {
        Some((_, kind)) => kind,
        None if keys.is_some() => "keys",
        None if profile.value("credential_process").is_some() => "process",
        None => "settings",
    }
}
