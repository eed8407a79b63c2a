//! I7: what is held is in force, what is not held is as it was before us, and whoever could not be undone was told of.

use std::collections::{BTreeMap, BTreeSet};

use cordon::id::EffectId;
use cordon::journal::{End, Stage};
use cordon::range::LedgerLine;
use cordon::store::RunStatus;

use super::words::{PAIRS, is_about, our_word, state};
use super::{Facts, Findings, Invariant::I7};

pub fn each_is_held_or_as_before(facts: &Facts, found: &mut Findings) {
    let at_rest = facts.runs.iter().all(|run| run.row.status != RunStatus::Open);
    let told: BTreeSet<EffectId> = facts
        .runs
        .iter()
        .filter_map(|run| run.state.as_ref())
        .flat_map(|state| &state.alarms)
        .filter_map(|alarm| alarm.effect)
        .collect();
    if at_rest {
        for hold in &facts.holds {
            let ending = hold
                .holders
                .iter()
                .find(|holder| holder.ending && !told.contains(&holder.effect));
            found.hold(I7, ending.is_none(), || {
                format!("{} is left ending", hold.target.label())
            });
        }
        as_held(facts, &told, found);
    }
    rolled_back(facts, &told, found);
}

/// Every target that was changed: its first state and its last, and whether somebody holds it.
fn as_held(facts: &Facts, told: &BTreeSet<EffectId>, found: &mut Findings) {
    let mut walks: BTreeMap<(&str, String, String), (&LedgerLine, &LedgerLine)> = BTreeMap::new();
    for line in facts
        .ledger
        .iter()
        .filter(|line| line.applied && line.target.is_some())
    {
        let Ok(Some(word)) = our_word(line) else { continue };
        let Some((does, _)) = PAIRS
            .iter()
            .find(|(does, undoes)| *does == word || *undoes == word)
        else {
            continue;
        };
        let part = match *does {
            "okta::add_member" => {
                let state = line.state_after.as_deref().unwrap_or_default();
                state.trim_start_matches("not ").to_owned()
            }
            _ => String::new(),
        };
        let key = (*does, line.target.clone().unwrap_or_default(), part);
        walks
            .entry(key)
            .and_modify(|walk| walk.1 = line)
            .or_insert((line, line));
    }
    for ((does, target, _), (first, last)) in walks {
        let holders: Vec<EffectId> = facts
            .holds
            .iter()
            .filter(|hold| is_about(first, &hold.target.id) && is_facet(does, &hold.facet))
            .flat_map(|hold| hold.holders.iter().map(|holder| holder.effect))
            .collect();
        let before = first.state_before.as_deref().map(state);
        let now = last.state_after.as_deref().map(state);
        let held = !holders.is_empty();
        let excused = holders.iter().any(|effect| told.contains(effect));
        found.hold(I7, held != (before == now) || excused, || {
            format!("{does} on {target}: {before:?} before us, {now:?} now, held: {held}")
        });
    }
}

fn is_facet(does: &str, facet: &str) -> bool {
    match does {
        "crowdstrike::contain_host" => facet == "network",
        "okta::suspend_user" => facet == "login",
        "okta::add_member" => facet.starts_with("member"),
        "aws::deactivate_key" => facet == "active",
        "aws::deny" => facet == "permissions",
        _ => false,
    }
}

/// A run that was rolled back holds nothing that could be undone, or somebody was told.
fn rolled_back(facts: &Facts, told: &BTreeSet<EffectId>, found: &mut Findings) {
    let holding: BTreeSet<EffectId> = facts
        .holds
        .iter()
        .flat_map(|hold| hold.holders.iter().map(|holder| holder.effect))
        .collect();
    for run in facts
        .runs
        .iter()
        .filter(|run| run.row.end == Some(End::RolledBack))
    {
        let Some(state) = &run.state else { continue };
        for effect in state.effects.values() {
            let id = effect.bound.effect;
            let done = matches!(effect.stage(), Stage::Done | Stage::InDoubt | Stage::Unknown);
            let left = done && effect.bound.reverts.is_none() && holding.contains(&id);
            found.hold(I7, !left || told.contains(&id), || {
                format!("{} was rolled back and still holds {id}", run.row.id)
            });
        }
    }
}
