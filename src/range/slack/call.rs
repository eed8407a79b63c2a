//! Which call a request is, and its arguments, which come as JSON, as a form or in the query.

use serde_json::Value;

use super::super::vendor::{Call, Door, Request};
use super::NAME;

/// Methods there are, and whether they change something.
const METHODS: &[(&str, bool)] = &[
    ("auth.test", false),
    ("chat.postMessage", true),
    ("chat.update", true),
    ("conversations.history", false),
    ("conversations.replies", false),
];

/// Which call this is, if it is one of Slack's: `/api/METHOD`, where a method has a point in its name.
pub(super) fn understand(request: &Request) -> Option<Call> {
    let method = request.path.strip_prefix("/api/")?;
    if request.door != Door::Http || method.contains('/') {
        return None;
    }
    let Some((action, changes)) = METHODS.iter().find(|(name, _)| *name == method) else {
        return Some(Call::wrong(NAME, 200, "unknown_method"));
    };
    Some(Call {
        targets: argument(request, "channel").into_iter().collect(),
        mutates: *changes,
        ..Call::reading(NAME, action)
    })
}

/// An argument as a text.
pub(super) fn argument(request: &Request, name: &str) -> Option<String> {
    match json(request, name) {
        Some(Value::String(text)) => Some(text),
        Some(Value::Null) | None => {
            let form = request.form_fields(name).into_iter().next();
            form.or_else(|| request.parameters(name).into_iter().next())
        }
        Some(other) => Some(other.to_string()),
    }
}

/// A member of a JSON body.
pub(super) fn json(request: &Request, name: &str) -> Option<Value> {
    let is_json = request
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("application/json"));
    let body: Value = is_json.then(|| serde_json::from_slice(&request.body).ok())??;
    body.get(name).cloned()
}
