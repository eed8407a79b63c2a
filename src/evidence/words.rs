//! The words of a timeline: what ends, outcomes, faults, arguments and moments are called for people.

use serde_json::Value;

use super::page::{Tone, short};
use crate::action::{Done, Fault, Retry};
use crate::clock::duration_text;
use crate::journal::{Cause, End};

/// Longest argument or value shown, characters.
const VALUE_CHARS_MAX: usize = 160;

pub fn tone_of(end: End) -> Tone {
    match end {
        End::Succeeded => Tone::Good,
        End::RolledBack | End::Cancelled => Tone::Careful,
        End::Kept | End::InDoubt => Tone::Loud,
    }
}

pub fn how_text(how: Done) -> &'static str {
    match how {
        Done::Acted => "the vendor said yes",
        Done::AlreadySo => "it was so before, nothing was sent",
        Done::Observed => "looking shows that it is so",
        Done::Told => "a person who looked says that it happened",
        Done::StillHeld => "our share of the hold is gone; others still hold it, nothing was sent",
        Done::NothingToRestore => "there was nothing to restore, nothing was sent",
    }
}

pub fn cause_text(cause: &Cause) -> String {
    match cause {
        Cause::Trigger {
            trigger,
            finding,
            alert,
        } => format!("trigger `{trigger}` fits {finding} of {alert}"),
        other => other.line(),
    }
}

pub fn fault_text(fault: &Fault) -> String {
    format!("{}: {}", fault.code, fault.message)
}

pub fn retry_text(retry: Retry) -> String {
    match retry {
        Retry::Never => String::new(),
        Retry::Backoff => "; tried again after a pause".to_owned(),
        Retry::AfterMs(ms) => format!("; tried again after {}", duration_text(ms)),
    }
}

pub fn place(line: u32, file: Option<&str>) -> String {
    match file {
        Some(file) => format!("line {line} of {file}"),
        None => format!("line {line}"),
    }
}

/// The path of an address, without its host; the peer is shown beside it.
pub fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/")
}

pub fn args_text(args: &[Value]) -> String {
    let args: Vec<String> = args.iter().map(argument).collect();
    if args.is_empty() {
        String::new()
    } else {
        format!(" {}", args.join(", "))
    }
}

/// An entity as its label, an effect of a run as both names, everything else as JSON.
pub fn argument(value: &Value) -> String {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    if let (Some(effect), Some(run)) = (text("effect"), text("run")) {
        return format!("{effect} of {run}");
    }
    match (text("type"), text("name")) {
        (Some(kind), Some(name)) => format!("{} {name}", kind.replace('_', " ")),
        _ => json_text(value),
    }
}

/// A receipt by what matters of it, everything else as JSON.
pub fn receipt(value: &Value) -> String {
    match (value.get("effect"), value.get("verified").and_then(Value::as_str)) {
        (Some(_), Some(verified)) => {
            let how = value
                .get("how")
                .and_then(Value::as_str)
                .unwrap_or("done")
                .replace('_', " ");
            format!("{how}, verified: {verified}")
        }
        _ => json_text(value),
    }
}

pub fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| json_text(value), str::to_owned)
}

pub fn fields(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Object(map) if map.is_empty() => String::new(),
        other => format!(" {}", json_text(other)),
    }
}

pub fn json_text(value: &Value) -> String {
    short(&value.to_string(), VALUE_CHARS_MAX)
}

/// Time since the beginning, at most nine characters: `+0.123s`, `+12m 05s`, `+3h 05m`, `+2d 03h`.
pub fn since(ms: u64) -> String {
    let s = ms / 1_000;
    match s {
        0..=59 => format!("+{s}.{:03}s", ms % 1_000),
        60..=3_599 => format!("+{}m {:02}s", s / 60, s % 60),
        3_600..=86_399 => format!("+{}h {:02}m", s / 3_600, s % 3_600 / 60),
        _ => format!("+{}d {:02}h", s / 86_400, s % 86_400 / 3_600),
    }
}
