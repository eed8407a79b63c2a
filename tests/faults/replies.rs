//! Replies that are lost, late, doubled, cut in the middle: one durable server behind a proxy. Thousands of appends and
//! other operations; afterwards there is no gap and no duplicate in any journal or in the feed, and nothing that was
//! acknowledged is missing.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cordon::store::redis::Durability;

use crate::host::{PORT, Server};
use crate::judge::judge;
use crate::load::{Board, Load};
use crate::proxy::{Proxy, Weather};
use crate::{open, say, seed, variable};

/// Things asked for and acknowledged, in the short form.
const ENOUGH: u64 = 4_000;
const PATIENCE: Duration = Duration::from_secs(1_800);

#[tokio::test(flavor = "multi_thread")]
async fn replies_are_lost_late_and_doubled_and_nothing_else_is() {
    let enough = variable("CORDON_FAULTS_APPENDS").unwrap_or(ENOUGH);
    let dir = tempfile::tempdir().unwrap();
    let server = Server::durable(dir.path(), "127.0.0.10", "");
    let begun = Instant::now();
    let mut proxies = Vec::new();
    let mut stores = Vec::new();
    let upstream = format!("{}:{PORT}", server.ip).parse().unwrap();
    for node in 0..3_u64 {
        let proxy = Proxy::start(upstream, seed().wrapping_add(node)).await;
        let url = format!("redis://{}?prefix=replies:", proxy.address);
        stores.push(open::redis(&url, Durability::Strict, &format!("node-{node}")).await);
        proxies.push(proxy);
    }
    for proxy in &proxies {
        proxy.set(Weather {
            per_mille: 15,
            late_ms: (200, 8_000),
            only: None,
        });
    }
    let board = Board::new();
    let load = Load::start(&stores, 48, seed(), &board);
    while board.acked.load(Ordering::SeqCst) < enough {
        assert!(begun.elapsed() < PATIENCE, "{:?}", board.errors.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The weather stays bad to the end: whoever stops has to hear of its last word, too.
    let told = load.stop().await;
    for proxy in &proxies {
        proxy.set(Weather::CALM);
    }
    // What lingers has come by then.
    tokio::time::sleep(Duration::from_millis(8_200)).await;
    let url = format!("redis://{}:{PORT}?prefix=replies:", server.ip);
    let fresh = open::redis(&url, Durability::Strict, "judge").await;
    let found = judge(&fresh, &told).await;
    let mut violations = board.violations.lock().unwrap().clone();
    violations.extend(found.violations.iter().cloned());
    let parked = board.parked.lock().unwrap().clone();
    for proxy in &proxies {
        let (count, requests) = proxy.count();
        say(&format!("  of {requests} requests: {count:?}"));
    }
    say(&format!(
        "replies: {} operations answered, {} acknowledged things, {} lost, {} asked again, {} claims gone, {} violations, \
         seed {}, in {} s",
        board.acked.load(Ordering::SeqCst),
        found.acked,
        found.lost_in_all(),
        board.again.load(Ordering::SeqCst),
        board.fenced.load(Ordering::SeqCst),
        violations.len(),
        seed(),
        begun.elapsed().as_secs()
    ));
    assert!(violations.is_empty(), "{violations:#?}");
    assert_eq!(found.lost_in_all(), 0, "{:?}", found.lost);
    assert!(parked.is_empty(), "parked, and nothing was lost: {parked:?}");
}
