//! A plan, as people and programs read it: every step the playbook would come to, and for each effect the target, how
//! it is now, what would change, how that is undone, and what the guardrails say.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::consent::APPROVE;
use crate::action::{ActionName, Done, Outcome, Reading, Standing, Target, Undo};
use crate::approval::Request;
use crate::clock::Time;
use crate::guardrail::Verdict;
use crate::journal::{Answered, EffectState, RunState, ScriptEnd, Step};
use crate::script::{Asked, StepId};

/// What a playbook would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outlook {
    /// Playbook id.
    pub playbook: String,
    /// Whom it is about.
    pub subject: String,
    /// When the vendors were read.
    pub at: Time,
    /// Requests that were made; all of them only read.
    pub reads: usize,
    /// Its steps, in the order of the playbook.
    pub steps: Vec<Planned>,
    /// How the playbook would end.
    pub end: Ending,
}

/// How a playbook would end.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// By itself.
    Returned,
    /// With an error nobody catches; or because it goes on with what only a real change could have told it.
    Failed {
        /// The error's code.
        code: String,
        /// Why.
        message: String,
        /// Line in the playbook; 0 when unknown.
        line: u32,
    },
    /// It was not walked to its end.
    Unknown,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Planned {
    /// Where in the playbook's course.
    pub step: StepId,
    /// Line in the playbook, or in `file`.
    pub line: u32,
    /// The file of the library where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The word.
    pub call: String,
    /// Its arguments.
    pub args: Vec<Value>,
    /// What it is.
    pub kind: Kind,
    /// What it would do, one for each instance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Foreseen>,
    /// What people would be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asks: Option<Asking>,
    /// The error it would end with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// The plan of the playbook it would start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub child: Option<Box<Outlook>>,
}

/// What a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It would change something; the plan assumes that it was done.
    Change,
    /// It only reads, and was done.
    Read,
    /// It waits; the plan does not.
    Wait,
    /// It asks people; the plan assumes that they agree.
    Approval,
    /// It tells somebody something; the plan tells nobody.
    Tell,
    /// It starts another playbook and waits for its end; its plan stands there.
    Playbook,
    /// It could not even be bound.
    Refused,
}

/// One effect, foreseen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Foreseen {
    /// The action.
    pub action: ActionName,
    /// Where.
    pub instance: String,
    /// On whom, as the playbook names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// On whom, as the vendor knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// How the target is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub present: Option<Reading>,
    /// What would come of it.
    pub would: Would,
    /// How it would be undone; none where it cannot be, or where nothing would change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// How long it would hold, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
    /// What the guardrails say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The approvals they would ask for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Asking>,
    /// Why it would not be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// What would come of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Would {
    /// The target would be changed.
    Change,
    /// It is so already; nothing would be sent.
    AlreadySo,
    /// It was only read, now.
    Read,
    /// It would not be done.
    NotDone,
}

/// What people would be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Asking {
    /// The question.
    pub ask: String,
    /// Who decides.
    pub by: String,
    /// How many have to agree.
    pub quorum: usize,
    /// Effects it covers.
    pub covers: usize,
    /// The rule that demands it; none when the playbook itself asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// What a playbook says without waiting.
#[derive(Clone, Debug)]
pub(super) struct Said {
    step: StepId,
    line: u32,
    file: Option<String>,
    call: String,
    args: Vec<Value>,
}

impl Said {
    pub(super) fn of(told: &Asked) -> Said {
        Said {
            step: told.step.clone(),
            line: u32::try_from(told.at.line).unwrap_or(u32::MAX),
            file: told.file.clone(),
            call: told.name.clone(),
            args: told.args.clone(),
        }
    }
}

impl Outlook {
    pub(super) fn of(state: &RunState, said: Vec<Said>, reads: usize, at: Time) -> Outlook {
        let asked = state.steps.iter().map(|(id, step)| planned(state, id, step));
        let told = said.into_iter().map(|said| Planned {
            step: said.step,
            line: said.line,
            file: said.file,
            call: said.call,
            args: said.args,
            kind: Kind::Tell,
            effects: Vec::new(),
            asks: None,
            fault: None,
            child: None,
        });
        let mut steps: Vec<Planned> = asked.chain(told).collect();
        steps.sort_by(|one, two| one.step.cmp(&two.step));
        Outlook {
            playbook: state.header.playbook.clone(),
            subject: state.header.subject.clone(),
            at,
            reads,
            steps,
            end: match &state.script {
                Some(ScriptEnd::Returned(_)) => Ending::Returned,
                Some(ScriptEnd::Failed(fault, line, _)) => Ending::Failed {
                    code: fault.code.clone(),
                    message: fault.message.clone(),
                    line: *line,
                },
                None => Ending::Unknown,
            },
        }
    }
}

impl Outlook {
    /// The same, with the plans of what its steps start.
    pub(super) fn with(mut self, mut children: BTreeMap<StepId, Outlook>) -> Outlook {
        for step in &mut self.steps {
            step.child = children.remove(&step.step).map(Box::new);
        }
        self
    }
}

fn planned(state: &RunState, id: &StepId, step: &Step) -> Planned {
    let effects: Vec<&EffectState> = step
        .effects
        .iter()
        .filter_map(|effect| state.effects.get(effect))
        .collect();
    let own = state
        .approvals
        .values()
        .find(|approval| approval.step == *id && approval.effect.is_none());
    let kind = if step.name == APPROVE {
        Kind::Approval
    } else if step.name == "wait" {
        Kind::Wait
    } else if step.child.is_some() {
        Kind::Playbook
    } else if effects.is_empty() {
        Kind::Refused
    } else if effects.iter().any(|effect| effect.bound.spec.changes()) {
        Kind::Change
    } else {
        Kind::Read
    };
    Planned {
        step: id.clone(),
        line: step.line,
        file: step.file.clone(),
        call: step.name.clone(),
        args: step.args.clone(),
        kind,
        effects: effects
            .into_iter()
            .map(|effect| foreseen(state, effect))
            .collect(),
        asks: own.map(|approval| asking(&approval.request)),
        fault: match &step.answer {
            Some(Answered::Fault(fault)) => Some(fault.to_string()),
            _ => None,
        },
        child: None,
    }
}

fn foreseen(state: &RunState, effect: &EffectState) -> Foreseen {
    let bound = &effect.bound;
    let fault = effect.fault();
    let already = effect
        .captured
        .as_ref()
        .is_some_and(|now| effect.judge(now) != Standing::Absent);
    let is_already = matches!(
        effect.done(),
        Some((
            _,
            Outcome::Done {
                how: Done::AlreadySo,
                ..
            }
        ))
    );
    let would = match (&fault, bound.spec.changes()) {
        (Some(_), _) => Would::NotDone,
        (None, false) => Would::Read,
        (None, true) if already || is_already => Would::AlreadySo,
        (None, true) => Would::Change,
    };
    let asked = state
        .approvals
        .values()
        .filter(|approval| approval.effect == Some(bound.effect));
    Foreseen {
        action: bound.spec.name.clone(),
        instance: bound.instance.clone(),
        entity: bound.entity.as_ref().map(crate::finding::Entity::label),
        target: effect.target.clone(),
        present: effect.captured.clone(),
        would,
        undo: effect.last().and_then(|attempt| attempt.intent.undo.clone()),
        lease_ms: bound.lease_ms,
        verdict: effect.verdict.as_ref().map(|(_, verdict)| verdict.clone()),
        approvals: asked.map(|approval| asking(&approval.request)).collect(),
        fault: fault.map(|fault| fault.to_string()),
    }
}

fn asking(request: &Request) -> Asking {
    Asking {
        ask: request.ask.clone(),
        by: request.by.clone(),
        quorum: request.quorum,
        covers: request.covers.len(),
        rule: request.rule.clone(),
    }
}
