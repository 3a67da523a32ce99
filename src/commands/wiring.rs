//! The real seams, put together into an authenticator: the one place that chooses a vault's key, a reader and a person.

use std::sync::Arc;
use std::time::Duration;

use crate::attendant::Attendant;
use crate::authenticator::{Authenticator, Given, OnInterrupt};
use crate::card::Reader;
use crate::code::CodeSource;
use crate::code::process::Process;
use crate::code::prompt::Prompt;
use crate::code::software::Software;
use crate::code::yubikey::YubiKey;
use crate::desktop::Desktop;
use crate::error::Error;
use crate::foreign::WITHIN;
use crate::plan::{self, Mfa, Notify, Plan, Source, SourceName};
use crate::session::{Freshness, MinTtl};
use crate::terminal;
use crate::vault::Vault;
use secrecy::SecretString;

use super::Context;

impl Context {
    pub(super) fn authenticator(
        &self,
        plan: Plan,
        verb: &'static str,
        usual: Duration,
    ) -> Result<Authenticator, Error> {
        if let Some(circle) = self.under_way(&plan) {
            return Err(circle);
        }
        let vault = self.vault()?;
        // It hears Ctrl-C itself, so that those who wait for the same answer are refused too.
        terminal::leave_interrupts_to_others();
        Ok(Authenticator {
            sources: self.sources(&plan, &vault),
            environment: self.given(),
            store: Arc::new(self.store(vault.clone())),
            vault,
            turns: self.places.turns(),
            verb,
            freshness: self.freshness(&plan, usual),
            deadline: self.deadline,
            limit: self.limit,
            on_interrupt: OnInterrupt::GiveUp,
            attendant: self.person(&plan),
            clock: self.clock.clone(),
            plan,
        })
    }

    /// What is wrong where a program that runs on behalf of this plan's profile or device has asked us: it would be run
    /// again, or waited for by itself.
    pub(super) fn under_way(&self, plan: &Plan) -> Option<Error> {
        let within = self.variable(WITHIN)?;
        let source = match &plan.source {
            Source::Process { profile, .. } => Some(profile),
            Source::Environment | Source::Keys { .. } | Source::WebIdentity { .. } => None,
        };
        let running = |name: &str| within.lines().any(|running| running == name);
        if let Some(profile) = source.into_iter().chain([&plan.profile]).find(|name| running(name)) {
            return Some(Error::Circular { what: format!("profile {profile:?}"), key: "credential_process" });
        }
        let device = plan.mfa.as_ref()?.serial.to_string();
        running(&device).then(|| Error::Circular { what: format!("MFA device {device}"), key: "mfa_process" })
    }

    /// What the command line demands, else the profile; `usual` is what is wished for where nobody demands.
    pub(super) fn freshness(&self, plan: &Plan, usual: Duration) -> Freshness {
        let least = self.options.min_ttl.map(Duration::from_secs).or(plan.min_ttl);
        let oldest = self.options.mfa_max_age.map(Duration::from_secs).or(plan.mfa_max_age);
        Freshness {
            min_ttl: least.map_or(MinTtl::Wish(usual), MinTtl::Strict),
            mfa_max_age: oldest,
            renew: self.options.renew,
        }
    }

    /// The credentials in the environment, for a profile with `credential_source = Environment`.
    pub(super) fn given(&self) -> Option<Given> {
        let secret = |name| self.variable(name).map(SecretString::from);
        let (id, key) = (self.variable("AWS_ACCESS_KEY_ID")?, secret("AWS_SECRET_ACCESS_KEY")?);
        Some(Given::of(&id, &key, secret("AWS_SESSION_TOKEN"), None, self.clock.now()))
    }

    /// The person at the terminal, and at the desktop where there is one.
    pub(super) fn person(&self, plan: &Plan) -> Arc<dyn Attendant> {
        let session = self.variable("WAYLAND_DISPLAY").or_else(|| self.variable("DISPLAY"));
        match (plan.notify, session) {
            (Notify::On, Some(_)) => Arc::new(Desktop::new(self.attendant.clone())),
            _ => self.attendant.clone(),
        }
    }

    pub(super) fn sources(&self, plan: &Plan, vault: &Arc<dyn Vault>) -> Vec<Arc<dyn CodeSource>> {
        let Some(mfa) = &plan.mfa else { return Vec::new() };
        let source = |name: &SourceName| -> Option<Arc<dyn CodeSource>> {
            Some(match name {
                SourceName::Process => {
                    let (profile, device) = (plan.profile.clone(), mfa.serial.to_string());
                    Arc::new(Process { command: mfa.process.clone()?, profile, device })
                }
                SourceName::Prompt => Arc::new(Prompt { device: mfa.serial.to_string() }),
                SourceName::Software => Arc::new(Software::new(mfa.owner.clone(), vault.clone())),
                SourceName::YubiKey => {
                    let key = YubiKey::new(self.reader(mfa), mfa.account.clone());
                    let device = mfa.serial.to_string();
                    let key = key.of_profile(plan.profile.clone(), device, &self.places);
                    Arc::new(key.remembering(vault.clone()))
                }
            })
        };
        mfa.codes.iter().filter_map(source).collect()
    }

    /// Where keys are looked for when no profile says it.
    pub(super) fn any_reader(&self) -> Reader {
        match (&self.options.reader, self.options.token) {
            (Some(Reader::Mock(path)), _) => Reader::Mock(path.clone()),
            (_, Some(serial)) => Reader::Pcsc(Some(serial)),
            (Some(reader), None) => reader.clone(),
            (None, None) => Reader::Pcsc(None),
        }
    }

    pub(super) fn reader(&self, mfa: &Mfa) -> Reader {
        match &self.options.reader {
            Some(Reader::Mock(path)) => Reader::Mock(path.clone()),
            Some(Reader::Pcsc(_)) | None => Reader::Pcsc(mfa.token),
        }
    }

    /// A virtual token's seed stands in plain text: its codes go to AWS itself only if that was said aloud.
    pub(super) fn refuse_mock_on_aws(&self, plan: &Plan) -> Result<(), Error> {
        let mock = matches!(self.options.reader, Some(Reader::Mock(_)));
        let used = plan.mfa.as_ref().is_some_and(|mfa| mfa.codes.contains(&SourceName::YubiKey));
        let endpoint = plan.network.endpoint.as_ref();
        let local = endpoint.is_some_and(plan::Endpoint::is_loopback);
        if mock && used && !local && !self.options.allow_mock_on_aws {
            let endpoint = endpoint.map_or("AWS".into(), |endpoint| endpoint.as_str().to_owned());
            return Err(Error::MockOnAws { endpoint });
        }
        Ok(())
    }
}
