//! How the rest of the program starts runs: by trigger, by hand, by undo, by the end of a lease. Starting is
//! idempotent: the id follows from the cause.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::context::Context;
use super::outlook::Outlook;
use super::plan::{self, NotPlanned};
use crate::clock::Time;
use crate::digest::Digest;
use crate::finding::{Entity, Finding, Role, SeverityId};
use crate::id::{EffectId, Partition, RunId};
use crate::journal::{
    Cause, ChainId, ENGINE_ABI, EffectState, End, Event, Header, PlaybookKind, RunState, Stage, seal,
};
use crate::playbook::{BadInputs, Bundle, Loaded, with_defaults};
use crate::store::{Created, DueHolder, Error, NewRun, RunRow, RunStatus};

/// Starts runs.
#[derive(Clone)]
pub struct Handle {
    context: Arc<Context>,
    kicks: mpsc::Sender<RunId>,
    builtins: Arc<RwLock<Arc<Builtins>>>,
}

/// Our own playbooks.
pub struct Builtins {
    /// Restores what effects changed.
    pub revert: Bundle,
    /// Does one action.
    pub act: Bundle,
}

/// A run to start.
#[derive(Clone, Debug)]
pub struct Start {
    /// Its id, derived from the cause.
    pub run: RunId,
    /// What started it.
    pub cause: Cause,
    /// The script's variables.
    pub inputs: BTreeMap<String, Value>,
    /// Severity of what it answers.
    pub severity_id: SeverityId,
    /// Whom it is about.
    pub subject: String,
    /// True for an alert of a source that proves little.
    pub weak_source: bool,
}

impl Start {
    /// A run about a finding, with the finding as the script's variable.
    pub fn on_finding(run: RunId, cause: Cause, finding: &Finding, weak_source: bool) -> Start {
        let value = serde_json::to_value(finding).unwrap_or_default();
        let affected: Vec<String> = finding.with_role(Role::Affected).map(Entity::label).collect();
        let subject = match affected.as_slice() {
            [] => finding.title.clone(),
            [one] => one.clone(),
            [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        };
        Start {
            run,
            cause,
            inputs: BTreeMap::from([("finding".to_owned(), value)]),
            severity_id: finding.severity_id,
            subject,
            weak_source,
        }
    }
}

/// Why a run could not be started or an undo not be begun.
#[derive(Debug, thiserror::Error)]
pub enum CannotStart {
    /// The store says no.
    #[error(transparent)]
    Store(#[from] Error),
    /// There is nothing to do.
    #[error("{0}")]
    Nothing(String),
    /// What was given is not what the playbook asks for.
    #[error(transparent)]
    Inputs(#[from] BadInputs),
    /// A defect.
    #[error("the run cannot be recorded: {0}")]
    Defect(String),
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum CannotPlan {
    /// The run could not even be started.
    #[error(transparent)]
    Start(#[from] CannotStart),
    /// The walk did not come to its end.
    #[error(transparent)]
    Walk(#[from] NotPlanned),
}

/// What a run of this bundle begins with.
pub(super) fn header(
    bundle: &Bundle,
    start: Start,
    now: Time,
    until: Option<Time>,
) -> Result<Header, CannotStart> {
    // Our own playbooks are started by us, with just what they read.
    let inputs = match bundle.kind {
        PlaybookKind::Internal => start.inputs,
        _ => with_defaults(&bundle.inputs, start.inputs)?,
    };
    let deadline = now.plus_ms(bundle.deadline_ms);
    Ok(Header {
        run: start.run,
        playbook: bundle.playbook.clone(),
        title: bundle.title.clone(),
        kind: bundle.kind,
        on_failure: bundle.on_failure,
        ask: bundle.ask.clone(),
        bundle: bundle.digest,
        engine_abi: ENGINE_ABI,
        cause: start.cause,
        inputs,
        deadline: until.map_or(deadline, |until| deadline.min(until)),
        severity_id: start.severity_id,
        subject: start.subject,
        weak_source: start.weak_source,
        author: bundle.author.clone(),
    })
}

/// Creates a run of a bundle that is in the store, whose deadline is not after `until`. Afterwards it will be worked
/// on, whatever crashes; the same again changes nothing.
pub(super) async fn create(
    context: &Context,
    bundle: &Bundle,
    start: Start,
    until: Option<Time>,
) -> Result<Created, CannotStart> {
    let now = context.clock.now();
    let run = start.run;
    let header = header(bundle, start, now, until)?;
    let mut row = RunRow {
        id: run,
        playbook: header.playbook.clone(),
        title: header.title.clone(),
        subject: header.subject.clone(),
        cause: header.cause.line(),
        severity_id: header.severity_id,
        status: RunStatus::Open,
        end: None,
        started_at: now,
        updated_at: now,
        waits_for: "a worker".to_owned(),
        wake_at: Some(now),
        epoch: 0,
        worker: None,
        len: 1,
        last: Digest::ZERO,
    };
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| CannotStart::Defect(error.to_string()))?;
    let event = Event::RunStarted(Box::new(header));
    let entry = seal(ChainId::Run(run), &Digest::ZERO, 0, now, &event, salt)
        .map_err(|error| CannotStart::Defect(error.to_string()))?;
    row.last = entry.digest;
    Ok(context
        .store
        .create_run(run.partition(), NewRun { row, entry })
        .await?)
}

impl Handle {
    /// A handle over a context; started runs are announced on `kicks`.
    pub fn new(context: Arc<Context>, kicks: mpsc::Sender<RunId>, builtins: Builtins) -> Handle {
        Handle {
            context,
            kicks,
            builtins: Arc::new(RwLock::new(Arc::new(builtins))),
        }
    }

    /// The shared parts.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Our own playbooks.
    pub fn builtins(&self) -> Arc<Builtins> {
        // Only ever replaced as a whole, so a panic elsewhere leaves it whole.
        self.builtins
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Our own playbooks over other connectors, for runs that begin from now on.
    pub fn replace_builtins(&self, builtins: Builtins) {
        *self.builtins.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(builtins);
    }

    /// Says that a run is due, so that it is worked on at once.
    pub(super) fn kick(&self, run: RunId) {
        // A full channel is no loss: the worker's next look finds the run.
        let _ = self.kicks.try_send(run);
    }

    /// Keeps a bundle in the store, once.
    pub async fn keep_bundle(&self, bundle: &Bundle) -> Result<(), Error> {
        self.context.keep_bundle(bundle).await
    }

    /// Starts a run of a bundle that is in the store. Afterwards it will be worked on, whatever crashes.
    pub async fn start(&self, bundle: &Bundle, start: Start) -> Result<Created, CannotStart> {
        let run = start.run;
        let created = create(&self.context, bundle, start, None).await?;
        if created == Created::New {
            self.kick(run);
        }
        Ok(created)
    }

    /// What a run of this bundle would do. Nothing begins: vendors are read, and nothing is stored.
    ///
    /// # Errors
    /// The inputs do not fit, or the plan could not be made.
    pub async fn plan(&self, bundle: &Bundle, start: Start) -> Result<Outlook, CannotPlan> {
        let header = header(bundle, start, self.context.clock.now(), None)?;
        let loaded = Loaded::open(&bundle.bytes).map_err(|why| CannotStart::Defect(why.to_string()))?;
        Ok(plan::plan(&self.context, Arc::new(loaded), header).await?)
    }

    /// Begins to end a hold whose lease is over. The run's id follows from the effect, the moment and the try;
    /// a try that came to rest with the hold still there is followed by a later one.
    pub async fn end_lease(&self, due: &DueHolder) -> Result<(), Error> {
        let run = RunId::derive(&[
            "lease".to_owned(),
            due.effect.to_string(),
            due.until.0.to_string(),
            due.tries.to_string(),
        ]);
        if let Some(row) = self.context.store.run(run.partition(), run).await? {
            if row.status == RunStatus::Open {
                return Ok(());
            }
            let pause = LEASE_AGAIN_MS
                .saturating_mul(1 << due.tries.min(8))
                .min(LEASE_AGAIN_MS_MAX);
            let until = self.context.clock.now().plus_ms(pause);
            tracing::error!(
                run.id = %run, effect.id = %due.effect,
                "the lease on {} is over and its end did not restore it; tried again at {until}", due.target.label()
            );
            let (partition, key) = (due.target.partition(), due.target.key());
            let tries = due.tries.saturating_add(1);
            return self
                .context
                .store
                .hold_until(
                    partition,
                    self.context.soon(),
                    &key,
                    &due.facet,
                    due.effect,
                    Some(until),
                    tries,
                )
                .await;
        }
        let start = Start {
            run,
            cause: Cause::Lease {
                run: due.run,
                effect: due.effect,
            },
            inputs: BTreeMap::from([(
                "effects".to_owned(),
                json!([{ "run": due.run, "effect": due.effect }]),
            )]),
            severity_id: SeverityId(1),
            subject: due.target.label(),
            weak_source: false,
        };
        self.keep_bundle(&self.builtins().revert).await?;
        match self.start(&self.builtins().revert, start).await {
            Ok(Created::New) => {
                tracing::info!(run.id = %run, effect.id = %due.effect, "the lease on {} is over", due.target.label());
                Ok(())
            }
            Ok(Created::Exists) => Ok(()),
            Err(CannotStart::Store(error)) => Err(error),
            Err(other) => Err(Error::Unavailable {
                why: other.to_string(),
            }),
        }
    }

    /// The runs that a run started, and those that they started, whose journals are there and can be read; and the ids of
    /// the others.
    async fn family(&self, of: &RunState) -> Result<Family, CannotStart> {
        let children =
            |state: &RunState| -> Vec<RunId> { state.steps.values().filter_map(|step| step.child).collect() };
        let mut family = Family::default();
        let mut next = children(of);
        while let Some(run) = next.pop() {
            match self.state(run).await {
                Ok(state) => {
                    next.extend(children(&state));
                    family.below.push(state);
                }
                Err(CannotStart::Nothing(_) | CannotStart::Defect(_)) => family.left.push(run),
                Err(error) => return Err(error),
            }
        }
        Ok(family)
    }

    /// The runs below this one that an undo of it does not reach, because their journals are gone or cannot be read.
    ///
    /// # Errors
    /// There is no such run.
    pub async fn left_by_undo(&self, of: RunId) -> Result<Vec<RunId>, CannotStart> {
        let state = self.state(of).await?;
        Ok(self.family(&state).await?.left)
    }

    /// Undoes everything reversible that a run and those it started did or may have done, last first.
    pub async fn undo_run(&self, of: RunId, principal: &str, reason: &str) -> Result<RunId, CannotStart> {
        let state = self.state(of).await?;
        let family = self.family(&state).await?;
        let mut effects: Vec<(Time, RunId, EffectId)> = Vec::new();
        for member in std::iter::once(&state).chain(&family.below) {
            let undone = member.effects_in_order().rev();
            let undone =
                undone.filter(|effect| may_have_happened(effect) && effect.bound.spec.undo.is_some());
            effects.extend(undone.map(|effect| {
                let at = effect.last().map_or(member.started_at, |attempt| attempt.at);
                (at, member.header.run, effect.bound.effect)
            }));
        }
        if effects.is_empty() {
            return Err(CannotStart::Nothing(format!(
                "{of} has done nothing that can be undone"
            )));
        }
        // What one run did keeps its order; several are brought into the order of their attempts.
        if !family.below.is_empty() {
            effects.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
        }
        let pairs = effects
            .into_iter()
            .map(|(_, run, effect)| (run, effect))
            .collect();
        self.revert(pairs, principal, reason, Some(of), state.header.subject)
            .await
    }

    /// Undoes one effect of a run.
    pub async fn undo_effect(
        &self,
        of: RunId,
        effect: EffectId,
        principal: &str,
        reason: &str,
    ) -> Result<RunId, CannotStart> {
        let state = self.state(of).await?;
        match state.effects.get(&effect) {
            Some(found) if may_have_happened(found) && found.bound.spec.undo.is_some() => {
                let subject = found
                    .target
                    .as_ref()
                    .map_or(state.header.subject.clone(), |target| target.label());
                self.revert(vec![(of, effect)], principal, reason, Some(of), subject)
                    .await
            }
            Some(found) if found.bound.spec.undo.is_none() => Err(CannotStart::Nothing(format!(
                "{} cannot be undone",
                found.bound.spec.name
            ))),
            Some(_) => Err(CannotStart::Nothing(format!("{effect} did not happen"))),
            None => Err(CannotStart::Nothing(format!("{of} has no {effect}"))),
        }
    }

    /// Ends these holds. A try that failed before is followed by another one under a new id; one that is
    /// under way or was successful is answered with its id.
    pub async fn revert(
        &self,
        effects: Vec<(RunId, EffectId)>,
        principal: &str,
        reason: &str,
        of: Option<RunId>,
        subject: String,
    ) -> Result<RunId, CannotStart> {
        let list: Vec<Value> = effects
            .iter()
            .map(|(run, effect)| json!({ "run": run, "effect": effect }))
            .collect();
        let names: Vec<String> = effects.iter().map(|(_, effect)| effect.to_string()).collect();
        self.keep_bundle(&self.builtins().revert).await?;
        for n in 0..REVERT_TRIES_MAX {
            let mut parts = vec!["undo".to_owned(), n.to_string()];
            parts.extend(names.iter().cloned());
            let run = RunId::derive(&parts);
            if let Some(row) = self.context.store.run(run.partition(), run).await? {
                // Under way, or over and nothing of it is held any more: that is the answer.
                if row.status == RunStatus::Open
                    || (row.end == Some(End::Succeeded) && !self.any_held(&effects).await?)
                {
                    return Ok(run);
                }
                continue;
            }
            let start = Start {
                run,
                cause: Cause::Undo {
                    principal: principal.into(),
                    reason: reason.into(),
                    of,
                },
                inputs: BTreeMap::from([("effects".to_owned(), Value::Array(list.clone()))]),
                severity_id: SeverityId(1),
                subject,
                weak_source: false,
            };
            self.start(&self.builtins().revert, start).await?;
            return Ok(run);
        }
        Err(CannotStart::Nothing(format!(
            "undoing this has failed {REVERT_TRIES_MAX} times; see the runs, then change the target by hand"
        )))
    }

    /// Does one action by hand, on the same path as a playbook's.
    pub async fn act(
        &self,
        action: &str,
        target: Value,
        options: Value,
        principal: &str,
        reason: &str,
    ) -> Result<RunId, CannotStart> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|error| CannotStart::Defect(error.to_string()))?;
        let run = RunId::derive(&[b"act".as_slice(), &nonce]);
        let name = target.get("name").and_then(Value::as_str).unwrap_or_default();
        let kind = target
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .replace('_', " ");
        let start = Start {
            run,
            cause: Cause::Person {
                principal: principal.into(),
                reason: reason.into(),
            },
            subject: format!("{kind} {name}"),
            inputs: BTreeMap::from([
                ("action".to_owned(), json!(action)),
                ("target".to_owned(), target),
                ("options".to_owned(), options),
            ]),
            severity_id: SeverityId(1),
            weak_source: false,
        };
        self.keep_bundle(&self.builtins().act).await?;
        self.start(&self.builtins().act, start).await?;
        Ok(run)
    }

    /// A run's state, folded from its journal.
    pub async fn state(&self, run: RunId) -> Result<RunState, CannotStart> {
        let entries = self
            .context
            .store
            .journal(run.partition(), ChainId::Run(run), 0)
            .await?;
        if entries.is_empty() {
            return Err(CannotStart::Nothing(format!("there is no {run}")));
        }
        RunState::fold(&entries).map_err(|error| CannotStart::Defect(error.to_string()))
    }

    /// True while any of these effects holds its target.
    async fn any_held(&self, effects: &[(RunId, EffectId)]) -> Result<bool, Error> {
        let runs: BTreeSet<RunId> = effects.iter().map(|(run, _)| *run).collect();
        for run in runs {
            for partition in Partition::all() {
                let taken = self.context.store.taken_by(partition, run).await?;
                let ours = |effect: EffectId| effects.iter().any(|(_, one)| *one == effect);
                if taken.shares.iter().any(|share| ours(share.effect)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Which run an effect belongs to, by looking at what is held. Effects that hold nothing are not found.
    pub async fn run_of_held(&self, effect: EffectId) -> Result<Option<RunId>, Error> {
        for partition in Partition::all() {
            for hold in self.context.store.holds(partition).await? {
                if let Some(holder) = hold.holders.iter().find(|holder| holder.effect == effect) {
                    return Ok(Some(holder.run));
                }
            }
        }
        Ok(None)
    }
}

/// First pause before the end of a lease is tried again, ms; doubled each time, up to the longest.
const LEASE_AGAIN_MS: u64 = 5 * 60_000;
const LEASE_AGAIN_MS_MAX: u64 = 86_400_000;
/// How often undoing the same effects may be begun anew.
const REVERT_TRIES_MAX: u32 = 100;

/// The runs below one.
#[derive(Default)]
struct Family {
    below: Vec<RunState>,
    left: Vec<RunId>,
}

fn may_have_happened(effect: &EffectState) -> bool {
    matches!(
        effect.stage(),
        Stage::Done | Stage::Unknown | Stage::InDoubt | Stage::Intended(_)
    )
}
