//! The command `onetap`: parse, run, report, exit code.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use onetap::cli::{Cli, Verb};
use onetap::commands;

/// What `exec` answers for every failure of onetap itself, as env(1) and its kin do.
const EXEC_FAILED: u8 = 125;

fn main() -> ExitCode {
    // First of all: the environment may hold secrets too.
    onetap::shield::raise();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    #[cfg(unix)]
    if let Some(error) = commands::exec::stand_in_for_child(&arguments) {
        let _ = writeln!(std::io::stderr(), "onetap: {}", error.line());
        return if matches!(error.status(), 126 | 127) { error.status() } else { EXEC_FAILED }.into();
    }
    #[cfg(unix)]
    if let Some(answered) = commands::apart::for_one_that_stays(&arguments) {
        onetap::terminal::restore();
        return if answered.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let arguments = arguments.get(1..).unwrap_or_default();
    let cli = match Cli::in_short(arguments, |name| std::env::var_os(name)).map_or_else(Cli::try_parse, Ok) {
        Ok(cli) => cli,
        Err(refused) => {
            let _ = refused.print();
            let is_exec = arguments.iter().any(|argument| argument == "exec");
            let ours = if is_exec { EXEC_FAILED } else { 2 };
            return if refused.use_stderr() { ours.into() } else { ExitCode::SUCCESS };
        }
    };
    let is_exec = matches!(cli.verb, Verb::Exec { .. });
    let outcome = commands::run(cli);
    // A question that is still being asked, on a thread that nobody waits for, loses its terminal now.
    onetap::terminal::restore();
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    let _ = writeln!(std::io::stderr(), "onetap: {}", error.line());
    match error.status() {
        own @ (126 | 127) => own.into(),
        _ if is_exec => EXEC_FAILED.into(),
        own => own.into(),
    }
}
