//! Requests for approval and votes, in memory.

use std::cmp::Reverse;

use async_trait::async_trait;

use super::MemoryStore;
use super::part::Part;
use crate::approval::Vote;
use crate::id::{ApprovalId, Partition, RunId};
use crate::journal::ChainId;
use crate::store::approvals::{ApprovalQuery, ApprovalRow, Approvals, Put};
use crate::store::error::{Error, Result};
use crate::store::home;

impl Part {
    /// The votes about a run's requests, by their moment, then principal.
    pub(super) fn votes(&self, run: RunId) -> Vec<(ApprovalId, Vote)> {
        let mut votes = self.votes.get(&run).cloned().unwrap_or_default();
        votes.sort_by(|(one_of, one), (two_of, two)| {
            (one.at, &one.principal, one.approve, one_of.to_string()).cmp(&(
                two.at,
                &two.principal,
                two.approve,
                two_of.to_string(),
            ))
        });
        votes
    }
}

#[async_trait]
impl Approvals for MemoryStore {
    async fn put_vote(&self, partition: Partition, approval: ApprovalId, vote: Vote) -> Result<Put> {
        home::of_approval(partition, approval)?;
        let mut part = self.part(partition)?;
        let row = part.approvals.get(&approval).ok_or_else(|| Error::Missing {
            what: format!("approval `{approval}`"),
        })?;
        if !row.open {
            return Ok(Put::Decided);
        }
        let run = row.run;
        part.wake(run, vote.at)?;
        let votes = part.votes.entry(run).or_default();
        let same = |(of, there): &(ApprovalId, Vote)| {
            *of == approval && there.principal == vote.principal && there.approve == vote.approve
        };
        if votes.iter().any(same) {
            return Ok(Put::Already);
        }
        votes.push((approval, vote));
        Ok(Put::New)
    }

    async fn votes(&self, partition: Partition, run: RunId) -> Result<Vec<(ApprovalId, Vote)>> {
        home::of_chain(partition, ChainId::Run(run))?;
        Ok(self.part(partition)?.votes(run))
    }

    async fn approval(&self, partition: Partition, id: ApprovalId) -> Result<Option<ApprovalRow>> {
        home::of_approval(partition, id)?;
        Ok(self.part(partition)?.approvals.get(&id).cloned())
    }

    async fn approvals(&self, partition: Partition, query: ApprovalQuery) -> Result<Vec<ApprovalRow>> {
        let part = self.part(partition)?;
        let mut rows: Vec<&ApprovalRow> = part
            .approvals
            .values()
            .filter(|row| query.open.is_none_or(|open| row.open == open))
            .filter(|row| query.before.is_none_or(|before| row.asked_at < before))
            .collect();
        rows.sort_by_cached_key(|row| Reverse((row.asked_at, row.id.to_string())));
        Ok(rows.into_iter().take(query.limit).cloned().collect())
    }
}
