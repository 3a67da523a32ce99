//! Codes that a person types.

use std::time::Instant;

use secrecy::ExposeSecret;

use super::{Code, CodeError, CodeSource, TimeStep};
use crate::attendant::{Attendant, Echo, Question};

/// Asks the person, who reads the code off a phone or another device.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The device's name in the question.
    pub device: String,
}

impl CodeSource for Prompt {
    fn name(&self) -> &'static str {
        "prompt"
    }

    fn code(&self, _: TimeStep, deadline: Instant, attendant: &dyn Attendant) -> Result<Code, CodeError> {
        let prompt = format!("Code for {}", self.device);
        let answer = attendant.ask(Question { prompt, echo: Echo::Shown, deadline })?;
        Code::parse(answer.expose_secret()).ok_or(CodeError::NotACode)
    }
}
