//! The vendors of a playbook's case, at the level of actions: everything named exists, every action works, a `set`
//! action moves its target to the first state that means it is in force, and a reading says what the world says. The
//! case overrides that. Binding is the real one; scripts of connectors are not run here, their own cases do that.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use super::case::{Behaviour, Fact, How};
use crate::action::{ActionName, ActionSpec, Class, Done, Fault, Outcome, Reading, Retry, Target};
use crate::clock::{Clock, SetClock, Time};
use crate::connector::{Acted, Bound, Catalog, Instances, Looked, bind, bind_at};
use crate::finding::Entity;
use crate::playbook::Loaded;
use crate::run::{Binding, Vendors};

/// The word of a state nobody has said anything about.
const AS_BEFORE: &str = "as_before";

/// One thing a target has a state in: instance, vendor id, facet.
type Place = (String, String, String);

/// The simulated estate of one case.
pub struct World {
    instances: Arc<Instances>,
    clock: Arc<SetClock>,
    facts: Vec<Fact>,
    behaviours: Vec<Behaviour>,
    inner: Mutex<Inner>,
    /// Told when a worker is to die where it stands.
    pub killed: Notify,
}

#[derive(Default)]
struct Inner {
    shown: BTreeMap<Place, Shown>,
    /// Names of what was resolved, by instance and id.
    names: BTreeMap<(String, String), Vec<String>>,
    /// How often each behaviour came to pass.
    used: BTreeMap<usize, usize>,
    /// Facts that came to pass.
    facts_used: BTreeMap<usize, usize>,
}

/// What a reading shows.
struct Shown {
    state: String,
    /// What it becomes, and when.
    then: Option<(Time, String)>,
}

impl World {
    /// A world of these instances, facts and behaviours.
    pub fn new(
        instances: Arc<Instances>,
        clock: Arc<SetClock>,
        facts: Vec<Fact>,
        behaviours: Vec<Behaviour>,
    ) -> World {
        World {
            instances,
            clock,
            facts,
            behaviours,
            inner: Mutex::default(),
            killed: Notify::new(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Behaviours that never came to pass, by their place in the case.
    pub fn unused_behaviours(&self) -> Vec<&Behaviour> {
        let inner = self.inner();
        let unused = |n: &usize| !inner.used.contains_key(n);
        self.behaviours
            .iter()
            .enumerate()
            .filter(|(n, _)| unused(n))
            .map(|(_, one)| one)
            .collect()
    }

    /// Facts nobody ever asked for.
    pub fn unused_facts(&self) -> Vec<&Fact> {
        let inner = self.inner();
        let unused = |n: &usize| !inner.facts_used.contains_key(n);
        self.facts
            .iter()
            .enumerate()
            .filter(|(n, _)| unused(n))
            .map(|(_, one)| one)
            .collect()
    }

    /// Every name that was looked for.
    pub fn names(&self) -> Vec<String> {
        self.inner().names.values().flatten().cloned().collect()
    }

    /// Every state of a target that was ever read or changed: instance, facet, state.
    pub fn states_of(&self, name: &str) -> Vec<(String, String, String)> {
        let now = self.clock.now();
        let inner = self.inner();
        let known = |place: &Place| {
            place.1 == name
                || inner
                    .names
                    .get(&(place.0.clone(), place.1.clone()))
                    .is_some_and(|names| names.iter().any(|known| known.eq_ignore_ascii_case(name)))
        };
        inner
            .shown
            .iter()
            .filter(|(place, _)| known(place))
            .map(|(place, shown)| (place.0.clone(), place.2.clone(), shown.at(now)))
            .collect()
    }

    /// Somebody changes a target by hand. False when it was never seen.
    pub fn change(&self, name: &str, instance: Option<&str>, facet: Option<&str>, state: &str) -> bool {
        let mut found = false;
        let mut inner = self.inner();
        let names = std::mem::take(&mut inner.names);
        for (place, shown) in &mut inner.shown {
            let known = names.get(&(place.0.clone(), place.1.clone()));
            let is_it = place.1 == name
                || known.is_some_and(|names| names.iter().any(|known| known.eq_ignore_ascii_case(name)));
            if is_it && instance.is_none_or(|one| one == place.0) && facet.is_none_or(|one| one == place.2) {
                found = true;
                *shown = Shown {
                    state: state.to_owned(),
                    then: None,
                };
            }
        }
        inner.names = names;
        found
    }

    /// Nobody owns what has no target, such as a message. Where several could do it and `[bind]` does not say, the
    /// first instance does.
    fn bind_without_target(&self, connectors: &Catalog, action: &ActionName) -> Result<Vec<Bound>, Fault> {
        let mut instances = (*self.instances).clone();
        for instance in &mut instances.all {
            instance.when.clear();
        }
        bind(connectors, &instances, action, None, None).or_else(|fault| {
            let named = instances
                .all
                .iter()
                .find_map(|instance| bind(connectors, &instances, action, None, Some(&instance.name)).ok());
            named.filter(|_| fault.code == "ambiguous-binding").ok_or(fault)
        })
    }

    /// The fact about a target at an instance that `says` something there.
    fn fact(&self, instance: &str, names: &[&str], says: impl Fn(&Fact) -> bool) -> Option<&Fact> {
        let is_it = |fact: &&Fact| {
            fact.instance.as_ref().is_none_or(|one| one.value == instance)
                && names
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case(&fact.name.value))
                && says(fact)
        };
        let (n, fact) = self.facts.iter().enumerate().find(|(_, fact)| is_it(fact))?;
        *self.inner().facts_used.entry(n).or_default() += 1;
        Some(fact)
    }

    /// The next behaviour for an attempt, counted as used.
    fn behaviour(&self, binding: &Binding, target: Option<&Target>) -> Option<&How> {
        let mut inner = self.inner();
        let names = target.map(|target| names_of(&inner, target)).unwrap_or_default();
        for (n, one) in self.behaviours.iter().enumerate() {
            let spec = &binding.spec;
            let fits = (one.name.value == spec.name || spec.provides.as_ref() == Some(&one.name.value))
                && one
                    .instance
                    .as_ref()
                    .is_none_or(|instance| instance.value == binding.instance)
                && one
                    .target
                    .as_ref()
                    .is_none_or(|wanted| names.iter().any(|name| name.eq_ignore_ascii_case(&wanted.value)));
            let used = inner.used.get(&n).copied().unwrap_or(0);
            if fits && one.times.is_none_or(|times| used < times) {
                inner.used.insert(n, used + 1);
                return Some(&one.how);
            }
        }
        None
    }

    /// Puts a target into the state that means an action is in force, at once, later or never.
    /// What has no target, such as a message, is read back under its key.
    fn move_to(&self, binding: &Binding, target: Option<&Target>, key: &str, pending: Option<Option<u64>>) {
        let Some(verify) = &binding.spec.verify else {
            return;
        };
        let id = target.map_or(key, |target| target.id.as_str());
        let Some(done) = verify.in_force.first().cloned() else {
            return;
        };
        let (now, place) = (self.clock.now(), place(binding, id));
        let mut inner = self.inner();
        let shown = match pending {
            None => Shown {
                state: done,
                then: None,
            },
            Some(ms) => {
                let before = inner.shown.get(&place).map(|shown| shown.at(now));
                let waiting = verify.pending.first().cloned().or(before);
                Shown {
                    state: waiting.unwrap_or_else(|| AS_BEFORE.to_owned()),
                    then: ms.map(|ms| (now.plus_ms(ms), done)),
                }
            }
        };
        inner.shown.insert(place, shown);
    }
}

impl Shown {
    fn at(&self, now: Time) -> String {
        match &self.then {
            Some((at, state)) if *at <= now => state.clone(),
            _ => self.state.clone(),
        }
    }
}

fn names_of(inner: &Inner, target: &Target) -> Vec<String> {
    let mut names = vec![target.name.clone(), target.id.clone()];
    let known = inner.names.get(&(target.instance.clone(), target.id.clone()));
    names.extend(known.into_iter().flatten().cloned());
    names
}

fn place(binding: &Binding, id: &str) -> Place {
    let read = || binding.spec.verify.as_ref().map(|verify| verify.read.clone());
    let facet = binding.spec.facet.clone().or_else(read).unwrap_or_default();
    (binding.instance.clone(), id.to_owned(), facet)
}

/// The state a target has before anything was done to it: the one that undoing brings back.
fn state_before(connectors: &Catalog, spec: &ActionSpec) -> String {
    let brought_by = |name: &ActionName| {
        let (_, spec) = connectors.action(name)?;
        spec.verify.as_ref()?.in_force.first().cloned()
    };
    if let Some(undo) = &spec.undo {
        return brought_by(&undo.action).unwrap_or_else(|| AS_BEFORE.to_owned());
    }
    // What restores: the state it brings is the one that was before.
    let restores = connectors
        .connector(spec.name.namespace())
        .is_some_and(|connector| {
            let mut actions = connector.manifest.actions.iter();
            actions.any(|other| other.undo.as_ref().is_some_and(|undo| undo.action == spec.name))
        });
    if restores {
        return brought_by(&spec.name).unwrap_or_else(|| AS_BEFORE.to_owned());
    }
    AS_BEFORE.to_owned()
}

/// Fields that an undo takes its arguments from, so that a case has to name only those it cares for.
fn fields_before(spec: &ActionSpec) -> Map<String, Value> {
    let undo = spec.undo.iter();
    undo.flat_map(|undo| undo.from_captured.values())
        .map(|field| (field.clone(), Value::from(format!("{field} before"))))
        .collect()
}

fn looked<T>(result: Result<T, (Fault, Retry)>) -> Looked<T> {
    Looked {
        result,
        requests: Vec::new(),
    }
}

fn acted(outcome: Outcome) -> Acted {
    Acted {
        outcome,
        requests: Vec::new(),
    }
}

#[async_trait]
impl Vendors for World {
    fn bind(
        &self,
        loaded: &Loaded,
        action: &ActionName,
        entity: Option<&Entity>,
    ) -> Result<Vec<Binding>, Fault> {
        let bound = match entity {
            Some(_) => bind(&loaded.connectors, &self.instances, action, entity, None)?,
            None => self.bind_without_target(&loaded.connectors, action)?,
        };
        Ok(bound
            .into_iter()
            .map(|bound| Binding {
                instance: bound.instance.name,
                spec: bound.spec,
            })
            .collect())
    }

    fn binding(&self, loaded: &Loaded, instance: &str, action: &ActionName) -> Result<Binding, Fault> {
        let bound = bind_at(&loaded.connectors, &self.instances, instance, action)?;
        Ok(Binding {
            instance: bound.instance.name,
            spec: bound.spec,
        })
    }

    async fn resolve(&self, _: &Loaded, binding: &Binding, entity: &Entity) -> Looked<Target> {
        let here = binding.instance.as_str();
        let names = [entity.name.as_str(), entity.uid.as_str()];
        let fault = |code: &str, message: String, data: Value| {
            let code = code.to_owned();
            looked(Err((Fault { code, message, data }, Retry::Never)))
        };
        if self.fact(here, &names, |fact| fact.missing).is_some() {
            let message = format!("`{here}` knows no {}", entity.label());
            return fault("target-not-found", message, Value::Null);
        }
        if let Some(fact) = self.fact(here, &names, |fact| !fact.ambiguous.is_empty()) {
            let ids: Vec<Value> = fact
                .ambiguous
                .iter()
                .map(|id| json!({ "id": id, "name": entity.name }))
                .collect();
            let message = format!(
                "`{here}` knows {} that could be {}: name one by its id",
                ids.len(),
                entity.label()
            );
            return fault("ambiguous-target", message, json!({ "candidates": ids }));
        }
        let said = self
            .fact(here, &names, |fact| fact.id.is_some())
            .and_then(|fact| fact.id.clone());
        let connector = self
            .instances
            .named(here)
            .map(|instance| instance.connector.as_str());
        let known = entity
            .ids
            .get(here)
            .or_else(|| connector.and_then(|name| entity.ids.get(name)));
        let id = said
            .or_else(|| known.cloned())
            .unwrap_or_else(|| entity.uid.clone());
        let key = (here.to_owned(), id.clone());
        self.inner()
            .names
            .insert(key, vec![entity.name.clone(), entity.uid.clone()]);
        looked(Ok(Target {
            instance: here.to_owned(),
            kind: entity.kind,
            id,
            name: entity.name.clone(),
            aliases: Vec::new(),
        }))
    }

    async fn read(
        &self,
        loaded: &Loaded,
        binding: &Binding,
        _: &str,
        target: &Target,
        _: &Map<String, Value>,
    ) -> Looked<Reading> {
        let names = names_of(&self.inner(), target);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let here = binding.instance.as_str();
        if let Some(fact) = self.fact(here, &names, |fact| fact.unreadable.is_some()) {
            let code = fact.unreadable.clone().unwrap_or_default();
            let message = format!("{} cannot be read here", target.label());
            return looked(Err((Fault::new(&code, message), Retry::Backoff)));
        }
        let place = place(binding, &target.id);
        let about = |fact: &Fact| fact.facet.as_ref().is_none_or(|facet| *facet == place.2);
        let state = self
            .fact(here, &names, |fact| fact.state.is_some() && about(fact))
            .and_then(|fact| fact.state.clone())
            .unwrap_or_else(|| state_before(&loaded.connectors, &binding.spec));
        let mut fields = fields_before(&binding.spec);
        if binding.spec.targets.is_empty() {
            // Of what was made, reading is all there is to go on with after a lost answer.
            fields.insert("id".into(), "simulated".into());
        }
        if let Some(fact) = self.fact(here, &names, |fact| !fact.fields.is_empty() && about(fact)) {
            fields.extend(fact.fields.clone());
        }
        let now = self.clock.now();
        let state = self
            .inner()
            .shown
            .entry(place)
            .or_insert(Shown { state, then: None })
            .at(now);
        looked(Ok(Reading {
            state,
            fields: Value::Object(fields),
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
        let spec = &binding.spec;
        let done = |result: Value| {
            acted(Outcome::Done {
                how: Done::Acted,
                result,
            })
        };
        match self.behaviour(binding, target) {
            None => {
                self.move_to(binding, target, key, None);
                done(usual_result(spec, target))
            }
            Some(How::Answers(result)) => {
                self.move_to(binding, target, key, None);
                done(result.clone())
            }
            Some(How::NotDone { code, message, retry }) => acted(Outcome::NotDone {
                fault: Fault::new(code, message.clone()),
                retry: *retry,
            }),
            Some(How::Lost { happened }) => {
                if *happened {
                    self.move_to(binding, target, key, None);
                }
                acted(Outcome::Unknown {
                    fault: Fault::new("timeout", "no answer in time"),
                })
            }
            Some(How::Pending { ms }) => {
                self.move_to(binding, target, key, Some(*ms));
                done(usual_result(spec, target))
            }
            Some(How::Contradicted) => done(usual_result(spec, target)),
            Some(How::Killed { happened }) => {
                if *happened {
                    self.move_to(binding, target, key, None);
                }
                self.killed.notify_one();
                std::future::pending().await
            }
        }
    }
}

/// What an action answers where the case says nothing: a list for what lists, else what it was done to.
fn usual_result(spec: &ActionSpec, target: Option<&Target>) -> Value {
    if spec.class == Class::Read && spec.name.verb().starts_with("list") {
        return json!([]);
    }
    match target {
        Some(target) => json!({ "id": target.id, "name": target.name }),
        None => json!({ "id": "simulated", "thread": "simulated" }),
    }
}
