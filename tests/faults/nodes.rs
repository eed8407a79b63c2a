//! Whole servers: three `cordon serve` share a store that misbehaves, alerts come over HTTP, and the range is the
//! vendor. Its ledger is the witness: no alert that was answered 2xx is lost, no effect is without an earlier intent, none
//! is repeated blindly, nothing stays locked, held or stuck.

use std::path::Path;
use std::time::{Duration, Instant};

use cordon::id::Partition;
use cordon::range::{Range, RangeConfig, RunningRange};
use cordon::store::redis::Durability;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::blow::{Blow, deal};
use crate::cut::Cuts;
use crate::dice::Dice;
use crate::estate::{Estate, LEDGER, write, write_playbook};
use crate::load::{Any, Board};
use crate::node::{Ended, Server};
use crate::proxy::{Proxy, Weather};
use crate::senders::{PLAYBOOKS, range, send};
use crate::standby::{Layout, Standby};
use crate::witness::{Facts, Sent, violations};
use crate::{host, open, say, seed, variable};

/// How long everything may take to come to rest once nothing goes wrong any more.
const PEACE: Duration = Duration::from_secs(90);

struct Nodes {
    _folders: Vec<TempDir>,
    servers: Vec<Server>,
    urls: watch::Sender<Vec<Option<String>>>,
    token: String,
    client: reqwest::Client,
}

impl Nodes {
    /// One node for each address of the store.
    async fn start(urls: &[String], durability: Durability, range: &RunningRange) -> Nodes {
        // Fails only when a provider is there already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut folders = Vec::new();
        let mut servers = Vec::new();
        for (n, url) in urls.iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            prepare(folder.path(), n, url, durability, range);
            for playbook in &PLAYBOOKS {
                write_playbook(folder.path(), playbook);
            }
            let server = Server::start(folder.path(), None, None).await.unwrap();
            servers.push(server.expect("nobody kills it"));
            folders.push(folder);
        }
        let listening = servers.iter().map(|server| Some(server.url.clone())).collect();
        Nodes {
            token: servers.iter().find_map(|server| server.token.clone()).unwrap(),
            _folders: folders,
            servers,
            urls: watch::channel(listening).0,
            client: reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(20))
                .build()
                .unwrap(),
        }
    }

    async fn list(&self, path: &str, what: &str) -> Option<Vec<Value>> {
        let url = format!("{}{path}", self.servers[0].url);
        let answer = self.client.get(url).bearer_auth(&self.token).send().await.ok()?;
        let mut body: Value = answer.json().await.ok()?;
        match body.get_mut(what)?.take() {
            Value::Array(list) => Some(list),
            _ => None,
        }
    }

    /// Waits until no run is open, nothing is held and no alert is pending; what is left where that does not come.
    async fn rest(&self) -> Result<(), String> {
        let begun = Instant::now();
        let mut quiet = 0;
        loop {
            let mut left = Vec::new();
            for (path, what) in [
                ("/api/runs?status=open&limit=5", "runs"),
                ("/api/contained", "contained"),
                ("/api/alerts?disposition=pending&limit=5", "alerts"),
            ] {
                match self.list(path, what).await {
                    Some(list) if list.is_empty() => {}
                    Some(list) => left.push(format!("{what}: {list:?}")),
                    None => left.push(format!("{what}: no answer")),
                }
            }
            // The end of a lease is a run that is not there yet when the hold is looked at: look again.
            quiet = if left.is_empty() { quiet + 1 } else { 0 };
            if quiet == 3 {
                return Ok(());
            }
            if begun.elapsed() > PEACE {
                return Err(format!(
                    "not at rest after {PEACE:?}: {left:?}\n{}",
                    self.last_words()
                ));
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    fn last_words(&self) -> String {
        let words: Vec<String> = self.servers.iter().map(Server::last_words).collect();
        words.join("\n\n")
    }

    /// How often any node has said this.
    fn said(&self, word: &str) -> usize {
        let lines = self.servers.iter().map(|server| {
            let said = server.said.lock().unwrap();
            said.iter().filter(|line| line.contains(word)).count()
        });
        lines.sum()
    }

    async fn stop(mut self) {
        for server in &mut self.servers {
            assert_eq!(server.stop().await, Ok(Ended::Orderly), "{}", server.last_words());
        }
    }
}

fn prepare(dir: &Path, n: usize, url: &str, durability: Durability, range: &RunningRange) {
    let word = match durability {
        Durability::Strict => "strict",
        Durability::Relaxed => "relaxed",
    };
    std::fs::write(dir.join("store-key"), "11".repeat(32)).unwrap();
    let store = format!(
        "url = \"{url}\"\nkey = \"file:store-key\"\nnode = \"node-{n}\"\nwitness = \"witness\"\ndurability = \"{word}\""
    );
    write(dir, Estate::Company, range, &store);
}

async fn vendor(dir: &TempDir) -> RunningRange {
    let config = RangeConfig {
        ledger: Some(dir.path().join(LEDGER)),
        ..range()
    };
    Range::start(config).await.unwrap()
}

/// Judges what is there, says the figures, and fails where anything is not as it has to be.
async fn judged(what: &str, store: &Any, sent: &[Sent], range: &RunningRange, begun: Instant) {
    let facts = Facts::gather(&**store, sent, range.ledger().lines())
        .await
        .unwrap();
    // Intents bear the servers' time as a node knows it, the ledger this process's.
    let ahead = [0, 10, 100, 500, 1_000, 2_000, 4_000].map(|ms| {
        let mut shifted = facts.clone();
        shifted.ledger.iter_mut().for_each(|line| line.at_ms += ms);
        (ms, violations(&shifted).len())
    });
    say(&format!(
        "  violations, were a node's clock ahead by ms: {ahead:?}"
    ));
    let found = violations(&facts);
    for violation in &found {
        say(&format!("VIOLATION: {what}: {violation}"));
    }
    let changes = range
        .ledger()
        .lines()
        .iter()
        .filter(|line| line.changed_state())
        .count();
    let unended = facts.runs.iter().filter(|run| run.row.end.is_none()).count();
    say(&format!(
        "{what}: {} alerts, {} runs, {changes} changes at vendors, {unended} runs not ended, {} violations, seed {}, in {} s",
        sent.len(),
        facts.runs.len(),
        found.len(),
        seed(),
        begun.elapsed().as_secs()
    ));
    assert!(found.is_empty(), "violations, see above");
    assert_eq!(unended, 0, "runs have not ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_behind_spoiled_replies_do_each_effect_once() {
    let alerts = variable("CORDON_FAULTS_ALERTS").unwrap_or(45);
    let begun = Instant::now();
    let dir = tempfile::tempdir().unwrap();
    let server = host::Server::durable(dir.path(), "127.0.0.10", "");
    let range = vendor(&dir).await;
    let upstream = format!("{}:{}", server.ip, host::PORT).parse().unwrap();
    let mut proxies = Vec::new();
    for n in 0..3_u64 {
        proxies.push(Proxy::start(upstream, seed().wrapping_add(n)).await);
    }
    let urls: Vec<String> = proxies
        .iter()
        .map(|proxy| format!("redis://{}?prefix=nodes:", proxy.address))
        .collect();
    let nodes = Nodes::start(&urls, Durability::Strict, &range).await;
    let weather = Weather {
        per_mille: 10,
        late_ms: (200, 6_000),
        only: None,
    };
    proxies.iter().for_each(|proxy| proxy.set(weather));
    let sent = send(
        alerts,
        Duration::from_millis(120),
        nodes.urls.subscribe(),
        nodes.client.clone(),
    )
    .await;
    // Runs, leases and undo go on in bad weather, too.
    tokio::time::sleep(Duration::from_secs(10)).await;
    proxies.iter().for_each(|proxy| proxy.set(Weather::CALM));
    let rest = nodes.rest().await;
    for proxy in &proxies {
        let (count, requests) = proxy.count();
        say(&format!("  of {requests} requests: {count:?}"));
    }
    rest.unwrap();
    nodes.stop().await;
    let url = format!("redis://{}:{}?prefix=nodes:", server.ip, host::PORT);
    let store = open::redis(&url, Durability::Strict, "judge").await;
    judged("nodes behind spoiled replies", &store, &sent, &range, begun).await;
    range.stop().await;
}

/// Three nodes, alerts without a pause, and these blows one after the other.
async fn failing_over(layout: Layout, blows: &[Blow]) {
    let alerts = variable("CORDON_FAULTS_ALERTS").unwrap_or(45);
    let begun = Instant::now();
    let cuts = Cuts::none();
    let dir = tempfile::tempdir().unwrap();
    let mut standby = tokio::task::block_in_place(|| Standby::start(layout));
    let range = vendor(&dir).await;
    let url = standby.url("nodes:");
    let nodes = Nodes::start(
        &[url.clone(), url.clone(), url.clone()],
        Durability::Strict,
        &range,
    )
    .await;
    let (urls, client) = (nodes.urls.subscribe(), nodes.client.clone());
    let sending = tokio::spawn(send(alerts, Duration::from_millis(250), urls, client));
    let mut dice = Dice::of(seed(), &format!("nodes {layout:?}"));
    for blow in blows {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let partition = Partition::number(u8::try_from(dice.below(16)).unwrap()).unwrap();
        tokio::task::block_in_place(|| {
            deal(*blow, &mut standby, &cuts, partition, &mut dice, &Board::new());
            standby.whole();
        });
    }
    let sent = sending.await.unwrap();
    nodes.rest().await.unwrap();
    assert_eq!(nodes.said("parked"), 0, "{}", nodes.last_words());
    nodes.stop().await;
    let store = open::redis(&url, Durability::Strict, "judge").await;
    judged(
        &format!("nodes on {layout:?}, {blows:?}"),
        &store,
        &sent,
        &range,
        begun,
    )
    .await;
    range.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_on_sentinel_go_on_over_a_failover() {
    failing_over(Layout::Sentinel, &[Blow::Behind]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_on_a_cluster_go_on_over_failovers() {
    failing_over(Layout::Cluster, &[Blow::Freeze, Blow::Moved]).await;
}
