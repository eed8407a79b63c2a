//! One or several `cordon serve` over one store, and what can be seen of them from outside.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use cordon::digest::Digest;
use cordon::range::{Host, Range, RangeConfig, RunningRange};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::content::{Playbook, host_name};
use crate::sink::{Sink, Took};

/// What senders show.
pub const KEY: &str = "a key for load, not secret";
/// How long nothing may change before the rest counts as lost.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(100);

/// What the load runs on.
#[derive(Clone, Default)]
pub struct Setup {
    /// A Redis; SQLite in a folder of its own when `None`.
    pub store: Option<String>,
    /// Nodes; 0 means 1.
    pub nodes: usize,
}

impl Setup {
    pub fn title(&self) -> String {
        let nodes = self.nodes.max(1);
        let store = if self.store.is_some() { "Redis" } else { "SQLite" };
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        format!("load on {store}, {nodes} node(s), {cores} cores")
    }
}

struct Node {
    child: Child,
    url: String,
}

/// Nodes over one store, with their vendor.
pub struct Cluster {
    nodes: Vec<Node>,
    range: RunningRange,
    folder: tempfile::TempDir,
    token: String,
    client: reqwest::Client,
}

impl Cluster {
    pub async fn start(setup: &Setup, sink: &Sink, playbooks: &[Playbook]) -> Cluster {
        Cluster::with_hosts(setup, sink, playbooks, 0).await
    }

    /// With the hosts of so many alerts at the vendor.
    pub async fn with_hosts(setup: &Setup, sink: &Sink, playbooks: &[Playbook], alerts: usize) -> Cluster {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/load");
        std::fs::create_dir_all(&root).unwrap();
        let folder = tempfile::tempdir_in(root).unwrap();
        let hosts = (0..alerts).flat_map(|n| (0..3).map(move |k| host_name(n, k)));
        let range = Range::start(RangeConfig {
            seed: hosts.map(|name| host(&name)).collect(),
            ..RangeConfig::default()
        })
        .await
        .unwrap();
        write_files(setup, folder.path(), sink, &range, playbooks);
        let mut cluster = Cluster {
            nodes: Vec::new(),
            range,
            folder,
            token: String::new(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        };
        for _ in 0..setup.nodes.max(1) {
            let (node, token) = start_node(cluster.folder.path()).await;
            cluster.nodes.push(node);
            cluster.token = token.unwrap_or(std::mem::take(&mut cluster.token));
        }
        cluster
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn urls(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.url.as_str())
    }

    async fn metrics(&self) -> String {
        let asked = self
            .client
            .get(format!("{}/metrics", self.nodes[0].url))
            .bearer_auth(&self.token)
            .send()
            .await;
        match asked {
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// The sum of all lines of a metric whose labels hold `label`; `None` when there is none.
    async fn metric(&self, name: &str, label: &str) -> Option<usize> {
        let text = self.metrics().await;
        let lines = text.lines().filter_map(|line| {
            let (what, value) = line.rsplit_once(' ')?;
            let fits = what == name || what.strip_prefix(name)?.starts_with('{');
            (fits && what.contains(label))
                .then(|| value.parse::<f64>().ok())
                .flatten()
        });
        let values: Vec<f64> = lines.collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() as usize)
    }

    /// Waits until nothing is left to do: no alert pending and no run open.
    pub async fn settled(&self) {
        let mut last = (usize::MAX, usize::MAX);
        let mut since = Instant::now();
        loop {
            let pending = self.metric("cordon_alerts", "pending").await;
            let open = self.metric("cordon_runs", "open").await;
            let now = (pending.unwrap_or(usize::MAX), open.unwrap_or(usize::MAX));
            if now == (0, 0) {
                return;
            }
            if now != last {
                (last, since) = (now, Instant::now());
            }
            if since.elapsed() > PATIENCE {
                println!(
                    "  not settled after {PATIENCE:?} without change: {} pending alerts, {} open runs",
                    now.0, now.1
                );
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until so many runs are open and no alert is pending.
    pub async fn waiting(&self, count: usize) {
        let began = Instant::now();
        let mut approvals = 0;
        while began.elapsed() < PATIENCE * 10 {
            let open = self.metric("cordon_runs", "open").await.unwrap_or(0);
            let pending = self
                .metric("cordon_alerts", "pending")
                .await
                .unwrap_or(usize::MAX);
            if open >= count && pending == 0 {
                // Nothing is being worked on when the processes have come to rest.
                let before = self.busy_ticks();
                tokio::time::sleep(Duration::from_secs(2)).await;
                approvals = self.busy_ticks() - before;
                if approvals < 40 {
                    return;
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        println!("  not all {count} wait; busy {approvals} ticks");
    }

    /// Alerts kept.
    pub async fn alerts(&self) -> usize {
        self.metric("cordon_alerts", "").await.unwrap_or(0)
    }

    /// Waits until so many hosts are contained at the vendor.
    pub async fn contained(&self, count: usize) {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            let now = self.in_force();
            if now >= count || since.elapsed() > PATIENCE {
                return;
            }
            if now > last {
                (last, since) = (now, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn in_force(&self) -> usize {
        let hosts = self.range.hosts();
        hosts
            .iter()
            .filter(|host| host.status == cordon::range::Status::Contained)
            .count()
    }

    /// What the vendor's own ledger says.
    pub fn containment(&self, expected: usize) -> String {
        let mut times = std::collections::BTreeMap::<String, usize>::new();
        for line in self
            .range
            .ledger()
            .lines()
            .iter()
            .filter(|line| line.applied && line.action == "contain")
        {
            *times.entry(line.target.clone().unwrap_or_default()).or_default() += 1;
        }
        let twice = times.values().filter(|n| **n > 1).count();
        format!(
            "{} of {expected} contained, lost {}, twice {twice}",
            self.in_force(),
            expected as i64 - self.in_force() as i64
        )
    }

    fn ids(&self) -> impl Iterator<Item = u32> {
        self.nodes.iter().filter_map(|node| node.child.id())
    }

    /// Resident memory of each node.
    pub fn resident(&self) -> String {
        let mut text = String::new();
        for id in self.ids() {
            let _ = write!(
                text,
                "{}{:.1} MiB",
                if text.is_empty() { "" } else { " + " },
                resident_kib(id) as f64 / 1024.0
            );
        }
        text
    }

    /// Memory, threads and file handles of each node.
    pub fn costs(&self) -> String {
        let mut text = String::new();
        for id in self.ids() {
            let entries =
                |what: &str| std::fs::read_dir(format!("/proc/{id}/{what}")).map_or(0, Iterator::count);
            let _ = write!(
                text,
                "{}{:.1} MiB, {} threads, {} file handles",
                if text.is_empty() { "" } else { " + " },
                resident_kib(id) as f64 / 1024.0,
                entries("task"),
                entries("fd")
            );
        }
        text
    }

    /// Ticks of processor time that all nodes have used, a hundredth of a second each.
    fn busy_ticks(&self) -> u64 {
        self.ids().map(ticks).sum()
    }

    pub async fn idle_cpu(&self, during: Duration) -> String {
        let before = self.busy_ticks();
        tokio::time::sleep(during).await;
        let used = self.busy_ticks() - before;
        format!("{:.1} % of one core", used as f64 / during.as_secs_f64())
    }

    pub async fn stop(mut self) {
        for node in &mut self.nodes {
            if let Some(pid) = node
                .child
                .id()
                .and_then(|id| rustix::process::Pid::from_raw(id as i32))
            {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
        for node in &mut self.nodes {
            match tokio::time::timeout(Duration::from_secs(30), node.child.wait()).await {
                Ok(Ok(status)) if status.success() => {}
                other => println!("  a node did not stop in order: {other:?}"),
            }
        }
        self.range.stop().await;
    }
}

/// A host as the range has it: its id is 32 hexadecimal digits, as Falcon's are.
fn host(name: &str) -> Host {
    let digest = Digest::of(name.as_bytes()).to_string();
    Host::new(digest.chars().take(32).collect::<String>(), name)
}

fn write_files(setup: &Setup, folder: &Path, sink: &Sink, range: &RunningRange, playbooks: &[Playbook]) {
    for (name, text) in [
        ("key", KEY),
        ("client-id", "range-client"),
        ("client-secret", "range-secret"),
        ("sealing-key", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let store = match &setup.store {
        // A prefix of its own, so that every figure begins with an empty store.
        Some(url) => {
            let mark = if url.contains('?') { '&' } else { '?' };
            let prefix = folder
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .replace('.', "");
            format!("url = \"{url}{mark}prefix=load-{prefix}:\"\nkey = \"file:sealing-key\"")
        }
        None => "url = \"sqlite:cordon.db\"".to_owned(),
    };
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:0"
[store]
{store}
[content]
playbooks = "playbooks"
[groups]
leads = ["ana"]
[[source]]
name = "load"
use = "generic"
auth = {{ kind = "header", header = "x-load", secrets = ["file:key"] }}
[connectors.http]
base_url = "http://{}"
settings = {{ keyed = true }}
[connectors.crowdstrike]
base_url = "{}"
credentials = {{ client_id = "file:client-id", client_secret = "file:client-secret" }}
"#,
        sink.address,
        range.base_url()
    );
    std::fs::write(folder.join("cordon.toml"), text).unwrap();
    let all = folder.join("playbooks");
    std::fs::create_dir_all(&all).unwrap();
    for playbook in playbooks {
        let folder = all.join(playbook.id);
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in [
            ("playbook.toml", playbook.manifest()),
            ("playbook.rhai", playbook.script.to_owned()),
            ("trigger.yml", playbook.trigger()),
        ] {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
}

async fn start_node(folder: &Path) -> (Node, Option<String>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cordon"))
        .args(["serve", "--config", "cordon.toml"])
        .current_dir(folder)
        .env("CORDON_LOG", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut token = None;
    let mut said = Vec::new();
    loop {
        let Some(line) = lines.next_line().await.unwrap() else {
            panic!("the server ended before it listened:\n{}", said.join("\n"));
        };
        if let Some((_, shown)) = line.split_once("export CORDON_TOKEN=") {
            token = Some(shown.to_owned());
        }
        if let Some(url) = line.strip_prefix("listening on ") {
            let url = url.to_owned();
            tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    eprintln!("  server: {line}");
                }
            });
            return (Node { child, url }, token);
        }
        said.push(line);
    }
}

fn resident_kib(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}

fn ticks(id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // After the name in parentheses: user time is the 12th word, system time the 13th.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let number = |n: usize| {
        rest.split_whitespace()
            .nth(n)
            .and_then(|word| word.parse::<u64>().ok())
    };
    number(11).unwrap_or(0) + number(12).unwrap_or(0)
}

/// How long one durable append to a file takes here and now.
pub fn fsync(folder: &Path) -> Took {
    use std::io::Write as _;
    let mut file = std::fs::File::create(folder.join("probe")).unwrap();
    Took::new(
        (0..500)
            .map(|_| {
                let began = Instant::now();
                file.write_all(&[7; 512]).unwrap();
                file.sync_data().unwrap();
                began.elapsed()
            })
            .collect(),
    )
}
