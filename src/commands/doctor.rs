//! `onetap doctor`: what stands between a touch and its code, and what to do about it.
//!
//! Asks for nothing: no touch, no password, no request to AWS. Each line is one check; what depends on a check that went
//! wrong is not checked.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::card::{CardError, Place, Reader};
use crate::code::CodeError;
use crate::code::yubikey::account;
use crate::error::Error;
use crate::oath::answer::{Listed, Version};
use crate::oath::{self, OathError, Selected};
use crate::plan::{Mfa, SourceName};

use super::{Context, auto, print};

mod machine;

use machine::{Machine, Socket};

/// How long the service, and each key, may take.
const A_LOOK: Duration = Duration::from_secs(8);

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    name: &'static str,
    state: State,
    fact: String,
    remedy: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum State {
    #[serde(rename = "not checked")]
    NotChecked,
    #[serde(rename = "ok")]
    Ok,
    #[serde(rename = "wrong")]
    Wrong,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::NotChecked => "not checked",
            Self::Ok => "ok",
            Self::Wrong => "wrong",
        }
    }
}

impl Check {
    fn new(name: &'static str, state: State, fact: impl Into<String>, remedy: Option<String>) -> Self {
        Self { name, state, fact: fact.into(), remedy }
    }

    fn ok(name: &'static str, fact: impl Into<String>) -> Self {
        Self::new(name, State::Ok, fact, None)
    }

    fn not_checked(name: &'static str, why: impl Into<String>) -> Self {
        Self::new(name, State::NotChecked, why, None)
    }

    /// A failure as its command would tell it: the fact, and the next action.
    fn failed(name: &'static str, error: impl Into<Error>) -> Self {
        let error = error.into();
        Self::new(name, State::Wrong, error.to_string(), error.hint())
    }
}

/// A key that was looked at.
struct Key {
    name: String,
    seen: Result<Seen, OathError>,
}

struct Seen {
    version: Version,
    /// `None` where a password would have to be asked for.
    accounts: Option<Vec<Listed>>,
}

pub(super) fn run(context: &Context, profile: Option<String>, json: bool) -> Result<(), Error> {
    let profiles = context.profiles()?;
    let named = profile.or_else(|| context.variable("AWS_PROFILE"));
    let names: BTreeSet<_> = match &named {
        Some(name) => [name.as_str()].into(),
        None => profiles.names().collect(),
    };
    let (mut plans, mut unknown) = (Vec::new(), Vec::new());
    for name in names {
        match context.plan_unasked(&profiles, name) {
            Ok(plan) => plans.push(plan),
            Err(error) if auto::is_unknown(&error) => unknown.push(name),
            Err(error) if named.is_some() => return Err(error),
            // A profile that cannot be used at all is told by the command that uses it.
            Err(_) => {}
        }
    }
    let reader = context.any_reader();
    let machine = Machine::of(|name| context.variable(name));
    let deadline = || context.deadline.min(Instant::now() + A_LOOK);

    let places = reader.places(deadline());
    let mut checks = service(&reader, &places, &machine);
    let keys: Vec<_> = places.unwrap_or_default().iter().map(|place| look(place, deadline())).collect();
    keys.iter().for_each(|key| checks.extend(token(key)));
    checks.extend(
        plans
            .iter()
            .filter_map(|plan| Some((&plan.profile, plan.mfa.as_ref()?)))
            .filter(|(_, mfa)| mfa.codes.contains(&SourceName::YubiKey))
            .map(|(profile, mfa)| of(profile, mfa, &keys)),
    );
    checks.extend(unknown.into_iter().map(|profile| {
        let fact = format!("profile {profile}: AWS was not asked which device mfa_serial = auto stands for");
        let remedy = Some(format!("`onetap exec {profile} -- true` finds it out"));
        Check::new("account", State::NotChecked, fact, remedy)
    }));
    let held = keys.iter().any(|key| matches!(key.seen, Err(OathError::Card(CardError::Busy))));
    checks.push(machine.scdaemon(held));

    let wrong = checks.iter().filter(|check| check.state == State::Wrong).count();
    print(&if json { as_json(&checks, wrong == 0)? } else { as_text(&checks) })?;
    if wrong == 0 { Ok(()) } else { Err(Error::Unwell(wrong)) }
}

/// The way to the readers: socket, service, permission, readers.
fn service(reader: &Reader, places: &Result<Vec<Place>, CardError>, machine: &Machine) -> Vec<Check> {
    if let Reader::Mock(_) = reader {
        let names = ["socket", "pcscd", "polkit", "readers"];
        return names.map(|name| Check::not_checked(name, "codes come from a virtual token")).into();
    }
    let socket = machine.socket();
    let (running, allowed) = match (places, socket) {
        // It is there and lets nobody in: so refuses a polkit rule, in some versions.
        (Err(CardError::NoService), Socket::Answers) | (Err(CardError::NotAllowed), _) => (true, false),
        (Err(CardError::NoService), _) => (false, false),
        _ => (true, true),
    };
    let pcscd = match running {
        true => Check::ok("pcscd", "the smart card service answers"),
        false => Check::failed("pcscd", CardError::NoService),
    };
    let polkit = match (running, allowed) {
        _ if !cfg!(target_os = "linux") => Check::not_checked("polkit", "this system has none"),
        (true, true) => Check::ok("polkit", "this process may use the service"),
        (true, false) => Check::failed("polkit", CardError::NotAllowed),
        (false, _) => Check::not_checked("polkit", "the service is not running"),
    };
    let readers = match places {
        Ok(places) => {
            let names = places.iter().map(Place::name).collect::<Vec<_>>().join(", ");
            Check::ok("readers", format!("a YubiKey is in {names}"))
        }
        Err(_) if !allowed => Check::not_checked("readers", "the service cannot be asked"),
        Err(error @ (CardError::NoReader | CardError::NoToken { .. })) => {
            let usb = machine.usb().map(|advice| (format!("{error}; {}", advice.fact), advice.remedy));
            match usb {
                Some((fact, remedy)) => Check::new("readers", State::Wrong, fact, Some(remedy)),
                None => Check::failed("readers", error.clone()),
            }
        }
        Err(error) => Check::failed("readers", error.clone()),
    };
    vec![machine.check_of(socket), pcscd, polkit, readers]
}

/// SELECT and, where nothing is locked, LIST.
fn look(place: &Place, deadline: Instant) -> Key {
    let seen = place.transact(deadline, |card| match oath::select(card)? {
        Selected::Locked(locked) => Ok(Seen { version: locked.device().version, accounts: None }),
        Selected::Open(mut applet) => {
            let version = applet.device().version;
            Ok(Seen { version, accounts: Some(applet.list()?) })
        }
    });
    let name = match place.serial() {
        Some(serial) => format!("YubiKey {serial}"),
        None => place.name(),
    };
    Key { name, seen }
}

/// One key: card, applet, password.
fn token(Key { name, seen }: &Key) -> [Check; 3] {
    let not = |check, why: &str| Check::not_checked(check, format!("{name}: {why}"));
    match seen {
        Err(OathError::Card(error)) => {
            let card = Check::failed("card", error.clone());
            let card = Check { fact: format!("{name}: {}", card.fact), ..card };
            [card, not("applet", "the card cannot be asked"), not("password", "the card cannot be asked")]
        }
        Err(error) => {
            let applet = Check::failed("applet", CodeError::from(error.clone()));
            let applet = Check { fact: format!("{name}: {}", applet.fact), ..applet };
            [
                Check::ok("card", format!("{name}: it answers")),
                applet,
                not("password", "there is nothing to lock"),
            ]
        }
        Ok(Seen { version, accounts }) => {
            let (count, password) = match accounts {
                Some(accounts) => (format!(", {} accounts", accounts.len()), "none is set"),
                None => (
                    String::new(),
                    "one is set; it is asked for unless `onetap token password remember` keeps it",
                ),
            };
            [
                Check::ok("card", format!("{name}: it answers")),
                Check::ok("applet", format!("{name}: OATH, firmware {version}{count}")),
                Check::ok("password", format!("{name}: {password}")),
            ]
        }
    }
}

/// The account of one profile, on any key.
fn of(profile: &str, mfa: &Mfa, keys: &[Key]) -> Check {
    let device = mfa.serial.as_str();
    let mut names = Vec::new();
    let mut unknown = keys.is_empty();
    for key in keys {
        let Ok(Seen { accounts: Some(accounts), .. }) = &key.seen else {
            unknown = true;
            continue;
        };
        let mut meant = account::meant(&mfa.account, Some(device), accounts);
        match (meant.pop(), meant.is_empty()) {
            (Some(name), true) => {
                return Check::ok("account", format!("profile {profile}: {name} on {}", key.name));
            }
            (Some(name), false) => {
                meant.push(name);
                let several = CodeError::SeveralAccounts { wanted: mfa.account.clone(), fitting: meant };
                return Check::failed("account", several);
            }
            (None, _) => names.extend(accounts.iter().map(|account| account.id.clone())),
        }
    }
    if unknown {
        return Check::not_checked(
            "account",
            format!("profile {profile}: not every key could be looked into"),
        );
    }
    let present = account::nearest(&mfa.account, names);
    let check = Check::failed("account", CodeError::NoAccount { wanted: mfa.account.clone(), present });
    Check { fact: format!("profile {profile}: {}", check.fact), ..check }
}

fn as_json(checks: &[Check], ok: bool) -> Result<Vec<u8>, Error> {
    let report = serde_json::json!({ "ok": ok, "checks": checks });
    let mut text = serde_json::to_vec(&report).map_err(|error| Error::Output(error.to_string()))?;
    text.push(b'\n');
    Ok(text)
}

fn as_text(checks: &[Check]) -> Vec<u8> {
    let line = |Check { name, state, fact, remedy }: &Check| {
        let remedy = remedy.as_ref().map(|remedy| format!("; {remedy}")).unwrap_or_default();
        // Names of accounts and readers come from outside, and must not move the cursor.
        let clean: String =
            format!("{fact}{remedy}").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        format!("{:11}  {name:8}  {clean}\n", state.word())
    };
    checks.iter().map(line).collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(checks: &[Check]) -> Vec<(&str, &str)> {
        checks.iter().map(|check| (check.name, check.state.word())).collect()
    }

    #[test]
    fn what_depends_on_a_service_that_is_wrong_is_not_checked() {
        let machine = Machine::nothing();
        let pcsc = Reader::Pcsc(None);
        let of = |error| service(&pcsc, &Err(error), &machine);
        assert_eq!(
            states(&of(CardError::NoService))[1..],
            [("pcscd", "wrong"), ("polkit", "not checked"), ("readers", "not checked")]
        );
        assert_eq!(states(&of(CardError::NotAllowed))[1..3], [("pcscd", "ok"), ("polkit", "wrong")]);
        let none = of(CardError::NoReader);
        assert_eq!(states(&none)[1..], [("pcscd", "ok"), ("polkit", "ok"), ("readers", "wrong")]);
        assert!(none[3].remedy.as_deref().unwrap().contains("plug it in"));
    }

    #[test]
    fn a_key_that_is_held_and_one_without_the_applet_have_their_remedies() {
        let key = |error| Key { name: "YubiKey 7".into(), seen: Err(error) };
        let held = token(&key(OathError::Card(CardError::Busy)));
        assert_eq!(
            states(&held),
            [("card", "wrong"), ("applet", "not checked"), ("password", "not checked")]
        );
        assert!(held[0].remedy.as_deref().unwrap().contains("gpgconf --kill scdaemon"));
        let bare = token(&key(OathError::NoApplet));
        assert_eq!(states(&bare), [("card", "ok"), ("applet", "wrong"), ("password", "not checked")]);
        assert!(bare[1].remedy.as_deref().unwrap().contains("ykman config usb --enable OATH"));
    }
}
