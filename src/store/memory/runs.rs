//! Runs, in memory.

use std::cmp::Reverse;

use async_trait::async_trait;

use super::MemoryStore;
use super::part::{Part, Run};
use crate::clock::Time;
use crate::id::{Partition, RunId};
use crate::journal::{ChainId, Entry};
use crate::store::error::{Error, Result};
use crate::store::home;
use crate::store::place::Place;
use crate::store::runs::{Appended, Claim, Created, NewRun, RunQuery, RunRow, RunStatus, RunUpdate, Runs};

fn missing(id: RunId) -> Error {
    Error::Missing {
        what: format!("run `{id}`"),
    }
}

fn fenced(claim: &Claim, row: &RunRow) -> Error {
    Error::Fenced {
        run: claim.run.to_string(),
        ours: claim.epoch,
        theirs: row.epoch,
    }
}

impl Run {
    fn claim(&mut self, worker: &str, until: Time) -> Claim {
        self.row.epoch = self.row.epoch.saturating_add(1);
        self.row.worker = Some(worker.to_owned());
        self.claim_until = Some(until);
        self.woken_at = None;
        Claim {
            run: self.row.id,
            epoch: self.row.epoch,
            until,
        }
    }

    fn release(&mut self) {
        self.row.worker = None;
        self.claim_until = None;
    }

    fn update(&mut self, now: Time, update: RunUpdate) {
        self.row.status = update.status;
        self.row.end = update.end;
        self.row.waits_for = update.waits_for;
        self.row.updated_at = now;
        self.row.wake_at = match update.status {
            RunStatus::Open => update.wake_at.into_iter().chain(self.woken_at).min(),
            RunStatus::Parked | RunStatus::Settled => None,
        };
        if update.release {
            self.release();
        }
    }
}

impl Part {
    pub(super) fn run_mut(&mut self, id: RunId) -> Result<&mut Run> {
        self.runs.get_mut(&id).ok_or_else(|| missing(id))
    }

    /// Makes an open run due at `at` at the latest.
    pub(super) fn wake(&mut self, id: RunId, at: Time) -> Result<()> {
        let run = self.run_mut(id)?;
        if run.is_open() {
            run.row.wake_at = run.row.wake_at.into_iter().chain([at]).min();
            run.woken_at = run.woken_at.into_iter().chain([at]).min();
        }
        Ok(())
    }
}

#[async_trait]
impl Runs for MemoryStore {
    async fn create_run(&self, partition: Partition, run: NewRun) -> Result<Created> {
        let id = run.row.id;
        let chain = ChainId::Run(id);
        home::of_chain(partition, chain)?;
        home::of_entries(partition, chain, 0, std::slice::from_ref(&run.entry))?;
        let mut part = self.part(partition)?;
        if part.runs.contains_key(&id) || part.gone.contains_key(&chain) {
            return Ok(Created::Exists);
        }
        let (len, last) = part.push(chain, vec![run.entry]);
        let row = RunRow {
            status: RunStatus::Open,
            end: None,
            epoch: 0,
            worker: None,
            len,
            last,
            ..run.row
        };
        let run = Run {
            row,
            claim_until: None,
            woken_at: None,
        };
        part.runs.insert(id, run);
        Ok(Created::New)
    }

    async fn claim_due(
        &self,
        partition: Partition,
        worker: &str,
        now: Time,
        until: Time,
        limit: usize,
    ) -> Result<Vec<Claim>> {
        let mut part = self.part(partition)?;
        let mut due: Vec<(Time, String, RunId)> = part
            .runs
            .values()
            .filter(|run| run.is_open() && run.is_free(now))
            .filter_map(|run| Some((run.due_at()?, run.row.id.to_string(), run.row.id)))
            .filter(|(at, _, _)| *at <= now)
            .collect();
        due.sort_unstable();
        let mut claims = Vec::new();
        for (_, _, id) in due.into_iter().take(limit) {
            claims.push(part.run_mut(id)?.claim(worker, until));
        }
        Ok(claims)
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
        let mut part = self.part(partition)?;
        let run = part.run_mut(id)?;
        let ours = run.row.worker.as_deref() == Some(worker);
        let free = run.is_open() && (ours || run.is_free(now));
        Ok(free.then(|| run.claim(worker, until)))
    }

    async fn renew(&self, partition: Partition, claim: &Claim, until: Time) -> Result<()> {
        home::of_chain(partition, ChainId::Run(claim.run))?;
        let mut part = self.part(partition)?;
        let run = part.run_mut(claim.run)?;
        if run.row.epoch != claim.epoch || run.row.worker.is_none() {
            return Err(fenced(claim, &run.row));
        }
        run.claim_until = Some(until);
        Ok(())
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
        let mut part = self.part(partition)?;
        let row = &part.run_mut(claim.run)?.row;
        let gone = fenced(claim, row);
        let given_back = row.worker.is_none();
        if row.epoch != claim.epoch {
            return Err(gone);
        }
        match part.place(chain, expected_len, &entries)? {
            Place::There => return Ok(Appended::Already),
            Place::Next if given_back => return Err(gone),
            Place::Next => {}
        }
        let (len, last) = part.push(chain, entries);
        for row in &update.approvals {
            part.approvals.insert(row.id, row.clone());
        }
        let run = part.run_mut(claim.run)?;
        run.row.len = len;
        run.row.last = last;
        run.update(now, update);
        Ok(Appended::New)
    }

    async fn wake(&self, partition: Partition, id: RunId, at: Time) -> Result<()> {
        home::of_chain(partition, ChainId::Run(id))?;
        self.part(partition)?.wake(id, at)
    }

    async fn release_worker(&self, partition: Partition, worker: &str) -> Result<()> {
        let mut part = self.part(partition)?;
        let ours = |run: &&mut Run| run.row.worker.as_deref() == Some(worker);
        for run in part.runs.values_mut().filter(ours) {
            run.release();
            if run.is_open() && run.row.wake_at.is_none() {
                run.row.wake_at = Some(run.row.updated_at);
            }
        }
        Ok(())
    }

    async fn journal(&self, partition: Partition, chain: ChainId, from: u64) -> Result<Vec<Entry>> {
        home::of_chain(partition, chain)?;
        Ok(self.part(partition)?.journal(chain, from))
    }

    async fn run(&self, partition: Partition, id: RunId) -> Result<Option<RunRow>> {
        home::of_chain(partition, ChainId::Run(id))?;
        Ok(self.part(partition)?.runs.get(&id).map(|run| run.row.clone()))
    }

    async fn runs(&self, partition: Partition, query: &RunQuery) -> Result<Vec<RunRow>> {
        let part = self.part(partition)?;
        let wanted = |row: &&RunRow| {
            query.status.is_none_or(|status| row.status == status)
                && query.before.is_none_or(|before| row.started_at < before)
                && query
                    .playbook
                    .as_ref()
                    .is_none_or(|playbook| row.playbook == *playbook)
        };
        let mut rows: Vec<&RunRow> = part.runs.values().map(|run| &run.row).filter(wanted).collect();
        rows.sort_by_cached_key(|row| Reverse((row.started_at, row.id.to_string())));
        Ok(rows.into_iter().take(query.limit).cloned().collect())
    }

    async fn next_wake(&self, partition: Partition) -> Result<Option<Time>> {
        let part = self.part(partition)?;
        Ok(part
            .runs
            .values()
            .filter(|run| run.is_open())
            .filter_map(|run| match run.claim_until {
                Some(until) => Some(until.max(run.due_at()?)),
                None => run.row.wake_at,
            })
            .min())
    }
}
