//! What can be read off an argument without running the script: for checks of options such as `lease`.

use std::collections::BTreeMap;

use rhai::{Dynamic, Expr, ImmutableString};
use serde_json::Value;

/// An argument as it stands in the text.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// A text, a number, true, false or `()`.
    Scalar(Value),
    /// A list written out.
    List(Vec<Literal>),
    /// A map written out; its names are always known.
    Map(BTreeMap<String, Literal>),
    /// Known only when the script runs.
    Unknown,
}

impl Literal {
    /// The text, if this is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Literal::Scalar(value) => value.as_str(),
            _ => None,
        }
    }

    /// The whole value, if all of it is known.
    pub fn value(&self) -> Option<Value> {
        match self {
            Literal::Scalar(value) => Some(value.clone()),
            Literal::List(items) => items
                .iter()
                .map(Literal::value)
                .collect::<Option<_>>()
                .map(Value::Array),
            Literal::Map(members) => members
                .iter()
                .map(|(key, inner)| Some((key.clone(), inner.value()?)))
                .collect::<Option<serde_json::Map<_, _>>>()
                .map(Value::Object),
            Literal::Unknown => None,
        }
    }

    pub(super) fn of(expression: &Expr) -> Literal {
        match expression {
            Expr::Array(items, _) => Literal::List(items.iter().map(Literal::of).collect()),
            Expr::Map(members, _) => Literal::Map(
                members
                    .0
                    .iter()
                    .map(|(name, inner)| (name.name.to_string(), Literal::of(inner)))
                    .collect(),
            ),
            Expr::BoolConstant(..)
            | Expr::IntegerConstant(..)
            | Expr::FloatConstant(..)
            | Expr::CharConstant(..)
            | Expr::StringConstant(..)
            | Expr::Unit(_) => expression
                .get_literal_value(None)
                .map_or(Literal::Unknown, |value| scalar(&value)),
            _ => Literal::Unknown,
        }
    }
}

fn scalar(value: &Dynamic) -> Literal {
    let scalar = if value.is_unit() {
        Some(Value::Null)
    } else if let Ok(value) = value.as_bool() {
        Some(Value::Bool(value))
    } else if let Ok(value) = value.as_int() {
        Some(Value::from(value))
    } else if let Ok(value) = value.as_float() {
        serde_json::Number::from_f64(value).map(Value::Number)
    } else if let Ok(value) = value.as_char() {
        Some(Value::String(value.to_string()))
    } else {
        value
            .read_lock::<ImmutableString>()
            .map(|text| Value::String(text.to_string()))
    };
    scalar.map_or(Literal::Unknown, Literal::Scalar)
}
