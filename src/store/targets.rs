//! Locks and holds on targets. They belong to effects of durable runs, not to processes, so they have no
//! time-out: a crash leaves them where they are, and the run's recovery takes them up again.

use async_trait::async_trait;

use super::error::Result;
use crate::action::{Hold, Reading, Target, Undo, Verification};
use crate::clock::Time;
use crate::id::{EffectId, Partition, RunId};

/// Answer of [`Targets::lock`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locked {
    /// The lock is this effect's, now or from before.
    Granted,
    /// It is another's.
    Busy {
        /// Whose.
        effect: EffectId,
        /// Of which run.
        run: RunId,
    },
}

/// A lock that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// On what ([`Target::key`]).
    pub target: String,
    /// By which effect.
    pub effect: EffectId,
    /// Of which run.
    pub run: RunId,
}

/// A hold to take.
#[derive(Clone, Debug, PartialEq)]
pub struct NewHold {
    /// On what.
    pub target: Target,
    /// Which facet.
    pub facet: String,
    /// By which effect.
    pub effect: EffectId,
    /// Of which run.
    pub run: RunId,
    /// When.
    pub at: Time,
    /// When its lease ends.
    pub until: Option<Time>,
    /// The state read just before, if nobody holds it yet.
    pub prior: Reading,
    /// How that state comes back, if nobody holds it yet.
    pub undo: Option<Undo>,
}

/// Answer of [`Targets::hold_take`]: what the end of the last hold restores.
#[derive(Clone, Debug, PartialEq)]
pub struct Took {
    /// True when nobody held it before.
    pub first: bool,
    /// The state before the first hold.
    pub prior: Reading,
    /// How it comes back.
    pub undo: Option<Undo>,
}

/// Answer of [`Targets::hold_end`].
#[derive(Clone, Debug, PartialEq)]
pub enum HoldEnd {
    /// This effect holds nothing (any more).
    NotHeld,
    /// Others hold it still; this effect's share is gone, and the hold remembers that it left ([`Hold::left`]).
    Others {
        /// How many.
        remaining: usize,
    },
    /// It was the last: restore, then [`Targets::hold_drop`]. Until then it stays listed.
    Last {
        /// The state before the first hold.
        prior: Reading,
        /// How it comes back; `None` when it was so before.
        undo: Option<Undo>,
    },
}

/// A hold whose lease is over.
#[derive(Clone, Debug, PartialEq)]
pub struct DueHolder {
    /// On what.
    pub target: Target,
    /// Which facet.
    pub facet: String,
    /// By which effect.
    pub effect: EffectId,
    /// Of which run.
    pub run: RunId,
    /// When the lease ended.
    pub until: Time,
    /// How often ending it failed before.
    pub tries: u32,
}

/// What one run has taken in one partition ([`Targets::taken_by`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Its locks, by target.
    pub locks: Vec<Lock>,
    /// Its shares of holds, by target, facet, then effect.
    pub shares: Vec<Share>,
}

/// One effect's share of a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// On what ([`Target::key`]).
    pub target: String,
    /// Which facet.
    pub facet: String,
    /// By which effect.
    pub effect: EffectId,
}

/// Locks and holds. The partition is the target's ([`Target::partition`]).
///
/// Nothing here is fenced by the epoch of a claim, because targets live in other partitions than runs. Instead every
/// operation that changes something says until when it may be done: `before` is the end of the claim under which it is
/// asked for. The store compares it with its own present at the moment it does the operation, and answers
/// [`Error::Late`](super::Error::Late) from then on, with nothing changed. So what is on its way when a claim ends does
/// not arrive in the work of the next worker.
#[async_trait]
pub trait Targets {
    /// Takes the lock on a target, or says who has it.
    async fn lock(
        &self,
        partition: Partition,
        before: Time,
        target: &str,
        effect: EffectId,
        run: RunId,
        now: Time,
    ) -> Result<Locked>;

    /// Gives the lock back. Nothing happens when it is another's or free.
    async fn unlock(&self, partition: Partition, before: Time, target: &str, effect: EffectId) -> Result<()>;

    /// Notes that a target was changed by us at a moment. An earlier moment than the one known is a no-op.
    async fn note_change(&self, partition: Partition, before: Time, target: &str, at: Time) -> Result<()>;

    /// When a target was last changed by us: a reading soon after may still show the state before.
    async fn changed_at(&self, partition: Partition, target: &str) -> Result<Option<Time>>;

    /// Every lock that is held, by target.
    async fn locks(&self, partition: Partition) -> Result<Vec<Lock>>;

    /// Adds an effect's hold. The same effect again answers the same and changes nothing but `until`. While
    /// the last holder is ending, a new one still gets the state before the first hold.
    async fn hold_take(&self, partition: Partition, before: Time, hold: NewHold) -> Result<Took>;

    /// Ends an effect's hold. When it is the last it is only marked as ending, because the target is still
    /// contained until it is restored. Holders that are ending do not count as others: their restore may
    /// have been sent before this hold came into force, so whoever ends after them restores too.
    async fn hold_end(
        &self,
        partition: Partition,
        before: Time,
        target: &str,
        facet: &str,
        effect: EffectId,
    ) -> Result<HoldEnd>;

    /// Forgets an effect's hold, because it was restored. Nothing happens when there is none.
    async fn hold_drop(
        &self,
        partition: Partition,
        before: Time,
        target: &str,
        facet: &str,
        effect: EffectId,
    ) -> Result<()>;

    /// Forgets an effect's hold, because the effect never came about. Where nobody holds the facet any more then (whoever
    /// is ending does not count) and somebody let go of it before without restoring, trusting that this share would, the
    /// last to do so holds again, with a lease that ends `at`: how it is restored stands in the journal of its run. An
    /// effect that let go before and never came about is forgotten as one that left. Otherwise nothing happens when the
    /// effect holds nothing.
    async fn hold_give_up(
        &self,
        partition: Partition,
        before: Time,
        target: &str,
        facet: &str,
        effect: EffectId,
        at: Time,
    ) -> Result<()>;

    /// Sets when a hold ends, and how often ending it has failed. `Missing` when the effect holds nothing.
    #[allow(
        clippy::too_many_arguments,
        reason = "one share of one hold, until when the write counts, and the two things that are set"
    )]
    async fn hold_until(
        &self,
        partition: Partition,
        before: Time,
        target: &str,
        facet: &str,
        effect: EffectId,
        until: Option<Time>,
        tries: u32,
    ) -> Result<()>;

    /// Notes what reading back last showed of a hold. Nothing happens when the effect holds nothing any more.
    async fn hold_seen(
        &self,
        partition: Partition,
        before: Time,
        target: &str,
        facet: &str,
        effect: EffectId,
        seen: Verification,
    ) -> Result<()>;

    /// The hold on one facet of a target, where there is one. Its cost does not grow with what else is held.
    async fn hold(&self, partition: Partition, target: &str, facet: &str) -> Result<Option<Hold>>;

    /// What a run has taken here. Its cost does not grow with what others have.
    async fn taken_by(&self, partition: Partition, run: RunId) -> Result<Taken>;

    /// Every hold, by target key and facet.
    async fn holds(&self, partition: Partition) -> Result<Vec<Hold>>;

    /// Holds whose lease is over at `now` (`until` not after it), the longest over first, then by target, facet and
    /// effect; those that are ending too, until they are dropped or given another `until`.
    async fn due_holders(&self, partition: Partition, now: Time, limit: usize) -> Result<Vec<DueHolder>>;

    /// The earliest end of a lease, for the scheduler to sleep until.
    async fn next_lease_end(&self, partition: Partition) -> Result<Option<Time>>;
}

/// Refuses what may be done only before a moment, from then on.
pub(super) fn in_time(before: Time, now: Time) -> Result<()> {
    if now < before {
        return Ok(());
    }
    Err(super::Error::Late)
}
