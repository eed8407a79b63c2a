//! The feed and the totals, in memory.

use async_trait::async_trait;

use super::MemoryStore;
use crate::clock::Time;
use crate::id::Partition;
use crate::store::error::Result;
use crate::store::feed::{Counts, Feed, FeedItem, Health};

#[async_trait]
impl Feed for MemoryStore {
    async fn feed(&self, partition: Partition, after: u64, limit: usize) -> Result<Vec<FeedItem>> {
        Ok(self.part(partition)?.feed(after, limit))
    }

    async fn cursor(&self, partition: Partition, follower: &str) -> Result<u64> {
        Ok(self.part(partition)?.cursors.get(follower).copied().unwrap_or(0))
    }

    async fn claim_follower(
        &self,
        partition: Partition,
        follower: &str,
        holder: &str,
        now: Time,
        until: Time,
    ) -> Result<bool> {
        let mut part = self.part(partition)?;
        match part.followers.get_mut(follower) {
            Some((theirs, ends)) if theirs != holder && *ends > now => Ok(false),
            Some(claim) => {
                *claim = (holder.to_owned(), until);
                Ok(true)
            }
            None => {
                let claim = (holder.to_owned(), until);
                part.followers.insert(follower.to_owned(), claim);
                Ok(true)
            }
        }
    }

    async fn release_follower(&self, partition: Partition, follower: &str, holder: &str) -> Result<()> {
        let mut part = self.part(partition)?;
        if part
            .followers
            .get(follower)
            .is_some_and(|(ours, _)| ours == holder)
        {
            part.followers.remove(follower);
        }
        Ok(())
    }

    async fn set_cursor(&self, partition: Partition, follower: &str, position: u64) -> Result<()> {
        let mut part = self.part(partition)?;
        let cursor = part.cursors.entry(follower.to_owned()).or_default();
        *cursor = position.max(*cursor);
        Ok(())
    }

    async fn counts(&self, partition: Partition, now: Time) -> Result<Counts> {
        let part = self.part(partition)?;
        let mut counts = Counts {
            holds: part.holds.len() as u64,
            ..Counts::default()
        };
        for alert in part.alerts.values() {
            let word = alert.row.disposition.word().to_owned();
            *counts.alerts.entry(word).or_default() += 1;
            counts.repeats += alert.row.times.saturating_sub(1);
        }
        for run in part.runs.values() {
            *counts.runs.entry(run.row.status.word().to_owned()).or_default() += 1;
            if let Some(end) = run.row.end {
                *counts.ends.entry(end.word().to_owned()).or_default() += 1;
            }
            if run.is_open() && run.due_at().is_none() {
                counts.stuck += 1;
            }
        }
        let untils = part.holds.values().flat_map(|held| &held.holders);
        let untils = untils.filter_map(|(holder, _)| holder.until);
        counts.overdue = untils.filter(|until| *until <= now).count() as u64;
        for notice in part.notices.values() {
            *counts.notices.entry(notice.state.word().to_owned()).or_default() += 1;
        }
        let due = part.notices.values().filter_map(|notice| notice.due_at);
        counts.notice_due = due.filter(|at| *at <= now).min();
        Ok(counts)
    }

    async fn health(&self) -> Result<Health> {
        Ok(Health {
            backend: "memory".to_owned(),
            durability: "none: everything is gone when the process ends".to_owned(),
            ..Health::default()
        })
    }

    async fn ready(&self) -> Result<()> {
        self.part(Partition::CONTROL).map(drop)
    }
}
