//! `onetap add`: a user's long-term key into the vault, the profile into `~/.aws/config`.
//!
//! Asks everything, proves the key, and only then writes.

use secrecy::SecretString;

use crate::attendant::{Echo, Notice, Question};
use crate::cli::Add;
use crate::error::Error;
use crate::keys::AccessKey;
use crate::plan::{self, MfaSerial, Network, Partition, View};
use crate::profiles::Profiles;
use crate::session::store::Kept;
use crate::sts::{Identity, Signer, Sts};

use super::{Context, auto, block_on, config_file, located, print};

mod device;
mod plain;
mod source;

use device::Device;

pub(super) fn run(context: &Context, add: &Add) -> Result<(), Error> {
    let name = add.profile.as_str();
    well_named(name)?;
    let profiles = context.profiles()?;
    let kind = context.vault_kind()?;
    let given = Device::given(&profiles, add)?;
    if let Some(region) = add.region.as_deref().filter(|region| Partition::of_region(region).is_none()) {
        return Err(Error::Usage(format!("{region:?} is not the name of a region, such as eu-west-1")));
    }
    if given.is_none() && !context.attendant.may_ask() {
        // Before AWS is asked about the key: its answer would only serve a question.
        return Err(device::none(None));
    }
    let key = source::key(context, &profiles, add)?;
    let region = add.region.as_deref();
    let serial = given.as_ref().and_then(Device::serial);
    let prove = |key: &AccessKey| identity(context, &profiles, name, region, serial, key);
    let identity = if add.offline { None } else { Some(prove(&key)?) };
    let device = match given.clone() {
        Some(device) => device,
        None => Device::asked(context, identity.as_ref())?,
    };
    device.of_the_same_account(identity.as_ref())?;

    let vault = context.vault()?;
    key.write(vault.as_ref(), name)?;
    context.settings()?.record(kind)?;
    forget_old_key(context, name, &key)?;
    // What was found out was about the key that stood here before.
    auto::forget(context, name)?;
    write_profile(context, &profiles, add, &device)?;
    if add.import && !add.offline {
        let stored = AccessKey::read(vault.as_ref(), name)?;
        let stored = stored.ok_or_else(|| Error::NoKeys { profile: name.into() })?;
        // What is stored must serve before what it came from goes.
        prove(&stored)?;
        plain::offer(context, &profiles, name, &stored.id, add.remove_plain)?;
    }
    if let Some(path) = &add.csv {
        context.attendant.notice(Notice::Warning(format!(
            "{} still holds the key in plain text; delete it",
            path.display()
        )));
    }
    warn_of_plain_keys(context, &context.profiles()?, name);
    let owner = identity.map_or_else(String::new, |identity| format!(" of {}", identity.arn));
    let file = profiles.files().config.display();
    print(
        format!("Stored {}{owner} in the {}; [profile {name}] is in {file}.\n", key.id, kind.name())
            .as_bytes(),
    )
}

/// The characters that every SDK's parser takes in a profile's name (aws-runtime, `normalize.rs`).
fn well_named(name: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-/.%@:+".contains(c);
    if !name.is_empty() && name.chars().all(plain) {
        return Ok(());
    }
    Err(Error::Usage(format!("{name:?} cannot name a profile: only letters, digits and _-/.%@:+ can")))
}

fn ask(context: &Context, prompt: &str, echo: Echo) -> Result<SecretString, Error> {
    let question = Question { prompt: prompt.into(), echo, deadline: context.deadline };
    Ok(context.attendant.ask(question)?)
}

/// Whose key it is. GetCallerIdentity needs no permission, so that a refusal always means the key.
pub(super) fn identity(
    context: &Context,
    profiles: &Profiles,
    profile: &str,
    region: Option<&str>,
    serial: Option<&MfaSerial>,
    key: &AccessKey,
) -> Result<Identity, Error> {
    let wishes = context.wishes();
    let refused = |error| located(profiles, error);
    let own = profiles.profile(profile).map(|_| View::of(profiles, profile));
    let own = own.transpose().map_err(refused)?;
    let configured = plan::region(profiles, own.as_ref(), &wishes).map_err(refused)?;
    let region = region.map(str::to_owned).or(configured);
    let partition = serial.and_then(MfaSerial::partition);
    let network = Network::of(own.as_ref(), region.as_deref(), partition, &wishes).map_err(refused)?;
    let sts = Sts::new(&network, Signer::Key(key), context.clock.clone())?;
    block_on(async { Ok(sts.caller_identity().await?) })
}

/// A kept session of the key that stood here before must not be taken for one of the new key.
fn forget_old_key(context: &Context, profile: &str, key: &AccessKey) -> Result<(), Error> {
    if !context.places.sessions().exists() {
        return Ok(());
    }
    let store = context.store(context.vault()?);
    let replace = |kept: &mut Kept| {
        kept.access_keys.insert(profile.into(), key.id.clone());
    };
    Ok(store.update(replace, context.clock.now())?)
}

fn write_profile(context: &Context, profiles: &Profiles, add: &Add, device: &Device) -> Result<(), Error> {
    let mut keys = vec![("mfa_serial", device.text())];
    if let Some(region) = &add.region {
        keys.push(("region", region));
    }
    if let Some(account) = &add.account {
        keys.push(("onetap_account", account));
    }
    let line;
    if add.credential_process {
        line = hand_off_line(&add.profile)?;
        keys.push(("credential_process", &line));
    }
    config_file::set(context, &profiles.files().config, &add.profile, &keys)
}

/// The `credential_process` line that calls us for a profile.
pub(super) fn hand_off_line(profile: &str) -> Result<String, Error> {
    let program = std::env::current_exe()
        .map_err(|error| Error::Usage(format!("the path of onetap itself is not known: {error}")))?;
    let program = program.to_str().filter(|path| !path.contains(['"', '$', '`', '\\']) || cfg!(windows));
    let program = program.ok_or_else(|| {
        Error::Usage(
            "the path of onetap holds characters that SDKs do not pass on; write the line by hand".into(),
        )
    })?;
    // Some SDKs split the line like a shell, the others hand it to one.
    let quoted = if program.contains(' ') { format!("\"{program}\"") } else { program.into() };
    Ok(format!("{quoted} credential-process {profile}"))
}

fn warn_of_plain_keys(context: &Context, profiles: &Profiles, name: &str) {
    if profiles.profile(name).is_some_and(|profile| profile.value("aws_access_key_id").is_some()) {
        let place =
            profiles.locate(name, "aws_access_key_id").map(|place| format!(" ({place})")).unwrap_or_default();
        context.attendant.notice(Notice::Warning(format!(
            "keys of the profile {name} still stand in plain text{place}: AWS's tools prefer them, and MFA never \
             happens; remove them from that file"
        )));
    }
}
