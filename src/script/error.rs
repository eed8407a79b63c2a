//! Errors of the language as people and scripts see them: a code, a sentence, a place, and the calls around
//! it. Names that the language makes up for closures never show.

use rhai::{Dynamic, EvalAltResult, ImmutableString, Map};
use serde_json::Value;

use super::advance::{Failure, Thrown};
use super::json::{Json, Root};
use super::library::spoken;
use super::state::State;
use super::value::{Allowance, to_json};
use crate::limits;

/// An error a script can catch, thrown by a native at the place it was called from.
pub(super) fn throw(thrown: Thrown, at: rhai::Position) -> Box<EvalAltResult> {
    let data = Json::lazy(Root::Own(std::rc::Rc::new(thrown.data)));
    Box::new(EvalAltResult::ErrorRuntime(
        thrown_map(&thrown.code, &thrown.message, thrown.action, data),
        at,
    ))
}

/// The map a script sees in `catch`.
pub(super) fn thrown_map(code: &str, message: &str, action: Option<String>, data: Dynamic) -> Dynamic {
    let mut map = Map::new();
    map.insert("code".into(), code.into());
    map.insert("message".into(), message.into());
    map.insert("action".into(), action.map_or(Dynamic::UNIT, Dynamic::from));
    map.insert("data".into(), data);
    Dynamic::from_map(map)
}

/// An error that ended an evaluation.
pub(super) fn failure(error: &EvalAltResult, state: &State) -> Failure {
    let (thrown, at) = (thrown(error), innermost(error));
    let mut chain = Vec::new();
    calls_around(error, state, &mut chain);
    chain.reverse();
    let (file, place) = state.place(at);
    Failure::of(thrown, (!at.is_none()).then_some(place), chain).in_file(file)
}

/// An error as a script sees it, whatever it was.
pub(super) fn thrown(error: &EvalAltResult) -> Thrown {
    match error.unwrap_inner() {
        EvalAltResult::ErrorRuntime(value, _) => thrown_value(value),
        inner if !inner.is_catchable() => Thrown::new("limit", describe(inner)),
        inner => Thrown::new("script", describe(inner)),
    }
}

/// What a script threw, or caught: a text, a map with the usual members, or anything else.
pub(super) fn thrown_value(value: &Dynamic) -> Thrown {
    let data = |value: &Dynamic| to_json(value, &mut Allowance::new()).unwrap_or(Value::Null);
    // Member by member, so that one that is no data does not take the code and the message with it.
    let whole = match value.as_map_ref() {
        Ok(members) => Value::Object(
            members
                .iter()
                .map(|(key, inner)| (key.to_string(), data(inner)))
                .collect(),
        ),
        Err(_) => data(value),
    };
    match whole {
        Value::String(message) => Thrown::new("thrown", message),
        Value::Null => Thrown::new("thrown", "the script threw nothing"),
        Value::Object(mut members) => {
            let text = |value: Option<Value>| match value {
                Some(Value::String(text)) => Some(text),
                Some(Value::Null) | None => None,
                Some(other) => Some(other.to_string()),
            };
            // What `catch` makes of an error of the language has an `error` member and no code.
            let of_the_language = members.contains_key("error") && members.contains_key("message");
            let usual = if of_the_language { "script" } else { "thrown" };
            Thrown {
                code: text(members.remove("code")).unwrap_or_else(|| usual.to_owned()),
                message: text(members.remove("message"))
                    .map(|text| plain(&text))
                    .unwrap_or_default(),
                action: text(members.remove("action")),
                data: members.remove("data").unwrap_or(Value::Null),
            }
        }
        other => Thrown {
            data: other.clone(),
            ..Thrown::new("thrown", other.to_string())
        },
    }
}

fn innermost(error: &EvalAltResult) -> rhai::Position {
    match error {
        EvalAltResult::ErrorInFunctionCall(.., inner, at) | EvalAltResult::ErrorInModule(.., inner, at) => {
            let inner = innermost(inner);
            if inner.is_none() { *at } else { inner }
        }
        other => other.position(),
    }
}

fn calls_around(error: &EvalAltResult, state: &State, chain: &mut Vec<String>) {
    if let EvalAltResult::ErrorInFunctionCall(name, _, inner, at) = error {
        let at = match state.place(*at) {
            (_, place) if place.line == 0 => String::new(),
            (None, place) => format!(" (line {})", place.line),
            (Some(file), place) => format!(" ({file}, line {})", place.line),
        };
        let name = if name.starts_with("anon$") {
            "a closure".to_owned()
        } else {
            format!("`{}`", spoken(name))
        };
        chain.push(format!("in call to {name}{at}"));
        calls_around(inner, state, chain);
    }
}

fn describe(error: &EvalAltResult) -> String {
    let text = match error {
        EvalAltResult::ErrorPropertyNotFound(name, _) => {
            format!("unknown property `{name}`, use `.get(\"{name}\")` where it may be missing")
        }
        EvalAltResult::ErrorVariableNotFound(name, _) => format!("unknown variable `{name}`"),
        EvalAltResult::ErrorFunctionNotFound(name, _) => format!("unknown function `{name}`"),
        EvalAltResult::ErrorMismatchDataType(wanted, found, _)
        | EvalAltResult::ErrorMismatchOutputType(wanted, found, _) => {
            format!("`{wanted}` is needed here, found `{found}`")
        }
        EvalAltResult::ErrorArrayBounds(length, index, _) => {
            format!("no element {index} in a list of {length}")
        }
        EvalAltResult::ErrorDataRace(name, _) => {
            // For a method Rhai names the argument and the function instead of the variable.
            let name = name.rsplit('\'').nth(1).unwrap_or(name);
            format!(
                "`{name}` and the closure given to it use the same variable, copy what the closure needs first"
            )
        }
        EvalAltResult::ErrorTooManyOperations(_) => {
            format!(
                "the script does more than {} operations",
                limits::SCRIPT_OPERATIONS_MAX
            )
        }
        EvalAltResult::ErrorStackOverflow(_) => {
            format!("calls are nested deeper than {}", limits::SCRIPT_CALLS_MAX)
        }
        EvalAltResult::ErrorDataTooLarge(what, _) => {
            format!("a value grows past its limit: {}", what.to_lowercase())
        }
        other => {
            let mut text = other.to_string();
            if let Some(cut) = text.rfind(" (line ") {
                text.truncate(cut);
            }
            let mut letters = text.chars();
            letters
                .next()
                .map(|first| first.to_lowercase().chain(letters).collect())
                .unwrap_or_default()
        }
    };
    plain(&text)
}

/// The text without the names that the language makes up for closures.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("anon$") {
        out.push_str(before);
        out.push_str("closure");
        rest = after.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    out.push_str(rest);
    spoken(&out)
        .replace(std::any::type_name::<Json>(), "data")
        .replace(std::any::type_name::<ImmutableString>(), "string")
}
