//! Alerts accepted durably: how many a second from many senders at once, and how long each waits at 500 a
//! second. Through the gate (authenticate, digest, keep) on SQLite; without HTTP, and then with it.
//!
//! `cargo bench --bench intake` prints one line a figure.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cordon::app::{ServeOptions, Server};
use cordon::clock::SystemClock;
use cordon::config::Config;
use cordon::intake::{Auth, Gate, Headers, Normaliser, Profile};
use cordon::secret::Secret;
use cordon::store::sqlite::{Options, SqliteStore};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const SECRET: &str = "a-secret-for-the-benchmark";

fn directory(name: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("target/bench-data")
        .join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// About a kilobyte, like a Splunk notable. No trigger wants it, so that only intake is measured.
fn body(n: usize) -> Vec<u8> {
    let filler = "x".repeat(600);
    json!({
        "uid": format!("finding-{n}"),
        "title": "Something of little interest",
        "severity": "low",
        "rule": { "uid": "quiet", "name": "quiet" },
        "entities": [{ "type": "host", "role": "affected", "name": format!("h{n}") }],
        "note": filler,
    })
    .to_string()
    .into_bytes()
}

fn percentile(times: &mut [f64], p: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    let place = ((times.len() as f64 - 1.0) * p).round() as usize;
    times.get(place).copied().unwrap_or(f64::NAN)
}

async fn through_the_gate(count: usize, senders: usize) {
    let dir = directory("intake");
    let store = Arc::new(SqliteStore::open(dir.join("cordon.db"), Options::default()).unwrap());
    let profile = Profile {
        finding_window_ms: 3_600_000,
        ..Profile::new(
            "generic",
            "generic",
            Auth::Header {
                header: "x-key".into(),
                secrets: vec![Secret::new(SECRET)],
            },
            Normaliser::Builtin,
        )
    };
    let profiles = Arc::new(BTreeMap::from([("generic".to_owned(), profile)]));
    let (keep, _kept) = mpsc::channel(1);
    let gate = Arc::new(Gate::new(store.clone(), Arc::new(SystemClock), profiles, keep));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for sender in 0..senders {
        let gate = gate.clone();
        tasks.spawn(async move {
            let headers = Headers::of([("x-key", SECRET)]);
            for n in (sender..count).step_by(senders) {
                gate.receive("generic", &headers, &body(n)).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "gate, {senders} senders: {count} alerts accepted durably in {seconds:.2} s = {:.0}/s ({} commits)",
        count as f64 / seconds,
        store.commits()
    );
    drop(gate);
    let _ = std::fs::remove_dir_all(dir);
}

async fn over_http(per_second: usize, seconds: usize) {
    let dir = directory("intake-http");
    std::fs::write(dir.join("key"), SECRET).unwrap();
    let text = r#"
[server]
listen = "127.0.0.1:0"
[store]
url = "sqlite:cordon.db"
[[source]]
name = "generic"
use = "generic"
auth = { kind = "header", header = "x-key", secrets = ["file:key"] }
"#;
    let path = dir.join("cordon.toml");
    std::fs::write(&path, text).unwrap();
    let config = Config::load(&path).unwrap();
    let server = Server::start(&config, &ServeOptions::default()).await.unwrap();
    let url = format!("http://{}/hooks/generic", server.address);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let times: Arc<Mutex<Vec<f64>>> = Arc::default();
    let mut tick = tokio::time::interval(Duration::from_secs_f64(1.0 / per_second as f64));
    let mut tasks = JoinSet::new();
    for n in 0..per_second * seconds {
        tick.tick().await;
        let (client, url, times) = (client.clone(), url.clone(), times.clone());
        tasks.spawn(async move {
            let body = body(n);
            let started = Instant::now();
            let answer = client
                .post(url)
                .header("x-key", SECRET)
                .body(body)
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), 202);
            times
                .lock()
                .unwrap()
                .push(started.elapsed().as_secs_f64() * 1_000.0);
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let mut times = times.lock().unwrap().clone();
    println!(
        "http, {per_second}/s for {seconds} s with processing: accepted {} of {}, p50 {:.1} ms p99 {:.1} ms",
        times.len(),
        per_second * seconds,
        percentile(&mut times, 0.5),
        percentile(&mut times, 0.99)
    );
    server.stop().await.unwrap();
    let _ = std::fs::remove_dir_all(dir);
}

fn main() {
    let quick = std::env::args().any(|arg| arg == "--test");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for senders in [1, 16, 64, 256] {
            let count = if quick {
                20
            } else if senders == 1 {
                2_000
            } else {
                20_000
            };
            through_the_gate(count, senders).await;
        }
        over_http(if quick { 20 } else { 500 }, if quick { 1 } else { 10 }).await;
    });
}
