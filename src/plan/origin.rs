//! Where a plan's values come from, for a person who wonders.
//!
//! Looks a second time, in the same order as [`super::plan`], which itself notes nothing: it runs before every cached
//! answer. Knows profiles and variables; in which line a value stands is the files' to say.

use crate::profiles::{Profiles, Spot};

use super::view::View;
use super::walk::Way;
use super::{PlanError, Source, Wishes};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody named one.
    Default,
    /// A line in AWS's files.
    File(Spot),
    /// A variable of the environment.
    Variable(&'static str),
}

/// The origins of one profile's plan.
#[derive(Debug)]
pub struct Origins<'a> {
    profiles: &'a Profiles,
    way: Way<'a>,
    wishes: &'a Wishes,
}

impl<'a> Origins<'a> {
    /// Those of the plan for the profile `name`; fails only where the plan does.
    pub fn of(profiles: &'a Profiles, name: &str, wishes: &'a Wishes) -> Result<Self, PlanError> {
        Ok(Self { profiles, way: Way::of(profiles, name)?, wishes })
    }

    /// Of a key that counts for the profile `name` alone, such as `duration_seconds`.
    pub fn of_profile(&self, name: &str, key: &'static str) -> Origin {
        let view = self.way.stops.iter().map(|stop| &stop.view).find(|view| view.name() == name);
        view.map_or(Origin::Default, |view| within(view, key))
    }

    /// Of a key whose nearest value on the way counts: `mfa_serial`, `mfa_process` and onetap's own.
    pub fn nearest(&self, key: &'static str) -> Origin {
        let views = self.way.stops.iter().map(|stop| &stop.view);
        views
            .map(|view| within(view, key))
            .find(|origin| *origin != Origin::Default)
            .unwrap_or(Origin::Default)
    }

    /// The profiles on the way that lead on to another one, each with the line that does.
    pub fn way(&self) -> Vec<Origin> {
        let keys = ["source_profile", "credential_source", "credential_process", "web_identity_token_file"];
        // Where the vault holds the key, a credential_process is only the hand-off to the SDKs.
        let ours = matches!(self.way.source, Source::Keys { .. });
        let stops = self.way.stops.iter().filter_map(|stop| {
            let leads = |key: &&'static str| !ours || *key != "credential_process";
            let found = keys.into_iter().filter(leads).map(|key| within(&stop.view, key));
            found.into_iter().find(|origin| *origin != Origin::Default)
        });
        stops.collect()
    }

    /// Of the region.
    pub fn region(&self) -> Origin {
        let own = self.asked("region", None);
        match (own, &self.wishes.region) {
            (Origin::Default, Some((variable, _))) => Origin::Variable(variable),
            (Origin::Default, None) => View::of(self.profiles, "default")
                .map_or(Origin::Default, |default| within(&default, "region")),
            (own, _) => own,
        }
    }

    /// Of the address of STS.
    pub fn endpoint(&self) -> Origin {
        if let Some((variable, _)) = &self.wishes.endpoint {
            return Origin::Variable(variable);
        }
        let service = self.way.stops.first().and_then(|stop| stop.view.service_endpoint("sts"));
        match service {
            Some((_, section)) => Origin::File(Spot::Service(section.into(), "sts")),
            None => self.asked("endpoint_url", None),
        }
    }

    /// Of a key of the profile that was asked for; `variable` if that is set, which wins.
    pub fn asked(&self, key: &'static str, variable: Option<&'static str>) -> Origin {
        match (variable, self.way.stops.first()) {
            (Some(variable), _) => Origin::Variable(variable),
            (None, Some(stop)) => within(&stop.view, key),
            (None, None) => Origin::Default,
        }
    }
}

fn within(view: &View<'_>, key: &'static str) -> Origin {
    let found = view.find(key);
    found.map_or(Origin::Default, |(_, at)| Origin::File(Spot::Profile(at.name().into(), Some(key))))
}
