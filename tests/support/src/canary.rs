//! Canary secrets: every key, seed, passphrase and session of a story, and where it must not be seen.
//!
//! Each is looked for raw, in hex, Base32, Base64 (at every alignment, both alphabets) and URL-encoded. A story's
//! thread has a cage of its own; the stand-in that it starts and its homes put their secrets into it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, fs};

use data_encoding::{BASE32_NOPAD, BASE64_NOPAD, BASE64URL_NOPAD, Encoding, HEXLOWER, HEXUPPER};
use memchr::memmem;

thread_local! {
    static HERE: Canaries = Canaries::default();
}

/// Shorter forms could appear by chance.
const SHORTEST: usize = 12;

/// How much may be seen of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A session's: the verb's contract may hand it to its caller.
    Session,
    /// A long-term key, a seed, a passphrase: never anywhere.
    LongTerm,
}

struct Canary {
    name: String,
    kind: Kind,
    forms: Vec<(&'static str, Vec<u8>)>,
}

/// The secrets of one story.
#[derive(Clone, Default)]
pub struct Canaries(Arc<Mutex<Vec<Canary>>>);

impl fmt::Debug for Canaries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Canaries({})", self.all().len())
    }
}

/// The secrets of the story that runs on this thread.
pub fn here() -> Canaries {
    HERE.with(Clone::clone)
}

impl Canaries {
    fn all(&self) -> MutexGuard<'_, Vec<Canary>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a secret in; `name` says what it is without saying it.
    pub fn plant(&self, name: &str, kind: Kind, secret: &[u8]) {
        let forms = forms(secret);
        let mut all = self.all();
        if !all.iter().any(|known| known.kind == kind && known.forms == forms) {
            all.push(Canary { name: name.into(), kind, forms });
        }
    }

    /// Puts a TOTP seed in: its Base32 text and its bytes.
    pub fn plant_seed(&self, name: &str, base32: &str) {
        self.plant(&format!("{name}, as text"), Kind::LongTerm, base32.as_bytes());
        if let Ok(bytes) = BASE32_NOPAD.decode(base32.trim_end_matches('=').as_bytes()) {
            self.plant(name, Kind::LongTerm, &bytes);
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all().len()
    }

    /// Those of at least this kind that can be read in these bytes: names and forms.
    pub fn seen(&self, bytes: &[u8], least: Kind) -> Vec<String> {
        let mut found = Vec::new();
        for canary in self.all().iter().filter(|canary| canary.kind >= least) {
            for (form, text) in &canary.forms {
                if memmem::find(bytes, text).is_some() {
                    found.push(format!("{} ({form})", canary.name));
                }
            }
        }
        found
    }

    /// Fails if one of at least this kind can be read in these bytes.
    #[allow(clippy::panic, reason = "a story in which a secret is seen has failed")]
    pub fn hidden(&self, place: &str, bytes: &[u8], least: Kind) {
        let found = self.seen(bytes, least);
        if !found.is_empty() && !std::thread::panicking() {
            panic!("a secret is seen in {place}: {}", found.join(", "));
        }
    }

    /// Fails if one can be read in a file below `folder`, but for what the story itself wrote there, and for sessions
    /// in the folders that are `lent` to them.
    pub fn hidden_below(
        &self,
        folder: &Path,
        own: &[(std::path::PathBuf, Vec<u8>)],
        lent: &[std::path::PathBuf],
    ) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(about) = fs::symlink_metadata(&path) else { continue };
            self.hidden("a file's name", path.as_os_str().as_encoded_bytes(), Kind::Session);
            if about.is_dir() {
                self.hidden_below(&path, own, lent);
            } else if about.is_file() {
                let content = fs::read(&path).unwrap_or_default();
                let by_contract = lent.iter().any(|lent| path.starts_with(lent));
                let mut found = self.seen(&content, if by_contract { Kind::LongTerm } else { Kind::Session });
                for (_, written) in own.iter().filter(|(written, _)| *written == path) {
                    let known = self.seen(written, Kind::Session);
                    found.retain(|seen| !known.contains(seen));
                }
                assert!(found.is_empty(), "a secret is seen in {}: {}", path.display(), found.join(", "));
            }
        }
    }
}

/// All that a secret may look like.
pub fn forms(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut out = vec![
        ("raw", secret.to_vec()),
        ("hex", HEXLOWER.encode(secret).into_bytes()),
        ("HEX", HEXUPPER.encode(secret).into_bytes()),
        ("URL-encoded", form_urlencoded::byte_serialize(secret).collect::<String>().into_bytes()),
    ];
    for shift in 0..5 {
        out.push(("Base32", inside(&BASE32_NOPAD, 5, secret, shift)));
    }
    for shift in 0..3 {
        out.push(("Base64", inside(&BASE64_NOPAD, 6, secret, shift)));
        out.push(("Base64 for URLs", inside(&BASE64URL_NOPAD, 6, secret, shift)));
    }
    out.retain(|(_, text)| text.len() >= SHORTEST);
    out
}

/// The characters that `secret` alone decides where `shift` bytes stand before it in what is encoded.
fn inside(encoding: &Encoding, bits: usize, secret: &[u8], shift: usize) -> Vec<u8> {
    let text = encoding.encode(&[&vec![0; shift], secret].concat()).into_bytes();
    let (begin, end) = ((8 * shift).div_ceil(bits), 8 * (shift + secret.len()) / bits);
    text.get(begin..end).unwrap_or_default().to_vec()
}
