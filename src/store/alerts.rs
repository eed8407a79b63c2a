//! Deliveries, kept before they are answered, and the claims that make each hop after them happen once.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::error::Result;
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::{AlertId, Partition};
use crate::journal::Entry;

/// What became of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// Kept, not processed yet.
    Pending,
    /// Split into findings.
    Split,
    /// Authentic, and makes no sense to us.
    Unreadable,
    /// About the channel, not an alert.
    Control,
}

impl Disposition {
    /// Every disposition.
    pub const ALL: [Disposition; 4] = [
        Disposition::Pending,
        Disposition::Split,
        Disposition::Unreadable,
        Disposition::Control,
    ];

    /// The word for people, lists and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Disposition::Pending => "pending",
            Disposition::Split => "split",
            Disposition::Unreadable => "unreadable",
            Disposition::Control => "control",
        }
    }
}

/// A delivery to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAlert {
    /// Derived from source and delivery key.
    pub id: AlertId,
    /// The source.
    pub source: String,
    /// When it came.
    pub received_at: Time,
    /// The headers worth keeping: name in lower case, value. Never one that authenticates.
    pub headers: Vec<(String, String)>,
    /// The raw body.
    pub body: Vec<u8>,
    /// `AlertAccepted`, sealed as entry 0 of the alert's chain.
    pub entry: Entry,
}

/// Answer of [`Alerts::accept`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Kept now.
    New,
    /// Kept before; this is the `times`-th delivery of it.
    Repeat {
        /// Deliveries so far, this one counted.
        times: u64,
    },
}

impl Accepted {
    /// The count of a repeat of an alert that retention has collected, whose true one is gone with it.
    pub(super) const OF_COLLECTED: u64 = 2;
}

/// An alert in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertRow {
    /// The alert.
    pub id: AlertId,
    /// The source.
    pub source: String,
    /// When it first came.
    pub received_at: Time,
    /// How many times it was delivered.
    pub times: u64,
    /// What became of it.
    pub disposition: Disposition,
    /// Entries in its chain.
    pub len: u64,
    /// Digest of the last.
    pub last: Digest,
}

/// An alert, whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// As listed.
    pub row: AlertRow,
    /// Headers kept.
    pub headers: Vec<(String, String)>,
    /// Raw body.
    pub body: Vec<u8>,
}

/// Answer of [`Alerts::claim_once`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The key is this owner's, now or from before.
    Won,
    /// It is another's.
    Lost {
        /// Whose.
        owner: String,
        /// How many others have asked since it was won, this one counted. The winner's repeats do not count,
        /// and neither does the same asker asking again.
        times: u64,
    },
}

/// Deliveries.
#[async_trait]
pub trait Alerts {
    /// Keeps a delivery. Afterwards it survives any crash; the sender may be answered 2xx. A repeat changes
    /// nothing but the count; a repeat of one that retention has collected changes nothing at all.
    async fn accept(&self, partition: Partition, alert: NewAlert) -> Result<Accepted>;

    /// Alerts whose disposition is pending, oldest first (by `received_at`, then id), at most `limit`.
    async fn unprocessed(&self, partition: Partition, limit: usize) -> Result<Vec<AlertId>>;

    /// One alert.
    async fn alert(&self, partition: Partition, id: AlertId) -> Result<Option<Alert>>;

    /// Appends to an alert's chain and sets its disposition. `expected_len` is the chain's length before;
    /// repeating the same entries is a no-op, different ones are `Conflict`, a hole is `Gap`. `Missing` when
    /// there is no such alert.
    async fn dispose(
        &self,
        partition: Partition,
        id: AlertId,
        expected_len: u64,
        entries: Vec<Entry>,
        disposition: Disposition,
    ) -> Result<()>;

    /// Alerts, newest first: those received before `before` (all when `None`), of one disposition when given,
    /// at most `limit`.
    async fn alerts(
        &self,
        partition: Partition,
        before: Option<Time>,
        disposition: Option<Disposition>,
        limit: usize,
    ) -> Result<Vec<AlertRow>>;

    /// Claims `key` for `owner` until `until`. The first owner wins, and wins again whenever it asks (its
    /// `until` stays as it was); a claim whose `until` is not after `now` is free. Used for finding keys and
    /// trigger keys: a crash between claim and use repeats harmlessly. Claims over for a day may be forgotten.
    async fn claim_once(
        &self,
        partition: Partition,
        key: Digest,
        owner: &str,
        now: Time,
        until: Time,
    ) -> Result<Claimed>;
}
