//! What has to be true after every case: the invariants that every battery shares, and what the scenario says has to
//! come out. The server is down by now.

use std::collections::BTreeMap;
use std::path::Path;

use cordon::action::{Done, Outcome, Verification};
use cordon::clock::Time;
use cordon::range::{Ledger, LedgerLine};
use cordon::store::sqlite::{Options, SqliteStore};

use crate::scenario::Scenario;
use crate::witness::{Facts, Sent, our_word, violations};

/// How often each vendor was changed, in its own words: by action and target.
pub type Changes = BTreeMap<(String, String), usize>;

pub struct Found {
    pub violations: Vec<String>,
    pub resumed_ms: Vec<u64>,
    pub changes: Changes,
}

struct Check<'a> {
    scenario: &'a Scenario,
    facts: &'a Facts,
    violations: Vec<String>,
}

/// `undisturbed` is what came out without a kill; none where this is that course.
pub async fn check(
    scenario: &Scenario,
    db: &Path,
    ledger: &Ledger,
    sent: &[Sent],
    starts: &[i64],
    undisturbed: Option<&Changes>,
) -> Found {
    let store = SqliteStore::open(db, Options::default()).unwrap();
    let facts = Facts::gather(&store, sent, ledger.lines()).await.unwrap();
    let changes = changes(&facts.ledger);
    let mut check = Check {
        scenario,
        facts: &facts,
        violations: violations(&facts).iter().map(ToString::to_string).collect(),
    };
    check.runs();
    check.ends();
    // Where the first lease was over before the second began, both are whole stories of their own.
    if let Some(undisturbed) = undisturbed.filter(|_| check.overlapping()) {
        check.holds_true(changes == *undisturbed, || {
            format!("vendors were changed {changes:?}, undisturbed {undisturbed:?}")
        });
    }
    let mut times: Vec<Time> = facts
        .runs
        .iter()
        .flat_map(|run| run.events().map(|(at, _)| at).collect::<Vec<_>>())
        .chain(facts.alerts.iter().flat_map(|(_, entries)| {
            let events = entries.iter().filter_map(|entry| entry.event().ok());
            events.map(|(at, _)| at).collect::<Vec<_>>()
        }))
        .collect();
    times.sort_unstable();
    let resumed_ms = starts
        .iter()
        .filter_map(|start| {
            let first = times.iter().find(|at| at.0 >= *start)?;
            Some(first.since_ms(Time(*start)))
        })
        .collect();
    Found {
        violations: check.violations,
        resumed_ms,
        changes,
    }
}

fn changes(ledger: &[LedgerLine]) -> Changes {
    let mut changes = Changes::new();
    for line in ledger.iter().filter(|line| line.applied) {
        if let Ok(Some(word)) = our_word(line) {
            let key = (word.to_owned(), line.target.clone().unwrap_or_default());
            let times = changes.entry(key).or_default();
            *times += usize::from(line.changed_state());
        }
    }
    changes
}

impl Check<'_> {
    fn holds_true(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(otherwise());
        }
    }

    fn runs(&mut self) {
        let (count, expected) = (self.facts.runs.len(), self.scenario.expected.runs);
        let leased = self.scenario.is_leased();
        self.holds_true(count == expected || (leased && count > expected), || {
            format!("{count} runs instead of {expected}")
        });
        let holders: usize = self.facts.holds.iter().map(|hold| hold.holders.len()).sum();
        let expected = self.scenario.expected.holders;
        self.holds_true(holders == expected, || {
            format!("{holders} holders instead of {expected}")
        });
    }

    /// Whether all leases were in force at once, so that one change serves all who hold the same.
    fn overlapping(&self) -> bool {
        let leases: Vec<(Time, Time)> = self
            .facts
            .runs
            .iter()
            .filter_map(|run| run.state.as_ref())
            .flat_map(|state| state.effects.values())
            .filter_map(|effect| {
                let first = effect.attempts.first()?;
                Some((first.at, effect.lease_end()?))
            })
            .collect();
        leases
            .iter()
            .all(|one| leases.iter().all(|other| one.0 < other.1))
    }

    fn ends(&mut self) {
        let facts = self.facts;
        let expected = &self.scenario.expected;
        for run in &facts.runs {
            let row = &run.row;
            let Some(state) = &run.state else { continue };
            self.holds_true(row.end == Some(expected.end), || {
                format!(
                    "{} ended {:?}: {:?} {:?}",
                    row.id, row.end, state.settled, state.alarms
                )
            });
            let told = state.alarms.iter().any(|alarm| alarm.code == "contradicted");
            self.holds_true(told == expected.contradicted, || {
                format!("{}: told of a contradiction: {told}; {:?}", row.id, state.alarms)
            });
            for effect in state
                .effects
                .values()
                .filter(|effect| effect.bound.spec.changes())
            {
                let seen = effect.verification.as_ref().map(|(_, word)| *word);
                let how = match effect.done() {
                    Some((_, Outcome::Done { how, .. })) => Some(*how),
                    _ => None,
                };
                let sent = matches!(how, Some(Done::Acted | Done::Observed));
                let wanted = match (expected.contradicted, &effect.bound.spec.unseen) {
                    (true, _) => Verification::Contradicted,
                    (false, Some(_)) => Verification::Unverifiable,
                    (false, None) => Verification::Yes,
                };
                // A restart that takes longer than the lease: its hold ended before anybody looked, and it says so.
                // A key that was deleted afterwards, or a membership that its own run ended, was seen before.
                let ended_unseen = self.scenario.is_leased() && seen == Some(Verification::Undone);
                self.holds_true(!sent || seen == Some(wanted) || ended_unseen, || {
                    format!(
                        "{}: {} {how:?} read back as {seen:?}",
                        row.id, effect.bound.spec.name
                    )
                });
                self.holds_true(how.is_some(), || {
                    format!("{}: not done: {:?}", row.id, effect.stage())
                });
            }
        }
    }
}
