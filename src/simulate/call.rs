//! One call of a connector's script against a scripted vendor, and what was expected of it.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::case::{Call, CallExpect, Case, Part};
use super::compare::{difference, short};
use super::wire::Script;
use crate::action::{Done, Fault, Outcome, Retry, Standing, Target};
use crate::clock::{SetClock, duration_ms};
use crate::connector::{Acted, Bound, Connector, Instance, Invoker, Looked, Overrides};
use crate::diagnostic::{Diagnostic, nearest};
use crate::finding::{Entity, Role};
use crate::page::{Placed, listed};
use crate::secret::{SealingKey, Secret};
use crate::store::Sealed;
use crate::store::memory::MemoryStore;

/// What a call came to, in one shape for all three kinds.
#[derive(Default)]
struct Came {
    outcome: &'static str,
    fault: Option<(Fault, Retry)>,
    result: Option<Value>,
    state: Option<(String, Option<Standing>)>,
    fields: Option<Value>,
    target: Option<Target>,
}

/// Runs a case and says what was not as expected.
pub async fn run(invoker: &Invoker, connector: &Arc<Connector>, case: &Case, call: &Call) -> Vec<Diagnostic> {
    let bound = match bound(connector, case, call) {
        Ok(bound) => bound,
        Err(mistake) => return vec![*mistake],
    };
    let script = Arc::new(Script::new(
        case.sheet.clone(),
        &connector.manifest.auth,
        &call.requests,
    ));
    let sealed = Sealed::new(Arc::new(MemoryStore::new()), SealingKey::new([7; 32]));
    let invoker = invoker
        .over(script.clone(), Arc::new(SetClock::at(call.now)))
        .keeping_secrets(sealed);
    let came = match &call.part {
        Part::Resolve => match entity(case, call) {
            Ok(entity) => of_resolve(invoker.resolve(&bound, &entity).await),
            Err(mistake) => return vec![*mistake],
        },
        Part::Act => {
            let target = match target(case, call, &bound) {
                Ok(target) => target,
                Err(mistake) => return vec![*mistake],
            };
            of_act(invoker.act(&bound, target.as_ref(), &call.args, &call.key).await)
        }
        Part::Read(function) => {
            let target = match target(case, call, &bound) {
                Ok(target) => target,
                Err(mistake) => return vec![*mistake],
            };
            let verify = bound.spec.verify.as_ref();
            let named = function.as_ref().map(|function| function.value.as_str());
            let (Some(target), Some(function)) =
                (target, named.or(verify.map(|verify| verify.read.as_str())))
            else {
                let help = "name a `target`, and for an action without `verify` the `function`";
                return vec![
                    case.sheet
                        .says("S003", &call.verb.span, "there is nothing to read", help),
                ];
            };
            let looked = invoker.read(&bound, function, &target, &call.args).await;
            let standing = looked
                .result
                .as_ref()
                .ok()
                .zip(verify)
                .map(|(reading, verify)| verify.judge(reading));
            of_read(looked, standing)
        }
    };
    let (mut failures, seen) = script.ended();
    failures.extend(judge(case, &call.expect, &came, &seen));
    failures
}

fn bound(connector: &Arc<Connector>, case: &Case, call: &Call) -> Result<Bound, Box<Diagnostic>> {
    let manifest = &connector.manifest;
    let Some(spec) = manifest.action(&call.verb.value) else {
        let verbs: Vec<&str> = manifest.actions.iter().map(|spec| spec.name.verb()).collect();
        let help = match nearest(&call.verb.value, verbs.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("its actions are {}", listed(&verbs)),
        };
        let message = format!("`{}` has no action `{}`", manifest.name, call.verb.value);
        return Err(Box::new(case.sheet.says("S005", &call.verb.span, message, help)));
    };
    let made_up = manifest
        .auth
        .credentials()
        .iter()
        .map(|name| ((*name).to_owned(), format!("made-up-{name}")));
    let credentials = made_up
        .chain(call.credentials.clone())
        .map(|(name, text)| (name, Secret::new(text)));
    Ok(Bound {
        instance: Instance {
            name: manifest.name.clone(),
            connector: manifest.name.clone(),
            base_url: call.base_url.as_ref().map(|url| url.value.clone()),
            credentials: credentials.collect(),
            settings: call.settings.clone().into_iter().collect(),
            hosts: call.hosts.clone(),
            ca: None,
            without_tls: false,
            when: Vec::new(),
            overrides: Overrides::default(),
        },
        connector: connector.clone(),
        spec: spec.clone(),
    })
}

fn wrong_target(case: &Case, at: &Placed<Map<String, Value>>, why: &str) -> Box<Diagnostic> {
    let help =
        "write `target = { type = \"host\", id = \"…\", name = \"web-07\" }`, without `id` for `resolve`";
    Box::new(case.sheet.says(
        "S004",
        &at.span,
        format!("the target cannot be read: {why}"),
        help,
    ))
}

/// The entity to find a target for. Role and uid may be left out.
fn entity(case: &Case, call: &Call) -> Result<Entity, Box<Diagnostic>> {
    let Some(written) = &call.target else {
        let help = "add `target = { type = \"host\", name = \"web-07\" }`";
        return Err(Box::new(case.sheet.says(
            "S003",
            &call.verb.span,
            "the case has no `target`",
            help,
        )));
    };
    let mut map = written.value.clone();
    map.entry("role").or_insert_with(|| Role::Affected.word().into());
    let name = map.get("name").cloned().unwrap_or_default();
    map.entry("uid").or_insert(name);
    serde_json::from_value(Value::Object(map))
        .map_err(|error| wrong_target(case, written, &error.to_string()))
}

/// The target; none for an action without.
fn target(case: &Case, call: &Call, bound: &Bound) -> Result<Option<Target>, Box<Diagnostic>> {
    let Some(written) = &call.target else {
        return Ok(None);
    };
    let mut map = written.value.clone();
    if let Some(kind) = map.remove("type").or_else(|| map.remove("kind")) {
        map.insert("kind".into(), kind);
    }
    let id = map.get("id").cloned().unwrap_or_default();
    map.entry("name").or_insert(id);
    map.insert("instance".into(), Value::from(bound.instance.name.as_str()));
    let known = ["kind", "id", "name", "aliases", "instance"];
    if let Some(other) = map.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(wrong_target(case, written, &format!("it has no `{other}`")));
    }
    serde_json::from_value(Value::Object(map))
        .map(Some)
        .map_err(|error| wrong_target(case, written, &error.to_string()))
}

fn of_resolve(looked: Looked<Target>) -> Came {
    match looked.result {
        Ok(target) => Came {
            outcome: "found",
            target: Some(target),
            ..Came::default()
        },
        Err(fault) => failed(fault),
    }
}

fn of_read(looked: Looked<crate::action::Reading>, standing: Option<Standing>) -> Came {
    match looked.result {
        Ok(reading) => Came {
            outcome: "read",
            state: Some((reading.state, standing)),
            fields: Some(reading.fields),
            ..Came::default()
        },
        Err(fault) => failed(fault),
    }
}

fn failed(fault: (Fault, Retry)) -> Came {
    Came {
        outcome: "not_done",
        fault: Some(fault),
        ..Came::default()
    }
}

fn of_act(acted: Acted) -> Came {
    match acted.outcome {
        Outcome::Done { how, result } => Came {
            outcome: if how == Done::AlreadySo { "already" } else { "done" },
            result: Some(result),
            ..Came::default()
        },
        Outcome::NotDone { fault, retry } => failed((fault, retry)),
        Outcome::Unknown { fault } => Came {
            outcome: "unknown",
            fault: Some((fault, Retry::Never)),
            ..Came::default()
        },
    }
}

fn judge(case: &Case, expect: &CallExpect, came: &Came, seen: &[String]) -> Vec<Diagnostic> {
    let mut failures = Vec::new();
    let told = match &came.fault {
        Some((fault, _)) => format!("it failed with {fault}"),
        None if seen.is_empty() => "nothing was sent".to_owned(),
        None => format!("sent: {}", seen.join(", then ")),
    };
    let mut differs = |span: &std::ops::Range<usize>, message: String| {
        failures.push(case.sheet.says("S011", span, message, told.clone()));
    };
    let mut word = |what: &str, wanted: &Option<Placed<String>>, found: &str| {
        if let Some(wanted) = wanted
            && wanted.value != found
        {
            let found = if found.is_empty() { "nothing" } else { found };
            differs(
                &wanted.span,
                format!("the {what} is `{found}`, expected `{}`", wanted.value),
            );
        }
    };
    let code = came.fault.as_ref().map_or("", |(fault, _)| fault.code.as_str());
    word("outcome", &expect.outcome, came.outcome);
    word("code", &expect.code, code);
    word(
        "state",
        &expect.state,
        came.state.as_ref().map_or("", |(state, _)| state),
    );
    word("standing", &expect.standing, standing_word(came));
    word(
        "id",
        &expect.id,
        came.target.as_ref().map_or("", |target| &target.id),
    );
    word(
        "name",
        &expect.name,
        came.target.as_ref().map_or("", |target| &target.name),
    );
    if let Some(wanted) = &expect.retry {
        let found = came.fault.as_ref().map(|(_, retry)| *retry);
        let is_so = match wanted.value.as_str() {
            "never" => found == Some(Retry::Never),
            "backoff" => found == Some(Retry::Backoff),
            other => {
                matches!((found, duration_ms(other)), (Some(Retry::AfterMs(ms)), Some(wanted)) if ms == wanted)
            }
        };
        if !is_so {
            let found = found.map_or("nothing".to_owned(), retry_word);
            differs(
                &wanted.span,
                format!("the retry is `{found}`, expected `{}`", wanted.value),
            );
        }
    }
    if let Some(wanted) = &expect.message {
        let found = came
            .fault
            .as_ref()
            .map_or("", |(fault, _)| fault.message.as_str());
        if !found.contains(&wanted.value) {
            let message = format!(
                "the message is `{found}`, which does not contain `{}`",
                wanted.value
            );
            differs(&wanted.span, message);
        }
    }
    if let Some(wanted) = &expect.result
        && let Some(why) = difference(&wanted.value, came.result.as_ref().unwrap_or(&Value::Null))
    {
        differs(&wanted.span, format!("the result is not as expected: {why}"));
    }
    if let Some(wanted) = &expect.fields
        && let Some(why) = difference(
            &Value::Object(wanted.value.clone()),
            came.fields.as_ref().unwrap_or(&Value::Null),
        )
    {
        differs(
            &wanted.span,
            format!("the fields read are not as expected: {why}"),
        );
    }
    if let Some(wanted) = &expect.aliases {
        let found = came.target.as_ref().map_or(&[][..], |target| &target.aliases);
        same(&mut differs, "aliases", wanted, found);
    }
    if let Some(wanted) = &expect.candidates {
        let data = came.fault.as_ref().map_or(&Value::Null, |(fault, _)| &fault.data);
        let found: Vec<String> = data
            .get("candidates")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|one| one.get("id").and_then(Value::as_str).map(str::to_owned))
            .collect();
        same(&mut differs, "candidates", wanted, &found);
    }
    failures
}

fn same(
    differs: &mut impl FnMut(&std::ops::Range<usize>, String),
    what: &str,
    wanted: &Placed<Vec<Placed<String>>>,
    found: &[String],
) {
    let words: Vec<&String> = wanted.value.iter().map(|one| &one.value).collect();
    if words.iter().ne(found.iter().collect::<Vec<_>>().iter()) {
        let found = short(&Value::from(found.to_vec()));
        let wanted_text = short(&Value::from(words.into_iter().cloned().collect::<Vec<_>>()));
        differs(
            &wanted.span,
            format!("the {what} are `{found}`, expected `{wanted_text}`"),
        );
    }
}

fn standing_word(came: &Came) -> &'static str {
    match came.state.as_ref().and_then(|(_, standing)| *standing) {
        Some(Standing::InForce) => "in_force",
        Some(Standing::Pending) => "pending",
        Some(Standing::Absent) => "absent",
        None => "",
    }
}

fn retry_word(retry: Retry) -> String {
    match retry {
        Retry::Never => "never".to_owned(),
        Retry::Backoff => "backoff".to_owned(),
        Retry::AfterMs(ms) => crate::clock::duration_text(ms),
    }
}
