//! A whole server with a door, a pipeline, a worker and one person in it.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::estate::Estate;
use super::flaky::Flaky;
use crate::clock::{Clock, SetClock, Time};
use crate::connector::Catalog;
use crate::guardrail::Policy;
use crate::id::AlertId;
use crate::intake::{Auth, Content, Gate, Normaliser, Pipeline, Profile, Profiles, Stock};
use crate::journal::{OnFailure, PlaybookKind};
use crate::notify::{Reach, Sender};
use crate::playbook::{self, Bundle, Parts};
use crate::run::{self, Builtins, Context, HaltSwitch};
use crate::script::{Evaluators, Program};
use crate::secret::Secret;
use crate::server::serve::serve_within;
use crate::server::{Services, bootstrap};
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::trigger::{Index, Trigger};

pub const NOW: Time = Time(1_795_000_000_000);
pub const SECRET: &str = "the-shared-secret";
/// A defect ends a test instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(60);

const TRIGGER: &str = "\
title: Anything bad
logsource: { product: cordon, category: finding }
detection:
  bad: { severity_id|gte: 3 }
  condition: bad
level: high
cordon: { key: [uid], window: 1h }
";

pub struct House {
    pub store: Arc<Flaky>,
    pub clock: Arc<SetClock>,
    pub estate: Arc<Estate>,
    pub address: SocketAddr,
    pub admin: String,
    pub halt: watch::Receiver<HaltSwitch>,
    pub pipeline: Arc<Pipeline>,
    client: Client,
    stop: Arc<AtomicBool>,
    shutdown: Option<oneshot::Sender<()>>,
    tasks: JoinSet<()>,
}

pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Answer {
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }
}

impl House {
    pub async fn open() -> House {
        House::with_patience(Duration::from_secs(30)).await
    }

    /// A server that cuts senders that are slower than this.
    pub async fn with_patience(allowed: Duration) -> House {
        // Fails when another test was first, and then it is done.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = Arc::new(SetClock::at(NOW));
        let store = Arc::new(Flaky::at(clock.clone()));
        let estate = Arc::new(Estate::default());
        let catalog = Catalog::embedded().unwrap();
        let (halt, watched) = watch::channel(Ok(None));
        let context = Arc::new(Context::new(
            store.clone() as Arc<dyn Store>,
            estate.clone(),
            Arc::new(Evaluators::start(1).unwrap()),
            clock.clone(),
            Arc::new(Policy::default()),
            watched.clone(),
            [7; 32],
            "worker-1".into(),
        ));
        let (kicks, kicked) = mpsc::channel(64);
        let builtins = Builtins {
            revert: playbook::revert(&catalog),
            act: playbook::act(&catalog),
        };
        let handle = run::Handle::new(context.clone(), kicks, builtins);
        let profiles = Arc::new(profiles());
        let content = Arc::new(content(&catalog));
        let pipeline = Arc::new(Pipeline::new(handle.clone(), profiles.clone(), content.clone()));
        let (kept, _unheard) = mpsc::channel(64);
        let services = Arc::new(Services {
            gate: Arc::new(Gate::new(store.clone(), clock.clone(), profiles, kept)),
            pipeline: pipeline.clone(),
            handle: handle.clone(),
            content,
            halt,
            telemetry: Arc::new(Telemetry::new("1.2.3")),
            notify: Reach {
                plan: Arc::default(),
                sender: Sender::new(estate.clone(), &catalog, clock.clone()).unwrap(),
            },
            upkeep: Arc::default(),
            version: "1.2.3",
        });
        let (name, admin) = bootstrap(store.as_ref(), clock.as_ref()).await.unwrap().unwrap();
        assert_eq!(name, "admin");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, shut) = oneshot::channel::<()>();
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            serve_within(listener, services, async { drop(shut.await) }, allowed)
                .await
                .unwrap();
        });
        tasks.spawn(run::work(context, handle, kicked, stop.clone()));
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        House {
            store,
            clock,
            estate,
            address,
            admin,
            halt: watched,
            pipeline,
            client,
            stop,
            shutdown: Some(shutdown),
            tasks,
        }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.address))
    }

    pub async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path).bearer_auth(&self.admin)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        answer(
            self.request(Method::POST, path)
                .bearer_auth(&self.admin)
                .json(&body),
        )
        .await
    }

    pub async fn hook(&self, body: impl Into<reqwest::Body>) -> Answer {
        answer(
            self.request(Method::POST, "/hooks/siem")
                .bearer_auth(SECRET)
                .body(body),
        )
        .await
    }

    /// Sends a finding about a host, processes it, and answers the alert.
    pub async fn alert(&self, uid: &str, severity: &str) -> AlertId {
        let kept = self.hook(finding(uid, severity).to_string()).await;
        assert_eq!(kept.status, 202, "{}", kept.text);
        let id: AlertId = kept.body["alert"].as_str().unwrap().parse().unwrap();
        self.pipeline.process(id).await.unwrap();
        id
    }

    /// Asks until the answer is so.
    pub async fn until(&self, path: &str, so: impl Fn(&Value) -> bool) -> Value {
        let asked = async {
            loop {
                let answer = self.get(path).await;
                assert_eq!(answer.status, 200, "{}", answer.text);
                if so(&answer.body) {
                    return answer.body;
                }
                self.clock.advance_ms(10);
                tokio::task::yield_now().await;
            }
        };
        within(asked).await
    }

    /// Waits for a run's end.
    pub async fn settled(&self, answer: &Answer) -> Value {
        assert_eq!(answer.status, 200, "{}", answer.text);
        let run = answer.body["run"].as_str().unwrap();
        self.until(&format!("/api/runs/{run}"), |body| {
            body["run"]["status"] == "settled"
        })
        .await
    }

    /// Ends as a process does that is asked to.
    pub async fn close(&mut self) {
        drop(self.shutdown.take());
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = within(self.tasks.join_next()).await {
            ended.unwrap();
        }
    }

    pub fn now(&self) -> Time {
        self.clock.now()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.abort_all();
    }
}

pub async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work)
        .await
        .expect("it should have come by now")
}

pub async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Answer {
        status,
        headers,
        text,
        body,
    }
}

pub fn finding(uid: &str, severity: &str) -> Value {
    json!({
        "uid": uid,
        "title": format!("Ransomware {uid}"),
        "severity": severity,
        "time": "2026-11-18T08:26:40Z",
        "entities": [{ "type": "host", "role": "affected", "name": "web-07" }],
    })
}

fn profiles() -> Profiles {
    let siem = Profile {
        finding_window_ms: 3_600_000,
        ..Profile::new(
            "siem",
            "generic",
            Auth::Bearer {
                secrets: vec![Secret::new(SECRET)],
            },
            Normaliser::Builtin,
        )
    };
    let okta = Profile {
        name: "okta".into(),
        challenge: Some(crate::connector::Challenge::Okta),
        ..siem.clone()
    };
    BTreeMap::from([("siem".to_owned(), siem), ("okta".to_owned(), okta)])
}

fn content(catalog: &Catalog) -> Content {
    let script = Program::new("playbooks/watch/playbook.rhai", "note(\"seen\")\n");
    let parts = Parts {
        playbook: "watch",
        title: "Write it down",
        kind: PlaybookKind::Response,
        on_failure: OnFailure::Keep,
        ask: None,
        deadline_ms: 3_600_000,
        inputs: &BTreeMap::from([("x".to_owned(), crate::playbook::Input::Optional)]),
        script: &script,
    };
    let trigger = Trigger::load("playbooks/watch/trigger.yml", TRIGGER, "watch").unwrap();
    Content::fixed(Stock {
        connectors: Arc::new(catalog.clone()),
        written: Vec::new(),
        index: Index::build(vec![trigger]),
        bundles: BTreeMap::from([("watch".to_owned(), Bundle::of(&parts, catalog))]),
    })
}
