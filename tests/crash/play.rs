//! One case: a scenario played against a server that is killed at given points and started again, until every
//! run is settled. The range and the sender live on in this process, as a vendor and a SIEM do.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use cordon::clock::{Clock as _, SystemClock};
use cordon::id::RunId;
use cordon::range::{Range, RangeConfig, RunningRange};
use cordon::store::{AlertRow, Disposition, RunRow};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::check;
use crate::scenario::{Scenario, host};
use crate::server::{Ended, Server};

/// How long a case may take before its runs count as stuck.
const PATIENCE: Duration = Duration::from_secs(45);
const LOOK: Duration = Duration::from_millis(25);
const LEDGER: &str = "ledger.jsonl";
const KEY: &str = "a key for tests, not secret";

/// A folder to start cases from: configuration, content, an empty database, and the token of its first start.
pub struct Ground {
    dir: TempDir,
    token: String,
    /// The run to undo.
    contained: Option<RunId>,
}

/// What a case showed.
#[derive(Default)]
pub struct Played {
    /// Names of all points passed, where the server was not killed.
    pub passed: Vec<String>,
    /// Names of the points it was killed at.
    pub kills: Vec<String>,
    /// From each start after a kill to the first entry in any journal, ms.
    pub resumed_ms: Vec<u64>,
    /// From the last start after a kill to all runs settled, ms.
    pub settled_ms: Vec<u64>,
    /// From each start to listening, ms.
    pub up_ms: Vec<u64>,
    pub violations: Vec<String>,
}

struct Estate<'a> {
    dir: &'a Path,
    token: String,
    client: reqwest::Client,
    /// Where the server listens now.
    url: watch::Sender<String>,
}

/// One for all cases: building one reads the machine's root certificates, which takes longer than a case's work.
fn client() -> reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    let client = CLIENT.get_or_init(|| {
        // Fails only when a provider is there already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(5))
            .build()
            .unwrap()
    });
    client.clone()
}

async fn start_range(scenario: &Scenario, dir: &Path) -> RunningRange {
    let config = RangeConfig {
        seed: scenario.hosts.iter().map(|name| host(name)).collect(),
        ledger: Some(dir.join(LEDGER)),
        ..RangeConfig::default()
    };
    let range = Range::start(config).await.unwrap();
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:0"
[store]
url = "sqlite:cordon.db"
[content]
playbooks = "playbooks"
[[source]]
name = "generic"
use = "generic"
auth = {{ kind = "header", header = "x-cordon-key", secrets = ["file:key"] }}
[connectors.crowdstrike]
base_url = "{}"
credentials = {{ client_id = "file:client-id", client_secret = "file:client-secret" }}
lag = "200ms"
in_flight = "300ms"
propagation = "2s"
timeout = "2s"
"#,
        range.base_url()
    );
    std::fs::write(dir.join("cordon.toml"), text).unwrap();
    range
}

/// Makes the ground of a scenario: what happens before the first kill.
pub async fn prepare(scenario: &Scenario) -> Ground {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("key", KEY),
        ("client-id", "range-client"),
        ("client-secret", "range-secret"),
    ] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    for playbook in scenario.playbooks {
        let folder = dir.path().join("playbooks").join(playbook.id);
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in [
            ("playbook.toml", playbook.manifest()),
            ("playbook.rhai", playbook.script()),
            ("trigger.yml", playbook.trigger()),
        ] {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
    let range = start_range(scenario, dir.path()).await;
    let mut server = Server::start(dir.path(), None, None).await.unwrap().unwrap();
    let token = server.token.clone().expect("the first start prints a token");
    let mut contained = None;
    if scenario.undo {
        let estate = Estate {
            dir: dir.path(),
            token: token.clone(),
            client: client(),
            url: watch::channel(server.url.clone()).0,
        };
        estate.deliver(scenario).await;
        let begun = Instant::now();
        while contained.is_none() {
            assert!(begun.elapsed() < PATIENCE, "{}", server.last_words());
            tokio::time::sleep(LOOK).await;
            let runs = estate.runs().await.unwrap_or_default();
            contained = runs.iter().find(|run| run.end.is_some()).map(|run| run.id);
        }
    }
    assert_eq!(server.stop().await, Ok(Ended::Orderly));
    range.stop().await;
    Ground {
        dir,
        token,
        contained,
    }
}

/// Plays a case from its ground. The server dies at each point of `kills` in turn, counted from each start.
pub async fn play(scenario: &Scenario, ground: &Ground, kills: &[u64]) -> Played {
    let dir = tempfile::tempdir().unwrap();
    copy(ground.dir.path(), dir.path());
    let range = start_range(scenario, dir.path()).await;
    if let Some(fault) = scenario.fault {
        range.fault(fault()).unwrap();
    }
    let estate = Estate {
        dir: dir.path(),
        token: ground.token.clone(),
        client: client(),
        url: watch::channel(String::new()).0,
    };
    let mut played = Played::default();
    let mut starts = Vec::new();
    let served = {
        let send = async {
            match ground.contained {
                Some(run) => estate.undo(run).await,
                None => estate.deliver(scenario).await,
            }
        };
        let serve = estate.serve(scenario, kills, &mut played, &mut starts);
        tokio::pin!(send, serve);
        // The sender repeats until it is answered, for as long as the case lasts.
        tokio::select! {
            served = &mut serve => served,
            () = &mut send => serve.await,
        }
    };
    match served {
        Ok(()) => {
            let ledger = range.ledger();
            let hosts = range.hosts();
            let found = check::check(scenario, &dir.path().join("cordon.db"), &ledger, &hosts, &starts).await;
            played.violations.extend(found.violations);
            played.resumed_ms = found.resumed_ms;
        }
        Err(why) => {
            let asked: Vec<_> = range.ledger().lines().to_vec();
            played.violations.push(format!("{why}\n  ledger: {asked:?}"));
        }
    }
    range.stop().await;
    played
}

impl Estate<'_> {
    async fn serve(
        &self,
        scenario: &Scenario,
        kills: &[u64],
        played: &mut Played,
        starts: &mut Vec<i64>,
    ) -> Result<(), String> {
        let log = self.dir.join("points");
        let mut orders: VecDeque<u64> = kills.iter().copied().collect();
        let begun = Instant::now();
        let mut started = Instant::now();
        let mut server = Server::start(self.dir, orders.pop_front(), Some(&log)).await?;
        loop {
            let ended = match &mut server {
                Some(server) => server.ended()?,
                None => Some(Ended::Killed),
            };
            let ended = match (ended, &mut server) {
                (None, Some(server)) => {
                    if *self.url.borrow() != server.url {
                        played.up_ms.push(ms(server.up_after));
                        self.url.send_replace(server.url.clone());
                    }
                    if self.is_settled(scenario).await {
                        let after = ms(started.elapsed());
                        // A settled run owes nothing any more, so nothing is lost without an orderly end.
                        let ended = if kills.is_empty() {
                            server.stop().await?
                        } else {
                            server.kill().await?
                        };
                        if !played.kills.is_empty() {
                            played.settled_ms.push(after);
                        }
                        Some(ended)
                    } else if begun.elapsed() > PATIENCE {
                        let runs = self.runs().await;
                        return Err(format!("not settled: {runs:?}\n{}", server.last_words()));
                    } else {
                        None
                    }
                }
                (ended, _) => ended,
            };
            match ended {
                None => tokio::time::sleep(LOOK).await,
                Some(Ended::Orderly) => break,
                Some(Ended::Killed) => {
                    played.kills.push(last_line(&log));
                    started = Instant::now();
                    starts.push(SystemClock.now().0);
                    let order = orders.pop_front();
                    // Without an order every point would be noted, and the name of the kill be lost among them.
                    let log = order.is_some().then_some(log.as_path());
                    server = Server::start(self.dir, order, log).await?;
                }
            }
        }
        if kills.is_empty() {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            played.passed = log.lines().map(str::to_owned).collect();
        }
        Ok(())
    }

    async fn is_settled(&self, scenario: &Scenario) -> bool {
        let runs = self.runs().await.unwrap_or_default();
        runs.len() >= scenario.expected.runs
            && runs.iter().all(|run| run.end.is_some())
            && self.list("alerts").await.is_some_and(|list| {
                let alerts: Vec<AlertRow> = serde_json::from_value(list).unwrap();
                alerts
                    .iter()
                    .all(|alert| alert.disposition != Disposition::Pending)
            })
            && (scenario.expected.holders > 0 || self.holds_nothing().await)
    }

    async fn holds_nothing(&self) -> bool {
        let held = self.list("contained").await;
        held.is_some_and(|held| held.as_array().is_some_and(Vec::is_empty))
    }

    async fn runs(&self) -> Option<Vec<RunRow>> {
        serde_json::from_value(self.list("runs").await?).ok()
    }

    /// What the API lists; `None` where it does not answer.
    async fn list(&self, what: &str) -> Option<serde_json::Value> {
        let url = format!("{}/api/{what}", *self.url.borrow());
        let answer = self.client.get(url).bearer_auth(&self.token).send().await.ok()?;
        let mut body: serde_json::Value = answer.json().await.ok()?;
        Some(body.get_mut(what)?.take())
    }

    /// Sends every alert until it is answered 2xx, as a SIEM does.
    async fn deliver(&self, scenario: &Scenario) {
        for alert in scenario.alerts {
            self.until_answered("/hooks/generic", |request| {
                request.header("x-cordon-key", KEY).body(alert.body())
            })
            .await;
        }
    }

    async fn undo(&self, run: RunId) {
        self.until_answered(&format!("/api/runs/{run}/undo"), |request| {
            request
                .bearer_auth(&self.token)
                .body(r#"{"reason":"false alarm"}"#)
        })
        .await;
    }

    async fn until_answered(
        &self,
        path: &str,
        with: impl Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) {
        loop {
            let url = format!("{}{path}", *self.url.borrow());
            let request = self.client.post(url).header("content-type", "application/json");
            if with(request)
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().last().unwrap_or("unnamed").to_owned()
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
