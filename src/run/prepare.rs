//! From a resolved target to a durable intent: lock, capture, weigh, hold, intend. Everything before the
//! intent can be done again; nothing of it reaches the vendor but reading.

use serde_json::{Map, Value, json};

use super::context::Context;
use super::perform::Performed;
use super::under::Under;
use super::vendors::Binding;
use super::weigh::Taking;
use crate::action::{
    ActionName, Done, Fault, Outcome, Reading, Request, Retry, Standing, Target, Undo, Verification,
};
use crate::clock::Time;
use crate::connector::Looked;
use crate::guardrail::Decision;
use crate::journal::{EffectState, Event, Intent, Reverts, RunState};
use crate::limits::LOCK_RETRY_MS;
use crate::playbook::Loaded;
use crate::store::{Error, HoldEnd, Locked, NewHold};

/// Prepares one attempt of one effect.
pub async fn prepare(
    context: &Context,
    loaded: &Loaded,
    state: &RunState,
    effect: &EffectState,
    under: &Under,
) -> Result<Performed, Error> {
    let attempt = Preparing {
        context,
        loaded,
        state,
        effect,
        under,
    };
    if !effect.bound.spec.changes() {
        return Ok(attempt.look().await);
    }
    let Some(target) = &effect.target else {
        return attempt.without_target().await;
    };
    let id = effect.bound.effect;
    let now = context.clock.now();
    let locked = context
        .store
        .lock(
            target.partition(),
            under.before(),
            &target.key(),
            id,
            state.header.run,
            now,
        )
        .await?;
    crate::crash::point("prepare.after-lock");
    if let Locked::Busy { .. } = locked {
        return Ok(Performed::later(id, now.plus_ms(LOCK_RETRY_MS)));
    }
    match &effect.bound.reverts {
        Some(reverts) => attempt.revert(target, reverts).await,
        None => attempt.change(target).await,
    }
}

/// What preparing would come to: the state before, the verdict, how it would be undone. Locks nothing and holds
/// nothing, and reaches the vendor by reading alone; an action that only reads is done. What people would be asked
/// is among the events, and the intent follows as if they had agreed already.
pub(super) async fn foresee(
    context: &Context,
    loaded: &Loaded,
    state: &RunState,
    effect: &EffectState,
) -> Result<Vec<Event>, Error> {
    let attempt = Preparing {
        context,
        loaded,
        state,
        effect,
        under: &Under::nothing(),
    };
    if !effect.bound.spec.changes() {
        return Ok(attempt.look().await.events);
    }
    // What a plan would undo was not done, so how its target is now says nothing about it.
    let target = effect.target.as_ref().filter(|_| effect.bound.reverts.is_none());
    let Some(target) = target else {
        let mut events = Vec::new();
        attempt
            .weigh(effect.target.as_ref(), None, Taking::Look, &mut events)
            .await?;
        if !is_denied(&events) {
            let intent = attempt.intent(effect.bound.args.clone());
            events.push(Event::EffectIntended(Box::new(intent)));
        }
        return Ok(events);
    };
    let Captured {
        reading,
        standing,
        mut events,
    } = match attempt.capture(target, &effect.bound.args).await {
        Ok(captured) => captured,
        Err(instead) => return Ok(instead.events),
    };
    attempt
        .weigh(
            Some(target),
            Some((&reading, standing)),
            Taking::Look,
            &mut events,
        )
        .await?;
    if is_denied(&events) {
        return Ok(events);
    }
    if let Some(instead) = attempt.stands_against(target).await? {
        events.push(instead);
        return Ok(events);
    }
    let mut intent = attempt.intent(effect.bound.args.clone());
    intent.prior = Some(reading.clone());
    intent.undo = match standing {
        Standing::Absent => attempt.undo(&reading),
        _ => None,
    };
    events.extend(attempt.intended(intent, standing, reading));
    Ok(events)
}

fn is_denied(events: &[Event]) -> bool {
    let denied = |event: &Event| matches!(event, Event::EffectWeighed { verdict, .. } if verdict.decision == Decision::Deny);
    events.iter().any(denied)
}

pub(super) struct Preparing<'a> {
    pub(super) context: &'a Context,
    pub(super) loaded: &'a Loaded,
    pub(super) state: &'a RunState,
    pub(super) effect: &'a EffectState,
    pub(super) under: &'a Under,
}

/// What was captured, and the events so far.
struct Captured {
    reading: Reading,
    standing: Standing,
    events: Vec<Event>,
}

impl Preparing<'_> {
    fn binding(&self) -> Binding {
        Binding {
            instance: self.effect.bound.instance.clone(),
            spec: self.effect.bound.spec.clone(),
        }
    }

    fn attempt(&self) -> u32 {
        u32::try_from(self.effect.attempts.len())
            .unwrap_or(u32::MAX)
            .saturating_add(1)
    }

    fn intent(&self, args: Map<String, Value>) -> Intent {
        let id = self.effect.bound.effect;
        Intent {
            effect: id,
            attempt: self.attempt(),
            epoch: self.under.epoch,
            key: self.context.idempotency_key(id),
            args,
            prior: None,
            undo: None,
            budgets: Vec::new(),
        }
    }

    pub(super) fn ended(
        &self,
        attempt: u32,
        outcome: Outcome,
        requests: Vec<Request>,
        duration_ms: u64,
    ) -> Event {
        Event::EffectEnded {
            effect: self.effect.bound.effect,
            attempt,
            outcome,
            requests,
            duration_ms,
        }
    }

    /// An action that changes nothing: no lock, no intent before it, repeated freely.
    async fn look(&self) -> Performed {
        let intent = self.intent(self.effect.bound.args.clone());
        let started = self.context.clock.now();
        let target = self.effect.target.as_ref();
        let acted = self
            .context
            .vendors
            .act(self.loaded, &self.binding(), target, &intent.args, &intent.key)
            .await;
        let outcome = match acted.outcome {
            // A look that got no answer did nothing.
            Outcome::Unknown { fault } => Outcome::NotDone {
                fault,
                retry: Retry::Backoff,
            },
            known => known,
        };
        let took = self.context.clock.now().since_ms(started);
        let ended = self.ended(intent.attempt, outcome, acted.requests, took);
        Performed::events(vec![Event::EffectIntended(Box::new(intent)), ended])
    }

    /// A change that has no target, such as a message: weighed and intended, nothing to capture.
    async fn without_target(&self) -> Result<Performed, Error> {
        let mut events = Vec::new();
        if let Some(budgets) = self.weigh(None, None, Taking::Take, &mut events).await? {
            let mut intent = self.intent(self.effect.bound.args.clone());
            intent.budgets = budgets;
            events.push(Event::EffectIntended(Box::new(intent)));
        }
        Ok(Performed::events(events))
    }

    /// Reads the state before. `Err` holds what to record instead.
    async fn capture(&self, target: &Target, args: &Map<String, Value>) -> Result<Captured, Performed> {
        let spec = &self.effect.bound.spec;
        let id = self.effect.bound.effect;
        let function = spec
            .capture
            .as_deref()
            .or(spec.verify.as_ref().map(|verify| verify.read.as_str()));
        let Some(function) = function else {
            let reading = Reading {
                state: String::new(),
                fields: Value::Null,
            };
            return Ok(Captured {
                reading,
                standing: Standing::Absent,
                events: Vec::new(),
            });
        };
        let Looked { result, requests } = self
            .context
            .vendors
            .read(self.loaded, &self.binding(), function, target, args)
            .await;
        match result {
            Ok(reading) => {
                let standing = self.effect.judge(&reading);
                let captured = Event::EffectCaptured {
                    effect: id,
                    reading: reading.clone(),
                    requests,
                };
                Ok(Captured {
                    reading,
                    standing,
                    events: vec![captured],
                })
            }
            Err((fault, retry)) => Err(Performed::events(vec![Event::EffectFailed {
                effect: id,
                fault,
                retry,
                requests,
            }])),
        }
    }

    async fn change(&self, target: &Target) -> Result<Performed, Error> {
        let Captured {
            reading,
            standing,
            mut events,
        } = match self.capture(target, &self.effect.bound.args).await {
            Ok(captured) => captured,
            Err(instead) => return Ok(instead),
        };
        let prior = Some((&reading, standing));
        let Some(budgets) = self.weigh(Some(target), prior, Taking::Take, &mut events).await? else {
            return Ok(Performed::events(events));
        };
        let now = self.context.clock.now();
        let already = standing != Standing::Absent;
        if already && let Some(at) = self.too_fresh(target, now).await? {
            return self.later(target, at).await;
        }
        if let Some(instead) = self.stands_against(target).await? {
            events.push(instead);
            return Ok(Performed::events(events));
        }
        let mut intent = self.intent(self.effect.bound.args.clone());
        intent.budgets = budgets;
        intent.prior = Some(reading.clone());
        intent.undo = if already { None } else { self.undo(&reading) };
        // What restores does not hold: there is nothing to come back to.
        let holds = self.effect.bound.spec.undo.is_some();
        if let Some(facet) = self.effect.bound.spec.facet.as_ref().filter(|_| holds) {
            let hold = NewHold {
                target: target.clone(),
                facet: facet.clone(),
                effect: self.effect.bound.effect,
                run: self.state.header.run,
                at: now,
                // The lease begins when the effect has come about; until then the hold does not end by itself.
                until: None,
                prior: reading.clone(),
                undo: intent.undo.clone(),
            };
            let took = self
                .context
                .store
                .hold_take(target.partition(), self.under.before(), hold)
                .await?;
            crate::crash::point("prepare.after-hold");
            intent.prior = Some(took.prior);
            intent.undo = took.undo;
        }
        events.extend(self.intended(intent, standing, reading));
        Ok(Performed::events(events))
    }

    /// A reading that says "already so" may be older than our last change of the target. Until the vendor's own
    /// lag is over it proves nothing; answers when it is.
    async fn too_fresh(&self, target: &Target, now: Time) -> Result<Option<Time>, Error> {
        let lag_ms = self
            .effect
            .bound
            .spec
            .verify
            .as_ref()
            .map_or(0, |verify| verify.lag_ms);
        let changed = self
            .context
            .store
            .changed_at(target.partition(), &target.key())
            .await?;
        Ok(changed
            .map(|at| at.plus_ms(lag_ms))
            .filter(|settled| *settled > now))
    }

    /// Looks again at a moment, without keeping the lock until then.
    async fn later(&self, target: &Target, at: Time) -> Result<Performed, Error> {
        let id = self.effect.bound.effect;
        self.context
            .store
            .unlock(target.partition(), self.under.before(), &target.key(), id)
            .await?;
        Ok(Performed::later(id, at))
    }

    /// What our own holds say against going on. An effect that tries again after its hold was ended was undone
    /// meanwhile; and what a hold would restore is not done past it, or the hold would be a lie.
    async fn stands_against(&self, target: &Target) -> Result<Option<Event>, Error> {
        let spec = &self.effect.bound.spec;
        let Some(facet) = &spec.facet else { return Ok(None) };
        let again = spec.undo.is_some() && !self.effect.attempts.is_empty();
        let restores = spec.undo.is_none();
        if !again && !restores {
            return Ok(None);
        }
        let (partition, key) = (target.partition(), target.key());
        let hold = self.context.store.hold(partition, &key, facet).await?;
        let hold = hold.as_ref();
        let id = self.effect.bound.effect;
        let mine = hold.and_then(|hold| hold.holders.iter().find(|holder| holder.effect == id));
        let fault = if again && mine.is_none_or(|holder| holder.ending) {
            Fault::new("undone", format!("{} was undone before it came about", spec.name))
        } else if restores && let Some(hold) = hold {
            let message = format!(
                "{} is held by {} effect(s) of Cordon: `cordon release {}` ends them and restores the state before",
                target.label(),
                hold.holders.len(),
                target.name
            );
            Fault::new("held", message)
        } else {
            return Ok(None);
        };
        Ok(Some(self.ended(
            0,
            Outcome::NotDone {
                fault,
                retry: Retry::Never,
            },
            Vec::new(),
            0,
        )))
    }

    fn undo(&self, captured: &Reading) -> Option<Undo> {
        let undo = self.effect.bound.spec.undo.as_ref()?;
        let args = undo
            .from_captured
            .iter()
            .map(|(name, field)| {
                (
                    name.clone(),
                    captured.fields.get(field).cloned().unwrap_or_default(),
                )
            })
            .collect();
        Some(Undo {
            action: undo.action.clone(),
            args,
        })
    }

    /// The intent; and where the target is so already, its outcome, with the reading that shows it.
    fn intended(&self, intent: Intent, standing: Standing, reading: Reading) -> Vec<Event> {
        let attempt = intent.attempt;
        let mut events = vec![Event::EffectIntended(Box::new(intent))];
        if standing != Standing::Absent {
            let how = if attempt > 1 {
                Done::Observed
            } else {
                Done::AlreadySo
            };
            events.push(self.ended(
                attempt,
                Outcome::Done {
                    how,
                    result: Value::Null,
                },
                Vec::new(),
                0,
            ));
            events.push(self.seen(standing, reading));
        }
        events
    }

    fn seen(&self, standing: Standing, reading: Reading) -> Event {
        let verification = if standing == Standing::InForce {
            Verification::Yes
        } else {
            Verification::Pending
        };
        Event::EffectVerified {
            effect: self.effect.bound.effect,
            verification,
            reading: Some(reading),
            requests: Vec::new(),
        }
    }

    async fn revert(&self, target: &Target, reverts: &Reverts) -> Result<Performed, Error> {
        let facet = self.effect.bound.spec.facet.clone().unwrap_or_default();
        let end = self
            .context
            .store
            .hold_end(
                target.partition(),
                self.under.before(),
                &target.key(),
                &facet,
                reverts.effect,
            )
            .await?;
        crate::crash::point("prepare.after-hold-end");
        let undo = match end {
            HoldEnd::Last { undo: Some(undo), .. } => undo,
            HoldEnd::Last { undo: None, prior } => {
                let result = json!({ "state": prior.state, "why": "it was so before" });
                return Ok(self.without_sending(Done::NothingToRestore, result));
            }
            HoldEnd::NotHeld => {
                let result = json!({ "why": "nothing is held any more" });
                return Ok(self.without_sending(Done::NothingToRestore, result));
            }
            HoldEnd::Others { remaining } => {
                return Ok(self.without_sending(Done::StillHeld, json!({ "remaining": remaining })));
            }
        };
        let Captured {
            reading,
            standing,
            mut events,
        } = match self.capture(target, &undo.args).await {
            Ok(captured) => captured,
            Err(instead) => return Ok(self.is_gone(&instead, reverts).unwrap_or(instead)),
        };
        if undo.action != self.effect.bound.spec.name {
            events.extend(self.asks(
                "hold-differs",
                format!(
                    "{} is held so that `{}` restores it, and this would do `{}`; nothing was written, decide by hand",
                    target.label(),
                    undo.action,
                    self.effect.bound.spec.name
                ),
                &reading,
            ));
            return Ok(Performed::events(events));
        }
        let now = self.context.clock.now();
        if standing != Standing::Absent
            && let Some(at) = self.too_fresh(target, now).await?
        {
            return self.later(target, at).await;
        }
        let left = reverts.left.judge(&reading) != Standing::Absent;
        if standing == Standing::Absent && !left {
            if let Some(later) = &reverts.replaced {
                return Ok(self.taken_place(later, &reading.state));
            }
            events.extend(self.changed_since(target, &reading));
            return Ok(Performed::events(events));
        }
        let prior = Some((&reading, standing));
        let may = self.weigh(Some(target), prior, Taking::Take, &mut events).await?;
        if may.is_none() {
            return Ok(Performed::events(events));
        }
        let mut intent = self.intent(undo.args);
        intent.prior = Some(reading.clone());
        events.extend(self.intended(intent, standing, reading));
        Ok(Performed::events(events))
    }

    /// What to record for a target that the system does not know any more, where a later effect of the run explains it.
    fn is_gone(&self, found: &Performed, reverts: &Reverts) -> Option<Performed> {
        let later = reverts.replaced.as_ref()?;
        found
            .events
            .iter()
            .any(|event| {
                let Event::EffectFailed { fault, retry, .. } = event else {
                    return false;
                };
                *retry == Retry::Never && fault.code == "target-not-found"
            })
            .then(|| self.taken_place(later, "gone"))
    }

    /// A later effect that cannot be undone has taken the place of what is to be restored: there is nothing to restore.
    fn taken_place(&self, later: &ActionName, state: &str) -> Performed {
        let why =
            format!("{later} came after it on the same target and cannot be undone: it reads `{state}`");
        self.without_sending(Done::NothingToRestore, json!({ "state": state, "why": why }))
    }

    fn without_sending(&self, how: Done, result: Value) -> Performed {
        let intent = self.intent(Map::new());
        let attempt = intent.attempt;
        let ended = self.ended(attempt, Outcome::Done { how, result }, Vec::new(), 0);
        Performed::events(vec![Event::EffectIntended(Box::new(intent)), ended])
    }

    /// Someone changed the target after us: write nothing and ask.
    fn changed_since(&self, target: &Target, reading: &Reading) -> [Event; 2] {
        let message = format!(
            "{} reads `{}`, which is neither what we left nor what it was before: somebody changed it since; nothing was written, decide by hand",
            target.label(),
            reading.state
        );
        self.asks("changed-since", message, reading)
    }

    /// Writes nothing, and tells a person why.
    fn asks(&self, code: &str, message: String, reading: &Reading) -> [Event; 2] {
        let fault = Fault {
            code: code.to_owned(),
            message: message.clone(),
            data: reading.fields.clone(),
        };
        [
            self.ended(
                0,
                Outcome::NotDone {
                    fault,
                    retry: Retry::Never,
                },
                Vec::new(),
                0,
            ),
            Event::Alarmed {
                code: code.to_owned(),
                message,
                effect: Some(self.effect.bound.effect),
            },
        ]
    }
}
