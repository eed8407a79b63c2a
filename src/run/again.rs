//! Whether a replay is still the run that was recorded. `advance` compares what has an answer; here what was asked and
//! has none yet is compared, and how the script ends. Pure: decides nothing about what happens then.

use std::collections::HashMap;
use std::sync::Arc;

use super::receipt::answer_to;
use crate::journal::{RunState, ScriptEnd, Step};
use crate::playbook::Loaded;
use crate::script::{Advance, Asked, Job, StepId, describe};

/// Found where the script does not come to a step any more.
const NOT_REACHED: &str = "the script does not come to this step";

/// The same, or `Diverged` where it is not what the journal has: an open ask that is not asked again, or asked
/// otherwise; an end before it; a script that ran and does not compile any more.
pub fn judged(state: &RunState, advance: Advance) -> Advance {
    match differs(state, &advance) {
        None => advance,
        Some((step, recorded, found)) => Advance::Diverged {
            step,
            recorded,
            found,
        },
    }
}

fn differs(state: &RunState, advance: &Advance) -> Option<(StepId, String, String)> {
    match advance {
        Advance::Asks { waiting, .. } => {
            let asked: HashMap<&StepId, &Asked> = waiting.iter().map(|one| (&one.step, one)).collect();
            state.open_steps().find_map(|(id, step)| match asked.get(id) {
                Some(again) if again.digest == step.digest => None,
                Some(again) => Some((id.clone(), text(step), again.text())),
                None => Some((id.clone(), text(step), NOT_REACHED.to_owned())),
            })
        }
        // What ran before and is refused now says something of the program that reads it, not of the script.
        Advance::Failed { error, .. } if error.code == "check" => {
            let first = state.steps.keys().next().or_else(|| state.told.keys().next())?;
            let recorded = "a script that ran".to_owned();
            Some((first.clone(), recorded, error.message.clone()))
        }
        // A limit cuts a script off anywhere.
        Advance::Failed { error, .. } if error.code == "limit" => None,
        Advance::Returned { .. } | Advance::Failed { .. } => {
            let (id, step) = state.open_steps().next()?;
            Some((id.clone(), text(step), NOT_REACHED.to_owned()))
        }
        Advance::Diverged { .. } | Advance::Interrupted { .. } => None,
    }
}

/// The evaluation of a run's script with every answer its journal has: the dry replay. It reaches nobody, for what a
/// script asks is only told.
pub fn whole(state: &RunState, loaded: &Loaded) -> Job {
    let answers = state.steps.iter().filter_map(|(id, step)| {
        let result = step.answer.as_ref()?;
        Some((id.clone(), answer_to(id, step, result)))
    });
    let mut job = Job::new(
        loaded.program.clone(),
        loaded.vocabulary.clone(),
        Arc::new(state.header.inputs.clone()),
    );
    job.answers = Arc::new(answers.collect());
    job.told = Arc::new(state.told.clone());
    job
}

/// What a whole journal must lead to when its script is run again with every answer there is: the same end, or the
/// same open asks. The difference in words, or none. Meant for journals that are replayed to see whether this program
/// still does what the one that wrote them did; asks that follow from answers nobody had evaluated yet are no
/// difference.
///
/// # Errors
/// Both sides, for people.
pub fn compare(state: &RunState, advance: &Advance) -> Result<(), String> {
    let both =
        |recorded: String, found: String| Err(format!("the journal has {recorded}, the replay {found}"));
    let advance = judged(state, advance.clone());
    match (&state.script, &advance) {
        (
            _,
            Advance::Diverged {
                step,
                recorded,
                found,
            },
        ) => both(format!("`{recorded}` at step {step}"), format!("`{found}`")),
        (_, Advance::Interrupted { why }) => Err(format!("the replay was cut off: {why:?}")),
        (None, Advance::Asks { .. }) => Ok(()),
        // The end had not been written yet when the journal ended.
        (None, Advance::Returned { .. } | Advance::Failed { .. }) => Ok(()),
        // Ended from outside: by its deadline, or a person.
        (Some(ScriptEnd::Failed(fault, 0, _)), Advance::Asks { .. }) if fault.code != "check" => Ok(()),
        (Some(_), Advance::Asks { waiting, .. }) => {
            let found = waiting.first().map_or_else(
                || "waits".to_owned(),
                |one| format!("asks `{}` at step {}", one.text(), one.step),
            );
            both("an end".to_owned(), found)
        }
        (Some(ScriptEnd::Returned(value)), Advance::Returned { value: again, told }) => {
            if let Some(more) = told.first() {
                return both("no such word".to_owned(), format!("says `{}`", more.text()));
            }
            if value != again {
                return both(format!("the value {value}"), format!("{again}"));
            }
            Ok(())
        }
        (Some(ScriptEnd::Failed(fault, line, _)), Advance::Failed { error, told }) => {
            if let Some(more) = told.first() {
                return both("no such word".to_owned(), format!("says `{}`", more.text()));
            }
            let again = error.at.unwrap_or_default().line;
            let same_line = usize::try_from(*line).is_ok_and(|line| line == again);
            if fault.code != error.code || fault.message != error.message || !same_line {
                return both(
                    format!("the error {fault} at line {line}"),
                    format!("{}: {} at line {again}", error.code, error.message),
                );
            }
            Ok(())
        }
        (Some(ScriptEnd::Returned(_)), Advance::Failed { error, .. }) => {
            both("a value".to_owned(), format!("fails: {}", error.message))
        }
        (Some(ScriptEnd::Failed(fault, ..)), Advance::Returned { .. }) => {
            both(format!("the error {fault}"), "returns".to_owned())
        }
    }
}

fn text(step: &Step) -> String {
    describe(&step.name, &step.args)
}
