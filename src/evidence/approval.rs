//! Approvals in words: what is asked of whom until when, what each covered effect is, and how it was decided. The
//! same words in a run's timeline and where people answer.

use serde_json::Value;

use super::page::Tone;
use super::words::json_text;
use crate::approval::{Cover, Decided, Request, Vote};
use crate::id::ApprovalId;

/// What is asked, in one line.
pub fn asked(request: &Request) -> String {
    let again = match request.again {
        0 => String::new(),
        times => format!(" (changed since; asked before: {times})"),
    };
    format!("\"{}\"{again}  {}", request.ask, request.approval)
}

/// The lines below it: why, each covered effect, who decides.
pub fn asked_more(request: &Request) -> Vec<String> {
    let mut lines: Vec<String> = request
        .rule
        .iter()
        .map(|rule| format!("because {rule}"))
        .collect();
    lines.extend(request.covers.iter().map(covered));
    if request.covers.is_empty() {
        lines.push("a question: it allows no effect that a guardrail holds".to_owned());
    }
    lines.push(format!("{} until {}", who(request), request.until));
    lines
}

/// One covered effect: what it would do, on what in which state, and how that would be undone.
pub fn covered(cover: &Cover) -> String {
    let prior = match &cover.prior {
        Some(state) if !state.is_empty() => format!("; now `{state}`"),
        _ => String::new(),
    };
    let args = if cover.args.is_empty() {
        String::new()
    } else {
        format!(" {}", json_text(&Value::Object(cover.args.clone())))
    };
    format!("{}{args}{prior}; {}", cover.label, cover.undo)
}

/// Who decides, and who of them may.
pub fn who(request: &Request) -> String {
    let may = if request.may_decide.is_empty() {
        "nobody may".to_owned()
    } else {
        request.may_decide.join(", ")
    };
    format!("{} of `{}` decide ({may})", request.quorum, request.by)
}

pub(super) fn voted(vote: &Vote) -> (String, Tone) {
    let reason = if vote.reason.is_empty() {
        String::new()
    } else {
        format!(": {}", vote.reason)
    };
    if vote.approve {
        (format!("{} approves{reason}", vote.principal), Tone::Plain)
    } else {
        (format!("{} denies{reason}", vote.principal), Tone::Careful)
    }
}

pub(super) fn decision(approval: ApprovalId, decided: &Decided) -> (String, Tone) {
    if decided.granted {
        (format!("GRANTED, {}  {approval}", decided.why), Tone::Good)
    } else {
        (format!("DENIED, {}  {approval}", decided.why), Tone::Careful)
    }
}
