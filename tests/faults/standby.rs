//! Servers that stand in for each other: a primary with two replicas under three sentinels, or a Cluster of three
//! primaries with a replica each. Knows who is what, and brings everything back to where it began.

use std::time::Instant;

use cordon::id::Partition;
use tempfile::TempDir;

use crate::host::{PATIENCE, PORT, Server};

/// Who stands in for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Sentinel,
    Cluster,
}

pub struct Standby {
    pub layout: Layout,
    pub servers: Vec<Server>,
    sentinels: Vec<Server>,
    dir: TempDir,
}

const MASTER: &str = "cordon";

impl Standby {
    /// Starts one and waits until every replica follows.
    pub fn start(layout: Layout) -> Standby {
        let dir = tempfile::tempdir().unwrap();
        let mut standby = Standby {
            layout,
            servers: Vec::new(),
            sentinels: Vec::new(),
            dir,
        };
        match layout {
            Layout::Sentinel => standby.sentinel(),
            Layout::Cluster => standby.cluster(),
        }
        standby.whole();
        standby
    }

    fn sentinel(&mut self) {
        for n in 1..=3 {
            let follows = format!("replicaof 127.0.0.11 {PORT}\n");
            let more = format!(
                "repl-ping-replica-period 1\nrepl-timeout 5\n{}",
                if n == 1 { "" } else { &follows }
            );
            let ip = format!("127.0.0.1{n}");
            self.servers.push(Server::durable(self.dir.path(), &ip, &more));
        }
        for n in 1..=3 {
            let ip = format!("127.0.0.2{n}");
            let settings = format!(
                "port {PORT}\nprotected-mode no\nbind {ip}\nbind-source-addr {ip}\nsentinel monitor {MASTER} 127.0.0.11 {PORT} 2\n\
                 sentinel down-after-milliseconds {MASTER} 1000\nsentinel failover-timeout {MASTER} 4000\n\
                 sentinel parallel-syncs {MASTER} 2\n"
            );
            let sentinel = Server::start(self.dir.path(), "redis-server", &ip, &settings, &["--sentinel"]);
            self.sentinels.push(sentinel);
        }
    }

    fn cluster(&mut self) {
        let more = "cluster-enabled yes\ncluster-config-file nodes.conf\ncluster-node-timeout 1000\n\
                    repl-ping-replica-period 1\nrepl-timeout 5\ncluster-require-full-coverage no\n";
        let mut members = Vec::new();
        for n in 1..=6 {
            let ip = format!("127.0.0.3{n}");
            self.servers.push(Server::durable(self.dir.path(), &ip, more));
            members.push(format!("{ip}:{PORT}"));
        }
        let made = std::process::Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(&members)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&made.stdout);
        assert!(made.status.success(), "the cluster cannot be made: {said}");
    }

    /// The address for `[store]`.
    pub fn url(&self, prefix: &str) -> String {
        let list = |servers: &[Server]| {
            let all: Vec<String> = servers
                .iter()
                .map(|server| format!("{}:{PORT}", server.ip))
                .collect();
            all.join(",")
        };
        match self.layout {
            Layout::Sentinel => format!(
                "redis-sentinel://{}/{MASTER}?prefix={prefix}",
                list(&self.sentinels)
            ),
            Layout::Cluster => format!("redis-cluster://{}?prefix={prefix}", list(&self.servers)),
        }
    }

    /// Which server has a partition now, as those who decide it see it.
    pub fn primary_of(&self, partition: Partition) -> Option<usize> {
        let ip = match self.layout {
            Layout::Sentinel => {
                let asked = ["SENTINEL", "get-master-addr-by-name", MASTER];
                let said: Vec<String> = self
                    .sentinels
                    .iter()
                    .map(|sentinel| sentinel.ask(&asked))
                    .collect();
                let first = said.first()?.clone();
                // As long as they disagree nobody is.
                if said.iter().any(|other| *other != first) {
                    return None;
                }
                first.lines().next()?.to_owned()
            }
            Layout::Cluster => self.owner(partition)?,
        };
        let n = self.servers.iter().position(|server| server.ip == ip)?;
        (self.servers[n].is_up() && self.servers[n].info("replication", "role") == "master").then_some(n)
    }

    /// A partition's slot, by whoever answers: one server may be stopped or cut off.
    pub fn slot(&self, partition: Partition) -> String {
        let key = format!("{{{partition}}}");
        let up = self.servers.iter().filter(|server| server.is_up());
        up.map(|server| server.ask(&["CLUSTER", "KEYSLOT", &key]))
            .find(|slot| slot.parse::<u64>().is_ok())
            .unwrap_or_default()
    }

    /// Who owns a partition's slot, by most members' word.
    fn owner(&self, partition: Partition) -> Option<String> {
        let slot: u64 = self.slot(partition).parse().ok()?;
        let mut words: Vec<String> = Vec::new();
        for server in self.servers.iter().filter(|server| server.is_up()) {
            let nodes = server.ask(&["CLUSTER", "NODES"]);
            let owner = nodes.lines().find(|line| {
                let ranges = line.split(' ').skip(8).filter(|range| !range.starts_with('['));
                line.contains("master")
                    && !line.contains("fail")
                    && ranges.into_iter().any(|range| covers(range, slot))
            });
            let ip = owner.and_then(|line| line.split(' ').nth(1)?.split(':').next());
            words.push(ip.unwrap_or_default().to_owned());
        }
        let first = words
            .iter()
            .max_by_key(|word| words.iter().filter(|other| other == word).count())?;
        let agreed = words.iter().filter(|word| *word == first).count() * 2 > words.len();
        (agreed && !first.is_empty()).then(|| first.clone())
    }

    pub fn id(&self, n: usize) -> String {
        self.servers[n].ask(&["CLUSTER", "MYID"])
    }

    /// Partitions that a server has.
    pub fn partitions_of(&self, n: usize) -> Vec<u8> {
        Partition::all()
            .filter(|partition| self.layout == Layout::Sentinel || self.primary_of(*partition) == Some(n))
            .map(Partition::index)
            .collect()
    }

    /// Servers that follow this one and have all it wrote, or had.
    pub fn replicas_of(&self, n: usize) -> Vec<usize> {
        let ip = &self.servers[n].ip;
        let follows = |server: &Server| {
            server.is_up()
                && server.info("replication", "role") == "slave"
                && server.info("replication", "master_host") == *ip
        };
        (0..self.servers.len())
            .filter(|other| follows(&self.servers[*other]))
            .collect()
    }

    /// Starts what is dead and waits until everything stands as at first: one primary for each partition, replicas that
    /// follow it and have caught up, and agreement about it.
    pub fn whole(&mut self) {
        for server in self.servers.iter_mut().chain(&mut self.sentinels) {
            if !server.is_up() {
                server.again();
            }
        }
        let begun = Instant::now();
        loop {
            match self.missing() {
                None => return,
                Some(what) => assert!(begun.elapsed() < PATIENCE, "not whole again: {what}"),
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    fn missing(&self) -> Option<String> {
        let wanted = if self.layout == Layout::Sentinel { 2 } else { 1 };
        let mut primaries = Vec::new();
        for partition in Partition::all() {
            let Some(n) = self.primary_of(partition) else {
                return Some(format!("{partition} has no primary"));
            };
            if !primaries.contains(&n) {
                primaries.push(n);
            }
            if self.layout == Layout::Sentinel {
                break;
            }
        }
        for n in primaries {
            let replicas = self.replicas_of(n);
            if replicas.len() < wanted {
                return Some(format!("{} has {} replicas", self.servers[n].ip, replicas.len()));
            }
            for replica in replicas {
                let server = &self.servers[replica];
                if server.info("replication", "master_link_status") != "up" {
                    return Some(format!("{} has no link to its primary", server.ip));
                }
            }
            let online = self.servers[n].info("replication", "connected_slaves");
            if online.parse::<usize>().unwrap_or(0) < wanted {
                return Some(format!("{} knows of {online} replicas", self.servers[n].ip));
            }
        }
        if self.layout == Layout::Sentinel {
            for sentinel in &self.sentinels {
                let seen = sentinel.ask(&["SENTINEL", "replicas", MASTER]);
                if seen.matches("\nslave\n").count() < 2
                    || seen.contains("s_down")
                    || seen.contains("disconnected")
                {
                    return Some(format!("{} does not see two replicas", sentinel.ip));
                }
                let master = sentinel.ask(&["SENTINEL", "master", MASTER]);
                if master.contains("failover_in_progress") || master.contains("s_down") {
                    return Some(format!("{} is in a failover", sentinel.ip));
                }
            }
        }
        None
    }

    /// Asks the sentinels, or a replica, for a failover now.
    pub fn fail_over(&self, replica: usize, how: Option<&str>) -> String {
        match self.layout {
            Layout::Sentinel => self.sentinels[0].ask(&["SENTINEL", "FAILOVER", MASTER]),
            Layout::Cluster => {
                let mut words = vec!["CLUSTER", "FAILOVER"];
                words.extend(how);
                self.servers[replica].ask(&words)
            }
        }
    }

    /// Makes the sentinels prefer this replica.
    pub fn prefer(&self, replica: Option<usize>) {
        for (n, server) in self.servers.iter().enumerate() {
            if server.is_up() {
                let priority = if replica.is_none_or(|preferred| preferred == n) {
                    "100"
                } else {
                    "0"
                };
                server.ask(&["CONFIG", "SET", "replica-priority", priority]);
            }
        }
    }
}

fn covers(range: &str, slot: u64) -> bool {
    let (from, to) = range.split_once('-').unwrap_or((range, range));
    matches!((from.parse::<u64>(), to.parse::<u64>()), (Ok(from), Ok(to)) if (from..=to).contains(&slot))
}
