//! `onetap write`: the session as a profile in `~/.aws/credentials`, for tools that read nothing else.
//!
//! Knows when to write and what to say; which bytes are ours is known to [`owned`].

use std::path::Path;
use std::time::Duration;

use crate::attendant::Notice;
use crate::cli;
use crate::error::Error;
use crate::files::{Private, sweep_beside, write_if_still};
use crate::plan::Plan;
use crate::profiles::Profiles;
use crate::profiles::edit::{self, owned};
use crate::session::Session;
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::{Context, block_on, config_file, print};

mod watch;

/// Tools that read a file ask nobody for more time: as much as SDKs want of a `credential_process`.
pub(super) const MIN_TTL: Duration = Duration::from_secs(15 * 60);
/// How often an editor may come between our look and our rename.
const TRIES: usize = 10;

pub(super) fn run(context: &Context, wanted: cli::Write) -> Result<(), Error> {
    let staying = context.staying();
    let context = if wanted.watch { &staying } else { context };
    let profiles = context.profiles()?;
    let profile = context.named(wanted.profile)?;
    let section = Section { context, profiles: &profiles, name: wanted.name.as_deref().unwrap_or(&profile) };
    if wanted.remove {
        return section.remove();
    }
    let plan = context.plan(&profiles, &profile)?;
    context.refuse_mock_on_aws(&plan)?;
    // Before the touch: a section of somebody else's, or a name that no tool reads, would make it vain.
    section.edited(&section.read()?, &plan, &[])?;
    if wanted.watch {
        return block_on(watch::watch(&section, &plan));
    }
    let authenticator = context.authenticator(plan.clone(), "write", MIN_TTL)?;
    let session = match authenticator.kept(context.clock.now())? {
        Some(session) => session,
        None => block_on(authenticator.session())?,
    };
    section.write(&plan, &session)?;
    print(format!("Wrote {}; it ends at {}.\n", section.place(), session.expiration_text()).as_bytes())
}

/// The section that is written.
struct Section<'a> {
    context: &'a Context,
    profiles: &'a Profiles,
    name: &'a str,
}

impl Section<'_> {
    fn file(&self) -> &Path {
        &self.profiles.files().credentials
    }

    /// `[doug] to /home/doug/.aws/credentials`, as the end of a sentence.
    fn place(&self) -> String {
        format!("[{}] in {}", self.name, self.file().display())
    }

    fn refused(&self, reason: impl ToString) -> Error {
        Error::File { path: self.file().into(), reason: reason.to_string() }
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        match std::fs::read(self.file()) {
            Ok(content) => Ok(Zeroizing::new(content)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Zeroizing::default()),
            Err(error) => Err(self.refused(error)),
        }
    }

    fn edited(&self, before: &[u8], plan: &Plan, keys: &[(&str, &str)]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (own, named) = (&plan.profile, self.name);
        let more = if own == named { String::new() } else { format!(" --as {named}") };
        let remark = format!("`onetap write {own}{more} --remove` takes it away");
        let after = owned::write(before, named, &remark, keys).map_err(|error| self.not_ours(error))?;
        Ok(Zeroizing::new(after))
    }

    fn not_ours(&self, source: owned::NotOurs) -> Error {
        Error::NotOurs(self.file().into(), source)
    }

    fn write(&self, plan: &Plan, session: &Session) -> Result<(), Error> {
        let (region, endpoint) = self.others(plan);
        let mut keys = vec![
            ("aws_access_key_id", session.access_key_id.as_str()),
            ("aws_secret_access_key", session.secret_access_key.expose_secret()),
            ("aws_session_token", session.session_token.expose_secret()),
        ];
        keys.extend(region.map(|region| ("region", region)));
        keys.extend(endpoint.map(|endpoint| ("endpoint_url", endpoint)));
        self.change(|before| self.edited(before, plan, &keys).map(Some))?;
        self.warn_of_readers();
        Ok(())
    }

    /// What the profile says of its region and its address, where no profile of the section's name says it.
    fn others(&self, plan: &Plan) -> (Option<&str>, Option<&str>) {
        let Some(profile) =
            self.profiles.profile(&plan.profile).filter(|profile| profile.name() != self.name)
        else {
            return (None, None);
        };
        let config = std::fs::read(&self.profiles.files().config).unwrap_or_default();
        let header = config_file::section(self.name);
        let value = |key| {
            let said = edit::locate(&config, &header, Some(key)).is_some();
            profile.value(key).filter(|_| !said)
        };
        (value("region"), value("endpoint_url"))
    }

    fn remove(&self) -> Result<(), Error> {
        let mut found = false;
        self.change(|before| {
            let after = owned::remove(before, self.name).map_err(|error| self.not_ours(error))?;
            found = after.is_some();
            Ok(after.map(Zeroizing::new))
        })?;
        let line = match found {
            true => format!("Removed {}. AWS keeps the session alive until its end.\n", self.place()),
            false => format!("There is no {}.\n", self.place()),
        };
        print(line.as_bytes())
    }

    /// Edits the file under the lock; where an editor wrote it meanwhile, its text is taken and edited again.
    fn change(
        &self,
        mut edit: impl FnMut(&[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, Error>,
    ) -> Result<(), Error> {
        let _lock = config_file::lock(self.context).map_err(|error| self.refused(error))?;
        sweep_beside(self.file(), self.context.clock.now());
        for _ in 0..TRIES {
            let before = self.read()?;
            let Some(after) = edit(&before)?.filter(|after| *after != before) else { return Ok(()) };
            if write_if_still(self.file(), &before, &after, Private::AsItWas)
                .map_err(|error| self.refused(error))?
            {
                return Ok(());
            }
        }
        Err(self.refused("another program keeps writing it"))
    }

    /// The mode is the person's choice, and others can read what stands in the file.
    #[cfg(unix)]
    fn warn_of_readers(&self) {
        use std::os::unix::fs::MetadataExt as _;
        let mode = std::fs::metadata(self.file()).map_or(0, |about| about.mode() & 0o777);
        if mode & 0o044 != 0 {
            let file = self.file().display();
            let text = format!("{file} can be read by others (mode {mode:04o}): run `chmod 600 {file}`");
            self.context.attendant.notice(Notice::Warning(text));
        }
    }

    #[cfg(not(unix))]
    fn warn_of_readers(&self) {}
}
