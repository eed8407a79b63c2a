//! What every connection of a node shares: where the servers are, what they have to promise, how far they had come.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::address::Server;
use super::clock::ServerClock;
use super::durability::{Promise, Standing, look};
use super::guard::Guard;
use super::lane::{Kind, Request};
use super::library::Library;
use super::noted::Notes;
use super::reply::{Reply, pack};
use super::topology::{Topology, be_primary};
use super::trouble::Trouble;
use super::wire::Wire;
use crate::clock::{Clock as _, Time};
use crate::id::Partition;
use crate::limits::REDIS_SETTLE_MS;

pub(super) struct Shared {
    pub(super) topology: Topology,
    pub(super) promise: Promise,
    library: Library,
    /// What this node is called.
    node: String,
    /// Replicas a commit takes.
    replicas: AtomicU32,
    /// Servers without Functions, which are sent scripts.
    scripted: Mutex<HashSet<Server>>,
    /// The highest generation acknowledged to this node, by partition.
    seen: Vec<AtomicU64>,
    /// The same of what this node wrote itself.
    own: Vec<AtomicU64>,
    /// Which life of which server had a partition last.
    lives: Mutex<HashMap<Partition, String>>,
    /// Lives of servers that nobody writes to yet, and until when.
    settled: Mutex<HashMap<String, Instant>>,
    /// Rung when a server took over.
    pub(super) changed: Notify,
    /// What this node was acknowledged, call by call.
    pub(super) notes: Notes,
    /// Partitions that are parked.
    pub(super) guard: Guard,
    clock: Arc<ServerClock>,
    /// What was said of servers, so that it is said once.
    told: Mutex<HashSet<String>>,
}

impl Shared {
    /// What an earlier process of this node was acknowledged (`notes`) is held against the servers as well.
    pub(super) fn new(
        topology: Topology,
        promise: Promise,
        node: String,
        notes: Notes,
        clock: Arc<ServerClock>,
    ) -> Shared {
        let highest = || Partition::all().map(|partition| AtomicU64::new(notes.highest(partition)));
        Shared {
            topology,
            promise,
            library: Library::new(),
            node,
            replicas: AtomicU32::new(0),
            scripted: Mutex::default(),
            seen: highest().collect(),
            own: highest().collect(),
            lives: Mutex::default(),
            settled: Mutex::default(),
            changed: Notify::new(),
            notes,
            guard: Guard::default(),
            clock,
            told: Mutex::default(),
        }
    }

    pub(super) fn replicas(&self) -> u32 {
        self.replicas.load(Ordering::Relaxed)
    }

    pub(super) fn set_replicas(&self, replicas: u32) {
        self.replicas.store(replicas, Ordering::Relaxed);
    }

    /// What every key of a partition begins with. The braces make it one slot of a Cluster.
    pub(super) fn root(&self, partition: Partition) -> String {
        format!("{}{{{partition}}}", self.topology.address().prefix)
    }

    pub(super) fn node(&self) -> &str {
        &self.node
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    /// What this node was acknowledged: by anyone, and of its own.
    pub(super) fn marks(&self, partition: Partition) -> (u64, u64) {
        let at = |marks: &[AtomicU64]| {
            let mark = marks.get(usize::from(partition.index()));
            mark.map_or(0, |mark| mark.load(Ordering::SeqCst))
        };
        (at(&self.seen), at(&self.own))
    }

    /// A generation was acknowledged, and this node's own.
    pub(super) fn acknowledged(&self, partition: Partition, generation: u64, own: u64) {
        for (marks, mark) in [(&self.seen, generation), (&self.own, own)] {
            if let Some(known) = marks.get(usize::from(partition.index())) {
                known.fetch_max(mark, Ordering::SeqCst);
            }
        }
    }

    /// A connection for calls of one kind, to a server that is a primary and promises what was asked for.
    pub(super) async fn connect(&self, server: &Server, kind: Kind) -> Result<Wire, Trouble> {
        let mut wire = self.topology.connect(server).await?;
        be_primary(&mut wire).await?;
        if kind != Kind::Read {
            let standing = look(&self.topology, &mut wire, &self.promise).await?;
            self.judge(&standing)?;
            if self.is_new_life(server, &standing.run_id) {
                self.changed.notify_one();
                tokio::time::sleep(Duration::from_millis(REDIS_SETTLE_MS)).await;
            }
        }
        Ok(wire)
    }

    /// Whether a server has what another one, or an earlier life of it, had: then it may have less of it.
    fn is_new_life(&self, server: &Server, run_id: &str) -> bool {
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        let mut is_new = false;
        for partition in self.topology.partitions_of(server) {
            let before = lives.insert(partition, run_id.to_owned());
            is_new |= before.is_some_and(|before| before != run_id);
        }
        // The other connections to it are made at about the same time, and wait as well.
        let now = Instant::now();
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        if is_new {
            settled.insert(run_id.to_owned(), now + Duration::from_millis(REDIS_SETTLE_MS));
        }
        settled.retain(|_, until| *until > now);
        is_new || settled.contains_key(run_id)
    }

    /// Refuses to write where a write would not be safe.
    fn judge(&self, standing: &Standing) -> Result<(), Trouble> {
        for unseen in &standing.unseen {
            self.once(unseen, |text| tracing::warn!("{text}"));
        }
        let Some(first) = standing.findings.first() else {
            return Ok(());
        };
        for finding in &standing.findings {
            self.once(&finding.to_string(), |text| {
                tracing::error!("nothing is written until this is mended: {text}");
            });
        }
        Err(Trouble::Elsewhere {
            why: first.to_string(),
        })
    }

    /// Says something the first time.
    pub(super) fn once(&self, text: &str, say: impl FnOnce(&str)) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(text.to_owned()) {
            say(text);
        }
    }

    /// A call, packed for a server.
    pub(super) fn pack_call(&self, to: &mut Vec<u8>, server: &Server, request: &Request) {
        let root = self.root(request.partition);
        let (seen, own) = self.marks(request.partition);
        let watermark = format!("{seen}:{own}:{}", self.node);
        let name = self.library.name_of(request.function);
        let mut parts: Vec<&[u8]> = Vec::with_capacity(request.args.len() + 6);
        let scripted = self.is_scripted(server);
        match (scripted, request.kind) {
            (false, Kind::Write | Kind::Raw) => parts.extend([b"FCALL" as &[u8], name.as_bytes(), b"1"]),
            (false, Kind::Read) => parts.extend([b"FCALL_RO" as &[u8], name.as_bytes(), b"1"]),
            (true, _) => parts.extend([b"EVALSHA" as &[u8], self.library.sha().as_bytes(), b"1"]),
        }
        parts.push(root.as_bytes());
        if scripted {
            parts.push(request.function.as_bytes());
        }
        parts.push(watermark.as_bytes());
        parts.extend(request.args.iter().map(Vec::as_slice));
        pack(to, &parts);
    }

    fn is_scripted(&self, server: &Server) -> bool {
        let scripted = self.scripted.lock().unwrap_or_else(PoisonError::into_inner);
        scripted.contains(server)
    }

    /// From now on a server is sent scripts.
    pub(super) fn use_scripts(&self, server: &Server) {
        let mut scripted = self.scripted.lock().unwrap_or_else(PoisonError::into_inner);
        if scripted.insert(server.clone()) {
            tracing::info!("{server} has no functions for us, scripts are used");
        }
    }

    /// Gives a server our functions, or our script where it has no functions.
    pub(super) async fn load_library(&self, wire: &mut Wire) -> Result<(), Trouble> {
        let server = wire.server().clone();
        if !self.is_scripted(&server) {
            match wire.ask(&["FUNCTION", "LOAD", self.library.functions()]).await? {
                Reply::Value(_) => {
                    tracing::info!("{server} was given the function library {}", self.library.name());
                    return Ok(());
                }
                // Another node was faster.
                Reply::Refused { detail, .. } if detail.contains("already exists") => return Ok(()),
                Reply::Refused { detail, .. } if detail.starts_with("unknown command") => {
                    self.use_scripts(&server);
                }
                Reply::Refused { code, detail } => {
                    return Err(super::trouble::trouble(&server, &code, &detail));
                }
            }
        }
        match wire.ask(&["SCRIPT", "LOAD", self.library.script()]).await? {
            Reply::Value(_) => Ok(()),
            Reply::Refused { code, detail } => Err(super::trouble::trouble(&server, &code, &detail)),
        }
    }
}
