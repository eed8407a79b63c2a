//! What is owed to targets after an append: locks given back, holds forgotten or noted. Follows from the
//! journal, so it can be done again after a crash, and is.

use std::collections::{BTreeMap, BTreeSet};

use super::context::Context;
use super::under::Under;
use crate::action::{Done, Outcome, Target, Verification};
use crate::clock::Time;
use crate::id::{EffectId, Partition, RunId};
use crate::journal::{ChainId, EffectState, Event, RunState, Stage};
use crate::store::{Claim, Error, HoldEnd, RunStatus};

/// How often a store that is busy or full is asked again, and after how long, ms.
const PATIENCE: u32 = 100;
const AGAIN_MS: u64 = 100;

/// What became due for an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// It was read back: its hold says so.
    Seen,
    /// It came to a stage, so its lock and hold may have to go.
    Everything,
}

/// The effects that these events are about, and what becomes due for each.
pub fn touched(events: &[Event]) -> BTreeMap<EffectId, Due> {
    let mut effects = BTreeMap::new();
    for event in events {
        let (effect, due) = match event {
            Event::EffectFailed { effect, .. }
            | Event::EffectWeighed { effect, .. }
            | Event::EffectEnded { effect, .. }
            | Event::EffectInDoubt { effect, .. }
            | Event::EffectResolvedBy { effect, .. }
            | Event::EffectLanded { effect, .. } => (effect, Due::Everything),
            Event::EffectVerified { effect, .. } => (effect, Due::Seen),
            _ => continue,
        };
        let known = effects.entry(*effect).or_insert(due);
        *known = (*known).max(due);
    }
    effects
}

/// Everything owed by a run.
pub async fn all(context: &Context, state: &RunState, under: &Under) -> Result<(), Error> {
    for effect in state.effects.values() {
        after(context, effect, Due::Everything, under).await?;
    }
    Ok(())
}

/// True when something may be owed to the target of an effect.
pub fn is_owed(effect: &EffectState) -> bool {
    effect.target.is_some()
        && effect.bound.spec.changes()
        && !matches!(effect.stage(), Stage::Bound | Stage::Intended(_) | Stage::Unknown)
}

/// What is owed after events about one effect. Waits for a store that is busy or full: all of it may be repeated.
pub async fn after(context: &Context, effect: &EffectState, due: Due, under: &Under) -> Result<(), Error> {
    for _ in 0..PATIENCE {
        match once(context, effect, due, under).await {
            Err(error) if error.may_pass() => context.pause_ms(AGAIN_MS).await,
            done => return done,
        }
    }
    once(context, effect, due, under).await
}

async fn once(context: &Context, effect: &EffectState, due: Due, under: &Under) -> Result<(), Error> {
    give_back_places(context, effect).await?;
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
            // It never came about, so it holds nothing. Whoever let go because of its share holds again.
            (None, Stage::NotDone(_)) => {
                let now = context.clock.now();
                context
                    .store
                    .hold_give_up(partition, under.before(), &key, facet, id, now)
                    .await?;
            }
            (None, Stage::Done | Stage::InDoubt) => {
                begin_lease(context, effect, facet, under).await?;
                if let Some((_, word)) = effect.verification {
                    context
                        .store
                        .hold_seen(partition, under.before(), &key, facet, id, word)
                        .await?;
                }
            }
            (Some(reverts), Stage::Done) => match restored(effect) {
                Restored::Seen => {
                    context
                        .store
                        .hold_drop(partition, under.before(), &key, facet, reverts.effect)
                        .await?;
                }
                Restored::HeldAgain => {
                    let_go(context, target, facet, reverts.effect, under).await?;
                }
                Restored::NotSeen => {}
            },
            _ => {}
        }
    }
    if due == Due::Seen {
        return Ok(());
    }
    // Before the lock is free: whoever takes it next must not believe an older reading.
    if let Some(at) = changed_at(effect, &stage) {
        context
            .store
            .note_change(partition, under.before(), &key, at)
            .await?;
    }
    crate::crash::point("cleanup.before-unlock");
    // The lock is kept exactly while something may be on its way to the target.
    if !matches!(stage, Stage::Intended(_) | Stage::Unknown) {
        context.store.unlock(partition, under.before(), &key, id).await?;
    }
    Ok(())
}

/// What definitely did not happen uses up no budget.
async fn give_back_places(context: &Context, effect: &EffectState) -> Result<(), Error> {
    if !matches!(effect.stage(), Stage::NotDone(_)) {
        return Ok(());
    }
    let member = effect.bound.effect.to_string();
    let scopes: BTreeSet<&String> = effect
        .attempts
        .iter()
        .flat_map(|attempt| &attempt.intent.budgets)
        .collect();
    for scope in scopes {
        let partition = Partition::of_text(scope);
        context.store.budget_release(partition, scope, &member).await?;
    }
    Ok(())
}

/// Sets the end of an effect's lease, once.
async fn begin_lease(
    context: &Context,
    effect: &EffectState,
    facet: &str,
    under: &Under,
) -> Result<(), Error> {
    let (Some(end), Some(target)) = (effect.lease_end(), &effect.target) else {
        return Ok(());
    };
    let (partition, key, id) = (target.partition(), target.key(), effect.bound.effect);
    let hold = context.store.hold(partition, &key, facet).await?;
    let open = hold.is_some_and(|hold| {
        hold.holders
            .iter()
            .any(|holder| holder.effect == id && holder.until.is_none())
    });
    if !open {
        return Ok(());
    }
    match context
        .store
        .hold_until(partition, under.before(), &key, facet, id, Some(end), 0)
        .await
    {
        // It was ended by hand in between.
        Err(Error::Missing { .. }) => Ok(()),
        done => done,
    }
}

/// What is known of a target that was to be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restored {
    /// It was seen restored, or there was nothing to restore or nothing can show it: nobody holds it for this effect.
    Seen,
    /// Before it was seen, another effect took it.
    HeldAgain,
    /// It is not seen to be restored (yet), or others hold it, and then the store has forgotten this share already. A hold
    /// stays listed until it is, so that a vendor that says yes and does nothing is asked again.
    NotSeen,
}

fn restored(effect: &EffectState) -> Restored {
    let Some((_, Outcome::Done { how, .. })) = effect.done() else {
        return Restored::NotSeen;
    };
    let word = effect.verification.map(|(_, word)| word);
    match (how, word) {
        (Done::StillHeld, _) => Restored::NotSeen,
        (Done::NothingToRestore, _) | (_, Some(Verification::Yes)) => Restored::Seen,
        (_, Some(Verification::HeldAgain | Verification::Undone)) => Restored::HeldAgain,
        // Nothing can be read back: the vendor's word, or that of a person, is all there is.
        (_, Some(Verification::Unverifiable)) if effect.bound.spec.verify.is_none() || *how == Done::Told => {
            Restored::Seen
        }
        _ => Restored::NotSeen,
    }
}

/// Leaves a hold to those who took it since. Where nobody has it any more it is ended once more, at once: by the
/// scheduler, as a lease that is over.
async fn let_go(
    context: &Context,
    target: &Target,
    facet: &str,
    effect: EffectId,
    under: &Under,
) -> Result<(), Error> {
    let (partition, key) = (target.partition(), target.key());
    let end = context
        .store
        .hold_end(partition, under.before(), &key, facet, effect)
        .await?;
    if !matches!(end, HoldEnd::Last { .. }) {
        return Ok(());
    }
    let now = context.clock.now();
    let hold = context.store.hold(partition, &key, facet).await?;
    let waits = hold.is_some_and(|hold| {
        hold.holders
            .iter()
            .any(|holder| holder.effect == effect && holder.until.is_none_or(|until| until > now))
    });
    if !waits {
        return Ok(());
    }
    match context
        .store
        .hold_until(partition, under.before(), &key, facet, effect, Some(now), 0)
        .await
    {
        Err(Error::Missing { .. }) => Ok(()),
        done => done,
    }
}

/// When the target was, or may have been, changed by this effect.
fn changed_at(effect: &EffectState, stage: &Stage) -> Option<Time> {
    // Without a way to read the target back there is no reading that could lag.
    effect.bound.spec.verify.as_ref()?;
    let (at, outcome) = effect.last()?.ended.as_ref()?;
    match (stage, outcome) {
        (
            Stage::Done,
            Outcome::Done {
                how: Done::Acted | Done::Observed | Done::Told,
                ..
            },
        )
        | (Stage::InDoubt, _) => Some(*at),
        _ => None,
    }
}

/// After our claim on a run was lost: what we took for it and its journal does not account for, where nobody will take the
/// run up again.
pub async fn overtaken(context: &Context, run: RunId) -> Result<(), Error> {
    let row = context.store.run(run.partition(), run).await?;
    // An open run is in the hands of another, who gives back what it takes; locks that are left are found below.
    if row.is_none_or(|row| row.status != RunStatus::Settled) {
        return Ok(());
    }
    let chain = ChainId::Run(run);
    let entries = context.store.journal(run.partition(), chain, 0).await?;
    match RunState::fold(&entries) {
        Ok(state) => {
            all(context, &state, &Under::until(context.soon())).await?;
            sweep(context, &state, None, Sweep::Everything).await
        }
        Err(why) => Err(Error::Corrupt { why: why.to_string() }),
    }
}

/// Gives back locks of runs that are over: nothing is under way for them. A worker that died after its late lock left it.
pub async fn unlock_after_the_end(context: &Context) -> Result<(), Error> {
    for partition in Partition::all() {
        for lock in context.store.locks(partition).await? {
            let row = context.store.run(lock.run.partition(), lock.run).await?;
            if row.is_some_and(|row| row.status == RunStatus::Settled) {
                tracing::warn!(run.id = %lock.run, "the lock on {} outlived its run and is given back", lock.target);
                context
                    .store
                    .unlock(partition, context.soon(), &lock.target, lock.effect)
                    .await?;
            }
        }
    }
    Ok(())
}

/// What [`sweep`] gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// Locks alone, when a run is taken up again: it most likely prepares the same effects again and has to find their
    /// shares of holds, because another holder may have let go since, trusting that such a share restores the target.
    Locks,
    /// Shares of holds too, once the run asks for nothing more.
    Everything,
}

/// Gives back what this run took and its journal does not account for. It was taken by an earlier claim that ended
/// before its intent was durable, so nothing was sent under it.
///
/// Under a claim, it is renewed between looking and giving back: what is there may be the next worker's, intended in entries
/// that came after ours were read.
pub async fn sweep(
    context: &Context,
    state: &RunState,
    claim: Option<&Claim>,
    what: Sweep,
) -> Result<(), Error> {
    let run = state.header.run;
    let intended = |id: &EffectId| {
        state
            .effects
            .get(id)
            .is_some_and(|effect| !effect.attempts.is_empty())
    };
    for partition in Partition::all() {
        let mut taken = context.store.taken_by(partition, run).await?;
        taken
            .shares
            .retain(|share| what == Sweep::Everything && !intended(&share.effect));
        taken.locks.retain(|lock| !intended(&lock.effect));
        if taken.shares.is_empty() && taken.locks.is_empty() {
            continue;
        }
        let before = match claim {
            Some(claim) => {
                let until = context.clock.now().plus_ms(context.claim_ms);
                context.store.renew(run.partition(), claim, until).await?;
                until
            }
            None => context.soon(),
        };
        for share in &taken.shares {
            let now = context.clock.now();
            context
                .store
                .hold_give_up(partition, before, &share.target, &share.facet, share.effect, now)
                .await?;
        }
        for lock in &taken.locks {
            context
                .store
                .unlock(partition, before, &lock.target, lock.effect)
                .await?;
        }
    }
    Ok(())
}
