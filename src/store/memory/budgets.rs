//! Budgets, in memory.

use async_trait::async_trait;

use super::MemoryStore;
use crate::clock::Time;
use crate::id::Partition;
use crate::store::budgets::{Budgets, Reserved};
use crate::store::error::Result;
use crate::store::home;

#[async_trait]
impl Budgets for MemoryStore {
    async fn budget_reserve(
        &self,
        partition: Partition,
        scope: &str,
        member: &str,
        now: Time,
        window_ms: u64,
        limit: u32,
    ) -> Result<Reserved> {
        home::of_scope(partition, scope)?;
        let mut part = self.part(partition)?;
        let places = part.budgets.entry(scope.to_owned()).or_default();
        places.retain(|_, at| at.plus_ms(window_ms) > now);
        if places.contains_key(member) {
            return Ok(Reserved::Granted);
        }
        let used = u32::try_from(places.len()).unwrap_or(u32::MAX);
        if used < limit {
            places.insert(member.to_owned(), now);
            return Ok(Reserved::Granted);
        }
        // The place whose end leaves one free: the oldest, unless the limit was lowered since.
        let mut moments: Vec<Time> = places.values().copied().collect();
        moments.sort_unstable();
        let over = usize::try_from(used.saturating_sub(limit)).unwrap_or(usize::MAX);
        let free_at = moments.get(over).map_or(now, |at| at.plus_ms(window_ms));
        Ok(Reserved::Spent { used, free_at })
    }

    async fn budget_release(&self, partition: Partition, scope: &str, member: &str) -> Result<()> {
        home::of_scope(partition, scope)?;
        let mut part = self.part(partition)?;
        if let Some(places) = part.budgets.get_mut(scope) {
            places.remove(member);
        }
        Ok(())
    }

    async fn budget_used(&self, partition: Partition, scope: &str, now: Time, window_ms: u64) -> Result<u32> {
        home::of_scope(partition, scope)?;
        let part = self.part(partition)?;
        let used = part.budgets.get(scope).map_or(0, |places| {
            places.values().filter(|at| at.plus_ms(window_ms) > now).count()
        });
        Ok(u32::try_from(used).unwrap_or(u32::MAX))
    }
}
