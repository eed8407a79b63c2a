//! Holds that several effects share, and what becomes of them when some let go, give up or are restored.

use super::*;
use crate::action::{Done, Holder, Outcome, Verification};
use crate::id::EffectId;
use crate::run::cleanup::Due;
use crate::run::under::Under;
use crate::store::NewHold;

/// What the first effect of a run did last.
fn how(state: &RunState) -> Option<Done> {
    let effect = state.effects_in_order().next()?;
    match effect.done()? {
        (_, Outcome::Done { how, .. }) => Some(*how),
        _ => None,
    }
}

/// The first effect of a run and its target.
fn first_effect(state: &RunState) -> (EffectId, Target) {
    let effect = state.effects_in_order().next().unwrap();
    (effect.bound.effect, effect.target.clone().unwrap())
}

/// The share that a worker took for a run before it died.
fn taken_over(target: &Target, effect: EffectId, run: RunId) -> NewHold {
    NewHold {
        target: target.clone(),
        facet: "network".into(),
        effect,
        run,
        at: SystemClock.now(),
        until: None,
        prior: Reading {
            state: "contained".into(),
            fields: json!({}),
        },
        undo: None,
    }
}

impl Bench {
    async fn is_held(&self) -> bool {
        for partition in Partition::all() {
            if !self.context.store.holds(partition).await.unwrap().is_empty() {
                return true;
            }
        }
        false
    }

    async fn until_free(&self) {
        for _ in 0..1_500 {
            if !self.is_held().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut runs = Vec::new();
        for partition in Partition::all() {
            let query = crate::store::RunQuery {
                limit: 100,
                ..Default::default()
            };
            runs.extend(self.context.store.runs(partition, &query).await.unwrap());
        }
        panic!("it is held still: {:#?}, {runs:#?}", self.holders().await);
    }
}

/// The first run lets go because the second holds still, whose worker is dead; then the second is cancelled, before its
/// journal knows of the effect or after.
async fn the_last_share_is_given_up(is_known: bool) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let first = Bench::over(store.clone(), &[]);
    let early = first.run("early", ISOLATE).await;
    let (state, _) = first.settled(early).await;
    let (_, target) = first_effect(&state);
    // What the second run's worker had done when it died follows from run, step and instance.
    let scratch = Bench::start(&[]);
    let late = scratch.run("late", ISOLATE).await;
    let (state, _) = scratch.settled(late).await;
    let (id, _) = first_effect(&state);
    let entries = scratch
        .context
        .store
        .journal(late.partition(), ChainId::Run(late), 1)
        .await
        .unwrap();
    let events = entries.iter().map(|entry| entry.event().unwrap().1);
    let before: Vec<Event> = events
        .take_while(|event| !matches!(event, Event::EffectIntended(_)))
        .collect();
    assert!(
        before
            .iter()
            .any(|event| matches!(event, Event::EffectResolved { .. }))
    );
    scratch.end().await;
    let share = taken_over(&target, id, late);
    store
        .hold_take(target.partition(), Time(i64::MAX), share)
        .await
        .unwrap();
    let undo = first.handle.undo_run(early, "ana", "over").await.unwrap();
    let (state, _) = first.settled(undo).await;
    assert_eq!(how(&state), Some(Done::StillHeld));
    assert_eq!(first.vendor.state("web-07"), "contained");

    first.stop.store(true, std::sync::atomic::Ordering::SeqCst);
    while !first.worker.is_finished() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(first.run("late", ISOLATE).await, late);
    abandoned(&first, late, if is_known { before } else { vec![] }).await;
    first
        .handle
        .cancel(late, false, "ben", "not needed")
        .await
        .unwrap();
    // Nothing of it may begin before its word is heard: somebody else has the target until then.
    let (other, own, key) = (
        EffectId::derive(&["other"]),
        RunId::derive(&["other"]),
        target.key(),
    );
    let (partition, far) = (target.partition(), Time(i64::MAX));
    store
        .lock(partition, far, &key, other, own, Time(1))
        .await
        .unwrap();
    let second = Bench::over(store.clone(), &[]);
    second.vendor.set("web-07", "contained");
    assert_eq!(second.settled(late).await.1, End::Cancelled);
    store.unlock(partition, far, &key, other).await.unwrap();
    second.until_free().await;
    assert_eq!(second.vendor.state("web-07"), "normal");
    assert_eq!(second.vendor.changes(), [change("lift_containment")]);
    second.end().await;
    first.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_let_go_restores_when_the_run_that_held_still_never_began() {
    the_last_share_is_given_up(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_let_go_restores_when_the_effect_that_held_still_does_not_come_about() {
    the_last_share_is_given_up(true).await;
}

impl Bench {
    /// Everybody who holds anything.
    async fn holders(&self) -> Vec<Holder> {
        let mut found = Vec::new();
        for partition in Partition::all() {
            for hold in self.context.store.holds(partition).await.unwrap() {
                found.extend(hold.holders);
            }
        }
        found
    }
}

fn word(state: &RunState) -> Option<Verification> {
    let effect = state.effects_in_order().next()?;
    effect.verification.map(|(_, word)| word)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_only_says_that_it_restored_leaves_the_hold_listed() {
    let bench = Bench::start(&[Mood::Honest, Mood::Lies]);
    let run = bench.run("lied to", ISOLATE).await;
    let (state, _) = bench.settled(run).await;
    let (id, _) = first_effect(&state);
    let undo = bench.handle.undo_run(run, "ana", "over").await.unwrap();
    let (state, end) = bench.settled(undo).await;
    assert_eq!((word(&state), end), (Some(Verification::Contradicted), End::Kept));
    let holders = bench.holders().await;
    assert_eq!(holders.len(), 1);
    assert_eq!((holders[0].effect, holders[0].ending), (id, true));
    // So it is listed and can be ended, and then it is.
    let again = bench.handle.undo_run(run, "ana", "over").await.unwrap();
    assert_ne!(again, undo);
    assert_eq!(bench.settled(again).await.1, End::Succeeded);
    assert_eq!(bench.vendor.state("web-07"), "normal");
    bench.assert_tidy(0).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_whose_end_was_only_promised_is_tried_again_later() {
    let bench = Bench::start(&[Mood::Honest, Mood::Lies]);
    let script = r#"endpoint::isolate(finding.host, #{ lease: "100ms" })"#;
    let run = bench.run("leased", script).await;
    bench.settled(run).await;
    for _ in 0..1_500 {
        let holders = bench.holders().await;
        assert_eq!(holders.len(), 1, "it is held until it is seen restored");
        if holders[0].tries == 1 {
            assert!(holders[0].ending);
            assert!(holders[0].until.unwrap() > SystemClock.now());
            assert_eq!(bench.vendor.state("web-07"), "contained");
            return bench.end().await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the end of the lease was not tried again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_back_that_was_only_promised_leaves_the_hold_listed() {
    let script = "endpoint::isolate(finding.host); endpoint::isolate(finding.second); throw \"no\";";
    let bench = Bench::start(&[Mood::Honest, Mood::Honest, Mood::Lies]);
    let run = bench.run_as("roll", script, OnFailure::RollBack, None).await;
    bench
        .until(run, |state| {
            let undos = state.effects_in_order().filter(|one| one.bound.rollback);
            undos.filter(|one| one.is_settled()).count() == 2
        })
        .await;
    bench.handle.cancel(run, false, "ben", "enough").await.unwrap();
    bench.settled(run).await;
    assert_eq!(bench.vendor.state("web-07"), "normal");
    assert_eq!(bench.vendor.state("web-08"), "contained");
    let holders = bench.holders().await;
    assert_eq!((holders.len(), holders[0].ending), (1, true));
    let undo = bench.handle.undo_run(run, "ana", "over").await.unwrap();
    assert_eq!(bench.settled(undo).await.1, End::Succeeded);
    assert_eq!(bench.vendor.state("web-08"), "normal");
    bench.assert_tidy(0).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_another_takes_before_it_is_seen_restored_is_no_contradiction() {
    use std::sync::atomic::Ordering::SeqCst;
    let bench = Bench::start(&[]);
    bench.vendor.propagation_ms.store(60_000, SeqCst);
    let run = bench.run("first", ISOLATE).await;
    let (state, _) = bench.settled(run).await;
    let (first, _) = first_effect(&state);
    // The vendor has taken the restore, and the host is not there to do it yet.
    bench.vendor.offline.store(true, SeqCst);
    let undo = bench.handle.undo_run(run, "ana", "over").await.unwrap();
    bench
        .until(undo, |state| word(state) == Some(Verification::Pending))
        .await;
    bench.vendor.offline.store(false, SeqCst);
    let other = bench.run("second", ISOLATE).await;
    let (state, end) = bench.settled(other).await;
    assert_eq!(end, End::Succeeded);
    let (second, target) = first_effect(&state);
    let (state, end) = bench.settled(undo).await;
    assert_eq!(
        (word(&state), end),
        (Some(Verification::HeldAgain), End::Succeeded)
    );
    assert!(state.alarms.is_empty(), "{:?}", state.alarms);
    let store = &bench.context.store;
    let key = target.key();
    let hold = store.hold(target.partition(), &key, "network").await;
    let hold = hold.unwrap().unwrap();
    let holders: Vec<EffectId> = hold.holders.iter().map(|holder| holder.effect).collect();
    let left: Vec<EffectId> = hold.left.iter().map(|leaver| leaver.effect).collect();
    assert_eq!((holders, left), (vec![second], vec![first]));
    let undo = bench.handle.undo_run(other, "ana", "over").await.unwrap();
    assert_eq!(bench.settled(undo).await.1, End::Succeeded);
    assert_eq!(bench.vendor.state("web-07"), "normal");
    bench.assert_tidy(0).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_owed_is_not_paid_under_a_claim_that_is_over() {
    let bench = Bench::start(&[]);
    let run = bench.run("late", ISOLATE).await;
    let (state, _) = bench.settled(run).await;
    let undo = bench.handle.undo_run(run, "ana", "over").await.unwrap();
    let (undone, _) = bench.settled(undo).await;
    bench.assert_tidy(0).await;
    // Somebody else's by now: a chore of the first worker must not touch it.
    let (id, target) = first_effect(&state);
    let (partition, key) = (target.partition(), target.key());
    let store = &bench.context.store;
    let far = Time(i64::MAX);
    let share = taken_over(&target, id, run);
    store.hold_take(partition, far, share).await.unwrap();
    store.lock(partition, far, &key, id, run, Time(1)).await.unwrap();
    for (state, due) in [(&state, Due::Everything), (&undone, Due::Seen)] {
        let effect = state.effects_in_order().next().unwrap();
        let over = Under::until(SystemClock.now());
        let paid = cleanup::after(&bench.context, effect, due, &over).await;
        assert_eq!(paid, Err(crate::store::Error::Late));
        assert!(record::is_lost_claim(&drive::LetGo::Store(
            crate::store::Error::Late
        )));
    }
    assert_eq!(store.locks(partition).await.unwrap().len(), 1);
    assert_eq!(bench.holders().await.len(), 1);
    bench.end().await;
}
