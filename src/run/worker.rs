//! Finds runs that are due and works on them, starts the reverts of leases that are over, and stops in an
//! orderly way: no new claims, effects under way finished and recorded.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};

use super::cleanup;
use super::context::Context;
use super::drive::drive;
use super::handle::Handle;
use super::record::is_lost_claim;
use crate::clock::Time;
use crate::id::{Partition, RunId};
use crate::limits::RUNS_AT_ONCE;
use crate::store::{Claim, Error};

/// Runs a worker claims from one partition at a time.
const CLAIM_AT_ONCE: usize = 32;
/// Every so many ticks, claims are asked for whether a wake-up is due or not.
const LOOK_EVERYWHERE_TICKS: u32 = 5;
/// Every so many ticks, locks of runs that are over are looked for.
const LOOK_FOR_LOCKS_TICKS: u32 = 50;
/// Leases ended from one partition at a time.
const LEASES_AT_ONCE: usize = 64;

/// Works until `stop` is set, then finishes what is under way.
pub async fn work(
    context: Arc<Context>,
    handle: Handle,
    mut kicks: mpsc::Receiver<RunId>,
    stop: Arc<AtomicBool>,
) {
    let places = Arc::new(Semaphore::new(RUNS_AT_ONCE));
    let mut runs = Runs {
        set: JoinSet::new(),
        ours: Arc::default(),
    };
    let mut tick = context.pace.wait_ms(0);
    let mut ticks: u32 = 0;
    while !stop.load(Ordering::Relaxed) {
        // What ended is let go of at once: while there is always something to begin, nothing below would come to it, and
        // each task that ended keeps its memory until somebody has looked at it.
        while let Some(ended) = runs.set.try_join_next() {
            tell(ended);
        }
        // In this order: a simulation has to come to the same course again, and a look that is due comes first.
        tokio::select! {
            biased;
            () = &mut tick => {
                tick = context.pace.wait_ms(context.tick_ms);
                // Runs of a worker that died are due when its claims end, which no wake-up announces.
                let everywhere = ticks.is_multiple_of(LOOK_EVERYWHERE_TICKS);
                if ticks.is_multiple_of(LOOK_FOR_LOCKS_TICKS)
                    && let Err(error) = cleanup::unlock_after_the_end(&context).await
                {
                    tracing::warn!("locks of runs that are over are looked for again: {error}");
                }
                ticks = ticks.wrapping_add(1);
                look(&context, &handle, &places, &mut runs, &stop, everywhere).await;
            }
            Some(run) = kicks.recv() => {
                // One that is worked on here must not be claimed again: that would fence our own work.
                if runs.has(run) {
                    continue;
                }
                if let Ok(place) = places.clone().try_acquire_owned() {
                    // A run that is not claimed here is found by the next look.
                    if let Ok(Some(claim)) = claim_one(&context, run).await {
                        begin(&context, claim, place, &mut runs, &stop);
                    }
                }
            }
            Some(ended) = runs.set.join_next() => tell(ended),
        }
    }
    while let Some(ended) = runs.set.join_next().await {
        tell(ended);
    }
    for partition in Partition::all() {
        if let Err(error) = context.store.release_worker(partition, &context.worker).await {
            tracing::warn!("claims of {partition} are left to end by themselves: {error}");
        }
    }
}

/// A task that panicked has let go of nothing: its run is claimed again when its claim is over.
fn tell(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(
            "a worker's task ended in a way it never should, its run will be claimed again: {error}"
        );
    }
}

/// The runs worked on here.
struct Runs {
    set: JoinSet<()>,
    ours: Arc<Mutex<HashSet<RunId>>>,
}

impl Runs {
    fn has(&self, run: RunId) -> bool {
        self.ours
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&run)
    }
}

/// That a run is worked on here, for as long as this is there.
struct Ours {
    all: Arc<Mutex<HashSet<RunId>>>,
    run: RunId,
}

impl Ours {
    fn begin(all: &Arc<Mutex<HashSet<RunId>>>, run: RunId) -> Ours {
        let all = all.clone();
        all.lock().unwrap_or_else(PoisonError::into_inner).insert(run);
        Ours { all, run }
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.all
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.run);
    }
}

async fn claim_one(context: &Context, run: RunId) -> Result<Option<Claim>, Error> {
    let now = context.clock.now();
    let until = now.plus_ms(context.claim_ms);
    context
        .store
        .claim_run(run.partition(), run, &context.worker, now, until)
        .await
}

/// Looks at every partition. One that cannot be looked at does not keep the others from it.
async fn look(
    context: &Arc<Context>,
    handle: &Handle,
    places: &Arc<Semaphore>,
    runs: &mut Runs,
    stop: &Arc<AtomicBool>,
    everywhere: bool,
) {
    // All at once, so that a store that is far away is asked in one go.
    let asked = Partition::all().map(|partition| async move {
        let store = &context.store;
        let (lease, wake) =
            futures_util::future::join(store.next_lease_end(partition), store.next_wake(partition)).await;
        (partition, lease, wake)
    });
    for (partition, lease, wake) in futures_util::future::join_all(asked).await {
        if let Err(error) = end_leases(context, handle, partition, lease).await {
            tracing::warn!("leases of {partition} are looked at again: {error}");
        }
        match due(context, places, partition, wake, everywhere).await {
            Ok(claims) => {
                for claim in claims {
                    if let Ok(place) = places.clone().acquire_owned().await {
                        begin(context, claim, place, runs, stop);
                    }
                }
            }
            Err(error) => tracing::warn!("runs of {partition} are looked at again: {error}"),
        }
    }
}

async fn end_leases(
    context: &Context,
    handle: &Handle,
    partition: Partition,
    first: Result<Option<Time>, Error>,
) -> Result<(), Error> {
    let now = context.clock.now();
    if first?.is_none_or(|end| end > now) {
        return Ok(());
    }
    for due in context.store.due_holders(partition, now, LEASES_AT_ONCE).await? {
        handle.end_lease(&due).await?;
    }
    Ok(())
}

async fn due(
    context: &Context,
    places: &Semaphore,
    partition: Partition,
    first: Result<Option<Time>, Error>,
    everywhere: bool,
) -> Result<Vec<Claim>, Error> {
    let now = context.clock.now();
    if first?.is_none_or(|at| at > now) && !everywhere {
        return Ok(Vec::new());
    }
    let free = places.available_permits().min(CLAIM_AT_ONCE);
    if free == 0 {
        return Ok(Vec::new());
    }
    let until = now.plus_ms(context.claim_ms);
    context
        .store
        .claim_due(partition, &context.worker, now, until, free)
        .await
}

fn begin(
    context: &Arc<Context>,
    claim: Claim,
    place: tokio::sync::OwnedSemaphorePermit,
    runs: &mut Runs,
    stop: &Arc<AtomicBool>,
) {
    let context = context.clone();
    let stop = stop.clone();
    let run = claim.run;
    let ours = Ours::begin(&runs.ours, run);
    runs.set.spawn(async move {
        // Both go when this ends, in whatever way.
        let (_ours, _place) = (ours, place);
        match drive(context.clone(), claim, stop).await {
            Ok(()) => {}
            Err(error) if is_lost_claim(&error) => {
                tracing::info!(run.id = %run, "the claim on the run is over, and another worker takes it over");
                if let Err(error) = cleanup::overtaken(&context, run).await {
                    tracing::warn!(run.id = %run, "what was taken late is given back later: {error}");
                }
            }
            Err(error) => {
                tracing::error!(run.id = %run, "the run is let go of and will be claimed again: {error}")
            }
        }
    });
}
