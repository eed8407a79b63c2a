//! A run as its events tell it. Folding the same entries gives the same state, whoever folds, whenever.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::chain::{Broken, Entry, verify};
use super::effect::{Attempt, EffectState, LANDED_LATE, SAID_NOT, Said};
use super::event::{Answered, Event};
use super::header::{End, Header};
use super::upcast::UnknownEvent;
use crate::action::{Done, Fault, Outcome, Retry, Verification};
use crate::approval::{Decided, Request, Vote};
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::{ApprovalId, EffectId, RunId};
use crate::script::StepId;

/// One ask of the script.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What for.
    pub name: String,
    /// With what.
    pub args: Vec<Value>,
    /// Digest of both.
    pub digest: Digest,
    /// Line in the playbook, or in `file`.
    pub line: u32,
    /// Column there.
    pub column: u32,
    /// The file of the library where it stands.
    pub file: Option<String>,
    /// When it was asked.
    pub at: Time,
    /// When it is due, for a wait.
    pub due: Option<Time>,
    /// The effects it became.
    pub effects: Vec<EffectId>,
    /// The run it started.
    pub child: Option<RunId>,
    /// Its answer.
    pub answer: Option<Answered>,
}

impl Step {
    /// Where it stands, for people: `line 4`, or `line 4 of lib/reconcile.rhai`.
    pub fn place(&self) -> String {
        match &self.file {
            Some(file) => format!("line {} of {file}", self.line),
            None => format!("line {}", self.line),
        }
    }
}

/// How the script ended.
#[derive(Clone, Debug, PartialEq)]
pub enum ScriptEnd {
    /// By itself, with a value.
    Returned(Value),
    /// With an error nobody caught, at a line and column.
    Failed(Fault, u32, u32),
}

/// Something a person was told at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// When.
    pub at: Time,
    /// The listed word.
    pub code: String,
    /// For people.
    pub message: String,
    /// The effect it is about.
    pub effect: Option<EffectId>,
}

/// A run that a person ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancelled {
    /// When.
    pub at: Time,
    /// Whether what was done is undone.
    pub undo: bool,
    /// Who.
    pub principal: String,
    /// In their words.
    pub reason: String,
}

/// A request for approval, as its events tell it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApprovalState {
    /// What is asked.
    pub request: Request,
    /// The step that asks, or whose effect is held.
    pub step: StepId,
    /// The effect that is held; `None` when the playbook itself asks.
    pub effect: Option<EffectId>,
    /// When it was asked.
    pub at: Time,
    /// The answers that count, in the order they were recorded.
    pub votes: Vec<Vote>,
    /// How it was decided and when, once it was.
    pub decided: Option<(Time, Decided)>,
}

impl ApprovalState {
    /// True while people may still answer.
    pub fn is_open(&self) -> bool {
        self.decided.is_none()
    }

    /// True once it was decided, and granted.
    pub fn is_granted(&self) -> bool {
        matches!(&self.decided, Some((_, decided)) if decided.granted)
    }
}

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunState {
    /// How it began.
    pub header: Header,
    /// Entries folded.
    pub len: u64,
    /// Digest of the last of them.
    pub last: Digest,
    /// When it began.
    pub started_at: Time,
    /// When its last event was recorded.
    pub updated_at: Time,
    /// The highest claim that appended.
    pub epoch: u64,
    /// Asks by step.
    pub steps: BTreeMap<StepId, Step>,
    /// What the script said, by step.
    pub told: BTreeMap<StepId, Digest>,
    /// Effects.
    pub effects: BTreeMap<EffectId, EffectState>,
    /// Effects in the order they were bound.
    pub order: Vec<EffectId>,
    /// Requests for approval.
    pub approvals: BTreeMap<ApprovalId, ApprovalState>,
    /// Approvals in the order they were asked for.
    pub asked: Vec<ApprovalId>,
    /// How the script ended, once it has.
    pub script: Option<ScriptEnd>,
    /// Why it cannot go on by itself.
    pub parked: Option<String>,
    /// Who ended it, once a person has.
    pub cancelled: Option<Cancelled>,
    /// Signals that were heard, whether they counted or not.
    pub heard: BTreeSet<String>,
    /// Who was told what.
    pub alarms: Vec<Alarm>,
    /// How it ended, once it has.
    pub settled: Option<(Time, End, String)>,
    /// Number of the replay rules it goes by.
    pub engine_abi: u32,
    /// How many runs it started.
    pub children: usize,
    /// Steps without an answer. Follows from `steps`, so that nobody has to look through all of them.
    open: BTreeSet<StepId>,
    /// Effects that something may still follow from, by their place in `order`. Follows from `effects`.
    restless: BTreeMap<usize, EffectId>,
    /// Place in `order` of each effect.
    places: BTreeMap<EffectId, usize>,
    /// The effect that the event being taken in is about.
    touched: Option<EffectId>,
}

/// The journal cannot be folded into a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotFold {
    /// The chain does not hold.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// An entry cannot be read.
    #[error(transparent)]
    Unknown(#[from] UnknownEvent),
    /// The first entry is not the start of a run, or an event names a step or effect that was not begun.
    #[error("the journal of {chain} does not make sense at entry {seq}: {why}")]
    Senseless {
        /// Whose chain.
        chain: String,
        /// Which entry.
        seq: u64,
        /// What is wrong.
        why: String,
    },
}

impl RunState {
    /// Folds a whole journal, checking its chain.
    pub fn fold(entries: &[Entry]) -> Result<RunState, CannotFold> {
        verify(entries)?;
        let senseless = |seq, why: &str| CannotFold::Senseless {
            chain: entries
                .first()
                .map(|entry| entry.chain.to_string())
                .unwrap_or_default(),
            seq,
            why: why.to_owned(),
        };
        let (first, rest) = entries.split_first().ok_or_else(|| senseless(0, "it is empty"))?;
        let (at, event) = first.event()?;
        let Event::RunStarted(header) = event else {
            return Err(senseless(0, "it does not begin with the start of a run"));
        };
        let mut state = RunState::begin(*header, at, first.digest);
        for entry in rest {
            let (at, event) = entry.event()?;
            state
                .apply(at, &event, entry.digest)
                .map_err(|why| senseless(entry.seq, &why))?;
        }
        Ok(state)
    }

    /// A run with its first entry.
    pub fn begin(header: Header, at: Time, digest: Digest) -> RunState {
        RunState {
            engine_abi: header.engine_abi,
            header,
            len: 1,
            last: digest,
            started_at: at,
            updated_at: at,
            epoch: 0,
            steps: BTreeMap::new(),
            told: BTreeMap::new(),
            effects: BTreeMap::new(),
            order: Vec::new(),
            approvals: BTreeMap::new(),
            asked: Vec::new(),
            script: None,
            parked: None,
            cancelled: None,
            heard: BTreeSet::new(),
            alarms: Vec::new(),
            settled: None,
            children: 0,
            open: BTreeSet::new(),
            restless: BTreeMap::new(),
            places: BTreeMap::new(),
            touched: None,
        }
    }

    /// Takes one more event in. An error says what it refers to that is not there; the state is then unusable.
    pub fn apply(&mut self, at: Time, event: &Event, digest: Digest) -> Result<(), String> {
        self.touched = None;
        self.take(at, event, digest)?;
        if let Some((effect, place)) = self
            .touched
            .and_then(|id| self.effects.get(&id).zip(self.places.get(&id).copied()))
        {
            if effect.is_over() {
                self.restless.remove(&place);
            } else {
                self.restless.insert(place, effect.bound.effect);
            }
        }
        Ok(())
    }

    fn take(&mut self, at: Time, event: &Event, digest: Digest) -> Result<(), String> {
        self.len += 1;
        self.last = digest;
        self.updated_at = at;
        match event {
            Event::RunStarted(_) => return Err("a run starts once".into()),
            Event::RunClaimed { epoch, .. } => self.epoch = self.epoch.max(*epoch),
            Event::StepAsked {
                step,
                name,
                args,
                digest,
                line,
                column,
                file,
            } => {
                let asked = Step {
                    name: name.clone(),
                    args: args.clone(),
                    digest: *digest,
                    line: *line,
                    column: *column,
                    file: file.clone(),
                    at,
                    due: None,
                    effects: Vec::new(),
                    child: None,
                    answer: None,
                };
                self.steps.insert(step.clone(), asked);
                self.open.insert(step.clone());
            }
            Event::StepTold { step, digest, .. } => {
                self.told.insert(step.clone(), *digest);
            }
            Event::ChildStarted { step, run, .. } => {
                self.step(step)?.child = Some(*run);
                self.children += 1;
            }
            Event::TimerSet { step, due } => self.step(step)?.due = Some(*due),
            Event::StepAnswered { step, result } => {
                self.step(step)?.answer = Some(result.clone());
                self.open.remove(step);
            }
            Event::EffectBound(bound) => {
                // What rolls back was asked for by no step, so no step is answered by it.
                if !bound.rollback {
                    self.step(&bound.step)?.effects.push(bound.effect);
                }
                self.places.insert(bound.effect, self.order.len());
                self.order.push(bound.effect);
                self.effects
                    .insert(bound.effect, EffectState::new((**bound).clone()));
                self.touched = Some(bound.effect);
            }
            Event::EffectResolved { effect, target, .. } => {
                let state = self.effect(effect)?;
                state.target = Some(target.clone());
                state.failed = None;
                state.failures = 0;
            }
            Event::EffectFailed {
                effect, fault, retry, ..
            } => {
                let state = self.effect(effect)?;
                state.failures += 1;
                state.failed = Some((at, fault.clone(), *retry));
            }
            Event::EffectCaptured { effect, reading, .. } => {
                let state = self.effect(effect)?;
                state.captured = Some(reading.clone());
                state.failed = None;
                state.failures = 0;
            }
            Event::EffectWeighed { effect, verdict } => {
                self.effect(effect)?.verdict = Some((at, verdict.clone()));
            }
            Event::EffectIntended(intent) => {
                let attempt = Attempt {
                    intent: (**intent).clone(),
                    at,
                    ended: None,
                    unanswered: None,
                    probes: 0,
                    failed_probes: 0,
                    probed: None,
                };
                self.effect(&intent.effect)?.attempts.push(attempt);
            }
            Event::EffectEnded {
                effect,
                attempt,
                outcome,
                ..
            } => {
                let state = self.effect(effect)?;
                if *attempt == 0 {
                    if let Outcome::NotDone { fault, .. } = outcome {
                        state.refused = Some(fault.clone());
                        return Ok(());
                    }
                    return Err("an attempt that was never intended has an outcome".into());
                }
                let Some(last) = state.attempts.last_mut().filter(|a| a.intent.attempt == *attempt) else {
                    return Err(format!(
                        "attempt {attempt} of {effect} was not the last one intended"
                    ));
                };
                if matches!(outcome, Outcome::Unknown { .. }) {
                    last.unanswered = Some(at);
                }
                last.ended = Some((at, outcome.clone()));
            }
            Event::EffectProbed { effect, found, .. } => {
                if let Some(last) = self.effect(effect)?.attempts.last_mut() {
                    last.probes += 1;
                    last.failed_probes = if found.is_ok() { 0 } else { last.failed_probes + 1 };
                    last.probed = Some((at, found.clone()));
                }
            }
            Event::EffectVerified {
                effect, verification, ..
            } => {
                let state = self.effect(effect)?;
                state.readings += 1;
                state.verification = Some((at, *verification));
            }
            Event::ApprovalRequested {
                step,
                effect,
                request,
            } => {
                self.step(step)?;
                if let Some(effect) = effect {
                    self.effect(effect)?;
                }
                let state = ApprovalState {
                    request: (**request).clone(),
                    step: step.clone(),
                    effect: *effect,
                    at,
                    votes: Vec::new(),
                    decided: None,
                };
                if self.approvals.insert(request.approval, state).is_some() {
                    return Err(format!("{} was asked for before", request.approval));
                }
                self.asked.push(request.approval);
            }
            Event::ApprovalVoted { approval, vote } => {
                self.open_approval(approval)?.votes.push(vote.clone());
            }
            Event::ApprovalDecided { approval, decided } => {
                self.open_approval(approval)?.decided = Some((at, decided.clone()));
            }
            Event::EffectInDoubt { effect, why } => self.effect(effect)?.in_doubt = Some(why.clone()),
            Event::EffectResolvedBy {
                effect,
                happened,
                principal,
                reason,
                signal,
            } => {
                self.heard.insert(signal.clone());
                let state = self.effect(effect)?;
                state.in_doubt = None;
                state.said = Some(Said {
                    at,
                    principal: principal.clone(),
                    happened: *happened,
                    reason: reason.clone(),
                });
                let Some(last) = state.attempts.last_mut() else {
                    return Err(format!("{effect} is in doubt and was never intended"));
                };
                if *happened {
                    let outcome = Outcome::Done {
                        how: Done::Told,
                        result: Value::Null,
                    };
                    last.ended = Some((at, outcome));
                } else {
                    let message = format!("{principal} looked and says that it did not happen: {reason}");
                    state.refused = Some(Fault::new(SAID_NOT, message));
                }
            }
            Event::EffectLanded { effect, .. } => {
                let state = self.effect(effect)?;
                state.verification = None;
                state.readings = 0;
                let Some(last) = state.attempts.last_mut() else {
                    return Err(format!("{effect} was never intended"));
                };
                let message =
                    "a request that had got no answer arrived after it and changed the target again";
                let outcome = Outcome::NotDone {
                    fault: Fault::new(LANDED_LATE, message),
                    retry: Retry::Backoff,
                };
                last.ended = Some((at, outcome));
            }
            Event::RunCancelled {
                undo,
                principal,
                reason,
                signal,
            } => {
                self.heard.insert(signal.clone());
                self.parked = None;
                self.cancelled = Some(Cancelled {
                    at,
                    undo: *undo,
                    principal: principal.clone(),
                    reason: reason.clone(),
                });
            }
            Event::RunRetried { signal, .. } => {
                self.heard.insert(signal.clone());
                self.parked = None;
            }
            Event::SignalRefused { signal, .. } => {
                self.heard.insert(signal.clone());
            }
            Event::Alarmed {
                code,
                message,
                effect,
            } => {
                let alarm = Alarm {
                    at,
                    code: code.clone(),
                    message: message.clone(),
                    effect: *effect,
                };
                self.alarms.push(alarm);
            }
            Event::ScriptReturned { value } => self.script = Some(ScriptEnd::Returned(value.clone())),
            Event::ScriptFailed {
                fault, line, column, ..
            } => {
                self.script = Some(ScriptEnd::Failed(fault.clone(), *line, *column));
            }
            Event::RunCarriedOver { to, .. } => self.engine_abi = *to,
            Event::RunParked { why } => self.parked = Some(why.clone()),
            Event::RunSettled { end, why } => self.settled = Some((at, *end, why.clone())),
            Event::AlertAccepted { .. }
            | Event::AlertSplit { .. }
            | Event::AlertUnreadable { .. }
            | Event::AlertControl { .. }
            | Event::AlertReopened { .. } => return Err(format!("`{}` belongs to an alert", event.kind())),
        }
        Ok(())
    }

    fn step(&mut self, step: &StepId) -> Result<&mut Step, String> {
        self.steps
            .get_mut(step)
            .ok_or_else(|| format!("step {step} was never asked"))
    }

    fn effect(&mut self, effect: &EffectId) -> Result<&mut EffectState, String> {
        self.touched = Some(*effect);
        self.effects
            .get_mut(effect)
            .ok_or_else(|| format!("{effect} was never bound"))
    }

    /// One that is not decided: whatever comes after the decision has no place in a journal.
    fn open_approval(&mut self, approval: &ApprovalId) -> Result<&mut ApprovalState, String> {
        match self.approvals.get_mut(approval) {
            Some(state) if state.is_open() => Ok(state),
            Some(_) => Err(format!("{approval} was decided before")),
            None => Err(format!("{approval} was never asked for")),
        }
    }

    /// Approvals in the order they were asked for.
    pub fn approvals_in_order(&self) -> impl DoubleEndedIterator<Item = &ApprovalState> {
        self.asked.iter().filter_map(|id| self.approvals.get(id))
    }

    /// Effects in the order they were bound.
    pub fn effects_in_order(&self) -> impl DoubleEndedIterator<Item = &EffectState> {
        self.order.iter().filter_map(|id| self.effects.get(id))
    }

    /// Effects of which a person has to say whether they happened, in the order they were bound.
    pub fn doubts(&self) -> impl Iterator<Item = &EffectState> {
        self.effects_in_order().filter(|effect| effect.in_doubt.is_some())
    }

    /// How many asks have an answer: grows by one or more whenever there is reason to evaluate again.
    pub fn answered(&self) -> usize {
        self.steps.len() - self.open.len()
    }

    /// The asks without an answer, in the order of their places.
    pub fn open_steps(&self) -> impl Iterator<Item = (&StepId, &Step)> {
        self.open.iter().filter_map(|id| self.steps.get_key_value(id))
    }

    /// The effects that something may still follow from, in the order they were bound: of all others everything was
    /// said. A run over thousands has few of them at a time.
    pub fn restless(&self) -> impl Iterator<Item = &EffectState> {
        self.restless.values().filter_map(|id| self.effects.get(id))
    }

    /// The part of the state that work on one step and on one effect needs: those two, every approval, and the effects
    /// that approvals may be about. Its inputs are left out.
    pub fn excerpt(&self, step: Option<&StepId>, effect: Option<&EffectId>) -> RunState {
        let mut header = self.header.clone();
        header.inputs = BTreeMap::new();
        let mut part = RunState::begin(header, self.started_at, self.last);
        part.len = self.len;
        part.updated_at = self.updated_at;
        part.epoch = self.epoch;
        part.children = self.children;
        part.approvals.clone_from(&self.approvals);
        part.asked.clone_from(&self.asked);
        let effects: Vec<EffectId> = match effect {
            _ if !self.approvals.is_empty() => self.order.clone(),
            Some(effect) => vec![*effect],
            None => Vec::new(),
        };
        for id in effects {
            if let Some(effect) = self.effects.get(&id) {
                part.order.push(id);
                part.effects.insert(id, effect.clone());
            }
        }
        let of_effect = effect
            .and_then(|id| self.effects.get(id))
            .map(|effect| &effect.bound.step);
        for id in [step, of_effect].into_iter().flatten() {
            if let Some(step) = self.steps.get(id) {
                part.steps.insert(id.clone(), step.clone());
            }
        }
        part
    }

    /// The least that verification says of the effects that happened; `Yes` when there are none.
    pub fn worst_verification(&self) -> Verification {
        self.effects
            .values()
            .filter(|effect| effect.has_to_be_seen())
            .map(|effect| {
                effect
                    .verification
                    .map_or(Verification::Pending, |(_, word)| word)
            })
            .max()
            .unwrap_or(Verification::Yes)
    }
}
