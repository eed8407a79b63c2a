//! I6: nothing gets stuck.

use cordon::store::RunStatus;

use super::{Facts, Findings, Invariant::I6};

pub fn none_is_stuck(facts: &Facts, found: &mut Findings) {
    found.hold(I6, facts.stuck == 0, || {
        format!("the store counts {} stuck runs", facts.stuck)
    });
    for run in &facts.runs {
        let row = &run.row;
        let goes_on = match row.status {
            RunStatus::Open => row.wake_at.is_some() || row.worker.is_some(),
            RunStatus::Parked => !row.waits_for.is_empty(),
            RunStatus::Settled => row.end.is_some() && row.worker.is_none(),
        };
        found.hold(I6, goes_on, || format!("nothing will ever wake {row:?}"));
    }
    let open = |run| {
        facts
            .runs
            .iter()
            .any(|told| told.row.id == run && told.row.status == RunStatus::Open)
    };
    for lock in &facts.locks {
        found.hold(I6, open(lock.run), || {
            format!("{} is locked by {}, which has ended", lock.target, lock.run)
        });
    }
}
