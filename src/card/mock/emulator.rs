//! The virtual token's applets, as a state machine: a command in, an outcome out.
//!
//! Knows no file, no clock and no randomness but what it is given, so that tests drive it at full speed.
//! Faithful to a YubiKey 5 as Yubico's own client takes it. Source: Yubico, "YKOATH Protocol"; the management
//! applet as yubikey-manager reads it; RFC 4226, section 5.3.

use std::fmt;
use std::time::Duration;

use sha1::{Digest as _, Sha1};

use super::apdu::{self, Apdu};
use super::faults::{Application, TouchComes};
use super::file::Token;

mod commands;
mod hmac;
mod others;

const OATH: &[u8] = &[0xa0, 0x00, 0x00, 0x05, 0x27, 0x21, 0x01];

/// Most bytes of one answer to a short command, before `61xx`.
const CHUNK: usize = 255;

/// How long a YubiKey waits for its button.
const TOUCH_LIMIT: Duration = Duration::from_secs(15);

/// What came of a command.
#[derive(Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The response APDU.
    Answer(Vec<u8>),
    /// The button blinks; [`Emulator::touched`] has the response after this long.
    AwaitTouch(Duration),
    /// The token is not there any more.
    Removed,
    /// Another program has reset the card: the command was not carried out, and what was selected is no more.
    Reset,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(bytes) => write!(f, "Answer({} bytes)", bytes.len()),
            Self::AwaitTouch(wait) => write!(f, "AwaitTouch({wait:?})"),
            Self::Removed => f.write_str("Removed"),
            Self::Reset => f.write_str("Reset"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Applet {
    Management,
    Oath,
    Otp,
    Piv,
}

/// A response before it is cut into chunks: data, or a status word that is not 9000.
type Response = Result<Vec<u8>, u16>;

/// A CALCULATE that waits for its touch.
struct Waiting {
    account: usize,
    challenge: Vec<u8>,
    truncated: bool,
}

/// A token in a reader.
pub struct Emulator {
    token: Token,
    selected: Option<Applet>,
    unlocked: bool,
    challenge: Vec<u8>,
    rest: Vec<u8>,
    waiting: Option<Waiting>,
    changed: bool,
    served: u32,
    since_reset: u32,
    resets: usize,
    entropy: [u8; 20],
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator")
            .field("selected", &self.selected)
            .field("unlocked", &self.unlocked)
            .finish_non_exhaustive()
    }
}

impl Emulator {
    /// Puts a token into a reader. Challenges and a new salt are drawn from `entropy`.
    pub fn new(token: Token, entropy: [u8; 20]) -> Self {
        Self {
            token,
            selected: None,
            unlocked: false,
            challenge: Vec::new(),
            rest: Vec::new(),
            waiting: None,
            changed: false,
            served: 0,
            since_reset: 0,
            resets: 0,
            entropy,
        }
    }

    /// What the token holds now.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// Whether something changed since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Forgets the selection, the unlock and what was left of an answer.
    pub fn power_cycle(&mut self) {
        self.selected = None;
        self.unlocked = false;
        self.rest.clear();
        self.waiting = None;
    }

    /// Takes one command APDU.
    pub fn respond(&mut self, command: &[u8]) -> Outcome {
        self.waiting = None;
        let faults = &self.token.faults;
        if faults.removed_after.is_some_and(|limit| self.served >= limit) {
            return Outcome::Removed;
        }
        if faults.reset_after.get(self.resets).is_some_and(|limit| self.since_reset >= *limit) {
            self.resets += 1;
            self.since_reset = 0;
            self.power_cycle();
            return Outcome::Reset;
        }
        self.served = self.served.saturating_add(1);
        self.since_reset = self.since_reset.saturating_add(1);
        let Some(apdu) = Apdu::read(command) else {
            return Outcome::Answer(0x6700_u16.to_be_bytes().to_vec());
        };
        let response = self.carry_out(apdu);
        if self.waiting.is_some() {
            return Outcome::AwaitTouch(match self.token.faults.touch {
                TouchComes::After(wait) => wait,
                TouchComes::Never => TOUCH_LIMIT,
            });
        }
        Outcome::Answer(self.pack(response, apdu.extended))
    }

    /// The response to the command that waited for a touch.
    pub fn touched(&mut self) -> Vec<u8> {
        let response = match (self.waiting.take(), self.token.faults.touch) {
            (Some(waiting), TouchComes::After(_)) => {
                self.code(waiting.account, &waiting.challenge, waiting.truncated)
            }
            _ => Err(0x6982),
        };
        self.pack(response, false)
    }

    /// Adds the status word; keeps for SEND REMAINING what does not fit.
    fn pack(&mut self, response: Response, extended: bool) -> Vec<u8> {
        let (mut data, mut status) = match response {
            Ok(data) => (data, 0x9000_u16),
            Err(status) => (Vec::new(), status),
        };
        if data.len() > CHUNK && !extended {
            self.rest = data.split_off(CHUNK);
            status = 0x6100 | u16::try_from(self.rest.len().min(CHUNK)).unwrap_or(0xff);
        }
        data.extend_from_slice(&status.to_be_bytes());
        data
    }

    fn carry_out(&mut self, apdu: Apdu<'_>) -> Response {
        let rest = std::mem::take(&mut self.rest);
        match (apdu.cla, apdu.ins, apdu.p1, self.selected) {
            (0x00, 0xa4, 0x04, _) => self.select(apdu.data),
            (0x00, ins, _, Some(Applet::Oath)) => self.oath(ins, apdu, rest),
            (0x00, ins, p1, Some(applet)) => self.other(applet, ins, p1),
            (0x00, ..) => Err(0x6d00),
            _ => Err(0x6e00),
        }
    }

    fn select(&mut self, aid: &[u8]) -> Response {
        if aid != OATH {
            return self.select_other(aid);
        }
        if self.token.faults.without.contains(&Application::Oath) {
            return Err(0x6a82);
        }
        let firmware = self.token.firmware;
        self.selected = Some(Applet::Oath);
        self.unlocked = self.token.password_key.is_none();
        let mut answer = Vec::new();
        apdu::put(0x79, &[firmware.0, firmware.1, firmware.2], &mut answer);
        apdu::put(0x71, &self.token.salt, &mut answer);
        if !self.unlocked {
            self.challenge = self.draw().to_vec();
            apdu::put(0x74, &self.challenge, &mut answer);
            apdu::put(0x7b, &[0x01], &mut answer);
        }
        Ok(answer)
    }

    /// Eight bytes that were not drawn before.
    fn draw(&mut self) -> [u8; 8] {
        self.entropy = Sha1::digest(self.entropy).into();
        let mut drawn = [0; 8];
        drawn
            .iter_mut()
            .zip(Sha1::digest([self.entropy.as_slice(), b"drawn"].concat()))
            .for_each(|(to, from)| *to = from);
        drawn
    }
}
