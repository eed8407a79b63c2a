//! Forgetting, in memory.

use async_trait::async_trait;

use super::MemoryStore;
use super::part::Part;
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::{AlertId, Partition, RunId};
use crate::journal::ChainId;
use crate::store::alerts::Disposition;
use crate::store::error::Result;
use crate::store::home;
use crate::store::retention::{Bygone, Forgot, Retention, Swept};
use crate::store::runs::RunStatus;

fn oldest<T: Copy + ToString>(
    mut found: Vec<(Time, T)>,
    after: Option<(Time, T)>,
    limit: usize,
) -> Vec<(Time, T)> {
    let place = |(at, id): &(Time, T)| (*at, id.to_string());
    let after = after.as_ref().map(place);
    found.retain(|one| after.as_ref().is_none_or(|after| place(one) > *after));
    found.sort_by_cached_key(place);
    found.truncate(limit);
    found
}

fn unread(part: &Part, chain: ChainId, followers: &[&str]) -> bool {
    let last = part.last_position(chain);
    followers
        .iter()
        .any(|follower| part.cursors.get(*follower).copied().unwrap_or(0) < last)
}

#[async_trait]
impl Retention for MemoryStore {
    async fn old_runs(
        &self,
        partition: Partition,
        before: Time,
        after: Option<(Time, RunId)>,
        limit: usize,
    ) -> Result<Vec<(Time, RunId)>> {
        let part = self.part(partition)?;
        let settled = part.runs.values().map(|run| &run.row);
        let old = settled.filter(|row| row.status == RunStatus::Settled && row.updated_at < before);
        Ok(oldest(
            old.map(|row| (row.updated_at, row.id)).collect(),
            after,
            limit,
        ))
    }

    async fn old_alerts(
        &self,
        partition: Partition,
        before: Time,
        after: Option<(Time, AlertId)>,
        limit: usize,
    ) -> Result<Vec<(Time, AlertId)>> {
        let part = self.part(partition)?;
        let rows = part.alerts.values().map(|alert| &alert.row);
        let old = rows.filter(|row| row.disposition != Disposition::Pending && row.received_at < before);
        Ok(oldest(
            old.map(|row| (row.received_at, row.id)).collect(),
            after,
            limit,
        ))
    }

    async fn forget_run(
        &self,
        partition: Partition,
        run: RunId,
        at: Time,
        followers: &[&str],
    ) -> Result<Forgot> {
        let chain = ChainId::Run(run);
        home::of_chain(partition, chain)?;
        let mut part = self.part(partition)?;
        match part.runs.get(&run).map(|run| run.row.status) {
            None => return Ok(Forgot::Already),
            Some(RunStatus::Settled) => {}
            Some(RunStatus::Open | RunStatus::Parked) => return Ok(Forgot::Open),
        }
        if unread(&part, chain, followers) {
            return Ok(Forgot::Unread);
        }
        part.runs.remove(&run);
        part.approvals.retain(|_, row| row.run != run);
        part.votes.remove(&run);
        part.signals.remove(&run);
        part.drop_chain(chain, at);
        Ok(Forgot::Now)
    }

    async fn forget_alert(
        &self,
        partition: Partition,
        alert: AlertId,
        at: Time,
        followers: &[&str],
    ) -> Result<Forgot> {
        let chain = ChainId::Alert(alert);
        home::of_chain(partition, chain)?;
        let mut part = self.part(partition)?;
        match part.alerts.get(&alert).map(|alert| alert.row.disposition) {
            None => return Ok(Forgot::Already),
            Some(Disposition::Pending) => return Ok(Forgot::Open),
            Some(_) => {}
        }
        if unread(&part, chain, followers) {
            return Ok(Forgot::Unread);
        }
        part.alerts.remove(&alert);
        part.drop_chain(chain, at);
        Ok(Forgot::Now)
    }

    async fn sweep(&self, partition: Partition, before: &Bygone, limit: usize) -> Result<Swept> {
        let mut part = self.part(partition)?;
        let part = &mut *part;
        let claims: Vec<Digest> = part
            .claims
            .iter()
            .filter(|(_, once)| once.until < before.claims)
            .map(|(key, _)| *key)
            .take(limit)
            .collect();
        let changes: Vec<String> = part
            .changes
            .iter()
            .filter(|(_, at)| **at < before.changes)
            .map(|(target, _)| target.clone())
            .take(limit)
            .collect();
        let gone: Vec<ChainId> = part
            .gone
            .iter()
            .filter(|(_, at)| **at < before.gone)
            .map(|(chain, _)| *chain)
            .take(limit)
            .collect();
        part.claims.retain(|key, _| !claims.contains(key));
        part.changes.retain(|target, _| !changes.contains(target));
        part.gone.retain(|chain, _| !gone.contains(chain));
        Ok(Swept {
            claims: claims.len() as u64,
            changes: changes.len() as u64,
            gone: gone.len() as u64,
        })
    }

    async fn forget_bundle(&self, digest: Digest) -> Result<()> {
        self.part(Partition::CONTROL)?.control.bundles.remove(&digest);
        Ok(())
    }

    async fn bundles(&self) -> Result<Vec<Digest>> {
        let part = self.part(Partition::CONTROL)?;
        let mut digests: Vec<Digest> = part.control.bundles.keys().copied().collect();
        digests.sort_unstable();
        Ok(digests)
    }
}
