//! From an alert to findings: the two formats read without a script (Cordon's own, and OCSF Detection Finding),
//! and the drafts that connectors' scripts return. An alert that says nothing is happening answers no finding.

use serde_json::Value;

use super::draft::{self, Context, Extra};
use super::unreadable::Unreadable;
use super::{ocsf, strict_json, unwrap};
use crate::clock::Time;
use crate::finding::Finding;
use crate::limits::FINDINGS_PER_ALERT_MAX;

/// The alerts in a body: read strictly, envelopes opened, batches split. Empty for an empty batch.
///
/// # Errors
/// Why the body cannot be read.
pub fn items(body: &[u8]) -> Result<Vec<Value>, Unreadable> {
    unwrap::unwrap(strict_json::parse_several(body)?)
}

/// Everything in a body of a source that needs no script, in the sender's order.
///
/// # Errors
/// Why one of the alerts cannot be read; then none of the body's findings count.
pub fn builtin_findings(source: &str, body: &[u8], received: Time) -> Result<Vec<Finding>, Unreadable> {
    let mut found = Vec::new();
    for alert in items(body)? {
        found.extend(builtin(source, &alert, received)?);
    }
    Ok(found)
}

/// The findings of one alert in Cordon's own format or OCSF's. A control message has none.
///
/// # Errors
/// Why it cannot be read, such as a class of OCSF that is no detection.
pub fn builtin(source: &str, alert: &Value, received: Time) -> Result<Vec<Finding>, Unreadable> {
    let Some(members) = alert.as_object() else {
        return Err(Unreadable::because(
            "an alert is an object, here is something else",
        ));
    };
    if is_control(alert) {
        return Ok(Vec::new());
    }
    if members.contains_key("class_uid") || members.contains_key("finding_info") {
        return ocsf::finding(source, alert, received).map(|finding| vec![finding]);
    }
    if members.contains_key("title") {
        return draft::finding(source, alert, &draft::rest(members), received, Extra::Kept)
            .map(|finding| vec![finding]);
    }
    Err(Unreadable::because(
        "neither a Cordon finding (which has a `title`) nor an OCSF detection finding (which has a `class_uid`); a sender with a format of its own needs its connector",
    ))
}

/// True for a message that only tests the way: `{"type": "ping"}`.
pub fn is_control(alert: &Value) -> bool {
    let says_nothing = ["title", "class_uid", "finding_info", "entities"]
        .iter()
        .all(|name| alert.get(name).is_none());
    let kind = alert.get("type").and_then(Value::as_str);
    says_nothing && matches!(kind, Some("ping" | "heartbeat"))
}

/// The findings of the drafts that a connector's `normalise` returned for one alert. `[]` is a control message.
///
/// # Errors
/// Which draft breaks the contract, and how; then none of the alert's findings count.
pub fn from_drafts(
    source: &str,
    drafts: Vec<Value>,
    context: &Context<'_>,
) -> Result<Vec<Finding>, Unreadable> {
    if drafts.len() > FINDINGS_PER_ALERT_MAX {
        return Err(Unreadable::because(format!(
            "more than {FINDINGS_PER_ALERT_MAX} findings of one alert"
        )));
    }
    // The whole alert under each of many findings would multiply it; then each draft brings its own part.
    let whole = if drafts.len() == 1 {
        context.alert
    } else {
        &Value::Null
    };
    let mut found = Vec::new();
    for (n, draft) in drafts.iter().enumerate() {
        let raw = draft.get("raw").filter(|raw| !raw.is_null()).unwrap_or(whole);
        let finding =
            draft::finding(source, draft, raw, context.received, Extra::Refused).map_err(|error| {
                Unreadable {
                    reason: format!("finding {}: {}", n + 1, error.reason),
                    ..error
                }
            })?;
        found.push(finding);
    }
    Ok(found)
}
