//! A node with its surface: what strangers, machines and people reach over HTTP, on a port of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cordon::clock::{Clock, SystemClock};
use cordon::digest::Digest;
use cordon::range::RunningRange;
use cordon::server::{Services, bootstrap, serve};
use cordon::store::Store;
use cordon::store::sqlite::{Options, SqliteStore};
use cordon::telemetry::Telemetry;
use data_encoding::BASE64;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::estate::{Estate, FIXED, Setup, WEBHOOK};

/// Longest a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The alert a delivery was kept as.
    pub fn alert(&self) -> String {
        assert_eq!(self.status, 202, "{}", self.text);
        self.body["alert"].as_str().unwrap().to_owned()
    }
}

/// A way to a server, with a token.
#[derive(Clone)]
pub struct Way {
    pub url: String,
    pub token: String,
    pub http: reqwest::Client,
}

impl Way {
    pub fn to(url: String, token: String) -> Way {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
        Way {
            url,
            token,
            http: http.unwrap(),
        }
    }

    /// Posts a body to a source, with these headers.
    pub async fn hook(&self, source: &str, headers: &BTreeMap<String, String>, body: Vec<u8>) -> Answer {
        let mut request = self.http.post(format!("{}/hooks/{source}", self.url)).body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        answer(request).await
    }

    /// Delivers a body signed as Standard Webhooks say, under this id.
    pub async fn signed(&self, id: &str, body: &[u8]) -> Answer {
        self.hook("signed", &signature(id, 0, body), body.to_vec()).await
    }

    /// Delivers a body to a source that proves itself by a fixed header.
    pub async fn fixed(&self, source: &str, body: &[u8]) -> Answer {
        let headers = BTreeMap::from([("x-test".to_owned(), FIXED.to_owned())]);
        self.hook(source, &headers, body.to_vec()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, Some(body)).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        request = request.bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request).await
    }

    /// Asks again until the answer is as wanted.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let answer = self.get(path).await;
            if answer.status == 200 && wanted(&answer.body) {
                return answer.body;
            }
            let shown: String = answer.text.chars().take(2_000).collect();
            assert!(begun.elapsed() < PATIENCE, "{path} is still {shown}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What became of an alert, once something did.
    pub async fn disposition(&self, alert: &str) -> String {
        let path = format!("/api/alerts/{alert}");
        let whole = self
            .until(&path, |body| body["alert"]["disposition"] != "pending")
            .await;
        whole["alert"]["disposition"].as_str().unwrap().to_owned()
    }

    /// A run's row, once it is settled or parked. Found in the list: a journal may be large.
    pub async fn over(&self, run: &str) -> Value {
        let row = |body: &Value| {
            let runs = body["runs"].as_array().unwrap();
            runs.iter().find(|row| row["id"] == run).cloned()
        };
        let body = self
            .until("/api/runs?limit=1000", |body| {
                row(body).is_some_and(|row| ["settled", "parked"].contains(&row["status"].as_str().unwrap()))
            })
            .await;
        row(&body).unwrap()
    }

    /// Every run there is, once there are this many and none is open.
    pub async fn all_over(&self, count: usize) -> Vec<Value> {
        let body = self
            .until("/api/runs?limit=1000", |body| {
                let runs = body["runs"].as_array().unwrap();
                runs.len() == count && runs.iter().all(|run| run["status"] != "open")
            })
            .await;
        body["runs"].as_array().unwrap().clone()
    }

    /// Every alert of a disposition, through all pages.
    pub async fn alerts(&self, disposition: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut before = String::new();
        loop {
            let path = format!("/api/alerts?disposition={disposition}&limit=100{before}");
            let page = self.get(&path).await;
            assert_eq!(page.status, 200, "{}", page.text);
            all.extend(page.body["alerts"].as_array().unwrap().iter().cloned());
            match page.body["next"].as_str() {
                Some(next) => before = format!("&before={next}"),
                None => return all,
            }
        }
    }

    /// One line of the metrics, gathered anew.
    pub async fn metric(&self, name: &str) -> i64 {
        // Metrics are at most a second old; the word of a while ago is of no use here.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let text = self.get("/metrics").await.text;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}"))
            .parse()
            .unwrap()
    }

    /// Waits until no alert is pending, then holds the accounts against what senders were promised.
    pub async fn balanced(&self, kept: usize) {
        self.until("/api/alerts?disposition=pending", |body| {
            body["alerts"].as_array().unwrap().is_empty()
        })
        .await;
        assert_eq!(self.metric("cordon_accounting_unbalanced").await, 0);
        let counts = self.get("/api/status").await.body["counts"]["alerts"].clone();
        let of = |word: &str| counts[word].as_u64().unwrap_or(0);
        let sum = of("split") + of("unreadable") + of("control") + of("pending");
        assert_eq!((sum, of("pending")), (kept as u64, 0), "{counts}");
    }
}

/// A server over an estate.
pub struct House {
    pub estate: Estate,
    pub way: Way,
    surface: JoinHandle<std::io::Result<()>>,
    shut: oneshot::Sender<()>,
}

impl House {
    /// A server with its store in this folder.
    pub async fn open(dir: &std::path::Path, range: RunningRange, setup: Setup) -> House {
        let store = SqliteStore::open(dir.join("cordon.db"), Options::default()).unwrap();
        House::over(Arc::new(store), range, setup).await
    }

    /// A server on the store of an earlier one, reached with a token that it gave.
    pub async fn reopen(dir: &std::path::Path, range: RunningRange, setup: Setup, token: &str) -> House {
        let store = SqliteStore::open(dir.join("cordon.db"), Options::default()).unwrap();
        House::with_token(Arc::new(store), range, setup, token.to_owned()).await
    }

    pub async fn over(store: Arc<dyn Store>, range: RunningRange, setup: Setup) -> House {
        let (_, token) = bootstrap(&*store, &SystemClock).await.unwrap().unwrap();
        House::with_token(store, range, setup, token).await
    }

    async fn with_token(store: Arc<dyn Store>, range: RunningRange, setup: Setup, token: String) -> House {
        let estate = Estate::with(store, range, setup).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let node = &estate.node;
        let services = Arc::new(Services {
            gate: node.gate.clone(),
            pipeline: node.pipeline.clone(),
            handle: node.handle.clone(),
            content: node.content.clone(),
            halt: node.halt.clone(),
            telemetry: Arc::new(Telemetry::new("test")),
            notify: node.notify.clone(),
            upkeep: Arc::default(),
            version: "test",
        });
        let (shut, told) = oneshot::channel::<()>();
        let surface = tokio::spawn(serve(listener, services, async {
            let _ = told.await;
        }));
        let way = Way::to(url, token);
        // The accounts begin with the first look.
        assert_eq!(way.get("/metrics").await.status, 200);
        House {
            estate,
            way,
            surface,
            shut,
        }
    }

    /// Ends as a process does that is asked to.
    pub async fn stop(self) {
        self.stop_leaving_the_range().await.stop().await;
    }

    /// The same, while the vendor's side goes on.
    pub async fn stop_leaving_the_range(self) -> RunningRange {
        let House {
            estate,
            way,
            surface,
            shut,
        } = self;
        drop(way);
        shut.send(()).unwrap();
        surface.await.unwrap().unwrap();
        estate.stop().await
    }
}

/// The headers of a Standard Webhooks delivery that was signed so many seconds ago.
pub fn signature(id: &str, age_s: i64, body: &[u8]) -> BTreeMap<String, String> {
    let key = BASE64
        .decode(WEBHOOK.strip_prefix("whsec_").unwrap().as_bytes())
        .unwrap();
    let stamp = SystemClock.now().0 / 1_000 - age_s;
    let signed = [id.as_bytes(), b".", stamp.to_string().as_bytes(), b".", body].concat();
    let Digest(mac) = Digest::keyed(&key, &signed);
    BTreeMap::from([
        ("webhook-id".to_owned(), id.to_owned()),
        ("webhook-timestamp".to_owned(), stamp.to_string()),
        (
            "webhook-signature".to_owned(),
            format!("v1,{}", BASE64.encode(&mac)),
        ),
    ])
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
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

/// The body of a request that acts by hand.
pub fn act(action: &str, host: &str, options: Value) -> Value {
    json!({
        "action": action,
        "target": { "type": "host", "name": host },
        "options": options,
        "reason": "a test",
    })
}
