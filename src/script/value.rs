//! Values of the language as JSON. What is not data (functions, ranges, numbers that are not finite) is
//! refused by name, so that nothing that differs between processes can enter the journal.

use rhai::{Dynamic, ImmutableString};
use serde_json::Value;

use super::json::Json;
use crate::limits;

/// Why a value is not data that may leave a script.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum NotData {
    #[error("{0} is not data and cannot leave the script")]
    Kind(String),
    #[error("the value is nested deeper than {}", limits::JSON_DEPTH_MAX)]
    Depth,
    #[error("the value is larger than {} bytes", limits::ENTRY_BYTES_MAX)]
    Size,
}

/// What may still be taken out of the script.
pub(super) struct Allowance {
    bytes: usize,
}

impl Allowance {
    pub(super) fn new() -> Allowance {
        Allowance {
            bytes: limits::ENTRY_BYTES_MAX,
        }
    }

    /// How much was taken.
    pub(super) fn used(&self) -> usize {
        limits::ENTRY_BYTES_MAX - self.bytes
    }

    fn take(&mut self, bytes: usize) -> Result<(), NotData> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(NotData::Size)?;
        Ok(())
    }
}

/// A value as JSON.
///
/// # Errors
///
/// Something in it is not data, or it is too deep or too large.
pub(super) fn to_json(value: &Dynamic, allowance: &mut Allowance) -> Result<Value, NotData> {
    convert(value, allowance, limits::JSON_DEPTH_MAX)
}

fn convert(value: &Dynamic, allowance: &mut Allowance, depth: usize) -> Result<Value, NotData> {
    let deeper = depth.checked_sub(1).ok_or(NotData::Depth)?;
    if value.is_shared() {
        let flat = value.flatten_clone();
        if flat.is_shared() {
            return Err(NotData::Kind("a variable that is in use".to_owned()));
        }
        return convert(&flat, allowance, deeper);
    }
    allowance.take(8)?;
    if value.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(value) = value.as_bool() {
        return Ok(Value::Bool(value));
    }
    if let Ok(value) = value.as_int() {
        return Ok(Value::from(value));
    }
    if let Ok(value) = value.as_float() {
        let number = serde_json::Number::from_f64(value);
        return number
            .map(Value::Number)
            .ok_or_else(|| NotData::Kind(format!("`{value}`")));
    }
    if let Ok(value) = value.as_char() {
        return Ok(Value::String(value.to_string()));
    }
    if let Some(text) = value.read_lock::<ImmutableString>() {
        allowance.take(text.len())?;
        return Ok(Value::String(text.to_string()));
    }
    if let Some(json) = value.read_lock::<Json>() {
        let inner = json.value();
        take_json(inner, allowance, depth)?;
        return Ok(inner.clone());
    }
    if let Ok(items) = value.as_array_ref() {
        return items
            .iter()
            .map(|item| convert(item, allowance, deeper))
            .collect();
    }
    if let Ok(members) = value.as_map_ref() {
        let mut object = serde_json::Map::new();
        for (key, inner) in members.iter() {
            allowance.take(key.len())?;
            object.insert(key.to_string(), convert(inner, allowance, deeper)?);
        }
        return Ok(Value::Object(object));
    }
    Err(NotData::Kind(kind(value)))
}

/// True when a value is, as JSON, exactly this recorded one; takes from the allowance what `to_json` takes. False says
/// nothing: the value may be no data, or a number written in another way.
pub(super) fn is_same(value: &Dynamic, recorded: &Value, allowance: &mut Allowance) -> bool {
    compare(value, recorded, allowance, limits::JSON_DEPTH_MAX).unwrap_or(false)
}

fn compare(
    value: &Dynamic,
    recorded: &Value,
    allowance: &mut Allowance,
    depth: usize,
) -> Result<bool, NotData> {
    let deeper = depth.checked_sub(1).ok_or(NotData::Depth)?;
    if value.is_shared() {
        let flat = value.flatten_clone();
        return Ok(!flat.is_shared() && compare(&flat, recorded, allowance, deeper)?);
    }
    if let Some(json) = value.read_lock::<Json>() {
        let inner = json.value();
        allowance.take(8)?;
        take_json(inner, allowance, depth)?;
        return Ok(is_equal(inner, recorded));
    }
    allowance.take(8)?;
    match recorded {
        Value::Null => Ok(value.is_unit()),
        Value::Bool(recorded) => Ok(value.as_bool().is_ok_and(|value| value == *recorded)),
        Value::Number(recorded) => Ok(match recorded.as_i64() {
            Some(recorded) => value.as_int().is_ok_and(|value| value == recorded),
            None => value.as_float().is_ok_and(|value| {
                let bits = recorded.as_f64().map(f64::to_bits);
                recorded.is_f64() && value.is_finite() && bits == Some(value.to_bits())
            }),
        }),
        Value::String(recorded) => match value.read_lock::<ImmutableString>() {
            Some(text) => {
                allowance.take(text.len())?;
                Ok(text.as_str() == recorded)
            }
            None => Ok(false),
        },
        Value::Array(recorded) => {
            let Ok(items) = value.as_array_ref() else {
                return Ok(false);
            };
            if items.len() != recorded.len() {
                return Ok(false);
            }
            for (item, recorded) in items.iter().zip(recorded) {
                if !compare(item, recorded, allowance, deeper)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Value::Object(recorded) => {
            let Ok(members) = value.as_map_ref() else {
                return Ok(false);
            };
            if members.len() != recorded.len() {
                return Ok(false);
            }
            for (key, inner) in members.iter() {
                allowance.take(key.len())?;
                match recorded.get(key.as_str()) {
                    Some(recorded) if compare(inner, recorded, allowance, deeper)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
    }
}

/// Equal as they are written: `0.0` and `-0.0` are not.
fn is_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) if one.is_f64() || other.is_f64() => {
            one.is_f64() == other.is_f64()
                && one.as_f64().map(f64::to_bits) == other.as_f64().map(f64::to_bits)
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, one)| other.get(key).is_some_and(|other| is_equal(one, other)))
        }
        _ => one == other,
    }
}

fn kind(value: &Dynamic) -> String {
    if value.is_fnptr() {
        return "a function".to_owned();
    }
    match value.type_name() {
        name if name.contains("Range") => "a range".to_owned(),
        name => format!("a value of type `{}`", name.rsplit("::").next().unwrap_or(name)),
    }
}

/// Takes what a lazy value holds. Its depth counts too: a script can wrap outcomes in outcomes, and what
/// leaves the script is read and dropped on threads with ordinary stacks.
fn take_json(value: &Value, allowance: &mut Allowance, depth: usize) -> Result<(), NotData> {
    let deeper = depth.checked_sub(1).ok_or(NotData::Depth)?;
    allowance.take(8)?;
    match value {
        Value::String(text) => allowance.take(text.len()),
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| take_json(item, allowance, deeper)),
        Value::Object(members) => members.iter().try_for_each(|(key, inner)| {
            allowance.take(key.len())?;
            take_json(inner, allowance, deeper)
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use proptest::prelude::*;
    use serde_json::json;

    use super::super::json::Root;
    use super::*;
    use crate::digest::Digest;

    fn values() -> impl Strategy<Value = Value> {
        let number = prop_oneof![
            any::<i64>().prop_map(Value::from),
            prop::sample::select(vec![0.0, -0.0, 1.0, 1.5, 1e300]).prop_map(|n| json!(n)),
            (-2_i64..3).prop_map(Value::from),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            number,
            "[a-c]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-c]", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// The same as the language may hold it: its own value, or a lazy one.
    fn held(value: &Value, lazy: bool) -> Dynamic {
        if lazy {
            Json::lazy(Root::Own(Rc::new(value.clone())))
        } else {
            rhai::serde::to_dynamic(value).unwrap()
        }
    }

    proptest! {
        #[test]
        fn what_is_the_same_without_building_it_has_the_same_digest_and_size(
            one in values(), other in values(), lazy: bool,
        ) {
            for recorded in [&one, &other] {
                let value = held(&one, lazy);
                let (mut quick, mut long) = (Allowance::new(), Allowance::new());
                let built = to_json(&value, &mut long).unwrap();
                let same = is_same(&value, recorded, &mut quick);
                if same {
                    prop_assert_eq!(Digest::of_json(&built), Digest::of_json(recorded));
                    prop_assert_eq!(quick.used(), long.used());
                }
                prop_assert_eq!(same, Digest::of_json(&built) == Digest::of_json(recorded));
            }
        }
    }

    #[test]
    fn a_number_is_the_same_only_as_it_was_written() {
        let same = |value: Dynamic, recorded: Value| is_same(&value, &recorded, &mut Allowance::new());
        assert!(same(Dynamic::from(1_i64), json!(1)));
        assert!(!same(Dynamic::from(1_i64), json!(1.0)));
        assert!(!same(Dynamic::from(1.0), json!(1)));
        assert!(!same(Dynamic::from(-0.0), json!(0.0)));
        assert!(!same(Dynamic::from(1.8446744073709552e19), json!(u64::MAX)));
    }
}
