//! The partitions and their locks.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::part::Part;
use crate::clock::{Clock, SystemClock, Time};
use crate::id::Partition;
use crate::store::error::{Error, Result};
use crate::store::targets::in_time;

/// Everything durable, in memory.
pub struct MemoryStore {
    parts: Vec<Mutex<Part>>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::new()
    }
}

impl MemoryStore {
    /// An empty store, whose present is the machine's.
    pub fn new() -> MemoryStore {
        MemoryStore::with_clock(Arc::new(SystemClock))
    }

    /// An empty store with a present of its own.
    pub fn with_clock(clock: Arc<dyn Clock>) -> MemoryStore {
        MemoryStore {
            parts: Partition::all().map(|_| Mutex::default()).collect(),
            clock,
        }
    }

    /// Refuses what comes too late.
    pub(super) fn in_time(&self, before: Time) -> Result<()> {
        in_time(before, self.clock.now())
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
