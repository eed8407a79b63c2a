//! What every connection of a node shares: where the servers are, what they have to promise, how far they had come.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::address::Server;
use super::durability::{Promise, Standing, look};
use super::lane::{Kind, Request};
use super::library::Library;
use super::reply::{Reply, pack};
use super::topology::{Topology, be_primary};
use super::trouble::Trouble;
use super::wire::Wire;
use crate::id::{PARTITIONS, Partition};

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
    /// What was said of servers, so that it is said once.
    told: Mutex<HashSet<String>>,
}

impl Shared {
    pub(super) fn new(topology: Topology, promise: Promise, library: Library, node: String) -> Shared {
        Shared {
            topology,
            promise,
            library,
            node,
            replicas: AtomicU32::new(0),
            scripted: Mutex::default(),
            seen: (0..PARTITIONS).map(|_| AtomicU64::new(0)).collect(),
            own: (0..PARTITIONS).map(|_| AtomicU64::new(0)).collect(),
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

    /// What this node was acknowledged, as functions read it: by anyone, and of its own.
    fn watermark(&self, partition: Partition) -> String {
        let at = |marks: &[AtomicU64]| {
            let mark = marks.get(usize::from(partition.index()));
            mark.map_or(0, |mark| mark.load(Ordering::SeqCst))
        };
        format!("{}:{}:{}", at(&self.seen), at(&self.own), self.node)
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
        if kind == Kind::Write {
            let standing = look(&self.topology, &mut wire, &self.promise).await?;
            self.judge(&standing)?;
        }
        Ok(wire)
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
        let watermark = self.watermark(request.partition);
        let name = self.library.name_of(request.function);
        let mut parts: Vec<&[u8]> = Vec::with_capacity(request.args.len() + 6);
        let scripted = self.is_scripted(server);
        match (scripted, request.kind) {
            (false, Kind::Write) => parts.extend([b"FCALL" as &[u8], name.as_bytes(), b"1"]),
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
                    tracing::info!("{server} has no functions, scripts are used");
                    let mut scripted = self.scripted.lock().unwrap_or_else(PoisonError::into_inner);
                    scripted.insert(server.clone());
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
