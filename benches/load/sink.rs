//! The vendor of the load: takes posts, notes when each key came first, and says whether anything is missing or twice.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

/// How long nothing may come before the rest counts as lost.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Seen {
    /// By alert and number: when it first came, and how often it came.
    posts: HashMap<(String, u64), (Instant, u32)>,
}

/// The vendor.
pub struct Sink {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

async fn take(State(seen): State<Arc<Mutex<Seen>>>, Json(body): Json<Value>) -> Json<Value> {
    let now = Instant::now();
    let key = (
        body["alert"].as_str().unwrap_or_default().to_owned(),
        body["n"].as_u64().unwrap_or_default(),
    );
    let mut seen = seen.lock().unwrap();
    seen.posts.entry(key).or_insert((now, 0)).1 += 1;
    Json(json!({ "ok": true }))
}

impl Sink {
    pub async fn start() -> Sink {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let app = Router::new().route("/act", post(take)).with_state(seen.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Sink { address, seen }
    }

    fn count(&self) -> usize {
        self.seen.lock().unwrap().posts.len()
    }

    /// Waits until so many different posts have come, or nothing comes any more.
    pub async fn until(&self, expected: usize) {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            let count = self.count();
            if count >= expected || since.elapsed() > PATIENCE {
                return;
            }
            if count > last {
                (last, since) = (count, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What is missing and what came twice.
    pub fn account(&self, expected: usize) -> String {
        let seen = self.seen.lock().unwrap();
        let twice = seen.posts.values().filter(|(_, times)| *times > 1).count();
        format!(
            "{} of {expected} effects at the vendor, lost {}, twice {twice}",
            seen.posts.len(),
            expected as i64 - seen.posts.len() as i64
        )
    }

    /// From the moments at which alerts were sent to their first posts.
    pub fn since(&self, sent: &HashMap<String, Instant>) -> Took {
        let seen = self.seen.lock().unwrap();
        let took = seen.posts.iter().filter(|((_, n), _)| *n == 1);
        Took::new(
            took.filter_map(|((alert, _), (at, _))| Some(at.duration_since(*sent.get(alert)?)))
                .collect(),
        )
    }
}

/// How long something took, many times.
pub struct Took(Vec<Duration>);

impl Took {
    pub fn new(mut all: Vec<Duration>) -> Took {
        all.sort_unstable();
        Took(all)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    fn at(&self, part: f64) -> f64 {
        let place = ((self.0.len() as f64 - 1.0) * part).round().max(0.0) as usize;
        self.0
            .get(place)
            .map_or(f64::NAN, |took| took.as_secs_f64() * 1_000.0)
    }
}

impl fmt::Display for Took {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
            self.at(0.5),
            self.at(0.99),
            self.at(1.0)
        )
    }
}
