//! The branching words: `all`, `attempt` and `each`. Every branch runs as far as its answers reach; a branch
//! that waits does not keep its siblings from running. A branch has copies of what it captured and gives
//! its result back as data, so the outcome depends on the answers and never on their order.
//!
//! `each` begins a further branch only while fewer than `BRANCHES_AT_ONCE` of its branches wait (a quarter
//! of that for each `each` around it). Answers only ever finish branches, so a branch that was once begun is
//! begun in every later evaluation too.

use std::rc::Rc;

use rhai::{Array, Dynamic, Engine, FnPtr, NativeCallContext};
use serde_json::{Value, json};

use super::advance::Thrown;
use super::error::{throw, thrown};
use super::isolate::{NotIsolated, isolate_closure, isolate_value};
use super::json::{Json, Root};
use super::state::{Depth, Ending, State, ended};
use super::value::{Allowance, to_json};
use super::word::Outcome;
use crate::limits;

/// One branch that came to its end.
type Settled = Result<Value, Thrown>;

/// Gives the branching words to an engine.
pub(super) fn register(engine: &mut Engine, state: &Rc<State>) {
    let of = state.clone();
    engine.register_fn(
        "all",
        move |context: NativeCallContext, branches: Array| -> Outcome {
            let settled = closures(&of, &context, &branches)?;
            values_or_throw(settled, context.call_position())
        },
    );
    let of = state.clone();
    engine.register_fn(
        "attempt",
        move |context: NativeCallContext, branches: Array| -> Outcome {
            Ok(outcomes(closures(&of, &context, &branches)?))
        },
    );
    let of = state.clone();
    engine.register_fn(
        "each",
        move |context: NativeCallContext, items: Array, body: FnPtr| -> Outcome {
            Ok(outcomes(elements(&of, &context, items, &body)?))
        },
    );
    let of = state.clone();
    engine.register_fn(
        "each",
        move |context: NativeCallContext, items: Json, body: FnPtr| -> Outcome {
            let at = context.call_position();
            if items.value().is_array() {
                return Ok(outcomes(elements(&of, &context, items.elements(), &body)?));
            }
            Err(throw(
                Thrown::new("script", "`each` needs a list, found an object, use `.values()`"),
                at,
            ))
        },
    );
}

fn closures(state: &State, context: &NativeCallContext, branches: &Array) -> Result<Vec<Settled>, Error> {
    let at = context.call_position();
    let most = limits::BRANCHES_AT_ONCE;
    if branches.len() > most {
        let message = format!(
            "{} branches, at most {most} fit here, use `each` over a list",
            branches.len()
        );
        return Err(throw(Thrown::new("limit", message), at));
    }
    let bodies: Option<Vec<FnPtr>> = branches.iter().map(|branch| branch.clone().try_cast()).collect();
    let message = "a list of closures is needed here, such as `[|| a(), || b()]`";
    let bodies = bodies.ok_or_else(|| throw(Thrown::new("script", message), at))?;
    let around = state.depth();
    let depth = Depth {
        branching: around.branching + 1,
        ..around
    };
    run(
        state,
        context,
        depth,
        most,
        bodies.into_iter().map(|body| (body, None)),
    )
}

fn elements(
    state: &State,
    context: &NativeCallContext,
    items: Array,
    body: &FnPtr,
) -> Result<Vec<Settled>, Error> {
    let around = state.depth();
    let depth = Depth {
        branching: around.branching + 1,
        each: around.each + 1,
    };
    let at_once = (limits::BRANCHES_AT_ONCE >> (2 * around.each)).max(1);
    run(
        state,
        context,
        depth,
        at_once,
        items.into_iter().map(|item| (body.clone(), Some(item))),
    )
}

type Error = Box<rhai::EvalAltResult>;

/// Runs the branches in order. The ending of a branch that waits is taken back; every other ending, and
/// every error that no script may catch, ends the whole evaluation.
fn run(
    state: &State,
    context: &NativeCallContext,
    depth: Depth,
    at_once: usize,
    branches: impl Iterator<Item = (FnPtr, Option<Dynamic>)>,
) -> Result<Vec<Settled>, Error> {
    let at = context.call_position();
    if state.is_ended() {
        return Err(ended(at));
    }
    if depth.branching > limits::BRANCH_DEPTH_MAX {
        let message = format!(
            "`all`, `attempt` and `each` are nested deeper than {}",
            limits::BRANCH_DEPTH_MAX
        );
        return Err(throw(Thrown::new("limit", message), at));
    }
    let step = state.next_step();
    if let Some(answer) = state.answers().get(&step) {
        state.diverged(
            step,
            answer.asked(),
            format!("`{}` with branches", context.fn_name()),
        );
        return Err(ended(at));
    }
    let mut settled = Vec::new();
    let mut waiting = 0;
    for (number, (body, item)) in (0_u32..).zip(branches) {
        if waiting >= at_once {
            break;
        }
        let result = state.in_branch(&step, number, depth, || one(state, context, &body, item));
        if state.take_waiting() {
            waiting += 1;
            continue;
        }
        if state.is_ended() {
            return Err(result.err().unwrap_or_else(|| ended(at)));
        }
        settled.push(match result {
            Ok(value) => to_json(&value, &mut Allowance::new())
                .map_err(|error| Thrown::new("not-data", error.to_string())),
            Err(error) if error.unwrap_inner().is_catchable() => Err(thrown(&error)),
            Err(error) => return Err(error),
        });
    }
    if waiting > 0 {
        state.end(Ending::Waiting);
        return Err(ended(at));
    }
    Ok(settled)
}

fn one(state: &State, context: &NativeCallContext, body: &FnPtr, item: Option<Dynamic>) -> Outcome {
    let at = context.call_position();
    let refuse = |error: NotIsolated| match error {
        NotIsolated::Ended => ended(at),
        NotIsolated::Depth => throw(
            Thrown::new("limit", "a branch captures data nested too deeply"),
            at,
        ),
        NotIsolated::InUse => throw(
            Thrown::new("script", "a branch captures a variable that is in use"),
            at,
        ),
    };
    if state.tick() {
        return Err(ended(at));
    }
    let body = isolate_closure(state, body).map_err(refuse)?;
    let args: Vec<Dynamic> = match item {
        Some(item) => vec![isolate_value(state, item).map_err(refuse)?],
        None => Vec::new(),
    };
    body.call_raw(context, None, args)
}

/// `[#{ ok, value, error }…]`, in the order of the branches.
fn outcomes(settled: Vec<Settled>) -> Dynamic {
    Json::answer(Root::Own(Rc::new(Value::Array(
        settled.iter().map(outcome).collect(),
    ))))
}

fn outcome(settled: &Settled) -> Value {
    match settled {
        Ok(value) => json!({ "ok": true, "value": value, "error": null }),
        Err(error) => json!({ "ok": false, "value": null, "error": error }),
    }
}

/// The values, or one error that carries every outcome.
fn values_or_throw(settled: Vec<Settled>, at: rhai::Position) -> Outcome {
    let failed = settled.iter().filter(|branch| branch.is_err()).count();
    let Some(first) = settled.iter().find_map(|branch| branch.as_ref().err()) else {
        let values = settled.into_iter().filter_map(Result::ok).collect();
        return Ok(Json::answer(Root::Own(Rc::new(Value::Array(values)))));
    };
    let message = format!(
        "{failed} of {} branches failed, the first: {}",
        settled.len(),
        first.message
    );
    let data = Value::Array(settled.iter().map(outcome).collect());
    Err(throw(
        Thrown {
            data,
            ..Thrown::new("branches", message)
        },
        at,
    ))
}
