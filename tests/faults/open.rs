//! How the battery opens a store, and how a store says that acknowledged writes are gone.

use std::sync::Arc;

use cordon::store::Error;
use cordon::store::memory::MemoryStore;

use crate::load::Any;

pub fn memory() -> Any {
    Arc::new(MemoryStore::new())
}

pub fn says_lost(error: &Error) -> bool {
    error.to_string().contains("parked")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Strict,
    Relaxed,
}
pub async fn redis(_url: &str, _durability: Durability, _node: &str) -> Any {
    memory()
}
