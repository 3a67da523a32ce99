//! `onetap explain`: the plan, where its values come from, and what is kept; asks nobody and nothing.
//!
//! Source of the JSON's fields: docs/SCRIPTS.md.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretSlice;

use crate::attendant::{Unattended, Undisturbed};
use crate::error::Error;
use crate::plan::origin::{Origin, Origins};
use crate::plan::{Link, Plan, Role, Source, SourceName, Wishes};
use crate::profiles::Profiles;
use crate::session::store::{Kept, StoreError};
use crate::session::{Freshness, Session};
use crate::settings::VaultKind;
use crate::vault::file::FileVault;
use crate::vault::{Entry, Vault, VaultError};

use super::{Context, located, print};

mod answer;

use answer::{Explained, Start, Step, Value};

/// What `exec` wishes for.
const MIN_TTL: Duration = Duration::from_secs(5 * 60);
/// A session that only signs the next request needs no more, as in `authenticator`.
const STILL_USEFUL: Duration = Duration::from_secs(60);

pub(super) fn run(context: &Context, profile: Option<String>, json: bool) -> Result<(), Error> {
    let profiles = context.profiles()?;
    let plan = context.plan_unasked(&profiles, &context.named(profile)?)?;
    let wishes = context.wishes();
    let origins =
        Origins::of(&profiles, &plan.profile, &wishes).map_err(|error| located(&profiles, error))?;
    let writer = Writer { context, profiles: &profiles, plan: &plan, wishes: &wishes, origins };
    let explained = writer.explained()?;
    if json {
        let mut text = serde_json::to_string(&explained).map_err(|error| Error::Output(error.to_string()))?;
        text.push('\n');
        return print(text.as_bytes());
    }
    print(explained.text().as_bytes())
}

struct Writer<'a> {
    context: &'a Context,
    profiles: &'a Profiles,
    plan: &'a Plan,
    wishes: &'a Wishes,
    origins: Origins<'a>,
}

impl Writer<'_> {
    fn explained(&self) -> Result<Explained, Error> {
        let kept = self.kept()?;
        let mut steps = Vec::new();
        for (at, link) in self.plan.links.iter().enumerate() {
            steps.push(self.step(at, link, kept.as_ref()));
        }
        let done = steps.iter().rposition(|step| step.kept == "yes").map_or(0, |at| at.saturating_add(1));
        let codes = |from: usize| steps.iter().skip(from).filter(|step| step.code).count();
        Ok(Explained {
            profile: self.plan.profile.clone(),
            source: self.start()?,
            codes_now: kept.as_ref().map(|_| codes(done)),
            codes_cold: codes(0),
            steps,
            sts: self.sts(),
            settings: self.settings(),
            why: self.plan.why.clone(),
        })
    }

    fn from(&self, origin: &Origin) -> String {
        match origin {
            Origin::Default => "default".into(),
            Origin::Variable(name) => (*name).into(),
            Origin::File(spot) => {
                self.profiles.locate_spot(spot).map_or_else(|| "AWS's files".into(), |at| at.to_string())
            }
        }
    }

    fn value(&self, name: &'static str, value: impl ToString, origin: Origin) -> Value {
        Value { name, value: value.to_string(), from: self.from(&origin) }
    }

    fn start(&self) -> Result<Start, Error> {
        let (kind, about) = match &self.plan.source {
            Source::Environment => {
                ("environment", "the credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned())
            }
            Source::Keys { profile } => {
                let vault = match self.context.vault_kind()? {
                    VaultKind::File if self.context.variable("ONETAP_VAULT_PASSPHRASE_FILE").is_none() => {
                        "the vault file, which asks for its passphrase"
                    }
                    kind => kind.name(),
                };
                ("keys", format!("the access key of {profile}, in the {}", vault.trim_start_matches("the ")))
            }
            Source::Process { profile, .. } => {
                ("process", format!("what the credential_process of {profile} prints"))
            }
            Source::WebIdentity { .. } => ("web-identity", "an identity provider's token".to_owned()),
        };
        let values = self.origins.way().into_iter().filter_map(|origin| {
            let Origin::File(crate::profiles::Spot::Profile(profile, Some(key))) = &origin else {
                return None;
            };
            let value = self.profiles.profile(profile)?.value(key)?.to_owned();
            Some(self.value(key, value, origin))
        });
        Ok(Start { kind, about, values: values.collect() })
    }

    fn step(&self, at: usize, link: &Link, kept: Option<&Kept>) -> Step {
        let session = kept.and_then(|kept| self.session(at, kept));
        let web = at == 0 && matches!(self.plan.source, Source::WebIdentity { .. });
        let call = match link {
            Link::MfaSession { .. } => "GetSessionToken",
            Link::Role { .. } if web => "AssumeRoleWithWebIdentity",
            Link::Role { .. } => "AssumeRole",
        };
        let ours = matches!(self.plan.source, Source::Keys { .. });
        Step {
            call,
            code: link.asks(),
            mfa: match link {
                link if link.asks() => "yes",
                _ if self.plan.links.iter().any(Link::asks) => "at sign-in",
                _ if ours => "no",
                _ => "not known",
            },
            kept: match (kept, &session) {
                (None, _) => "not looked at",
                (Some(_), None) => "no",
                (Some(_), Some(_)) => "yes",
            },
            until: session.map(|session| session.expiration_text()),
            values: self.link_values(link),
        }
    }

    /// The kept session of a link, if it would serve now.
    fn session(&self, at: usize, kept: &Kept) -> Option<Session> {
        let identity = match &self.plan.source {
            Source::Environment => self.context.given()?.id().to_owned(),
            Source::Keys { profile } => kept.access_keys.get(profile)?.clone(),
            Source::Process { .. } | Source::WebIdentity { .. } => self.plan.stranger()?,
        };
        let session = kept.sessions.get(self.plan.session_keys(&identity).get(at)?)?;
        let (now, freshness): (_, Freshness) =
            (self.context.clock.now(), self.context.freshness(self.plan, MIN_TTL));
        let last = at.saturating_add(1) == self.plan.links.len();
        let serves = if last {
            freshness.serves(session, now, now)
        } else {
            session.left(now) > STILL_USEFUL && freshness.trusts(session, now, now)
        };
        serves.then(|| session.clone())
    }

    fn link_values(&self, link: &Link) -> Vec<Value> {
        let near = |name, value: String| self.value(name, value, self.origins.nearest(name));
        let mut values = Vec::new();
        if let (true, Some(mfa)) = (link.asks(), &self.plan.mfa) {
            values.push(near("mfa_serial", mfa.serial.to_string()));
            let words = mfa.codes.iter().map(|name: &SourceName| name.word()).collect::<Vec<_>>().join(",");
            let codes = match (&self.wishes.codes, &mfa.process) {
                (Some(_), _) if self.context.variable("ONETAP_CODE").is_some() => {
                    Origin::Variable("ONETAP_CODE")
                }
                (Some(_), _) => Origin::Variable("--code"),
                (None, Some(_)) if self.origins.nearest("onetap_code") == Origin::Default => {
                    self.origins.nearest("mfa_process")
                }
                (None, _) => self.origins.nearest("onetap_code"),
            };
            values.push(self.value("onetap_code", words, codes));
            values.push(near("onetap_account", mfa.account.clone()));
            if let Some(token) = &mfa.token {
                let origin = match self.wishes.token {
                    Some(_) => Origin::Variable("--token or --reader"),
                    None => self.origins.nearest("onetap_token"),
                };
                values.push(self.value("onetap_token", token, origin));
            }
            values.extend(mfa.process.clone().map(|line| near("mfa_process", line)));
        }
        match link {
            Link::MfaSession { duration } => {
                values.push(near("onetap_session_duration", duration.as_secs().to_string()));
            }
            Link::Role { role, .. } => self.role_values(role, &mut values),
        }
        values
    }

    fn role_values(&self, role: &Role, values: &mut Vec<Value>) {
        let tags =
            role.tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let facts = [
            ("role_arn", Some(role.arn.clone())),
            ("duration_seconds", Some(role.duration.as_secs().to_string())),
            ("role_session_name", Some(role.session_name.clone())),
            ("external_id", role.external_id.clone()),
            ("session_tags", some(&tags)),
            ("transitive_session_tags", some(&role.transitive_tags.join(","))),
            ("source_identity", role.source_identity.clone()),
        ];
        for (key, fact) in facts {
            let origin = || self.origins.of_profile(&role.profile, key);
            values.extend(fact.map(|fact| self.value(key, fact, origin())));
        }
    }

    fn sts(&self) -> Vec<Value> {
        let network = &self.plan.network;
        let mut values = vec![self.value("region", &network.sts_region, self.origins.region())];
        if self.plan.region.as_deref().is_some_and(|region| region != network.sts_region) {
            // A region that does not know the user, or the older regions' common address.
            values.push(self.value(
                "region of the child",
                self.plan.region.clone().unwrap_or_default(),
                self.origins.region(),
            ));
        }
        if let Some(endpoint) = &network.endpoint {
            values.push(self.value("endpoint_url", endpoint.as_str(), self.origins.endpoint()));
        }
        let switches = [
            ("use_fips_endpoint", "AWS_USE_FIPS_ENDPOINT", network.fips, self.wishes.fips.is_some()),
            (
                "use_dualstack_endpoint",
                "AWS_USE_DUALSTACK_ENDPOINT",
                network.dualstack,
                self.wishes.dualstack.is_some(),
            ),
        ];
        for (key, variable, on, set) in switches {
            values.extend(on.then(|| self.value(key, on, self.origins.asked(key, set.then_some(variable)))));
        }
        if let Some(path) = &network.ca_bundle {
            let set = self.wishes.ca_bundle.as_ref().map(|_| "AWS_CA_BUNDLE");
            values.push(self.value("ca_bundle", path.display(), self.origins.asked("ca_bundle", set)));
        }
        values
    }

    fn settings(&self) -> Vec<Value> {
        let (options, plan) = (&self.context.options, self.plan);
        let facts = [
            ("onetap_min_ttl", "--min-ttl", options.min_ttl, plan.min_ttl),
            ("onetap_mfa_max_age", "--mfa-max-age", options.mfa_max_age, plan.mfa_max_age),
        ];
        let said = facts.into_iter().filter_map(|(key, option, given, planned)| {
            let origin = given.map_or_else(|| self.origins.nearest(key), |_| Origin::Variable(option));
            Some(self.value(key, given.or(planned.map(|wish| wish.as_secs()))?, origin))
        });
        said.collect()
    }

    /// What is kept; `None` if only a person could open it.
    fn kept(&self) -> Result<Option<Kept>, Error> {
        let context = self.context;
        if !context.places.sessions().exists() {
            return Ok(Some(Kept::default()));
        }
        let vault: Arc<dyn Vault> = match context.vault_kind()? {
            // It might open the desktop's unlock window: the kernel's keyring alone is asked.
            VaultKind::Keychain => Arc::new(Closed),
            VaultKind::File => {
                let passphrase = context.variable("ONETAP_VAULT_PASSPHRASE_FILE").map(Into::into);
                let nobody = Arc::new(Undisturbed(context.attendant.clone()));
                Arc::new(FileVault::new(context.places.vault(), passphrase, nobody))
            }
        };
        match context.store(vault).read() {
            Ok(kept) => Ok(Some(kept)),
            Err(StoreError::Damaged { .. }) => Ok(Some(Kept::default())),
            Err(_) => Ok(None),
        }
    }
}

/// A vault that is not opened.
#[derive(Debug)]
struct Closed;

impl Vault for Closed {
    fn read(&self, _: &Entry) -> Result<Option<SecretSlice<u8>>, VaultError> {
        Err(Unattended::Nobody("explain asks nobody".into()).into())
    }
    fn write(&self, _: &Entry, _: &SecretSlice<u8>) -> Result<(), VaultError> {
        Err(Unattended::Nobody("explain asks nobody".into()).into())
    }
    fn remove(&self, _: &Entry) -> Result<(), VaultError> {
        Err(Unattended::Nobody("explain asks nobody".into()).into())
    }
}
