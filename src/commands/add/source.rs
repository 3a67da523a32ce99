//! Where `add` takes the key from: the person, the environment, the profile's plain text, the console's CSV file.

use std::io::Read as _;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::attendant::Echo;
use crate::cli::Add;
use crate::error::Error;
use crate::keys::{AccessKey, NotAKey};
use crate::profiles::Profiles;
use crate::vault::aws_vault;

use super::super::Context;
use super::ask;

/// Longer than any file of the console's: one line a user.
const LONGEST: usize = 64 * 1024;

pub(super) fn key(context: &Context, profiles: &Profiles, add: &Add) -> Result<AccessKey, Error> {
    if let Some(path) = &add.csv {
        return from_csv(path);
    }
    if add.import {
        return from_profile(profiles, &add.profile);
    }
    if add.from_aws_vault {
        return from_aws_vault(&add.profile);
    }
    if add.from_env {
        return from_env(context);
    }
    let id = ask(context, "Access key id", Echo::Shown)?;
    let id = id.expose_secret().trim().to_owned();
    // The id is checked before the secret is asked.
    AccessKey::parse(&id, &"x".into())?;
    Ok(AccessKey::parse(&id, &ask(context, "Secret access key", Echo::Hidden)?)?)
}

fn from_env(context: &Context) -> Result<AccessKey, Error> {
    let variable = |name: &str| {
        context
            .variable(name)
            .ok_or_else(|| Error::Usage(format!("--from-env needs {name}, which is not set")))
    };
    let id = variable("AWS_ACCESS_KEY_ID")?;
    if context.variable("AWS_SESSION_TOKEN").is_some() {
        return Err(NotAKey::Temporary(id).into());
    }
    Ok(AccessKey::parse(&id, &SecretString::from(variable("AWS_SECRET_ACCESS_KEY")?))?)
}

fn from_aws_vault(name: &str) -> Result<AccessKey, Error> {
    let other = format!(
        "from whichever of its vaults (a file, pass, another system's keychain): \
         `aws-vault exec --no-session {name} -- onetap add {name} --from-env`"
    );
    let (id, secret) = aws_vault::read(name)?.ok_or_else(|| {
        Error::Usage(format!("aws-vault keeps no key for {name:?} in the Secret Service; {other}"))
    })?;
    Ok(AccessKey::parse(&id, &secret)?)
}

fn from_profile(profiles: &Profiles, name: &str) -> Result<AccessKey, Error> {
    let value = |key| profiles.profile(name).and_then(|profile| profile.value(key));
    let files = profiles.files();
    let absent = |key: &str| {
        let place = format!("{} or {}", files.credentials.display(), files.config.display());
        Error::Usage(format!("the profile {name:?} has no {key} in {place}; there is nothing to import"))
    };
    let id = value("aws_access_key_id").ok_or_else(|| absent("aws_access_key_id"))?;
    if value("aws_session_token").is_some() {
        return Err(NotAKey::Temporary(id.into()).into());
    }
    let secret = value("aws_secret_access_key").ok_or_else(|| absent("aws_secret_access_key"))?;
    AccessKey::parse(id, &secret.into()).map_err(|error| match error {
        // What stands in the wrong place may be the secret.
        NotAKey::Id(_) => {
            Error::Usage(format!("aws_access_key_id of the profile {name:?} is not an access key id"))
        }
        error => error.into(),
    })
}

fn from_csv(path: &Path) -> Result<AccessKey, Error> {
    let refused = |reason: &str| Error::Usage(format!("{} {reason}", path.display()));
    let mut file = std::fs::File::open(path).map_err(|error| refused(&format!("cannot be read: {error}")))?;
    // Large enough at once: a buffer that grows leaves copies of the secret.
    let mut bytes = Zeroizing::new(vec![0; LONGEST]);
    let mut filled = 0_usize;
    while let Some(free) = bytes.get_mut(filled..).filter(|free| !free.is_empty()) {
        match file.read(free).map_err(|error| refused(&format!("cannot be read: {error}")))? {
            0 => break,
            count => filled = filled.saturating_add(count),
        }
    }
    if filled == LONGEST {
        return Err(refused("is too long for an access key's file"));
    }
    let text = bytes.get(..filled).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let text = text.ok_or_else(|| refused("is not UTF-8"))?;
    read_csv(text).map_err(|error| match error {
        NotCsv::Key(error) => error.into(),
        NotCsv::Table(reason) => refused(&reason),
    })
}

#[derive(Debug, PartialEq)]
enum NotCsv {
    Key(NotAKey),
    Table(String),
}

/// The console's `Access key ID,Secret access key`, alone or among other columns, such as `User name` before 2022.
fn read_csv(text: &str) -> Result<AccessKey, NotCsv> {
    let table = |reason: &str| NotCsv::Table(reason.into());
    let mut lines = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.trim().is_empty());
    let header = lines.next().map(cells).ok_or_else(|| table("is empty"))?;
    let column = |name: &str| header.iter().position(|cell| cell.trim().eq_ignore_ascii_case(name));
    let (Some(id), Some(secret)) = (column("Access key ID"), column("Secret access key")) else {
        let reason = "has no columns \"Access key ID\" and \"Secret access key\" in its first line; the console makes such \
                      a file when an access key is created";
        return Err(table(reason));
    };
    let row = lines.next().map(cells).ok_or_else(|| table("holds no access key, only its first line"))?;
    if lines.next().is_some() {
        return Err(table("holds several access keys; leave only the line of this profile's"));
    }
    let (Some(id), Some(secret)) = (row.get(id), row.get(secret)) else {
        return Err(table("has fewer columns in its second line than in its first"));
    };
    AccessKey::parse(id, &secret.as_str().into()).map_err(|error| match error {
        // What stands in the wrong column may be the secret.
        NotAKey::Id(_) => table("has something else than an access key id in the column of that name"),
        error => NotCsv::Key(error),
    })
}

/// The cells of a line, without their quotation marks (RFC 4180; no cell of these has a line's end in it).
fn cells(line: &str) -> Vec<Zeroizing<String>> {
    let mut cells = vec![Zeroizing::new(String::with_capacity(line.len()))];
    let mut quoted = false;
    let mut signs = line.chars().peekable();
    while let Some(sign) = signs.next() {
        match sign {
            '"' if quoted && signs.peek() == Some(&'"') => {
                signs.next();
                push(&mut cells, '"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(Zeroizing::new(String::with_capacity(line.len()))),
            sign => push(&mut cells, sign),
        }
    }
    cells
}

fn push(cells: &mut [Zeroizing<String>], sign: char) {
    if let Some(last) = cells.last_mut() {
        last.push(sign);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "AKIAIOSFODNN7EXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    #[test]
    fn every_form_of_the_consoles_file_is_read() {
        for text in [
            format!("Access key ID,Secret access key\r\n{ID},{SECRET}"),
            format!("\u{feff}Access key ID,Secret access key\r\n{ID},{SECRET}\r\n"),
            format!("\"Access key ID\",\"Secret access key\"\n\"{ID}\",\"{SECRET}\"\n"),
            format!(
                "User name,Password,Access key ID,Secret access key,Console login link\ndoug,,{ID},{SECRET},https://x\n"
            ),
            format!("User Name,Access Key Id,Secret Access Key\n\"doug\",{ID},{SECRET}\n\n"),
        ] {
            let key = read_csv(&text).unwrap();
            assert_eq!((key.id.as_str(), key.secret.expose_secret()), (ID, SECRET), "{text}");
        }
    }

    #[test]
    fn what_is_not_one_key_is_refused_in_its_own_words_and_never_shows_the_secret() {
        let head = "Access key ID,Secret access key\n";
        for (text, word) in [
            (String::new(), "empty"),
            ("User name,Password,Console sign-in URL\ndoug,x,y\n".into(), "no columns"),
            (head.into(), "holds no access key"),
            (format!("{head}{ID},{SECRET}\n{ID},{SECRET}\n"), "several"),
            (format!("{head}{ID}\n"), "fewer columns"),
            (format!("{head}ASIAIOSFODNN7EXAMPLE,{SECRET}\n"), "Temporary"),
            (format!("{head}{SECRET},{ID}\n"), "something else"),
            (format!("{head}{ID},\n"), "Secret"),
        ] {
            let refused = format!("{:?}", read_csv(&text).unwrap_err());
            assert!(refused.contains(word) && !refused.contains(SECRET), "{refused}");
        }
    }
}
