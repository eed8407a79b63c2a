//! What makes two matches the same case: the values of a trigger's key fields in one finding. Never decides how
//! long a case lasts; that is the window, kept by whoever starts runs.

use rsigma_eval::{Event, JsonEvent};
use serde::Serialize;
use serde_json::Value;

use crate::digest::{Digest, canonical};

/// Lists of a finding whose fields have one value per member.
const LISTS: [&str; 5] = ["actor.", "affected.", "observed.", "entity.", "attack."];

/// Field names with their values in one finding, in the order the trigger names them. A field the finding does
/// not have is `null`; a field of a list (`affected.uid`) is the sorted list of its distinct values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct KeyValues(Vec<(String, Value)>);

impl KeyValues {
    /// The values of these fields in `event`, which is `Finding::as_event`.
    pub(super) fn of(fields: &[String], event: &Value) -> KeyValues {
        let event = JsonEvent::borrow(event);
        KeyValues(
            fields
                .iter()
                .map(|field| (field.clone(), value_of(field, &event)))
                .collect(),
        )
    }

    /// Fields and values, in the trigger's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(field, value)| (field.as_str(), value))
    }

    /// A digest that is equal exactly when fields and values are.
    pub fn digest(&self) -> Digest {
        let parts: Vec<String> = self
            .0
            .iter()
            .flat_map(|(field, value)| [field.clone(), canonical(value)])
            .collect();
        Digest::of_parts(&parts)
    }
}

fn value_of(field: &str, event: &JsonEvent<'_>) -> Value {
    let value = event
        .get_field(field)
        .map_or(Value::Null, |value| value.to_json());
    let members = match value {
        Value::Array(members) => members,
        Value::Null => return Value::Null,
        single if LISTS.iter().any(|list| field.starts_with(list)) => vec![single],
        single => return single,
    };
    let mut members: Vec<(String, Value)> = members
        .into_iter()
        .filter(|member| !member.is_null())
        .map(|member| (canonical(&member), member))
        .collect();
    members.sort_by(|one, two| one.0.cmp(&two.0));
    members.dedup_by(|one, two| one.0 == two.0);
    if members.is_empty() {
        return Value::Null;
    }
    Value::Array(members.into_iter().map(|(_, member)| member).collect())
}
