//! An IAM user as a verb meets them: the stored key, who it is, and calls to IAM in that user's name.
//!
//! A call is signed with the key; where policies refuse that, with a session with MFA, if the profile's device gives one.

use std::time::Duration;

use crate::attendant::Notice;
use crate::authenticator::Authenticator;
use crate::error::Error;
use crate::error::iam::UserError;
use crate::files::Lock;
use crate::iam::{Iam, IamError};
use crate::keys::AccessKey;
use crate::plan::{self, Endpoint, Link, Network, View};
use crate::session::Session;
use crate::sts::{Identity, Signer, Sts};
use crate::turn::TurnError;

use super::{Context, auto, block_on, located};

/// With a clock that is further off, codes may be those of a wrong step.
const SKEW: Duration = Duration::from_secs(5);
/// Life that a session must have left to sign what a verb does, which may wait for a person in between.
const MIN_TTL: Duration = Duration::from_secs(5 * 60);

/// The user who owns a profile's key.
pub(super) struct User {
    /// With AWS's time.
    pub(super) context: Context,
    pub(super) profile: String,
    pub(super) key: AccessKey,
    pub(super) name: String,
    pub(super) identity: Identity,
    pub(super) network: Network,
    verb: &'static str,
    endpoint: Option<Endpoint>,
    session: Option<Session>,
    /// A device that gives no session while the verb is at work on it.
    pub(super) without: Option<String>,
    _alone: Lock,
}

impl User {
    /// Reads the key and asks STS whose it is. Other verbs that change devices or keys wait until this one is done.
    pub(super) fn of(context: &Context, profile: &str, verb: &'static str) -> Result<Self, Error> {
        let profiles = context.profiles()?;
        let own = plan::named(&profiles, profile).map_err(|error| located(&profiles, error))?;
        // Before the lock: it takes the same one. Who enrols has no device yet.
        if own.value("mfa_serial") == Some(plan::AUTO) && !matches!(verb, "auto" | "enroll") {
            auto::device(context, profile)?;
        }
        let key = AccessKey::read(context.vault()?.as_ref(), profile)?
            .ok_or_else(|| Error::NoKeys { profile: profile.into() })?;
        let (network, endpoint) = way(context, profile)?;
        let alone = alone(context)?;
        let (identity, skew) = block_on(async {
            let sts = Sts::new(&network, Signer::Key(&key), context.clock.clone())?;
            let identity = sts.caller_identity().await?;
            Ok((identity, sts.skew(SKEW)))
        })?;
        let mut context = context.anew();
        if let Some(skew) = skew {
            context.attendant.notice(Notice::Warning(format!("{}; set the clock", skew.error())));
            context.clock = skew.mend(context.clock.clone());
        }
        let name = identity.arn.split_once(":user/").and_then(|(_, path)| path.rsplit('/').next());
        let name = name.ok_or_else(|| UserError::NotAUser { arn: identity.arn.clone() })?.to_owned();
        let profile = profile.to_owned();
        Ok(Self {
            context,
            profile,
            key,
            name,
            identity,
            network,
            verb,
            endpoint,
            session: None,
            without: None,
            _alone: alone,
        })
    }

    /// `arn:PARTITION:iam::ACCOUNT:`, to which a resource's kind and name are added.
    pub(super) fn root(&self) -> String {
        format!("arn:{}:iam::{}:", self.network.partition.name(), self.identity.account)
    }

    /// One call, signed with the key; once more with MFA if AWS refuses that.
    pub(super) fn call<T>(&mut self, call: impl AsyncFn(&Iam) -> Result<T, IamError>) -> Result<T, Error> {
        let denied = match self.signed(&call) {
            Err(Error::Iam(IamError::Denied { action, message })) => (action, message),
            // IAM's answer to a session without MFA, and to a key that was just deleted.
            answer => return answer,
        };
        // Who enrols needs to be allowed just that; everybody else needs a device.
        if self.session.is_none() && self.verb != "enroll" && !self.names_a_device() {
            let (action, message) = (denied.0.into(), denied.1);
            return Err(UserError::NoMfa { action, message, profile: self.profile.clone() }.into());
        }
        let refused = |mfa| self.denied(denied.0, &denied.1, mfa);
        let device = self.device();
        if self.session.is_some() || device.is_none() {
            return Err(refused(None).into());
        }
        if device == self.without {
            // The device at work gives no code here, and a session that it gave before is as good.
            let Some(session) = self.kept_session()? else { return Err(refused(None).into()) };
            return self.with_mfa(session, &call);
        }
        self.context.attendant.notice(Notice::Told(format!(
            "AWS refuses iam:{} to the access key alone; asking for a session with MFA.",
            denied.0
        )));
        let session = match self.mfa_session() {
            Err(error) if error.is_refusal() => return Err(error),
            Err(error) => return Err(refused(Some(error.to_string())).into()),
            Ok(session) => session,
        };
        self.with_mfa(session, &call)
    }

    /// This call and those after it, signed with a session.
    fn with_mfa<T>(
        &mut self,
        session: Session,
        call: &impl AsyncFn(&Iam) -> Result<T, IamError>,
    ) -> Result<T, Error> {
        self.session = Some(session);
        match self.signed(call) {
            Err(Error::Iam(IamError::Denied { action, message })) => {
                Err(self.denied(action, &message, None).into())
            }
            answer => answer,
        }
    }

    /// One call, signed with another key.
    pub(super) fn call_with<T>(
        &self,
        key: &AccessKey,
        call: impl AsyncFn(&Iam) -> Result<T, IamError>,
    ) -> Result<T, Error> {
        self.sent(Signer::Key(key), call)
    }

    /// One call, signed with the session that is at hand, else with the key; what is refused stays refused.
    pub(super) fn as_is<T>(&self, call: &impl AsyncFn(&Iam) -> Result<T, IamError>) -> Result<T, Error> {
        self.signed(call)
    }

    fn signed<T>(&self, call: &impl AsyncFn(&Iam) -> Result<T, IamError>) -> Result<T, Error> {
        let signer = self.session.as_ref().map_or(Signer::Key(&self.key), Signer::Session);
        self.sent(signer, call)
    }

    fn sent<T>(
        &self,
        signer: Signer<'_>,
        call: impl AsyncFn(&Iam) -> Result<T, IamError>,
    ) -> Result<T, Error> {
        let iam = Iam::new(&self.network, self.endpoint.as_ref(), signer, self.context.clock.clone())?;
        block_on(async { Ok(call(&iam).await?) })
    }

    /// The profile's device, as far as it is known.
    fn device(&self) -> Option<String> {
        let profiles = self.context.profiles().ok()?;
        match profiles.profile(&self.profile)?.value("mfa_serial")? {
            plan::AUTO => auto::remembered(&self.context, &self.profile),
            serial => Some(serial.to_owned()),
        }
    }

    fn names_a_device(&self) -> bool {
        let Ok(profiles) = self.context.profiles() else { return false };
        profiles.profile(&self.profile).is_some_and(|profile| profile.value("mfa_serial").is_some())
    }

    /// A session with MFA of this user's, kept or new.
    pub(super) fn mfa_session(&self) -> Result<Session, Error> {
        self.minted(self.context.anew())
    }

    /// A new session with MFA of this user's, whatever is kept.
    pub(super) fn new_session(&self) -> Result<Session, Error> {
        let mut context = self.context.anew();
        context.options.renew = true;
        self.minted(context)
    }

    /// Where IAM is, if not at AWS's own address.
    pub(super) fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    fn minted(&self, context: Context) -> Result<Session, Error> {
        let authenticator = self.authenticator(&context)?;
        match authenticator.kept(context.clock.now())? {
            Some(session) => Ok(session),
            None => block_on(authenticator.session()),
        }
    }

    /// A session with MFA that is kept; asks nobody.
    fn kept_session(&self) -> Result<Option<Session>, Error> {
        self.authenticator(&self.context)?.kept(self.context.clock.now())
    }

    fn authenticator(&self, context: &Context) -> Result<Authenticator, Error> {
        let profiles = context.profiles()?;
        let mut plan = context.plan(&profiles, &self.profile)?;
        let duration = plan.links.first().map(Link::duration).unwrap_or_default();
        // A profile may itself be a role; IAM is asked as the user.
        plan.links = vec![Link::MfaSession { duration }];
        context.refuse_mock_on_aws(&plan)?;
        context.authenticator(plan, self.verb, MIN_TTL)
    }

    fn denied(&self, action: &str, message: &str, mfa: Option<String>) -> UserError {
        let (root, name) = (self.root(), &self.name);
        let (actions, resources) = match action.contains("AccessKey") {
            true => (
                ["CreateAccessKey", "DeleteAccessKey", "ListAccessKeys", "UpdateAccessKey"].as_slice(),
                format!("\"{root}user/{name}\""),
            ),
            false => (
                [
                    "CreateVirtualMFADevice",
                    "DeactivateMFADevice",
                    "DeleteVirtualMFADevice",
                    "EnableMFADevice",
                    "ListMFADevices",
                    "ResyncMFADevice",
                ]
                .as_slice(),
                format!("[\"{root}mfa/*\",\"{root}user/{name}\"]"),
            ),
        };
        let actions: Vec<_> = actions.iter().map(|action| format!("\"iam:{action}\"")).collect();
        let actions = actions.join(",");
        let statement = format!("{{\"Effect\":\"Allow\",\"Action\":[{actions}],\"Resource\":{resources}}}");
        UserError::Denied { action: action.into(), message: message.into(), mfa, statement }
    }
}

/// Where STS and IAM are, for this profile.
fn way(context: &Context, profile: &str) -> Result<(Network, Option<Endpoint>), Error> {
    let profiles = context.profiles()?;
    let wishes = context.wishes();
    let refused = |error| located(&profiles, error);
    let view = View::of(&profiles, profile).map_err(refused)?;
    let region = plan::region(&profiles, Some(&view), &wishes).map_err(refused)?;
    let serial = view.value("mfa_serial").and_then(|text| text.parse::<plan::MfaSerial>().ok());
    let partition = serial.and_then(|serial| serial.partition());
    let network = Network::of(Some(&view), region.as_deref(), partition, &wishes).map_err(refused)?;
    let of_iam = ["AWS_ENDPOINT_URL_IAM", "AWS_ENDPOINT_URL"];
    let endpoint = of_iam.into_iter().find_map(|name| Some((name, context.variable(name)?)));
    let wishes = plan::Wishes { endpoint, ..wishes };
    let endpoint = plan::service_endpoint("iam", Some(&view), &wishes).map_err(refused)?;
    Ok((network, endpoint))
}

/// One verb at a time changes devices or keys.
fn alone(context: &Context) -> Result<Lock, Error> {
    let path = context.places.state.join("iam.lock");
    Lock::take(&path, context.deadline).map_err(|error| match error.kind() {
        std::io::ErrorKind::TimedOut => {
            TurnError::Held("another onetap that changes devices or keys".into()).into()
        }
        _ => Error::File { path, reason: error.to_string() },
    })
}
