//! Cases of the feed, its cursors and the totals.

use std::collections::BTreeMap;

use super::fixture::*;
use cordon::clock::Time;
use cordon::journal::{ChainId, End};
use cordon::store::{Counts, Disposition, RunStatus, RunUpdate};

pub async fn the_feed_has_every_entry_in_the_order_it_was_appended(store: Any) {
    assert_eq!(store.feed(here(), 0, 10).await, Ok(vec![]));
    let alert = alert_id(0, here());
    store.accept(here(), new_alert(alert, 100)).await.unwrap();
    store.accept(here(), new_alert(alert, 100)).await.unwrap();
    let claim = claimed(&store, 0, "w").await;
    let (of_alert, of_run) = (ChainId::Alert(alert), ChainId::Run(claim.run));
    for _ in 0..2 {
        store
            .append(
                here(),
                &claim,
                1,
                Time(1),
                entries(of_run, 1..3),
                open_update(None, false),
            )
            .await
            .unwrap();
    }
    store
        .dispose(here(), alert, 1, entries(of_alert, 1..2), Disposition::Split)
        .await
        .unwrap();

    let feed = store.feed(here(), 0, 100).await.unwrap();
    let places: Vec<_> = feed
        .iter()
        .map(|item| (item.entry.chain, item.entry.seq))
        .collect();
    assert_eq!(
        places,
        [
            (of_alert, 0),
            (of_run, 0),
            (of_run, 1),
            (of_run, 2),
            (of_alert, 1)
        ]
    );
    assert_eq!(feed[3].entry, entry(of_run, 2, 0));
    assert!(feed[0].position >= 1);
    assert!(feed.is_sorted_by(|one, next| one.position < next.position));
    let middle = feed[2].position;
    assert_eq!(store.feed(here(), middle, 100).await.unwrap(), feed[3..]);
    assert_eq!(store.feed(here(), middle, 1).await.unwrap(), feed[3..4]);
    assert_eq!(store.feed(here(), feed[4].position, 100).await, Ok(vec![]));
}

pub async fn feeds_of_partitions_are_apart(store: Any) {
    store
        .accept(here(), new_alert(alert_id(0, here()), 100))
        .await
        .unwrap();
    let far = alert_id(0, elsewhere());
    store.accept(elsewhere(), new_alert(far, 100)).await.unwrap();
    let feed = store.feed(elsewhere(), 0, 10).await.unwrap();
    assert_eq!(feed.len(), 1);
    assert_eq!(feed[0].entry.chain, ChainId::Alert(far));
}

pub async fn cursors_move_forward_only(store: Any) {
    assert_eq!(store.cursor(here(), "notify").await, Ok(0));
    for (position, stands) in [(5, 5), (3, 5), (5, 5), (8, 8)] {
        store.set_cursor(here(), "notify", position).await.unwrap();
        assert_eq!(store.cursor(here(), "notify").await, Ok(stands));
    }
    assert_eq!(store.cursor(here(), "evidence").await, Ok(0));
    assert_eq!(store.cursor(elsewhere(), "notify").await, Ok(0));
}

pub async fn a_follower_is_one_holders_until_its_claim_ends(store: Any) {
    let claim = async |holder: &str, now, until| {
        let claimed = store.claim_follower(here(), "notify", holder, Time(now), Time(until));
        claimed.await.unwrap()
    };
    assert!(claim("one", 0, 100).await);
    assert!(!claim("two", 99, 500).await, "it is in force until its end");
    assert!(claim("one", 50, 150).await, "its holder keeps it");
    assert!(!claim("two", 149, 500).await);
    assert!(claim("two", 150, 300).await, "over is over");
    assert!(!claim("one", 160, 500).await);
    store.release_follower(here(), "notify", "one").await.unwrap();
    assert!(
        !claim("one", 170, 500).await,
        "nobody gives back what is another's"
    );
    for _ in 0..2 {
        store.release_follower(here(), "notify", "two").await.unwrap();
    }
    assert!(claim("one", 180, 500).await);
    // Each follower and each partition for itself.
    let other = store.claim_follower(here(), "evidence", "two", Time(180), Time(500));
    assert!(other.await.unwrap());
    let other = store.claim_follower(elsewhere(), "notify", "two", Time(180), Time(500));
    assert!(other.await.unwrap());
    assert!(
        claim("one", 10_000, 10_001).await,
        "late, and nobody else wanted it"
    );
}

pub async fn counts_add_up(store: Any) {
    assert_eq!(store.counts(here(), Time(0)).await, Ok(Counts::default()));
    for n in 0..4 {
        let id = alert_id(n, here());
        for _ in 0..=n {
            store.accept(here(), new_alert(id, 100)).await.unwrap();
        }
    }
    let split = alert_id(0, here());
    store
        .dispose(
            here(),
            split,
            1,
            entries(ChainId::Alert(split), 1..2),
            Disposition::Split,
        )
        .await
        .unwrap();
    for (n, status, end) in [
        (0, RunStatus::Settled, Some(End::Succeeded)),
        (1, RunStatus::Settled, Some(End::RolledBack)),
        (2, RunStatus::Settled, Some(End::RolledBack)),
        (3, RunStatus::Parked, None),
    ] {
        let claim = claimed(&store, n, "w").await;
        let update = RunUpdate {
            status,
            end,
            ..open_update(None, true)
        };
        store
            .append(here(), &claim, 1, Time(1), vec![], update)
            .await
            .unwrap();
    }
    claimed(&store, 4, "w").await;

    let counts = store.counts(here(), Time(0)).await.unwrap();
    let words = |pairs: &[(&str, u64)]| {
        pairs
            .iter()
            .map(|(word, n)| ((*word).to_owned(), *n))
            .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(counts.alerts, words(&[("pending", 3), ("split", 1)]));
    assert_eq!(counts.repeats, 6);
    assert_eq!(counts.runs, words(&[("open", 1), ("parked", 1), ("settled", 3)]));
    assert_eq!(counts.ends, words(&[("succeeded", 1), ("rolled back", 2)]));
    assert_eq!((counts.stuck, counts.holds, counts.overdue), (0, 0, 0));
    assert_eq!(store.counts(elsewhere(), Time(0)).await, Ok(Counts::default()));
}

pub async fn a_run_that_nothing_will_wake_is_counted_as_stuck(store: Any) {
    let stuck = async || store.counts(here(), Time(0)).await.unwrap().stuck;
    store
        .create_run(here(), new_run(run_id(0, here()), 1, Some(5)))
        .await
        .unwrap();
    assert_eq!(stuck().await, 0);
    let claim = claimed(&store, 1, "w").await;
    let append = async |release| {
        let update = open_update(None, release);
        store
            .append(here(), &claim, 1, Time(1), vec![], update)
            .await
            .unwrap();
    };
    append(false).await;
    assert_eq!(stuck().await, 0, "its worker has it");
    append(true).await;
    assert_eq!(stuck().await, 1);
    store.wake(here(), claim.run, Time(9)).await.unwrap();
    assert_eq!(stuck().await, 0);
}

pub async fn holds_are_counted_with_those_overdue(store: Any) {
    for (n, until) in [(1, Some(100)), (2, Some(200)), (3, None)] {
        let hold = new_hold(&target(0, here()), n, 1, until);
        store.hold_take(here(), FAR, hold).await.unwrap();
    }
    let other = new_hold(&target(1, here()), 1, 1, Some(100));
    store.hold_take(here(), FAR, other).await.unwrap();
    for (now, overdue) in [(99, 0), (100, 2), (200, 3)] {
        let counts = store.counts(here(), Time(now)).await.unwrap();
        assert_eq!((counts.holds, counts.overdue), (2, overdue), "at {now}");
    }
}

pub async fn a_working_store_is_ready(store: Any) {
    assert_eq!(store.ready().await, Ok(()));
    assert_eq!(store.ready().await, Ok(()));
}

pub async fn a_store_says_how_it_stands(store: Any) {
    let health = store.health().await.unwrap();
    assert!(
        !health.backend.is_empty() && !health.durability.is_empty(),
        "{health:?}"
    );
    assert_eq!(
        health.total_bytes.is_some(),
        health.free_bytes.is_some(),
        "{health:?}"
    );
    if let (Some(total), Some(free)) = (health.total_bytes, health.free_bytes) {
        assert!(free <= total && total > 0, "{health:?}");
    }
}
