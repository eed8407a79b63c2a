//! Cases of words of people for runs.

use super::fixture::*;
use cordon::clock::Time;
use cordon::id::RunId;
use cordon::journal::{ChainId, End};
use cordon::store::{Claim, RunStatus, RunUpdate, Signal, Signalled};
use serde_json::json;

pub fn signal(run: RunId, id: &str, at: i64) -> Signal {
    Signal {
        id: id.into(),
        run,
        at: Time(at),
        principal: "ana".into(),
        content: json!({ "cancel": { "undo": true, "reason": "drill \u{e9}", "n": 1.5, "none": null } }),
    }
}

/// Gives the claim back with this status, to be looked at again at 8,000.
async fn let_go(store: &Any, claim: &Claim, status: RunStatus) {
    let update = RunUpdate {
        status,
        end: (status == RunStatus::Settled).then_some(End::Succeeded),
        ..open_update(Some(8_000), true)
    };
    let entries = entries(ChainId::Run(claim.run), 1..2);
    store
        .append(here(), claim, 1, Time(200), entries, update)
        .await
        .unwrap();
}

pub async fn a_signal_is_kept_once_and_wakes_its_run(store: Any) {
    let claim = claimed(&store, 0, "a").await;
    let_go(&store, &claim, RunStatus::Open).await;
    let put = async |one| store.put_signal(here(), one).await;
    assert_eq!(put(signal(claim.run, "b", 400)).await, Ok(Signalled::New));
    assert_eq!(put(signal(claim.run, "a", 400)).await, Ok(Signalled::New));
    assert_eq!(put(signal(claim.run, "c", 300)).await, Ok(Signalled::New));
    assert_eq!(put(signal(claim.run, "b", 100)).await, Ok(Signalled::Already));
    let kept = store.signals(here(), claim.run).await.unwrap();
    let expected = [("c", 300), ("a", 400), ("b", 400)];
    assert_eq!(kept, expected.map(|(id, at)| signal(claim.run, id, at)));
    let row = store.run(here(), claim.run).await.unwrap().unwrap();
    assert_eq!(row.wake_at, Some(Time(300)), "a repeat changes nothing");
    assert_eq!(store.signals(here(), run_id(1, here())).await, Ok(vec![]));
}

pub async fn a_signal_during_a_claim_outlasts_its_appends(store: Any) {
    let claim = claimed(&store, 0, "a").await;
    let put = store.put_signal(here(), signal(claim.run, "a", 300)).await;
    assert_eq!(put, Ok(Signalled::New));
    let_go(&store, &claim, RunStatus::Open).await;
    let row = store.run(here(), claim.run).await.unwrap().unwrap();
    assert_eq!(row.wake_at, Some(Time(300)));
}

pub async fn a_signal_opens_a_parked_run(store: Any) {
    let claim = claimed(&store, 0, "a").await;
    let_go(&store, &claim, RunStatus::Parked).await;
    let put = store.put_signal(here(), signal(claim.run, "a", 300)).await;
    assert_eq!(put, Ok(Signalled::New));
    let row = store.run(here(), claim.run).await.unwrap().unwrap();
    assert_eq!((row.status, row.wake_at), (RunStatus::Open, Some(Time(300))));
    assert_eq!(row.waits_for, "a timer");
    let due = store
        .claim_due(here(), "b", Time(300), Time(20_000), 10)
        .await
        .unwrap();
    assert_eq!(due.len(), 1, "a worker hears it");
}

pub async fn a_settled_run_takes_no_signal(store: Any) {
    let claim = claimed(&store, 0, "a").await;
    let put = async |one| store.put_signal(here(), one).await;
    assert_eq!(put(signal(claim.run, "a", 150)).await, Ok(Signalled::New));
    let_go(&store, &claim, RunStatus::Settled).await;
    assert_eq!(put(signal(claim.run, "b", 300)).await, Ok(Signalled::Over));
    assert_eq!(put(signal(claim.run, "a", 300)).await, Ok(Signalled::Already));
    let kept = store.signals(here(), claim.run).await.unwrap();
    assert_eq!(kept, [signal(claim.run, "a", 150)]);
    let row = store.run(here(), claim.run).await.unwrap().unwrap();
    assert_eq!((row.status, row.wake_at), (RunStatus::Settled, None));
}

pub async fn signal_operations_refuse_another_partition(store: Any) {
    let run = run_id(0, here());
    assert_wrong_partition(store.put_signal(elsewhere(), signal(run, "a", 1)).await);
    assert_wrong_partition(store.signals(elsewhere(), run).await);
    assert_missing(store.put_signal(here(), signal(run, "a", 1)).await);
}
