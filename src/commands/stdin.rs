//! A secret on standard input.

use std::io::Read as _;
use std::sync::mpsc;
use std::time::Instant;

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::attendant::Unattended;
use crate::error::Error;

/// Longer than any `otpauth://` URI.
const LONGEST: usize = 4096;

/// Reads all of stdin, up to 4096 bytes. A pipe that nobody closes ends at the deadline; its thread is left behind.
pub(super) fn read(deadline: Instant) -> Result<SecretString, Error> {
    let (done, waiting) = mpsc::channel();
    std::thread::spawn(move || {
        // Large enough at once: a buffer that grows leaves copies, and so would the standard reader's own.
        let mut text = Zeroizing::new(vec![0; LONGEST]);
        let mut filled: usize = 0;
        let mut stdin = std::io::stdin().lock();
        while let Some(free) = text.get_mut(filled..).filter(|free| !free.is_empty()) {
            match stdin.read(free) {
                Ok(0) => break,
                Ok(count) => filled = filled.saturating_add(count),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let secret =
            text.get(..filled).and_then(|bytes| std::str::from_utf8(bytes).ok()).map(SecretString::from);
        let _ = done.send(secret);
    });
    match waiting.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(Some(secret)) => Ok(secret),
        Ok(None) => Err(Error::Usage("standard input is not UTF-8".into())),
        Err(_) => Err(Unattended::TimedOut.into()),
    }
}
