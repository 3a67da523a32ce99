//! One link: the request to STS, what its failures mean for the next attempt, and keeping what it gave.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_smithy_async::time::SharedTimeSource;
use secrecy::SecretString;

use super::codes::Hand;
use super::source::Given;
use super::{Authenticator, finished};
use crate::attendant::Notice;
use crate::code::Code;
use crate::error::Error;
use crate::foreign;
use crate::keys::AccessKey;
use crate::plan::{Link, Role, Source};
use crate::session::Session;
use crate::session::store::Kept;
use crate::sts::{Skew, Sts, StsError};
use crate::turn::Turn;

/// A clock that is further off is not a drift that onetap may smooth over.
const TOO_FAR: Duration = Duration::from_secs(3_600);
/// Beyond this a person hears that the clock is off: codes begin to fail a little later.
const WORTH_A_WORD: Duration = Duration::from_secs(20);

impl Authenticator {
    /// Makes the session of the link `at`, signed with `source`, or with the plan's own source for the first.
    pub(super) async fn mint(
        &self,
        at: usize,
        link: &Link,
        source: Option<Session>,
        began: SystemTime,
        hand: &mut Hand,
        turn: &mut Turn,
    ) -> Result<Session, Error> {
        let first = source.is_none();
        let given = match source {
            Some(session) => Given::Session(session),
            None => self.given().await?,
        };
        let identity = self.identity_of(&given);
        // The session of another profile with the same key and device is this one's too.
        if first && let Some((session, identity)) = self.kept_link(at, Some(&identity), began)? {
            self.keep(at, &identity, session.clone()).await;
            return Ok(session);
        }
        if link.asks() && matches!(given, Given::Session(_)) {
            return Err(Error::NotAUser { profile: self.plan.profile.clone() });
        }
        let session = match self.asked(link, &given, hand, turn).await {
            // Only a key's owner can say that it is dead; a session may just be revoked.
            Err(Error::Sts(StsError::DeadKey(None) | StsError::Ended)) if !first => {
                self.drop_session(given.id()).await;
                return Err(StsError::Ended.into());
            }
            Err(Error::Sts(StsError::DeadKey(None))) => {
                return Err(StsError::DeadKey(Some(given.id().to_owned())).into());
            }
            asked => asked?,
        };
        self.keep(at, &identity, session.clone()).await;
        Ok(session)
    }

    /// One request, and at most one more: with the next code, or at the time that AWS says it is.
    async fn asked(
        &self,
        link: &Link,
        given: &Given,
        hand: &mut Hand,
        turn: &mut Turn,
    ) -> Result<Session, Error> {
        let mut tried_before = false;
        if let Some(why) = self.plan.why.as_ref().filter(|_| link.asks()) {
            self.attendant.notice(Notice::Told(why.clone()));
        }
        loop {
            let clock = SharedTimeSource::new(hand.clone());
            let sts = Sts::new(&self.plan.network, given.signer(), clock)?;
            let code = if link.asks() { Some(self.next_code(hand, turn).await?) } else { None };
            match self.sent(&sts, link, given, code.as_ref()).await {
                Ok(mut session) => {
                    // By this machine's clock, as everything that is compared with them.
                    session.minted = self.now();
                    if code.is_some() {
                        session.authenticated = Some(session.minted);
                    }
                    if let Some(skew) = sts.skew(WORTH_A_WORD).filter(|_| hand.says_once()) {
                        self.attendant.notice(Notice::Warning(format!("{}; set the clock", skew.error())));
                    }
                    return Ok(session);
                }
                Err(Error::Sts(StsError::Clock { ahead, by })) if !tried_before && by <= TOO_FAR => {
                    let skew = Skew { ahead, by };
                    let text = format!("{}; trying once more at AWS's time: set the clock", skew.error());
                    if hand.says_once() {
                        self.attendant.notice(Notice::Warning(text));
                    }
                    if let Some(astray) = hand.correct(skew) {
                        turn.strayed(astray, self.attendant.as_ref());
                    }
                }
                // The code may have been used at the console, or AWS was overloaded; the next step gets one try.
                Err(Error::Sts(error @ (StsError::CodeRefused | StsError::TryAgain(_)))) if !tried_before => {
                    if matches!(error, StsError::CodeRefused) {
                        self.sources.iter().for_each(|source| source.refused());
                    }
                    let next = if code.is_some() { " with the next code" } else { "" };
                    self.attendant.notice(Notice::Warning(format!("{error}; trying once more{next}")));
                    if code.is_none() {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
                Err(error) => return Err(error),
            }
            tried_before = true;
        }
    }

    async fn sent(
        &self,
        sts: &Sts,
        link: &Link,
        given: &Given,
        code: Option<&Code>,
    ) -> Result<Session, Error> {
        let serial = self.plan.mfa.as_ref().map(|mfa| &mfa.serial);
        Ok(match (link, &self.plan.source) {
            (Link::MfaSession { duration }, _) => {
                let (Some(serial), Some(code)) = (serial, code) else {
                    return Err(self.device().err().unwrap_or(Error::NoProfile));
                };
                sts.session_token(serial, code, *duration).await?
            }
            (Link::Role { role, .. }, Source::WebIdentity { token_file })
                if matches!(given, Given::Nothing) =>
            {
                let token = web_token(role, token_file)?;
                sts.assume_role_with_web_identity(role, &token).await?
            }
            (Link::Role { role, .. }, _) => {
                let authenticated = match given {
                    Given::Session(session) => session.authenticated,
                    Given::Key(_) | Given::Nothing => None,
                };
                sts.assume_role(role, serial.zip(code), authenticated).await?
            }
        })
    }

    /// The credentials that the plan starts from.
    async fn given(&self) -> Result<Given, Error> {
        match &self.plan.source {
            Source::Environment => self
                .environment
                .clone()
                .ok_or_else(|| Error::NoKeysInEnvironment { profile: self.plan.profile.clone() }),
            Source::Keys { profile } => {
                let (vault, owner) = (self.vault.clone(), profile.clone());
                let read = tokio::task::spawn_blocking(move || AccessKey::read(vault.as_ref(), &owner)).await;
                let key = finished(read)??.ok_or_else(|| Error::NoKeys { profile: profile.clone() })?;
                Ok(Given::Key(key))
            }
            Source::Process { profile, command } => {
                let (line, owner, deadline) = (command.clone(), profile.clone(), self.deadline);
                let run = move || foreign::output(&line, "credential_process", &owner, &[&owner], deadline);
                let printed = finished(tokio::task::spawn_blocking(run).await)??;
                Ok(Given::printed(&printed, profile, self.now())?)
            }
            Source::WebIdentity { .. } => Ok(Given::Nothing),
        }
    }

    /// What the sessions that follow from these credentials are kept under.
    fn identity_of(&self, given: &Given) -> String {
        match (self.plan.stranger(), &self.plan.source, given) {
            (Some(stranger), ..) => stranger,
            (None, Source::Keys { .. }, Given::Session(_)) => {
                self.all_kept().ok().and_then(|kept| self.identity(&kept)).unwrap_or_default()
            }
            (None, Source::Environment, _) => {
                self.environment.as_ref().map_or_else(String::new, |given| given.id().to_owned())
            }
            (None, ..) => given.id().to_owned(),
        }
    }

    /// Keeps a session. A failure is a warning: a person paid for the session with a touch.
    async fn keep(&self, at: usize, identity: &str, session: Session) {
        let Some(key) = self.plan.session_keys(identity).into_iter().nth(at) else { return };
        let owner = self.plan.source.keys().map(|profile| (profile.to_owned(), identity.to_owned()));
        let add = move |kept: &mut Kept| {
            kept.access_keys.extend(owner);
            kept.sessions.insert(key, session);
        };
        if let Err(error) = self.update(add).await {
            let text = format!("the session is not kept, so the next command asks again: {error}");
            self.attendant.notice(Notice::Warning(text));
        }
    }

    /// Forgets a session that AWS no longer takes, but not one that somebody has made since.
    async fn drop_session(&self, access_key_id: &str) {
        let id = access_key_id.to_owned();
        let forget = move |kept: &mut Kept| kept.sessions.retain(|_, session| session.access_key_id != id);
        if let Err(error) = self.update(forget).await {
            let text = format!("a session that AWS no longer takes cannot be forgotten: {error}");
            self.attendant.notice(Notice::Warning(text));
        }
    }

    async fn update(&self, change: impl FnOnce(&mut Kept) + Send + 'static) -> Result<(), Error> {
        let (store, now) = (Arc::clone(&self.store), self.now());
        let updated = tokio::task::spawn_blocking(move || store.update(change, now)).await;
        Ok(finished(updated)??)
    }
}

fn web_token(role: &Role, file: &std::path::Path) -> Result<SecretString, Error> {
    let refused =
        |reason: String| Error::WebIdentity { profile: role.profile.clone(), path: file.into(), reason };
    let text = std::fs::read_to_string(file).map_err(|error| refused(error.to_string()))?;
    let text = SecretString::from(text);
    match secrecy::ExposeSecret::expose_secret(&text).trim() {
        "" => Err(refused("it is empty".into())),
        token => Ok(token.into()),
    }
}
