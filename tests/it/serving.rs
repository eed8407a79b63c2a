//! A server from a configuration file, as `cordon serve` starts one: with a store on disk, sources, and whatever
//! content a test lays beside it.

use std::path::Path;
use std::time::{Duration, Instant};

use cordon::app::{ServeOptions, Server};
use cordon::config::Config;
use cordon::id::{AlertId, Partition};
use cordon::store::{Alert, Disposition, RunQuery};
use serde_json::Value;

/// Longest a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, and a client for its senders.
pub struct Serving {
    pub server: Server,
    pub url: String,
    pub http: reqwest::Client,
}

impl Serving {
    /// Starts with this configuration in `dir`, which it may name files of. It listens where the text says, else on
    /// a free port.
    pub async fn start(dir: &Path, text: &str) -> Serving {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = "[store]\nurl = \"sqlite:cordon.db\"\n";
        let listen = if text.contains("[server]") {
            ""
        } else {
            "[server]\nlisten = \"127.0.0.1:0\"\n"
        };
        let config = Config::parse("cordon.toml", &format!("{store}{listen}{text}"), dir);
        let config = config.unwrap_or_else(|found| {
            let told: Vec<String> = found.iter().map(ToString::to_string).collect();
            panic!("{}", told.join("\n"))
        });
        let server = Server::start(&config, &ServeOptions::default()).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
        Serving {
            url: format!("http://{}", server.address),
            server,
            http: http.unwrap(),
        }
    }

    /// Delivers a body; the status and what the server said.
    pub async fn deliver(&self, source: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, Value) {
        let mut request = self.http.post(format!("{}/hooks/{source}", self.url)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        (
            answer.status().as_u16(),
            answer.json().await.unwrap_or(Value::Null),
        )
    }

    /// The same, where it has to be kept.
    pub async fn kept(&self, source: &str, headers: &[(&str, &str)], body: Vec<u8>) -> AlertId {
        let (status, said) = self.deliver(source, headers, body).await;
        assert_eq!(status, 202, "{said}");
        said["alert"].as_str().unwrap().parse().unwrap()
    }

    /// Every alert of a source, the oldest first.
    pub async fn alerts(&self, source: &str) -> Vec<Alert> {
        let mut found = Vec::new();
        for partition in Partition::all() {
            for row in self
                .server
                .store
                .alerts(partition, None, None, 1_000)
                .await
                .unwrap()
            {
                if row.source == source {
                    found.push(self.server.store.alert(partition, row.id).await.unwrap().unwrap());
                }
            }
        }
        found.sort_by_key(|alert| alert.row.received_at);
        found
    }

    /// What became of an alert, once something did, and the last word of its journal.
    pub async fn disposed(&self, id: AlertId) -> (Disposition, String) {
        let begun = Instant::now();
        loop {
            let alert = self
                .server
                .store
                .alert(id.partition(), id)
                .await
                .unwrap()
                .unwrap();
            if alert.row.disposition != Disposition::Pending {
                let chain = cordon::journal::ChainId::Alert(id);
                let journal = self.server.store.journal(id.partition(), chain, 0).await.unwrap();
                return (alert.row.disposition, journal.last().unwrap().payload.to_string());
            }
            assert!(begun.elapsed() < PATIENCE, "{id} is still pending");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for this many alerts of a source that were disposed of; their dispositions and last words.
    pub async fn all_disposed(&self, source: &str, count: usize) -> Vec<(Disposition, String)> {
        let begun = Instant::now();
        loop {
            let alerts = self.alerts(source).await;
            if alerts.len() >= count {
                let mut told = Vec::new();
                for alert in alerts {
                    told.push(self.disposed(alert.row.id).await);
                }
                return told;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{source} has sent {} alerts",
                alerts.len()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Runs of the test's own playbook; shipped ones may start on the same finding.
    pub async fn runs(&self) -> usize {
        let query = RunQuery {
            limit: 1_000,
            ..RunQuery::default()
        };
        let mut count = 0;
        for partition in Partition::all() {
            let runs = self.server.store.runs(partition, &query).await.unwrap();
            count += runs.iter().filter(|run| run.playbook == "watch").count();
        }
        count
    }
}

/// A playbook that does nothing but be started, by findings of one rule.
pub fn watch(dir: &Path, rule: &str) {
    let folder = dir.join("playbooks/test/watch");
    std::fs::create_dir_all(&folder).unwrap();
    let manifest = "id = \"watch\"\ntitle = \"Watch\"\nkind = \"response\"\nowner = \"tests\"\n";
    std::fs::write(folder.join("playbook.toml"), manifest).unwrap();
    std::fs::write(folder.join("playbook.rhai"), "note(`seen: ${finding.title}`);\n").unwrap();
    let trigger = format!(
        "title: Watch\nlogsource: {{ product: cordon, category: finding }}\ndetection:\n  rule: {{ rule.uid: '{rule}' }}\n  \
         condition: rule\nlevel: high\ncordon: {{ key: [uid], window: 1h }}\n"
    );
    std::fs::write(folder.join("trigger.yml"), trigger).unwrap();
}
