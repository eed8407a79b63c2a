//! Words of people for runs, in memory.

use async_trait::async_trait;

use super::MemoryStore;
use super::part::Part;
use crate::id::{Partition, RunId};
use crate::journal::ChainId;
use crate::store::error::Result;
use crate::store::home;
use crate::store::runs::RunStatus;
use crate::store::signals::{Signal, Signalled, Signals};

impl Part {
    /// Every signal of a run, in order.
    pub(super) fn signals(&self, run: RunId) -> Vec<Signal> {
        let mut signals = self.signals.get(&run).cloned().unwrap_or_default();
        signals.sort_by(|one, two| (one.at, &one.id).cmp(&(two.at, &two.id)));
        signals
    }
}

#[async_trait]
impl Signals for MemoryStore {
    async fn put_signal(&self, partition: Partition, signal: Signal) -> Result<Signalled> {
        home::of_chain(partition, ChainId::Run(signal.run))?;
        let mut part = self.part(partition)?;
        let status = part.run_mut(signal.run)?.row.status;
        let known = part.signals.entry(signal.run).or_default();
        if known.iter().any(|one| one.id == signal.id) {
            return Ok(Signalled::Already);
        }
        if status == RunStatus::Settled {
            return Ok(Signalled::Over);
        }
        known.push(signal.clone());
        part.run_mut(signal.run)?.row.status = RunStatus::Open;
        part.wake(signal.run, signal.at)?;
        Ok(Signalled::New)
    }

    async fn signals(&self, partition: Partition, run: RunId) -> Result<Vec<Signal>> {
        home::of_chain(partition, ChainId::Run(run))?;
        Ok(self.part(partition)?.signals(run))
    }
}
