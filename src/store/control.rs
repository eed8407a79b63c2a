//! What belongs to the whole instance: the halt switch, principals, sealed secrets, bundles. All in
//! [`Partition::CONTROL`](crate::id::Partition::CONTROL).

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::error::Result;
use crate::clock::Time;
use crate::digest::Digest;
use crate::guardrail::Halt;
use crate::secret::Handle;

/// The switches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switches {
    /// Set while everything is halted.
    pub halt: Option<Halt>,
}

/// Someone or something that may call the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// Name, unique.
    pub name: String,
    /// SHA-256 of the token; the token itself is shown once and kept nowhere.
    pub token: Digest,
    /// When it was made.
    pub created_at: Time,
    /// By whom.
    pub created_by: String,
}

/// The instance's own records.
#[async_trait]
pub trait Control {
    /// The switches.
    async fn switches(&self) -> Result<Switches>;

    /// Halts (`Some`) or resumes (`None`).
    async fn set_halt(&self, halt: Option<Halt>) -> Result<()>;

    /// Adds or replaces a principal of that name.
    async fn put_principal(&self, principal: Principal) -> Result<()>;

    /// Every principal, by name.
    async fn principals(&self) -> Result<Vec<Principal>>;

    /// Keeps a bundle under its digest. Keeping it again is a no-op.
    async fn put_bundle(&self, digest: Digest, bytes: Vec<u8>) -> Result<()>;

    /// The bundle of a digest.
    async fn bundle(&self, digest: Digest) -> Result<Option<Vec<u8>>>;

    /// Keeps a sealed secret under its handle, replacing an older one.
    async fn put_secret(&self, handle: &Handle, sealed: Vec<u8>) -> Result<()>;

    /// The sealed secret of a handle.
    async fn secret(&self, handle: &Handle) -> Result<Option<Vec<u8>>>;
}
