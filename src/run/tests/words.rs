//! Words of people beyond cancelling one run: a parked run taken up again, a cancel that reaches the runs a run started,
//! and an undo that does.

use super::children::{none, offer, step};
use super::upgrades::{SCRIPT, of_another_engine};
use super::*;
use crate::run::child_of;

/// A run whose bundle is not in the store, and that bundle.
async fn without_bundle(bench: &Bench, name: &str) -> (RunId, Bundle) {
    let like = bench.run(&format!("{name}, with its bundle"), ISOLATE).await;
    let (like, _) = bench.settled(like).await;
    let connectors = Catalog::embedded().unwrap();
    let program = Program::new("gone.rhai", "endpoint::isolate(finding.second)");
    let bundle = Bundle::of(
        &Parts {
            playbook: "gone",
            title: name,
            kind: PlaybookKind::Response,
            on_failure: OnFailure::Keep,
            ask: None,
            deadline_ms: 60_000,
            inputs: &none(),
            script: &program,
        },
        &connectors,
    );
    let run = RunId::derive(&["gone", name]);
    let start = Start {
        run,
        cause: like.header.cause.clone(),
        inputs: like.header.inputs.clone(),
        severity_id: SeverityId(4),
        subject: "host web-08".into(),
        weak_source: false,
    };
    bench.handle.start(&bundle, start).await.unwrap();
    bench.until(run, |state| state.parked.is_some()).await;
    (run, bundle)
}

fn parkings(entries: &[crate::journal::Entry]) -> usize {
    entries.iter().filter(|entry| entry.kind == "run_parked").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_run_is_taken_up_again_and_parked_again_while_the_cause_is_there() {
    let bench = Bench::start(&[]);
    let (run, bundle) = without_bundle(&bench, "retried").await;
    let retried = bench.handle.retry(run, "ben", "is it back?").await.unwrap();
    assert_eq!(retried.heard, Heard::Counted);
    assert!(retried.was.contains("is not in the store"), "{retried:?}");
    assert_eq!(retried.again.as_ref(), Some(&retried.was), "it says so at once");
    let store = &bench.context.store;
    let entries = store
        .journal(run.partition(), ChainId::Run(run), 0)
        .await
        .unwrap();
    assert_eq!(parkings(&entries), 2);

    bench.handle.keep_bundle(&bundle).await.unwrap();
    let retried = bench.handle.retry(run, "ben", "restored").await.unwrap();
    assert_eq!((retried.heard, retried.again), (Heard::Counted, None));
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::Succeeded);
    assert_eq!(state.heard.len(), 2, "each time is a word of its own");
    let entries = store
        .journal(run.partition(), ChainId::Run(run), 0)
        .await
        .unwrap();
    let said: Vec<(String, String)> = entries
        .iter()
        .filter_map(|entry| match entry.event().unwrap().1 {
            Event::RunRetried {
                principal, reason, ..
            } => Some((principal, reason)),
            _ => None,
        })
        .collect();
    let ben = |reason: &str| ("ben".to_owned(), reason.to_owned());
    assert_eq!(said, [ben("is it back?"), ben("restored")]);
    let late = bench.handle.retry(run, "eva", "me too").await.unwrap_err();
    assert!(late.to_string().contains("is over"), "{late}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_another_engine_that_is_retried_is_replayed_before_anything_is_done() {
    let bench = Bench::start(&[]);
    let run = of_another_engine(&bench, "retried", SCRIPT, "20ms").await;
    bench.until(run, |state| state.parked.is_some()).await;
    let retried = bench.handle.retry(run, "ben", "once more").await.unwrap();
    assert!(
        retried.again.as_ref().unwrap().contains("`wait(\"10ms\")`"),
        "{retried:?}"
    );
    let state = bench.until(run, |state| state.parked.is_some()).await;
    assert!(state.effects.is_empty(), "nothing was begun");
    assert_eq!(state.heard.len(), 1, "it was heard before it was parked again");
    let heard = bench.handle.cancel(run, false, "eva", "enough").await.unwrap();
    assert_eq!(heard, Heard::Counted);
    let (_, end) = bench.settled(run).await;
    assert_eq!(end, End::Cancelled);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_parked_is_not_retried_and_of_two_people_one_is_told() {
    let bench = Bench::start(&[]);
    let run = bench.run("waits", "wait(\"1h\")").await;
    bench.until(run, |state| !state.steps.is_empty()).await;
    let refused = bench.handle.retry(run, "ben", "why not").await.unwrap_err();
    assert!(refused.to_string().contains("is not parked"), "{refused}");
    let nobody = bench.handle.retry(RunId::derive(&["none"]), "ben", "x").await;
    assert!(
        matches!(nobody, Err(crate::run::NotHeard::Unknown(_))),
        "{nobody:?}"
    );

    let (run, _) = without_bundle(&bench, "raced").await;
    let (one, other) = tokio::join!(
        bench.handle.retry(run, "ben", "I"),
        bench.handle.retry(run, "eva", "I too")
    );
    let state = bench.until(run, |state| state.parked.is_some()).await;
    assert!(one.is_ok() || other.is_ok(), "{one:?} {other:?}");
    assert!(!state.heard.is_empty());
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_bundle_is_gone_is_ended_by_a_cancel() {
    for undo in [false, true] {
        let bench = Bench::start(&[]);
        let (run, _) = without_bundle(&bench, "ended").await;
        let heard = bench.handle.cancel(run, undo, "ben", "not needed").await.unwrap();
        assert_eq!(heard, Heard::Counted);
        let (_, end) = bench.settled(run).await;
        assert_eq!(end, End::Cancelled);
        bench.end().await;
    }
}

const PARENT: &str = "endpoint::isolate(finding.host); run_playbook(\"below\");";
const BELOW: &str = "endpoint::isolate(finding.second); wait(\"8h\");";

/// A parent that waits for a child that waits, each with one host contained.
async fn two_deep(bench: &Bench) -> (RunId, RunId) {
    offer(bench, &[("below", BELOW, none())]);
    let run = bench.run("parent", PARENT).await;
    let child = child_of(run, &step("1"));
    bench
        .until(child, |state| state.steps.values().any(|step| step.due.is_some()))
        .await;
    bench.until(run, |state| state.children == 1).await;
    (run, child)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_with_undo_reaches_the_runs_below_and_takes_theirs_back_first() {
    let bench = Bench::start(&[]);
    let (run, child) = two_deep(&bench).await;
    bench.handle.cancel(run, true, "ben", "a drill").await.unwrap();
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::Cancelled, "{:?}", state.settled);
    let (below, end) = bench.settled(child).await;
    assert_eq!(end, End::Cancelled);
    let cancelled = below.cancelled.unwrap();
    assert_eq!((cancelled.principal.as_str(), cancelled.undo), ("ben", true));
    assert!(
        cancelled.reason.contains(&run.to_string()),
        "{}",
        cancelled.reason
    );
    let lifted: Vec<String> = bench
        .vendor
        .changes()
        .into_iter()
        .filter_map(|(verb, host)| (verb == "lift_containment").then_some(host))
        .collect();
    assert_eq!(lifted, ["web-08", "web-07"], "what came last is undone first");
    let signals = bench
        .context
        .store
        .signals(child.partition(), child)
        .await
        .unwrap();
    assert_eq!(signals.len(), 1);
    bench.assert_tidy(0).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_keeps_ends_the_runs_below_too() {
    let bench = Bench::start(&[]);
    let (run, child) = two_deep(&bench).await;
    bench.handle.cancel(run, false, "ben", "handled").await.unwrap();
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::Cancelled);
    let why = &state.settled.as_ref().unwrap().2;
    assert!(why.contains(&format!("cancelled with it: {child}")), "{why}");
    let (below, end) = bench.settled(child).await;
    assert_eq!((end, below.cancelled.unwrap().undo), (End::Cancelled, false));
    assert_eq!(bench.vendor.state("web-08"), "contained");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_names_what_a_run_below_left_and_undo_takes_it_back() {
    let bench = Bench::start(&[]);
    let below = "endpoint::isolate(finding.second)";
    offer(&bench, &[("below", below, none())]);
    let script = "endpoint::isolate(finding.host); run_playbook(\"below\"); throw \"no\";";
    let run = bench.run_as("rolls", script, OnFailure::RollBack, None).await;
    let (state, end) = bench.settled(run).await;
    let child = child_of(run, &step("1"));
    let why = &state.settled.as_ref().unwrap().2;
    assert_eq!(end, End::Kept, "{why}");
    assert!(
        why.contains(&format!("takes it back: {child} of `below`")),
        "{why}"
    );
    assert!(
        state.alarms.iter().any(|alarm| alarm.code == "run-failed"),
        "{:?}",
        state.alarms
    );
    assert_eq!(bench.vendor.state("web-07"), "normal");
    assert_eq!(bench.vendor.state("web-08"), "contained");
    assert!(bench.handle.left_by_undo(run).await.unwrap().is_empty());
    let undo = bench.handle.undo_run(run, "ben", "all of it").await.unwrap();
    bench.settled(undo).await;
    assert_eq!(bench.vendor.state("web-08"), "normal");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_of_a_run_takes_back_what_the_runs_below_did_last_first() {
    let bench = Bench::start(&[]);
    let below = "endpoint::isolate(finding.second)";
    offer(&bench, &[("below", below, none())]);
    let script = "endpoint::isolate(finding.host); run_playbook(\"below\");";
    let run = bench.run("undone", script).await;
    let (_, end) = bench.settled(run).await;
    assert_eq!(end, End::Succeeded);
    let undo = bench.handle.undo_run(run, "ben", "false alarm").await.unwrap();
    let (state, end) = bench.settled(undo).await;
    assert_eq!(end, End::Succeeded);
    let hosts: Vec<String> = state
        .effects_in_order()
        .map(|effect| effect.target.as_ref().unwrap().name.clone())
        .collect();
    assert_eq!(hosts, ["web-08", "web-07"]);
    bench.assert_tidy(0).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_reaches_a_run_below_that_is_still_open() {
    let bench = Bench::start(&[]);
    offer(&bench, &[("below", BELOW, none())]);
    let script = "all([|| run_playbook(\"below\"), || { wait(\"2s\"); 1 }]);";
    let run = bench.run_as("deadline", script, OnFailure::RollBack, None).await;
    let child = bench.until(run, |state| state.children == 1).await;
    let child = child.steps.values().find_map(|step| step.child).unwrap();
    bench
        .until(child, |state| state.steps.values().any(|step| step.due.is_some()))
        .await;
    // It fails from outside while the run below is open, as by its deadline.
    let state = bench.handle.state(run).await.unwrap();
    let mut failed = state.clone();
    let fault = Fault::new("deadline", "the run did not end in time");
    let event = Event::ScriptFailed {
        fault,
        line: 0,
        column: 0,
        file: None,
    };
    failed
        .apply(Time(1), &event, crate::digest::Digest::ZERO)
        .unwrap();
    let now = bench.context.clock.now();
    let mut progress = crate::run::Progress {
        heard_at: Some(now),
        ..Default::default()
    };
    let first = failed
        .steps
        .iter()
        .find(|(_, step)| step.child.is_some())
        .unwrap()
        .0
        .clone();
    let tell = crate::run::Task::TellChild(first.clone());
    assert_eq!(
        crate::run::next(&failed, &progress, now),
        crate::run::Next::Perform(tell)
    );
    let told = crate::run::child::tell(&bench.context, &failed, &first)
        .await
        .unwrap();
    // Whoever does it again after a crash changes nothing.
    let again = crate::run::child::tell(&bench.context, &failed, &first)
        .await
        .unwrap();
    assert_eq!(told.child_told, again.child_told);
    progress.children_told.extend(told.child_told);
    let look = crate::run::Task::LookAtChild(first);
    assert_eq!(
        crate::run::next(&failed, &progress, now),
        crate::run::Next::Perform(look)
    );
    let (below, end) = bench.settled(child).await;
    assert_eq!(end, End::Cancelled);
    assert_eq!(below.cancelled.unwrap().principal, run.to_string());
    assert_eq!(bench.vendor.state("web-08"), "normal");
    bench.end().await;
}
