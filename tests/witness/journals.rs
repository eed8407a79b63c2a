//! I4, I5 and the first half of I8: what journals say of themselves.

use std::collections::{BTreeMap, BTreeSet};

use cordon::action::{Class, Done, Outcome};
use cordon::id::EffectId;
use cordon::journal::{ChainId, Entry, Event, verify};
use cordon::store::RunStatus;

use super::facts::Told;
use super::{Facts, Findings, Invariant::I4, Invariant::I5, Invariant::I8};

/// What is known of the last attempt of an effect while its journal is read.
#[derive(Default)]
struct Last {
    attempts: u32,
    ended: bool,
    unknown: bool,
    /// Looked at since it became unknown.
    looked: bool,
    /// Another worker took the run over after the intent, and before any outcome.
    orphaned: bool,
}

/// I4: an outcome that nobody saw is looked for, or asked for.
pub fn no_outcome_is_made_up(facts: &Facts, found: &mut Findings) {
    for run in &facts.runs {
        outcomes(run, found);
    }
}

fn outcomes(run: &Told, found: &mut Findings) {
    let id = run.row.id;
    let mut lasts: BTreeMap<EffectId, Last> = BTreeMap::new();
    let mut classes: BTreeMap<EffectId, Class> = BTreeMap::new();
    let mut doubted = BTreeSet::new();
    for (_, event) in run.events() {
        match event {
            Event::EffectBound(bound) => {
                classes.insert(bound.effect, bound.spec.class);
            }
            Event::RunClaimed { .. } => {
                for last in lasts.values_mut().filter(|last| !last.ended) {
                    last.orphaned = true;
                }
            }
            Event::EffectIntended(intent) => {
                let last = lasts.entry(intent.effect).or_default();
                found.hold(I4, last.attempts == 0 || (last.ended && !last.unknown), || {
                    format!(
                        "{id}: attempt {} of {} before the last one was clear",
                        intent.attempt, intent.effect
                    )
                });
                *last = Last {
                    attempts: last.attempts + 1,
                    ..Last::default()
                };
            }
            Event::EffectProbed { effect, .. } => lasts.entry(effect).or_default().looked = true,
            Event::EffectInDoubt { effect, .. } => {
                doubted.insert(effect);
            }
            Event::EffectEnded {
                effect,
                attempt,
                outcome,
                ..
            } if attempt > 0 => {
                let class = classes.get(&effect).copied().unwrap_or(Class::Opaque);
                let last = lasts.entry(effect).or_default();
                ended(&format!("{id}: {effect}"), last, class, &outcome, found);
            }
            _ => {}
        }
    }
    if run.row.status == RunStatus::Settled {
        for (effect, last) in lasts {
            let clear = doubted.contains(&effect) || (last.ended && !last.unknown);
            found.hold(I4, clear, || format!("{id} settled and left {effect} unclear"));
        }
    }
}

fn ended(what: &str, last: &mut Last, class: Class, outcome: &Outcome, found: &mut Findings) {
    match outcome {
        Outcome::Unknown { .. } => (last.unknown, last.looked) = (true, false),
        Outcome::Done { how, .. } => {
            let sent = matches!(how, Done::Acted);
            found.hold(I4, !(sent && last.orphaned && !last.unknown), || {
                format!("{what} reads done, and whoever sent it was gone before an answer came")
            });
            found.hold(I4, !(sent && last.unknown), || {
                format!("{what} was unknown and reads done without a look")
            });
            last.unknown = false;
        }
        // Under its key such a vendor is asked by doing it again.
        Outcome::NotDone { .. } => {
            let knows = last.looked || class == Class::Keyed;
            found.hold(I4, knows || !(last.unknown || last.orphaned), || {
                format!("{what} reads not done, and nobody looked")
            });
            last.unknown = false;
        }
    }
    last.ended = true;
}

/// I5: no gap, row and journal agree, epochs grow, and nothing was written under an epoch that is gone.
pub fn each_is_whole_and_fenced(facts: &Facts, found: &mut Findings) {
    for (row, entries) in &facts.alerts {
        whole(&row.id.to_string(), entries, row.len, found);
    }
    for run in &facts.runs {
        let id = run.row.id;
        whole(&id.to_string(), &run.entries, run.row.len, found);
        let mut epoch = 0;
        let mut settled = 0;
        for (_, event) in run.events() {
            found.hold(I5, settled == 0, || {
                format!("{id} went on after it had settled: {}", event.kind())
            });
            match event {
                Event::RunClaimed { epoch: claimed, .. } => {
                    found.hold(I5, claimed > epoch, || {
                        format!("{id}: claim {claimed} after {epoch}")
                    });
                    epoch = epoch.max(claimed);
                }
                Event::EffectIntended(intent) => {
                    found.hold(I5, intent.epoch >= epoch, || {
                        format!(
                            "{id}: an intent of epoch {} after {epoch} was claimed",
                            intent.epoch
                        )
                    });
                    epoch = epoch.max(intent.epoch);
                }
                Event::RunSettled { .. } => settled += 1,
                _ => {}
            }
        }
        found.hold(I5, run.row.epoch >= epoch, || {
            format!("{id}: the row knows epoch {}, its journal {epoch}", run.row.epoch)
        });
        found.hold(
            I5,
            (run.row.status == RunStatus::Settled) == (settled == 1),
            || format!("{id} is {:?} and settled {settled} times", run.row.status),
        );
    }
}

fn whole(chain: &str, entries: &[Entry], len: u64, found: &mut Findings) {
    let gap = (0..).zip(entries).find(|(place, entry)| entry.seq != *place);
    found.hold(I5, gap.is_none(), || {
        format!("{chain} has a gap before {:?}", gap.map(|(place, _)| place))
    });
    found.hold(I5, u64::try_from(entries.len()) == Ok(len), || {
        format!("{chain} has {} entries and its row says {len}", entries.len())
    });
}

/// I8: chains verify up to the digest in their row, and the feed has each entry once and in order.
pub fn followers_see_all(facts: &Facts, found: &mut Findings) {
    let alerts = facts.alerts.iter();
    let alerts = alerts.map(|(row, entries)| (ChainId::Alert(row.id), entries, row.last));
    let runs = facts.runs.iter();
    let runs = runs.map(|run| (ChainId::Run(run.row.id), &run.entries, run.row.last));
    let mut fed: BTreeMap<ChainId, Vec<Entry>> = BTreeMap::new();
    for item in facts.feeds.values().flatten() {
        fed.entry(item.entry.chain).or_default().push(item.entry.clone());
    }
    for (chain, entries, last) in alerts.chain(runs) {
        found.hold(I8, verify(entries) == Ok(last), || {
            format!(
                "the chain of {chain} does not verify: {:?}",
                verify(entries).err()
            )
        });
        let seen = fed.remove(&chain).unwrap_or_default();
        found.hold(I8, seen == *entries, || {
            let places: Vec<u64> = seen.iter().map(|entry| entry.seq).collect();
            format!("followers of {chain} see entries {places:?} of {}", entries.len())
        });
    }
    found.hold(I8, fed.is_empty(), || {
        format!(
            "followers see entries of nothing: {:?}",
            fed.keys().collect::<Vec<_>>()
        )
    });
}
