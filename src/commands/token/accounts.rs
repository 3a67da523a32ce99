//! `onetap token accounts`: what a key holds.

use serde::Serialize;

use crate::code::TimeStep;
use crate::error::Error;
use crate::oath::answer::Moves;
use crate::oath::{Account, Calculated, Listed};
use crate::otpauth::Algorithm;

use super::{Context, Key, print, print_json, shown, table};

/// An account, as `--json` prints it. What the key does not tell is `null`.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    kind: &'static str,
    algorithm: &'static str,
    digits: Option<u8>,
    touch: Option<bool>,
}

pub(super) fn run(context: &Context, json: bool) -> Result<(), Error> {
    let key = Key::open(context)?;
    let step = TimeStep::at(context.clock.now());
    // The only command that tells who wants a touch. The codes that come along are thrown away.
    let calculated = key.work(context, |applet| applet.calculate_all(step.0))?;
    let mut lines: Vec<_> = key.accounts.iter().map(|account| line(account, &calculated)).collect();
    lines.sort_by(|a, b| a.name.cmp(&b.name));
    if json {
        return print_json(&lines);
    }
    if lines.is_empty() {
        return print(format!("{} holds no OATH account.\n", capital(&key.named())).as_bytes());
    }
    let heading = ["NAME", "KIND", "HASH", "DIGITS", "TOUCH"];
    let mut rows = vec![heading.map(String::from).to_vec()];
    rows.extend(lines.into_iter().map(row));
    print(table(&rows).as_bytes())
}

fn line(listed: &Listed, calculated: &[Account]) -> Line {
    let told = calculated.iter().find(|account| account.id == listed.id).map(|account| &account.calculated);
    let (digits, touch) = match told {
        Some(Calculated::Code(code)) => (Some(code.digits), Some(false)),
        // A key does not tell whether an account that counts wants a touch too.
        Some(Calculated::Counts { digits }) => (Some(*digits), None),
        Some(Calculated::WantsTouch { digits }) => (Some(*digits), Some(true)),
        None => (None, None),
    };
    let kind = match listed.moves {
        Moves::ByCounter => "hotp",
        Moves::ByTime => "totp",
    };
    let algorithm = match listed.algorithm {
        Algorithm::Sha1 => "sha1",
        Algorithm::Sha256 => "sha256",
        Algorithm::Sha512 => "sha512",
    };
    Line { name: listed.id.clone(), kind, algorithm, digits, touch }
}

fn row(line: Line) -> Vec<String> {
    let touch = match line.touch {
        Some(true) => "required",
        Some(false) => "no",
        None => "-",
    };
    vec![
        shown(&line.name),
        line.kind.into(),
        line.algorithm.into(),
        line.digits.map_or_else(|| "-".into(), |digits| digits.to_string()),
        touch.into(),
    ]
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
