//! What has to be true whatever died when: one function for each invariant, over what senders were told, what the store
//! holds and what the vendors saw. Knows no scenario, so that every battery judges by the same rules; include it by
//! `#[path]`. Each invariant has a test in `tests.rs` that feeds it a violation, for a checker that cannot fail proves nothing.

mod alerts;
mod effects;
mod facts;
mod journals;
mod runs;
mod targets;
mod words;

pub use facts::{Facts, Sent, Told};
pub use words::our_word;

use std::fmt;

/// What is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Every alert that was answered 2xx comes to a disposition and starts the runs it should, once each.
    I1,
    /// No effect without an earlier durable intent.
    I2,
    /// Never a blind repeat: for each effect the vendor is changed at most once.
    I3,
    /// An intent whose result is missing ends as looked into or in doubt, never silently as done.
    I4,
    /// Journals have no gap, epochs only grow, and nothing is written under an epoch that is gone.
    I5,
    /// Nothing gets stuck: what has not ended has a cause to go on, and nothing stays locked.
    I6,
    /// What was ended or rolled back is as it was before, or a person was told; what is held is held.
    I7,
    /// Chains verify, whoever follows the journal sees all of it once, and it accounts for every change at a vendor.
    I8,
}

/// Something that is not as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub of: Invariant,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.of, self.what)
    }
}

/// What was found wrong so far.
#[derive(Default)]
pub struct Findings(Vec<Violation>);

impl Findings {
    fn hold(&mut self, of: Invariant, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            let what = otherwise();
            self.0.push(Violation { of, what });
        }
    }
}

/// Everything that is not as it has to be, all invariants together.
pub fn violations(facts: &Facts) -> Vec<Violation> {
    let mut found = Findings::default();
    alerts::each_starts_its_runs_once(facts, &mut found);
    effects::each_has_an_earlier_intent(facts, &mut found);
    effects::none_is_repeated_blindly(facts, &mut found);
    journals::no_outcome_is_made_up(facts, &mut found);
    journals::each_is_whole_and_fenced(facts, &mut found);
    runs::none_is_stuck(facts, &mut found);
    targets::each_is_held_or_as_before(facts, &mut found);
    journals::followers_see_all(facts, &mut found);
    effects::each_change_is_accounted_for(facts, &mut found);
    found.0
}
