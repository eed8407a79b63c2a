//! The feed has every entry of its partition in the order it came; totals follow from what is kept.

use cordon::clock::Time;
use cordon::id::Partition;
use cordon::store::{Counts, FeedItem, Result, RunStatus};

use super::super::things::name;
use super::Reference;

impl Reference {
    pub(super) fn feed(&self, partition: Partition, after: u64, limit: usize) -> Result<Vec<FeedItem>> {
        let here = self
            .entries
            .iter()
            .filter(|entry| entry.chain.partition() == partition);
        let items = (1..).zip(here).map(|(position, entry)| FeedItem {
            position,
            entry: entry.clone(),
        });
        Ok(items.filter(|item| item.position > after).take(limit).collect())
    }

    pub(super) fn cursor(&self, partition: Partition, follower: usize) -> Result<u64> {
        Ok(self
            .cursors
            .get(&(partition, name(follower)))
            .copied()
            .unwrap_or(0))
    }

    pub(super) fn set_cursor(&mut self, partition: Partition, follower: usize, position: u64) -> Result<()> {
        let known = self.cursor(partition, follower)?;
        self.cursors
            .insert((partition, name(follower)), known.max(position));
        Ok(())
    }

    pub(super) fn claim_follower(
        &mut self,
        partition: Partition,
        follower: usize,
        holder: usize,
        now: Time,
        until: Time,
    ) -> Result<bool> {
        let follower = (partition, name(follower));
        let others = self
            .followers
            .get(&follower)
            .filter(|(theirs, _)| *theirs != name(holder));
        if others.is_some_and(|(_, until)| *until > now) {
            return Ok(false);
        }
        self.followers.insert(follower, (name(holder), until));
        Ok(true)
    }

    pub(super) fn release_follower(
        &mut self,
        partition: Partition,
        follower: usize,
        holder: usize,
    ) -> Result<()> {
        if self.follows(partition, follower, holder) {
            self.followers.remove(&(partition, name(follower)));
        }
        Ok(())
    }

    pub(super) fn follows(&self, partition: Partition, follower: usize, holder: usize) -> bool {
        let claim = self.followers.get(&(partition, name(follower)));
        claim.is_some_and(|(ours, _)| *ours == name(holder))
    }

    pub(super) fn counts(&self, partition: Partition, now: Time) -> Result<Counts> {
        let mut counts = Counts::default();
        for row in self.alert_rows(partition) {
            *counts
                .alerts
                .entry(row.disposition.word().to_owned())
                .or_default() += 1;
            counts.repeats += row.times - 1;
        }
        for run in self.runs.iter().filter(|run| run.row.id.partition() == partition) {
            *counts.runs.entry(run.row.status.word().to_owned()).or_default() += 1;
            if let (RunStatus::Settled, Some(end)) = (run.row.status, run.row.end) {
                *counts.ends.entry(end.word().to_owned()).or_default() += 1;
            }
            counts.stuck += u64::from(run.is_open() && run.due().is_none());
        }
        for held in self.held_here(partition) {
            counts.holds += 1;
            let untils = held.holders.iter().filter_map(|(holder, _)| holder.until);
            counts.overdue += untils.filter(|until| *until <= now).count() as u64;
        }
        for (_, notice) in self.notices.iter().filter(|(home, _)| *home == partition) {
            *counts.notices.entry(notice.state.word().to_owned()).or_default() += 1;
            if let Some(due) = notice.due_at.filter(|due| *due <= now) {
                counts.notice_due = Some(counts.notice_due.map_or(due, |known| known.min(due)));
            }
        }
        Ok(counts)
    }
}
