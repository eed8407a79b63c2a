//! One effect has a lock; several hold a facet, and only the last one's end restores what was before the first.

use cordon::action::{Hold, Holder, Leaver, Reading, Target, Undo, Verification};
use cordon::clock::Time;
use cordon::id::{EffectId, Partition};
use cordon::store::{DueHolder, HoldEnd, Lock, Locked, Result, Share, Taken, Took};

use super::super::things;
use super::{Reference, lives, missing};

/// A facet that is held.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) target: Target,
    facet: String,
    prior: Reading,
    undo: Option<Undo>,
    /// In the order they came; true for one that nobody was before.
    pub(super) holders: Vec<(Holder, bool)>,
    /// Who let go while others held still, in that order.
    left: Vec<Leaver>,
}

impl Held {
    fn is(&self, target: &Target, facet: &str) -> bool {
        self.target.key() == target.key() && self.facet == facet
    }

    fn hold(&self) -> Hold {
        let mut holders: Vec<Holder> = self.holders.iter().map(|(holder, _)| holder.clone()).collect();
        holders.sort_by_key(|holder| holder.since);
        Hold {
            target: self.target.clone(),
            facet: self.facet.clone(),
            prior: self.prior.clone(),
            undo: self.undo.clone(),
            holders,
            left: self.left.clone(),
        }
    }
}

impl Reference {
    pub(super) fn lock(&mut self, partition: Partition, n: usize, effect: usize) -> Result<Locked> {
        let target = things::target(n);
        lives(partition, target.partition())?;
        let (ours, run) = (things::effect(effect), things::run(effect));
        let (effect, run) = *self.locks.entry(target.key()).or_insert((ours, run));
        Ok(if effect == ours {
            Locked::Granted
        } else {
            Locked::Busy { effect, run }
        })
    }

    pub(super) fn unlock(&mut self, partition: Partition, n: usize, effect: usize) -> Result<()> {
        let target = things::target(n);
        lives(partition, target.partition())?;
        let ours = things::effect(effect);
        self.locks
            .retain(|key, (owner, _)| *key != target.key() || *owner != ours);
        Ok(())
    }

    pub(super) fn note_change(&mut self, partition: Partition, n: usize, at: Time) -> Result<()> {
        let target = things::target(n);
        lives(partition, target.partition())?;
        let known = self.changes.get(&target.key()).copied();
        self.changes
            .insert(target.key(), known.map_or(at, |known| known.max(at)));
        Ok(())
    }

    pub(super) fn changed_at(&self, partition: Partition, n: usize) -> Result<Option<Time>> {
        let target = things::target(n);
        lives(partition, target.partition())?;
        Ok(self.changes.get(&target.key()).copied())
    }

    pub(super) fn list_locks(&self, partition: Partition) -> Result<Vec<Lock>> {
        let here = self
            .locks
            .iter()
            .filter(|(key, _)| Partition::of_text(key) == partition);
        let lock = |(key, (effect, run)): (&String, &(EffectId, cordon::id::RunId))| Lock {
            target: key.clone(),
            effect: *effect,
            run: *run,
        };
        Ok(here.map(lock).collect())
    }

    pub(super) fn hold_take(
        &mut self,
        partition: Partition,
        on: usize,
        facet: usize,
        by: usize,
        at: i64,
        until: Option<i64>,
    ) -> Result<Took> {
        let new = things::new_hold(on, facet, by, at, until);
        lives(partition, new.target.partition())?;
        if !self.holds.iter().any(|held| held.is(&new.target, &new.facet)) {
            self.holds.push(Held {
                target: new.target.clone(),
                facet: new.facet.clone(),
                prior: new.prior.clone(),
                undo: new.undo.clone(),
                holders: Vec::new(),
                left: Vec::new(),
            });
        }
        let held = self
            .holds
            .iter_mut()
            .find(|held| held.is(&new.target, &new.facet))
            .unwrap();
        let nobody = held.holders.is_empty();
        let mut holders = held.holders.iter_mut();
        let first = match holders.find(|(holder, _)| holder.effect == new.effect) {
            Some((holder, first)) => {
                holder.until = new.until;
                *first
            }
            None => {
                let holder = Holder {
                    effect: new.effect,
                    run: new.run,
                    since: new.at,
                    until: new.until,
                    tries: 0,
                    ending: false,
                    seen: None,
                };
                held.left.retain(|one| one.effect != new.effect);
                held.holders.push((holder, nobody));
                nobody
            }
        };
        Ok(Took {
            first,
            prior: held.prior.clone(),
            undo: held.undo.clone(),
        })
    }

    pub(super) fn hold_end(
        &mut self,
        partition: Partition,
        on: usize,
        facet: usize,
        by: usize,
    ) -> Result<HoldEnd> {
        let (target, effect) = (things::target(on), things::effect(by));
        lives(partition, target.partition())?;
        let found = self
            .holds
            .iter_mut()
            .find(|held| held.is(&target, things::FACETS[facet]));
        let Some(held) = found.filter(|held| held.holders.iter().any(|(holder, _)| holder.effect == effect))
        else {
            return Ok(HoldEnd::NotHeld);
        };
        let others = held.holders.iter().filter(|(holder, _)| holder.effect != effect);
        let remaining = others.filter(|(holder, _)| !holder.ending).count();
        if remaining > 0 {
            let ours = held.holders.iter().find(|(holder, _)| holder.effect == effect);
            let (run, since) = ours.map(|(holder, _)| (holder.run, holder.since)).unwrap();
            held.left.push(Leaver { effect, run, since });
            held.holders.retain(|(holder, _)| holder.effect != effect);
            return Ok(HoldEnd::Others { remaining });
        }
        for (holder, _) in &mut held.holders {
            holder.ending |= holder.effect == effect;
        }
        Ok(HoldEnd::Last {
            prior: held.prior.clone(),
            undo: held.undo.clone(),
        })
    }

    pub(super) fn hold_drop(
        &mut self,
        partition: Partition,
        on: usize,
        facet: usize,
        by: usize,
    ) -> Result<()> {
        let (target, effect) = (things::target(on), things::effect(by));
        lives(partition, target.partition())?;
        for held in self
            .holds
            .iter_mut()
            .filter(|held| held.is(&target, things::FACETS[facet]))
        {
            held.holders.retain(|(holder, _)| holder.effect != effect);
        }
        self.holds.retain(|held| !held.holders.is_empty());
        Ok(())
    }

    pub(super) fn hold_give_up(
        &mut self,
        partition: Partition,
        on: usize,
        facet: usize,
        by: usize,
        at: Time,
    ) -> Result<()> {
        let (target, effect) = (things::target(on), things::effect(by));
        lives(partition, target.partition())?;
        for held in &mut self.holds {
            if !held.is(&target, things::FACETS[facet]) {
                continue;
            }
            held.left.retain(|one| one.effect != effect);
            let before = held.holders.len();
            held.holders.retain(|(holder, _)| holder.effect != effect);
            let gave_up = held.holders.len() < before;
            if gave_up && !held.holders.iter().any(|(holder, _)| !holder.ending) {
                let again = held.left.pop().map(|leaver| Holder {
                    effect: leaver.effect,
                    run: leaver.run,
                    since: leaver.since,
                    until: Some(at),
                    tries: 0,
                    ending: false,
                    seen: None,
                });
                held.holders.extend(again.map(|holder| (holder, false)));
            }
        }
        self.holds.retain(|held| !held.holders.is_empty());
        Ok(())
    }

    fn holder_mut(&mut self, on: usize, facet: usize, by: usize) -> Option<&mut Holder> {
        let (target, effect) = (things::target(on), things::effect(by));
        let held = self
            .holds
            .iter_mut()
            .find(|held| held.is(&target, things::FACETS[facet]))?;
        let mut holders = held.holders.iter_mut().map(|(holder, _)| holder);
        holders.find(|holder| holder.effect == effect)
    }

    pub(super) fn hold_until(
        &mut self,
        partition: Partition,
        on: usize,
        facet: usize,
        by: usize,
        until: Option<i64>,
        tries: u32,
    ) -> Result<()> {
        lives(partition, things::target(on).partition())?;
        let holder = self.holder_mut(on, facet, by).ok_or_else(missing)?;
        holder.until = until.map(Time);
        holder.tries = tries;
        Ok(())
    }

    pub(super) fn hold_seen(
        &mut self,
        partition: Partition,
        on: usize,
        facet: usize,
        by: usize,
        seen: Verification,
    ) -> Result<()> {
        lives(partition, things::target(on).partition())?;
        if let Some(holder) = self.holder_mut(on, facet, by) {
            holder.seen = Some(seen);
        }
        Ok(())
    }

    pub(super) fn held_here(&self, partition: Partition) -> Vec<&Held> {
        let mut here: Vec<&Held> = self
            .holds
            .iter()
            .filter(|held| held.target.partition() == partition)
            .collect();
        here.sort_by_key(|held| (held.target.key(), held.facet.clone()));
        here
    }

    pub(super) fn list_holds(&self, partition: Partition) -> Result<Vec<Hold>> {
        Ok(self.held_here(partition).into_iter().map(Held::hold).collect())
    }

    pub(super) fn hold(&self, partition: Partition, on: usize, facet: usize) -> Result<Option<Hold>> {
        let target = things::target(on);
        lives(partition, target.partition())?;
        let here = self.held_here(partition);
        let held = here
            .into_iter()
            .find(|held| held.is(&target, things::FACETS[facet]));
        Ok(held.map(Held::hold))
    }

    pub(super) fn taken_by(&self, partition: Partition, run: usize) -> Result<Taken> {
        let run = things::run(run);
        let mut locks = self.list_locks(partition)?;
        locks.retain(|lock| lock.run == run);
        let mut shares = Vec::new();
        for held in self.held_here(partition) {
            for (holder, _) in held.holders.iter().filter(|(holder, _)| holder.run == run) {
                shares.push(Share {
                    target: held.target.key(),
                    facet: held.facet.clone(),
                    effect: holder.effect,
                });
            }
        }
        shares.sort_by_key(|share| {
            (
                share.target.clone(),
                share.facet.clone(),
                share.effect.to_string(),
            )
        });
        Ok(Taken { locks, shares })
    }

    pub(super) fn due_holders(
        &self,
        partition: Partition,
        now: Time,
        limit: usize,
    ) -> Result<Vec<DueHolder>> {
        let mut due = Vec::new();
        for held in self.held_here(partition) {
            for (holder, _) in &held.holders {
                if let Some(until) = holder.until.filter(|until| *until <= now) {
                    due.push(DueHolder {
                        target: held.target.clone(),
                        facet: held.facet.clone(),
                        effect: holder.effect,
                        run: holder.run,
                        until,
                        tries: holder.tries,
                    });
                }
            }
        }
        due.sort_by_key(|due| {
            (
                due.until,
                due.target.key(),
                due.facet.clone(),
                due.effect.to_string(),
            )
        });
        due.truncate(limit);
        Ok(due)
    }

    pub(super) fn next_lease_end(&self, partition: Partition) -> Result<Option<Time>> {
        let holders = self
            .held_here(partition)
            .into_iter()
            .flat_map(|held| &held.holders);
        Ok(holders.filter_map(|(holder, _)| holder.until).min())
    }
}
