//! What came of an attempt, decided from how its script ended and from what became of its one change. The rule
//! behind every line: once a change was accepted, nothing but a clear word of the connector makes it *not done*.

use serde_json::Value;

use crate::action::{Class, Done, Fault, Outcome, Retry};
use crate::digest::canonical;
use crate::limits::ANSWER_BYTES_MAX;
use crate::script::{Failure, Interrupted};

/// What became of the one request that may change something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Change {
    /// It was not sent.
    #[default]
    Unsent,
    /// The vendor answered that it refuses it.
    Refused(u16),
    /// The vendor answered that it takes it.
    Accepted,
}

/// The transport's word that ends an attempt, whatever the script wants.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stop {
    /// The request did nothing.
    NotDone(Fault, Retry),
    /// The change may have happened.
    Unknown(Fault),
}

/// How an attempt's script ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ended {
    Returned(Value),
    Threw(Failure),
    Stopped(Stop),
    Interrupted(Interrupted),
    Diverged,
}

/// The outcome of an action.
pub(super) fn settle(ended: Ended, change: Change, class: Class) -> Outcome {
    let (fault, retry) = match ended {
        Ended::Returned(value) => match returned(value, change, class) {
            Ok(outcome) => return outcome,
            Err(fault) => (fault, Retry::Never),
        },
        Ended::Stopped(Stop::Unknown(fault)) => return Outcome::Unknown { fault },
        other => failed(other),
    };
    if change == Change::Accepted {
        Outcome::Unknown { fault }
    } else {
        Outcome::NotDone { fault, retry }
    }
}

/// What an ending other than a return says: why, and whether to try again.
pub(super) fn failed(ended: Ended) -> (Fault, Retry) {
    match ended {
        Ended::Stopped(Stop::NotDone(fault, retry)) => (fault, retry),
        Ended::Stopped(Stop::Unknown(fault)) => (fault, Retry::Backoff),
        Ended::Threw(failure) => (thrown(failure), Retry::Never),
        Ended::Interrupted(Interrupted::Deadline) => (
            Fault::new(
                "connector-script",
                "the connector's script took longer than it may",
            ),
            Retry::Backoff,
        ),
        Ended::Interrupted(Interrupted::Stopped | Interrupted::Busy) => (
            Fault::new("interrupted", "the attempt was cut off on our side"),
            Retry::Backoff,
        ),
        Ended::Diverged => (
            Fault::new(
                "connector-script",
                "the connector's script does not repeat itself",
            ),
            Retry::Never,
        ),
        Ended::Returned(_) => (
            Fault::new(
                "connector-script",
                "the connector's script returned what it should not",
            ),
            Retry::Never,
        ),
    }
}

/// A script's own error keeps its code; an error of the language is the connector's defect, with its place.
fn thrown(failure: Failure) -> Fault {
    const OF_THE_LANGUAGE: [&str; 5] = ["script", "limit", "not-data", "check", "fault"];
    if !OF_THE_LANGUAGE.contains(&failure.code.as_str()) {
        return Fault {
            code: failure.code,
            message: failure.message,
            data: failure.data,
        };
    }
    let place = failure
        .at
        .map_or(String::new(), |at| format!(" (line {})", at.line));
    Fault::new("connector-script", format!("{}{place}", failure.message))
}

fn returned(value: Value, change: Change, class: Class) -> Result<Outcome, Fault> {
    let is = |key: &str| value.get(key) == Some(&Value::Bool(true));
    let text = |key: &str| {
        value
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    match (is("done"), is("not_done")) {
        (true, false) => {
            let how = match (class, change, is("already")) {
                (Class::Read, ..) | (_, Change::Accepted, _) => Done::Acted,
                (_, _, true) => Done::AlreadySo,
                (_, Change::Unsent, false) => {
                    return Err(defect("says done and has sent nothing".into()));
                }
                (_, Change::Refused(status), false) => {
                    return Err(defect(format!(
                        "says done although the vendor refused with status {status}"
                    )));
                }
            };
            let result = value.get("result").cloned().unwrap_or(Value::Null);
            if canonical(&result).len() <= ANSWER_BYTES_MAX {
                return Ok(Outcome::Done { how, result });
            }
            if class == Class::Read {
                return Err(Fault::new(
                    "too-large",
                    format!("the result is longer than {ANSWER_BYTES_MAX} bytes"),
                ));
            }
            let result = serde_json::json!({ "left_out": "the result was too long to keep" });
            Ok(Outcome::Done { how, result })
        }
        (false, true) => {
            let code = if text("code").is_empty() {
                "refused".to_owned()
            } else {
                text("code")
            };
            let message = if text("message").is_empty() {
                "the vendor did not do it".to_owned()
            } else {
                text("message")
            };
            let retry = if text("retry") == "backoff" {
                Retry::Backoff
            } else {
                Retry::Never
            };
            let data = value.get("data").cloned().unwrap_or(Value::Null);
            Ok(Outcome::NotDone {
                fault: Fault { code, message, data },
                retry,
            })
        }
        _ => Err(defect("says neither `done: true` nor `not_done: true`".into())),
    }
}

fn defect(what: String) -> Fault {
    Fault::new("connector-script", format!("the connector's script {what}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::script::Thrown;

    fn word(outcome: &Outcome) -> String {
        match outcome {
            Outcome::Done { how, .. } => format!("done {how:?}"),
            Outcome::NotDone { fault, retry } => format!("not done {retry:?} {}", fault.code),
            Outcome::Unknown { fault } => format!("unknown {}", fault.code),
        }
    }

    fn threw(code: &str) -> Ended {
        let thrown = Thrown::new(code, "no");
        Ended::Threw(Failure {
            code: thrown.code,
            message: thrown.message,
            action: None,
            data: Value::Null,
            at: None,
            file: None,
            chain: Vec::new(),
        })
    }

    #[test]
    fn an_accepted_change_is_never_taken_for_not_done_without_the_connectors_word() {
        let not_done = || Ended::Returned(json!({"not_done": true, "code": "no-op"}));
        let stopped = || Ended::Stopped(Stop::NotDone(Fault::new("vendor-error", "m"), Retry::Backoff));
        let cases = [
            (Ended::Returned(json!({"done": true})), "done Acted"),
            (
                Ended::Returned(json!({"done": true, "already": true})),
                "done Acted",
            ),
            (not_done(), "not done Never no-op"),
            (Ended::Returned(json!({})), "unknown connector-script"),
            (Ended::Returned(json!(null)), "unknown connector-script"),
            (
                Ended::Returned(json!({"done": true, "not_done": true})),
                "unknown connector-script",
            ),
            (threw("odd"), "unknown odd"),
            (threw("limit"), "unknown connector-script"),
            (stopped(), "unknown vendor-error"),
            (
                Ended::Interrupted(Interrupted::Deadline),
                "unknown connector-script",
            ),
            (Ended::Diverged, "unknown connector-script"),
        ];
        for (ended, expected) in cases {
            let shown = format!("{ended:?}");
            assert_eq!(
                word(&settle(ended, Change::Accepted, Class::Set)),
                expected,
                "{shown}"
            );
        }
    }

    #[test]
    fn what_was_not_accepted_did_not_happen() {
        let cases = [
            (
                Ended::Returned(json!({"done": true})),
                Change::Unsent,
                "not done Never connector-script",
            ),
            (
                Ended::Returned(json!({"done": true})),
                Change::Refused(409),
                "not done Never connector-script",
            ),
            (
                Ended::Returned(json!({"done": true, "already": true})),
                Change::Refused(409),
                "done AlreadySo",
            ),
            (
                Ended::Returned(json!({"done": true, "already": true})),
                Change::Unsent,
                "done AlreadySo",
            ),
            (
                Ended::Returned(json!({"not_done": true, "retry": "backoff"})),
                Change::Unsent,
                "not done Backoff refused",
            ),
            (
                threw("host-busy"),
                Change::Refused(409),
                "not done Never host-busy",
            ),
            (threw("script"), Change::Unsent, "not done Never connector-script"),
            (
                Ended::Interrupted(Interrupted::Busy),
                Change::Unsent,
                "not done Backoff interrupted",
            ),
        ];
        for (ended, change, expected) in cases {
            let shown = format!("{ended:?} {change:?}");
            assert_eq!(word(&settle(ended, change, Class::Set)), expected, "{shown}");
        }
    }

    #[test]
    fn a_lost_change_is_unknown() {
        let lost = Ended::Stopped(Stop::Unknown(Fault::new("timeout", "m")));
        assert_eq!(word(&settle(lost, Change::Unsent, Class::Set)), "unknown timeout");
    }

    #[test]
    fn a_result_that_is_too_long_fails_a_look_and_not_a_change() {
        let long = json!({"done": true, "result": "x".repeat(ANSWER_BYTES_MAX)});
        let look = settle(Ended::Returned(long.clone()), Change::Unsent, Class::Read);
        assert_eq!(word(&look), "not done Never too-large");
        let change = settle(Ended::Returned(long), Change::Accepted, Class::Set);
        assert_eq!(word(&change), "done Acted");
    }
}
