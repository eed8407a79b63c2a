//! Everything that was appended in a partition, in order, for those who follow the journal.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::error::Result;
use crate::clock::Time;
use crate::id::Partition;
use crate::journal::Entry;

/// One entry in the feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedItem {
    /// Its place in the partition's feed, from 1, growing; a place is never used twice.
    pub position: u64,
    /// The entry.
    pub entry: Entry,
}

/// Totals of a partition, for the accounting that must be 0 off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Alerts by disposition word.
    pub alerts: std::collections::BTreeMap<String, u64>,
    /// Deliveries that were repeats.
    pub repeats: u64,
    /// Runs by status word.
    pub runs: std::collections::BTreeMap<String, u64>,
    /// Settled runs by end word.
    pub ends: std::collections::BTreeMap<String, u64>,
    /// Open runs that have no `wake_at` and no claim: must be 0.
    pub stuck: u64,
    /// Facets of targets that are held.
    pub holds: u64,
    /// Holders whose lease is over.
    pub overdue: u64,
    /// Notices by state word.
    #[serde(default)]
    pub notices: std::collections::BTreeMap<String, u64>,
    /// When the notice that is due for longest was due; `None` when none is.
    #[serde(default)]
    pub notice_due: Option<Time>,
}

/// How a store stands, for `cordon status`, metrics and warnings before it is full.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Which back end: `memory`, `sqlite` or `redis`.
    pub backend: String,
    /// What an answered write survives, in a few words.
    pub durability: String,
    /// What the store takes, bytes; on disk or in memory, whichever fills first.
    pub used_bytes: u64,
    /// What it may take together with what others take of the same room (a file system, `maxmemory`), bytes; `None`
    /// where nothing says.
    pub total_bytes: Option<u64>,
    /// What is left of that, bytes.
    pub free_bytes: Option<u64>,
    /// Anything else somebody who looks should know, one sentence each.
    pub notes: Vec<String>,
}

/// The feed.
#[async_trait]
pub trait Feed {
    /// Entries after position `after`, in order, at most `limit`.
    async fn feed(&self, partition: Partition, after: u64, limit: usize) -> Result<Vec<FeedItem>>;

    /// Where a follower stands; 0 before its first.
    async fn cursor(&self, partition: Partition, follower: &str) -> Result<u64>;

    /// Takes or keeps a follower's claim on a partition until `until`; `false` while another holder's is in force
    /// (its `until` after `now`). A holder that has the claim gets it again, however late. Whoever holds it is the
    /// only one to act on what this follower reads here, so that several nodes tell a person once.
    async fn claim_follower(
        &self,
        partition: Partition,
        follower: &str,
        holder: &str,
        now: Time,
        until: Time,
    ) -> Result<bool>;

    /// Gives a claim back, at shutdown, so that others need not wait for its end. Somebody else's is left alone.
    async fn release_follower(&self, partition: Partition, follower: &str, holder: &str) -> Result<()>;

    /// Moves a follower forward. Moving back is a no-op.
    async fn set_cursor(&self, partition: Partition, follower: &str, position: u64) -> Result<()>;

    /// Totals.
    async fn counts(&self, partition: Partition, now: Time) -> Result<Counts>;

    /// How it stands. Reads only.
    async fn health(&self) -> Result<Health>;

    /// Answers when the store can take a write now; the error says why not.
    async fn ready(&self) -> Result<()>;
}
