//! Runs that another program began: carried over where their replay is what was recorded, parked where it is not.

use super::*;
use crate::digest::Digest;
use crate::journal::{ENGINE_ABI, seal};
use crate::store::{NewRun, RunStatus};

/// A run of this script that goes by other replay rules and whose journal says that `asked` was asked first.
pub(super) async fn of_another_engine(bench: &Bench, name: &str, script: &str, asked: &str) -> RunId {
    let store = &bench.context.store;
    let like = bench.run(&format!("{name}, of today"), script).await;
    let mut header = bench.handle.state(like).await.unwrap().header;
    let mut row = store.run(like.partition(), like).await.unwrap().unwrap();
    let run = RunId::derive(&["of another engine", name]);
    (header.run, header.engine_abi) = (run, ENGINE_ABI + 1);
    let first = Event::RunStarted(Box::new(header));
    let first = seal(
        ChainId::Run(run),
        &Digest::ZERO,
        0,
        row.started_at,
        &first,
        [1; 16],
    )
    .unwrap();
    (row.id, row.status, row.end, row.epoch, row.worker) = (run, RunStatus::Open, None, 0, None);
    (row.len, row.last, row.wake_at) = (1, first.digest, Some(row.started_at.plus_ms(3_600_000)));
    let last = first.digest;
    store
        .create_run(run.partition(), NewRun { row, entry: first })
        .await
        .unwrap();
    let now = bench.context.clock.now();
    let claim = store
        .claim_run(run.partition(), run, "another", now, now.plus_ms(60_000))
        .await
        .unwrap()
        .unwrap();
    let args = vec![json!(asked)];
    let digest = Digest::of_parts(&["wait".to_owned(), crate::digest::canonical(&args[0])]);
    let event = Event::StepAsked {
        step: "0".parse().unwrap(),
        name: "wait".into(),
        args,
        digest,
        line: 1,
        column: 1,
        file: None,
    };
    let entry = seal(ChainId::Run(run), &last, 1, now, &event, [2; 16]).unwrap();
    let update = crate::store::RunUpdate {
        status: RunStatus::Open,
        end: None,
        wake_at: Some(now),
        waits_for: "a wait".into(),
        release: true,
        approvals: Vec::new(),
    };
    store
        .append(run.partition(), &claim, 1, now, vec![entry], update)
        .await
        .unwrap();
    run
}

pub(super) const SCRIPT: &str = "wait(\"10ms\"); endpoint::isolate(finding.host)";

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_another_engine_goes_on_where_its_replay_is_what_was_recorded() {
    let bench = Bench::start(&[]);
    let run = of_another_engine(&bench, "same", SCRIPT, "10ms").await;
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::Succeeded);
    assert_eq!(
        (state.header.engine_abi, state.engine_abi),
        (ENGINE_ABI + 1, ENGINE_ABI)
    );
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_another_engine_is_parked_with_both_sides_where_its_replay_differs() {
    let bench = Bench::start(&[]);
    let run = of_another_engine(&bench, "other", SCRIPT, "20ms").await;
    let state = bench.until(run, |state| state.parked.is_some()).await;
    let why = state.parked.as_deref().unwrap();
    assert!(
        why.contains("`wait(\"10ms\")`") && why.contains("`wait(\"20ms\")`"),
        "{why}"
    );
    assert!(state.alarms.iter().any(|alarm| alarm.code == "diverged"));
    assert_eq!(state.engine_abi, ENGINE_ABI + 1);
    assert!(
        state.effects.is_empty() && state.order.is_empty(),
        "nothing was begun"
    );
    let row = bench
        .context
        .store
        .run(run.partition(), run)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(row.status, RunStatus::Parked);
    bench.end().await;
}
