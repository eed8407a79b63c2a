//! Which effects have to be approved by people, by the operator's rules. What people said comes in as an answer;
//! how they are asked is not known here.

use serde::{Deserialize, Serialize};

use super::budget::Spent;
use super::evaluate::{Weighing, names};
use super::protected::{Protected, glob};
use super::verdict::{Decision, Reason};
use crate::action::ActionSpec;
use crate::finding::EntityType;
use crate::id::ApprovalId;

/// Name of the rule in verdicts.
pub const APPROVAL: &str = "approval";

/// What is done with changes at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// They are made, unless another rule says no.
    #[default]
    Act,
    /// Each has to be approved.
    Approve,
    /// None is made; each is recorded as denied.
    Observe,
}

/// Who approves, how many of them, within what time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approvers {
    /// A group, or a member of one.
    pub by: String,
    /// How many have to agree.
    pub quorum: usize,
    /// How long they have, ms.
    pub within_ms: u64,
}

/// Which effects a rule is about. Every part that is given has to fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Which {
    /// One of these actions or capabilities; `*` stands for any run of characters. Any where empty.
    pub actions: Vec<String>,
    /// On one of these types of entities. Any where empty.
    pub types: Vec<EntityType>,
    /// On one of these names or vendor ids, without case, `*` as above. Any where empty.
    pub names: Vec<String>,
    /// Only what cannot be undone.
    pub irreversible: bool,
}

/// A rule by which effects have to be approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRule {
    /// Which effects.
    pub which: Which,
    /// Who approves it.
    pub approvers: Approvers,
    /// Why, shown to whoever is asked.
    pub why: String,
}

/// An approval that an effect needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// What demands it, for people: the rule's reason.
    pub rule: String,
    /// Who has to approve.
    pub approvers: Approvers,
}

/// What people said to a demand so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Enough agreed to exactly this effect.
    Given(ApprovalId),
    /// They are asked.
    Awaited(ApprovalId),
    /// Nobody was asked about exactly this effect.
    Unasked,
    /// They said no, or nobody can say yes.
    Refused(String),
}

impl Which {
    /// True when an effect falls under the rule.
    pub(super) fn fits(&self, weighing: &Weighing<'_>) -> bool {
        let spec = weighing.action;
        let named = |pattern: &String| {
            let fits = |name: String| glob(pattern.as_bytes(), name.as_bytes());
            fits(spec.name.to_string()) || spec.provides.as_ref().is_some_and(|name| fits(name.to_string()))
        };
        if !self.actions.is_empty() && !self.actions.iter().any(named) {
            return false;
        }
        if self.irreversible && !is_irreversible(spec) {
            return false;
        }
        if self.types.is_empty() && self.names.is_empty() {
            return !self.actions.is_empty() || !is_message(spec);
        }
        let Some((kind, names)) = names(weighing) else {
            return false;
        };
        (self.types.is_empty() || self.types.contains(&kind))
            && (self.names.is_empty()
                || self.names.iter().any(|name| {
                    Protected {
                        kind: None,
                        name: name.clone(),
                        why: String::new(),
                    }
                    .fits(kind, names.iter().copied())
                }))
    }
}

/// Nothing brings the state before back, and it is not itself what brings one back.
fn is_irreversible(spec: &ActionSpec) -> bool {
    spec.changes() && spec.undo.is_none() && spec.facet.is_none()
}

/// A message is no change of an entity: it is held only by a rule that names its action.
fn is_message(spec: &ActionSpec) -> bool {
    let sends = |name: &crate::action::ActionName| {
        ["mail", "chat", "page"].contains(&name.namespace()) && name.verb() == "send"
    };
    spec.targets.is_empty() && spec.provides.as_ref().is_some_and(sends)
}

/// Every approval that an effect needs: by the rules, by the mode, and by its own run, which asked for it.
/// Restoring needs none, and neither does what is so already.
pub fn demands(weighing: &Weighing<'_>) -> Vec<Demand> {
    if !weighing.action.changes() || weighing.restores || weighing.already {
        return Vec::new();
    }
    let mut demands: Vec<Demand> = weighing
        .policy
        .approvals
        .iter()
        .filter(|rule| rule.which.fits(weighing))
        .map(|rule| Demand {
            rule: if rule.why.is_empty() {
                format!("a rule wants `{}` to approve it", rule.approvers.by)
            } else {
                rule.why.clone()
            },
            approvers: rule.approvers.clone(),
        })
        .collect();
    if weighing.policy.mode == Mode::Approve && !is_message(weighing.action) {
        // Without anybody to ask, nobody can agree: the request will say so, and the effect is refused.
        let nobody = || Approvers {
            by: String::new(),
            quorum: 1,
            within_ms: 1,
        };
        demands.push(Demand {
            rule: "every change has to be approved".to_owned(),
            approvers: weighing.policy.approvers.clone().unwrap_or_else(nobody),
        });
    }
    demands.extend(weighing.spent.iter().filter_map(Spent::demand));
    demands.extend(weighing.own.clone());
    demands
}

/// What the demands come to, and the approvals they rest on or wait for.
pub(super) fn reasons(weighing: &Weighing<'_>) -> (Vec<Reason>, Vec<ApprovalId>) {
    let mut reasons = Vec::new();
    let (mut given, mut awaited) = (Vec::new(), Vec::new());
    let note = |approvals: &mut Vec<ApprovalId>, approval: ApprovalId| {
        if !approvals.contains(&approval) {
            approvals.push(approval);
        }
    };
    for demand in demands(weighing) {
        let by = &demand.approvers.by;
        let (decision, why) = match (weighing.consent)(&demand) {
            Consent::Given(approval) => {
                note(&mut given, approval);
                continue;
            }
            Consent::Awaited(approval) => {
                note(&mut awaited, approval);
                (
                    Decision::Hold,
                    format!("{}: `{by}` is asked, {approval}", demand.rule),
                )
            }
            Consent::Unasked => (Decision::Hold, format!("{}: `{by}` has to be asked", demand.rule)),
            Consent::Refused(why) => (Decision::Deny, why),
        };
        reasons.push(Reason {
            rule: APPROVAL.into(),
            decision,
            why,
        });
    }
    let approvals = if reasons.is_empty() { given } else { awaited };
    (reasons, approvals)
}
