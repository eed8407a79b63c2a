//! What people are to be told, from the moment the journal said so until it was delivered or given up. A notice
//! lives in the partition of its group, so that the repeats of a storm meet in one place.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::Result;
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::Partition;

/// How a notice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeState {
    /// Nobody has looked at it.
    New,
    /// It is being delivered.
    Waiting,
    /// Everybody it is for got it by the way meant for them.
    Delivered,
    /// Everybody got it, somebody by another way than the first.
    Detoured,
    /// Somebody did not get it; the log has it as an error.
    Failed,
    /// It is part of another one's count.
    Counted,
}

impl NoticeState {
    /// Every state.
    pub const ALL: [NoticeState; 6] = [
        NoticeState::New,
        NoticeState::Waiting,
        NoticeState::Delivered,
        NoticeState::Detoured,
        NoticeState::Failed,
        NoticeState::Counted,
    ];

    /// The word for lists and metrics.
    pub fn word(self) -> &'static str {
        match self {
            NoticeState::New => "new",
            NoticeState::Waiting => "waiting",
            NoticeState::Delivered => "delivered",
            NoticeState::Detoured => "detoured",
            NoticeState::Failed => "failed",
            NoticeState::Counted => "counted",
        }
    }
}

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Follows from the journal entry it tells of, so that telling again is the same notice.
    pub key: String,
    /// What it is grouped by; the partition follows from it.
    pub group: Digest,
    /// When the entry was recorded.
    pub at: Time,
    /// How it stands.
    pub state: NoticeState,
    /// True while later ones of its group are counted under it.
    pub leads: bool,
    /// When it is to be looked at; `None` when there is nothing more to do.
    pub due_at: Option<Time>,
    /// What `notify` keeps of it.
    pub content: Value,
}

/// Which notices to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoticeQuery {
    /// Of one state.
    pub state: Option<NoticeState>,
    /// Recorded before.
    pub before: Option<Time>,
    /// At most so many.
    pub limit: usize,
}

/// Notices.
#[async_trait]
pub trait Notices {
    /// Keeps those that are not there yet and leaves the others as they are; answers how many were new.
    async fn put_notices(&self, partition: Partition, notices: Vec<Notice>) -> Result<u64>;

    /// Notices that are due (`due_at` not after `now`), the longest due first, at most `limit`.
    async fn due_notices(&self, partition: Partition, now: Time, limit: usize) -> Result<Vec<Notice>>;

    /// The notice under which those of this group are counted now. Of several, which only a defect makes, the one
    /// recorded last.
    async fn leading_notice(&self, partition: Partition, group: Digest) -> Result<Option<Notice>>;

    /// Writes notices, new or known, all or none, if `holder` has this follower's claim on the partition, even one
    /// past its end that nobody else took. Answers `false`, and writes nothing, when it has not.
    async fn save_notices(
        &self,
        partition: Partition,
        follower: &str,
        holder: &str,
        notices: Vec<Notice>,
    ) -> Result<bool>;

    /// One notice.
    async fn notice(&self, partition: Partition, key: &str) -> Result<Option<Notice>>;

    /// Notices, newest first (by `at`, then key).
    async fn notices(&self, partition: Partition, query: &NoticeQuery) -> Result<Vec<Notice>>;

    /// Forgets up to `limit` notices with nothing more to do that were recorded before `before`; answers how many.
    async fn forget_notices(&self, partition: Partition, before: Time, limit: usize) -> Result<u64>;
}
