//! The handle others hold: opens the connections, refuses servers that do not promise what was asked for, and keeps
//! the clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Value;
use tokio::task::JoinHandle;

use super::address::Address;
use super::clock::ServerClock;
use super::durability::{Durability, Finding, Promise, enough, look, replicas_needed};
use super::library::Library;
use super::link::Link;
use super::shared::Shared;
use super::topology::Topology;
use super::wire::{Account, Broken, Dialer, Wire, items_of, text_of};
use crate::clock::Time;
use crate::id::Partition;
use crate::limits::REDIS_BEAT_MS;
use crate::secret::Secret;

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
    beat: JoinHandle<()>,
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
        let shared = Arc::new(Shared::new(topology, promise, Library::new(), node));
        let unreachable = |broken: Broken| NotOpened::Unreachable(broken.why);
        inspect(&shared).await?;
        let mut wire = time_keeper(&shared).await.map_err(unreachable)?;
        let (now, at) = time(&mut wire).await.map_err(unreachable)?;
        let clock = Arc::new(ServerClock::new(now, at));
        let beat = tokio::spawn(follow(shared.clone(), clock.clone(), wire));
        Ok(RedisStore {
            link: Link::new(shared),
            clock,
            beat,
        })
    }

    /// The present by the servers' clock: one for all nodes.
    pub fn clock(&self) -> Arc<ServerClock> {
        self.clock.clone()
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Answers when every partition takes a write now.
    ///
    /// # Errors
    /// Why one does not.
    pub async fn takes_writes(&self) -> crate::store::Result<()> {
        for partition in Partition::all() {
            self.link().write(partition, "guard_ready", Vec::new()).await?;
        }
        Ok(())
    }

    /// Whether a partition is parked, and why: fields of the marker and their values.
    ///
    /// # Errors
    /// As every operation.
    pub async fn standing(&self, partition: Partition) -> crate::store::Result<Vec<String>> {
        let answer = self.link().read(partition, "guard_standing", Vec::new()).await?;
        Ok(items_of(&answer).iter().filter_map(text_of).collect())
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.beat.abort();
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

async fn time_keeper(shared: &Shared) -> Result<Wire, Broken> {
    let route = shared.topology.route(Partition::CONTROL).await?;
    let mut wire = shared.topology.connect(&route.server).await?;
    let known = super::topology::be_primary(&mut wire).await;
    if known.is_err() {
        shared.topology.refresh(route.number).await?;
    }
    known.map(|()| wire)
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
            None => match time_keeper(&shared).await {
                Ok(mut open) => time(&mut open).await.map(|told| (told, open)),
                Err(broken) => Err(broken),
            },
        };
        match told {
            Ok(((now, at), open)) => {
                clock.follow(now, at);
                wire = Some(open);
            }
            Err(broken) => tracing::debug!("the clock runs on by itself: {}", broken.why),
        }
    }
}
