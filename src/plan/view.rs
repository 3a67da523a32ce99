//! One profile as its owner means it: its own values, then those of the profiles that it includes.
//!
//! Source: aws-vault's `include_profile`; the AWS CLI has no such key.

use crate::profiles::{Profile, Profiles};

use super::PlanError;

/// A profile with what it includes.
#[derive(Clone, Debug)]
pub struct View<'a> {
    layers: Vec<Profile<'a>>,
}

impl<'a> View<'a> {
    /// The profile `name`, which must be there.
    pub fn of(profiles: &'a Profiles, name: &str) -> Result<Self, PlanError> {
        let mut layers = vec![named(profiles, name)?];
        while let Some(last) = layers.last().copied()
            && let Some(next) = last.value("include_profile")
        {
            let known = layers.iter().any(|layer| layer.name() == next);
            if known {
                let way = layers.iter().map(|layer| layer.name()).chain([next]).map(str::to_owned).collect();
                return Err(PlanError::Cycle { profiles: way, key: "include_profile" });
            }
            layers.push(
                profiles
                    .profile(next)
                    .ok_or_else(|| bad(&last, "include_profile", next, absent(profiles, next)))?,
            );
        }
        Ok(Self { layers })
    }

    /// The profile's own name.
    pub fn name(&self) -> &'a str {
        self.layers.first().map_or("", |own| own.name())
    }

    /// A key's value; the profile's own goes before an included one's.
    pub fn value(&self, key: &str) -> Option<&'a str> {
        self.find(key).map(|(value, _)| value)
    }

    /// The value, and the profile in which it stands.
    pub fn find(&self, key: &str) -> Option<(&'a str, Profile<'a>)> {
        self.layers.iter().find_map(|layer| Some((layer.value(key)?, *layer)))
    }

    /// The address of a service in the `services` section that the profile names, and the section's name.
    pub fn service_endpoint(&self, service: &str) -> Option<(&'a str, &'a str)> {
        self.layers
            .iter()
            .find_map(|layer| Some((layer.service_endpoint(service)?, layer.value("services")?)))
    }

    /// The value of `key` as `parse` reads it.
    pub fn parsed<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, PlanError> {
        let Some((text, at)) = self.find(key) else { return Ok(None) };
        parse(text).map(Some).map_err(|reason| bad(&at, key, text, reason))
    }

    /// The refusal of `key`'s value.
    pub fn bad(&self, key: &'static str, reason: impl Into<String>) -> PlanError {
        let (value, name) = self.find(key).map_or(("", self.name()), |(value, at)| (value, at.name()));
        PlanError::BadValue { profile: name.into(), key, value: value.into(), reason: reason.into() }
    }
}

/// A profile that must be there.
pub fn named<'a>(profiles: &'a Profiles, name: &str) -> Result<Profile<'a>, PlanError> {
    profiles
        .profile(name)
        .ok_or_else(|| PlanError::NoProfile { name: name.into(), near: near(profiles, name) })
}

/// Why `name`, which another profile mentions, cannot be used.
pub(super) fn absent(profiles: &Profiles, name: &str) -> String {
    match near(profiles, name).as_slice() {
        [] => "there is no such profile".into(),
        near => format!("there is no such profile; did you mean {}?", near.join(" or ")),
    }
}

fn near(profiles: &Profiles, name: &str) -> Vec<String> {
    let mut near = profiles
        .names()
        .filter(|known| known.eq_ignore_ascii_case(name) || strsim::damerau_levenshtein(known, name) <= 2)
        .map(str::to_owned)
        .collect::<Vec<_>>();
    near.sort();
    near
}

fn bad(profile: &Profile<'_>, key: &'static str, value: &str, reason: String) -> PlanError {
    PlanError::BadValue { profile: profile.name().into(), key, value: value.into(), reason }
}
