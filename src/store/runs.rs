//! Runs, their journals, and who works on them.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::approvals::ApprovalRow;
use super::error::Result;
use crate::clock::Time;
use crate::digest::Digest;
use crate::finding::SeverityId;
use crate::id::{Partition, RunId};
use crate::journal::{ChainId, End, Entry};

/// Whether a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It has something to do now or at `wake_at`.
    Open,
    /// It cannot go on by itself.
    Parked,
    /// It is over.
    Settled,
}

impl RunStatus {
    /// Every status.
    pub const ALL: [RunStatus; 3] = [RunStatus::Open, RunStatus::Parked, RunStatus::Settled];

    /// The word for lists and metrics.
    pub fn word(self) -> &'static str {
        match self {
            RunStatus::Open => "open",
            RunStatus::Parked => "parked",
            RunStatus::Settled => "settled",
        }
    }
}

/// A run in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRow {
    /// The run.
    pub id: RunId,
    /// Playbook id.
    pub playbook: String,
    /// Playbook title.
    pub title: String,
    /// Whom it is about.
    pub subject: String,
    /// What started it, in one line.
    pub cause: String,
    /// Severity of what it answers.
    pub severity_id: SeverityId,
    /// Whether it goes on.
    pub status: RunStatus,
    /// How it ended, once it has.
    pub end: Option<End>,
    /// When it began.
    pub started_at: Time,
    /// When it last appended.
    pub updated_at: Time,
    /// What it waits for, in words; empty when it is worked on or over.
    pub waits_for: String,
    /// When it is to be looked at next; `None` when settled or parked.
    pub wake_at: Option<Time>,
    /// The claim's number: raised by each claim.
    pub epoch: u64,
    /// Who works on it, while claimed.
    pub worker: Option<String>,
    /// Entries in its journal.
    pub len: u64,
    /// Digest of the last.
    pub last: Digest,
}

/// A run to create.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRun {
    /// Its row; the store sees to `status` open, no `end`, `epoch` 0, no `worker`, `len` 1 and `last`.
    pub row: RunRow,
    /// `RunStarted`, sealed as entry 0.
    pub entry: Entry,
}

/// Answer of [`Runs::create_run`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// Created now.
    New,
    /// There already.
    Exists,
}

/// A worker's right to append to one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The run.
    pub run: RunId,
    /// The claim's number.
    pub epoch: u64,
    /// Until when without renewal.
    pub until: Time,
}

/// What an append says of the run beside its entries.
#[derive(Clone, Debug, PartialEq)]
pub struct RunUpdate {
    /// Whether it goes on.
    pub status: RunStatus,
    /// How it ended.
    pub end: Option<End>,
    /// When to look at it next.
    pub wake_at: Option<Time>,
    /// What it waits for, in words.
    pub waits_for: String,
    /// True to give the claim back with this append.
    pub release: bool,
    /// Requests for approval as they stand with these entries; each takes the place of its earlier row.
    pub approvals: Vec<ApprovalRow>,
}

/// Answer of [`Runs::append`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// Appended now.
    New,
    /// These very entries were there; nothing was written.
    Already,
}

/// Which runs to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunQuery {
    /// Of one status.
    pub status: Option<RunStatus>,
    /// Of one playbook.
    pub playbook: Option<String>,
    /// Begun before.
    pub before: Option<Time>,
    /// At most so many.
    pub limit: usize,
}

/// Runs.
#[async_trait]
pub trait Runs {
    /// Creates a run with its first entry, or answers that it is there, or was until retention collected it.
    /// A new one will be worked on.
    async fn create_run(&self, partition: Partition, run: NewRun) -> Result<Created>;

    /// Claims up to `limit` open runs that are due (`wake_at` not after `now`) and unclaimed or whose claim
    /// ended (its `until` not after `now`), the longest due first, then by id; each claim raises the run's epoch. A
    /// run without `wake_at` is due when its claim ends: its worker died while it worked.
    async fn claim_due(
        &self,
        partition: Partition,
        worker: &str,
        now: Time,
        until: Time,
        limit: usize,
    ) -> Result<Vec<Claim>>;

    /// Claims one open run, due or not; `None` when another's claim is in force or it is not open. A worker
    /// that holds it already gets a new claim with a higher epoch, which fences its own old one. `Missing`
    /// when there is no such run.
    async fn claim_run(
        &self,
        partition: Partition,
        id: RunId,
        worker: &str,
        now: Time,
        until: Time,
    ) -> Result<Option<Claim>>;

    /// Keeps a claim, even one past its `until` that nobody else took. `Fenced` when it is gone or given back.
    async fn renew(&self, partition: Partition, claim: &Claim, until: Time) -> Result<()>;

    /// Appends entries (perhaps none) at `expected_len` and updates the row, if the claim is in force (the
    /// epoch is the run's and the claim was not given back). Afterwards the entries survive any crash. The
    /// same entries again answer `Already` and write nothing, even when their append gave the claim back, so
    /// that a repeat cannot undo a later wake. A run that does not stay open keeps no `wake_at`.
    async fn append(
        &self,
        partition: Partition,
        claim: &Claim,
        expected_len: u64,
        now: Time,
        entries: Vec<Entry>,
        update: RunUpdate,
    ) -> Result<Appended>;

    /// Makes an open run due at `at` if it was to be looked at later. No claim needed. A wake that comes while
    /// a worker has the run outlasts that worker's appends: the run is due at the earlier of both moments
    /// until it is claimed again, so that no wake is lost. Nothing happens to a run that is not open;
    /// `Missing` when there is none.
    async fn wake(&self, partition: Partition, id: RunId, at: Time) -> Result<()>;

    /// Gives every claim of a worker back, at shutdown, so that others need not wait for them to end. An open
    /// run without `wake_at` becomes due at the moment of its last append, which is at once.
    async fn release_worker(&self, partition: Partition, worker: &str) -> Result<()>;

    /// The entries of a chain from `from` on, in order; none when there is no such chain.
    async fn journal(&self, partition: Partition, chain: ChainId, from: u64) -> Result<Vec<Entry>>;

    /// One run.
    async fn run(&self, partition: Partition, id: RunId) -> Result<Option<RunRow>>;

    /// Runs, newest first (by `started_at`, then id).
    async fn runs(&self, partition: Partition, query: &RunQuery) -> Result<Vec<RunRow>>;

    /// When [`Runs::claim_due`] will next find a run, for the scheduler to sleep until: the earliest `wake_at`
    /// of an unclaimed open run, or the end of a claim (then the later of both moments), since a worker that
    /// died gives nothing back.
    async fn next_wake(&self, partition: Partition) -> Result<Option<Time>>;
}
