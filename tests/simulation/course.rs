//! One simulation: an hour or more of runs, votes, undos, halts, deaths, outages and clock changes, all drawn from the
//! seed; then no more faults until everything is at rest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cordon::clock::Clock as _;
use cordon::digest::Digest;
use cordon::finding::SeverityId;
use cordon::guardrail::Halt;
use cordon::id::{EffectId, Partition, RunId};
use cordon::journal::{Cause, ChainId, RunState, Stage};
use cordon::run::{Ballot, CannotStart, Context, HaltSwitch, Handle, NotHeard, NotTaken, Start, drive};
use cordon::store::memory::MemoryStore;
use cordon::store::{ApprovalQuery, Approvals as _, Error, RunQuery, RunStatus, Runs as _, Targets as _};
use serde_json::json;
use tokio::sync::{Notify, watch};

use crate::estate::Estate;
use crate::judge;
use crate::node::{Ground, Node};
use crate::playbooks::shelf;
use crate::sabotage::Sabotage;
use crate::time::Sim;
use crate::weather::Weather;

/// How long it goes on, ms of the stop watch.
const LASTS_MS: u64 = 3_600_000;
/// How long after that everything has to be at rest, but for pauses of reverts that failed.
const REST_MS: u64 = 30 * 3_600_000;

/// What came of a simulation.
pub struct Came {
    /// What is wrong; empty when nothing is.
    pub violations: Vec<String>,
    /// A digest of every journal's events and of the ledger.
    pub digest: Digest,
    pub counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub runs: usize,
    pub sent: usize,
    pub applied: usize,
    pub deaths: usize,
    pub votes: usize,
    /// Runs that people cancelled and doubts they resolved while it went on.
    pub words: usize,
    pub jumps: usize,
    pub hours: u64,
    pub copies: usize,
}

/// Simulates a seed.
pub fn simulate(seed: u64, sabotage: Sabotage) -> Came {
    let sim = Sim::new(seed);
    if std::env::var_os("CORDON_SIMULATE_TELL").is_some() {
        sim.keep_story();
    }
    let course = course(sim.clone(), sabotage);
    let came = sim.run(course);
    for line in sim.story() {
        println!("{line}");
    }
    came
}

struct People {
    handle: Handle,
    sim: Sim,
}

/// A hundred voters at one request, on one to three nodes that die meanwhile: members, strangers, whoever asked for the
/// run, twice and with another mind, of what they saw and of what they did not, up to its end and past it.
pub fn race(seed: u64) -> Came {
    let sim = Sim::new(seed);
    let course = voters(sim.clone());
    sim.run(course)
}

async fn voters(sim: Sim) -> Came {
    let store = Arc::new(MemoryStore::with_clock(Arc::new(sim.clone())));
    let weather = Arc::new(Weather::default());
    let estate = Estate::new(sim.clone(), weather.clone(), store.clone(), Sabotage::None);
    let (_halt, switch) = watch::channel::<HaltSwitch>(Ok(None));
    let ground = Ground {
        sim: sim.clone(),
        store: store.clone(),
        estate: estate.clone(),
        weather: weather.clone(),
        halt: switch,
        sabotage: Sabotage::None,
        tick_ms: 1_000,
    };
    let nodes: Vec<Node> = (0..sim.between(1, 4) as usize)
        .map(|n| Node::start(&ground, n, false))
        .collect();
    let (_, handle, _kicked) = ground.context("people", &Arc::new(Notify::new()), false, false, None);
    let people = Arc::new(People {
        handle,
        sim: sim.clone(),
    });
    let (bundle, _) = &shelf().playbooks[ASKED];
    people.keep(bundle).await;
    let run = people.start_of(0, bundle).await;
    let row = loop {
        sim.sleep(500).await;
        let query = ApprovalQuery {
            open: None,
            before: None,
            limit: 10,
        };
        if let Some(row) = store.approvals(run.partition(), query).await.unwrap().pop() {
            break row;
        }
    };
    // All at once, or all about the moment at which its time is over.
    let around = if sim.in_thousand(500) {
        0
    } else {
        row.state.request.until.since_ms(sim.now()).saturating_sub(1_000)
    };
    let votes: Vec<_> = (0..100)
        .map(|n| {
            let (people, id) = (people.clone(), row.id);
            let seen = if n % 7 == 0 {
                Digest::ZERO
            } else {
                row.state.request.digest
            };
            tokio::spawn(async move {
                people.sim.sleep(around + people.sim.between(0, 2_000)).await;
                let ballot = Ballot {
                    principal: people
                        .sim
                        .one_of(&["ana", "ben", "eve", "zoe", "mallory", "cordon"])
                        .to_string(),
                    approve: people.sim.in_thousand(600),
                    reason: "seen".into(),
                    digest: Some(seen),
                };
                for _ in 0..20 {
                    match people.handle.vote(id, &ballot).await {
                        Err(NotTaken::Store(_)) => people.sim.sleep(50).await,
                        _ => break,
                    }
                }
            })
        })
        .collect();
    let mut counts = Counts::default();
    for _ in 0..sim.between(0, 6) {
        sim.sleep(around / 5 + sim.between(0, 1_000)).await;
        counts.deaths += 1;
        sim.one_of(&nodes).kill();
    }
    for vote in votes {
        vote.await.unwrap();
    }
    weather.calm_down();
    sim.sleep(120_000).await;
    for node in nodes {
        node.end().await;
    }
    let (context, handle, _kicked) = ground.context("last", &Arc::new(Notify::new()), false, false, Some(0));
    let (late, copies) = weather.copies().await;
    counts.copies = copies;
    let mut violations = estate.violations();
    violations.extend(late);
    violations.extend(rest(&sim, &store, &context, &handle).await);
    let verdict = judge::judge(&sim, &store, &estate, &context, &[run]).await;
    violations.extend(verdict.violations);
    counts.votes = verdict.votes;
    Came {
        violations,
        digest: verdict.digest,
        counts,
    }
}

/// The playbook that asks.
const ASKED: usize = 3;

async fn course(sim: Sim, sabotage: Sabotage) -> Came {
    let store = Arc::new(MemoryStore::with_clock(Arc::new(sim.clone())));
    let weather = Arc::new(Weather::default());
    let estate = Estate::new(sim.clone(), weather.clone(), store.clone(), sabotage);
    let (halt, switch) = watch::channel::<HaltSwitch>(Ok(None));
    let ground = Ground {
        sim: sim.clone(),
        store: store.clone(),
        estate: estate.clone(),
        weather: weather.clone(),
        halt: switch,
        sabotage,
        tick_ms: *sim.one_of(&[1_000, 5_000, 5_000, 10_000, 10_000, 10_000]),
    };
    let held = sim.in_thousand(300);
    let nodes: Vec<Node> = (0..sim.between(1, 4) as usize)
        .map(|n| Node::start(&ground, n, held))
        .collect();
    let (asks, handle, _kicked) = ground.context("people", &Arc::new(Notify::new()), false, held, None);
    let people = People {
        handle,
        sim: sim.clone(),
    };
    for (bundle, _) in shelf().playbooks.iter().chain([&shelf().revert, &shelf().act]) {
        people.keep(bundle).await;
    }
    let mut counts = Counts::default();
    let mut started: Vec<RunId> = Vec::new();
    let most = sim.between(4, 12) as usize;
    while sim.elapsed_ms() < LASTS_MS {
        sim.sleep(sim.between(200, 60_000)).await;
        match sim.between(0, 100) {
            0..25 => {
                if started.len() < most {
                    started.push(people.start(started.len()).await);
                }
            }
            25..40 => counts.votes += usize::from(people.vote(&store).await),
            40..43 => {
                if let Some(run) = started.get(sim.between(0, most as u64) as usize) {
                    people.cancel(*run).await;
                    counts.words += 1;
                }
            }
            43..46 => {
                let doubts = doubts(&store, &asks).await;
                // Whoever looks while a request may still be done cannot know.
                if !doubts.is_empty() && !estate.is_under_way() {
                    people.resolve(sim.one_of(&doubts), &estate).await;
                    counts.words += 1;
                }
            }
            46..52 => {
                if let Some(run) = started.get(sim.between(0, most as u64) as usize) {
                    people.undo(*run).await;
                }
            }
            52..56 => {
                let by = Halt {
                    by: "ana".into(),
                    at: sim.now(),
                    reason: "a drill".into(),
                };
                halt.send_modify(|switch| *switch = Ok(Some(by)));
                sim.sleep(sim.between(1_000, 120_000)).await;
                halt.send_modify(|switch| *switch = Ok(None));
            }
            56..72 => {
                counts.deaths += 1;
                sim.tell("a node is to die".into());
                sim.one_of(&nodes).kill();
            }
            72..77 => {
                sim.tell("a node drains".into());
                sim.one_of(&nodes).drain();
            }
            77..82 => weather.store_outage(&sim, sim.between(1_000, 60_000)),
            82..87 => weather.vendor_outage(&sim, sim.between(1_000, 120_000)),
            87..90 => {
                let host = format!("id-{}/network", host(sim.between(0, HOSTS)));
                let state = *sim.one_of(&["normal", "contained", "reimaged"]);
                estate.change_by_hand(&host, state);
            }
            90..96 => {
                counts.jumps += 1;
                let ms = sim.between(1, 3_000) as i64;
                sim.jump(if sim.in_thousand(500) { ms } else { -ms });
            }
            _ => {
                // What is under way is timed by the wall clock, so a leap while something is would break a promise
                // that nobody makes: `docs/operate/reliability.md`.
                if !estate.is_under_way() {
                    counts.jumps += 1;
                    let ms = sim.between(60_000, 3_600_000) as i64;
                    sim.jump(if sim.in_thousand(700) { ms } else { -ms / 10 });
                }
            }
        }
    }
    weather.calm_down();
    // Whoever was to die has died; whoever stands still in a slow store comes to its end.
    sim.sleep(120_000 + 60 * ground.tick_ms).await;
    for node in nodes {
        node.end().await;
    }
    let (context, handle, _kicked) = ground.context("last", &Arc::new(Notify::new()), false, held, Some(0));
    let last = People {
        handle,
        sim: sim.clone(),
    };
    let (late, copies) = weather.copies().await;
    counts.copies = copies;
    let mut violations = estate.violations();
    violations.extend(late);
    violations.extend(settle(&sim, &store, &context, &last, &estate).await);
    counts.hours = sim.elapsed_ms() / 3_600_000;
    counts.runs = started.len();
    let verdict = judge::judge(&sim, &store, &estate, &context, &started).await;
    violations.extend(verdict.violations);
    counts.sent = verdict.sent;
    counts.applied = verdict.applied;
    Came {
        violations,
        digest: verdict.digest,
        counts,
    }
}

/// Drives what is due, and has people look at what is in doubt, until neither is left.
async fn settle(
    sim: &Sim,
    store: &Arc<MemoryStore>,
    context: &Arc<Context>,
    people: &People,
    estate: &Estate,
) -> Vec<String> {
    for _ in 0..20 {
        let wrong = rest(sim, store, context, &people.handle).await;
        if !wrong.is_empty() {
            return wrong;
        }
        let doubts = doubts(store, context).await;
        if doubts.is_empty() {
            return Vec::new();
        }
        for doubt in doubts {
            people.resolve(&doubt, estate).await;
        }
    }
    vec!["I6: what people said resolves no doubt".into()]
}

/// An effect that nobody knows the outcome of.
struct Doubt {
    run: RunId,
    effect: EffectId,
    /// What the vendor would know it by.
    key: String,
}

async fn doubts(store: &MemoryStore, context: &Context) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    for partition in Partition::all() {
        let query = RunQuery {
            status: Some(RunStatus::Open),
            limit: 10_000,
            ..RunQuery::default()
        };
        for row in store.runs(partition, &query).await.unwrap() {
            let entries = store.journal(partition, ChainId::Run(row.id), 0).await.unwrap();
            let state = RunState::fold(&entries).unwrap();
            for (effect, it) in &state.effects {
                if it.stage() == Stage::InDoubt {
                    doubts.push(Doubt {
                        run: row.id,
                        effect: *effect,
                        key: context.idempotency_key(*effect),
                    });
                }
            }
        }
    }
    doubts
}

/// Drives what is due and lets time pass to what comes next, until nothing does.
async fn rest(sim: &Sim, store: &MemoryStore, context: &Arc<Context>, handle: &Handle) -> Vec<String> {
    let until = sim.elapsed_ms() + REST_MS;
    for _ in 0..20_000 {
        let now = sim.now();
        let mut worked = false;
        let mut next = None;
        for partition in Partition::all() {
            for due in store.due_holders(partition, now, 100).await.unwrap() {
                handle.end_lease(&due).await.unwrap();
            }
        }
        for partition in Partition::all() {
            let claims = store
                .claim_due(partition, "last", now, now.plus_ms(context.claim_ms), 100)
                .await;
            for claim in claims.unwrap() {
                worked = true;
                let run = claim.run;
                if let Err(error) = drive(context.clone(), claim, Arc::new(AtomicBool::new(false))).await {
                    return vec![format!("I6: {run} cannot be driven: {error}")];
                }
            }
        }
        if worked {
            continue;
        }
        for partition in Partition::all() {
            let wake = store.next_wake(partition).await.unwrap();
            let ends = store.holds(partition).await.unwrap();
            let ends = ends
                .iter()
                .flat_map(|hold| &hold.holders)
                .filter_map(|holder| holder.until);
            // A lease that is over and whose end is under way is woken for by the run that ends it.
            let lease = ends.filter(|end| *end > now).min();
            next = [next, wake, lease].into_iter().flatten().min();
        }
        let Some(next) = next else { return Vec::new() };
        let pause_ms = next.since_ms(sim.now());
        if sim.elapsed_ms() + pause_ms > until {
            return Vec::new();
        }
        sim.sleep(pause_ms.max(1)).await;
    }
    vec!["I6: it does not come to rest".into()]
}

const HOSTS: u64 = 4;

fn host(n: u64) -> String {
    format!("web-0{n}")
}

impl People {
    /// Asks again until the store has taken it, as whoever calls does.
    async fn keep(&self, bundle: &cordon::playbook::Bundle) {
        while self.handle.keep_bundle(bundle).await.is_err() {
            self.sim.sleep(500).await;
        }
    }

    async fn start(&self, n: usize) -> RunId {
        let (bundle, _) = self.sim.one_of(&shelf().playbooks);
        self.start_of(n, bundle).await
    }

    async fn start_of(&self, n: usize, bundle: &cordon::playbook::Bundle) -> RunId {
        let run = RunId::derive(&["simulated", &n.to_string()]);
        let entity =
            |kind: &str, name: String| json!({ "type": kind, "role": "affected", "name": name, "uid": name });
        let finding = json!({
            "host": entity("host", host(self.sim.between(0, HOSTS))),
            "other": entity("host", host(self.sim.between(0, HOSTS))),
            "user": entity("user", format!("user{}", self.sim.between(0, 2))),
        });
        loop {
            let start = Start {
                run,
                cause: Cause::Person {
                    principal: "zoe".into(),
                    reason: "a simulation".into(),
                },
                inputs: BTreeMap::from([("finding".to_owned(), finding.clone())]),
                severity_id: SeverityId(4),
                subject: "a host".into(),
                weak_source: false,
            };
            match self.handle.start(bundle, start).await {
                Ok(_) => return run,
                Err(CannotStart::Store(_)) => self.sim.sleep(500).await,
                Err(other) => panic!("{other}"),
            }
        }
    }

    /// Somebody answers something that is asked; false when nothing is.
    async fn vote(&self, store: &MemoryStore) -> bool {
        let query = ApprovalQuery {
            open: Some(true),
            before: None,
            limit: 100,
        };
        let mut open = Vec::new();
        for partition in Partition::all() {
            open.extend(store.approvals(partition, query).await.unwrap());
        }
        if open.is_empty() {
            return false;
        }
        let row = self.sim.one_of(&open);
        let ballot = Ballot {
            principal: self.sim.one_of(&["ana", "ben", "eve", "zoe"]).to_string(),
            approve: self.sim.in_thousand(700),
            reason: "seen".into(),
            digest: None,
        };
        for _ in 0..20 {
            match self.handle.vote(row.id, &ballot).await {
                Err(NotTaken::Store(_)) => self.sim.sleep(500).await,
                _ => break,
            }
        }
        true
    }

    /// Somebody ends a run, which may be over.
    async fn cancel(&self, run: RunId) {
        let undo = self.sim.in_thousand(500);
        for _ in 0..20 {
            match self.handle.cancel(run, undo, "ana", "a simulation").await {
                Err(NotHeard::Store(_)) => self.sim.sleep(500).await,
                _ => return,
            }
        }
    }

    /// Somebody looks at the vendor's own list of what it did, and says so.
    async fn resolve(&self, doubt: &Doubt, estate: &Estate) {
        for _ in 0..20 {
            let happened = estate.did(&doubt.key);
            let said = self
                .handle
                .resolve(doubt.run, doubt.effect, happened, "ana", "looked");
            match said.await {
                Err(NotHeard::Store(_)) => self.sim.sleep(500).await,
                _ => return,
            }
        }
    }

    async fn undo(&self, run: RunId) {
        for _ in 0..20 {
            match self.handle.undo_run(run, "ana", "a simulation").await {
                Err(CannotStart::Store(Error::Missing { .. })) => return,
                Err(CannotStart::Store(_)) => self.sim.sleep(500).await,
                _ => return,
            }
        }
    }
}
