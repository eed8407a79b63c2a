//! Which call a request is, and the ids it names. Looks at the request only, never at a host.

use serde_json::Value;

use super::super::vendor::{Call, Door, Request};
use super::NAME;

/// Most ids in one containment call (our notes on vendor APIs, 2026-11-23).
const ACTION_IDS_MAX: usize = 100;
/// Most ids in one details call. General knowledge, not compared with the vendor.
const READ_IDS_MAX: usize = 5_000;

/// The call of a path that no vendor has.
pub(in crate::range) fn no_such_path() -> Call {
    Call::wrong(NAME, 404, "404: Page Not Found")
}

/// Which call this is, if it is one of Falcon's.
pub(super) fn understand(request: &Request) -> Option<Call> {
    let ours = request.path == "/oauth2/token" || request.path.starts_with("/devices/");
    if request.door != Door::Http || !ours {
        return None;
    }
    let mut call = Call {
        vendor: NAME,
        action: "unknown",
        targets: Vec::new(),
        mutates: request.method != "GET",
        guarded: true,
        wrong: None,
    };
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/oauth2/token") => {
            (call.action, call.mutates, call.guarded) = ("token", false, false);
        }
        ("GET", "/devices/queries/devices/v1") => call.action = "find",
        ("POST", "/devices/entities/devices/v2") => {
            (call.action, call.mutates) = ("read", false);
            (call.targets, call.wrong) = ids_of_body(request, READ_IDS_MAX);
        }
        ("GET", "/devices/entities/devices/v2") => {
            call.action = "read";
            (call.targets, call.wrong) = bounded(request.parameters("ids"), READ_IDS_MAX);
        }
        ("POST", "/devices/entities/devices-actions/v2") => {
            (call.targets, call.wrong) = ids_of_body(request, ACTION_IDS_MAX);
            match request.parameters("action_name").first().map(String::as_str) {
                Some("contain") => call.action = "contain",
                Some("lift_containment") => call.action = "lift_containment",
                _ => call.wrong = Some((400, "action_name: unsupported value".to_owned())),
            }
        }
        (
            _,
            "/oauth2/token"
            | "/devices/queries/devices/v1"
            | "/devices/entities/devices/v2"
            | "/devices/entities/devices-actions/v2",
        ) => {
            call.wrong = Some((405, "method not allowed".to_owned()));
        }
        _ => {
            return Some(Call {
                mutates: call.mutates,
                ..no_such_path()
            });
        }
    }
    Some(call)
}

fn ids_of_body(request: &Request, most: usize) -> (Vec<String>, Option<(u16, String)>) {
    let wrong = |message: &str| (Vec::new(), Some((400, message.to_owned())));
    let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
        return wrong("invalid request body: not JSON");
    };
    let Some(ids) = body.get("ids").and_then(Value::as_array) else {
        return wrong("ids: required");
    };
    match ids
        .iter()
        .map(|id| id.as_str().map(str::to_owned))
        .collect::<Option<Vec<String>>>()
    {
        Some(ids) => bounded(ids, most),
        None => wrong("ids: must be strings"),
    }
}

fn bounded(ids: Vec<String>, most: usize) -> (Vec<String>, Option<(u16, String)>) {
    let mut once: Vec<String> = Vec::new();
    for id in ids.into_iter().take(most + 1) {
        if !once.contains(&id) {
            once.push(id);
        }
    }
    match once.len() {
        0 => (once, Some((400, "ids: at least one is required".to_owned()))),
        n if n > most => (
            Vec::new(),
            Some((400, format!("ids: at most {most} in one request"))),
        ),
        _ => (once, None),
    }
}
