//! Places in the budgets of guardrails: how many effects of a kind may happen within a window, across every node. A place
//! belongs to an effect, so that asking again, after a crash or a lost answer, takes no second one.

use async_trait::async_trait;

use super::error::Result;
use crate::clock::Time;
use crate::id::Partition;

/// Answer of [`Budgets::budget_reserve`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// The member has a place, now or from before.
    Granted,
    /// Every place is taken; nothing was written.
    Spent {
        /// How many are taken.
        used: u32,
        /// When the next one is free.
        free_at: Time,
    },
}

/// Budgets. A scope names one budget; its partition is [`Partition::of_text`] of the scope.
#[async_trait]
pub trait Budgets {
    /// Takes a place for `member` if fewer than `limit` are taken in the window that ends at `now`, exactly: a place
    /// taken at `t` is free from `t + window_ms` on. A member that has a place keeps it, with its moment, and is
    /// granted whatever the limit. What is older than the window may be forgotten.
    async fn budget_reserve(
        &self,
        partition: Partition,
        scope: &str,
        member: &str,
        now: Time,
        window_ms: u64,
        limit: u32,
    ) -> Result<Reserved>;

    /// Gives a place back: what it was for definitely did not happen. Nothing happens when there is none.
    async fn budget_release(&self, partition: Partition, scope: &str, member: &str) -> Result<()>;

    /// How many places are taken in the window that ends at `now`.
    async fn budget_used(&self, partition: Partition, scope: &str, now: Time, window_ms: u64) -> Result<u32>;
}
