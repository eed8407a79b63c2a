//! What every run of a node shares.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::watch;

use super::pace::{Pace, RealPace, within_ms};
use super::vendors::Vendors;
use crate::clock::{Clock, Time};
use crate::digest::Digest;
use crate::guardrail::{Halt, Policy};
use crate::id::EffectId;
use crate::limits::UNCLAIMED_WRITE_MS;
use crate::playbook::{Bundle, Loaded};
use crate::script::Evaluators;
use crate::store::Store;

/// What the switch says; `Err` when nobody can tell, which holds everything.
pub type HaltSwitch = Result<Option<Halt>, String>;

/// Bundles kept open. A node runs few distinct ones at a time.
const BUNDLES_OPEN_MAX: usize = 256;

/// The shared parts.
pub struct Context {
    /// Everything durable.
    pub store: Arc<dyn Store>,
    /// The systems acted on.
    pub vendors: Arc<dyn Vendors>,
    /// Threads that evaluate scripts.
    pub evaluators: Arc<Evaluators>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// The standing rules.
    pub policy: Arc<Policy>,
    /// The switch, at most [`HALT_REFRESH_MS`](crate::limits::HALT_REFRESH_MS) old.
    pub halt: watch::Receiver<HaltSwitch>,
    /// Makes idempotency keys that no vendor can guess.
    pub key: [u8; 32],
    /// Name of this worker, unique among nodes and restarts.
    pub worker: String,
    /// How long a claim lasts without renewal, ms.
    pub claim_ms: u64,
    /// A wait that is not longer keeps its run in memory, ms; longer ones are slept in the store.
    pub stay_ms: u64,
    /// How often a worker looks for due runs that nobody told it of, ms.
    pub tick_ms: u64,
    /// Lets time pass.
    pub pace: Arc<dyn Pace>,
    bundles: Mutex<HashMap<Digest, Arc<Loaded>>>,
    /// Bundles known to be in the store; bundles are never taken out of it while a node runs.
    kept: Mutex<HashSet<Digest>>,
    /// The playbooks in use, by id.
    playbooks: RwLock<Arc<BTreeMap<String, Bundle>>>,
}

impl Context {
    /// Puts the parts together.
    #[allow(
        clippy::too_many_arguments,
        reason = "one place, each part named; a builder would only repeat them"
    )]
    pub fn new(
        store: Arc<dyn Store>,
        vendors: Arc<dyn Vendors>,
        evaluators: Arc<Evaluators>,
        clock: Arc<dyn Clock>,
        policy: Arc<Policy>,
        halt: watch::Receiver<HaltSwitch>,
        key: [u8; 32],
        worker: String,
    ) -> Context {
        Context {
            store,
            vendors,
            evaluators,
            clock,
            policy,
            halt,
            key,
            worker,
            claim_ms: crate::limits::CLAIM_MS,
            stay_ms: crate::limits::RUN_STAYS_MS,
            tick_ms: crate::limits::SCHEDULER_TICK_MS,
            pace: Arc::new(RealPace),
            bundles: Mutex::new(HashMap::new()),
            kept: Mutex::default(),
            playbooks: RwLock::default(),
        }
    }

    /// The playbooks that scripts may start from now on.
    pub fn offer(&self, playbooks: Arc<BTreeMap<String, Bundle>>) {
        *self.playbooks.write().unwrap_or_else(PoisonError::into_inner) = playbooks;
    }

    /// The playbooks that scripts may start.
    pub(super) fn playbooks(&self) -> Arc<BTreeMap<String, Bundle>> {
        self.playbooks
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The playbook in use of this id, or of this area and situation (`identity/leaver`).
    pub fn playbook(&self, name: &str) -> Option<Bundle> {
        // Only ever replaced as a whole, so a panic elsewhere leaves it whole.
        let playbooks = self.playbooks();
        let by_place = || playbooks.values().find(|bundle| bundle.place == name);
        playbooks.get(name).or_else(by_place).cloned()
    }

    /// Keeps a bundle in the store, once.
    pub async fn keep_bundle(&self, bundle: &Bundle) -> Result<(), crate::store::Error> {
        let known = |kept: &Mutex<HashSet<Digest>>| {
            kept.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&bundle.digest)
        };
        if known(&self.kept) {
            return Ok(());
        }
        if self.store.bundle(bundle.digest).await?.is_none() {
            self.store.put_bundle(bundle.digest, bundle.bytes.clone()).await?;
        }
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(bundle.digest);
        Ok(())
    }

    /// From when on the store refuses a change of a lock or a hold that is asked for now without a claim.
    pub fn soon(&self) -> Time {
        self.clock.now().plus_ms(UNCLAIMED_WRITE_MS)
    }

    /// Waits. The one way to do so under `run`.
    pub async fn pause_ms(&self, ms: u64) {
        self.pace.wait_ms(ms).await;
    }

    /// What `work` comes to, or `None` when it takes longer than `ms`; it is dropped then.
    pub async fn within_ms<T>(&self, ms: u64, work: impl Future<Output = T>) -> Option<T> {
        within_ms(&self.pace, ms, work).await
    }

    /// The idempotency key of an effect: the same whatever the worker and attempt.
    pub fn idempotency_key(&self, effect: EffectId) -> String {
        let mac = Digest::keyed(&self.key, effect.to_string().as_bytes());
        mac.to_string().chars().take(32).collect()
    }

    /// Knows an open bundle beforehand, for whoever has opened it already.
    pub fn open(&self, digest: Digest, loaded: Arc<Loaded>) {
        self.bundles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(digest, loaded);
    }

    /// The bundle of a digest, opened. The error says what a person has to do.
    pub async fn bundle(&self, digest: Digest) -> Result<Arc<Loaded>, NoBundle> {
        if let Some(loaded) = self
            .bundles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&digest)
        {
            return Ok(loaded.clone());
        }
        let bytes = self
            .store
            .bundle(digest)
            .await
            .map_err(NoBundle::Store)?
            .ok_or_else(|| {
                NoBundle::Gone(format!(
                    "its bundle {} is not in the store; restore it from a backup",
                    digest.short()
                ))
            })?;
        let loaded = Arc::new(Loaded::open(&bytes).map_err(|why| NoBundle::Gone(why.to_string()))?);
        let mut bundles = self.bundles.lock().unwrap_or_else(PoisonError::into_inner);
        if bundles.len() >= BUNDLES_OPEN_MAX {
            bundles.clear();
        }
        bundles.insert(digest, loaded.clone());
        Ok(loaded)
    }
}

/// The bundle of a run cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum NoBundle {
    /// Not now.
    #[error(transparent)]
    Store(crate::store::Error),
    /// Not by waiting.
    #[error("{0}")]
    Gone(String),
}
