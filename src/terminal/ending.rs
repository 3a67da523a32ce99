//! The terminal as it was, given back on every way out that can be caught: an answer, a signal, a panic, the end.
//!
//! Knows which signals end a process; knows nothing about questions. What cannot be caught (SIGKILL) leaves the echo
//! off; `stty sane` brings it back.
//! Source: signal(7), the crates signal-hook and tokio, which share one registry of handlers.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::termios::{OptionalActions, Termios, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::{flag, low_level};

/// What asks a process to end.
const ENDINGS: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// The terminal and its modes before the question that is being asked.
static BEFORE: Mutex<Option<(File, Termios)>> = Mutex::new(None);

static HEARD: OnceLock<Heard> = OnceLock::new();

/// Handlers stay once they are there, since to take one away would leave its signal ignored. Between questions they
/// do what the system would have done.
struct Heard {
    pipe: UnixStream,
    /// The last signal; 0 before any.
    last: Arc<AtomicUsize>,
    by_default: Arc<AtomicBool>,
    interrupt_by_default: Arc<AtomicBool>,
}

/// Whether somebody else hears SIGINT between questions: the part that waits, which ends its work in good order.
static OTHERS_HEAR_INTERRUPTS: AtomicBool = AtomicBool::new(false);

/// From now on SIGINT between two questions is left to its other listeners.
pub(crate) fn leave_interrupts_to_others() {
    OTHERS_HEAR_INTERRUPTS.store(true, Ordering::SeqCst);
    if let Some(heard) = HEARD.get() {
        heard.interrupt_by_default.store(false, Ordering::SeqCst);
    }
}

fn before() -> MutexGuard<'static, Option<(File, Termios)>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes what to restore.
pub(super) fn note(tty: File, modes: Termios) {
    *before() = Some((tty, modes));
}

/// Gives the terminal back as it was, if a question changed it; a second call does nothing.
pub fn restore() {
    if let Some((tty, modes)) = before().take() {
        let _ = tcsetattr(tty.as_fd(), OptionalActions::Now, &modes);
    }
}

/// Listens for signals until dropped; from then on each does again what it does by default.
pub(super) struct Signals(&'static Heard);

impl Signals {
    /// Begins to listen.
    pub(super) fn hear() -> io::Result<Self> {
        let heard = match HEARD.get() {
            Some(heard) => heard,
            None => {
                let heard = Heard::begin()?;
                HEARD.get_or_init(|| heard)
            }
        };
        heard.by_default.store(false, Ordering::SeqCst);
        heard.interrupt_by_default.store(false, Ordering::SeqCst);
        heard.last.store(0, Ordering::SeqCst);
        // What came between two questions was for somebody else.
        while (&heard.pipe).read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
        Ok(Self(heard))
    }

    /// Readable once a signal came.
    pub(super) fn pipe(&self) -> BorrowedFd<'_> {
        self.0.pipe.as_fd()
    }

    /// Whether one came.
    pub(super) fn heard(&self) -> bool {
        self.0.last.load(Ordering::SeqCst) != 0
    }

    /// Ends the process as the signal that came would have; true if it was SIGINT, which is an answer like Ctrl-C.
    pub(super) fn obey(self) -> bool {
        let heard = self.0;
        drop(self);
        match i32::try_from(heard.last.load(Ordering::SeqCst)) {
            Ok(0) => false,
            Ok(SIGINT) | Err(_) => true,
            Ok(signal) => {
                let _ = low_level::emulate_default_handler(signal);
                true
            }
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.0.by_default.store(true, Ordering::SeqCst);
        let others = OTHERS_HEAR_INTERRUPTS.load(Ordering::SeqCst);
        self.0.interrupt_by_default.store(!others, Ordering::SeqCst);
    }
}

impl Heard {
    fn begin() -> io::Result<Self> {
        let (pipe, write) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        let last = Arc::<AtomicUsize>::default();
        let (by_default, interrupt_by_default) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        for signal in ENDINGS {
            let number = usize::try_from(signal).unwrap_or_default();
            let condition = if signal == SIGINT { &interrupt_by_default } else { &by_default };
            flag::register_conditional_default(signal, condition.clone())?;
            flag::register_usize(signal, last.clone(), number)?;
            low_level::pipe::register(signal, write.try_clone()?)?;
        }
        // A panic may end the process at once (`panic = "abort"`), without a drop.
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |about| {
            restore();
            before(about);
        }));
        Ok(Self { pipe, last, by_default, interrupt_by_default })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use onetap_support::pty::Start;
    use rustix::termios::{LocalModes, tcgetattr};

    use super::*;

    const STEP: &str = "TERMINAL_ENDING_STEP";

    /// Nothing by itself: a question that panics, in a build that ends at a panic without a drop.
    #[test]
    fn the_child() {
        let Ok(step) = std::env::var(STEP) else { return };
        std::panic::set_hook(Box::new(|_| std::process::abort()));
        let tty = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty").unwrap();
        let modes = tcgetattr(&tty).unwrap();
        if step == "guarded" {
            std::mem::forget(Signals::hear().unwrap());
            note(tty.try_clone().unwrap(), modes.clone());
        }
        let mut hidden = modes;
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&tty, OptionalActions::Now, &hidden).unwrap();
        panic!("in the middle of a question");
    }

    #[test]
    fn a_panic_brings_the_echo_back() {
        let test = std::env::current_exe().unwrap();
        let script = r#""$@" >/dev/null 2>&1; stty -a | grep -o -- '-\?echo ' || echo lost; echo over"#;
        for (step, seen) in [("bare", "-echo \nover\n"), ("guarded", "echo \nover\n")] {
            let start = Start::new("/bin/sh").args(["-c", script, "sh"]).args([&test]);
            let start = start.args(["--exact", "terminal::ending::tests::the_child"]).env(STEP, step);
            let finished = start.spawn().unwrap().finish(Duration::from_secs(60)).unwrap();
            assert!(finished.terminal.ends_with(seen), "{step}: {}", finished.terminal);
            assert!(step == "bare" || !finished.terminal.contains("-echo"), "{}", finished.terminal);
        }
    }
}
