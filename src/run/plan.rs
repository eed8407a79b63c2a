//! What a playbook would do, without doing it. The same evaluator, the same order of stages and the same code that
//! binds, resolves, captures and weighs, over a run that exists in memory alone: no intent, no hold, no lock, nothing
//! appended. Only reading reaches a vendor. Where a change would be made it is *assumed* to have been, so that
//! the whole playbook is walked; and so is that people agree, and that time passes.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::context::Context;
use super::drive::{asked, told};
use super::handle::{CannotStart, header};
use super::next::{Next, Progress, Task, next};
use super::outlook::{Outlook, Said};
use super::perform::{self, Performed};
use super::receipt::answer_to;
use super::vendors::{Binding, Vendors};
use super::{approve, bind, child, prepare};
use crate::action::{ActionName, Done, Fault, Outcome, Reading, Retry, Target, Verification};
use crate::approval::Decided;
use crate::clock::Time;
use crate::connector::{Acted, Looked};
use crate::digest::Digest;
use crate::finding::Entity;
use crate::journal::{Answered, Event, Header, RunState, ScriptEnd};
use crate::limits::{PLAN_ASKS_MAX, PLAN_MS, SCRIPT_DEADLINE_MS};
use crate::playbook::Loaded;
use crate::script::{Advance, Answers, Entry, Interrupted, Job, StepId, Told};
use crate::store::Error;

/// Vendors are read at once for one plan.
const LOOKS_AT_ONCE: usize = 8;

/// A plan could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NotPlanned {
    /// The store says no.
    #[error(transparent)]
    Store(#[from] Error),
    /// It would have been longer than a plan may be.
    #[error("{0}")]
    TooLong(String),
    /// A defect.
    #[error("the plan does not add up: {0}")]
    Defect(String),
}

/// Walks a run that has not begun to its end.
pub(super) async fn plan(
    context: &Context,
    loaded: Arc<Loaded>,
    header: Header,
) -> Result<Outlook, NotPlanned> {
    Ok(walk(context, loaded, header).await?.0)
}

/// The same, and how the script would end.
async fn walk(
    context: &Context,
    loaded: Arc<Loaded>,
    header: Header,
) -> Result<(Outlook, Option<ScriptEnd>), NotPlanned> {
    let looking = Context::new(
        context.store.clone(),
        Arc::new(Looking(context.vendors.clone())),
        context.evaluators.clone(),
        context.clock.clone(),
        context.policy.clone(),
        context.halt.clone(),
        context.key,
        "plan".to_owned(),
    );
    looking.offer(context.playbooks());
    let now = context.clock.now();
    let walk = Walk {
        context: &looking,
        inputs: Arc::new(header.inputs.clone()),
        state: RunState::begin(header, now, Digest::ZERO),
        loaded,
        now,
        progress: Progress {
            votes_at: Some(now),
            heard_at: Some(now),
            ..Progress::default()
        },
        answers: Answers::new(),
        recorded: Told::new(),
        said: Vec::new(),
        reads: 0,
        children: Mutex::default(),
    };
    match context.within_ms(PLAN_MS, walk.walked()).await {
        Some(outlook) => outlook,
        None => Err(NotPlanned::TooLong(format!(
            "the vendors did not answer all questions within {PLAN_MS} ms; plan about fewer targets"
        ))),
    }
}

/// A run that exists in memory alone.
struct Walk<'a> {
    context: &'a Context,
    loaded: Arc<Loaded>,
    inputs: Arc<crate::script::Inputs>,
    state: RunState,
    progress: Progress,
    /// Where the run stands in time: waits are over as soon as they begin.
    now: Time,
    answers: Answers,
    recorded: Told,
    said: Vec<Said>,
    reads: usize,
    /// The plans of what steps start.
    children: Mutex<BTreeMap<StepId, Outlook>>,
}

impl Walk<'_> {
    async fn walked(mut self) -> Result<(Outlook, Option<ScriptEnd>), NotPlanned> {
        loop {
            self.progress.votes_at = Some(self.now);
            self.progress.heard_at = Some(self.now);
            match next(&self.state, &self.progress, self.now) {
                // What a run owes the world once its script is over is not part of a plan.
                _ if self.state.script.is_some() => break,
                Next::Over => break,
                Next::Record(events) => self.take(events)?,
                Next::Perform(task) => self.look(task).await?,
                Next::Evaluate => self.evaluate().await?,
                Next::Wait { until: Some(at), .. } if at > self.now => self.now = at,
                Next::Wait { why, .. } => {
                    return Err(NotPlanned::Defect(format!("the walk waits for {why}")));
                }
            }
        }
        let children = self.children.into_inner().unwrap_or_else(PoisonError::into_inner);
        let reads = self.reads + children.values().map(|child| child.reads).sum::<usize>();
        let now = self.context.clock.now();
        let outlook = Outlook::of(&self.state, self.said, reads, now).with(children);
        Ok((outlook, self.state.script))
    }

    /// Does this and whatever else can be done beside it.
    async fn look(&mut self, first: Task) -> Result<(), NotPlanned> {
        let mut tasks = vec![first.clone()];
        self.progress.busy.insert(first);
        while tasks.len() < LOOKS_AT_ONCE
            && let Next::Perform(task) = next(&self.state, &self.progress, self.now)
        {
            self.progress.busy.insert(task.clone());
            tasks.push(task);
        }
        let found = join_all(tasks.iter().map(|task| self.foresee(task))).await;
        for task in &tasks {
            self.progress.busy.remove(task);
        }
        for events in found {
            self.take(events?)?;
        }
        Ok(())
    }

    /// What a task leads to, where nothing is changed.
    async fn foresee(&self, task: &Task) -> Result<Vec<Event>, NotPlanned> {
        let (context, loaded, state) = (self.context, &*self.loaded, &self.state);
        let effect = |id| {
            let effect = state.effects.get(id);
            effect.ok_or_else(|| NotPlanned::Defect(format!("{id} is not there")))
        };
        Ok(match task {
            Task::Bind(step) => bind::bind(context, loaded, state, step).await?,
            Task::Ask(step) => approve::ask(context, loaded, state, step).await,
            Task::StartChild(step) => Box::pin(self.child(step)).await?,
            // What a run owes once it is given up is not part of a plan, and nobody speaks to it.
            Task::CountVotes
            | Task::LookAtChild(_)
            | Task::TellChild(_)
            | Task::Hear
            | Task::AskWhetherToUndo
            | Task::Undo(_) => Vec::new(),
            Task::Resolve(id) => {
                let Performed { events, .. } = perform::resolve(context, loaded, effect(id)?).await;
                events
            }
            Task::Prepare(id) => prepare::foresee(context, loaded, state, effect(id)?).await?,
            Task::Act(id) => {
                let effect = effect(id)?;
                vec![Event::EffectEnded {
                    effect: *id,
                    attempt: effect.last().map_or(1, |attempt| attempt.intent.attempt),
                    outcome: Outcome::Done {
                        how: Done::Acted,
                        // What a script may want of it. Nothing that could be taken for a vendor's own id.
                        result: json!({ "assumed": true, "id": "(assumed)", "thread": "(assumed)" }),
                    },
                    requests: Vec::new(),
                    duration_ms: 0,
                }]
            }
            Task::Probe(id) | Task::Verify(id) => vec![Event::EffectVerified {
                effect: *id,
                verification: Verification::Yes,
                reading: None,
                requests: Vec::new(),
            }],
        })
    }

    /// What the playbook that a step starts would do: a plan of its own, whose value is the step's answer.
    async fn child(&self, step: &StepId) -> Result<Vec<Event>, NotPlanned> {
        let (context, state) = (self.context, &self.state);
        let Some(asked) = state.steps.get(step) else {
            return Ok(Vec::new());
        };
        let fault = |fault| vec![child::answer(step, Answered::Fault(fault))];
        let (bundle, start) = match child::beginning(context, state, step, asked) {
            Ok(beginning) => beginning,
            Err(wrong) => return Ok(fault(wrong)),
        };
        let run = start.run;
        let header = match header(&bundle, start, self.now, Some(state.header.deadline)) {
            Ok(header) => header,
            Err(CannotStart::Inputs(bad)) => return Ok(fault(child::misfit(&bundle, &bad))),
            Err(other) => return Err(NotPlanned::Defect(other.to_string())),
        };
        let loaded = Loaded::open(&bundle.bytes).map_err(|why| NotPlanned::Defect(why.to_string()))?;
        let (outlook, script) = walk(context, Arc::new(loaded), header).await?;
        let result = match script {
            Some(ScriptEnd::Returned(value)) => Answered::Value(child::assumed(run, &bundle, value)),
            Some(ScriptEnd::Failed(fault, ..)) => Answered::Fault(Fault {
                code: child::FAILED.into(),
                message: format!("`{}` would fail: {fault}", bundle.playbook),
                data: fault.data,
            }),
            None => Answered::Value(child::assumed(run, &bundle, Value::Null)),
        };
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        children.insert(step.clone(), outlook);
        Ok(vec![
            Event::ChildStarted {
                step: step.clone(),
                run,
                playbook: bundle.playbook,
                bundle: bundle.digest,
            },
            child::answer(step, result),
        ])
    }

    /// Takes events in, as the record of a run does, but for what would make the walk wait.
    fn take(&mut self, events: Vec<Event>) -> Result<(), NotPlanned> {
        for mut event in events {
            match &mut event {
                // A plan does not try again: it says what it met.
                Event::EffectFailed { retry, requests, .. } => {
                    *retry = Retry::Never;
                    self.reads += requests.len();
                }
                Event::EffectEnded {
                    outcome, requests, ..
                } => {
                    self.reads += requests.len();
                    if let Outcome::NotDone { retry, .. } = outcome {
                        *retry = Retry::Never;
                    }
                }
                Event::EffectResolved { requests, .. } | Event::EffectCaptured { requests, .. } => {
                    self.reads += requests.len();
                }
                _ => {}
            }
            self.apply(&event)?;
            match event {
                Event::StepAnswered { step, result } => self.remember(&step, &result),
                Event::StepTold { step, digest, .. } => {
                    self.recorded.insert(step, digest);
                }
                Event::ApprovalRequested { request, .. } => {
                    let assumed = Decided {
                        granted: true,
                        by: vec!["(assumed)".to_owned()],
                        why: "a plan assumes that people agree".to_owned(),
                    };
                    self.apply(&Event::ApprovalDecided {
                        approval: request.approval,
                        decided: assumed,
                    })?;
                }
                _ => {}
            }
        }
        if self.state.steps.len() > PLAN_ASKS_MAX {
            let message =
                format!("the playbook asks for more than {PLAN_ASKS_MAX} things; plan about fewer targets");
            return Err(NotPlanned::TooLong(message));
        }
        Ok(())
    }

    fn apply(&mut self, event: &Event) -> Result<(), NotPlanned> {
        self.state
            .apply(self.now, event, Digest::ZERO)
            .map_err(NotPlanned::Defect)
    }

    fn remember(&mut self, id: &crate::script::StepId, result: &Answered) {
        if let Some(step) = self.state.steps.get(id) {
            self.answers.insert(id.clone(), answer_to(id, step, result));
        }
    }

    async fn evaluate(&mut self) -> Result<(), NotPlanned> {
        let answered = self.state.answered();
        let job = Job {
            program: self.loaded.program.clone(),
            vocabulary: self.loaded.vocabulary.clone(),
            entry: Entry::Main,
            inputs: self.inputs.clone(),
            answers: Arc::new(self.answers.clone()),
            told: Arc::new(self.recorded.clone()),
            deadline: Duration::from_millis(SCRIPT_DEADLINE_MS),
            stop: Arc::new(AtomicBool::new(false)),
        };
        let (reply, answer) = oneshot::channel();
        let answered_by = Box::new(move |advance| {
            // Whoever asked may have given up; then nobody wants the answer.
            let _ = reply.send(advance);
        });
        self.context.evaluators.evaluate(job, answered_by);
        let advance = answer
            .await
            .map_err(|_| NotPlanned::Defect("an evaluation thread ended".to_owned()))?;
        let (says, mut events) = match advance {
            Advance::Asks { waiting, told } => {
                let new = waiting
                    .into_iter()
                    .filter(|one| !self.state.steps.contains_key(&one.step));
                (told, new.map(asked).collect())
            }
            Advance::Returned { value, told } => (told, vec![Event::ScriptReturned { value }]),
            Advance::Failed { error, told } => (told, vec![super::drive::failed(error)]),
            Advance::Diverged { step, .. } => {
                return Err(NotPlanned::Defect(format!("step {step} is not what it was")));
            }
            Advance::Interrupted { why } => {
                let why = match why {
                    Interrupted::Deadline => "the playbook computes for too long",
                    Interrupted::Stopped => "the server is stopping",
                    Interrupted::Busy => "the server is busy",
                };
                return Err(NotPlanned::TooLong(why.to_owned()));
            }
        };
        self.said.extend(says.iter().map(Said::of));
        let mut all: Vec<Event> = says.into_iter().map(told).collect();
        all.append(&mut events);
        self.progress.evaluated = Some(answered);
        self.take(all)
    }
}

/// Vendors that are only looked at: whatever would change anything is refused here too.
struct Looking(Arc<dyn Vendors>);

#[async_trait]
impl Vendors for Looking {
    fn identify(&self, entity: Entity) -> Result<Entity, Fault> {
        self.0.identify(entity)
    }

    fn bind(
        &self,
        loaded: &Loaded,
        action: &ActionName,
        entity: Option<&Entity>,
    ) -> Result<Vec<Binding>, Fault> {
        self.0.bind(loaded, action, entity)
    }

    fn binding(&self, loaded: &Loaded, instance: &str, action: &ActionName) -> Result<Binding, Fault> {
        self.0.binding(loaded, instance, action)
    }

    async fn resolve(&self, loaded: &Loaded, binding: &Binding, entity: &Entity) -> Looked<Target> {
        self.0.resolve(loaded, binding, entity).await
    }

    async fn read(
        &self,
        loaded: &Loaded,
        binding: &Binding,
        function: &str,
        target: &Target,
        args: &Map<String, Value>,
    ) -> Looked<Reading> {
        self.0.read(loaded, binding, function, target, args).await
    }

    async fn act(
        &self,
        loaded: &Loaded,
        binding: &Binding,
        target: Option<&Target>,
        args: &Map<String, Value>,
        key: &str,
    ) -> Acted {
        if !binding.spec.changes() {
            return self.0.act(loaded, binding, target, args, key).await;
        }
        Acted {
            outcome: Outcome::NotDone {
                fault: Fault::new("plan", "a plan changes nothing"),
                retry: Retry::Never,
            },
            requests: Vec::new(),
        }
    }
}
