//! How a call of a word becomes an ask or a tell: its place, its digest, the comparison with what was
//! recorded, and the answer where there is one.

use std::rc::Rc;

use rhai::{Dynamic, EvalAltResult, FuncRegistration, Module, NativeCallContext};

use super::advance::{Asked, Thrown};
use super::error::{throw, thrown_map};
use super::json::{Json, Root};
use super::state::{Ending, State, ended, tell_text};
use super::step::StepId;
use super::value::{Allowance, is_same, to_json};
use super::vocabulary::{Kind, Word};

/// What a native of this room returns.
pub(super) type Outcome = Result<Dynamic, Box<EvalAltResult>>;

/// Puts a word into a module, once for each number of arguments it takes.
pub(super) fn register(module: &mut Module, state: &Rc<State>, word: &Word) {
    for count in word.arity.clone() {
        let (state, name, kind): (_, Rc<str>, _) = (state.clone(), word.name.as_str().into(), word.kind);
        let call = move |at, args: &[Dynamic]| say(&state, kind, &name, args, at);
        let function = FuncRegistration::new(word.local()).with_comments([format!("/// {}", word.help)]);
        type C<'a> = NativeCallContext<'a>;
        type D = Dynamic;
        match count {
            0 => function.set_into_module(module, move |c: C| call(c.call_position(), &[])),
            1 => function.set_into_module(module, move |c: C, a: D| call(c.call_position(), &[a])),
            2 => function.set_into_module(module, move |c: C, a: D, b: D| call(c.call_position(), &[a, b])),
            3 => function.set_into_module(module, move |c: C, a: D, b: D, d: D| {
                call(c.call_position(), &[a, b, d])
            }),
            4 => function.set_into_module(module, move |c: C, a: D, b: D, d: D, e: D| {
                call(c.call_position(), &[a, b, d, e])
            }),
            5 => function.set_into_module(module, move |c: C, a: D, b: D, d: D, e: D, f: D| {
                call(c.call_position(), &[a, b, d, e, f])
            }),
            // `Vocabulary` refuses more than six.
            _ => function.set_into_module(module, move |c: C, a: D, b: D, d: D, e: D, f: D, g: D| {
                call(c.call_position(), &[a, b, d, e, f, g])
            }),
        };
    }
}

/// Says a word at this place in the program.
pub(super) fn say(state: &State, kind: Kind, name: &str, args: &[Dynamic], at: rhai::Position) -> Outcome {
    if state.is_ended() {
        return Err(ended(at));
    }
    if kind == Kind::Ask
        && let Some(outcome) = answered(state, name, args, at)
    {
        return outcome;
    }
    let mut allowance = Allowance::new();
    let data: Result<Vec<_>, _> = args.iter().map(|arg| to_json(arg, &mut allowance)).collect();
    let data = data.map_err(|error| {
        throw(
            Thrown {
                action: Some(name.to_owned()),
                ..Thrown::new("not-data", error.to_string())
            },
            at,
        )
    })?;
    if let Err(thrown) = state.count_ask(allowance.used()) {
        state.end(Ending::Failed(thrown));
        return Err(ended(at));
    }
    let asked = Asked::new(state.next_step(), kind, name, data, state.place(at));
    match kind {
        Kind::Ask => ask(state, asked, at),
        Kind::Tell => tell(state, asked, at),
    }
}

fn ask(state: &State, asked: Asked, at: rhai::Position) -> Outcome {
    if let Some(digest) = state.recorded_tell(&asked.step) {
        state.diverged(asked.step.clone(), tell_text(&digest), asked.text());
        return Err(ended(at));
    }
    let answers = state.answers();
    let Some(answer) = answers.get(&asked.step) else {
        state.wait_for(asked);
        return Err(ended(at));
    };
    if answer.digest != asked.digest {
        state.diverged(asked.step.clone(), answer.asked(), asked.text());
        return Err(ended(at));
    }
    replayed(state, asked.step, at)
}

/// The answer to an ask that is the recorded one word for word, which is what a replay meets nearly always: nothing
/// of it is built or digested again. None where the long way has to say.
fn answered(state: &State, name: &str, args: &[Dynamic], at: rhai::Position) -> Option<Outcome> {
    let used = state.recorded_answer(name, |answer| {
        let mut allowance = Allowance::new();
        let mut pairs = args.iter().zip(&answer.args);
        let same = args.len() == answer.args.len()
            && pairs.all(|(arg, recorded)| is_same(arg, recorded, &mut allowance));
        same.then(|| allowance.used())
    })?;
    if let Err(thrown) = state.count_ask(used) {
        state.end(Ending::Failed(thrown));
        return Some(Err(ended(at)));
    }
    Some(replayed(state, state.next_step(), at))
}

/// What was recorded at this step, given to the script.
fn replayed(state: &State, step: StepId, at: rhai::Position) -> Outcome {
    let step = Rc::new(step);
    state.replayed_answer(step.clone());
    let answers = state.answers();
    match answers.get(&*step).map(|answer| &answer.result) {
        Some(Err(thrown)) => {
            let data = Json::lazy(Root::ErrorData(answers.clone(), step));
            let map = thrown_map(&thrown.code, &thrown.message, thrown.action.clone(), data);
            Err(Box::new(EvalAltResult::ErrorRuntime(map, at)))
        }
        _ => Ok(Json::answer(Root::Answer(answers.clone(), step))),
    }
}

fn tell(state: &State, asked: Asked, at: rhai::Position) -> Outcome {
    if let Some(answer) = state.answers().get(&asked.step) {
        state.diverged(asked.step.clone(), answer.asked(), asked.text());
        return Err(ended(at));
    }
    match state.recorded_tell(&asked.step) {
        None => state.tell(asked),
        Some(digest) if digest == asked.digest => state.replayed_tell(asked.step),
        Some(digest) => {
            state.diverged(asked.step.clone(), tell_text(&digest), asked.text());
            return Err(ended(at));
        }
    }
    Ok(Dynamic::UNIT)
}
