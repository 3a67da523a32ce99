//! `onetap resync`: ResyncMFADevice, with two codes in a row from whoever gives the profile's codes.

use crate::attendant::{Echo, Notice};
use crate::code::{Code, CodeError, TimeStep};
use crate::error::Error;
use crate::plan::SourceName;

use super::enroll::pair::{self, Pair};
use super::token::ask;
use super::user::User;
use super::{Context, print};

pub(super) fn run(context: &Context, profile: &str) -> Result<(), Error> {
    let profiles = context.profiles()?;
    let plan = context.plan(&profiles, profile)?;
    let mfa = plan.device().map_err(|error| super::located(&profiles, error))?.clone();
    context.refuse_mock_on_aws(&plan)?;
    let mut user = User::of(context, profile, "resync")?;
    user.without = Some(mfa.serial.to_string());
    let context = user.context.clone();
    let mut turn = pair::turn(&context, mfa.serial.as_str(), "resync", profile)?;
    let pair = match mfa.codes.as_slice() {
        [SourceName::Prompt] => typed(&context, mfa.serial.as_str())?,
        _ => {
            let sources = context.sources(&plan, &context.vault()?);
            let spent = turn.spent(TimeStep::at(context.clock.now()));
            context.attendant.notice(Notice::Told("AWS wants two codes in a row.".into()));
            Pair::of(&context, spent, |step| first_of(&context, &sources, step))?
        }
    };
    turn.spend(pair.last, context.attendant.as_ref());
    let (name, [first, second]) = (user.name.clone(), &pair.codes);
    user.call(async |iam| iam.resync_device(&name, &mfa.serial, [first, second]).await)?;
    print(format!("{} is in step again.\n", mfa.serial).as_bytes())
}

/// The code of the first source that serves.
fn first_of(
    context: &Context,
    sources: &[std::sync::Arc<dyn crate::code::CodeSource>],
    step: TimeStep,
) -> Result<Code, Error> {
    let context = context.anew();
    let mut absent: Option<CodeError> = None;
    for source in sources {
        match source.code(step, context.deadline, context.attendant.as_ref()) {
            Ok(code) => return Ok(code),
            Err(error) if error.is_absence() => drop(absent.get_or_insert(error)),
            Err(error) => return Err(error.into()),
        }
    }
    Err(absent.map_or_else(|| Error::Usage("no source of codes is named".into()), Error::from))
}

/// Two codes that a person reads off a display.
fn typed(context: &Context, device: &str) -> Result<Pair, Error> {
    let code = |which: &str| {
        let answer = ask(&context.anew(), &format!("{which} for {device}"), Echo::Shown)?;
        let code = Code::parse(secrecy::ExposeSecret::expose_secret(&answer));
        Ok::<_, Error>(code.ok_or(CodeError::NotACode)?)
    };
    let codes = [code("Code")?, code("The next code, once it is shown,")?];
    Ok(Pair { codes, last: TimeStep::at(context.clock.now()) })
}
