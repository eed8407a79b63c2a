//! How many effects of a kind may happen within a window. The places are counted in the store; here is which budgets an
//! effect draws on, and what it means when one is spent.

use serde::{Deserialize, Serialize};

use super::demand::{Approvers, Demand, Which};
use super::evaluate::Weighing;
use super::verdict::{Decision, Reason};
use crate::clock::{Time, duration_text};
use crate::id::RunId;

/// Name of the rule in verdicts.
pub const BUDGET: &str = "budget";

/// What a budget is counted for separately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Each {
    /// Nothing: one count for everything that falls under it.
    #[default]
    All,
    /// Each action.
    Action,
    /// Each connector instance.
    Instance,
    /// Each playbook.
    Playbook,
    /// Each run.
    Run,
    /// Each target.
    Target,
}

impl Each {
    /// Every way to count, by its word in the configuration.
    pub const WORDS: [(&'static str, Each); 6] = [
        ("all", Each::All),
        ("action", Each::Action),
        ("instance", Each::Instance),
        ("playbook", Each::Playbook),
        ("run", Each::Run),
        ("target", Each::Target),
    ];
}

/// A rule by which only so many effects may happen within a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Its name, unique; places are counted under it.
    pub name: String,
    /// Which effects draw on it.
    pub which: Which,
    /// How many may happen within the window.
    pub limit: u32,
    /// How long the window is, ms. A place is free again that long after it was taken.
    pub window_ms: u64,
    /// What it is counted for separately.
    pub each: Each,
    /// Who may let more happen; `None` when nobody may until a place is free.
    #[serde(default)]
    pub approvers: Option<Approvers>,
    /// Why, for people.
    #[serde(default)]
    pub why: String,
}

/// Where an effect comes from, as far as budgets count by it.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Id of the playbook.
    pub playbook: &'a str,
    /// The run.
    pub run: RunId,
    /// The connector instance.
    pub instance: &'a str,
}

/// A place that an effect needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The rule.
    pub budget: Budget,
    /// What it is counted under.
    pub scope: String,
}

/// A budget without a place for the effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// The rule.
    pub budget: Budget,
    /// How many places are taken.
    pub used: u32,
    /// When the next is free; `None` where that was not asked.
    pub free_at: Option<Time>,
}

/// The places an effect needs. Reading, restoring and what is so already need none.
pub fn places(weighing: &Weighing<'_>, origin: Origin<'_>) -> Vec<Place> {
    if !weighing.action.changes() || weighing.restores || weighing.already {
        return Vec::new();
    }
    let budgets = weighing.policy.budgets.iter();
    budgets
        .filter(|budget| budget.which.fits(weighing))
        .map(|budget| Place {
            budget: budget.clone(),
            scope: scope(budget, weighing, origin),
        })
        .collect()
}

fn scope(budget: &Budget, weighing: &Weighing<'_>, origin: Origin<'_>) -> String {
    let of = match budget.each {
        Each::All => String::new(),
        Each::Action => weighing.action.name.to_string(),
        Each::Instance => origin.instance.to_owned(),
        Each::Playbook => origin.playbook.to_owned(),
        Each::Run => origin.run.to_string(),
        Each::Target => weighing.target.map(|target| target.key()).unwrap_or_default(),
    };
    format!("{}/{of}", budget.name)
}

impl Spent {
    /// The approval by which it may happen all the same.
    pub(super) fn demand(&self) -> Option<Demand> {
        let approvers = self.budget.approvers.clone()?;
        // The same words each time, so that what people said to it is found again.
        Some(Demand {
            rule: format!("{} happened already; one more", self.budget.text()),
            approvers,
        })
    }

    /// The refusal, where nobody may let more happen.
    pub(super) fn refusal(&self) -> Option<Reason> {
        if self.budget.approvers.is_some() {
            return None;
        }
        let free = self
            .free_at
            .map(|at| format!("; the next is free at {at}"))
            .unwrap_or_default();
        let because = if self.budget.why.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.budget.why)
        };
        Some(Reason {
            rule: BUDGET.into(),
            decision: Decision::Deny,
            why: format!("{} are used{because}{free}", self.budget.text()),
        })
    }
}

impl Budget {
    /// `all 20 of `isolations` in 1h`, for people.
    fn text(&self) -> String {
        let each = Each::WORDS
            .iter()
            .find(|(_, each)| *each == self.each && *each != Each::All)
            .map(|(word, _)| format!(" for each {word}"))
            .unwrap_or_default();
        format!(
            "all {} of `{}`{each} in {}",
            self.limit,
            self.name,
            duration_text(self.window_ms)
        )
    }
}
