//! A disk that does not keep what it is given.

use std::collections::BTreeSet;

use crate::estate::{Estate, HOSTS};
use crate::node::Node;

/// Syncs after which they fail. Short; `scripts/disk` asks for more.
fn points() -> Vec<u32> {
    let every: u32 = std::env::var("CORDON_DISK_SYNCS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(6);
    (0..every).map(|n| 3 + n * n * 2).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_sync_the_process_stops_and_a_restart_is_clean() {
    let points = points();
    for at in &points {
        let estate = Estate::new("url = \"sqlite:cordon.db\"").await;
        // The first start makes files and token; what is tried is a server at work.
        let mut node = Node::start(estate.dir.path(), None).await;
        let token = node.token.clone().unwrap();
        node.stop().await;
        let mut node = Node::start(estate.dir.path(), Some(*at)).await;
        let mut promised = BTreeSet::new();
        if node.listens() {
            for n in 0..HOSTS {
                match estate.send(&node, n).await {
                    Some((202, _)) => drop(promised.insert(n)),
                    Some((503, again)) => assert!(again),
                    None => break,
                    Some(other) => panic!("{other:?}"),
                }
            }
        }
        let status = node.end().await;
        assert!(!status.success(), "it says that it failed");
        let words = node.words();
        assert!(
            words.contains("the store can no longer be trusted") || !node.listens(),
            "it says why: {words}"
        );
        let mut node = Node::start(estate.dir.path(), None).await;
        assert!(node.listens(), "a sound disk is enough: {}", node.words());
        estate.rest(&node, &token).await;
        for n in 0..HOSTS {
            assert_eq!(estate.send(&node, n).await.map(|(status, _)| status), Some(202));
        }
        let sent: BTreeSet<usize> = (0..HOSTS).collect();
        estate.rest(&node, &token).await;
        node.stop().await;
        estate.judge(&estate.dir.path().join("cordon.db"), &sent).await;
        println!(
            "syncs fail from the {at}th on: {} alerts promised before, stopped with {status}, 0 violations after",
            promised.len()
        );
    }
    println!("{} failing syncs, 0 violations", points.len());
}
