//! What must not be, looked for: runs that nothing will take up again or that do not say what they wait for, what is
//! left of runs that are over, and what is late. Reads only.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::id::{EffectId, Partition, RunId};
use crate::journal::{ChainId, RunState, Stage};
use crate::limits::{ALERT_LATE_MS, INVARIANT_PAGE, LEASE_OVERDUE_MS, RUN_LATE_MS, VIOLATIONS_TOLD_MAX};
use crate::store::{ApprovalQuery, Error, RunQuery, RunRow, RunStatus, Store};

/// Every kind there is, so that a metric shows each, at 0 too.
pub(super) const KINDS: [&str; 9] = [
    "run_without_wakeup",
    "run_not_taken_up",
    "run_waits_for_nothing",
    "lock_without_run",
    "lease_overdue",
    "hold_without_effect",
    "lease_not_begun",
    "approval_without_run",
    "alert_not_processed",
];

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Its kind, one of a fixed few.
    pub kind: String,
    /// What, and where to look.
    pub what: String,
}

fn violation(kind: &str, what: impl Into<String>) -> Violation {
    Violation {
        kind: kind.to_owned(),
        what: what.into(),
    }
}

/// Looks at one partition.
pub async fn violations(store: &dyn Store, partition: Partition, now: Time) -> Result<Vec<Violation>, Error> {
    let mut found = Vec::new();
    open_runs(store, partition, now, &mut found).await?;
    parked_runs(store, partition, &mut found).await?;
    // A claim whose worker is gone is no longer a claim; then the run is due, and this says since when.
    if let Some(due) = store.next_wake(partition).await?
        && now.since_ms(due) > RUN_LATE_MS
    {
        let what = format!("a run of {partition} is due since {due} and no worker takes it up");
        found.push(violation("run_not_taken_up", what));
    }
    if let Some(end) = store.next_lease_end(partition).await?
        && now.since_ms(end) > LEASE_OVERDUE_MS
    {
        let what = format!("a lease in {partition} is over since {end}: `cordon contained` says of what");
        found.push(violation("lease_overdue", what));
    }
    left_behind(store, partition, &mut found).await?;
    endless(store, partition, &mut found).await?;
    if let Some(id) = store.unprocessed(partition, 1).await?.first()
        && let Some(alert) = store.alert(partition, *id).await?
        && now.since_ms(alert.row.received_at) > ALERT_LATE_MS
    {
        let what = format!("{id} came {} and is pending still", alert.row.received_at);
        found.push(violation("alert_not_processed", what));
    }
    Ok(found)
}

fn says_nothing(row: &RunRow) -> Violation {
    let what = format!("{} ({}) does not say what it waits for", row.id, row.playbook);
    violation("run_waits_for_nothing", what)
}

async fn open_runs(
    store: &dyn Store,
    partition: Partition,
    now: Time,
    found: &mut Vec<Violation>,
) -> Result<(), Error> {
    pages(store, partition, RunStatus::Open, |row| {
        if row.worker.is_some() {
            return;
        }
        match row.wake_at {
            None => found.push(violation(
                "run_without_wakeup",
                format!("{} ({}) is open, and nothing will wake it", row.id, row.playbook),
            )),
            // One that is due waits for a worker; how long is looked at for the partition as a whole.
            Some(at) if at > now && row.waits_for.is_empty() => found.push(says_nothing(row)),
            Some(_) => {}
        }
    })
    .await
}

async fn parked_runs(
    store: &dyn Store,
    partition: Partition,
    found: &mut Vec<Violation>,
) -> Result<(), Error> {
    pages(store, partition, RunStatus::Parked, |row| {
        if row.waits_for.is_empty() {
            found.push(says_nothing(row));
        }
    })
    .await
}

/// Gives every run of a status to `look`, newest first.
async fn pages(
    store: &dyn Store,
    partition: Partition,
    status: RunStatus,
    mut look: impl FnMut(&RunRow),
) -> Result<(), Error> {
    let mut query = RunQuery {
        status: Some(status),
        limit: INVARIANT_PAGE,
        ..RunQuery::default()
    };
    // Runs of the last moment of a page come once more with the next one.
    let mut seen: Vec<RunId> = Vec::new();
    loop {
        let rows = store.runs(partition, &query).await?;
        for row in rows.iter().filter(|row| !seen.contains(&row.id)) {
            look(row);
        }
        let Some(last) = rows.last().filter(|_| rows.len() >= INVARIANT_PAGE) else {
            return Ok(());
        };
        let next = Time(last.started_at.0.saturating_add(1));
        // A page of one single moment: what else is of that moment stays out of sight.
        let next = if query.before == Some(next) {
            last.started_at
        } else {
            next
        };
        seen = rows
            .iter()
            .filter(|row| row.started_at >= last.started_at)
            .map(|row| row.id)
            .collect();
        query.before = Some(next);
    }
}

async fn left_behind(
    store: &dyn Store,
    partition: Partition,
    found: &mut Vec<Violation>,
) -> Result<(), Error> {
    let mut over: HashMap<RunId, bool> = HashMap::new();
    for lock in store.locks(partition).await? {
        if is_over(store, lock.run, &mut over).await? {
            let what = format!("`{}` is locked by {}, which is over", lock.target, lock.run);
            found.push(violation("lock_without_run", what));
        }
    }
    let query = ApprovalQuery {
        open: Some(true),
        before: None,
        limit: INVARIANT_PAGE,
    };
    for request in store.approvals(partition, query).await? {
        if is_over(store, request.run, &mut over).await? {
            let what = format!("{} is open, and its {} is over", request.id, request.run);
            found.push(violation("approval_without_run", what));
        }
    }
    Ok(())
}

/// A share of a hold.
struct Endless {
    target: String,
    facet: String,
    effect: EffectId,
}

/// Shares that nothing ends: without the end of a lease, of a run that is over, and nobody is ending them. That is as it
/// should be where an effect came about that was asked for without a lease, and nowhere else.
async fn endless(store: &dyn Store, partition: Partition, found: &mut Vec<Violation>) -> Result<(), Error> {
    let mut runs: BTreeMap<RunId, Vec<Endless>> = BTreeMap::new();
    for hold in store.holds(partition).await? {
        for holder in &hold.holders {
            if holder.until.is_none() && !holder.ending {
                runs.entry(holder.run).or_default().push(Endless {
                    target: hold.target.key(),
                    facet: hold.facet.clone(),
                    effect: holder.effect,
                });
            }
        }
    }
    let mut over = HashMap::new();
    for (run, shares) in runs {
        if !is_over(store, run, &mut over).await? {
            continue;
        }
        let entries = store.journal(run.partition(), ChainId::Run(run), 0).await?;
        let state = RunState::fold(&entries);
        for share in shares {
            let effect = state
                .as_ref()
                .ok()
                .and_then(|state| state.effects.get(&share.effect));
            let (kind, why) = match effect.map(|effect| (effect.stage(), effect.bound.lease_ms)) {
                Some((Stage::Done | Stage::InDoubt, None)) => continue,
                Some((Stage::Done | Stage::InDoubt, Some(_))) => {
                    ("lease_not_begun", "and the lease of its effect never began")
                }
                Some(_) => ("hold_without_effect", "and its effect did not come about"),
                None => ("hold_without_effect", "and its journal knows no such effect"),
            };
            if is_held_still(store, partition, &share).await? {
                let (target, facet, effect) = (&share.target, &share.facet, share.effect);
                let what = format!("`{target}` ({facet}) is held by {effect} of {run}, which is over, {why}");
                found.push(violation(kind, what));
            }
        }
    }
    Ok(())
}

/// Looks once more: the run may have come to its end after its hold was read.
async fn is_held_still(store: &dyn Store, partition: Partition, share: &Endless) -> Result<bool, Error> {
    let hold = store.hold(partition, &share.target, &share.facet).await?;
    let holders = hold.map(|hold| hold.holders).unwrap_or_default();
    Ok(holders
        .iter()
        .any(|one| one.effect == share.effect && one.until.is_none() && !one.ending))
}

async fn is_over(store: &dyn Store, run: RunId, known: &mut HashMap<RunId, bool>) -> Result<bool, Error> {
    if let Some(over) = known.get(&run) {
        return Ok(*over);
    }
    let row = store.run(run.partition(), run).await?;
    let over = row.is_none_or(|row| row.status == RunStatus::Settled);
    known.insert(run, over);
    Ok(over)
}

/// The first few, for lists and logs.
pub(super) fn told(found: &[Violation]) -> impl Iterator<Item = &Violation> {
    found.iter().take(VIOLATIONS_TOLD_MAX)
}
