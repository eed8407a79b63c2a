//! Forgetting.

use async_trait::async_trait;
use std::fmt::Display;
use std::str::FromStr;

use super::RedisStore;
use super::answer::{Answer, unreadable};
use super::args::Args;
use super::call::rows;
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::{AlertId, Partition, RunId};
use crate::journal::ChainId;
use crate::store::error::Result;
use crate::store::home;
use crate::store::retention::{Bygone, Forgot, Retention, Swept};

/// A place among things that are ordered by moment, then id, and how many from there on.
fn from(before: Time, after: Option<(Time, impl Display)>, limit: usize) -> Args {
    let args = Args::new().time(before);
    let args = match after {
        Some((at, id)) => args.time(at).put(id),
        None => args.put("").put(""),
    };
    args.put(rows(limit))
}

fn old<T: FromStr<Err: Display>>(answer: Answer) -> Result<Vec<(Time, T)>> {
    answer.each(|answer| {
        let id = answer.parse()?;
        Ok((answer.time()?, id))
    })
}

impl RedisStore {
    async fn forget(
        &self,
        function: &'static str,
        chain: ChainId,
        at: Time,
        followers: &[&str],
    ) -> Result<Forgot> {
        let args = Args::new().put(chain).time(at).texts(followers);
        let mut answer = self.write(chain.partition(), function, args).await?;
        match answer.text()?.as_str() {
            "NOW" => Ok(Forgot::Now),
            "ALREADY" => Ok(Forgot::Already),
            "OPEN" => Ok(Forgot::Open),
            "UNREAD" => Ok(Forgot::Unread),
            other => Err(unreadable(other)),
        }
    }
}

#[async_trait]
impl Retention for RedisStore {
    async fn old_runs(
        &self,
        partition: Partition,
        before: Time,
        after: Option<(Time, RunId)>,
        limit: usize,
    ) -> Result<Vec<(Time, RunId)>> {
        old(self
            .read(partition, "old_runs", from(before, after, limit))
            .await?)
    }

    async fn old_alerts(
        &self,
        partition: Partition,
        before: Time,
        after: Option<(Time, AlertId)>,
        limit: usize,
    ) -> Result<Vec<(Time, AlertId)>> {
        old(self
            .read(partition, "old_alerts", from(before, after, limit))
            .await?)
    }

    async fn forget_run(
        &self,
        partition: Partition,
        run: RunId,
        at: Time,
        followers: &[&str],
    ) -> Result<Forgot> {
        home::of_chain(partition, ChainId::Run(run))?;
        self.forget("forget_run", ChainId::Run(run), at, followers).await
    }

    async fn forget_alert(
        &self,
        partition: Partition,
        alert: AlertId,
        at: Time,
        followers: &[&str],
    ) -> Result<Forgot> {
        home::of_chain(partition, ChainId::Alert(alert))?;
        self.forget("forget_alert", ChainId::Alert(alert), at, followers)
            .await
    }

    async fn sweep(&self, partition: Partition, before: &Bygone, limit: usize) -> Result<Swept> {
        let args = Args::new()
            .time(before.claims)
            .time(before.changes)
            .time(before.gone)
            .put(rows(limit));
        let mut answer = self.write(partition, "sweep", args).await?;
        Ok(Swept {
            claims: answer.parse()?,
            changes: answer.parse()?,
            gone: answer.parse()?,
        })
    }

    async fn forget_bundle(&self, digest: Digest) -> Result<()> {
        let args = Args::new().put(digest);
        self.write(Partition::CONTROL, "forget_bundle", args)
            .await
            .map(drop)
    }

    async fn bundles(&self) -> Result<Vec<Digest>> {
        let answer = self.read(Partition::CONTROL, "bundles", Args::new()).await?;
        answer.each(Answer::parse)
    }
}
