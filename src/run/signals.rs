//! What people say to a run: cancel it, take it up again, or whether an effect in doubt happened. What it comes to is
//! read off the run's state here, pure; the first word that counts is journalled, and whoever says the opposite later
//! is refused.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::compensate::{self, Course};
use crate::digest::Digest;
use crate::id::{EffectId, RunId};
use crate::journal::{Event, RunState, Said};
use crate::store::Signal;

/// A word of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Word {
    /// End the run.
    Cancel {
        /// Whether what was done is undone, or stays.
        undo: bool,
        /// In their words.
        reason: String,
    },
    /// Take a parked run up again.
    Retry {
        /// In their words.
        reason: String,
        /// True where the journal itself could not be read, so that it does not say that the run was parked.
        unread: bool,
    },
    /// Whether an effect in doubt happened.
    Resolve {
        /// The effect.
        effect: EffectId,
        /// Whether it happened.
        happened: bool,
        /// In their words.
        reason: String,
    },
}

impl Word {
    /// The id of the signal that carries it: the same word of the same person is the same signal, whatever the
    /// reason, so that a repeat after a lost answer changes nothing. A run may be parked again after it was taken up, so
    /// that word is another one with each `epoch`: a run that is parked has no new one until somebody takes it up.
    pub fn id(&self, principal: &str, epoch: u64) -> String {
        let parts = match self {
            Word::Cancel { undo, .. } => vec!["cancel".to_owned(), undo.to_string()],
            Word::Retry { .. } => vec!["retry".to_owned(), epoch.to_string()],
            Word::Resolve { effect, happened, .. } => {
                vec!["resolve".to_owned(), effect.to_string(), happened.to_string()]
            }
        };
        signal_id(&serde_json::json!([principal, parts]))
    }
}

/// The id of a word that a run hands on to one it started.
pub fn handed_on(parent: RunId, child: RunId, undo: bool) -> String {
    signal_id(&serde_json::json!(["handed-on", parent, child, undo]))
}

fn signal_id(parts: &serde_json::Value) -> String {
    let digest = Digest::of(parts.to_string().as_bytes()).to_string();
    format!("signal_{}", digest.chars().take(32).collect::<String>())
}

/// What those signals come to that were not heard before, in their order.
pub fn count(state: &RunState, signals: &[Signal]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut resolved: BTreeSet<EffectId> = BTreeSet::new();
    let mut retried: Option<String> = None;
    let mut cancelled = state
        .cancelled
        .as_ref()
        .map(|one| (one.undo, one.principal.clone()));
    for signal in signals.iter().filter(|one| !state.heard.contains(&one.id)) {
        let refused = |why: String| Event::SignalRefused {
            signal: signal.id.clone(),
            principal: signal.principal.clone(),
            why,
        };
        let word = match serde_json::from_value::<Word>(signal.content.clone()) {
            Ok(word) => word,
            Err(error) => {
                events.push(refused(format!("it cannot be read: {error}")));
                continue;
            }
        };
        events.push(match word {
            Word::Cancel { undo, reason } => match may_cancel(state, cancelled.as_ref(), undo) {
                Err(why) => refused(why),
                Ok(()) => {
                    cancelled = Some((undo, signal.principal.clone()));
                    Event::RunCancelled {
                        undo,
                        principal: signal.principal.clone(),
                        reason,
                        signal: signal.id.clone(),
                    }
                }
            },
            Word::Retry { reason, unread } => {
                match may_retry(state, unread, cancelled.as_ref(), retried.as_ref()) {
                    Err(why) => refused(why),
                    Ok(()) => {
                        retried = Some(signal.principal.clone());
                        Event::RunRetried {
                            principal: signal.principal.clone(),
                            reason,
                            signal: signal.id.clone(),
                        }
                    }
                }
            }
            Word::Resolve {
                effect,
                happened,
                reason,
            } => match may_resolve(state, effect) {
                Ok(()) if resolved.insert(effect) => Event::EffectResolvedBy {
                    effect,
                    happened,
                    principal: signal.principal.clone(),
                    reason,
                    signal: signal.id.clone(),
                },
                Ok(()) => refused(format!("somebody else has said about {effect} before")),
                Err(why) => refused(why),
            },
        });
    }
    events
}

/// Whether a run may be cancelled so, as it stands.
///
/// # Errors
/// Why not, and what to do instead.
pub fn cancellable(state: &RunState, undo: bool) -> Result<(), String> {
    let cancelled = state
        .cancelled
        .as_ref()
        .map(|one| (one.undo, one.principal.clone()));
    may_cancel(state, cancelled.as_ref(), undo)
}

fn may_cancel(state: &RunState, cancelled: Option<&(bool, String)>, undo: bool) -> Result<(), String> {
    let run = state.header.run;
    if let Some((_, end, _)) = &state.settled {
        return Err(format!(
            "{run} is over, it ended {}: to take back what it did use `cordon undo {run}`",
            end.word()
        ));
    }
    match cancelled {
        // Undoing can be stopped, for instance where it is stuck; what was stopped is not begun again.
        Some((true, _)) if !undo => Ok(()),
        Some((true, by)) => Err(format!(
            "{by} has cancelled {run} before; what it did is being undone"
        )),
        Some((false, by)) => Err(format!(
            "{by} has cancelled {run} before, and what it did stays; once it is over `cordon undo {run}` takes it back"
        )),
        None if undo && compensate::course(state) == Course::Undoing => {
            Err(format!("{run} is being rolled back already"))
        }
        None => Ok(()),
    }
}

fn may_retry(
    state: &RunState,
    unread: bool,
    cancelled: Option<&(bool, String)>,
    retried: Option<&String>,
) -> Result<(), String> {
    let run = state.header.run;
    if let Some((_, end, _)) = &state.settled {
        return Err(format!("{run} is over, it ended {}", end.word()));
    }
    if let Some(by) = retried {
        return Err(format!("{by} has had {run} taken up again before"));
    }
    if let Some((_, by)) = cancelled {
        return Err(format!(
            "{by} has cancelled {run}, and it is on its way to its end"
        ));
    }
    if state.parked.is_none() && !unread {
        return Err(format!("{run} is not parked any more"));
    }
    Ok(())
}

/// Whether a person may say whether an effect happened.
///
/// # Errors
/// Why not: somebody has said before, or it is not in doubt.
pub fn may_resolve(state: &RunState, effect: EffectId) -> Result<(), String> {
    let run = state.header.run;
    let Some(found) = state.effects.get(&effect) else {
        return Err(format!("{run} has no {effect}"));
    };
    if let Some(Said {
        principal, happened, ..
    }) = &found.said
    {
        let what = if *happened {
            "it happened"
        } else {
            "it did not happen"
        };
        return Err(format!(
            "{principal} has said before that {what}, and that stands"
        ));
    }
    if let Some((_, end, _)) = &state.settled {
        return Err(format!("{run} is over, it ended {}", end.word()));
    }
    if found.in_doubt.is_none() {
        return Err(format!(
            "{effect} is not in doubt, it is {}",
            match found.stage() {
                crate::journal::Stage::Done => "known to be done",
                crate::journal::Stage::NotDone(_) => "known not to be done",
                crate::journal::Stage::Unknown | crate::journal::Stage::Intended(_) =>
                    "being looked at: wait until it is known, or until a person is asked",
                _ => "not begun",
            }
        ));
    }
    Ok(())
}

/// What a run with effects in doubt waits for, in words: which effect, what to look at, and the command.
pub fn asks(state: &RunState) -> Option<String> {
    let mut doubts = state.doubts();
    let effect = doubts.next()?;
    let more = match doubts.count() {
        0 => String::new(),
        n => format!(", and {n} more in doubt"),
    };
    Some(format!(
        "{RESOLVE} {} --happened|--did-not --reason …`: look at {} whether {} happened{more}",
        effect.bound.effect,
        effect.target.as_ref().map_or_else(
            || format!("`{}`", effect.bound.instance),
            |target| format!("{} in `{}`", target.label(), effect.bound.instance)
        ),
        effect.bound.spec.name,
    ))
}

/// How the words begin that say that a run waits for somebody to resolve a doubt.
pub const RESOLVE: &str = "`cordon resolve";
