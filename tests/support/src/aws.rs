//! A strict stand-in for AWS: STS, the part of IAM that onetap needs, and a little of EC2, behind real signatures, one-time codes and policies.
//!
//! Knows nothing about onetap. Where AWS and the stand-in differ, the stand-in is stricter: unknown parameters,
//! policy elements and variables are refused.
//! Source: the API references of STS, IAM and EC2, the IAM User Guide, and messages as AWS sends them.
//!
//! ```
//! use onetap_support::aws::{Aws, User, World, policy};
//!
//! let aws = Aws::start(World::of(User::doug().policy(policy::stop_only_with_mfa())));
//! assert!(aws.endpoint().starts_with("http://127.0.0.1:"));
//! assert_eq!(aws.count("GetSessionToken"), 0);
//! ```
//!
//! Roles say in their trust policy who may assume them; the documents come from [`policy`]:
//!
//! ```
//! use std::time::Duration;
//! use onetap_support::aws::{Aws, Role, User, World, policy};
//!
//! let doug = User::doug();
//! let admin = Role::named("admin")
//!     .trust(policy::trust_with_mfa(&doug.arn()))
//!     .max_session(Duration::from_secs(43_200))
//!     .policy(policy::everything());
//! assert_eq!(admin.arn(), "arn:aws:iam::123456789012:role/admin");
//! // The next of a chain, with an external id.
//! let condition = serde_json::json!({ "StringEquals": { "sts:ExternalId": "42" } });
//! let next = Role::named("next").trust(policy::trust_when(&admin.arn(), condition));
//! let aws = Aws::start(World::of(doug).role(admin).role(next));
//!
//! // What was asked: touches are requests with a code, sessions are told by their key id.
//! let touches = aws.requests().iter().filter(|seen| seen.code_given).count();
//! let roles = aws.requests().iter().filter(|seen| seen.role_arn.as_deref() == Some("...")).count();
//! assert_eq!((touches, roles), (0, 0));
//!
//! aws.shift_clock(-20); // the server's clock, its `Date` and its codes; `stop_clock` for virtual time
//! aws.shorten_sessions(Duration::from_secs(60));
//! aws.revoke_sessions_of("doug"); // InvalidClientTokenId; `end_sessions`: ExpiredToken
//! ```
//!
//! IAM's own calls change the account, and an administrator may do so meanwhile:
//!
//! ```
//! use onetap_support::aws::{Aws, Group, User, World, policy};
//!
//! // A user before the first enrolment, with an inline, a managed and a group's policy.
//! let doug = User::doug()
//!     .without_devices()
//!     .policy(policy::stop_only_with_mfa())
//!     .attach("Everything", policy::everything());
//! let ops = Group::of("ops", &["doug"]).policy(policy::deny_without_mfa());
//! let aws = Aws::start(World::of(doug).group(ops));
//! aws.settle_keys_after(2); // a new access key is unknown for two requests
//! aws.settle_devices_after(1); // a new device for one code
//! aws.set_boundary("doug", Some(policy::everything_only_with_mfa())); // counts at once
//! aws.attach_policy("doug", "More", &policy::everything());
//! aws.detach_policy("doug", "Everything");
//! // The console's federation endpoint, for sessions of roles: `aws.endpoint()` + `/federation`.
//! // What is there in the end.
//! assert!(aws.devices_of("doug").is_empty() && aws.loose_devices().is_empty());
//! assert_eq!(aws.keys_of("doug").len(), 1);
//! ```
#![deny(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]
#![deny(clippy::print_stderr, clippy::print_stdout)]

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

mod account;
mod administrator;
mod call;
mod caller;
mod clock;
mod directory;
mod ec2;
mod federation;
mod http;
pub mod iam;
pub mod policy;
mod refusal;
mod server;
mod session;
mod signature;
mod state;
mod sts;
pub mod tls;
mod totp;
mod world;
mod xml;

pub use world::{ACCOUNT, Device, Group, INSTANCE, Named, Role, User, WebIdentity, World};

use server::{Server, Watch};
use state::State;
use totp::{Codes, PERIOD};

/// A running stand-in on a port of its own; dropping it closes the port and every connection.
pub struct Aws {
    server: Server,
    authority: Option<tls::Authority>,
}

/// How a stand-in is started.
#[derive(Default)]
pub struct Options {
    /// Where it listens; any free port of 127.0.0.1 if `None`.
    pub listen: Option<SocketAddr>,
    /// Whether it speaks TLS, under an authority of its own: see [`Aws::ca_bundle`].
    pub tls: bool,
    /// Is told about every request, from the connection's thread.
    pub watch: Option<Watch>,
}

/// What goes wrong, once, instead of the ordinary answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request is carried out (a code is used up), then the connection ends without an answer.
    Drop,
    /// The request is not carried out: AccessDenied, as if a policy forbade this action. A code in it can still be used.
    Refuse,
    /// The request is carried out, and the answer comes this much later.
    Slow(Duration),
    /// The request is carried out (a code is used up), and the answer has this status and no body.
    Status(u16),
    /// The request is not carried out: "Rate exceeded". A code in it can still be used.
    Throttle,
}

/// A request that reached the stand-in. Holds no secret and no code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// For example `GetSessionToken`.
    pub action: String,
    /// The key that signed it, or said that it did; empty for a request without a readable signature.
    pub access_key_id: String,
    /// The region in the signature's scope.
    pub region: String,
    /// The ARN of who signed it, once that was believed.
    pub caller: Option<String>,
    /// GetSessionToken's and AssumeRole's `SerialNumber`.
    pub serial: Option<String>,
    /// `DurationSeconds`, as it was written.
    pub duration: Option<String>,
    /// The role that was to be assumed.
    pub role_arn: Option<String>,
    /// `RoleSessionName`.
    pub role_session_name: Option<String>,
    /// Whether a `TokenCode` came, right or wrong.
    pub code_given: bool,
    /// The time step of the code (Unix seconds / 30), also of one that was used before; `None` for a code that the
    /// device does not show in this step or in one of its neighbours.
    pub code_step: Option<u64>,
    /// The access key id of the session that was handed out.
    pub issued: Option<String>,
    /// `ok`, or AWS's error code; a planned fault is told behind it.
    pub outcome: String,
    /// The HTTP status of the answer.
    pub status: u16,
}

impl Seen {
    fn of(action: &str, parameters: &[(String, String)]) -> Self {
        let value = |name| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        Self {
            action: action.into(),
            serial: value("SerialNumber"),
            duration: value("DurationSeconds"),
            role_arn: value("RoleArn"),
            role_session_name: value("RoleSessionName"),
            code_given: value("TokenCode").is_some(),
            ..Self::default()
        }
    }
}

/// Why a stand-in does not start.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// A device's seed cannot be used, or `oathtool` is not there.
    #[error("the MFA device {serial}: {error}")]
    Device {
        /// The device.
        serial: String,
        /// What `oathtool` says.
        error: io::Error,
    },
    /// A group's policy that the stand-in does not understand completely.
    #[error("group {group}: {error}")]
    Group {
        /// The group.
        group: String,
        /// What is wrong with the policy.
        error: iam::Unreadable,
    },
    /// The port or the certificates could not be had.
    #[error("the stand-in cannot listen: {0}")]
    Listen(#[from] io::Error),
    /// A role's policy that the stand-in does not understand completely.
    #[error("role {role}: {error}")]
    Role {
        /// The role.
        role: String,
        /// What is wrong with the policy.
        error: iam::Unreadable,
    },
    /// A policy that the stand-in does not understand completely.
    #[error("user {user}: {error}")]
    Policy {
        /// The user it is attached to.
        user: String,
        /// What is wrong with it.
        error: iam::Unreadable,
    },
}

impl Aws {
    /// Starts on a free port of 127.0.0.1, without TLS.
    ///
    /// Panics with the reason if it cannot: for stories, which can do nothing else. See [`Aws::start_with`].
    #[allow(clippy::panic, reason = "a story whose server does not start has failed")]
    pub fn start(world: World) -> Self {
        match Self::start_with(world, Options::default()) {
            Ok(aws) => aws,
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts as [`Aws::start`] does, behind TLS.
    #[allow(clippy::panic, reason = "a story whose server does not start has failed")]
    pub fn start_tls(world: World) -> Self {
        match Self::start_with(world, Options { tls: true, ..Options::default() }) {
            Ok(aws) => aws,
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts as the options say.
    pub fn start_with(world: World, options: Options) -> Result<Self, Unfit> {
        let state = State::load(world)?;
        let (authority, config) = match options.tls {
            true => tls::Authority::new().map(|(authority, config)| (Some(authority), Some(config)))?,
            false => (None, None),
        };
        let address = options.listen.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
        let server = Server::start(address, state, config, options.watch)?;
        Ok(Self { server, authority })
    }

    /// The URL for `endpoint_url`, `AWS_ENDPOINT_URL` and `--endpoint-url`, without a slash at its end.
    pub fn endpoint(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.server.address)
    }

    /// With TLS: the PEM file of the authority to trust, for `AWS_CA_BUNDLE`. It goes when `self` goes.
    pub fn ca_bundle(&self) -> Option<&Path> {
        self.authority.as_ref().map(tls::Authority::path)
    }

    /// Sets the server's clock to the machine's plus this many seconds, and lets it go on.
    pub fn shift_clock(&self, seconds: i64) {
        let mut state = self.server.shared.state();
        (state.shift, state.stopped) = (seconds, None);
    }

    /// Lets the server's clock stand still at a Unix time, for clients whose time is virtual too.
    pub fn stop_clock(&self, at: i64) {
        self.server.shared.state().stopped = Some(at);
    }

    /// The server's time, in Unix seconds.
    pub fn now(&self) -> i64 {
        self.server.shared.state().now()
    }

    /// Sessions made from now on live no longer than this, and say so in their `Expiration`.
    pub fn shorten_sessions(&self, longest: Duration) {
        self.server.shared.state().cap = Some(longest);
    }

    /// Ends every session that was made so far, whatever its `Expiration` said.
    pub fn end_sessions(&self) {
        self.server.shared.state().sessions.end(|_| true);
    }

    /// Ends one session, by its access key id (`Seen::issued`), whatever its `Expiration` said: `ExpiredToken`.
    pub fn end_session(&self, access_key_id: &str) {
        self.server.shared.state().sessions.end(|kept| kept.access_key_id == access_key_id);
    }

    /// Revokes one session, by its access key id: it is unknown from now on, `InvalidClientTokenId`.
    pub fn revoke_session(&self, access_key_id: &str) {
        self.server.shared.state().sessions.forget(|kept| kept.access_key_id == access_key_id);
    }

    /// Revokes every session that GetSessionToken made for this user, or AssumeRole of this role: by name.
    pub fn revoke_sessions_of(&self, name: &str) {
        self.server.shared.state().revoke_sessions_of(name);
    }

    /// Plans a fault for the next request of this action that has none planned before it.
    pub fn fail_next(&self, action: &str, fault: Fault) {
        self.server.shared.state().faults.push((action.into(), fault));
    }

    /// What was asked so far, oldest first.
    pub fn requests(&self) -> Vec<Seen> {
        self.server.shared.state().seen.clone()
    }

    /// How many requests of this action came, refused ones included.
    pub fn count(&self, action: &str) -> usize {
        self.server.shared.state().seen.iter().filter(|seen| seen.action == action).count()
    }

    /// The code that a device shows at the server's time, some steps away from now; computed by `oathtool`.
    pub fn code(&self, serial: &str, steps: i64) -> Option<String> {
        let state = self.server.shared.state();
        let step = state.now().div_euclid(PERIOD).saturating_add(steps);
        let device = state.device(serial).filter(|device| device.makes_codes())?;
        Codes::around(step, &device.seed_base32).ok().map(|codes| codes.now().to_owned())
    }

    /// Marks the current step of a device as used, as if its code had been typed at the console.
    pub fn use_code_elsewhere(&self, serial: &str) {
        let mut state = self.server.shared.state();
        let step = state.now().div_euclid(PERIOD);
        state.mark_used(serial, step);
    }
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aws({})", self.endpoint())
    }
}

#[cfg(test)]
mod tests;
