//! The words of a message for what a run's journal holds: what was found, what was done to whom, what is left.

use serde_json::Value;

use crate::action::{Done, Outcome, Verification};
use crate::approval::Request;
use crate::finding::Finding;
use crate::journal::{EffectState, Header, RunState, Stage};

/// Most entities that are named.
const ENTITIES_MAX: usize = 10;
/// Most failed branches that are named.
const FAILURES_MAX: usize = 3;
/// How deep a value is told; what is deeper is counted.
const VALUE_DEPTH_MAX: usize = 3;
/// Longest value of a playbook, characters.
const VALUE_CHARS_MAX: usize = 300;

/// What the run answers: the finding, or what else began it.
pub(super) fn happened(header: &Header) -> Vec<String> {
    let mut lines = Vec::new();
    let finding = header
        .inputs
        .get("finding")
        .and_then(|value| serde_json::from_value::<Finding>(value.clone()).ok());
    match finding {
        Some(finding) => {
            lines.push(format!(
                "{} (severity {}, from {})",
                finding.title,
                finding.severity_id.word(),
                finding.source
            ));
            let mut named: Vec<String> = finding
                .entities
                .iter()
                .take(ENTITIES_MAX)
                .map(|entity| format!("{} ({})", entity.label(), entity.role.word()))
                .collect();
            let left = (finding.entities.len() + finding.entities_left_out).saturating_sub(named.len());
            if left > 0 {
                named.push(format!("and {left} more"));
            }
            if !named.is_empty() {
                lines.push(format!("about {}", named.join(", ")));
            }
            if !finding.url.is_empty() {
                lines.push(format!("at the sender: {}", finding.url));
            }
        }
        None if !header.subject.is_empty() => {
            lines.push(format!("{}, about {}", header.title, header.subject));
        }
        None => lines.push(header.title.clone()),
    }
    lines.push(format!("started by {}", header.cause.line()));
    lines
}

/// What was changed and is as wanted; and what is not, or not yet, or nobody knows.
pub(super) fn effects(state: &RunState) -> (Vec<String>, Vec<String>) {
    let (mut done, mut open) = (Vec::new(), Vec::new());
    for effect in state
        .effects_in_order()
        .filter(|effect| effect.bound.spec.changes())
    {
        let (text, as_wanted) = stands(effect);
        let whole = format!("{}: {text}", name(effect));
        if as_wanted {
            done.push(whole);
        } else {
            open.push(whole);
        }
    }
    (done, open)
}

fn name(effect: &EffectState) -> String {
    let whom = match (&effect.target, &effect.bound.entity) {
        (Some(target), _) => format!(" on {} at {}", target.label(), target.instance),
        (None, Some(entity)) => format!(" on {} at {}", entity.label(), effect.bound.instance),
        (None, None) => format!(" at {}", effect.bound.instance),
    };
    format!("{}{whom}", effect.bound.spec.name)
}

/// How an effect stands, and whether that is what was wanted.
fn stands(effect: &EffectState) -> (String, bool) {
    match effect.stage() {
        Stage::Done => finished(effect),
        Stage::NotDone(fault) => (format!("NOT done, {fault}"), false),
        Stage::InDoubt => ("IN DOUBT, it may or may not have happened".to_owned(), false),
        Stage::Unknown => (
            "sent, and no clear answer yet; it is being looked at".to_owned(),
            false,
        ),
        Stage::Intended(_) => ("being sent".to_owned(), false),
        Stage::Held(_) => {
            let why = effect.verdict.as_ref().map(|(_, verdict)| verdict.why());
            (format!("held: {}", why.unwrap_or_default()), false)
        }
        Stage::Again(_) | Stage::LookAgain(_) => ("not done yet, tried again".to_owned(), false),
        Stage::Bound | Stage::Resolved => ("not begun yet".to_owned(), false),
    }
}

fn finished(effect: &EffectState) -> (String, bool) {
    let how = match effect.done() {
        Some((_, Outcome::Done { how, .. })) => *how,
        _ => Done::Acted,
    };
    let until = effect
        .lease_end()
        .map(|end| format!(", until {end}"))
        .unwrap_or_default();
    let how = match how {
        Done::Acted => "done",
        Done::AlreadySo => "was so before",
        Done::Observed => "done, seen although the answer was lost",
        Done::Told => "happened, as a person who looked says",
        Done::StillHeld => return ("still held by others, left as it is".to_owned(), true),
        Done::NothingToRestore => return ("there was nothing to restore".to_owned(), true),
    };
    let (seen, as_wanted) = match effect.verification.map(|(_, word)| word) {
        Some(Verification::Yes) => ("verified", true),
        Some(Verification::Undone) => ("undone since", true),
        Some(Verification::HeldAgain) => ("held again by another effect since", true),
        Some(Verification::Pending) | None => ("not seen in force yet", false),
        Some(Verification::NotInForce) => ("REQUESTED, NOT IN FORCE", false),
        Some(Verification::Unverifiable) => ("nobody can see whether it is in force", false),
        Some(Verification::Contradicted) => ("CONTRADICTED, it reads otherwise", false),
    };
    (format!("{how}, {seen}{until}"), as_wanted)
}

/// What somebody who hears an alarm is asked to do.
pub(super) fn asked_by_alarm(code: &str, state: &RunState) -> String {
    let run = state.header.run;
    match code {
        "in-doubt" => match state.doubts().last() {
            Some(effect) => format!(
                "look at the vendor whether it happened, then say `cordon resolve {} --happened --reason …` or `--did-not`; the run waits for it, and nothing is sent again by itself",
                effect.bound.effect
            ),
            None => "look at the vendor whether it happened; nothing is sent again by itself".to_owned(),
        },
        "contradicted" => {
            "look at the vendor: it said yes, and it is not so; act by hand if it matters".to_owned()
        }
        "not-in-force" => {
            "the vendor took it and it is not in force; look whether the target is online".to_owned()
        }
        "undo-failed" => {
            format!("it is not restored: see why with `cordon show {run}`, then `cordon contained`")
        }
        "changed-since" => {
            "somebody changed the target since; look, and restore it by hand if that is right".to_owned()
        }
        "diverged" => "the playbook does not replay as recorded; run the version it began under".to_owned(),
        _ => format!("see what is left to do by hand: `cordon show {run}`"),
    }
}

/// What a request for approval asks, of whom, until when.
pub(super) fn asked(request: &Request) -> Vec<String> {
    let who = if request.may_decide.is_empty() {
        "nobody there may".to_owned()
    } else {
        request.may_decide.join(", ")
    };
    let mut lines = vec![
        request.ask.clone(),
        format!("{} of `{}` have to agree: {who}", request.quorum, request.by),
        format!(
            "until {}; without enough answers it is denied then",
            request.until
        ),
    ];
    if let Some(rule) = &request.rule {
        lines.push(format!("the rule `{rule}` demands it"));
    }
    if request.again > 0 {
        lines.push(
            "what it is about changed since it was asked before; earlier answers do not count".to_owned(),
        );
    }
    lines
}

/// How a request is answered.
pub(super) fn answering(request: &Request) -> Vec<String> {
    let id = request.approval;
    vec![
        // With the digest a yes is to what this message says, and not to what it may have become.
        format!("cordon approve {id} --digest {}", request.digest),
        format!("cordon deny {id} --reason '…'"),
        format!("or POST /api/approvals/{id}/approve or /deny with a token of your own"),
    ]
}

/// A value that a playbook gives, in words and never as JSON.
pub(super) fn value(value: &Value) -> String {
    super::text::line(&in_words(value, VALUE_DEPTH_MAX), VALUE_CHARS_MAX)
}

fn in_words(value: &Value, depth: usize) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(list) if depth == 0 => format!("{} of them", list.len()),
        Value::Array(list) => several(list, depth - 1),
        Value::Object(map) => members(map, depth),
    }
}

fn members(map: &serde_json::Map<String, Value>, depth: usize) -> String {
    let text = |key: &str| map.get(key).and_then(Value::as_str);
    if let (Some(kind), Some(name)) = (text("type"), text("name")) {
        return format!("{} {name}", kind.replace('_', " "));
    }
    // What `attempt` and `each` give of one branch.
    match map.get("ok").and_then(Value::as_bool) {
        Some(true) => return "went well".to_owned(),
        Some(false) => return failure(map.get("error")),
        None => {}
    }
    if depth == 0 {
        return "(more inside)".to_owned();
    }
    let told: Vec<String> = map
        .iter()
        .take(ENTITIES_MAX)
        .map(|(key, value)| format!("{}: {}", key.replace('_', " "), in_words(value, depth - 1)))
        .collect();
    match (told.is_empty(), map.len() - told.len()) {
        (true, _) => "nothing".to_owned(),
        (false, 0) => told.join("; "),
        (false, left) => format!("{}; and {left} more", told.join("; ")),
    }
}

/// Why a branch failed.
fn failure(error: Option<&Value>) -> String {
    let text = |key: &str| error.and_then(|error| error.get(key)).and_then(Value::as_str);
    match (text("message"), text("action")) {
        (Some(message), Some(action)) => format!("{action} failed: {message}"),
        (Some(message), None) => format!("failed: {message}"),
        _ => "failed".to_owned(),
    }
}

fn several(list: &[Value], depth: usize) -> String {
    // What `attempt` and `each` give: the effects themselves are told already, so only what failed is named.
    let oks: Vec<bool> = list
        .iter()
        .filter_map(|item| item.get("ok").and_then(Value::as_bool))
        .collect();
    if !list.is_empty() && oks.len() == list.len() {
        let good = oks.iter().filter(|ok| **ok).count();
        let failures: Vec<String> = list
            .iter()
            .filter(|item| item.get("ok").and_then(Value::as_bool) == Some(false))
            .take(FAILURES_MAX)
            .map(|item| failure(item.get("error")))
            .collect();
        let but = if failures.is_empty() {
            String::new()
        } else {
            format!(": {}", failures.join(", "))
        };
        return format!("{good} of {} went well{but}", list.len());
    }
    let items: Vec<String> = list
        .iter()
        .take(ENTITIES_MAX)
        .map(|item| in_words(item, depth))
        .collect();
    let left = list.len() - items.len();
    match (items.is_empty(), left) {
        (true, _) => "none".to_owned(),
        (false, 0) => items.join(", "),
        (false, left) => format!("{}, and {left} more", items.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::value;
    use serde_json::json;

    #[test]
    fn values_of_playbooks_are_told_in_words() {
        let well = json!({ "ok": true, "value": { "id": "x" } });
        let failed = json!({ "ok": false, "error": { "code": "denied", "message": "not allowed", "action": "okta::suspend_user" } });
        for (given, told) in [
            (json!("text"), "text"),
            (json!(7), "7"),
            (json!(true), "yes"),
            (json!(null), "nothing"),
            (json!([]), "none"),
            (json!({}), "nothing"),
            (
                json!({ "type": "access_key", "name": "AKIA1" }),
                "access key AKIA1",
            ),
            (json!([well, well]), "2 of 2 went well"),
            (
                json!([well, failed]),
                "1 of 2 went well: okta::suspend_user failed: not allowed",
            ),
            (failed.clone(), "okta::suspend_user failed: not allowed"),
            (
                json!({ "found": 3, "left_over": [{ "type": "access_key", "name": "AKIA1" }], "report": [well, failed] }),
                "found: 3; left over: access key AKIA1; report: 1 of 2 went well: okta::suspend_user failed: not allowed",
            ),
            (
                json!({ "a": { "b": { "c": { "d": 1 } } } }),
                "a: b: c: (more inside)",
            ),
        ] {
            assert_eq!(value(&given), told, "{given}");
        }
    }
}
