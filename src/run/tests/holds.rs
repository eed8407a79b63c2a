//! Holds that several effects share, and what becomes of them when some let go, give up or are restored.

use super::*;
use crate::action::{Done, Outcome};
use crate::id::EffectId;
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
        panic!("it is held still");
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
    store.hold_take(target.partition(), share).await.unwrap();
    let undo = first.handle.undo_run(early, "ana", "over").await.unwrap();
    let (state, _) = first.settled(undo).await;
    assert_eq!(how(&state), Some(Done::StillHeld));
    assert_eq!(first.vendor.state("web-07"), "contained");

    first.stop.store(true, std::sync::atomic::Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(first.run("late", ISOLATE).await, late);
    abandoned(&first, late, if is_known { before } else { vec![] }).await;
    first
        .handle
        .cancel(late, false, "ben", "not needed")
        .await
        .unwrap();
    let second = Bench::over(store, &[]);
    second.vendor.set("web-07", "contained");
    assert_eq!(second.settled(late).await.1, End::Cancelled);
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
