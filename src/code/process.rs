//! Codes that another program prints: aws-vault's `mfa_process`.

use std::time::Instant;

use super::{Code, CodeError, CodeSource, TimeStep};
use crate::attendant::Attendant;
use crate::foreign::{self, ForeignError};

/// A command line that prints a code.
#[derive(Clone, Debug)]
pub struct Process {
    /// The command line, for the system's shell.
    pub command: String,
    /// The profile that names it.
    pub profile: String,
    /// The MFA device's ARN or serial number: whoever wants its code meanwhile would wait for this one.
    pub device: String,
}

impl CodeSource for Process {
    fn name(&self) -> &'static str {
        "process"
    }

    fn code(&self, _: TimeStep, deadline: Instant, _: &dyn Attendant) -> Result<Code, CodeError> {
        const KEY: &str = "mfa_process";
        let printed =
            foreign::output(&self.command, KEY, &self.profile, &[&self.profile, &self.device], deadline)?;
        std::str::from_utf8(&printed).ok().and_then(Code::parse).ok_or_else(|| {
            let profile = self.profile.clone();
            ForeignError::Unreadable { key: KEY, profile, what: "code of six digits" }.into()
        })
    }
}
