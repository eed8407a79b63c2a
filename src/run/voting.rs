//! How the rest of the program answers a request for approval: by a principal's name. The vote is kept beside the
//! journal and its run woken; the run's worker turns it into an event, and only that counts.

use super::consent;
use super::handle::Handle;
use crate::approval::{Refusal, Vote};
use crate::digest::Digest;
use crate::id::{ApprovalId, Partition};
use crate::limits::{PAGE_MAX, VOTE_COUNTED_MS};
use crate::store::{ApprovalQuery, ApprovalRow, Error, Put, RunStatus};

/// How often the row of a request is looked at for a vote to be counted, ms.
const LOOK_MS: u64 = 25;

/// A vote to put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ballot {
    /// Who answers.
    pub principal: String,
    /// Yes or no.
    pub approve: bool,
    /// In their words.
    pub reason: String,
    /// Of the request they saw; `None` where they saw it as it is now.
    pub digest: Option<Digest>,
}

/// Why a vote was not taken. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// The store says no.
    #[error(transparent)]
    Store(#[from] Error),
    /// There is no such request.
    #[error("there is no {0}")]
    Unknown(ApprovalId),
    /// It is decided.
    #[error("it is decided: {}", .0.state.decided.as_ref().map_or("its run goes no further", |(_, decided)| &decided.why))]
    Decided(Box<ApprovalRow>),
    /// Its time is over.
    #[error("its time was over at {}", .0.state.request.until)]
    Late(Box<ApprovalRow>),
    /// What they saw is not what is asked.
    #[error("what is asked is not what was seen")]
    Stale(Box<ApprovalRow>),
    /// They may not decide it.
    #[error("{principal} {why}")]
    NotAllowed {
        /// Who.
        principal: String,
        /// Why not.
        why: Refusal,
    },
}

/// What became of a vote that was taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Taken {
    /// It counts.
    Counted(Box<ApprovalRow>),
    /// It is kept, and the run's worker has not come to it yet.
    Kept(Box<ApprovalRow>),
}

impl Handle {
    /// Puts a principal's answer to a request. Afterwards it is kept, whatever crashes, and the run is due; it
    /// counts once the run's worker has recorded it, if the request is not decided before.
    ///
    /// # Errors
    /// Nobody asked, it is decided, or they may not.
    pub async fn vote(&self, approval: ApprovalId, ballot: &Ballot) -> Result<Vote, NotTaken> {
        let context = self.context();
        let row = self.asked(approval).await?;
        let request = &row.state.request;
        let run = context.store.run(row.run.partition(), row.run).await?;
        if !row.open || run.is_none_or(|run| run.status != RunStatus::Open) {
            return Err(NotTaken::Decided(Box::new(row)));
        }
        if ballot.digest.is_some_and(|seen| seen != request.digest) {
            return Err(NotTaken::Stale(Box::new(row)));
        }
        let at = context.clock.now();
        if at >= request.until {
            return Err(NotTaken::Late(Box::new(row)));
        }
        consent::may(&context.policy.groups, request, &ballot.principal).map_err(|why| {
            NotTaken::NotAllowed {
                principal: ballot.principal.clone(),
                why,
            }
        })?;
        let vote = Vote {
            principal: ballot.principal.clone(),
            approve: ballot.approve,
            reason: ballot.reason.clone(),
            digest: request.digest,
            at,
        };
        match context
            .store
            .put_vote(approval.partition(), approval, vote.clone())
            .await?
        {
            Put::New | Put::Already => {
                self.kick(row.run);
                Ok(vote)
            }
            Put::Decided => Err(NotTaken::Decided(Box::new(self.asked(approval).await?))),
        }
    }

    /// Puts an answer and waits a while until it is counted.
    ///
    /// # Errors
    /// As [`Handle::vote`]; and when another answer decided it before this one was recorded.
    pub async fn vote_counted(&self, approval: ApprovalId, ballot: &Ballot) -> Result<Taken, NotTaken> {
        let vote = self.vote(approval, ballot).await?;
        let ours = |known: &Vote| known.principal == vote.principal && known.approve == vote.approve;
        let mut waited_ms = 0;
        loop {
            let row = self.asked(approval).await?;
            if row.state.votes.iter().any(ours) {
                return Ok(Taken::Counted(Box::new(row)));
            }
            if !row.open {
                return Err(NotTaken::Decided(Box::new(row)));
            }
            if waited_ms >= VOTE_COUNTED_MS {
                return Ok(Taken::Kept(Box::new(row)));
            }
            self.context().pause_ms(LOOK_MS).await;
            waited_ms += LOOK_MS;
        }
    }

    /// Makes every run due whose request nobody is left to decide, as the groups are now, so that its worker says so at
    /// once. For the start of a node, which is when groups change; whatever cannot be read is left for its time to end.
    ///
    /// # Errors
    /// The store says no.
    pub async fn look_for_deciders(&self) -> Result<(), Error> {
        let context = self.context();
        for partition in Partition::all() {
            let mut query = ApprovalQuery {
                open: Some(true),
                before: None,
                limit: PAGE_MAX,
            };
            loop {
                let rows = context.store.approvals(partition, query).await?;
                for row in &rows {
                    if consent::is_nobody_left(&context.policy.groups, &row.state.request) {
                        context
                            .store
                            .wake(partition, row.run, context.clock.now())
                            .await?;
                    }
                }
                match rows.last() {
                    Some(last) if rows.len() == PAGE_MAX => query.before = Some(last.asked_at),
                    _ => break,
                }
            }
        }
        Ok(())
    }

    /// A request as it stands.
    ///
    /// # Errors
    /// There is none of that id.
    pub async fn asked(&self, approval: ApprovalId) -> Result<ApprovalRow, NotTaken> {
        let found = self
            .context()
            .store
            .approval(approval.partition(), approval)
            .await?;
        found.ok_or(NotTaken::Unknown(approval))
    }
}
