//! What other programs may see of this process's memory: nothing, as far as the system lets a program say so.
//!
//! Knows the system's switches; knows nothing about what is secret. Refuses to fail: where a switch is missing, the
//! work goes on without it (docs/adr/memory.md says what each buys).
//! Source: prctl(2) PR_SET_DUMPABLE, setrlimit(2) RLIMIT_CORE, core(5), mlock(2).

#[cfg(unix)]
use std::sync::OnceLock;

#[cfg(unix)]
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit for core files that this process was started with.
#[cfg(unix)]
static BEFORE: OnceLock<Rlimit> = OnceLock::new();

/// From now on a crash leaves no core file, and programs of the same user can neither trace this process nor read its
/// memory, environment and files under `/proc`. Three system calls, four at most.
#[cfg(unix)]
pub fn raise() {
    // A core that is piped to a program heeds no limit (core(5)), only this.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let before = *BEFORE.get_or_init(|| getrlimit(Resource::Core));
    if before.current != Some(0) {
        // The upper limit stays, so that the child of `exec` can have the old one back.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), ..before });
    }
}

/// Gives back what a program that replaces this one would inherit. It is dumpable again by itself (prctl(2)).
#[cfg(unix)]
pub fn lower() {
    if let Some(before) = BEFORE.get().filter(|before| before.current != Some(0)) {
        let _ = setrlimit(Resource::Core, *before);
    }
}

/// Windows writes no core files for a program that did not ask for one.
#[cfg(not(unix))]
pub fn raise() {}

/// There is nothing to give back.
#[cfg(not(unix))]
pub fn lower() {}

/// Keeps the pages that hold these bytes out of swap until the process ends. Where the limit for locked memory is
/// reached, they are as all others are.
pub fn pin(secret: &[u8]) {
    if !secret.is_empty()
        && let Ok(guard) = region::lock(secret.as_ptr(), secret.len())
    {
        // To unlock would take the page from the other secrets that lie on it: locks of a page do not add up.
        std::mem::forget(guard);
    }
}
