//! One try to deliver one message by one way, through the same connectors that runs act with: their hosts, their
//! timeouts, their pauses. Says what came of it and decides nothing about trying again.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::letter::Letter;
use super::plan::{Plan, Way};
use super::record::{Got, Thread, Tried};
use crate::action::{Class, Fault, Outcome, Retry, Standing, Target};
use crate::clock::Clock;
use crate::connector::Catalog;
use crate::finding::{EntityType, SeverityId};
use crate::limits::NOTIFY_TRY_MS;
use crate::playbook::{Loaded, vocabulary};
use crate::run::{Binding, Vendors};
use crate::script::{NotAWord, Program};

/// Reaches people.
#[derive(Clone)]
pub struct Sender {
    vendors: Arc<dyn Vendors>,
    loaded: Arc<Loaded>,
    clock: Arc<dyn Clock>,
}

/// Who can be told here, and the means: what a surface needs for lists and tests.
#[derive(Clone)]
pub struct Reach {
    /// Who.
    pub plan: Arc<Plan>,
    /// The means.
    pub sender: Sender,
}

/// What is sent.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The words.
    pub letter: Letter,
    /// How severe.
    pub severity: SeverityId,
    /// The same for every try.
    pub key: String,
    /// The conversation it goes to, where that is at the way's instance.
    pub thread: Option<Thread>,
    /// For links to this server.
    pub public_url: Option<String>,
    /// True when an earlier try may have arrived: a channel that cannot tell a repeat is looked at first.
    pub may_be_there: bool,
}

impl Sender {
    /// A sender over these vendors, with the connectors as they are now: a message is no part of any run's bundle.
    ///
    /// # Errors
    /// A connector has a name that no script could call, which loading has refused already.
    pub fn new(
        vendors: Arc<dyn Vendors>,
        connectors: &Catalog,
        clock: Arc<dyn Clock>,
    ) -> Result<Sender, NotAWord> {
        let loaded = Loaded {
            program: Program::new("cordon/notify.rhai", ""),
            vocabulary: vocabulary(connectors, true)?,
            connectors: connectors.clone(),
        };
        Ok(Sender {
            vendors,
            loaded: Arc::new(loaded),
            clock,
        })
    }

    /// Tries once.
    pub async fn send(&self, way: &Way, parcel: &Parcel) -> Tried {
        let binding = match self.vendors.binding(&self.loaded, &way.instance, &way.action) {
            Ok(binding) => binding,
            Err(fault) => return Tried::Refused(fault.to_string()),
        };
        let mut args = Map::new();
        let url = parcel.public_url.as_deref();
        let mut give = |name: &str, text: String| {
            if binding.spec.args.contains_key(name) {
                args.insert(name.to_owned(), Value::String(text));
            }
        };
        give("to", way.to.clone());
        give("subject", parcel.letter.subject.clone());
        give("text", parcel.letter.text(url));
        give("html", parcel.letter.html(url));
        give("severity", parcel.severity.word().to_owned());
        if let Some(thread) = parcel.thread.as_ref().filter(|one| one.instance == way.instance) {
            give("thread", thread.thread.clone());
        }
        if parcel.may_be_there
            && let Some(tried) = self.look(way, &binding, &args, &parcel.key).await
        {
            return tried;
        }
        let act = self.vendors.act(&self.loaded, &binding, None, &args, &parcel.key);
        let acted = match tokio::time::timeout(Duration::from_millis(NOTIFY_TRY_MS), act).await {
            Ok(acted) => acted,
            Err(_) => {
                return Tried::Again(format!(
                    "no answer within {NOTIFY_TRY_MS} ms; it may have arrived"
                ));
            }
        };
        match acted.outcome {
            Outcome::Done { result, .. } => self.got(way, &result),
            Outcome::NotDone { fault, retry } => not_now(&fault, retry),
            // At least once: asked again under the same key, which channels that can use it do.
            Outcome::Unknown { fault } => Tried::Again(format!("{fault}; it may have arrived")),
        }
    }

    /// Looks whether a message of an earlier try is there, where the channel cannot tell a repeat by its key and has
    /// a way to look. `None` when it has to be sent.
    async fn look(
        &self,
        way: &Way,
        binding: &Binding,
        args: &Map<String, Value>,
        key: &str,
    ) -> Option<Tried> {
        let verify = match (binding.spec.class, &binding.spec.verify) {
            (Class::Create, Some(verify)) => verify,
            _ => return None,
        };
        // What was made without a target is found by its key, as a run finds it.
        let made = Target {
            instance: way.instance.clone(),
            kind: EntityType::Resource,
            id: key.to_owned(),
            name: format!("made by {}", binding.spec.name),
            aliases: Vec::new(),
        };
        let looking = self
            .vendors
            .read(&self.loaded, binding, &verify.read, &made, args);
        match tokio::time::timeout(Duration::from_millis(NOTIFY_TRY_MS), looking).await {
            Ok(looked) => match looked.result {
                Ok(reading) if verify.judge(&reading) == Standing::InForce => {
                    Some(self.got(way, &reading.fields))
                }
                Ok(_) => None,
                Err((fault, retry)) => Some(not_now(&fault, retry)),
            },
            Err(_) => Some(Tried::Again(format!("no answer within {NOTIFY_TRY_MS} ms"))),
        }
    }

    fn got(&self, way: &Way, result: &Value) -> Tried {
        let text = |name: &str| result.get(name).and_then(Value::as_str).map(str::to_owned);
        Tried::Got(Got {
            at: self.clock.now(),
            by: way.to_string(),
            instance: way.instance.clone(),
            id: text("id").unwrap_or_default(),
            thread: text("thread"),
        })
    }
}

fn not_now(fault: &Fault, retry: Retry) -> Tried {
    match retry {
        Retry::Never => Tried::Refused(fault.to_string()),
        Retry::Backoff => Tried::Again(fault.to_string()),
        Retry::AfterMs(ms) => Tried::AfterMs(ms, fault.to_string()),
    }
}
