//! A notice is kept once; only the holder of the follower's claim writes over it.

use std::cmp::Reverse;

use cordon::clock::Time;
use cordon::digest::Digest;
use cordon::id::Partition;
use cordon::store::{Notice, NoticeState, Result};

use super::super::op::Bill;
use super::super::things;
use super::{Reference, lives};

impl Reference {
    fn notices_here(&self, partition: Partition) -> Vec<Notice> {
        let here = self.notices.iter().filter(|(home, _)| *home == partition);
        here.map(|(_, notice)| notice.clone()).collect()
    }

    pub(super) fn put_notices(&mut self, partition: Partition, bills: &[Bill]) -> Result<u64> {
        let notices: Vec<Notice> = bills.iter().map(things::notice).collect();
        for notice in &notices {
            lives(partition, Partition::of(&notice.group))?;
        }
        let mut new = 0;
        for notice in notices {
            if self
                .notices_here(partition)
                .iter()
                .all(|known| known.key != notice.key)
            {
                self.notices.push((partition, notice));
                new += 1;
            }
        }
        Ok(new)
    }

    pub(super) fn save_notices(
        &mut self,
        partition: Partition,
        follower: usize,
        holder: usize,
        bills: &[Bill],
    ) -> Result<bool> {
        let notices: Vec<Notice> = bills.iter().map(things::notice).collect();
        for notice in &notices {
            lives(partition, Partition::of(&notice.group))?;
        }
        if !self.follows(partition, follower, holder) {
            return Ok(false);
        }
        for notice in notices {
            self.notices
                .retain(|(home, known)| *home != partition || known.key != notice.key);
            self.notices.push((partition, notice));
        }
        Ok(true)
    }

    pub(super) fn forget_notices(&mut self, partition: Partition, before: Time) -> Result<u64> {
        let kept = self.notices.len();
        let old = |notice: &Notice| notice.due_at.is_none() && notice.at < before;
        self.notices
            .retain(|(home, notice)| *home != partition || !old(notice));
        Ok((kept - self.notices.len()) as u64)
    }

    pub(super) fn due_notices(&self, partition: Partition, now: Time, limit: usize) -> Result<Vec<Notice>> {
        let mut due = self.notices_here(partition);
        due.retain(|notice| notice.due_at.is_some_and(|due| due <= now));
        due.sort_by_key(|notice| (notice.due_at, notice.key.clone()));
        due.truncate(limit);
        Ok(due)
    }

    pub(super) fn leading_notice(&self, partition: Partition, group: usize) -> Result<Option<Notice>> {
        let group: Digest = things::key(group);
        lives(partition, Partition::of(&group))?;
        let mut leading = self.notices_here(partition);
        leading.retain(|notice| notice.leads && notice.group == group);
        leading.sort_by_key(|notice| (notice.at, notice.key.clone()));
        Ok(leading.pop())
    }

    pub(super) fn notice(&self, partition: Partition, n: usize) -> Result<Option<Notice>> {
        let key = things::notice_key(n);
        Ok(self
            .notices_here(partition)
            .into_iter()
            .find(|notice| notice.key == key))
    }

    pub(super) fn list_notices(
        &self,
        partition: Partition,
        state: Option<NoticeState>,
        before: Option<Time>,
        limit: usize,
    ) -> Result<Vec<Notice>> {
        let mut notices = self.notices_here(partition);
        notices.retain(|notice| state.is_none_or(|state| notice.state == state));
        notices.retain(|notice| before.is_none_or(|before| notice.at < before));
        notices.sort_by_key(|notice| Reverse((notice.at, notice.key.clone())));
        notices.truncate(limit);
        Ok(notices)
    }
}
