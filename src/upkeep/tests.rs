//! Copies, files, forgetting and looking, over the stores that need no server.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::mpsc;

use super::*;
use crate::action::{Reading, Target};
use crate::approval::Request;
use crate::clock::Time;
use crate::digest::Digest;
use crate::finding::{EntityType, SeverityId};
use crate::id::{AlertId, ApprovalId, EffectId, Partition, RunId};
use crate::journal::{ApprovalState, ChainId, End, Entry, Event, RunState, seal};
use crate::store::memory::MemoryStore;
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{
    Alerts as _, ApprovalRow, Claimed, Created, Disposition, Dump as _, Error, Feed as _, Health, Mark,
    NewAlert, NewHold, NewRun, RunRow, RunStatus, RunUpdate, Runs as _, Store, Targets as _,
};

const NOTIFY: &[&str] = &["notify"];

fn quiet() -> impl FnMut(u64) + Send {
    |_| {}
}

/// A sound chain of `n` entries.
fn chain(chain: ChainId, n: u64) -> Vec<Entry> {
    let mut previous = Digest::ZERO;
    (0..n)
        .map(|seq| {
            let event = Event::RunClaimed {
                epoch: seq,
                worker: "w".into(),
            };
            let entry = seal(chain, &previous, seq, Time(1), &event, [7; 16]).unwrap();
            previous = entry.digest;
            entry
        })
        .collect()
}

fn run_id(n: u32) -> RunId {
    RunId::derive(&[n.to_string()])
}

async fn create(store: &dyn Store, id: RunId, wake_at: Option<Time>, waits_for: &str) -> Created {
    let entry = chain(ChainId::Run(id), 1).remove(0);
    let row = row_of(id, entry.digest, wake_at, waits_for);
    store
        .create_run(id.partition(), NewRun { row, entry })
        .await
        .unwrap()
}

fn row_of(id: RunId, first: Digest, wake_at: Option<Time>, waits_for: &str) -> RunRow {
    RunRow {
        id,
        playbook: "leaked-key".into(),
        title: "Leaked key".into(),
        subject: "key".into(),
        cause: "a trigger".into(),
        severity_id: SeverityId(4),
        status: RunStatus::Open,
        end: None,
        started_at: Time(10),
        updated_at: Time(10),
        waits_for: waits_for.into(),
        wake_at,
        epoch: 0,
        worker: None,
        len: 1,
        last: first,
    }
}

/// A run that settled at `at`.
async fn settled(store: &dyn Store, n: u32, at: i64) -> RunId {
    let id = run_id(n);
    create(store, id, Some(Time(10)), "").await;
    let claim = store
        .claim_run(id.partition(), id, "w", Time(10), Time(9_999))
        .await;
    let claim = claim.unwrap().unwrap();
    let update = RunUpdate {
        status: RunStatus::Settled,
        end: Some(End::Succeeded),
        wake_at: None,
        waits_for: String::new(),
        release: true,
        approvals: vec![],
    };
    let entries = chain(ChainId::Run(id), 3).split_off(1);
    let appended = store.append(id.partition(), &claim, 1, Time(at), entries, update);
    appended.await.unwrap();
    id
}

async fn alert(store: &dyn Store, n: u32, at: i64) -> AlertId {
    let id = AlertId::derive(&[n.to_string()]);
    let mut entries = chain(ChainId::Alert(id), 2);
    let new = NewAlert {
        id,
        source: "siem".into(),
        received_at: Time(at),
        headers: vec![],
        body: vec![0xff, 0, b'a'],
        entry: entries.remove(0),
    };
    store.accept(id.partition(), new).await.unwrap();
    let disposed = store.dispose(id.partition(), id, 1, entries, Disposition::Split);
    disposed.await.unwrap();
    id
}

async fn read_all(store: &dyn Store) {
    for partition in Partition::all() {
        let feed = store.feed(partition, 0, 10_000).await.unwrap();
        if let Some(last) = feed.last() {
            let moved = store.set_cursor(partition, "notify", last.position);
            moved.await.unwrap();
        }
    }
}

async fn hold(store: &dyn Store, run: RunId) -> Target {
    let new = new_hold(run);
    let target = new.target.clone();
    let taken = store.hold_take(target.partition(), Time(i64::MAX), new).await;
    taken.unwrap();
    target
}

fn new_hold(run: RunId) -> NewHold {
    let target = Target {
        instance: "range".into(),
        kind: EntityType::Host,
        id: "device-1".into(),
        name: "web-1".into(),
        aliases: vec![],
    };
    NewHold {
        target,
        facet: "network".into(),
        effect: EffectId::derive(&["e"]),
        run,
        at: Time(20),
        until: None,
        prior: Reading {
            state: "free".into(),
            fields: json!({}),
        },
        undo: None,
    }
}

async fn filled() -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    for n in 0..40 {
        settled(&*store, n, 100 + i64::from(n)).await;
        alert(&*store, n, 50).await;
    }
    let run = run_id(100);
    create(&*store, run, Some(Time(5_000)), "a timer").await;
    hold(&*store, run).await;
    store
}

fn sqlite() -> (tempfile::TempDir, Arc<SqliteStore>) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("cordon.db"), Options::default()).unwrap();
    (folder, Arc::new(store))
}

#[tokio::test]
async fn a_store_moves_whole_and_the_old_one_is_marked() {
    let from = filled().await;
    let (_folder, to) = sqlite();
    let before = contents(&*from, &mut quiet()).await.unwrap();
    for _ in 0..2 {
        let moved = move_all((&*from, "memory:a"), (&*to, "sqlite:b"), Time(9), &mut quiet()).await;
        assert_eq!(moved.unwrap(), before, "and again, as after a crash");
        assert_eq!(contents(&*to, &mut quiet()).await.unwrap(), before);
        assert_eq!(to.mark().await, Ok(None));
        assert!(matches!(from.mark().await, Ok(Some(Mark::Moved { to, .. })) if to == "sqlite:b"));
    }
    // And back into a third.
    let third = MemoryStore::new();
    let moved = move_all((&*to, "sqlite:b"), (&third, "memory:c"), Time(9), &mut quiet()).await;
    assert_eq!(moved.unwrap(), before);
    assert_eq!(contents(&third, &mut quiet()).await.unwrap(), before);
    let again = move_all((&*from, "memory:a"), (&third, "memory:c"), Time(9), &mut quiet()).await;
    assert!(matches!(again, Err(CannotCopy::Moved { .. })), "{again:?}");
}

#[tokio::test]
async fn a_store_that_is_worked_on_is_not_moved() {
    let from = filled().await;
    let run = run_id(100);
    let claim = from
        .claim_run(run.partition(), run, "w", Time(10), Time(5_000))
        .await;
    claim.unwrap().unwrap();
    let to = MemoryStore::new();
    let moved = move_all((&*from, "a"), (&to, "b"), Time(4_999), &mut quiet()).await;
    assert!(matches!(moved, Err(CannotCopy::InForce { .. })), "{moved:?}");
    assert_eq!(from.mark().await, Ok(None));
    let moved = move_all((&*from, "a"), (&to, "b"), Time(5_000), &mut quiet()).await;
    moved.unwrap();
    let follower = MemoryStore::new();
    let partition = Partition::CONTROL;
    let claimed = follower.claim_follower(partition, "notify", "n", Time(0), Time(5_000));
    assert!(claimed.await.unwrap());
    let moved = move_all(
        (&follower, "c"),
        (&MemoryStore::new(), "d"),
        Time(10),
        &mut quiet(),
    )
    .await;
    assert!(matches!(moved, Err(CannotCopy::InForce { .. })), "{moved:?}");
}

#[tokio::test]
async fn a_store_that_holds_something_else_is_not_filled() {
    let from = filled().await;
    let to = MemoryStore::new();
    settled(&to, 500, 10).await;
    let there = contents(&to, &mut quiet()).await.unwrap();
    let moved = move_all((&*from, "a"), (&to, "b"), Time(9), &mut quiet()).await;
    assert!(matches!(moved, Err(CannotCopy::NotEmpty { .. })), "{moved:?}");
    assert_eq!(contents(&to, &mut quiet()).await.unwrap(), there);
    assert_eq!((to.mark().await, from.mark().await), (Ok(None), Ok(None)));
    // One that was begun to be filled from elsewhere neither.
    let begun = MemoryStore::new();
    let mark = Mark::Filling {
        from: "z".into(),
        at: Time(1),
    };
    begun.set_mark(Some(mark)).await.unwrap();
    let moved = move_all((&*from, "a"), (&begun, "b"), Time(9), &mut quiet()).await;
    assert!(matches!(moved, Err(CannotCopy::Begun { .. })), "{moved:?}");
}

#[tokio::test]
async fn a_move_that_was_cut_off_goes_on() {
    let from = filled().await;
    let before = contents(&*from, &mut quiet()).await.unwrap();
    for cut in [0, 1, 30, 60] {
        let (_folder, to) = sqlite();
        assert!(fill(&*to, "a", &before, Time(1), &mut quiet()).await.unwrap());
        let (out, mut records) = mpsc::channel(8);
        let (give, some) = mpsc::channel(8);
        let cutting = async {
            let mut given = 0;
            while let Some(record) = records.recv().await {
                if given < cut {
                    give.send(record).await.unwrap();
                }
                given += 1;
            }
            drop(give);
        };
        let mut told = quiet();
        let (all, copied, ()) = tokio::join!(from.dump_all(out), copy(&*to, some, &mut told), cutting);
        all.unwrap();
        assert_eq!(copied.unwrap(), cut);
        assert!(
            matches!(to.mark().await, Ok(Some(Mark::Filling { .. }))),
            "not to be served"
        );
        let short = end_copy(&*to, &before, &mut quiet()).await;
        assert!(matches!(short, Err(CannotCopy::Differs { .. })), "{short:?}");
        let moved = move_all((&*from, "a"), (&*to, "b"), Time(9), &mut quiet()).await;
        assert_eq!(moved.unwrap(), before);
        from.set_mark(None).await.unwrap();
    }
}

async fn backup_of(store: &dyn Store) -> Vec<u8> {
    let (out, mut pieces) = mpsc::channel(4);
    let taken = async {
        let mut all = Vec::new();
        while let Some(piece) = pieces.recv().await {
            all.extend(piece);
        }
        all
    };
    let (made, all) = tokio::join!(stream(store, "1", Time(77), out), taken);
    made.unwrap();
    all
}

#[tokio::test]
async fn a_backup_is_read_back_as_it_was() {
    let from = filled().await;
    let (_folder, to) = sqlite();
    move_all((&*from, "a"), (&*to, "b"), Time(9), &mut quiet())
        .await
        .unwrap();
    let file = backup_of(&*to).await;
    let again = MemoryStore::new();
    let mut records = Vec::new();
    let read = BackupFile::read(file.as_slice(), |partition, record| {
        records.push((partition, record));
        Ok(())
    })
    .unwrap();
    assert!(read.exact, "SQLite gives all of it as of one moment");
    assert_eq!(read.contents, contents(&*to, &mut quiet()).await.unwrap());
    assert_eq!(
        (read.form.backend.as_str(), read.form.made_at),
        ("sqlite", Time(77))
    );
    for (partition, record) in records {
        crate::store::Dump::restore(&again, partition, vec![record])
            .await
            .unwrap();
    }
    end_copy(&again, &read.contents, &mut quiet()).await.unwrap();
}

#[tokio::test]
async fn a_backup_that_was_changed_or_cut_is_refused() {
    let file = backup_of(&*filled().await).await;
    let refused = |bytes: &[u8]| BackupFile::read(bytes, |_, _| Ok(())).map(|read| read.contents.line());
    assert!(refused(&file).is_ok());
    // Cut anywhere: refused.
    for at in (0..file.len()).step_by(997).chain([0, 1, file.len() - 1]) {
        assert!(refused(&file[..at]).is_err(), "cut at {at}");
    }
    // A changed byte anywhere: refused, or it stands for the same thing.
    for at in (0..file.len()).step_by(499) {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(refused(&changed).is_err(), "changed at {at}");
    }
    // A line left out, with everything else whole.
    let text = String::from_utf8(file.clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let without: String = lines
        .iter()
        .enumerate()
        .filter(|(n, _)| *n != 5)
        .map(|(_, line)| format!("{line}\n"))
        .collect();
    assert!(matches!(
        BackupFile::read(without.as_bytes(), |_, _| Ok(())),
        Err(NotABackup::Changed)
    ));
    let newer = text.replacen("\"cordon_backup\":1", "\"cordon_backup\":2", 1);
    assert!(matches!(
        BackupFile::read(newer.as_bytes(), |_, _| Ok(())),
        Err(NotABackup::Newer { found: 2 })
    ));
    assert!(refused(b"hello\n").is_err());
}

const DAY: i64 = 86_400_000;

fn keep_a_day() -> Keep {
    Keep {
        runs_ms: Some(86_400_000),
        alerts_ms: Some(86_400_000),
    }
}

#[tokio::test]
async fn retention_collects_what_is_over_read_and_held_by_nobody() {
    let store = MemoryStore::new();
    let all: Vec<Partition> = Partition::all().collect();
    let old = settled(&store, 1, 100).await;
    let held = settled(&store, 2, 100).await;
    let young = settled(&store, 3, DAY).await;
    let open = run_id(4);
    create(&store, open, Some(Time(10)), "").await;
    let target = hold(&store, held).await;
    let gone = alert(&store, 1, 100).await;
    let now = Time(DAY + 1_000);
    let nobody_read = pass(&store, &all, &keep_a_day(), NOTIFY, now, false)
        .await
        .unwrap();
    let expected = Collected {
        held: 1,
        unread: 2,
        ..Collected::default()
    };
    assert_eq!(nobody_read, expected);
    read_all(&store).await;
    let dry = pass(&store, &all, &keep_a_day(), NOTIFY, now, true)
        .await
        .unwrap();
    let expected = Collected {
        runs: 1,
        alerts: 1,
        held: 1,
        ..Collected::default()
    };
    assert_eq!(dry, expected);
    assert!(
        store.run(old.partition(), old).await.unwrap().is_some(),
        "a dry pass only counts"
    );
    let wet = pass(&store, &all, &keep_a_day(), NOTIFY, now, false)
        .await
        .unwrap();
    assert_eq!(wet, expected);
    assert_eq!(store.run(old.partition(), old).await, Ok(None));
    assert_eq!(store.alert(gone.partition(), gone).await, Ok(None));
    for kept in [held, young, open] {
        assert!(store.run(kept.partition(), kept).await.unwrap().is_some());
    }
    let key = target.key();
    let dropped = store.hold_drop(
        target.partition(),
        Time(i64::MAX),
        &key,
        "network",
        EffectId::derive(&["e"]),
    );
    dropped.await.unwrap();
    let wet = pass(&store, &all, &keep_a_day(), NOTIFY, now, false)
        .await
        .unwrap();
    assert_eq!((wet.runs, wet.held), (1, 0), "its hold is over now");
    let never = Keep {
        runs_ms: None,
        alerts_ms: None,
    };
    let far = Time(i64::MAX / 2);
    assert_eq!(
        pass(&store, &all, &never, NOTIFY, far, false).await,
        Ok(Collected::default())
    );
}

#[tokio::test]
async fn what_was_collected_is_not_started_again_by_its_keys() {
    let store = MemoryStore::new();
    let all: Vec<Partition> = Partition::all().collect();
    let run = settled(&store, 1, 100).await;
    let key = Digest::of(b"trigger and values");
    let (at, until) = (Partition::of(&key), Time(3 * DAY));
    let owner = run.to_string();
    let won = store.claim_once(at, key, &owner, Time(0), until).await;
    assert_eq!(won, Ok(Claimed::Won));
    read_all(&store).await;
    let now = Time(2 * DAY);
    let wet = pass(&store, &all, &keep_a_day(), NOTIFY, now, false)
        .await
        .unwrap();
    assert_eq!(wet.runs, 1);
    // The window still stands, and is the collected run's: another finding starts no second one.
    let other = store
        .claim_once(at, key, "run of another finding", now, until)
        .await;
    assert_eq!(
        other,
        Ok(Claimed::Lost {
            owner: owner.clone(),
            times: 1
        })
    );
    // The same finding once more wins its own claim, and creates nothing.
    assert_eq!(
        store.claim_once(at, key, &owner, now, until).await,
        Ok(Claimed::Won)
    );
    assert_eq!(create(&store, run, Some(Time(10)), "").await, Created::Exists);
    // A day after the window the claim goes; the id stays used.
    let wet = pass(&store, &all, &keep_a_day(), NOTIFY, Time(5 * DAY), false)
        .await
        .unwrap();
    assert_eq!(wet.claims, 1);
    assert_eq!(create(&store, run, Some(Time(10)), "").await, Created::Exists);
}

async fn kinds(store: &dyn Store, now: i64) -> Vec<String> {
    let mut kinds = Vec::new();
    for partition in Partition::all() {
        let found = violations(store, partition, Time(now)).await.unwrap();
        kinds.extend(found.into_iter().map(|violation| violation.kind));
    }
    kinds.sort();
    kinds
}

#[tokio::test]
async fn what_must_not_be_is_found() {
    let store = filled().await;
    assert_eq!(kinds(&*store, 4_999).await, Vec::<String>::new(), "all is well");

    let store = MemoryStore::new();
    create(&store, run_id(1), None, "").await;
    create(&store, run_id(2), Some(Time(1_000_000)), "").await;
    create(&store, run_id(3), Some(Time(1_000_000)), "a timer").await;
    assert_eq!(
        kinds(&store, 10).await,
        ["run_waits_for_nothing", "run_without_wakeup"]
    );

    let store = MemoryStore::new();
    create(&store, run_id(1), Some(Time(10)), "").await;
    assert_eq!(
        kinds(&store, 20).await,
        Vec::<String>::new(),
        "it waits for a worker"
    );
    assert_eq!(kinds(&store, DAY).await, ["run_not_taken_up"]);

    let store = MemoryStore::new();
    let over = settled(&store, 1, 10).await;
    for (n, run) in [(1, over), (2, run_id(77))] {
        let target = format!("range/host/{n}");
        let at = Partition::of_text(&target);
        let locked = store.lock(
            at,
            Time(i64::MAX),
            &target,
            EffectId::derive(&[n.to_string()]),
            run,
            Time(1),
        );
        locked.await.unwrap();
    }
    assert_eq!(kinds(&store, 20).await, ["lock_without_run", "lock_without_run"]);

    let store = MemoryStore::new();
    let target = hold(&store, run_id(5)).await;
    let key = target.key();
    let until = store.hold_until(
        target.partition(),
        Time(i64::MAX),
        &key,
        "network",
        EffectId::derive(&["e"]),
        Some(Time(100)),
        0,
    );
    until.await.unwrap();
    assert_eq!(kinds(&store, 100).await, Vec::<String>::new());
    assert_eq!(kinds(&store, DAY).await, ["lease_overdue"]);

    let store = MemoryStore::new();
    let id = AlertId::derive(&["pending"]);
    let new = NewAlert {
        id,
        source: "siem".into(),
        received_at: Time(20),
        headers: vec![],
        body: vec![],
        entry: chain(ChainId::Alert(id), 1).remove(0),
    };
    store.accept(id.partition(), new).await.unwrap();
    assert_eq!(kinds(&store, 30).await, Vec::<String>::new());
    assert_eq!(kinds(&store, DAY).await, ["alert_not_processed"]);

    let store = MemoryStore::new();
    let run = run_id(3);
    create(&store, run, Some(Time(10)), "").await;
    let asked = approval(run);
    append(
        &store,
        run,
        chain(ChainId::Run(run), 2).split_off(1),
        vec![asked],
        false,
    )
    .await;
    assert_eq!(kinds(&store, 20).await, Vec::<String>::new());
    append(
        &store,
        run,
        chain(ChainId::Run(run), 3).split_off(2),
        vec![],
        true,
    )
    .await;
    assert_eq!(kinds(&store, 20).await, ["approval_without_run"]);
}

/// A run that settled and contained a host for some hours, as its journal was kept.
async fn contained(store: &dyn Store) -> (RunId, EffectId) {
    let kept = include_str!("../../tests/data/journal/malware-on-host.4.json");
    let kept: serde_json::Value = serde_json::from_str(kept).unwrap();
    let entries: Vec<Entry> = serde_json::from_value(kept["entries"].clone()).unwrap();
    let state = RunState::fold(&entries).unwrap();
    let run = state.header.run;
    let effect = state.effects_in_order().find(|one| one.bound.lease_ms.is_some());
    let row = row_of(run, entries[0].digest, Some(Time(10)), "");
    let new = NewRun {
        row,
        entry: entries[0].clone(),
    };
    store.create_run(run.partition(), new).await.unwrap();
    append(store, run, entries[1..].to_vec(), vec![], true).await;
    (run, effect.unwrap().bound.effect)
}

#[tokio::test]
async fn a_hold_that_nobody_will_ever_end_is_found() {
    let store = MemoryStore::new();
    let (run, leased) = contained(&store).await;
    let target = hold(&store, run).await;
    let (at, key, far) = (target.partition(), target.key(), Time(i64::MAX));
    // Its run knows no such effect.
    assert_eq!(kinds(&store, 20).await, ["hold_without_effect"]);
    let unknown = EffectId::derive(&["e"]);
    // The end of its lease will be that of the hold.
    let until = store.hold_until(at, far, &key, "network", unknown, Some(Time(1_000)), 0);
    until.await.unwrap();
    assert_eq!(kinds(&store, 20).await, Vec::<String>::new());
    store.hold_drop(at, far, &key, "network", unknown).await.unwrap();

    let mut new = new_hold(run);
    new.effect = leased;
    store.hold_take(at, far, new).await.unwrap();
    assert_eq!(kinds(&store, 20).await, ["lease_not_begun"]);
    // Somebody is ending it.
    store.hold_end(at, far, &key, "network", leased).await.unwrap();
    assert_eq!(kinds(&store, 20).await, Vec::<String>::new());

    // Of a run that goes on nothing can be said yet.
    let store = MemoryStore::new();
    let run = run_id(3);
    create(&store, run, Some(Time(1_000)), "a timer").await;
    hold(&store, run).await;
    assert_eq!(kinds(&store, 20).await, Vec::<String>::new());
}

/// Appends to a run that lies open, and settles it where that is said.
async fn append(
    store: &dyn Store,
    run: RunId,
    entries: Vec<Entry>,
    approvals: Vec<ApprovalRow>,
    settles: bool,
) {
    let claim = store.claim_run(run.partition(), run, "w", Time(10), Time(9_999));
    let claim = claim.await.unwrap().unwrap();
    let update = RunUpdate {
        status: if settles {
            RunStatus::Settled
        } else {
            RunStatus::Open
        },
        end: settles.then_some(End::Succeeded),
        wake_at: (!settles).then_some(Time(1_000_000)),
        waits_for: "people".into(),
        release: true,
        approvals,
    };
    let from = entries[0].seq;
    let appended = store.append(run.partition(), &claim, from, Time(15), entries, update);
    appended.await.unwrap();
}

fn approval(run: RunId) -> ApprovalRow {
    let request = Request {
        approval: ApprovalId::of_run(run, &["1"]),
        run,
        title: "Leaked key".into(),
        subject: "access key".into(),
        ask: "Delete it?".into(),
        covers: vec![],
        by: "leads".into(),
        quorum: 1,
        until: Time(9_000),
        may_decide: vec!["ana".into()],
        requester: None,
        author: "cordon".into(),
        rule: None,
        again: 0,
        digest: Digest::ZERO,
    };
    ApprovalRow::of(&ApprovalState {
        request,
        step: "0".parse().unwrap(),
        effect: None,
        at: Time(10),
        votes: vec![],
        decided: None,
    })
}

#[tokio::test]
async fn more_runs_of_one_moment_than_a_page_do_not_keep_a_look_from_its_end() {
    let store = MemoryStore::new();
    let many = crate::limits::INVARIANT_PAGE * 16 + 200;
    for n in 0..u32::try_from(many).unwrap() {
        create(&store, run_id(n), Some(Time(1_000_000)), "").await;
    }
    // All began in the same millisecond, more than a page in each partition.
    let found = kinds(&store, 10).await.len();
    assert!(found >= 16 * crate::limits::INVARIANT_PAGE / 2, "{found}");
}

#[test]
fn room_is_told_before_it_is_gone() {
    let of = |free: u64| {
        level(&Health {
            total_bytes: Some(1_000),
            free_bytes: Some(free),
            ..Health::default()
        })
    };
    assert_eq!(
        [of(1_000), of(200), of(199), of(100), of(99), of(0)].map(Level::word),
        ["enough", "enough", "low", "low", "short", "short"]
    );
    assert_eq!(level(&Health::default()), Level::Enough);
    // A twentieth of a large disk is room for weeks.
    let large = Health {
        total_bytes: Some(1 << 40),
        free_bytes: Some(50 << 30),
        ..Health::default()
    };
    assert_eq!(level(&large), Level::Enough);
}

#[tokio::test]
async fn an_unsound_chain_is_not_copied() {
    let store = MemoryStore::new();
    let id = run_id(1);
    let mut entry = chain(ChainId::Run(id), 1).remove(0);
    entry.payload = entry.payload.replace("\"w\"", "\"x\"");
    let other = MemoryStore::new();
    create(&other, id, Some(Time(1)), "").await;
    let row = other.run(id.partition(), id).await.unwrap().unwrap();
    let created = store.create_run(id.partition(), NewRun { row, entry }).await;
    assert_eq!(created, Ok(Created::New));
    let read = contents(&store, &mut quiet()).await;
    assert!(matches!(read, Err(CannotCopy::Unsound(_))), "{read:?}");
    let (out, mut pieces) = mpsc::channel(64);
    let made = stream(&store, "1", Time(1), out).await;
    assert!(matches!(made, Err(Error::Corrupt { .. })), "{made:?}");
    while let Some(piece) = pieces.recv().await {
        assert!(!piece.starts_with(b"{\"end\""), "no last line: no backup");
    }
}
