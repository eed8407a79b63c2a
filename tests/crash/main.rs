//! The crash battery: `cordon serve` is killed with SIGKILL at every point that a scenario passes (around every
//! durable change, around every request, between any two steps of a run), and started again. Afterwards the run
//! has gone on, the vendors' own ledger holds each effect once, and nothing is stuck, held or locked that should
//! not be. Plain `cargo test` plays a sample that follows from a seed; `scripts/crash` plays every point twice, the second
//! time with another kill during recovery, and kills at system calls beside.
#![cfg(debug_assertions)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

mod check;
#[allow(dead_code, reason = "shared with the kill battery, which uses more of it")]
mod estate;
mod play;
mod sample;
mod scenario;
#[allow(dead_code, reason = "shared with the zombies, which use more of it")]
mod server;
#[path = "../witness/mod.rs"]
mod witness;
#[path = "../witness/tests.rs"]
mod witness_tests;

use check::Changes;
use play::{Ground, Played, play, prepare};
use sample::{Form, Orders};
use scenario::{ALL, Scenario};
use server::Order;

/// Cases at once; most of a case is waiting.
const AT_ONCE: usize = 6;
/// Fewer distinct points in the long form prove too little.
const POINTS_MIN: usize = 1_500;

/// Written past the capture of the test harness, so that the figures are always seen.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A scenario and what it comes to when nobody dies.
struct Known {
    scenario: &'static Scenario,
    ground: Ground,
    changes: Changes,
    passed: Vec<String>,
    calls: Vec<(&'static str, u64)>,
}

struct Case {
    known: Arc<Known>,
    kills: Vec<Order>,
}

#[derive(Default)]
struct Sum {
    points: BTreeSet<(&'static str, Order, String)>,
    calls: BTreeSet<(&'static str, Order, String)>,
    kills: usize,
    resumed_ms: Vec<u64>,
    settled_ms: Vec<(u64, String)>,
    up_ms: Vec<u64>,
    violations: Vec<String>,
}

impl Sum {
    fn add(&mut self, scenario: &'static Scenario, kills: &[Order], played: Played) {
        let what = format!("{} killed at {kills:?} {:?}", scenario.name, played.kills);
        if let (Some(at), Some(name)) = (kills.first(), played.kills.first()) {
            let place = (scenario.name, at.clone(), name.clone());
            match at {
                Order::Point(_) => self.points.insert(place),
                _ => self.calls.insert(place),
            };
        }
        self.kills += played.kills.len();
        self.resumed_ms.extend(played.resumed_ms);
        self.settled_ms
            .extend(played.settled_ms.last().map(|ms| (*ms, what.clone())));
        self.up_ms.extend(played.up_ms);
        for violation in played.violations {
            let text = format!("VIOLATION: {what}: {violation}");
            say(&text);
            self.violations.push(text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_run_goes_on_after_a_kill_at_every_point_and_each_effect_happens_once() {
    let begun = Instant::now();
    let form = Form::of_environment();
    say(&format!("crash battery: {form}"));
    let scenarios: Vec<&'static Scenario> = ALL.iter().filter(|scenario| form.plays(scenario.name)).collect();
    let mut sum = Sum::default();
    let mut known = Vec::new();
    let at_once = variable("CORDON_CRASH_AT_ONCE").map_or(AT_ONCE, |n| usize::try_from(n).unwrap());
    let places = Arc::new(Semaphore::new(at_once));
    let form = Arc::new(form);
    let mut learning = JoinSet::new();
    for (place, scenario) in scenarios.iter().copied().enumerate() {
        let (places, form) = (places.clone(), form.clone());
        learning.spawn(async move {
            let _place = places.acquire_owned().await.unwrap();
            (place, learn(scenario, &form).await)
        });
    }
    while let Some(learnt) = learning.join_next().await {
        let (place, (it, played)) = learnt.unwrap();
        for played in played {
            sum.add(it.scenario, &[], played);
        }
        known.push((place, Arc::new(it)));
    }
    // In their own order, so that the same kinds of points are new to the same scenarios.
    known.sort_by_key(|(place, _)| *place);
    let known: Vec<Arc<Known>> = known.into_iter().map(|(_, it)| it).collect();
    assert!(sum.violations.is_empty(), "without any kill");
    sum.settled_ms.clear();

    let mut cases = Vec::new();
    let mut never = form.names_to_see(known.iter().flat_map(|known| &known.passed));
    for known in &known {
        let Orders { points, calls } =
            form.orders(known.scenario.name, &known.passed, &known.calls, &mut never);
        let kills = points.into_iter().chain(calls);
        cases.extend(kills.map(|kills| Case {
            known: known.clone(),
            kills,
        }));
    }
    // Early points of all scenarios first, so that those that wait for a lease stand beside those that work.
    cases.sort_by(|one, other| one.kills.cmp(&other.kills));
    let mut under_way = JoinSet::new();
    for case in cases {
        let places = places.clone();
        under_way.spawn(async move {
            let _place = places.acquire_owned().await.unwrap();
            let known = &case.known;
            let played = play(known.scenario, &known.ground, &case.kills, Some(&known.changes)).await;
            (case, played)
        });
    }
    let all = under_way.len();
    while let Some(done) = under_way.join_next().await {
        let (case, played) = done.unwrap();
        sum.add(case.known.scenario, &case.kills, played);
        if under_way.len() % 100 == 0 {
            let seconds = begun.elapsed().as_secs();
            say(&format!("{} of {all} cases, {seconds} s", all - under_way.len()));
        }
    }
    report(&mut sum, scenarios.len(), &form, begun);
    let count = sum.violations.len();
    assert_eq!(count, 0, "violations, see above; again with: {}", form.again());
    assert!(
        !form.is_whole() || sum.points.len() >= POINTS_MIN,
        "{} points are too few",
        sum.points.len()
    );
}

/// Plays a scenario without a kill: which points it passes, which calls it makes, and what comes out.
async fn learn(scenario: &'static Scenario, form: &Form) -> (Known, Vec<Played>) {
    let ground = prepare(scenario).await;
    let mut played = vec![play(scenario, &ground, &[], None).await];
    let passed = played[0].passed.clone();
    let changes = played[0].changes.clone();
    let points = passed.len();
    assert!(
        points > 0,
        "{} passes no point: {:?}",
        scenario.name,
        played[0].violations
    );
    say(&format!(
        "{}: passes {points} points, changes {changes:?}",
        scenario.name
    ));
    let mut calls = Vec::new();
    if form.traces() {
        let traced = play(scenario, &ground, &[Order::Traced(sample::CALLS)], Some(&changes)).await;
        calls = traced.calls.clone();
        say(&format!("{}: most calls of one thread: {calls:?}", scenario.name));
        played.push(traced);
    }
    let known = Known {
        scenario,
        ground,
        changes,
        passed,
        calls,
    };
    (known, played)
}

fn at(sorted: &[u64], percent: usize) -> u64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * percent / 100).copied().unwrap_or(0)
}

fn report(sum: &mut Sum, scenarios: usize, form: &Form, begun: Instant) {
    sum.resumed_ms.sort_unstable();
    sum.settled_ms.sort();
    sum.up_ms.sort_unstable();
    let settled: Vec<u64> = sum.settled_ms.iter().map(|(ms, _)| *ms).collect();
    let names: BTreeSet<&str> = sum.points.iter().map(|(_, _, name)| name.as_str()).collect();
    let per = |list: &[u64]| {
        format!(
            "p50 {} p99 {} max {} ms",
            at(list, 50),
            at(list, 99),
            at(list, 100)
        )
    };
    say(&format!("kinds of points: {names:?}"));
    say(&format!("start to listening: {}", per(&sum.up_ms)));
    say(&format!(
        "restart to settled: {} (leases, throttles and people waited for)",
        per(&settled)
    ));
    if let Some((_, what)) = sum.settled_ms.last() {
        say(&format!("slowest: {what}"));
    }
    say(&format!(
        "crash battery: {} distinct points, {} system calls, {} kills, {scenarios} scenarios, {} violations, \
         resume p50 {} ms p99 {} ms, in {} s; again with: {}",
        sum.points.len(),
        sum.calls.len(),
        sum.kills,
        sum.violations.len(),
        at(&sum.resumed_ms, 50),
        at(&sum.resumed_ms, 99),
        begun.elapsed().as_secs(),
        form.again()
    ));
}
