//! `onetap mfa list`: a user's devices at IAM, beside what the plugged-in keys and the vault hold.

use serde::Serialize;

use crate::attendant::Notice;
use crate::code::yubikey::account;
use crate::error::Error;
use crate::oath::answer::Listed;
use crate::vault::Entry;

use super::enroll::account_of;
use super::print_json;
use super::token::{look_at_all, shown, table};
use super::user::User;
use super::{Context, print};

/// A device, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Line {
    serial: String,
    kind: &'static str,
    enabled: Option<String>,
    /// The plugged-in keys that hold its account, by serial number or reader.
    keys: Vec<String>,
    /// Whether the vault holds a seed for the profile and this is its device.
    vault: bool,
    /// Whether it is the profile's `mfa_serial`.
    profile: bool,
}

pub(super) fn list(context: &Context, profile: Option<String>, json: bool) -> Result<(), Error> {
    let profile = context.named(profile)?;
    let mut user = User::of(context, &profile, "mfa")?;
    let name = user.name.clone();
    let devices = user.call(async |iam| iam.devices(&name).await)?;
    let keys = plugged(&user.context.anew());
    let own = account_of(context, &profile)?;
    let seed = context.vault()?.read(&Entry::Seed(profile.clone()))?.is_some();
    let line = |device: crate::iam::Device| {
        let of_profile = own.as_ref().filter(|(serial, _)| *serial == device.serial);
        let named = of_profile.map_or(device.serial.as_str(), |(_, account)| account);
        let holds = |accounts: &[Listed]| !account::meant(named, Some(&device.serial), accounts).is_empty();
        Line {
            kind: kind(&device.serial),
            enabled: device.since,
            keys: keys.iter().filter(|(_, held)| holds(held)).map(|(key, _)| key.clone()).collect(),
            vault: of_profile.is_some() && seed,
            profile: of_profile.is_some(),
            serial: device.serial,
        }
    };
    let lines: Vec<_> = devices.into_iter().map(line).collect();
    if json {
        return print_json(&lines);
    }
    if lines.is_empty() {
        return print(format!("{name} has no MFA device; `onetap enroll {profile}` makes one.\n").as_bytes());
    }
    let mut rows = vec![["DEVICE", "KIND", "ENABLED", "ON", "PROFILE"].map(String::from).to_vec()];
    rows.extend(lines.into_iter().map(|line| {
        let mut places = line.keys;
        if line.vault {
            places.push("vault".into());
        }
        let places = if places.is_empty() { "-".into() } else { places.join(", ") };
        let of_profile = if line.profile { profile.clone() } else { "-".into() };
        let enabled = line.enabled.unwrap_or_else(|| "-".into());
        vec![shown(&line.serial), line.kind.into(), enabled, places, of_profile]
    }));
    print(table(&rows).as_bytes())
}

fn kind(serial: &str) -> &'static str {
    match serial {
        fido if fido.contains(":u2f/") => "fido",
        arn if arn.contains(":mfa/") => "virtual",
        _ => "hardware",
    }
}

/// The keys that are there and open, and the accounts on them. None at all is no failure here.
fn plugged(context: &Context) -> Vec<(String, Vec<Listed>)> {
    let there = match look_at_all(context) {
        Ok(there) => there,
        Err(error) => {
            context.attendant.notice(Notice::Told(format!("No YubiKey was looked at: {error}.")));
            return Vec::new();
        }
    };
    let mut keys = Vec::new();
    for key in there {
        let name = key.serial.map_or(key.reader, |serial| serial.to_string());
        match key.seen.map(|glance| glance.accounts) {
            Ok(Some(accounts)) => keys.push((name, accounts)),
            Ok(None) => {
                let text = format!("The YubiKey {name} is locked with a password, and was not looked at.");
                context.attendant.notice(Notice::Told(text));
            }
            Err(error) => {
                context
                    .attendant
                    .notice(Notice::Told(format!("The YubiKey {name} was not looked at: {error}.")));
            }
        }
    }
    keys
}
