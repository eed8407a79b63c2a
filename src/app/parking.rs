//! Tells people when a partition is parked: the store notices, `notify` has the words.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::Time;
use crate::id::Partition;
use crate::notify;
use crate::store::Store;

/// How often it is looked at, ms. The store remembers, so a look costs nothing.
const LOOK_MS: u64 = 1_000;

/// Looks until `stop` is set.
pub(super) async fn watch(store: Arc<dyn Store>, stop: Arc<AtomicBool>) {
    let mut told: BTreeSet<(Partition, Time)> = BTreeSet::new();
    let mut tick = tokio::time::interval(Duration::from_millis(LOOK_MS));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !stop.load(Ordering::Relaxed) {
        tick.tick().await;
        let parked = match store.parked().await {
            Ok(parked) => parked,
            Err(error) => {
                tracing::warn!("whether partitions are parked is looked at again: {error}");
                continue;
            }
        };
        let now: BTreeSet<_> = parked.iter().map(|one| (one.partition, one.at)).collect();
        if now.is_subset(&told) {
            continue;
        }
        match notify::alarm(&*store, &parked).await {
            Ok(()) => told = now,
            // The log has it as an error already; the next look tries again.
            Err(error) => tracing::warn!("nobody can be told yet that partitions are parked: {error}"),
        }
    }
}
