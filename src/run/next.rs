//! Says the next thing to do for a run. Pure: the same state and the same moment give the same answer. The
//! order of an effect's stages is written here and nowhere else.

use std::collections::{HashMap, HashSet};

use super::child::{self, Handed, Handing, is_child};
use super::compensate::{self, Course, Undoing};
use super::consent::{self, APPROVE};
use super::{approve, receipt, signals};
use crate::action::{Class, Fault, Outcome, Retry, Standing, Verification};
use crate::approval::Request;
use crate::clock::{Time, duration_ms, duration_text};
use crate::id::EffectId;
use crate::journal::{
    Answered, ApprovalState, EffectState, End, Event, NO_ANSWER, RunState, ScriptEnd, Stage, Step,
};
use crate::limits::{
    ATTEMPTS_MAX, BACKOFF_FIRST_MS, BACKOFF_MS_MAX, CHILD_GLANCE_MS, CHILD_LOOK_MS, DOUBT_LOOK_MS,
    VOTES_LOOK_MS,
};
use crate::script::StepId;

/// For so many recorded answers, those that come are gathered a millisecond longer: 200 ms with 10,000 of them, of which
/// one evaluation takes about half.
const ANSWERS_PER_GATHERED_MS: usize = 50;
/// Effects of one run that are worked on at once.
const EFFECTS_AT_ONCE: usize = 32;

/// What a worker knows beside the journal. All of it may be lost at any time.
#[derive(Debug, Default)]
pub struct Progress {
    /// The claim we work under.
    pub epoch: u64,
    /// How many answers the last evaluation saw; `None` before the first.
    pub evaluated: Option<usize>,
    /// An evaluation that was cut off is tried again after this moment.
    pub evaluate_after: Option<Time>,
    /// Since when there is an answer that no evaluation has seen.
    pub unseen_since: Option<Time>,
    /// Tasks under way.
    pub busy: HashSet<Task>,
    /// When the votes of people were last read under this claim.
    pub votes_at: Option<Time>,
    /// When the runs that steps started were last looked at.
    pub children_at: HashMap<StepId, Time>,
    /// What the runs that steps started were told under this claim, once this one is given up.
    pub children_told: HashMap<StepId, Handed>,
    /// When the words of people for this run were last read under this claim.
    pub heard_at: Option<Time>,
    /// Effects to leave alone until a moment: their target was locked by another.
    pub not_before: HashMap<EffectId, Time>,
    /// True once the script can no longer be replayed: effects are seen to their end, then the run is parked.
    pub parking: bool,
    /// True while everything is halted, or nobody can say.
    pub halted: bool,
}

/// Something to do that takes the world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// Find which connector instances an ask means.
    Bind(StepId),
    /// Put a question to people.
    Ask(StepId),
    /// Start the run of another playbook that a step asks for.
    StartChild(StepId),
    /// Look whether that run is over.
    LookAtChild(StepId),
    /// Tell that run that this one is given up.
    TellChild(StepId),
    /// Ask people whether a run that failed is rolled back.
    AskWhetherToUndo,
    /// Read what people have answered.
    CountVotes,
    /// Read what people have said to this run.
    Hear,
    /// Begin to undo an effect of this run, because the run is given up.
    Undo(EffectId),
    /// Find the vendor's id of the target.
    Resolve(EffectId),
    /// Lock the target, read its state, weigh, hold, intend.
    Prepare(EffectId),
    /// Do it.
    Act(EffectId),
    /// Look whether an attempt without an answer happened.
    Probe(EffectId),
    /// Read back.
    Verify(EffectId),
}

/// The next thing.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Write these down; they follow from what is known.
    Record(Vec<Event>),
    /// Do this.
    Perform(Task),
    /// Run the script.
    Evaluate,
    /// Nothing until then; `None` when only tasks under way can change anything.
    Wait {
        /// When to look again.
        until: Option<Time>,
        /// What for, in words.
        why: String,
    },
    /// The run is over or parked.
    Over,
}

/// The next thing to do for this run now.
pub fn next(state: &RunState, progress: &Progress, now: Time) -> Next {
    if state.settled.is_some() {
        return Next::Over;
    }
    // What people say is heard first: a run that is cancelled begins nothing more, and a parked one is not parked then.
    if words_are_due(state, progress, now) && !progress.busy.contains(&Task::Hear) {
        return Next::Perform(Task::Hear);
    }
    if state.parked.is_some() {
        if !progress.busy.contains(&Task::Hear) {
            return Next::Over;
        }
        let why = "what people have said".to_owned();
        return Next::Wait { until: None, why };
    }
    // Before anything follows from the time that has passed: what people said within theirs counts.
    if votes_are_due(state, progress, now) && !progress.busy.contains(&Task::CountVotes) {
        return Next::Perform(Task::CountVotes);
    }
    let consequences = consequences(state, progress, now);
    if !consequences.is_empty() {
        return Next::Record(consequences);
    }
    let mut wait = Earliest::default();
    let course = compensate::course(state);
    let goes_on = course == Course::On && state.script.is_none();
    if progress.busy.len() < EFFECTS_AT_ONCE {
        // A run that is going to be parked begins nothing; what is under way is seen to its end.
        let open = state
            .open_steps()
            .filter(|_| !progress.parking && !is_given_up(state));
        for (step, asked) in open {
            if asked.effects.is_empty() && !is_wait(asked) {
                let task = if is_child(asked) {
                    match of_child(state, step, asked, progress, now, &mut wait) {
                        Some(task) => task,
                        None => continue,
                    }
                } else if asked.name != APPROVE {
                    Task::Bind(step.clone())
                } else if approval_of(state, step).is_none() {
                    Task::Ask(step.clone())
                } else {
                    continue;
                };
                if !progress.busy.contains(&task) {
                    return Next::Perform(task);
                }
            }
        }
        let restless = state.restless();
        for effect in restless.filter(|effect| !progress.parking || !has_not_begun(effect)) {
            if let Some(task) = task_for(state, effect, progress, now, &mut wait)
                && !is_busy(progress, effect.bound.effect)
            {
                return Next::Perform(task);
            }
        }
    }
    if goes_on && !progress.parking && progress.evaluated != Some(state.answered()) {
        match progress.evaluate_after.or_else(|| gathering(state, progress)) {
            Some(after) if after > now => wait.note(after, || "another try to evaluate the playbook".into()),
            _ => return Next::Evaluate,
        }
    }
    if progress.busy.is_empty()
        && let Some(next) = given_up(state, progress, course, now, &mut wait)
    {
        return next;
    }
    // A worker that had the run from its beginning has not listened yet.
    if progress.heard_at.is_none() && !progress.busy.contains(&Task::Hear) {
        return Next::Perform(Task::Hear);
    }
    for (_, asked) in state.open_steps().filter(|_| goes_on) {
        if let Some(due) = asked.due {
            wait.note(due, || format!("the wait at {} until {due}", asked.place()));
        }
    }
    for approval in open_approvals(state) {
        let Request { by, until, .. } = &approval.request;
        wait.note(*until, || format!("the approval of {by} until {until}"));
    }
    if goes_on {
        wait.note(state.header.deadline, || "its deadline".into());
    }
    if let Some(asks) = signals::asks(state) {
        wait.note(now.plus_ms(DOUBT_LOOK_MS), String::new);
        wait.why = asks;
    }
    Next::Wait {
        until: wait.until,
        why: wait.why,
    }
}

/// Until when answers are gathered before the playbook is evaluated again: an evaluation begins at the top, so one for
/// each of thousands of answers would cost their square. None while there are few, or nothing else is under way.
fn gathering(state: &RunState, progress: &Progress) -> Option<Time> {
    let since = progress
        .unseen_since
        .filter(|_| !progress.busy.is_empty() && progress.evaluated.is_some())?;
    let pause_ms = u64::try_from(state.answered() / ANSWERS_PER_GATHERED_MS).unwrap_or(u64::MAX);
    (pause_ms > 0).then(|| since.plus_ms(pause_ms))
}

/// What to do about the run that a step asks for, or when. Once the script is over nothing is begun for it.
fn of_child(
    state: &RunState,
    step: &StepId,
    asked: &Step,
    progress: &Progress,
    now: Time,
    wait: &mut Earliest,
) -> Option<Task> {
    if state.script.is_some() || progress.parking {
        return None;
    }
    let Some(run) = asked.child else {
        return Some(Task::StartChild(step.clone()));
    };
    let pause_ms = if progress.busy.is_empty() {
        CHILD_LOOK_MS
    } else {
        CHILD_GLANCE_MS
    };
    match progress.children_at.get(step) {
        Some(at) if at.plus_ms(pause_ms) > now => {
            wait.note(at.plus_ms(pause_ms), || {
                format!("the end of {run}, started at {}", asked.place())
            });
            None
        }
        _ => Some(Task::LookAtChild(step.clone())),
    }
}

/// What is left to do for a run once nothing is under way: tell the runs it started, undo, ask, or say that it is over.
fn given_up(
    state: &RunState,
    progress: &Progress,
    course: Course,
    now: Time,
    wait: &mut Earliest,
) -> Option<Next> {
    match child::handing(state, progress, now) {
        Handing::Now(task) => return Some(Next::Perform(task)),
        Handing::At(at, why) => {
            wait.note(at, || why);
            return None;
        }
        Handing::Over => {}
    }
    match course {
        Course::On | Course::Keeping => {}
        Course::Asking => {
            let is_asked = compensate::question(state).is_some();
            return (!is_asked && is_at_rest(state)).then_some(Next::Perform(Task::AskWhetherToUndo));
        }
        Course::Undoing => match compensate::undoing(state, now) {
            Undoing::Begin(effect) => return Some(Next::Perform(Task::Undo(effect))),
            Undoing::Tell(events) => return Some(Next::Record(events)),
            Undoing::Wait(until) => {
                if let Some((at, why)) = until {
                    wait.note(at, || why);
                }
                return None;
            }
            Undoing::Over => {}
        },
    }
    settle(state).map(Next::Record)
}

/// True once nothing that the script asks for is begun any more.
fn is_given_up(state: &RunState) -> bool {
    state.cancelled.is_some() || compensate::course(state) == Course::Undoing
}

/// True when there may be words of people that nobody has heard: at the beginning of a claim and now and then while
/// it lasts. A first claim listens before it waits for anything, since hardly anybody has said anything by then.
fn words_are_due(state: &RunState, progress: &Progress, now: Time) -> bool {
    match progress.heard_at {
        Some(heard) => now >= heard.plus_ms(VOTES_LOOK_MS),
        None => progress.epoch > 1 || state.parked.is_some(),
    }
}

/// The earliest of several moments, with what happens then.
#[derive(Default)]
struct Earliest {
    until: Option<Time>,
    why: String,
}

impl Earliest {
    fn note(&mut self, at: Time, why: impl FnOnce() -> String) {
        if self.until.is_none_or(|until| at < until) {
            self.until = Some(at);
            self.why = why();
        }
    }
}

fn open_approvals(state: &RunState) -> impl Iterator<Item = &ApprovalState> {
    state.approvals_in_order().filter(|approval| approval.is_open())
}

/// The request that a step of the playbook made.
fn approval_of<'a>(state: &'a RunState, step: &StepId) -> Option<&'a ApprovalState> {
    if state.steps.get(step).is_none_or(|asked| asked.name != APPROVE) {
        return None;
    }
    state
        .approvals
        .values()
        .find(|approval| approval.effect.is_none() && approval.step == *step)
}

/// True when there may be votes nobody has read: at the beginning of a claim, now and then while it lasts, and
/// when the time of a request is over.
fn votes_are_due(state: &RunState, progress: &Progress, now: Time) -> bool {
    let mut open = open_approvals(state).peekable();
    if open.peek().is_none() {
        return false;
    }
    progress.votes_at.is_none_or(|read| {
        now >= read.plus_ms(VOTES_LOOK_MS)
            || open.any(|approval| read < approval.request.until && approval.request.until <= now)
    })
}

fn is_wait(step: &Step) -> bool {
    step.name == "wait"
}

fn is_busy(progress: &Progress, effect: EffectId) -> bool {
    progress.busy.iter().any(|task| match task {
        Task::Bind(_)
        | Task::Ask(_)
        | Task::StartChild(_)
        | Task::LookAtChild(_)
        | Task::TellChild(_)
        | Task::AskWhetherToUndo
        | Task::CountVotes
        | Task::Hear => false,
        Task::Undo(id)
        | Task::Resolve(id)
        | Task::Prepare(id)
        | Task::Act(id)
        | Task::Probe(id)
        | Task::Verify(id) => *id == effect,
    })
}

/// What follows from what is known, without doing anything.
fn consequences(state: &RunState, progress: &Progress, now: Time) -> Vec<Event> {
    let mut events = Vec::new();
    for effect in state.restless() {
        events.extend(of_effect(effect, progress, now));
        events.extend(not_begun(state, effect));
    }
    for approval in open_approvals(state) {
        events.extend(of_approval(state, approval, progress));
    }
    if !events.is_empty() {
        return events;
    }
    for (step, asked) in state.open_steps().filter(|_| !is_given_up(state)) {
        if is_wait(asked) {
            events.extend(of_wait(step, asked, now));
        } else if let Some(value) = approval_of(state, step).and_then(approve::answer_of) {
            events.push(Event::StepAnswered {
                step: step.clone(),
                result: Answered::Value(value),
            });
        } else if let Some(result) = receipt::answer(state, asked) {
            events.push(Event::StepAnswered {
                step: step.clone(),
                result,
            });
        }
    }
    if events.is_empty() && state.script.is_none() && !is_given_up(state) && now >= state.header.deadline {
        let allowed = duration_text(state.header.deadline.since_ms(state.started_at));
        let fault = Fault::new(DEADLINE, format!("the run did not end within {allowed}"));
        events.push(Event::ScriptFailed {
            fault,
            line: 0,
            column: 0,
            file: None,
        });
    }
    events
}

/// The end of a request that nobody can or need answer any more.
fn of_approval(state: &RunState, approval: &ApprovalState, progress: &Progress) -> Option<Event> {
    let is_question = approval.request.approval == compensate::question_id(state.header.run);
    let over = match approval.effect.and_then(|id| state.effects.get(&id)) {
        Some(effect) => effect.is_closed(),
        None => state.cancelled.is_some() || (state.script.is_some() && !is_question),
    };
    if over && let Some(cancelled) = &state.cancelled {
        let why = format!("{} cancelled the run", cancelled.principal);
        return Some(consent::denied(approval, why));
    }
    if over {
        return Some(consent::denied(approval, "what it was asked for has ended"));
    }
    // Votes given in time were read after its end, so none of them is passed over.
    let read = progress.votes_at.is_some_and(|at| at >= approval.request.until);
    read.then(|| consent::expired(approval))
}

fn of_wait(step: &StepId, asked: &Step, now: Time) -> Option<Event> {
    let Some(due) = asked.due else {
        let written = asked
            .args
            .first()
            .and_then(|value| value.as_str())
            .unwrap_or_default();
        return Some(match duration_ms(written) {
            Some(ms) => Event::TimerSet {
                step: step.clone(),
                due: asked.at.plus_ms(ms),
            },
            None => {
                let message = format!("`{written}` is not a duration: write `90s`, `10m`, `4h` or `2d`");
                let fault = Fault::new("bad-argument", message);
                Event::StepAnswered {
                    step: step.clone(),
                    result: Answered::Fault(fault),
                }
            }
        });
    };
    (due <= now).then(|| Event::StepAnswered {
        step: step.clone(),
        result: Answered::Value(serde_json::Value::Null),
    })
}

/// Once a run was given up, nothing new is begun for it.
fn not_begun(state: &RunState, effect: &EffectState) -> Option<Event> {
    if !has_not_begun(effect) {
        return None;
    }
    let fault = compensate::not_begun(state, effect).or_else(|| match &state.script {
        Some(ScriptEnd::Failed(fault, ..)) if fault.code == DEADLINE && !effect.bound.rollback => {
            Some(fault.clone())
        }
        _ => None,
    })?;
    Some(Event::EffectEnded {
        effect: effect.bound.effect,
        attempt: 0,
        outcome: Outcome::NotDone {
            fault,
            retry: Retry::Never,
        },
        requests: Vec::new(),
        duration_ms: 0,
    })
}

/// Code of the fault of a run that was given up for its deadline.
const DEADLINE: &str = "deadline";

fn of_effect(effect: &EffectState, progress: &Progress, now: Time) -> Vec<Event> {
    let id = effect.bound.effect;
    let Some(attempt) = effect.last() else {
        return Vec::new();
    };
    if let Stage::InDoubt = effect.stage()
        && effect.in_doubt.is_none()
    {
        return doubt(effect, "an attempt got no answer, and later ones were refused");
    }
    let ended = |outcome| Event::EffectEnded {
        effect: id,
        attempt: attempt.intent.attempt,
        outcome,
        requests: Vec::new(),
        duration_ms: now.since_ms(attempt.at),
    };
    match effect.stage() {
        Stage::Intended(epoch) if epoch != progress.epoch && !is_busy(progress, id) => {
            let message = "the worker that sent it ended before it could write down an answer";
            vec![ended(Outcome::Unknown {
                fault: Fault::new("worker-lost", message),
            })]
        }
        Stage::Unknown if effect.bound.spec.class == Class::Opaque => doubt(
            effect,
            "the action cannot be looked up afterwards and must not be repeated",
        ),
        Stage::Unknown if effect.bound.spec.class == Class::Keyed => {
            // The vendor tells repeats by the key, so trying again is looking.
            let message = "no answer; it is tried again under the same key";
            let outcome = Outcome::NotDone {
                fault: Fault::new(NO_ANSWER, message),
                retry: Retry::Backoff,
            };
            if attempt.intent.attempt < ATTEMPTS_MAX {
                vec![ended(outcome)]
            } else {
                doubt(effect, "the vendor never answered")
            }
        }
        Stage::Unknown => match &attempt.probed {
            Some((at, Err(_))) if attempt.failed_probes >= ATTEMPTS_MAX && *at >= quiet(effect) => {
                doubt(effect, "the target could not be read")
            }
            Some((at, Ok(_))) if *at >= quiet(effect) => {
                let message = "no answer came, and looking afterwards shows that it did not happen";
                vec![ended(Outcome::NotDone {
                    fault: Fault::new("not-done", message),
                    retry: Retry::Backoff,
                })]
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// Nobody can see whether an effect happened: written down, and told at once.
pub(super) fn doubt(effect: &EffectState, why: &str) -> Vec<Event> {
    let name = &effect.bound.spec.name;
    let about = effect
        .target
        .as_ref()
        .map(|target| format!(" on {}", target.label()))
        .unwrap_or_default();
    let id = effect.bound.effect;
    let message = format!(
        "{name}{about} may or may not have happened: {why}; look, then say `cordon resolve {id} --happened` or `--did-not`"
    );
    vec![
        Event::EffectInDoubt {
            effect: effect.bound.effect,
            why: why.to_owned(),
        },
        Event::Alarmed {
            code: "in-doubt".into(),
            message,
            effect: Some(effect.bound.effect),
        },
    ]
}

/// What to do about one effect now, or when.
fn task_for(
    state: &RunState,
    effect: &EffectState,
    progress: &Progress,
    now: Time,
    wait: &mut Earliest,
) -> Option<Task> {
    let id = effect.bound.effect;
    let name = || {
        let about = effect
            .target
            .as_ref()
            .map(|target| format!(" on {}", target.label()));
        format!("{}{}", effect.bound.spec.name, about.unwrap_or_default())
    };
    let mut at = |when: Time, task: Task, why: &dyn Fn() -> String| {
        if when <= now {
            return Some(task);
        }
        wait.note(when, why);
        None
    };
    if let Some(after) = progress.not_before.get(&id)
        && *after > now
    {
        wait.note(*after, || format!("the lock on the target of {}", name()));
        return None;
    }
    match effect.stage() {
        Stage::Bound if effect.bound.spec.targets.is_empty() => Some(Task::Prepare(id)),
        Stage::Bound => Some(Task::Resolve(id)),
        Stage::Resolved => Some(Task::Prepare(id)),
        Stage::LookAgain(after) => {
            let task = if effect.target.is_some() {
                Task::Prepare(id)
            } else {
                Task::Resolve(id)
            };
            at(after, task, &|| format!("another look at {}", name()))
        }
        Stage::Held(_) if consent::is_awaited(state, effect) => None,
        Stage::Held(_) if progress.halted => {
            wait.note(now.plus_ms(HELD_LOOK_MS), || {
                format!("`cordon resume`, to go on with {}", name())
            });
            None
        }
        Stage::Held(_) => Some(Task::Prepare(id)),
        Stage::Intended(_) => Some(Task::Act(id)),
        Stage::Again(after) => at(after, Task::Prepare(id), &|| {
            format!("another attempt at {}", name())
        }),
        Stage::Unknown => {
            let attempt = effect.last()?;
            at(probe_at(effect, attempt.probes), Task::Probe(id), &|| {
                format!("a look whether {} happened", name())
            })
        }
        Stage::Done if !effect.is_settled() => at(verify_at(effect), Task::Verify(id), &|| {
            format!("{} to be in force", name())
        }),
        Stage::Done | Stage::NotDone(_) | Stage::InDoubt => None,
    }
}

/// How often a held effect is looked at while nobody resumes, ms.
const HELD_LOOK_MS: u64 = 2_000;

fn doubling(first_ms: u64, n: u32) -> u64 {
    first_ms.saturating_mul(1_u64 << n.min(20)).min(BACKOFF_MS_MAX)
}

/// The moment from which a request we stopped waiting for can no longer arrive.
fn quiet(effect: &EffectState) -> Time {
    let stopped_waiting = effect
        .last()
        .and_then(|attempt| attempt.ended.as_ref().map(|(at, _)| *at));
    stopped_waiting
        .unwrap_or_default()
        .plus_ms(effect.bound.spec.in_flight_ms)
        // What arrived at the last moment is shown only when the vendor's readings have caught up.
        .plus_ms(
            effect
                .bound
                .spec
                .verify
                .as_ref()
                .map_or(0, |verify| verify.lag_ms),
        )
}

/// The first look comes at once, the next ones with growing pauses, and one just after the moment from which
/// nothing can be under way any more.
fn probe_at(effect: &EffectState, probes: u32) -> Time {
    let Some(attempt) = effect.last() else {
        return Time(0);
    };
    let Some((last, _)) = attempt.probed else {
        return attempt.at;
    };
    let quiet = quiet(effect);
    let paused = last.plus_ms(doubling(BACKOFF_FIRST_MS, probes.saturating_sub(1)));
    if last < quiet {
        paused.min(quiet).max(last.plus_ms(1))
    } else {
        paused
    }
}

/// The first reading comes at once, the next ones with growing pauses, and one as the vendor's time runs out.
fn verify_at(effect: &EffectState) -> Time {
    let Some((done_at, _)) = effect.done() else {
        return Time(0);
    };
    let Some((last, _)) = effect.verification else {
        return done_at;
    };
    let spec = &effect.bound.spec;
    let paused = last.plus_ms(doubling(BACKOFF_FIRST_MS / 2, effect.readings.saturating_sub(1)));
    let lag = spec.verify.as_ref().map_or(0, |verify| verify.lag_ms);
    [done_at.plus_ms(lag), done_at.plus_ms(spec.propagation_ms)]
        .into_iter()
        .chain(effect.quiet_from())
        .filter(|deadline| *deadline > last)
        .fold(paused, Time::min)
}

/// What a reading after the outcome says, given when it was taken.
pub fn verification(effect: &EffectState, standing: Option<Standing>, now: Time) -> Verification {
    let Some((done_at, _)) = effect.done() else {
        return Verification::Pending;
    };
    let Some(verify) = &effect.bound.spec.verify else {
        return Verification::Unverifiable;
    };
    let elapsed_ms = now.since_ms(done_at);
    // A late request may still undo what was restored: it is looked at until that cannot be any more.
    let is_early = effect.quiet_from().is_some_and(|quiet| now < quiet);
    match standing {
        Some(Standing::InForce) if is_early => Verification::Pending,
        Some(Standing::InForce) => Verification::Yes,
        Some(Standing::Absent) if elapsed_ms >= verify.lag_ms => Verification::Contradicted,
        _ if is_early => Verification::Pending,
        None if elapsed_ms >= effect.bound.spec.propagation_ms => Verification::Unverifiable,
        _ if elapsed_ms >= effect.bound.spec.propagation_ms => Verification::NotInForce,
        _ => Verification::Pending,
    }
}

/// True for an effect of which nothing is under way, and nothing was done.
fn has_not_begun(effect: &EffectState) -> bool {
    matches!(
        effect.stage(),
        Stage::Bound | Stage::Resolved | Stage::LookAgain(_) | Stage::Held(_) | Stage::Again(_)
    )
}

/// True when a run can be left as it is, for a person: nothing of it is under way.
pub fn is_parkable(state: &RunState) -> bool {
    state
        .restless()
        .all(|effect| effect.is_settled() || has_not_begun(effect))
}

/// True when nothing more will be done or looked at.
pub fn is_at_rest(state: &RunState) -> bool {
    state.restless().all(EffectState::is_settled)
}

/// How the run ends, when it does.
fn settle(state: &RunState) -> Option<Vec<Event>> {
    if state.script.is_none() && state.cancelled.is_none() {
        return None;
    }
    // A run with an effect in doubt stays until a person has said, or ends it as it is.
    let is_left = state.cancelled.as_ref().is_some_and(|cancelled| !cancelled.undo);
    if !is_at_rest(state) || (!is_left && state.doubts().next().is_some()) {
        return None;
    }
    let mut events = Vec::new();
    let (end, why) = verdict(state);
    if !matches!(end, End::Succeeded | End::Cancelled) {
        let undoing = matches!(
            state.header.cause,
            crate::journal::Cause::Lease { .. } | crate::journal::Cause::Undo { .. }
        );
        let code = if undoing { "undo-failed" } else { "run-failed" };
        let told = state
            .alarms
            .iter()
            .any(|alarm| alarm.code != "run-failed" && alarm.code != "undo-failed");
        if undoing || !told {
            let message = format!("{} ended {}: {why}", state.header.title, end.word());
            events.push(Event::Alarmed {
                code: code.into(),
                message,
                effect: None,
            });
        }
    }
    events.push(Event::RunSettled { end, why });
    Some(events)
}

/// True for an effect that never came to an attempt because the system knows no such target. A script that did not
/// expect that has failed by the same fault.
fn was_absent(effect: &EffectState, fault: &Fault) -> bool {
    effect.attempts.is_empty() && fault.code == "target-not-found"
}

fn verdict(state: &RunState) -> (End, String) {
    let count = |wanted: &dyn Fn(&EffectState) -> bool| state.effects.values().filter(|e| wanted(e)).count();
    let failed = match &state.script {
        Some(ScriptEnd::Failed(fault, line, _)) if *line > 0 => {
            Some(format!("the playbook failed at line {line}: {fault}"))
        }
        Some(ScriptEnd::Failed(fault, ..)) => Some(format!("the playbook failed: {fault}")),
        _ => None,
    };
    let cause = match (&state.cancelled, failed) {
        (Some(cancelled), _) => Some(format!(
            "{} cancelled it: {}",
            cancelled.principal, cancelled.reason
        )),
        (None, failed) => failed,
    };
    if let Some(cause) = cause {
        return given_up_as(state, &cause);
    }
    let word = |wanted: Verification| {
        count(&|e| {
            matches!(e.stage(), Stage::Done)
                && e.bound.spec.unseen.is_none()
                && matches!(e.verification, Some((_, word)) if word == wanted)
                && !(wanted == Verification::Unverifiable && was_told(e))
        })
    };
    // A system that does not know the target was asked and had nothing to change (decision 0025).
    let not_done = count(&|e| matches!(e.stage(), Stage::NotDone(fault) if !was_absent(e, &fault)));
    let parts: Vec<String> = [
        (not_done, "did not happen"),
        (word(Verification::Contradicted), "contradicted by read-back"),
        (word(Verification::NotInForce), "requested, not in force"),
        (word(Verification::Unverifiable), "unverifiable"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{n} effect(s) {what}"))
    .collect();
    if parts.is_empty() {
        let done = |unseen: bool| {
            count(&|e| {
                let is_unseen = e.bound.spec.unseen.is_some();
                matches!(e.stage(), Stage::Done)
                    && e.bound.spec.changes()
                    && is_unseen == unseen
                    && !is_only_told(e)
            })
        };
        let mut why = format!("{} effect(s) done and seen in force", done(false));
        for (n, what) in [
            (done(true), "done that nothing can show"),
            (count(&is_only_told), "done as a person saw"),
        ] {
            if n > 0 {
                why.push_str(&format!(", {n} {what}"));
            }
        }
        (End::Succeeded, why)
    } else {
        (End::Kept, parts.join(", "))
    }
}

/// True for an effect of which a person said that it happened.
fn was_told(effect: &EffectState) -> bool {
    effect.said.as_ref().is_some_and(|said| said.happened)
}

/// True for one of which only that person knows: reading back shows nothing.
fn is_only_told(effect: &EffectState) -> bool {
    let seen = matches!(effect.verification, Some((_, Verification::Yes)));
    was_told(effect) && matches!(effect.stage(), Stage::Done) && !seen
}

/// The end of a run that failed or was cancelled, and why.
fn given_up_as(state: &RunState, cause: &str) -> (End, String) {
    let kept = if state.cancelled.is_some() {
        End::Cancelled
    } else {
        End::Kept
    };
    if compensate::course(state) != Course::Undoing {
        let doubts: Vec<String> = state.doubts().map(compensate::label).collect();
        let doubtful = match doubts.len() {
            0 => String::new(),
            n => format!(
                "; {n} effect(s) may or may not have happened, nobody has said: {}",
                compensate::named(&doubts)
            ),
        };
        return (
            kept,
            format!(
                "{cause}; what was done stays{}{doubtful}{}",
                decided(state),
                cancelled_too(state)
            ),
        );
    }
    let left = compensate::left(state);
    let children = child::left_standing(state);
    let is_stuck = !left.stuck.is_empty() || !children.is_empty();
    let end = if is_stuck || (left.undone == 0 && !left.staying.is_empty()) {
        if is_stuck { End::Kept } else { kept }
    } else if state.cancelled.is_some() {
        End::Cancelled
    } else {
        End::RolledBack
    };
    let mut words = left.words();
    if !children.is_empty() {
        words.push_str(&format!(
            "; what runs it started did stays, `cordon undo` takes it back: {}",
            compensate::named(&children)
        ));
    }
    (end, format!("{cause}; {words}"))
}

/// Runs it waited for, to which a cancel was handed on.
fn cancelled_too(state: &RunState) -> String {
    let open = state.open_steps().filter_map(|(_, step)| step.child);
    let open: Vec<String> = open
        .filter(|_| state.cancelled.is_some())
        .map(|run| run.to_string())
        .collect();
    if open.is_empty() {
        return String::new();
    }
    format!("; cancelled with it: {}", compensate::named(&open))
}

/// Who decided that what was done stays, where people were asked.
fn decided(state: &RunState) -> String {
    let asked = compensate::question(state).filter(|_| state.cancelled.is_none());
    asked
        .and_then(|asked| asked.decided.as_ref())
        .map(|(_, decided)| format!(" ({})", decided.why))
        .unwrap_or_default()
}
