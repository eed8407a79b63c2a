//! I2, I3 and the second half of I8: what the vendors saw against what was intended and what is said of it.

use std::collections::{BTreeMap, BTreeSet};

use cordon::action::{Class, Done, Outcome, Verification};
use cordon::clock::Time;
use cordon::journal::{EffectState, Stage};
use cordon::range::LedgerLine;

use super::words::{is_about, last_part, our_word, target};
use super::{Facts, Findings, Invariant::I2, Invariant::I3, Invariant::I8};

/// An action on a target, as the vendor sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct What {
    action: &'static str,
    /// The vendor's id.
    target: String,
    /// What of it, where one target has several: a group, a policy.
    part: String,
}

impl What {
    fn of(line: &LedgerLine) -> Option<What> {
        let action = our_word(line).ok()??;
        let part = match action {
            "okta::add_member" | "okta::remove_member" => {
                let state = line.state_after.as_deref().or(line.state_before.as_deref());
                let state = state.unwrap_or_default();
                state
                    .trim_start_matches("not ")
                    .trim_start_matches("in ")
                    .to_owned()
            }
            _ => String::new(),
        };
        Some(What {
            action,
            target: target(line),
            part,
        })
    }

    fn is(&self, effect: &EffectState, line: &LedgerLine) -> bool {
        let group = effect.args().get("group").and_then(|group| group.as_str());
        effect.bound.spec.name.to_string() == self.action
            && effect.target.as_ref().is_some_and(|target| is_about(line, &target.id))
            // A group may have been named by its id, which the ledger does not say.
            && (self.part.is_empty() || group.is_none_or(|group| group == self.part || group.starts_with("00g")))
    }
}

fn effects(facts: &Facts) -> impl Iterator<Item = &EffectState> {
    facts
        .runs
        .iter()
        .filter_map(|run| run.state.as_ref())
        .flat_map(|state| state.effects.values())
}

/// Changes that vendors carried out, by what was changed; each oldest first.
fn carried_out(facts: &Facts) -> BTreeMap<What, Vec<&LedgerLine>> {
    let mut all: BTreeMap<What, Vec<&LedgerLine>> = BTreeMap::new();
    for line in facts.ledger.iter().filter(|line| line.applied) {
        if let Some(what) = What::of(line) {
            all.entry(what).or_default().push(line);
        }
    }
    all
}

/// By action and target, so that twenty thousand runs are judged in a moment.
fn by_action(facts: &Facts) -> BTreeMap<String, Vec<&EffectState>> {
    let mut all: BTreeMap<String, Vec<&EffectState>> = BTreeMap::new();
    for effect in effects(facts) {
        let part = effect.target.as_ref().map(|target| last_part(&target.id));
        let key = format!("{} {}", effect.bound.spec.name, part.unwrap_or_default());
        all.entry(key).or_default().push(effect);
    }
    all
}

fn those<'a>(
    index: &'a BTreeMap<String, Vec<&'a EffectState>>,
    what: &'a What,
    line: &'a LedgerLine,
) -> impl Iterator<Item = &'a EffectState> {
    let part = last_part(&what.target);
    let all = index.get(&format!("{} {part}", what.action));
    all.into_iter()
        .flatten()
        .copied()
        .filter(move |effect| what.is(effect, line))
}

/// I2: the n-th change of a target has at least n intents before it.
pub fn each_has_an_earlier_intent(facts: &Facts, found: &mut Findings) {
    for line in &facts.ledger {
        let known = our_word(line);
        found.hold(I2, known.is_ok(), || known.err().unwrap_or_default());
    }
    let index = by_action(facts);
    for (what, lines) in carried_out(facts) {
        let mut requests = BTreeSet::new();
        for line in lines {
            requests.insert(line.request);
            let intents: usize = those(&index, &what, line)
                .flat_map(|effect| &effect.attempts)
                .filter(|attempt| attempt.at <= Time(line.at_ms))
                .count();
            found.hold(I2, intents >= requests.len(), || {
                format!(
                    "line {}: {what:?} for the {}. time, with {intents} intents before it",
                    line.n,
                    requests.len()
                )
            });
        }
    }
}

/// I3: what puts a target in a state is not done to a target that is in it; each effect changes at most once; what can
/// neither be seen nor repeated is tried once.
pub fn none_is_repeated_blindly(facts: &Facts, found: &mut Findings) {
    let index = by_action(facts);
    for (what, lines) in carried_out(facts) {
        let Some(first) = lines.first() else { continue };
        let ours: Vec<&EffectState> = those(&index, &what, first)
            .filter(|effect| effect.last().is_some())
            .collect();
        let set = ours.iter().all(|effect| effect.bound.spec.class == Class::Set);
        let changed = lines.iter().filter(|line| line.changed_state()).count();
        let effectless: Vec<u64> = lines
            .iter()
            .filter(|line| !line.changed_state())
            .map(|line| line.n)
            .collect();
        found.hold(I3, !set || effectless.is_empty(), || {
            format!("{what:?} was repeated blindly in lines {effectless:?}")
        });
        found.hold(I3, changed <= ours.len(), || {
            format!("{what:?} was changed {changed} times for {} effects", ours.len())
        });
    }
    for effect in effects(facts) {
        let unanswered = effect.attempts.iter().rev().skip(1);
        let unanswered = unanswered.filter(|attempt| {
            !matches!(&attempt.ended, Some((_, Outcome::NotDone { fault, .. })) if fault.code != cordon::journal::NO_ANSWER)
        });
        let opaque = effect.bound.spec.class == Class::Opaque;
        found.hold(I3, !opaque || unanswered.count() == 0, || {
            format!(
                "{} is opaque and was tried again after no answer",
                effect.bound.effect
            )
        });
    }
    messages(facts, found);
}

/// A message that an effect sends is found again by its key, so there is one.
fn messages(facts: &Facts, found: &mut Findings) {
    for effect in effects(facts).filter(|effect| effect.bound.spec.class == Class::Create) {
        let Some(key) = effect.last().map(|attempt| &attempt.intent.key) else {
            continue;
        };
        let carries = |line: &&LedgerLine| {
            let kept = line.record.as_ref().map(ToString::to_string).unwrap_or_default();
            line.applied
                && line.vendor == "slack"
                && line.action == "chat.postMessage"
                && kept.contains(key.as_str())
        };
        let times = facts.ledger.iter().filter(carries).count();
        found.hold(I3, times <= 1, || {
            format!("{} was posted {times} times", effect.bound.effect)
        });
    }
}

/// I8: every change at a vendor is the done, or the doubted, of an effect; and what reads done and seen was done.
pub fn each_change_is_accounted_for(facts: &Facts, found: &mut Findings) {
    let index = by_action(facts);
    let all = carried_out(facts);
    for (what, lines) in &all {
        let Some(first) = lines.first() else { continue };
        let changed = lines.iter().filter(|line| line.changed_state()).count();
        // One whose run goes on may not have written it down yet.
        let says = |effect: &&EffectState| match effect.stage() {
            Stage::Done => sent(effect),
            Stage::InDoubt | Stage::Unknown | Stage::Intended(_) => true,
            _ => false,
        };
        let told = those(&index, what, first).filter(says).count();
        found.hold(I8, changed <= told, || {
            format!("{what:?} was changed {changed} times, and {told} effects tell of it")
        });
    }
    for effect in effects(facts) {
        let Some(target) = &effect.target else { continue };
        let seen = matches!(effect.verification, Some((_, Verification::Yes)));
        if effect.bound.spec.class != Class::Set || !(seen && sent(effect)) {
            continue;
        }
        let name = effect.bound.spec.name.to_string();
        let happened = all
            .iter()
            .any(|(what, lines)| what.action == name && lines.iter().any(|line| is_about(line, &target.id)));
        let known = super::words::PAIRS
            .iter()
            .any(|(one, other)| *one == name || *other == name);
        found.hold(I8, happened || !known, || {
            format!(
                "{} reads done and seen, and the vendor knows nothing of it",
                effect.bound.effect
            )
        });
    }
}

fn sent(effect: &EffectState) -> bool {
    matches!(
        effect.done(),
        Some((
            _,
            Outcome::Done {
                how: Done::Acted | Done::Observed,
                ..
            }
        ))
    )
}
