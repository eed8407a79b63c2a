//! Drives one claimed run: next, perform, append, fold, until there is nothing to do for a while. Holds the
//! run's state in memory only while it works on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::again;
use super::child;
use super::cleanup::{self, Due, Sweep};
use super::consent;
use super::context::{Context, NoBundle};
use super::next::{Next, Progress, Task, is_parkable, next};
use super::perform::{Performed, perform};
use super::record::Record;
use super::signals;
use crate::action::Fault;
use crate::clock::Time;
use crate::id::EffectId;
use crate::journal::{ChainId, ENGINE_ABI, Event, RunState};
use crate::limits::{ASKS_PER_RUN_MAX, SCRIPT_DEADLINE_MS};
use crate::playbook::Loaded;
use crate::script::{Advance, Asked, Entry, Failure, Job, StepId};
use crate::store::{Claim, Error, RunStatus, RunUpdate};

/// What was kept back is stored when a task takes longer than this, ms.
const BEHIND_MS: u64 = 100;
/// Evaluations cut off by their deadline before the playbook is given up.
const EVALUATIONS_CUT_MAX: u32 = 5;
/// Code of the alarm of a run whose replay differs from its record.
const DIVERGED: &str = "diverged";
/// Pause before a dry replay that was cut off is tried again, ms.
const REPLAY_AGAIN_MS: u64 = 10_000;
/// What whoever reads of it does.
const GO_ON: &str = "run it with the version it began under, or cancel it";
/// Pause before an evaluation that was cut off is tried again, ms.
const EVALUATE_AGAIN_MS: u64 = 1_000;

/// Why a run was let go of before it came to rest.
#[derive(Debug, thiserror::Error)]
pub enum LetGo {
    /// The store says no; another claim will go on.
    #[error(transparent)]
    Store(#[from] Error),
    /// An event could not be written as JSON, or does not follow from the state: a defect.
    #[error("the run cannot be recorded: {0}")]
    Defect(String),
}

/// Works on one run until it is over, parked, or has nothing to do for a while; then gives the claim back.
pub async fn drive(context: Arc<Context>, claim: Claim, stop: Arc<AtomicBool>) -> Result<(), LetGo> {
    let run = claim.run;
    let entries = context
        .store
        .journal(run.partition(), ChainId::Run(run), 0)
        .await?;
    let state = match RunState::fold(&entries) {
        Ok(state) => state,
        Err(error) => return park_unread(&context, &claim, entries.len(), &error.to_string()).await,
    };
    let bundle = state.header.bundle;
    let mut record = Record::new(context.clone(), claim, state);
    let loaded = match context.bundle(bundle).await {
        Ok(loaded) => loaded,
        Err(NoBundle::Store(error)) => return Err(error.into()),
        Err(NoBundle::Gone(why)) => {
            hear(&context, &mut record).await?;
            if record.state().cancelled.is_none() {
                return park_without_bundle(&context, record, why).await;
            }
            // Its script is not needed any more. Of what it did nothing can be looked at or undone: people are told.
            Arc::new(Loaded::nothing().map_err(|error| LetGo::Defect(error.to_string()))?)
        }
    };
    let mut driver = Driver::new(context.clone(), loaded, record, stop);
    driver.resume().await?;
    if driver.carry_over().await? {
        driver.go().await?;
    }
    Ok(())
}

/// Writes down what people have said to a run before anything else is done about it.
async fn hear(context: &Context, record: &mut Record) -> Result<(), LetGo> {
    let run = record.claim().run;
    let signals = context.store.signals(run.partition(), run).await?;
    let events = signals::count(record.state(), &signals);
    if !events.is_empty() {
        record.append(events).await?;
    }
    Ok(())
}

/// Parks a run whose bundle cannot be had, or leaves it parked where nobody asked to take it up again.
async fn park_without_bundle(context: &Context, mut record: Record, why: String) -> Result<(), LetGo> {
    if let Some(parked) = record.state().parked.clone() {
        return record.park_again(&parked).await;
    }
    cleanup::all(context, record.state(), &record.under()).await?;
    cleanup::sweep(context, record.state(), Some(record.claim()), Sweep::Everything).await?;
    let mut events = consent::closing(record.state(), "its run was parked");
    events.push(Event::RunParked { why });
    record.append(events).await
}

/// A journal that cannot be folded is left as it is; only the row says so.
async fn park_unread(context: &Context, claim: &Claim, len: usize, why: &str) -> Result<(), LetGo> {
    tracing::error!(run.id = %claim.run, "the run is parked, its journal cannot be read: {why}");
    let update = RunUpdate {
        status: RunStatus::Parked,
        end: None,
        wake_at: None,
        waits_for: format!("a person: {why}"),
        release: true,
        approvals: Vec::new(),
    };
    let now = context.clock.now();
    let len = u64::try_from(len).unwrap_or(u64::MAX);
    context
        .store
        .append(claim.run.partition(), claim, len, now, Vec::new(), update)
        .await?;
    Ok(())
}

/// The last look at the claim before a task: whoever slept past its end must not send what another looks for by now.
/// Refuses as the store would.
fn last_look(task: &Task, claim: &Claim, now: Time) -> Result<(), Error> {
    if !matches!(task, Task::Act(_)) || now < claim.until {
        return Ok(());
    }
    Err(Error::Fenced {
        run: claim.run.to_string(),
        ours: claim.epoch,
        theirs: claim.epoch,
    })
}

struct Driver {
    context: Arc<Context>,
    loaded: Arc<Loaded>,
    record: Record,
    progress: Progress,
    cut: u32,
    /// Why the run is parked once its effects are at rest.
    parking: Option<String>,
    /// True once a person has had the run taken up again: a new claim begins with all the checks there are.
    is_retried: bool,
    tasks: JoinSet<(Task, Result<Performed, Error>)>,
    chores: JoinSet<Result<(), Error>>,
    stop: Arc<AtomicBool>,
}

impl Driver {
    fn new(context: Arc<Context>, loaded: Arc<Loaded>, record: Record, stop: Arc<AtomicBool>) -> Driver {
        let progress = Progress {
            epoch: record.claim().epoch,
            ..Progress::default()
        };
        Driver {
            context,
            loaded,
            record,
            progress,
            cut: 0,
            parking: None,
            is_retried: false,
            tasks: JoinSet::new(),
            chores: JoinSet::new(),
            stop,
        }
    }

    /// After an earlier claim: say so, and do again what may have been left undone after its last append.
    async fn resume(&mut self) -> Result<(), LetGo> {
        if self.record.claim().epoch > 1 && self.record.state().settled.is_none() {
            let run = self.record.claim().run;
            let row = self.context.store.run(run.partition(), run).await?;
            // A run that was given back to wait is no news; one whose worker ended in the middle is.
            if row.is_none_or(|row| row.waits_for.is_empty()) && self.record.state().len > 1 {
                let (epoch, worker) = (self.record.claim().epoch, self.context.worker.clone());
                self.record
                    .append(vec![Event::RunClaimed { epoch, worker }])
                    .await?;
            }
            crate::crash::point("run.before-recleanup");
            let owed: Vec<EffectId> = self.record.state().effects.keys().copied().collect();
            for id in owed {
                if let Some(effect) = self.record.state().effects.get(&id) {
                    cleanup::after(&self.context, effect, Due::Everything, &self.record.under()).await?;
                }
                self.record.keep_claim().await?;
            }
            cleanup::sweep(
                &self.context,
                self.record.state(),
                Some(self.record.claim()),
                Sweep::Locks,
            )
            .await?;
        }
        Ok(())
    }

    async fn go(&mut self) -> Result<(), LetGo> {
        loop {
            self.progress.halted = !matches!(*self.context.halt.borrow(), Ok(None));
            let stopping = self.stop.load(Ordering::Relaxed);
            let now = self.context.clock.now();
            if self.is_retried && self.tasks.is_empty() {
                return self.let_go(now, "a worker to take it up again".into()).await;
            }
            if let Some(why) = self.parking.clone()
                && self.tasks.is_empty()
                && is_parkable(self.record.state())
            {
                self.append(vec![Event::RunParked { why }]).await?;
            }
            match next(self.record.state(), &self.progress, now) {
                Next::Over => {
                    // Opened again by a word that did not change that it is parked.
                    if let Some(why) = self.record.state().parked.clone() {
                        self.record.park_again(&why).await?;
                    }
                    return Ok(());
                }
                Next::Record(events) => self.append(events).await?,
                // What is intended is under way: it is done and recorded, or recovery would have to guess.
                Next::Perform(task @ Task::Act(_)) => {
                    // The intent is durable before the first byte of the change leaves.
                    self.record.flush().await?;
                    // Storing it may have taken longer than our claim, and then it is another's to act on.
                    self.record.keep_claim_to_act().await?;
                    self.begin(task);
                }
                _ if stopping => {
                    if self.tasks.is_empty() {
                        return self.let_go(now, "a worker to go on with it".into()).await;
                    }
                    self.finish_one(None).await?;
                }
                Next::Perform(task) => {
                    // The ask is durable before its run can be, or a run could be there that nobody waits for.
                    if matches!(task, Task::StartChild(_)) {
                        self.record.flush().await?;
                    }
                    self.begin(task);
                }
                Next::Evaluate => self.evaluate().await?,
                Next::Wait { until, why } => {
                    if !self.tasks.is_empty() {
                        self.finish_one(until.map(|until| until.since_ms(now))).await?;
                    } else {
                        let stay_ms = self.context.stay_ms;
                        let pause_ms = until.map_or(stay_ms + 1, |until| until.since_ms(now));
                        if pause_ms > stay_ms {
                            return self.let_go(until.unwrap_or(now), why).await;
                        }
                        self.record.flush().await?;
                        self.context.pause_ms(pause_ms.max(1)).await;
                        self.record.keep_claim().await?;
                    }
                }
            }
        }
    }

    fn begin(&mut self, task: Task) {
        self.progress.busy.insert(task.clone());
        let context = self.context.clone();
        let loaded = self.loaded.clone();
        let state = self.record.excerpt(&task);
        let under = self.record.under();
        let claim = self.record.claim().clone();
        self.tasks.spawn(async move {
            if let Err(over) = last_look(&task, &claim, context.clock.now()) {
                return (task, Err(over));
            }
            let performed = perform(&context, &loaded, &state, &task, &under).await;
            (task, performed)
        });
    }

    /// Waits for one task, for at most `ms`, keeping the claim meanwhile.
    async fn finish_one(&mut self, ms: Option<u64>) -> Result<(), LetGo> {
        let longest = if self.record.is_behind() {
            BEHIND_MS
        } else {
            self.context.claim_ms / 3
        };
        let pause_ms = ms.unwrap_or(longest).clamp(1, longest.max(1));
        match self.context.within_ms(pause_ms, self.tasks.join_next()).await {
            Some(Some(Ok((task, performed)))) => {
                crate::crash::point("run.task-ended");
                self.progress.busy.remove(&task);
                let Performed {
                    events,
                    later,
                    counted,
                    child_seen,
                    child_told,
                    heard,
                } = performed?;
                self.progress.children_at.extend(child_seen);
                self.progress.children_told.extend(child_told);
                if let Some((effect, at)) = later {
                    self.progress.not_before.insert(effect, at);
                }
                self.progress.votes_at = counted.or(self.progress.votes_at);
                if let Some((at, signals)) = heard {
                    self.progress.heard_at = Some(at);
                    let said = signals::count(self.record.state(), &signals);
                    self.is_retried = said.iter().any(|one| matches!(one, Event::RunRetried { .. }));
                    self.append(said).await?;
                    // Whoever cancels a run is the person it would be parked for.
                    if self.record.state().cancelled.is_some() {
                        self.is_retried = false;
                        self.parking = None;
                        self.progress.parking = false;
                    }
                }
                // What a task saw when it began may be over: a grant used by another effect is weighed again.
                if !consent::is_used_meanwhile(self.record.state(), &events) {
                    let events = consent::still_open(self.record.state(), events);
                    self.append(events).await?;
                }
            }
            // A task that panicked leaves an intent without an outcome: another claim looks what happened.
            Some(Some(Err(error))) => return Err(LetGo::Defect(error.to_string())),
            // It takes a while: let people see how far it has come.
            Some(None) | None => self.record.flush().await?,
        }
        self.record.keep_claim().await?;
        Ok(())
    }

    async fn append(&mut self, mut events: Vec<Event>) -> Result<(), LetGo> {
        if events.is_empty() {
            return Ok(());
        }
        if events
            .iter()
            .any(|event| matches!(event, Event::RunParked { .. }))
        {
            let closing = consent::closing(self.record.state(), "its run was parked");
            events.splice(0..0, closing);
        }
        // A settled run is never claimed again, so whatever it owes is paid before it says that it is over.
        if events
            .iter()
            .any(|event| matches!(event, Event::RunSettled { .. } | Event::RunParked { .. }))
        {
            self.finish_chores().await?;
            // What an earlier claim took and this one had no use for.
            if self.record.claim().epoch > 1 {
                cleanup::sweep(
                    &self.context,
                    self.record.state(),
                    Some(self.record.claim()),
                    Sweep::Everything,
                )
                .await?;
            }
            crate::crash::point("run.before-settling");
        }
        let answers = events
            .iter()
            .any(|event| matches!(event, Event::StepAnswered { .. }));
        if answers && self.progress.unseen_since.is_none() {
            self.progress.unseen_since = Some(self.context.clock.now());
        }
        let touched = cleanup::touched(&events);
        let settles = events
            .iter()
            .any(|event| matches!(event, Event::RunSettled { .. }));
        self.record.append(events).await?;
        if settles {
            child::wake_parent(&self.context, &self.record.state().header).await;
        }
        crate::crash::point("run.before-cleanup");
        let state = self.record.state();
        let mut at_once = Vec::new();
        for (id, due) in touched {
            let Some(effect) = state.effects.get(&id).filter(|effect| cleanup::is_owed(effect)) else {
                continue;
            };
            if effect.is_closed() {
                let (context, effect, under) = (self.context.clone(), effect.clone(), self.record.under());
                self.chores
                    .spawn(async move { cleanup::after(&context, &effect, due, &under).await });
            } else {
                // Another attempt may take the lock again, so it is given back before.
                at_once.push((effect.clone(), due));
            }
        }
        for (effect, due) in at_once {
            cleanup::after(&self.context, &effect, due, &self.record.under()).await?;
        }
        Ok(())
    }

    /// Waits for what is owed to targets. A chore that fails is done again by the next claim.
    async fn finish_chores(&mut self) -> Result<(), LetGo> {
        while let Some(done) = self.chores.join_next().await {
            done.map_err(|error| LetGo::Defect(error.to_string()))??;
        }
        Ok(())
    }

    async fn let_go(&mut self, until: Time, why: String) -> Result<(), LetGo> {
        self.finish_chores().await?;
        self.record.release(until, why).await
    }

    /// A run of a program with other replay rules goes on where replaying all of it, before anything of it is done and
    /// without asking anybody, gives what was recorded. Otherwise it is going to be parked. False when the replay was
    /// cut off: nothing is known then, so nothing is done under this claim.
    async fn carry_over(&mut self) -> Result<bool, LetGo> {
        let state = self.record.state();
        let from = state.engine_abi;
        let over = state.script.is_some()
            || state.settled.is_some()
            || state.parked.is_some()
            || state.cancelled.is_some();
        if from == ENGINE_ABI || over {
            return Ok(true);
        }
        let mut job = again::whole(state, &self.loaded);
        job.stop = self.stop.clone();
        let advance = self.evaluated(job).await?;
        let events = match again::judged(self.record.state(), advance) {
            Advance::Interrupted { .. } => {
                let again = self.context.clock.now().plus_ms(REPLAY_AGAIN_MS);
                self.let_go(again, "another try to replay it".into()).await?;
                return Ok(false);
            }
            Advance::Diverged {
                step,
                recorded,
                found,
            } => self.diverges(&step, &recorded, &found),
            Advance::Asks { .. } | Advance::Returned { .. } | Advance::Failed { .. } => {
                vec![Event::RunCarriedOver { from, to: ENGINE_ABI }]
            }
        };
        self.append(events).await?;
        Ok(true)
    }

    /// The script does not do what was recorded: what is under way is seen to its end, then the run is parked.
    fn diverges(&mut self, step: &StepId, recorded: &str, found: &str) -> Vec<Event> {
        let why = format!(
            "at step {step} the playbook now does `{found}`, where the journal has `{recorded}`; {GO_ON}"
        );
        self.progress.parking = true;
        self.parking = Some(why.clone());
        let told = &self.record.state().alarms;
        if told.iter().any(|alarm| alarm.code == DIVERGED) {
            return Vec::new();
        }
        vec![Event::Alarmed {
            code: DIVERGED.into(),
            message: why,
            effect: None,
        }]
    }

    /// What an evaluation says, with the claim kept meanwhile.
    async fn evaluated(&mut self, job: Job) -> Result<Advance, LetGo> {
        let (reply, mut answer) = oneshot::channel();
        self.context.evaluators.evaluate(
            job,
            Box::new(move |advance| {
                // The driver may be gone by now; then nobody wants the answer.
                let _ = reply.send(advance);
            }),
        );
        let renewed_ms = (self.context.claim_ms / 3).max(1);
        loop {
            match self.context.within_ms(renewed_ms, &mut answer).await {
                Some(advance) => {
                    return advance.map_err(|_| LetGo::Defect("an evaluation thread ended".into()));
                }
                None => self.record.keep_claim().await?,
            }
        }
    }

    async fn evaluate(&mut self) -> Result<(), LetGo> {
        let state = self.record.state();
        let answered = state.answered();
        let job = Job {
            program: self.loaded.program.clone(),
            vocabulary: self.loaded.vocabulary.clone(),
            entry: Entry::Main,
            inputs: self.record.inputs(),
            answers: self.record.answers(),
            told: self.record.told(),
            deadline: Duration::from_millis(SCRIPT_DEADLINE_MS),
            stop: self.stop.clone(),
        };
        let advance = self.evaluated(job).await?;
        let events = match again::judged(self.record.state(), advance) {
            Advance::Asks { waiting, told } => self.asks(waiting, told),
            Advance::Returned { value, told: says } => {
                let mut events: Vec<Event> = says.into_iter().map(told).collect();
                events.push(Event::ScriptReturned { value });
                events
            }
            Advance::Failed { error, told: says } => {
                let mut events: Vec<Event> = says.into_iter().map(told).collect();
                events.push(failed(error));
                events
            }
            Advance::Diverged {
                step,
                recorded,
                found,
            } => self.diverges(&step, &recorded, &found),
            Advance::Interrupted { why } => {
                let now = self.context.clock.now();
                self.progress.evaluate_after = Some(now.plus_ms(EVALUATE_AGAIN_MS));
                if why == crate::script::Interrupted::Deadline {
                    self.cut += 1;
                }
                if self.cut < EVALUATIONS_CUT_MAX {
                    return Ok(());
                }
                let message = format!(
                    "the playbook used more than {SCRIPT_DEADLINE_MS} ms of one evaluation, {} times",
                    self.cut
                );
                vec![Event::ScriptFailed {
                    fault: Fault::new("limit", message),
                    line: 0,
                    column: 0,
                    file: None,
                }]
            }
        };
        self.cut = 0;
        self.progress.evaluated = Some(answered);
        self.progress.unseen_since = None;
        self.progress.evaluate_after = None;
        self.append(events).await
    }

    fn asks(&self, waiting: Vec<Asked>, says: Vec<Asked>) -> Vec<Event> {
        let state = self.record.state();
        let mut events: Vec<Event> = says.into_iter().map(told).collect();
        let open = waiting.len();
        for one in waiting {
            if !state.steps.contains_key(&one.step) {
                events.push(asked(one));
            }
        }
        if state.steps.len() + events.len() > ASKS_PER_RUN_MAX {
            let message = format!("the playbook asked for more than {ASKS_PER_RUN_MAX} things");
            return vec![Event::ScriptFailed {
                fault: Fault::new("limit", message),
                line: 0,
                column: 0,
                file: None,
            }];
        }
        if open == 0 {
            let why = "the playbook waits for nothing that could come".to_owned();
            return vec![Event::RunParked { why }];
        }
        events
    }
}

/// The script asks for this.
pub(super) fn asked(asked: Asked) -> Event {
    Event::StepAsked {
        step: asked.step,
        name: asked.name,
        args: asked.args,
        digest: asked.digest,
        line: small(asked.at.line),
        column: small(asked.at.column),
        file: asked.file,
    }
}

/// The script ended with this error.
pub(super) fn failed(error: Failure) -> Event {
    let at = error.at.unwrap_or_default();
    let fault = Fault {
        code: error.code,
        message: error.message,
        data: error.data,
    };
    Event::ScriptFailed {
        fault,
        line: small(at.line),
        column: small(at.column),
        file: error.file,
    }
}

/// The script says this.
pub(super) fn told(asked: Asked) -> Event {
    Event::StepTold {
        step: asked.step,
        name: asked.name,
        args: asked.args,
        digest: asked.digest,
        line: small(asked.at.line),
        file: asked.file,
    }
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RunId;

    #[test]
    fn a_claim_that_is_over_sends_nothing_and_may_still_look() {
        let claim = Claim {
            run: RunId::derive(&["slept"]),
            epoch: 3,
            until: Time(100),
        };
        let effect = EffectId::derive(&["effect"]);
        assert_eq!(last_look(&Task::Act(effect), &claim, Time(99)), Ok(()));
        assert!(matches!(
            last_look(&Task::Act(effect), &claim, Time(100)),
            Err(Error::Fenced { ours: 3, .. })
        ));
        assert_eq!(last_look(&Task::Verify(effect), &claim, Time(100)), Ok(()));
    }
}
