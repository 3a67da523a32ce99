//! A person whose terminal belongs to a child: may be told a thing or two, and is asked nothing.

use std::sync::Arc;

use crate::attendant::{Attendant, Notice, Question, Unattended};
use secrecy::SecretString;

/// The person behind another way to them.
#[derive(Debug)]
pub(in crate::commands) struct Aside(pub(in crate::commands) Arc<dyn Attendant>);

impl Attendant for Aside {
    fn notice(&self, notice: Notice) {
        // A line that is rewritten each second would be written over the child's.
        let count = matches!(notice, Notice::TouchLeft { .. } | Notice::StepWait { .. });
        if !count && may_write() {
            self.0.notice(notice);
        }
    }

    fn ask(&self, _: Question) -> Result<SecretString, Unattended> {
        Err(Unattended::Nobody("the terminal is the child's".into()))
    }
}

/// Where the terminal stops whoever writes from the background (`stty tostop`), a word would stop the whole job.
#[cfg(unix)]
fn may_write() -> bool {
    use rustix::termios::{LocalModes, tcgetattr, tcgetpgrp};
    let Ok(tty) = std::fs::File::open("/dev/tty") else { return true };
    let stops = tcgetattr(&tty).is_ok_and(|modes| modes.local_modes.contains(LocalModes::TOSTOP));
    !stops || tcgetpgrp(&tty).is_ok_and(|group| group == rustix::process::getpgrp())
}

#[cfg(not(unix))]
fn may_write() -> bool {
    true
}
