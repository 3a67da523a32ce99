//! `onetap policy check`: what refuses a session without MFA, and the traps.

use std::path::Path;

use serde::Serialize;

use crate::attendant::Notice;
use crate::cli::Check;
use crate::error::Error;
use crate::error::iam::UserError;
use crate::iam::{Document, Iam};
use crate::policy::Holder;
use crate::policy::reading::{ANY, Answer, Policy, Request, passes};
use crate::policy::trap::{Kind, Trap, traps};

use super::super::user::User;
use super::super::{Context, print};
use super::simulated::{Simulation, adds_a_device};
use super::{holder, read_actions};

/// Longer than any policy: IAM takes 6,144 characters, and blanks do not count.
const LONGEST: u64 = 1 << 20;

/// What was found, in the words of `--json`.
#[derive(Serialize)]
struct Report {
    ok: bool,
    actions: Vec<Verdict>,
    traps: Vec<Told>,
}

#[derive(Serialize)]
struct Verdict {
    action: String,
    /// Whether a request without MFA passes: `yes`, `no`, `depends`.
    without_mfa: &'static str,
    with_mfa: &'static str,
    /// The policies that ask for MFA before this action.
    asked_by: Vec<String>,
    /// Who says so: IAM's `simulation`, or `reading` the policies.
    told_by: &'static str,
}

#[derive(Serialize)]
struct Told {
    trap: &'static str,
    at: String,
    fact: String,
}

pub(super) fn run(context: &Context, check: &Check) -> Result<(), Error> {
    let actions = read_actions(&check.actions)?;
    let names: Vec<_> = actions.iter().map(ToString::to_string).collect();
    let subject = if check.file.is_empty() { asked(context, check, &names)? } else { given(context, check)? };
    let found = subject.traps();
    let verdicts: Vec<_> = names.into_iter().map(|action| subject.verdict(context, action)).collect();
    let holes = found.iter().filter(|trap| trap.kind.is_hole()).count();
    let report = Report { ok: holes == 0, actions: verdicts, traps: found.iter().map(told).collect() };
    let text = if check.json {
        serde_json::to_string(&report).map_err(|error| Error::Output(error.to_string()))?
    } else {
        table(&report)
    };
    print(format!("{}\n", text.trim_end()).as_bytes())?;
    if holes == 0 { Ok(()) } else { Err(Error::Traps(holes)) }
}

/// Whose policies are looked at, and which they are.
struct Subject {
    identity: Vec<Policy>,
    boundary: Option<Policy>,
    own: String,
    device: String,
    simulation: Option<Simulation>,
    /// The policies themselves stayed hidden, and IAM told whether a device can be added without MFA.
    hidden: Option<bool>,
}

impl Subject {
    fn traps(&self) -> Vec<Trap> {
        match self.hidden {
            None => traps(&self.identity, self.boundary.as_ref(), &self.own, &self.device),
            Some(true) => vec![Trap { at: String::new(), kind: Kind::Device }],
            Some(false) => Vec::new(),
        }
    }

    /// What reading says for certain, IAM's simulation corrects. What depends on a resource, it cannot know.
    fn verdict(&self, context: &Context, action: String) -> Verdict {
        let mut told_by = "reading";
        let mut differs = false;
        let mut passes = |request| {
            let told = self.simulation.as_ref().and_then(|all| all.answer(&action, request));
            let read = match self.hidden {
                None => passes(&self.identity, self.boundary.as_ref(), &action, ANY, request),
                Some(_) => return told.unwrap_or(Answer::Open),
            };
            match told {
                Some(told) if read != Answer::Open => {
                    told_by = "simulation";
                    differs |= told != read;
                    told
                }
                _ => read,
            }
        };
        let without = worst(passes(Request::LongTermKey), passes(Request::WithoutMfa));
        let with = passes(Request::WithMfa);
        if differs {
            let text = format!(
                "IAM's simulation of {action} says otherwise than the policies: something counts that they do not show, \
                 such as a service control policy"
            );
            context.attendant.notice(Notice::Warning(text));
        }
        let all = self.identity.iter().chain(self.boundary.as_ref());
        let asked_by =
            all.filter(|policy| policy.asks_for_mfa(&action, ANY)).map(|policy| policy.name.clone());
        Verdict {
            without_mfa: word(without),
            with_mfa: word(with),
            asked_by: asked_by.collect(),
            told_by: if self.hidden.is_some() { "simulation" } else { told_by },
            action,
        }
    }
}

/// What IAM says of the profile's user; with MFA where IAM wants it.
fn asked(context: &Context, check: &Check, actions: &[String]) -> Result<Subject, Error> {
    if check.boundary.is_some() || check.whose.user.is_some() || check.whose.account.is_some() {
        let rule = "--boundary, --user and --account go with --file; without it IAM is asked about the profile's user";
        return Err(Error::Usage(rule.into()));
    }
    let mut user = User::of(context, &context.named(check.whose.profile.clone())?, "policy check")?;
    let name = user.name.clone();
    let device = format!("{}mfa/{name}", user.root());
    let policies = user.call(async |iam: &Iam| iam.policies(&name).await);
    let simulation = Simulation::of(&user, actions);
    let policies = match (policies, &simulation) {
        (Err(Error::User(UserError::Denied { action, .. })), Some(_)) => {
            let text = format!(
                "AWS refuses iam:{action}: the policies cannot be read, so that IAM's simulation alone is told, and \
                 traps in single policies are not"
            );
            context.attendant.notice(Notice::Warning(text));
            let hidden = Some(adds_a_device(&user, &device)?);
            let own = user.identity.arn.clone();
            return Ok(Subject { identity: vec![], boundary: None, own, device, simulation, hidden });
        }
        (policies, _) => policies?,
    };
    let read = |document: &Document| {
        Policy::read(&document.name, &document.json, Some(&name))
            .map_err(|error| Error::Usage(error.to_string()))
    };
    Ok(Subject {
        identity: policies.identity.iter().map(read).collect::<Result<_, _>>()?,
        boundary: policies.boundary.as_ref().map(read).transpose()?,
        device,
        own: user.identity.arn.clone(),
        simulation,
        hidden: None,
    })
}

/// The documents in files.
fn given(context: &Context, check: &Check) -> Result<Subject, Error> {
    let whose = &check.whose;
    let named = whose.user.is_some() || whose.profile.is_some();
    let holder = if named { Some(holder(context, whose)?) } else { None };
    let user = holder.as_ref().filter(|holder| !holder.is_whoever()).map(Holder::name);
    let read = |path: &Path| read(path, user);
    let identity = check.file.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let boundary = check.boundary.as_deref().map(read).transpose()?;
    let (own, device) = match holder.as_ref().filter(|holder| !holder.is_whoever()) {
        Some(holder) => (holder.user_arn(), holder.arn("mfa", holder.name())),
        None => (ANY.into(), ANY.into()),
    };
    Ok(Subject { identity, boundary, own, device, simulation: None, hidden: None })
}

fn told(trap: &Trap) -> Told {
    let at = if trap.at.is_empty() { "all policies together" } else { &trap.at };
    Told { trap: trap.kind.word(), at: at.into(), fact: trap.kind.to_string() }
}

/// A thief has the choice.
fn worst(one: Answer, other: Answer) -> Answer {
    match (one, other) {
        (Answer::Yes, _) | (_, Answer::Yes) => Answer::Yes,
        (Answer::No, Answer::No) => Answer::No,
        _ => Answer::Open,
    }
}

fn word(answer: Answer) -> &'static str {
    match answer {
        Answer::No => "no",
        Answer::Open => "depends",
        Answer::Yes => "yes",
    }
}

fn table(report: &Report) -> String {
    let mut lines = vec![format!("{:<32} {:<11} {:<8} {}", "ACTION", "WITHOUT MFA", "WITH MFA", "ASKED BY")];
    for verdict in &report.actions {
        let asked = if verdict.asked_by.is_empty() { "-".into() } else { verdict.asked_by.join(", ") };
        lines.push(format!(
            "{:<32} {:<11} {:<8} {asked}",
            verdict.action, verdict.without_mfa, verdict.with_mfa
        ));
    }
    for trap in &report.traps {
        lines.push(format!("{}: {}", trap.at, trap.fact));
    }
    let text = lines.join("\n");
    // A statement's name is somebody else's text.
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

fn read(path: &Path, user: Option<&str>) -> Result<Policy, Error> {
    let refused =
        |reason: String| Error::Usage(format!("the policy {} cannot be read: {reason}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| refused(error.to_string()))?.len();
    if size > LONGEST {
        return Err(refused("it is too long for a policy".into()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    let name = path
        .file_name()
        .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    Policy::read(&name, &text, user).map_err(|error| Error::Usage(error.to_string()))
}
