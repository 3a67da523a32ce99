//! Which profile is meant: the named one, `AWS_PROFILE`, or the one that the person at the terminal picks.

use crate::attendant::Unattended;
use crate::error::Error;
use crate::profiles::Profiles;
use crate::terminal::picker;

use super::{Context, auto};

/// The profile that was named, else `AWS_PROFILE`, else what the person picks among those that onetap can serve.
pub(super) fn chosen(context: &Context, profiles: &Profiles, named: Option<String>) -> Result<String, Error> {
    let nameless = match context.named(named) {
        Err(nameless @ Error::NoProfile) => nameless,
        named => return named,
    };
    if !context.attendant.may_ask() {
        return Err(nameless);
    }
    // Nobody is asked about the profiles that are not meant.
    let serves = |name: &&str| match context.plan_unasked(profiles, name) {
        Err(error) => auto::is_unknown(&error),
        Ok(_) => true,
    };
    let mut names: Vec<_> = profiles.names().filter(serves).map(str::to_owned).collect();
    names.sort_unstable();
    if names.is_empty() {
        return Err(nameless);
    }
    match picker::pick("Profile", &names, context.deadline) {
        Ok(place) => names.into_iter().nth(place).ok_or(nameless),
        Err(Unattended::Nobody(_)) => Err(nameless),
        Err(error) => Err(error.into()),
    }
}
