//! What the stand-in remembers: users, sessions, codes used, instances, and what was asked of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::account::{AccessKey, Circle, Held, Shelf};
use super::caller::{Caller, Part, Person, Principal, SessionFacts};
use super::federation::SigninToken;
use super::http::Request;
use super::iam::{self, Context, Policy, Verdict};
use super::refusal::Refusal;
use super::session::{Granted, Owner, Sessions};
use super::signature::Claim;
use super::totp::{Codes, PERIOD};
use super::world::{Device, WebIdentity};
use super::xml::Service;
use super::{Fault, Seen, clock};
use crate::canary::{Canaries, Kind};

mod load;

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
    /// Where the server's clock stands still.
    pub(crate) stopped: Option<i64>,
    /// Requests after which a new key is known.
    pub(crate) settle_keys: u32,
    /// Codes after which a new device is known.
    pub(crate) settle_devices: u32,
    /// The organization's service control policy, of which only the Denies count.
    pub(crate) organization: Option<Policy>,
    /// The longest life that a session is given.
    pub(crate) cap: Option<Duration>,
    disabled_regions: Vec<String>,
    pub(crate) people: Vec<Arc<Person>>,
    pub(crate) keys: Vec<AccessKey>,
    pub(crate) devices: Vec<Held>,
    pub(crate) groups: Vec<Circle>,
    pub(crate) shelf: Shelf,
    pub(crate) parts: Vec<Arc<Part>>,
    pub(crate) sessions: Sessions,
    pub(crate) web_identities: Vec<WebIdentity>,
    pub(crate) signin_tokens: Vec<SigninToken>,
    /// The story that started it; what is handed out to it must not be seen elsewhere.
    pub(crate) canaries: Canaries,
    /// The last used step of each device.
    pub(crate) used: BTreeMap<String, i64>,
}

/// An EC2 instance.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) stopping: bool,
}

impl State {
    /// Puts together which policies count for each user: after every change of them.
    pub(crate) fn gather(&mut self) {
        for person in &mut self.people {
            let mut policies = person.held.all(&self.shelf);
            for group in self.groups.iter().filter(|group| person.groups.contains(&group.name)) {
                policies.extend(group.held.all(&self.shelf));
            }
            let boundary = person.boundary_arn.as_ref().and_then(|arn| self.shelf.find(arn));
            let boundary = boundary.map(|managed| managed.policy.clone());
            let person = Arc::make_mut(person);
            person.policies = policies;
            person.boundary = boundary;
        }
    }

    /// Changes a user; `None` if there is none of that name.
    pub(crate) fn change(&mut self, name: &str, change: impl FnOnce(&mut Person)) -> Option<()> {
        let person = self.people.iter_mut().find(|person| person.user.name == name)?;
        change(Arc::make_mut(person));
        self.gather();
        Some(())
    }

    /// `arn:PARTITION:iam::ACCOUNT`: the beginning of IAM's names.
    pub(crate) fn root(&self) -> String {
        format!("arn:{}:iam::{}", self.partition, self.account)
    }

    /// The server's time, in Unix seconds.
    pub(crate) fn now(&self) -> i64 {
        self.stopped.unwrap_or_else(|| clock::machine().saturating_add(self.shift))
    }

    /// Takes the next fault planned for an action.
    pub(crate) fn fault(&mut self, action: &str) -> Option<Fault> {
        let place = self.faults.iter().position(|(planned, _)| planned == action)?;
        Some(self.faults.remove(place).1)
    }

    /// Who signed this request, if it is genuine, timely, and signed for this service.
    pub(crate) fn caller(
        &mut self,
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
                let mut keys = self.keys.iter_mut().filter(|key| key.active);
                let key = keys.find(|key| key.id == claim.access_key_id).ok_or(Refusal::UnknownKey)?;
                if key.settling > 0 {
                    key.settling = key.settling.saturating_sub(1);
                    return Err(Refusal::UnknownKey);
                }
                claim.timely(now)?;
                if token.is_some() {
                    return Err(Refusal::UnknownKey);
                }
                claim.genuine(request, &key.secret)?;
                key.used = Some((now, service.name(), claim.region.clone()));
                let owner = key.owner.clone();
                Caller { session: None, ..self.owner(&Owner::User(owner), SessionFacts::default())? }
            }
        };
        // A session of GetSessionToken without MFA is unknown to IAM (STS API reference, "GetSessionToken").
        let without_code = caller.session.is_some_and(|facts| !facts.with_code);
        if service == Service::Iam && without_code && caller.user().is_some() {
            return Err(Refusal::UnknownKey);
        }
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
        let context = caller.context(now);
        if !caller.is_root()
            && self.organization.as_ref().is_some_and(|scp| scp.denies(action, resource, &context))
        {
            let why = "with an explicit deny in a service control policy";
            return Err(Refusal::not_authorized(&caller.arn(), action, resource, why));
        }
        Self::authorize_in(action, resource, caller, &context)
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
        let owned = |held: &&mut Held| held.owner.as_deref() == Some(person.user_id.as_str());
        let mut devices = self.devices.iter_mut().filter(owned);
        let Some(held) = devices.find(|held| held.device.serial == serial && held.device.makes_codes())
        else {
            return (None, Err(Refusal::UNKNOWN_DEVICE));
        };
        if held.settling > 0 {
            held.settling = held.settling.saturating_sub(1);
            return (None, Err(Refusal::UNKNOWN_DEVICE));
        }
        let step = now.div_euclid(PERIOD).saturating_add(held.drift);
        let codes = match Codes::around(step, &held.device.seed_base32) {
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
        self.devices.iter().map(|held| &held.device).find(|device| device.serial == serial)
    }

    /// The role of that ARN.
    pub(crate) fn part(&self, arn: &str) -> Option<Arc<Part>> {
        self.parts.iter().find(|part| part.arn == arn).map(Arc::clone)
    }

    /// Makes a session that lives `life` seconds, or less where sessions were shortened.
    pub(crate) fn grant(&mut self, owner: Owner, with_code: bool, life: i64, now: i64) -> Granted {
        let cap = self.cap.map_or(i64::MAX, |cap| i64::try_from(cap.as_secs()).unwrap_or(i64::MAX));
        let facts = SessionFacts { issued: now, with_code };
        let granted = self.sessions.grant(owner, facts, now.saturating_add(life.min(cap)));
        self.canaries.plant("a session's secret access key", Kind::Session, granted.secret.as_bytes());
        self.canaries.plant("a session's token", Kind::Session, granted.token.as_bytes());
        granted
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

    /// The serials of a user's devices.
    pub(crate) fn devices_of(&self, user: &str) -> Vec<String> {
        let owned = |held: &&Held| {
            self.people
                .iter()
                .any(|person| person.user.name == user && held.owner.as_ref() == Some(&person.user_id))
        };
        self.devices.iter().filter(owned).map(|held| held.device.serial.clone()).collect()
    }

    /// The ids of a user's keys, and whether they are active.
    pub(crate) fn keys_of(&self, user: &str) -> Vec<(String, bool)> {
        let owned = |key: &&AccessKey| {
            self.people.iter().any(|person| person.user.name == user && key.owner == person.user_id)
        };
        self.keys.iter().filter(owned).map(|key| (key.id.clone(), key.active)).collect()
    }
}
