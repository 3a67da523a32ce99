//! `onetap policy`: the document on stdout, and how it is applied on the terminal.

use std::time::Duration;

use crate::attendant::Notice;
use crate::cli::{Policy, Whose};
use crate::error::Error;
use crate::keys::AccessKey;
use crate::plan::{self, MfaSerial, Partition, View};
use crate::policy::{Action, Holder, Wanted, document};
use crate::profiles::Profiles;
use crate::session;

use super::{Context, add, located, print};

mod check;
mod simulated;

pub(super) fn run(context: &Context, policy: &Policy) -> Result<(), Error> {
    let (whose, wanted) = match policy {
        Policy::Boundary { whose } => (whose, Wanted::Boundary),
        Policy::Check(check) => return check::run(context, check),
        Policy::Guard { whose, actions } => (whose, Wanted::Guard(read_actions(actions)?)),
        Policy::Onboarding { whose, days } => {
            let length = Duration::from_secs(days.saturating_mul(86_400));
            let until = context.clock.now().checked_add(length);
            let until = until.ok_or_else(|| Error::Usage("no clock goes that far".into()))?;
            (whose, Wanted::Onboarding { until: session::time_text(until) })
        }
        Policy::Permanent { whose } => (whose, Wanted::Permanent),
        Policy::Revoke { whose } => {
            (whose, Wanted::Revoke { before: session::time_text(context.clock.now()) })
        }
    };
    let holder = holder(context, whose)?;
    let text = serde_json::to_string_pretty(&document(&wanted, &holder));
    let text = text.map_err(|error| Error::Output(error.to_string()))?;
    print(format!("{text}\n").as_bytes())?;
    for line in applied(&wanted, &holder) {
        context.attendant.notice(Notice::Told(line));
    }
    Ok(())
}

fn read_actions(texts: &[String]) -> Result<Vec<Action>, Error> {
    let read = |text: &String| {
        Action::parse(text).ok_or_else(|| {
            Error::Usage(format!("{text:?} is no action, such as ec2:StopInstances or s3:Delete*"))
        })
    };
    texts.iter().map(read).collect()
}

/// The user that is meant: what was given, else what the profile tells, else what STS tells of the profile's key.
fn holder(context: &Context, whose: &Whose) -> Result<Holder, Error> {
    let profiles = context.profiles()?;
    let named = whose.profile.clone().or_else(|| context.variable("AWS_PROFILE"));
    let told = match (&named, &whose.profile) {
        (Some(name), _) if profiles.profile(name).is_some() => serial(&profiles, name)?,
        // A profile that was named must be there; the variable may be about something else.
        (Some(name), Some(_)) => {
            plan::named(&profiles, name).map_err(|error| located(&profiles, error))?;
            None
        }
        _ => None,
    };
    let region = context.wishes().region;
    let partition = told.as_ref().and_then(MfaSerial::partition);
    let partition = partition.or_else(|| Partition::of_region(&region.as_ref()?.1));
    let account = whose.account.clone().or_else(|| Some(told.as_ref()?.account()?.to_owned()));
    let made = match (account, whose.user.clone()) {
        (Some(account), Some(user)) => Holder::new(partition.unwrap_or(Partition::Aws), &account, &user),
        (account, user) => {
            let name = named.ok_or_else(|| {
                Error::Usage("name the profile whose user is meant, or both --account and --user".into())
            })?;
            let key = AccessKey::read(context.vault()?.as_ref(), &name)?
                .ok_or_else(|| Error::NoKeys { profile: name.clone() })?;
            let identity = add::identity(context, &profiles, &name, None, told.as_ref(), &key)?;
            let (partition, own) = owner(&identity.arn)?;
            Holder::new(partition, &account.unwrap_or(identity.account), &user.unwrap_or(own))
        }
    };
    made.map_err(|error| Error::Usage(error.to_string()))
}

fn serial(profiles: &Profiles, name: &str) -> Result<Option<MfaSerial>, Error> {
    let view = View::of(profiles, name).map_err(|error| located(profiles, error))?;
    Ok(view.value("mfa_serial").and_then(|text| text.parse().ok()))
}

/// The partition, and the user's name with its path, of `arn:PARTITION:iam::ACCOUNT:user/NAME`.
fn owner(arn: &str) -> Result<(Partition, String), Error> {
    let partition = arn.split(':').nth(1).and_then(Partition::named);
    match (partition, arn.split_once(":user/")) {
        (Some(partition), Some((_, user))) => Ok((partition, user.into())),
        _ => Err(Error::Usage(format!("the key belongs to {arn}, and only an IAM user has such policies"))),
    }
}

/// How the document is put to use, a line each.
fn applied(wanted: &Wanted, holder: &Holder) -> Vec<String> {
    let (word, file) = match wanted {
        Wanted::Boundary => ("boundary", "file://boundary.json"),
        Wanted::Guard(_) => ("guard", "file://guard.json"),
        Wanted::Onboarding { .. } => ("onboarding", "file://onboarding.json"),
        Wanted::Permanent => ("permanent", "file://permanent.json"),
        Wanted::Revoke { .. } => ("revoke", "file://revoke.json"),
    };
    let name = format!("onetap-{word}");
    let (kind, who) = match holder.is_whoever() {
        true => ("group", "--group-name GROUP".to_owned()),
        false => ("user", format!("--user-name {}", holder.name())),
    };
    let put = format!("aws iam put-{kind}-policy {who} --policy-name {name} --policy-document {file}");
    let delete = format!("aws iam delete-{kind}-policy {who} --policy-name {name}");
    let first = format!("Keep it in {word}.json; an administrator then runs:");
    match wanted {
        Wanted::Boundary => {
            let (user, name) = match holder.is_whoever() {
                true => ("USER", name),
                false => (holder.name(), format!("{name}-{}", holder.name())),
            };
            vec![
                first,
                format!("aws iam create-policy --policy-name {name} --policy-document {file}"),
                format!(
                    "aws iam put-user-permissions-boundary --user-name {user} --permissions-boundary {}",
                    holder.arn("policy", &name)
                ),
                "A boundary grants nothing: the user's own policies still say what is allowed. Enrol the device first."
                    .into(),
            ]
        }
        Wanted::Guard(_) => vec![first, put],
        Wanted::Onboarding { until } => vec![
            first,
            put,
            format!("It ends by itself at {until}. As soon as the device is enrolled:"),
            delete,
            "As long as it is there, whoever has the access key can add a device. A permissions boundary that asks for \
             MFA forbids the enrolment all the same: set the boundary afterwards."
                .into(),
        ],
        Wanted::Permanent => vec![first, put, "Enrol the device first: this forbids it without MFA.".into()],
        Wanted::Revoke { before } => vec![
            first,
            put,
            format!("It ends what was made before {before}, your own sessions too: run `onetap clear`."),
            "Sessions live up to 36 hours, and rotating or deleting the access key is not to be relied on to end them; \
             this does. If the access key may be stolen too, deactivate it as well."
                .into(),
            format!("After 36 hours it can go: {delete}"),
        ],
    }
}
