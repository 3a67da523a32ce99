//! What the stand-in remembers: users, sessions, codes used, instances, and what was asked of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::caller::{Caller, Part, Person, Principal, SessionFacts};
use super::http::Request;
use super::iam::{self, Context, Policy, Verdict};
use super::refusal::Refusal;
use super::session::{Granted, Owner, Sessions};
use super::signature::Claim;
use super::totp::{Codes, PERIOD};
use super::world::{self, Device, WebIdentity, World};
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
    pub(crate) parts: Vec<Arc<Part>>,
    pub(crate) sessions: Sessions,
    pub(crate) web_identities: Vec<WebIdentity>,
    /// The last used step of each device.
    used: BTreeMap<String, i64>,
}

/// An EC2 instance.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) stopping: bool,
}

impl State {
    /// Loads a world; every policy and every seed in it must be understood.
    pub(crate) fn load(world: World) -> Result<Self, Unfit> {
        let World { account, disabled_regions, instances, partition, roles, users, web_identities } = world;
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
        let mut parts = Vec::new();
        for role in roles {
            let unfit = |error| Unfit::Role { role: role.name.clone(), error };
            let trust = Policy::load_trust(&role.trust).map_err(unfit)?;
            let policies = role.policies.iter().map(Policy::load).collect::<Result<_, _>>().map_err(unfit)?;
            let (role_id, arn) = (world::key_id("AROA"), role.arn_in(&partition));
            parts.push(Arc::new(Part { role, role_id, arn, trust, policies }));
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
            parts,
            sessions: Sessions::default(),
            web_identities,
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
        let caller = match self.sessions.find(&claim.access_key_id) {
            Some(kept) => {
                claim.timely(now)?;
                if token != Some(kept.token.as_str()) {
                    return Err(Refusal::UnknownKey);
                }
                if kept.expires <= now {
                    return Err(Refusal::Ended);
                }
                claim.genuine(request, &kept.secret)?;
                self.owner(&kept.owner, kept.facts)?
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
                let principal = Principal::User(Arc::clone(person));
                Caller { principal, account: self.account.clone(), session: None }
            }
        };
        match self.disabled_regions.contains(&claim.region) {
            true => Err(Refusal::RegionOff(self.account.clone())),
            false => Ok(caller),
        }
    }

    /// The caller that a session speaks for.
    fn owner(&self, owner: &Owner, facts: SessionFacts) -> Result<Caller, Refusal> {
        let (principal, account) = match owner {
            Owner::Role(assumed) => (Principal::Role(Arc::clone(assumed)), assumed.part.role.account.clone()),
            Owner::User(id) => {
                let found = self.people.iter().find(|person| person.user_id == *id);
                let person = found.ok_or(Refusal::UnknownKey)?;
                (Principal::User(Arc::clone(person)), self.account.clone())
            }
        };
        Ok(Caller { principal, account, session: Some(facts) })
    }

    /// Asks IAM about one action on one resource.
    pub(crate) fn authorize(
        &self,
        action: &str,
        resource: &str,
        caller: &Caller,
        now: i64,
    ) -> Result<(), Refusal> {
        Self::authorize_in(action, resource, caller, &caller.context(now))
    }

    /// As [`State::authorize`], in a context that knows more than the caller.
    pub(crate) fn authorize_in(
        action: &str,
        resource: &str,
        caller: &Caller,
        context: &Context,
    ) -> Result<(), Refusal> {
        if caller.is_root() {
            return Ok(());
        }
        let (identity, boundary) = caller.policies();
        match iam::evaluate(action, resource, identity, boundary, context) {
            Verdict::Allowed => Ok(()),
            Verdict::Denied(why) => {
                Err(Refusal::not_authorized(&caller.arn(), action, resource, &why.told(action)))
            }
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

    /// The role of that ARN.
    pub(crate) fn part(&self, arn: &str) -> Option<Arc<Part>> {
        self.parts.iter().find(|part| part.arn == arn).map(Arc::clone)
    }

    /// Makes a session that lives `life` seconds, or less where sessions were shortened.
    pub(crate) fn grant(&mut self, owner: Owner, with_code: bool, life: i64, now: i64) -> Granted {
        let cap = self.cap.map_or(i64::MAX, |cap| i64::try_from(cap.as_secs()).unwrap_or(i64::MAX));
        let facts = SessionFacts { issued: now, with_code };
        self.sessions.grant(owner, facts, now.saturating_add(life.min(cap)))
    }

    /// Forgets the sessions of a user or role.
    pub(crate) fn revoke_sessions_of(&mut self, name: &str) {
        let ids: Vec<&String> = self
            .people
            .iter()
            .filter(|person| person.user.name == name)
            .map(|person| &person.user_id)
            .collect();
        self.sessions.forget(|kept| match &kept.owner {
            Owner::Role(assumed) => assumed.part.role.name == name,
            Owner::User(id) => ids.contains(&id),
        });
    }
}
