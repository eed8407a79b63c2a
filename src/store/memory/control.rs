//! The instance's own records, in memory.

use async_trait::async_trait;

use super::MemoryStore;
use crate::digest::Digest;
use crate::guardrail::Halt;
use crate::id::Partition;
use crate::secret::Handle;
use crate::store::control::{Control, Principal, Switches};
use crate::store::error::Result;

#[async_trait]
impl Control for MemoryStore {
    async fn switches(&self) -> Result<Switches> {
        Ok(self.part(Partition::CONTROL)?.control.switches.clone())
    }

    async fn set_halt(&self, halt: Option<Halt>) -> Result<()> {
        self.part(Partition::CONTROL)?.control.switches.halt = halt;
        Ok(())
    }

    async fn put_principal(&self, principal: Principal) -> Result<()> {
        let mut part = self.part(Partition::CONTROL)?;
        part.control.principals.insert(principal.name.clone(), principal);
        Ok(())
    }

    async fn principals(&self) -> Result<Vec<Principal>> {
        let part = self.part(Partition::CONTROL)?;
        Ok(part.control.principals.values().cloned().collect())
    }

    async fn put_bundle(&self, digest: Digest, bytes: Vec<u8>) -> Result<()> {
        let mut part = self.part(Partition::CONTROL)?;
        part.control.bundles.entry(digest).or_insert(bytes);
        Ok(())
    }

    async fn bundle(&self, digest: Digest) -> Result<Option<Vec<u8>>> {
        Ok(self
            .part(Partition::CONTROL)?
            .control
            .bundles
            .get(&digest)
            .cloned())
    }

    async fn put_secret(&self, handle: &Handle, sealed: Vec<u8>) -> Result<()> {
        let mut part = self.part(Partition::CONTROL)?;
        part.control.secrets.insert(handle.0.clone(), sealed);
        Ok(())
    }

    async fn secret(&self, handle: &Handle) -> Result<Option<Vec<u8>>> {
        Ok(self
            .part(Partition::CONTROL)?
            .control
            .secrets
            .get(&handle.0)
            .cloned())
    }
}
