//! From a world as it is written to the state that a server begins with.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Instance, State};
use crate::aws::Unfit;
use crate::aws::account::{AccessKey, Circle, Held, Holder, Shelf};
use crate::aws::caller::{Part, Person};
use crate::aws::iam::Policy;
use crate::aws::session::Sessions;
use crate::aws::totp::Codes;
use crate::aws::world::{self, Group, World};
use crate::canary::{self, Kind};

impl State {
    /// Loads a world; every policy and every seed in it must be understood.
    pub(crate) fn load(world: World) -> Result<Self, Unfit> {
        let World { account, disabled_regions, groups, instances, partition, roles, users, web_identities } =
            world;
        let root = format!("arn:{partition}:iam::{account}");
        let (mut people, mut keys, mut devices, mut shelf) =
            (Vec::new(), Vec::new(), Vec::new(), Shelf::default());
        let canaries = canary::here();
        for user in users {
            let whose = format!("{}'s secret access key", user.name);
            canaries.plant(&whose, Kind::LongTerm, user.secret_access_key.as_bytes());
            for device in user.devices.iter().filter(|device| device.makes_codes()) {
                canaries.plant_seed(&format!("the seed of {}'s device", user.name), &device.seed_base32);
            }
            let unfit = |error| Unfit::Policy { user: user.name.clone(), error };
            let held = Holder::load(&root, &user.policies, &user.attached, &mut shelf).map_err(unfit)?;
            let boundary = format!("{}-boundary", user.name);
            let boundary_arn = user.boundary.as_ref().map(|document| shelf.put(&root, &boundary, document));
            let boundary_arn = boundary_arn.transpose().map_err(unfit)?;
            let (user_id, arn) = match user.root {
                true => (account.clone(), format!("{root}:root")),
                false => (world::key_id("AIDA"), format!("{root}:user/{}", user.name)),
            };
            for device in user.devices.iter().cloned() {
                if device.makes_codes() {
                    Codes::around(0, &device.seed_base32)
                        .map_err(|error| Unfit::Device { serial: device.serial.clone(), error })?;
                }
                let owner = Some(user_id.clone());
                devices.push(Held { device, owner, enabled: 0, settling: 0, drift: 0 });
            }
            keys.push(AccessKey {
                id: user.access_key_id.clone(),
                secret: user.secret_access_key.clone(),
                owner: user_id.clone(),
                active: true,
                created: 0,
                settling: 0,
                used: None,
            });
            let is_in = |group: &&Group| group.members.contains(&user.name);
            let groups = groups.iter().filter(is_in).map(|group| group.name.clone()).collect();
            people.push(Arc::new(Person {
                user,
                user_id,
                arn,
                held,
                groups,
                boundary_arn,
                policies: Vec::new(),
                boundary: None,
            }));
        }
        let mut circles = Vec::new();
        for group in &groups {
            let unfit = |error| Unfit::Group { group: group.name.clone(), error };
            circles.push(Circle::load(&root, group, &mut shelf).map_err(unfit)?);
        }
        let mut parts = Vec::new();
        for role in roles {
            let unfit = |error| Unfit::Role { role: role.name.clone(), error };
            let trust = Policy::load_trust(&role.trust).map_err(unfit)?;
            let policies = role.policies.iter().map(Policy::load).collect::<Result<_, _>>().map_err(unfit)?;
            let (role_id, arn) = (world::key_id("AROA"), role.arn_in(&partition));
            parts.push(Arc::new(Part { role, role_id, arn, trust, policies }));
        }
        let mut state = Self {
            account,
            partition,
            instances: instances.into_iter().map(|id| Instance { id, stopping: false }).collect(),
            seen: Vec::new(),
            faults: Vec::new(),
            shift: 0,
            cap: None,
            disabled_regions,
            people,
            keys,
            devices,
            groups: circles,
            shelf,
            stopped: None,
            settle_keys: 0,
            settle_devices: 0,
            organization: None,
            parts,
            sessions: Sessions::default(),
            web_identities,
            signin_tokens: Vec::new(),
            canaries,
            used: BTreeMap::new(),
        };
        state.gather();
        Ok(state)
    }
}
