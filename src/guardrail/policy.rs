//! What the operator has laid down, and the switch that stops everything.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::demand::{ApprovalRule, Approvers, Mode};
use super::protected::Protected;
use crate::clock::Time;

/// The standing rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Never touched, except to restore them.
    pub protected: Vec<Protected>,
    /// What is done with changes at all.
    #[serde(default)]
    pub mode: Mode,
    /// Which effects have to be approved.
    #[serde(default)]
    pub approvals: Vec<ApprovalRule>,
    /// How many effects of a kind may happen within a window.
    #[serde(default)]
    pub budgets: Vec<Budget>,
    /// Who approves everything else in the mode `approve`; set whenever that is the mode.
    #[serde(default)]
    pub approvers: Option<Approvers>,
    /// Principals by group.
    #[serde(default)]
    pub groups: Groups,
}

/// Principals by group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Groups(pub BTreeMap<String, BTreeSet<String>>);

impl Groups {
    /// The members of a group; of the name of a member itself, that one alone. `None` when it is neither.
    pub fn members(&self, name: &str) -> Option<BTreeSet<String>> {
        if let Some(members) = self.0.get(name) {
            return Some(members.clone());
        }
        let known = self.0.values().any(|members| members.contains(name));
        known.then(|| BTreeSet::from([name.to_owned()]))
    }

    /// Every name that may stand in `by`: groups, then their members.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let groups = self.0.keys().map(String::as_str);
        groups.chain(self.0.values().flatten().map(String::as_str))
    }
}

/// The global switch is on: no effect happens, not even an undo, until a person resumes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// The principal who halted.
    pub by: String,
    /// When.
    pub at: Time,
    /// Why.
    pub reason: String,
}
