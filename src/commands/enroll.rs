//! `onetap enroll`: from an access key to MFA, in one run.
//!
//! Everything is looked at and asked before anything is made. What is made is written down first, without its secret, so
//! that a run that was cut short is completed or taken back by the next: a device that is not enabled is deleted, since its
//! seed is lost; one that is enabled has its seed in its places, and only the profile and the proof are missing.

use secrecy::{ExposeSecret as _, SecretString};

use crate::attendant::Notice;
use crate::card::Reader;
use crate::cli::Enroll;
use crate::code::software;
use crate::code::yubikey::account;
use crate::error::Error;
use crate::error::iam::UserError;
use crate::iam::{Device, IamError};
use crate::otpauth::{Credential, Touch};
use crate::plan::{Endpoint, MfaSerial};

use super::Context;
use super::token::{confirm, shown};
use super::user::User;

mod finish;
pub(super) mod pair;
mod qr;
mod seat;
mod undo;
mod unfinished;

use finish::finish;
use pair::Pair;
pub(super) use seat::account_of;
use seat::{Backup, Seat};
use undo::{Settled, settled, take_back};
pub(super) use unfinished::Unfinished;

/// MFA devices that a user may have (IAM User Guide, "IAM and AWS STS quotas").
const MOST: usize = 8;
/// Longest name of an account, in bytes (YKOATH, "PUT instruction").
const LONGEST_NAME: usize = 64;

/// A device whose seed is at hand.
pub(super) struct Enrolment<'a> {
    profile: &'a str,
    serial: MfaSerial,
    account: String,
    seed: &'a SecretString,
}

pub(super) fn run(context: &Context, asked: &Enroll) -> Result<(), Error> {
    let backups = asked.backup.iter().map(|text| Backup::parse(text)).collect::<Result<Vec<_>, _>>()?;
    if asked.show_qr {
        context.attendant.show(&[])?;
    }
    let mut user = User::of(context, &asked.profile, "enroll")?;
    let context = user.context.clone();
    refuse_mock(&context, &user, asked)?;
    let left = match Unfinished::of(&context, &asked.profile) {
        Some(left) if settled(&mut user, &left)? == Settled::Enabled => return finish(&user, &left),
        left => left,
    };
    let devices = devices(&user)?;
    let name = free_name(&user, asked, devices.as_deref())?;
    let serial = format!("{}mfa/{name}", user.root());
    user.without = Some(serial.clone());
    let account = asked.account.clone().unwrap_or_else(|| serial.clone());
    if account.is_empty() || account.len() > LONGEST_NAME {
        let length = account.len();
        let text = format!(
            "the account's name has {length} bytes, and a YubiKey takes {LONGEST_NAME}: give --account"
        );
        return Err(Error::Usage(text));
    }
    // What an earlier run has put there is good for nothing.
    let ours = left.filter(|left| left.account == account).map_or_else(Vec::new, |left| left.keys);
    let first = match asked.no_key {
        true => None,
        false => Some(Seat::take(Backup::Next.context(&context), &account, &ours, asked.yes)?),
    };
    if asked.software {
        seat::vault_is_free(&context, &asked.profile)?;
    }
    not_twice(&context, asked, devices.as_deref(), first.as_ref())?;
    let mut record = Unfinished {
        serial,
        account: account.clone(),
        keys: first.iter().map(|seat| seat.key.id()).collect(),
        software: asked.software,
        no_key: asked.no_key,
    };
    record.keep(&context, &asked.profile)?;
    let mut seats: Vec<Seat> = first.into_iter().collect();
    let (serial, seed) = match made(&mut user, asked, &name, &record) {
        // It may have been made.
        Err(error @ Error::Iam(IamError::Network(_) | IamError::TryAgain(_))) => {
            return Err(take_back(&mut user, &record, &[], error));
        }
        Err(error) => {
            Unfinished::forget(&context, &asked.profile)?;
            return Err(error);
        }
        Ok(made) => made,
    };
    let enrolment = Enrolment { profile: &asked.profile, serial, account, seed: &seed };
    let done = seated(&mut user, asked, &backups, &enrolment, &mut seats, &mut record)
        .and_then(|()| enabled(&mut user, &enrolment, seats.last()));
    match done {
        Ok(()) => finish(&user, &record),
        Err(error) => Err(take_back(&mut user, &record, &seats, error)),
    }
}

/// The user's devices, as far as the key alone may see them.
fn devices(user: &User) -> Result<Option<Vec<Device>>, Error> {
    match user.call_with(&user.key, async |iam| iam.devices(&user.name).await) {
        Ok(devices) if devices.len() >= MOST => {
            let serials = devices.into_iter().map(|device| device.serial).collect();
            Err(UserError::FullOfDevices { serials }.into())
        }
        Ok(devices) => {
            for device in &devices {
                let text = format!("The user keeps {}; the new device comes beside it.", device.serial);
                user.context.attendant.notice(Notice::Told(text));
            }
            Ok(Some(devices))
        }
        Err(Error::Iam(IamError::Denied { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The name that was asked for, else the user's, with a number where the user has a device of that name.
fn free_name(user: &User, asked: &Enroll, devices: Option<&[Device]>) -> Result<String, Error> {
    let root = user.root();
    let taken = |name: &str| {
        let serial = format!("{root}mfa/{name}");
        devices.into_iter().flatten().any(|device| device.serial == serial)
    };
    if let Some(name) = &asked.device {
        let plain = |c: char| c.is_ascii_alphanumeric() || "+=,.@-_".contains(c);
        if name.is_empty() || !name.chars().all(plain) {
            return Err(Error::Usage(format!(
                "{name:?} cannot name a device: only letters, digits and +=,.@-_ can"
            )));
        }
        if taken(name) {
            let (profile, serial) = (asked.profile.clone(), format!("{root}mfa/{name}"));
            return Err(UserError::AlreadyEnrolled { profile, serial }.into());
        }
        return Ok(name.clone());
    }
    let numbered = (2..=9).map(|number| format!("{}-{number}", user.name));
    let mut names = std::iter::once(user.name.clone()).chain(numbered);
    Ok(names.find(|name| !taken(name)).unwrap_or_else(|| user.name.clone()))
}

/// Refuses where the profile's device is enabled and its account is at hand: nobody wants the same twice by accident.
fn not_twice(
    context: &Context,
    asked: &Enroll,
    devices: Option<&[Device]>,
    seat: Option<&Seat>,
) -> Result<(), Error> {
    let Some((serial, named)) = seat::account_of(context, &asked.profile)? else { return Ok(()) };
    let enabled = devices.into_iter().flatten().any(|device| device.serial == serial);
    let held =
        seat.is_some_and(|seat| !account::meant(&named, Some(&serial), seat.key.accounts()).is_empty());
    match enabled && held && asked.device.is_none() {
        true => Err(UserError::AlreadyEnrolled { profile: asked.profile.clone(), serial }.into()),
        false => Ok(()),
    }
}

/// Makes the device at IAM. One that is there and that nobody has is made anew, if the person says so.
fn made(
    user: &mut User,
    asked: &Enroll,
    name: &str,
    record: &Unfinished,
) -> Result<(MfaSerial, SecretString), Error> {
    match user.call(async |iam| iam.create_device(name).await) {
        Err(Error::Iam(IamError::AlreadyThere(_))) => {}
        made => return made,
    }
    let serial = &record.serial;
    let question =
        format!("{serial} is there and not this user's: an earlier attempt may have left it. Delete it?");
    // Until there is a yes, it is not ours to take back.
    Unfinished::forget(&user.context, &asked.profile)?;
    confirm(&user.context.anew(), &question, "yes", asked.yes)?;
    record.keep(&user.context, &asked.profile)?;
    match user.call(async |iam| iam.delete_device(serial).await) {
        Err(Error::Iam(IamError::InUse)) => {
            Unfinished::forget(&user.context, &asked.profile)?;
            let text = format!("{serial} is another user's; give the new device another name with --device");
            return Err(Error::Usage(text));
        }
        deleted => deleted?,
    }
    user.call(async |iam| iam.create_device(name).await)
}

/// Puts the seed into all its places. Each is written down before.
fn seated(
    user: &mut User,
    asked: &Enroll,
    backups: &[Backup],
    enrolment: &Enrolment<'_>,
    seats: &mut Vec<Seat>,
    record: &mut Unfinished,
) -> Result<(), Error> {
    let context = user.context.clone();
    for seat in seats.iter() {
        seat.put(&enrolment.account, enrolment.seed)?;
        told(&context, seat, enrolment);
    }
    if asked.software {
        seat::into_vault(&context, &asked.profile, enrolment.seed)?;
    }
    if asked.show_qr {
        let mut credential = Credential::from_base32("x", enrolment.seed.expose_secret())
            .map_err(|error| Error::Seed(error.to_string()))?;
        let label = format!("{}@{}", user.name, user.identity.account);
        (credential.issuer, credential.name) = (Some("Amazon Web Services".into()), label);
        credential.touch = Touch::NotNeeded;
        qr::show(&context, &credential.to_uri())?;
    }
    if let (Some(first), false) = (seats.last(), backups.is_empty()) {
        first.prove(enrolment)?;
    }
    for backup in backups {
        loop {
            let used: Vec<_> = seats.iter().map(|seat| seat.key.id()).collect();
            let seat = match backup {
                Backup::In(_) => {
                    Some(Seat::take(backup.context(&context), &enrolment.account, &used, asked.yes)?)
                }
                Backup::Next => seat::next(&context, &enrolment.account, &used, asked.yes)?,
            };
            let Some(seat) = seat else { break };
            if used.contains(&seat.key.id()) {
                return Err(Error::Usage(format!("{} is named twice", seat.key.named())));
            }
            record.keys.push(seat.key.id());
            record.keep(&context, &asked.profile)?;
            seats.push(seat);
            if let Some(seat) = seats.last() {
                seat.put(&enrolment.account, enrolment.seed)?;
                told(&context, seat, enrolment);
                seat.prove(enrolment)?;
            }
            if matches!(backup, Backup::In(_)) {
                break;
            }
        }
    }
    Ok(())
}

fn told(context: &Context, seat: &Seat, enrolment: &Enrolment<'_>) {
    let text = format!("{} is on {}.", shown(&enrolment.account), seat.key.named());
    context.attendant.notice(Notice::Told(text));
}

/// Enables the device with two codes of the key that is plugged in, or of the vault's seed.
fn enabled(user: &mut User, enrolment: &Enrolment<'_>, seat: Option<&Seat>) -> Result<(), Error> {
    let context = user.context.clone();
    let serial = enrolment.serial.clone();
    let mut turn = pair::turn(&context, serial.as_str(), "enroll", enrolment.profile)?;
    let mut tried_before = false;
    loop {
        if seat.is_some() {
            let text = "AWS wants two codes in a row, so two touches.".into();
            context.attendant.notice(Notice::Told(text));
        }
        let pair = Pair::of(&context, None, |step| match seat {
            Some(seat) => {
                let code =
                    pair::touched(&seat.context, &seat.key, enrolment.profile, &enrolment.account, step)?;
                seat::same(&seat.key, enrolment.seed, step, &code).map(|()| code)
            }
            None => software::code(enrolment.seed.expose_secret(), step)
                .map_err(|why| Error::Seed(why.to_string())),
        })?;
        // Before the codes leave: AWS may take them and the answer get lost.
        turn.spend(pair.last, context.attendant.as_ref());
        let (name, [first, second]) = (user.name.clone(), &pair.codes);
        match user.call(async |iam| iam.enable_device(&name, &serial, [first, second]).await) {
            Err(Error::Iam(IamError::CodesRefused)) if !tried_before => {
                let text = "AWS refused the two codes; trying once more with the next ones".into();
                context.attendant.notice(Notice::Warning(text));
                tried_before = true;
            }
            enabled => return enabled,
        }
    }
}

/// A virtual token keeps seeds in plain text: not those of real devices, unless that was said aloud.
fn refuse_mock(context: &Context, user: &User, asked: &Enroll) -> Result<(), Error> {
    let mock = matches!(context.any_reader(), Reader::Mock(_))
        || asked.backup.iter().any(|b| b.starts_with("mock:"));
    let local = user.endpoint().is_some_and(Endpoint::is_loopback);
    if !mock || local || context.options.allow_mock_on_aws || asked.no_key {
        return Ok(());
    }
    Err(Error::MockOnAws { endpoint: user.endpoint().map_or("AWS".into(), |at| at.as_str().to_owned()) })
}
