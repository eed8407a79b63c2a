//! Cases of locks on targets.

use super::fixture::*;
use cordon::clock::Time;
use cordon::store::{Error, Lock, Locked};

async fn lock(store: &Any, target: &str, n: usize) -> Locked {
    let run = run_id(n, elsewhere());
    store
        .lock(here(), FAR, target, effect(n), run, Time(1))
        .await
        .unwrap()
}

fn busy(n: usize) -> Locked {
    Locked::Busy {
        effect: effect(n),
        run: run_id(n, elsewhere()),
    }
}

pub async fn a_lock_is_one_effects_until_it_gives_it_back(store: Any) {
    let (one, two) = (target(0, here()).key(), target(1, here()).key());
    assert_eq!(lock(&store, &one, 1).await, Locked::Granted);
    assert_eq!(lock(&store, &one, 1).await, Locked::Granted);
    assert_eq!(lock(&store, &one, 2).await, busy(1));
    assert_eq!(lock(&store, &two, 2).await, Locked::Granted);
    store.unlock(here(), FAR, &one, effect(1)).await.unwrap();
    assert_eq!(lock(&store, &one, 2).await, Locked::Granted);
    assert_eq!(lock(&store, &one, 1).await, busy(2));
}

pub async fn giving_back_what_is_not_ours_does_nothing(store: Any) {
    let target = target(0, here()).key();
    store.unlock(here(), FAR, &target, effect(1)).await.unwrap();
    assert_eq!(lock(&store, &target, 1).await, Locked::Granted);
    store.unlock(here(), FAR, &target, effect(2)).await.unwrap();
    assert_eq!(lock(&store, &target, 2).await, busy(1));
}

pub async fn held_locks_are_listed_by_target_and_partition(store: Any) {
    assert_eq!(store.locks(here()).await.unwrap(), []);
    let targets = [target(0, here()).key(), target(1, here()).key()];
    for (n, target) in targets.iter().enumerate() {
        lock(&store, target, n).await;
    }
    let mut expected: Vec<Lock> = targets
        .iter()
        .enumerate()
        .map(|(n, target)| Lock {
            target: target.clone(),
            effect: effect(n),
            run: run_id(n, elsewhere()),
        })
        .collect();
    expected.sort_by(|one, other| one.target.cmp(&other.target));
    assert_eq!(store.locks(here()).await.unwrap(), expected);
    assert_eq!(store.locks(elsewhere()).await.unwrap(), []);
    store.unlock(here(), FAR, &targets[0], effect(0)).await.unwrap();
    assert_eq!(store.locks(here()).await.unwrap().len(), 1);
}

pub async fn the_last_change_of_a_target_is_remembered(store: Any) {
    let target = target(0, here()).key();
    assert_eq!(store.changed_at(here(), &target).await, Ok(None));
    store.note_change(here(), FAR, &target, Time(50)).await.unwrap();
    store.note_change(here(), FAR, &target, Time(20)).await.unwrap();
    assert_eq!(store.changed_at(here(), &target).await, Ok(Some(Time(50))));
    store.note_change(here(), FAR, &target, Time(70)).await.unwrap();
    assert_eq!(store.changed_at(here(), &target).await, Ok(Some(Time(70))));
    assert_wrong_partition(store.note_change(elsewhere(), FAR, &target, Time(1)).await);
    assert_wrong_partition(store.changed_at(elsewhere(), &target).await);
}

pub async fn lock_operations_refuse_another_partition(store: Any) {
    let target = target(0, here()).key();
    let run = run_id(0, here());
    assert_wrong_partition(
        store
            .lock(elsewhere(), FAR, &target, effect(1), run, Time(1))
            .await,
    );
    assert_wrong_partition(store.unlock(elsewhere(), FAR, &target, effect(1)).await);
    assert_eq!(lock(&store, &target, 2).await, Locked::Granted);
}

pub async fn what_comes_after_its_claim_changes_no_lock(store: Any) {
    let (one, two) = (target(0, here()).key(), target(1, here()).key());
    assert_eq!(lock(&store, &one, 1).await, Locked::Granted);
    // Long over by any clock.
    let over = Time(1_000);
    let late = store.lock(here(), over, &two, effect(2), run_id(2, elsewhere()), Time(1));
    assert_eq!(late.await, Err(Error::Late));
    // Also where it would only have said that it is there already.
    let late = store.lock(here(), over, &one, effect(1), run_id(1, elsewhere()), Time(1));
    assert_eq!(late.await, Err(Error::Late));
    assert_eq!(
        store.unlock(here(), over, &one, effect(1)).await,
        Err(Error::Late)
    );
    assert_eq!(
        store.note_change(here(), over, &one, Time(5)).await,
        Err(Error::Late)
    );
    assert_eq!(store.changed_at(here(), &one).await, Ok(None));
    assert_eq!(store.locks(here()).await.unwrap().len(), 1);
    assert_eq!(lock(&store, &two, 3).await, Locked::Granted);
}
