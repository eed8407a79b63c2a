//! A disk without room.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::estate::{Disk, Estate, HOSTS, PATIENCE};
use crate::node::Node;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_alerts_and_effects_and_all_goes_on_with_room_again() {
    let estate = Estate::new("url = \"sqlite:disk/cordon.db\"").await;
    let disk = Disk::mount(&estate.dir.path().join("disk"), 24);
    let mut node = Node::start(estate.dir.path(), None).await;
    let token = node.token.clone().unwrap();
    let mut promised = BTreeSet::new();
    for n in 0..4 {
        assert_eq!(estate.send(&node, n).await, Some((202, false)));
        promised.insert(n);
    }
    estate.rest(&node, &token).await;
    assert_eq!(estate.contained(), 4);

    disk.fill();
    // What was synced has room in the log still, for a few more. Then no more are taken.
    let (mut refused, mut n) = (BTreeSet::new(), 4);
    while refused.len() < 6 {
        match estate.send(&node, n).await {
            Some((202, _)) => drop(promised.insert(n)),
            Some((503, again)) => {
                assert!(again, "a sender is told when to come again");
                refused.insert(n);
            }
            other => panic!("{other:?}: {}", node.words()),
        }
        n += 1;
        assert!(n < HOSTS, "the disk does not fill: {} refused", refused.len());
    }
    assert_eq!(estate.status(&node, "/healthz").await, Some(200), "it lives");
    assert_eq!(
        estate.status(&node, "/readyz").await,
        Some(503),
        "and says that it takes nothing"
    );
    assert!(!node.has_ended());

    disk.make_room();
    let began = Instant::now();
    while estate.status(&node, "/readyz").await != Some(200) {
        assert!(began.elapsed() < PATIENCE, "it does not go on: {}", node.words());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let resumed = began.elapsed();
    for n in refused {
        assert_eq!(
            estate.send(&node, n).await,
            Some((202, false)),
            "the sender comes again"
        );
        promised.insert(n);
    }
    estate.rest(&node, &token).await;
    node.stop().await;
    estate
        .judge(&estate.dir.path().join("disk/cordon.db"), &promised)
        .await;
    println!(
        "disk full: {} alerts promised, 6 refused with 503, takes writes {} ms after there was room, 0 violations",
        promised.len(),
        resumed.as_millis()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_in_the_middle_of_runs_sends_nothing_that_is_not_written_down() {
    for after in 0..6_u64 {
        let estate = Estate::new("url = \"sqlite:disk/cordon.db\"").await;
        let disk = Disk::mount(&estate.dir.path().join("disk"), 24);
        let mut node = Node::start(estate.dir.path(), None).await;
        let token = node.token.clone().unwrap();
        let mut promised = BTreeSet::new();
        for n in 0..6 {
            if let Some((202, _)) = estate.send(&node, n).await {
                promised.insert(n);
            }
        }
        // At another point of what these six start, each time.
        tokio::time::sleep(Duration::from_millis(after * 60)).await;
        disk.fill();
        let before = estate.contained();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let during = estate.contained() - before;
        disk.make_room();
        estate.rest(&node, &token).await;
        node.stop().await;
        estate
            .judge(&estate.dir.path().join("disk/cordon.db"), &promised)
            .await;
        println!(
            "disk full {} ms after the alerts: {during} contained meanwhile, 0 violations",
            after * 12
        );
    }
}
