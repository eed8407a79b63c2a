//! Cases of forgetting.

use super::dump::{everything, fill, settled};
use super::fixture::*;
use cordon::clock::Time;
use cordon::digest::Digest;
use cordon::id::{AlertId, RunId};
use cordon::journal::ChainId;
use cordon::store::{
    Accepted, Bygone, Claimed, Created, Disposition, Forgot, Kind, Record, RunStatus, RunUpdate, Swept,
};

async fn processed(store: &Any, n: usize, at: i64) -> AlertId {
    let id = alert_id(n, here());
    store.accept(here(), new_alert(id, at)).await.unwrap();
    let entries = entries(ChainId::Alert(id), 1..2);
    let disposed = store.dispose(here(), id, 1, entries, Disposition::Split);
    disposed.await.unwrap();
    id
}

async fn end_of_feed(store: &Any) -> u64 {
    let feed = store.feed(here(), 0, 10_000).await.unwrap();
    feed.last().map_or(0, |item| item.position)
}

pub async fn old_runs_are_settled_ones_longest_ago_first(store: Any) {
    for (n, at) in [(1, 500), (2, 300), (3, 300), (4, 900)] {
        settled(&store, n, at).await;
    }
    claimed(&store, 5, "a").await;
    let run = |n| run_id(n, here());
    let mut first = [(Time(300), run(2)), (Time(300), run(3))];
    first.sort_by_key(|(_, id)| id.to_string());
    let old = store.old_runs(here(), Time(900), None, 10).await.unwrap();
    assert_eq!(old, [first[0], first[1], (Time(500), run(1))]);
    let one = store.old_runs(here(), Time(900), None, 1).await.unwrap();
    assert_eq!(one, [first[0]]);
    let rest = store
        .old_runs(here(), Time(900), Some(first[0]), 10)
        .await
        .unwrap();
    assert_eq!(rest, [first[1], (Time(500), run(1))]);
    assert_eq!(store.old_runs(elsewhere(), Time(900), None, 10).await, Ok(vec![]));
}

pub async fn old_alerts_are_processed_ones_oldest_first(store: Any) {
    let a = processed(&store, 0, 200).await;
    let b = processed(&store, 1, 100).await;
    processed(&store, 2, 900).await;
    let pending = new_alert(alert_id(3, here()), 10);
    store.accept(here(), pending).await.unwrap();
    let old = store.old_alerts(here(), Time(900), None, 10).await.unwrap();
    assert_eq!(old, [(Time(100), b), (Time(200), a)]);
    let rest = store
        .old_alerts(here(), Time(900), Some((Time(100), b)), 10)
        .await;
    assert_eq!(rest.unwrap(), [(Time(200), a)]);
}

pub async fn a_run_is_forgotten_whole_once_everybody_has_read_it(store: Any) {
    fill(&store).await;
    let run = run_id(1, here());
    let before = everything(&*store, 100).await;
    assert_eq!(
        store
            .forget_run(here(), run, Time(1_000), &["notify", "other"])
            .await,
        Ok(Forgot::Unread),
        "one has read a part, the other nothing"
    );
    assert_eq!(everything(&*store, 100).await, before);
    for follower in ["notify", "other"] {
        let end = end_of_feed(&store).await;
        store.set_cursor(here(), follower, end).await.unwrap();
    }
    let read = everything(&*store, 100).await;
    assert_eq!(
        store
            .forget_run(here(), run, Time(1_000), &["notify", "other"])
            .await,
        Ok(Forgot::Now)
    );
    let mut expected = read;
    expected.remove(&(here(), Kind::Run, run.to_string()));
    let gone = Record::Gone {
        chain: ChainId::Run(run),
        at: Time(1_000),
    };
    expected.insert((here(), Kind::Gone, run.to_string()), gone);
    assert_eq!(
        everything(&*store, 100).await,
        expected,
        "and nothing else went with it"
    );
    assert_eq!(store.journal(here(), ChainId::Run(run), 0).await, Ok(vec![]));
    assert_eq!(store.run(here(), run).await, Ok(None));
    assert_eq!(
        store.forget_run(here(), run, Time(2_000), &[]).await,
        Ok(Forgot::Already)
    );
    assert_eq!(
        everything(&*store, 100).await,
        expected,
        "forgetting again changes nothing"
    );
    assert_wrong_partition(store.forget_run(elsewhere(), run, Time(1), &[]).await);
}

pub async fn an_alert_is_forgotten_whole_once_everybody_has_read_it(store: Any) {
    let id = processed(&store, 0, 100).await;
    let kept = processed(&store, 1, 100).await;
    assert_eq!(
        store.forget_alert(here(), id, Time(1_000), &["notify"]).await,
        Ok(Forgot::Unread)
    );
    store.set_cursor(here(), "notify", 4).await.unwrap();
    assert_eq!(
        store.forget_alert(here(), id, Time(1_000), &["notify"]).await,
        Ok(Forgot::Now)
    );
    assert_eq!(store.alert(here(), id).await, Ok(None));
    assert_eq!(store.journal(here(), ChainId::Alert(id), 0).await, Ok(vec![]));
    assert!(store.alert(here(), kept).await.unwrap().is_some());
    assert_eq!(store.feed(here(), 0, 10).await.unwrap().len(), 2);
    assert_eq!(
        store.forget_alert(here(), id, Time(2_000), &["notify"]).await,
        Ok(Forgot::Already)
    );
    let nobody = alert_id(7, here());
    assert_eq!(
        store.forget_alert(here(), nobody, Time(2_000), &[]).await,
        Ok(Forgot::Already)
    );
    assert_wrong_partition(store.forget_alert(elsewhere(), id, Time(1), &[]).await);
}

pub async fn what_is_not_over_is_not_forgotten(store: Any) {
    let claim = claimed(&store, 0, "a").await;
    let pending = alert_id(0, here());
    store.accept(here(), new_alert(pending, 10)).await.unwrap();
    assert_eq!(
        store.forget_run(here(), claim.run, Time(9), &[]).await,
        Ok(Forgot::Open)
    );
    let parked = RunUpdate {
        status: RunStatus::Parked,
        ..open_update(None, true)
    };
    let entries = entries(ChainId::Run(claim.run), 1..2);
    let appended = store.append(here(), &claim, 1, Time(5), entries, parked);
    appended.await.unwrap();
    assert_eq!(
        store.forget_run(here(), claim.run, Time(9), &[]).await,
        Ok(Forgot::Open)
    );
    assert_eq!(
        store.forget_alert(here(), pending, Time(9), &[]).await,
        Ok(Forgot::Open)
    );
    assert!(store.run(here(), claim.run).await.unwrap().is_some());
    assert!(store.alert(here(), pending).await.unwrap().is_some());
}

pub async fn the_id_of_what_was_forgotten_starts_nothing(store: Any) {
    settled(&store, 0, 100).await;
    let run: RunId = run_id(0, here());
    let alert = processed(&store, 0, 100).await;
    store.forget_run(here(), run, Time(1), &[]).await.unwrap();
    store.forget_alert(here(), alert, Time(1), &[]).await.unwrap();
    let before = everything(&*store, 10).await;
    assert_eq!(
        store.create_run(here(), new_run(run, 200, Some(200))).await,
        Ok(Created::Exists)
    );
    let again = store.accept(here(), new_alert(alert, 200)).await.unwrap();
    assert!(matches!(again, Accepted::Repeat { times } if times > 1));
    assert_eq!(everything(&*store, 10).await, before);
    let due = store.claim_due(here(), "a", Time(1_000), Time(2_000), 10).await;
    assert_eq!(due, Ok(vec![]));
    assert_eq!(store.unprocessed(here(), 10).await, Ok(vec![]));
}

pub async fn a_feed_goes_on_past_what_was_forgotten(store: Any) {
    settled(&store, 0, 100).await;
    let run = run_id(0, here());
    let end = end_of_feed(&store).await;
    store.forget_run(here(), run, Time(1), &[]).await.unwrap();
    assert_eq!(store.feed(here(), 0, 10).await, Ok(vec![]));
    let next = run_id(1, here());
    store
        .create_run(here(), new_run(next, 100, Some(100)))
        .await
        .unwrap();
    let feed = store.feed(here(), 0, 10).await.unwrap();
    assert_eq!(feed.len(), 1);
    assert_eq!(feed[0].position, end + 1, "no place is used twice");
    assert_eq!(store.feed(here(), end, 10).await, Ok(feed));
}

pub async fn claims_changes_and_ids_are_swept_by_their_age(store: Any) {
    for (n, until) in [(0, 100), (1, 200), (2, 300)] {
        let claimed = store.claim_once(here(), key(n, here()), "a", Time(10), Time(until));
        assert_eq!(claimed.await, Ok(Claimed::Won));
        let target = target(n, here()).key();
        let changed = store.note_change(here(), FAR, &target, Time(until));
        changed.await.unwrap();
        settled(&store, n, 50).await;
        let forgot = store.forget_run(here(), run_id(n, here()), Time(until), &[]);
        forgot.await.unwrap();
    }
    let before = Bygone {
        claims: Time(300),
        changes: Time(200),
        gone: Time(1_000),
    };
    let swept = store.sweep(here(), &before, 2).await.unwrap();
    assert_eq!(
        swept,
        Swept {
            claims: 2,
            changes: 1,
            gone: 2
        }
    );
    let swept = store.sweep(here(), &before, 2).await.unwrap();
    assert_eq!(
        swept,
        Swept {
            claims: 0,
            changes: 0,
            gone: 1
        }
    );
    assert_eq!(store.sweep(elsewhere(), &before, 2).await, Ok(Swept::default()));
    let left: Vec<Kind> = everything(&*store, 10)
        .await
        .into_keys()
        .map(|(_, kind, _)| kind)
        .collect();
    assert_eq!(left, [Kind::Claim, Kind::Change, Kind::Change, Kind::Feed]);
}

pub async fn bundles_are_forgotten_one_by_one(store: Any) {
    let mut digests: Vec<Digest> = Vec::new();
    for n in 0..3_u8 {
        let digest = Digest::of(&[n]);
        store.put_bundle(digest, vec![n]).await.unwrap();
        digests.push(digest);
    }
    let gone = digests.pop().unwrap();
    digests.sort_unstable();
    for _ in 0..2 {
        store.forget_bundle(gone).await.unwrap();
        assert_eq!(store.bundles().await, Ok(digests.clone()));
    }
    assert_eq!(store.bundle(gone).await, Ok(None));
}
