//! One playbook's case, played: the alert is processed by the real pipeline, the runs are driven by the real driver,
//! and the clock jumps to whatever comes next. Decides nothing about what is expected.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::{Map, Value};
use tokio::sync::{mpsc, watch};

use super::case::{Body, Deed, Input, Later, Play};
use super::delivery;
use super::world::World;
use crate::action::Hold;
use crate::clock::{Clock, SetClock, Time};
use crate::connector::{self, Instance, Instances, Overrides, Owns};
use crate::digest::Digest;
use crate::finding::{Finding, SeverityId};
use crate::guardrail::{Halt, Policy};
use crate::id::{AlertId, EffectId, Partition, RunId};
use crate::intake::{self, Auth, Content, Delivery, Offline, Pipeline, Profile, Stock};
use crate::journal::{Cause, ChainId, Event, FindingFate, RunState, seal};
use crate::limits::{DOUBT_LOOK_MS, PAGE_MAX, SIMULATED_JUMPS_MAX};
use crate::playbook::{Bundle, Loaded, Playbook};
use crate::run::{Ballot, Builtins, Context, HaltSwitch, Handle, NotHeard, RESOLVE, Start, Word, drive};
use crate::script::Evaluators;
use crate::store::memory::MemoryStore;
use crate::store::{ApprovalQuery, Claim, NewAlert, RunQuery, RunRow, RunStatus, Store};
use crate::trigger::Index;

/// Runs claimed from one partition at a time.
const CLAIM_AT_ONCE: usize = 32;
/// Who starts a run by hand where the case says nothing.
const SOMEBODY: &str = "ana";

/// What all cases share.
pub struct Ground {
    /// The connectors.
    pub connectors: Arc<connector::Catalog>,
    /// Threads that evaluate scripts.
    pub evaluators: Arc<Evaluators>,
    /// Our own playbook that restores, and its open bundle.
    pub revert: (Bundle, Arc<Loaded>),
    /// Our own playbook that acts by hand.
    pub act: Bundle,
    /// Every playbook, for scripts that start others.
    pub playbooks: Arc<BTreeMap<String, Bundle>>,
}

/// One run and its journal.
pub struct PlayedRun {
    /// Its row.
    pub row: RunRow,
    /// What its journal folds to.
    pub state: RunState,
    /// Its events.
    pub events: Vec<(Time, Event)>,
    /// True when the case started it; false for one that restores, and for one that another started.
    pub is_started: bool,
    /// Its journal as it is stored.
    #[cfg(test)]
    pub entries: Vec<crate::journal::Entry>,
}

/// What came of a case.
pub struct Played {
    /// When it began.
    pub began: Time,
    /// Why no run was started, where none was.
    pub missed: Vec<String>,
    /// Started runs in the order they were started, then those that restore.
    pub runs: Vec<PlayedRun>,
    /// What is held at the end.
    pub holds: Vec<Hold>,
    /// The estate.
    pub world: Arc<World>,
}

/// Why a case could not be played to its end.
pub struct NotPlayed {
    /// Why.
    pub why: String,
    /// Where in the case, when it is a place.
    pub span: std::ops::Range<usize>,
}

impl NotPlayed {
    fn because(why: impl std::fmt::Display) -> NotPlayed {
        NotPlayed {
            why: why.to_string(),
            span: 0..0,
        }
    }
}

/// Plays a case of a playbook, whose open bundle is `loaded`.
///
/// # Errors
/// The case does not come to rest, or what it begins with cannot be read.
pub async fn play(
    ground: &Ground,
    playbook: &Playbook,
    loaded: &Arc<Loaded>,
    play: &Play,
) -> Result<Played, NotPlayed> {
    let clock = Arc::new(SetClock::at(play.now));
    let instances = Arc::new(instances(&ground.connectors, play));
    let world = Arc::new(World::new(
        instances,
        clock.clone(),
        play.facts.clone(),
        play.behaviours.clone(),
    ));
    let store: Arc<dyn Store> = Arc::new(MemoryStore::with_clock(clock.clone()));
    let (halt, switch) = watch::channel::<HaltSwitch>(Ok(None));
    let policy = Policy {
        protected: play.protected.clone(),
        groups: play.groups.clone(),
        ..Policy::default()
    };
    let mut context = Context::new(
        store.clone(),
        world.clone(),
        ground.evaluators.clone(),
        clock.clone(),
        Arc::new(policy),
        switch,
        [7; 32],
        "case".to_owned(),
    );
    // Every wait is slept in the store, so that the clock can jump over it.
    context.stay_ms = 0;
    context.open(playbook.bundle.digest, loaded.clone());
    context.offer(ground.playbooks.clone());
    context.open(ground.revert.0.digest, ground.revert.1.clone());
    let context = Arc::new(context);
    let (kicks, _) = mpsc::channel(1);
    let builtins = Builtins {
        revert: ground.revert.0.clone(),
        act: ground.act.clone(),
    };
    let handle = Handle::new(context.clone(), kicks, builtins);
    let mut course = Course {
        ground,
        playbook,
        play,
        clock,
        world,
        store,
        context,
        handle,
        halt,
        started: Vec::new(),
        missed: Vec::new(),
    };
    course.begin().await?;
    course.go_on().await?;
    course.end().await
}

/// The instances of a case; where it names none, one for each connector with actions, which owns everything.
fn instances(connectors: &connector::Catalog, play: &Play) -> Instances {
    let everything = || vec![Owns::default()];
    let instance = |name: &str, connector: &str, when: Vec<Owns>| Instance {
        name: name.to_owned(),
        connector: connector.to_owned(),
        base_url: None,
        credentials: BTreeMap::new(),
        settings: BTreeMap::new(),
        hosts: Vec::new(),
        ca: None,
        without_tls: false,
        when,
        overrides: Overrides::default(),
    };
    let all: Vec<Instance> = match &play.instances {
        Some(named) => named
            .iter()
            .map(|one| {
                let when = if one.when.is_empty() {
                    everything()
                } else {
                    one.when.clone()
                };
                instance(&one.name.value, &one.connector.value, when)
            })
            .collect(),
        None => connectors
            .connectors()
            .filter(|connector| !connector.manifest.actions.is_empty())
            .map(|connector| instance(&connector.manifest.name, &connector.manifest.name, everything()))
            .collect(),
    };
    let bind = play
        .bind
        .iter()
        .map(|(name, to)| (name.value.clone(), to.value.clone()))
        .collect();
    Instances {
        all,
        bind,
        ..Instances::default()
    }
}

/// Whether a word went as the case expects; says how it did not.
fn taken(said: Result<String, NotHeard>, refused: Option<&str>) -> Result<(), String> {
    match (said, refused) {
        (Ok(_), None) => Ok(()),
        (Ok(_), Some(refused)) => Err(format!("it was taken, expected that it is refused: `{refused}`")),
        (Err(why), Some(refused)) if why.to_string().contains(refused) => Ok(()),
        (Err(why), _) => Err(why.to_string()),
    }
}

struct Course<'a> {
    ground: &'a Ground,
    playbook: &'a Playbook,
    play: &'a Play,
    clock: Arc<SetClock>,
    world: Arc<World>,
    store: Arc<dyn Store>,
    context: Arc<Context>,
    handle: Handle,
    halt: watch::Sender<HaltSwitch>,
    started: Vec<RunId>,
    missed: Vec<String>,
}

impl Course<'_> {
    /// Takes in what the case begins with, and starts what follows from it.
    async fn begin(&mut self) -> Result<(), NotPlayed> {
        match &self.play.input {
            Input::Alert { source, body, weak } => {
                let profile = self.profile(&source.value, *weak, &body.settings)?;
                self.deliver(&profile, body).await
            }
            Input::Findings(findings) => {
                let profile = self.profile("generic", false, &Map::new())?;
                for finding in findings {
                    let body = Body {
                        span: finding.span.clone(),
                        bytes: Value::Object(finding.value.clone()).to_string().into_bytes(),
                        headers: Vec::new(),
                        answers: BTreeMap::new(),
                        settings: Map::new(),
                    };
                    self.deliver(&profile, &body).await?;
                }
                Ok(())
            }
            Input::Nothing => {
                let start = Start {
                    run: self.by_hand_id(),
                    cause: self.by_hand(),
                    inputs: self.inputs(),
                    severity_id: SeverityId(1),
                    subject: "by hand".to_owned(),
                    weak_source: false,
                };
                self.start(start).await
            }
        }
    }

    fn inputs(&self) -> BTreeMap<String, Value> {
        let inputs = self.play.inputs.iter().flat_map(|inputs| inputs.value.clone());
        inputs.collect()
    }

    fn profile(&self, source: &str, weak: bool, settings: &Map<String, Value>) -> Result<Profile, NotPlayed> {
        let connector = self.ground.connectors.connector(source);
        let Some(connector) = connector.filter(|one| one.manifest.source.is_some()) else {
            return Err(NotPlayed::because(format!(
                "the connector `{source}` takes no alerts"
            )));
        };
        let auth = if weak {
            Auth::None {
                anyone_may_send: true,
            }
        } else {
            Auth::StandardWebhooks { secrets: Vec::new() }
        };
        Ok(delivery::profile(connector, auth, settings))
    }

    /// One delivery: by trigger through the pipeline, or by hand where the case or the playbook says so.
    async fn deliver(&mut self, profile: &Profile, body: &Body) -> Result<(), NotPlayed> {
        let at = |why: String| NotPlayed {
            why,
            span: body.span.clone(),
        };
        let now = self.clock.now();
        let evaluators = &self.ground.evaluators;
        let look_ups = Arc::new(Offline::with(body.answers.clone()));
        let delivery = Delivery {
            id: "case",
            headers: &body.headers,
            body: &body.bytes,
            received: now,
            now,
        };
        let reading = intake::read_with(evaluators, &*look_ups, profile, &delivery).await;
        let reading = reading.map_err(|error| at(format!("the delivery cannot be read: {error}")))?;
        let findings = reading.findings;
        let is_by_hand = self.play.by.is_some() || self.play.inputs.is_some();
        if is_by_hand || self.playbook.triggers.is_empty() {
            for finding in &findings {
                let mut start = Start::on_finding(self.by_hand_id(), self.by_hand(), finding, false);
                start.inputs.extend(self.inputs());
                self.start(start).await?;
            }
            return Ok(());
        }
        let alert = self.keep(profile, body, now).await?;
        let content = Content::fixed(Stock {
            connectors: self.ground.connectors.clone(),
            written: Vec::new(),
            index: Index::build(self.playbook.triggers.clone()),
            bundles: BTreeMap::from([(self.playbook.manifest.id.clone(), self.playbook.bundle.clone())]),
        });
        let profiles = BTreeMap::from([(profile.name.clone(), profile.clone())]);
        let pipeline = Pipeline::new(self.handle.clone(), Arc::new(profiles), Arc::new(content));
        let pipeline = pipeline.looking_up(look_ups);
        pipeline.process(alert).await.map_err(NotPlayed::because)?;
        let entries = self
            .store
            .journal(alert.partition(), ChainId::Alert(alert), 0)
            .await;
        for entry in entries.map_err(NotPlayed::because)? {
            match entry.event().map_err(NotPlayed::because)?.1 {
                Event::AlertSplit { findings: records } => {
                    for (record, finding) in records.into_iter().zip(&findings) {
                        self.note_fate(record.fate, finding);
                    }
                }
                Event::AlertControl { what } => self.missed.push(format!("it is {what}")),
                Event::AlertUnreadable { why } => {
                    return Err(at(format!("the delivery cannot be read: {why}")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn note_fate(&mut self, fate: FindingFate, finding: &Finding) {
        match fate {
            FindingFate::Matched { runs } => self.started.extend(runs),
            FindingFate::Suppressed { .. } => {
                self.missed
                    .push("a run for the same key was started within the window".to_owned());
            }
            FindingFate::Duplicate { .. } => self.missed.push("the same finding was here before".to_owned()),
            FindingFate::Unmatched => {
                let index = Index::build(self.playbook.triggers.clone());
                for explained in index.explain(finding) {
                    for miss in &explained.misses {
                        let place = if miss.field.is_empty() {
                            &miss.search
                        } else {
                            &miss.field
                        };
                        self.missed.push(format!("{place}: {}", miss.why));
                    }
                }
            }
        }
    }

    /// Keeps a delivery as the door would have, which has nothing to authenticate here.
    async fn keep(&self, profile: &Profile, body: &Body, now: Time) -> Result<AlertId, NotPlayed> {
        let digest = Digest::of(&body.bytes);
        let alert = AlertId::derive(&[profile.name.clone(), String::new(), digest.to_string()]);
        let event = Event::AlertAccepted {
            alert,
            source: profile.name.clone(),
            delivery: digest.to_string(),
            body: digest,
            bytes: u64::try_from(body.bytes.len()).unwrap_or(u64::MAX),
            proof: "case".to_owned(),
        };
        let entry = seal(ChainId::Alert(alert), &Digest::ZERO, 0, now, &event, [0; 16]);
        let new = NewAlert {
            id: alert,
            source: profile.name.clone(),
            received_at: now,
            headers: body.headers.clone(),
            body: body.bytes.clone(),
            entry: entry.map_err(NotPlayed::because)?,
        };
        self.store
            .accept(alert.partition(), new)
            .await
            .map_err(NotPlayed::because)?;
        Ok(alert)
    }

    fn by_hand(&self) -> Cause {
        Cause::Person {
            principal: self.play.by.clone().unwrap_or_else(|| SOMEBODY.to_owned()),
            reason: "a case".to_owned(),
        }
    }

    fn by_hand_id(&self) -> RunId {
        RunId::derive(&["case".to_owned(), self.started.len().to_string()])
    }

    async fn start(&mut self, start: Start) -> Result<(), NotPlayed> {
        let run = start.run;
        let bundle = &self.playbook.bundle;
        self.handle
            .keep_bundle(bundle)
            .await
            .map_err(NotPlayed::because)?;
        self.handle
            .start(bundle, start)
            .await
            .map_err(NotPlayed::because)?;
        self.started.push(run);
        Ok(())
    }

    /// Drives what is due, and moves the clock to what comes next, until nothing does.
    async fn go_on(&mut self) -> Result<(), NotPlayed> {
        let last = self.play.until_ms.map(|ms| self.play.now.plus_ms(ms));
        let mut later = self.play.later.iter().peekable();
        for _ in 0..SIMULATED_JUMPS_MAX {
            let now = self.clock.now();
            while let Some(one) = later.next_if(|one| self.play.now.plus_ms(one.after_ms) <= now) {
                self.happen(one).await?;
            }
            if self.work().await? {
                continue;
            }
            let planned = later.peek().map(|one| self.play.now.plus_ms(one.after_ms));
            let is_open = self.is_open().await?;
            let is_halted = !matches!(*self.halt.borrow(), Ok(None));
            let next = [self.next_wake().await?, planned].into_iter().flatten().min();
            match (last, next) {
                (Some(last), Some(next)) if next <= last => self.jump_to(next),
                (Some(last), _) if now < last => self.jump_to(last),
                (Some(_), _) => return Ok(()),
                // Nobody will say: what is in doubt waits for ever.
                (None, Some(next))
                    if planned.is_none()
                        && is_open
                        && next.since_ms(now) >= DOUBT_LOOK_MS
                        && self.is_only_in_doubt().await? =>
                {
                    return Ok(());
                }
                // Nobody will resume: what is held waits for ever.
                (None, _) if is_halted && planned.is_none() => return Ok(()),
                (None, Some(next)) if is_open || planned.is_some() => self.jump_to(next),
                (None, _) => return Ok(()),
            }
        }
        Err(NotPlayed::because(format!(
            "it did not come to rest within {SIMULATED_JUMPS_MAX} moments"
        )))
    }

    fn jump_to(&self, moment: Time) {
        let ms = moment.since_ms(self.clock.now());
        self.clock.advance_ms(ms);
    }

    /// Ends leases that are over and drives every run that is due. False when there was nothing to do.
    async fn work(&self) -> Result<bool, NotPlayed> {
        let now = self.clock.now();
        let mut worked = false;
        for partition in Partition::all() {
            let due = self.store.due_holders(partition, now, CLAIM_AT_ONCE).await;
            for holder in due.map_err(NotPlayed::because)? {
                self.handle.end_lease(&holder).await.map_err(NotPlayed::because)?;
            }
        }
        for partition in Partition::all() {
            let until = now.plus_ms(self.context.claim_ms);
            let worker = &self.context.worker;
            let claims = self
                .store
                .claim_due(partition, worker, now, until, CLAIM_AT_ONCE)
                .await;
            for claim in claims.map_err(NotPlayed::because)? {
                worked = true;
                self.drive(claim).await?;
            }
        }
        Ok(worked)
    }

    /// Drives one run; or lets its worker die where the case says so, whose claim then passes.
    async fn drive(&self, claim: Claim) -> Result<(), NotPlayed> {
        let stop = Arc::new(AtomicBool::new(false));
        tokio::select! {
            biased;
            () = self.world.killed.notified() => self.clock.advance_ms(self.context.claim_ms + 1),
            driven = drive(self.context.clone(), claim, stop) => driven.map_err(NotPlayed::because)?,
        }
        Ok(())
    }

    async fn next_wake(&self) -> Result<Option<Time>, NotPlayed> {
        let mut next: Option<Time> = None;
        for partition in Partition::all() {
            let wake = self
                .store
                .next_wake(partition)
                .await
                .map_err(NotPlayed::because)?;
            let lease = self
                .store
                .next_lease_end(partition)
                .await
                .map_err(NotPlayed::because)?;
            next = [next, wake, lease].into_iter().flatten().min();
        }
        Ok(next)
    }

    async fn is_open(&self) -> Result<bool, NotPlayed> {
        let query = RunQuery {
            status: Some(RunStatus::Open),
            limit: 1,
            ..RunQuery::default()
        };
        for partition in Partition::all() {
            if !self
                .store
                .runs(partition, &query)
                .await
                .map_err(NotPlayed::because)?
                .is_empty()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What somebody does while time passes.
    async fn happen(&self, later: &Later) -> Result<(), NotPlayed> {
        let at = |why: String| NotPlayed {
            why,
            span: later.span.clone(),
        };
        match &later.deed {
            Deed::Change {
                target,
                instance,
                facet,
                state,
            } => {
                let instance = instance.as_ref().map(|one| one.value.as_str());
                if !self
                    .world
                    .change(&target.value, instance, facet.as_deref(), state)
                {
                    return Err(at(format!("nobody has looked at `{}` by then", target.value)));
                }
            }
            Deed::Undo { by } => {
                for run in &self.started {
                    let undone = self.handle.undo_run(*run, by, "a case").await;
                    undone.map_err(|error| at(error.to_string()))?;
                }
            }
            Deed::Halt { by } => {
                let halt = Halt {
                    by: by.clone(),
                    at: self.clock.now(),
                    reason: "a case".to_owned(),
                };
                self.halt.send_modify(|switch| *switch = Ok(Some(halt)));
            }
            Deed::Resume => self.halt.send_modify(|switch| *switch = Ok(None)),
            Deed::Cancel { by, undo, refused } => {
                let word = Word::Cancel {
                    undo: *undo,
                    reason: "a case".to_owned(),
                };
                for run in self.started.clone() {
                    let said = self.handle.speak(run, &word, by).await;
                    taken(said, refused.as_deref()).map_err(at)?;
                }
            }
            Deed::Resolve {
                by,
                happened,
                refused,
            } => {
                let doubts = self.doubts().await?;
                if doubts.is_empty() {
                    return Err(at("nothing is in doubt by then".to_owned()));
                }
                for (run, effect) in doubts {
                    let word = Word::Resolve {
                        effect,
                        happened: *happened,
                        reason: "a case".to_owned(),
                    };
                    let said = self.handle.speak(run, &word, by).await;
                    taken(said, refused.as_deref()).map_err(at)?;
                }
            }
            Deed::Vote {
                by,
                approve,
                ask,
                refused,
            } => {
                let taken = self.vote(by, *approve, ask.as_deref()).await?;
                match (taken, refused) {
                    (Ok(()), None) => {}
                    (Ok(()), Some(refused)) => {
                        return Err(at(format!(
                            "the answer was taken, expected that it is refused: `{refused}`"
                        )));
                    }
                    (Err(why), Some(refused)) if why.contains(refused.as_str()) => {}
                    (Err(why), _) => return Err(at(why)),
                }
            }
        }
        Ok(())
    }

    /// Effects of which a person has to say whether they happened, of every run that is not over.
    async fn doubts(&self) -> Result<Vec<(RunId, EffectId)>, NotPlayed> {
        let mut found = Vec::new();
        for status in [RunStatus::Open, RunStatus::Parked] {
            let query = RunQuery {
                status: Some(status),
                limit: PAGE_MAX,
                ..RunQuery::default()
            };
            for partition in Partition::all() {
                let rows = self.store.runs(partition, &query).await;
                for row in rows.map_err(NotPlayed::because)? {
                    let state = self.handle.state(row.id).await.map_err(NotPlayed::because)?;
                    found.extend(state.doubts().map(|effect| (row.id, effect.bound.effect)));
                }
            }
        }
        Ok(found)
    }

    /// True when every run that is open waits for somebody to resolve a doubt.
    async fn is_only_in_doubt(&self) -> Result<bool, NotPlayed> {
        let query = RunQuery {
            status: Some(RunStatus::Open),
            limit: PAGE_MAX,
            ..RunQuery::default()
        };
        for partition in Partition::all() {
            let rows = self.store.runs(partition, &query).await;
            let mut rows = rows.map_err(NotPlayed::because)?.into_iter();
            if rows.any(|row| !row.waits_for.contains(RESOLVE)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Somebody answers what is asked and open; the inner error says why the answer was not taken.
    async fn vote(
        &self,
        by: &str,
        approve: bool,
        ask: Option<&str>,
    ) -> Result<Result<(), String>, NotPlayed> {
        let mut answered = false;
        for partition in Partition::all() {
            let query = ApprovalQuery {
                open: Some(true),
                before: None,
                limit: PAGE_MAX,
            };
            let open = self.store.approvals(partition, query).await;
            for row in open.map_err(NotPlayed::because)? {
                let request = &row.state.request;
                if ask.is_some_and(|ask| !request.ask.contains(ask)) {
                    continue;
                }
                answered = true;
                let ballot = Ballot {
                    principal: by.to_owned(),
                    approve,
                    reason: "a case".to_owned(),
                    digest: Some(request.digest),
                };
                if let Err(refused) = self.handle.vote(row.id, &ballot).await {
                    return Ok(Err(format!("the answer of `{by}` was not taken: {refused}")));
                }
            }
        }
        Ok(match (answered, ask) {
            (true, _) => Ok(()),
            (false, None) => Err("nobody is asked for approval by then".to_owned()),
            (false, Some(ask)) => Err(format!("nothing that is asked by then contains `{ask}`")),
        })
    }

    async fn end(self) -> Result<Played, NotPlayed> {
        let mut runs = Vec::new();
        let mut holds = Vec::new();
        let query = RunQuery {
            limit: PAGE_MAX,
            ..RunQuery::default()
        };
        for partition in Partition::all() {
            holds.extend(self.store.holds(partition).await.map_err(NotPlayed::because)?);
            for row in self
                .store
                .runs(partition, &query)
                .await
                .map_err(NotPlayed::because)?
            {
                let entries = self.store.journal(partition, ChainId::Run(row.id), 0).await;
                let entries = entries.map_err(NotPlayed::because)?;
                let state = RunState::fold(&entries).map_err(NotPlayed::because)?;
                let events: Result<Vec<(Time, Event)>, _> =
                    entries.iter().map(|entry| entry.event()).collect();
                runs.push(PlayedRun {
                    is_started: self.started.contains(&row.id),
                    events: events.map_err(NotPlayed::because)?,
                    row,
                    state,
                    #[cfg(test)]
                    entries,
                });
            }
        }
        runs.sort_by_key(|run| {
            let place = self.started.iter().position(|id| *id == run.row.id);
            (
                place.unwrap_or(usize::MAX),
                run.row.started_at,
                run.row.id.to_string(),
            )
        });
        holds.sort_by_key(|hold| (hold.target.key(), hold.facet.clone()));
        Ok(Played {
            began: self.play.now,
            missed: self.missed,
            runs,
            holds,
            world: self.world,
        })
    }
}
