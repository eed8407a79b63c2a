//! Cases of budgets: how many effects of a kind may happen within a window.

use super::fixture::*;
use cordon::clock::Time;
use cordon::id::Partition;
use cordon::store::Reserved;

const WINDOW_MS: u64 = 1_000;

/// The `n`-th scope that lives here.
fn scope(n: usize) -> String {
    (0..)
        .map(|i| format!("isolations/{i}"))
        .filter(|scope| Partition::of_text(scope) == here())
        .nth(n)
        .unwrap()
}

async fn reserve(store: &Any, n: usize, member: &str, now: i64, limit: u32) -> Reserved {
    store
        .budget_reserve(here(), &scope(n), member, Time(now), WINDOW_MS, limit)
        .await
        .unwrap()
}

async fn used(store: &Any, n: usize, now: i64) -> u32 {
    store
        .budget_used(here(), &scope(n), Time(now), WINDOW_MS)
        .await
        .unwrap()
}

fn spent(used: u32, free_at: i64) -> Reserved {
    Reserved::Spent {
        used,
        free_at: Time(free_at),
    }
}

pub async fn a_budget_has_so_many_places_in_a_window(store: Any) {
    assert_eq!(used(&store, 0, 100).await, 0);
    assert_eq!(reserve(&store, 0, "a", 100, 2).await, Reserved::Granted);
    assert_eq!(reserve(&store, 0, "b", 200, 2).await, Reserved::Granted);
    assert_eq!(used(&store, 0, 300).await, 2);
    assert_eq!(reserve(&store, 0, "c", 300, 2).await, spent(2, 1_100));
    assert_eq!(used(&store, 0, 300).await, 2);
    // The place of `a` is free exactly one window after it was taken.
    assert_eq!(reserve(&store, 0, "c", 1_099, 2).await, spent(2, 1_100));
    assert_eq!(used(&store, 0, 1_099).await, 2);
    assert_eq!(used(&store, 0, 1_100).await, 1);
    assert_eq!(reserve(&store, 0, "c", 1_100, 2).await, Reserved::Granted);
    assert_eq!(reserve(&store, 0, "d", 1_150, 2).await, spent(2, 1_200));
    assert_eq!(
        reserve(&store, 1, "e", 1_150, 0).await,
        Reserved::Spent {
            used: 0,
            free_at: Time(1_150)
        }
    );
}

pub async fn a_member_takes_one_place_however_often_it_asks(store: Any) {
    for now in [100, 150, 200] {
        assert_eq!(reserve(&store, 0, "a", now, 1).await, Reserved::Granted);
    }
    assert_eq!(used(&store, 0, 200).await, 1);
    // It keeps the moment at which it first took the place, and is granted it whatever the limit is now.
    assert_eq!(reserve(&store, 0, "a", 300, 0).await, Reserved::Granted);
    assert_eq!(reserve(&store, 0, "b", 300, 1).await, spent(1, 1_100));
}

pub async fn a_place_given_back_is_free(store: Any) {
    reserve(&store, 0, "a", 100, 1).await;
    store.budget_release(here(), &scope(0), "b").await.unwrap();
    assert_eq!(reserve(&store, 0, "b", 110, 1).await, spent(1, 1_100));
    for _ in 0..2 {
        store.budget_release(here(), &scope(0), "a").await.unwrap();
    }
    assert_eq!(used(&store, 0, 120).await, 0);
    assert_eq!(reserve(&store, 0, "b", 120, 1).await, Reserved::Granted);
    store.budget_release(here(), &scope(3), "nobody").await.unwrap();
}

pub async fn a_spent_budget_says_when_the_next_place_is_free(store: Any) {
    for (member, now) in [("a", 100), ("b", 200), ("c", 300)] {
        assert_eq!(reserve(&store, 0, member, now, 3).await, Reserved::Granted);
    }
    assert_eq!(reserve(&store, 0, "d", 400, 3).await, spent(3, 1_100));
    // The limit was lowered: two have to go before one may come.
    assert_eq!(reserve(&store, 0, "d", 400, 2).await, spent(3, 1_200));
    assert_eq!(reserve(&store, 0, "d", 400, 1).await, spent(3, 1_300));
}

pub async fn budgets_are_counted_apart(store: Any) {
    assert_eq!(reserve(&store, 0, "a", 100, 1).await, Reserved::Granted);
    assert_eq!(reserve(&store, 1, "a", 100, 1).await, Reserved::Granted);
    store.budget_release(here(), &scope(0), "a").await.unwrap();
    assert_eq!(used(&store, 0, 100).await, 0);
    assert_eq!(used(&store, 1, 100).await, 1);
}

pub async fn budget_operations_refuse_another_partition(store: Any) {
    let scope = scope(0);
    let reserved = store
        .budget_reserve(elsewhere(), &scope, "a", Time(1), WINDOW_MS, 1)
        .await;
    assert_wrong_partition(reserved);
    assert_wrong_partition(store.budget_release(elsewhere(), &scope, "a").await);
    assert_wrong_partition(store.budget_used(elsewhere(), &scope, Time(1), WINDOW_MS).await);
    assert_eq!(used(&store, 0, 1).await, 0);
}

pub async fn many_race_for_the_places_of_a_budget(store: Any) {
    let mut asking = tokio::task::JoinSet::new();
    for n in 0..40 {
        let store = store.clone();
        asking.spawn(async move { reserve(&store, 0, &format!("m{n}"), 100, 7).await });
    }
    let answers = asking.join_all().await;
    let granted = answers
        .iter()
        .filter(|answer| **answer == Reserved::Granted)
        .count();
    assert_eq!(granted, 7);
    assert_eq!(used(&store, 0, 100).await, 7);
}
