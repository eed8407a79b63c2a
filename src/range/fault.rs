//! Scripted faults: which requests run into trouble, what kind, and how often. First fault in the queue
//! that matches a request is used once by it. Deciding only; `world` and `server` carry it out.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::vendor::{Call, Request};

/// Most faults that wait in the queue; a script of a test has a handful.
const FAULTS_MAX: usize = 1_000;

/// One scripted trouble.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The requests it befalls.
    #[serde(rename = "match", default)]
    pub on: Match,
    /// How many requests it befalls before it is used up.
    #[serde(default = "once")]
    pub times: u32,
    /// What happens.
    pub kind: FaultKind,
}

impl Fault {
    /// Befalls the next call of `action`, in the vendor's own words: `contain`, `suspend`, `UpdateAccessKey`,
    /// `chat.postMessage`, `send`.
    pub fn on_action(action: impl Into<String>, kind: FaultKind) -> Fault {
        Fault {
            on: Match {
                action: Some(action.into()),
                ..Match::default()
            },
            times: 1,
            kind,
        }
    }

    /// The same fault for `times` requests.
    pub fn times(mut self, times: u32) -> Fault {
        self.times = times;
        self
    }

    /// The same fault, only for requests that name this target (the vendor's id).
    pub fn target(mut self, target: impl Into<String>) -> Fault {
        self.on.target = Some(target.into());
        self
    }
}

/// Requests a fault befalls: all fields that are given must hold. An empty match befalls every request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// `crowdstrike`, `okta`, `aws`, `slack` or `mail`.
    pub vendor: Option<String>,
    /// HTTP method, in capitals, or SMTP command.
    pub method: Option<String>,
    /// The whole path, without the query.
    pub path: Option<String>,
    /// What is asked, in the ledger's words.
    pub action: Option<String>,
    /// One of the ids the request names.
    pub target: Option<String>,
}

/// What goes wrong. In JSON: `"lose_answer"`, or `{"slow": {"ms": 500}}` for kinds that carry something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// Carried out at once, answered after `ms`.
    Slow {
        /// Pause before the answer, ms.
        ms: u64,
    },
    /// Not carried out; answered with this status and body.
    Fail {
        /// HTTP status, or code of an SMTP reply.
        status: u16,
        /// Body, sent as JSON; a text is sent as it is.
        #[serde(default)]
        body: serde_json::Value,
    },
    /// Not carried out; the vendor's own way to say so: 429 with its headers, or what it has instead.
    TooMany {
        /// Seconds to wait.
        retry_after_s: u64,
    },
    /// Carried out and in the ledger; then the connection is cut without an answer.
    LoseAnswer,
    /// Not carried out; the connection is cut without an answer.
    LoseRequest,
    /// Not carried out; answered as if it had been.
    Lie,
    /// A reading says this status for everything in it, whatever is true, and nothing settles.
    LieRead {
        /// The status told, in the vendor's word.
        status: String,
    },
    /// Carried out; about half of the answer's body is sent, then the connection is cut.
    Truncate,
    /// Every token that was issued ends, so this request is refused; not carried out.
    ExpireToken,
    /// The ghost effect: not carried out now, but `ms` later, without anyone being told. Lost when the range
    /// stops or is reset before.
    Late {
        /// Pause before it is carried out, ms.
        ms: u64,
        /// What the caller sees now.
        #[serde(default)]
        answer: LateAnswer,
    },
}

/// What the caller of a late effect sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LateAnswer {
    /// The vendor's answer to something that is wrong on its side.
    #[default]
    Error,
    /// The connection is cut.
    Cut,
}

impl FaultKind {
    /// The name in the ledger.
    pub fn name(&self) -> &'static str {
        match self {
            FaultKind::Slow { .. } => "slow",
            FaultKind::Fail { .. } => "fail",
            FaultKind::TooMany { .. } => "too_many",
            FaultKind::LoseAnswer => "lose_answer",
            FaultKind::LoseRequest => "lose_request",
            FaultKind::Lie => "lie",
            FaultKind::LieRead { .. } => "lie_read",
            FaultKind::Truncate => "truncate",
            FaultKind::ExpireToken => "expire_token",
            FaultKind::Late { .. } => "late",
        }
    }
}

/// The faults that still wait, in the order they were scripted. Memory only: a restarted range has none.
#[derive(Debug, Default)]
pub(super) struct Faults(VecDeque<Fault>);

impl Faults {
    /// Adds a fault at the end; says what to do where it cannot be added.
    pub(super) fn add(&mut self, fault: Fault) -> Result<(), String> {
        if fault.times == 0 {
            return Err("`times` is 0, so the fault would never happen; give 1 or more".to_owned());
        }
        if let FaultKind::Fail { status, .. } = fault.kind
            && !(200..=599).contains(&status)
        {
            return Err(format!(
                "`{status}` is not a status of an answer; give 200 to 599"
            ));
        }
        if self.0.len() >= FAULTS_MAX {
            return Err(format!("{FAULTS_MAX} faults wait already; clear them first"));
        }
        self.0.push_back(fault);
        Ok(())
    }

    /// The fault this request runs into, used up by one.
    pub(super) fn take(&mut self, request: &Request, call: &Call) -> Option<FaultKind> {
        let at = self.0.iter().position(|fault| fault.on.holds(request, call))?;
        let fault = self.0.get_mut(at)?;
        let kind = fault.kind.clone();
        fault.times -= 1;
        if fault.times == 0 {
            self.0.remove(at);
        }
        Some(kind)
    }

    pub(super) fn list(&self) -> Vec<Fault> {
        self.0.iter().cloned().collect()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Match {
    fn holds(&self, request: &Request, call: &Call) -> bool {
        let is = |wanted: &Option<String>, actual: &str| wanted.as_deref().is_none_or(|it| it == actual);
        is(&self.vendor, call.vendor)
            && is(&self.method, &request.method)
            && is(&self.path, &request.path)
            && is(&self.action, call.action)
            && self
                .target
                .as_ref()
                .is_none_or(|target| call.targets.contains(target))
    }
}

fn once() -> u32 {
    1
}
