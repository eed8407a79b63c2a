//! What people are to be told.

use async_trait::async_trait;

use super::RedisStore;
use super::answer::Answer;
use super::args::Args;
use super::call::{PAGE, rows};
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::Partition;
use crate::store::error::Result;
use crate::store::home;
use crate::store::notices::{Notice, NoticeQuery, Notices};

pub(super) fn row(answer: &mut Answer) -> Result<Notice> {
    Ok(Notice {
        key: answer.text()?,
        group: answer.parse()?,
        at: answer.time()?,
        state: answer.word()?,
        leads: answer.flag()?,
        due_at: answer.maybe_time()?,
        content: answer.json()?,
    })
}

impl Args {
    /// What a notice is made of, with its key.
    pub(super) fn notice(self, notice: &Notice) -> Result<Args> {
        self.put(&notice.key)
            .put(notice.group)
            .time(notice.at)
            .word(&notice.state)?
            .flag(notice.leads)
            .maybe_time(notice.due_at)
            .json(&notice.content)
    }
}

fn put_all(args: Args, notices: &[Notice]) -> Result<Args> {
    notices.iter().try_fold(args.put(notices.len()), Args::notice)
}

#[async_trait]
impl Notices for RedisStore {
    async fn put_notices(&self, partition: Partition, notices: Vec<Notice>) -> Result<u64> {
        home::of_notices(partition, &notices)?;
        let args = put_all(Args::new(), &notices)?;
        self.write(partition, "put_notices", args).await?.parse()
    }

    async fn due_notices(&self, partition: Partition, now: Time, limit: usize) -> Result<Vec<Notice>> {
        let args = Args::new().time(now).put(rows(limit));
        self.read(partition, "due_notices", args).await?.lists(row)
    }

    async fn leading_notice(&self, partition: Partition, group: Digest) -> Result<Option<Notice>> {
        home::of_key(partition, &group)?;
        let args = Args::new().put(group);
        self.read(partition, "leading_notice", args).await?.one(row)
    }

    async fn save_notices(
        &self,
        partition: Partition,
        follower: &str,
        holder: &str,
        notices: Vec<Notice>,
    ) -> Result<bool> {
        home::of_notices(partition, &notices)?;
        let args = put_all(Args::new().put(follower).put(holder), &notices)?;
        self.write(partition, "save_notices", args).await?.flag()
    }

    async fn notice(&self, partition: Partition, key: &str) -> Result<Option<Notice>> {
        self.read(partition, "notice", Args::new().put(key))
            .await?
            .one(row)
    }

    async fn notices(&self, partition: Partition, query: &NoticeQuery) -> Result<Vec<Notice>> {
        let args = Args::new()
            .maybe_word(query.state.as_ref())?
            .maybe_time(query.before)
            .put(rows(query.limit));
        self.read(partition, "notices", args).await?.lists(row)
    }

    async fn forget_notices(&self, partition: Partition, before: Time, limit: usize) -> Result<u64> {
        let mut forgotten: usize = 0;
        loop {
            let wanted = PAGE.min(limit.saturating_sub(forgotten));
            if wanted == 0 {
                return Ok(forgotten as u64);
            }
            let args = Args::new().time(before).put(wanted);
            let gone: usize = self.write(partition, "forget_notices", args).await?.parse()?;
            forgotten += gone;
            if gone < wanted {
                return Ok(forgotten as u64);
            }
        }
    }
}
