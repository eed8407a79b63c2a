//! A run belongs to one worker at a time, under a number that only grows; its journal grows at its end alone; no wake
//! is lost; a vote is kept while its request is open.

use std::cmp::Reverse;

use cordon::approval::Vote;
use cordon::clock::Time;
use cordon::id::{ApprovalId, Partition, RunId};
use cordon::journal::{ChainId, Entry};
use cordon::store::{Appended, ApprovalRow, Claim, Created, Error, Put, Result, RunRow, RunStatus};

use super::super::op::{Piece, Says};
use super::super::things;
use super::{Fate, Reference, Run, lives, missing, numbered};

impl Run {
    pub(super) fn is_open(&self) -> bool {
        self.row.status == RunStatus::Open
    }

    /// When a worker may take it at the earliest, if time alone decides.
    pub(super) fn due(&self) -> Option<Time> {
        match (self.row.wake_at, self.until) {
            (Some(wake), Some(until)) => Some(wake.max(until)),
            (Some(at), None) | (None, Some(at)) => Some(at),
            (None, None) => None,
        }
    }

    fn claim(&mut self, worker: usize, until: Time) -> Claim {
        self.row.epoch += 1;
        self.row.worker = Some(things::name(worker));
        self.until = Some(until);
        self.wakes.clear();
        Claim {
            run: self.row.id,
            epoch: self.row.epoch,
            until,
        }
    }

    fn give_back(&mut self) {
        self.row.worker = None;
        self.until = None;
    }

    fn fenced(&self, ours: u64) -> Error {
        Error::Fenced {
            run: self.row.id.to_string(),
            ours,
            theirs: self.row.epoch,
        }
    }
}

impl Reference {
    fn run_mut(&mut self, id: RunId) -> Result<&mut Run> {
        let found = self.runs.iter_mut().find(|run| run.row.id == id);
        found.ok_or_else(missing)
    }

    fn note_claim(&mut self, claim: &Claim) {
        let n = (0..things::RUNS).find(|n| things::run(*n) == claim.run).unwrap();
        self.given.push((n, claim.epoch));
    }

    pub(super) fn create_run(
        &mut self,
        partition: Partition,
        n: usize,
        at: i64,
        wake: Option<i64>,
    ) -> Result<Created> {
        let new = things::new_run(n, at, wake);
        lives(partition, new.row.id.partition())?;
        if self.run_mut(new.row.id).is_ok() {
            return Ok(Created::Exists);
        }
        self.entries.push(new.entry);
        self.runs.push(Run {
            row: new.row,
            until: None,
            wakes: Vec::new(),
        });
        Ok(Created::New)
    }

    pub(super) fn claim_due(
        &mut self,
        partition: Partition,
        worker: usize,
        now: Time,
        until: Time,
        limit: usize,
    ) -> Result<Vec<Claim>> {
        let mut due: Vec<(Time, String, RunId)> = Vec::new();
        for run in &self.runs {
            let takes = run.is_open() && run.due().is_some_and(|due| due <= now);
            if takes && run.row.id.partition() == partition {
                // The longest due first: since its wake, or since its worker's claim ended.
                let since = run.row.wake_at.or(run.until).unwrap();
                due.push((since, run.row.id.to_string(), run.row.id));
            }
        }
        due.sort();
        let mut claims = Vec::new();
        for (_, _, id) in due.into_iter().take(limit) {
            claims.push(self.run_mut(id)?.claim(worker, until));
        }
        claims.iter().for_each(|claim| self.note_claim(claim));
        Ok(claims)
    }

    pub(super) fn claim_run(
        &mut self,
        partition: Partition,
        n: usize,
        worker: usize,
        now: Time,
        until: Time,
    ) -> Result<Option<Claim>> {
        let id = things::run(n);
        lives(partition, id.partition())?;
        let run = self.run_mut(id)?;
        let in_force = run.until.is_some_and(|until| until > now);
        let ours = run.row.worker == Some(things::name(worker));
        if !run.is_open() || (in_force && !ours) {
            return Ok(None);
        }
        let claim = run.claim(worker, until);
        self.note_claim(&claim);
        Ok(Some(claim))
    }

    pub(super) fn renew(&mut self, partition: Partition, n: usize, epoch: u64, until: Time) -> Result<()> {
        let id = things::run(n);
        lives(partition, id.partition())?;
        let run = self.run_mut(id)?;
        if run.row.epoch != epoch || run.row.worker.is_none() {
            return Err(run.fenced(epoch));
        }
        run.until = Some(until);
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "as the operation has")]
    pub(super) fn append(
        &mut self,
        partition: Partition,
        n: usize,
        epoch: u64,
        len: u64,
        now: Time,
        pieces: &[Piece],
        says: &Says,
    ) -> Result<Appended> {
        let id = things::run(n);
        let chain = ChainId::Run(id);
        lives(partition, id.partition())?;
        let entries = things::entries(chain, pieces);
        numbered(chain, len, &entries)?;
        let run = self.run_mut(id)?;
        let fenced = run.fenced(epoch);
        let given_back = run.row.worker.is_none();
        if run.row.epoch != epoch {
            return Err(fenced);
        }
        if let Fate::Already = self.place_entries(chain, len, &entries)? {
            return Ok(Appended::Already);
        }
        if given_back {
            return Err(fenced);
        }
        for grant in &says.grants {
            let row = things::approval_row(grant);
            self.approvals.retain(|known| known.id != row.id);
            self.approvals.push(row);
        }
        let run = self.run_mut(id)?;
        run.row.status = says.status;
        run.row.end = says.end;
        run.row.waits_for = things::name(says.waits_for);
        run.row.updated_at = now;
        run.row.len += entries.len() as u64;
        run.row.last = entries.last().map_or(run.row.last, |entry| entry.digest);
        // A wake outlasts the appends of the worker it came to.
        let wakes = says.wake.map(Time).into_iter().chain(run.wakes.iter().copied());
        run.row.wake_at = wakes.min().filter(|_| says.status == RunStatus::Open);
        if says.release {
            run.give_back();
        }
        self.entries.extend(entries);
        Ok(Appended::New)
    }

    pub(super) fn wake(&mut self, partition: Partition, id: RunId, at: Time) -> Result<()> {
        lives(partition, id.partition())?;
        let run = self.run_mut(id)?;
        if run.is_open() {
            run.wakes.push(at);
            run.row.wake_at = Some(run.row.wake_at.map_or(at, |wake| wake.min(at)));
        }
        Ok(())
    }

    pub(super) fn release_worker(&mut self, partition: Partition, worker: usize) -> Result<()> {
        for run in &mut self.runs {
            if run.row.id.partition() == partition && run.row.worker == Some(things::name(worker)) {
                run.give_back();
                if run.is_open() && run.row.wake_at.is_none() {
                    run.row.wake_at = Some(run.row.updated_at);
                }
            }
        }
        Ok(())
    }

    pub(super) fn journal(&self, partition: Partition, chain: ChainId, from: u64) -> Result<Vec<Entry>> {
        lives(partition, chain.partition())?;
        let entries = self.entries.iter();
        let ours = entries.filter(|entry| entry.chain == chain && entry.seq >= from);
        Ok(ours.cloned().collect())
    }

    pub(super) fn run(&self, partition: Partition, n: usize) -> Result<Option<RunRow>> {
        let id = things::run(n);
        lives(partition, id.partition())?;
        let found = self.runs.iter().find(|run| run.row.id == id);
        Ok(found.map(|run| run.row.clone()))
    }

    pub(super) fn list_runs(
        &self,
        partition: Partition,
        status: Option<RunStatus>,
        playbook: Option<usize>,
        before: Option<Time>,
        limit: usize,
    ) -> Result<Vec<RunRow>> {
        let playbook = playbook.map(|n| format!("playbook {n}"));
        let mut rows: Vec<RunRow> = self.runs.iter().map(|run| run.row.clone()).collect();
        rows.retain(|row| row.id.partition() == partition);
        rows.retain(|row| status.is_none_or(|status| row.status == status));
        rows.retain(|row| playbook.as_ref().is_none_or(|playbook| row.playbook == *playbook));
        rows.retain(|row| before.is_none_or(|before| row.started_at < before));
        rows.sort_by_key(|row| Reverse((row.started_at, row.id.to_string())));
        rows.truncate(limit);
        Ok(rows)
    }

    pub(super) fn next_wake(&self, partition: Partition) -> Result<Option<Time>> {
        let open = self.runs.iter().filter(|run| run.is_open());
        let here = open.filter(|run| run.row.id.partition() == partition);
        Ok(here.filter_map(Run::due).min())
    }

    pub(super) fn put_vote(
        &mut self,
        partition: Partition,
        approval: usize,
        principal: usize,
        approve: bool,
        at: i64,
    ) -> Result<Put> {
        let id = things::approval(approval);
        lives(partition, id.partition())?;
        let row = self
            .approvals
            .iter()
            .find(|row| row.id == id)
            .ok_or_else(missing)?;
        if !row.open {
            return Ok(Put::Decided);
        }
        let (run, vote) = (row.run, things::vote(principal, approve, at));
        self.wake(partition, run, vote.at)?;
        let said = |(_, of, there): &(RunId, ApprovalId, Vote)| {
            *of == id && there.principal == vote.principal && there.approve == vote.approve
        };
        if self.votes.iter().any(said) {
            return Ok(Put::Already);
        }
        self.votes.push((run, id, vote));
        Ok(Put::New)
    }

    pub(super) fn list_votes(&self, partition: Partition, n: usize) -> Result<Vec<(ApprovalId, Vote)>> {
        let run = things::run(n);
        lives(partition, run.partition())?;
        let ours = self.votes.iter().filter(|(of, _, _)| *of == run);
        let mut votes: Vec<_> = ours.map(|(_, id, vote)| (*id, vote.clone())).collect();
        votes.sort_by_key(|(id, vote)| (vote.at, vote.principal.clone(), vote.approve, id.to_string()));
        Ok(votes)
    }

    pub(super) fn approval(&self, partition: Partition, n: usize) -> Result<Option<ApprovalRow>> {
        let id = things::approval(n);
        lives(partition, id.partition())?;
        Ok(self.approvals.iter().find(|row| row.id == id).cloned())
    }

    pub(super) fn list_approvals(
        &self,
        partition: Partition,
        open: Option<bool>,
        before: Option<Time>,
        limit: usize,
    ) -> Result<Vec<ApprovalRow>> {
        let mut rows = self.approvals.clone();
        rows.retain(|row| row.id.partition() == partition);
        rows.retain(|row| open.is_none_or(|open| row.open == open));
        rows.retain(|row| before.is_none_or(|before| row.asked_at < before));
        rows.sort_by_key(|row| Reverse((row.asked_at, row.id.to_string())));
        rows.truncate(limit);
        Ok(rows)
    }
}
