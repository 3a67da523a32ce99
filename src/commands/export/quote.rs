//! Variables as the text that a shell or a tool reads back, byte for byte.
//!
//! Pure, and correct for every value: what a form cannot carry is refused by name, never changed.
//! Sources: POSIX Shell Command Language 2.2.2; fish, "Quotes"; PowerShell, about_Quoting_Rules (four more characters
//! quote like an apostrophe); Nushell, "Working with strings"; `cmd /?`; docker, `--env-file`; AWS SDKs and Tools Reference,
//! "Shared config and credentials files".

use zeroize::Zeroizing;

use crate::cli::Format;

/// What a form cannot carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} holds {what}, which the format {format} cannot carry")]
pub struct CannotCarry {
    /// The variable, or "the profile's name".
    pub name: String,
    /// A character or a kind of characters, in words.
    pub what: &'static str,
    /// The form.
    pub format: Format,
}

/// The names in a credentials file.
const INI: [(&str, &str); 5] = [
    ("AWS_ACCESS_KEY_ID", "aws_access_key_id"),
    ("AWS_SECRET_ACCESS_KEY", "aws_secret_access_key"),
    ("AWS_SESSION_TOKEN", "aws_session_token"),
    ("AWS_REGION", "region"),
    ("AWS_ENDPOINT_URL", "endpoint_url"),
];

/// The text that sets `variables` (names and values), a line each. `profile` heads the section of [`Format::Ini`].
/// [`Format::Json`] is `credential-process`'s and is written there; here it is an object of the variables.
pub fn text(
    format: Format,
    profile: &str,
    variables: &[(&str, &str)],
) -> Result<Zeroizing<String>, CannotCarry> {
    // Room for the longest that quoting can make of them (15 bytes for one), so that no copy is left behind.
    let room: usize = variables.iter().map(|(name, value)| 64 + name.len() + 15 * value.len()).sum();
    let mut text = Zeroizing::new(String::with_capacity(room + profile.len() + 16));
    if format == Format::Ini {
        check("the profile's name", profile, format)?;
        if profile.contains([']', '[']) {
            return Err(refused("the profile's name", "a bracket", format));
        }
        text.push('[');
        text.push_str(profile);
        text.push_str("]\n");
    }
    let record = matches!(format, Format::Json | Format::Nu);
    if record {
        text.push('{');
    }
    for (index, (name, value)) in variables.iter().enumerate() {
        check(name, value, format)?;
        if record && index > 0 {
            text.push_str(", ");
        }
        assign(&mut text, format, name, value);
    }
    if record {
        text.push_str("}\n");
    }
    Ok(text)
}

fn assign(text: &mut String, format: Format, name: &str, value: &str) {
    let (before, after) = match format {
        Format::Cmd => (format!("set \"{name}="), "\"\r\n"),
        Format::Dotenv => (format!("{name}="), "\n"),
        Format::Env => (format!("export {name}='"), "'\n"),
        Format::Fish => (format!("set -gx {name} '"), "'\n"),
        Format::Ini => match INI.iter().find(|(variable, _)| *variable == name) {
            Some((_, key)) => (format!("{key} = "), "\n"),
            None => return,
        },
        Format::Json => (format!("\"{name}\": \""), "\""),
        Format::Nu => (format!("{name}: \""), "\""),
        Format::Powershell => (format!("$env:{name} = '"), "'\n"),
    };
    text.push_str(&before);
    // Bare where that is safe: docker and systemd keep quotes as part of the value.
    let quotes = format == Format::Dotenv && !value.bytes().all(bare);
    if quotes {
        text.push('\'');
    }
    for c in value.chars() {
        character(text, format, c);
    }
    if quotes {
        text.push('\'');
    }
    text.push_str(after);
}

/// What every reader of dotenv files takes as it stands.
fn bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-+/=.:@,".contains(&byte)
}

fn character(text: &mut String, format: Format, c: char) {
    match (format, c) {
        (Format::Env, '\'') => text.push_str("'\\''"),
        (Format::Fish, '\'' | '\\') | (Format::Nu | Format::Json, '"' | '\\') => {
            text.push('\\');
            text.push(c);
        }
        (Format::Json, c) if c.is_control() => text.push_str(&format!("\\u{:04x}", u32::from(c))),
        (Format::Nu, c) if c.is_control() => text.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
        (Format::Powershell, '\'') => text.push_str("''"),
        // A pipe joins lines with this system's line end, and decodes bytes by the console's code page.
        (Format::Powershell, c) if c.is_control() || !c.is_ascii() => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("'+[char]{unit}+'"));
            }
        }
        _ => text.push(c),
    }
}

/// Whether a form has a way to write this value.
fn check(name: &str, value: &str, format: Format) -> Result<(), CannotCarry> {
    let refuse = |what| Err(refused(name, what, format));
    // No environment carries it either.
    if value.contains('\0') {
        return refuse("a NUL");
    }
    match format {
        Format::Env | Format::Fish | Format::Json | Format::Nu | Format::Powershell => Ok(()),
        _ if value.contains(char::is_control) => refuse("a line's end or another control character"),
        // %NAME% is expanded in a batch file and not after a prompt, !NAME! if that is switched on, and bytes are read by
        // the console's code page.
        Format::Cmd if value.contains(['"', '%', '!']) => refuse("one of \" % !"),
        Format::Cmd if !value.is_ascii() => refuse("a character beyond ASCII"),
        // Readers differ in what these do between quotes.
        Format::Dotenv if value.contains(['\'', '\\', '$', '`']) => refuse("one of ' \\ $ `"),
        Format::Ini if value.trim() != value || value.is_empty() => {
            refuse("a blank at its begin or end, or nothing")
        }
        Format::Ini if value.contains([' ', '\t']) && value.contains(['#', ';']) => {
            refuse("what begins a comment")
        }
        _ => Ok(()),
    }
}

fn refused(name: &str, what: &'static str, format: Format) -> CannotCarry {
    CannotCarry { name: name.into(), what, format }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(format: Format, value: &str) -> Result<String, &'static str> {
        text(format, "doug", &[("AWS_REGION", value)])
            .map(|text| text.to_string())
            .map_err(|refused| refused.what)
    }

    #[test]
    fn each_form_has_its_own_quotes() {
        let value = "a'b\"c\\d$e`f%g\nh\u{2019}i\u{1f511}";
        let cases = [
            (Format::Env, "export AWS_REGION='a'\\''b\"c\\d$e`f%g\nh\u{2019}i\u{1f511}'\n"),
            (Format::Fish, "set -gx AWS_REGION 'a\\'b\"c\\\\d$e`f%g\nh\u{2019}i\u{1f511}'\n"),
            (
                Format::Powershell,
                "$env:AWS_REGION = 'a''b\"c\\d$e`f%g'+[char]10+'h'+[char]8217+'i'+[char]55357+''+[char]56593+''\n",
            ),
            (Format::Nu, "{AWS_REGION: \"a'b\\\"c\\\\d$e`f%g\\u{a}h\u{2019}i\u{1f511}\"}\n"),
            (Format::Json, "{\"AWS_REGION\": \"a'b\\\"c\\\\d$e`f%g\\u000ah\u{2019}i\u{1f511}\"}\n"),
        ];
        for (format, expected) in cases {
            assert_eq!(one(format, value).as_deref(), Ok(expected), "{format}");
        }
        assert_eq!(one(Format::Cmd, "a&b|c^d").as_deref(), Ok("set \"AWS_REGION=a&b|c^d\"\r\n"));
        assert_eq!(one(Format::Dotenv, "a+/=").as_deref(), Ok("AWS_REGION=a+/=\n"));
        assert_eq!(one(Format::Dotenv, "a #b").as_deref(), Ok("AWS_REGION='a #b'\n"));
        assert_eq!(one(Format::Ini, "a#=b").as_deref(), Ok("[doug]\nregion = a#=b\n"));
    }

    #[test]
    fn what_a_form_cannot_carry_is_refused_and_not_changed() {
        let cases = [
            (Format::Env, "a\0b"),
            (Format::Nu, "\0"),
            (Format::Cmd, "100%"),
            (Format::Cmd, "hi!"),
            (Format::Cmd, "say \"hi\""),
            (Format::Cmd, "a\nb"),
            (Format::Cmd, "\u{e9}"),
            (Format::Dotenv, "it's"),
            (Format::Dotenv, "a\nb"),
            (Format::Dotenv, "${HOME}"),
            (Format::Ini, " a"),
            (Format::Ini, ""),
            (Format::Ini, "a ;b"),
            (Format::Ini, "a\rb"),
        ];
        for (format, value) in cases {
            assert!(one(format, value).is_err(), "{format} {value:?}");
        }
        let refused = text(Format::Ini, "a]b", &[]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the profile's name holds a bracket, which the format ini cannot carry"
        );
    }

    #[test]
    fn the_room_is_enough_for_the_longest_quoting() {
        let value = "\u{1f511}\u{e9}\n'".repeat(500);
        for format in [Format::Env, Format::Fish, Format::Json, Format::Nu, Format::Powershell] {
            let text = text(format, "doug", &[("X", &value)]).unwrap();
            assert!(text.capacity() <= 16 + 4 + 64 + 1 + 15 * value.len(), "{format} grew");
        }
    }
}
