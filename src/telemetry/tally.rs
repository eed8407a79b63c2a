//! What only the journal knows: fates of findings, outcomes of effects. Counted from the feed, from where this
//! node's last count ended, so that a restart neither forgets nor counts twice what was scraped. On several
//! nodes each counts everything: take the maximum over nodes, not the sum.

use std::collections::HashMap;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Labels;
use crate::action::Outcome;
use crate::id::{EffectId, Partition};
use crate::journal::{Entry, Event, FindingFate};
use crate::store::{Error, Store};

/// The name its place in the feed is kept under.
pub const FOLLOWER: &str = "telemetry";
/// Entries read at once.
const PAGE: usize = 512;
/// Pages read from one partition per scrape; what is left is read by the next one.
const PAGES_MAX: usize = 16;
/// Effects whose action is remembered until they end; beyond it they are counted as `unknown`.
const EFFECTS_MAX: usize = 100_000;

/// The counters, and how far they have counted.
pub(super) struct Tally {
    findings: Family<Labels, Counter>,
    effects: Family<Labels, Counter>,
    behind: Family<Labels, Gauge>,
    positions: HashMap<Partition, u64>,
    actions: HashMap<EffectId, String>,
}

impl Tally {
    pub(super) fn new(registry: &mut Registry) -> Tally {
        let tally = Tally {
            findings: Family::default(),
            effects: Family::default(),
            behind: Family::default(),
            positions: HashMap::new(),
            actions: HashMap::new(),
        };
        registry.register(
            "findings",
            "Findings by what became of them",
            tally.findings.clone(),
        );
        registry.register(
            "effects",
            "Ended attempts of effects, by action and outcome",
            tally.effects.clone(),
        );
        registry.register(
            "tally_behind",
            "1 where the journal has more than this scrape counted",
            tally.behind.clone(),
        );
        for fate in ["matched", "unmatched", "duplicate", "suppressed"] {
            drop(tally.findings.get_or_create(&vec![("fate", fate.to_owned())]));
        }
        tally
    }

    /// Counts what was appended since the last time, up to a bound.
    pub(super) async fn catch_up(&mut self, store: &dyn Store) -> Result<(), Error> {
        for partition in Partition::all() {
            let start = match self.positions.get(&partition) {
                Some(position) => *position,
                None => store.cursor(partition, FOLLOWER).await?,
            };
            let mut position = start;
            let mut behind = true;
            for _ in 0..PAGES_MAX {
                let items = store.feed(partition, position, PAGE).await?;
                for item in &items {
                    self.count(&item.entry);
                    position = item.position;
                }
                // Set at once: an error later must not count this page twice.
                self.positions.insert(partition, position);
                if items.len() < PAGE {
                    behind = false;
                    break;
                }
            }
            if position > start {
                store.set_cursor(partition, FOLLOWER, position).await?;
            }
            self.behind
                .get_or_create(&vec![("partition", partition.to_string())])
                .set(i64::from(behind));
        }
        Ok(())
    }

    fn count(&mut self, entry: &Entry) {
        if !matches!(
            entry.kind.as_str(),
            "alert_split" | "effect_bound" | "effect_ended" | "effect_in_doubt"
        ) {
            return;
        }
        // An entry of a newer version is not ours to count.
        let Ok((_, event)) = entry.event() else { return };
        match event {
            Event::AlertSplit { findings } => {
                for finding in &findings {
                    self.findings
                        .get_or_create(&vec![("fate", fate_word(&finding.fate).to_owned())])
                        .inc();
                }
            }
            Event::EffectBound(bound) if self.actions.len() < EFFECTS_MAX => {
                self.actions.insert(bound.effect, bound.spec.name.to_string());
            }
            Event::EffectEnded { effect, outcome, .. } => {
                let (word, last) = match outcome {
                    Outcome::Done { .. } => ("done", true),
                    Outcome::NotDone { retry, .. } => ("not_done", retry == crate::action::Retry::Never),
                    Outcome::Unknown { .. } => ("unknown", false),
                };
                self.ended(effect, word, last);
            }
            Event::EffectInDoubt { effect, .. } => self.ended(effect, "in_doubt", true),
            _ => {}
        }
    }

    fn ended(&mut self, effect: EffectId, word: &str, last: bool) {
        let action = if last {
            self.actions.remove(&effect)
        } else {
            self.actions.get(&effect).cloned()
        };
        let action = action.unwrap_or_else(|| "(unknown)".to_owned());
        self.effects
            .get_or_create(&vec![("action", action), ("outcome", word.to_owned())])
            .inc();
    }
}

fn fate_word(fate: &FindingFate) -> &'static str {
    match fate {
        FindingFate::Matched { .. } => "matched",
        FindingFate::Unmatched => "unmatched",
        FindingFate::Duplicate { .. } => "duplicate",
        FindingFate::Suppressed { .. } => "suppressed",
    }
}
