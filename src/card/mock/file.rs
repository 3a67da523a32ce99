//! The virtual token's file: what it says, and how it is written again.
//!
//! One `otpauth://` URI a line (with `&touch=true` for touch), and lines `serial N`, `firmware A.B.C`, `salt HEX`,
//! `password WORD`, `password-key HEX` (what SET CODE leaves: the derived key), `fault ...`. `#` begins a comment.
//! Lines that begin with any other word are kept and passed over. Pure: text in, text out.

use std::fmt;
use std::str::FromStr as _;

use data_encoding::HEXLOWER_PERMISSIVE as HEX;
use secrecy::ExposeSecret as _;
use sha1::{Digest as _, Sha1};
use zeroize::Zeroizing;

use super::faults::Faults;

use crate::otpauth::{Credential, Kind};

/// Longest name (YKOATH, "PUT instruction").
pub(super) const LONGEST_NAME: usize = 64;

/// The firmware of a token whose file names none.
const FIRMWARE: (u8, u8, u8) = (5, 4, 3);

/// An account, and the line that it was read from.
#[derive(Clone, Debug)]
pub struct Account {
    credential: Credential,
    line: Option<usize>,
    changed: bool,
}

impl Account {
    /// An account that no line holds yet.
    pub fn new(credential: Credential) -> Self {
        Self { credential, line: None, changed: true }
    }

    /// What it is.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Makes it another one, on the same line.
    pub fn replace(&mut self, credential: Credential) {
        self.credential = credential;
        self.changed = true;
    }

    /// Moves a counter on; nothing else changes.
    pub fn count(&mut self) {
        if let Kind::Hotp { counter } = &mut self.credential.kind {
            *counter = counter.wrapping_add(1);
            self.changed = true;
        }
    }
}

/// Everything that a token holds.
#[derive(Clone)]
pub struct Token {
    /// The serial number, for the management applet.
    pub serial: Option<u32>,
    /// The firmware.
    pub firmware: (u8, u8, u8),
    /// What passwords are derived with; by default made from the serial.
    pub salt: Vec<u8>,
    /// The derived key of the password that is set, if one is.
    pub password_key: Option<Zeroizing<[u8; 16]>>,
    /// In the order of the file.
    pub accounts: Vec<Account>,
    /// What goes wrong.
    pub faults: Faults,
    identity_changed: bool,
    password_changed: bool,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("serial", &self.serial)
            .field("firmware", &self.firmware)
            .field("accounts", &self.accounts)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

impl Token {
    /// What SET CODE does.
    pub fn set_password_key(&mut self, key: Option<Zeroizing<[u8; 16]>>) {
        self.password_key = key;
        self.password_changed = true;
    }

    /// What RESET does: no accounts, no password, another identity.
    pub fn forget_everything(&mut self, salt: [u8; 8]) {
        self.accounts.clear();
        self.set_password_key(None);
        self.salt = salt.to_vec();
        self.identity_changed = true;
    }
}

/// A line that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct BadLine {
    line: usize,
    reason: String,
}

/// A file as it was read: the token in it, and its lines.
pub struct TokenFile {
    /// The token.
    pub token: Token,
    lines: Vec<Zeroizing<String>>,
}

impl fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFile").field("token", &self.token).finish_non_exhaustive()
    }
}

impl TokenFile {
    /// Reads a file's text. The first line that cannot be used is named, never quoted: it may hold a seed.
    pub fn read(text: &str) -> Result<Self, BadLine> {
        let mut token = Token {
            serial: None,
            firmware: FIRMWARE,
            salt: Vec::new(),
            password_key: None,
            accounts: Vec::new(),
            faults: Faults::default(),
            identity_changed: false,
            password_changed: false,
        };
        let mut password = None;
        let mut lines = Vec::new();
        for (place, line) in text.lines().enumerate() {
            lines.push(Zeroizing::new(line.to_owned()));
            let bad = |reason: String| BadLine { line: place + 1, reason };
            if line.trim_start().starts_with("otpauth:") {
                token.add(line, place).map_err(bad)?;
                continue;
            }
            match line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), "")) {
                ("password", "") => return Err(bad("a password is a word".into())),
                ("password", word) => password = Some(Zeroizing::new(word.trim().to_owned())),
                (word, value) => token.set(word, value.trim()).map_err(|reason| bad(reason.to_owned()))?,
            }
        }
        if token.salt.is_empty() {
            token.salt = salt_of(token.serial);
        }
        if let Some(word) = password {
            token.password_key = Some(derive(&word, &token.salt));
        }
        Ok(Self { token, lines })
    }

    /// The file's text with what changed in `token`; comments, unknown lines and their order stay.
    pub fn write_back(&self, token: &Token) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        let mut add = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        for (place, line) in self.lines.iter().enumerate() {
            let word = line.split_whitespace().next().unwrap_or_default();
            match word {
                "password" | "password-key" if token.password_changed => {}
                "salt" if token.identity_changed => {}
                _ if word.starts_with("otpauth:") => {
                    match token.accounts.iter().find(|a| a.line == Some(place)) {
                        Some(account) if account.changed => add(account.credential.to_uri().expose_secret()),
                        Some(_) => add(line),
                        None => {}
                    }
                }
                _ => add(line),
            }
        }
        if token.identity_changed {
            add(&format!("salt {}", HEX.encode(&token.salt)));
        }
        if let (true, Some(key)) = (token.password_changed, &token.password_key) {
            add(&Zeroizing::new(format!("password-key {}", HEX.encode(&**key))));
        }
        for account in token.accounts.iter().filter(|account| account.line.is_none()) {
            add(account.credential.to_uri().expose_secret());
        }
        text
    }
}

impl Token {
    fn add(&mut self, uri: &str, line: usize) -> Result<(), String> {
        let credential = Credential::from_str(uri).map_err(|error| error.to_string())?;
        let id = credential.id();
        if id.len() > LONGEST_NAME {
            return Err(format!(
                "a YubiKey's account names have at most {LONGEST_NAME} bytes, this one has {}",
                id.len()
            ));
        }
        if self.accounts.iter().any(|account| account.credential.id() == id) {
            return Err("this account stands in the file twice".into());
        }
        self.accounts.push(Account { credential, line: Some(line), changed: false });
        Ok(())
    }

    /// Takes the value of a line; a word that is not ours is passed over.
    fn set(&mut self, word: &str, value: &str) -> Result<(), &'static str> {
        match word {
            "fault" => self.faults.set(value)?,
            "firmware" => {
                let mut parts = value.split('.').map(|part| part.parse().ok());
                self.firmware = match (parts.next(), parts.next(), parts.next(), parts.next()) {
                    (Some(Some(a)), Some(Some(b)), Some(Some(c)), None) => (a, b, c),
                    _ => return Err("a firmware is written like 5.4.3"),
                };
            }
            "password-key" => {
                let key = Zeroizing::new(HEX.decode(value.as_bytes()).unwrap_or_default());
                let key: [u8; 16] =
                    key.as_slice().try_into().map_err(|_| "a password-key has 32 hex digits")?;
                self.password_key = Some(Zeroizing::new(key));
            }
            "salt" => match HEX.decode(value.as_bytes()) {
                Ok(salt) if salt.len() == 8 => self.salt = salt,
                _ => return Err("a salt has 16 hex digits"),
            },
            "serial" => self.serial = Some(value.parse().map_err(|_| "a serial is a number below 2^32")?),
            _ => {}
        }
        Ok(())
    }
}

/// A salt that two tokens with different serials do not share.
fn salt_of(serial: Option<u32>) -> Vec<u8> {
    let digest = Sha1::digest([b"virtual token ".as_slice(), &serial.unwrap_or(0).to_be_bytes()].concat());
    digest.iter().copied().take(8).collect()
}

/// YKOATH, "SET CODE instruction": PBKDF2-HMAC-SHA1, 1000 rounds.
fn derive(word: &str, salt: &[u8]) -> Zeroizing<[u8; 16]> {
    let mut key = Zeroizing::new([0; 16]);
    pbkdf2::pbkdf2_hmac::<Sha1>(word.as_bytes(), salt, 1000, &mut *key);
    key
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::faults::{Application, TouchComes};
    use super::*;

    const URI: &str = "otpauth://totp/a:b?secret=GEZDGNBVGY3TQOJQ";

    #[test]
    fn a_whole_file_is_read_and_an_unchanged_one_is_written_as_it_was() {
        let text = format!(
            "# a token\n\nserial 11111111\nfirmware 5.7.1\nsalt 0102030405060708\npassword correct horse\n{URI}&touch=true\n\
             colour blue\nfault busy 2\nfault removed-after 3\nfault reset-after 1\nfault reset-after 2\nfault touch-after 5\n\
             fault without piv\n"
        );
        let file = TokenFile::read(&text).unwrap();
        assert_eq!((file.token.serial, file.token.firmware), (Some(11_111_111), (5, 7, 1)));
        assert_eq!(file.token.salt, [1, 2, 3, 4, 5, 6, 7, 8]);
        let touch = TouchComes::After(Duration::from_millis(5));
        let faults = Faults {
            busy: 2,
            removed_after: Some(3),
            reset_after: vec![1, 2],
            touch,
            without: vec![Application::Piv],
        };
        assert_eq!(file.token.faults, faults);
        assert_eq!(*file.write_back(&file.token), text);
        assert!(!format!("{file:?}").contains("correct"));
    }

    #[test]
    fn what_changes_is_written_on_its_line_and_everything_else_stays() {
        let counter = "otpauth://hotp/c?secret=MZXW6";
        let file =
            TokenFile::read(&format!("# one\npassword x\n{URI}\n# two\nsalt 0102030405060708\n{counter}"))
                .unwrap();
        let mut token = file.token.clone();
        token.accounts[1].count();
        let kept = format!("# one\npassword x\n{URI}\n# two\nsalt 0102030405060708\n{counter}&counter=1\n");
        assert_eq!(*file.write_back(&token), kept);
        token.set_password_key(Some(Zeroizing::new([0xab; 16])));
        token.accounts.remove(0);
        token.accounts.push(Account::new(URI.parse().unwrap()));
        let key = "ab".repeat(16);
        let kept =
            format!("# one\n# two\nsalt 0102030405060708\n{counter}&counter=1\npassword-key {key}\n{URI}\n");
        assert_eq!(*file.write_back(&token), kept);
        assert_eq!(TokenFile::read(&kept).unwrap().token.password_key.as_deref(), Some(&[0xab; 16]));
        token.forget_everything([9; 8]);
        assert_eq!(*file.write_back(&token), "# one\n# two\nsalt 0909090909090909\n");
    }

    #[test]
    fn the_line_that_is_wrong_is_named_and_not_quoted() {
        for (line, says) in [
            ("otpauth://totp/x?secret=hunter2!", "not base32"),
            ("otpauth://totp/x", "no secret"),
            (&format!("otpauth://totp/{}?secret=MZXW6", "x".repeat(65)), "at most 64 bytes"),
            ("serial -1", "a serial is"),
            ("firmware 5.4", "a firmware is"),
            ("firmware 5.4.3.2", "a firmware is"),
            ("salt 01", "a salt has"),
            ("password-key xyz", "32 hex digits"),
            ("fault", "faults are"),
            ("fault sun-flare 3", "faults are"),
            ("fault touch sometimes", "faults are"),
            ("fault busy often", "needs a number"),
            (URI, "twice"),
        ] {
            let bad = TokenFile::read(&format!("# first\n{URI}\n{line}\n")).unwrap_err().to_string();
            assert!(bad.starts_with("line 3: ") && bad.contains(says), "{line}: {bad}");
            assert!(!bad.contains("hunter2"));
        }
    }
}
