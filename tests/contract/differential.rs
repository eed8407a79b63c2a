//! Any order of operations, sensible or not: memory and SQLite answer the same to each, and hold the same after.

use std::fmt::Debug;

use proptest::prelude::*;

use crate::cases::fixture::{self, *};
use crate::memory;
use cordon::action::Verification;
use cordon::clock::Time;
use cordon::journal::{ChainId, End, Entry};
use cordon::store::sqlite::{Options, SqliteStore};
use cordon::store::{
    Claim, Disposition, Error, Notice, NoticeQuery, NoticeState, RunQuery, RunStatus, RunUpdate,
};

/// One operation, as numbers that each kind reads in its own way, so that it shrinks well.
#[derive(Clone, Debug)]
struct Op {
    kind: u8,
    /// Which thing.
    a: usize,
    /// Who, or another thing.
    b: usize,
    /// How many, or which variant.
    c: usize,
    at: i64,
    until: Option<i64>,
    flag: bool,
}

fn op() -> impl Strategy<Value = Op> {
    let until = proptest::option::of(0..600_i64);
    let numbers = (
        0..20_u8,
        0..3_usize,
        0..3_usize,
        0..5_usize,
        0..600_i64,
        until,
        any::<bool>(),
    );
    numbers.prop_map(|(kind, a, b, c, at, until, flag)| Op {
        kind,
        a,
        b,
        c,
        at,
        until,
        flag,
    })
}

/// What makes an operation depend on those before: the claims that were given, in order.
#[derive(Default)]
struct Past {
    claims: Vec<Claim>,
}

fn text<T: Debug>(answer: Result<T, Error>) -> String {
    format!("{answer:?}")
}

/// Entries for a chain of `len` entries that mostly follow, and now and then repeat, conflict or leave a gap.
fn some_entries(chain: ChainId, len: u64, op: &Op) -> (u64, Vec<Entry>) {
    let first = match op.c {
        0 => len.saturating_sub(1),
        1 => len + 1,
        2 => 0,
        _ => len,
    };
    let flavour = u8::from(op.c == 2 && op.flag);
    let seqs = first..first + op.b as u64;
    (first, seqs.map(|seq| entry(chain, seq, flavour)).collect())
}

fn worker(n: usize) -> String {
    format!("worker {n}")
}

async fn apply(store: &Any, past: &mut Past, op: &Op) -> String {
    let (here, at) = (here(), Time(op.at));
    let until = op.until.map(Time);
    let ends = until.unwrap_or(Time(op.at + 50));
    let facet = if op.flag { "network" } else { "login" };
    let host = target(op.a, here);
    let key = host.key();
    match op.kind {
        0 => text(store.accept(here, new_alert(alert_id(op.a, here), op.at)).await),
        1 => {
            let id = alert_id(op.a, here);
            let kept = store.alert(here, id).await.unwrap();
            let len = kept.map_or(1, |alert| alert.row.len);
            let (first, entries) = some_entries(ChainId::Alert(id), len, op);
            let disposition = Disposition::ALL[op.b];
            text(store.dispose(here, id, first, entries, disposition).await)
        }
        2 => {
            let (key, owner) = (fixture::key(op.a, here), worker(op.b));
            let claim = store.claim_once(here, key, &owner, at, ends);
            text(claim.await)
        }
        3 | 4 => {
            let run = new_run(run_id(op.a, here), op.at, op.until);
            text(store.create_run(here, run).await)
        }
        5 => {
            let claims = store.claim_due(here, &worker(op.b), at, ends, op.c).await;
            past.claims.extend(claims.iter().flatten().cloned());
            text(claims)
        }
        6 => {
            let id = run_id(op.a, here);
            let claim = store.claim_run(here, id, &worker(op.b), at, ends).await;
            past.claims.extend(claim.iter().flatten().cloned());
            text(claim)
        }
        7 => match past.claims.iter().rev().nth(op.a) {
            Some(claim) => text(store.renew(here, claim, ends).await),
            None => String::new(),
        },
        8..=11 => {
            let Some(claim) = past.claims.iter().rev().nth(op.a / 2) else {
                return String::new();
            };
            let row = store.run(here, claim.run).await.unwrap().unwrap();
            let (first, entries) = some_entries(ChainId::Run(claim.run), row.len, op);
            let settles = op.flag && op.c == 4;
            let update = RunUpdate {
                status: if settles {
                    RunStatus::Settled
                } else {
                    RunStatus::Open
                },
                end: settles.then_some(End::Kept),
                wake_at: until,
                waits_for: worker(op.c),
                release: op.flag,
                approvals: Vec::new(),
            };
            text(store.append(here, claim, first, at, entries, update).await)
        }
        12 => text(store.wake(here, run_id(op.a, here), at).await),
        13 => text(store.release_worker(here, &worker(op.b)).await),
        14 => {
            let run = run_id(op.b, here);
            let lock = store.lock(here, &key, effect(op.b), run, at).await;
            let unlock = match op.flag {
                true => text(store.unlock(here, &key, effect(op.c)).await),
                false => String::new(),
            };
            text(lock) + unlock.as_str()
        }
        15 | 16 => {
            let mut hold = new_hold(&host, op.b, op.at, op.until);
            hold.facet = facet.into();
            text(store.hold_take(here, hold).await)
        }
        17 => text(store.hold_end(here, &key, facet, effect(op.b)).await),
        18 => text(store.hold_drop(here, &key, facet, effect(op.b)).await),
        _ => {
            let tries = u32::try_from(op.c).unwrap();
            let kept = store
                .hold_until(here, &key, facet, effect(op.b), until, tries)
                .await;
            let seen = store.hold_seen(here, &key, facet, effect(op.b), Verification::Contradicted);
            let seen = text(seen.await);
            let cursor = store.set_cursor(here, &worker(op.a), op.at as u64).await;
            let claimed = store
                .claim_follower(here, "notify", &worker(op.b), at, ends)
                .await;
            let state = NoticeState::ALL[op.c];
            let notice = Notice {
                key: format!("notice {}", op.a),
                group: fixture::key(op.b, here),
                at,
                state,
                leads: op.flag,
                due_at: until,
                content: serde_json::json!({ "n": op.c }),
            };
            let put = store.put_notices(here, vec![notice.clone()]).await;
            let saved = store
                .save_notices(here, "notify", &worker(op.a), vec![notice])
                .await;
            let parts = [
                text(kept),
                seen,
                text(cursor),
                text(claimed),
                text(put),
                text(saved),
            ];
            parts.concat()
        }
    }
}

/// Everything that can be read.
async fn everything(store: &Any, at: Time) -> Vec<String> {
    let here = here();
    let mut seen = vec![
        text(store.unprocessed(here, 10).await),
        text(store.alerts(here, None, None, 10).await),
        text(store.alerts(here, Some(at), Some(Disposition::Pending), 2).await),
        text(store.feed(here, 0, 1_000).await),
        text(store.feed(here, 3, 4).await),
        text(store.counts(here, at).await),
        text(store.holds(here).await),
        text(store.due_holders(here, at, 4).await),
        text(store.next_lease_end(here).await),
        text(store.next_wake(here).await),
        text(store.due_notices(here, at, 10).await),
    ];
    for state in NoticeState::ALL.map(Some).into_iter().chain([None]) {
        let query = NoticeQuery {
            state,
            before: None,
            limit: 10,
        };
        seen.push(text(store.notices(here, &query).await));
    }
    for status in RunStatus::ALL.map(Some).into_iter().chain([None]) {
        let query = RunQuery {
            status,
            limit: 10,
            ..RunQuery::default()
        };
        seen.push(text(store.runs(here, &query).await));
    }
    for n in 0..3 {
        seen.push(text(store.alert(here, alert_id(n, here)).await));
        seen.push(text(store.journal(here, ChainId::Run(run_id(n, here)), 0).await));
        seen.push(text(store.cursor(here, &worker(n)).await));
        seen.push(text(store.leading_notice(here, fixture::key(n, here)).await));
    }
    seen
}

/// A folder in memory where there is one: this test is about answers, not about disks.
fn folder() -> tempfile::TempDir {
    let shared = std::path::Path::new("/dev/shm");
    tempfile::tempdir_in(shared)
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn memory_and_sqlite_answer_the_same(ops in proptest::collection::vec(op(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let folder = folder();
            let sqlite = SqliteStore::open(folder.path().join("cordon.db"), Options::default()).unwrap();
            let sqlite: Any = std::sync::Arc::new(sqlite);
            let (memory, ()) = memory().await;
            let (mut one, mut other) = (Past::default(), Past::default());
            for (n, op) in ops.iter().enumerate() {
                let expected = apply(&memory, &mut one, op).await;
                let got = apply(&sqlite, &mut other, op).await;
                prop_assert_eq!(expected, got, "operation {} {:?}", n, op);
            }
            let expected = everything(&memory, Time(300)).await;
            prop_assert_eq!(expected, everything(&sqlite, Time(300)).await);
            Ok(())
        })?;
    }
}
