//! What the stand-in remembers: users, sessions, codes used, instances, and what was asked of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::http::Request;
use super::iam::{self, Context, Key, Policy, Verdict};
use super::refusal::Refusal;
use super::signature::Claim;
use super::totp::{Codes, PERIOD};
use super::world::{self, Device, User, World};
use super::xml::Service;
use super::{Fault, Seen, Unfit, clock};

/// Everything behind the server's one lock.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) account: String,
    pub(crate) partition: String,
    pub(crate) instances: Vec<Instance>,
    pub(crate) seen: Vec<Seen>,
    pub(crate) faults: Vec<(String, Fault)>,
    /// Seconds that the server's clock is ahead of the machine's.
    pub(crate) shift: i64,
    /// The longest life that a session is given.
    pub(crate) cap: Option<Duration>,
    disabled_regions: Vec<String>,
    people: Vec<Arc<Person>>,
    sessions: Vec<Kept>,
    /// The last used step of each device.
    used: BTreeMap<String, i64>,
}

/// A user whose policies were understood.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) user: User,
    pub(crate) user_id: String,
    pub(crate) arn: String,
    policies: Vec<Policy>,
    boundary: Option<Policy>,
}

/// An EC2 instance.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) stopping: bool,
}

struct Kept {
    access_key_id: String,
    secret: String,
    token: String,
    person: Arc<Person>,
    facts: SessionFacts,
    expires: i64,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kept({})", self.access_key_id)
    }
}

/// What a session says about how it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionFacts {
    issued: i64,
    with_code: bool,
}

/// Who signed a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) person: Arc<Person>,
    pub(crate) session: Option<SessionFacts>,
}

/// Temporary credentials as they are handed out.
pub(crate) struct Granted {
    pub(crate) access_key_id: String,
    pub(crate) secret: String,
    pub(crate) token: String,
    pub(crate) expires: i64,
}

impl State {
    /// Loads a world; every policy and every seed in it must be understood.
    pub(crate) fn load(world: World) -> Result<Self, Unfit> {
        let World { account, disabled_regions, instances, partition, users } = world;
        let mut people = Vec::new();
        for user in users {
            for device in user.devices.iter().filter(|device| device.makes_codes()) {
                Codes::around(0, &device.seed_base32)
                    .map_err(|error| Unfit::Device { serial: device.serial.clone(), error })?;
            }
            let unfit = |error| Unfit::Policy { user: user.name.clone(), error };
            let policies = user.policies.iter().map(Policy::load).collect::<Result<_, _>>().map_err(unfit)?;
            let boundary = user.boundary.as_ref().map(Policy::load).transpose().map_err(unfit)?;
            let (user_id, arn) = match user.root {
                true => (account.clone(), format!("arn:{partition}:iam::{account}:root")),
                false => {
                    (world::key_id("AIDA"), format!("arn:{partition}:iam::{account}:user/{}", user.name))
                }
            };
            people.push(Arc::new(Person { user, user_id, arn, policies, boundary }));
        }
        Ok(Self {
            account,
            partition,
            instances: instances.into_iter().map(|id| Instance { id, stopping: false }).collect(),
            seen: Vec::new(),
            faults: Vec::new(),
            shift: 0,
            cap: None,
            disabled_regions,
            people,
            sessions: Vec::new(),
            used: BTreeMap::new(),
        })
    }

    /// The server's time, in Unix seconds.
    pub(crate) fn now(&self) -> i64 {
        clock::machine().saturating_add(self.shift)
    }

    /// Takes the next fault planned for an action.
    pub(crate) fn fault(&mut self, action: &str) -> Option<Fault> {
        let place = self.faults.iter().position(|(planned, _)| planned == action)?;
        Some(self.faults.remove(place).1)
    }

    /// Who signed this request, if it is genuine, timely, and signed for this service.
    pub(crate) fn caller(
        &self,
        request: &Request,
        claim: &Claim,
        service: Service,
        now: i64,
    ) -> Result<Caller, Refusal> {
        claim.fits(service.name(), &self.partition)?;
        let token = request.header("x-amz-security-token");
        let session = self.sessions.iter().find(|kept| kept.access_key_id == claim.access_key_id);
        let caller = match session {
            Some(kept) => {
                claim.timely(now)?;
                if token != Some(kept.token.as_str()) {
                    return Err(Refusal::UnknownKey);
                }
                if kept.expires <= now {
                    return Err(Refusal::Ended);
                }
                claim.genuine(request, &kept.secret)?;
                Caller { person: Arc::clone(&kept.person), session: Some(kept.facts) }
            }
            None => {
                let mut people = self.people.iter();
                let person = people
                    .find(|person| person.user.access_key_id == claim.access_key_id)
                    .ok_or(Refusal::UnknownKey)?;
                claim.timely(now)?;
                if token.is_some() {
                    return Err(Refusal::UnknownKey);
                }
                claim.genuine(request, &person.user.secret_access_key)?;
                Caller { person: Arc::clone(person), session: None }
            }
        };
        match self.disabled_regions.contains(&claim.region) {
            true => Err(Refusal::RegionOff(self.account.clone())),
            false => Ok(caller),
        }
    }

    /// Asks IAM about one action on one resource.
    pub(crate) fn authorize(
        &self,
        action: &str,
        resource: &str,
        caller: &Caller,
        now: i64,
    ) -> Result<(), Refusal> {
        let person = &caller.person;
        if person.user.root {
            return Ok(());
        }
        let context = caller.context(now);
        match iam::evaluate(action, resource, &person.policies, person.boundary.as_ref(), &context) {
            Verdict::Allowed => Ok(()),
            Verdict::Denied(why) => Err(Refusal::NotAuthorized(format!(
                "You are not authorized to perform this operation. User: {} is not authorized to perform: {action} \
                 on resource: {resource} {}",
                person.arn,
                why.told(action)
            ))),
        }
    }

    /// Checks a one-time code and marks its step as used. The step is told also where it was used before.
    pub(crate) fn spend(
        &mut self,
        person: &Person,
        serial: &str,
        code: &str,
        now: i64,
    ) -> (Option<i64>, Result<(), Refusal>) {
        let mut devices = person.user.devices.iter();
        let Some(device) = devices.find(|device| device.serial == serial && device.makes_codes()) else {
            return (None, Err(Refusal::UNKNOWN_DEVICE));
        };
        let codes = match Codes::around(now.div_euclid(PERIOD), &device.seed_base32) {
            Ok(codes) => codes,
            Err(error) => return (None, Err(Refusal::Internal(error.to_string()))),
        };
        let Some(step) = codes.step(code) else {
            return (None, Err(Refusal::WRONG_CODE));
        };
        if self.used.get(serial).is_some_and(|last| *last >= step) {
            return (Some(step), Err(Refusal::WRONG_CODE));
        }
        self.used.insert(serial.to_owned(), step);
        (Some(step), Ok(()))
    }

    /// Marks a step of a device as used elsewhere.
    pub(crate) fn mark_used(&mut self, serial: &str, step: i64) {
        let last = self.used.entry(serial.to_owned()).or_insert(step);
        *last = step.max(*last);
    }

    /// The device of that serial, whoever owns it.
    pub(crate) fn device(&self, serial: &str) -> Option<&Device> {
        self.people.iter().flat_map(|person| &person.user.devices).find(|device| device.serial == serial)
    }

    /// Makes a session that lives `life` seconds, or less where sessions were shortened.
    pub(crate) fn grant(&mut self, person: &Arc<Person>, with_code: bool, life: i64, now: i64) -> Granted {
        let cap = self.cap.map_or(i64::MAX, |cap| i64::try_from(cap.as_secs()).unwrap_or(i64::MAX));
        let granted = Granted {
            access_key_id: world::key_id("ASIA"),
            secret: world::secret(),
            token: world::token(),
            expires: now.saturating_add(life.min(cap)),
        };
        self.sessions.push(Kept {
            access_key_id: granted.access_key_id.clone(),
            secret: granted.secret.clone(),
            token: granted.token.clone(),
            person: Arc::clone(person),
            facts: SessionFacts { issued: now, with_code },
            expires: granted.expires,
        });
        granted
    }

    /// Ends every session now.
    pub(crate) fn end_sessions(&mut self) {
        self.sessions.iter_mut().for_each(|kept| kept.expires = i64::MIN);
    }
}

impl Caller {
    /// What conditions may ask about the caller.
    fn context(&self, now: i64) -> Context {
        let mut context = Context::default()
            .with(Key::CurrentTime, clock::iso(now))
            .with(Key::UserId, &self.person.user_id)
            .with(Key::UserName, &self.person.user.name);
        if let Some(SessionFacts { issued, with_code }) = self.session {
            context = context
                .with(Key::MultiFactorAuthPresent, with_code.to_string())
                .with(Key::TokenIssueTime, clock::iso(issued));
            if with_code {
                let age = now.saturating_sub(issued).max(0);
                context = context.with(Key::MultiFactorAuthAge, age.to_string());
            }
        }
        context
    }
}
