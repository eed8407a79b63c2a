//! What a sender's script may ask while it reads an alert, and who answers: a vendor by way of a connector instance,
//! or, offline, a file. A secret that was looked up goes to the sealed store before the script goes on, and the
//! script holds its handle; nothing here writes one anywhere else.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::profile::Profile;
use crate::action::Retry;
use crate::connector::{Catalog, Instances, Invoker, LookUpTarget};
use crate::limits::{LOOKUP_PAUSE_MS, LOOKUPS_AT_ONCE};
use crate::script::Asked;
use crate::secret::{Handle, Secret};
use crate::store::Sealed;

/// Why a look-up has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer {
    /// `lookup-failed`, or `lookup-skipped` where nobody can answer here.
    pub code: &'static str,
    /// In words for people, without anything that was read.
    pub why: String,
    /// When asking again may help, ms from now; `None` where it will not.
    pub after_ms: Option<u64>,
}

impl NoAnswer {
    fn skipped(why: impl Into<String>) -> NoAnswer {
        NoAnswer {
            code: "lookup-skipped",
            why: why.into(),
            after_ms: None,
        }
    }
}

/// Whoever answers.
#[async_trait]
pub trait LookUps: Send + Sync {
    /// Answers one `http::get` of the source's script.
    async fn look_up(&self, profile: &Profile, asked: &Asked) -> Result<Value, NoAnswer>;

    /// Keeps a secret under a handle, replacing what was there. Only afterwards may the handle be used.
    async fn keep(&self, handle: &Handle, secret: &Secret) -> Result<(), NoAnswer>;
}

/// The vendors.
pub struct Vendors {
    invoker: Invoker,
    instances: Arc<Instances>,
    connectors: Arc<Catalog>,
    sealed: Sealed,
    places: Semaphore,
}

impl Vendors {
    /// Look-ups at these instances; secrets go to `sealed`.
    pub fn new(
        invoker: Invoker,
        instances: Arc<Instances>,
        connectors: Arc<Catalog>,
        sealed: Sealed,
    ) -> Vendors {
        Vendors {
            invoker,
            instances,
            connectors,
            sealed,
            places: Semaphore::new(LOOKUPS_AT_ONCE),
        }
    }

    fn target(&self, profile: &Profile) -> Result<LookUpTarget, NoAnswer> {
        let Some(lookup) = &profile.lookup else {
            return Err(NoAnswer::skipped(format!(
                "the source `{}` names no instance to ask: add `lookup = \"INSTANCE\"`",
                profile.name
            )));
        };
        let instance = self.instances.named(&lookup.instance);
        let connector = self.connectors.connector(&profile.connector);
        instance
            .zip(connector)
            .and_then(|(instance, connector)| LookUpTarget::new(connector, instance))
            .ok_or_else(|| NoAnswer::skipped(format!("the instance `{}` cannot be asked", lookup.instance)))
    }
}

#[async_trait]
impl LookUps for Vendors {
    async fn look_up(&self, profile: &Profile, asked: &Asked) -> Result<Value, NoAnswer> {
        let target = self.target(profile)?;
        let Ok(_place) = self.places.try_acquire() else {
            return Err(NoAnswer {
                code: "lookup-failed",
                why: "as many look-ups as may be are under way".into(),
                after_ms: Some(LOOKUP_PAUSE_MS),
            });
        };
        let answer = self.invoker.look_up(&target, asked).await;
        answer.map_err(|(fault, retry)| NoAnswer {
            code: "lookup-failed",
            why: fault.message,
            after_ms: match retry {
                Retry::Never => None,
                Retry::Backoff => Some(LOOKUP_PAUSE_MS),
                Retry::AfterMs(ms) => Some(ms),
            },
        })
    }

    async fn keep(&self, handle: &Handle, secret: &Secret) -> Result<(), NoAnswer> {
        self.sealed.put(handle, secret).await.map_err(|error| NoAnswer {
            code: "lookup-failed",
            why: format!("the secret could not be sealed: {error}"),
            after_ms: Some(LOOKUP_PAUSE_MS),
        })
    }
}

/// Nobody: answers written down beforehand, by path. Keeps no secret.
#[derive(Clone, Debug, Default)]
pub struct Offline {
    answers: BTreeMap<String, Value>,
}

impl Offline {
    /// These answers: `{ "/path": { "status": 200, "body": … } }`; an answer without `status` is a body.
    pub fn with(answers: BTreeMap<String, Value>) -> Offline {
        Offline { answers }
    }
}

#[async_trait]
impl LookUps for Offline {
    async fn look_up(&self, _: &Profile, asked: &Asked) -> Result<Value, NoAnswer> {
        let path = path(asked);
        let Some(answer) = self.answers.get(&path) else {
            return Err(NoAnswer::skipped(format!("nobody is asked for `{path}` here")));
        };
        let status = answer.get("status").and_then(Value::as_u64);
        Ok(json!({
            "status": status.unwrap_or(200),
            "headers": answer.get("headers").filter(|_| status.is_some()).cloned().unwrap_or_else(|| json!({})),
            "body": if status.is_some() { answer.get("body").cloned().unwrap_or(Value::Null) } else { answer.clone() },
        }))
    }

    async fn keep(&self, _: &Handle, _: &Secret) -> Result<(), NoAnswer> {
        Ok(())
    }
}

/// The path of an ask, as a file of answers names it; lists are joined without encoding.
fn path(asked: &Asked) -> String {
    match asked.args.first() {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .map(|part| match part {
                Value::String(text) => format!("/{text}"),
                other => format!("/{other}"),
            })
            .collect(),
        _ => String::new(),
    }
}
