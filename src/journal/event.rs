//! Every event there is. Appended, never changed; a variant's name is its kind in the journal for good.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::effect::{Bound, Intent};
use super::header::{End, Header};
use crate::action::{Fault, Outcome, Reading, Request, Retry, Target, Verification};
use crate::approval;
use crate::clock::Time;
use crate::digest::Digest;
use crate::guardrail::Verdict;
use crate::id::{AlertId, ApprovalId, EffectId, FindingId, RunId};
use crate::script::StepId;

/// What became of one finding of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingFate {
    /// It started these runs.
    Matched {
        /// The runs.
        runs: Vec<RunId>,
    },
    /// No trigger wanted it.
    Unmatched,
    /// The same finding was here before.
    Duplicate {
        /// How many times it has come now.
        times: u64,
    },
    /// Every trigger that wanted it had run for the same key within its window.
    Suppressed {
        /// The runs it would have repeated.
        runs: Vec<RunId>,
    },
}

/// One finding of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingRecord {
    /// The finding.
    pub finding: FindingId,
    /// Its title.
    pub title: String,
    /// What became of it.
    pub fate: FindingFate,
}

/// How an ask was answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answered {
    /// With a value.
    Value(Value),
    /// With an error, which the script may catch.
    Fault(Fault),
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A delivery was authenticated and kept. First of an alert's chain.
    AlertAccepted {
        /// The alert.
        alert: AlertId,
        /// The source it came by.
        source: String,
        /// What told it from other deliveries.
        delivery: String,
        /// Digest of the body, which is kept beside the journal.
        body: Digest,
        /// Length of the body, bytes.
        bytes: u64,
        /// How it proved itself, such as `standard-webhooks v1` or `header`.
        proof: String,
    },
    /// It was understood; each finding's fate.
    AlertSplit {
        /// The findings, in the order they came.
        findings: Vec<FindingRecord>,
    },
    /// It is authentic and makes no sense to us; kept, listed, reprocessable.
    AlertUnreadable {
        /// Why.
        why: String,
    },
    /// It is a message about the channel (a ping), not an alert.
    AlertControl {
        /// What it is.
        what: String,
    },
    /// A person asked for it to be processed again.
    AlertReopened {
        /// The principal.
        principal: String,
    },

    /// A run begins. First of a run's chain.
    RunStarted(Box<Header>),
    /// A worker took the run over.
    RunClaimed {
        /// The claim's number; lower ones can no longer append.
        epoch: u64,
        /// The worker.
        worker: String,
    },
    /// The script asks for something and waits for it.
    StepAsked {
        /// Where in the script's course.
        step: StepId,
        /// What for.
        name: String,
        /// With what.
        args: Vec<Value>,
        /// Digest of name and arguments.
        digest: Digest,
        /// Line in the playbook, or in `file`, from 1.
        line: u32,
        /// Column there, from 1.
        column: u32,
        /// The file of the library where the ask stands; none for the playbook itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
    },
    /// The script says something and goes on.
    StepTold {
        /// Where in the script's course.
        step: StepId,
        /// What kind: `note`, `notify::oncall`.
        name: String,
        /// The words.
        args: Vec<Value>,
        /// Digest of name and arguments.
        digest: Digest,
        /// Line in the playbook, or in `file`, from 1.
        line: u32,
        /// The file of the library where it stands; none for the playbook itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
    },
    /// A run of another playbook was started for an ask, and is waited for.
    ChildStarted {
        /// The step.
        step: StepId,
        /// The run.
        run: RunId,
        /// Its playbook.
        playbook: String,
        /// The bundle it runs from.
        bundle: Digest,
    },
    /// An ask waits until a moment.
    TimerSet {
        /// The step.
        step: StepId,
        /// The moment.
        due: Time,
    },
    /// An ask has its answer.
    StepAnswered {
        /// The step.
        step: StepId,
        /// The answer.
        result: Answered,
    },

    /// An ask became one effect of one connector instance.
    EffectBound(Box<Bound>),
    /// The target is exactly this one.
    EffectResolved {
        /// The effect.
        effect: EffectId,
        /// The target.
        target: Target,
        /// What was requested to find it.
        requests: Vec<Request>,
    },
    /// Looking failed before anything was intended.
    EffectFailed {
        /// The effect.
        effect: EffectId,
        /// Why.
        fault: Fault,
        /// Whether to look again.
        retry: Retry,
        /// What was requested.
        requests: Vec<Request>,
    },
    /// The state before.
    EffectCaptured {
        /// The effect.
        effect: EffectId,
        /// What was read.
        reading: Reading,
        /// What was requested to read it.
        requests: Vec<Request>,
    },
    /// The guardrails spoke.
    EffectWeighed {
        /// The effect.
        effect: EffectId,
        /// What they said.
        verdict: Verdict,
    },
    /// It is about to be done. Durable before the first byte leaves.
    EffectIntended(Box<Intent>),
    /// An attempt ended.
    EffectEnded {
        /// The effect.
        effect: EffectId,
        /// Which attempt, from 1.
        attempt: u32,
        /// What came of it.
        outcome: Outcome,
        /// What was requested.
        requests: Vec<Request>,
        /// From intent to outcome, ms.
        duration_ms: u64,
    },
    /// An attempt without a clear answer was looked into, and it is not there (yet).
    EffectProbed {
        /// The effect.
        effect: EffectId,
        /// What was read, or why nothing could be read.
        found: Result<Reading, Fault>,
        /// What was requested.
        requests: Vec<Request>,
    },
    /// It was read back.
    EffectVerified {
        /// The effect.
        effect: EffectId,
        /// What that showed.
        verification: Verification,
        /// What was read, where something was.
        reading: Option<Reading>,
        /// What was requested.
        requests: Vec<Request>,
    },
    /// People are asked: whether these effects may happen, or a question.
    ApprovalRequested {
        /// The step that asks, or whose effect is held.
        step: StepId,
        /// The effect that is held by a guardrail; `None` when the playbook itself asks.
        effect: Option<EffectId>,
        /// What they are asked, with everything a message about it needs.
        request: Box<approval::Request>,
    },
    /// One of them answered, and it counts.
    ApprovalVoted {
        /// The approval.
        approval: ApprovalId,
        /// The answer.
        vote: approval::Vote,
    },
    /// It is decided, once and for all.
    ApprovalDecided {
        /// The approval.
        approval: ApprovalId,
        /// How.
        decided: approval::Decided,
    },
    /// Nobody can see whether it happened; a person has to say.
    EffectInDoubt {
        /// The effect.
        effect: EffectId,
        /// Why it cannot be seen.
        why: String,
    },
    /// A person who looked said whether an effect in doubt happened.
    EffectResolvedBy {
        /// The effect.
        effect: EffectId,
        /// Whether it happened.
        happened: bool,
        /// Who says so.
        principal: String,
        /// In their words.
        reason: String,
        /// The signal it came by.
        signal: String,
    },
    /// A request that got no answer arrived after its effect was undone; the undo is made again.
    EffectLanded {
        /// The effect that restored.
        effect: EffectId,
        /// What was seen.
        reading: Reading,
    },
    /// A person should know now.
    Alarmed {
        /// A listed word: `contradicted`, `not-in-force`, `in-doubt`, `undo-failed`, `run-failed`,
        /// `no-approver`.
        code: String,
        /// For people.
        message: String,
        /// The effect it is about.
        effect: Option<EffectId>,
    },

    /// The script ended by itself.
    ScriptReturned {
        /// Its value.
        value: Value,
    },
    /// The script ended with an error nobody caught.
    ScriptFailed {
        /// The error.
        fault: Fault,
        /// Line in the playbook, or in `file`, from 1; 0 when unknown.
        line: u32,
        /// Column there, from 1; 0 when unknown.
        column: u32,
        /// The file of the library where it failed; none for the playbook itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
    },
    /// A program with other replay rules took the run over: replaying all of it, asking nobody, gave what was recorded.
    RunCarriedOver {
        /// Number of the rules it ran under.
        from: u32,
        /// Number of those it goes on under.
        to: u32,
    },
    /// A person ended the run. Nothing new is begun; with `undo`, what it did is undone.
    RunCancelled {
        /// Whether what was done is undone, or stays.
        undo: bool,
        /// Who.
        principal: String,
        /// In their words.
        reason: String,
        /// The signal it came by.
        signal: String,
    },
    /// A person had a parked run taken up again.
    RunRetried {
        /// Who.
        principal: String,
        /// In their words.
        reason: String,
        /// The signal it came by.
        signal: String,
    },
    /// What a person said to the run could not count, because of what came before it.
    SignalRefused {
        /// The signal.
        signal: String,
        /// Who said it.
        principal: String,
        /// Why it does not count.
        why: String,
    },
    /// The run cannot go on by itself: replay differs from the record, or its bundle is gone.
    RunParked {
        /// Both sides, or what is missing.
        why: String,
    },
    /// The run is over. Last of a run's chain.
    RunSettled {
        /// How.
        end: End,
        /// Why, for people.
        why: String,
    },
}

impl Event {
    /// The kind, as the chain holds it.
    pub fn kind(&self) -> &'static str {
        match self {
            Event::AlertAccepted { .. } => "alert_accepted",
            Event::AlertSplit { .. } => "alert_split",
            Event::AlertUnreadable { .. } => "alert_unreadable",
            Event::AlertControl { .. } => "alert_control",
            Event::AlertReopened { .. } => "alert_reopened",
            Event::RunStarted(_) => "run_started",
            Event::RunClaimed { .. } => "run_claimed",
            Event::StepAsked { .. } => "step_asked",
            Event::StepTold { .. } => "step_told",
            Event::ChildStarted { .. } => "child_started",
            Event::TimerSet { .. } => "timer_set",
            Event::StepAnswered { .. } => "step_answered",
            Event::EffectBound(_) => "effect_bound",
            Event::EffectResolved { .. } => "effect_resolved",
            Event::EffectFailed { .. } => "effect_failed",
            Event::EffectCaptured { .. } => "effect_captured",
            Event::EffectWeighed { .. } => "effect_weighed",
            Event::EffectIntended(_) => "effect_intended",
            Event::EffectEnded { .. } => "effect_ended",
            Event::EffectProbed { .. } => "effect_probed",
            Event::EffectVerified { .. } => "effect_verified",
            Event::ApprovalRequested { .. } => "approval_requested",
            Event::ApprovalVoted { .. } => "approval_voted",
            Event::ApprovalDecided { .. } => "approval_decided",
            Event::EffectInDoubt { .. } => "effect_in_doubt",
            Event::EffectResolvedBy { .. } => "effect_resolved_by",
            Event::EffectLanded { .. } => "effect_landed",
            Event::RunCancelled { .. } => "run_cancelled",
            Event::RunRetried { .. } => "run_retried",
            Event::SignalRefused { .. } => "signal_refused",
            Event::Alarmed { .. } => "alarmed",
            Event::ScriptReturned { .. } => "script_returned",
            Event::ScriptFailed { .. } => "script_failed",
            Event::RunCarriedOver { .. } => "run_carried_over",
            Event::RunParked { .. } => "run_parked",
            Event::RunSettled { .. } => "run_settled",
        }
    }
}
