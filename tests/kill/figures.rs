//! How long it takes until somebody goes on with what a dead server had under way, by the journals.

use std::fmt;

use cordon::journal::Event;

use super::nodes::Death;
use super::witness::Facts;

/// Times in ms, sorted.
pub struct Spread(Vec<u64>);

impl Spread {
    pub fn of(mut times: Vec<u64>) -> Spread {
        times.sort_unstable();
        Spread(times)
    }

    pub fn percent(&self, percent: usize) -> u64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get(last * percent / 100).copied().unwrap_or(0)
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (half, most, all) = (self.percent(50), self.percent(99), self.percent(100));
        write!(f, "p50 {half} p99 {most} max {all} ms ({} times)", self.0.len())
    }
}

/// From the start of the last server started before, to the moment when it took up a run that a dead one had under way.
pub fn resumes(facts: &Facts, deaths: &[Death]) -> Spread {
    let mut times = Vec::new();
    for (_, at) in orphans(facts) {
        let started = deaths.iter().rev().map(|death| death.started_ms);
        let last = started.into_iter().find(|started| *started <= at);
        times.extend(last.map(|started| u64::try_from(at - started).unwrap()));
    }
    Spread::of(times)
}

/// From a kill to the moment when any server took up a run that the dead one had under way. The first death since the
/// dead worker's last entry is taken for the cause, so that this is never less than the truth.
pub fn takeovers(facts: &Facts, deaths: &[Death]) -> Spread {
    let mut times = Vec::new();
    for (before, at) in orphans(facts) {
        let place = deaths.partition_point(|death| death.killed_ms < before);
        let cause = deaths.get(place).filter(|death| death.killed_ms <= at);
        times.extend(cause.map(|death| u64::try_from(at - death.killed_ms).unwrap()));
    }
    Spread::of(times)
}

/// Every takeover of a run whose worker ended in the middle: when that worker wrote its last entry, and when another took
/// the run up. Journals say so; a run that was given back to wait is no news to them.
fn orphans(facts: &Facts) -> Vec<(i64, i64)> {
    let mut found = Vec::new();
    for run in &facts.runs {
        let mut before = None;
        for (at, event) in run.events() {
            if let (Event::RunClaimed { .. }, Some(before)) = (&event, before) {
                found.push((before, at.0));
            }
            before = Some(at.0);
        }
    }
    found
}
