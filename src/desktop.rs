//! A desktop's notice that a key waits for its touch; it goes when the touch has come.
//!
//! Knows what is shown and for how long; the terminal says the same and more. A desktop that does not answer keeps nobody
//! from anything: it is spoken to on a thread of its own.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use secrecy::SecretString;

use crate::attendant::{Attendant, Notice, Question, Unattended};

#[cfg_attr(any(not(unix), target_os = "macos"), path = "desktop/bus_absent.rs")]
mod bus;

/// How long a notice stays at the longest, should we be killed: a key's own patience is half of it.
const LONGEST: Duration = Duration::from_secs(30);

/// How long the withdrawal may take before we go on without it. It is waited for at all because the process may end, or
/// become another program, right after the touch; the notice would then stay.
const GOODBYE: Duration = Duration::from_millis(250);

/// A person at a desktop, beside another way to the same person.
#[derive(Debug)]
pub struct Desktop {
    beside: Arc<dyn Attendant>,
    shown: Mutex<Option<Shown>>,
}

/// A notice on its way or on the screen; withdrawn when `over` is dropped.
#[derive(Debug)]
struct Shown {
    over: Sender<()>,
    gone: Receiver<()>,
}

impl Desktop {
    /// Shows touches on the desktop too; everything else, and every question, is `beside`'s. Does nothing yet.
    pub fn new(beside: Arc<dyn Attendant>) -> Self {
        Self { beside, shown: Mutex::default() }
    }

    fn show(&self, summary: String, body: String) {
        let (over, waiting) = mpsc::channel::<()>();
        let (left, gone) = mpsc::channel::<()>();
        let begun = thread::Builder::new().name("desktop".into()).spawn(move || {
            // A desktop without notices, or without an answer, is none.
            if let Some(notice) = bus::show(&summary, &body, LONGEST) {
                let _ = waiting.recv_timeout(LONGEST);
                notice.withdraw();
            }
            drop(left);
        });
        if begun.is_ok()
            && let Ok(mut shown) = self.shown.lock()
        {
            *shown = Some(Shown { over, gone });
        }
    }

    fn withdraw(&self) {
        let Some(Shown { over, gone }) = self.shown.lock().ok().and_then(|mut shown| shown.take()) else {
            return;
        };
        drop(over);
        let _ = gone.recv_timeout(GOODBYE);
    }
}

impl Attendant for Desktop {
    fn notice(&self, notice: Notice) {
        let touch = match &notice {
            Notice::TouchWanted { account, key, profile } => Some(words(account, key, profile)),
            _ => None,
        };
        let over = notice == Notice::TouchOver;
        self.beside.notice(notice);
        if let Some((summary, body)) = touch {
            self.show(summary, body);
        } else if over {
            self.withdraw();
        }
    }

    fn ask(&self, question: Question) -> Result<SecretString, Unattended> {
        self.beside.ask(question)
    }

    fn may_ask(&self) -> bool {
        self.beside.may_ask()
    }
}

/// The line in bold, and the one below it: the latter is markup (Desktop Notifications Specification, "Markup").
fn words(account: &str, key: &Option<String>, profile: &Option<String>) -> (String, String) {
    let key = key.as_ref().map_or("your YubiKey".into(), |serial| format!("the YubiKey {serial}"));
    let asks = profile.as_ref().map(|name| format!("Profile {name}: ")).unwrap_or_default();
    let body = format!("{asks}{account}").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    (format!("Touch {key}"), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notice_names_the_key_and_the_profile_and_nothing_in_it_is_markup() {
        let said = words("a&b", &Some("7".into()), &Some("<b>doug".into()));
        assert_eq!(said, ("Touch the YubiKey 7".into(), "Profile &lt;b&gt;doug: a&amp;b".into()));
        assert_eq!(words("arn", &None, &None), ("Touch your YubiKey".into(), "arn".into()));
    }
}
