//! `onetap token list`: the keys that are plugged in.

use serde::Serialize;

use crate::code::password::Remembered;
use crate::error::Error;
use crate::oath::Listed;

use super::{Context, look_at_all, print, print_json, shown, table};

/// A key, as `--json` prints it. What is not known is `null`.
#[derive(Debug, Default, Serialize)]
struct Line {
    reader: String,
    serial: Option<u32>,
    firmware: Option<String>,
    accounts: Option<usize>,
    names: Option<Vec<String>>,
    locked: Option<bool>,
    password_remembered: Option<bool>,
    error: Option<String>,
}

pub(super) fn run(context: &Context, json: bool) -> Result<(), Error> {
    let mut lines = Vec::new();
    for key in look_at_all(context)? {
        let mut line =
            Line { reader: key.reader, serial: key.serial.map(|serial| serial.0), ..Line::default() };
        match key.seen {
            Ok(seen) => {
                line.firmware = Some(seen.device.version.to_string());
                line.accounts = seen.accounts.as_ref().map(Vec::len);
                line.names = seen.accounts.as_ref().map(|accounts| names(accounts));
                line.locked = Some(seen.accounts.is_none());
                if seen.accounts.is_none() {
                    let vault = context.vault()?;
                    // A vault that is closed is no reason to show nothing.
                    let remembered = Remembered::new(vault.as_ref()).key(&seen.device);
                    line.password_remembered = remembered.ok().map(|key| key.is_some());
                }
            }
            Err(error) => line.error = Some(error.to_string()),
        }
        lines.push(line);
    }
    if json {
        return print_json(&lines);
    }
    let heading = ["SERIAL", "FIRMWARE", "ACCOUNTS", "PASSWORD", "READER"];
    let mut rows = vec![heading.map(String::from).to_vec()];
    let names: Vec<_> = lines.iter_mut().map(|line| line.names.take().unwrap_or_default()).collect();
    rows.extend(lines.into_iter().map(row));
    let text = table(&rows);
    let mut table = text.lines();
    // Under each key its accounts; above the first key the heading.
    let mut text = format!("{}\n", table.next().unwrap_or_default());
    for (line, names) in table.zip(names) {
        text += &format!("{line}\n");
        names.iter().for_each(|name| text += &format!("  {}\n", shown(name)));
    }
    print(text.as_bytes())
}

/// In an order that stays: LIST's does not.
fn names(accounts: &[Listed]) -> Vec<String> {
    let mut names: Vec<_> = accounts.iter().map(|account| account.id.clone()).collect();
    names.sort_unstable();
    names
}

fn row(line: Line) -> Vec<String> {
    let unknown = || "-".to_owned();
    let reader = shown(&line.reader);
    vec![
        line.serial.map_or_else(unknown, |serial| serial.to_string()),
        line.firmware.unwrap_or_else(unknown),
        match (line.accounts, line.locked) {
            (Some(count), _) => count.to_string(),
            (None, Some(_)) => "locked".into(),
            (None, None) => unknown(),
        },
        match (line.locked, line.password_remembered) {
            (Some(true), Some(true)) => "remembered".into(),
            (Some(true), _) => "asked for".into(),
            (Some(false), _) => "none".into(),
            (None, _) => unknown(),
        },
        line.error.map_or_else(|| reader.clone(), |error| format!("{reader} ({})", shown(&error))),
    ]
}
