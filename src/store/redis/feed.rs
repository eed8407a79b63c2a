//! The feed, its followers and the totals.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::future::try_join_all;

use super::RedisStore;
use super::answer::{Answer, read_word, unreadable};
use super::args::Args;
use super::call::PAGE;
use super::entry;
use crate::clock::Time;
use crate::id::{AlertId, Partition, RunId};
use crate::journal::{ChainId, End};
use crate::store::error::Result;
use crate::store::feed::{Counts, Feed, FeedItem, Health};

/// A chain is written as the id of what it is about; the prefix says which kind.
pub(super) fn chain(text: &str) -> Result<ChainId> {
    if let Ok(id) = RunId::parse(text) {
        return Ok(ChainId::Run(id));
    }
    AlertId::parse(text).map(ChainId::Alert).map_err(unreadable)
}

fn item(answer: &mut Answer) -> Result<FeedItem> {
    let position = answer.parse()?;
    let (chain, seq) = (chain(&answer.text()?)?, answer.parse()?);
    Ok(FeedItem {
        position,
        entry: entry::read(chain, seq, &answer.text()?)?,
    })
}

/// Words and how many of each; those of which there are none are left out.
fn by_word(answer: Answer) -> Result<BTreeMap<String, u64>> {
    let pairs = answer.each(|answer| Ok((answer.text()?, answer.parse::<u64>()?)))?;
    Ok(pairs.into_iter().filter(|(_, n)| *n > 0).collect())
}

#[async_trait]
impl Feed for RedisStore {
    /// In pages. Entries come to the end only, so pages read one after the other are one reading.
    async fn feed(&self, partition: Partition, after: u64, limit: usize) -> Result<Vec<FeedItem>> {
        let mut found: Vec<FeedItem> = Vec::new();
        loop {
            let after = found.last().map_or(after, |item| item.position);
            let wanted = PAGE.min(limit.saturating_sub(found.len()));
            if wanted == 0 {
                return Ok(found);
            }
            let args = Args::new().put(after).put(wanted);
            let page = self.read(partition, "feed", args).await?.each(item)?;
            let all = page.len() < wanted;
            found.extend(page);
            if all {
                return Ok(found);
            }
        }
    }

    async fn cursor(&self, partition: Partition, follower: &str) -> Result<u64> {
        let mut answer = self.read(partition, "cursor", Args::new().put(follower)).await?;
        match answer.maybe_text()? {
            Some(position) => position.parse().map_err(unreadable),
            None => Ok(0),
        }
    }

    async fn claim_follower(
        &self,
        partition: Partition,
        follower: &str,
        holder: &str,
        now: Time,
        until: Time,
    ) -> Result<bool> {
        let args = Args::new().put(follower).put(holder).time(now).time(until);
        self.write(partition, "claim_follower", args).await?.flag()
    }

    async fn release_follower(&self, partition: Partition, follower: &str, holder: &str) -> Result<()> {
        let args = Args::new().put(follower).put(holder);
        self.write(partition, "release_follower", args).await.map(drop)
    }

    async fn set_cursor(&self, partition: Partition, follower: &str, position: u64) -> Result<()> {
        let args = Args::new().put(follower).put(position);
        self.write(partition, "set_cursor", args).await.map(drop)
    }

    async fn counts(&self, partition: Partition, now: Time) -> Result<Counts> {
        let mut answer = self.read(partition, "counts", Args::new().time(now)).await?;
        let alerts = by_word(answer.list()?)?;
        let repeats = answer.parse()?;
        let runs = by_word(answer.list()?)?;
        let mut ends = BTreeMap::new();
        for (word, n) in by_word(answer.list()?)? {
            ends.insert(read_word::<End>(&word)?.word().to_owned(), n);
        }
        Ok(Counts {
            alerts,
            repeats,
            runs,
            ends,
            stuck: answer.parse()?,
            holds: answer.parse()?,
            overdue: answer.parse()?,
            notices: by_word(answer.list()?)?,
            notice_due: answer.maybe_time()?,
        })
    }

    async fn health(&self) -> Result<Health> {
        self.look_at_room().await
    }

    /// A real write in every partition: nobody can say beforehand which one the next alert is for. One that is parked
    /// waits for a person, and does not keep the others from working.
    async fn ready(&self) -> Result<()> {
        let going = Partition::all().filter(|partition| !self.is_parked(*partition));
        let probes = going.map(|partition| self.write(partition, "probe", Args::new()));
        try_join_all(probes).await.map(drop)
    }
}
