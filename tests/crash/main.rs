//! The crash battery: `cordon serve` is killed with SIGKILL at every point that a scenario passes (around every
//! durable change, around every request, between any two steps of a run), and started again. Afterwards the run
//! has gone on, the vendor's own ledger holds each effect once, and nothing is stuck, held or locked that should
//! not be. `scripts/crash` plays every point twice, the second time with another kill during recovery.
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

use cordon::digest::Digest;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

mod check;
mod play;
mod scenario;
mod server;

use play::{Ground, Played, play, prepare};
use scenario::{ALL, Scenario};

/// Cases at once; most of a case is waiting.
const AT_ONCE: usize = 6;
/// Fewer distinct points than this prove too little.
const POINTS_MIN: usize = 200;

/// Written past the capture of the test harness, so that the figures are always seen.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

struct Case {
    scenario: &'static Scenario,
    ground: Arc<Ground>,
    kills: Vec<u64>,
}

#[derive(Default)]
struct Sum {
    points: BTreeSet<(&'static str, u64, String)>,
    kills: usize,
    resumed_ms: Vec<u64>,
    settled_ms: Vec<(u64, String)>,
    up_ms: Vec<u64>,
    violations: Vec<String>,
}

impl Sum {
    fn add(&mut self, case: &Case, played: Played) {
        let what = format!(
            "{} killed at {:?} {:?}",
            case.scenario.name, case.kills, played.kills
        );
        if let (Some(at), Some(name)) = (case.kills.first(), played.kills.first()) {
            self.points.insert((case.scenario.name, *at, name.clone()));
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
    let only = std::env::var("CORDON_CRASH_ONLY").ok();
    let scenarios: Vec<&'static Scenario> = ALL
        .iter()
        .filter(|scenario| only.as_deref().is_none_or(|only| only == scenario.name))
        .collect();
    let mut sum = Sum::default();
    let mut grounds = Vec::new();
    let mut passed = Vec::new();
    for scenario in &scenarios {
        let ground = Arc::new(prepare(scenario).await);
        let case = Case {
            scenario,
            ground: ground.clone(),
            kills: Vec::new(),
        };
        let played = play(scenario, &ground, &[]).await;
        let points = u64::try_from(played.passed.len()).unwrap();
        say(&format!("{}: passes {points} points", scenario.name));
        assert!(
            points > 0,
            "{} passes no point: {:?}",
            scenario.name,
            played.violations
        );
        sum.add(&case, played);
        grounds.push((*scenario, ground));
        passed.push(points);
    }
    assert!(sum.violations.is_empty(), "without any kill");
    sum.settled_ms.clear();

    let seed = variable("CORDON_CRASH_SEED");
    // For a first look while working on something: every so manyth point of each scenario.
    let every = variable("CORDON_CRASH_EVERY").map_or(1, |every| usize::try_from(every.max(1)).unwrap());
    let mut cases = Vec::new();
    for ((scenario, ground), points) in grounds.iter().zip(&passed) {
        for at in (1..=*points).step_by(every) {
            let case = |kills| Case {
                scenario,
                ground: ground.clone(),
                kills,
            };
            cases.push(case(vec![at]));
            if let Some(seed) = seed {
                cases.push(case(vec![at, second(seed, scenario.name, at, *points)]));
            }
        }
    }
    // Early points of all scenarios first, so that those that wait for a lease stand beside those that work.
    cases.sort_by_key(|case| case.kills.first().copied());
    let places = Arc::new(Semaphore::new(
        variable("CORDON_CRASH_AT_ONCE").map_or(AT_ONCE, |n| usize::try_from(n).unwrap()),
    ));
    let mut under_way = JoinSet::new();
    for case in cases {
        let places = places.clone();
        under_way.spawn(async move {
            let _place = places.acquire_owned().await.unwrap();
            let played = play(case.scenario, &case.ground, &case.kills).await;
            (case, played)
        });
    }
    let all = under_way.len();
    while let Some(done) = under_way.join_next().await {
        let (case, played) = done.unwrap();
        sum.add(&case, played);
        if under_way.len() % 100 == 0 {
            say(&format!(
                "{} of {all} cases, {} s",
                all - under_way.len(),
                begun.elapsed().as_secs()
            ));
        }
    }
    report(&mut sum, scenarios.len(), seed, begun);
    assert!(
        sum.violations.is_empty(),
        "{} violations, see above",
        sum.violations.len()
    );
    assert!(
        only.is_some() || every > 1 || sum.points.len() >= POINTS_MIN,
        "{} points are too few",
        sum.points.len()
    );
}

/// The point of the second kill, during recovery: anywhere within as many points as the first start passes.
fn second(seed: u64, scenario: &str, at: u64, points: u64) -> u64 {
    let drawn = Digest::of_parts(&[scenario.as_bytes(), &at.to_be_bytes(), &seed.to_be_bytes()]);
    let (head, _) = drawn.0.split_at(8);
    1 + u64::from_be_bytes(head.try_into().unwrap()) % points
}

fn at(sorted: &[u64], percent: usize) -> u64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * percent / 100).copied().unwrap_or(0)
}

fn report(sum: &mut Sum, scenarios: usize, seed: Option<u64>, begun: Instant) {
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
        "restart to settled: {} (leases and throttles waited for)",
        per(&settled)
    ));
    if let Some((_, what)) = sum.settled_ms.last() {
        say(&format!("slowest: {what}"));
    }
    if let Some(seed) = seed {
        say(&format!("seed {seed}"));
    }
    say(&format!(
        "crash battery: {} distinct points, {} kills, {scenarios} scenarios, {} violations, resume p50 {} ms p99 {} ms, in {} s",
        sum.points.len(),
        sum.kills,
        sum.violations.len(),
        at(&sum.resumed_ms, 50),
        at(&sum.resumed_ms, 99),
        begun.elapsed().as_secs()
    ));
}
