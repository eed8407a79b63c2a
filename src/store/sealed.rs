//! Secrets at rest: sealed before they reach a store, opened after they leave it. A store never sees one.

use std::sync::Arc;

use super::Store;
use super::error::{Error, Result};
use crate::secret::{Handle, SealingKey, Secret};

/// The sealed secret store.
#[derive(Clone)]
pub struct Sealed {
    store: Arc<dyn Store>,
    key: SealingKey,
}

impl Sealed {
    /// Secrets of `store` under `key`.
    pub fn new(store: Arc<dyn Store>, key: SealingKey) -> Sealed {
        Sealed { store, key }
    }

    /// Keeps a secret under a handle, replacing an older one.
    pub async fn put(&self, handle: &Handle, secret: &Secret) -> Result<()> {
        let mut nonce = [0; 24];
        getrandom::fill(&mut nonce).map_err(|error| Error::Unavailable {
            why: error.to_string(),
        })?;
        let sealed = self
            .key
            .seal(handle, nonce, secret.expose().as_bytes())
            .map_err(|error| Error::Corrupt {
                why: error.to_string(),
            })?;
        self.store.put_secret(handle, sealed).await
    }

    /// The secret of a handle.
    pub async fn get(&self, handle: &Handle) -> Result<Option<Secret>> {
        let Some(sealed) = self.store.secret(handle).await? else {
            return Ok(None);
        };
        let corrupt = |why: String| Error::Corrupt {
            why: format!("secret `{}`: {why}", handle.0),
        };
        let plain = self
            .key
            .open(handle, &sealed)
            .map_err(|error| corrupt(error.to_string()))?;
        String::from_utf8(plain)
            .map(|text| Some(Secret::new(text)))
            .map_err(|error| corrupt(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Control, memory::MemoryStore};

    #[tokio::test]
    async fn the_store_never_sees_a_secret_and_another_key_does_not_open_it() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let handle = Handle("crowdstrike/token".into());
        let sealed = Sealed::new(store.clone(), SealingKey::new([1; 32]));
        assert!(sealed.get(&handle).await.unwrap().is_none());
        sealed.put(&handle, &Secret::new("hunter2-canary")).await.unwrap();
        assert_eq!(
            sealed.get(&handle).await.unwrap().unwrap().expose(),
            "hunter2-canary"
        );
        let stored = Control::secret(&*store, &handle).await.unwrap().unwrap();
        assert!(!stored.windows(7).any(|part| part == b"hunter2"));
        let other = Sealed::new(store, SealingKey::new([2; 32]));
        assert!(matches!(other.get(&handle).await, Err(Error::Corrupt { .. })));
    }
}
