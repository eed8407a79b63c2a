//! What is owed to targets after an append: locks given back, holds forgotten or noted. Follows from the
//! journal, so it can be done again after a crash, and is.

use super::context::Context;
use crate::action::{Done, Outcome};
use crate::id::{EffectId, Partition};
use crate::journal::{Cause, EffectState, End, Event, RunState, Stage};
use crate::store::Error;

/// First pause before a failed lease end is tried again, ms; doubled each time, up to a day.
const LEASE_AGAIN_MS: u64 = 5 * 60_000;

/// The effects that these events are about.
pub fn touched(events: &[Event]) -> Vec<EffectId> {
    let mut effects: Vec<EffectId> = events
        .iter()
        .filter_map(|event| match event {
            Event::EffectFailed { effect, .. }
            | Event::EffectWeighed { effect, .. }
            | Event::EffectEnded { effect, .. }
            | Event::EffectVerified { effect, .. }
            | Event::EffectInDoubt { effect, .. } => Some(*effect),
            _ => None,
        })
        .collect();
    effects.sort_unstable();
    effects.dedup();
    effects
}

/// Everything owed by a run.
pub async fn all(context: &Context, state: &RunState) -> Result<(), Error> {
    for effect in state.effects.values() {
        after(context, effect).await?;
    }
    Ok(())
}

/// True when something may be owed to the target of an effect.
pub fn is_owed(effect: &EffectState) -> bool {
    effect.target.is_some()
        && effect.bound.spec.changes()
        && !matches!(effect.stage(), Stage::Bound | Stage::Intended(_) | Stage::Unknown)
}

/// What is owed after events about one effect.
pub async fn after(context: &Context, effect: &EffectState) -> Result<(), Error> {
    let Some(target) = &effect.target else {
        return Ok(());
    };
    if !effect.bound.spec.changes() {
        return Ok(());
    }
    let id = effect.bound.effect;
    let (partition, key) = (target.partition(), target.key());
    let stage = effect.stage();
    if let Some(facet) = &effect.bound.spec.facet {
        match (&effect.bound.reverts, &stage) {
            // It never came about, so it holds nothing.
            (None, Stage::NotDone(_)) => context.store.hold_drop(partition, &key, facet, id).await?,
            (None, Stage::Done) => {
                if let Some((_, word)) = effect.verification {
                    context.store.hold_seen(partition, &key, facet, id, word).await?;
                }
            }
            // Restored: forgotten. Where others hold still, the store has forgotten our share already.
            (Some(reverts), Stage::Done) if !is_still_held(effect) => {
                context
                    .store
                    .hold_drop(partition, &key, facet, reverts.effect)
                    .await?;
            }
            _ => {}
        }
    }
    // The lock is kept exactly while something may be on its way to the target.
    if !matches!(stage, Stage::Intended(_) | Stage::Unknown) {
        context.store.unlock(partition, &key, id).await?;
    }
    Ok(())
}

fn is_still_held(effect: &EffectState) -> bool {
    matches!(
        effect.done(),
        Some((
            _,
            Outcome::Done {
                how: Done::StillHeld,
                ..
            }
        ))
    )
}

/// Gives back locks and holds of this run that its journal does not account for. They were taken by an earlier
/// claim that ended before its intent was durable, so nothing was sent under them.
pub async fn sweep(context: &Context, state: &RunState) -> Result<(), Error> {
    let run = state.header.run;
    let intended = |id: &EffectId| {
        state
            .effects
            .get(id)
            .is_some_and(|effect| !effect.attempts.is_empty())
    };
    for partition in Partition::all() {
        for hold in context.store.holds(partition).await? {
            let ours = hold
                .holders
                .iter()
                .filter(|holder| holder.run == run && !intended(&holder.effect));
            for holder in ours {
                let key = hold.target.key();
                context
                    .store
                    .hold_drop(partition, &key, &hold.facet, holder.effect)
                    .await?;
            }
        }
        for lock in context.store.locks(partition).await? {
            if lock.run == run && !intended(&lock.effect) {
                context.store.unlock(partition, &lock.target, lock.effect).await?;
            }
        }
    }
    Ok(())
}

/// What is owed before a run ends: a lease whose end failed is tried again later.
pub async fn before_settling(context: &Context, state: &RunState, end: End) -> Result<(), Error> {
    let Cause::Lease { effect: leased, .. } = &state.header.cause else {
        return Ok(());
    };
    if end == End::Succeeded {
        return Ok(());
    }
    let at = context.clock.now();
    for effect in state.effects.values() {
        let (Some(target), Some(facet)) = (&effect.target, &effect.bound.spec.facet) else {
            continue;
        };
        if matches!(effect.stage(), Stage::Done) {
            continue;
        }
        let tries = state
            .header
            .inputs
            .get("tries")
            .and_then(serde_json::Value::as_u64)
            .unwrap_or(0);
        let tries = u32::try_from(tries).unwrap_or(u32::MAX).saturating_add(1);
        let pause = LEASE_AGAIN_MS.saturating_mul(1 << tries.min(8)).min(86_400_000);
        let until = Some(at.plus_ms(pause));
        let (partition, key) = (target.partition(), target.key());
        context
            .store
            .hold_until(partition, &key, facet, *leased, until, tries)
            .await?;
    }
    Ok(())
}
