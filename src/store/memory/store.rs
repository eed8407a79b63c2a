//! The partitions and their locks.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::part::Part;
use crate::id::Partition;
use crate::store::error::{Error, Result};

/// Everything durable, in memory.
#[derive(Debug)]
pub struct MemoryStore {
    parts: Vec<Mutex<Part>>,
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::new()
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> MemoryStore {
        MemoryStore {
            parts: Partition::all().map(|_| Mutex::default()).collect(),
        }
    }

    /// One partition, locked. Operations check before they write, so a panic elsewhere leaves nothing half
    /// done behind a poisoned lock.
    pub(super) fn part(&self, partition: Partition) -> Result<MutexGuard<'_, Part>> {
        let part = self.parts.get(usize::from(partition.index()));
        let part = part.ok_or_else(|| Error::WrongPartition {
            what: "the operation".to_owned(),
            partition: partition.index(),
        })?;
        Ok(part.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl crate::store::Losses for MemoryStore {}
