//! Whether data has what was expected of it: every member that is written must be there and be like it; what is not
//! written is not looked at. Lists are compared whole.

use serde_json::Value;

/// Where `found` differs from what `wanted` asks of it, in words; `None` when it does not.
pub fn difference(wanted: &Value, found: &Value) -> Option<String> {
    at("", wanted, found)
}

fn at(path: &str, wanted: &Value, found: &Value) -> Option<String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => wanted.iter().find_map(|(key, value)| {
            let inner = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            match found.get(key) {
                Some(there) => at(&inner, value, there),
                None => Some(format!("`{inner}` is not there")),
            }
        }),
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => wanted
            .iter()
            .zip(found)
            .enumerate()
            .find_map(|(n, (one, other))| at(&format!("{path}[{n}]"), one, other)),
        (Value::Array(wanted), Value::Array(found)) => Some(format!(
            "{} has {} member(s), expected {}",
            named(path),
            found.len(),
            wanted.len()
        )),
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => None,
        (one, other) if one == other => None,
        (one, other) => Some(format!(
            "{} is `{}`, expected `{}`",
            named(path),
            short(other),
            short(one)
        )),
    }
}

fn named(path: &str) -> String {
    if path.is_empty() {
        "it".to_owned()
    } else {
        format!("`{path}`")
    }
}

/// A value on one line, cut off where it gets long.
pub fn short(value: &Value) -> String {
    const CHARS: usize = 160;
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut shown: String = text
        .chars()
        .take(CHARS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_that_are_not_written_are_not_looked_at() {
        assert_eq!(difference(&json!({"a": 1}), &json!({"a": 1.0, "b": 2})), None);
        assert_eq!(difference(&json!([{}]), &json!([{"x": 1}])), None);
    }

    #[test]
    fn a_difference_says_where_it_is() {
        for (wanted, found, says) in [
            (
                json!({"a": {"b": [1, 2]}}),
                json!({"a": {"b": [1, 3]}}),
                "`a.b[1]` is `3`, expected `2`",
            ),
            (json!({"a": null}), json!({}), "`a` is not there"),
            (json!([1]), json!([1, 2]), "it has 2 member(s), expected 1"),
            (json!("1"), json!(1), "it is `1`, expected `1`"),
        ] {
            assert_eq!(difference(&wanted, &found).as_deref(), Some(says));
        }
    }
}
