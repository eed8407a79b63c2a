//! What a script gets back for an ask: a receipt for a change, the result itself for a look.

use serde_json::{Map, Value, json};

use crate::action::{Fault, Outcome, Verification};
use crate::journal::{Answered, EffectState, RunState, Stage, Step};
use crate::script::{Answer, Asked, Kind, Position, StepId, Thrown};

/// A recorded answer, as the evaluator takes it.
pub(super) fn answer_to(id: &StepId, step: &Step, result: &Answered) -> Answer {
    let asked = Asked {
        step: id.clone(),
        kind: Kind::Ask,
        name: step.name.clone(),
        args: step.args.clone(),
        at: Position::default(),
        file: None,
        digest: step.digest,
    };
    let result = match result {
        Answered::Value(value) => Ok(value.clone()),
        Answered::Fault(fault) => Err(Thrown {
            code: fault.code.clone(),
            message: fault.message.clone(),
            action: Some(step.name.clone()),
            data: fault.data.clone(),
        }),
    };
    Answer::to(&asked, result)
}

/// The answer to a step, when every effect of it has come far enough: done and read back once, or not done. `None`
/// while it has not, and while a person has to say whether one happened.
pub fn answer(state: &RunState, step: &Step) -> Option<Answered> {
    if step.effects.is_empty() {
        return None;
    }
    let effects: Vec<&EffectState> = step
        .effects
        .iter()
        .filter_map(|id| state.effects.get(id))
        .collect();
    if !effects.iter().all(|effect| is_far_enough(effect)) {
        return None;
    }
    let faults: Vec<Fault> = effects.iter().filter_map(|effect| effect.fault()).collect();
    Some(match (effects.as_slice(), faults.as_slice()) {
        ([effect], []) => Answered::Value(value(effect)),
        ([_], [fault]) => Answered::Fault(fault.clone()),
        (all, []) if all.iter().all(|effect| !effect.bound.spec.changes()) => Answered::Value(seen_by(all)),
        (all, []) => {
            let worst = all
                .iter()
                .map(|effect| verified(effect))
                .max()
                .unwrap_or(Verification::Yes);
            let values: Vec<Value> = all.iter().map(|effect| value(effect)).collect();
            Answered::Value(json!({ "verified": worst.word(), "effects": values }))
        }
        (all, [first, ..]) => {
            let mut fault = first.clone();
            if faults.len() < all.len() {
                fault.code = "partly-done".into();
                fault.message = format!(
                    "{} of {} systems did not do it: {}",
                    faults.len(),
                    all.len(),
                    first.message
                );
            }
            fault.data = Value::Array(all.iter().map(|effect| report(effect)).collect());
            Answered::Fault(fault)
        }
    })
}

/// What several systems answer to one look: their lists in one, or else what each said, with its name.
fn seen_by(effects: &[&EffectState]) -> Value {
    let values: Vec<Value> = effects.iter().map(|effect| value(effect)).collect();
    if values.iter().all(Value::is_array) {
        let joined = values.into_iter().filter_map(|value| match value {
            Value::Array(items) => Some(items),
            _ => None,
        });
        return Value::Array(joined.flatten().collect());
    }
    let named = effects
        .iter()
        .zip(values)
        .map(|(effect, value)| json!({ "instance": effect.bound.instance, "value": value }));
    json!({ "effects": named.collect::<Vec<_>>() })
}

fn is_far_enough(effect: &EffectState) -> bool {
    match effect.stage() {
        Stage::Done => effect.is_settled() || effect.readings > 0,
        Stage::NotDone(_) => true,
        _ => false,
    }
}

fn verified(effect: &EffectState) -> Verification {
    effect.verification.map_or(Verification::Yes, |(_, word)| word)
}

fn value(effect: &EffectState) -> Value {
    let Some((_, Outcome::Done { how, result })) = effect.done() else {
        return Value::Null;
    };
    if !effect.bound.spec.changes() {
        return result.clone();
    }
    let mut receipt = Map::new();
    receipt.insert("effect".into(), json!(effect.bound.effect));
    receipt.insert("action".into(), json!(effect.bound.spec.name));
    receipt.insert("instance".into(), json!(effect.bound.instance));
    if let Some(target) = &effect.target {
        receipt.insert(
            "target".into(),
            json!({ "type": target.kind, "id": target.id, "name": target.name }),
        );
    }
    receipt.insert("how".into(), json!(how));
    receipt.insert("verified".into(), json!(verified(effect).word()));
    if let Some(why) = &effect.bound.spec.unseen {
        receipt.insert("unseen".into(), json!(why));
    }
    let until = effect.lease_end();
    receipt.insert(
        "until".into(),
        until.map_or(Value::Null, |at| json!(at.to_string())),
    );
    receipt.insert("result".into(), result.clone());
    Value::Object(receipt)
}

fn report(effect: &EffectState) -> Value {
    match effect.fault() {
        Some(fault) => {
            json!({ "ok": false, "instance": effect.bound.instance, "code": fault.code, "message": fault.message })
        }
        None => json!({ "ok": true, "instance": effect.bound.instance, "value": value(effect) }),
    }
}
