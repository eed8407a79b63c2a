//! Cases of locks on targets.

use super::fixture::*;
use crate::clock::Time;
use crate::store::{Lock, Locked};

async fn lock(store: &Any, target: &str, n: usize) -> Locked {
    let run = run_id(n, elsewhere());
    store.lock(here(), target, effect(n), run, Time(1)).await.unwrap()
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
    store.unlock(here(), &one, effect(1)).await.unwrap();
    assert_eq!(lock(&store, &one, 2).await, Locked::Granted);
    assert_eq!(lock(&store, &one, 1).await, busy(2));
}

pub async fn giving_back_what_is_not_ours_does_nothing(store: Any) {
    let target = target(0, here()).key();
    store.unlock(here(), &target, effect(1)).await.unwrap();
    assert_eq!(lock(&store, &target, 1).await, Locked::Granted);
    store.unlock(here(), &target, effect(2)).await.unwrap();
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
    store.unlock(here(), &targets[0], effect(0)).await.unwrap();
    assert_eq!(store.locks(here()).await.unwrap().len(), 1);
}

pub async fn lock_operations_refuse_another_partition(store: Any) {
    let target = target(0, here()).key();
    let run = run_id(0, here());
    assert_wrong_partition(store.lock(elsewhere(), &target, effect(1), run, Time(1)).await);
    assert_wrong_partition(store.unlock(elsewhere(), &target, effect(1)).await);
    assert_eq!(lock(&store, &target, 2).await, Locked::Granted);
}
