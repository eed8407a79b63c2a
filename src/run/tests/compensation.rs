//! Runs that do not end well: rolled back, cancelled, in doubt, and undone while a late request may still arrive.

use std::sync::atomic::Ordering::SeqCst;

use super::approvals::{bench as asking, people};
use super::*;
use crate::run::signals::RESOLVE;

const TWO_THEN_FAIL: &str = r#"
    endpoint::isolate(finding.host);
    endpoint::isolate(finding.second);
    throw "no ticket system";
"#;

fn on(verb: &str, host: &str) -> (String, String) {
    (verb.to_owned(), host.to_owned())
}

impl Bench {
    async fn doubtful(&self, run: RunId) -> crate::id::EffectId {
        let state = self.until(run, |state| state.doubts().next().is_some()).await;
        let id = state.doubts().next().unwrap().bound.effect;
        for _ in 0..500 {
            let row = self
                .context
                .store
                .run(run.partition(), run)
                .await
                .unwrap()
                .unwrap();
            if row.waits_for.contains(RESOLVE) {
                assert!(row.waits_for.contains(&id.to_string()), "{}", row.waits_for);
                assert_eq!(row.status, RunStatus::Open);
                return id;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the run does not say that it waits for a person");
    }
}

fn why(state: &RunState) -> String {
    state.settled.as_ref().unwrap().2.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_is_rolled_back_last_first() {
    let bench = Bench::start(&[]);
    let run = bench
        .run_as("roll", TWO_THEN_FAIL, OnFailure::RollBack, None)
        .await;
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::RolledBack, "{}", why(&state));
    assert!(why(&state).contains("2 effect(s) undone"), "{}", why(&state));
    assert_eq!(
        bench.vendor.changes(),
        [
            on("contain_host", "web-07"),
            on("contain_host", "web-08"),
            on("lift_containment", "web-08"),
            on("lift_containment", "web-07"),
        ]
    );
    bench.assert_tidy(0).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_roll_back_what_was_done_stays() {
    let bench = Bench::start(&[]);
    let run = bench.run("keep", TWO_THEN_FAIL).await;
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::Kept);
    assert!(why(&state).ends_with("what was done stays"), "{}", why(&state));
    assert_eq!(bench.vendor.changes().len(), 2);
    bench.assert_tidy(2).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_hold_stays_held_when_a_run_is_rolled_back() {
    let bench = Bench::start(&[]);
    let other = bench.run("other", ISOLATE).await;
    bench.settled(other).await;
    let run = bench
        .run_as("roll", TWO_THEN_FAIL, OnFailure::RollBack, None)
        .await;
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::RolledBack, "{}", why(&state));
    assert_eq!(bench.vendor.state("web-07"), "contained");
    assert_eq!(bench.vendor.state("web-08"), "normal");
    bench.assert_tidy(1).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_undone_is_named_at_the_end() {
    let script = "endpoint::isolate(finding.host); cloud::deactivate_key(finding.second); throw \"no\";";
    let bench = Bench::start(&[]);
    let run = bench.run_as("roll", script, OnFailure::RollBack, None).await;
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::RolledBack, "{}", why(&state));
    assert!(
        why(&state).contains("cannot be undone and stays: crowdstrike::contain_host on host web-08"),
        "{}",
        why(&state)
    );
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_fails_keeps_no_other_from_its_turn_and_is_tried_again() {
    let bench = Bench::start(&[Mood::Honest, Mood::Honest, Mood::Refuses]);
    let run = bench
        .run_as("stuck", TWO_THEN_FAIL, OnFailure::RollBack, None)
        .await;
    bench
        .until(run, |state| {
            let undos = state.effects_in_order().filter(|one| one.bound.rollback);
            undos.filter(|one| one.is_settled()).count() == 2
        })
        .await;
    assert_eq!(bench.vendor.state("web-08"), "contained", "its undo was refused");
    assert_eq!(bench.vendor.state("web-07"), "normal");
    let row = bench
        .context
        .store
        .run(run.partition(), run)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        row.status,
        RunStatus::Open,
        "it is not over before it was tried again"
    );
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_asked_and_a_yes_rolls_back() {
    for (approve, end, state) in [(true, End::RolledBack, "normal"), (false, End::Kept, "contained")] {
        let bench = asking(people());
        let ask = AskOnFailure {
            by: "leads".into(),
            quorum: 1,
            within_ms: 60_000,
        };
        let run = bench
            .run_as("ask", TWO_THEN_FAIL, OnFailure::Ask, Some(ask))
            .await;
        let asked = bench
            .until(run, |state| state.approvals_in_order().any(|one| one.is_open()))
            .await;
        let request = asked.approvals_in_order().next().unwrap().request.clone();
        assert!(request.ask.contains("Undo the 2 effect(s)"), "{}", request.ask);
        let ballot = Ballot {
            principal: "ben".into(),
            approve,
            reason: "seen".into(),
            digest: Some(request.digest),
        };
        bench.handle.vote(request.approval, &ballot).await.unwrap();
        let (settled, found) = bench.settled(run).await;
        assert_eq!(found, end, "{}", why(&settled));
        assert_eq!(bench.vendor.state("web-07"), state);
        bench.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_answers_or_may_what_was_done_stays() {
    for (by, within_ms) in [("leads", 200), ("nobody-there", 60_000)] {
        let bench = asking(people());
        let ask = AskOnFailure {
            by: by.into(),
            quorum: 1,
            within_ms,
        };
        let run = bench
            .run_as("ask", TWO_THEN_FAIL, OnFailure::Ask, Some(ask))
            .await;
        let (state, end) = bench.settled(run).await;
        assert_eq!(end, End::Kept, "{}", why(&state));
        assert!(
            why(&state).contains("what was done stays (nobody"),
            "{}",
            why(&state)
        );
        bench.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_doubt_waits_and_goes_on_with_what_a_person_saw() {
    for happened in [true, false] {
        let bench = Bench::start(&[Mood::LosesAnswer]);
        bench.vendor.opaque.store(true, SeqCst);
        let script = r#"let how = "nothing";
            try { how = endpoint::isolate(finding.host).how; } catch (e) { how = e.code; }
            how"#;
        let run = bench.run("doubt", script).await;
        let effect = bench.doubtful(run).await;
        assert_eq!(bench.handle.run_of_effect(effect).await.unwrap(), Some(run));
        let heard = bench
            .handle
            .resolve(run, effect, happened, "ben", "I looked")
            .await
            .unwrap();
        assert_eq!(heard, Heard::Counted);
        // Whoever says it again, or the opposite, is told whose word stands.
        for again in [happened, !happened] {
            let refused = bench.handle.resolve(run, effect, again, "eva", "me too").await;
            let told = refused.unwrap_err().to_string();
            assert!(told.contains("ben has said before"), "{told}");
        }
        let (state, end) = bench.settled(run).await;
        let said = match &state.script {
            Some(crate::journal::ScriptEnd::Returned(value)) => value.clone(),
            other => panic!("{other:?}"),
        };
        if happened {
            assert_eq!(said, json!("told"));
            assert_eq!(end, End::Succeeded, "{}", why(&state));
            bench.assert_tidy(1).await;
        } else {
            assert_eq!(said, json!("said-not-done"));
            assert_eq!(end, End::Kept);
            bench.assert_tidy(0).await;
        }
        bench.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_who_say_the_opposite_at_once_are_told_which_counts() {
    let bench = Bench::start(&[Mood::LosesAnswer]);
    bench.vendor.opaque.store(true, SeqCst);
    let run = bench.run("race", ISOLATE).await;
    let effect = bench.doubtful(run).await;
    let (one, other) = tokio::join!(
        bench.handle.resolve(run, effect, true, "ben", "there"),
        bench.handle.resolve(run, effect, false, "eva", "not there"),
    );
    assert_eq!(
        usize::from(one.is_ok()) + usize::from(other.is_ok()),
        1,
        "{one:?} {other:?}"
    );
    let (state, _) = bench.settled(run).await;
    let happened = state.effects[&effect].said.as_ref().unwrap().happened;
    assert_eq!(happened, one.is_ok());
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_doubt_cannot_be_resolved() {
    let bench = Bench::start(&[]);
    let run = bench
        .run("sure", "endpoint::isolate(finding.host); wait(\"1h\");")
        .await;
    let state = bench
        .until(run, |state| state.effects.values().any(|one| one.is_settled()))
        .await;
    let effect = state.effects_in_order().next().unwrap().bound.effect;
    let refused = bench.handle.resolve(run, effect, true, "ben", "seen").await;
    let told = refused.unwrap_err().to_string();
    assert!(told.contains("is not in doubt, it is known to be done"), "{told}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_run_is_cancelled_with_and_without_undo() {
    for (undo, state) in [(true, "normal"), (false, "contained")] {
        let bench = Bench::start(&[]);
        let script = "endpoint::isolate(finding.host); wait(\"8h\"); endpoint::isolate(finding.second);";
        let run = bench.run("wait", script).await;
        bench
            .until(run, |state| state.steps.values().any(|step| step.due.is_some()))
            .await;
        let heard = bench.handle.cancel(run, undo, "ben", "a drill").await.unwrap();
        assert_eq!(heard, Heard::Counted);
        let (settled, end) = bench.settled(run).await;
        assert_eq!(end, End::Cancelled);
        assert!(
            why(&settled).starts_with("ben cancelled it: a drill; "),
            "{}",
            why(&settled)
        );
        assert_eq!(bench.vendor.state("web-07"), state);
        assert_eq!(bench.vendor.state("web-08"), "normal", "nothing more was begun");
        assert!(settled.alarms.is_empty(), "a person knows already");
        let late = bench.handle.cancel(run, !undo, "eva", "too late").await;
        let told = late.unwrap_err().to_string();
        assert!(told.contains("`cordon undo"), "{told}");
        bench.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_doubt_is_cancelled_as_it_is_and_says_so() {
    let bench = Bench::start(&[Mood::LosesAnswer]);
    bench.vendor.opaque.store(true, SeqCst);
    let run = bench.run("doubt", ISOLATE).await;
    bench.doubtful(run).await;
    bench.handle.cancel(run, false, "ben", "enough").await.unwrap();
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::Cancelled);
    assert!(
        why(&state).contains("1 effect(s) may or may not have happened"),
        "{}",
        why(&state)
    );
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_closes_what_people_are_asked() {
    let bench = asking(people());
    let script = r#"approve(#{ ask: "Go on?", by: "leads", within: "8h" });"#;
    let run = bench.run("asked", script).await;
    let state = bench
        .until(run, |state| state.approvals_in_order().any(|one| one.is_open()))
        .await;
    bench
        .handle
        .cancel(run, false, "ben", "not needed")
        .await
        .unwrap();
    let (settled, end) = bench.settled(run).await;
    assert_eq!(end, End::Cancelled);
    let asked = settled.approvals_in_order().next().unwrap();
    assert_eq!(asked.decided.as_ref().unwrap().1.why, "ben cancelled the run");
    let ballot = Ballot {
        principal: "ben".into(),
        approve: true,
        reason: "late".into(),
        digest: None,
    };
    let id = state.approvals_in_order().next().unwrap().request.approval;
    assert!(bench.handle.vote(id, &ballot).await.is_err());
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_lands_after_the_undo_is_undone_again() {
    let bench = Bench::start(&[Mood::LosesAnswer]);
    bench.vendor.opaque.store(true, SeqCst);
    bench.vendor.in_flight_ms.store(3_000, SeqCst);
    let run = bench.run("late", ISOLATE).await;
    let effect = bench.doubtful(run).await;
    let undo = bench
        .handle
        .undo_effect(run, effect, "ben", "rather not")
        .await
        .unwrap();
    bench
        .until(undo, |state| {
            state.effects.values().any(|one| one.done().is_some())
        })
        .await;
    assert_eq!(bench.vendor.state("web-07"), "normal");
    // The request that nobody had an answer to arrives now.
    bench.vendor.set("web-07", "contained");
    let (state, end) = bench.settled(undo).await;
    assert_eq!(end, End::Succeeded, "{}", why(&state));
    assert_eq!(bench.vendor.state("web-07"), "normal");
    let restored = state.effects_in_order().next().unwrap();
    assert_eq!(restored.attempts.len(), 2, "it was undone twice");
    bench.assert_tidy(0).await;
    bench.end().await;
}
