//! Cases of many callers at once.

use std::collections::BTreeMap;
use std::future::Future;

use super::fixture::*;
use cordon::clock::Time;
use cordon::id::Partition;
use cordon::journal::ChainId;
use cordon::store::{Accepted, Appended, Locked};

/// Runs 64 tasks and answers what each came to.
async fn at_once<T, F>(task: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..64).map(|n| tokio::spawn(task(n))).collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

pub async fn many_append_to_their_own_runs(store: Any) {
    at_once(|n| {
        let store = store.clone();
        async move {
            let partition = Partition::number((n % 3) as u8).unwrap();
            let id = run_id(n, partition);
            let chain = ChainId::Run(id);
            store
                .create_run(partition, new_run(id, 1, Some(1)))
                .await
                .unwrap();
            let claim = store.claim_run(partition, id, "w", Time(1), Time(900));
            let claim = claim.await.unwrap().unwrap();
            for seq in 1..6 {
                let entries = entries(chain, seq..seq + 1);
                let append = store.append(partition, &claim, seq, Time(2), entries, open_update(None, false));
                assert_eq!(append.await, Ok(Appended::New));
                // A write that was answered is read at once.
                let journal = store.journal(partition, chain, seq).await.unwrap();
                assert_eq!(journal.len(), 1);
            }
        }
    })
    .await;
    let mut total = 0;
    for partition in Partition::all() {
        let feed = store.feed(partition, 0, 10_000).await.unwrap();
        let positions: Vec<u64> = feed.iter().map(|item| item.position).collect();
        assert_eq!(positions, (1..=feed.len() as u64).collect::<Vec<_>>());
        let mut next: BTreeMap<ChainId, u64> = BTreeMap::new();
        for item in &feed {
            let expected = next.entry(item.entry.chain).or_default();
            assert_eq!(item.entry.seq, *expected, "{}", item.entry.chain);
            *expected += 1;
        }
        total += feed.len();
    }
    assert_eq!(total, 64 * 6);
}

pub async fn many_claim_the_same_runs_and_each_goes_to_one(store: Any) {
    for n in 0..20 {
        let run = new_run(run_id(n, here()), 1, Some(1));
        store.create_run(here(), run).await.unwrap();
    }
    let claims = at_once(|n| {
        let store = store.clone();
        async move {
            let worker = format!("worker {n}");
            store
                .claim_due(here(), &worker, Time(5), Time(900), 3)
                .await
                .unwrap()
        }
    });
    let mut claimed: Vec<_> = claims.await.into_iter().flatten().collect();
    assert!(claimed.iter().all(|claim| claim.epoch == 1));
    claimed.sort_by_key(|claim| claim.run);
    claimed.dedup_by_key(|claim| claim.run);
    assert_eq!(claimed.len(), 20);
    let again = store.claim_due(here(), "late", Time(5), Time(900), 100).await;
    assert_eq!(again, Ok(vec![]));
}

pub async fn many_take_the_same_lock_and_one_has_it(store: Any) {
    let key = target(0, here()).key();
    let answers = at_once(|n| {
        let (store, key) = (store.clone(), key.clone());
        async move {
            let lock = store.lock(here(), FAR, &key, effect(n), run_id(0, here()), Time(1));
            (n, lock.await.unwrap())
        }
    });
    let answers = answers.await;
    let granted: Vec<usize> = answers
        .iter()
        .filter(|(_, lock)| *lock == Locked::Granted)
        .map(|(n, _)| *n)
        .collect();
    assert_eq!(granted.len(), 1);
    for (n, lock) in answers {
        if n != granted[0] {
            assert!(matches!(lock, Locked::Busy { effect: owner, .. } if owner == effect(granted[0])));
        }
    }
}

pub async fn many_deliver_the_same_alert_and_it_is_kept_once(store: Any) {
    let id = alert_id(0, here());
    let answers = at_once(|_| {
        let store = store.clone();
        async move { store.accept(here(), new_alert(id, 1)).await.unwrap() }
    });
    let mut answers = answers.await;
    answers.sort_by_key(|answer| match answer {
        Accepted::New => 1,
        Accepted::Repeat { times } => *times,
    });
    assert_eq!(answers[0], Accepted::New);
    for (n, answer) in answers.iter().enumerate().skip(1) {
        assert_eq!(*answer, Accepted::Repeat { times: n as u64 + 1 });
    }
    assert_eq!(store.feed(here(), 0, 100).await.unwrap().len(), 1);
}

pub async fn many_race_one_append_and_all_but_one_find_it_there(store: Any) {
    let claim = claimed(&store, 0, "w").await;
    let chain = ChainId::Run(claim.run);
    let answers = at_once(|_| {
        let (store, claim) = (store.clone(), claim.clone());
        async move {
            let update = open_update(Some(9), false);
            let append = store.append(here(), &claim, 1, Time(2), entries(chain, 1..3), update);
            append.await.unwrap()
        }
    });
    let new = answers
        .await
        .into_iter()
        .filter(|answer| *answer == Appended::New);
    assert_eq!(new.count(), 1);
    assert_eq!(store.journal(here(), chain, 0).await, Ok(entries(chain, 0..3)));
}
