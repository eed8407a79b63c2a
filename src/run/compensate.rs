//! What becomes of a run's effects when it does not end well: they stay, they are undone in reverse, or people are
//! asked which. Pure: read off the state and the moment, as `next` is; which doing follows is written there.

use std::collections::{BTreeMap, BTreeSet};

use crate::action::{Fault, Outcome, Verification};
use crate::clock::Time;
use crate::id::{ApprovalId, EffectId, RunId};
use crate::journal::{ApprovalState, EffectState, Event, OnFailure, RunState, ScriptEnd, Stage};
use crate::limits::{UNDO_PAUSE_FIRST_MS, UNDO_TRIES_MAX};

/// Code of the alarm of an undo that is stuck.
pub const UNDO_FAILED: &str = "undo-failed";
/// Codes of faults that a person was told of already, and that another try would meet again.
const TOLD: [&str; 2] = ["changed-since", "hold-differs"];
/// Code of the fault of what is not begun any more because the run was cancelled.
pub const CANCELLED: &str = "cancelled";
/// Code of the fault of what is not begun any more because the run is rolled back.
pub const ROLLED_BACK: &str = "rolled-back";
/// Targets named in the words of an end.
const NAMED_MAX: usize = 5;

/// Where a run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// Its script goes on, or has returned.
    On,
    /// It failed, and people are asked what becomes of it.
    Asking,
    /// What was done stays.
    Keeping,
    /// What was done is undone in reverse.
    Undoing,
}

/// Where the run goes now.
pub fn course(state: &RunState) -> Course {
    if let Some(cancelled) = &state.cancelled {
        return if cancelled.undo {
            Course::Undoing
        } else {
            Course::Keeping
        };
    }
    let Some(ScriptEnd::Failed(..)) = &state.script else {
        return Course::On;
    };
    match state.header.on_failure {
        OnFailure::Keep => Course::Keeping,
        OnFailure::RollBack => Course::Undoing,
        OnFailure::Ask => match question(state) {
            Some(asked) if asked.is_open() => Course::Asking,
            Some(asked) if asked.is_granted() => Course::Undoing,
            Some(_) => Course::Keeping,
            // Where nothing can be undone there is nothing to ask.
            None if to_undo(state).next().is_none() => Course::Keeping,
            None => Course::Asking,
        },
    }
}

/// The id of the question whether a run that failed is rolled back.
pub fn question_id(run: RunId) -> ApprovalId {
    ApprovalId::of_run(run, &["on-failure".to_owned()])
}

/// That question, once it was put.
pub fn question(state: &RunState) -> Option<&ApprovalState> {
    state.approvals.get(&question_id(state.header.run))
}

/// Why nothing new is begun for an effect that waits for its turn; `None` while it may be.
pub fn not_begun(state: &RunState, effect: &EffectState) -> Option<Fault> {
    let undoing = course(state) == Course::Undoing;
    if effect.bound.rollback && undoing {
        return None;
    }
    if let Some(cancelled) = &state.cancelled {
        let message = format!("{} cancelled the run: {}", cancelled.principal, cancelled.reason);
        return Some(Fault::new(CANCELLED, message));
    }
    undoing.then(|| Fault::new(ROLLED_BACK, "the playbook failed, and what it did is undone"))
}

/// What the run did that can be undone, last first, whether it was undone since or not.
pub fn to_undo(state: &RunState) -> impl Iterator<Item = &EffectState> {
    state.effects_in_order().rev().filter(|effect| {
        let bound = &effect.bound;
        bound.reverts.is_none()
            && bound.spec.changes()
            && bound.spec.undo.is_some()
            && effect.target.is_some()
            && matches!(effect.stage(), Stage::Done)
    })
}

/// What restores each effect within its own run, in the order of the tries.
type Tries<'a> = BTreeMap<EffectId, Vec<&'a EffectState>>;

fn tries(state: &RunState) -> Tries<'_> {
    let mut tries = Tries::new();
    for effect in state.effects_in_order() {
        if let Some(reverts) = &effect.bound.reverts {
            tries.entry(reverts.effect).or_default().push(effect);
        }
    }
    tries
}

/// How the undo of one effect stands.
#[derive(Clone, Debug, PartialEq)]
enum Undo {
    /// To be begun, at this moment.
    Due(Time),
    /// Under way.
    Busy,
    /// The target is as it was before, or as others hold it.
    Undone,
    /// Sent, and not seen to be so.
    Unseen,
    /// Given up: a person has to look.
    Stuck(Fault),
}

fn standing(tries: &Tries<'_>, effect: &EffectState) -> Undo {
    let tries = tries
        .get(&effect.bound.effect)
        .map(Vec::as_slice)
        .unwrap_or_default();
    // One that the script itself asked for and that did not come about is no try of ours.
    let ours = tries.iter().filter(|one| one.bound.rollback).count();
    let Some(last) = tries.last() else {
        return Undo::Due(Time(0));
    };
    let again = |at: Time, fault: Fault| {
        if TOLD.contains(&fault.code.as_str()) || ours >= UNDO_TRIES_MAX {
            return Undo::Stuck(fault);
        }
        let doublings = u32::try_from(ours.saturating_sub(1)).unwrap_or(u32::MAX).min(20);
        let pause_ms = if ours == 0 {
            0
        } else {
            UNDO_PAUSE_FIRST_MS << doublings
        };
        Undo::Due(at.plus_ms(pause_ms))
    };
    match last.stage() {
        Stage::NotDone(fault) => again(ended_at(last), fault),
        Stage::Done if !last.is_settled() => Undo::Busy,
        Stage::Done => match last.verification {
            Some((at, Verification::Contradicted | Verification::NotInForce)) => {
                let message = format!("{} was sent and is not in force", last.bound.spec.name);
                again(at, Fault::new("contradicted", message))
            }
            Some((_, Verification::Unverifiable)) if last.bound.spec.unseen.is_none() => Undo::Unseen,
            _ => Undo::Undone,
        },
        _ => Undo::Busy,
    }
}

/// When an effect was last heard of.
fn ended_at(effect: &EffectState) -> Time {
    let ended = effect
        .last()
        .and_then(|attempt| attempt.ended.as_ref().map(|(at, _)| *at));
    let failed = effect.failed.as_ref().map(|(at, ..)| *at);
    ended.max(failed).unwrap_or_default()
}

/// What to do next to undo what the run did.
#[derive(Clone, Debug, PartialEq)]
pub enum Undoing {
    /// Begin to undo this effect.
    Begin(EffectId),
    /// Tell a person that it is stuck.
    Tell(Vec<Event>),
    /// Nothing until this moment, or until what is under way has ended.
    Wait(Option<(Time, String)>),
    /// Nothing more will be done.
    Over,
}

/// What to do next. One undo is begun after the other, last first; one that fails is tried again with growing pauses
/// and keeps no other from its turn; whoever is in doubt stops it until a person has said.
pub fn undoing(state: &RunState, now: Time) -> Undoing {
    let is_open = |effect: &EffectState| !effect.is_closed();
    if state.doubts().next().is_some() || state.effects.values().any(is_open) {
        return Undoing::Wait(None);
    }
    let told: BTreeSet<EffectId> = state
        .alarms
        .iter()
        .filter(|alarm| alarm.code == UNDO_FAILED)
        .filter_map(|alarm| alarm.effect)
        .collect();
    let tries = tries(state);
    let mut wait: Option<(Time, String)> = None;
    let mut busy = false;
    for effect in to_undo(state) {
        let id = effect.bound.effect;
        match standing(&tries, effect) {
            _ if told.contains(&id) => {}
            Undo::Due(at) if at <= now => return Undoing::Begin(id),
            Undo::Due(at) => {
                if wait.as_ref().is_none_or(|(earliest, _)| at < *earliest) {
                    wait = Some((at, format!("another try to undo {}", label(effect))));
                }
            }
            Undo::Busy => busy = true,
            Undo::Stuck(fault) if !TOLD.contains(&fault.code.as_str()) => {
                return Undoing::Tell(vec![stuck(state, effect, &fault)]);
            }
            Undo::Undone | Undo::Unseen | Undo::Stuck(_) => {}
        }
    }
    match (wait, busy) {
        (None, false) => Undoing::Over,
        (wait, _) => Undoing::Wait(wait),
    }
}

/// The page about an undo that is stuck.
fn stuck(state: &RunState, effect: &EffectState, fault: &Fault) -> Event {
    let id = effect.bound.effect;
    let tries = tries(state).get(&id).map_or(0, Vec::len);
    Event::Alarmed {
        code: UNDO_FAILED.into(),
        message: format!(
            "{} could not be undone in {tries} tries: {fault}; it is still so. Mend the cause, then `cordon undo {id} --run {} --reason …`",
            label(effect),
            state.header.run
        ),
        effect: Some(id),
    }
}

/// The page about an undo that cannot even be begun, because nothing can be asked to do it.
pub fn cannot_begin(state: &RunState, effect: &EffectState, fault: &Fault) -> Event {
    stuck(state, effect, fault)
}

/// An action and its target, for people.
pub fn label(effect: &EffectState) -> String {
    let about = effect
        .target
        .as_ref()
        .map(|target| format!(" on {}", target.label()));
    format!("{}{}", effect.bound.spec.name, about.unwrap_or_default())
}

/// What the effects of a run came to, once it is given up and everything is at rest.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Changes that were undone.
    pub undone: usize,
    /// Changes that could be undone and were not, or were not seen to be.
    pub stuck: Vec<String>,
    /// Changes of a target that cannot be undone.
    pub staying: Vec<String>,
}

/// What is left of a run that is undone.
pub fn left(state: &RunState) -> Left {
    let mut left = Left::default();
    let tries = tries(state);
    for effect in to_undo(state) {
        match standing(&tries, effect) {
            Undo::Undone => left.undone += 1,
            Undo::Unseen => left
                .stuck
                .push(format!("{} (undone, not seen to be)", label(effect))),
            Undo::Due(_) | Undo::Busy | Undo::Stuck(_) => left.stuck.push(label(effect)),
        }
    }
    left.staying = state
        .effects_in_order()
        .filter(|effect| is_irreversible(effect))
        .map(label)
        .collect();
    left
}

/// A change of a target that was made and that nothing takes back. What only says something, such as a message, has
/// no target and is not counted.
fn is_irreversible(effect: &EffectState) -> bool {
    let spec = &effect.bound.spec;
    spec.changes()
        && spec.undo.is_none()
        && effect.bound.reverts.is_none()
        && effect.target.is_some()
        && matches!(effect.done(), Some((_, Outcome::Done { .. })))
}

/// Some names, and how many more there are.
pub fn named(names: &[String]) -> String {
    let shown = names
        .iter()
        .take(NAMED_MAX)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

impl Left {
    /// In words, to follow why it was undone.
    pub fn words(&self) -> String {
        let mut words = match self.undone {
            0 if self.stuck.is_empty() => "nothing was done that can be undone".to_owned(),
            n => format!("{n} effect(s) undone"),
        };
        if !self.stuck.is_empty() {
            words.push_str(&format!(
                ", {} NOT undone: {}",
                self.stuck.len(),
                named(&self.stuck)
            ));
        }
        if !self.staying.is_empty() {
            words.push_str(&format!("; cannot be undone and stays: {}", named(&self.staying)));
        }
        words
    }
}
