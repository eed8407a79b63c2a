//! How a run begins and how it ends.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Time;
use crate::digest::Digest;
use crate::finding::SeverityId;
use crate::id::{AlertId, EffectId, FindingId, RunId};
use crate::script::StepId;

/// What a playbook is for; decides what happens when it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaybookKind {
    /// Answers an incident.
    Response,
    /// Carries a joiner, mover or leaver through.
    Lifecycle,
    /// Our own: a revert, or one action by hand.
    Internal,
}

/// What happens to effects when the script fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// They stay, and a person is told.
    Keep,
    /// They are undone in reverse.
    RollBack,
    /// A person is asked.
    Ask,
}

/// Who says whether a run that failed is rolled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskOnFailure {
    /// A group, or a member of one.
    pub by: String,
    /// How many have to agree to roll back.
    pub quorum: usize,
    /// How long they have, ms; what was done stays when nobody answers.
    pub within_ms: u64,
}

/// What started a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A finding matched a trigger.
    Trigger {
        /// The trigger.
        trigger: String,
        /// The finding.
        finding: FindingId,
        /// The delivery it came in.
        alert: AlertId,
    },
    /// A person.
    Person {
        /// The principal.
        principal: String,
        /// In their words.
        reason: String,
    },
    /// A lease came to its end.
    Lease {
        /// The run that took it.
        run: RunId,
        /// The effect whose hold ends.
        effect: EffectId,
    },
    /// A person undoes or releases.
    Undo {
        /// The principal.
        principal: String,
        /// In their words.
        reason: String,
        /// The run whose effects are undone, when it is one.
        of: Option<RunId>,
    },
    /// A step of another run, which waits for it.
    Playbook {
        /// That run.
        run: RunId,
        /// Its step.
        step: StepId,
        /// Its playbook.
        playbook: String,
        /// The playbooks that led here, the first one first, that one last.
        above: Vec<String>,
        /// Who asked for the first of them, or wrote it: nobody who approves what this one does.
        requester: Option<String>,
    },
}

impl Cause {
    /// One line, for people.
    pub fn line(&self) -> String {
        match self {
            Cause::Trigger {
                trigger,
                finding,
                alert,
            } => format!("trigger {trigger} on {finding} of {alert}"),
            Cause::Person { principal, reason } if reason.is_empty() => principal.clone(),
            Cause::Person { principal, reason } => format!("{principal}: {reason}"),
            Cause::Lease { run, effect } => format!("the lease of {effect} of {run} ended"),
            Cause::Undo {
                principal,
                reason,
                of,
            } => {
                let of = of.map(|run| format!(" of {run}")).unwrap_or_default();
                format!("undo{of} by {principal}: {reason}")
            }
            Cause::Playbook {
                run, step, playbook, ..
            } => format!("step {step} of {run}, playbook {playbook}"),
        }
    }
}

/// Everything a run begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The run.
    pub run: RunId,
    /// Playbook id.
    pub playbook: String,
    /// Playbook title.
    pub title: String,
    /// What the playbook is for.
    pub kind: PlaybookKind,
    /// What happens when it fails.
    pub on_failure: OnFailure,
    /// Who is asked when it fails, where `on_failure` is to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<AskOnFailure>,
    /// Digest of the bundle it runs from, to its end.
    pub bundle: Digest,
    /// Replay rules it began under.
    pub engine_abi: u32,
    /// What started it.
    pub cause: Cause,
    /// What the script sees, by variable.
    pub inputs: BTreeMap<String, Value>,
    /// When it is given up.
    pub deadline: Time,
    /// Severity of what it answers.
    pub severity_id: SeverityId,
    /// Whom it is about, for lists: `host web-07`.
    pub subject: String,
    /// True when the alert came from a source that proves nothing but a shared header.
    #[serde(default)]
    pub weak_source: bool,
    /// The principal who published the playbook; `cordon` for what is shipped, blank where nobody knows.
    #[serde(default = "shipped")]
    pub author: String,
}

/// Author of what is shipped: nobody's approver.
pub const SHIPPED: &str = "cordon";

fn shipped() -> String {
    SHIPPED.to_owned()
}

impl Header {
    /// Who started the run by hand, if anybody did.
    pub fn requester(&self) -> Option<&str> {
        match &self.cause {
            Cause::Person { principal, .. } | Cause::Undo { principal, .. } => Some(principal),
            Cause::Playbook { requester, .. } => requester.as_deref(),
            Cause::Trigger { .. } | Cause::Lease { .. } => None,
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The script returned and every effect was seen in force, but for those whose manifest says that they cannot be seen.
    Succeeded,
    /// The script returned, but an effect is not seen in force; or it failed and its effects stay.
    Kept,
    /// It failed and its effects were undone.
    RolledBack,
    /// Something may have happened that nobody could see; a person has to say.
    InDoubt,
    /// A person ended it.
    Cancelled,
}

impl End {
    /// The word for people and lists.
    pub fn word(self) -> &'static str {
        match self {
            End::Succeeded => "succeeded",
            End::Kept => "kept",
            End::RolledBack => "rolled back",
            End::InDoubt => "in doubt",
            End::Cancelled => "cancelled",
        }
    }
}
