//! Who and what exists in the stand-in's account.

use std::fmt;

use data_encoding::{BASE32_NOPAD, BASE64};
use serde::Deserialize;
use serde_json::Value;

mod group;
mod role;

pub use group::{Group, Named};
pub use role::{Role, WebIdentity};

/// The account that users' constructors write into their ARNs (AWS's own example number).
pub const ACCOUNT: &str = "123456789012";

/// The instance that stories look at and stop.
pub const INSTANCE: &str = "i-0abc";

/// Bytes of a virtual device's seed: 40, so that its Base32 form has AWS's 64 characters.
const SEED_BYTES: usize = 40;

/// An account with its users and instances. Its JSON form has the same fields.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct World {
    /// Twelve digits.
    pub account: String,
    /// Regions in which STS is switched off: `RegionDisabledException`.
    pub disabled_regions: Vec<String>,
    /// The IAM groups.
    pub groups: Vec<Group>,
    /// The running EC2 instances' ids.
    pub instances: Vec<String>,
    /// `aws`, `aws-cn` or `aws-us-gov`: decides about ARNs and about which regions exist.
    pub partition: String,
    /// The roles that can be assumed.
    pub roles: Vec<Role>,
    /// The IAM users.
    pub users: Vec<User>,
    /// The tokens that AssumeRoleWithWebIdentity takes.
    pub web_identities: Vec<WebIdentity>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            account: ACCOUNT.into(),
            disabled_regions: Vec::new(),
            groups: Vec::new(),
            instances: vec![INSTANCE.into(), "i-0123456789abcdef0".into()],
            partition: "aws".into(),
            roles: Vec::new(),
            users: Vec::new(),
            web_identities: Vec::new(),
        }
    }
}

impl World {
    /// A world with one user and two instances.
    pub fn of(user: User) -> Self {
        Self { users: vec![user], ..Self::default() }
    }

    /// Adds a user.
    #[must_use]
    pub fn user(mut self, user: User) -> Self {
        self.users.push(user);
        self
    }

    /// Adds a group.
    #[must_use]
    pub fn group(mut self, group: Group) -> Self {
        self.groups.push(group);
        self
    }

    /// Adds a role.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.roles.push(role);
        self
    }

    /// Adds a token that AssumeRoleWithWebIdentity takes.
    #[must_use]
    pub fn web_identity(mut self, token: WebIdentity) -> Self {
        self.web_identities.push(token);
        self
    }

    /// The binary's default: doug with AWS's example keys and the policy of story (a).
    pub fn example() -> Result<Self, serde_json::Error> {
        serde_json::from_str(include_str!("../../worlds/doug.json"))
    }
}

/// An IAM user with one access key.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The user's name; without meaning for the root user.
    pub name: String,
    /// `AKIA...`.
    pub access_key_id: String,
    /// Forty characters.
    pub secret_access_key: String,
    /// The MFA devices.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// Inline policy documents, called `inline-1`, `inline-2`, ...
    #[serde(default)]
    pub policies: Vec<Value>,
    /// Managed policies that are attached: customer managed ones of the account.
    #[serde(default)]
    pub attached: Vec<Named>,
    /// The permissions boundary's document: the managed policy `NAME-boundary`.
    #[serde(default)]
    pub boundary: Option<Value>,
    /// Whether this is the account's root user: subject to no policy, sessions of at most an hour.
    #[serde(default)]
    pub root: bool,
}

impl User {
    /// A user with a name, fresh keys, one virtual device `:mfa/NAME` with a fresh seed, and no policy.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            access_key_id: key_id("AKIA"),
            secret_access_key: secret(),
            devices: vec![Device::virtual_mfa(name)],
            policies: Vec::new(),
            attached: Vec::new(),
            boundary: None,
            root: false,
        }
    }

    /// The stories' user. Every call makes other keys and another seed.
    pub fn doug() -> Self {
        Self::named("doug")
    }

    /// The account's root user with a virtual device.
    pub fn root() -> Self {
        let devices = vec![Device::virtual_mfa("root-account-mfa-device")];
        Self { devices, root: true, ..Self::named("root") }
    }

    /// Adds an inline policy.
    #[must_use]
    pub fn policy(mut self, document: Value) -> Self {
        self.policies.push(document);
        self
    }

    /// Attaches a managed policy.
    #[must_use]
    pub fn attach(mut self, name: &str, document: Value) -> Self {
        self.attached.push(Named { name: name.into(), document });
        self
    }

    /// Takes every MFA device away: a user before the first enrolment.
    #[must_use]
    pub fn without_devices(mut self) -> Self {
        self.devices.clear();
        self
    }

    /// Adds an MFA device that is enabled already.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.devices.push(device);
        self
    }

    /// `arn:aws:iam::ACCOUNT:user/NAME`, for trust policies.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{ACCOUNT}:user/{}", self.name)
    }

    /// Sets the permissions boundary.
    #[must_use]
    pub fn boundary(mut self, document: Value) -> Self {
        self.boundary = Some(document);
        self
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, access_key_id, devices, .. } = self;
        write!(f, "User({name}, {access_key_id}, {devices:?})")
    }
}

/// An MFA device.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// An ARN (`:mfa/NAME`, `:u2f/...`), or a hardware serial such as `GAHT12345678`.
    pub serial: String,
    /// The TOTP seed in Base32; empty for a FIDO security key, which makes no codes.
    #[serde(default)]
    pub seed_base32: String,
}

impl Device {
    /// A virtual device `arn:aws:iam::ACCOUNT:mfa/NAME` with a fresh seed.
    pub fn virtual_mfa(name: &str) -> Self {
        Self { serial: format!("arn:aws:iam::{ACCOUNT}:mfa/{name}"), seed_base32: seed() }
    }

    /// A hardware device with a fresh seed, for example `GAHT12345678`.
    pub fn hardware(serial: &str) -> Self {
        Self { serial: serial.into(), seed_base32: seed() }
    }

    /// A FIDO security key `arn:aws:iam::ACCOUNT:u2f/user/NAME/default-...`, which STS does not take.
    pub fn fido(name: &str) -> Self {
        let serial = format!("arn:aws:iam::{ACCOUNT}:u2f/user/{name}/default-R1EXAMPLE");
        Self { serial, seed_base32: String::new() }
    }

    /// Whether it makes six-digit codes.
    pub(crate) fn makes_codes(&self) -> bool {
        !self.serial.contains(":u2f/")
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({})", self.serial)
    }
}

/// A key id: four letters that tell its kind, and sixteen of Base32.
pub(crate) fn key_id(kind: &str) -> String {
    format!("{kind}{}", BASE32_NOPAD.encode(&random::<10>()))
}

/// A secret access key: forty characters of Base64.
pub(crate) fn secret() -> String {
    BASE64.encode(&random::<30>())
}

/// A session token: opaque, and about as long as AWS's.
pub(crate) fn token() -> String {
    BASE64.encode(&random::<264>())
}

/// A request id, in the shape of a version 4 UUID.
pub(crate) fn request_id() -> String {
    let hex = data_encoding::HEXLOWER.encode(&random::<16>());
    let part = |from, to| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

pub(crate) fn seed() -> String {
    BASE32_NOPAD.encode(&random::<SEED_BYTES>())
}

#[allow(clippy::panic, reason = "without randomness no test can go on")]
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        panic!("the system gives no random bytes: {error}");
    }
    bytes
}
