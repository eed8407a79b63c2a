//! A place in a budget is taken for a window, once by each member.

use cordon::clock::Time;
use cordon::id::Partition;
use cordon::store::{Reserved, Result};

use super::super::things::{self, WINDOW_MS};
use super::{Reference, lives};

/// Places: scope, member, since when.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    taken: Vec<(usize, usize, Time)>,
    /// Moments that were seen, by scope.
    seen: Vec<(usize, Time)>,
}

impl Places {
    pub(super) fn at(&self, scope: usize) -> i64 {
        let seen = self.seen.iter().filter(|(of, _)| *of == scope);
        seen.map(|(_, at)| at.0).max().unwrap_or(0)
    }

    /// When places of a scope are free again, those that are taken at `now`.
    fn ends(&self, scope: usize, now: Time) -> Vec<Time> {
        let of_scope = self.taken.iter().filter(|(of, _, _)| *of == scope);
        let ends = of_scope.map(|(_, _, since)| since.plus_ms(WINDOW_MS));
        let mut ends: Vec<Time> = ends.filter(|end| *end > now).collect();
        ends.sort();
        ends
    }
}

impl Reference {
    pub(super) fn reserve(
        &mut self,
        partition: Partition,
        scope: usize,
        member: usize,
        now: Time,
        limit: u32,
    ) -> Result<Reserved> {
        lives(partition, Partition::of_text(&things::scope(scope)))?;
        let places = &mut self.budgets;
        places.seen.push((scope, now));
        places
            .taken
            .retain(|(of, _, since)| *of != scope || since.plus_ms(WINDOW_MS) > now);
        if places
            .taken
            .iter()
            .any(|(of, who, _)| *of == scope && *who == member)
        {
            return Ok(Reserved::Granted);
        }
        let ends = places.ends(scope, now);
        let used = ends.len() as u32;
        if used < limit {
            places.taken.push((scope, member, now));
            return Ok(Reserved::Granted);
        }
        // A place is free when fewer than the limit are taken; with no limit at all, nobody can say when.
        let free_at = ends.get((used - limit) as usize).copied().unwrap_or(now);
        Ok(Reserved::Spent { used, free_at })
    }

    pub(super) fn give_back(&mut self, partition: Partition, scope: usize, member: usize) -> Result<()> {
        lives(partition, Partition::of_text(&things::scope(scope)))?;
        self.budgets
            .taken
            .retain(|(of, who, _)| *of != scope || *who != member);
        Ok(())
    }

    pub(super) fn used(&self, partition: Partition, scope: usize, now: Time) -> Result<u32> {
        lives(partition, Partition::of_text(&things::scope(scope)))?;
        Ok(self.budgets.ends(scope, now).len() as u32)
    }
}
