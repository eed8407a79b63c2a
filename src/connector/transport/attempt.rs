//! One attempt, whatever its connector speaks: how many requests it may make, that one of them changes something
//! at most, whether the instance wants to be left alone, and which secrets a request is filled with.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::auth;
use super::super::bind::Bound;
use super::super::client::Broken;
use super::super::egress::Egress;
use super::super::invoke::Invoker;
use super::super::manifest::Transport;
use super::super::settle::{Change, Stop};
use super::super::throttle::rate_limited;
use crate::action::{Fault, Request, Retry};
use crate::clock::Time;
use crate::limits::{REQUESTS_PER_ACTION_MAX, VENDOR_REQUEST_MS};
use crate::script::Asked;
use crate::secret::{Handle, Secret};

/// One attempt.
pub(in super::super) struct Attempt<'a> {
    pub(super) invoker: &'a Invoker,
    pub(super) bound: &'a Bound,
    pub(super) egress: Egress,
    may_change: bool,
    /// The effect's key; for a look the action's name, by which nothing is told apart.
    pub(super) key: String,
    sent: usize,
    /// Secrets of the sealed store that this attempt was given handles of.
    opened: BTreeMap<String, Secret>,
    pub(in super::super) change: Change,
    pub(in super::super) requests: Vec<Request>,
}

impl<'a> Attempt<'a> {
    /// An attempt that may only read.
    pub(in super::super) fn to_read(invoker: &'a Invoker, bound: &'a Bound) -> Attempt<'a> {
        Attempt::new(invoker, bound, false, &bound.spec.name.to_string())
    }

    /// An attempt at an action, under its effect's key.
    pub(in super::super) fn to_act(invoker: &'a Invoker, bound: &'a Bound, key: &str) -> Attempt<'a> {
        Attempt::new(invoker, bound, bound.spec.changes(), key)
    }

    fn new(invoker: &'a Invoker, bound: &'a Bound, may_change: bool, key: &str) -> Attempt<'a> {
        Attempt {
            invoker,
            bound,
            egress: bound.egress(),
            may_change,
            key: key.to_owned(),
            sent: 0,
            opened: BTreeMap::new(),
            change: Change::Unsent,
            requests: Vec::new(),
        }
    }

    /// Answers one ask of the script, or ends the attempt.
    pub(in super::super) async fn perform(&mut self, asked: &Asked) -> Result<Value, Stop> {
        for argument in &asked.args {
            self.open(argument).await?;
        }
        match self.bound.connector.manifest.transport {
            Transport::Http => self.http(asked).await,
            Transport::Ldap => self.ldap(asked).await,
            Transport::Smtp => self.smtp(asked).await,
        }
    }

    /// Whether a request may be made. `what` names it in the refusal.
    pub(super) fn admit(&mut self, only_reads: bool, what: &str) -> Result<(), Stop> {
        let refuse = |message: String| Err(never(Fault::new("connector-script", message)));
        if !only_reads && !self.may_change {
            return refuse(format!(
                "the connector's script may only read here and asks for {what}"
            ));
        }
        if !only_reads && self.change != Change::Unsent {
            return refuse(
                "the connector's script asks for a second change: two changes are two actions".into(),
            );
        }
        if self.sent >= REQUESTS_PER_ACTION_MAX {
            return refuse(format!(
                "the connector's script asks for more than {REQUESTS_PER_ACTION_MAX} requests"
            ));
        }
        let instance = &self.bound.instance.name;
        match self.invoker.throttle.pause_ms(instance, self.now()) {
            0 => {
                self.sent += 1;
                Ok(())
            }
            left_ms => Err(Stop::NotDone(rate_limited(instance), Retry::AfterMs(left_ms))),
        }
    }

    pub(super) fn now(&self) -> Time {
        self.invoker.clock.now()
    }

    /// Looks up every handle `#{ secret: "…" }` in what is to be sent.
    async fn open(&mut self, value: &Value) -> Result<(), Stop> {
        let mut handles = Vec::new();
        collect(value, &mut handles);
        for handle in handles {
            if self.opened.contains_key(&handle) {
                continue;
            }
            let gone = |why: &str| Fault::new("secret-not-found", format!("a secret cannot be had: {why}"));
            let Some(sealed) = &self.invoker.sealed else {
                return Err(never(gone("nothing here keeps secrets")));
            };
            match sealed.get(&Handle(handle.clone())).await {
                Ok(Some(secret)) => {
                    self.opened.insert(handle, secret);
                }
                Ok(None) => return Err(never(gone("its handle is not known"))),
                Err(error) => {
                    return Err(Stop::NotDone(gone(&error.to_string()), Retry::Backoff));
                }
            }
        }
        Ok(())
    }

    /// The value with every handle replaced by what it stands for: `#{ credential: "NAME" }` by that credential of
    /// the instance, `#{ secret: "…" }` by that secret of the sealed store.
    pub(super) fn filled(&self, value: &Value) -> Result<Value, Stop> {
        if let Some(secret) = self.handle(value)? {
            return Ok(Value::String(secret.expose().to_owned()));
        }
        match value {
            Value::Array(items) => items.iter().map(|item| self.filled(item)).collect(),
            Value::Object(members) => members
                .iter()
                .map(|(key, inner)| Ok((key.clone(), self.filled(inner)?)))
                .collect::<Result<serde_json::Map<String, Value>, Stop>>()
                .map(Value::Object),
            other => Ok(other.clone()),
        }
    }

    fn handle(&self, value: &Value) -> Result<Option<&Secret>, Stop> {
        match handle_of(value) {
            Some(("credential", name)) => auth::credential(&self.bound.instance, name)
                .map(Some)
                .map_err(never),
            Some((_, handle)) => Ok(self.opened.get(handle)),
            None => Ok(None),
        }
    }

    /// A scalar as text, for queries, forms and headers.
    pub(super) fn text(&self, value: &Value) -> Result<Secret, Stop> {
        if let Some(secret) = self.handle(value)? {
            return Ok(secret.clone());
        }
        match value {
            Value::String(text) => Ok(Secret::new(text.as_str())),
            Value::Number(number) => Ok(Secret::new(number.to_string())),
            Value::Bool(flag) => Ok(Secret::new(flag.to_string())),
            _ => Err(never(Fault::new(
                "connector-script",
                "queries, forms, headers and attributes take texts, numbers and flags",
            ))),
        }
    }

    /// Everything that must not come back in an answer, save what was issued for this request.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let own = self.bound.instance.credentials.values();
        own.chain(self.opened.values()).cloned().collect()
    }

    pub(super) fn timeout_ms(&self) -> u64 {
        let overrides = &self.bound.instance.overrides;
        overrides
            .timeout_ms
            .unwrap_or(self.bound.connector.manifest.limits.timeout_ms)
            .min(VENDOR_REQUEST_MS)
    }

    /// What comes of a request that went wrong before a change could have arrived.
    pub(super) fn not_sent(&self, broken: &Broken) -> Stop {
        let retry = if broken.code == "egress-refused" {
            Retry::Never
        } else {
            Retry::Backoff
        };
        Stop::NotDone(self.fault(broken.code, &broken.message), retry)
    }

    pub(super) fn fault(&self, code: &str, message: &str) -> Fault {
        Fault::new(code, format!("`{}`: {message}", self.bound.instance.name))
    }

    /// The vendor lets our principal in and not do this.
    pub(super) fn no_permission(&self) -> Stop {
        let permission = &self.bound.spec.permission;
        never(self.fault("permission", &format!("grant it `{permission}`")))
    }

    /// The vendor does not know us.
    pub(super) fn no_credentials(&self) -> Stop {
        never(self.fault("credentials", "the vendor does not accept our credentials"))
    }
}

pub(super) fn never(fault: Fault) -> Stop {
    Stop::NotDone(fault, Retry::Never)
}

/// The kind of handle a value is, and what it names.
pub(in super::super) fn handle_of(value: &Value) -> Option<(&'static str, &str)> {
    let Value::Object(members) = value else {
        return None;
    };
    let (name, inner) = members.iter().next().filter(|_| members.len() == 1)?;
    match (name.as_str(), inner) {
        ("credential", Value::String(text)) => Some(("credential", text)),
        ("secret", Value::String(text)) => Some(("secret", text)),
        _ => None,
    }
}

fn collect(value: &Value, handles: &mut Vec<String>) {
    if let Some(("secret", handle)) = handle_of(value) {
        handles.push(handle.to_owned());
        return;
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, handles)),
        Value::Object(members) => members.values().for_each(|inner| collect(inner, handles)),
        _ => {}
    }
}
