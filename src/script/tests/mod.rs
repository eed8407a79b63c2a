//! What the room promises, as a stranger would say it.

mod branching;
mod checking;
mod data;
mod errors;
mod hostile;
mod library;
mod replay;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;

/// The words of the tests: some as a playbook has them.
fn vocabulary() -> Arc<Vocabulary> {
    let words = [
        Word::tell("note", 1..=1, "keeps a line in the log of the run"),
        Word::ask("wait", 1..=1, "waits"),
        Word::ask("approve", 1..=1, "asks people"),
        Word::ask("endpoint::isolate", 1..=2, "cuts a host off"),
        Word::ask("identity::suspend", 1..=2, "suspends an account"),
        Word::ask("cloud::list_keys", 1..=1, "lists keys"),
        Word::tell("notify::oncall", 1..=1, "tells the responder on call"),
    ];
    Arc::new(Vocabulary::new(words).unwrap())
}

fn finding() -> Value {
    json!({
        "title": "Odd sign-in", "severity": 4, "score": 0.5, "big": 18_446_744_073_709_551_615_u64,
        "nothing": null, "case": "c-7",
        "nested": { "tags": ["a", "b", "c"], "deep": { "n": 1 } },
        "entities": [
            { "type": "host", "role": "affected", "name": "ws-1", "uid": "h1" },
            { "type": "host", "role": "affected", "name": "ws-2", "uid": "h2" },
            { "type": "user", "role": "affected", "name": "ana", "uid": "u1" },
            { "type": "user", "role": "actor", "name": "bob", "uid": "u2" },
            { "type": "ip", "role": "observed", "name": "192.0.2.1", "uid": "i1" },
        ],
    })
}

fn job(text: &str) -> Job {
    let inputs = BTreeMap::from([("finding".to_owned(), finding())]);
    Job::new(
        Program::new("playbook.rhai", text),
        vocabulary(),
        Arc::new(inputs),
    )
}

/// What a script returns that asks nothing.
fn value(text: &str) -> Value {
    match advance(&job(text)) {
        Advance::Returned { value, .. } => value,
        other => panic!("{other:?}"),
    }
}

/// How a script fails that asks nothing.
fn failure(text: &str) -> Failure {
    match advance(&job(text)) {
        Advance::Failed { error, .. } => error,
        other => panic!("{other:?}"),
    }
}

/// The steps and names a job waits for.
fn waits_for(job: &Job) -> Vec<String> {
    match advance(job) {
        Advance::Asks { waiting, .. } => waiting
            .iter()
            .map(|asked| format!("{} {}", asked.step, asked.name))
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn waiting(advance: Advance) -> Vec<Asked> {
    match advance {
        Advance::Asks { waiting, .. } => waiting,
        other => panic!("{other:?}"),
    }
}

fn answered(job: &Job, answers: Vec<(&Asked, Result<Value, Thrown>)>) -> Job {
    let mut all = Answers::clone(&job.answers);
    for (asked, result) in answers {
        all.insert(asked.step.clone(), Answer::to(asked, result));
    }
    Job {
        answers: Arc::new(all),
        ..job.clone()
    }
}

/// Runs a job to its end; `answer` answers every ask.
fn run(mut job: Job, mut answer: impl FnMut(&Asked) -> Result<Value, Thrown>) -> (Advance, usize) {
    let mut evaluations = 0;
    loop {
        evaluations += 1;
        match advance(&job) {
            Advance::Asks { waiting, .. } => {
                assert!(!waiting.is_empty(), "waits for nothing");
                let answers = waiting.iter().map(|asked| (asked, answer(asked))).collect();
                job = answered(&job, answers);
            }
            other => return (other, evaluations),
        }
    }
}
