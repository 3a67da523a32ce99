//! A section of a credentials file that is ours as a whole, known by the comment under its header.
//!
//! Knows which lines of it are ours: the header, the comment, and the keys that we write. Lines that somebody else put
//! into the section stay. A file that had no end of its last line has none again once the section is gone.

use super::lines::{Kind, Line, Name, Quotes, is_identifier, read};
use super::{EditError, check};

/// What the comment begins with that owns a section; what follows is for people.
pub const MARK: &str = "# onetap owns this section";

/// The keys that are ours in a section of ours, wherever in it they stand.
const KEYS: [&str; 5] =
    ["aws_access_key_id", "aws_secret_access_key", "aws_session_token", "region", "endpoint_url"];

/// Why a section was not written or removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOurs {
    /// It would not be read back as it was written.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Somebody added a line that would belong to another section once our header is gone.
    #[error("line {line}, in our section, is somebody else's")]
    Guest {
        /// Counted from 1.
        line: usize,
    },
    /// A section of this name stands there without our comment.
    #[error("line {line} begins a section of this name that onetap did not write")]
    Other {
        /// Counted from 1.
        line: usize,
    },
    /// The file is not text, so that AWS's SDKs read nothing of it.
    #[error("it is not UTF-8, so that AWS's SDKs take it for empty")]
    NotText,
}

/// Writes our section `name` with these keys (of `KEYS`) and `remark` behind the mark, and returns the new file. Where
/// it is there, its own lines are replaced in place; else it is added at the end of the file.
pub fn write(content: &[u8], name: &str, remark: &str, keys: &[(&str, &str)]) -> Result<Vec<u8>, NotOurs> {
    if !is_identifier(name.as_bytes()) {
        return Err(EditError::Section(name.to_owned()).into());
    }
    for (key, value) in keys {
        check(key, value)?;
    }
    let lines = read(content);
    let place = Place::find(name, content, &lines)?;
    let text = |line_end: &str| {
        let mut text = vec![format!("[{name}]{line_end}"), format!("{MARK}: {remark}{line_end}")];
        text.extend(keys.iter().map(|(key, value)| format!("{key} = {value}{line_end}")));
        text.concat().into_bytes()
    };
    let mut out = Vec::with_capacity(content.len().saturating_add(2048));
    let Some(place) = place else {
        let line_end = lines.first().and_then(Line::end).unwrap_or(b"\n");
        let ends = content.is_empty() || content.ends_with(b"\n");
        out.extend_from_slice(content);
        if !ends {
            out.extend_from_slice(line_end);
        }
        if !content.is_empty() {
            out.extend_from_slice(line_end);
        }
        out.extend(text(&String::from_utf8_lossy(line_end)));
        if !ends {
            out.truncate(out.len().saturating_sub(line_end.len()));
        }
        return Ok(out);
    };
    let last = lines.len().saturating_sub(1);
    for (index, line) in lines.iter().enumerate() {
        if index == place.header {
            let line_end = line.end().unwrap_or(b"\n");
            out.extend(text(&String::from_utf8_lossy(line_end)));
        }
        if !place.ours(index) {
            out.extend_from_slice(line.bytes);
        } else if index == last && line.end().is_none() {
            // The last line of the file had no end, and has none again.
            let cut = if out.ends_with(b"\r\n") { 2 } else { 1 };
            out.truncate(out.len().saturating_sub(cut));
        }
    }
    Ok(out)
}

/// Removes our section and returns the new file; `None` if it is not there.
pub fn remove(content: &[u8], name: &str) -> Result<Option<Vec<u8>>, NotOurs> {
    let lines = read(content);
    let Some(place) = Place::find(name, content, &lines)? else { return Ok(None) };
    let guest = lines.iter().enumerate().find(|(index, line)| {
        place.inside(*index) && !place.ours(*index) && !matches!(line.kind, Kind::Blank | Kind::Comment)
    });
    if let Some((index, _)) = guest {
        return Err(NotOurs::Guest { line: index.saturating_add(1) });
    }
    // The blank line in front came with the section.
    let blank = place
        .header
        .checked_sub(1)
        .filter(|index| lines.get(*index).is_some_and(|line| matches!(line.bytes, b"\n" | b"\r\n")));
    let mut out = Vec::with_capacity(content.len());
    for (index, line) in lines.iter().enumerate() {
        if !place.ours(index) && Some(index) != blank {
            out.extend_from_slice(line.bytes);
        }
    }
    let last = lines.len().saturating_sub(1);
    if place.ours(last) && !content.ends_with(b"\n") {
        // Neither had the file an end of its last line before the section came.
        let cut = [b"\r\n".as_slice(), b"\n"].into_iter().find(|end| out.ends_with(end));
        out.truncate(out.len().saturating_sub(cut.map_or(0, <[u8]>::len)));
    }
    Ok(Some(out))
}

/// Drops all parts of a section, whosever it is: for a copy of the file. `profile doug`, or `doug` in a credentials file.
pub fn without(content: &[u8], section: &str) -> Vec<u8> {
    let wanted = Name::parse(section.as_bytes());
    let mut inside = false;
    let mut out = Vec::with_capacity(content.len());
    for line in read(content) {
        if let Kind::Header(name) = &line.kind {
            inside = name.as_ref().is_some_and(|name| wanted.is(name, Quotes::Accepted));
        }
        if !inside {
            out.extend_from_slice(line.bytes);
        }
    }
    out
}

/// Where our section stands.
struct Place {
    header: usize,
    /// The index behind its last line.
    end: usize,
    /// Which lines, from the header on, are ours.
    ours: Vec<bool>,
}

impl Place {
    /// Our section, if there is one; an error if one of its name is somebody else's.
    fn find(name: &str, content: &[u8], lines: &[Line<'_>]) -> Result<Option<Self>, NotOurs> {
        if std::str::from_utf8(content).is_err() {
            return Err(NotOurs::NotText);
        }
        let wanted = Name::parse(name.as_bytes());
        let mut found = None;
        for (index, line) in lines.iter().enumerate() {
            let Kind::Header(Some(header)) = &line.kind else { continue };
            if !wanted.is(header, Quotes::Accepted) {
                continue;
            }
            let marked = lines
                .get(index.saturating_add(1))
                .is_some_and(|line| line.bytes.starts_with(MARK.as_bytes()));
            if !marked || found.is_some() {
                return Err(NotOurs::Other { line: index.saturating_add(1) });
            }
            found = Some(index);
        }
        Ok(found.map(|header| Self::at(header, lines)))
    }

    fn at(header: usize, lines: &[Line<'_>]) -> Self {
        let rest = lines.iter().skip(header).enumerate();
        let mut ours = Vec::new();
        let mut key = false;
        for (offset, line) in rest {
            match &line.kind {
                Kind::Header(_) if offset > 0 => break,
                Kind::Property { .. } => key = KEYS.iter().any(|key| line.is_property(key)),
                Kind::Continuation => {}
                _ => key = false,
            }
            ours.push(offset < 2 || key);
        }
        Self { header, end: header.saturating_add(ours.len()), ours }
    }

    fn inside(&self, index: usize) -> bool {
        (self.header..self.end).contains(&index)
    }

    fn ours(&self, index: usize) -> bool {
        index.checked_sub(self.header).and_then(|offset| self.ours.get(offset)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(content: &str, name: &str, id: &str) -> Result<String, NotOurs> {
        let keys = [("aws_access_key_id", id), ("aws_secret_access_key", "s"), ("aws_session_token", "t")];
        write(content.as_bytes(), name, "r", &keys).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    const OURS: &str = "[doug]\n# onetap owns this section: r\naws_access_key_id = A\naws_secret_access_key = s\naws_session_token = t\n";

    #[test]
    fn a_section_comes_last_and_leaves_no_trace() {
        for before in [
            "",
            "[a]\nx = 1\n",
            "[a]\nx = 1",
            "[a]\r\nx = 1\r\n",
            "[a]\r\nx = 1",
            "# only\n",
            "[a]\nx = 1\n\n",
            "[a]\nx =\n  nested = 1",
            "[a]\n[a]\n\n\n",
            "\n",
        ] {
            let after = written(before, "doug", "A").unwrap();
            let unix = after.replace("\r\n", "\n");
            assert!(after.starts_with(before), "{before:?} {after:?}");
            assert!(unix.ends_with(OURS.trim_end()) || unix.ends_with(OURS), "{after:?}");
            assert_eq!(after.ends_with('\n'), before.is_empty() || before.ends_with('\n'));
            assert!(!before.contains('\r') || !after.replace("\r\n", "").contains('\n'), "{after:?}");
            let again = written(&after, "doug", "B").unwrap();
            assert_eq!(again, after.replace("= A", "= B"), "in place");
            let removed = remove(again.as_bytes(), "doug").unwrap().unwrap();
            assert_eq!(String::from_utf8(removed).unwrap(), before);
        }
        assert_eq!(remove(b"[a]\n", "doug"), Ok(None));
    }

    #[test]
    fn a_section_without_our_comment_is_somebody_elses() {
        for content in [
            "[doug]\n",
            "\n[ doug ] # mine\nx = 1\n",
            "[\"doug\"]\n",
            &format!("{OURS}[doug]\nx = 1\n"),
            &format!("[doug]\n{OURS}"),
            "[doug]\n\n# onetap owns this section: r\n",
        ] {
            assert!(matches!(written(content, "doug", "A"), Err(NotOurs::Other { .. })), "{content:?}");
            assert!(matches!(remove(content.as_bytes(), "doug"), Err(NotOurs::Other { .. })), "{content:?}");
        }
        assert_eq!(write(b"\xff", "doug", "r", &[]), Err(NotOurs::NotText));
        assert!(matches!(written("", "a b", "A"), Err(NotOurs::Edit(EditError::Section(_)))));
    }

    #[test]
    fn lines_of_others_in_our_section_stay_and_keep_it() {
        let guests =
            OURS.replace("aws_session", "; mine\noutput = json\naws_session") + "# theirs\n[z]\nx = 1\n";
        let again = written(&guests, "doug", "B").unwrap();
        let (ours, theirs) = again.split_once("; mine").unwrap();
        assert_eq!(ours, OURS.replace("= A", "= B"));
        assert_eq!(theirs, "\noutput = json\n# theirs\n[z]\nx = 1\n");
        assert_eq!(remove(again.as_bytes(), "doug"), Err(NotOurs::Guest { line: 7 }));
        let comments = format!("[a]\n\n{OURS}# theirs\n[z]\n");
        assert_eq!(remove(comments.as_bytes(), "doug").unwrap().unwrap(), b"[a]\n# theirs\n[z]\n");
    }

    #[test]
    fn a_copy_can_do_without_a_section() {
        let content = b"# c\n[doug]\nx = 1\n[a]\ny = 2\n[\"doug\"]\nz = 3\n";
        assert_eq!(without(content, "doug"), b"# c\n[a]\ny = 2\n");
        assert_eq!(without(b"[profile doug]\nx = 1\n[doug]\n", "profile doug"), b"[doug]\n");
    }
}
