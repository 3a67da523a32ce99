//! Which command lines in a profile are calls of onetap itself.

use std::path::Path;

/// Whom a command line asks for credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Calls {
    /// Another program.
    Another,
    /// onetap's `credential-process`, for this profile; `None` where it is left to `AWS_PROFILE`.
    HandOff(Option<String>),
    /// onetap, in another way.
    Us,
}

/// Options of onetap whose value may be the next word.
const WITH_VALUE: [&str; 7] =
    ["--code", "--mfa-max-age", "--min-ttl", "--reader", "--timeout", "--token", "--vault"];

/// Looks through quotes and options, and at the program behind words such as `env`; a wrapper that hides the call is
/// found when it runs.
pub fn calls(line: &str) -> Calls {
    // shlex is a POSIX shell's reader, and would eat the backslashes of a Windows path.
    let Some(words) = shlex::split(&line.replace('\\', "/")) else { return Calls::Another };
    let is_us = |word: &String| Path::new(word).file_stem().and_then(|name| name.to_str()) == Some("onetap");
    // `env VARIABLE=value onetap ...`, `timeout 50 onetap ...`: the verb tells a call from a path.
    let Some(at) = words.iter().position(is_us) else { return Calls::Another };
    let mut plain = Vec::new();
    let mut rest = words.iter().skip(at.saturating_add(1));
    while let Some(word) = rest.next() {
        if WITH_VALUE.contains(&word.as_str()) {
            rest.next();
        } else if !word.starts_with('-') {
            plain.push(word);
        }
    }
    match plain.as_slice() {
        [verb, profile @ ..] if *verb == "credential-process" => {
            Calls::HandOff(profile.first().map(|name| (*name).clone()))
        }
        _ if at == 0 => Calls::Us,
        _ => Calls::Another,
    }
}

/// The profile for which a `credential_process` line calls onetap, if it does and names one.
pub fn calls_us(line: &str) -> Option<String> {
    match calls(line) {
        Calls::HandOff(profile) => profile,
        Calls::Another | Calls::Us => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_line_is_known() {
        for line in [
            "/usr/bin/onetap credential-process doug",
            "\"/a path/onetap\" credential-process \"doug\"",
            "onetap credential-process doug",
            "onetap --reader=mock:/t credential-process --no-prompt doug",
            "onetap credential-process --timeout 30 doug",
            "env ONETAP_READER=mock:/t /usr/bin/onetap credential-process doug",
            r#""C:\Program Files\onetap.exe" credential-process doug"#,
        ] {
            assert_eq!(calls_us(line).as_deref(), Some("doug"), "{line}");
        }
        assert_eq!(calls_us("onetap credential-process 'a b'").as_deref(), Some("a b"));
        let cases = [
            ("/usr/bin/twotap credential-process doug", Calls::Another),
            ("aws-vault export --format=json doug", Calls::Another),
            ("my-helper /opt/onetap/keys", Calls::Another),
            ("onetap credential-process \"doug", Calls::Another),
            ("onetap credential-process", Calls::HandOff(None)),
            ("onetap code doug", Calls::Us),
            ("onetap exec doug -- print-credentials", Calls::Us),
        ];
        for (line, expected) in cases {
            assert_eq!(calls(line), expected, "{line}");
        }
    }
}
