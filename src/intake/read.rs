//! From a kept delivery to findings, with the source's own reader. A reader that looks things up is evaluated again
//! with each answer, as playbooks are; its answers live in memory for this one reading.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::draft::Context;
use super::lookup::{LookUps, NoAnswer, Offline};
use super::normalise::{builtin_findings, from_drafts, is_control, items};
use super::profile::{Normaliser, Profile};
use super::scrub::Secrets;
use super::unreadable::Unreadable;
use crate::clock::Time;
use crate::connector::source_vocabulary;
use crate::digest::Digest;
use crate::finding::Finding;
use crate::limits::{
    ALERT_TEXT_CHARS_MAX, FINDINGS_PER_ALERT_MAX, LOOKUP_WAIT_MS, LOOKUPS_PER_ALERT_MAX, SCRIPT_DEADLINE_MS,
};
use crate::script::{
    Advance, Answer, Answers, Asked, Entry, Evaluators, Failure, Interrupted, Job, Program, Thrown,
};
use crate::secret::{Handle, Secret};

/// Why findings could not be had.
#[derive(Debug, thiserror::Error)]
pub enum NotRead {
    /// The alert makes no sense to us. It stays kept.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Not the alert's fault: try again.
    #[error("the alert was not read to its end: {0}")]
    Interrupted(&'static str),
    /// A look-up has no answer yet: try again later.
    #[error("a look-up has no answer yet: {why}")]
    Later {
        /// Why, for people.
        why: String,
        /// When to try again at the earliest, ms.
        after_ms: u64,
    },
}

/// One delivery.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The alert's id, for the handles of secrets.
    pub id: &'a str,
    /// Headers that were kept, names in lower case.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: &'a [u8],
    /// When it came.
    pub received: Time,
    /// The present.
    pub now: Time,
}

/// What a delivery holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Its findings, in the sender's order. Empty for a message about the channel.
    pub findings: Vec<Finding>,
    /// What its messages about the channel say.
    pub control: Vec<String>,
    /// Look-ups that were asked for and not answered, for people.
    pub unanswered: Vec<String>,
}

/// The findings in a body, in the sender's order, without looking anything up.
///
/// # Errors
/// Why there are none to be had.
pub async fn read(
    evaluators: &Evaluators,
    profile: &Profile,
    headers: &[(String, String)],
    body: &[u8],
    received: Time,
) -> Result<Vec<Finding>, NotRead> {
    let delivery = Delivery {
        id: "offline",
        headers,
        body,
        received,
        now: received,
    };
    let reading = read_with(evaluators, &Offline::default(), profile, &delivery).await?;
    Ok(reading.findings)
}

/// What a delivery holds, with what its reader looks up.
///
/// # Errors
/// Why it cannot be read, or not yet.
pub async fn read_with(
    evaluators: &Evaluators,
    look_ups: &dyn LookUps,
    profile: &Profile,
    delivery: &Delivery<'_>,
) -> Result<Reading, NotRead> {
    let mut reading = Reading::default();
    let program = match &profile.normaliser {
        Normaliser::Builtin => {
            reading.findings = builtin_findings(&profile.name, delivery.body, delivery.received)?;
            return Ok(reading);
        }
        Normaliser::Script(program) => program,
    };
    let headers: serde_json::Map<String, Value> = delivery
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    let mut reader = Reader {
        evaluators,
        look_ups,
        profile,
        program,
        delivery,
        secrets: Secrets::default(),
        looked_up: 0,
        kept: 0,
        unanswered: Vec::new(),
    };
    for alert in items(delivery.body)? {
        if is_control(&alert) {
            continue;
        }
        match reader.read(&alert, &headers).await? {
            Said::Control(what) => reading.control.push(what),
            Said::Drafts(drafts) => {
                let context = Context {
                    received: delivery.received,
                    alert: &alert,
                };
                let found = from_drafts(&profile.name, drafts, &context).map_err(|error| Unreadable {
                    reason: reader.secrets.out_of(&error.reason),
                    ..error
                })?;
                reading.findings.extend(found);
            }
        }
        if reading.findings.len() > FINDINGS_PER_ALERT_MAX {
            let reason =
                format!("it holds more than {FINDINGS_PER_ALERT_MAX} findings: send fewer at a time");
            return Err(Unreadable::because(reason).into());
        }
    }
    reading.unanswered = reader.unanswered;
    Ok(reading)
}

/// How often a script may be cut off by the clock before its alert counts as unreadable. Once may be the machine's
/// fault; an alert that is tried for ever would take the threads from all others.
const CUT_MAX: usize = 3;
/// Rounds of one reading: each answers at least one ask, and sealing is asked for too.
const ROUNDS_MAX: usize = 4 * LOOKUPS_PER_ALERT_MAX;

/// What a script says of one alert.
enum Said {
    Drafts(Vec<Value>),
    Control(String),
}

struct Reader<'a> {
    evaluators: &'a Evaluators,
    look_ups: &'a dyn LookUps,
    profile: &'a Profile,
    program: &'a Program,
    delivery: &'a Delivery<'a>,
    secrets: Secrets,
    looked_up: usize,
    kept: usize,
    unanswered: Vec<String>,
}

impl Reader<'_> {
    async fn read(
        &mut self,
        alert: &Value,
        headers: &serde_json::Map<String, Value>,
    ) -> Result<Said, NotRead> {
        let mut answers = Answers::new();
        let mut cut = 0;
        for _ in 0..ROUNDS_MAX {
            match self.evaluate(alert, headers, &answers).await? {
                Advance::Returned { value, .. } => return self.said(value),
                Advance::Failed { error, .. } => return Err(self.failed(error)),
                Advance::Asks { waiting, .. } if waiting.is_empty() => break,
                Advance::Asks { waiting, .. } => {
                    for asked in &waiting {
                        let answer = self.answer(asked).await?;
                        answers.insert(asked.step.clone(), Answer::to(asked, answer));
                    }
                }
                Advance::Interrupted {
                    why: Interrupted::Deadline,
                } => {
                    cut += 1;
                    if cut >= CUT_MAX {
                        let name = self.program.name();
                        return self.unreadable(format!(
                            "{name} used more than {SCRIPT_DEADLINE_MS} ms on it, {CUT_MAX} times"
                        ));
                    }
                }
                Advance::Interrupted { .. } => return Err(NotRead::Interrupted("the script was cut off")),
                Advance::Diverged { .. } => break,
            }
        }
        self.unreadable(format!("{} asks without end", self.program.name()))
    }

    async fn evaluate(
        &self,
        alert: &Value,
        headers: &serde_json::Map<String, Value>,
        answers: &Answers,
    ) -> Result<Advance, NotRead> {
        let job = Job {
            program: self.program.clone(),
            vocabulary: source_vocabulary(self.profile.lookup.is_some()).clone(),
            entry: Entry::Function {
                name: "normalise".into(),
                args: vec![alert.clone(), Value::Object(headers.clone())],
            },
            inputs: Arc::new(BTreeMap::from([(
                "settings".to_owned(),
                Value::Object(self.profile.settings.clone()),
            )])),
            answers: Arc::new(answers.clone()),
            told: Arc::default(),
            deadline: Duration::from_millis(SCRIPT_DEADLINE_MS),
            stop: Arc::new(AtomicBool::new(false)),
        };
        let (reply, answer) = oneshot::channel();
        self.evaluators.evaluate(
            job,
            Box::new(move |advance| {
                // Whoever asked may be gone; the alert stays unprocessed and is looked at again.
                let _ = reply.send(advance);
            }),
        );
        answer
            .await
            .map_err(|_| NotRead::Interrupted("an evaluation thread ended"))
    }

    /// Answers an ask: with a value, or with an error the script may catch.
    async fn answer(&mut self, asked: &Asked) -> Result<Result<Value, Thrown>, NotRead> {
        let text = |asked: &Asked| match asked.args.first() {
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.clone()),
            _ => Err(Thrown::new("script", format!("`{}` takes a text", asked.name))),
        };
        match asked.name.as_str() {
            "http::get" => self.look_up(asked).await,
            "secret::keep" => match text(asked) {
                Ok(text) => self.keep(text).await.map(Ok),
                Err(thrown) => Ok(Err(thrown)),
            },
            "secret::digest" => Ok(text(asked)
                .map(|text| Value::from(data_encoding::BASE64.encode(&Digest::of(text.as_bytes()).0)))),
            other => Ok(Err(Thrown::new(
                "script",
                format!("`{other}` is no word of a source"),
            ))),
        }
    }

    async fn look_up(&mut self, asked: &Asked) -> Result<Result<Value, Thrown>, NotRead> {
        self.looked_up += 1;
        if self.looked_up > LOOKUPS_PER_ALERT_MAX {
            return self.unreadable(format!(
                "{} asks for more than {LOOKUPS_PER_ALERT_MAX} look-ups",
                self.program.name()
            ));
        }
        let lookup = self.profile.lookup.as_ref();
        match self.look_ups.look_up(self.profile, asked).await {
            Ok(answer) => {
                self.secrets
                    .find(&answer, lookup.map_or(&[], |lookup| lookup.secrets.as_slice()));
                Ok(Ok(answer))
            }
            Err(none) => {
                let none = self.patient(none)?;
                self.unanswered.push(none.why.clone());
                Ok(Err(Thrown::new(none.code, none.why)))
            }
        }
    }

    /// The alert waits while that may help and it has not waited too long; then it goes on without.
    fn patient(&self, none: NoAnswer) -> Result<NoAnswer, NotRead> {
        let waited = self.delivery.now.since_ms(self.delivery.received);
        match none.after_ms {
            Some(after_ms) if waited < LOOKUP_WAIT_MS => Err(NotRead::Later {
                why: none.why,
                after_ms,
            }),
            _ => Ok(none),
        }
    }

    /// Seals a secret. One that cannot be sealed is not passed on: the alert waits for the store.
    async fn keep(&mut self, text: String) -> Result<Value, NotRead> {
        let handle = Handle(format!("alert/{}/{}", self.delivery.id, self.kept));
        self.kept += 1;
        let secret = Secret::new(text);
        let kept = self.look_ups.keep(&handle, &secret).await;
        self.secrets.kept(secret);
        match kept {
            Ok(()) => Ok(json!({ "secret": handle })),
            Err(none) => Err(NotRead::Later {
                why: none.why,
                after_ms: none.after_ms.unwrap_or(crate::limits::LOOKUP_PAUSE_MS),
            }),
        }
    }

    fn said(&self, value: Value) -> Result<Said, NotRead> {
        match value {
            Value::Array(mut drafts) => {
                self.secrets.out_of_drafts(&mut drafts);
                Ok(Said::Drafts(drafts))
            }
            Value::Object(members) if members.len() == 1 && members.contains_key("control") => {
                let what = members.get("control").and_then(Value::as_str).unwrap_or_default();
                let what: String = what
                    .chars()
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .take(ALERT_TEXT_CHARS_MAX)
                    .collect();
                Ok(Said::Control(self.secrets.out_of(&what)))
            }
            value => {
                let kind = if value.is_object() {
                    "a map"
                } else {
                    "something else"
                };
                self.unreadable(format!(
                    "`normalise` of {} returned {kind} instead of a list of findings, or `#{{ control: … }}`",
                    self.program.name()
                ))
            }
        }
    }

    fn failed(&self, error: Failure) -> NotRead {
        let place = error
            .at
            .map(|at| format!(" at line {}", at.line))
            .unwrap_or_default();
        let message = if error.message.is_empty() {
            "it threw something without a message"
        } else {
            &error.message
        };
        let reason = format!("{}{place}: {message}", self.program.name());
        Unreadable::because(self.secrets.out_of(&reason)).into()
    }

    fn unreadable<T>(&self, reason: String) -> Result<T, NotRead> {
        Err(Unreadable::because(self.secrets.out_of(&reason)).into())
    }
}
