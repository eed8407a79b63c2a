//! Opens what senders wrap alerts in, again and again up to a depth, and splits batches. Each kind of wrapper is
//! one row of a table: a way to recognise it and what is inside. Never looks at what an alert says.

use serde_json::Value;

use super::strict_json;
use super::unreadable::Unreadable;
use crate::limits::FINDINGS_PER_ALERT_MAX;

/// Most wrappers around one alert; the deepest known are three (a queue, a topic, an event bus).
const WRAPPERS_MAX: usize = 6;

/// What a row of the table makes of a value.
enum Opened {
    /// It is not this wrapper.
    Other(Value),
    /// What was inside, in the sender's order.
    Inside(Vec<Value>),
}

type Opener = fn(Value) -> Opened;

/// Every wrapper known here. A new one is a function and a line.
const WRAPPERS: [Opener; 3] = [list, findings, notification];

/// The alerts inside these values. An empty batch is no alert, and not an error.
///
/// # Errors
/// Wrapped too deep, too many alerts, or something that is not an object where an alert belongs.
pub fn unwrap(values: Vec<Value>) -> Result<Vec<Value>, Unreadable> {
    let mut found = Vec::new();
    // Last in, first out, filled backwards: the order of the sender is kept.
    let mut waiting: Vec<(usize, Value)> = values.into_iter().rev().map(|value| (0, value)).collect();
    while let Some((depth, value)) = waiting.pop() {
        match open(value) {
            Opened::Inside(_) if depth >= WRAPPERS_MAX => {
                return Err(Unreadable::because(format!(
                    "more than {WRAPPERS_MAX} wrappers around an alert"
                )));
            }
            Opened::Inside(values) => {
                waiting.extend(values.into_iter().rev().map(|value| (depth + 1, value)))
            }
            Opened::Other(alert) if alert.is_object() => found.push(alert),
            Opened::Other(_) => {
                return Err(Unreadable::because(
                    "an alert is an object, here is something else",
                ));
            }
        }
        if found.len() > FINDINGS_PER_ALERT_MAX {
            return Err(Unreadable::because(format!(
                "more than {FINDINGS_PER_ALERT_MAX} alerts in one delivery"
            )));
        }
    }
    Ok(found)
}

fn open(value: Value) -> Opened {
    let mut value = value;
    for opener in WRAPPERS {
        match opener(value) {
            Opened::Inside(values) => return Opened::Inside(values),
            Opened::Other(same) => value = same,
        }
    }
    Opened::Other(value)
}

/// A list of alerts.
fn list(value: Value) -> Opened {
    match value {
        Value::Array(items) => Opened::Inside(items),
        other => Opened::Other(other),
    }
}

/// `{"findings": […]}`, unless it is itself an alert that has a list of that name.
fn findings(mut value: Value) -> Opened {
    let is_alert = ["uid", "title", "class_uid", "finding_info"]
        .iter()
        .any(|name| value.get(name).is_some());
    match value.get_mut("findings") {
        Some(Value::Array(items)) if !is_alert => Opened::Inside(std::mem::take(items)),
        _ => Opened::Other(value),
    }
}

/// A notification of Amazon SNS: what was published is JSON inside a text. Anything else published that way stays in
/// its envelope, for the connector to say what it is.
fn notification(value: Value) -> Opened {
    let of = |name: &str| value.get(name).and_then(Value::as_str);
    let is_one = of("Type") == Some("Notification") && of("TopicArn").is_some();
    let inside = of("Message")
        .filter(|_| is_one)
        .and_then(|message| strict_json::parse(message.as_bytes()).ok())
        .filter(|inside| inside.is_object() || inside.is_array());
    match inside {
        Some(inside) => Opened::Inside(vec![inside]),
        None => Opened::Other(value),
    }
}
