//! The handle others hold: opens the connections, refuses servers that do not promise what was asked for, and keeps
//! the clock.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use redis::Value;
use tokio::task::JoinHandle;

use super::address::Address;
use super::clock::ServerClock;
use super::durability::{Durability, Finding, Promise, enough, look, replicas_needed};
use super::link::Link;
use super::noted::Notes;
use super::shared::Shared;
use super::topology::Topology;
use super::wire::{Account, Broken, Dialer, Wire, items_of, text_of};
use super::witness::Witness;
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::Partition;
use crate::limits::{REDIS_BEAT_MS, REDIS_TIME_MS};
use crate::secret::Secret;
use crate::store::losses::{Losses, Parked, Recovered, Recovery};

/// How a store in Redis is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the servers are.
    pub address: Address,
    /// The password of the servers.
    pub password: Option<Secret>,
    /// The password of the sentinels.
    pub sentinel_password: Option<Secret>,
    /// Root certificates beside the machine's, PEM.
    pub ca: Option<String>,
    /// What has to be promised of a write.
    pub promise: Promise,
    /// What this node is called: unique among the nodes, and the same after a restart.
    pub node: String,
    /// The folder in which this node keeps what it was acknowledged; `None` keeps it in memory alone.
    pub witness: Option<PathBuf>,
}

/// Why a store in Redis cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// The certificates cannot be used.
    #[error("`[store] ca`: {0}")]
    Ca(String),
    /// No server can be reached, or it is not what it should be.
    #[error("{0}")]
    Unreachable(String),
    /// The file of what was acknowledged cannot be used.
    #[error("{code}: the witness `{0}` cannot be used: {1}; name another folder in `[store] witness`", code = super::witness::CODE)]
    Witness(String, String),
    /// The servers do not promise what was asked for.
    #[error(
        "the servers may lose what they acknowledge, and `durability = \"strict\"` does not bear that:\n{}",
        .0.iter().map(|finding| format!("  {finding}")).collect::<Vec<_>>().join("\n")
    )]
    Unsafe(Vec<Finding>),
}

/// Everything durable, in Redis.
pub struct RedisStore {
    link: Link,
    clock: Arc<ServerClock>,
    beat: [JoinHandle<()>; 2],
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore")
            .field("address", &self.link.shared().topology.address().to_string())
            .finish_non_exhaustive()
    }
}

impl RedisStore {
    /// Connects, and looks at what every primary promises.
    ///
    /// # Errors
    /// Why the store cannot be used, with what mends it.
    pub async fn open(options: Options) -> Result<RedisStore, NotOpened> {
        let Options {
            address,
            password,
            sentinel_password,
            ca,
            promise,
            node,
            witness,
        } = options;
        let dialer = if address.tls {
            Dialer::with_tls(ca.as_deref()).map_err(NotOpened::Ca)?
        } else {
            Dialer::plain()
        };
        let account = Account {
            user: address.user.clone(),
            password,
        };
        let sentinels = Account {
            user: None,
            password: sentinel_password,
        };
        let topology = Topology::new(address, dialer, account, sentinels);
        let unreachable = |broken: Broken| NotOpened::Unreachable(broken.why);
        let mut wire = time_keeper(&topology).await.map_err(unreachable)?;
        let (now, at) = time(&mut wire).await.map_err(unreachable)?;
        let clock = Arc::new(ServerClock::new(now, at));
        let notes = match &witness {
            None => Notes::new(None, Vec::new()),
            Some(folder) => {
                // What one store acknowledged says nothing of another.
                let of = Digest::of(topology.address().to_string().as_bytes()).short();
                let path = folder.join(format!("{node}-{of}"));
                let (witness, left) = Witness::open(&path)
                    .map_err(|error| NotOpened::Witness(path.display().to_string(), error.to_string()))?;
                Notes::new(Some(witness), left)
            }
        };
        let shared = Arc::new(Shared::new(topology, promise, node, notes, clock.clone()));
        inspect(&shared).await?;
        let link = Link::new(shared.clone());
        link.look_at_rights()
            .await
            .map_err(|error| NotOpened::Unreachable(error.to_string()))?;
        link.look_at_all().await;
        let beat = [
            tokio::spawn(follow(shared, clock.clone(), wire)),
            tokio::spawn(watch(link.clone())),
        ];
        Ok(RedisStore { link, clock, beat })
    }

    /// The present by the servers' clock: one for all nodes.
    pub fn clock(&self) -> Arc<ServerClock> {
        self.clock.clone()
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Whether this node knows a partition to be parked.
    pub(super) fn is_parked(&self, partition: Partition) -> bool {
        self.link.shared().guard.is_parked(partition)
    }
}

#[async_trait]
impl Losses for RedisStore {
    async fn parked(&self) -> crate::store::Result<Vec<Parked>> {
        Ok(self.link.shared().guard.all())
    }

    async fn missing(&self, partition: Partition) -> crate::store::Result<Vec<String>> {
        self.link.missing(partition).await
    }

    async fn recoveries(&self) -> crate::store::Result<Vec<Recovery>> {
        self.link.recoveries().await
    }

    async fn recover(&self, partition: Partition, by: &str, reason: &str) -> crate::store::Result<Recovered> {
        self.link.recover(partition, by, reason).await
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        for task in &self.beat {
            task.abort();
        }
    }
}

/// Looks at every primary before anything is written.
async fn inspect(shared: &Shared) -> Result<(), NotOpened> {
    let unreachable = |broken: Broken| NotOpened::Unreachable(broken.why);
    let topology = &shared.topology;
    topology.route(Partition::CONTROL).await.map_err(unreachable)?;
    let mut standings = Vec::new();
    for server in topology.primaries() {
        let mut wire = topology.connect(&server).await.map_err(unreachable)?;
        super::topology::be_primary(&mut wire)
            .await
            .map_err(unreachable)?;
        let standing = look(topology, &mut wire, &shared.promise)
            .await
            .map_err(unreachable)?;
        standings.push((server, standing));
    }
    let found: Vec<_> = standings.iter().map(|(_, standing)| standing.clone()).collect();
    let needed = replicas_needed(&shared.promise, topology.fails_over(), &found);
    let mut findings: Vec<Finding> = Vec::new();
    for (server, standing) in &standings {
        findings.extend(standing.findings.iter().cloned());
        findings.extend(enough(needed, server, standing));
        for unseen in &standing.unseen {
            shared.once(unseen, |text| tracing::warn!("{text}"));
        }
    }
    if !findings.is_empty() {
        return Err(NotOpened::Unsafe(findings));
    }
    shared.set_replicas(needed);
    announce(shared, needed);
    Ok(())
}

/// Says what a write is worth.
fn announce(shared: &Shared, replicas: u32) {
    let address = shared.topology.address();
    match (&shared.promise.managed, shared.promise.durability) {
        (Some(statement), _) => tracing::warn!(
            "the store is {address}; what it promises is not looked at, the configuration states: {statement}"
        ),
        (None, Durability::Relaxed) => tracing::warn!(
            "the store is {address} and `durability` is `relaxed`: when a server ends or a replica takes over, what was \
             acknowledged in the last seconds may be lost; the partitions it was in are parked then"
        ),
        (None, Durability::Strict) => tracing::info!(
            "the store is {address}; a write is acknowledged when it is on the disk and on {replicas} replicas"
        ),
    }
}

/// A connection to the primary whose clock counts.
async fn time_keeper(topology: &Topology) -> Result<Wire, Broken> {
    let route = topology.route(Partition::CONTROL).await?;
    let connected = async {
        let mut wire = topology.connect(&route.server).await?;
        super::topology::be_primary(&mut wire).await.map(|()| wire)
    }
    .await;
    if connected.is_err() {
        topology.refresh(route.number).await?;
    }
    connected
}

/// Looks at every partition from time to time, and when a server took over.
async fn watch(link: Link) {
    loop {
        let pause = Duration::from_millis(REDIS_BEAT_MS);
        // Either is a reason to look.
        let _ = tokio::time::timeout(pause, link.shared().changed.notified()).await;
        link.look_at_all().await;
    }
}

/// The server's time, for the middle of the question.
async fn time(wire: &mut Wire) -> Result<(Time, Instant), Broken> {
    let asked = Instant::now();
    let answer = wire.value(&["TIME"]).await?;
    let at = asked + asked.elapsed() / 2;
    let part = |value: Option<&Value>| value.and_then(text_of)?.parse::<i64>().ok();
    let items = items_of(&answer);
    match (part(items.first()), part(items.get(1))) {
        (Some(seconds), Some(micros)) => {
            let ms = seconds.saturating_mul(1_000).saturating_add(micros / 1_000);
            Ok((Time(ms), at))
        }
        _ => Err(Broken {
            why: format!("{} answers TIME with no time", wire.server()),
        }),
    }
}

/// Keeps the clock with the servers'. A server that cannot be asked leaves it running on.
async fn follow(shared: Arc<Shared>, clock: Arc<ServerClock>, wire: Wire) {
    let mut wire = Some(wire);
    let mut tick = tokio::time::interval(Duration::from_millis(REDIS_BEAT_MS));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let told = match wire.take() {
            Some(mut open) => time(&mut open).await.map(|told| (told, open)),
            None => match time_keeper(&shared.topology).await {
                Ok(mut open) => time(&mut open).await.map(|told| (told, open)),
                Err(broken) => Err(broken),
            },
        };
        match told {
            Ok(((now, at), open)) => {
                // A server that stood still meanwhile says the time of the end, which is not that of the middle.
                if at.elapsed() <= Duration::from_millis(REDIS_TIME_MS / 2) {
                    clock.follow(now, at);
                }
                wire = Some(open);
            }
            Err(broken) => tracing::debug!("the clock runs on by itself: {}", broken.why),
        }
    }
}
