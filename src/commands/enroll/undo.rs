//! Taking back what an enrolment has made: by the run that failed, or by the next one.

use crate::attendant::Notice;
use crate::error::Error;
use crate::iam::IamError;
use crate::vault::Entry;

use super::super::token::shown;
use super::super::user::User;
use super::Unfinished;
use super::seat::Seat;

/// Where an earlier run stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Enabled,
    Gone,
}

/// Whether the device of an earlier run is enabled; if not, it is deleted now. IAM refuses to delete one that is enabled.
pub(super) fn settled(user: &mut User, left: &Unfinished) -> Result<Settled, Error> {
    let serial = left.serial.clone();
    match user.call(async |iam| iam.delete_device(&serial).await) {
        Err(Error::Iam(IamError::InUse)) => {
            let text = format!("{serial} was enabled by an earlier run; completing it.");
            user.context.attendant.notice(Notice::Told(text));
            return Ok(Settled::Enabled);
        }
        Ok(()) => {
            let text = format!("Deleted {serial}, which an earlier run left unfinished.");
            user.context.attendant.notice(Notice::Told(text));
        }
        Err(Error::Iam(IamError::Gone(_))) => {}
        Err(error) => return Err(error),
    }
    if left.software {
        user.context.vault()?.remove(&Entry::Seed(user.profile.clone()))?;
    }
    Ok(Settled::Gone)
}

/// Takes back what was made, and says what could not be: the next run does that.
pub(super) fn take_back(user: &mut User, record: &Unfinished, seats: &[Seat], error: Error) -> Error {
    let context = user.context.clone();
    let warn = |text: String| context.attendant.notice(Notice::Warning(text));
    if let Error::Iam(IamError::Network(_) | IamError::TryAgain(_)) = error {
        warn("what was made is completed or taken back by the next run".into());
        return error;
    }
    let serial = &record.serial;
    match user.call(async |iam| iam.delete_device(serial).await) {
        Ok(()) | Err(Error::Iam(IamError::Gone(_))) => {}
        Err(why) => {
            warn(format!("{serial} could not be deleted; the next run tries again: {why}"));
            return error;
        }
    }
    for seat in seats {
        let held = seat.key.work(&seat.context.anew(), |applet| applet.list());
        if held.is_ok_and(|held| held.iter().any(|account| account.id == record.account))
            && let Err(why) = seat.remove(&record.account)
        {
            warn(format!(
                "{} still holds {}, which is of no use: {why}",
                seat.key.named(),
                shown(&record.account)
            ));
        }
    }
    let forgotten = match record.software {
        true => context.vault().and_then(|vault| Ok(vault.remove(&Entry::Seed(user.profile.clone()))?)),
        false => Ok(()),
    };
    if let Err(why) = forgotten.and_then(|()| Unfinished::forget(&context, &user.profile)) {
        warn(format!("the next run cleans up: {why}"));
    }
    error
}
