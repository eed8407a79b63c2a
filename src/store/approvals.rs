//! Requests for approval as people list them, and the votes they put while a worker owns the run. Both live in the
//! run's partition. The journal decides what counts: a vote here is a wish until the run's worker has recorded it.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::error::Result;
use crate::approval::Vote;
use crate::clock::Time;
use crate::id::{ApprovalId, Partition, RunId};
use crate::journal::ApprovalState;

/// A request in a list. Written together with the entries it follows from ([`Runs::append`](super::Runs::append)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApprovalRow {
    /// Its id.
    pub id: ApprovalId,
    /// Its run.
    pub run: RunId,
    /// When it was asked.
    pub asked_at: Time,
    /// True while people may answer.
    pub open: bool,
    /// The request, the votes that count, and the decision.
    pub state: ApprovalState,
}

impl ApprovalRow {
    /// The row of a request that stands so.
    pub fn of(state: &ApprovalState) -> ApprovalRow {
        ApprovalRow {
            id: state.request.approval,
            run: state.request.run,
            asked_at: state.at,
            open: state.is_open(),
            state: state.clone(),
        }
    }
}

/// Answer of [`Approvals::put_vote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// Kept now; the run is due.
    New,
    /// The principal's same answer was there; the run is due.
    Already,
    /// It is decided; nothing was kept.
    Decided,
}

/// Which requests to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApprovalQuery {
    /// Only open ones, or only decided ones.
    pub open: Option<bool>,
    /// Asked before.
    pub before: Option<Time>,
    /// At most so many.
    pub limit: usize,
}

/// Requests for approval and votes.
#[async_trait]
pub trait Approvals {
    /// Keeps a vote, if the request is open, and makes its run due at the vote's moment, in one operation. A
    /// principal has one yes and one no: the same answer again keeps the first. `Missing` when there is no such
    /// request.
    async fn put_vote(&self, partition: Partition, approval: ApprovalId, vote: Vote) -> Result<Put>;

    /// The votes about a run's requests, by their moment, then principal.
    async fn votes(&self, partition: Partition, run: RunId) -> Result<Vec<(ApprovalId, Vote)>>;

    /// One request.
    async fn approval(&self, partition: Partition, id: ApprovalId) -> Result<Option<ApprovalRow>>;

    /// Requests, newest first (by `asked_at`, then id).
    async fn approvals(&self, partition: Partition, query: ApprovalQuery) -> Result<Vec<ApprovalRow>>;
}
