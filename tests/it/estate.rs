//! A small estate for tests: the range as CrowdStrike, a store on disk, and a node over both.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cordon::app::{Node, Parts};
use cordon::clock::SystemClock;
use cordon::connector::{self, Instance, Instances, Overrides};
use cordon::finding::EntityType;
use cordon::guardrail::{Policy, Protected};
use cordon::id::{AlertId, Partition, RunId};
use cordon::intake::{Auth, Content, Headers, Kept, Normaliser, Profile, Profiles, Stock};
use cordon::journal::{End, OnFailure, PlaybookKind, RunState};
use cordon::playbook::{Bundle, Parts as Playbook};
use cordon::range::{Host, Range, RangeConfig, RunningRange};
use cordon::script::Program;
use cordon::secret::Secret;
use cordon::store::sqlite::{Options, SqliteStore};
use cordon::store::{AlertRow, RunQuery, RunRow, Store};
use cordon::trigger::{Index, Trigger};

/// Contains every affected host, and says so.
pub const CONTAIN: &str = r#"
note(`${finding.title}`);
let results = each(finding.all("host"), |host| endpoint::isolate(host));
notify::oncall(#{ subject: finding.title, results: results });
if results.filter(|r| !r.ok).len() > 0 {
    throw #{ code: "not-contained", message: "not every host could be contained" };
}
"#;

/// Matches findings of rule `malware` on a host.
pub const TRIGGER: &str = "
title: Malware on a host
logsource: { product: cordon, category: finding }
detection:
  host: { affected.type: host, rule.uid: malware }
  condition: host
level: high
cordon: { key: [affected.uid, rule.uid], window: 1h }
";

/// The range with its hosts.
pub async fn range(hosts: &[&str]) -> RunningRange {
    let seed = hosts.iter().map(|name| Host::new(device(name), *name)).collect();
    Range::start(RangeConfig {
        seed,
        ..RangeConfig::default()
    })
    .await
    .unwrap()
}

/// The id of a host at the range: 32 hexadecimal digits, as Falcon's are.
pub fn device(name: &str) -> String {
    cordon::digest::Digest::of(name.as_bytes())
        .to_string()
        .chars()
        .take(32)
        .collect()
}

/// The CrowdStrike instance for a range, with short times.
pub fn instances(range: &RunningRange) -> Instances {
    let secret = |text: &str| Secret::new(text);
    Instances {
        all: vec![Instance {
            name: "crowdstrike".into(),
            connector: "crowdstrike".into(),
            base_url: Some(range.base_url().parse().unwrap()),
            credentials: BTreeMap::from([
                ("client_id".to_owned(), secret("range-client")),
                ("client_secret".to_owned(), secret("range-secret")),
            ]),
            when: vec![],
            overrides: Overrides {
                lag_ms: Some(200),
                in_flight_ms: Some(300),
                propagation_ms: Some(2_000),
                timeout_ms: Some(2_000),
            },
            ..Instance::default()
        }],
        bind: BTreeMap::new(),
        identities: Vec::new(),
    }
}

/// What a node of a test knows: playbooks by id, of which `malware-on-host` is triggered, and sources.
pub struct Setup {
    pub playbooks: Vec<(String, String)>,
    pub profiles: Vec<Profile>,
    /// Connector instances beside the range.
    pub instances: Vec<Instance>,
    pub notify: cordon::notify::Plan,
    pub policy: Policy,
}

impl Setup {
    /// One playbook, and the sources `generic`, `splunk` (a fixed header each) and `signed`.
    pub fn new(script: &str) -> Setup {
        let catalog = connector::Catalog::embedded().unwrap();
        let splunk = catalog.connector("splunk").unwrap().source.clone().unwrap();
        let signed = Auth::StandardWebhooks {
            secrets: vec![Secret::new(WEBHOOK)],
        };
        Setup {
            playbooks: vec![("malware-on-host".to_owned(), script.to_owned())],
            profiles: vec![
                profile("generic", by_header(), Normaliser::Builtin),
                profile("splunk", by_header(), Normaliser::Script(splunk)),
                profile("signed", signed, Normaliser::Builtin),
            ],
            instances: Vec::new(),
            notify: cordon::notify::Plan::default(),
            policy: Policy {
                protected: vec![
                    Protected::new(Some(EntityType::Host), "dc-*", "domain controllers").unwrap(),
                ],
                ..Policy::default()
            },
        }
    }

    /// The same with a source more, whose alerts this script reads.
    pub fn source(mut self, name: &str, script: &str) -> Setup {
        let program = Program::new(format!("connectors/{name}/source.rhai"), script);
        self.profiles
            .push(profile(name, by_header(), Normaliser::Script(program)));
        self
    }

    /// The same with a playbook more, which people start.
    pub fn playbook(mut self, id: &str, script: &str) -> Setup {
        self.playbooks.push((id.to_owned(), script.to_owned()));
        self
    }
}

/// What the source `signed` signs with.
pub const WEBHOOK: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
/// What the others send in `x-test`.
pub const FIXED: &str = "s3cret-s3cret-s3cret";

fn by_header() -> Auth {
    Auth::Header {
        header: "x-test".into(),
        secrets: vec![Secret::new(FIXED)],
    }
}

fn profile(name: &str, auth: Auth, normaliser: Normaliser) -> Profile {
    Profile {
        finding_window_ms: 3_600_000,
        ..Profile::new(name, name, auth, normaliser)
    }
}

pub struct Estate {
    pub range: RunningRange,
    pub node: Node,
    pub store: Arc<dyn Store>,
}

impl Estate {
    /// A node on a store at `path`, with one playbook of this script.
    pub async fn start(path: &Path, range: RunningRange, script: &str) -> Estate {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(path, Options::default()).unwrap());
        Estate::over(store, range, script).await
    }

    /// The same on any store.
    pub async fn over(store: Arc<dyn Store>, range: RunningRange, script: &str) -> Estate {
        Estate::with(store, range, Setup::new(script)).await
    }

    /// The same with everything said.
    pub async fn with(store: Arc<dyn Store>, range: RunningRange, setup: Setup) -> Estate {
        let connectors = Arc::new(connector::Catalog::embedded().unwrap());
        let mut instances = instances(&range);
        instances.all.extend(setup.instances);
        let bundles = setup.playbooks.iter().map(|(id, script)| {
            let program = Program::new(format!("playbooks/{id}/playbook.rhai"), script.as_str());
            let parts = Playbook {
                playbook: id,
                title: "Malware on a host",
                kind: PlaybookKind::Response,
                on_failure: OnFailure::Keep,
                ask: None,
                deadline_ms: 600_000,
                inputs: &BTreeMap::new(),
                script: &program,
            };
            (id.clone(), Bundle::of(&parts, &connectors))
        });
        let bundles = bundles.collect();
        let trigger = Trigger::load("trigger.yml", TRIGGER, "malware-on-host").unwrap();
        let profiles: Profiles = setup
            .profiles
            .into_iter()
            .map(|profile| (profile.name.clone(), profile))
            .collect();
        let node = Node::start(Parts {
            store: store.clone(),
            clock: Arc::new(SystemClock),
            key: [9; 32],
            instances: Arc::new(instances),
            connectors: connectors.clone(),
            policy: Arc::new(setup.policy),
            profiles: Arc::new(profiles),
            content: Arc::new(Content::fixed(Stock {
                connectors,
                written: Vec::new(),
                index: Index::build(vec![trigger]),
                bundles,
            })),
            notify: Arc::new(setup.notify),
            name: None,
            keep: cordon::upkeep::Keep::default(),
        })
        .await
        .unwrap();
        Estate { range, node, store }
    }

    /// Delivers a body as a source would.
    pub async fn deliver(&self, source: &str, body: &[u8]) -> Kept {
        let headers = Headers::of([("x-test", FIXED)]);
        self.node.gate.receive(source, &headers, body).await.unwrap()
    }

    /// Delivers a finding about hosts.
    pub async fn finding(&self, uid: &str, hosts: &[&str]) -> Kept {
        self.deliver("generic", finding(uid, hosts).to_string().as_bytes())
            .await
    }

    pub async fn alert(&self, id: AlertId) -> AlertRow {
        self.store.alert(id.partition(), id).await.unwrap().unwrap().row
    }

    pub async fn runs(&self) -> Vec<RunRow> {
        let mut runs = Vec::new();
        let query = RunQuery {
            limit: 1_000,
            ..RunQuery::default()
        };
        for partition in Partition::all() {
            runs.extend(self.store.runs(partition, &query).await.unwrap());
        }
        runs.sort_by_key(|row| row.started_at);
        runs
    }

    /// Waits until there is exactly this many runs and all are settled.
    pub async fn settled(&self, count: usize) -> Vec<RunRow> {
        for _ in 0..1_000 {
            let runs = self.runs().await;
            if runs.len() == count && runs.iter().all(|row| row.end.is_some()) {
                if std::env::var("SHOW").is_ok() {
                    for row in &runs {
                        for entry in self
                            .store
                            .journal(row.id.partition(), cordon::journal::ChainId::Run(row.id), 0)
                            .await
                            .unwrap()
                        {
                            eprintln!("{}", entry.payload);
                        }
                    }
                }
                return runs;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("they did not settle: {:#?}", self.runs().await);
    }

    pub async fn end_of(&self, run: RunId) -> (RunState, End) {
        for _ in 0..1_000 {
            let state = self.node.handle.state(run).await.unwrap();
            if let Some((_, end, _)) = state.settled.clone() {
                return (state, end);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it did not settle: {:#?}", self.node.handle.state(run).await);
    }

    pub async fn stop(self) -> RunningRange {
        self.node.stop().await;
        self.range
    }
}

/// A finding in Cordon's own format.
pub fn finding(uid: &str, hosts: &[&str]) -> serde_json::Value {
    let entities: Vec<_> = hosts
        .iter()
        .map(|name| serde_json::json!({ "type": "host", "role": "affected", "name": name }))
        .collect();
    serde_json::json!({
        "uid": uid,
        "title": format!("Malware found ({uid})"),
        "severity": "high",
        "rule": { "uid": "malware", "name": "malware" },
        "entities": entities,
    })
}
