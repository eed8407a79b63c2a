//! The task that keeps a store in order while it is served: looks at room every minute, at what must not be every few,
//! and forgets what is past its time every hour. Slow on purpose. Of several nodes one forgets in a partition, under a
//! follower's claim; each looks for itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::invariants::{KINDS, Violation, told, violations};
use super::retention::{Collected, Keep, pass};
use super::room::{Level, level};
use crate::clock::{Clock, Time};
use crate::id::Partition;
use crate::limits::{
    COLLECT_EVERY_MS, FOLLOWER_CLAIM_MS, INVARIANTS_EVERY_MS, ROOM_EVERY_MS, UPKEEP_FIRST_MS, UPKEEP_TICK_MS,
};
use crate::store::{Error, Health, Store};

/// The name its claims are kept under.
const FOLLOWER: &str = "upkeep";

/// What was found and done, for lists and metrics.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Shown {
    /// For how long things are kept.
    pub keep: Keep,
    /// How the store stood at the last look.
    pub health: Option<Health>,
    /// What must not be, by kind; each kind is there once it was looked for.
    pub violations: BTreeMap<String, u64>,
    /// The first of them.
    pub found: Vec<Violation>,
    /// When it was last looked for.
    pub looked_at: Option<Time>,
    /// What was forgotten since this process began.
    pub collected: Collected,
    /// The last pass of retention: when, and what it came to.
    pub last_pass: Option<(Time, Collected)>,
}

/// The same, shared.
#[derive(Debug, Default)]
pub struct Standing(Mutex<Shown>);

impl Standing {
    /// What is shown now.
    pub fn now(&self) -> Shown {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, change: impl FnOnce(&mut Shown)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Keeps one store in order.
pub struct Keeper {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// For how long things are kept.
    pub keep: Keep,
    /// Who has to have read an entry before it may go.
    pub followers: &'static [&'static str],
    /// A name no other node and no earlier process has.
    pub holder: String,
    /// What is shown.
    pub standing: Arc<Standing>,
}

impl Keeper {
    /// Works until `stop` is set.
    pub async fn work(self, stop: Arc<AtomicBool>) {
        self.standing.set(|shown| shown.keep = self.keep);
        let mut since_ms: u64 = 0;
        let (mut look_ms, mut collect_ms) = (UPKEEP_FIRST_MS, UPKEEP_FIRST_MS);
        let mut known = Known::default();
        while !stop.load(Ordering::Relaxed) {
            if since_ms.is_multiple_of(ROOM_EVERY_MS) {
                self.look_at_room(&mut known).await;
            }
            if since_ms >= look_ms {
                look_ms = since_ms.saturating_add(INVARIANTS_EVERY_MS);
                self.look(&mut known).await;
            }
            if since_ms >= collect_ms {
                collect_ms = since_ms.saturating_add(COLLECT_EVERY_MS);
                self.collect(&stop).await;
            }
            tokio::time::sleep(Duration::from_millis(UPKEEP_TICK_MS)).await;
            since_ms = since_ms.saturating_add(UPKEEP_TICK_MS);
        }
        for partition in Partition::all() {
            let given = self
                .store
                .release_follower(partition, FOLLOWER, &self.holder)
                .await;
            if let Err(error) = given {
                tracing::debug!("the claim on the upkeep of {partition} is left to end by itself: {error}");
            }
        }
    }

    async fn look_at_room(&self, known: &mut Known) {
        let health = match self.store.health().await {
            Ok(health) => health,
            Err(error) => {
                tracing::warn!("the room of the store cannot be looked at: {error}");
                return;
            }
        };
        let now = level(&health);
        if now != known.level {
            let (free, total) = (health.free_bytes.unwrap_or(0), health.total_bytes.unwrap_or(0));
            let backend = health.backend.as_str();
            match now {
                Level::Enough => tracing::info!(backend, free, total, "the store has room again"),
                Level::Low => tracing::warn!(
                    backend,
                    free,
                    total,
                    "the store will be full: room is low; free some, give it more, or keep things for a shorter time"
                ),
                Level::Short => tracing::error!(
                    backend,
                    free,
                    total,
                    "the store is nearly full: when it is, alerts are answered 503 and no effect begins"
                ),
            }
            known.level = now;
        }
        self.standing.set(|shown| shown.health = Some(health));
    }

    /// Looks for what must not be. Logged once when it appears: at each look it would be noise.
    async fn look(&self, known: &mut Known) {
        let now = self.clock.now();
        let mut found = Vec::new();
        for partition in Partition::all() {
            match violations(&*self.store, partition, now).await {
                Ok(there) => found.extend(there),
                Err(error) => {
                    tracing::warn!("invariants of {partition} are looked at again: {error}");
                    return;
                }
            }
        }
        let mut counts: BTreeMap<String, u64> = KINDS.iter().map(|kind| ((*kind).to_owned(), 0)).collect();
        for violation in &found {
            *counts.entry(violation.kind.clone()).or_default() += 1;
        }
        for violation in told(&found).filter(|violation| !known.found.contains(violation)) {
            tracing::error!(kind = violation.kind, "this must not be: {}", violation.what);
        }
        let first: Vec<Violation> = told(&found).cloned().collect();
        known.found.clone_from(&first);
        self.standing.set(|shown| {
            shown.violations = counts;
            shown.found = first;
            shown.looked_at = Some(now);
        });
    }

    async fn collect(&self, stop: &AtomicBool) {
        let began = self.clock.now();
        let mut all = Collected::default();
        for partition in Partition::all() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            match self.collect_in(partition).await {
                Ok(collected) => all.add(collected),
                Err(error) => tracing::warn!("retention of {partition} waits: {error}"),
            }
        }
        if all.runs + all.alerts > 0 {
            tracing::info!(
                runs = all.runs,
                alerts = all.alerts,
                held = all.held,
                unread = all.unread,
                "forgot what is past its time"
            );
        }
        self.standing.set(|shown| {
            shown.collected.add(all);
            shown.last_pass = Some((began, all));
        });
    }

    async fn collect_in(&self, partition: Partition) -> Result<Collected, Error> {
        let now = self.clock.now();
        let until = now.plus_ms(FOLLOWER_CLAIM_MS);
        let ours = self
            .store
            .claim_follower(partition, FOLLOWER, &self.holder, now, until)
            .await?;
        if !ours {
            return Ok(Collected::default());
        }
        pass(&*self.store, &[partition], &self.keep, self.followers, now, false).await
    }
}

/// What was said already.
struct Known {
    level: Level,
    found: Vec<Violation>,
}

impl Default for Known {
    fn default() -> Known {
        Known {
            level: Level::Enough,
            found: Vec::new(),
        }
    }
}
