//! Cases of who works on a run, and when it is looked at.

use super::fixture::*;
use cordon::clock::Time;
use cordon::id::RunId;
use cordon::journal::ChainId;
use cordon::store::{RunStatus, RunUpdate};

async fn create(store: &Any, n: usize, wake_at: Option<i64>) -> RunId {
    let id = run_id(n, here());
    store.create_run(here(), new_run(id, 100, wake_at)).await.unwrap();
    id
}

async fn claim_due(store: &Any, worker: &str, now: i64, until: i64, limit: usize) -> Vec<(RunId, u64)> {
    let claims = store
        .claim_due(here(), worker, Time(now), Time(until), limit)
        .await
        .unwrap();
    assert!(claims.iter().all(|claim| claim.until == Time(until)));
    claims.iter().map(|claim| (claim.run, claim.epoch)).collect()
}

async fn wake_at(store: &Any, id: RunId) -> Option<i64> {
    store
        .run(here(), id)
        .await
        .unwrap()
        .unwrap()
        .wake_at
        .map(|at| at.0)
}

pub async fn due_runs_are_claimed_longest_due_first_up_to_the_limit(store: Any) {
    let late = create(&store, 0, Some(300)).await;
    let first = create(&store, 1, Some(100)).await;
    let second = create(&store, 2, Some(200)).await;
    let never = create(&store, 3, None).await;
    assert_eq!(claim_due(&store, "w", 99, 900, 10).await, []);
    assert_eq!(claim_due(&store, "w", 299, 900, 0).await, []);
    assert_eq!(claim_due(&store, "w", 299, 900, 1).await, [(first, 1)]);
    assert_eq!(claim_due(&store, "w", 299, 900, 10).await, [(second, 1)]);
    assert_eq!(claim_due(&store, "w", 300, 900, 10).await, [(late, 1)]);
    assert_eq!(claim_due(&store, "w", 899, 999, 10).await, []);
    let row = store.run(here(), first).await.unwrap().unwrap();
    assert_eq!((row.worker.as_deref(), row.epoch), (Some("w"), 1));
    assert_eq!(store.run(here(), never).await.unwrap().unwrap().worker, None);
}

pub async fn a_claim_in_force_keeps_others_out_until_it_ends(store: Any) {
    let id = create(&store, 0, Some(100)).await;
    assert_eq!(claim_due(&store, "a", 100, 200, 10).await, [(id, 1)]);
    assert_eq!(claim_due(&store, "b", 199, 300, 10).await, []);
    assert_eq!(
        store.claim_run(here(), id, "b", Time(199), Time(300)).await,
        Ok(None)
    );
    let claim = cordon::store::Claim {
        run: id,
        epoch: 1,
        until: Time(200),
    };
    store.renew(here(), &claim, Time(250)).await.unwrap();
    assert_eq!(claim_due(&store, "b", 249, 300, 10).await, []);
    assert_eq!(claim_due(&store, "b", 250, 300, 10).await, [(id, 2)]);
    assert_fenced(store.renew(here(), &claim, Time(900)).await, &claim, 2);
}

pub async fn a_stale_epoch_is_fenced(store: Any) {
    let old = claimed(&store, 0, "a").await;
    let new = store
        .claim_run(here(), old.run, "b", Time(10_000), Time(20_000))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(new.epoch, 2);
    let chain = ChainId::Run(old.run);
    let append = async |claim, seq| {
        let entries = entries(chain, seq..seq + 1);
        store
            .append(here(), claim, seq, Time(1), entries, open_update(None, false))
            .await
    };
    assert_fenced(append(&old, 1).await, &old, 2);
    append(&new, 1).await.unwrap();
    // Fenced even where the entry is there: the stale worker has to stop.
    assert_fenced(append(&old, 1).await, &old, 2);
    let invented = cordon::store::Claim {
        epoch: 7,
        ..new.clone()
    };
    assert_fenced(append(&invented, 2).await, &invented, 2);
    assert_eq!(store.journal(here(), chain, 0).await.unwrap().len(), 2);
}

pub async fn a_claim_given_back_cannot_append(store: Any) {
    let claim = claimed(&store, 0, "a").await;
    store.release_worker(here(), "a").await.unwrap();
    let chain = ChainId::Run(claim.run);
    let append = store.append(
        here(),
        &claim,
        1,
        Time(1),
        entries(chain, 1..2),
        open_update(None, false),
    );
    assert_fenced(append.await, &claim, 1);
    assert_fenced(store.renew(here(), &claim, Time(99_999)).await, &claim, 1);
}

pub async fn one_run_is_claimed_due_or_not(store: Any) {
    let id = create(&store, 0, Some(5_000)).await;
    let claim = async |worker: &str| {
        let claim = store.claim_run(here(), id, worker, Time(100), Time(200));
        claim.await.unwrap().map(|claim| claim.epoch)
    };
    assert_eq!(claim("a").await, Some(1));
    assert_eq!(claim("b").await, None);
    assert_eq!(
        claim("a").await,
        Some(2),
        "a worker that lost its answer asks again"
    );
}

pub async fn only_open_runs_are_claimed(store: Any) {
    for (n, status) in [(0, RunStatus::Parked), (1, RunStatus::Settled)] {
        let claim = claimed(&store, n, "a").await;
        let update = RunUpdate {
            status,
            ..open_update(Some(100), true)
        };
        store
            .append(here(), &claim, 1, Time(100), vec![], update)
            .await
            .unwrap();
        let again = store.claim_run(here(), claim.run, "a", Time(99_999), Time(100_000));
        assert_eq!(again.await, Ok(None), "{status:?}");
        store.wake(here(), claim.run, Time(1)).await.unwrap();
        assert_eq!(wake_at(&store, claim.run).await, None, "{status:?}");
    }
    assert_eq!(claim_due(&store, "a", 99_999, 100_000, 10).await, []);
    assert_eq!(store.next_wake(here()).await, Ok(None));
}

pub async fn a_worker_that_died_without_a_wake_leaves_a_run_that_is_due(store: Any) {
    let claim = claimed(&store, 0, "a").await;
    store
        .append(here(), &claim, 1, Time(100), vec![], open_update(None, false))
        .await
        .unwrap();
    assert_eq!(claim_due(&store, "b", 9_999, 20_000, 10).await, []);
    assert_eq!(claim_due(&store, "b", 10_000, 20_000, 10).await, [(claim.run, 2)]);
}

pub async fn a_wake_makes_due_sooner_never_later(store: Any) {
    let id = create(&store, 0, Some(500)).await;
    store.wake(here(), id, Time(700)).await.unwrap();
    assert_eq!(wake_at(&store, id).await, Some(500));
    for _ in 0..2 {
        store.wake(here(), id, Time(300)).await.unwrap();
        assert_eq!(wake_at(&store, id).await, Some(300));
    }
    let never = create(&store, 1, None).await;
    store.wake(here(), never, Time(400)).await.unwrap();
    assert_eq!(claim_due(&store, "w", 400, 900, 10).await, [(id, 1), (never, 1)]);
}

pub async fn a_wake_during_a_claim_outlasts_its_appends(store: Any) {
    let claim = claimed(&store, 0, "a").await;
    store.wake(here(), claim.run, Time(150)).await.unwrap();
    store
        .append(
            here(),
            &claim,
            1,
            Time(160),
            vec![],
            open_update(Some(9_000), true),
        )
        .await
        .unwrap();
    assert_eq!(wake_at(&store, claim.run).await, Some(150));
    assert_eq!(claim_due(&store, "b", 160, 500, 10).await, [(claim.run, 2)]);
    // Looked at since: now the worker's word counts.
    let claim = cordon::store::Claim { epoch: 2, ..claim };
    store
        .append(
            here(),
            &claim,
            1,
            Time(170),
            vec![],
            open_update(Some(9_000), true),
        )
        .await
        .unwrap();
    assert_eq!(wake_at(&store, claim.run).await, Some(9_000));
}

pub async fn a_repeated_append_does_not_undo_a_wake(store: Any) {
    let claim = claimed(&store, 0, "a").await;
    let chain = ChainId::Run(claim.run);
    let append = async || {
        let update = open_update(Some(9_000), true);
        store
            .append(here(), &claim, 1, Time(160), entries(chain, 1..2), update)
            .await
            .unwrap()
    };
    append().await;
    store.wake(here(), claim.run, Time(200)).await.unwrap();
    append().await;
    assert_eq!(wake_at(&store, claim.run).await, Some(200));
}

pub async fn a_worker_gives_all_its_claims_back(store: Any) {
    let first = claimed(&store, 0, "a").await;
    let second = claimed(&store, 1, "a").await;
    claimed(&store, 2, "b").await;
    store
        .append(here(), &second, 1, Time(120), vec![], open_update(None, false))
        .await
        .unwrap();
    for _ in 0..2 {
        store.release_worker(here(), "a").await.unwrap();
    }
    // The one that had no wake is due at once, so that it is not stuck.
    let mut due = claim_due(&store, "c", 120, 20_000, 10).await;
    due.sort();
    let mut expected = vec![(first.run, 2), (second.run, 2)];
    expected.sort();
    assert_eq!(due, expected);
}

pub async fn the_next_wake_is_when_something_can_be_claimed(store: Any) {
    assert_eq!(store.next_wake(here()).await, Ok(None));
    create(&store, 0, None).await;
    assert_eq!(store.next_wake(here()).await, Ok(None));
    create(&store, 1, Some(300)).await;
    create(&store, 2, Some(200)).await;
    assert_eq!(store.next_wake(here()).await, Ok(Some(Time(200))));
    claim_due(&store, "w", 250, 900, 10).await;
    assert_eq!(store.next_wake(here()).await, Ok(Some(Time(300))));
    assert_eq!(store.next_wake(elsewhere()).await, Ok(None));
    claim_due(&store, "w", 300, 950, 10).await;
    // Whoever holds them may be dead: then they are due when their claims end.
    assert_eq!(store.next_wake(here()).await, Ok(Some(Time(900))));
}
