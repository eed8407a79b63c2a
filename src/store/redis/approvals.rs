//! Requests for approval and votes.

use async_trait::async_trait;

use super::RedisStore;
use super::answer::{Answer, unreadable};
use super::args::Args;
use super::call::rows;
use crate::approval::Vote;
use crate::id::{ApprovalId, Partition, RunId};
use crate::journal::ChainId;
use crate::store::approvals::{ApprovalQuery, ApprovalRow, Approvals, Put};
use crate::store::error::{Error, Result};
use crate::store::home;

pub(super) fn row(answer: &mut Answer) -> Result<ApprovalRow> {
    Ok(ApprovalRow {
        id: answer.parse()?,
        run: answer.parse()?,
        asked_at: answer.time()?,
        open: answer.flag()?,
        state: answer.json()?,
    })
}

/// Votes, in order, from their fields.
pub(super) fn votes(answer: Answer) -> Result<Vec<(ApprovalId, Vote)>> {
    let mut votes = answer.each(|answer| {
        let field = answer.text()?;
        let approval = field.split(' ').next().unwrap_or_default();
        let vote: Vote = answer.json()?;
        Ok((approval.parse::<ApprovalId>().map_err(unreadable)?, vote))
    })?;
    votes.sort_by_cached_key(|(of, vote)| (vote.at, vote.principal.clone(), vote.approve, of.to_string()));
    Ok(votes)
}

impl Args {
    /// How many, then what each is made of.
    pub(super) fn approvals(self, rows: &[ApprovalRow]) -> Result<Args> {
        rows.iter().try_fold(self.put(rows.len()), |args, row| {
            args.put(row.id)
                .put(row.run)
                .time(row.asked_at)
                .flag(row.open)
                .json(&row.state)
        })
    }
}

#[async_trait]
impl Approvals for RedisStore {
    async fn put_vote(&self, partition: Partition, approval: ApprovalId, vote: Vote) -> Result<Put> {
        home::of_approval(partition, approval)?;
        let args = Args::new()
            .put(approval)
            .flag(vote.approve)
            .put(&vote.principal)
            .time(vote.at)
            .json(&vote)?;
        let mut answer = self.write(partition, "put_vote", args).await?;
        match answer.text()?.as_str() {
            "NEW" => Ok(Put::New),
            "ALREADY" => Ok(Put::Already),
            "DECIDED" => Ok(Put::Decided),
            "MISSING" => Err(Error::Missing {
                what: match answer.maybe_text()? {
                    Some(run) => format!("run `{run}`"),
                    None => format!("approval `{approval}`"),
                },
            }),
            other => Err(unreadable(other)),
        }
    }

    async fn votes(&self, partition: Partition, run: RunId) -> Result<Vec<(ApprovalId, Vote)>> {
        home::of_chain(partition, ChainId::Run(run))?;
        let answer = self.read(partition, "votes", Args::new().put(run)).await?;
        votes(answer)
    }

    async fn approval(&self, partition: Partition, id: ApprovalId) -> Result<Option<ApprovalRow>> {
        home::of_approval(partition, id)?;
        self.read(partition, "approval", Args::new().put(id))
            .await?
            .one(row)
    }

    async fn approvals(&self, partition: Partition, query: ApprovalQuery) -> Result<Vec<ApprovalRow>> {
        let args = Args::new()
            .maybe(query.open.map(u8::from))
            .maybe_time(query.before)
            .put(rows(query.limit));
        self.read(partition, "approvals", args).await?.lists(row)
    }
}
