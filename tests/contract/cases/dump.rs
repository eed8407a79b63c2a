//! Cases of records out and in.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::approvals::{request, vote};
use super::fixture::*;
use super::notices::notice;
use super::signals::signal;
use cordon::clock::Time;
use cordon::digest::Digest;
use cordon::guardrail::Halt;
use cordon::id::Partition;
use cordon::journal::{ChainId, End};
use cordon::secret::Handle;
use cordon::store::memory::MemoryStore;
use cordon::store::{
    Created, Disposition, Error, Kind, Locked, Mark, Principal, Put, Record, Reserved, RunStatus, RunUpdate,
    Signalled, Store,
};

pub type Everything = BTreeMap<(Partition, Kind, String), Record>;

/// Every record of a store, asked for in pages of `limit`.
pub async fn everything(store: &dyn Store, limit: usize) -> Everything {
    let mut all = BTreeMap::new();
    for kind in Kind::ALL {
        for partition in Partition::all() {
            let mut next = None;
            loop {
                let page = store.dump(partition, kind, next.as_deref(), limit).await.unwrap();
                assert!(page.records.len() <= limit);
                for record in page.records {
                    assert_eq!(record.kind(), kind);
                    let seen = all.insert((partition, kind, record.name()), record);
                    assert_eq!(seen, None, "each record comes once");
                }
                match page.next {
                    Some(place) => next = Some(place),
                    None => break,
                }
            }
        }
    }
    all
}

pub async fn put(all: &Everything, store: &dyn Store) {
    for ((partition, _, _), record) in all {
        store.restore(*partition, vec![record.clone()]).await.unwrap();
    }
}

async fn alerts_and_runs(store: &Any) {
    for n in 0..3 {
        let alert = new_alert(alert_id(n, here()), 100 + n as i64);
        store.accept(here(), alert.clone()).await.unwrap();
        store.accept(here(), alert).await.unwrap();
    }
    let id = alert_id(1, here());
    let more = entries(ChainId::Alert(id), 1..3);
    let disposed = store.dispose(here(), id, 1, more, Disposition::Split);
    disposed.await.unwrap();

    // One that is worked on, with a request, a vote and a wake; one that waits; one that is over; one elsewhere.
    let claim = claimed(store, 0, "a").await;
    let asked = request(claim.run, "1", 100, false);
    let update = RunUpdate {
        approvals: vec![asked.clone(), request(claim.run, "2", 110, true)],
        ..open_update(Some(5_000), false)
    };
    let more = entries(ChainId::Run(claim.run), 1..4);
    let appended = store.append(here(), &claim, 1, Time(200), more, update);
    appended.await.unwrap();
    for ballot in [vote("ana", true, 300), vote("bob", false, 290)] {
        let kept = store.put_vote(here(), asked.id, ballot).await;
        assert_eq!(kept, Ok(Put::New));
    }
    let word = signal(claim.run, "a", 310);
    assert_eq!(store.put_signal(here(), word).await, Ok(Signalled::New));
    for (n, partition) in [(7, here()), (0, elsewhere())] {
        let run = new_run(run_id(n, partition), 150, Some(900));
        assert_eq!(store.create_run(partition, run).await, Ok(Created::New));
    }
    settled(store, 1, 400).await;
}

/// A settled run that last appended at `at`.
pub async fn settled(store: &Any, n: usize, at: i64) {
    let claim = claimed(store, n, "b").await;
    let update = RunUpdate {
        status: RunStatus::Settled,
        end: Some(End::Succeeded),
        wake_at: None,
        waits_for: String::new(),
        release: true,
        approvals: Vec::new(),
    };
    let more = entries(ChainId::Run(claim.run), 1..3);
    let appended = store.append(here(), &claim, 1, Time(at), more, update);
    appended.await.unwrap();
}

async fn targets(store: &Any) {
    let one = target(0, here());
    for n in 0..3 {
        let hold = new_hold(&one, n, 10 + n as i64, (n == 1).then_some(700));
        store.hold_take(here(), FAR, hold).await.unwrap();
    }
    let ended = store
        .hold_end(here(), FAR, &one.key(), "network", effect(0))
        .await;
    ended.unwrap();
    let two = target(1, here()).key();
    let other = new_hold(&target(1, here()), 4, 10, Some(600));
    store.hold_take(here(), FAR, other).await.unwrap();
    let ending = store.hold_end(here(), FAR, &two, "network", effect(4));
    ending.await.unwrap();
    let locked = store
        .lock(here(), FAR, &one.key(), effect(9), run_id(0, here()), Time(44))
        .await;
    assert_eq!(locked, Ok(Locked::Granted));
    store
        .note_change(here(), FAR, &one.key(), Time(33))
        .await
        .unwrap();
    let scope = (0..)
        .map(|n| format!("budget {n}"))
        .find(|scope| Partition::of_text(scope) == here())
        .unwrap();
    for member in ["one", "two"] {
        let reserved = store
            .budget_reserve(here(), &scope, member, Time(40), 1_000, 9)
            .await;
        assert_eq!(reserved, Ok(Reserved::Granted));
    }
}

async fn the_rest(store: &Any) {
    for asker in ["first", "second", "third"] {
        let claimed = store.claim_once(here(), key(3, here()), asker, Time(10), Time(90));
        claimed.await.unwrap();
    }
    let follow = store.claim_follower(here(), "notify", "node-1", Time(0), Time(77));
    assert!(follow.await.unwrap());
    store.set_cursor(here(), "notify", 3).await.unwrap();
    let notices = vec![notice(1, 0, 10, Some(12)), notice(2, 1, 11, None)];
    store.put_notices(here(), notices).await.unwrap();
    let halt = Halt {
        by: "ana".into(),
        at: Time(5),
        reason: "a drill".into(),
    };
    store.set_halt(Some(halt)).await.unwrap();
    let principal = Principal {
        name: "ana".into(),
        token: Digest::of(b"token"),
        created_at: Time(1),
        created_by: "root".into(),
    };
    store.put_principal(principal).await.unwrap();
    let bundle = vec![0, 159, 146, 150];
    store
        .put_bundle(Digest::of(&bundle), bundle.clone())
        .await
        .unwrap();
    store.put_secret(&Handle("a/b".into()), bundle).await.unwrap();
}

/// A store with something of every kind.
pub async fn fill(store: &Any) {
    alerts_and_runs(store).await;
    targets(store).await;
    the_rest(store).await;
    settled(store, 9, 500).await;
    let forgot = store.forget_run(here(), run_id(9, here()), Time(999), &[]);
    forgot.await.unwrap();
}

pub async fn everything_goes_out_and_into_another_store_and_back(store: Any) {
    fill(&store).await;
    let here_now = everything(&*store, 100).await;
    for kind in Kind::ALL {
        assert!(
            here_now.keys().any(|(_, of, _)| *of == kind),
            "nothing of {kind:?}"
        );
    }
    let other: Any = Arc::new(MemoryStore::new());
    put(&here_now, &*other).await;
    assert_eq!(everything(&*other, 100).await, here_now);
    assert_eq!(other.feed(here(), 0, 100).await, store.feed(here(), 0, 100).await);
    assert_eq!(other.holds(here()).await, store.holds(here()).await);
}

pub async fn pages_of_any_size_give_the_same_records(store: Any) {
    fill(&store).await;
    let whole = everything(&*store, 1_000).await;
    for limit in [1, 2, 3] {
        assert_eq!(everything(&*store, limit).await, whole, "in pages of {limit}");
    }
    let strange = store.dump(here(), Kind::Run, Some("no place of ours"), 1).await;
    assert!(strange.is_err() || strange.is_ok_and(|page| page.records.len() <= 1));
}

pub async fn an_empty_store_has_no_records(store: Any) {
    assert_eq!(everything(&*store, 10).await, BTreeMap::new());
    store.ready().await.unwrap();
    store.set_halt(None).await.unwrap();
    assert_eq!(
        everything(&*store, 10).await,
        BTreeMap::new(),
        "a probe is no record"
    );
}

pub async fn restoring_again_changes_nothing_and_something_else_is_refused(store: Any) {
    let other: Any = Arc::new(MemoryStore::new());
    fill(&other).await;
    let all = everything(&*other, 100).await;
    put(&all, &*store).await;
    put(&all, &*store).await;
    assert_eq!(
        everything(&*store, 100).await,
        all,
        "what came back is what went in"
    );

    // Something else under the same name: refused, and what came with it was not written either.
    for ((partition, _, _), record) in &all {
        let Some(changed) = changed(record.clone()) else {
            continue;
        };
        let new = new_run(run_id(50, *partition), 1, Some(1));
        let with = Record::Run {
            row: new.row,
            claim_until: None,
            woken_at: None,
            chain: vec![cordon::store::FeedItem {
                position: 5_000,
                entry: new.entry,
            }],
            approvals: Vec::new(),
            votes: Vec::new(),
            signals: Vec::new(),
        };
        let answer = store.restore(*partition, vec![with, changed]).await;
        assert!(
            matches!(answer, Err(Error::Occupied { .. })),
            "{record:?}: {answer:?}"
        );
    }
    assert_eq!(everything(&*store, 100).await, all);
}

/// Another record of the same name.
fn changed(record: Record) -> Option<Record> {
    let mut record = record;
    match &mut record {
        Record::Alert { row, .. } => row.times += 1,
        Record::Run { row, .. } => row.epoch += 1,
        Record::Gone { at, .. } | Record::Change { at, .. } | Record::Budget { at, .. } => *at = Time(1_234),
        Record::Claim { lost, .. } => lost.push("zz".into()),
        Record::Notice(notice) => notice.leads = !notice.leads,
        Record::Cursor { position, .. } => *position += 1,
        Record::Follower { until, .. } => *until = Time(1_234),
        Record::Lock { since, .. } => *since = Time(1_234),
        Record::Hold { holders, .. } => holders.truncate(holders.len() - 1),
        Record::Switches(switches) => switches.halt.as_mut()?.by = "eve".into(),
        Record::Principal(principal) => principal.token = Digest::ZERO,
        Record::Secret { sealed, .. } => sealed.push(0),
        Record::Bundle { bytes, .. } => bytes.push(0),
        // A feed may end later than its last entry, and moves on by itself.
        Record::Feed { .. } => return None,
    }
    Some(record)
}

pub async fn a_restored_run_goes_on_where_it_was(store: Any) {
    let other: Any = Arc::new(MemoryStore::new());
    fill(&other).await;
    put(&everything(&*other, 100).await, &*store).await;
    let id = run_id(0, here());
    let row = store.run(here(), id).await.unwrap().unwrap();
    assert_eq!(Some(row.clone()), other.run(here(), id).await.unwrap());
    assert_eq!(row.worker.as_deref(), Some("a"), "the claim came along");
    let nobody = store.claim_run(here(), id, "c", Time(200), Time(20_000)).await;
    assert_eq!(nobody, Ok(None), "and is in force");
    let claim = store
        .claim_run(here(), id, "c", Time(10_000), Time(20_000))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(claim.epoch, row.epoch + 1);
    let more = entries(ChainId::Run(id), 4..5);
    let end = store
        .feed(here(), 0, 1_000)
        .await
        .unwrap()
        .last()
        .unwrap()
        .position;
    let appended = store.append(here(), &claim, 4, Time(10_001), more, open_update(None, true));
    appended.await.unwrap();
    let new = store.feed(here(), end, 1_000).await.unwrap();
    assert_eq!(new.len(), 1, "its place in the feed is after all that came along");
    assert!(
        new[0].position
            > other
                .feed(here(), 0, 1_000)
                .await
                .unwrap()
                .last()
                .unwrap()
                .position
    );
    assert_eq!(
        store
            .create_run(here(), new_run(run_id(9, here()), 1, Some(1)))
            .await,
        Ok(Created::Exists),
        "what was collected there is collected here"
    );
    let due = store.due_holders(here(), Time(600), 10).await;
    assert_eq!(due, other.due_holders(here(), Time(600), 10).await);
}

pub async fn a_record_of_another_partition_or_with_a_torn_chain_is_refused(store: Any) {
    let other: Any = Arc::new(MemoryStore::new());
    fill(&other).await;
    let all = everything(&*other, 100).await;
    for ((_, kind, _), record) in &all {
        let in_any = matches!(kind, Kind::Cursor | Kind::Follower | Kind::Feed);
        let of_instance = matches!(
            kind,
            Kind::Switches | Kind::Principal | Kind::Secret | Kind::Bundle
        );
        let nowhere = Partition::number(if of_instance { 6 } else { 0 }).unwrap();
        if !in_any {
            let answer = store.restore(nowhere, vec![record.clone()]).await;
            assert!(
                matches!(answer, Err(Error::WrongPartition { .. })),
                "{record:?}: {answer:?}"
            );
        }
        let mut torn = record.clone();
        if let Record::Alert { chain, .. } | Record::Run { chain, .. } = &mut torn {
            chain.pop();
            let home = all
                .keys()
                .find(|(_, of, name)| of == kind && *name == record.name());
            let answer = store.restore(home.unwrap().0, vec![torn]).await;
            assert!(matches!(answer, Err(Error::Corrupt { .. })), "{answer:?}");
        }
    }
    assert_eq!(everything(&*store, 10).await, BTreeMap::new());
}

pub async fn a_mark_stays_until_it_is_taken_away(store: Any) {
    assert_eq!(store.mark().await, Ok(None));
    let moved = Mark::Moved {
        to: "redis://elsewhere".into(),
        at: Time(5),
    };
    for mark in [
        Mark::Filling {
            from: "sqlite:/a".into(),
            at: Time(4),
        },
        moved.clone(),
    ] {
        store.set_mark(Some(mark.clone())).await.unwrap();
        assert_eq!(store.mark().await, Ok(Some(mark)));
    }
    assert_eq!(
        everything(&*store, 10).await,
        BTreeMap::new(),
        "a mark is no record"
    );
    store.set_mark(None).await.unwrap();
    assert_eq!(store.mark().await, Ok(None));
}
