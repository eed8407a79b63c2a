//! Cases of runs and their journals.

use super::fixture::*;
use cordon::clock::Time;
use cordon::journal::{ChainId, End};
use cordon::store::{Appended, Created, Error, RunQuery, RunRow, RunStatus, RunUpdate};

async fn row(store: &Any, n: usize) -> RunRow {
    store.run(here(), run_id(n, here())).await.unwrap().unwrap()
}

pub async fn a_run_is_created_once(store: Any) {
    let id = run_id(0, here());
    assert_eq!(store.run(here(), id).await, Ok(None));
    let mut run = new_run(id, 100, Some(150));
    // What a new run cannot be yet is not believed.
    run.row.epoch = 9;
    run.row.worker = Some("nobody".into());
    run.row.status = RunStatus::Parked;
    assert_eq!(store.create_run(here(), run).await, Ok(Created::New));
    let mut again = new_run(id, 999, None);
    again.row.title = "Another".into();
    again.entry = entry(ChainId::Run(id), 0, 9);
    assert_eq!(store.create_run(here(), again).await, Ok(Created::Exists));
    assert_eq!(row(&store, 0).await, new_run(id, 100, Some(150)).row);
    assert_eq!(
        store.journal(here(), ChainId::Run(id), 0).await,
        Ok(entries(ChainId::Run(id), 0..1))
    );
}

pub async fn an_append_is_kept_and_updates_the_row(store: Any) {
    let claim = claimed(&store, 0, "w").await;
    let chain = ChainId::Run(claim.run);
    let appended = store.append(
        here(),
        &claim,
        1,
        Time(200),
        entries(chain, 1..4),
        open_update(Some(900), false),
    );
    assert_eq!(appended.await, Ok(Appended::New));
    let now = row(&store, 0).await;
    assert_eq!((now.len, now.last), (4, entry(chain, 3, 0).digest));
    assert_eq!(
        (now.status, now.end, now.updated_at),
        (RunStatus::Open, None, Time(200))
    );
    assert_eq!(
        (now.wake_at, now.waits_for.as_str()),
        (Some(Time(900)), "a timer")
    );
    assert_eq!((now.worker.as_deref(), now.epoch), (Some("w"), 1));

    let settle = RunUpdate {
        status: RunStatus::Settled,
        end: Some(End::RolledBack),
        wake_at: Some(Time(1)),
        waits_for: String::new(),
        release: true,
        approvals: Vec::new(),
    };
    let appended = store.append(here(), &claim, 4, Time(300), entries(chain, 4..5), settle);
    assert_eq!(appended.await, Ok(Appended::New));
    let now = row(&store, 0).await;
    assert_eq!((now.status, now.end), (RunStatus::Settled, Some(End::RolledBack)));
    assert_eq!((now.wake_at, now.worker, now.epoch, now.len), (None, None, 1, 5));
    assert_eq!(store.journal(here(), chain, 0).await, Ok(entries(chain, 0..5)));
}

pub async fn the_same_append_again_writes_nothing(store: Any) {
    let claim = claimed(&store, 0, "w").await;
    let chain = ChainId::Run(claim.run);
    let append = async |now, seqs: std::ops::Range<u64>, update| {
        let entries = entries(chain, seqs.clone());
        store
            .append(here(), &claim, seqs.start, Time(now), entries, update)
            .await
    };
    assert_eq!(
        append(200, 1..3, open_update(Some(500), false)).await,
        Ok(Appended::New)
    );
    assert_eq!(
        append(300, 1..3, open_update(Some(800), false)).await,
        Ok(Appended::Already)
    );
    assert_eq!(
        append(300, 3..4, open_update(Some(600), true)).await,
        Ok(Appended::New)
    );
    let before = row(&store, 0).await;
    // Also when the append gave the claim back, and when others follow it.
    assert_eq!(
        append(400, 3..4, open_update(Some(800), true)).await,
        Ok(Appended::Already)
    );
    assert_eq!(
        append(400, 1..3, open_update(Some(800), false)).await,
        Ok(Appended::Already)
    );
    assert_eq!(
        append(400, 2..3, open_update(Some(800), false)).await,
        Ok(Appended::Already)
    );
    assert_eq!(row(&store, 0).await, before);
    assert_eq!(store.journal(here(), chain, 0).await.unwrap().len(), 4);
}

pub async fn an_append_refuses_gaps_conflicts_and_other_chains(store: Any) {
    let claim = claimed(&store, 0, "w").await;
    let chain = ChainId::Run(claim.run);
    let append = async |expected_len, entries| {
        let update = open_update(None, false);
        let appended = store.append(here(), &claim, expected_len, Time(200), entries, update);
        appended.await.unwrap_err()
    };
    let gap = |len, seq| Error::Gap {
        chain: chain.to_string(),
        len,
        seq,
    };
    let conflict = |seq| Error::Conflict {
        chain: chain.to_string(),
        seq,
    };
    assert_eq!(append(2, entries(chain, 2..3)).await, gap(1, 2));
    assert_eq!(append(5, vec![]).await, gap(1, 5));
    assert_eq!(
        append(1, vec![entry(chain, 1, 0), entry(chain, 3, 0)]).await,
        gap(2, 3)
    );
    assert_eq!(append(0, vec![entry(chain, 0, 9)]).await, conflict(0));
    assert_eq!(append(1, vec![entry(chain, 0, 0)]).await, conflict(0));
    // There in part only: not a repeat of anything.
    assert_eq!(append(0, entries(chain, 0..2)).await, conflict(1));
    let other = ChainId::Run(run_id(1, here()));
    assert_eq!(append(1, vec![entry(other, 1, 0)]).await, conflict(1));
    let alert = ChainId::Alert(alert_id(0, here()));
    assert_eq!(append(1, vec![entry(alert, 1, 0)]).await, conflict(1));
}

pub async fn a_refused_append_leaves_nothing(store: Any) {
    let claim = claimed(&store, 0, "w").await;
    let chain = ChainId::Run(claim.run);
    let before = row(&store, 0).await;
    let late = vec![entry(chain, 1, 0), entry(chain, 3, 0)];
    let refused = store.append(here(), &claim, 1, Time(900), late, open_update(Some(1), true));
    assert!(refused.await.is_err());
    assert_eq!(row(&store, 0).await, before);
    assert_eq!(store.journal(here(), chain, 0).await, Ok(entries(chain, 0..1)));
    assert_eq!(store.feed(here(), 0, 10).await.unwrap().len(), 1);
}

pub async fn an_append_without_entries_updates_only_the_row(store: Any) {
    let claim = claimed(&store, 0, "w").await;
    let update = open_update(Some(700), true);
    let appended = store.append(here(), &claim, 1, Time(200), vec![], update.clone());
    assert_eq!(appended.await, Ok(Appended::New));
    let now = row(&store, 0).await;
    assert_eq!((now.len, now.wake_at, now.worker), (1, Some(Time(700)), None));
    assert_eq!(now.last, entry(ChainId::Run(claim.run), 0, 0).digest);
    let again = store.append(here(), &claim, 1, Time(200), vec![], update);
    assert_fenced(again.await, &claim, 1);
}

pub async fn runs_are_listed_newest_first_and_filtered(store: Any) {
    for (n, at) in [(0, 300), (1, 100), (2, 200), (3, 400)] {
        let mut run = new_run(run_id(n, here()), at, Some(at));
        if n == 2 {
            run.row.playbook = "leaver".into();
        }
        store.create_run(here(), run).await.unwrap();
    }
    let other = new_run(run_id(0, elsewhere()), 250, None);
    store.create_run(elsewhere(), other).await.unwrap();
    let claim = store
        .claim_run(here(), run_id(3, here()), "w", Time(1), Time(2))
        .await
        .unwrap()
        .unwrap();
    let parked = RunUpdate {
        status: RunStatus::Parked,
        ..open_update(None, true)
    };
    store
        .append(here(), &claim, 1, Time(500), vec![], parked)
        .await
        .unwrap();

    let listed = async |query: RunQuery| {
        let rows = store.runs(here(), &query).await.unwrap();
        rows.iter().map(|row| row.started_at.0).collect::<Vec<_>>()
    };
    let all = RunQuery {
        limit: 10,
        ..RunQuery::default()
    };
    assert_eq!(listed(all.clone()).await, [400, 300, 200, 100]);
    let first = RunQuery {
        limit: 2,
        ..all.clone()
    };
    assert_eq!(listed(first).await, [400, 300]);
    let before = RunQuery {
        before: Some(Time(300)),
        ..all.clone()
    };
    assert_eq!(listed(before).await, [200, 100]);
    let parked = RunQuery {
        status: Some(RunStatus::Parked),
        ..all.clone()
    };
    assert_eq!(listed(parked).await, [400]);
    let leavers = RunQuery {
        playbook: Some("leaver".into()),
        status: Some(RunStatus::Open),
        before: Some(Time(201)),
        limit: 10,
    };
    assert_eq!(listed(leavers).await, [200]);
    assert_eq!(listed(RunQuery::default()).await, [0; 0]);
}

pub async fn a_journal_reads_from_any_place(store: Any) {
    let claim = claimed(&store, 0, "w").await;
    let chain = ChainId::Run(claim.run);
    store
        .append(
            here(),
            &claim,
            1,
            Time(200),
            entries(chain, 1..5),
            open_update(None, false),
        )
        .await
        .unwrap();
    for from in 0..7 {
        let expected = entries(chain, from.min(5)..5);
        assert_eq!(
            store.journal(here(), chain, from).await,
            Ok(expected),
            "from {from}"
        );
    }
    let nothing = ChainId::Run(run_id(1, here()));
    assert_eq!(store.journal(here(), nothing, 0).await, Ok(vec![]));
}

pub async fn run_operations_refuse_another_partition(store: Any) {
    let claim = claimed(&store, 0, "w").await;
    let id = claim.run;
    let far = elsewhere();
    assert_wrong_partition(store.create_run(far, new_run(id, 100, None)).await);
    assert_wrong_partition(store.claim_run(far, id, "w", Time(1), Time(2)).await);
    assert_wrong_partition(store.renew(far, &claim, Time(2)).await);
    assert_wrong_partition(store.wake(far, id, Time(1)).await);
    assert_wrong_partition(store.journal(far, ChainId::Run(id), 0).await);
    assert_wrong_partition(store.run(far, id).await);
    let update = || open_update(None, false);
    assert_wrong_partition(store.append(far, &claim, 1, Time(1), vec![], update()).await);
    let mut there = new_run(run_id(0, far), 100, None);
    there.entry = entry(ChainId::Run(id), 0, 0);
    assert_wrong_partition(store.create_run(far, there).await);
    // A claim and entries of two partitions.
    let mut strange = claim.clone();
    strange.run = run_id(0, far);
    let ours = entries(ChainId::Run(id), 1..2);
    assert_wrong_partition(store.append(far, &strange, 1, Time(1), ours, update()).await);
    let now = row(&store, 0).await;
    assert_eq!((now.len, now.epoch), (1, 1));
}

pub async fn run_operations_on_nothing_say_so(store: Any) {
    let id = run_id(0, here());
    let claim = cordon::store::Claim {
        run: id,
        epoch: 1,
        until: Time(9),
    };
    assert_missing(store.claim_run(here(), id, "w", Time(1), Time(2)).await);
    assert_missing(store.renew(here(), &claim, Time(2)).await);
    assert_missing(store.wake(here(), id, Time(1)).await);
    let append = store.append(here(), &claim, 0, Time(1), vec![], open_update(None, false));
    assert_missing(append.await);
}
