//! The words of a message for what a run's journal holds: what was found, what was done to whom, what is left.

use serde_json::Value;

use crate::action::{Done, Outcome, Verification};
use crate::approval::Request;
use crate::finding::Finding;
use crate::journal::{EffectState, Header, RunState, Stage};

/// Most entities that are named.
const ENTITIES_MAX: usize = 10;
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
        Done::StillHeld => return ("still held by others, left as it is".to_owned(), true),
        Done::NothingToRestore => return ("there was nothing to restore".to_owned(), true),
    };
    let (seen, as_wanted) = match effect.verification.map(|(_, word)| word) {
        Some(Verification::Yes) => ("verified", true),
        Some(Verification::Undone) => ("undone since", true),
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
        "in-doubt" => "look at the vendor whether it happened; nothing is sent again by itself".to_owned(),
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

/// A value that a playbook gives.
pub(super) fn value(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => several(list),
        Value::Object(map) => match (
            map.get("type").and_then(Value::as_str),
            map.get("name").and_then(Value::as_str),
        ) {
            (Some(kind), Some(name)) => format!("{} {name}", kind.replace('_', " ")),
            _ => value.to_string(),
        },
        other => other.to_string(),
    };
    super::text::line(&text, VALUE_CHARS_MAX)
}

fn several(list: &[Value]) -> String {
    // What `attempt` and `each` give: the effects themselves are told already.
    let oks: Vec<bool> = list
        .iter()
        .filter_map(|item| item.get("ok").and_then(Value::as_bool))
        .collect();
    if !list.is_empty() && oks.len() == list.len() {
        let good = oks.iter().filter(|ok| **ok).count();
        return format!("{good} of {} went well", list.len());
    }
    let items: Vec<String> = list.iter().take(ENTITIES_MAX).map(value).collect();
    let left = list.len() - items.len();
    match (items.is_empty(), left) {
        (true, _) => "none".to_owned(),
        (false, 0) => items.join(", "),
        (false, left) => format!("{}, and {left} more", items.join(", ")),
    }
}
