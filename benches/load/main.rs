//! The load tool: whole servers, alerts over HTTP, a vendor over HTTP, and what came of it, counted at the vendor.
//!
//! ```sh
//! cargo bench --bench load                                  # SQLite, one node, every figure
//! cargo bench --bench load -- accept runs                   # only these: accept, runs, contain, first, waiting
//! cargo bench --bench load -- --store redis://127.0.0.1:6379 --nodes 3
//! cargo bench --bench load -- waiting --waiting 100000
//! ```
//!
//! `scripts/load` starts a Redis of its own and runs all of it on SQLite, on Redis with one node and with three.
//! Sender, servers, vendor and store share the machine, so the figures are of all of them together.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark"
)]

mod content;
mod node;
mod sender;
mod sink;

use std::time::{Duration, Instant};

use node::{Cluster, Setup};
use sender::Sender;
use sink::Sink;

/// What is measured.
const FIGURES: [&str; 5] = ["accept", "runs", "contain", "first", "waiting"];

struct Orders {
    figures: Vec<String>,
    setup: Setup,
    /// Runs of three actions.
    runs: usize,
    /// Runs that wait.
    waiting: usize,
    /// How long a steady rate lasts.
    seconds: u64,
}

fn orders() -> Orders {
    let mut orders = Orders {
        figures: Vec::new(),
        setup: Setup::default(),
        runs: 3_000,
        waiting: 10_000,
        seconds: 10,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || {
            let next = words.next().unwrap_or_default();
            next.parse::<usize>()
                .unwrap_or_else(|_| panic!("`{word}` takes a number, not `{next}`"))
        };
        match word.as_str() {
            // Said by cargo.
            "--bench" => {}
            "--nodes" => orders.setup.nodes = number().max(1),
            "--runs" => orders.runs = number(),
            "--waiting" => orders.waiting = number(),
            "--seconds" => orders.seconds = number() as u64,
            "--store" => orders.setup.store = words.next(),
            figure if FIGURES.contains(&figure) => orders.figures.push(figure.to_owned()),
            other => panic!(
                "`{other}`? figures: {}; --store URL, --nodes N, --runs N, --waiting N, --seconds N",
                FIGURES.join(", ")
            ),
        }
    }
    if orders.figures.is_empty() {
        orders.figures = FIGURES.map(str::to_owned).to_vec();
    }
    orders
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let orders = orders();
    println!("== {}", orders.setup.title());
    for figure in &orders.figures {
        match figure.as_str() {
            "accept" => accept(&orders).await,
            "runs" => runs(&orders).await,
            "contain" => contain(&orders).await,
            "first" => first(&orders).await,
            _ => waiting(&orders).await,
        }
    }
}

/// Alerts that start nothing: how many a second are durable, and how long one takes at 500 a second.
async fn accept(orders: &Orders) {
    let sink = Sink::start().await;
    let cluster = Cluster::start(&orders.setup, &sink, &[]).await;
    let sender = Sender::new(&cluster);
    let began = Instant::now();
    let took = sender.flood("unmatched", 20_000, 128).await;
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "accept: {} alerts in {seconds:.2} s = {:.0} a second over HTTP, 128 senders; {took}",
        took.count(),
        took.count() as f64 / seconds
    );
    let took = sender.steady("steady", 500, orders.seconds).await;
    println!("accept at 500 a second for {} s: {took}", orders.seconds);
    cluster.settled().await;
    let accounted = cluster.alerts().await;
    let sent = 20_000 + 500 * orders.seconds as usize;
    println!(
        "accept: {sent} sent and answered 202, {accounted} kept, lost {}",
        sent as i64 - accounted as i64
    );
    cluster.stop().await;
}

/// Alerts that start a run of three actions each, posted to the vendor under a key.
async fn runs(orders: &Orders) {
    let sink = Sink::start().await;
    let cluster = Cluster::start(&orders.setup, &sink, &[content::THREE_POSTS]).await;
    let sender = Sender::new(&cluster);
    let began = Instant::now();
    let accepted = sender.flood("three", orders.runs, 128).await;
    let sent = began.elapsed().as_secs_f64();
    sink.until(orders.runs * 3).await;
    let seconds = began.elapsed().as_secs_f64();
    cluster.settled().await;
    println!(
        "runs: {} of three posts in {seconds:.2} s = {:.0} a second (alerts accepted in {sent:.2} s: {accepted}); {}; resident {}",
        orders.runs,
        orders.runs as f64 / seconds,
        sink.account(orders.runs * 3),
        cluster.resident(),
    );
    cluster.stop().await;
}

/// Runs that contain three hosts each, captured before and read back after.
async fn contain(orders: &Orders) {
    let sink = Sink::start().await;
    let count = orders.runs / 3;
    let cluster = Cluster::with_hosts(&orders.setup, &sink, &[content::THREE_HOSTS], count).await;
    let sender = Sender::new(&cluster);
    let began = Instant::now();
    sender.flood("hosts", count, 128).await;
    cluster.contained(count * 3).await;
    let seconds = began.elapsed().as_secs_f64();
    cluster.settled().await;
    println!(
        "contain: {count} runs of three hosts, found, captured, contained and read back, in {seconds:.2} s = {:.0} a second; {}",
        count as f64 / seconds,
        cluster.containment(count * 3),
    );
    cluster.stop().await;
}

/// From the first byte of an alert to the first call at the vendor, at 200 alerts a second.
async fn first(orders: &Orders) {
    let sink = Sink::start().await;
    let cluster = Cluster::start(&orders.setup, &sink, &[content::ONE_POST]).await;
    let sender = Sender::new(&cluster);
    let fsync = node::fsync(cluster.folder());
    let accepted = sender.steady("one", 200, orders.seconds).await;
    let expected = 200 * orders.seconds as usize;
    sink.until(expected).await;
    cluster.settled().await;
    println!(
        "first call at 200 alerts a second for {} s: alert in to call out {}; accepted {accepted}; fdatasync alone {fsync}; {}",
        orders.seconds,
        sink.since(&sender.sent()),
        sink.account(expected),
    );
    cluster.stop().await;
}

/// Runs that wait for people: what they cost while nothing happens.
async fn waiting(orders: &Orders) {
    let sink = Sink::start().await;
    let cluster = Cluster::start(&orders.setup, &sink, &[content::WAITING]).await;
    let sender = Sender::new(&cluster);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = cluster.costs();
    let began = Instant::now();
    sender.flood("waiting", orders.waiting, 128).await;
    cluster.waiting(orders.waiting).await;
    let seconds = began.elapsed().as_secs_f64();
    // What the way there took is given back, as far as it is.
    tokio::time::sleep(Duration::from_secs(5)).await;
    println!(
        "waiting: {} runs wait for an approval, asked in {seconds:.1} s; before: {before}; now: {}",
        orders.waiting,
        cluster.costs()
    );
    let idle = cluster.idle_cpu(Duration::from_secs(10)).await;
    println!("waiting: idle CPU with them {idle}");
    cluster.stop().await;
}
