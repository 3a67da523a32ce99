//! From a verb to its outcome; the one place that wires the real seams together.
//!
//! The environment, the clock and the person are looked up here and passed on as values.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::attendant::{Attendant, Undisturbed};
use crate::card::Reader;
use crate::error::Error;
use crate::places::Places;
use crate::plan::{self, Plan, PlanError, Wishes};
use crate::profiles::Profiles;
use crate::session::store::SessionStore;
use crate::settings::{Settings, VaultKind};
use crate::terminal::Terminal;
use crate::vault::Vault;
use crate::vault::file::{FileVault, PassphraseSource};
use crate::vault::keychain::Keychain;
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_types::os_shim_internal::{Env, Fs};

use crate::cli::{self, Cli, Options, Seed, Vaults, Verb};

mod add;
#[cfg_attr(not(unix), path = "commands/apart_absent.rs")]
pub mod apart;
mod auto;
mod clear;
mod code;
mod completions;
mod config_file;
mod credential_process;
mod doctor;
mod enroll;
pub mod exec;
mod explain;
pub mod export;
mod kept;
mod ledger;
mod library;
mod list;
mod login;
mod mfa;
mod pages;
mod policy;
mod profile;
mod remove;
mod resync;
mod rotate;
mod seed;
mod status;
mod stdin;
mod token;
mod unenroll;
mod user;
mod vault;
mod wiring;
mod write;

/// How long a person has, unless `--timeout` says otherwise.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The same for `credential-process`: Go's SDK kills the process after 60 s.
const PROCESS_TIMEOUT: Duration = Duration::from_secs(55);

/// Runs a verb.
pub fn run(cli: Cli) -> Result<(), Error> {
    let limit = match (cli.options.timeout, &cli.verb) {
        (Some(seconds), _) => Duration::from_secs(seconds),
        (None, Verb::CredentialProcess { .. }) => PROCESS_TIMEOUT,
        (None, _) => TIMEOUT,
    };
    let context = Context::new(cli.options, limit)?;
    match carried_out(&context, cli.verb.clone()) {
        Err(error) if auto::is_outdated(&context, &error)? => {
            carried_out(&context.anew(), cli.verb).inspect_err(|error| auto::give_up(&context, error))
        }
        outcome => outcome,
    }
}

fn carried_out(context: &Context, verb: Verb) -> Result<(), Error> {
    match verb {
        Verb::Add(add) => add::run(context, &add),
        Verb::Clear { profile, json } => clear::run(context, profile.as_deref(), json),
        Verb::Code { profile } => code::run(context, profile),
        Verb::Complete { words } => completions::answer(context, words),
        Verb::Completions { shell } => completions::run(shell),
        Verb::CredentialProcess { profile } => credential_process::run(context, profile),
        Verb::Doctor { profile, json } => doctor::run(context, profile, json),
        Verb::Enroll(enroll) => enroll::run(context, &enroll),
        Verb::Exec { profile, hand_over, command } => exec::run(context, profile, &hand_over, command),
        Verb::Explain { profile, json } => explain::run(context, profile, json),
        Verb::Export(export) => export::run(context, export),
        Verb::List { json } => list::run(context, json),
        Verb::Login(login) => login::run(context, login),
        Verb::Mfa(cli::Mfa::List { profile, json }) => mfa::list(context, profile, json),
        Verb::Pages { folder } => pages::run(&folder),
        Verb::Policy(policy) => policy::run(context, &policy),
        Verb::Remove { profile } => remove::run(context, &profile),
        Verb::Resync { profile } => resync::run(context, &profile),
        Verb::Rotate { profile, delete } => rotate::run(context, &profile, delete.as_deref()),
        Verb::Seed(Seed::Add { profile, stdin }) => seed::add(context, &profile, stdin),
        Verb::Seed(Seed::Remove { profile }) => seed::remove(context, &profile),
        Verb::Status(status) => status::run(context, &status),
        Verb::Token(token) => token::run(context, token),
        Verb::Unenroll(unenroll) => unenroll::run(context, &unenroll),
        Verb::Vault(Vaults::Move { to }) => vault::move_to(context, to),
        Verb::Write(wanted) => write::run(context, wanted),
    }
}

/// What every verb starts from.
#[derive(Clone)]
struct Context {
    attendant: Arc<dyn Attendant>,
    /// The devices that `auto` stood for.
    auto: auto::Used,
    clock: SharedTimeSource,
    deadline: Instant,
    env: Env,
    limit: Duration,
    options: Options,
    places: Places,
    /// Whether this process outlives the making of its session: then it must never hold a long-term secret.
    stays: bool,
}

impl Context {
    fn new(options: Options, limit: Duration) -> Result<Self, Error> {
        let terminal: Arc<dyn Attendant> = Arc::new(Terminal::find());
        Ok(Self {
            auto: auto::Used::default(),
            attendant: if options.no_prompt { Arc::new(Undisturbed(terminal)) } else { terminal },
            clock: SharedTimeSource::new(SystemTimeSource::new()),
            deadline: Instant::now().checked_add(limit).ok_or(Error::TimedOut(limit))?,
            env: Env::real(),
            limit,
            options,
            places: Places::of_this_person().ok_or(Error::NoHome)?,
            stays: false,
        })
    }

    /// The same, with all its time before it: for a verb that asks a person several times.
    fn anew(&self) -> Self {
        let now = Instant::now();
        Self { deadline: now.checked_add(self.limit).unwrap_or(now), ..self.clone() }
    }

    /// The same for a process that stays once its session is made.
    fn staying(&self) -> Self {
        Self { stays: true, ..self.clone() }
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.env.get(name).ok().filter(|value| !value.is_empty())
    }

    fn profiles(&self) -> Result<Profiles, Error> {
        Ok(Profiles::load(&self.env, &Fs::real())?)
    }

    /// The profile that was named, else `AWS_PROFILE`.
    fn named(&self, profile: Option<String>) -> Result<String, Error> {
        profile.or_else(|| self.variable("AWS_PROFILE")).ok_or(Error::NoProfile)
    }

    fn wishes(&self) -> Wishes {
        let first =
            |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, self.variable(name)?)));
        Wishes {
            region: first(["AWS_REGION", "AWS_DEFAULT_REGION"]),
            endpoint: first(["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"]),
            ignore_endpoints: self
                .variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
                .is_some_and(|value| value.eq_ignore_ascii_case("true")),
            ca_bundle: self.variable("AWS_CA_BUNDLE").map(PathBuf::from),
            dualstack: self.variable("AWS_USE_DUALSTACK_ENDPOINT"),
            fips: self.variable("AWS_USE_FIPS_ENDPOINT"),
            sts_regional: self.variable("AWS_STS_REGIONAL_ENDPOINTS"),
            found: BTreeMap::new(),
            codes: self.options.code.as_ref().map(|codes| codes.0.clone()),
            token: self.options.token.or(match self.options.reader {
                Some(Reader::Pcsc(serial)) => serial,
                _ => None,
            }),
        }
    }

    /// The plan, or why there is none with the file and the line. An `auto` device that is not known yet is found out.
    fn plan(&self, profiles: &Profiles, name: &str) -> Result<Plan, Error> {
        self.planned(profiles, name, |profile| auto::device(self, profile).map(Some))
    }

    /// The same for verbs that ask nobody: an `auto` device that is not known yet ends it.
    fn plan_unasked(&self, profiles: &Profiles, name: &str) -> Result<Plan, Error> {
        self.planned(profiles, name, |profile| Ok(auto::remembered(self, profile)))
    }

    fn planned(
        &self,
        profiles: &Profiles,
        name: &str,
        device: impl Fn(&str) -> Result<Option<String>, Error>,
    ) -> Result<Plan, Error> {
        let mut wishes = self.wishes();
        loop {
            let refused = match plan::plan(profiles, name, &wishes) {
                Err(refused) => refused,
                Ok(plan) => return Ok(plan),
            };
            match &refused {
                PlanError::Auto { profile } if let Some(serial) = device(profile)? => {
                    wishes.found.insert(profile.clone(), serial);
                }
                _ => return Err(located(profiles, refused)),
            }
        }
    }

    fn settings(&self) -> Result<Settings, Error> {
        Ok(Settings::read(&self.places.settings())?)
    }

    fn vault_kind(&self) -> Result<VaultKind, Error> {
        Ok(self.settings()?.vault(self.options.vault)?)
    }

    /// The vault in use; opens nothing before it is read.
    fn vault(&self) -> Result<Arc<dyn Vault>, Error> {
        Ok(match self.vault_kind()? {
            VaultKind::Keychain if !self.attendant.may_ask() => Arc::new(Keychain::undisturbed()),
            VaultKind::Keychain => {
                Arc::new(Keychain::new().until(self.deadline).in_turn(&self.places.turns()))
            }
            VaultKind::File => Arc::new(self.file_vault()?),
        })
    }

    fn file_vault(&self) -> Result<FileVault, Error> {
        let descriptor = self.variable("ONETAP_VAULT_PASSPHRASE_FD");
        let source = match (descriptor, self.variable("ONETAP_VAULT_PASSPHRASE_FILE")) {
            (Some(number), _) => PassphraseSource::Descriptor(number.parse().map_err(|_| {
                Error::Usage(format!("ONETAP_VAULT_PASSPHRASE_FD is {number:?}, which is no file descriptor"))
            })?),
            (None, Some(path)) => PassphraseSource::File(path.into()),
            (None, None) => PassphraseSource::Person,
        };
        Ok(FileVault::with(self.places.vault(), source, self.attendant.clone()).until(self.deadline))
    }

    fn store(&self, vault: Arc<dyn Vault>) -> SessionStore {
        SessionStore::new(self.places.sessions(), vault)
    }
}

/// The profile names no device.
fn no_mfa(profile: &str) -> Error {
    let source = Box::new(PlanError::NoMfa { profile: profile.into() });
    Error::Plan { source, at: None, lost: None }
}

fn located(profiles: &Profiles, source: PlanError) -> Error {
    let at = source.place().and_then(|spot| profiles.locate_spot(&spot));
    let lost = match &source {
        PlanError::NoProfile { name, .. } => profiles.lost(name),
        _ => None,
    };
    Error::Plan { source: Box::new(source), at, lost }
}

/// Runs the part that waits: on one thread, with the clock, the network and Ctrl-C, and without waiting for a
/// thread that is stuck with a card.
fn block_on<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Usage(format!("no event loop: {error}")))?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_background();
    outcome
}

/// Hands over a result. stdout is a protocol: this is the only function that writes to it.
fn print(bytes: &[u8]) -> Result<(), Error> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| Error::Output(error.to_string()))
}

/// Prints a document as JSON, on one line.
fn print_json(value: &impl serde::Serialize) -> Result<(), Error> {
    let mut text = serde_json::to_string(value).map_err(|error| Error::Output(error.to_string()))?;
    text.push('\n');
    print(text.as_bytes())
}
