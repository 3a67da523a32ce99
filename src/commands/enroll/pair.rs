//! The codes of two steps in a row, which EnableMFADevice and ResyncMFADevice want.
//!
//! A key computes the code of any step, so that nobody waits half a minute for the second one: the previous step's and
//! the current one's are taken. AWS looks one step to either side of its own.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use secrecy::ExposeSecret as _;

use crate::attendant::{Notice, until_touched};
use crate::code::{Code, CodeError, PERIOD, TimeStep};
use crate::error::Error;
use crate::oath::OathError;
use crate::turn::{Holder, Turn};

use super::super::token::Key;
use super::super::{Context, block_on};

/// With less than this left of a step, the next one is waited for: two touches take a while.
const ROOM: Duration = Duration::from_secs(10);
/// How long the codes may be on their way.
const ON_THE_WAY: Duration = Duration::from_secs(2);
/// A key without touch answers faster, and is not announced.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long a key blinks before it gives up by itself.
const KEYS_PATIENCE: Duration = Duration::from_secs(15);

/// Two codes and the step of the second.
pub(in super::super) struct Pair {
    pub(in super::super) codes: [Code; 2],
    pub(in super::super) last: TimeStep,
}

impl Pair {
    /// Two codes, each from `code`; the first one's step lies behind `spent`. Blocks until the step has room for both.
    pub(in super::super) fn of(
        context: &Context,
        spent: Option<TimeStep>,
        mut code: impl FnMut(TimeStep) -> Result<Code, Error>,
    ) -> Result<Self, Error> {
        let mut step = room(context, spent);
        let mut first = code(before(step))?;
        loop {
            let second = code(step)?;
            let arrives = context.clock.now().checked_add(ON_THE_WAY).unwrap_or(UNIX_EPOCH);
            if TimeStep::at(arrives) <= step {
                return Ok(Self { codes: [first, second], last: step });
            }
            // The touches took so long that AWS is a step further: one more code, and the first is not needed.
            first = second;
            step = step.next();
        }
    }
}

fn before(step: TimeStep) -> TimeStep {
    TimeStep(step.0.saturating_sub(1))
}

/// Waits until a step has begun whose code, and that of the step before, are unused, with time left for two touches.
fn room(context: &Context, spent: Option<TimeStep>) -> TimeStep {
    let mut said = false;
    loop {
        let now = context.clock.now();
        let step = TimeStep::at(now);
        let begins = match spent.filter(|spent| before(step) <= *spent) {
            Some(spent) => spent.next().next().begins(),
            None if left(step, now) >= ROOM => {
                context.attendant.notice(Notice::StepWait { left: 0 });
                return step;
            }
            None => step.next().begins(),
        };
        let wait = begins.duration_since(now).unwrap_or_default();
        if !std::mem::replace(&mut said, true) {
            let text = format!("Waiting {} s for the next codes.", wait.as_secs().saturating_add(1));
            context.attendant.notice(Notice::Told(text));
        }
        std::thread::sleep(wait.min(Duration::from_secs(PERIOD)));
    }
}

fn left(step: TimeStep, now: SystemTime) -> Duration {
    step.next().begins().duration_since(now).unwrap_or_default()
}

/// One code of an account on a key, with its touch announced.
pub(in super::super) fn touched(
    context: &Context,
    key: &Key,
    profile: &str,
    account: &str,
    step: TimeStep,
) -> Result<Code, Error> {
    let context = context.anew();
    let wanted = Notice::TouchWanted {
        account: account.into(),
        key: key.serial().map(|serial| serial.to_string()),
        profile: Some(profile.into()),
    };
    let too_late = context.deadline.min(Instant::now() + KEYS_PATIENCE);
    let code = key.work_until_touched(&context, |applet| {
        let work = || applet.calculate(account, step.0);
        until_touched(context.attendant.as_ref(), PATIENCE, too_late, wanted, work)
    })?;
    let code = Code::parse(code.text().expose_secret());
    Ok(code.ok_or(CodeError::from(OathError::Malformed("its code has not six digits")))?)
}

/// The turn of a device, so that no other process spends its codes meanwhile.
pub(in super::super) fn turn(
    context: &Context,
    serial: &str,
    verb: &str,
    profile: &str,
) -> Result<Turn, Error> {
    let holder = Holder {
        pid: std::process::id(),
        verb: verb.into(),
        profile: profile.into(),
        since: context.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
    };
    let context = context.anew();
    let folder = context.places.turns();
    let take = Turn::take(&folder, serial, holder, context.deadline, context.attendant.as_ref());
    block_on(async { Ok(take.await?) })
}
