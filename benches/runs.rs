//! Whole runs on a durable store: how many three-action runs a second, with and without capture and verify,
//! and how long from an alert to the first call out at 200 alerts a second.
//!
//! `cargo bench --bench runs` prints one line a figure. The vendor is in this process and answers at once, so
//! the figures are of the engine and the store; `http` goes to the range over loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark"
)]

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cordon::action::{
    ActionName, ActionSpec, Class, Done, Fault, Outcome, ReadBack, Reading, Target, UndoSpec,
};
use cordon::clock::SystemClock;
use cordon::connector::{Acted, Catalog, Looked};
use cordon::finding::{Entity, EntityType, SeverityId};
use cordon::guardrail::Policy;
use cordon::id::{Partition, RunId};
use cordon::intake::{Auth, Content, Gate, Headers, Normaliser, Pipeline, Profile, Stock};
use cordon::journal::{Cause, OnFailure, PlaybookKind};
use cordon::playbook::{Bundle, Loaded, Parts};
use cordon::run::{Binding, Builtins, Context, Handle, Start, Vendors, work};
use cordon::script::{Evaluators, Program};
use cordon::store::sqlite::{Options, SqliteStore};
use cordon::store::{RunStatus, Store};
use cordon::trigger::{Index, Trigger};
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};

struct Instantly {
    checked: bool,
    states: Mutex<HashMap<String, bool>>,
    acted: AtomicUsize,
    first_calls: Mutex<HashMap<String, Instant>>,
}

fn spec(checked: bool) -> ActionSpec {
    let name: ActionName = "crowdstrike::contain_host".parse().unwrap();
    let verify = ReadBack {
        read: "state".into(),
        in_force: vec!["on".into()],
        pending: vec![],
        lag_ms: 1_000,
    };
    let undo = UndoSpec {
        action: "crowdstrike::lift_containment".parse().unwrap(),
        from_captured: BTreeMap::new(),
    };
    ActionSpec {
        name,
        title: String::new(),
        class: if checked { Class::Set } else { Class::Opaque },
        provides: None,
        targets: vec![EntityType::Host],
        args: BTreeMap::new(),
        facet: checked.then(|| "network".into()),
        resolve: None,
        capture: None,
        verify: checked.then_some(verify),
        undo: checked.then_some(undo),
        permission: String::new(),
        propagation_ms: 10_000,
        in_flight_ms: 10_000,
        unseen: None,
        d3fend: None,
    }
}

#[async_trait]
impl Vendors for Instantly {
    fn bind(&self, _: &Loaded, _: &ActionName, _: Option<&Entity>) -> Result<Vec<Binding>, Fault> {
        Ok(vec![Binding {
            instance: "crowdstrike".into(),
            spec: spec(self.checked),
        }])
    }

    fn binding(&self, _: &Loaded, _: &str, _: &ActionName) -> Result<Binding, Fault> {
        Err(Fault::new("unbound", "not in this benchmark"))
    }

    async fn resolve(&self, _: &Loaded, _: &Binding, entity: &Entity) -> Looked<Target> {
        let target = Target {
            instance: "crowdstrike".into(),
            kind: EntityType::Host,
            id: entity.name.clone(),
            name: entity.name.clone(),
            aliases: vec![],
        };
        Looked {
            result: Ok(target),
            requests: vec![],
        }
    }

    async fn read(
        &self,
        _: &Loaded,
        _: &Binding,
        _: &str,
        target: &Target,
        _: &Map<String, Value>,
    ) -> Looked<Reading> {
        let on = self
            .states
            .lock()
            .unwrap()
            .get(&target.id)
            .copied()
            .unwrap_or(false);
        let reading = Reading {
            state: if on { "on" } else { "off" }.into(),
            fields: Value::Null,
        };
        Looked {
            result: Ok(reading),
            requests: vec![],
        }
    }

    async fn act(
        &self,
        _: &Loaded,
        _: &Binding,
        target: Option<&Target>,
        _: &Map<String, Value>,
        _: &str,
    ) -> Acted {
        let id = target.unwrap().id.clone();
        self.acted.fetch_add(1, Ordering::Relaxed);
        self.first_calls
            .lock()
            .unwrap()
            .entry(id.clone())
            .or_insert_with(Instant::now);
        self.states.lock().unwrap().insert(id, true);
        Acted {
            outcome: Outcome::Done {
                how: Done::Acted,
                result: Value::Null,
            },
            requests: vec![],
        }
    }
}

struct Bench {
    store: Arc<dyn Store>,
    sqlite: Arc<SqliteStore>,
    vendor: Arc<Instantly>,
    handle: Handle,
    bundle: Bundle,
    stop: Arc<AtomicBool>,
    worker: tokio::task::JoinHandle<()>,
    dir: PathBuf,
}

const THREE: &str = r#"
endpoint::isolate(finding.entities[0]);
endpoint::isolate(finding.entities[1]);
endpoint::isolate(finding.entities[2]);
"#;

fn directory(name: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("target/bench-data")
        .join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

impl Bench {
    async fn start(name: &str, checked: bool) -> Bench {
        let dir = directory(name);
        let sqlite = Arc::new(SqliteStore::open(dir.join("cordon.db"), Options::default()).unwrap());
        let store: Arc<dyn Store> = sqlite.clone();
        let vendor = Arc::new(Instantly {
            checked,
            states: Mutex::default(),
            acted: AtomicUsize::new(0),
            first_calls: Mutex::default(),
        });
        let (_, switch) = watch::channel(Ok(None));
        let context = Arc::new(Context::new(
            store.clone(),
            vendor.clone(),
            Arc::new(Evaluators::start(2).unwrap()),
            Arc::new(SystemClock),
            Arc::new(Policy::default()),
            switch,
            [1; 32],
            "bench".into(),
        ));
        let connectors = Catalog::embedded().unwrap();
        let program = Program::new("three.rhai", THREE);
        let bundle = Bundle::of(
            &Parts {
                playbook: "three",
                title: "Three actions",
                kind: PlaybookKind::Response,
                on_failure: OnFailure::Keep,
                ask: None,
                deadline_ms: 3_600_000,
                inputs: &BTreeMap::new(),
                script: &program,
            },
            &connectors,
        );
        let (kick, kicked) = mpsc::channel(4_096);
        let builtins = Builtins {
            revert: cordon::playbook::revert(&connectors),
            act: cordon::playbook::act(&connectors),
        };
        let handle = Handle::new(context.clone(), kick, builtins);
        handle.keep_bundle(&bundle).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let worker = tokio::spawn(work(context, handle.clone(), kicked, stop.clone()));
        Bench {
            store,
            sqlite,
            vendor,
            handle,
            bundle,
            stop,
            worker,
            dir,
        }
    }

    fn three_hosts(n: usize) -> Value {
        let host = |k: usize| {
            let name = format!("h{n}-{k}");
            json!({ "type": "host", "role": "affected", "name": name, "uid": name })
        };
        json!({ "title": "bench", "entities": [host(0), host(1), host(2)] })
    }

    async fn open_runs(&self) -> u64 {
        let mut open = 0;
        for partition in Partition::all() {
            let counts = self
                .store
                .counts(partition, cordon::clock::Time(0))
                .await
                .unwrap();
            open += counts.runs.get(RunStatus::Open.word()).copied().unwrap_or(0);
        }
        open
    }

    async fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.worker.await.unwrap();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

async fn throughput(name: &str, checked: bool, count: usize) {
    let bench = Bench::start(name, checked).await;
    let started = Instant::now();
    let mut starts = tokio::task::JoinSet::new();
    for n in 0..count {
        let handle = bench.handle.clone();
        let bundle = bench.bundle.clone();
        starts.spawn(async move {
            let start = Start {
                run: RunId::derive(&["bench".to_owned(), n.to_string()]),
                cause: Cause::Person {
                    principal: "bench".into(),
                    reason: String::new(),
                },
                inputs: BTreeMap::from([("finding".to_owned(), Bench::three_hosts(n))]),
                severity_id: SeverityId(1),
                subject: String::new(),
                weak_source: false,
            };
            handle.start(&bundle, start).await.unwrap();
        });
        if starts.len() >= 512 {
            starts.join_next().await;
        }
    }
    while starts.join_next().await.is_some() {}
    while bench.open_runs().await > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(
        bench.vendor.acted.load(Ordering::SeqCst),
        count * 3,
        "every action once"
    );
    println!(
        "{name}: {count} runs of three actions in {seconds:.2} s = {:.0} runs/s ({} store operations in {} commits)",
        count as f64 / seconds,
        bench.sqlite.operations(),
        bench.sqlite.commits(),
    );
    bench.end().await;
}

fn percentile(sorted: &[f64], p: f64) -> f64 {
    let place = ((sorted.len() as f64 - 1.0) * p).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

/// How long one durable append to a file takes here and now.
fn fsync_ms(dir: &std::path::Path) -> Vec<f64> {
    use std::io::Write;
    let mut file = std::fs::File::create(dir.join("probe")).unwrap();
    let mut times: Vec<f64> = (0..500)
        .map(|_| {
            let started = Instant::now();
            file.write_all(&[7; 512]).unwrap();
            file.sync_data().unwrap();
            started.elapsed().as_secs_f64() * 1_000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

async fn latency(per_second: usize, seconds: usize) {
    let bench = Bench::start("latency", true).await;
    let probe = fsync_ms(&bench.dir);
    let trigger = Trigger::load(
        "trigger.yml",
        "title: Bench\nlogsource: { product: cordon, category: finding }\ndetection:\n  host: { affected.type: host }\n  condition: host\ncordon: { key: [affected.uid], window: 1h }\n",
        "three",
    )
    .unwrap();
    let profile = Profile {
        finding_window_ms: 3_600_000,
        ..Profile::new(
            "generic",
            "generic",
            Auth::None {
                anyone_may_send: true,
            },
            Normaliser::Builtin,
        )
    };
    let profiles = Arc::new(BTreeMap::from([("generic".to_owned(), profile)]));
    let content = Arc::new(Content::fixed(Stock {
        connectors: Arc::default(),
        written: Vec::new(),
        index: Index::build(vec![trigger]),
        bundles: BTreeMap::from([("three".to_owned(), bench.bundle.clone())]),
    }));
    let (keep, kept) = mpsc::channel(4_096);
    let gate = Arc::new(Gate::new(
        bench.store.clone(),
        Arc::new(SystemClock),
        profiles.clone(),
        keep,
    ));
    let pipeline = Arc::new(Pipeline::new(bench.handle.clone(), profiles, content));
    let stop = Arc::new(AtomicBool::new(false));
    let pipe = tokio::spawn(pipeline.work(kept, stop.clone()));
    let mut tick = tokio::time::interval(Duration::from_secs_f64(1.0 / per_second as f64));
    let sent: Arc<Mutex<HashMap<String, Instant>>> = Arc::default();
    let accepted: Arc<Mutex<Vec<f64>>> = Arc::default();
    let mut deliveries = tokio::task::JoinSet::new();
    for n in 0..per_second * seconds {
        tick.tick().await;
        let (gate, sent, accepted) = (gate.clone(), sent.clone(), accepted.clone());
        deliveries.spawn(async move {
            let mut body = Bench::three_hosts(n);
            body["uid"] = json!(n.to_string());
            body["severity"] = json!("high");
            let started = Instant::now();
            sent.lock().unwrap().insert(format!("h{n}-0"), started);
            let none: [(&str, &str); 0] = [];
            gate.receive("generic", &Headers::of(none), body.to_string().as_bytes())
                .await
                .unwrap();
            accepted
                .lock()
                .unwrap()
                .push(started.elapsed().as_secs_f64() * 1_000.0);
        });
    }
    while deliveries.join_next().await.is_some() {}
    tokio::time::sleep(Duration::from_millis(500)).await;
    while bench.open_runs().await > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.store(true, Ordering::SeqCst);
    pipe.await.unwrap();
    let calls = bench.vendor.first_calls.lock().unwrap().clone();
    let sent = sent.lock().unwrap().clone();
    let mut out: Vec<f64> = sent
        .iter()
        .map(|(host, started)| calls[host].duration_since(*started).as_secs_f64() * 1_000.0)
        .collect();
    out.sort_by(f64::total_cmp);
    let mut accepted = accepted.lock().unwrap().clone();
    accepted.sort_by(f64::total_cmp);
    println!(
        "latency at {per_second}/s for {seconds} s: accepted p50 {:.1} ms p99 {:.1} ms; alert to first call out p50 {:.1} ms p99 {:.1} ms; fdatasync alone p50 {:.1} ms p99 {:.1} ms; lost {}",
        percentile(&accepted, 0.5),
        percentile(&accepted, 0.99),
        percentile(&out, 0.5),
        percentile(&out, 0.99),
        percentile(&probe, 0.5),
        percentile(&probe, 0.99),
        sent.len() - out.len(),
    );
    bench.end().await;
}

fn main() {
    // `cargo test --benches` and `cargo bench -- --test` only want to know that it works.
    let quick = std::env::args().any(|arg| arg == "--test");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let count = if quick { 20 } else { 3_000 };
    runtime.block_on(async {
        throughput("three actions, without capture and verify", false, count).await;
        throughput("three actions, with capture and verify", true, count).await;
        latency(if quick { 20 } else { 200 }, if quick { 1 } else { 10 }).await;
    });
}
