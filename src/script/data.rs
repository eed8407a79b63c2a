//! What a script can do with read-only data: properties, indexes, iteration, look-ups, and the entities of
//! a finding. Nothing here changes data, and nothing leaves the script.

use std::any::TypeId;
use std::rc::Rc;

use rhai::{Array, Dynamic, Engine, EvalAltResult, FnPtr, ImmutableString, Module, NativeCallContext};
use serde_json::Value;

use super::advance::Thrown;
use super::error::{throw, thrown_map, thrown_value};
use super::json::{Json, Root};
use super::value::{Allowance, to_json};
use super::word::Outcome;
use crate::digest;

type C<'a> = NativeCallContext<'a>;
type Error = Box<EvalAltResult>;

/// Gives the type and its methods to an engine.
pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Json>("data");
    reading(engine);
    comparing(engine);
    lists(engine);
    entities(engine);
    errors(engine);
    let mut walking = Module::new();
    walking.set_iter_result(TypeId::of::<Json>(), |data| {
        let data = data.cast::<Json>();
        if data.value().is_array() {
            return Box::new(data.elements().into_iter().map(Ok));
        }
        let error = Thrown::new(
            "script",
            "an object cannot be walked, use `.keys()` or `.values()`",
        );
        Box::new(std::iter::once(Err(throw(error, rhai::Position::NONE))))
    });
    engine.register_global_module(Rc::new(walking));
}

fn reading(engine: &mut Engine) {
    engine.register_indexer_get(|c: C, data: &mut Json, key: ImmutableString| -> Outcome {
        let missing = || EvalAltResult::ErrorPropertyNotFound(key.to_string(), c.call_position());
        data.member(&key).ok_or_else(|| Box::new(missing()))
    });
    engine.register_indexer_get(|c: C, data: &mut Json, index: i64| -> Outcome {
        data.element(index).ok_or_else(|| {
            let message = format!("no element {index} in {} of {}", a(data), data.len());
            throw(Thrown::new("script", message), c.call_position())
        })
    });
    engine.register_fn("get", |data: &mut Json, key: ImmutableString| -> Dynamic {
        data.member(&key).unwrap_or(Dynamic::UNIT)
    });
    engine.register_fn(
        "get",
        |data: &mut Json, key: ImmutableString, otherwise: Dynamic| -> Dynamic {
            data.member(&key).unwrap_or(otherwise)
        },
    );
    engine.register_fn("get", |data: &mut Json, index: i64| -> Dynamic {
        data.element(index).unwrap_or(Dynamic::UNIT)
    });
    engine.register_fn("len", |data: &mut Json| {
        i64::try_from(data.len()).unwrap_or(i64::MAX)
    });
    engine.register_fn("is_empty", |data: &mut Json| data.len() == 0);
    engine.register_fn("keys", |data: &mut Json| data.keys());
    engine.register_fn("values", |data: &mut Json| -> Array {
        let object = data.value().as_object();
        let keys = object.into_iter().flat_map(serde_json::Map::keys);
        keys.filter_map(|key| data.member(key)).collect()
    });
    engine.register_fn("to_array", |c: C, data: &mut Json| list(&c, data));
    engine.register_fn("to_json", |data: &mut Json| digest::canonical(data.value()));
    engine.register_fn("to_string", |data: &mut Json| digest::canonical(data.value()));
    engine.register_fn("to_debug", |data: &mut Json| digest::canonical(data.value()));
}

fn comparing(engine: &mut Engine) {
    let same = |data: &Json, other: &Dynamic| {
        to_json(other, &mut Allowance::new()).is_ok_and(|other| *data.value() == other)
    };
    engine.register_fn("==", |one: Json, two: Json| one.value() == two.value());
    engine.register_fn("!=", |one: Json, two: Json| one.value() != two.value());
    engine.register_fn("==", move |one: Json, two: Dynamic| same(&one, &two));
    engine.register_fn("!=", move |one: Json, two: Dynamic| !same(&one, &two));
    engine.register_fn("==", move |one: Dynamic, two: Json| same(&two, &one));
    engine.register_fn("!=", move |one: Dynamic, two: Json| !same(&two, &one));
    // `x in data`
    engine.register_fn("contains", |data: &mut Json, sought: Dynamic| -> bool {
        match data.value() {
            Value::Object(members) => sought
                .read_lock::<ImmutableString>()
                .is_some_and(|key| members.contains_key(key.as_str())),
            Value::Array(items) => {
                to_json(&sought, &mut Allowance::new()).is_ok_and(|sought| items.contains(&sought))
            }
            _ => false,
        }
    });
}

fn lists(engine: &mut Engine) {
    engine.register_fn(
        "map",
        |c: C, data: &mut Json, with: FnPtr| -> Result<Array, Error> {
            list(&c, data)?
                .into_iter()
                .map(|item| with.call_raw(&c, None, [item]))
                .collect()
        },
    );
    engine.register_fn(
        "filter",
        |c: C, data: &mut Json, keep: FnPtr| -> Result<Array, Error> {
            let mut kept = Array::new();
            for item in list(&c, data)? {
                if holds(&c, &keep, &item)? {
                    kept.push(item);
                }
            }
            Ok(kept)
        },
    );
    engine.register_fn("find", |c: C, data: &mut Json, sought: FnPtr| -> Outcome {
        for item in list(&c, data)? {
            if holds(&c, &sought, &item)? {
                return Ok(item);
            }
        }
        Ok(Dynamic::UNIT)
    });
    engine.register_fn(
        "some",
        |c: C, data: &mut Json, sought: FnPtr| -> Result<bool, Error> {
            for item in list(&c, data)? {
                if holds(&c, &sought, &item)? {
                    return Ok(true);
                }
            }
            Ok(false)
        },
    );
    engine.register_fn(
        "all",
        |c: C, data: &mut Json, sought: FnPtr| -> Result<bool, Error> {
            for item in list(&c, data)? {
                if !holds(&c, &sought, &item)? {
                    return Ok(false);
                }
            }
            Ok(true)
        },
    );
}

fn holds(context: &C, closure: &FnPtr, item: &Dynamic) -> Result<bool, Error> {
    closure
        .call_raw(context, None, [item.clone()])?
        .as_bool()
        .map_err(|found| {
            let message = format!("the closure must answer true or false, found `{found}`");
            throw(Thrown::new("script", message), context.call_position())
        })
}

fn list(context: &C, data: &Json) -> Result<Array, Error> {
    if data.value().is_array() {
        return Ok(data.elements());
    }
    let message = format!(
        "`{}` needs a list, found an object, use `.values()`",
        context.fn_name()
    );
    Err(throw(Thrown::new("script", message), context.call_position()))
}

fn entities(engine: &mut Engine) {
    engine.register_fn(
        "affected",
        |c: C, finding: &mut Json, kind: ImmutableString| -> Outcome {
            let mut found = entities_of(&c, finding, Some("affected"), &kind)?;
            match (found.len(), found.pop()) {
                (1, Some(only)) => Ok(only),
                (0, _) | (_, None) => {
                    let message = format!("the finding affects no `{kind}`");
                    Err(throw(Thrown::new("no-entity", message), c.call_position()))
                }
                (n, _) => {
                    let message = format!(
                        "the finding affects {n} of `{kind}`, use `finding.all(\"{kind}\")` with `each`"
                    );
                    Err(throw(Thrown::new("ambiguous", message), c.call_position()))
                }
            }
        },
    );
    engine.register_fn("all", |c: C, finding: &mut Json, kind: ImmutableString| {
        entities_of(&c, finding, Some("affected"), &kind)
    });
    engine.register_fn("actors", |c: C, finding: &mut Json, kind: ImmutableString| {
        entities_of(&c, finding, Some("actor"), &kind)
    });
    engine.register_fn("observed", |c: C, finding: &mut Json, kind: ImmutableString| {
        entities_of(&c, finding, Some("observed"), &kind)
    });
}

fn entities_of(context: &C, finding: &Json, role: Option<&str>, kind: &str) -> Result<Array, Error> {
    let entities = finding
        .member("entities")
        .and_then(|entities| entities.try_cast::<Json>());
    let Some(entities) = entities else {
        let message = format!("`{}` needs a finding", context.fn_name());
        return Err(throw(Thrown::new("script", message), context.call_position()));
    };
    let is = |entity: &Value, member: &str, wanted: &str| {
        entity.get(member).and_then(Value::as_str) == Some(wanted)
    };
    let fits = |entity: &Dynamic| {
        entity.read_lock::<Json>().is_some_and(|entity| {
            is(entity.value(), "type", kind) && role.is_none_or(|role| is(entity.value(), "role", role))
        })
    };
    Ok(entities.elements().into_iter().filter(fits).collect())
}

fn errors(engine: &mut Engine) {
    let made = |code: &str, message: &str, data: Dynamic| thrown_map(code, message, None, data);
    engine.register_fn("error", move |code: &str, message: &str| {
        made(code, message, Dynamic::UNIT)
    });
    engine.register_fn("error", move |code: &str, message: &str, data: Dynamic| {
        made(code, message, data)
    });
    // Whatever `catch` caught, as `{ code, message, action, data }`.
    engine.register_fn("error", |caught: Dynamic| -> Dynamic {
        let Thrown {
            code,
            message,
            action,
            data,
        } = thrown_value(&caught);
        thrown_map(&code, &message, action, Json::lazy(Root::Own(Rc::new(data))))
    });
}

fn a(data: &Json) -> String {
    if data.kind() == "list" {
        "a list".to_owned()
    } else {
        "an object".to_owned()
    }
}
