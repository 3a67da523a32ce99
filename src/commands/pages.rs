//! `onetap pages`: the man pages and the completion scripts as files, for those who make packages.
//!
//! A page for each verb comes from the text of its help; the exit codes from `docs/EXIT-CODES.md`.

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::{Cli, Shell};
use crate::error::Error;

use super::completions::script;

pub(super) fn run(folder: &Path) -> Result<(), Error> {
    let mut command = Cli::command();
    command.build();
    pages(&command, &folder.join("man1"))?;
    let scripts = [
        (Shell::Bash, "bash/onetap"),
        (Shell::Fish, "fish/onetap.fish"),
        (Shell::Powershell, "powershell/onetap.ps1"),
        (Shell::Zsh, "zsh/_onetap"),
    ];
    for (shell, name) in scripts {
        write(&folder.join(name), script(shell).as_bytes())?;
    }
    Ok(())
}

fn pages(command: &Command, folder: &Path) -> Result<(), Error> {
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        pages(verb, folder)?;
    }
    let man =
        Man::new(command.clone()).manual("onetap").source(concat!("onetap ", env!("CARGO_PKG_VERSION")));
    let name = man.get_filename();
    let mut text = vec![];
    let rendered = man.render(&mut text).and_then(|()| match name.as_str() {
        "onetap.1" => exit_codes().to_writer(&mut text),
        _ => Ok(()),
    });
    rendered.map_err(|error| Error::Output(error.to_string()))?;
    write(&folder.join(name), &text)
}

/// The table of the exit codes: code and cause.
fn exit_codes() -> Roff {
    let mut page = Roff::new();
    page.control("SH", ["EXIT STATUS"]);
    for line in include_str!("../../docs/EXIT-CODES.md").lines() {
        let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
        if let (Some(code), Some(cause)) = (cells.next(), cells.next())
            && code.parse::<u8>().is_ok()
        {
            page.control("TP", []);
            page.text([bold(code)]);
            page.text([roman(cause.replace('`', ""))]);
        }
    }
    page
}

fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::File { path: path.to_owned(), reason: error.to_string() };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(path, content).map_err(failed)
}
