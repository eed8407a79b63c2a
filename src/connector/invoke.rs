//! Does what a bound action says at the vendor's: finds the target, reads its state, acts on it once. Runs the
//! connector's script step by step, answers its asks from the network, and hands back every request that was
//! made. Keeps nothing between attempts but tokens and pauses, and decides nothing about repeating.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::action_table::{KEY_ARGUMENT, NOW_ARGUMENT};
use super::auth::Tokens;
use super::bind::Bound;
use super::client::{Client, NoClient};
use super::dial::Dialer;
use super::egress::Names;
use super::settings::SETTINGS_INPUT;
use super::settle::{Ended, Stop, failed, settle};
use super::throttle::Throttle;
use super::transport::{Attempt, handle_of};
use super::wire::Wire;
use super::words::vocabulary;
use crate::action::{Fault, Outcome, Reading, Request, Retry, Target};
use crate::clock::Clock;
use crate::finding::{Entity, is_placeholder};
use crate::script::{Advance, Answer, Answers, Entry, Evaluators, Inputs, Job};
use crate::secret::{Handle, Secret};
use crate::store::Sealed;

/// Speaks with vendors. One per process; shared by all runs.
pub struct Invoker {
    pub(super) evaluators: Arc<Evaluators>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) client: Client,
    pub(super) dialer: Dialer,
    pub(super) tokens: Tokens,
    pub(super) throttle: Throttle,
    pub(super) sealed: Option<Sealed>,
}

/// What a look brought, and the requests it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Looked<T> {
    /// What was found, or why nothing was and whether to look again.
    pub result: Result<T, (Fault, Retry)>,
    /// Every request that was made, in order.
    pub requests: Vec<Request>,
}

/// What an act brought, and the requests it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Acted {
    /// What came of it.
    pub outcome: Outcome,
    /// Every request that was made, in order.
    pub requests: Vec<Request>,
}

impl Invoker {
    /// An invoker that evaluates scripts on these threads.
    pub fn new(evaluators: Arc<Evaluators>, clock: Arc<dyn Clock>) -> Result<Invoker, NoClient> {
        Invoker::looking_up(Names::Machine, evaluators, clock)
    }

    /// An invoker whose names are looked up there.
    pub(super) fn looking_up(
        names: Names,
        evaluators: Arc<Evaluators>,
        clock: Arc<dyn Clock>,
    ) -> Result<Invoker, NoClient> {
        Ok(Invoker {
            evaluators,
            clock,
            client: Client::new(names.clone())?,
            dialer: Dialer::looking_up(names),
            tokens: Tokens::default(),
            throttle: Throttle::default(),
            sealed: None,
        })
    }

    /// The invoker with the store that results marked secret go to, and that handles of secrets are opened from.
    /// Without it such actions are refused.
    pub fn keeping_secrets(self, sealed: Sealed) -> Invoker {
        Invoker {
            sealed: Some(sealed),
            ..self
        }
    }

    /// The same with a wire in place of the network, by another clock, and knowing no token and no pause.
    pub fn over(&self, wire: Arc<dyn Wire>, clock: Arc<dyn Clock>) -> Invoker {
        Invoker {
            evaluators: self.evaluators.clone(),
            clock,
            client: self.client.over(wire),
            dialer: Dialer::offline(),
            tokens: Tokens::default(),
            throttle: Throttle::default(),
            sealed: self.sealed.clone(),
        }
    }

    /// Finds the one thing at the vendor's that an entity means. An id the entity carries for this instance is
    /// handed to the script, which reads that very id back. Zero is `target-not-found`, several are
    /// `ambiguous-target` with the candidates as data; a target is never chosen among several.
    pub async fn resolve(&self, bound: &Bound, entity: &Entity) -> Looked<Target> {
        let none = |fault: Fault| Looked {
            result: Err((fault, Retry::Never)),
            requests: Vec::new(),
        };
        if !entity.is_real() {
            return none(Fault::new(
                "target-not-found",
                format!("`{}` is not a name that could mean one thing", entity.name),
            ));
        }
        if !bound.spec.targets.contains(&entity.kind) {
            let message = format!(
                "`{}` takes no {}",
                bound.spec.name,
                entity.kind.word().replace('_', " ")
            );
            return none(Fault::new("target-not-found", message));
        }
        let known = bound.known_id(entity).filter(|id| !is_placeholder(id));
        let Some(function) = &bound.spec.resolve else {
            let candidate = json!({ "id": known.unwrap_or(&entity.uid), "name": entity.name });
            return Looked {
                result: one_target(bound, entity, known, &json!({ "candidates": [candidate] })),
                requests: Vec::new(),
            };
        };
        let mut argument = serde_json::to_value(entity).unwrap_or(Value::Null);
        if let Some(members) = argument.as_object_mut() {
            members.insert("id".into(), known.map_or(Value::Null, Value::from));
            members.entry("attributes").or_insert_with(|| json!({}));
            members.entry("ids").or_insert_with(|| json!({}));
        }
        let mut attempt = Attempt::to_read(self, bound);
        let ended = self.drive(&mut attempt, bound, function, vec![argument]).await;
        let result = match ended {
            Ended::Returned(value) => one_target(bound, entity, known, &value),
            other => Err(failed(other)),
        };
        Looked {
            result,
            requests: attempt.requests,
        }
    }

    /// Reads a target's state with one of the connector's functions, which may change nothing. `args` are those of
    /// the effect it is read for; a function that takes the target alone is not given them.
    pub async fn read(
        &self,
        bound: &Bound,
        function: &str,
        target: &Target,
        args: &Map<String, Value>,
    ) -> Looked<Reading> {
        let mut attempt = Attempt::to_read(self, bound);
        let mut arguments = vec![target_value(target)];
        if bound.connector.reads_with_args.contains(function) {
            arguments.push(Value::Object(args.clone()));
        }
        let ended = self.drive(&mut attempt, bound, function, arguments).await;
        let result = match ended {
            Ended::Returned(value) => reading(function, value),
            other => Err(failed(other)),
        };
        Looked {
            result,
            requests: attempt.requests,
        }
    }

    /// Makes one attempt at an action. What came back unknown is never repeated here. The script finds the key
    /// as the argument `idempotency_key`; only vendors with actions of class `keyed` make use of it.
    pub async fn act(
        &self,
        bound: &Bound,
        target: Option<&Target>,
        args: &Map<String, Value>,
        idempotency_key: &str,
    ) -> Acted {
        if let Some(fault) = unfit(bound, target, args) {
            return Acted {
                outcome: Outcome::NotDone {
                    fault,
                    retry: Retry::Never,
                },
                requests: Vec::new(),
            };
        }
        let class = bound.spec.class;
        let mut given = args.clone();
        given.insert(KEY_ARGUMENT.into(), idempotency_key.into());
        given.insert(NOW_ARGUMENT.into(), self.clock.now().to_string().into());
        let arguments = vec![target.map_or(Value::Null, target_value), Value::Object(given)];
        let mut attempt = Attempt::to_act(self, bound, idempotency_key);
        let ended = self
            .drive(&mut attempt, bound, bound.spec.name.verb(), arguments)
            .await;
        let outcome = settle(ended, attempt.change, class);
        Acted {
            outcome: self.sealed_results(bound, outcome, idempotency_key).await,
            requests: attempt.requests,
        }
    }

    /// The outcome with each part that the manifest calls secret in the sealed store, and its handle in its place.
    /// Kept before anyone hears of the outcome. Where it cannot be kept the outcome is *unknown*: it happened, and
    /// what it brought is lost unless the vendor says it again to the same key.
    async fn sealed_results(&self, bound: &Bound, outcome: Outcome, idempotency_key: &str) -> Outcome {
        let paths = bound.connector.manifest.secrets.get(bound.spec.name.verb());
        let (Some(paths), Outcome::Done { how, mut result }) = (paths, outcome.clone()) else {
            return outcome;
        };
        for path in paths {
            let Some(part) = path
                .iter()
                .try_fold(&mut result, |inner, name| inner.get_mut(name.as_str()))
                .filter(|part| !part.is_null())
            else {
                continue;
            };
            let secret = Secret::new(match part.take() {
                Value::String(text) => text,
                other => other.to_string(),
            });
            let handle = Handle(format!("result/{idempotency_key}/{}", path.join(".")));
            let kept = match &self.sealed {
                Some(sealed) => sealed
                    .put(&handle, &secret)
                    .await
                    .map_err(|error| error.to_string()),
                None => Err("nothing here keeps secrets".to_owned()),
            };
            if let Err(why) = kept {
                let message = format!(
                    "`{}` brought a secret that cannot be kept: {why}",
                    bound.spec.name
                );
                return Outcome::Unknown {
                    fault: Fault::new("secret-not-kept", message),
                };
            }
            *part = json!({ "secret": handle.0 });
        }
        Outcome::Done { how, result }
    }

    /// Runs one function to its end. Ends, because every round makes at least one of the few requests an
    /// attempt has.
    async fn drive(
        &self,
        attempt: &mut Attempt<'_>,
        bound: &Bound,
        function: &str,
        arguments: Vec<Value>,
    ) -> Ended {
        let Some(program) = &bound.connector.actions else {
            return defect(format!("`{}` has no `actions.rhai`", bound.instance.connector));
        };
        let mut answers = Answers::new();
        let inputs = Arc::new(Inputs::from([(SETTINGS_INPUT.to_owned(), bound.settings())]));
        let mut job = Job::new(
            program.clone(),
            vocabulary(bound.connector.manifest.transport).clone(),
            inputs,
        );
        job.entry = Entry::Function {
            name: function.to_owned(),
            args: arguments,
        };
        loop {
            job.answers = Arc::new(answers.clone());
            match self.evaluate(job.clone()).await {
                Advance::Asks { waiting, .. } if waiting.is_empty() => {
                    return defect("the script waits for nothing".into());
                }
                Advance::Asks { waiting, .. } => {
                    for asked in &waiting {
                        match attempt.perform(asked).await {
                            Ok(value) => {
                                answers.insert(asked.step.clone(), Answer::to(asked, Ok(value)));
                            }
                            Err(stop) => return Ended::Stopped(stop),
                        }
                    }
                }
                Advance::Returned { value, .. } => return Ended::Returned(value),
                Advance::Failed { error, .. } => return Ended::Threw(error),
                Advance::Diverged { .. } => return Ended::Diverged,
                Advance::Interrupted { why } => return Ended::Interrupted(why),
            }
        }
    }

    async fn evaluate(&self, job: Job) -> Advance {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.evaluators
            .evaluate(job, Box::new(move |advance| drop(reply.send(advance))));
        answer.await.unwrap_or(Advance::Interrupted {
            why: crate::script::Interrupted::Stopped,
        })
    }
}

fn defect(message: String) -> Ended {
    Ended::Stopped(Stop::NotDone(
        Fault::new("connector-script", message),
        Retry::Never,
    ))
}

/// Why an action cannot be attempted like this: an empty target acts on the whole estate at some vendors.
fn unfit(bound: &Bound, target: Option<&Target>, args: &Map<String, Value>) -> Option<Fault> {
    let spec = &bound.spec;
    match target {
        Some(target) if target.id.trim().is_empty() => {
            return Some(Fault::new(
                "target-not-found",
                format!("`{}` was given a target without an id", spec.name),
            ));
        }
        Some(target) if target.instance != bound.instance.name => {
            return Some(Fault::new(
                "target-not-found",
                format!(
                    "{} is known to `{}`, not to `{}`",
                    target.label(),
                    target.instance,
                    bound.instance.name
                ),
            ));
        }
        None if !spec.targets.is_empty() => {
            return Some(Fault::new(
                "target-not-found",
                format!("`{}` needs a target", spec.name),
            ));
        }
        _ => {}
    }
    if let Some(unknown) = args.keys().find(|name| !spec.args.contains_key(*name)) {
        return Some(Fault::new(
            "bad-argument",
            format!("`{}` has no argument `{unknown}`", spec.name),
        ));
    }
    // A map of that shape in a request is filled with the credential, so no argument may be one: what stands in an
    // alert could choose where our credentials go.
    if let Some((name, _)) = args.iter().find(|(_, value)| holds_credential(value)) {
        return Some(Fault::new(
            "bad-argument",
            format!("the argument `{name}` of `{}` names a credential", spec.name),
        ));
    }
    let missing = spec
        .args
        .iter()
        .find(|(name, required)| **required && args.get(*name).is_none_or(Value::is_null));
    missing.map(|(name, _)| {
        Fault::new(
            "bad-argument",
            format!("`{}` needs the argument `{name}`", spec.name),
        )
    })
}

fn holds_credential(value: &Value) -> bool {
    if let Some(("credential", _)) = handle_of(value) {
        return true;
    }
    match value {
        Value::Array(items) => items.iter().any(holds_credential),
        Value::Object(members) => members.values().any(holds_credential),
        _ => false,
    }
}

fn target_value(target: &Target) -> Value {
    json!({
        "id": target.id,
        "type": target.kind,
        "name": target.name,
        "aliases": target.aliases,
    })
}

fn reading(function: &str, value: Value) -> Result<Reading, (Fault, Retry)> {
    let wrong = || {
        let message = format!("`{function}` of the connector's script does not return `#{{ state: … }}`");
        (Fault::new("connector-script", message), Retry::Never)
    };
    let Value::Object(mut fields) = value else {
        return Err(wrong());
    };
    match fields.remove("state") {
        Some(Value::String(state)) if !state.trim().is_empty() => Ok(Reading {
            state,
            fields: Value::Object(fields),
        }),
        _ => Err(wrong()),
    }
}

fn one_target(
    bound: &Bound,
    entity: &Entity,
    known: Option<&str>,
    value: &Value,
) -> Result<Target, (Fault, Retry)> {
    let fault = |code: &str, message: String, data: Value| {
        let code = code.to_owned();
        Err((Fault { code, message, data }, Retry::Never))
    };
    let here = &bound.instance.name;
    let Some(candidates) = value.get("candidates").and_then(Value::as_array) else {
        let message = "the connector's script does not return `#{ candidates: [] }`".to_owned();
        return fault("connector-script", message, Value::Null);
    };
    let candidate = match candidates.as_slice() {
        [] => {
            return fault(
                "target-not-found",
                format!("`{here}` knows no {}", entity.label()),
                Value::Null,
            );
        }
        [one] => one,
        several => {
            let message = format!(
                "`{here}` knows {} that could be {}: name one by its id",
                several.len(),
                entity.label()
            );
            return fault("ambiguous-target", message, json!({ "candidates": several }));
        }
    };
    let id = candidate
        .get("id")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .trim();
    if is_placeholder(id) {
        let message = format!("`{here}` answered for {} without an id", entity.label());
        return fault("target-not-found", message, Value::Null);
    }
    if let Some(known) = known
        && known.trim() != id
    {
        let message = format!("`{here}` answered with another id than the one it was asked for");
        return fault(
            "ambiguous-target",
            message,
            json!({ "asked": known, "answered": id }),
        );
    }
    let name = candidate
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or(&entity.name);
    let aliases = candidate.get("aliases").and_then(Value::as_array);
    Ok(Target {
        instance: here.clone(),
        kind: entity.kind,
        id: id.to_owned(),
        name: name.to_owned(),
        aliases: aliases
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .filter(|alias| !is_placeholder(alias))
            .map(str::to_owned)
            .collect(),
    })
}
