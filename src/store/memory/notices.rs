//! Notices, in memory.

use std::cmp::Reverse;

use async_trait::async_trait;

use super::MemoryStore;
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::Partition;
use crate::store::error::Result;
use crate::store::home;
use crate::store::notices::{Notice, NoticeQuery, Notices};

#[async_trait]
impl Notices for MemoryStore {
    async fn put_notices(&self, partition: Partition, notices: Vec<Notice>) -> Result<u64> {
        home::of_notices(partition, &notices)?;
        let mut part = self.part(partition)?;
        let mut new = 0;
        for notice in notices {
            if !part.notices.contains_key(&notice.key) {
                part.notices.insert(notice.key.clone(), notice);
                new += 1;
            }
        }
        Ok(new)
    }

    async fn due_notices(&self, partition: Partition, now: Time, limit: usize) -> Result<Vec<Notice>> {
        let part = self.part(partition)?;
        let mut due: Vec<&Notice> = part
            .notices
            .values()
            .filter(|notice| notice.due_at.is_some_and(|at| at <= now))
            .collect();
        due.sort_by_key(|notice| (notice.due_at, &notice.key));
        Ok(due.into_iter().take(limit).cloned().collect())
    }

    async fn leading_notice(&self, partition: Partition, group: Digest) -> Result<Option<Notice>> {
        home::of_key(partition, &group)?;
        let part = self.part(partition)?;
        let leading = part
            .notices
            .values()
            .filter(|notice| notice.leads && notice.group == group);
        Ok(leading.max_by_key(|notice| (notice.at, &notice.key)).cloned())
    }

    async fn save_notices(
        &self,
        partition: Partition,
        follower: &str,
        holder: &str,
        notices: Vec<Notice>,
    ) -> Result<bool> {
        home::of_notices(partition, &notices)?;
        let mut part = self.part(partition)?;
        if part
            .followers
            .get(follower)
            .is_none_or(|(ours, _)| ours != holder)
        {
            return Ok(false);
        }
        for notice in notices {
            part.notices.insert(notice.key.clone(), notice);
        }
        Ok(true)
    }

    async fn notice(&self, partition: Partition, key: &str) -> Result<Option<Notice>> {
        Ok(self.part(partition)?.notices.get(key).cloned())
    }

    async fn notices(&self, partition: Partition, query: &NoticeQuery) -> Result<Vec<Notice>> {
        let part = self.part(partition)?;
        let mut found: Vec<&Notice> = part
            .notices
            .values()
            .filter(|notice| query.state.is_none_or(|state| notice.state == state))
            .filter(|notice| query.before.is_none_or(|before| notice.at < before))
            .collect();
        found.sort_by_key(|notice| Reverse((notice.at, &notice.key)));
        Ok(found.into_iter().take(query.limit).cloned().collect())
    }

    async fn forget_notices(&self, partition: Partition, before: Time, limit: usize) -> Result<u64> {
        let mut part = self.part(partition)?;
        let old: Vec<String> = part
            .notices
            .values()
            .filter(|notice| notice.due_at.is_none() && notice.at < before)
            .take(limit)
            .map(|notice| notice.key.clone())
            .collect();
        for key in &old {
            part.notices.remove(key);
        }
        Ok(old.len() as u64)
    }
}
