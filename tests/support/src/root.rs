//! Root's rights over a story's own processes, also for whoever is not root.
//!
//! strace reads the memory of the program that it follows, and one that guards itself lets only root (CAP_SYS_PTRACE).
//! Whoever makes a namespace of users is root in it (user_namespaces(7)); the whole story runs there, since the kernel's
//! keyrings are the namespace's too.

use std::process::Command;

/// Whether this process is root. Where it is not, the story of this name (`module::name`) is run anew by a process that
/// is, in a namespace of its own, and this one fails as that one does.
///
/// # Panics
///
/// Where that run fails, or cannot be: no `unshare` (util-linux), or no leave to make namespaces of users.
pub fn is_ours(story: &str) -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    let program = std::env::current_exe().unwrap_or_else(|error| panic!("this program's place: {error}"));
    let mut again = Command::new("unshare");
    again.args(["--map-root-user", "--"]).arg(program).args(["--exact", story, "--nocapture"]);
    let output = again.output().unwrap_or_else(|error| panic!("unshare (Debian: util-linux): {error}"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("test result: ok. 1 passed"),
        "{story} as root of a namespace: {}\n{said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    false
}
