//! All triggers, and which of them one finding meets. Evaluation costs under a microsecond a rule, so rules are
//! filed under a necessary equality term and only those whose term the finding has are evaluated. The answer is
//! always that of evaluating every rule (proved by a property test in `tests.rs`).

use std::collections::HashMap;

use rsigma_eval::{Event, EventValue, JsonEvent};
use serde_json::Value;

use super::explain::{self, Explanation};
use super::key::KeyValues;
use super::rule::Trigger;
use super::term::{self, Alternatives, Term};
use crate::finding::Finding;

/// A trigger that a finding meets, and the case it belongs to.
#[derive(Clone, Debug)]
pub struct Match<'a> {
    /// The trigger.
    pub trigger: &'a Trigger,
    /// The values of its key fields in this finding.
    pub key: KeyValues,
}

/// Every trigger there is.
#[derive(Clone, Debug, Default)]
pub struct Index {
    triggers: Vec<Trigger>,
    /// Field, then lower-cased value, then the triggers filed there (by position, rising).
    filed: HashMap<String, HashMap<String, Vec<usize>>>,
    /// Triggers that no term is necessary for.
    always: Vec<usize>,
}

impl Index {
    /// An index of these triggers, which keep their order.
    pub fn build(triggers: Vec<Trigger>) -> Index {
        let necessary: Vec<Vec<Alternatives>> = triggers
            .iter()
            .map(|trigger| term::necessary(&trigger.detection))
            .collect();
        let mut frequency: HashMap<&Term, usize> = HashMap::new();
        for term in necessary.iter().flatten().flatten() {
            *frequency.entry(term).or_default() += 1;
        }
        let mut filed: HashMap<String, HashMap<String, Vec<usize>>> = HashMap::new();
        let mut always = Vec::new();
        for (position, sets) in necessary.iter().enumerate() {
            let weight = |set: &Alternatives| -> usize {
                set.iter()
                    .map(|term| frequency.get(term).copied().unwrap_or(0))
                    .sum()
            };
            let Some(rarest) = sets
                .iter()
                .min_by_key(|set| (weight(set), term::rank(set), set.len()))
            else {
                always.push(position);
                continue;
            };
            for term in rarest {
                let bucket = filed
                    .entry(term.field.clone())
                    .or_default()
                    .entry(term.value.clone())
                    .or_default();
                if bucket.last() != Some(&position) {
                    bucket.push(position);
                }
            }
        }
        Index {
            triggers,
            filed,
            always,
        }
    }

    /// The triggers this finding meets, in the order they were given.
    pub fn matches(&self, finding: &Finding) -> Vec<Match<'_>> {
        let event = finding.as_event();
        self.candidates(&event)
            .into_iter()
            .filter_map(|position| self.triggers.get(position))
            .filter(|trigger| trigger.is_met_by(finding, &event))
            .map(|trigger| Match {
                trigger,
                key: KeyValues::of(&trigger.key, &event),
            })
            .collect()
    }

    /// Why each trigger does or does not meet this finding: those that do first, then by how near they come.
    /// Evaluates every trigger in full, so it is for people, not for the flow of alerts.
    pub fn explain(&self, finding: &Finding) -> Vec<Explanation<'_>> {
        let event = finding.as_event();
        let mut all: Vec<Explanation<'_>> = self
            .triggers
            .iter()
            .map(|trigger| explain::explain(trigger, finding, &event))
            .collect();
        all.sort_by_key(|one| (!one.matched, one.misses.len(), std::cmp::Reverse(one.held)));
        all
    }

    /// How many triggers there are.
    pub fn len(&self) -> usize {
        self.triggers.len()
    }

    /// True without any trigger.
    pub fn is_empty(&self) -> bool {
        self.triggers.is_empty()
    }

    /// Every trigger, in the order they were given.
    pub fn triggers(&self) -> &[Trigger] {
        &self.triggers
    }

    /// Positions of the triggers that have a chance, rising.
    fn candidates(&self, event: &Value) -> Vec<usize> {
        let event = JsonEvent::borrow(event);
        let mut found = self.always.clone();
        for (field, values) in &self.filed {
            if let Some(value) = event.get_field(field) {
                collect(&value, values, &mut found);
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Looks a value up as rsigma compares text: numbers and booleans by their text, lists by any member.
fn collect(value: &EventValue<'_>, filed: &HashMap<String, Vec<usize>>, found: &mut Vec<usize>) {
    if let EventValue::Array(members) = value {
        for member in members {
            collect(member, filed, found);
        }
    } else if let Some(bucket) = value.as_str().and_then(|text| filed.get(&text.to_lowercase())) {
        found.extend(bucket);
    }
}
