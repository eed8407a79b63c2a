//! Runs that start others: once each, with their inputs checked, and answered by how they end.

use std::sync::Arc;

use super::*;
use crate::journal::Answered;
use crate::journal::ScriptEnd;
use crate::playbook::{Input, InputSpecs};
use crate::run::{child_of, compare};
use crate::script::StepId;

/// Offers playbooks to the scripts of a bench: id, script, inputs.
pub(super) fn offer(bench: &Bench, playbooks: &[(&str, &str, InputSpecs)]) {
    let connectors = Catalog::embedded().unwrap();
    let bundles = playbooks.iter().map(|(id, script, inputs)| {
        let program = Program::new("child.rhai", *script);
        let parts = Parts {
            playbook: id,
            title: id,
            kind: PlaybookKind::Response,
            on_failure: OnFailure::Keep,
            ask: None,
            deadline_ms: 90_000,
            inputs,
            script: &program,
        };
        let bundle = Bundle::of(&parts, &connectors).at(format!("area/{}", id.replace('-', "_")));
        ((*id).to_owned(), bundle)
    });
    bench.context.offer(Arc::new(bundles.collect()));
}

pub(super) fn none() -> InputSpecs {
    InputSpecs::new()
}

pub(super) fn step(text: &str) -> StepId {
    text.parse().unwrap()
}

fn returned(state: &RunState) -> Value {
    match &state.script {
        Some(ScriptEnd::Returned(value)) => value.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playbook_starts_another_and_gets_its_value() {
    let bench = Bench::start(&[]);
    let inputs = InputSpecs::from([("who".to_owned(), Input::Required)]);
    offer(
        &bench,
        &[(
            "keeps-out",
            "endpoint::isolate(finding.host); `did ${who}`",
            inputs,
        )],
    );
    let script = "let a = run_playbook(\"area/keeps_out\", #{ who: \"ana\" }); [a.end, a.value, a.run]";
    let run = bench.run("parent", script).await;
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::Succeeded);
    let child = child_of(run, &step("0"));
    assert_eq!(
        returned(&state),
        json!(["succeeded", "did ana", child.to_string()])
    );
    assert_eq!(state.steps[&step("0")].child, Some(child));
    let below = bench.handle.state(child).await.unwrap();
    assert_eq!(below.header.playbook, "keeps-out");
    assert!(
        below.header.deadline <= state.header.deadline,
        "not past its parent's"
    );
    assert_eq!(
        below.header.requester(),
        Some("ana"),
        "who started the parent approves nothing of the child"
    );
    match &below.header.cause {
        Cause::Playbook {
            run: parent,
            step: at,
            playbook,
            above,
            ..
        } => {
            assert_eq!((*parent, at, playbook.as_str()), (run, &step("0"), "test"));
            assert_eq!(above, &["test"]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.vendor.changes().len(), 1);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_failed_is_an_error_the_script_may_catch() {
    let bench = Bench::start(&[]);
    offer(
        &bench,
        &[("fails", "throw error(\"no-host\", \"nobody there\")", none())],
    );
    let script = "let found = (); try { run_playbook(\"fails\"); } catch (problem) { found = problem; }\n\
                  [found.code, found.data.end, found.data.error.code, found.action]";
    let run = bench.run("catches", script).await;
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::Succeeded);
    assert_eq!(
        returned(&state),
        json!(["playbook-failed", "kept", "no-host", "run_playbook"])
    );
    let run = bench.run("does not", "run_playbook(\"fails\");").await;
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::Kept);
    assert!(matches!(&state.script, Some(ScriptEnd::Failed(fault, ..)) if fault.code == "playbook-failed"));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_started_is_an_error_and_starts_nothing() {
    let bench = Bench::start(&[]);
    let inputs = InputSpecs::from([("who".to_owned(), Input::Required)]);
    offer(
        &bench,
        &[
            ("needs", "note(who)", inputs),
            ("circle", "run_playbook(\"test\")", none()),
            ("test", "note(\"never\")", none()),
        ],
    );
    let script = "let codes = []; for given in [[\"nobody\", ()], [\"needs\", ()], [\"needs\", #{ whom: 1 }], [\"needs\", 1], \
                  [\"test\", ()]] { try { run_playbook(given[0], given[1]); } catch (problem) { codes.push(problem.code); } }\n\
                  try { run_playbook(\"circle\"); } catch (problem) { codes.push(problem.data.error.code); } codes";
    let run = bench.run("refused", script).await;
    let (state, _) = bench.settled(run).await;
    let codes = [
        "no-playbook",
        "bad-argument",
        "bad-argument",
        "bad-argument",
        "cycle",
        "cycle",
    ];
    assert_eq!(returned(&state), json!(codes));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn children_run_side_by_side_in_branches() {
    let bench = Bench::start(&[]);
    let inputs = InputSpecs::from([("n".to_owned(), Input::Required)]);
    offer(
        &bench,
        &[(
            "twice",
            "if n == 2 { throw error(\"odd\", \"two\") } n * 2",
            inputs,
        )],
    );
    let script = "let r = each([1, 2, 3], |n| run_playbook(\"twice\", #{ n: n }).value);\n\
                  let a = all([|| run_playbook(\"twice\", #{ n: 5 }).value, || 7]); [r.map(|x| x.value), r[1].error.code, a]";
    let run = bench.run("branches", script).await;
    let (state, _) = bench.settled(run).await;
    assert_eq!(
        returned(&state),
        json!([[2, null, 6], "playbook-failed", [10, 7]])
    );
    let children = state.steps.values().filter(|step| step.child.is_some()).count();
    assert_eq!((children, state.children), (4, 4));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_is_started_once_whatever_is_repeated() {
    let bench = Bench::start(&[]);
    bench.worker.abort();
    offer(&bench, &[("other", "1", none())]);
    let run = bench.run("once", "run_playbook(\"other\")").await;
    let mut state = bench.handle.state(run).await.unwrap();
    let asked = crate::script::Asked {
        step: step("0"),
        kind: crate::script::Kind::Ask,
        name: "run_playbook".into(),
        args: vec![json!("other")],
        at: Default::default(),
        file: None,
        digest: crate::digest::Digest::ZERO,
    };
    state
        .apply(
            Time(1),
            &crate::run::drive::asked(asked),
            crate::digest::Digest::ZERO,
        )
        .unwrap();
    let first = crate::run::child::start(&bench.context, &state, &step("0"))
        .await
        .unwrap();
    // The parent died before it could write that down, and the playbook is gone meanwhile.
    bench.context.offer(Arc::default());
    let again = crate::run::child::start(&bench.context, &state, &step("0"))
        .await
        .unwrap();
    assert_eq!(first, again);
    assert!(matches!(first.as_slice(), [Event::ChildStarted { playbook, .. }] if playbook == "other"));
    // A cancel knows of it even then.
    assert_eq!(crate::run::open_children(&state), [child_of(run, &step("0"))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_was_not_woken_looks_by_itself() {
    let bench = Bench::start(&[]);
    offer(&bench, &[("waits", "wait(\"1s\"); 3", none())]);
    let run = bench.run("sleeps", "run_playbook(\"waits\").value").await;
    let state = bench.until(run, |state| state.children == 1).await;
    let now = state.updated_at;
    let mut progress = crate::run::Progress {
        evaluated: Some(0),
        // It has listened to people already.
        heard_at: Some(now.plus_ms(crate::limits::CHILD_LOOK_MS)),
        ..Default::default()
    };
    let look = crate::run::Task::LookAtChild(step("0"));
    assert_eq!(
        crate::run::next(&state, &progress, now),
        crate::run::Next::Perform(look.clone())
    );
    progress.children_at.insert(step("0"), now);
    let until = now.plus_ms(crate::limits::CHILD_LOOK_MS);
    match crate::run::next(&state, &progress, now) {
        crate::run::Next::Wait { until: Some(at), why } => {
            assert_eq!(at, until);
            assert!(why.starts_with("the end of run_"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        crate::run::next(&state, &progress, until),
        crate::run::Next::Perform(look)
    );
    let (state, _) = bench.settled(run).await;
    assert_eq!(returned(&state), json!(3));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_walks_into_the_playbooks_it_would_start() {
    let bench = Bench::start(&[]);
    offer(
        &bench,
        &[("keeps-out", "endpoint::isolate(finding.host); 4", none())],
    );
    let connectors = Catalog::embedded().unwrap();
    let program = Program::new(
        "test.rhai",
        "let a = run_playbook(\"keeps-out\"); note(`${a.value}`);",
    );
    let parts = Parts {
        playbook: "test",
        title: "Test",
        kind: PlaybookKind::Response,
        on_failure: OnFailure::Keep,
        ask: None,
        deadline_ms: 60_000,
        inputs: &none(),
        script: &program,
    };
    let host = json!({"type": "host", "role": "affected", "name": "web-07", "uid": "web-07"});
    let start = Start {
        run: RunId::derive(&["planned"]),
        cause: Cause::Person {
            principal: "ana".into(),
            reason: String::new(),
        },
        inputs: BTreeMap::from([("finding".to_owned(), json!({ "host": host }))]),
        severity_id: SeverityId(4),
        subject: "host web-07".into(),
        weak_source: false,
    };
    let outlook = bench
        .handle
        .plan(&Bundle::of(&parts, &connectors), start)
        .await
        .unwrap();
    let child = outlook.steps[0].child.as_ref().unwrap();
    assert_eq!(child.playbook, "keeps-out");
    assert_eq!(child.steps[0].effects.len(), 1);
    assert_eq!(outlook.steps[1].args, [json!("4")]);
    assert_eq!(outlook.end, crate::run::Ending::Returned);
    assert!(bench.vendor.changes().is_empty());
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_with_children_replays_to_its_end() {
    let bench = Bench::start(&[]);
    offer(&bench, &[("other", "7", none())]);
    let run = bench.run("replays", "run_playbook(\"other\").value").await;
    let (state, _) = bench.settled(run).await;
    assert!(matches!(state.steps[&step("0")].answer, Some(Answered::Value(_))));
    let loaded = bench.context.bundle(state.header.bundle).await.unwrap();
    let advance = crate::script::advance(&crate::run::again::whole(&state, &loaded));
    assert_eq!(compare(&state, &advance), Ok(()));
    bench.end().await;
}
