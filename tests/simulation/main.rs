//! The real engine over a store in memory, with simulated time and faults drawn from a seed: workers that die at any
//! await, stores that lose answers, vendors that do things late. Everything happens on one thread, in an order that
//! follows from the seed, so a seed that fails does so again, alone. `scripts/simulate` is the long form.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod course;
mod estate;
mod faulty;
mod judge;
mod node;
mod playbooks;
mod sabotage;
mod time;
mod weather;

use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use course::{Came, race, simulate};
use sabotage::Sabotage;

/// Seeds where nothing else is said.
const SEEDS: u64 = 200;
const RACES: u64 = 60;

fn told(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is `{text}`, which is no number")),
        Err(_) => otherwise,
    }
}

/// What came of each seed, in their order. Seeds have nothing in common, so as many are played at once as there are
/// processors.
fn each(seeds: Range<u64>, play: impl Fn(u64) -> Came + Sync) -> Vec<(u64, Came)> {
    let next = AtomicU64::new(seeds.start);
    let players = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut came: Vec<(u64, Came)> = std::thread::scope(|scope| {
        let player = || {
            let mut came = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    return came;
                }
                came.push((seed, play(seed)));
            }
        };
        let all: Vec<_> = (0..players).map(|_| scope.spawn(player)).collect();
        all.into_iter().flat_map(|one| one.join().unwrap()).collect()
    });
    came.sort_by_key(|(seed, _)| *seed);
    came
}

#[test]
fn whatever_fails_the_promises_are_kept() {
    let (seeds, first) = (
        told("CORDON_SIMULATE_SEEDS", SEEDS),
        told("CORDON_SIMULATE_FIRST", 1),
    );
    let mut failed = Vec::new();
    let mut total = course::Counts::default();
    for (seed, came) in each(first..first + seeds, |seed| simulate(seed, Sabotage::None)) {
        let Came {
            violations, counts, ..
        } = came;
        total.runs += counts.runs;
        total.sent += counts.sent;
        total.applied += counts.applied;
        total.deaths += counts.deaths;
        total.votes += counts.votes;
        total.words += counts.words;
        total.jumps += counts.jumps;
        total.hours += counts.hours;
        total.copies += counts.copies;
        if !violations.is_empty() {
            let lines: Vec<String> = violations.iter().map(|line| format!("  {line}")).collect();
            let line = format!(
                "seed {seed}, again with `scripts/simulate 1 {seed}`:\n{}",
                lines.join("\n")
            );
            println!("{line}");
            failed.push(line);
        }
    }
    println!(
        "simulation: {seeds} seeds from {first}, {} violated; {total:?}",
        failed.len()
    );
    assert!(
        failed.is_empty(),
        "{} of {seeds} seeds failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
    assert!(
        seeds < 20
            || [total.sent, total.deaths, total.votes, total.words, total.copies]
                .iter()
                .all(|count| *count > 0),
        "nothing was tried: {total:?}"
    );
}

#[test]
fn a_hundred_voters_race_and_one_decision_is_made_the_right_one() {
    let (races, first) = (
        told("CORDON_SIMULATE_RACES", RACES),
        told("CORDON_SIMULATE_FIRST", 1),
    );
    let (mut votes, mut failed) = (0, Vec::new());
    for (seed, came) in each(first..first + races, race) {
        votes += came.counts.votes;
        failed.extend(
            came.violations
                .into_iter()
                .map(|line| format!("race {seed}: {line}")),
        );
    }
    println!(
        "votes: {races} races of a hundred voters from seed {first}, {votes} votes counted, {} violations",
        failed.len()
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(races < 20 || votes > 0);
}

#[test]
fn the_same_seed_takes_the_same_course() {
    for seed in [3, 11, 42] {
        let (one, other) = (simulate(seed, Sabotage::None), simulate(seed, Sabotage::None));
        assert_eq!(one.digest, other.digest, "seed {seed}");
        assert_eq!(one.violations, other.violations, "seed {seed}");
    }
    assert_ne!(
        simulate(3, Sabotage::None).digest,
        simulate(4, Sabotage::None).digest
    );
}

/// A judge that finds nothing where something is wrong would be worth nothing.
#[test]
fn a_rule_that_is_broken_on_purpose_is_found() {
    for (sabotage, code) in [
        (Sabotage::ForgetsAppends, "I2"),
        (Sabotage::KeepsLocks, "lock left"),
        (Sabotage::KeepsHolds, "orphaned hold"),
        (Sabotage::TakesLate, "orphaned hold"),
        (Sabotage::RepeatsBlindly, "I3"),
        (Sabotage::Disowns, "I4"),
    ] {
        let found = (1..=40).any(|seed| {
            let came = simulate(seed, sabotage);
            came.violations.iter().any(|line| line.starts_with(code))
        });
        assert!(found, "{sabotage:?} was not found in forty seeds");
    }
}
