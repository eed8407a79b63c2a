//! One change to the world, as its events tell it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::{
    ActionName, ActionSpec, Done, Fault, Outcome, ReadBack, Reading, Retry, Standing, Target, Undo,
    Verification,
};
use crate::clock::Time;
use crate::finding::{Entity, EntityType};
use crate::guardrail::Verdict;
use crate::id::{EffectId, RunId};
use crate::script::StepId;

/// An ask, bound to one action of one connector instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// The effect.
    pub effect: EffectId,
    /// The step that asked.
    pub step: StepId,
    /// The action, as its manifest had it then.
    pub spec: ActionSpec,
    /// The connector instance.
    pub instance: String,
    /// The target as it was named.
    pub entity: Option<Entity>,
    /// Arguments beside the target.
    pub args: serde_json::Map<String, Value>,
    /// How long it holds, ms; `None` until someone ends it.
    pub lease_ms: Option<u64>,
    /// Set when it restores what another effect changed.
    pub reverts: Option<Reverts>,
    /// True for one that the run itself does because it is rolled back; no step of the script asked for it, and
    /// `step` is that of the effect it restores.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rollback: bool,
}

/// What a reverting effect reverts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reverts {
    /// The run of the effect.
    pub run: RunId,
    /// The effect.
    pub effect: EffectId,
    /// How that effect is seen: the present must still look like this, or someone changed it since.
    pub left: ReadBack,
    /// Until when a request of that effect that got no answer may still arrive, and change the target after it was
    /// restored; `None` when there is none such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_until: Option<Time>,
    /// A later action of that run on the same target that cannot be undone. Where the target is not as that effect
    /// left it, this is why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<ActionName>,
}

/// The durable word that an attempt is about to be made. Recovery may assume: without it nothing was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// The effect.
    pub effect: EffectId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The claim it was made under.
    pub epoch: u64,
    /// The same for every attempt, sent to vendors that take one.
    pub key: String,
    /// The arguments it is made with.
    #[serde(default)]
    pub args: serde_json::Map<String, Value>,
    /// The state to restore; that before the first hold where others hold too.
    pub prior: Option<Reading>,
    /// How it is restored; `None` when it was so before, or cannot be undone.
    pub undo: Option<Undo>,
    /// The budgets it has a place in, given back when it definitely did not happen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<String>,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Its intent.
    pub intent: Intent,
    /// When it was intended.
    pub at: Time,
    /// What came of it and when, once known.
    pub ended: Option<(Time, Outcome)>,
    /// When we stopped waiting for an answer that never came: a request may have arrived later than that.
    pub unanswered: Option<Time>,
    /// Looks at the target since, that did not show it in force.
    pub probes: u32,
    /// Looks that failed one after the other, up to the last.
    pub failed_probes: u32,
    /// The last look, and when.
    pub probed: Option<(Time, Result<Reading, Fault>)>,
}

/// What a person said of an effect in doubt.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// When.
    pub at: Time,
    /// Who.
    pub principal: String,
    /// Whether it happened.
    pub happened: bool,
    /// In their words.
    pub reason: String,
}

/// Code of the fault of an effect of which a person said that it did not happen.
pub const SAID_NOT: &str = "said-not-done";
/// Code of the fault of an undo after which a late request changed the target again.
pub const LANDED_LATE: &str = "landed-late";
/// Code of the fault of an attempt that got no answer and is repeated under its key.
pub const NO_ANSWER: &str = "no-answer";

/// How often something is tried: a vendor that says when to come back is believed for longer.
fn tries_max(retry: Retry) -> u32 {
    match retry {
        Retry::AfterMs(_) => crate::limits::THROTTLED_MAX,
        Retry::Never | Retry::Backoff => crate::limits::ATTEMPTS_MAX,
    }
}

/// Where an effect stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Its target is to be found.
    Bound,
    /// Target known: lock, capture, weigh, intend.
    Resolved,
    /// Looking failed; again after this moment.
    LookAgain(Time),
    /// Held by a guardrail since.
    Held(Time),
    /// Intended under this epoch, without an outcome.
    Intended(u64),
    /// It may have happened.
    Unknown,
    /// It happened.
    Done,
    /// It did not happen; another attempt after this moment.
    Again(Time),
    /// It did not happen, and that is the end of it.
    NotDone(Fault),
    /// A person has to say.
    InDoubt,
}

/// What the events say of one effect.
#[derive(Clone, Debug, PartialEq)]
pub struct EffectState {
    /// The binding.
    pub bound: Bound,
    /// The resolved target.
    pub target: Option<Target>,
    /// The state before.
    pub captured: Option<Reading>,
    /// The last verdict, and when.
    pub verdict: Option<(Time, Verdict)>,
    /// Failures to look, before anything was intended.
    pub failures: u32,
    /// The last of them.
    pub failed: Option<(Time, Fault, Retry)>,
    /// Refused before anything was intended.
    pub refused: Option<Fault>,
    /// The attempts.
    pub attempts: Vec<Attempt>,
    /// What reading back last showed, and when.
    pub verification: Option<(Time, Verification)>,
    /// How often it was read back.
    pub readings: u32,
    /// Why nobody can see whether it happened.
    pub in_doubt: Option<String>,
    /// What a person said of it, once somebody has.
    pub said: Option<Said>,
}

impl EffectState {
    /// The arguments it is made with: those of the last intent, which for a restore come from the captured state.
    pub fn args(&self) -> &serde_json::Map<String, Value> {
        self.attempts
            .last()
            .map_or(&self.bound.args, |attempt| &attempt.intent.args)
    }

    /// Until when a request of it that got no answer may still arrive: we stopped waiting, and looking did not show
    /// that it had come.
    pub fn late_until(&self) -> Option<Time> {
        let seen = |attempt: &&Attempt| {
            let how = attempt.ended.as_ref().map(|(_, outcome)| outcome);
            !matches!(
                how,
                Some(Outcome::Done {
                    how: Done::Observed,
                    ..
                })
            )
        };
        let in_flight_ms = self.bound.spec.in_flight_ms;
        let unanswered = self
            .attempts
            .iter()
            .filter(seen)
            .filter_map(|attempt| attempt.unanswered);
        unanswered.max().map(|at| at.plus_ms(in_flight_ms))
    }

    /// Until when it is looked at whether a late request changed the target after it was restored.
    pub fn quiet_from(&self) -> Option<Time> {
        self.bound.reverts.as_ref()?.late_until
    }

    /// True while a late request may still change what it restored.
    pub fn is_quieting(&self) -> bool {
        self.quiet_from().is_some() && !self.is_settled()
    }

    /// The arguments a reading of it is given: those it is made with and, once there is one, the key it was made
    /// under, by which a vendor that was given the key knows it.
    pub fn reading_args(&self) -> serde_json::Map<String, Value> {
        let mut args = self.args().clone();
        if let Some(attempt) = self.last() {
            args.insert("idempotency_key".to_owned(), attempt.intent.key.clone().into());
        }
        args
    }

    /// An effect that is bound and nothing else.
    pub fn new(bound: Bound) -> EffectState {
        EffectState {
            bound,
            target: None,
            captured: None,
            verdict: None,
            failures: 0,
            failed: None,
            refused: None,
            attempts: Vec::new(),
            verification: None,
            readings: 0,
            in_doubt: None,
            said: None,
        }
    }

    /// The last attempt.
    pub fn last(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// What is read to see it: its target. An action without one makes something, such as a message, which is found
    /// by the effect's key and by nothing else: there the key is the id.
    pub fn seen_at(&self) -> Option<Target> {
        let spec = &self.bound.spec;
        if self.target.is_some() || !spec.targets.is_empty() {
            return self.target.clone();
        }
        Some(Target {
            instance: self.bound.instance.clone(),
            kind: EntityType::Resource,
            id: self.last()?.intent.key.clone(),
            name: format!("made by {}", spec.name),
            aliases: Vec::new(),
        })
    }

    /// When its lease ends: so long after it came about, or after nobody could see whether it did.
    pub fn lease_end(&self) -> Option<Time> {
        let (at, _) = self.last()?.ended.as_ref()?;
        matches!(self.stage(), Stage::Done | Stage::InDoubt)
            .then(|| self.bound.lease_ms.map(|ms| at.plus_ms(ms)))
            .flatten()
    }

    /// Its outcome, when it ended and was done.
    pub fn done(&self) -> Option<(Time, &Outcome)> {
        match self.last()?.ended.as_ref()? {
            (at, outcome @ Outcome::Done { .. }) => Some((*at, outcome)),
            _ => None,
        }
    }

    /// How the action's own reading stands; absent where it has none.
    pub fn judge(&self, reading: &Reading) -> Standing {
        self.bound
            .spec
            .verify
            .as_ref()
            .map_or(Standing::Absent, |verify| verify.judge(reading))
    }

    /// True when nothing more will be done about it, verification aside.
    pub fn is_closed(&self) -> bool {
        matches!(self.stage(), Stage::Done | Stage::NotDone(_) | Stage::InDoubt)
    }

    /// True for a change that was made, or found made: what left the target as others hold it is not looked at.
    pub fn has_to_be_seen(&self) -> bool {
        let sent = match self.done() {
            Some((_, Outcome::Done { how, .. })) => !matches!(how, Done::StillHeld | Done::NothingToRestore),
            _ => false,
        };
        sent && self.bound.spec.changes()
    }

    /// True when verification has said its last word, or has none to say.
    pub fn is_settled(&self) -> bool {
        match self.stage() {
            Stage::NotDone(_) | Stage::InDoubt => true,
            Stage::Done => {
                !self.has_to_be_seen()
                    || matches!(self.verification, Some((_, word)) if word != Verification::Pending)
            }
            _ => false,
        }
    }

    /// True when nothing at all follows from it any more.
    pub fn is_over(&self) -> bool {
        let unsaid = self.in_doubt.is_none() && matches!(self.stage(), Stage::InDoubt);
        self.is_settled() && !unsaid
    }

    /// The fault of an effect that did not happen or is in doubt.
    pub fn fault(&self) -> Option<Fault> {
        match self.stage() {
            Stage::NotDone(fault) => Some(fault),
            Stage::InDoubt => Some(Fault::new(
                "in-doubt",
                format!(
                    "{} may or may not have happened: {}",
                    self.bound.spec.name,
                    self.in_doubt.as_deref().unwrap_or("its outcome is unknown")
                ),
            )),
            _ => None,
        }
    }

    /// Where it stands.
    pub fn stage(&self) -> Stage {
        if self.in_doubt.is_some() {
            return Stage::InDoubt;
        }
        if let Some(fault) = &self.refused {
            return Stage::NotDone(fault.clone());
        }
        let Some(attempt) = self.last() else {
            if let Some((at, fault, retry)) = &self.failed {
                return match self.pause_ms(*retry, self.failures) {
                    Some(ms) if self.failures < tries_max(*retry) => Stage::LookAgain(at.plus_ms(ms)),
                    _ => Stage::NotDone(fault.clone()),
                };
            }
            if let Some((at, verdict)) = &self.verdict
                && verdict.decision == crate::guardrail::Decision::Hold
            {
                return Stage::Held(*at);
            }
            return if self.target.is_some() {
                Stage::Resolved
            } else {
                Stage::Bound
            };
        };
        match &attempt.ended {
            None => Stage::Intended(attempt.intent.epoch),
            Some((_, Outcome::Done { .. })) => Stage::Done,
            Some((_, Outcome::Unknown { .. })) => Stage::Unknown,
            Some((at, Outcome::NotDone { fault, retry })) => {
                // What was seen since then counts more: a failed look, or a guardrail that says wait.
                if let Some((failed_at, fault, retry)) = &self.failed {
                    return match self.pause_ms(*retry, self.failures) {
                        Some(ms) if self.failures < tries_max(*retry) => {
                            Stage::LookAgain(failed_at.plus_ms(ms))
                        }
                        _ => Stage::NotDone(fault.clone()),
                    };
                }
                if let Some((weighed_at, verdict)) = &self.verdict
                    && weighed_at >= at
                    && verdict.decision == crate::guardrail::Decision::Hold
                {
                    return Stage::Held(*weighed_at);
                }
                match self.pause_ms(*retry, attempt.intent.attempt) {
                    Some(ms) if attempt.intent.attempt < tries_max(*retry) => Stage::Again(at.plus_ms(ms)),
                    // An earlier attempt got no answer, and repeating under its key settled nothing.
                    _ if self.was_unanswered() => Stage::InDoubt,
                    _ => Stage::NotDone(fault.clone()),
                }
            }
        }
    }

    /// True when an attempt got no answer and another was made under the same key.
    fn was_unanswered(&self) -> bool {
        self.attempts.iter().any(|attempt| {
            matches!(&attempt.ended, Some((_, Outcome::NotDone { fault, .. })) if fault.code == NO_ANSWER)
        })
    }

    /// The pause before try number `tries + 1`: what the vendor said, or doubling from the first with a jitter
    /// of up to a quarter that is derived from the effect, so that replay sees the same moment.
    fn pause_ms(&self, retry: Retry, tries: u32) -> Option<u64> {
        use crate::limits::{BACKOFF_FIRST_MS, BACKOFF_MS_MAX};
        match retry {
            Retry::Never => None,
            Retry::AfterMs(_) | Retry::Backoff => {
                let wanted = if let Retry::AfterMs(ms) = retry { ms } else { 0 };
                let doubled = BACKOFF_FIRST_MS.saturating_mul(1 << tries.saturating_sub(1).min(20));
                let base = doubled.min(BACKOFF_MS_MAX);
                let seed = crate::digest::Digest::of(format!("{} {tries}", self.bound.effect).as_bytes());
                let jitter = u64::from(seed.0.first().copied().unwrap_or(0)) * (base / 4) / 255;
                Some(wanted.max(base) + jitter)
            }
        }
    }
}
