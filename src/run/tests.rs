//! Whole runs over the in-memory store and a scripted vendor that knows what it was asked to do, and that looks
//! into the journal before it does anything.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};

mod approvals;
mod budgets;
mod children;
mod compensation;
mod holds;
mod upgrades;
mod words;

use super::*;
use crate::action::{
    ActionName, ActionSpec, Class, Done, Fault, Outcome, ReadBack, Reading, Retry, Target, UndoSpec,
    Verification,
};
use crate::clock::{Clock, SystemClock, Time};
use crate::connector::{Acted, Catalog, Looked};
use crate::finding::{Entity, EntityType, SeverityId};
use crate::guardrail::{Halt, Policy, Protected};
use crate::id::{Partition, RunId};
use crate::journal::{AskOnFailure, Cause, ChainId, End, Event, OnFailure, PlaybookKind, RunState, Stage};
use crate::playbook::{Bundle, Loaded, Parts};
use crate::script::{Evaluators, Program};
use crate::store::memory::MemoryStore;
use crate::store::{RunStatus, Store};

/// What the vendor does with the next change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mood {
    Honest,
    LosesAnswer,
    LosesRequest,
    Lies,
    Refuses,
    Busy,
}

struct Vendor {
    store: Arc<dyn Store>,
    hosts: Mutex<HashMap<String, String>>,
    moods: Mutex<Vec<Mood>>,
    changes: Mutex<Vec<(String, String)>>,
    offline: AtomicBool,
    /// Nobody can see afterwards whether a containment happened.
    opaque: AtomicBool,
    /// How long a request may arrive late, ms; 80 where it is 0.
    in_flight_ms: std::sync::atomic::AtomicU64,
    /// How long a restore may take to be seen, ms; 400 where it is 0.
    propagation_ms: std::sync::atomic::AtomicU64,
    /// Vendor ids that differ from `id-NAME`.
    ids: Mutex<HashMap<String, String>>,
    /// How long a reading still shows the state before a change, ms.
    lag_ms: std::sync::atomic::AtomicU64,
    before: Mutex<HashMap<String, (String, std::time::Instant)>>,
}

impl Vendor {
    fn state(&self, host: &str) -> String {
        self.hosts
            .lock()
            .unwrap()
            .get(host)
            .cloned()
            .unwrap_or_else(|| "normal".into())
    }

    /// What a reading shows now.
    fn shown(&self, host: &str) -> String {
        let lag = Duration::from_millis(self.lag_ms.load(std::sync::atomic::Ordering::SeqCst));
        match self.before.lock().unwrap().get(host) {
            Some((state, at)) if at.elapsed() < lag => state.clone(),
            _ => self.state(host),
        }
    }

    fn set(&self, host: &str, state: &str) {
        let before = self.state(host);
        self.before
            .lock()
            .unwrap()
            .insert(host.into(), (before, std::time::Instant::now()));
        self.hosts.lock().unwrap().insert(host.into(), state.into());
    }

    fn changes(&self) -> Vec<(String, String)> {
        self.changes.lock().unwrap().clone()
    }

    /// No change may be asked for whose intent is not durable.
    async fn assert_intended(&self, key: &str) {
        let mut found = false;
        for partition in Partition::all() {
            let query = crate::store::RunQuery {
                limit: 1_000,
                ..Default::default()
            };
            for row in self.store.runs(partition, &query).await.unwrap() {
                for entry in self
                    .store
                    .journal(partition, ChainId::Run(row.id), 0)
                    .await
                    .unwrap()
                {
                    if let (_, Event::EffectIntended(intent)) = entry.event().unwrap() {
                        found |= intent.key == key;
                    }
                }
            }
        }
        assert!(found, "a change was asked for without a durable intent");
    }
}

fn spec(verb: &str, undo: &str, in_force: &str, pending: &str) -> ActionSpec {
    let name = |verb: &str| format!("crowdstrike::{verb}").parse::<ActionName>().unwrap();
    ActionSpec {
        name: name(verb),
        title: verb.into(),
        class: Class::Set,
        provides: None,
        targets: vec![EntityType::Host],
        args: BTreeMap::new(),
        facet: Some("network".into()),
        resolve: Some("find".into()),
        capture: None,
        verify: Some(ReadBack {
            read: "state".into(),
            in_force: vec![in_force.into()],
            pending: vec![pending.into()],
            lag_ms: 60,
        }),
        undo: Some(UndoSpec {
            action: name(undo),
            from_captured: BTreeMap::new(),
        }),
        permission: "p".into(),
        propagation_ms: 400,
        in_flight_ms: 80,
        unseen: None,
        d3fend: None,
    }
}

fn contain() -> ActionSpec {
    spec(
        "contain_host",
        "lift_containment",
        "contained",
        "containment_pending",
    )
}

fn lift() -> ActionSpec {
    ActionSpec {
        undo: None,
        ..spec(
            "lift_containment",
            "contain_host",
            "normal",
            "lift_containment_pending",
        )
    }
}

#[async_trait]
impl Vendors for Vendor {
    fn bind(&self, _: &Loaded, action: &ActionName, _: Option<&Entity>) -> Result<Vec<Binding>, Fault> {
        let mut spec = match action.verb() {
            "release" => lift(),
            // A change of the host that nothing takes back, and that leaves its network alone.
            "deactivate_key" => ActionSpec {
                undo: None,
                facet: None,
                verify: None,
                unseen: Some("nothing shows it".into()),
                ..contain()
            },
            _ => contain(),
        };
        let sequentially = std::sync::atomic::Ordering::SeqCst;
        if self.opaque.load(sequentially) {
            spec.class = Class::Opaque;
        }
        match self.in_flight_ms.load(sequentially) {
            0 => {}
            ms => spec.in_flight_ms = ms,
        }
        Ok(vec![Binding {
            instance: "crowdstrike".into(),
            spec,
        }])
    }

    fn binding(&self, _: &Loaded, instance: &str, action: &ActionName) -> Result<Binding, Fault> {
        let mut spec = if action.verb() == "lift_containment" {
            lift()
        } else {
            contain()
        };
        match self.propagation_ms.load(std::sync::atomic::Ordering::SeqCst) {
            0 => {}
            ms => spec.propagation_ms = ms,
        }
        Ok(Binding {
            instance: instance.into(),
            spec,
        })
    }

    async fn resolve(&self, _: &Loaded, _: &Binding, entity: &Entity) -> Looked<Target> {
        let other = self.ids.lock().unwrap().get(&entity.name).cloned();
        let target = Target {
            instance: "crowdstrike".into(),
            kind: EntityType::Host,
            id: other.unwrap_or_else(|| format!("id-{}", entity.name)),
            name: entity.name.clone(),
            aliases: vec![],
        };
        Looked {
            result: Ok(target),
            requests: vec![],
        }
    }

    async fn read(
        &self,
        _: &Loaded,
        _: &Binding,
        _: &str,
        target: &Target,
        _: &Map<String, Value>,
    ) -> Looked<Reading> {
        let reading = Reading {
            state: self.shown(&target.name),
            fields: json!({}),
        };
        Looked {
            result: Ok(reading),
            requests: vec![],
        }
    }

    async fn act(
        &self,
        _: &Loaded,
        binding: &Binding,
        target: Option<&Target>,
        _: &Map<String, Value>,
        key: &str,
    ) -> Acted {
        self.assert_intended(key).await;
        let host = target.unwrap().name.clone();
        let mood = self.moods.lock().unwrap().pop().unwrap_or(Mood::Honest);
        let verb = binding.spec.name.verb().to_owned();
        if matches!(mood, Mood::Honest | Mood::LosesAnswer) {
            let offline = self.offline.load(std::sync::atomic::Ordering::SeqCst);
            let Some(verify) = binding.spec.verify.as_ref() else {
                self.changes.lock().unwrap().push((verb, host));
                return Acted {
                    outcome: Outcome::Done {
                        how: Done::Acted,
                        result: json!({}),
                    },
                    requests: vec![],
                };
            };
            let states = if offline {
                &verify.pending
            } else {
                &verify.in_force
            };
            self.set(&host, &states[0]);
            self.changes.lock().unwrap().push((verb, host));
        }
        let outcome = match mood {
            Mood::Honest | Mood::Lies => Outcome::Done {
                how: Done::Acted,
                result: json!({"ok": true}),
            },
            Mood::LosesAnswer | Mood::LosesRequest => Outcome::Unknown {
                fault: Fault::new("timeout", "no answer"),
            },
            Mood::Refuses => Outcome::NotDone {
                fault: Fault::new("permission", "no"),
                retry: Retry::Never,
            },
            Mood::Busy => Outcome::NotDone {
                fault: Fault::new("busy", "429"),
                retry: Retry::AfterMs(20),
            },
        };
        Acted {
            outcome,
            requests: vec![],
        }
    }
}

struct Bench {
    vendor: Arc<Vendor>,
    handle: Handle,
    context: Arc<Context>,
    halt: watch::Sender<HaltSwitch>,
    stop: Arc<AtomicBool>,
    worker: tokio::task::JoinHandle<()>,
}

impl Bench {
    fn start(moods: &[Mood]) -> Bench {
        Bench::over(Arc::new(MemoryStore::new()), moods)
    }

    fn over(store: Arc<dyn Store>, moods: &[Mood]) -> Bench {
        let protected = Protected::new(Some(EntityType::Host), "dc-*", "domain controllers").unwrap();
        let policy = Policy {
            protected: vec![protected],
            ..Policy::default()
        };
        Bench::under(store, moods, policy)
    }

    fn under(store: Arc<dyn Store>, moods: &[Mood], policy: Policy) -> Bench {
        let vendor = Arc::new(Vendor {
            store: store.clone(),
            hosts: Mutex::default(),
            moods: Mutex::new(moods.iter().rev().copied().collect()),
            changes: Mutex::default(),
            offline: AtomicBool::new(false),
            opaque: AtomicBool::new(false),
            in_flight_ms: std::sync::atomic::AtomicU64::new(0),
            propagation_ms: std::sync::atomic::AtomicU64::new(0),
            ids: Mutex::default(),
            lag_ms: std::sync::atomic::AtomicU64::new(0),
            before: Mutex::default(),
        });
        let (halt, switch) = watch::channel(Ok(None));
        let mut context = Context::new(
            store,
            vendor.clone(),
            Arc::new(Evaluators::start(1).unwrap()),
            Arc::new(SystemClock),
            Arc::new(policy),
            switch,
            [7; 32],
            "worker-1".into(),
        );
        context.claim_ms = 2_000;
        let context = Arc::new(context);
        let connectors = Catalog::embedded().unwrap();
        let (kicks, kicked) = mpsc::channel(64);
        let builtins = Builtins {
            revert: crate::playbook::revert(&connectors),
            act: crate::playbook::act(&connectors),
        };
        let handle = Handle::new(context.clone(), kicks, builtins);
        let stop = Arc::new(AtomicBool::new(false));
        let worker = tokio::spawn(work(context.clone(), handle.clone(), kicked, stop.clone()));
        Bench {
            vendor,
            handle,
            context,
            halt,
            stop,
            worker,
        }
    }

    async fn run(&self, name: &str, script: &str) -> RunId {
        self.run_as(name, script, OnFailure::Keep, None).await
    }

    async fn run_as(
        &self,
        name: &str,
        script: &str,
        on_failure: OnFailure,
        ask: Option<AskOnFailure>,
    ) -> RunId {
        let connectors = Catalog::embedded().unwrap();
        let program = Program::new("test.rhai", script);
        let bundle = Bundle::of(
            &Parts {
                playbook: "test",
                title: "Test",
                kind: PlaybookKind::Response,
                on_failure,
                ask,
                deadline_ms: 60_000,
                inputs: &BTreeMap::new(),
                script: &program,
            },
            &connectors,
        );
        self.handle.keep_bundle(&bundle).await.unwrap();
        let run = RunId::derive(&["test", name]);
        let entity = |name: &str| json!({"type": "host", "role": "affected", "name": name, "uid": name});
        let start = Start {
            run,
            cause: Cause::Person {
                principal: "ana".into(),
                reason: "test".into(),
            },
            inputs: BTreeMap::from([(
                "finding".to_owned(),
                json!({ "title": "t", "entities": [entity("web-07")], "dc": entity("dc-01"), "host": entity("web-07"), "second": entity("web-08") }),
            )]),
            severity_id: SeverityId(4),
            subject: "host web-07".into(),
            weak_source: false,
        };
        self.handle.start(&bundle, start).await.unwrap();
        run
    }

    async fn until(&self, run: RunId, what: impl Fn(&RunState) -> bool) -> RunState {
        for _ in 0..1_500 {
            if let Ok(state) = self.handle.state(run).await
                && what(&state)
            {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it did not come to that: {:#?}", self.handle.state(run).await);
    }

    async fn settled(&self, run: RunId) -> (RunState, End) {
        let state = self.until(run, |state| state.settled.is_some()).await;
        let end = state.settled.as_ref().unwrap().1;
        (state, end)
    }

    /// What must hold once nothing is under way, whatever happened before.
    async fn assert_tidy(&self, holds: usize) {
        let mut found = 0;
        for partition in Partition::all() {
            found += self.context.store.holds(partition).await.unwrap().len();
        }
        assert_eq!(found, holds, "holds");
        let target = Target {
            instance: "crowdstrike".into(),
            kind: EntityType::Host,
            id: "id-web-07".into(),
            name: String::new(),
            aliases: vec![],
        };
        let other = crate::id::EffectId::derive(&["somebody else"]);
        let run = RunId::derive(&["somebody else"]);
        let partition = target.partition();
        let locked = self
            .context
            .store
            .lock(partition, Time(i64::MAX), &target.key(), other, run, Time(0))
            .await
            .unwrap();
        assert_eq!(
            locked,
            crate::store::Locked::Granted,
            "a settled run keeps no lock"
        );
        self.context
            .store
            .unlock(partition, Time(i64::MAX), &target.key(), other)
            .await
            .unwrap();
    }

    async fn end(self) {
        self.stop.store(true, std::sync::atomic::Ordering::SeqCst);
        self.worker.await.unwrap();
    }
}

const ISOLATE: &str = r#"endpoint::isolate(finding.host)"#;

fn change(verb: &str) -> (String, String) {
    (verb.to_owned(), "web-07".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_contained_seen_and_undone() {
    let bench = Bench::start(&[]);
    let run = bench.run("one", ISOLATE).await;
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::Succeeded, "{:?}", state.settled);
    assert_eq!(state.worst_verification(), Verification::Yes);
    assert_eq!(bench.vendor.changes(), [change("contain_host")]);
    bench.assert_tidy(1).await;

    let undo = bench.handle.undo_run(run, "ana", "over").await.unwrap();
    assert_eq!(bench.settled(undo).await.1, End::Succeeded);
    assert_eq!(bench.vendor.state("web-07"), "normal");
    bench.assert_tidy(0).await;

    let again = bench.handle.undo_run(run, "ana", "over").await.unwrap();
    assert_eq!(again, undo, "undoing what was undone is the same run");
    assert_eq!(
        bench.vendor.changes(),
        [change("contain_host"), change("lift_containment")]
    );
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_looked_up_and_never_repeated() {
    let bench = Bench::start(&[Mood::LosesAnswer]);
    let run = bench.run("lost", ISOLATE).await;
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::Succeeded);
    assert_eq!(bench.vendor.changes().len(), 1);
    let effect = state.effects_in_order().next().unwrap();
    assert!(matches!(
        effect.done().unwrap().1,
        Outcome::Done {
            how: Done::Observed,
            ..
        }
    ));
    bench.assert_tidy(1).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_request_is_repeated_only_after_it_cannot_arrive_any_more() {
    let bench = Bench::start(&[Mood::LosesRequest]);
    let run = bench.run("lost request", ISOLATE).await;
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::Succeeded);
    assert_eq!(bench.vendor.changes().len(), 1);
    let effect = state.effects_in_order().next().unwrap();
    assert_eq!(effect.attempts.len(), 2);
    let [first, second] = effect.attempts.as_slice() else {
        panic!()
    };
    assert!(second.at.since_ms(first.at) >= effect.bound.spec.in_flight_ms);
    assert_eq!(first.intent.key, second.intent.key);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_lies_is_contradicted_and_somebody_is_told() {
    let bench = Bench::start(&[Mood::Lies]);
    let run = bench.run("lie", ISOLATE).await;
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::Kept);
    assert_eq!(state.worst_verification(), Verification::Contradicted);
    assert!(
        state.alarms.iter().any(|alarm| alarm.code == "contradicted"),
        "{:?}",
        state.alarms
    );
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offline_host_is_pending_then_not_in_force() {
    let bench = Bench::start(&[]);
    bench
        .vendor
        .offline
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let script = r#"let r = endpoint::isolate(finding.host); note(r.verified);"#;
    let run = bench.run("offline", script).await;
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::Kept);
    assert_eq!(state.worst_verification(), Verification::NotInForce);
    assert!(state.alarms.iter().any(|alarm| alarm.code == "not-in-force"));
    bench.assert_tidy(1).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_host_is_never_touched_and_holds_nothing() {
    let bench = Bench::start(&[]);
    let script = r#"try { endpoint::isolate(finding.dc); } catch (e) { note(e.code); throw e; }"#;
    let run = bench.run("protected", script).await;
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::Kept);
    let effect = state.effects_in_order().next().unwrap();
    assert!(matches!(effect.stage(), Stage::NotDone(fault) if fault.code == "denied"));
    assert_eq!(bench.vendor.changes(), []);
    bench.assert_tidy(0).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_ends_it_and_a_busy_vendor_is_tried_again() {
    let bench = Bench::start(&[Mood::Busy, Mood::Honest, Mood::Refuses]);
    let run = bench.run("busy", ISOLATE).await;
    assert_eq!(bench.settled(run).await.1, End::Succeeded);
    assert_eq!(bench.vendor.changes().len(), 1);
    let undo = bench.handle.undo_run(run, "ana", "x").await.unwrap();
    let (state, end) = bench.settled(undo).await;
    assert_eq!(end, End::Kept);
    assert!(state.alarms.iter().any(|alarm| alarm.code == "undo-failed"));
    bench.assert_tidy(1).await;
    let again = bench.handle.undo_run(run, "ana", "x").await.unwrap();
    assert_ne!(again, undo, "a failed undo can be begun anew");
    assert_eq!(bench.settled(again).await.1, End::Succeeded);
    bench.assert_tidy(0).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn halt_holds_an_effect_until_resume() {
    let bench = Bench::start(&[]);
    let halt = Halt {
        by: "ana".into(),
        at: SystemClock.now(),
        reason: "storm".into(),
    };
    bench.halt.send(Ok(Some(halt))).unwrap();
    let run = bench.run("halt", ISOLATE).await;
    bench
        .until(run, |s| {
            s.effects_in_order().any(|e| matches!(e.stage(), Stage::Held(_)))
        })
        .await;
    assert_eq!(bench.vendor.changes(), []);
    bench.halt.send(Ok(None)).unwrap();
    assert_eq!(bench.settled(run).await.1, End::Succeeded);
    assert_eq!(bench.vendor.changes().len(), 1);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_leases_only_the_end_of_the_later_releases() {
    let bench = Bench::start(&[]);
    let short = bench
        .run("short", r#"endpoint::isolate(finding.host, #{ lease: "300ms" })"#)
        .await;
    let long = bench
        .run("long", r#"endpoint::isolate(finding.host, #{ lease: "1500ms" })"#)
        .await;
    bench.settled(short).await;
    let (state, _) = bench.settled(long).await;
    let until = state.effects_in_order().next().unwrap().lease_end().unwrap();
    loop {
        let now = SystemClock.now();
        if bench.vendor.state("web-07") == "normal" {
            assert!(
                now >= until,
                "it was released {} ms before the later lease ended",
                until.since_ms(now)
            );
            break;
        }
        assert!(now < until.plus_ms(10_000), "it was never released");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        bench.vendor.changes(),
        [change("contain_host"), change("lift_containment")]
    );
    for _ in 0..200 {
        let mut holds = 0;
        for partition in Partition::all() {
            holds += bench.context.store.holds(partition).await.unwrap().len();
        }
        if holds == 0 {
            bench.assert_tidy(0).await;
            return bench.end().await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the hold is still listed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_contained_before_the_incident_stays_contained_after_undo() {
    let bench = Bench::start(&[]);
    bench.vendor.set("web-07", "contained");
    let run = bench.run("before", ISOLATE).await;
    assert_eq!(bench.settled(run).await.1, End::Succeeded);
    let undo = bench.handle.undo_run(run, "ana", "x").await.unwrap();
    assert_eq!(bench.settled(undo).await.1, End::Succeeded);
    assert_eq!(bench.vendor.state("web-07"), "contained");
    assert_eq!(bench.vendor.changes(), [], "nothing was sent at all");
    bench.assert_tidy(0).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_writes_nothing_when_somebody_changed_the_target_since() {
    let bench = Bench::start(&[]);
    let run = bench.run("changed", ISOLATE).await;
    bench.settled(run).await;
    bench.vendor.set("web-07", "hidden");
    let undo = bench.handle.undo_run(run, "ana", "x").await.unwrap();
    let (state, end) = bench.settled(undo).await;
    assert_eq!(end, End::Kept);
    assert!(
        state.alarms.iter().any(|alarm| alarm.code == "changed-since"),
        "{:?}",
        state.alarms
    );
    assert_eq!(bench.vendor.changes(), [change("contain_host")]);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_a_note_and_branches_run_to_their_end() {
    let bench = Bench::start(&[Mood::Honest]);
    let script = r#"
        note("begin");
        wait("50ms");
        let results = attempt([
            || endpoint::isolate(finding.host),
            || endpoint::isolate(finding.dc),
        ]);
        notify::oncall(#{ subject: "done", ok: results[0].ok, failed: results[1].error.code });
        results[0].value.verified
    "#;
    let run = bench.run("branches", script).await;
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::Kept, "one effect did not happen");
    assert_eq!(
        state.script,
        Some(crate::journal::ScriptEnd::Returned(json!("yes")))
    );
    assert_eq!(state.told.len(), 2);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_action_by_hand_takes_the_same_path() {
    let bench = Bench::start(&[]);
    let target = json!({"type": "host", "name": "web-07"});
    let run = bench
        .handle
        .act(
            "crowdstrike::contain_host",
            target,
            json!({"lease": "1h"}),
            "ana",
            "why",
        )
        .await
        .unwrap();
    assert_eq!(bench.settled(run).await.1, End::Succeeded);
    let row = bench
        .context
        .store
        .run(run.partition(), run)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (row.status, row.subject.as_str()),
        (RunStatus::Settled, "host web-07")
    );
    bench.assert_tidy(1).await;
    bench.end().await;
}

/// A run that another worker left in the middle: its events so far, and a claim that is over.
async fn abandoned(bench: &Bench, run: RunId, events: Vec<Event>) -> crate::store::Claim {
    let now = SystemClock.now();
    let store = &bench.context.store;
    let claim = store
        .claim_run(run.partition(), run, "dead", now, now.plus_ms(1))
        .await
        .unwrap()
        .unwrap();
    let entries = store
        .journal(run.partition(), ChainId::Run(run), 0)
        .await
        .unwrap();
    let state = RunState::fold(&entries).unwrap();
    let mut previous = state.last;
    let mut sealed = Vec::new();
    for (seq, event) in (state.len..).zip(&events) {
        let entry = crate::journal::seal(ChainId::Run(run), &previous, seq, now, event, [1; 16]).unwrap();
        previous = entry.digest;
        sealed.push(entry);
    }
    let update = crate::store::RunUpdate {
        status: RunStatus::Open,
        end: None,
        wake_at: Some(now),
        waits_for: String::new(),
        release: false,
        approvals: Vec::new(),
    };
    store
        .append(run.partition(), &claim, state.len, now, sealed, update)
        .await
        .unwrap();
    claim
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_worker_died_is_taken_up_when_its_claim_ends() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let first = Bench::over(store.clone(), &[]);
    first.stop.store(true, std::sync::atomic::Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let run = first.run("dead worker", ISOLATE).await;
    abandoned(&first, run, vec![]).await;
    let second = Bench::over(store, &[]);
    assert_eq!(second.settled(run).await.1, End::Succeeded);
    assert_eq!(second.vendor.changes().len(), 1);
    second.end().await;
    first.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_and_holds_of_a_dead_claim_that_no_intent_accounts_for_are_given_back() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let first = Bench::over(store.clone(), &[]);
    first.stop.store(true, std::sync::atomic::Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let run = first.run("dead lock", r#"endpoint::isolate(finding.dc)"#).await;
    abandoned(&first, run, vec![]).await;
    // The dead worker had come as far as this for a target that this time is not even asked for.
    let effect = crate::id::EffectId::derive(&["of the dead worker"]);
    let target = Target {
        instance: "crowdstrike".into(),
        kind: EntityType::Host,
        id: "id-web-07".into(),
        name: "web-07".into(),
        aliases: vec![],
    };
    let now = SystemClock.now();
    store
        .lock(
            target.partition(),
            Time(i64::MAX),
            &target.key(),
            effect,
            run,
            now,
        )
        .await
        .unwrap();
    let hold = crate::store::NewHold {
        target: target.clone(),
        facet: "network".into(),
        effect,
        run,
        at: now,
        until: None,
        prior: Reading {
            state: "normal".into(),
            fields: json!({}),
        },
        undo: None,
    };
    store
        .hold_take(target.partition(), Time(i64::MAX), hold)
        .await
        .unwrap();
    let second = Bench::over(store, &[]);
    assert_eq!(
        second.settled(run).await.1,
        End::Kept,
        "a domain controller is protected"
    );
    second.assert_tidy(0).await;
    second.end().await;
    first.end().await;
}

/// Found by the crash battery: the first run's lease ended after the second run's worker had died between its hold and
/// its intent. The host stayed contained, with nobody holding it.
#[tokio::test(flavor = "multi_thread")]
async fn a_hold_of_a_dead_claim_for_which_another_let_go_is_not_forgotten_before_it_is_taken_up() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let first = Bench::over(store.clone(), &[]);
    let early = first.run("early", ISOLATE).await;
    assert_eq!(first.settled(early).await.1, End::Succeeded);
    first.stop.store(true, std::sync::atomic::Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let late = first.run("late", ISOLATE).await;
    abandoned(&first, late, vec![]).await;
    // Which effect the dead worker prepared follows from run, step and instance.
    let scratch = Bench::start(&[]);
    let same = scratch.run("late", ISOLATE).await;
    let (state, _) = scratch.settled(same).await;
    let effect = state.effects_in_order().next().unwrap();
    let (id, target) = (effect.bound.effect, effect.target.clone().unwrap());
    scratch.end().await;
    let hold = crate::store::NewHold {
        target: target.clone(),
        facet: "network".into(),
        effect: id,
        run: late,
        at: SystemClock.now(),
        until: None,
        prior: Reading {
            state: "contained".into(),
            fields: json!({}),
        },
        undo: None,
    };
    store
        .hold_take(target.partition(), Time(i64::MAX), hold)
        .await
        .unwrap();
    // The first run's share ends: others hold still, so nothing is sent.
    let (state, _) = first.settled(early).await;
    let other = state.effects_in_order().next().unwrap().bound.effect;
    let ended = store
        .hold_end(
            target.partition(),
            Time(i64::MAX),
            &target.key(),
            "network",
            other,
        )
        .await;
    assert_eq!(ended, Ok(crate::store::HoldEnd::Others { remaining: 1 }));

    let second = Bench::over(store, &[]);
    second.vendor.set("web-07", "contained");
    assert_eq!(second.settled(late).await.1, End::Succeeded);
    let undo = second.handle.undo_run(late, "ana", "over").await.unwrap();
    assert_eq!(second.settled(undo).await.1, End::Succeeded);
    assert_eq!(
        second.vendor.state("web-07"),
        "normal",
        "it is as it was before the first"
    );
    second.assert_tidy(0).await;
    second.end().await;
    first.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_right_after_containment_does_not_believe_a_reading_that_lags() {
    let bench = Bench::start(&[]);
    bench.vendor.lag_ms.store(50, std::sync::atomic::Ordering::SeqCst);
    let run = bench.run("lag", ISOLATE).await;
    bench
        .until(run, |state| {
            state.effects_in_order().any(|effect| effect.done().is_some())
        })
        .await;
    let undo = bench.handle.undo_run(run, "ana", "oops").await.unwrap();
    assert_eq!(bench.settled(undo).await.1, End::Succeeded);
    let (state, _) = bench.settled(run).await;
    assert!(
        !state.alarms.iter().any(|alarm| alarm.code == "contradicted"),
        "{:?}",
        state.alarms
    );
    assert_eq!(bench.vendor.state("web-07"), "normal");
    assert_eq!(
        bench.vendor.changes(),
        [change("contain_host"), change("lift_containment")]
    );
    bench.assert_tidy(0).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_was_undone_while_it_was_unknown_does_not_come_about_later() {
    let bench = Bench::start(&[Mood::LosesRequest]);
    let run = bench.run("undone", ISOLATE).await;
    bench
        .until(run, |s| {
            s.effects_in_order().any(|e| matches!(e.stage(), Stage::Unknown))
        })
        .await;
    let undo = bench.handle.undo_run(run, "ana", "oops").await.unwrap();
    bench.settled(undo).await;
    let (state, _) = bench.settled(run).await;
    let effect = state.effects_in_order().next().unwrap();
    let came_about = matches!(effect.stage(), Stage::Done);
    if came_about {
        // It was faster than the undo, which then had something to restore.
        assert_eq!(
            bench.vendor.changes(),
            [change("contain_host"), change("lift_containment")]
        );
    } else {
        assert!(matches!(effect.stage(), Stage::NotDone(fault) if fault.code == "undone"));
        assert_eq!(bench.vendor.changes(), []);
    }
    assert_eq!(bench.vendor.state("web-07"), "normal");
    bench.assert_tidy(0).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_not_released_past_its_hold() {
    let bench = Bench::start(&[]);
    let run = bench.run("held", ISOLATE).await;
    bench.settled(run).await;
    let target = json!({"type": "host", "name": "web-07"});
    let act = bench
        .handle
        .act("endpoint::release", target.clone(), json!({}), "ana", "by hand")
        .await
        .unwrap();
    let (state, end) = bench.settled(act).await;
    assert_eq!(end, End::Kept);
    let fault = state.effects_in_order().next().unwrap().fault().unwrap();
    assert_eq!(fault.code, "held");
    assert!(fault.message.contains("cordon release web-07"), "{fault}");
    assert_eq!(bench.vendor.state("web-07"), "contained");
    bench.assert_tidy(1).await;
    let undo = bench.handle.undo_run(run, "ana", "x").await.unwrap();
    bench.settled(undo).await;

    // Contained by somebody else: then it may be released by hand, and that holds nothing.
    bench.vendor.set("web-07", "contained");
    let act = bench
        .handle
        .act("endpoint::release", target, json!({}), "ana", "by hand")
        .await
        .unwrap();
    assert_eq!(bench.settled(act).await.1, End::Succeeded);
    assert_eq!(bench.vendor.state("web-07"), "normal");
    bench.assert_tidy(0).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_ends_before_its_effect_came_about_is_ended_again() {
    let bench = Bench::start(&[Mood::Busy; 4]);
    let run = bench
        .run("late", r#"endpoint::isolate(finding.host, #{ lease: "100ms" })"#)
        .await;
    bench.settled(run).await;
    for _ in 0..600 {
        let mut holds = 0;
        for partition in Partition::all() {
            holds += bench.context.store.holds(partition).await.unwrap().len();
        }
        if holds == 0 {
            assert_eq!(bench.vendor.state("web-07"), "normal");
            bench.assert_tidy(0).await;
            return bench.end().await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the hold was never ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playbook_takes_back_what_it_did_and_sees_that_it_is_back() {
    let bench = Bench::start(&[]);
    let script = r#"
        let held = endpoint::isolate(finding.host, #{ lease: "1h" });
        wait("20ms");
        let back = undo(held);
        [held.verified, back.verified, back.action]
    "#;
    let run = bench.run("takes back", script).await;
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::Succeeded, "{:?}", state.settled);
    let returned = state.script.as_ref().unwrap();
    assert!(
        format!("{returned:?}").contains("crowdstrike::lift_containment"),
        "{returned:?}"
    );
    assert_eq!(
        bench.vendor.changes(),
        [change("contain_host"), change("lift_containment")]
    );
    assert_eq!(bench.vendor.state("web-07"), "normal");
    bench.assert_tidy(0).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_receipt_of_the_same_run_is_undone_by_its_playbook() {
    let bench = Bench::start(&[]);
    let first = bench.run("first", ISOLATE).await;
    let (state, _) = bench.settled(first).await;
    let effect = state.effects_in_order().next().unwrap().bound.effect;
    for (name, argument) in [
        ("other run", format!(r#"#{{ effect: "{effect}" }}"#)),
        ("no receipt", "finding.host".to_owned()),
    ] {
        let run = bench.run(name, &format!("undo({argument})")).await;
        let (state, end) = bench.settled(run).await;
        assert_eq!(end, End::Kept);
        assert!(
            format!("{:?}", state.settled).contains("bad-argument"),
            "{:?}",
            state.settled
        );
    }
    assert_eq!(bench.vendor.state("web-07"), "contained");
    bench.end().await;
}

#[test]
fn a_system_that_does_not_know_the_target_does_not_fail_a_run_whose_playbook_expected_it() {
    let absent = Fault::new("target-not-found", "`aws` knows no service account svc-a");
    for (fault, end) in [
        (absent, End::Succeeded),
        (Fault::new("ambiguous-target", "two"), End::Kept),
        (Fault::new("vendor-error", "down"), End::Kept),
    ] {
        let state = refused(fault.clone());
        let next = next(&state, &Progress::default(), Time(1_000_000));
        let Next::Record(events) = next else {
            panic!("{next:?}")
        };
        let settled = events.iter().find_map(|event| match event {
            Event::RunSettled { end, .. } => Some(*end),
            _ => None,
        });
        assert_eq!(settled, Some(end), "{fault}");
    }
}

/// A run whose one effect found no target, and whose script caught that and returned.
fn refused(fault: Fault) -> RunState {
    let run = RunId::derive(&["refused"]);
    let effect = crate::id::EffectId::derive(&["refused"]);
    let step: crate::script::StepId = "0".parse().unwrap();
    let header = crate::journal::Header {
        run,
        playbook: "test".into(),
        title: "Test".into(),
        kind: PlaybookKind::Response,
        on_failure: OnFailure::Keep,
        ask: None,
        bundle: crate::digest::Digest::ZERO,
        engine_abi: crate::journal::ENGINE_ABI,
        cause: Cause::Person {
            principal: "ana".into(),
            reason: "test".into(),
        },
        inputs: BTreeMap::new(),
        deadline: Time(i64::MAX),
        severity_id: SeverityId(4),
        subject: String::new(),
        weak_source: false,
        author: crate::journal::SHIPPED.into(),
    };
    let bound = crate::journal::Bound {
        effect,
        step: step.clone(),
        spec: contain(),
        instance: "crowdstrike".into(),
        entity: None,
        args: Map::new(),
        lease_ms: None,
        reverts: None,
        rollback: false,
    };
    let events = [
        Event::RunStarted(Box::new(header)),
        Event::StepAsked {
            step: step.clone(),
            name: "endpoint::isolate".into(),
            args: vec![],
            digest: crate::digest::Digest::ZERO,
            line: 1,
            column: 1,
            file: None,
        },
        Event::EffectBound(Box::new(bound)),
        Event::EffectFailed {
            effect,
            fault: fault.clone(),
            retry: Retry::Never,
            requests: vec![],
        },
        Event::StepAnswered {
            step,
            result: crate::journal::Answered::Fault(fault),
        },
        Event::ScriptReturned { value: Value::Null },
    ];
    let mut last = crate::digest::Digest::ZERO;
    let mut entries = Vec::new();
    for (seq, event) in (0..).zip(&events) {
        let chain = crate::journal::ChainId::Run(run);
        let entry = crate::journal::seal(chain, &last, seq, Time(1_000), event, [0; 16]).unwrap();
        last = entry.digest;
        entries.push(entry);
    }
    RunState::fold(&entries).unwrap()
}

#[tokio::test]
async fn a_run_that_nobody_has_taken_up_waits_for_a_worker() {
    let bench = Bench::start(&[]);
    bench.worker.abort();
    let run = bench.run("new", "1").await;
    let row = bench.context.store.run(run.partition(), run).await.unwrap();
    assert_eq!(row.unwrap().waits_for, "a worker");
}
