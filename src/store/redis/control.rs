//! The instance's own records, in the control partition.

use async_trait::async_trait;

use super::RedisStore;
use super::answer::unreadable;
use super::args::Args;
use crate::digest::Digest;
use crate::guardrail::Halt;
use crate::id::Partition;
use crate::secret::Handle;
use crate::store::control::{Control, Principal, Switches};
use crate::store::error::Result;

const HERE: Partition = Partition::CONTROL;

#[async_trait]
impl Control for RedisStore {
    async fn switches(&self) -> Result<Switches> {
        match self.read(HERE, "switches", Args::new()).await?.maybe_bytes()? {
            Some(json) => serde_json::from_slice(&json).map_err(unreadable),
            None => Ok(Switches::default()),
        }
    }

    async fn set_halt(&self, halt: Option<Halt>) -> Result<()> {
        let args = match halt {
            Some(halt) => Args::new().json(&Switches { halt: Some(halt) })?,
            None => Args::new().put(""),
        };
        self.write(HERE, "set_switches", args).await.map(drop)
    }

    async fn put_principal(&self, principal: Principal) -> Result<()> {
        let args = Args::new().put(&principal.name).json(&principal)?;
        self.write(HERE, "put_principal", args).await.map(drop)
    }

    async fn principals(&self) -> Result<Vec<Principal>> {
        let answer = self.read(HERE, "principals", Args::new()).await?;
        let mut principals: Vec<Principal> = answer.each(|answer| {
            answer.bytes()?;
            answer.json()
        })?;
        principals.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(principals)
    }

    async fn put_bundle(&self, digest: Digest, bytes: Vec<u8>) -> Result<()> {
        let args = Args::new().put(digest).bytes(bytes);
        self.write(HERE, "put_bundle", args).await.map(drop)
    }

    async fn bundle(&self, digest: Digest) -> Result<Option<Vec<u8>>> {
        let args = Args::new().put(digest);
        self.read(HERE, "bundle", args).await?.maybe_bytes()
    }

    async fn put_secret(&self, handle: &Handle, sealed: Vec<u8>) -> Result<()> {
        let args = Args::new().put(&handle.0).bytes(sealed);
        self.write(HERE, "put_secret", args).await.map(drop)
    }

    async fn secret(&self, handle: &Handle) -> Result<Option<Vec<u8>>> {
        let args = Args::new().put(&handle.0);
        self.read(HERE, "secret", args).await?.maybe_bytes()
    }
}
