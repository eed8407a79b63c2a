//! Locks and holds, in memory.

use async_trait::async_trait;

use super::MemoryStore;
use super::part::{Held, Part};
use crate::action::{Hold, Holder, Leaver, Verification};
use crate::clock::Time;
use crate::id::{EffectId, Partition, RunId};
use crate::store::error::{Error, Result};
use crate::store::home;
use crate::store::targets::{DueHolder, HoldEnd, Lock, Locked, NewHold, Share, Taken, Targets, Took};

impl Held {
    fn holder_mut(&mut self, effect: EffectId) -> Option<&mut Holder> {
        let mut holders = self.holders.iter_mut().map(|(holder, _)| holder);
        holders.find(|holder| holder.effect == effect)
    }

    fn hold(&self, facet: &str) -> Hold {
        let mut holders: Vec<Holder> = self.holders.iter().map(|(holder, _)| holder.clone()).collect();
        holders.sort_by_key(|holder| holder.since);
        Hold {
            target: self.target.clone(),
            facet: facet.to_owned(),
            prior: self.prior.clone(),
            undo: self.undo.clone(),
            holders,
            left: self.left.clone(),
        }
    }

    fn took(&self, first: bool) -> Took {
        Took {
            first,
            prior: self.prior.clone(),
            undo: self.undo.clone(),
        }
    }
}

impl Part {
    fn held_mut(&mut self, target: &str, facet: &str) -> Option<&mut Held> {
        self.holds.get_mut(&(target.to_owned(), facet.to_owned()))
    }

    fn holders(&self) -> impl Iterator<Item = (&(String, String), &Held, &Holder)> {
        let holds = self.holds.iter();
        holds.flat_map(|(key, held)| held.holders.iter().map(move |(holder, _)| (key, held, holder)))
    }
}

#[async_trait]
impl Targets for MemoryStore {
    async fn lock(
        &self,
        partition: Partition,
        before: Time,
        target: &str,
        effect: EffectId,
        run: RunId,
        now: Time,
    ) -> Result<Locked> {
        home::of_target(partition, target)?;
        self.in_time(before)?;
        let mut part = self.part(partition)?;
        let (owner, of_run, _) = *part.locks.entry(target.to_owned()).or_insert((effect, run, now));
        Ok(if owner == effect {
            Locked::Granted
        } else {
            Locked::Busy {
                effect: owner,
                run: of_run,
            }
        })
    }

    async fn unlock(&self, partition: Partition, before: Time, target: &str, effect: EffectId) -> Result<()> {
        home::of_target(partition, target)?;
        self.in_time(before)?;
        let mut part = self.part(partition)?;
        if part
            .locks
            .get(target)
            .is_some_and(|(owner, _, _)| *owner == effect)
        {
            part.locks.remove(target);
        }
        Ok(())
    }

    async fn note_change(&self, partition: Partition, before: Time, target: &str, at: Time) -> Result<()> {
        home::of_target(partition, target)?;
        self.in_time(before)?;
        let mut part = self.part(partition)?;
        let known = part.changes.entry(target.to_owned()).or_insert(at);
        *known = (*known).max(at);
        Ok(())
    }

    async fn changed_at(&self, partition: Partition, target: &str) -> Result<Option<Time>> {
        home::of_target(partition, target)?;
        Ok(self.part(partition)?.changes.get(target).copied())
    }

    async fn locks(&self, partition: Partition) -> Result<Vec<Lock>> {
        let part = self.part(partition)?;
        let mut locks: Vec<Lock> = part
            .locks
            .iter()
            .map(|(target, (effect, run, _))| Lock {
                target: target.clone(),
                effect: *effect,
                run: *run,
            })
            .collect();
        locks.sort_by(|one, other| one.target.cmp(&other.target));
        Ok(locks)
    }

    async fn hold_take(&self, partition: Partition, before: Time, hold: NewHold) -> Result<Took> {
        let target = hold.target.key();
        home::of_target(partition, &target)?;
        self.in_time(before)?;
        let mut part = self.part(partition)?;
        let held = part.holds.entry((target, hold.facet)).or_insert_with(|| Held {
            target: hold.target,
            prior: hold.prior,
            undo: hold.undo,
            holders: Vec::new(),
            left: Vec::new(),
        });
        if let Some((holder, first)) = held
            .holders
            .iter_mut()
            .find(|(holder, _)| holder.effect == hold.effect)
        {
            holder.until = hold.until;
            let first = *first;
            return Ok(held.took(first));
        }
        held.left.retain(|one| one.effect != hold.effect);
        let first = held.holders.is_empty();
        let holder = Holder {
            effect: hold.effect,
            run: hold.run,
            since: hold.at,
            until: hold.until,
            tries: 0,
            ending: false,
            seen: None,
        };
        held.holders.push((holder, first));
        Ok(held.took(first))
    }

    async fn hold_end(
        &self,
        partition: Partition,
        before: Time,
        target: &str,
        facet: &str,
        effect: EffectId,
    ) -> Result<HoldEnd> {
        home::of_target(partition, target)?;
        self.in_time(before)?;
        let mut part = self.part(partition)?;
        let Some(held) = part.held_mut(target, facet) else {
            return Ok(HoldEnd::NotHeld);
        };
        let Some(ours) = held.holder_mut(effect).cloned() else {
            return Ok(HoldEnd::NotHeld);
        };
        let others = |(holder, _): &&(Holder, bool)| holder.effect != effect && !holder.ending;
        let remaining = held.holders.iter().filter(others).count();
        if remaining > 0 {
            held.holders.retain(|(holder, _)| holder.effect != effect);
            held.left.push(Leaver {
                effect,
                run: ours.run,
                since: ours.since,
            });
            return Ok(HoldEnd::Others { remaining });
        }
        if let Some(holder) = held.holder_mut(effect) {
            holder.ending = true;
        }
        Ok(HoldEnd::Last {
            prior: held.prior.clone(),
            undo: held.undo.clone(),
        })
    }

    async fn hold_drop(
        &self,
        partition: Partition,
        before: Time,
        target: &str,
        facet: &str,
        effect: EffectId,
    ) -> Result<()> {
        home::of_target(partition, target)?;
        self.in_time(before)?;
        let mut part = self.part(partition)?;
        if let Some(held) = part.held_mut(target, facet) {
            held.holders.retain(|(holder, _)| holder.effect != effect);
            if held.holders.is_empty() {
                part.holds.remove(&(target.to_owned(), facet.to_owned()));
            }
        }
        Ok(())
    }

    async fn hold_give_up(
        &self,
        partition: Partition,
        before: Time,
        target: &str,
        facet: &str,
        effect: EffectId,
        at: Time,
    ) -> Result<()> {
        home::of_target(partition, target)?;
        self.in_time(before)?;
        let mut part = self.part(partition)?;
        let Some(held) = part.held_mut(target, facet) else {
            return Ok(());
        };
        held.left.retain(|one| one.effect != effect);
        if held.holder_mut(effect).is_none() {
            return Ok(());
        }
        held.holders.retain(|(holder, _)| holder.effect != effect);
        if held.holders.iter().all(|(holder, _)| holder.ending)
            && let Some(leaver) = held.left.pop()
        {
            let holder = Holder {
                effect: leaver.effect,
                run: leaver.run,
                since: leaver.since,
                until: Some(at),
                tries: 0,
                ending: false,
                seen: None,
            };
            held.holders.push((holder, false));
        }
        if held.holders.is_empty() {
            part.holds.remove(&(target.to_owned(), facet.to_owned()));
        }
        Ok(())
    }

    async fn hold_until(
        &self,
        partition: Partition,
        before: Time,
        target: &str,
        facet: &str,
        effect: EffectId,
        until: Option<Time>,
        tries: u32,
    ) -> Result<()> {
        home::of_target(partition, target)?;
        self.in_time(before)?;
        let mut part = self.part(partition)?;
        let held = part.held_mut(target, facet);
        let holder = held.and_then(|held| held.holder_mut(effect));
        let holder = holder.ok_or_else(|| Error::Missing {
            what: format!("hold of `{effect}` on `{target}`"),
        })?;
        holder.until = until;
        holder.tries = tries;
        Ok(())
    }

    async fn hold_seen(
        &self,
        partition: Partition,
        before: Time,
        target: &str,
        facet: &str,
        effect: EffectId,
        seen: Verification,
    ) -> Result<()> {
        home::of_target(partition, target)?;
        self.in_time(before)?;
        let mut part = self.part(partition)?;
        let held = part.held_mut(target, facet);
        if let Some(holder) = held.and_then(|held| held.holder_mut(effect)) {
            holder.seen = Some(seen);
        }
        Ok(())
    }

    async fn hold(&self, partition: Partition, target: &str, facet: &str) -> Result<Option<Hold>> {
        home::of_target(partition, target)?;
        let mut part = self.part(partition)?;
        Ok(part.held_mut(target, facet).map(|held| held.hold(facet)))
    }

    async fn taken_by(&self, partition: Partition, run: RunId) -> Result<Taken> {
        let part = self.part(partition)?;
        let mut locks: Vec<Lock> = part
            .locks
            .iter()
            .filter(|(_, (_, of_run, _))| *of_run == run)
            .map(|(target, (effect, run, _))| Lock {
                target: target.clone(),
                effect: *effect,
                run: *run,
            })
            .collect();
        locks.sort_by(|one, other| one.target.cmp(&other.target));
        let mut shares: Vec<Share> = part
            .holders()
            .filter(|(_, _, holder)| holder.run == run)
            .map(|((target, facet), _, holder)| Share {
                target: target.clone(),
                facet: facet.clone(),
                effect: holder.effect,
            })
            .collect();
        shares.sort_by_cached_key(|share| {
            let effect = share.effect.to_string();
            (share.target.clone(), share.facet.clone(), effect)
        });
        Ok(Taken { locks, shares })
    }

    async fn holds(&self, partition: Partition) -> Result<Vec<Hold>> {
        let part = self.part(partition)?;
        let holds = part.holds.iter().map(|((_, facet), held)| held.hold(facet));
        Ok(holds.collect())
    }

    async fn due_holders(&self, partition: Partition, now: Time, limit: usize) -> Result<Vec<DueHolder>> {
        let part = self.part(partition)?;
        let mut due: Vec<_> = part
            .holders()
            .filter_map(|(key, held, holder)| {
                Some((holder.until.filter(|until| *until <= now)?, key, held, holder))
            })
            .collect();
        due.sort_by_cached_key(|(until, key, _, holder)| (*until, (*key).clone(), holder.effect.to_string()));
        let due = due
            .into_iter()
            .take(limit)
            .map(|(until, (_, facet), held, holder)| DueHolder {
                target: held.target.clone(),
                facet: facet.clone(),
                effect: holder.effect,
                run: holder.run,
                until,
                tries: holder.tries,
            });
        Ok(due.collect())
    }

    async fn next_lease_end(&self, partition: Partition) -> Result<Option<Time>> {
        let part = self.part(partition)?;
        Ok(part.holders().filter_map(|(_, _, holder)| holder.until).min())
    }
}
