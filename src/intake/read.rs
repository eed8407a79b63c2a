//! From a kept delivery to findings, with the source's own reader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

use super::draft::Context;
use super::normalise::{builtin_findings, from_drafts, is_control, items};
use super::profile::{Normaliser, Profile};
use super::unreadable::Unreadable;
use crate::clock::Time;
use crate::finding::Finding;
use crate::limits::{FINDINGS_PER_ALERT_MAX, SCRIPT_DEADLINE_MS};
use crate::script::{Advance, Entry, Evaluators, Interrupted, Job, Program, Vocabulary};

/// Why findings could not be had.
#[derive(Debug, thiserror::Error)]
pub enum NotRead {
    /// The alert makes no sense to us. It stays kept.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Not the alert's fault: try again.
    #[error("the alert was not read to its end: {0}")]
    Interrupted(&'static str),
}

/// The findings in a body, in the sender's order. An empty list is a message about the channel.
pub async fn read(
    evaluators: &Evaluators,
    profile: &Profile,
    headers: &[(String, String)],
    body: &[u8],
    received: Time,
) -> Result<Vec<Finding>, NotRead> {
    let program = match &profile.normaliser {
        Normaliser::Builtin => return Ok(builtin_findings(&profile.name, body, received)?),
        Normaliser::Script(program) => program,
    };
    let headers: serde_json::Map<String, Value> = headers
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    let mut findings = Vec::new();
    for alert in items(body)? {
        if is_control(&alert) {
            continue;
        }
        let drafts = drafts(evaluators, program, &alert, Value::Object(headers.clone())).await?;
        let context = Context {
            received,
            alert: &alert,
        };
        findings.extend(from_drafts(&profile.name, drafts, &context)?);
        if findings.len() > FINDINGS_PER_ALERT_MAX {
            let reason =
                format!("it holds more than {FINDINGS_PER_ALERT_MAX} findings: send fewer at a time");
            return Err(Unreadable::because(reason).into());
        }
    }
    Ok(findings)
}

/// How often a script may be cut off by the clock before its alert counts as unreadable. Once may be the machine's
/// fault; an alert that is tried for ever would take the threads from all others.
const CUT_MAX: usize = 3;

async fn drafts(
    evaluators: &Evaluators,
    program: &Program,
    alert: &Value,
    headers: Value,
) -> Result<Vec<Value>, NotRead> {
    for _ in 0..CUT_MAX {
        match normalise(evaluators, program, alert, &headers).await? {
            Normalised::Drafts(drafts) => return Ok(drafts),
            Normalised::Cut => {}
        }
    }
    let reason = format!(
        "{} used more than {SCRIPT_DEADLINE_MS} ms on it, {CUT_MAX} times",
        program.name()
    );
    Err(Unreadable::because(reason).into())
}

/// What one call of a script came to.
enum Normalised {
    Drafts(Vec<Value>),
    /// It did not end in time.
    Cut,
}

async fn normalise(
    evaluators: &Evaluators,
    program: &Program,
    alert: &Value,
    headers: &Value,
) -> Result<Normalised, NotRead> {
    let job = Job {
        program: program.clone(),
        vocabulary: no_words()?,
        entry: Entry::Function {
            name: "normalise".into(),
            args: vec![alert.clone(), headers.clone()],
        },
        inputs: Arc::new(BTreeMap::new()),
        answers: Arc::default(),
        told: Arc::default(),
        deadline: Duration::from_millis(SCRIPT_DEADLINE_MS),
        stop: Arc::new(AtomicBool::new(false)),
    };
    let (reply, answer) = oneshot::channel();
    evaluators.evaluate(
        job,
        Box::new(move |advance| {
            // Whoever asked may be gone; the alert stays unprocessed and is looked at again.
            let _ = reply.send(advance);
        }),
    );
    match answer.await {
        Ok(Advance::Returned {
            value: Value::Array(drafts),
            ..
        }) => Ok(Normalised::Drafts(drafts)),
        Ok(Advance::Returned { value, .. }) => {
            let kind = if value.is_object() {
                "a map"
            } else {
                "something else"
            };
            let reason = format!(
                "`normalise` of {} returned {kind} instead of a list of findings",
                program.name()
            );
            Err(Unreadable::because(reason).into())
        }
        Ok(Advance::Failed { error, .. }) => {
            let place = error
                .at
                .map(|at| format!(" at line {}", at.line))
                .unwrap_or_default();
            let message = if error.message.is_empty() {
                "it threw something without a message"
            } else {
                &error.message
            };
            Err(Unreadable::because(format!("{}{place}: {message}", program.name())).into())
        }
        Ok(Advance::Asks { .. } | Advance::Diverged { .. }) => Err(Unreadable::because(format!(
            "{} asks for something, and nothing answers",
            program.name()
        ))
        .into()),
        Ok(Advance::Interrupted {
            why: Interrupted::Deadline,
        }) => Ok(Normalised::Cut),
        Ok(Advance::Interrupted { .. }) => Err(NotRead::Interrupted("the script was cut off")),
        Err(_) => Err(NotRead::Interrupted("an evaluation thread ended")),
    }
}

fn no_words() -> Result<Arc<Vocabulary>, Unreadable> {
    Vocabulary::new([])
        .map(Arc::new)
        .map_err(|error| Unreadable::because(error.to_string()))
}
