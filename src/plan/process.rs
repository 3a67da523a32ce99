//! Which command lines in a profile are calls of onetap itself.

use std::path::Path;

/// The profile for which a `credential_process` line calls onetap, if it does. Quotes and options are looked through;
/// a wrapper that hides the call is found when it runs.
pub fn calls_us(line: &str) -> Option<String> {
    // shlex is a POSIX shell's reader, and would eat the backslashes of a Windows path.
    let words = shlex::split(&line.replace('\\', "/"))?;
    let (program, rest) = words.split_first()?;
    if Path::new(program).file_stem().and_then(|name| name.to_str()) != Some("onetap") {
        return None;
    }
    let verb = rest.iter().position(|word| word == "credential-process")?;
    rest.get(verb.saturating_add(1)..)?.iter().find(|word| !word.starts_with('-')).cloned()
}

#[cfg(test)]
mod tests {
    use super::calls_us;

    #[test]
    fn our_own_line_is_known() {
        for line in [
            "/usr/bin/onetap credential-process doug",
            "\"/a path/onetap\" credential-process \"doug\"",
            "onetap credential-process doug",
            "onetap --reader=mock:/t credential-process --no-prompt doug",
            r#""C:\Program Files\onetap.exe" credential-process doug"#,
        ] {
            assert_eq!(calls_us(line).as_deref(), Some("doug"), "{line}");
        }
        for line in [
            "/usr/bin/twotap credential-process doug",
            "aws-vault export --format=json doug",
            "onetap code doug",
            "onetap credential-process",
            "onetap credential-process \"doug",
        ] {
            assert_eq!(calls_us(line), None, "{line}");
        }
    }
}
