//! A question on a Windows console. Read, not tested: `rpassword` has no time limit, so the limit is not kept here.

use std::fs::File;
use std::io::Write as _;
use std::time::Instant;

use secrecy::SecretString;

use crate::attendant::{Echo, Unattended};

/// Asks and reads one line; hidden whatever `_echo` wishes.
pub(super) fn ask(
    tty: &mut File,
    prompt: &str,
    _echo: Echo,
    _deadline: Instant,
) -> Result<SecretString, Unattended> {
    let _ = write!(tty, "{prompt}: ");
    rpassword::read_password().map(SecretString::from).map_err(|error| Unattended::Nobody(error.to_string()))
}
