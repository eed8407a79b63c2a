//! From an ask to effects: which action, on whom, with what, at which connector instances.

use serde_json::{Map, Value};

use super::compensate;
use super::context::Context;
use super::vendors::Binding;
use crate::action::{ActionName, Fault, Target, facet_arguments};
use crate::clock::duration_ms;
use crate::diagnostic::nearest;
use crate::finding::{Entity, Role};
use crate::id::{EffectId, RunId};
use crate::journal::{Answered, Bound, ChainId, EffectState, Event, Reverts, RunState, Step};
use crate::limits::LEASE_MS_MAX;
use crate::playbook::Loaded;
use crate::script::StepId;

/// The word of our own playbooks that restores what an effect changed.
pub const UNDO: &str = "cordon::undo";
/// The word of every playbook that restores what an effect of the same run changed.
pub const UNDO_OWN: &str = "undo";
/// The word of our own playbooks that does one action by name.
pub const ACT: &str = "cordon::act";

/// What an ask asks for, in parts.
#[derive(Debug, PartialEq)]
struct Wanted {
    action: ActionName,
    entity: Option<Entity>,
    args: Map<String, Value>,
    lease_ms: Option<u64>,
}

/// Binds one ask. A fault becomes the ask's answer. `Err` is the store's, and says nothing about the ask.
pub async fn bind(
    context: &Context,
    loaded: &Loaded,
    state: &RunState,
    step: &StepId,
) -> Result<Vec<Event>, crate::store::Error> {
    let Some(asked) = state.steps.get(step) else {
        return Ok(Vec::new());
    };
    let bound = if asked.name == UNDO {
        bind_undo(context, loaded, state.header.run, step, asked).await?
    } else if asked.name == UNDO_OWN {
        undo_own(context, loaded, state, step, asked)
    } else {
        bind_action(context, loaded, state.header.run, step, asked).map(|bounds| {
            bounds
                .into_iter()
                .map(|bound| Event::EffectBound(Box::new(bound)))
                .collect()
        })
    };
    Ok(bound.unwrap_or_else(|fault| {
        vec![Event::StepAnswered {
            step: step.clone(),
            result: Answered::Fault(fault),
        }]
    }))
}

fn bind_action(
    context: &Context,
    loaded: &Loaded,
    run: RunId,
    step: &StepId,
    asked: &Step,
) -> Result<Vec<Bound>, Fault> {
    let (name, args) = match asked.args.split_first() {
        Some((name, args)) if asked.name == ACT => (name.as_str().unwrap_or_default(), args),
        _ => (asked.name.as_str(), asked.args.as_slice()),
    };
    bound(context, loaded, run, step, name, args)
}

/// The effects that an action with these arguments becomes, one for each instance that is to act.
pub(super) fn bound(
    context: &Context,
    loaded: &Loaded,
    run: RunId,
    step: &StepId,
    name: &str,
    args: &[Value],
) -> Result<Vec<Bound>, Fault> {
    let mut wanted = wanted(name, args)?;
    wanted.entity = wanted
        .entity
        .map(|entity| context.vendors.identify(entity))
        .transpose()?;
    let bindings = context
        .vendors
        .bind(loaded, &wanted.action, wanted.entity.as_ref())?;
    let mut bounds = Vec::new();
    for Binding { instance, mut spec } in bindings {
        check_args(&wanted, &spec)?;
        if spec.facet.is_some() {
            let facet = spec.facet_with(&wanted.args);
            spec.facet = Some(facet.ok_or_else(|| {
                let named: Vec<&str> = spec
                    .facet
                    .iter()
                    .flat_map(|facet| facet_arguments(facet))
                    .collect();
                let message = format!("{} needs a text as `{}`", wanted.action, named.join("` and `"));
                Fault::new("bad-argument", message)
            })?);
        }
        bounds.push(Bound {
            effect: effect_id(run, step, &instance),
            step: step.clone(),
            spec,
            instance,
            entity: wanted.entity.clone(),
            args: wanted.args.clone(),
            lease_ms: wanted.lease_ms,
            reverts: None,
            rollback: false,
        });
    }
    Ok(bounds)
}

fn effect_id(run: RunId, step: &StepId, instance: &str) -> EffectId {
    EffectId::derive(&[run.to_string(), step.to_string(), instance.to_owned()])
}

fn wanted(name: &str, args: &[Value]) -> Result<Wanted, Fault> {
    let action: ActionName = name
        .parse()
        .map_err(|error| Fault::new("bad-argument", format!("{error}")))?;
    let rest: Vec<&Value> = args.iter().collect();
    let (target, options) = match rest.as_slice() {
        [] => (None, None),
        [only] if !looks_like_target(only) => (None, Some(*only)),
        [target] => (Some(*target), None),
        [target, options, ..] => (Some(*target).filter(|value| !value.is_null()), Some(*options)),
    };
    let entity = target.map(|value| entity(value, &action)).transpose()?;
    let mut options = match options {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(map)) => map.clone(),
        Some(other) => {
            let message =
                format!("the options of {action} are a map such as `#{{ lease: \"4h\" }}`, not `{other}`");
            return Err(Fault::new("bad-argument", message));
        }
    };
    let lease_ms = options.remove("lease").map(|value| lease(&value)).transpose()?;
    options.remove("reason");
    Ok(Wanted {
        action,
        entity,
        args: options,
        lease_ms,
    })
}

fn looks_like_target(value: &Value) -> bool {
    value.get("type").is_some() && value.get("name").is_some()
}

fn entity(value: &Value, action: &ActionName) -> Result<Entity, Fault> {
    let mut value = value.clone();
    if let Value::Object(map) = &mut value {
        map.entry("role").or_insert_with(|| Role::Affected.word().into());
        let name = map.get("name").cloned().unwrap_or_default();
        map.entry("uid").or_insert(name);
    }
    let entity: Entity = serde_json::from_value(value.clone()).map_err(|error| {
        let message =
            format!("the target of {action} is an entity of the finding, such as `finding.affected(\"host\")`: {error}");
        Fault { code: "bad-target".into(), message, data: value }
    })?;
    if !entity.is_real() {
        let message = format!(
            "`{}` is a placeholder or not a {}",
            entity.name,
            entity.kind.word()
        );
        return Err(Fault::new("bad-target", message));
    }
    Ok(entity)
}

fn lease(value: &Value) -> Result<u64, Fault> {
    let written = value.as_str().unwrap_or_default();
    match duration_ms(written) {
        Some(ms) if (1..=LEASE_MS_MAX).contains(&ms) => Ok(ms),
        _ => {
            let message = format!("`{value}` is not a lease: write `\"30m\"`, `\"4h\"` or up to `\"90d\"`");
            Err(Fault::new("bad-argument", message))
        }
    }
}

fn check_args(wanted: &Wanted, spec: &crate::action::ActionSpec) -> Result<(), Fault> {
    let bad = |message| Err(Fault::new("bad-argument", message));
    let name = &wanted.action;
    match &wanted.entity {
        None if !spec.targets.is_empty() => {
            let kinds: Vec<&str> = spec.targets.iter().map(|kind| kind.word()).collect();
            return Err(Fault::new(
                "bad-target",
                format!("{name} needs a target: {}", kinds.join(" or ")),
            ));
        }
        Some(entity) if !spec.targets.contains(&entity.kind) => {
            let kinds: Vec<&str> = spec.targets.iter().map(|kind| kind.word()).collect();
            let message = format!(
                "{name} takes {}, not a {}",
                kinds.join(" or "),
                entity.kind.word()
            );
            return Err(Fault::new("bad-target", message));
        }
        _ => {}
    }
    if wanted.lease_ms.is_some() && (spec.facet.is_none() || spec.undo.is_none()) {
        return bad(format!("{} cannot be undone, so it cannot be leased", spec.name));
    }
    for given in wanted.args.keys() {
        if !spec.args.contains_key(given) {
            let known = ["lease", "reason"]
                .into_iter()
                .chain(spec.args.keys().map(String::as_str));
            let hint = nearest(given, known)
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            return bad(format!("{} has no option `{given}`{hint}", spec.name));
        }
    }
    match spec
        .args
        .iter()
        .find(|(name, required)| **required && !wanted.args.contains_key(*name))
    {
        Some((missing, _)) => bad(format!("{} needs the option `{missing}`", spec.name)),
        None => Ok(()),
    }
}

async fn bind_undo(
    context: &Context,
    loaded: &Loaded,
    run: RunId,
    step: &StepId,
    asked: &Step,
) -> Result<Result<Vec<Event>, Fault>, crate::store::Error> {
    let bad = |why: String| Ok(Err(Fault::new("bad-argument", why)));
    let Some(of) = asked.args.first() else {
        return bad("nothing to undo was named".into());
    };
    let read = |name: &str| {
        of.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (Ok(of_run), Ok(of_effect)) = (RunId::parse(&read("run")), EffectId::parse(&read("effect"))) else {
        return bad(format!("`{of}` names no effect of a run"));
    };
    let entries = context
        .store
        .journal(of_run.partition(), ChainId::Run(of_run), 0)
        .await?;
    let original = match RunState::fold(&entries) {
        Ok(original) => original,
        Err(error) => return bad(error.to_string()),
    };
    let Some(effect) = original.effects.get(&of_effect) else {
        return bad(format!("{of_run} has no {of_effect}"));
    };
    Ok(
        restoring(context, loaded, run, step, &original, effect).map(|restoring| {
            restoring.unwrap_or_else(|| {
                vec![Event::StepAnswered {
                    step: step.clone(),
                    result: Answered::Value(nothing_was_done()),
                }]
            })
        }),
    )
}

fn nothing_was_done() -> Value {
    serde_json::json!({ "how": "nothing_was_done" })
}

/// `undo(receipt)`: restores the effects of this run that a receipt names, each where it was done.
fn undo_own(
    context: &Context,
    loaded: &Loaded,
    state: &RunState,
    step: &StepId,
    asked: &Step,
) -> Result<Vec<Event>, Fault> {
    let bad = |why: String| Fault::new("bad-argument", why);
    let receipt = asked.args.first().unwrap_or(&Value::Null);
    let several = receipt.get("effects").and_then(Value::as_array);
    let receipts: Vec<&Value> = several.map_or_else(|| vec![receipt], |list| list.iter().collect());
    let mut events = Vec::new();
    for receipt in receipts {
        let id = receipt
            .get("effect")
            .and_then(Value::as_str)
            .and_then(|text| EffectId::parse(text).ok())
            .ok_or_else(|| bad("`undo` takes what an action of this run gave back, its receipt".into()))?;
        let effect = state
            .effects
            .get(&id)
            .ok_or_else(|| bad(format!("this run has no {id}")))?;
        events.extend(
            restoring(context, loaded, state.header.run, step, state, effect)?
                .into_iter()
                .flatten(),
        );
    }
    if events.is_empty() {
        events.push(Event::StepAnswered {
            step: step.clone(),
            result: Answered::Value(nothing_was_done()),
        });
    }
    Ok(events)
}

/// The effect that restores what `effect` of the run `of` changed; `None` when that never got as far as a change.
fn restoring(
    context: &Context,
    loaded: &Loaded,
    run: RunId,
    step: &StepId,
    of: &RunState,
    effect: &EffectState,
) -> Result<Option<Vec<Event>>, Fault> {
    let spec = &effect.bound.spec;
    let (Some(undo), Some(left)) = (&spec.undo, &spec.verify) else {
        return Err(Fault::new(
            "irreversible",
            format!("{} cannot be undone", spec.name),
        ));
    };
    let Some(target) = effect.target.as_ref().filter(|_| !effect.attempts.is_empty()) else {
        return Ok(None);
    };
    let binding = context
        .vendors
        .binding(loaded, &effect.bound.instance, &undo.action)?;
    // The same facet as was held: the manifest's may name arguments, and those are known only there.
    let mut undoing = binding.spec;
    undoing.facet = spec.facet.clone();
    let id = effect_id(run, step, &effect.bound.instance);
    Ok(Some(vec![
        Event::EffectBound(Box::new(Bound {
            effect: id,
            step: step.clone(),
            spec: undoing,
            instance: binding.instance,
            entity: effect.bound.entity.clone(),
            args: Map::new(),
            lease_ms: None,
            reverts: Some(Reverts {
                run: of.header.run,
                effect: effect.bound.effect,
                left: left.clone(),
                late_until: effect.late_until().filter(|until| *until > context.clock.now()),
                replaced: replaced(of, effect),
            }),
            rollback: false,
        })),
        Event::EffectResolved {
            effect: id,
            target: target.clone(),
            requests: Vec::new(),
        },
    ]))
}

/// The later action of a run on the target of `effect` that cannot be undone, the last where there are several.
fn replaced(of: &RunState, effect: &EffectState) -> Option<ActionName> {
    let key = effect.target.as_ref().map(Target::key)?;
    let later = of
        .effects_in_order()
        .skip_while(|one| one.bound.effect != effect.bound.effect);
    let takes_its_place = |one: &&EffectState| {
        let spec = &one.bound.spec;
        spec.changes()
            && spec.undo.is_none()
            && one.bound.reverts.is_none()
            && one.done().is_some()
            && one.target.as_ref().map(Target::key).as_ref() == Some(&key)
    };
    let last = later.skip(1).filter(takes_its_place).last();
    last.map(|one| one.bound.spec.name.clone())
}

/// Begins to undo an effect of the run itself, which is given up. What cannot even be begun is told, and left.
pub(super) fn undo_in_run(
    context: &Context,
    loaded: &Loaded,
    state: &RunState,
    effect: &EffectState,
) -> Vec<Event> {
    let run = state.header.run;
    let original = effect.bound.effect;
    let restored = restoring(context, loaded, run, &effect.bound.step, state, effect);
    let mut events = match restored {
        Ok(Some(events)) => events,
        Ok(None) => {
            let fault = Fault::new("no-target", "its target is not known");
            return vec![compensate::cannot_begin(state, effect, &fault)];
        }
        Err(fault) => return vec![compensate::cannot_begin(state, effect, &fault)],
    };
    let tries = state.effects.values().filter(|other| {
        let reverts = other.bound.reverts.as_ref();
        other.bound.rollback && reverts.is_some_and(|reverts| reverts.effect == original)
    });
    let id = EffectId::derive(&[
        "rollback".to_owned(),
        run.to_string(),
        original.to_string(),
        tries.count().to_string(),
    ]);
    for event in &mut events {
        match event {
            Event::EffectBound(bound) => {
                bound.effect = id;
                bound.rollback = true;
            }
            Event::EffectResolved { effect, .. } => *effect = id,
            _ => {}
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fault(name: &str, args: Vec<Value>) -> String {
        wanted(name, &args).unwrap_err().to_string()
    }

    #[test]
    fn an_ask_is_taken_apart() {
        let host = json!({"type": "host", "name": "web-07"});
        let wanted = wanted(
            "endpoint::isolate",
            &[host, json!({"lease": "4h", "reason": "x", "tag": 1})],
        )
        .unwrap();
        assert_eq!(wanted.action.to_string(), "endpoint::isolate");
        assert_eq!(wanted.entity.unwrap().uid, "web-07");
        assert_eq!(wanted.lease_ms, Some(14_400_000));
        assert_eq!(Value::Object(wanted.args), json!({"tag": 1}));
    }

    #[test]
    fn placeholders_and_wrong_shapes_are_refused() {
        let isolate = "endpoint::isolate";
        for name in ["n/a", "", "0.0.0.0", "localhost"] {
            let message = fault(isolate, vec![json!({"type": "host", "name": name})]);
            assert!(message.starts_with("bad-target"), "{message}");
        }
        let host = json!({"type": "host", "name": "web-07"});
        for options in [
            json!({"lease": "soon"}),
            json!({"lease": 4}),
            json!({"lease": "91d"}),
            json!("4h"),
        ] {
            let message = fault(isolate, vec![host.clone(), options]);
            assert!(message.starts_with("bad-argument"), "{message}");
        }
        assert!(fault("approve", vec![]).contains("`approve` is not an action name"));
    }
}
