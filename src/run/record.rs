//! The one way events get into a run's journal: sealed onto its chain, folded into the state, and appended under
//! our claim. What only looking led to is appended together with the next thing that matters; an intent, an
//! outcome or an end is never kept back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::bind::UNDO_OWN;
use super::context::Context;
use super::drive::LetGo;
use super::next::Task;
use super::receipt::answer_to;
use super::under::Under;
use crate::clock::Time;
use crate::id::ApprovalId;
use crate::journal::{Answered, ChainId, Entry, Event, RunState, seal};
use crate::script::{Answers, Told};
use crate::store::{ApprovalRow, Claim, Error, RunStatus, RunUpdate};

/// Pause before an append is tried again when the store could not take it, ms.
const APPEND_AGAIN_MS: u64 = 100;

/// A claimed run's journal and state.
pub struct Record {
    context: Arc<Context>,
    claim: Claim,
    under: Under,
    state: RunState,
    inputs: Arc<BTreeMap<String, Value>>,
    answers: Arc<Answers>,
    told: Arc<Told>,
    /// Sealed and folded, not stored yet. Losing them loses only looks, which are done again.
    kept_back: Vec<Entry>,
    /// What the row will say once they are stored.
    update: RunUpdate,
    /// Requests for approval that they are about.
    approvals: BTreeSet<ApprovalId>,
}

impl Record {
    /// The record of a run whose journal folds to `state`.
    pub fn new(context: Arc<Context>, claim: Claim, state: RunState) -> Record {
        let mut record = Record {
            context,
            under: Under::claim(&claim),
            claim,
            inputs: Arc::new(state.header.inputs.clone()),
            answers: Arc::new(Answers::new()),
            told: Arc::new(state.told.clone()),
            kept_back: Vec::new(),
            update: open(state.updated_at),
            approvals: BTreeSet::new(),
            state,
        };
        let answers = record.state.steps.iter().filter_map(|(id, step)| {
            let result = step.answer.as_ref()?;
            Some((id.clone(), answer_to(id, step, result)))
        });
        record.answers = Arc::new(answers.collect());
        record
    }

    /// The claim.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// The claim, as tasks and chores see it.
    pub fn under(&self) -> Under {
        self.under.clone()
    }

    fn renewed(&mut self, until: Time) {
        self.claim.until = until;
        self.under.renewed(until);
    }

    /// The state.
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// What a task needs of the state as it is now. Only a part of it, because the state could not be changed
    /// without a copy of all of it while a task has it.
    pub fn excerpt(&self, task: &Task) -> RunState {
        match task {
            // What it restores may be any effect of the run.
            Task::Bind(step)
                if self
                    .state
                    .steps
                    .get(step)
                    .is_some_and(|asked| asked.name == UNDO_OWN) =>
            {
                RunState::clone(&self.state)
            }
            Task::Bind(step) | Task::Ask(step) => self.state.excerpt(Some(step), None),
            Task::CountVotes | Task::Hear => self.state.excerpt(None, None),
            // Undoing is about everything the run did.
            Task::AskWhetherToUndo | Task::Undo(_) | Task::TellChild(_) => RunState::clone(&self.state),
            Task::StartChild(step) | Task::LookAtChild(step) => {
                let mut part = self.state.excerpt(Some(step), None);
                let finding = self.inputs.get("finding").cloned();
                part.header
                    .inputs
                    .extend(finding.map(|finding| ("finding".to_owned(), finding)));
                part
            }
            Task::Resolve(effect)
            | Task::Prepare(effect)
            | Task::Act(effect)
            | Task::Probe(effect)
            | Task::Verify(effect) => self.state.excerpt(None, Some(effect)),
        }
    }

    /// The script's variables.
    pub fn inputs(&self) -> Arc<BTreeMap<String, Value>> {
        self.inputs.clone()
    }

    /// The script's answers so far.
    pub fn answers(&self) -> Arc<Answers> {
        self.answers.clone()
    }

    /// What the script has said so far.
    pub fn told(&self) -> Arc<Told> {
        self.told.clone()
    }

    fn remember(&mut self, id: &crate::script::StepId, result: &Answered) {
        let Some(step) = self.state.steps.get(id) else {
            return;
        };
        let answer = answer_to(id, step, result);
        Arc::make_mut(&mut self.answers).insert(id.clone(), answer);
    }

    /// Takes events in. If one of them matters to recovery they survive any crash afterwards, with everything
    /// kept back before them; otherwise they are kept back until [`Record::flush`].
    pub async fn append(&mut self, events: Vec<Event>) -> Result<(), LetGo> {
        let now = self.context.clock.now();
        let run = self.claim.run;
        let state = &mut self.state;
        for event in &events {
            let mut salt = [0; 16];
            getrandom::fill(&mut salt).map_err(|error| LetGo::Defect(error.to_string()))?;
            let entry = seal(ChainId::Run(run), &state.last, state.len, now, event, salt)
                .map_err(|error| LetGo::Defect(error.to_string()))?;
            state.apply(now, event, entry.digest).map_err(LetGo::Defect)?;
            self.kept_back.push(entry);
        }
        for event in &events {
            match event {
                Event::ApprovalRequested { request, .. } => {
                    self.approvals.insert(request.approval);
                }
                Event::ApprovalVoted { approval, .. } | Event::ApprovalDecided { approval, .. } => {
                    self.approvals.insert(*approval);
                }
                Event::StepAnswered { step, result } => self.remember(step, result),
                Event::StepTold { step, digest, .. } => {
                    Arc::make_mut(&mut self.told).insert(step.clone(), *digest);
                }
                _ => {}
            }
        }
        let over = matches!(self.update.status, RunStatus::Settled | RunStatus::Parked);
        if !over {
            self.update = update_after(&events, now);
        }
        if events.iter().any(matters) || self.kept_back.len() >= KEPT_BACK_MAX {
            self.flush().await?;
        }
        Ok(())
    }

    /// Stores what was kept back. Afterwards it survives any crash. While the store cannot take it the append
    /// is repeated (it is safe to repeat) until the claim is over.
    pub async fn flush(&mut self) -> Result<(), LetGo> {
        if self.kept_back.is_empty() {
            return Ok(());
        }
        crate::crash::point("record.before-append");
        let entries = std::mem::take(&mut self.kept_back);
        let before = self
            .state
            .len
            .saturating_sub(u64::try_from(entries.len()).unwrap_or(u64::MAX));
        let update = RunUpdate {
            approvals: self.rows(),
            ..self.update.clone()
        };
        self.store(before, entries, update).await?;
        crate::crash::point("record.after-append");
        Ok(())
    }

    /// The requests that what was kept back is about, as they stand now.
    fn rows(&mut self) -> Vec<ApprovalRow> {
        let ids = std::mem::take(&mut self.approvals);
        ids.iter()
            .filter_map(|id| self.state.approvals.get(id).map(ApprovalRow::of))
            .collect()
    }

    /// True while something is kept back.
    pub fn is_behind(&self) -> bool {
        !self.kept_back.is_empty()
    }

    /// Stores what was kept back and gives the claim back; the run is looked at again at `until`.
    pub async fn release(&mut self, until: Time, waits_for: String) -> Result<(), LetGo> {
        crate::crash::point("record.before-release");
        let update = RunUpdate {
            wake_at: Some(until),
            waits_for,
            release: true,
            approvals: self.rows(),
            ..open(until)
        };
        let entries = std::mem::take(&mut self.kept_back);
        let before = self
            .state
            .len
            .saturating_sub(u64::try_from(entries.len()).unwrap_or(u64::MAX));
        self.store(before, entries, update).await
    }

    /// Gives the claim back of a run that stays parked, though somebody spoke to it.
    pub async fn park_again(&mut self, why: &str) -> Result<(), LetGo> {
        let update = RunUpdate {
            status: RunStatus::Parked,
            wake_at: None,
            waits_for: format!("a person: {why}"),
            release: true,
            approvals: self.rows(),
            ..open(self.context.clock.now())
        };
        let entries = std::mem::take(&mut self.kept_back);
        let before = self
            .state
            .len
            .saturating_sub(u64::try_from(entries.len()).unwrap_or(u64::MAX));
        self.store(before, entries, update).await
    }

    /// Renews the claim when a third of it is used up.
    pub async fn keep_claim(&mut self) -> Result<(), LetGo> {
        let now = self.context.clock.now();
        if self.claim.until.since_ms(now) > self.context.claim_ms / 3 * 2 {
            return Ok(());
        }
        let until = now.plus_ms(self.context.claim_ms);
        match self
            .context
            .store
            .renew(self.claim.run.partition(), &self.claim, until)
            .await
        {
            Ok(()) => self.renewed(until),
            // There is some of the claim left: ask again soon.
            Err(error) if error.may_pass() && now < self.claim.until => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Sees to it that a third of the claim is left, by asking the store where less is: whoever acts must know that
    /// nobody has taken the run over. While the store cannot say, it is asked again until the claim is over.
    pub async fn keep_claim_to_act(&mut self) -> Result<(), LetGo> {
        loop {
            let now = self.context.clock.now();
            if self.claim.until.since_ms(now) > self.context.claim_ms / 3 {
                return Ok(());
            }
            let (partition, until) = (self.claim.run.partition(), now.plus_ms(self.context.claim_ms));
            match self.context.store.renew(partition, &self.claim, until).await {
                // The answer may have taken long, so it is looked at once more.
                Ok(()) => self.renewed(until),
                Err(error) if error.may_pass() && now < self.claim.until => {
                    self.context.pause_ms(APPEND_AGAIN_MS).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn store(&self, before: u64, entries: Vec<Entry>, update: RunUpdate) -> Result<(), LetGo> {
        let partition = self.claim.run.partition();
        loop {
            let now = self.context.clock.now();
            let result = self
                .context
                .store
                .append(
                    partition,
                    &self.claim,
                    before,
                    now,
                    entries.clone(),
                    update.clone(),
                )
                .await;
            match result {
                Ok(_) => return Ok(()),
                Err(error) if error.may_pass() && now < self.claim.until => {
                    tracing::warn!(run.id = %self.claim.run, "an append waits for the store: {error}");
                    self.context.pause_ms(APPEND_AGAIN_MS).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Most entries kept back.
const KEPT_BACK_MAX: usize = 64;

/// True for events that recovery builds on or a person waits for.
fn matters(event: &Event) -> bool {
    match event {
        Event::EffectEnded { attempt, .. } => *attempt > 0,
        Event::EffectInDoubt { .. }
        | Event::EffectResolvedBy { .. }
        | Event::EffectLanded { .. }
        | Event::RunCancelled { .. }
        | Event::RunRetried { .. }
        | Event::SignalRefused { .. }
        | Event::ApprovalRequested { .. }
        | Event::ApprovalVoted { .. }
        | Event::ApprovalDecided { .. }
        | Event::Alarmed { .. }
        | Event::RunClaimed { .. }
        | Event::RunParked { .. }
        | Event::RunSettled { .. } => true,
        _ => false,
    }
}

/// The row of a run that is worked on.
fn open(now: Time) -> RunUpdate {
    RunUpdate {
        status: RunStatus::Open,
        end: None,
        wake_at: Some(now),
        waits_for: String::new(),
        release: false,
        approvals: Vec::new(),
    }
}

/// What the row says after these events.
fn update_after(events: &[Event], now: Time) -> RunUpdate {
    events.iter().fold(open(now), |update, event| match event {
        Event::RunSettled { end, .. } => RunUpdate {
            status: RunStatus::Settled,
            end: Some(*end),
            wake_at: None,
            release: true,
            ..update
        },
        Event::RunParked { why } => RunUpdate {
            status: RunStatus::Parked,
            wake_at: None,
            waits_for: format!("a person: {why}"),
            release: true,
            ..update
        },
        _ => update,
    })
}

/// True for errors after which another worker goes on, and nothing is wrong here.
pub fn is_lost_claim(error: &LetGo) -> bool {
    matches!(error, LetGo::Store(Error::Fenced { .. } | Error::Late))
}
