//! How onetap stays above its child without being noticed: signals, stops, the exit status.
//!
//! The child is in our process group, so that whatever is typed reaches it without us. A stopped child stops us, so
//! that the shell above sees it. Where onetap is killed, the child is too: whoever killed us meant it.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::signal::unix::{SignalKind, signal};

use super::endpoint::Endpoint;
use super::program::refused;
use super::renewal::Renewal;
use crate::error::Error;
use crate::shield;

/// Our own name where we are about to become the child.
const STAND_IN: &str = "onetap: exec's child";
/// Ctrl-Z stops and `fg` wakes both of us one after the other: a stop that is over after this was the group's.
const SETTLED: Duration = Duration::from_millis(20);

/// What runs beside the child.
pub(super) type Service = (Endpoint, Arc<Renewal>);

/// Runs the child to its end; the answer is its exit status as a shell counts it. Blocks.
pub(super) fn accompany(child: &Command, name: &OsStr, service: Option<Service>) -> Result<u8, Error> {
    let fault = |error| refused(child.get_program(), error);
    // Before any handler of ours: what was ignored when we were started is ignored by the child.
    shield::lower(); // the child's limits are not ours
    let running = stand_in(child, name).spawn();
    shield::raise();
    let mut running = running.map_err(fault)?;
    let pid = Pid::from_child(&running);
    // Not joined: it goes with the process.
    let thread = std::thread::Builder::new().name("beside".into());
    thread.spawn(move || beside(pid, service)).map_err(fault)?;
    end(&mut running, pid).map_err(fault)
}

/// Ourselves, who become the child after arranging that our end is its end. That is for the child's own process to
/// ask of the kernel, and between fork and exec only `unsafe` code can.
#[cfg(target_os = "linux")]
fn stand_in(child: &Command, name: &OsStr) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0(STAND_IN).arg(std::process::id().to_string());
    command.arg(name).arg(child.get_program()).args(child.get_args());
    for (variable, value) in child.get_envs() {
        match value {
            Some(value) => command.env(variable, value),
            None => command.env_remove(variable),
        };
    }
    command
}

#[cfg(not(target_os = "linux"))]
fn stand_in(child: &Command, name: &OsStr) -> Command {
    let mut command = Command::new(child.get_program());
    command.arg0(name).args(child.get_args());
    for (variable, value) in child.get_envs() {
        match value {
            Some(value) => command.env(variable, value),
            None => command.env_remove(variable),
        };
    }
    command
}

/// Becomes the child, if that is what this process was started for. Returns only the reason why it could not.
pub fn stand_in_for_child(arguments: &[OsString]) -> Option<Error> {
    let [own, parent, name, program, rest @ ..] = arguments else { return None };
    if own != STAND_IN {
        return None;
    }
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
        let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string());
        if now.as_deref().map(OsStr::new) != Some(parent.as_os_str()) {
            return Some(Error::Interrupted); // it was killed before we could ask to be told
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = parent;
    shield::lower();
    let error = Command::new(program).arg0(name).args(rest).exec();
    Some(refused(program, error))
}

/// Waits for the end, and stops when the child stops.
fn end(child: &mut Child, pid: Pid) -> std::io::Result<u8> {
    loop {
        let any = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
        match rustix::process::waitid(WaitId::Pid(pid), any) {
            Err(Errno::INTR) | Ok(None) => {}
            Err(error) => return Err(error.into()),
            Ok(Some(status)) if status.stopped() => {
                std::thread::sleep(SETTLED);
                let still = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
                if let Ok(Some(_)) = rustix::process::waitid(WaitId::Pid(pid), still) {
                    stop(pid);
                }
            }
            Ok(Some(_)) => {
                let status = child.wait()?;
                let code = status.code().or_else(|| Some(status.signal()?.saturating_add(128)));
                return Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX));
            }
        }
    }
}

/// Stops us; whoever wakes us wakes the child's group.
fn stop(child: Pid) {
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
    let group = rustix::process::getpgid(Some(child)).unwrap_or(child);
    let _ = rustix::process::kill_process_group(group, Signal::CONT);
}

/// The thread beside the child: signals, and the endpoint.
fn beside(child: Pid, service: Option<Service>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        for (kind, passed) in [
            (SignalKind::hangup(), Signal::HUP),
            (SignalKind::interrupt(), Signal::INT),
            (SignalKind::quit(), Signal::QUIT),
            (SignalKind::terminate(), Signal::TERM),
            (SignalKind::user_defined1(), Signal::USR1),
            (SignalKind::user_defined2(), Signal::USR2),
        ] {
            tokio::spawn(pass_on(kind, passed, child));
        }
        if let Some((endpoint, renewal)) = service {
            tokio::spawn(renewal.clone().watch());
            endpoint.serve(renewal).await;
        }
        std::future::pending::<()>().await
    });
}

async fn pass_on(kind: SignalKind, passed: Signal, child: Pid) {
    let Ok(mut arrivals) = signal(kind) else { return };
    while arrivals.recv().await.is_some() {
        let typed = matches!(passed, Signal::INT | Signal::QUIT) && in_front();
        if !typed {
            let _ = rustix::process::kill_process(child, passed);
        }
    }
}

/// Whether our group has the terminal: then Ctrl-C reached the child as it reached us.
fn in_front() -> bool {
    let Ok(tty) = std::fs::File::open("/dev/tty") else { return false };
    rustix::termios::tcgetpgrp(&tty).is_ok_and(|group| group == rustix::process::getpgrp())
}
