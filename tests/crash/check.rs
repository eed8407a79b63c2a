//! What has to be true after every case, by the database and by the range's ledger. The server is down by now.

use std::collections::BTreeMap;
use std::path::Path;

use cordon::action::{Done, Outcome, Verification};
use cordon::clock::Time;
use cordon::id::{EffectId, Partition, RunId};
use cordon::journal::{ChainId, Entry, Event, FindingFate, RunState, verify};
use cordon::range::{Host, Ledger, Status};
use cordon::store::sqlite::{Options, SqliteStore};
use cordon::store::{
    Alerts as _, Disposition, Feed as _, Locked, RunQuery, RunRow, RunStatus, Runs as _, Targets as _,
};

use crate::scenario::Scenario;

pub struct Found {
    pub violations: Vec<String>,
    pub resumed_ms: Vec<u64>,
}

/// An intent, as its journal has it.
struct Intended {
    action: String,
    host: String,
    at: Time,
}

struct Check<'a> {
    scenario: &'a Scenario,
    ledger: &'a Ledger,
    hosts: &'a [Host],
    runs: Vec<(RunRow, RunState)>,
    intents: Vec<Intended>,
    violations: Vec<String>,
}

pub async fn check(scenario: &Scenario, db: &Path, ledger: &Ledger, hosts: &[Host], starts: &[i64]) -> Found {
    let store = SqliteStore::open(db, Options::default()).unwrap();
    let mut check = Check {
        scenario,
        ledger,
        hosts,
        runs: Vec::new(),
        intents: Vec::new(),
        violations: Vec::new(),
    };
    let mut times = Vec::new();
    let mut matched: BTreeMap<RunId, usize> = BTreeMap::new();
    for partition in Partition::all() {
        let query = RunQuery {
            limit: 1_000,
            ..RunQuery::default()
        };
        for row in store.runs(partition, &query).await.unwrap() {
            let entries = store.journal(partition, ChainId::Run(row.id), 0).await.unwrap();
            times.extend(check.run(row, &entries));
        }
        for row in store.alerts(partition, None, None, 1_000).await.unwrap() {
            let entries = store.journal(partition, ChainId::Alert(row.id), 0).await.unwrap();
            check.holds_true(verify(&entries).is_ok(), || {
                format!("the chain of {} is broken", row.id)
            });
            check.holds_true(row.disposition == Disposition::Split, || {
                format!("{} is {:?}", row.id, row.disposition)
            });
            for (at, event) in entries.iter().filter_map(|entry| entry.event().ok()) {
                times.push(at);
                if let Event::AlertSplit { findings } = event {
                    for run in findings.into_iter().flat_map(|record| match record.fate {
                        FindingFate::Matched { runs } => runs,
                        _ => Vec::new(),
                    }) {
                        *matched.entry(run).or_default() += 1;
                    }
                }
            }
        }
        let counts = store.counts(partition, Time(i64::MAX / 2)).await.unwrap();
        check.holds_true(counts.stuck == 0, || format!("{} runs are stuck", counts.stuck));
    }
    check.alerts(&matched);
    check.effects();
    check.ends();
    check.held(&store).await;
    times.sort_unstable();
    let resumed_ms = starts
        .iter()
        .filter_map(|start| {
            times
                .iter()
                .find(|at| at.0 >= *start)
                .map(|at| at.since_ms(Time(*start)))
        })
        .collect();
    Found {
        violations: check.violations,
        resumed_ms,
    }
}

impl Check<'_> {
    fn holds_true(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(otherwise());
        }
    }

    /// One run: settled, its chain whole, its epochs growing. Answers when its entries were recorded.
    fn run(&mut self, row: RunRow, entries: &[Entry]) -> Vec<Time> {
        self.holds_true(row.status == RunStatus::Settled && row.worker.is_none(), || {
            format!("{} is not settled: {row:?}", row.id)
        });
        let mut times = Vec::new();
        let (mut claimed, mut intended, mut settled) = (0, 0, 0);
        for entry in entries {
            let (at, event) = match entry.event() {
                Ok(read) => read,
                Err(error) => {
                    self.violations.push(format!("{}: {error}", row.id));
                    continue;
                }
            };
            times.push(at);
            match event {
                Event::RunClaimed { epoch, .. } => {
                    self.holds_true(epoch > claimed, || {
                        format!("{}: claim {epoch} after {claimed}", row.id)
                    });
                    claimed = epoch;
                }
                Event::EffectIntended(intent) => {
                    self.holds_true(intent.epoch >= intended.max(claimed), || {
                        format!("{}: an intent of epoch {} after {claimed}", row.id, intent.epoch)
                    });
                    intended = intent.epoch;
                }
                Event::RunSettled { .. } => settled += 1,
                _ => {}
            }
        }
        self.holds_true(settled == 1, || format!("{} settled {settled} times", row.id));
        match RunState::fold(entries) {
            Ok(state) => {
                self.holds_true(state.last == row.last && state.len == row.len, || {
                    format!("{}: row and journal differ", row.id)
                });
                for effect in state.effects.values() {
                    for attempt in &effect.attempts {
                        self.intents.push(Intended {
                            action: effect.bound.spec.name.to_string(),
                            host: effect.target.as_ref().map(|t| t.name.clone()).unwrap_or_default(),
                            at: attempt.at,
                        });
                    }
                }
                self.runs.push((row, state));
            }
            Err(error) => self.violations.push(format!("{}: {error}", row.id)),
        }
        times
    }

    fn alerts(&mut self, matched: &BTreeMap<RunId, usize>) {
        let wanted = self.scenario.alerts.len();
        self.holds_true(
            matched.len() == wanted && matched.values().all(|times| *times == 1),
            || format!("{wanted} alerts started {matched:?}"),
        );
        let missing: Vec<_> = matched
            .keys()
            .filter(|run| !self.runs.iter().any(|(row, _)| row.id == **run))
            .copied()
            .collect();
        self.holds_true(missing.is_empty(), || {
            format!("runs are named and not there: {missing:?}")
        });
        let (count, expected) = (self.runs.len(), self.scenario.expected.runs);
        // A lease may be over before the host is contained: its end finds nothing to do, and the next attempt
        // takes another lease.
        let leased = self
            .scenario
            .playbooks
            .iter()
            .any(|playbook| playbook.lease.is_some());
        self.holds_true(count == expected || (leased && count > expected), || {
            format!("{count} runs instead of {expected}")
        });
    }

    /// The vendor's ledger against what was expected and what was intended.
    fn effects(&mut self) {
        let overlapping = self.overlapping();
        for host in self.scenario.hosts {
            let count = |action| {
                (
                    self.ledger.applied(action, host),
                    self.ledger.changed(action, host),
                )
            };
            let ((contained, changed), (lifted, unlifted)) = (count("contain"), count("lift_containment"));
            let expected = (self.scenario.expected.contained, self.scenario.expected.lifted);
            if overlapping {
                self.holds_true((contained, lifted) == expected, || {
                    format!("{host} was contained {contained} and lifted {lifted} times, not {expected:?}")
                });
            }
            // Where the first lease was over before the second began, both are whole stories of their own.
            self.holds_true(contained == changed && lifted == unlifted, || {
                format!("{host}: a blind repeat: {contained}/{changed} contained, {lifted}/{unlifted} lifted")
            });
        }
        for line in self
            .ledger
            .lines()
            .iter()
            .filter(|line| line.applied && line.vendor == "crowdstrike")
        {
            let action = match line.action.as_str() {
                "contain" => "crowdstrike::contain_host",
                "lift_containment" => "crowdstrike::lift_containment",
                _ => continue,
            };
            let before = self.intents.iter().any(|intent| {
                intent.action == action && line.is_about(&intent.host) && intent.at.0 <= line.at_ms
            });
            self.holds_true(before, || format!("line {} has no intent before it", line.n));
        }
    }

    /// Whether all leases on a host were in force at once, so that one containment serves them all.
    fn overlapping(&self) -> bool {
        let leases: Vec<(Time, Time)> = self
            .runs
            .iter()
            .flat_map(|(_, state)| state.effects.values())
            .filter_map(|effect| {
                let first = effect.attempts.first()?;
                Some((first.at, effect.lease_end()?))
            })
            .collect();
        leases
            .iter()
            .all(|one| leases.iter().all(|other| one.0 < other.1))
    }

    fn ends(&mut self) {
        let expected = &self.scenario.expected;
        for (row, state) in std::mem::take(&mut self.runs) {
            self.holds_true(
                (row.end == Some(cordon::journal::End::Succeeded)) == expected.succeeds,
                || {
                    format!(
                        "{} ended {:?}: {:?} {:?}",
                        row.id, row.end, state.settled, state.alarms
                    )
                },
            );
            let told = state.alarms.iter().any(|alarm| alarm.code == "contradicted");
            self.holds_true(told == expected.contradicted, || {
                format!("{}: told of a contradiction: {told}; {:?}", row.id, state.alarms)
            });
            for effect in state.effects.values().filter(|effect| effect.target.is_some()) {
                let seen = effect.verification.as_ref().map(|(_, word)| *word);
                let how = match effect.done() {
                    Some((_, Outcome::Done { how, .. })) => Some(*how),
                    _ => None,
                };
                let sent = matches!(how, Some(Done::Acted | Done::Observed));
                let wanted = if expected.contradicted {
                    Verification::Contradicted
                } else {
                    Verification::Yes
                };
                // A restart that takes longer than the lease: its hold ended before anybody looked, and it says so.
                let ended_unseen = expected.lifted > 0
                    && effect.bound.lease_ms.is_some()
                    && seen == Some(Verification::Undone);
                self.holds_true(!sent || seen == Some(wanted) || ended_unseen, || {
                    format!("{}: {how:?} read back as {seen:?}", row.id)
                });
                self.holds_true(how.is_some(), || {
                    format!("{}: not done: {:?}", row.id, effect.stage())
                });
            }
        }
    }

    /// Holds, locks, and the hosts themselves.
    async fn held(&mut self, store: &SqliteStore) {
        let mut holders = 0;
        for partition in Partition::all() {
            for hold in store.holds(partition).await.unwrap() {
                holders += hold.holders.len();
                let left = hold.holders.iter().any(|holder| holder.ending);
                self.holds_true(!left, || format!("{} is left ending", hold.target.label()));
            }
        }
        let expected = self.scenario.expected.holders;
        self.holds_true(holders == expected, || {
            format!("{holders} holders instead of {expected}")
        });
        for host in self.hosts {
            let key = format!("crowdstrike/host/{}", host.device_id);
            let (effect, run) = (EffectId::derive(&["probe"]), RunId::derive(&["probe"]));
            let lock = store
                .lock(Partition::of_text(&key), &key, effect, run, Time(1))
                .await;
            self.holds_true(lock == Ok(Locked::Granted), || {
                format!("{} is locked: {lock:?}", host.hostname)
            });
            let wanted = if self.scenario.expected.contained > self.scenario.expected.lifted {
                Status::Contained
            } else {
                Status::Normal
            };
            self.holds_true(host.status == wanted, || {
                format!("{} is {}", host.hostname, host.status)
            });
        }
    }
}
