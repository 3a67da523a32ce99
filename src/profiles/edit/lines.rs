//! The grammar of AWS's ini files: what each line is, and which section it belongs to.
//!
//! Knows nothing about changes.

use std::ops::Range;

/// Blanks as AWS's parser knows them.
const BLANK: [u8; 2] = [b' ', b'\t'];
/// A file that some editor on Windows began with it keeps it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What aws-runtime's `validate_identifier` takes for a profile's name or a key.
pub(super) fn is_identifier(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(|b| b.is_ascii_alphanumeric() || b"_-/.%@:+".contains(b))
}

/// One line of the file.
pub(super) struct Line<'a> {
    /// All of it, with its end and, on the first line, the byte order mark.
    pub(super) bytes: &'a [u8],
    pub(super) kind: Kind<'a>,
}

#[derive(PartialEq)]
pub(super) enum Kind<'a> {
    /// Nothing but blanks.
    Blank,
    /// Begins with `#` or `;`.
    Comment,
    /// Begins with a blank: it belongs to the property above.
    Continuation,
    /// Begins with `[`; the name is absent where the bracket is not closed.
    Header(Option<Name<'a>>),
    /// Not a line that AWS's parser reads.
    Other,
    /// `key = value`; where the value stands in the line's bytes.
    Property { key: &'a [u8], value: Range<usize> },
}

impl<'a> Line<'a> {
    pub(super) fn is_property(&self, wanted: &str) -> bool {
        matches!(&self.kind, Kind::Property { key, .. } if key.eq_ignore_ascii_case(wanted.as_bytes()))
    }

    /// The line's own end, unless it is the last and has none.
    pub(super) fn end(&self) -> Option<&'a [u8]> {
        [b"\r\n".as_slice(), b"\n"].into_iter().find(|end| self.bytes.ends_with(end))
    }
}

pub(super) fn read(content: &[u8]) -> Vec<Line<'_>> {
    let line = |(index, bytes)| {
        let begin =
            if index == 0 && content.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        Line { bytes, kind: kind(bytes, begin) }
    };
    content.split_inclusive(|b| *b == b'\n').enumerate().map(line).collect()
}

fn kind(bytes: &[u8], begin: usize) -> Kind<'_> {
    let text = bytes.get(begin..).unwrap_or_default();
    let text = text.strip_suffix(b"\n").map_or(text, |text| text.strip_suffix(b"\r").unwrap_or(text));
    match text.first() {
        _ if trim(text).is_empty() => Kind::Blank,
        Some(b'#' | b';') => Kind::Comment,
        Some(b'[') => Kind::Header(header(text)),
        Some(first) if BLANK.contains(first) => Kind::Continuation,
        _ => property(text, begin).unwrap_or(Kind::Other),
    }
}

fn header(text: &[u8]) -> Option<Name<'_>> {
    let name = before_comment(text, Sign::Anywhere).strip_prefix(b"[")?.strip_suffix(b"]")?;
    Some(Name::parse(name))
}

fn property(text: &[u8], begin: usize) -> Option<Kind<'_>> {
    let text = before_comment(text, Sign::AfterBlank);
    let equals = text.iter().position(|b| *b == b'=')?;
    let (key, rest) = text.split_at_checked(equals)?;
    let rest = rest.strip_prefix(b"=")?;
    let blanks = rest.iter().take_while(|b| BLANK.contains(b)).count();
    let start = begin.saturating_add(equals).saturating_add(1).saturating_add(blanks);
    let value = start..start.saturating_add(trim(rest).len());
    match trim(key) {
        [] => None,
        key => Some(Kind::Property { key, value }),
    }
}

/// Where a comment may begin on a line that says something.
#[derive(PartialEq)]
enum Sign {
    AfterBlank,
    Anywhere,
}

/// The line without its comment and the blanks at its ends. All of Unicode's blanks count in front of the sign,
/// as they do for AWS's parser; bytes that are not UTF-8 are not blank.
fn before_comment(line: &[u8], sign: Sign) -> &[u8] {
    let line = trim(line);
    let mut at = 0_usize;
    let mut after_blank = false;
    for chunk in line.utf8_chunks() {
        for here in chunk.valid().chars() {
            if matches!(here, '#' | ';') && (after_blank || sign == Sign::Anywhere) {
                return trim(line.get(..at).unwrap_or(line));
            }
            after_blank = here.is_whitespace();
            at = at.saturating_add(here.len_utf8());
        }
        at = at.saturating_add(chunk.invalid().len());
        after_blank &= chunk.invalid().is_empty();
    }
    line
}

fn trim(text: &[u8]) -> &[u8] {
    let mut text = text;
    while let [first, rest @ ..] = text
        && BLANK.contains(first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && BLANK.contains(last)
    {
        text = rest;
    }
    text
}

/// A section's name: `profile doug` is a kind and a name, `default` is a name.
#[derive(Clone, PartialEq)]
pub(super) struct Name<'a> {
    kind: Option<&'a [u8]>,
    name: &'a [u8],
    quoted: bool,
}

impl<'a> Name<'a> {
    pub(super) fn parse(text: &'a [u8]) -> Self {
        let text = trim(text);
        let (kind, name) = match text.iter().position(|b| BLANK.contains(b)).map(|at| text.split_at(at)) {
            Some((kind, name)) => (Some(kind), trim(name)),
            None => (None, text),
        };
        match name {
            [open @ (b'"' | b'\''), inside @ .., close] if open == close => {
                Self { kind, name: inside, quoted: true }
            }
            name => Self { kind, name, quoted: false },
        }
    }

    pub(super) fn words(&self) -> impl Iterator<Item = &'a [u8]> {
        // A quoted name is no name for a new header, whatever is inside.
        let name = if self.quoted { b"\"".as_slice() } else { self.name };
        self.kind.into_iter().chain([name])
    }

    pub(super) fn text(&self) -> Vec<u8> {
        self.words().collect::<Vec<_>>().join(&b' ')
    }

    pub(super) fn is(&self, other: &Name<'_>, quotes: Quotes) -> bool {
        (self.kind, self.name) == (other.kind, other.name) && (quotes == Quotes::Accepted || !other.quoted)
    }
}

/// Whether headers count whose name stands in quotes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Quotes {
    Accepted,
    Refused,
}

/// Which lines belong to the wanted section, over all its parts.
pub(super) struct Ours<'a> {
    lines: &'a [Line<'a>],
    holds: Vec<bool>,
}

impl<'a> Ours<'a> {
    pub(super) fn of(wanted: &Name<'_>, lines: &'a [Line<'a>], quotes: Quotes) -> Self {
        let ours = |wanted: &Name<'_>| {
            let mut inside = false;
            let holds = lines.iter().map(|line| {
                if let Kind::Header(name) = &line.kind {
                    inside = name.as_ref().is_some_and(|name| wanted.is(name, quotes));
                }
                inside
            });
            Self { lines, holds: holds.collect() }
        };
        if wanted.name != b"default" || wanted.kind.is_some_and(|kind| kind != b"profile") {
            return ours(wanted);
        }
        let long = ours(&Name { kind: Some(b"profile"), ..wanted.clone() });
        let short = ours(&Name { kind: None, ..wanted.clone() });
        match (long.header(), short.header()) {
            (None, Some(_)) => short,
            (None, None) if wanted.kind.is_none() => short,
            _ => long,
        }
    }

    pub(super) fn holds(&self, index: usize) -> bool {
        self.holds.get(index).copied().unwrap_or_default()
    }

    /// The last line that fits, counted from 1.
    fn last(&self, fits: impl Fn(&Line<'_>) -> bool) -> Option<usize> {
        let index = self.lines.iter().zip(&self.holds).rposition(|(line, holds)| *holds && fits(line))?;
        Some(index.saturating_add(1))
    }

    pub(super) fn header(&self) -> Option<usize> {
        self.last(|line| matches!(line.kind, Kind::Header(_)))
    }

    pub(super) fn property(&self, key: &str) -> Option<usize> {
        self.last(|line| line.is_property(key))
    }

    /// The index of the line behind which a new property goes.
    pub(super) fn end(&self) -> Option<usize> {
        self.last(|line| !matches!(line.kind, Kind::Blank | Kind::Comment))?.checked_sub(1)
    }
}
