//! Does one task and says what happened. Thin: what to do is decided in `next`, what it means in `journal`.

use super::approve;
use super::bind;
use super::child::{self, Handed};
use super::compensate::UNDO_FAILED;
use super::consent;
use super::context::Context;
use super::next::{Task, doubt, verification};
use super::prepare;
use super::under::Under;
use super::vendors::Binding;
use crate::action::{Done, Fault, Holder, Outcome, Reading, Retry, Standing, Verification};
use crate::clock::Time;
use crate::connector::{Acted, Looked};
use crate::id::EffectId;
use crate::journal::{EffectState, Event, RunState};
use crate::limits::ATTEMPTS_MAX;
use crate::playbook::Loaded;
use crate::script::StepId;
use crate::store::{Error, Signal};

/// What a task led to.
#[derive(Debug, Default)]
pub struct Performed {
    /// To append.
    pub events: Vec<Event>,
    /// An effect to leave alone until a moment.
    pub later: Option<(EffectId, Time)>,
    /// When the votes of people were read, if they were.
    pub counted: Option<Time>,
    /// The step whose run was looked at, and when.
    pub child_seen: Option<(StepId, Time)>,
    /// What was said to the run of a step.
    pub child_told: Option<(StepId, Handed)>,
    /// What people have said to the run, and when it was read. What it comes to is for the state it is recorded on.
    pub heard: Option<(Time, Vec<Signal>)>,
}

impl Performed {
    /// These events.
    pub fn events(events: Vec<Event>) -> Performed {
        Performed {
            events,
            ..Performed::default()
        }
    }

    /// Nothing yet; look again then.
    pub fn later(effect: EffectId, at: Time) -> Performed {
        Performed {
            later: Some((effect, at)),
            ..Performed::default()
        }
    }
}

/// Does a task. An error is the store's: nothing can be recorded, so the run is left to a later claim.
pub async fn perform(
    context: &Context,
    loaded: &Loaded,
    state: &RunState,
    task: &Task,
    under: &Under,
) -> Result<Performed, Error> {
    match attempt(context, loaded, state, task, under).await {
        // The store is busy or full: nothing was sent yet, so this one waits and its siblings go on.
        Err(error) if error.may_pass() => {
            let at = context.clock.now().plus_ms(STORE_AGAIN_MS);
            match task {
                Task::Prepare(effect) => Ok(Performed::later(*effect, at)),
                _ => {
                    context.pause_ms(STORE_AGAIN_MS).await;
                    Ok(Performed::default())
                }
            }
        }
        done => done,
    }
}

/// Pause before a task is tried again that the store could not serve, ms.
const STORE_AGAIN_MS: u64 = 200;

async fn attempt(
    context: &Context,
    loaded: &Loaded,
    state: &RunState,
    task: &Task,
    under: &Under,
) -> Result<Performed, Error> {
    let of = |id: &EffectId| state.effects.get(id);
    match task {
        Task::Bind(step) => Ok(Performed::events(bind::bind(context, loaded, state, step).await?)),
        Task::Ask(step) => Ok(Performed::events(
            approve::ask(context, loaded, state, step).await,
        )),
        Task::StartChild(step) => Ok(Performed::events(child::start(context, state, step).await?)),
        Task::LookAtChild(step) => child::look(context, state, step).await,
        Task::TellChild(step) => child::tell(context, state, step).await,
        Task::AskWhetherToUndo => Ok(Performed::events(approve::ask_whether_to_undo(context, state))),
        Task::CountVotes => count_votes(context, state).await,
        Task::Hear => {
            let (now, run) = (context.clock.now(), state.header.run);
            let signals = context.store.signals(run.partition(), run).await?;
            Ok(Performed {
                heard: Some((now, signals)),
                ..Performed::default()
            })
        }
        Task::Undo(id) => match of(id) {
            Some(effect) => Ok(Performed::events(bind::undo_in_run(
                context, loaded, state, effect,
            ))),
            None => Ok(Performed::default()),
        },
        Task::Resolve(id) => match of(id) {
            Some(effect) => Ok(resolve(context, loaded, effect).await),
            None => Ok(Performed::default()),
        },
        Task::Prepare(id) => match of(id) {
            Some(effect) => prepare::prepare(context, loaded, state, effect, under).await,
            None => Ok(Performed::default()),
        },
        Task::Act(id) => match of(id) {
            Some(effect) => Ok(act(context, loaded, effect).await),
            None => Ok(Performed::default()),
        },
        Task::Probe(id) => match of(id) {
            Some(effect) => Ok(probe(context, loaded, effect).await),
            None => Ok(Performed::default()),
        },
        Task::Verify(id) => match of(id) {
            Some(effect) => Ok(verify(context, loaded, effect).await),
            None => Ok(Performed::default()),
        },
    }
}

/// What people have answered since.
async fn count_votes(context: &Context, state: &RunState) -> Result<Performed, Error> {
    let now = context.clock.now();
    let run = state.header.run;
    let votes = context.store.votes(run.partition(), run).await?;
    Ok(Performed {
        events: consent::count(state, &context.policy, &votes),
        counted: Some(now),
        ..Performed::default()
    })
}

fn binding(effect: &EffectState) -> Binding {
    Binding {
        instance: effect.bound.instance.clone(),
        spec: effect.bound.spec.clone(),
    }
}

pub(super) async fn resolve(context: &Context, loaded: &Loaded, effect: &EffectState) -> Performed {
    let id = effect.bound.effect;
    let Some(entity) = &effect.bound.entity else {
        let fault = Fault::new(
            "bad-target",
            format!("{} was given no target", effect.bound.spec.name),
        );
        let event = Event::EffectFailed {
            effect: id,
            fault,
            retry: Retry::Never,
            requests: Vec::new(),
        };
        return Performed::events(vec![event]);
    };
    let Looked { result, requests } = context.vendors.resolve(loaded, &binding(effect), entity).await;
    Performed::events(vec![match result {
        Ok(target) => Event::EffectResolved {
            effect: id,
            target,
            requests,
        },
        Err((fault, retry)) => Event::EffectFailed {
            effect: id,
            fault,
            retry,
            requests,
        },
    }])
}

/// The one place from which a change leaves. Its intent is durable; the switch is looked at once more.
async fn act(context: &Context, loaded: &Loaded, effect: &EffectState) -> Performed {
    let Some(attempt) = effect.last() else {
        return Performed::default();
    };
    let started = context.clock.now();
    let stopped = match &*context.halt.borrow() {
        Ok(None) => None,
        Ok(Some(halt)) => Some(format!("{} halted all effects: {}", halt.by, halt.reason)),
        Err(problem) => Some(format!("it cannot be told whether effects are halted: {problem}")),
    };
    let Acted { outcome, requests } = match stopped {
        Some(why) => Acted {
            outcome: Outcome::NotDone {
                fault: Fault::new("halted", why),
                retry: Retry::AfterMs(0),
            },
            requests: Vec::new(),
        },
        None => {
            let intent = &attempt.intent;
            context
                .vendors
                .act(
                    loaded,
                    &binding(effect),
                    effect.target.as_ref(),
                    &intent.args,
                    &intent.key,
                )
                .await
        }
    };
    Performed::events(vec![Event::EffectEnded {
        effect: effect.bound.effect,
        attempt: attempt.intent.attempt,
        outcome,
        requests,
        duration_ms: context.clock.now().since_ms(started),
    }])
}

/// Looks whether an attempt without an answer happened.
async fn probe(context: &Context, loaded: &Loaded, effect: &EffectState) -> Performed {
    let id = effect.bound.effect;
    let (Some(attempt), Some(verify)) = (effect.last(), &effect.bound.spec.verify) else {
        return Performed::events(doubt(effect, "the connector has no way to look"));
    };
    let Some(target) = effect.seen_at() else {
        return Performed::events(doubt(effect, "it has no target that could be looked at"));
    };
    let Looked { result, requests } = context
        .vendors
        .read(
            loaded,
            &binding(effect),
            &verify.read,
            &target,
            &effect.reading_args(),
        )
        .await;
    let reading = match result {
        Ok(reading) => reading,
        Err((fault, _)) => {
            return Performed::events(vec![Event::EffectProbed {
                effect: id,
                found: Err(fault),
                requests,
            }]);
        }
    };
    let standing = effect.judge(&reading);
    if standing == Standing::Absent {
        return Performed::events(vec![Event::EffectProbed {
            effect: id,
            found: Ok(reading),
            requests,
        }]);
    }
    let now = context.clock.now();
    let seen = if standing == Standing::InForce {
        Verification::Yes
    } else {
        Verification::Pending
    };
    // Of what was made, such as a message, the vendor's answer is lost and the reading is all there is to go on with.
    let result = if effect.target.is_some() {
        serde_json::Value::Null
    } else {
        reading.fields.clone()
    };
    Performed::events(vec![
        Event::EffectEnded {
            effect: id,
            attempt: attempt.intent.attempt,
            outcome: Outcome::Done {
                how: Done::Observed,
                result,
            },
            requests,
            duration_ms: now.since_ms(attempt.at),
        },
        Event::EffectVerified {
            effect: id,
            verification: seen,
            reading: Some(reading),
            requests: Vec::new(),
        },
    ])
}

/// Reads back.
async fn verify(context: &Context, loaded: &Loaded, effect: &EffectState) -> Performed {
    let id = effect.bound.effect;
    let spec = &effect.bound.spec;
    let (Some(read_back), Some(target)) = (&spec.verify, effect.seen_at()) else {
        let verification = Verification::Unverifiable;
        let event = Event::EffectVerified {
            effect: id,
            verification,
            reading: None,
            requests: Vec::new(),
        };
        return Performed::events(vec![event]);
    };
    let Looked { result, requests } = context
        .vendors
        .read(
            loaded,
            &binding(effect),
            &read_back.read,
            &target,
            &effect.reading_args(),
        )
        .await;
    crate::crash::point("verify.after-reading");
    let reading = result.ok();
    let standing = reading.as_ref().map(|reading| effect.judge(reading));
    let mut word = verification(effect, standing, context.clock.now());
    if word > Verification::Pending && is_over(context, effect).await {
        word = if effect.bound.reverts.is_some() {
            Verification::HeldAgain
        } else {
            Verification::Undone
        };
    }
    if let Some(reading) = &reading
        && has_landed(effect, reading, context.clock.now())
        && !is_over(context, effect).await
    {
        let mut events = vec![Event::EffectLanded {
            effect: id,
            reading: reading.clone(),
        }];
        if is_last_try(effect) {
            events.push(Event::Alarmed {
                code: UNDO_FAILED.into(),
                message: format!(
                    "{} was undone {} times, and requests that had got no answer changed it again each time: it reads `{}`",
                    target.label(),
                    effect.attempts.len(),
                    reading.state
                ),
                effect: Some(id),
            });
        }
        return Performed::events(events);
    }
    let mut events = vec![Event::EffectVerified {
        effect: id,
        verification: word,
        reading: reading.clone(),
        requests,
    }];
    let state = reading.map_or_else(
        || "could not be read".to_owned(),
        |r| format!("reads `{}`", r.state),
    );
    let told = match word {
        Verification::Contradicted => Some((
            "contradicted",
            format!(
                "{} said yes to {}, but {} {state}: it is NOT in force",
                effect
                    .said
                    .as_ref()
                    .map_or(&effect.bound.instance, |said| &said.principal),
                spec.name,
                target.label()
            ),
        )),
        Verification::Unverifiable => Some((
            "unverifiable",
            format!(
                "whether {} on {} is in force cannot be seen: it {state}",
                spec.name,
                target.label()
            ),
        )),
        Verification::NotInForce => Some((
            "not-in-force",
            format!(
                "{} on {} was requested and is not in force: it {state}",
                spec.name,
                target.label()
            ),
        )),
        _ => None,
    };
    if let Some((code, message)) = told {
        events.push(Event::Alarmed {
            code: code.into(),
            message,
            effect: Some(id),
        });
    }
    Performed::events(events)
}

/// True when nobody wants an effect in force any more: its hold was ended, or for one that restored, the target
/// was taken again. A store that cannot say leaves it as it is.
async fn is_over(context: &Context, effect: &EffectState) -> bool {
    let (Some(target), Some(facet)) = (&effect.target, &effect.bound.spec.facet) else {
        return false;
    };
    let (partition, key) = (target.partition(), target.key());
    let Ok(hold) = context.store.hold(partition, &key, facet).await else {
        return false;
    };
    if let Some(reverts) = &effect.bound.reverts {
        // The hold that was ended is there until this was seen; whoever else is ending theirs wants it restored too.
        let holds = |other: &Holder| other.effect != reverts.effect && !other.ending;
        return hold.is_some_and(|hold| hold.holders.iter().any(holds));
    }
    if effect.bound.spec.undo.is_none() {
        return hold.is_some();
    }
    let id = effect.bound.effect;
    let mine = hold.and_then(|hold| hold.holders.into_iter().find(|holder| holder.effect == id));
    mine.is_none_or(|mine| mine.ending)
}

/// True when a target that was restored reads as the effect had left it, at a time when a request of that effect that
/// got no answer may have arrived: the restoring has to be done again. Within the vendor's lag a reading proves nothing.
fn has_landed(effect: &EffectState, reading: &Reading, now: Time) -> bool {
    let (Some(reverts), Some((done_at, _)), Some(verify)) =
        (&effect.bound.reverts, effect.done(), &effect.bound.spec.verify)
    else {
        return false;
    };
    reverts.late_until.is_some()
        && now.since_ms(done_at) >= verify.lag_ms
        && effect.has_to_be_seen()
        && effect.judge(reading) == Standing::Absent
        && reverts.left.judge(reading) == Standing::InForce
}

fn is_last_try(effect: &EffectState) -> bool {
    effect.attempts.len() >= usize::try_from(ATTEMPTS_MAX).unwrap_or(usize::MAX)
}
