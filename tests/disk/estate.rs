//! What the disk tests have around the server: a range that keeps its ledger on a sound disk, a sender, and the judge.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use cordon::digest::Digest;
use cordon::id::Partition;
use cordon::journal::{ChainId, Event, RunState, verify};
use cordon::range::{Host, Range, RangeConfig, RunningRange, Status};
use cordon::store::sqlite::{Options, SqliteStore};
use cordon::store::{Alerts as _, Disposition, Feed as _, RunQuery, RunStatus, Runs as _, Targets as _};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::node::Node;

const KEY: &str = "a key for tests, not secret";
pub const HOSTS: usize = 24;
/// How long anything may take before a test gives up; never a measure of speed.
pub const PATIENCE: Duration = Duration::from_secs(90);

pub fn host(n: usize) -> String {
    format!("web-{n:02}")
}

/// A file system of its own; gone when dropped.
pub struct Disk(PathBuf);

impl Disk {
    pub fn mount(path: &Path, mebibytes: u32) -> Disk {
        std::fs::create_dir_all(path).unwrap();
        let size = format!("size={mebibytes}m,mode=700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(path)
            .status();
        assert!(
            mounted.is_ok_and(|status| status.success()),
            "a file system cannot be mounted: run `scripts/disk` or `scripts/test`, as root"
        );
        Disk(path.to_owned())
    }

    /// Fills it to the last byte.
    pub fn fill(&self) {
        use std::io::Write as _;
        let mut ballast = std::fs::File::create(self.0.join("ballast")).unwrap();
        for block in [1 << 20, 4_096, 1] {
            let block = vec![0x55; block];
            while ballast.write_all(&block).is_ok() {}
        }
    }

    pub fn make_room(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: somebody who still reads must not keep it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

pub struct Estate {
    pub dir: TempDir,
    pub range: RunningRange,
    client: reqwest::Client,
}

impl Estate {
    /// A folder with configuration and a playbook that contains each host of a finding. `store` goes below `[store]`.
    pub async fn new(store: &str) -> Estate {
        let dir = tempfile::tempdir().unwrap();
        let hosts = (0..HOSTS).map(|n| {
            let name = host(n);
            let id: String = Digest::of(name.as_bytes()).to_string().chars().take(32).collect();
            Host::new(id, name)
        });
        let range = Range::start(RangeConfig {
            seed: hosts.collect(),
            ledger: Some(dir.path().join("ledger.jsonl")),
            ..RangeConfig::default()
        });
        let range = range.await.unwrap();
        for (name, text) in [
            ("key", KEY),
            ("client-id", "range-client"),
            ("client-secret", "range-secret"),
            (
                "playbooks/contain/playbook.toml",
                "id = \"contain\"\ntitle = \"Contain hosts\"\nkind = \"response\"\nowner = \"tests\"\non_failure = \"keep\"\n",
            ),
            (
                "playbooks/contain/playbook.rhai",
                "each(finding.all(\"host\"), |host| endpoint::isolate(host));\n\
                 notify::oncall(#{ subject: finding.title, results: [] });\n",
            ),
            (
                "playbooks/contain/trigger.yml",
                "title: Contain\nlogsource: { product: cordon, category: finding }\ndetection:\n  \
                 host: { affected.type: host, rule.uid: beacon }\n  condition: host\nlevel: high\n\
                 cordon: { key: [affected.uid, rule.uid], window: 1h }\n",
            ),
        ] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[store]\n{store}\n[content]\nplaybooks = \"playbooks\"\n\
             [[source]]\nname = \"generic\"\nuse = \"generic\"\n\
             auth = {{ kind = \"header\", header = \"x-cordon-key\", secrets = [\"file:key\"] }}\n\
             [connectors.crowdstrike]\nbase_url = \"{}\"\n\
             credentials = {{ client_id = \"file:client-id\", client_secret = \"file:client-secret\" }}\n\
             lag = \"200ms\"\nin_flight = \"300ms\"\npropagation = \"2s\"\ntimeout = \"2s\"\n",
            range.base_url()
        );
        std::fs::write(dir.path().join("cordon.toml"), config).unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        Estate { dir, range, client }
    }

    /// Sends alert `n` about its host. The status, and whether the sender is told when to come again; `None` when nobody
    /// answers.
    pub async fn send(&self, node: &Node, n: usize) -> Option<(u16, bool)> {
        let body = json!({
            "uid": format!("b-{n}"),
            "title": "beacon found",
            "severity": "high",
            "rule": { "uid": "beacon", "name": "beacon" },
            "entities": [{ "type": "host", "role": "affected", "name": host(n % HOSTS) }],
            "padding": "x".repeat(20_000),
        });
        let request = self.client.post(format!("{}/hooks/generic", node.url));
        let answer = request
            .header("x-cordon-key", KEY)
            .json(&body)
            .send()
            .await
            .ok()?;
        let again = answer
            .headers()
            .get("retry-after")
            .and_then(|after| after.to_str().ok()?.parse::<u64>().ok())
            .is_some_and(|seconds| seconds > 0);
        Some((answer.status().as_u16(), again))
    }

    pub async fn status(&self, node: &Node, path: &str) -> Option<u16> {
        let answer = self.client.get(format!("{}{path}", node.url)).send().await.ok()?;
        Some(answer.status().as_u16())
    }

    pub async fn api(&self, node: &Node, token: &str, path: &str) -> Option<Value> {
        let request = self.client.get(format!("{}{path}", node.url)).bearer_auth(token);
        request.send().await.ok()?.json().await.ok()
    }

    /// Waits until nothing is pending and no run is open.
    pub async fn rest(&self, node: &Node, token: &str) {
        let began = Instant::now();
        loop {
            let counts = self.api(node, token, "/api/status").await.unwrap_or_default();
            let of = |path: &str| counts.pointer(path).and_then(Value::as_u64).unwrap_or(0);
            if counts.pointer("/counts").is_some()
                && of("/counts/alerts/pending") + of("/counts/runs/open") + of("/counts/runs/parked") == 0
            {
                return;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "not at rest: {counts}\n{}",
                node.words()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub fn contained(&self) -> usize {
        (0..HOSTS)
            .map(|n| self.range.ledger().applied("contain", &host(n)))
            .sum()
    }

    /// Holds the database, with the server down, against what senders were promised and against the ledger.
    pub async fn judge(&self, db: &Path, promised: &BTreeSet<usize>) {
        let store = SqliteStore::open(db, Options::default()).unwrap();
        let (mut alerts, mut intents) = (0, Vec::new());
        for partition in Partition::all() {
            for row in store.alerts(partition, None, None, 10_000).await.unwrap() {
                let chain = store.journal(partition, ChainId::Alert(row.id), 0).await.unwrap();
                verify(&chain).unwrap();
                assert_eq!(row.disposition, Disposition::Split, "{}", row.id);
                alerts += 1;
            }
            let all = RunQuery {
                limit: 10_000,
                ..RunQuery::default()
            };
            for row in store.runs(partition, &all).await.unwrap() {
                assert_eq!(row.status, RunStatus::Settled, "{row:?}");
                let entries = store.journal(partition, ChainId::Run(row.id), 0).await.unwrap();
                assert_eq!(verify(&entries).unwrap(), row.last);
                let state = RunState::fold(&entries).unwrap();
                for effect in state.effects.values() {
                    let name = effect.target.as_ref().map(|target| target.name.clone());
                    intents.extend(effect.attempts.iter().map(|attempt| (name.clone(), attempt.at.0)));
                }
                assert!(
                    entries
                        .iter()
                        .any(|entry| matches!(entry.event(), Ok((_, Event::RunSettled { .. })))),
                    "{} has no end",
                    row.id
                );
            }
            assert_eq!(store.locks(partition).await.unwrap(), vec![], "no lock is left");
            let counts = store
                .counts(partition, cordon::clock::Time(i64::MAX / 2))
                .await
                .unwrap();
            assert_eq!(counts.stuck, 0);
        }
        // A delivery whose answer was lost may be there without having been promised; one that was promised is.
        assert!(
            alerts >= promised.len(),
            "{alerts} alerts of {} promised",
            promised.len()
        );
        let ledger = self.range.ledger();
        for n in promised {
            let name = host(n % HOSTS);
            assert_eq!(ledger.applied("contain", &name), 1, "{name} was contained once");
            assert_eq!(
                ledger.changed("contain", &name),
                1,
                "{name} was not contained again blindly"
            );
            assert_eq!(self.range.host(&name).unwrap().status, Status::Contained);
        }
        let lines = ledger.lines();
        for line in lines
            .iter()
            .filter(|line| line.applied && line.action == "contain")
        {
            let before = intents
                .iter()
                .any(|(name, at)| name.as_ref().is_some_and(|name| line.is_about(name)) && *at <= line.at_ms);
            assert!(before, "line {} has no intent before it", line.n);
        }
    }
}
