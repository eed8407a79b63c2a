//! The answer of the guardrails, with every rule that had a say.

use serde::{Deserialize, Serialize};

use crate::id::ApprovalId;

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Go on.
    Allow,
    /// Not now: weigh again when what holds it is gone.
    Hold,
    /// No.
    Deny,
}

/// One rule's say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The rule: `halt`, `protected`, `approval`, `mode`, `unresolved-target`, …
    pub rule: String,
    /// What it wants.
    pub decision: Decision,
    /// Why, for people.
    pub why: String,
}

/// The joined answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The strictest of the reasons; `Allow` when there are none.
    pub decision: Decision,
    /// Every rule that asked for more than `Allow`.
    pub reasons: Vec<Reason>,
    /// The approvals it rests on; for a hold, those it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<ApprovalId>,
}

impl Verdict {
    /// Joins the rules' answers: the strictest wins.
    pub fn join(reasons: Vec<Reason>) -> Verdict {
        let decision = reasons
            .iter()
            .map(|reason| reason.decision)
            .max()
            .unwrap_or(Decision::Allow);
        Verdict {
            decision,
            reasons,
            approvals: Vec::new(),
        }
    }

    /// True when it waits for people to approve, and for nothing else.
    pub fn waits_for_people(&self) -> bool {
        self.decision == Decision::Hold
            && self
                .reasons
                .iter()
                .all(|reason| reason.rule == super::demand::APPROVAL)
    }

    /// The reasons in one line, for people.
    pub fn why(&self) -> String {
        let reasons: Vec<String> = self
            .reasons
            .iter()
            .map(|r| format!("{}: {}", r.rule, r.why))
            .collect();
        reasons.join("; ")
    }
}
