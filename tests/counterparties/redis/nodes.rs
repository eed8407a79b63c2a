//! Three `cordon serve` on one server: they share the work, one is killed, one is drained, one joins, and the vendor
//! sees each effect once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cordon::id::Partition;
use cordon::journal::End;
use cordon::range::{Host, Range, RangeConfig, RunningRange};
use cordon::store::redis::{Address, Options, Promise, RedisStore};
use cordon::store::{
    Control as _, NoticeQuery, NoticeState, Notices as _, RunQuery, RunRow, Runs as _, Targets as _,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::servers::{Own, STRICT};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
const SENDERS_KEY: &str = "a key for tests, not secret";

/// What the nodes share.
struct House {
    redis: Own,
    range: RunningRange,
    dir: TempDir,
    http: reqwest::Client,
}

/// One `cordon serve`.
struct Node {
    child: Child,
    url: String,
    said: Arc<Mutex<Vec<String>>>,
}

impl House {
    async fn new(hosts: usize) -> House {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let seed = (0..hosts)
            .map(|n| Host::new(format!("{n:032x}"), name(n)))
            .collect();
        let range = Range::start(RangeConfig {
            seed,
            ..RangeConfig::default()
        })
        .await
        .unwrap();
        for (file, text) in [
            ("key", SENDERS_KEY),
            ("client-id", "range-client"),
            ("client-secret", "range-secret"),
            ("store-key", &"5a".repeat(32)),
            ("mail-user", &RangeConfig::default().mail.user),
            ("mail-password", RangeConfig::default().mail.password.expose()),
        ] {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        playbook(
            dir.path(),
            "contain",
            "each(finding.all(\"host\"), |host| endpoint::isolate(host));\n",
        );
        playbook(
            dir.path(),
            "tell",
            "notify::oncall(#{ subject: finding.title });\n",
        );
        House {
            redis: Own::start(STRICT),
            range,
            dir,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    /// Starts a node of this name.
    async fn node(&self, name: &str) -> Node {
        let file = self.dir.path().join(format!("{name}.toml"));
        std::fs::write(&file, self.config(name)).unwrap();
        Node::start(self.dir.path(), &file).await
    }

    fn config(&self, node: &str) -> String {
        format!(
            r#"
[server]
listen = "127.0.0.1:0"
[store]
url = "{}"
key = "file:store-key"
node = "{node}"
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
[connectors.email]
base_url = "{}"
tls = "none"
settings = {{ from = "cordon@corp.example" }}
credentials = {{ username = "file:mail-user", password = "file:mail-password" }}
[notify]
default = ["channel:soc"]
[notify.channels.soc]
use = "email"
to = "soc@corp.example"
"#,
            self.redis.url(),
            self.range.base_url(),
            self.range.mail_url(),
        )
    }

    /// Delivers a finding to a node, as a sender does that tries again at the next one where a node does not answer.
    async fn deliver(&self, nodes: &[&Node], uid: &str, rule: &str, host: &str) {
        let body = json!({
            "uid": uid,
            "title": format!("{rule} {uid}"),
            "severity": "high",
            "rule": { "uid": rule, "name": rule },
            "entities": [{ "type": "host", "role": "affected", "name": host }],
        });
        let begun = Instant::now();
        for node in nodes.iter().cycle() {
            let sent = self.http.post(format!("{}/hooks/generic", node.url)).json(&body);
            let answer = sent.header("x-cordon-key", SENDERS_KEY).send().await;
            if answer.is_ok_and(|answer| answer.status() == 202) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "nobody takes {uid}: {}", node.words());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The store, seen from beside the nodes.
    async fn store(&self) -> RedisStore {
        RedisStore::open(Options {
            address: Address::parse(&self.redis.url()).unwrap(),
            password: None,
            sentinel_password: None,
            ca: None,
            promise: Promise::default(),
            node: "watcher".to_owned(),
            witness: None,
        })
        .await
        .unwrap()
    }
}

impl Node {
    async fn start(dir: &Path, config: &PathBuf) -> Node {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cordon"))
            .args(["serve", "--config"])
            .arg(config)
            .current_dir(dir)
            .env_clear()
            .env("CORDON_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let heard = said.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                heard.lock().unwrap().push(line);
            }
        });
        let begun = Instant::now();
        loop {
            let url = {
                let said = said.lock().unwrap();
                let found = said.iter().find_map(|line| line.strip_prefix("listening on "));
                found.map(str::to_owned)
            };
            if let Some(url) = url {
                return Node { child, url, said };
            }
            assert!(begun.elapsed() < PATIENCE, "{:?}", said.lock().unwrap());
            tokio::time::sleep(LOOK).await;
        }
    }

    fn words(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap()
    }

    /// SIGTERM; how it ended.
    async fn drain(mut self) {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::TERM).unwrap();
        let ended = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .unwrap()
            .unwrap();
        assert!(ended.success(), "{ended}: {}", self.words());
    }

    /// SIGKILL.
    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

fn name(n: usize) -> String {
    format!("web-{n:02}")
}

fn playbook(dir: &Path, id: &str, script: &str) {
    let folder = dir.join("playbooks").join(id);
    std::fs::create_dir_all(&folder).unwrap();
    let manifest = format!(
        "id = \"{id}\"\ntitle = \"{id}\"\nkind = \"response\"\nowner = \"tests\"\non_failure = \"keep\"\n"
    );
    let trigger = format!(
        "title: {id}\nlogsource: {{ product: cordon, category: finding }}\ndetection:\n  \
         host: {{ affected.type: host, rule.uid: {id} }}\n  condition: host\nlevel: high\n\
         cordon: {{ key: [affected.uid, rule.uid], window: 1h }}\n"
    );
    for (file, text) in [
        ("playbook.toml", manifest.as_str()),
        ("playbook.rhai", script),
        ("trigger.yml", &trigger),
    ] {
        std::fs::write(folder.join(file), text).unwrap();
    }
}

async fn runs(store: &RedisStore) -> Vec<RunRow> {
    let query = RunQuery {
        limit: 1_000,
        ..RunQuery::default()
    };
    let mut found = Vec::new();
    for partition in Partition::all() {
        found.extend(store.runs(partition, &query).await.unwrap());
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_share_the_work_and_one_may_die_one_drain_and_one_join() {
    const HOSTS: usize = 30;
    let house = House::new(HOSTS).await;
    let (one, two, three) = (
        house.node("one").await,
        house.node("two").await,
        house.node("three").await,
    );
    let deliver = async |nodes: &[&Node], range: std::ops::Range<usize>| {
        for n in range {
            let mut order = nodes.to_vec();
            order.rotate_left(n % nodes.len());
            house
                .deliver(&order, &format!("c-{n}"), "contain", &name(n))
                .await;
        }
    };
    deliver(&[&one, &two, &three], 0..10).await;
    two.kill().await;
    deliver(&[&one, &three], 10..20).await;
    three.drain().await;
    let four = house.node("four").await;
    deliver(&[&one, &four], 20..HOSTS).await;
    // The sender of an alert whose answer was lost sends it again, to whomever.
    deliver(&[&four, &one], 0..10).await;

    let store = house.store().await;
    let begun = Instant::now();
    let settled = loop {
        let all = runs(&store).await;
        if all.len() >= HOSTS && all.iter().all(|run| run.end.is_some()) {
            break all;
        }
        let open: Vec<_> = all.iter().filter(|run| run.end.is_none()).collect();
        assert!(begun.elapsed() < PATIENCE, "{} runs, open: {open:?}", all.len());
        tokio::time::sleep(LOOK).await;
    };
    assert_eq!(settled.len(), HOSTS);
    assert!(
        settled.iter().all(|run| run.end == Some(End::Succeeded)),
        "{settled:?}"
    );
    let ledger = house.range.ledger();
    for n in 0..HOSTS {
        let host = name(n);
        assert_eq!(ledger.applied("contain", &host), 1, "{host}");
    }
    for partition in Partition::all() {
        assert_eq!(store.locks(partition).await.unwrap(), [], "{partition}");
    }
    // Nobody did it all.
    let mut share: BTreeMap<&str, usize> = BTreeMap::new();
    for node in [&one, &four] {
        share.insert(&node.url, node.words().matches("ERROR").count());
    }
    assert!(
        share.values().all(|errors| *errors == 0),
        "{}\n{}",
        one.words(),
        four.words()
    );
    one.drain().await;
    four.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_once_by_three_nodes() {
    let house = House::new(1).await;
    let nodes = [
        house.node("one").await,
        house.node("two").await,
        house.node("three").await,
    ];
    let all: Vec<&Node> = nodes.iter().collect();
    house.deliver(&all, "m-1", "tell", &name(0)).await;
    let store = house.store().await;
    let query = NoticeQuery {
        limit: 100,
        ..NoticeQuery::default()
    };
    let begun = Instant::now();
    loop {
        let mut notices = Vec::new();
        for partition in Partition::all() {
            notices.extend(store.notices(partition, &query).await.unwrap());
        }
        if notices.len() == 1 && notices[0].state == NoticeState::Delivered {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{notices:?}");
        tokio::time::sleep(LOOK).await;
    }
    for node in nodes {
        node.drain().await;
    }
    let mails = house.range.mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halt_at_one_node_stops_the_others() {
    let house = House::new(2).await;
    let (one, two) = (house.node("one").await, house.node("two").await);
    let token = one
        .words()
        .lines()
        .find_map(|line| {
            line.split_once("export CORDON_TOKEN=")
                .map(|(_, token)| token.to_owned())
        })
        .unwrap();
    let switch = async |path: &str| {
        let asked = house.http.post(format!("{}{path}", one.url)).bearer_auth(&token);
        let answer = asked.json(&json!({ "reason": "a test" })).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    };
    switch("/api/halt").await;
    let store = house.store().await;
    assert!(store.switches().await.unwrap().halt.is_some());
    // Long enough for every node's own look.
    tokio::time::sleep(Duration::from_millis(2 * cordon::limits::HALT_REFRESH_MS)).await;
    house.deliver(&[&two], "h-1", "contain", &name(0)).await;
    let begun = Instant::now();
    loop {
        let waits = runs(&store)
            .await
            .iter()
            .any(|run| run.waits_for.contains("cordon resume"));
        if waits {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{:?}", runs(&store).await);
        tokio::time::sleep(LOOK).await;
    }
    assert_eq!(house.range.ledger().asked("contain", &name(0)), 0);
    switch("/api/resume").await;
    while house.range.ledger().applied("contain", &name(0)) == 0 {
        assert!(begun.elapsed() < PATIENCE, "{}", two.words());
        tokio::time::sleep(LOOK).await;
    }
    one.drain().await;
    two.drain().await;
}
