//! I1: what was accepted comes to something, once.

use std::collections::{BTreeMap, BTreeSet};

use cordon::id::{AlertId, RunId};
use cordon::journal::{Cause, Event, FindingFate};
use cordon::store::Disposition;

use super::{Facts, Findings, Invariant::I1};

pub fn each_starts_its_runs_once(facts: &Facts, found: &mut Findings) {
    let mut named: BTreeMap<RunId, Vec<AlertId>> = BTreeMap::new();
    let mut started: BTreeMap<AlertId, usize> = BTreeMap::new();
    for (row, entries) in &facts.alerts {
        found.hold(I1, row.disposition != Disposition::Pending, || {
            format!("{} is still pending", row.id)
        });
        let events = entries.iter().filter_map(|entry| entry.event().ok());
        let mut last = None;
        for (_, event) in events {
            if let Event::AlertSplit { findings } = event {
                last = Some(findings);
            }
        }
        for record in last.into_iter().flatten() {
            if let FindingFate::Matched { runs } = record.fate {
                *started.entry(row.id).or_default() += runs.len();
                for run in runs {
                    named.entry(run).or_default().push(row.id);
                }
            }
        }
    }
    let runs: BTreeSet<RunId> = facts.runs.iter().map(|run| run.row.id).collect();
    for (run, alerts) in &named {
        found.hold(I1, alerts.len() == 1, || {
            format!("{run} was started by each of {alerts:?}")
        });
        found.hold(I1, runs.contains(run), || {
            format!("{alerts:?} started {run}, which is not there")
        });
    }
    for run in &facts.runs {
        let Some(state) = &run.state else { continue };
        if let Cause::Trigger { alert, .. } = &state.header.cause {
            found.hold(
                I1,
                named.get(&run.row.id).is_some_and(|by| by.contains(alert)),
                || {
                    format!(
                        "{} says that {alert} started it, which knows nothing of it",
                        run.row.id
                    )
                },
            );
        }
    }
    for sent in &facts.sent {
        let kept = facts.alerts.iter().any(|(row, _)| row.id == sent.alert);
        found.hold(I1, kept, || {
            format!("{} was answered 2xx and is not there", sent.alert)
        });
        if let Some(wanted) = sent.runs {
            let runs = started.get(&sent.alert).copied().unwrap_or_default();
            found.hold(I1, runs == wanted, || {
                format!("{} started {runs} runs instead of {wanted}", sent.alert)
            });
        }
    }
}
