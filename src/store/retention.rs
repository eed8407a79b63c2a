//! What may be forgotten, and forgetting it. One alert or one run is one operation: its journal, its places in the
//! feed, its requests, votes and words go with it, or nothing does. Its id stays, so that whatever caused it
//! starts nothing again.

use async_trait::async_trait;

use super::error::Result;
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::{AlertId, Partition, RunId};

/// Answer of [`Retention::forget_run`] and [`Retention::forget_alert`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgot {
    /// It is gone, since now.
    Now,
    /// There is nothing of it but perhaps its id.
    Already,
    /// It is not over.
    Open,
    /// A follower has not read all of it yet.
    Unread,
}

/// Until when other things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bygone {
    /// Claims on keys that ended before this.
    pub claims: Time,
    /// Last changes of targets before this.
    pub changes: Time,
    /// Ids of what was collected before this.
    pub gone: Time,
}

/// Answer of [`Retention::sweep`]: how many went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Claims on keys.
    pub claims: u64,
    /// Last changes of targets.
    pub changes: u64,
    /// Ids of what was collected.
    pub gone: u64,
}

/// Forgetting.
#[async_trait]
pub trait Retention {
    /// Settled runs that last appended before `before`, the longest ago first, ties by id as text, after the one
    /// given, at most `limit`; each with that moment.
    async fn old_runs(
        &self,
        partition: Partition,
        before: Time,
        after: Option<(Time, RunId)>,
        limit: usize,
    ) -> Result<Vec<(Time, RunId)>>;

    /// Alerts with a disposition other than pending that came before `before`, the oldest first, ties by id as text,
    /// after the one given, at most `limit`; each with that moment.
    async fn old_alerts(
        &self,
        partition: Partition,
        before: Time,
        after: Option<(Time, AlertId)>,
        limit: usize,
    ) -> Result<Vec<(Time, AlertId)>>;

    /// Forgets a settled run whose entries every one of `followers` has read (its cursor is at the last of them or
    /// past it): row, journal, requests for approval, votes. From now on creating it answers `Exists`. Whether a hold
    /// needs it lives in other partitions: look there first, a settled run takes none.
    async fn forget_run(
        &self,
        partition: Partition,
        run: RunId,
        at: Time,
        followers: &[&str],
    ) -> Result<Forgot>;

    /// Forgets an alert that is not pending, in the same way: row, body, chain. From now on a delivery of it is a
    /// repeat.
    async fn forget_alert(
        &self,
        partition: Partition,
        alert: AlertId,
        at: Time,
        followers: &[&str],
    ) -> Result<Forgot>;

    /// Forgets up to `limit` of each that are older than said.
    async fn sweep(&self, partition: Partition, before: &Bygone, limit: usize) -> Result<Swept>;

    /// Forgets a bundle; nothing happens when there is none. Whoever calls this knows that no run needs it and that
    /// nobody is about to start one with it.
    async fn forget_bundle(&self, digest: Digest) -> Result<()>;

    /// Digests of the bundles that are kept, sorted.
    async fn bundles(&self) -> Result<Vec<Digest>>;
}
