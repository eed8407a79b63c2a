//! Why a trigger did or did not match, for `cordon match` and the console: which parts held, and for each that did
//! not, what was wanted and what the finding has. Decides nothing; the verdict is the evaluator's own.

use rsigma_eval::{ConditionTrace, DetectionTrace, ItemTrace, JsonEvent, MatchReason, explain_rule};
use serde::Serialize;
use serde_json::Value;

use super::rule::Trigger;
use super::value::activity_word;
use crate::finding::Finding;

/// One trigger and one finding.
#[derive(Clone, Debug)]
pub struct Explanation<'a> {
    /// The trigger.
    pub trigger: &'a Trigger,
    /// The verdict.
    pub matched: bool,
    /// How many comparisons held.
    pub held: usize,
    /// What stood in the way; empty when it matched.
    pub misses: Vec<Miss>,
}

/// One thing that stood in the way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Miss {
    /// The search of the detection, or `on` when the activity is not one the trigger waits for.
    pub search: String,
    /// The field, empty for words looked for anywhere.
    pub field: String,
    /// In a sentence: what was wanted and what is there.
    pub why: String,
}

pub(super) fn explain<'a>(trigger: &'a Trigger, finding: &Finding, event: &Value) -> Explanation<'a> {
    let trace = explain_rule(&trigger.rule, &JsonEvent::borrow(event));
    let awaited = trigger.on.contains(&finding.activity);
    let matched = awaited && trace.matched;
    let mut walk = Walk {
        held: 0,
        misses: Vec::new(),
    };
    if !awaited {
        let on: Vec<&str> = trigger
            .on
            .iter()
            .map(|activity| activity_word(*activity))
            .collect();
        walk.misses.push(Miss {
            search: "on".to_owned(),
            field: "activity".to_owned(),
            why: format!(
                "wants {}, has `{}`",
                on.join(" or "),
                activity_word(finding.activity)
            ),
        });
    }
    for condition in &trace.conditions {
        walk.condition(condition, true);
    }
    if matched {
        walk.misses.clear();
    }
    Explanation {
        trigger,
        matched,
        held: walk.held,
        misses: walk.misses,
    }
}

struct Walk {
    held: usize,
    misses: Vec<Miss>,
}

impl Walk {
    /// `wanted` is false under a `not`.
    fn condition(&mut self, trace: &ConditionTrace, wanted: bool) {
        match trace {
            ConditionTrace::And { children, .. } => {
                children.iter().for_each(|child| self.condition(child, wanted))
            }
            // Where one branch is enough and there is one, the others are of no interest.
            ConditionTrace::Or { children, matched } => {
                children
                    .iter()
                    .filter(|child| *matched != wanted || child.matched() == *matched)
                    .for_each(|child| self.condition(child, wanted));
            }
            ConditionTrace::Not { child, .. } => self.condition(child, !wanted),
            ConditionTrace::Selection {
                name,
                matched,
                detection,
            } => self.search(name, *matched, detection, wanted),
            ConditionTrace::Quantified {
                branches, matched, ..
            } => {
                for branch in branches
                    .iter()
                    .filter(|branch| *matched != wanted || branch.matched == *matched)
                {
                    self.search(&branch.name, branch.matched, &branch.detection, wanted);
                }
            }
        }
    }

    fn search(&mut self, name: &str, matched: bool, detection: &DetectionTrace, wanted: bool) {
        if !wanted {
            if matched {
                self.misses.push(Miss {
                    search: name.to_owned(),
                    field: String::new(),
                    why: "matches, and must not".to_owned(),
                });
            } else {
                self.held += 1;
            }
            return;
        }
        self.detection(name, detection);
    }

    fn detection(&mut self, name: &str, trace: &DetectionTrace) {
        match trace {
            DetectionTrace::AllOf { items, .. } => items.iter().for_each(|item| self.item(name, item)),
            DetectionTrace::AnyOf { branches, matched } => {
                branches
                    .iter()
                    .filter(|branch| branch.matched() == *matched)
                    .for_each(|branch| self.detection(name, branch));
            }
            DetectionTrace::And { branches, .. } => {
                branches.iter().for_each(|branch| self.detection(name, branch))
            }
            DetectionTrace::Keywords { item, .. } => self.item(name, item),
            other if other.matched() => self.held += 1,
            _ => self.misses.push(Miss {
                search: name.to_owned(),
                field: String::new(),
                why: "does not match".to_owned(),
            }),
        }
    }

    fn item(&mut self, name: &str, item: &ItemTrace) {
        if item.matched {
            self.held += 1;
            return;
        }
        let wanted = item
            .pattern
            .as_deref()
            .map_or_else(|| "another value".to_owned(), |text| format!("`{}`", short(text)));
        let why = match (&item.reason, &item.actual) {
            (MatchReason::FieldAbsent, _) => format!("wants {wanted}, the finding has no such field"),
            (MatchReason::NoKeywordMatch, _) => format!("wants {wanted} somewhere, it is nowhere"),
            (MatchReason::CaseMismatch, Some(actual)) => format!(
                "wants {wanted}, has {} (upper and lower case count)",
                shown(actual)
            ),
            (_, Some(actual)) => format!("wants {wanted}, has {}", shown(actual)),
            (_, None) => format!("wants {wanted}"),
        };
        self.misses.push(Miss {
            search: name.to_owned(),
            field: item.field.clone().unwrap_or_default(),
            why,
        });
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{}`", short(text)),
        other => format!("`{}`", short(&other.to_string())),
    }
}

/// Alert text can be a megabyte; a line for people is not.
fn short(text: &str) -> String {
    const CHARS: usize = 120;
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(CHARS).collect();
    if text.chars().nth(CHARS).is_some() {
        shown.push('…');
    }
    shown
}
