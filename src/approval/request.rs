//! The nouns: a request as people see it, a vote, a decision. What a message or a page shows is in the request, so
//! that nobody has to look anything up to answer at three in the morning.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::action::{ActionName, Target};
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::{ApprovalId, RunId};

/// One effect that a request covers: one action of one connector instance on exactly one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cover {
    /// The action, as bound.
    pub action: ActionName,
    /// The connector instance.
    pub instance: String,
    /// The target as it was named, such as `host web-07`; empty for an action without one.
    pub named: String,
    /// The target as the vendor knows it; `None` for an action without one.
    pub target: Option<Target>,
    /// The effect in one line, for people.
    pub label: String,
    /// Arguments beside the target.
    pub args: Map<String, Value>,
    /// How long it would hold, ms; `None` until someone ends it.
    pub lease_ms: Option<u64>,
    /// The connector's word for the state it was in when people were asked; `None` where there is none to read.
    pub prior: Option<String>,
    /// How it would be undone, for people.
    pub undo: String,
    /// What is granted: see [`granted`](super::granted).
    pub digest: Digest,
}

/// A request, as it is journalled and shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Its id.
    pub approval: ApprovalId,
    /// The run that asks.
    pub run: RunId,
    /// The playbook's title.
    pub title: String,
    /// Whom the run is about.
    pub subject: String,
    /// What is asked, in the playbook's words or, for a rule's request, ours.
    pub ask: String,
    /// The effects a grant allows; none for a question.
    pub covers: Vec<Cover>,
    /// The group or person who decides.
    pub by: String,
    /// How many of them have to agree.
    pub quorum: usize,
    /// When it is denied for want of an answer.
    pub until: Time,
    /// Who of the group may decide, when it was asked.
    pub may_decide: Vec<String>,
    /// Who started the run by hand and therefore may not.
    pub requester: Option<String>,
    /// Who published the playbook and therefore may not; `cordon` for what is shipped.
    pub author: String,
    /// The guardrail that demands it; `None` when the playbook itself asks.
    pub rule: Option<String>,
    /// How often this was asked before and then changed.
    pub again: usize,
    /// Of everything above that a person decides on: what they saw.
    pub digest: Digest,
}

/// One person's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vote {
    /// The principal.
    pub principal: String,
    /// Yes or no.
    pub approve: bool,
    /// In their words; needed for a no.
    #[serde(default)]
    pub reason: String,
    /// Of the request they saw.
    pub digest: Digest,
    /// When they answered.
    pub at: Time,
}

/// How a request ended. There is one for each request, and nothing changes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// True only when enough of those who may agreed in time.
    pub granted: bool,
    /// Who agreed; for a denial, who denied.
    pub by: Vec<String>,
    /// Why, for people.
    pub why: String,
}
