//! Cases of requests for approval and votes.

use super::fixture::*;
use cordon::approval::{Decided, Request, Vote};
use cordon::clock::Time;
use cordon::digest::Digest;
use cordon::id::{ApprovalId, RunId};
use cordon::journal::{ApprovalState, ChainId};
use cordon::store::{ApprovalQuery, ApprovalRow, Claim, Put, RunUpdate};

pub fn request(run: RunId, n: &str, at: i64, decided: bool) -> ApprovalRow {
    let request = Request {
        approval: ApprovalId::of_run(run, &[n]),
        run,
        title: "Leaked key".into(),
        subject: "access key AKIA1".into(),
        ask: "Delete it? \u{e9}".into(),
        covers: vec![],
        by: "leads".into(),
        quorum: 1,
        until: Time(9_000),
        may_decide: vec!["ana".into()],
        requester: None,
        author: "cordon".into(),
        rule: None,
        again: 0,
        digest: Digest::of(n.as_bytes()),
    };
    ApprovalRow::of(&ApprovalState {
        request,
        step: "0".parse().unwrap(),
        effect: None,
        at: Time(at),
        votes: vec![],
        decided: decided.then(|| {
            let decided = Decided {
                granted: true,
                by: vec!["ana".into()],
                why: "seen".into(),
            };
            (Time(at + 1), decided)
        }),
    })
}

pub fn vote(principal: &str, approve: bool, at: i64) -> Vote {
    Vote {
        principal: principal.into(),
        approve,
        reason: format!("{principal} at {at}"),
        digest: Digest::ZERO,
        at: Time(at),
    }
}

/// Appends one entry with these rows, and gives the claim back until 5,000.
async fn append(store: &Any, claim: &Claim, seq: u64, rows: Vec<ApprovalRow>) {
    let update = RunUpdate {
        approvals: rows,
        ..open_update(Some(5_000), false)
    };
    let entries = entries(ChainId::Run(claim.run), seq..seq + 1);
    store
        .append(here(), claim, seq, Time(200), entries, update)
        .await
        .unwrap();
}

pub async fn a_request_is_written_with_its_entries_and_replaced_by_later_ones(store: Any) {
    let claim = claimed(&store, 0, "a").await;
    let asked = request(claim.run, "1", 100, false);
    assert_eq!(store.approval(here(), asked.id).await, Ok(None));
    append(&store, &claim, 1, vec![asked.clone()]).await;
    assert_eq!(store.approval(here(), asked.id).await, Ok(Some(asked.clone())));
    let decided = request(claim.run, "1", 100, true);
    append(&store, &claim, 2, vec![decided.clone()]).await;
    assert_eq!(store.approval(here(), asked.id).await, Ok(Some(decided)));
    // A repeat of the first append writes nothing.
    append(&store, &claim, 1, vec![asked.clone()]).await;
    assert!(!store.approval(here(), asked.id).await.unwrap().unwrap().open);
}

pub async fn a_refused_append_writes_no_request(store: Any) {
    let claim = claimed(&store, 0, "a").await;
    let asked = request(claim.run, "1", 100, false);
    let update = RunUpdate {
        approvals: vec![asked.clone()],
        ..open_update(None, false)
    };
    let stale = Claim {
        epoch: 0,
        ..claim.clone()
    };
    let entries = entries(ChainId::Run(claim.run), 1..2);
    let answer = store
        .append(here(), &stale, 1, Time(200), entries.clone(), update.clone())
        .await;
    assert_fenced(answer, &stale, 1);
    assert_eq!(store.approval(here(), asked.id).await, Ok(None));
    let other = request(run_id(0, elsewhere()), "1", 100, false);
    let update = RunUpdate {
        approvals: vec![other],
        ..update
    };
    let answer = store.append(here(), &claim, 1, Time(200), entries, update).await;
    assert!(answer.is_err(), "a request lives with its run");
}

pub async fn requests_are_listed_newest_first_and_filtered(store: Any) {
    let claim = claimed(&store, 0, "a").await;
    let rows = vec![
        request(claim.run, "1", 100, false),
        request(claim.run, "2", 300, true),
        request(claim.run, "3", 200, false),
    ];
    append(&store, &claim, 1, rows.clone()).await;
    let listed = async |open, before: Option<i64>, limit| {
        let query = ApprovalQuery {
            open,
            before: before.map(Time),
            limit,
        };
        let found = store.approvals(here(), query).await.unwrap();
        found.iter().map(|row| row.asked_at.0).collect::<Vec<_>>()
    };
    assert_eq!(listed(None, None, 10).await, [300, 200, 100]);
    assert_eq!(listed(None, None, 2).await, [300, 200]);
    assert_eq!(listed(Some(true), None, 10).await, [200, 100]);
    assert_eq!(listed(Some(false), None, 10).await, [300]);
    assert_eq!(listed(Some(true), Some(200), 10).await, [100]);
    let query = ApprovalQuery {
        limit: 10,
        ..ApprovalQuery::default()
    };
    assert_eq!(store.approvals(elsewhere(), query).await, Ok(vec![]));
}

pub async fn a_vote_is_kept_once_and_wakes_its_run(store: Any) {
    let claim = claimed(&store, 0, "a").await;
    let asked = request(claim.run, "1", 100, false);
    append(&store, &claim, 1, vec![asked.clone()]).await;
    let put = async |vote| store.put_vote(here(), asked.id, vote).await;
    assert_eq!(put(vote("ana", true, 310)).await, Ok(Put::New));
    assert_eq!(put(vote("ana", true, 320)).await, Ok(Put::Already));
    assert_eq!(put(vote("ben", true, 300)).await, Ok(Put::New));
    assert_eq!(
        put(vote("ana", false, 330)).await,
        Ok(Put::New),
        "a mind may change"
    );
    let kept = store.votes(here(), claim.run).await.unwrap();
    let expected = [
        vote("ben", true, 300),
        vote("ana", true, 310),
        vote("ana", false, 330),
    ];
    assert_eq!(kept, expected.map(|vote| (asked.id, vote)));
    // The worker that has it lets go of it: the run is due all the same.
    let update = open_update(Some(8_000), true);
    store
        .append(here(), &claim, 2, Time(400), vec![], update)
        .await
        .unwrap();
    let row = store.run(here(), claim.run).await.unwrap().unwrap();
    assert_eq!(row.wake_at, Some(Time(300)));
    assert_eq!(store.votes(here(), run_id(1, here())).await, Ok(vec![]));
}

pub async fn a_vote_on_what_is_decided_is_not_kept(store: Any) {
    let claim = claimed(&store, 0, "a").await;
    let decided = request(claim.run, "1", 100, true);
    append(&store, &claim, 1, vec![decided.clone()]).await;
    let answer = store.put_vote(here(), decided.id, vote("ana", true, 300)).await;
    assert_eq!(answer, Ok(Put::Decided));
    assert_eq!(store.votes(here(), claim.run).await, Ok(vec![]));
}

pub async fn approval_operations_refuse_another_partition(store: Any) {
    let there = ApprovalId::of_run(run_id(0, here()), &["1"]);
    assert_wrong_partition(store.put_vote(elsewhere(), there, vote("ana", true, 1)).await);
    assert_wrong_partition(store.approval(elsewhere(), there).await);
    assert_wrong_partition(store.votes(elsewhere(), run_id(0, here())).await);
    assert_missing(store.put_vote(here(), there, vote("ana", true, 1)).await);
}
