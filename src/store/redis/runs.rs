//! Runs and their journals.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::RedisStore;
use super::answer::{Answer, unreadable};
use super::args::Args;
use super::call::{PAGE, ask, rows};
use super::entry;
use crate::clock::Time;
use crate::finding::SeverityId;
use crate::id::{Partition, RunId};
use crate::journal::{ChainId, Entry};
use crate::store::error::{Error, Result};
use crate::store::home;
use crate::store::runs::{Appended, Claim, Created, NewRun, RunQuery, RunRow, RunStatus, RunUpdate, Runs};

/// What is said of a run once and never read by a function.
#[derive(Serialize, Deserialize)]
pub(super) struct About {
    playbook: String,
    title: String,
    subject: String,
    cause: String,
    severity_id: SeverityId,
}

impl About {
    pub(super) fn of(row: &RunRow) -> About {
        About {
            playbook: row.playbook.clone(),
            title: row.title.clone(),
            subject: row.subject.clone(),
            cause: row.cause.clone(),
            severity_id: row.severity_id,
        }
    }
}

pub(super) fn row(answer: &mut Answer) -> Result<RunRow> {
    let id = answer.parse()?;
    let about: About = answer.json()?;
    Ok(RunRow {
        id,
        playbook: about.playbook,
        title: about.title,
        subject: about.subject,
        cause: about.cause,
        severity_id: about.severity_id,
        status: answer.word()?,
        end: answer.maybe_word()?,
        started_at: answer.time()?,
        updated_at: answer.time()?,
        waits_for: answer.maybe_text()?.unwrap_or_default(),
        wake_at: answer.maybe_time()?,
        epoch: answer.parse()?,
        worker: answer.maybe_text()?,
        len: answer.parse()?,
        last: answer.parse()?,
    })
}

fn missing(id: RunId) -> Error {
    Error::Missing {
        what: format!("run `{id}`"),
    }
}

fn fenced(claim: &Claim, answer: &mut Answer) -> Result<Error> {
    Ok(Error::Fenced {
        run: claim.run.to_string(),
        ours: claim.epoch,
        theirs: answer.parse()?,
    })
}

/// The refusal of entries that would leave a gap.
pub(super) fn gap(chain: ChainId, answer: &mut Answer, seq: u64) -> Result<Error> {
    Ok(Error::Gap {
        chain: chain.to_string(),
        len: answer.parse()?,
        seq,
    })
}

/// The refusal of entries where others are.
pub(super) fn conflict(chain: ChainId, answer: &mut Answer) -> Result<Error> {
    Ok(Error::Conflict {
        chain: chain.to_string(),
        seq: answer.parse()?,
    })
}

#[async_trait]
impl Runs for RedisStore {
    async fn create_run(&self, partition: Partition, run: NewRun) -> Result<Created> {
        let chain = ChainId::Run(run.row.id);
        home::of_chain(partition, chain)?;
        home::of_entries(partition, chain, 0, std::slice::from_ref(&run.entry))?;
        let row = run.row;
        let args = Args::new()
            .put(row.id)
            .json(&About::of(&row))?
            .put(row.playbook)
            .time(row.started_at)
            .time(row.updated_at)
            .put(row.waits_for)
            .maybe_time(row.wake_at)
            .entries(std::slice::from_ref(&run.entry));
        match self.write(partition, "create_run", args).await?.text()?.as_str() {
            "NEW" => Ok(Created::New),
            "EXISTS" => Ok(Created::Exists),
            other => Err(unreadable(other)),
        }
    }

    async fn claim_due(
        &self,
        partition: Partition,
        worker: &str,
        now: Time,
        until: Time,
        limit: usize,
    ) -> Result<Vec<Claim>> {
        let args = Args::new()
            .put(worker)
            .time(now)
            .time(until)
            .put(limit.min(PAGE))
            .put(ask()?);
        let answer = self.write(partition, "claim_due", args).await?;
        answer.each(|answer| {
            Ok(Claim {
                run: answer.parse()?,
                epoch: answer.parse()?,
                until,
            })
        })
    }

    async fn claim_run(
        &self,
        partition: Partition,
        id: RunId,
        worker: &str,
        now: Time,
        until: Time,
    ) -> Result<Option<Claim>> {
        home::of_chain(partition, ChainId::Run(id))?;
        let args = Args::new().put(id).put(worker).time(now).time(until).put(ask()?);
        let mut answer = self.write(partition, "claim_run", args).await?;
        match answer.maybe_text()?.as_deref() {
            None => Ok(None),
            Some("MISSING") => Err(missing(id)),
            Some(epoch) => Ok(Some(Claim {
                run: id,
                epoch: epoch.parse().map_err(unreadable)?,
                until,
            })),
        }
    }

    async fn renew(&self, partition: Partition, claim: &Claim, until: Time) -> Result<()> {
        home::of_chain(partition, ChainId::Run(claim.run))?;
        let args = Args::new().put(claim.run).put(claim.epoch).time(until);
        let mut answer = self.write(partition, "renew", args).await?;
        match answer.maybe_text()?.as_deref() {
            None => Ok(()),
            Some("MISSING") => Err(missing(claim.run)),
            Some("FENCED") => Err(fenced(claim, &mut answer)?),
            Some(other) => Err(unreadable(other)),
        }
    }

    async fn append(
        &self,
        partition: Partition,
        claim: &Claim,
        expected_len: u64,
        now: Time,
        entries: Vec<Entry>,
        update: RunUpdate,
    ) -> Result<Appended> {
        let chain = ChainId::Run(claim.run);
        home::of_chain(partition, chain)?;
        home::of_entries(partition, chain, expected_len, &entries)?;
        home::of_approvals(partition, &update.approvals)?;
        let args = Args::new()
            .put(claim.run)
            .put(claim.epoch)
            .put(expected_len)
            .time(now)
            .word(&update.status)?
            .maybe_word(update.end.as_ref())?
            .maybe_time(update.wake_at)
            .put(update.waits_for)
            .flag(update.release)
            .entries(&entries)
            .approvals(&update.approvals)?;
        let mut answer = self.write(partition, "append", args).await?;
        match answer.text()?.as_str() {
            "NEW" => Ok(Appended::New),
            "ALREADY" => Ok(Appended::Already),
            "MISSING" => Err(missing(claim.run)),
            "FENCED" => Err(fenced(claim, &mut answer)?),
            "GAP" => Err(gap(chain, &mut answer, expected_len)?),
            "CONFLICT" => Err(conflict(chain, &mut answer)?),
            other => Err(unreadable(other)),
        }
    }

    async fn wake(&self, partition: Partition, id: RunId, at: Time) -> Result<()> {
        home::of_chain(partition, ChainId::Run(id))?;
        let mut answer = self
            .write(partition, "wake", Args::new().put(id).time(at))
            .await?;
        match answer.maybe_text()?.as_deref() {
            None => Ok(()),
            Some("MISSING") => Err(missing(id)),
            Some(other) => Err(unreadable(other)),
        }
    }

    /// In steps, so that no call works on more than a page. What a crash leaves of it ends by itself, as all claims do.
    async fn release_worker(&self, partition: Partition, worker: &str) -> Result<()> {
        loop {
            let args = Args::new().put(worker).put(PAGE);
            let released: usize = self.write(partition, "release_worker", args).await?.parse()?;
            if released < PAGE {
                return Ok(());
            }
        }
    }

    /// In pages; what is appended meanwhile is at the end, where it belongs.
    async fn journal(&self, partition: Partition, chain: ChainId, from: u64) -> Result<Vec<Entry>> {
        home::of_chain(partition, chain)?;
        let mut found = Vec::new();
        loop {
            let next = from.saturating_add(found.len() as u64);
            let args = Args::new().put(chain).put(next).put(PAGE);
            let lines = self.read(partition, "journal", args).await?.each(Answer::text)?;
            let all = lines.len() < PAGE;
            for (seq, line) in (next..).zip(lines) {
                found.push(entry::read(chain, seq, &line)?);
            }
            if all {
                return Ok(found);
            }
        }
    }

    async fn run(&self, partition: Partition, id: RunId) -> Result<Option<RunRow>> {
        home::of_chain(partition, ChainId::Run(id))?;
        self.read(partition, "run", Args::new().put(id)).await?.one(row)
    }

    async fn runs(&self, partition: Partition, query: &RunQuery) -> Result<Vec<RunRow>> {
        let args = Args::new()
            .maybe_word(query.status.as_ref().map(|status: &RunStatus| status))?
            .maybe(query.playbook.as_ref())
            .maybe_time(query.before)
            .put(rows(query.limit));
        self.read(partition, "runs", args).await?.lists(row)
    }

    async fn next_wake(&self, partition: Partition) -> Result<Option<Time>> {
        self.read(partition, "next_wake", Args::new()).await?.maybe_time()
    }
}
