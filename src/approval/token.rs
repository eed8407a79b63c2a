//! What exactly is granted, as a digest: the action, the one target, the arguments, the playbook's bundle and the
//! state it was in. Whatever of these is different when the effect is due was not granted.

use serde_json::{Map, Value, json};

use super::request::Request;
use crate::action::{ActionName, Target};
use crate::digest::Digest;

/// The parts of an effect that a grant binds.
#[derive(Clone, Copy, Debug)]
pub struct Granted<'a> {
    /// The action, as bound.
    pub action: &'a ActionName,
    /// The connector instance.
    pub instance: &'a str,
    /// The resolved target.
    pub target: Option<&'a Target>,
    /// Arguments beside the target.
    pub args: &'a Map<String, Value>,
    /// How long it holds, ms.
    pub lease_ms: Option<u64>,
    /// The run's bundle: playbook, library, connectors.
    pub bundle: Digest,
    /// The captured state word, where one is read.
    pub prior: Option<&'a str>,
}

/// The digest of what a grant allows. Names of the target are left out: only the vendor's id counts.
pub fn granted(parts: &Granted<'_>) -> Digest {
    digest(&json!({
        "action": parts.action,
        "instance": parts.instance,
        "target": parts.target.map(Target::key),
        "args": parts.args,
        "lease_ms": parts.lease_ms,
        "bundle": parts.bundle,
        "prior": parts.prior,
    }))
}

/// The digest of a request: what a person has seen who answers it. Its own `digest` is left out.
pub fn of_request(request: &Request) -> Digest {
    let covers: Vec<Value> = request
        .covers
        .iter()
        .map(|cover| json!([cover.label, cover.undo, cover.digest]))
        .collect();
    digest(&json!({
        "approval": request.approval,
        "run": request.run,
        "title": request.title,
        "subject": request.subject,
        "ask": request.ask,
        "covers": covers,
        "by": request.by,
        "quorum": request.quorum,
        "until": request.until,
        "rule": request.rule,
    }))
}

fn digest(value: &Value) -> Digest {
    Digest::of_json(value)
}
