//! Bytes sealed under a passphrase, as an age file.
//!
//! Knows nothing about what is sealed or where it rests. The format is frozen, and `age` and `rage` open it too.
//! Source: C2SP, "The age file encryption format", section "The scrypt recipient type".

use std::io::{Read as _, Write as _};
use std::iter;

use age::DecryptError;
use age::scrypt::{Identity, Recipient};
use secrecy::SecretString;
use zeroize::Zeroizing;

/// The work to derive the key, as a power of two: 2^16 takes 64 MiB and some 0.2 s (measured), four doublings below
/// what the age program chooses for a file that is opened once a month; this one is opened at every renewal.
pub(super) const WORK_FACTOR: u8 = 16;

/// More work than this is refused: a file made by somebody else could otherwise ask for hours and all memory
/// (age's own advice on `set_max_work_factor`).
const MOST_WORK: u8 = 22;

/// Why sealed bytes did not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// They are not what was written; the reason has no secret in it.
    Damaged(String),
    /// The passphrase is another one. A file whose salt or wrapped key was changed looks the same.
    WrongPassphrase,
}

/// Seals `plain` under `passphrase`; `work` is [`WORK_FACTOR`] but in tests.
pub(super) fn seal(plain: &[u8], passphrase: &SecretString, work: u8) -> Result<Vec<u8>, String> {
    let mut recipient = Recipient::new(passphrase.clone());
    recipient.set_work_factor(work);
    let encryptor =
        age::Encryptor::with_recipients(iter::once(&recipient as _)).map_err(|error| error.to_string())?;
    let mut sealed = Vec::new();
    encryptor
        .wrap_output(&mut sealed)
        .and_then(|mut writer| writer.write_all(plain).and_then(|()| writer.finish()))
        .map_err(|error| error.to_string())?;
    Ok(sealed)
}

/// Opens what [`seal`] made, or the age program with a passphrase.
pub(super) fn open(sealed: &[u8], passphrase: &SecretString) -> Result<Zeroizing<Vec<u8>>, Closed> {
    let damaged = |reason: &str| Closed::Damaged(reason.to_owned());
    let decryptor = age::Decryptor::new_buffered(sealed).map_err(|_| damaged("it is not an age file"))?;
    if !decryptor.is_scrypt() {
        return Err(damaged("it is sealed to a key, not to a passphrase"));
    }
    let mut identity = Identity::new(passphrase.clone());
    identity.set_max_work_factor(MOST_WORK);
    let mut reader = decryptor.decrypt(iter::once(&identity as _)).map_err(|error| match error {
        DecryptError::DecryptionFailed | DecryptError::NoMatchingKeys => Closed::WrongPassphrase,
        DecryptError::ExcessiveWork { required, .. } => {
            Closed::Damaged(format!("it asks for 2^{required} scrypt rounds, and 2^{MOST_WORK} is the limit"))
        }
        DecryptError::InvalidMac => damaged("its header was changed"),
        _ => damaged("its header makes no sense"),
    })?;
    // The plain text is always shorter, so the buffer never grows and leaves no copy behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
    reader.read_to_end(&mut plain).map_err(|_| damaged("it is cut short or changed"))?;
    Ok(plain)
}
