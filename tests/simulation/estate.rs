//! The systems acted on: hosts and accounts with a state, messages, and a ledger of what was sent and what was really
//! done, which is the witness. They answer late, lose answers and requests, do things after our time-out, throttle,
//! refuse, lie, and show readings that lag.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use cordon::action::{
    ActionName, ActionSpec, Class, Done, Fault, Outcome, ReadBack, Reading, Retry, Target, UndoSpec,
};
use cordon::connector::{Acted, Looked};
use cordon::finding::{Entity, EntityType};
use cordon::id::Partition;
use cordon::journal::Event;
use cordon::playbook::Loaded;
use cordon::run::{Binding, Vendors};
use cordon::store::Feed as _;
use cordon::store::memory::MemoryStore;
use serde_json::{Map, Value, json};

use crate::sabotage::Sabotage;
use crate::time::Sim;
use crate::weather::Weather;

/// What the connector says of its vendor, ms.
const LAG_MS: u64 = 2_000;
const PROPAGATION_MS: u64 = 30_000;
const IN_FLIGHT_MS: u64 = 20_000;
/// When an answer is given up, ms.
const TIMEOUT_MS: u64 = 8_000;

/// One line of the ledger.
#[derive(Clone, Debug)]
pub struct Line {
    /// On the stop watch, ms.
    pub at: u64,
    pub what: What,
    pub key: String,
    pub verb: String,
    pub target: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The request left.
    Sent,
    /// It was done.
    Applied,
    /// The vendor said yes and did nothing.
    Lied,
}

#[derive(Default)]
struct Inner {
    /// States by target and facet, with since when.
    states: BTreeMap<String, Vec<(u64, String)>>,
    ledger: Vec<Line>,
    /// Targets that somebody changed by hand.
    by_hand: BTreeSet<String>,
    /// Requests that may still be done.
    under_way: usize,
    /// Attempts that the journal intends, by key.
    intents: BTreeMap<String, usize>,
    followed: BTreeMap<Partition, u64>,
    violations: Vec<String>,
}

/// The estate.
#[derive(Clone)]
pub struct Estate(Arc<Shared>);

struct Shared {
    sim: Sim,
    weather: Arc<Weather>,
    store: Arc<MemoryStore>,
    sabotage: Sabotage,
    inner: Mutex<Inner>,
}

/// An action of the estate.
struct Kind {
    verb: &'static str,
    does: &'static str,
    class: Class,
    target: Option<EntityType>,
    facet: Option<&'static str>,
    in_force: &'static str,
    undo: Option<&'static str>,
}

const KINDS: [Kind; 7] = [
    Kind {
        verb: "contain",
        does: "endpoint::isolate",
        class: Class::Set,
        target: Some(EntityType::Host),
        facet: Some("network"),
        in_force: "contained",
        undo: Some("lift"),
    },
    Kind {
        verb: "lift",
        does: "endpoint::release",
        class: Class::Set,
        target: Some(EntityType::Host),
        facet: Some("network"),
        in_force: "normal",
        undo: None,
    },
    Kind {
        verb: "suspend",
        does: "identity::suspend",
        class: Class::Set,
        target: Some(EntityType::User),
        facet: Some("login"),
        in_force: "suspended",
        undo: Some("restore"),
    },
    Kind {
        verb: "restore",
        does: "identity::restore",
        class: Class::Set,
        target: Some(EntityType::User),
        facet: Some("login"),
        in_force: "normal",
        undo: None,
    },
    Kind {
        verb: "message",
        does: "chat::send",
        class: Class::Create,
        target: None,
        facet: None,
        in_force: "there",
        undo: None,
    },
    Kind {
        verb: "mail",
        does: "mail::send",
        class: Class::Keyed,
        target: None,
        facet: None,
        in_force: "there",
        undo: None,
    },
    Kind {
        verb: "revoke",
        does: "identity::revoke_sessions",
        class: Class::Opaque,
        target: Some(EntityType::User),
        facet: None,
        in_force: "",
        undo: None,
    },
];

fn name(verb: &str) -> ActionName {
    ActionName::new("estate", verb).unwrap()
}

fn spec(kind: &Kind) -> ActionSpec {
    let is_set = kind.class == Class::Set;
    let readable = kind.class != Class::Opaque;
    ActionSpec {
        name: name(kind.verb),
        title: kind.verb.into(),
        class: kind.class,
        provides: None,
        targets: kind.target.into_iter().collect(),
        args: if kind.target.is_none() {
            BTreeMap::from([("text".into(), false), ("to".into(), false)])
        } else {
            BTreeMap::new()
        },
        facet: kind.facet.map(str::to_owned),
        resolve: kind.target.map(|_| "find".into()),
        capture: None,
        verify: readable.then(|| ReadBack {
            read: "state".into(),
            in_force: vec![kind.in_force.into()],
            pending: if is_set {
                vec![format!("{}-pending", kind.in_force)]
            } else {
                Vec::new()
            },
            lag_ms: LAG_MS,
        }),
        undo: kind.undo.map(|verb| UndoSpec {
            action: name(verb),
            from_captured: BTreeMap::new(),
        }),
        permission: "p".into(),
        propagation_ms: PROPAGATION_MS,
        in_flight_ms: IN_FLIGHT_MS,
        unseen: (!readable).then(|| "nothing shows it".to_owned()),
        d3fend: None,
    }
}

fn place(target: &str, spec: &ActionSpec) -> String {
    format!("{target}/{}", spec.facet.as_deref().unwrap_or_default())
}

impl Estate {
    pub fn new(sim: Sim, weather: Arc<Weather>, store: Arc<MemoryStore>, sabotage: Sabotage) -> Estate {
        Estate(Arc::new(Shared {
            sim,
            weather,
            store,
            sabotage,
            inner: Mutex::default(),
        }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap()
    }

    pub fn ledger(&self) -> Vec<Line> {
        self.inner().ledger.clone()
    }

    pub fn violations(&self) -> Vec<String> {
        self.inner().violations.clone()
    }

    /// True while a request may still be done.
    pub fn is_under_way(&self) -> bool {
        self.inner().under_way > 0
    }

    /// What the vendor would say of a request: whether it was done.
    pub fn did(&self, key: &str) -> bool {
        let is_it = |line: &Line| line.what == What::Applied && line.key == key;
        self.inner().ledger.iter().any(is_it)
    }

    pub fn was_changed_by_hand(&self, place: &str) -> bool {
        self.inner().by_hand.contains(place)
    }

    /// States that are not normal now: target and facet.
    pub fn contained(&self) -> Vec<(String, String)> {
        let inner = self.inner();
        let last = |(place, states): (&String, &Vec<(u64, String)>)| {
            let (_, state) = states.last()?;
            (state != "normal").then(|| (place.clone(), state.clone()))
        };
        inner.states.iter().filter_map(last).collect()
    }

    /// What a place reads at a moment of the stop watch.
    pub fn state_at(&self, place: &str, at: u64) -> String {
        let inner = self.inner();
        let states = inner.states.get(place).map(Vec::as_slice).unwrap_or_default();
        let there = states.iter().rev().find(|(since, _)| *since <= at);
        there.map_or_else(|| "normal".to_owned(), |(_, state)| state.clone())
    }

    /// Somebody changes a host or an account by hand.
    pub fn change_by_hand(&self, place: &str, state: &str) {
        let at = self.0.sim.elapsed_ms();
        let mut inner = self.inner();
        inner.by_hand.insert(place.to_owned());
        inner
            .states
            .entry(place.to_owned())
            .or_default()
            .push((at, state.to_owned()));
    }

    fn note(&self, what: What, key: &str, spec: &ActionSpec, target: &str) {
        let at = self.0.sim.elapsed_ms();
        self.0
            .sim
            .tell(format!("estate {what:?} {} {target} {key}", spec.name));
        self.inner().ledger.push(Line {
            at,
            what,
            key: key.to_owned(),
            verb: spec.name.verb().to_owned(),
            target: target.to_owned(),
        });
    }

    /// No request leaves whose own attempt is not intended, durably.
    async fn look_for_intent(&self, key: &str, spec: &ActionSpec) {
        let mut new = Vec::new();
        for partition in Partition::all() {
            let after = self.inner().followed.get(&partition).copied().unwrap_or(0);
            for item in self.0.store.feed(partition, after, usize::MAX).await.unwrap() {
                if let (_, Event::EffectIntended(intent)) = item.entry.event().unwrap() {
                    new.push(intent.key.clone());
                }
                self.inner().followed.insert(partition, item.position);
            }
        }
        let mut inner = self.inner();
        for key in new {
            *inner.intents.entry(key).or_default() += 1;
        }
        let sent = inner
            .ledger
            .iter()
            .filter(|line| line.what == What::Sent && line.key == key)
            .count();
        let intended = inner.intents.get(key).copied().unwrap_or(0);
        if sent >= intended {
            let verb = spec.name.verb();
            inner.violations.push(format!(
                "I2: `{verb}` {key} is sent for the {}. time and {intended} attempts are intended",
                sent + 1
            ));
        }
    }

    /// Does it after a while, whatever becomes of whoever asked.
    fn later(&self, after_ms: u64, key: &str, spec: &ActionSpec, target: &str, pending_ms: Option<u64>) {
        let (estate, key, spec, target) = (self.clone(), key.to_owned(), spec.clone(), target.to_owned());
        self.inner().under_way += 1;
        tokio::spawn(async move {
            estate.0.sim.sleep(after_ms).await;
            estate.apply(&key, &spec, &target, pending_ms).await;
            estate.inner().under_way -= 1;
        });
    }

    async fn apply(&self, key: &str, spec: &ActionSpec, target: &str, pending_ms: Option<u64>) {
        let verb = spec.name.verb();
        let done = |inner: &Inner| {
            inner
                .ledger
                .iter()
                .any(|line| line.what == What::Applied && line.key == key && line.verb == verb)
        };
        // The vendor knows the key.
        if spec.class == Class::Keyed && done(&self.inner()) {
            return;
        }
        self.note(What::Applied, key, spec, target);
        if spec.class != Class::Set {
            return;
        }
        let place = place(target, spec);
        let state = spec.verify.as_ref().unwrap().in_force[0].clone();
        let Some(ms) = pending_ms else {
            let at = self.0.sim.elapsed_ms();
            self.inner().states.entry(place).or_default().push((at, state));
            return;
        };
        let pending = format!("{state}-pending");
        let at = self.0.sim.elapsed_ms();
        self.inner()
            .states
            .entry(place.clone())
            .or_default()
            .push((at, pending.clone()));
        self.0.sim.sleep(ms).await;
        let at = self.0.sim.elapsed_ms();
        let mut inner = self.inner();
        let states = inner.states.entry(place).or_default();
        if states.last().is_some_and(|(_, last)| *last == pending) {
            states.push((at, state));
        }
    }
}

fn looked<T>(result: Result<T, (Fault, Retry)>) -> Looked<T> {
    Looked {
        result,
        requests: Vec::new(),
    }
}

fn down<T>() -> Looked<T> {
    looked(Err((
        Fault::new("connection", "it cannot be reached"),
        Retry::Backoff,
    )))
}

fn not_done(code: &str, retry: Retry) -> Outcome {
    Outcome::NotDone {
        fault: Fault::new(code, "it was not done"),
        retry,
    }
}

fn unknown() -> Outcome {
    Outcome::Unknown {
        fault: Fault::new("timeout", "no answer in time"),
    }
}

fn yes() -> Outcome {
    Outcome::Done {
        how: Done::Acted,
        result: json!({ "ok": true }),
    }
}

#[async_trait]
impl Vendors for Estate {
    fn bind(&self, loaded: &Loaded, action: &ActionName, _: Option<&Entity>) -> Result<Vec<Binding>, Fault> {
        self.binding(loaded, "estate", action)
            .map(|binding| vec![binding])
    }

    fn binding(&self, _: &Loaded, instance: &str, action: &ActionName) -> Result<Binding, Fault> {
        let named = action.to_string();
        let is_it = |kind: &&Kind| kind.does == named || name(kind.verb) == *action;
        let kind = KINDS.iter().find(is_it);
        let kind = kind.ok_or_else(|| Fault::new("unbound", format!("nobody does {named}")))?;
        Ok(Binding {
            instance: instance.into(),
            spec: spec(kind),
        })
    }

    async fn resolve(&self, _: &Loaded, _: &Binding, entity: &Entity) -> Looked<Target> {
        let sim = &self.0.sim;
        sim.sleep(sim.between(5, 300)).await;
        if self.0.weather.is_vendor_down(sim) || (!self.0.weather.is_calm() && sim.in_thousand(20)) {
            return down();
        }
        looked(Ok(Target {
            instance: "estate".into(),
            kind: entity.kind,
            id: format!("id-{}", entity.name),
            name: entity.name.clone(),
            aliases: vec![],
        }))
    }

    async fn read(
        &self,
        _: &Loaded,
        binding: &Binding,
        _: &str,
        target: &Target,
        _: &Map<String, Value>,
    ) -> Looked<Reading> {
        let sim = &self.0.sim;
        sim.sleep(sim.between(5, 300)).await;
        if self.0.weather.is_vendor_down(sim) || (!self.0.weather.is_calm() && sim.in_thousand(40)) {
            return down();
        }
        // What is shown may be as old as the connector says.
        let old = if sim.in_thousand(300) {
            sim.between(0, LAG_MS)
        } else {
            0
        };
        let at = sim.elapsed_ms().saturating_sub(old);
        let state = if binding.spec.class == Class::Set {
            self.state_at(&place(&target.id, &binding.spec), at)
        } else {
            let inner = self.inner();
            let made = |line: &Line| line.what == What::Applied && line.key == target.id && line.at <= at;
            if inner.ledger.iter().any(made) {
                "there".into()
            } else {
                "absent".into()
            }
        };
        looked(Ok(Reading {
            state,
            fields: json!({}),
        }))
    }

    async fn act(
        &self,
        _: &Loaded,
        binding: &Binding,
        target: Option<&Target>,
        _: &Map<String, Value>,
        key: &str,
    ) -> Acted {
        let (sim, spec) = (&self.0.sim, &binding.spec);
        let target = target.map(|target| target.id.clone()).unwrap_or_default();
        let acted = |outcome| Acted {
            outcome,
            requests: Vec::new(),
        };
        if self.0.weather.is_vendor_down(sim) {
            sim.sleep(sim.between(5, 1_000)).await;
            return acted(not_done("connection", Retry::Backoff));
        }
        self.look_for_intent(key, spec).await;
        self.note(What::Sent, key, spec, &target);
        let mood = if self.0.weather.is_calm() {
            0
        } else {
            sim.between(0, 1_000)
        };
        let latency = sim.between(10, 800);
        let (does, answers, outcome) = match mood {
            0..560 => (Some(sim.between(0, latency)), latency, yes()),
            560..640 => {
                let slow = sim.between(2_000, TIMEOUT_MS);
                (Some(sim.between(0, slow)), slow, yes())
            }
            // The answer is lost.
            640..720 => (Some(sim.between(0, 3_000)), TIMEOUT_MS, unknown()),
            // The request is.
            720..780 => (None, TIMEOUT_MS, unknown()),
            // It is done after we stopped waiting.
            780..830 => {
                sim.sleep(TIMEOUT_MS).await;
                self.later(sim.between(0, IN_FLIGHT_MS), key, spec, &target, None);
                return acted(unknown());
            }
            830..880 => (
                None,
                latency,
                not_done("throttled", Retry::AfterMs(sim.between(1_000, 30_000))),
            ),
            880..920 => (None, latency, not_done("busy", Retry::Backoff)),
            920..935 => (None, latency, not_done("permission", Retry::Never)),
            935..950 => {
                self.note(What::Lied, key, spec, &target);
                (None, latency, yes())
            }
            _ => {
                let pending = (spec.class == Class::Set).then(|| sim.between(100, PROPAGATION_MS - 5_000));
                self.later(latency / 2, key, spec, &target, pending);
                sim.sleep(latency).await;
                return acted(yes());
            }
        };
        if let Some(ms) = does {
            self.later(ms, key, spec, &target, None);
        }
        sim.sleep(answers).await;
        let outcome = match (self.0.sabotage, outcome) {
            (Sabotage::RepeatsBlindly, Outcome::Unknown { .. }) => not_done("busy", Retry::Backoff),
            (Sabotage::Disowns, Outcome::Done { .. }) if spec.undo.is_some() && sim.in_thousand(200) => {
                not_done("permission", Retry::Never)
            }
            (_, outcome) => outcome,
        };
        acted(outcome)
    }
}
