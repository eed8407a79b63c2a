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
