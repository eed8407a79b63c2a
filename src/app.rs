//! Puts the rooms together into a working node. The only place that knows them all; decides nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::config::Config;
use crate::connector::{self, Fetcher, Instances, Invoker};
use crate::digest::Digest;
use crate::guardrail::Policy;
use crate::intake::{self, Certificates, Content, Gate, Pipeline, Profiles};
use crate::limits::HALT_REFRESH_MS;
use crate::notify;
use crate::run::{self, Builtins, Connected, HaltSwitch, Handle};
use crate::script::Evaluators;
use crate::secret::SealingKey;
use crate::store::{Sealed, Store};
use crate::telemetry::Telemetry;
use crate::upkeep::{Keep, Keeper, Standing};

mod content;
mod copies;
mod demo;
mod parking;
mod serve;

pub use copies::{AtRest, migrate, open_at_rest, restore};
pub use demo::{DemoOptions, demo};
pub use serve::{ServeOptions, Server, serve};

/// Announcements that may wait before the looks of pipeline and worker take over.
const ANNOUNCED_MAX: usize = 4_096;

/// Who has to have read an entry before retention may forget it.
const FOLLOWERS: &[&str] = &[notify::FOLLOWER, crate::telemetry::FOLLOWER];
/// How often this node counts what was journalled, whether anybody asks for metrics or not, so that retention need not
/// wait for them.
const COUNT_EVERY: Duration = Duration::from_secs(60);

/// What a node is made of.
pub struct Parts {
    /// Everything durable.
    pub store: Arc<dyn Store>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Seals secrets and makes idempotency keys; the same on every node and after every restart.
    pub key: [u8; 32],
    /// The connectors.
    pub connectors: Arc<connector::Catalog>,
    /// Where they go.
    pub instances: Arc<Instances>,
    /// The standing rules.
    pub policy: Arc<Policy>,
    /// The sources.
    pub profiles: Arc<Profiles>,
    /// Triggers and bundles.
    pub content: Arc<Content>,
    /// Who is told.
    pub notify: Arc<notify::Plan>,
    /// What this node is called among others that share the store.
    pub name: Option<String>,
    /// For how long settled runs and alerts are kept.
    pub keep: Keep,
}

/// A working node.
pub struct Node {
    /// Starts runs.
    pub handle: Handle,
    /// Takes alerts.
    pub gate: Arc<Gate>,
    /// Processes them.
    pub pipeline: Arc<Pipeline>,
    /// Triggers and bundles.
    pub content: Arc<Content>,
    /// The switch, to be set at once by whoever writes it to the store.
    pub halt: watch::Sender<HaltSwitch>,
    /// Who is told, and how they are reached.
    pub notify: notify::Reach,
    /// How the store stands.
    pub upkeep: Arc<Standing>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Node {
    /// Starts working. Runs and alerts left by an earlier process are taken up.
    pub async fn start(parts: Parts) -> anyhow::Result<Node> {
        let Parts {
            store,
            clock,
            key,
            connectors,
            instances,
            policy,
            profiles,
            content,
            notify: plan,
            name,
            keep: retention,
        } = parts;
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let evaluators = Arc::new(Evaluators::start(threads).context("failed to start evaluation threads")?);
        let sealed = Sealed::new(store.clone(), SealingKey::new(key));
        let invoker = Invoker::new(evaluators.clone(), clock.clone())
            .context("failed to set up the HTTP client")?
            .keeping_secrets(sealed.clone());
        // An invoker of its own, so that a vendor that throttles look-ups does not hold up containment.
        let asks =
            Invoker::new(evaluators.clone(), clock.clone()).context("failed to set up the HTTP client")?;
        let look_ups = Arc::new(intake::Vendors::new(
            asks,
            instances.clone(),
            connectors.clone(),
            sealed,
        ));
        let (halt, switch) = watch::channel(look_at_switch(&*store).await);
        let vendors: Arc<dyn run::Vendors> = Arc::new(Connected::new(invoker, instances));
        let sender = notify::Sender::new(vendors.clone(), &connectors, clock.clone())
            .context("failed to set up notifications")?;
        let worker = worker_name(name.as_deref())?;
        let (holder, keeper_clock) = (worker.clone(), clock.clone());
        let follower = notify::Follower::new(notify::Parts {
            store: store.clone(),
            clock: clock.clone(),
            plan: plan.clone(),
            sender: sender.clone(),
            key: Digest::keyed(&key, b"cordon notification keys").0,
            holder: worker.clone(),
        });
        let context = Arc::new(run::Context::new(
            store.clone(),
            vendors,
            evaluators,
            clock.clone(),
            policy,
            switch,
            Digest::keyed(&key, b"cordon idempotency keys").0,
            worker,
        ));
        let (kick, kicked) = mpsc::channel(ANNOUNCED_MAX);
        let builtins = Builtins {
            revert: crate::playbook::revert(&connectors),
            act: crate::playbook::act(&connectors),
        };
        context.offer(Arc::new(content.now().bundles.clone()));
        let handle = Handle::new(context.clone(), kick, builtins);
        let (keep, kept) = mpsc::channel(ANNOUNCED_MAX);
        let fetcher = Arc::new(Fetcher::new().context("failed to set up the HTTP client")?);
        let gate = Gate::new(store.clone(), clock, profiles.clone(), keep)
            .with_certificates(Certificates::new(fetcher.clone()));
        let gate = Arc::new(gate);
        let pipeline = Pipeline::new(handle.clone(), profiles, content.clone()).asking(look_ups, fetcher);
        let pipeline = Arc::new(pipeline);
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        tasks.spawn(run::work(context, handle.clone(), kicked, stop.clone()));
        tasks.spawn(pipeline.clone().work(kept, stop.clone()));
        tasks.spawn(parking::watch(store.clone(), stop.clone()));
        tasks.spawn(look_for_deciders(handle.clone()));
        let upkeep = Arc::new(Standing::default());
        let keeper = Keeper {
            store: store.clone(),
            clock: keeper_clock,
            keep: retention,
            followers: FOLLOWERS,
            holder,
            standing: upkeep.clone(),
        };
        tasks.spawn(keeper.work(stop.clone()));
        tasks.spawn(watch_switch(store, halt.clone(), stop.clone()));
        tasks.spawn(follower.follow(stop.clone()));
        Ok(Node {
            handle,
            gate,
            pipeline,
            content,
            halt,
            notify: notify::Reach { plan, sender },
            upkeep,
            stop,
            tasks,
        })
    }

    /// Looks at the folders of content from now on, and loads them again when they change.
    fn watch_content(&mut self, config: &Config) {
        let (content, handle) = (self.content.clone(), self.handle.clone());
        let watching = content::watch(content, handle, config.clone(), self.stop.clone());
        self.tasks.spawn(watching);
    }

    /// Counts what is journalled from now on.
    fn count(&mut self, telemetry: Arc<Telemetry>) {
        let (stop, context) = (self.stop.clone(), self.handle.context().clone());
        self.tasks.spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_secs(1));
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut counted = std::time::Instant::now();
            while !stop.load(Ordering::Relaxed) {
                tick.tick().await;
                if counted.elapsed() < COUNT_EVERY {
                    continue;
                }
                counted = std::time::Instant::now();
                if let Err(error) = telemetry.scrape(&*context.store, context.clock.now()).await {
                    tracing::debug!("what was journalled is counted later: {error}");
                }
            }
        });
    }

    /// Stops in an orderly way: nothing new is begun, effects under way are finished and recorded.
    pub async fn stop(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// A name no other node and no earlier process of this one has.
fn worker_name(node: Option<&str>) -> anyhow::Result<String> {
    let mut nonce = [0; 5];
    getrandom::fill(&mut nonce).context("failed to draw random bytes")?;
    let node = node.map_or_else(String::new, |node| format!("{node}-"));
    Ok(format!(
        "{node}{}-{}",
        std::process::id(),
        data_encoding::HEXLOWER.encode(&nonce)
    ))
}

/// Who may decide is read when a node starts, so that is when a request can have nobody left.
async fn look_for_deciders(handle: Handle) {
    if let Err(error) = handle.look_for_deciders().await {
        tracing::warn!("requests that nobody may decide any more end when their time is over: {error}");
    }
}

async fn look_at_switch(store: &dyn Store) -> HaltSwitch {
    store
        .switches()
        .await
        .map(|switches| switches.halt)
        .map_err(|error| error.to_string())
}

/// Keeps the switch up to date with the store, which another node may have written to.
async fn watch_switch(store: Arc<dyn Store>, halt: watch::Sender<HaltSwitch>, stop: Arc<AtomicBool>) {
    let mut tick = tokio::time::interval(Duration::from_millis(HALT_REFRESH_MS));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !stop.load(Ordering::Relaxed) {
        tick.tick().await;
        let seen = look_at_switch(&*store).await;
        halt.send_if_modified(|known| {
            let changed = *known != seen;
            if changed {
                *known = seen;
            }
            changed
        });
    }
}
