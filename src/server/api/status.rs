//! The server in one answer.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::clock::Time;
use crate::guardrail::Halt;
use crate::id::Partition;
use crate::intake::Standing;
use crate::notify::FOLLOWER;
use crate::server::error::ApiError;
use crate::server::services::Shared;
use crate::store::{Counts, Disposition, Health, RunStatus, Store};
use crate::telemetry::totals;
use crate::upkeep::{Collected, Keep, Violation, level};

#[derive(Serialize)]
pub(super) struct Status {
    version: &'static str,
    worker: String,
    uptime_ms: u64,
    halted: Option<Halt>,
    sources: usize,
    playbooks: usize,
    triggers: usize,
    /// When connectors, playbooks and triggers were loaded, and what was refused since.
    content: Standing,
    counts: Counts,
    /// What waits in each partition.
    partitions: Vec<Backlog>,
    /// Why the store takes no writes now; nothing when it does.
    not_ready: Option<String>,
    store: Health,
    /// `enough`, `low` or `short`.
    room: &'static str,
    violations: Violations,
    /// What is kept for how long, and what was forgotten.
    collected: Collected,
    keep: Keep,
}

#[derive(Serialize)]
struct Backlog {
    partition: String,
    /// Alerts that are pending.
    pending: u64,
    /// Runs that are not over.
    open: u64,
    /// Entries that nobody was told of yet, and up to 1,000 counted.
    unread: usize,
}

/// What must not be.
#[derive(Serialize)]
struct Violations {
    /// When it was last looked for; nothing until the first look, half a minute after the start.
    looked_at: Option<Time>,
    by_kind: BTreeMap<String, u64>,
    found: Vec<Violation>,
}

/// Entries counted behind a follower.
const UNREAD_MAX: usize = 1_000;

async fn backlog(store: &dyn Store, now: Time) -> Result<Vec<Backlog>, ApiError> {
    let mut all = Vec::new();
    for partition in Partition::all() {
        let counts = store.counts(partition, now).await?;
        let of = |map: &BTreeMap<String, u64>, word: &str| map.get(word).copied().unwrap_or(0);
        let read = store.cursor(partition, FOLLOWER).await?;
        all.push(Backlog {
            partition: partition.to_string(),
            pending: of(&counts.alerts, Disposition::Pending.word()),
            open: of(&counts.runs, RunStatus::Open.word()) + of(&counts.runs, RunStatus::Parked.word()),
            unread: store.feed(partition, read, UNREAD_MAX).await?.len(),
        });
    }
    Ok(all)
}

pub(super) async fn show(State(shared): State<Shared>) -> Result<Json<Status>, ApiError> {
    let content = shared.content.now();
    let store = shared.store().as_ref();
    let health = store.health().await?;
    let shown = shared.upkeep.now();
    Ok(Json(Status {
        version: shared.version,
        worker: shared.handle.context().worker.clone(),
        uptime_ms: shared.telemetry.uptime_ms(),
        halted: shared.store().switches().await?.halt,
        sources: shared.gate.profiles().len(),
        playbooks: content.bundles.len(),
        triggers: content.index.len(),
        content: shared.content.standing(),
        counts: totals(store, shared.now()).await?,
        partitions: backlog(store, shared.now()).await?,
        not_ready: store.ready().await.err().map(|error| error.to_string()),
        room: level(&health).word(),
        store: health,
        violations: Violations {
            looked_at: shown.looked_at,
            by_kind: shown.violations,
            found: shown.found,
        },
        collected: shown.collected,
        keep: shown.keep,
    }))
}
