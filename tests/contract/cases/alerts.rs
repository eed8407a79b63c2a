//! Cases of deliveries and of claims on keys.

use super::fixture::*;
use cordon::clock::Time;
use cordon::journal::ChainId;
use cordon::store::{Accepted, Claimed, Disposition, Error};

pub async fn a_delivery_is_kept_and_a_repeat_only_counts(store: Any) {
    let id = alert_id(0, here());
    assert_eq!(store.accept(here(), new_alert(id, 100)).await, Ok(Accepted::New));
    let mut again = new_alert(id, 999);
    again.body = b"other".to_vec();
    again.entry = entry(ChainId::Alert(id), 0, 7);
    assert_eq!(
        store.accept(here(), again.clone()).await,
        Ok(Accepted::Repeat { times: 2 })
    );
    assert_eq!(
        store.accept(here(), again).await,
        Ok(Accepted::Repeat { times: 3 })
    );

    let kept = store.alert(here(), id).await.unwrap().unwrap();
    let first = new_alert(id, 100);
    assert_eq!(kept.body, first.body);
    assert_eq!(kept.headers, first.headers);
    assert_eq!(kept.row.received_at, Time(100));
    assert_eq!(kept.row.times, 3);
    assert_eq!(kept.row.disposition, Disposition::Pending);
    assert_eq!((kept.row.len, kept.row.last), (1, first.entry.digest));
    let journal = store.journal(here(), ChainId::Alert(id), 0).await.unwrap();
    assert_eq!(journal, vec![first.entry]);
}

pub async fn an_unknown_alert_is_none(store: Any) {
    assert_eq!(store.alert(here(), alert_id(0, here())).await, Ok(None));
    assert_missing(
        store
            .dispose(here(), alert_id(0, here()), 1, vec![], Disposition::Split)
            .await,
    );
}

pub async fn pending_alerts_come_oldest_first_up_to_the_limit(store: Any) {
    for (n, at) in [(0, 300), (1, 100), (2, 200), (3, 50)] {
        let id = alert_id(n, here());
        store.accept(here(), new_alert(id, at)).await.unwrap();
    }
    let other = alert_id(0, elsewhere());
    store.accept(elsewhere(), new_alert(other, 10)).await.unwrap();
    let done = alert_id(3, here());
    let entries = entries(ChainId::Alert(done), 1..2);
    store
        .dispose(here(), done, 1, entries, Disposition::Control)
        .await
        .unwrap();
    let ids = |ns: &[usize]| ns.iter().map(|n| alert_id(*n, here())).collect::<Vec<_>>();
    assert_eq!(store.unprocessed(here(), 10).await, Ok(ids(&[1, 2, 0])));
    assert_eq!(store.unprocessed(here(), 2).await, Ok(ids(&[1, 2])));
    assert_eq!(store.unprocessed(here(), 0).await, Ok(vec![]));
}

pub async fn alerts_are_listed_newest_first_by_disposition_and_time(store: Any) {
    for (n, at) in [(0, 300), (1, 100), (2, 200)] {
        let id = alert_id(n, here());
        store.accept(here(), new_alert(id, at)).await.unwrap();
    }
    let split = alert_id(2, here());
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
    let listed = async |before: Option<i64>, disposition, limit| {
        let rows = store
            .alerts(here(), before.map(Time), disposition, limit)
            .await
            .unwrap();
        rows.iter().map(|row| row.received_at.0).collect::<Vec<_>>()
    };
    assert_eq!(listed(None, None, 10).await, [300, 200, 100]);
    assert_eq!(listed(Some(300), None, 10).await, [200, 100]);
    assert_eq!(listed(None, None, 1).await, [300]);
    assert_eq!(listed(None, Some(Disposition::Pending), 10).await, [300, 100]);
    assert_eq!(listed(Some(200), Some(Disposition::Split), 10).await, [0; 0]);
    assert_eq!(listed(Some(201), Some(Disposition::Split), 10).await, [200]);
}

pub async fn disposing_appends_and_may_be_repeated(store: Any) {
    let id = alert_id(0, here());
    let chain = ChainId::Alert(id);
    store.accept(here(), new_alert(id, 100)).await.unwrap();
    for _ in 0..2 {
        store
            .dispose(here(), id, 1, entries(chain, 1..3), Disposition::Split)
            .await
            .unwrap();
    }
    let row = store.alert(here(), id).await.unwrap().unwrap().row;
    assert_eq!(row.disposition, Disposition::Split);
    assert_eq!((row.len, row.last), (3, entry(chain, 2, 0).digest));
    assert_eq!(store.journal(here(), chain, 0).await, Ok(entries(chain, 0..3)));

    // Processed once more, later: the first repeat must not set the disposition back.
    store
        .dispose(here(), id, 3, entries(chain, 3..4), Disposition::Unreadable)
        .await
        .unwrap();
    store
        .dispose(here(), id, 1, entries(chain, 1..3), Disposition::Split)
        .await
        .unwrap();
    let row = store.alert(here(), id).await.unwrap().unwrap().row;
    assert_eq!((row.disposition, row.len), (Disposition::Unreadable, 4));
}

pub async fn disposing_refuses_what_does_not_follow(store: Any) {
    let id = alert_id(0, here());
    let chain = ChainId::Alert(id);
    store.accept(here(), new_alert(id, 100)).await.unwrap();
    let dispose = async |expected_len, entries| {
        let answer = store.dispose(here(), id, expected_len, entries, Disposition::Split);
        answer.await.unwrap_err()
    };
    assert_eq!(
        dispose(3, entries(chain, 3..4)).await,
        Error::Gap {
            chain: id.to_string(),
            len: 1,
            seq: 3
        }
    );
    assert_eq!(
        dispose(0, vec![entry(chain, 0, 9)]).await,
        Error::Conflict {
            chain: id.to_string(),
            seq: 0
        }
    );
    let other = ChainId::Alert(alert_id(1, here()));
    assert_eq!(
        dispose(1, entries(other, 1..2)).await,
        Error::Conflict {
            chain: id.to_string(),
            seq: 1
        }
    );
    let row = store.alert(here(), id).await.unwrap().unwrap().row;
    assert_eq!((row.disposition, row.len), (Disposition::Pending, 1));
}

pub async fn the_first_to_claim_a_key_wins_again_and_again(store: Any) {
    let claim = async |n, owner: &str| {
        let key = key(n, here());
        store
            .claim_once(here(), key, owner, Time(100), Time(200))
            .await
            .unwrap()
    };
    assert_eq!(claim(0, "a").await, Claimed::Won);
    assert_eq!(claim(0, "a").await, Claimed::Won);
    assert_eq!(claim(1, "b").await, Claimed::Won);
    assert!(matches!(claim(0, "b").await, Claimed::Lost { owner, times: 1 } if owner == "a"));
    assert_eq!(claim(0, "a").await, Claimed::Won);
}

pub async fn those_who_lose_a_key_are_counted_once_each(store: Any) {
    let mut seen = Vec::new();
    for owner in ["a", "b", "b", "c", "a", "b", "d"] {
        let claimed = store.claim_once(here(), key(0, here()), owner, Time(100), Time(200));
        if let Claimed::Lost { times, .. } = claimed.await.unwrap() {
            seen.push((owner, times));
        }
    }
    assert_eq!(seen, [("b", 1), ("b", 1), ("c", 2), ("b", 2), ("d", 3)]);
}

pub async fn an_ended_claim_is_free_and_forgets_who_lost(store: Any) {
    let claim = async |owner: &str, now, until| {
        let claimed = store.claim_once(here(), key(0, here()), owner, Time(now), Time(until));
        claimed.await.unwrap()
    };
    assert_eq!(claim("a", 100, 200).await, Claimed::Won);
    assert!(matches!(
        claim("b", 199, 400).await,
        Claimed::Lost { times: 1, .. }
    ));
    // Asking again does not move the end.
    assert_eq!(claim("a", 150, 900).await, Claimed::Won);
    assert_eq!(claim("b", 200, 400).await, Claimed::Won);
    assert!(matches!(claim("c", 300, 400).await, Claimed::Lost { owner, times: 1 } if owner == "b"));
}

pub async fn alert_operations_refuse_another_partition(store: Any) {
    let id = alert_id(0, here());
    store.accept(here(), new_alert(id, 100)).await.unwrap();
    assert_wrong_partition(store.accept(elsewhere(), new_alert(id, 100)).await);
    assert_wrong_partition(store.alert(elsewhere(), id).await);
    assert_wrong_partition(
        store
            .dispose(elsewhere(), id, 1, vec![], Disposition::Split)
            .await,
    );
    let other = alert_id(0, elsewhere());
    let strange = entries(ChainId::Alert(id), 1..2);
    assert_wrong_partition(
        store
            .dispose(elsewhere(), other, 1, strange, Disposition::Split)
            .await,
    );
    let claimed = store.claim_once(elsewhere(), key(0, here()), "a", Time(1), Time(2));
    assert_wrong_partition(claimed.await);
    assert_eq!(store.alert(here(), id).await.unwrap().unwrap().row.times, 1);
}
