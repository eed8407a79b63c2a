//! Everything a store holds, as records that mean the same to every back end: for backups, for moving to another
//! store, and for comparing two. Who uses this chooses the order of kinds; [`Kind::ALL`] is one under which a copy
//! that is made while others write never has an intent without its hold.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::alerts::AlertRow;
use super::approvals::ApprovalRow;
use super::control::{Principal, Switches};
use super::error::{Error, Result};
use super::feed::FeedItem;
use super::notices::Notice;
use super::runs::RunRow;
use super::signals::Signal;
use crate::action::{Holder, Leaver, Reading, Target, Undo};
use crate::approval::Vote;
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::{ApprovalId, EffectId, Partition, RunId};
use crate::journal::ChainId;
use crate::limits::DUMP_PAGE;

/// Kinds of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Deliveries.
    Alert,
    /// Runs.
    Run,
    /// What was collected by retention.
    Gone,
    /// Claims on keys.
    Claim,
    /// Notices.
    Notice,
    /// Where followers stand.
    Cursor,
    /// Who follows.
    Follower,
    /// Locks.
    Lock,
    /// When targets were last changed.
    Change,
    /// Holds.
    Hold,
    /// Places in budgets.
    Budget,
    /// Ends of feeds.
    Feed,
    /// The switches.
    Switches,
    /// Principals.
    Principal,
    /// Sealed secrets.
    Secret,
    /// Bundles.
    Bundle,
}

impl Kind {
    /// Every kind. In this order over all partitions, what a copy says of runs is never newer than what it says of
    /// their targets and bundles.
    pub const ALL: [Kind; 16] = [
        Kind::Alert,
        Kind::Run,
        Kind::Gone,
        Kind::Claim,
        Kind::Notice,
        Kind::Cursor,
        Kind::Follower,
        Kind::Lock,
        Kind::Change,
        Kind::Hold,
        Kind::Budget,
        Kind::Feed,
        Kind::Switches,
        Kind::Principal,
        Kind::Secret,
        Kind::Bundle,
    ];

    /// The word for people and metrics, in the plural.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Alert => "alerts",
            Kind::Run => "runs",
            Kind::Gone => "collected",
            Kind::Claim => "claims",
            Kind::Notice => "notices",
            Kind::Cursor => "cursors",
            Kind::Follower => "followers",
            Kind::Lock => "locks",
            Kind::Change => "changes",
            Kind::Hold => "holds",
            Kind::Budget => "budgets",
            Kind::Feed => "feeds",
            Kind::Switches => "switches",
            Kind::Principal => "principals",
            Kind::Secret => "secrets",
            Kind::Bundle => "bundles",
        }
    }
}

/// One record: everything that belongs together, so that each is whole whenever it was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "of", rename_all = "snake_case")]
pub enum Record {
    /// A delivery with its chain.
    Alert {
        /// Its row.
        row: AlertRow,
        /// Headers kept.
        headers: Vec<(String, String)>,
        /// Raw body.
        #[serde(with = "base64")]
        body: Vec<u8>,
        /// Its whole chain, each entry with its place in the partition's feed.
        chain: Vec<FeedItem>,
    },
    /// A run with everything people and workers said of it.
    Run {
        /// Its row, the epoch and the worker included.
        row: RunRow,
        /// When the claim ends; `None` exactly when the row has no worker.
        claim_until: Option<Time>,
        /// The earliest wake since the last claim.
        woken_at: Option<Time>,
        /// Its whole journal, each entry with its place in the partition's feed.
        chain: Vec<FeedItem>,
        /// Its requests for approval, by id as text.
        approvals: Vec<ApprovalRow>,
        /// Votes put beside its journal, as [`Approvals::votes`](super::Approvals::votes) lists them.
        votes: Vec<(ApprovalId, Vote)>,
        /// Words of people for it, as [`Signals::signals`](super::Signals::signals) lists them.
        #[serde(default)]
        signals: Vec<Signal>,
    },
    /// An alert or a run that retention collected; its id starts nothing any more.
    Gone {
        /// Which.
        chain: ChainId,
        /// When it was collected.
        at: Time,
    },
    /// A claim on a key, in force or over.
    Claim {
        /// The key.
        key: Digest,
        /// Whose.
        owner: String,
        /// Until when.
        until: Time,
        /// Others that asked, sorted.
        lost: Vec<String>,
    },
    /// A notice.
    Notice(Notice),
    /// Where a follower stands.
    Cursor {
        /// Who.
        follower: String,
        /// The position it has read.
        position: u64,
    },
    /// Who follows a partition.
    Follower {
        /// As which follower.
        follower: String,
        /// Who.
        holder: String,
        /// Until when.
        until: Time,
    },
    /// A lock.
    Lock {
        /// On what ([`Target::key`]).
        target: String,
        /// By which effect.
        effect: EffectId,
        /// Of which run.
        run: RunId,
        /// Since when.
        since: Time,
    },
    /// When a target was last changed by us.
    Change {
        /// Its key.
        target: String,
        /// When.
        at: Time,
    },
    /// A hold with its holders, in the order they came.
    Hold {
        /// On what.
        target: Target,
        /// Which facet.
        facet: String,
        /// The state before the first hold.
        prior: Reading,
        /// How that state comes back.
        undo: Option<Undo>,
        /// Who holds.
        holders: Vec<HeldBy>,
        /// Who let go without restoring, in the order they left.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left: Vec<Leaver>,
    },
    /// A place in a budget.
    Budget {
        /// Of which.
        scope: String,
        /// Whose.
        member: String,
        /// When it was taken.
        at: Time,
    },
    /// The last position that was given in a partition's feed, where it is not 0.
    Feed {
        /// The position.
        last: u64,
    },
    /// The switches, where one is set.
    Switches(Switches),
    /// A principal.
    Principal(Principal),
    /// A sealed secret.
    Secret {
        /// Its handle.
        handle: String,
        /// The sealed bytes.
        #[serde(with = "base64")]
        sealed: Vec<u8>,
    },
    /// A bundle.
    Bundle {
        /// Its digest.
        digest: Digest,
        /// Its bytes.
        #[serde(with = "base64")]
        bytes: Vec<u8>,
    },
}

/// One effect's share of a hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldBy {
    /// Who holds, since when and until when.
    pub holder: Holder,
    /// True when it took the hold while nobody else had it; what a repeat of the taking answers.
    pub first: bool,
}

impl Record {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Record::Alert { .. } => Kind::Alert,
            Record::Run { .. } => Kind::Run,
            Record::Gone { .. } => Kind::Gone,
            Record::Claim { .. } => Kind::Claim,
            Record::Notice(_) => Kind::Notice,
            Record::Cursor { .. } => Kind::Cursor,
            Record::Follower { .. } => Kind::Follower,
            Record::Lock { .. } => Kind::Lock,
            Record::Change { .. } => Kind::Change,
            Record::Hold { .. } => Kind::Hold,
            Record::Budget { .. } => Kind::Budget,
            Record::Feed { .. } => Kind::Feed,
            Record::Switches(_) => Kind::Switches,
            Record::Principal(_) => Kind::Principal,
            Record::Secret { .. } => Kind::Secret,
            Record::Bundle { .. } => Kind::Bundle,
        }
    }

    /// Its name among those of its kind in its partition: what a record is compared and ordered by.
    pub fn name(&self) -> String {
        match self {
            Record::Alert { row, .. } => row.id.to_string(),
            Record::Run { row, .. } => row.id.to_string(),
            Record::Gone { chain, .. } => chain.to_string(),
            Record::Claim { key, .. } => key.to_string(),
            Record::Notice(notice) => notice.key.clone(),
            Record::Cursor { follower, .. } | Record::Follower { follower, .. } => follower.clone(),
            Record::Lock { target, .. } | Record::Change { target, .. } => target.clone(),
            Record::Hold { target, facet, .. } => two_part_name(&target.key(), facet),
            Record::Budget { scope, member, .. } => two_part_name(scope, member),
            Record::Feed { .. } | Record::Switches(_) => String::new(),
            Record::Principal(principal) => principal.name.clone(),
            Record::Secret { handle, .. } => handle.clone(),
            Record::Bundle { digest, .. } => digest.to_string(),
        }
    }

    /// The chain of an alert or a run; empty for everything else.
    pub fn chain(&self) -> &[FeedItem] {
        match self {
            Record::Alert { chain, .. } | Record::Run { chain, .. } => chain,
            _ => &[],
        }
    }
}

/// The name of what has two: a target's key and a facet, a budget's scope and a member. Neither has a unit separator
/// in it.
pub(super) fn two_part_name(one: &str, other: &str) -> String {
    format!("{one}\u{1f}{other}")
}

/// Answer of [`Dump::dump`].
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Dumped {
    /// The records. There may be fewer than were asked for, and none, before the end too.
    pub records: Vec<Record>,
    /// Where to go on; `None` at the end. Means something to the same store only.
    pub next: Option<String>,
}

/// Why a store is not to be served. It is no record and is not copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mark", rename_all = "snake_case")]
pub enum Mark {
    /// Records are being put into it; it is not whole yet.
    Filling {
        /// From where: a store without its password, or the checksum of a backup.
        from: String,
        /// Since when.
        at: Time,
    },
    /// Its content went to another store, and what happened since is there.
    Moved {
        /// Where to, without a password.
        to: String,
        /// When.
        at: Time,
    },
}

/// Records out and in.
#[async_trait]
pub trait Dump: Sync {
    /// Records of one kind in a partition, after where an earlier answer said to go on (from the beginning when
    /// `None`), at most `limit`. The order is the store's own and stays as long as nothing is written. Each record is
    /// whole as of one moment; two of them need not be of the same moment while others write. A kind that does not
    /// live in this partition has no records there. `next` that is none of ours is `Corrupt`.
    async fn dump(
        &self,
        partition: Partition,
        kind: Kind,
        next: Option<&str>,
        limit: usize,
    ) -> Result<Dumped>;

    /// Sends every record once, kind by kind in the order of [`Kind::ALL`]; answers whether all are as of one moment.
    /// `Unavailable` when nobody receives any more.
    async fn dump_all(&self, out: mpsc::Sender<(Partition, Record)>) -> Result<bool> {
        for kind in Kind::ALL {
            for partition in Partition::all() {
                let mut next = None;
                loop {
                    let page = self.dump(partition, kind, next.as_deref(), DUMP_PAGE).await?;
                    for record in page.records {
                        out.send((partition, record)).await.map_err(|_| nobody())?;
                    }
                    match page.next {
                        Some(place) => next = Some(place),
                        None => break,
                    }
                }
            }
        }
        Ok(false)
    }

    /// Puts records into the partition, all or none of those given. One that is there and equal is left alone;
    /// something else under its name, or another entry at its place in the feed, is `Occupied`, and then nothing of
    /// this call was written. Afterwards [`dump`](Dump::dump) gives them back equal.
    async fn restore(&self, partition: Partition, records: Vec<Record>) -> Result<()>;

    /// Why the store is not to be served, if there is a reason.
    async fn mark(&self) -> Result<Option<Mark>>;

    /// Sets that reason, or takes it away.
    async fn set_mark(&self, mark: Option<Mark>) -> Result<()>;
}

/// Whoever takes records has gone.
pub(super) fn nobody() -> Error {
    Error::Unavailable {
        why: "nobody takes the records any more".to_owned(),
    }
}

/// Bytes as base64, in JSON.
mod base64 {
    use data_encoding::BASE64;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&BASE64.encode_display(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text.as_bytes()).map_err(serde::de::Error::custom)
    }
}
