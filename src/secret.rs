//! Values that must not be seen: unprintable in memory, sealed at rest. Never reads a file or the
//! environment; the key and the nonce come in from above.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// A secret text: wiped on drop, shown as `[secret]`, without `Serialize`.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes the text over.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(SecretString::from(text.into()))
    }

    /// The text itself. Called where a request is signed or sent, and nowhere else.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// True for a secret that is missing or blank, which is a configuration error everywhere.
    pub fn is_blank(&self) -> bool {
        self.expose().trim().is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// What script and journal hold in a secret's place: a name in the sealed secret store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Handle(pub String);

/// The key that seals secrets at rest.
#[derive(Clone)]
pub struct SealingKey([u8; 32]);

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[sealing key]")
    }
}

impl Drop for SealingKey {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

/// The sealed bytes do not open: wrong key, wrong handle, or changed bytes.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a sealed secret does not open: the sealing key is another one, or the stored bytes were changed")]
pub struct DoesNotOpen;

const NONCE_BYTES: usize = 24;

impl SealingKey {
    /// A key of these 32 bytes.
    pub fn new(bytes: [u8; 32]) -> SealingKey {
        SealingKey(bytes)
    }

    /// Seals `plain` for `handle` with XChaCha20-Poly1305. `nonce` is random and used once; at 192 bits,
    /// random nonces do not collide. The handle is authenticated, so that sealed values cannot be swapped.
    pub fn seal(
        &self,
        handle: &Handle,
        nonce: [u8; NONCE_BYTES],
        plain: &[u8],
    ) -> Result<Vec<u8>, DoesNotOpen> {
        let cipher = XChaCha20Poly1305::new(&self.0.into());
        let payload = Payload {
            msg: plain,
            aad: handle.0.as_bytes(),
        };
        let sealed = cipher
            .encrypt(XNonce::from_slice(&nonce), payload)
            .map_err(|_| DoesNotOpen)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`SealingKey::seal`] sealed for the same handle.
    pub fn open(&self, handle: &Handle, sealed: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES).ok_or(DoesNotOpen)?;
        let cipher = XChaCha20Poly1305::new(&self.0.into());
        let payload = Payload {
            msg: sealed,
            aad: handle.0.as_bytes(),
        };
        cipher
            .decrypt(XNonce::from_slice(nonce), payload)
            .map_err(|_| DoesNotOpen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_cannot_be_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[secret]");
    }

    #[test]
    fn a_sealed_value_opens_only_with_its_key_and_handle() {
        let key = SealingKey::new([7; 32]);
        let handle = Handle("run/step/token".into());
        let sealed = key.seal(&handle, [1; 24], b"hunter2").unwrap();
        assert!(!sealed.windows(7).any(|part| part == b"hunter2"));
        assert_eq!(key.open(&handle, &sealed).unwrap(), b"hunter2");
        assert_eq!(key.open(&Handle("other".into()), &sealed), Err(DoesNotOpen));
        assert_eq!(SealingKey::new([8; 32]).open(&handle, &sealed), Err(DoesNotOpen));
        for n in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[n] ^= 1;
            assert_eq!(key.open(&handle, &changed), Err(DoesNotOpen), "byte {n}");
        }
        assert_eq!(key.open(&handle, &[0; 3]), Err(DoesNotOpen));
    }
}
