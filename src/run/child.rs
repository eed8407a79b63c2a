//! Runs of other playbooks that a run starts and waits for. A child is a run like any other: its own bundle, journal,
//! claim and end. Its id follows from parent and step, so it is started once whatever crashes, and a parent that died
//! between starting it and writing that down starts the same one, which is to say none.
//!
//! The parent holds nothing while it waits. A child that settles wakes it after its end is durable; a crash between the
//! two loses only that wake, and the parent's own timer (`CHILD_LOOK_MS`) finds the same end.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::compensate::{self, Course};
use super::context::Context;
use super::handle::{CannotStart, Start, create};
use super::next::{Progress, Task};
use super::perform::Performed;
use super::signals::{self, Word};
use crate::action::Fault;
use crate::clock::Time;
use crate::id::RunId;
use crate::journal::{Answered, Cause, ChainId, End, Event, Header, RunState, ScriptEnd, Step};
use crate::limits::{ANSWER_BYTES_MAX, CHILD_DEPTH_MAX, CHILD_LOOK_MS, CHILDREN_PER_RUN_MAX};
use crate::playbook::{BadInputs, Bundle, RUN_PLAYBOOK};
use crate::script::StepId;
use crate::store::{Error, RunRow, RunStatus, Signal};

/// True for the step that starts a run of another playbook.
pub fn is_child(step: &Step) -> bool {
    step.name == RUN_PLAYBOOK
}

/// The id of the run that a step starts.
pub fn child_of(parent: RunId, step: &StepId) -> RunId {
    RunId::derive(&["child".to_owned(), parent.to_string(), step.to_string()])
}

/// The runs a run has started, or may have, and whose end it does not have: those to which a cancel is to be handed
/// on. One that is not in the store was never started.
pub fn open_children(state: &RunState) -> Vec<RunId> {
    let steps = state.open_steps().filter(|(_, step)| is_child(step));
    steps.map(|(id, _)| child_of(state.header.run, id)).collect()
}

/// Starts the run that a step asks for. A fault becomes the step's answer.
pub async fn start(context: &Context, state: &RunState, step: &StepId) -> Result<Vec<Event>, Error> {
    let Some(asked) = state.steps.get(step) else {
        return Ok(Vec::new());
    };
    let run = child_of(state.header.run, step);
    // Started before, by a claim that ended before it could write that down: perhaps of a bundle that is gone since.
    if let Some(event) = started(context, step, run).await? {
        return Ok(vec![event]);
    }
    let begin = match beginning(context, state, step, asked) {
        Ok(begin) => begin,
        Err(fault) => return Ok(vec![answer(step, Answered::Fault(fault))]),
    };
    let (bundle, start) = begin;
    context.keep_bundle(&bundle).await?;
    match create(context, &bundle, start, Some(state.header.deadline)).await {
        Ok(_) => Ok(started(context, step, run).await?.into_iter().collect()),
        Err(CannotStart::Store(error)) => Err(error),
        Err(CannotStart::Inputs(bad)) => Ok(vec![answer(step, Answered::Fault(misfit(&bundle, &bad)))]),
        Err(other) => Err(Error::Unavailable {
            why: other.to_string(),
        }),
    }
}

/// What was started, as the store has it.
async fn started(context: &Context, step: &StepId, run: RunId) -> Result<Option<Event>, Error> {
    let entries = context
        .store
        .journal(run.partition(), ChainId::Run(run), 0)
        .await?;
    let Some(Ok((_, Event::RunStarted(header)))) = entries.first().map(|entry| entry.event()) else {
        return Ok(None);
    };
    Ok(Some(Event::ChildStarted {
        step: step.clone(),
        run,
        playbook: header.playbook,
        bundle: header.bundle,
    }))
}

/// What a step of this run starts.
///
/// # Errors
/// There is no such playbook, or it must not be started from here.
pub fn beginning(
    context: &Context,
    state: &RunState,
    step: &StepId,
    asked: &Step,
) -> Result<(Bundle, Start), Fault> {
    let bad = |message: String| Fault::new("bad-argument", message);
    let name = asked.args.first().and_then(Value::as_str);
    let name = name.ok_or_else(|| {
        bad(format!(
            "`{RUN_PLAYBOOK}` takes the id of a playbook first, as a text"
        ))
    })?;
    let inputs = match asked.args.get(1) {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(Value::Object(given)) => given.clone().into_iter().collect(),
        Some(other) => {
            return Err(bad(format!(
                "the inputs of `{name}` are a map such as `#{{ account: \"ana\" }}`, not `{other}`"
            )));
        }
    };
    let header = &state.header;
    let bundle = context
        .playbook(name)
        .ok_or_else(|| Fault::new("no-playbook", format!("there is no playbook `{name}`")))?;
    let above = match &header.cause {
        Cause::Playbook { above, .. } => above.as_slice(),
        _ => &[],
    };
    if bundle.playbook == header.playbook || above.contains(&bundle.playbook) {
        let way: Vec<&str> = above
            .iter()
            .chain([&header.playbook])
            .map(String::as_str)
            .collect();
        let message = format!(
            "`{}` was started by {} and cannot be started by it again",
            bundle.playbook,
            way.join(", which started ")
        );
        return Err(Fault::new("cycle", message));
    }
    if above.len() >= CHILD_DEPTH_MAX {
        let message = format!("playbooks start one another more than {CHILD_DEPTH_MAX} deep");
        return Err(Fault::new("limit", message));
    }
    if state.children >= CHILDREN_PER_RUN_MAX {
        let message = format!("one run starts at most {CHILDREN_PER_RUN_MAX} others");
        return Err(Fault::new("limit", message));
    }
    let start = Start {
        run: child_of(header.run, step),
        cause: Cause::Playbook {
            run: header.run,
            step: step.clone(),
            playbook: header.playbook.clone(),
            above: above.iter().chain([&header.playbook]).cloned().collect(),
            requester: requester(header),
        },
        inputs: handed_on(header, inputs),
        severity_id: header.severity_id,
        subject: header.subject.clone(),
        weak_source: header.weak_source,
    };
    Ok((bundle, start))
}

/// The finding that the parent is about goes with it where no other is given.
fn handed_on(header: &Header, mut inputs: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    if let Some(finding) = header.inputs.get("finding") {
        inputs
            .entry("finding".to_owned())
            .or_insert_with(|| finding.clone());
    }
    inputs
}

/// Who asked for it and therefore does not approve what it does: whoever started the parent, or else whoever wrote it.
fn requester(header: &Header) -> Option<String> {
    let own = Some(header.author.as_str())
        .filter(|author| !author.is_empty() && *author != crate::journal::SHIPPED);
    header.requester().or(own).map(str::to_owned)
}

/// The inputs given are not those the playbook declares.
pub fn misfit(bundle: &Bundle, bad: &BadInputs) -> Fault {
    let help = match bad {
        BadInputs::Unknown { help, .. } => format!("; {help}"),
        BadInputs::Missing(_) => String::new(),
    };
    Fault::new("bad-argument", format!("`{}`: {bad}{help}", bundle.playbook))
}

/// What a run that is given up says to those it started and waits for.
struct Said {
    undo: bool,
    principal: String,
    reason: String,
}

/// That word: a cancel is handed on as it was said, and a rollback is a cancel with undo in the name of the run.
fn said(state: &RunState) -> Option<Said> {
    let run = state.header.run;
    if let Some(cancelled) = &state.cancelled {
        return Some(Said {
            undo: cancelled.undo,
            principal: cancelled.principal.clone(),
            reason: format!("{} (said to {run}, which started it)", cancelled.reason),
        });
    }
    (compensate::course(state) == Course::Undoing).then(|| Said {
        undo: true,
        principal: run.to_string(),
        reason: "the run that started it failed and is rolled back".to_owned(),
    })
}

/// What the run of a step was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handed {
    /// To undo what it did, or to let it stay.
    pub undo: bool,
    /// False where there is no such run: it was never started, and nobody can start it any more.
    pub is_there: bool,
}

/// What is left to do about the runs that a run has started, once it is given up.
#[derive(Debug, PartialEq)]
pub enum Handing {
    /// This.
    Now(Task),
    /// Nothing until then; what is waited for, in words.
    At(Time, String),
    /// Nothing.
    Over,
}

/// Every run that is waited for is told before anything of this one is undone and before it ends. Where what was done is
/// undone, its end is waited for too: what it did came last, so it is taken back first.
pub fn handing(state: &RunState, progress: &Progress, now: Time) -> Handing {
    let Some(said) = said(state) else {
        return Handing::Over;
    };
    let mut next: Option<(Time, String)> = None;
    for (step, asked) in state.open_steps().filter(|(_, step)| is_child(step)) {
        match progress.children_told.get(step) {
            Some(told) if told.undo == said.undo => {
                if !told.is_there || !said.undo {
                    continue;
                }
            }
            _ => return Handing::Now(Task::TellChild(step.clone())),
        }
        let seen = progress.children_at.get(step);
        match seen.map(|at| at.plus_ms(CHILD_LOOK_MS)) {
            Some(at) if at > now => {
                if next.as_ref().is_none_or(|(earliest, _)| at < *earliest) {
                    let run = child_of(state.header.run, step);
                    next = Some((at, format!("the end of {run}, started at {}", asked.place())));
                }
            }
            _ => return Handing::Now(Task::LookAtChild(step.clone())),
        }
    }
    next.map_or(Handing::Over, |(at, why)| Handing::At(at, why))
}

/// Hands the word on to the run of a step. The signal's id follows from both runs and the word, so that whoever does it
/// again after a crash changes nothing.
pub async fn tell(context: &Context, state: &RunState, step: &StepId) -> Result<Performed, Error> {
    let Some(said) = said(state) else {
        return Ok(Performed::default());
    };
    let (parent, run) = (state.header.run, child_of(state.header.run, step));
    let word = Word::Cancel {
        undo: said.undo,
        reason: said.reason,
    };
    let signal = Signal {
        id: signals::handed_on(parent, run, said.undo),
        run,
        at: context.clock.now(),
        principal: said.principal,
        content: serde_json::to_value(word).map_err(|error| Error::Unavailable {
            why: error.to_string(),
        })?,
    };
    crate::crash::point("child.before-tell");
    let is_there = match context.store.put_signal(run.partition(), signal).await {
        Ok(_) => true,
        Err(Error::Missing { .. }) => false,
        Err(error) => return Err(error),
    };
    crate::crash::point("child.after-tell");
    let undo = said.undo;
    Ok(Performed {
        child_told: Some((step.clone(), Handed { undo, is_there })),
        ..Performed::default()
    })
}

/// How many changes of a run stand that could or should have been undone, those of runs it started among them.
fn standing(state: &RunState) -> u64 {
    let left = compensate::left(state);
    let own = left.stuck.len().saturating_add(left.staying.len());
    let below = state
        .steps
        .values()
        .filter_map(|step| end_told(step)?.get(STANDING)?.as_u64());
    below.fold(u64::try_from(own).unwrap_or(u64::MAX), u64::saturating_add)
}

/// What a step was told of the end of the run it started.
fn end_told(step: &Step) -> Option<&Value> {
    step.child?;
    match step.answer.as_ref()? {
        Answered::Value(told) => Some(told),
        Answered::Fault(fault) => Some(&fault.data),
    }
}

/// The field that says how many changes of a run stand.
const STANDING: &str = "standing";

/// The runs that this one started, that are over, and of which something stands. One that ended under a program that did
/// not count is named unless it was undone.
pub fn left_standing(state: &RunState) -> Vec<String> {
    let steps = state.steps.values();
    let ended = steps.filter_map(|step| Some((step.child?, end_told(step)?)));
    ended
        .filter(|(_, told)| match told.get(STANDING).and_then(Value::as_u64) {
            Some(standing) => standing > 0,
            None => told.get("end").and_then(Value::as_str) != Some(End::RolledBack.word()),
        })
        .map(|(run, told)| {
            let playbook = told.get("playbook").and_then(Value::as_str).unwrap_or_default();
            format!("{run} of `{playbook}`")
        })
        .collect()
}

/// Looks whether the run that a step started is over, and takes its end as the step's answer.
pub async fn look(context: &Context, state: &RunState, step: &StepId) -> Result<Performed, Error> {
    let run = child_of(state.header.run, step);
    let now = context.clock.now();
    let seen = Performed {
        child_seen: Some((step.clone(), now)),
        ..Performed::default()
    };
    let Some(row) = context.store.run(run.partition(), run).await? else {
        return Ok(seen);
    };
    if row.status != RunStatus::Settled {
        return Ok(seen);
    }
    let entries = context
        .store
        .journal(run.partition(), ChainId::Run(run), 0)
        .await?;
    let result = match RunState::fold(&entries) {
        Ok(child) => end_of(&child, &row),
        Err(error) => Answered::Fault(Fault::new(FAILED, format!("{run} cannot be read: {error}"))),
    };
    Ok(Performed {
        events: vec![answer(step, result)],
        ..seen
    })
}

/// Code of the error that a child which did not come to its end is to the script that started it.
pub const FAILED: &str = "playbook-failed";

/// What a script gets of a child that is over: its end and value where its script returned, an error where it failed or
/// was ended.
fn end_of(child: &RunState, row: &RunRow) -> Answered {
    let (end, why) = match &child.settled {
        Some((_, end, why)) => (*end, why.clone()),
        None => (row.end.unwrap_or(End::Kept), String::new()),
    };
    let mut told = json!({
        "run": row.id,
        "playbook": row.playbook,
        "end": end.word(),
        "why": why,
        "value": null,
        STANDING: standing(child),
    });
    match &child.script {
        Some(ScriptEnd::Returned(value)) if matches!(end, End::Succeeded | End::Kept) => {
            let bytes = serde_json::to_vec(value).map_or(usize::MAX, |bytes| bytes.len());
            if let Some(map) = told.as_object_mut() {
                if bytes <= ANSWER_BYTES_MAX {
                    map.insert("value".to_owned(), value.clone());
                } else {
                    let left = format!("its value is larger than {ANSWER_BYTES_MAX} bytes");
                    map.insert("left_out".to_owned(), left.into());
                }
            }
            Answered::Value(told)
        }
        script => {
            if let (Some(ScriptEnd::Failed(fault, ..)), Some(map)) = (script, told.as_object_mut()) {
                let error = json!({ "code": fault.code, "message": fault.message, "data": fault.data });
                map.insert("error".to_owned(), error);
            }
            let message = format!("{} of `{}` ended {}: {why}", row.id, row.playbook, end.word());
            Answered::Fault(Fault {
                code: FAILED.into(),
                message,
                data: told,
            })
        }
    }
}

/// What a plan assumes of a child.
pub(super) fn assumed(run: RunId, bundle: &Bundle, value: Value) -> Value {
    json!({
        "run": run, "playbook": bundle.playbook, "end": End::Succeeded.word(), "why": "(assumed)", "value": value,
        STANDING: 0, "assumed": true,
    })
}

pub(super) fn answer(step: &StepId, result: Answered) -> Event {
    Event::StepAnswered {
        step: step.clone(),
        result,
    }
}

/// Tells the run that waits for this one, if one does, that it is over. Comes after the end is durable: a crash before
/// it leaves the parent to its timer.
pub async fn wake_parent(context: &Context, header: &Header) {
    let Cause::Playbook { run, .. } = &header.cause else {
        return;
    };
    crate::crash::point("child.before-wake");
    let now = context.clock.now();
    match context.store.wake(run.partition(), *run, now).await {
        Ok(()) | Err(Error::Missing { .. }) => {}
        Err(error) => {
            tracing::warn!(run.id = %header.run, "{run} is not woken and looks by itself: {error}");
        }
    }
}
