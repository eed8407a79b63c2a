//! Forgetting what is past its time. A run goes when it is settled, nothing it holds is in force, everybody who follows
//! the journal has read it, and it has been over for as long as is asked; an alert likewise. Each goes whole.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::id::{Partition, RunId};
use crate::limits::{
    CHANGE_KEPT_MS, CLAIM_KEPT_MS, COLLECT_PAGE, GONE_KEPT_MS, RETENTION_ALERTS_MS, RETENTION_RUNS_MS,
};
use crate::store::{Bygone, Error, Forgot, Store};

/// For how long things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// Settled runs, ms since they last appended; `None` for ever.
    pub runs_ms: Option<u64>,
    /// Alerts, ms since they came; `None` for ever.
    pub alerts_ms: Option<u64>,
}

impl Default for Keep {
    fn default() -> Keep {
        Keep {
            runs_ms: Some(RETENTION_RUNS_MS),
            alerts_ms: Some(RETENTION_ALERTS_MS),
        }
    }
}

/// What one pass came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// Runs that went, or would.
    pub runs: u64,
    /// Alerts that went, or would.
    pub alerts: u64,
    /// Runs past their time that stay because a hold or a lock of theirs is in force.
    pub held: u64,
    /// Runs and alerts past their time that stay because a follower has not read them yet.
    pub unread: u64,
    /// Claims on keys that went; a dry pass does not look.
    pub claims: u64,
}

impl Collected {
    /// Adds another pass, such as that of another partition.
    pub fn add(&mut self, other: Collected) {
        self.runs += other.runs;
        self.alerts += other.alerts;
        self.held += other.held;
        self.unread += other.unread;
        self.claims += other.claims;
    }
}

/// The moment `ms` before `now`.
fn before(now: Time, ms: u64) -> Time {
    Time(now.0.saturating_sub(i64::try_from(ms).unwrap_or(i64::MAX)))
}

/// Runs that something is held or locked for, in any partition. A settled run takes no more of either, so one that is
/// not among them now is not later.
async fn needed(store: &dyn Store) -> Result<HashSet<RunId>, Error> {
    let mut runs = HashSet::new();
    for partition in Partition::all() {
        for hold in store.holds(partition).await? {
            runs.extend(hold.holders.iter().map(|holder| holder.run));
            runs.extend(hold.left.iter().map(|leaver| leaver.run));
        }
        runs.extend(store.locks(partition).await?.into_iter().map(|lock| lock.run));
    }
    Ok(runs)
}

/// Forgets what is past its time in the partitions given, or only counts it when `dry`. May end at any point and be
/// done again.
pub async fn pass(
    store: &dyn Store,
    partitions: &[Partition],
    keep: &Keep,
    followers: &[&str],
    now: Time,
    dry: bool,
) -> Result<Collected, Error> {
    let needed = needed(store).await?;
    let mut all = Collected::default();
    for partition in partitions {
        if let Some(ms) = keep.runs_ms {
            all.add(runs(store, *partition, before(now, ms), &needed, followers, now, dry).await?);
        }
        if let Some(ms) = keep.alerts_ms {
            all.add(alerts(store, *partition, before(now, ms), followers, now, dry).await?);
        }
        if !dry {
            all.claims += sweep(store, *partition, now).await?;
        }
    }
    Ok(all)
}

async fn runs(
    store: &dyn Store,
    partition: Partition,
    limit: Time,
    needed: &HashSet<RunId>,
    followers: &[&str],
    now: Time,
    dry: bool,
) -> Result<Collected, Error> {
    let mut done = Collected::default();
    let mut after = None;
    loop {
        let old = store.old_runs(partition, limit, after, COLLECT_PAGE).await?;
        for (_, run) in &old {
            if needed.contains(run) {
                done.held += 1;
            } else if dry {
                done.runs += 1;
            } else {
                match store.forget_run(partition, *run, now, followers).await? {
                    Forgot::Now => done.runs += 1,
                    Forgot::Unread => done.unread += 1,
                    Forgot::Already | Forgot::Open => {}
                }
            }
        }
        after = old.last().copied();
        if old.len() < COLLECT_PAGE {
            return Ok(done);
        }
    }
}

async fn alerts(
    store: &dyn Store,
    partition: Partition,
    limit: Time,
    followers: &[&str],
    now: Time,
    dry: bool,
) -> Result<Collected, Error> {
    let mut done = Collected::default();
    let mut after = None;
    loop {
        let old = store.old_alerts(partition, limit, after, COLLECT_PAGE).await?;
        for (_, alert) in &old {
            if dry {
                done.alerts += 1;
                continue;
            }
            match store.forget_alert(partition, *alert, now, followers).await? {
                Forgot::Now => done.alerts += 1,
                Forgot::Unread => done.unread += 1,
                Forgot::Already | Forgot::Open => {}
            }
        }
        after = old.last().copied();
        if old.len() < COLLECT_PAGE {
            return Ok(done);
        }
    }
}

/// Forgets claims, last changes and ids of what was collected that nobody can need any more; answers how many claims.
async fn sweep(store: &dyn Store, partition: Partition, now: Time) -> Result<u64, Error> {
    let old = Bygone {
        claims: before(now, CLAIM_KEPT_MS),
        changes: before(now, CHANGE_KEPT_MS),
        gone: before(now, GONE_KEPT_MS),
    };
    let mut claims = 0;
    loop {
        let swept = store.sweep(partition, &old, COLLECT_PAGE).await?;
        claims += swept.claims;
        let most = swept.claims.max(swept.changes).max(swept.gone);
        if most < COLLECT_PAGE as u64 {
            return Ok(claims);
        }
    }
}
