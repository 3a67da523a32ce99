//! Bytes sealed under a key of 32 bytes, as the kept sessions are.
//!
//! Knows the layout: magic and version, the store's 16 random bytes, a nonce of 24, then the sealed bytes and their
//! tag. The first two are authenticated with the rest. Knows nothing about where the key rests.
//! Source: draft-irtf-cfrg-xchacha-03; the choice over age, with the numbers measured, is in docs/adr.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use data_encoding::HEXLOWER;
use secrecy::{ExposeSecret, SecretSlice};
use zeroize::Zeroizing;

/// What the file begins with; its last byte is the version.
const MAGIC: [u8; 16] = *b"onetap sessions\x01";

/// XChaCha20-Poly1305's tag, in bytes.
const TAG: usize = 16;

/// Bytes in a key.
pub(super) const KEY: usize = 32;

/// The random name of one store, by which the kernel's keyring tells two homes of one user apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoreId([u8; 16]);

impl StoreId {
    /// A name that no store has yet.
    pub(super) fn fresh() -> Result<Self, getrandom::Error> {
        let mut id = [0; 16];
        getrandom::fill(&mut id)?;
        Ok(Self(id))
    }

    /// The name that sealed bytes carry; `None` if they are not of this kind and version.
    pub(super) fn of(sealed: &[u8]) -> Option<Self> {
        split(sealed).map(|(id, ..)| id)
    }

    /// The name of its key in the kernel's keyring.
    pub(super) fn kernel_name(self) -> String {
        format!("onetap:{}", HEXLOWER.encode(&self.0))
    }

    fn header(self) -> [u8; 32] {
        let mut header = [0; 32];
        let (magic, id) = header.split_at_mut(MAGIC.len());
        magic.copy_from_slice(&MAGIC);
        id.copy_from_slice(&self.0);
        header
    }
}

fn split(sealed: &[u8]) -> Option<(StoreId, &XNonce, &[u8])> {
    let rest = sealed.strip_prefix(&MAGIC)?;
    let (id, rest) = rest.split_first_chunk::<16>()?;
    let (nonce, body) = rest.split_first_chunk::<24>()?;
    Some((StoreId(*id), nonce.into(), body))
}

fn cipher(key: &SecretSlice<u8>) -> Option<XChaCha20Poly1305> {
    XChaCha20Poly1305::new_from_slice(key.expose_secret()).ok()
}

/// A key that nobody has.
pub(super) fn fresh_key() -> Result<SecretSlice<u8>, getrandom::Error> {
    let mut key = Zeroizing::new([0; KEY]);
    getrandom::fill(&mut *key)?;
    Ok(SecretSlice::from(key.to_vec()))
}

/// Seals `plain`, in place as far as its capacity allows, and returns the whole file. `None` if the key has another
/// length than [`KEY`] or the system has no random bytes.
pub(super) fn seal(id: StoreId, mut plain: Zeroizing<Vec<u8>>, key: &SecretSlice<u8>) -> Option<Vec<u8>> {
    let mut nonce = [0; 24];
    getrandom::fill(&mut nonce).ok()?;
    cipher(key)?.encrypt_in_place(&XNonce::from(nonce), &id.header(), &mut *plain).ok()?;
    Some([id.header().as_slice(), &nonce, &plain].concat())
}

/// Opens what [`seal`] made; `None` if it was changed, was cut short or has another key.
pub(super) fn open(sealed: &[u8], key: &SecretSlice<u8>) -> Option<Zeroizing<Vec<u8>>> {
    let (id, nonce, body) = split(sealed)?;
    let mut plain = Zeroizing::new(body.to_vec());
    cipher(key)?.decrypt_in_place(nonce, &id.header(), &mut *plain).ok()?;
    Some(plain)
}

/// How much longer a sealed text becomes inside its own buffer, so that the buffer need not grow.
pub(super) const GROWTH: usize = TAG;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_truncation_and_every_flipped_bit_is_noticed() {
        let (id, key) = (StoreId::fresh().unwrap(), fresh_key().unwrap());
        let sealed = seal(id, Zeroizing::new(b"{}".to_vec()), &key).unwrap();
        assert_eq!(open(&sealed, &key).unwrap().as_slice(), b"{}");
        assert_eq!(StoreId::of(&sealed), Some(id));
        for length in 0..sealed.len() {
            assert!(open(&sealed[..length], &key).is_none(), "{length} bytes");
        }
        for (place, bit) in (0..sealed.len()).flat_map(|place| (0..8).map(move |bit| (place, bit))) {
            let mut changed = sealed.clone();
            changed[place] ^= 1 << bit;
            assert!(open(&changed, &key).is_none(), "bit {bit} of byte {place}");
        }
    }

    #[test]
    fn another_key_or_one_of_another_length_opens_nothing() {
        let (id, key) = (StoreId::fresh().unwrap(), fresh_key().unwrap());
        let sealed = seal(id, Zeroizing::new(b"{}".to_vec()), &key).unwrap();
        assert!(open(&sealed, &fresh_key().unwrap()).is_none());
        assert!(open(&sealed, &SecretSlice::from(vec![1; 31])).is_none());
        assert!(seal(id, Zeroizing::new(Vec::new()), &SecretSlice::from(Vec::new())).is_none());
    }

    #[test]
    fn the_same_text_sealed_twice_is_not_the_same() {
        let (id, key) = (StoreId::fresh().unwrap(), fresh_key().unwrap());
        let twice = [(); 2].map(|()| seal(id, Zeroizing::new(b"{}".to_vec()), &key).unwrap());
        assert_ne!(twice[0], twice[1]);
    }

    #[test]
    fn the_layout_stays_what_it_is() {
        let id = StoreId([7; 16]);
        assert_eq!(
            id.header(),
            *b"onetap sessions\x01\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07"
        );
        assert_eq!(id.kernel_name(), "onetap:07070707070707070707070707070707");
        // Sealed by libsodium's crypto_aead_xchacha20poly1305_ietf_encrypt.
        let foreign = concat!(
            "af1b6413b3850a65d09fe2c7dcbe5fe9ef968fb7762a20f3055f8e67335f7eed",
            "d13a965b9ef3a2b19d42fb5519a6ca90"
        );
        let body = HEXLOWER.decode(foreign.as_bytes()).unwrap();
        let nonce: Vec<u8> = (64..88).collect();
        let sealed = [id.header().as_slice(), &nonce, &body].concat();
        let key = SecretSlice::from((0..32).collect::<Vec<u8>>());
        assert_eq!(open(&sealed, &key).unwrap().as_slice(), br#"{"access_keys":{},"sessions":[]}"#);
    }
}
