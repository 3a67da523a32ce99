//! How AWS's ini files are changed without touching a byte that is not ours.
//!
//! Knows nothing about what the values mean and reads no file: bytes in, bytes out.
//! Source: the grammar is that of `aws_runtime::env_config`, read line by line; botocore's additions (quotes in a
//! header) are recognised, so that nothing is written where only one of the two would look.

mod lines;
pub mod owned;

use lines::{Kind, Line, Name, Ours, Quotes, is_identifier, read};

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The key is not one that all of AWS's parsers read.
    #[error("{0:?} cannot be a key in an AWS configuration file")]
    Key(String),
    /// The section is there, with its name in quotes: the AWS CLI reads it, the SDKs lose it.
    #[error("line {line} has quotes in its header, which AWS's SDKs do not read")]
    QuotedHeader {
        /// Counted from 1.
        line: usize,
    },
    /// The section's name is not one that AWS's parsers read.
    #[error("{0:?} cannot be the name of a section in an AWS configuration file")]
    Section(String),
    /// The value would be read back as another one: line breaks, blanks at its ends, or a comment inside.
    #[error("the value of {key} has blanks at its ends, a line break or a comment sign in it")]
    Value {
        /// The key; the value may be a secret and is not repeated.
        key: String,
    },
}

/// Sets keys in a section (`profile doug`, `default`, or `doug` in a credentials file) and returns the new file.
///
/// Where a key is there, its value is replaced, in each place where it stands, since parsers differ in which they
/// take; continuation lines of the old value go. The others are added behind the section's last property, and a
/// section that lacks at the end of the file. `[profile default]` hides `[default]`, so either name means the one
/// that counts.
pub fn set(content: &[u8], section: &str, keys: &[(&str, &str)]) -> Result<Vec<u8>, EditError> {
    let wanted = Name::parse(section.as_bytes());
    if !wanted.words().all(is_identifier) {
        return Err(EditError::Section(section.to_owned()));
    }
    for (key, value) in keys {
        check(key, value)?;
    }
    let lines = read(content);
    let ours = Ours::of(&wanted, &lines, Quotes::Refused);
    if let (None, Some(line)) = (ours.header(), Ours::of(&wanted, &lines, Quotes::Accepted).header()) {
        return Err(EditError::QuotedHeader { line });
    }
    let missing: Vec<_> = keys.iter().filter(|(key, _)| ours.property(key).is_none()).collect();
    let added = |line_end: &[u8]| -> Vec<Vec<u8>> {
        let line =
            |(key, value): &&(&str, &str)| [key.as_bytes(), b" = ", value.as_bytes(), line_end].concat();
        missing.iter().map(line).collect()
    };

    let mut out = Vec::with_capacity(content.len());
    let mut replacing = false;
    for (index, line) in lines.iter().enumerate() {
        let new = keys.iter().find(|(key, _)| ours.holds(index) && line.is_property(key));
        replacing = match line.kind {
            Kind::Blank | Kind::Comment | Kind::Continuation => replacing,
            _ => new.is_some(),
        };
        match (new, &line.kind) {
            (Some((_, value)), Kind::Property { value: old, .. }) => {
                out.extend_from_slice(line.bytes.get(..old.start).unwrap_or_default());
                out.extend_from_slice(value.as_bytes());
                out.extend_from_slice(line.bytes.get(old.end..).unwrap_or_default());
            }
            (_, Kind::Continuation) if replacing => {}
            _ => out.extend_from_slice(line.bytes),
        }
        if ours.end() == Some(index) && !missing.is_empty() {
            let line_end = line.end().or_else(|| lines.first().and_then(Line::end)).unwrap_or(b"\n");
            push_lines(&mut out, &added(line_end), line_end);
        }
    }
    if ours.header().is_none() {
        let line_end = lines.first().and_then(Line::end).unwrap_or(b"\n");
        if !out.is_empty() && !out.ends_with(b"\n") {
            out.extend_from_slice(line_end);
        }
        if lines.last().is_some_and(|last| last.kind != Kind::Blank) {
            out.extend_from_slice(line_end);
        }
        out.extend([b"[", wanted.text().as_slice(), b"]", line_end].concat());
        out.extend(added(line_end).concat());
    }
    Ok(out)
}

/// Removes keys from a section, in each place where they stand, with the continuation lines of their values, and
/// returns the new file. The section's header stays.
pub fn unset(content: &[u8], section: &str, keys: &[&str]) -> Vec<u8> {
    let lines = read(content);
    let ours = Ours::of(&Name::parse(section.as_bytes()), &lines, Quotes::Accepted);
    let mut out = Vec::with_capacity(content.len());
    let mut removing = false;
    for (index, line) in lines.iter().enumerate() {
        let here = ours.holds(index) && keys.iter().any(|key| line.is_property(key));
        removing = match line.kind {
            Kind::Blank | Kind::Comment => {
                out.extend_from_slice(line.bytes);
                continue;
            }
            Kind::Continuation => removing,
            _ => here,
        };
        if !removing {
            out.extend_from_slice(line.bytes);
        }
    }
    out
}

/// The line, counted from 1, of the definition that counts: the last one of the key, or of the section's header
/// where no key is given. Headers in quotes count too: this is for messages to a person.
pub fn locate(content: &[u8], section: &str, key: Option<&str>) -> Option<usize> {
    let lines = read(content);
    let ours = Ours::of(&Name::parse(section.as_bytes()), &lines, Quotes::Accepted);
    match key {
        None => ours.header(),
        Some(key) => ours.property(key),
    }
}

/// All values of a key in a section, first to last, without blanks and comments around them. Headers in quotes count.
pub fn values<'a>(content: &'a [u8], section: &str, key: &str) -> Vec<&'a [u8]> {
    let lines = read(content);
    let ours = Ours::of(&Name::parse(section.as_bytes()), &lines, Quotes::Accepted);
    let own = lines.iter().enumerate().filter(|(index, line)| ours.holds(*index) && line.is_property(key));
    own.filter_map(|(_, line)| match &line.kind {
        Kind::Property { value, .. } => line.bytes.get(value.clone()),
        _ => None,
    })
    .collect()
}

/// Whether a value or key comes back from the parsers as it was written.
fn check(key: &str, value: &str) -> Result<(), EditError> {
    // A colon separates like `=` for botocore.
    if !is_identifier(key.as_bytes()) || key.contains(':') {
        return Err(EditError::Key(key.to_owned()));
    }
    let mut before = ' '; // what stands between `=` and the value
    for here in value.chars() {
        if here.is_control() || (before.is_whitespace() && matches!(here, '#' | ';')) {
            return Err(EditError::Value { key: key.to_owned() });
        }
        before = here;
    }
    match value.trim() == value {
        true => Ok(()),
        false => Err(EditError::Value { key: key.to_owned() }),
    }
}

/// Adds whole lines; a file that did not end its last line goes on not ending it.
fn push_lines(out: &mut Vec<u8>, lines: &[Vec<u8>], line_end: &[u8]) {
    let ended = out.is_empty() || out.ends_with(b"\n");
    if !ended {
        out.extend_from_slice(line_end);
    }
    out.extend(lines.concat());
    if !ended {
        out.truncate(out.len().saturating_sub(line_end.len()));
    }
}

#[cfg(test)]
#[path = "edit/tests.rs"]
mod tests;
