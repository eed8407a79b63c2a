//! Places in budgets.

use async_trait::async_trait;

use super::RedisStore;
use super::answer::unreadable;
use super::args::Args;
use crate::clock::Time;
use crate::id::Partition;
use crate::store::budgets::{Budgets, Reserved};
use crate::store::error::Result;
use crate::store::home;

#[async_trait]
impl Budgets for RedisStore {
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
        let args = Args::new()
            .put(scope)
            .put(member)
            .time(now)
            .put(window_ms)
            .put(limit);
        let mut answer = self.write(partition, "budget_reserve", args).await?;
        match answer.text()?.as_str() {
            "GRANTED" => Ok(Reserved::Granted),
            "SPENT" => Ok(Reserved::Spent {
                used: answer.parse()?,
                free_at: answer.time()?,
            }),
            other => Err(unreadable(other)),
        }
    }

    async fn budget_release(&self, partition: Partition, scope: &str, member: &str) -> Result<()> {
        home::of_scope(partition, scope)?;
        let args = Args::new().put(scope).put(member);
        self.write(partition, "budget_release", args).await.map(drop)
    }

    async fn budget_used(&self, partition: Partition, scope: &str, now: Time, window_ms: u64) -> Result<u32> {
        home::of_scope(partition, scope)?;
        let args = Args::new().put(scope).time(now).put(window_ms);
        self.read(partition, "budget_used", args).await?.parse()
    }
}
