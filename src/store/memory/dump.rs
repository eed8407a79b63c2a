//! Records out and in, in memory.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;

use super::MemoryStore;
use super::part::{Held, Once, Part, Run};
use crate::clock::Time;
use crate::id::{Partition, RunId};
use crate::journal::ChainId;
use crate::store::alerts::Alert;
use crate::store::control::Switches;
use crate::store::dump::{Dump, Dumped, HeldBy, Kind, Mark, Record, two_part_name};
use crate::store::error::{Error, Result};
use crate::store::home;

/// What lives in the control partition alone is empty elsewhere, so nobody needs to ask where we are.
fn names(part: &Part, kind: Kind) -> Vec<String> {
    let mut names: Vec<String> = match kind {
        Kind::Alert => part.alerts.keys().map(ToString::to_string).collect(),
        Kind::Run => part.runs.keys().map(ToString::to_string).collect(),
        Kind::Gone => part.gone.keys().map(ToString::to_string).collect(),
        Kind::Claim => part.claims.keys().map(ToString::to_string).collect(),
        Kind::Notice => part.notices.keys().cloned().collect(),
        Kind::Cursor => part.cursors.keys().cloned().collect(),
        Kind::Follower => part.followers.keys().cloned().collect(),
        Kind::Lock => part.locks.keys().cloned().collect(),
        Kind::Change => part.changes.keys().cloned().collect(),
        Kind::Hold => part
            .holds
            .keys()
            .map(|(target, facet)| two_part_name(target, facet))
            .collect(),
        Kind::Budget => {
            let places = part.budgets.iter();
            places
                .flat_map(|(scope, members)| members.keys().map(move |member| two_part_name(scope, member)))
                .collect()
        }
        Kind::Feed => Vec::from_iter((part.fed > 0).then(String::new)),
        Kind::Switches => Vec::from_iter((part.control.switches != Switches::default()).then(String::new)),
        Kind::Principal => part.control.principals.keys().cloned().collect(),
        Kind::Secret => part.control.secrets.keys().cloned().collect(),
        Kind::Bundle => part.control.bundles.keys().map(ToString::to_string).collect(),
    };
    names.sort_unstable();
    names
}

/// Every record of a kind, by name.
fn records(part: &Part, kind: Kind) -> BTreeMap<String, Record> {
    let records: Vec<Record> = match kind {
        Kind::Alert => {
            let places = part.places();
            let alert = |alert: &Alert| alert_record(part, alert, &places);
            part.alerts.values().map(alert).collect()
        }
        Kind::Run => {
            let places = part.places();
            part.runs
                .values()
                .map(|run| run_record(part, run, &places))
                .collect()
        }
        Kind::Gone => {
            let gone = part.gone.iter();
            gone.map(|(chain, at)| Record::Gone {
                chain: *chain,
                at: *at,
            })
            .collect()
        }
        Kind::Claim => {
            let claims = part.claims.iter();
            claims
                .map(|(key, once)| Record::Claim {
                    key: *key,
                    owner: once.owner.clone(),
                    until: once.until,
                    lost: once.lost.iter().cloned().collect(),
                })
                .collect()
        }
        Kind::Notice => part.notices.values().cloned().map(Record::Notice).collect(),
        Kind::Cursor | Kind::Follower | Kind::Feed => following(part, kind),
        Kind::Lock | Kind::Change | Kind::Hold => of_targets(part, kind),
        Kind::Budget => budgets(part),
        Kind::Switches | Kind::Principal | Kind::Secret | Kind::Bundle => of_instance(part, kind),
    };
    records
        .into_iter()
        .map(|record| (record.name(), record))
        .collect()
}

fn alert_record(part: &Part, alert: &Alert, places: &HashMap<(ChainId, u64), u64>) -> Record {
    Record::Alert {
        row: alert.row.clone(),
        headers: alert.headers.clone(),
        body: alert.body.clone(),
        chain: part.items(ChainId::Alert(alert.row.id), places),
    }
}

fn run_record(part: &Part, run: &Run, places: &HashMap<(ChainId, u64), u64>) -> Record {
    let id = run.row.id;
    let mut approvals: Vec<_> = part
        .approvals
        .values()
        .filter(|row| row.run == id)
        .cloned()
        .collect();
    approvals.sort_by_cached_key(|row| row.id.to_string());
    Record::Run {
        row: run.row.clone(),
        claim_until: run.claim_until,
        woken_at: run.woken_at,
        chain: part.items(ChainId::Run(id), places),
        approvals,
        votes: part.votes(id),
        signals: part.signals(id),
    }
}

fn following(part: &Part, kind: Kind) -> Vec<Record> {
    match kind {
        Kind::Cursor => {
            let cursors = part.cursors.iter();
            cursors
                .map(|(follower, position)| Record::Cursor {
                    follower: follower.clone(),
                    position: *position,
                })
                .collect()
        }
        Kind::Follower => {
            let followers = part.followers.iter();
            followers
                .map(|(follower, (holder, until))| Record::Follower {
                    follower: follower.clone(),
                    holder: holder.clone(),
                    until: *until,
                })
                .collect()
        }
        _ => Vec::from_iter((part.fed > 0).then_some(Record::Feed { last: part.fed })),
    }
}

fn of_targets(part: &Part, kind: Kind) -> Vec<Record> {
    match kind {
        Kind::Lock => {
            let locks = part.locks.iter();
            locks
                .map(|(target, (effect, run, since))| Record::Lock {
                    target: target.clone(),
                    effect: *effect,
                    run: *run,
                    since: *since,
                })
                .collect()
        }
        Kind::Change => {
            let changes = part.changes.iter();
            changes
                .map(|(target, at)| Record::Change {
                    target: target.clone(),
                    at: *at,
                })
                .collect()
        }
        _ => {
            let holds = part.holds.iter();
            holds
                .map(|((_, facet), held)| Record::Hold {
                    target: held.target.clone(),
                    facet: facet.clone(),
                    prior: held.prior.clone(),
                    undo: held.undo.clone(),
                    holders: held
                        .holders
                        .iter()
                        .map(|(holder, first)| HeldBy {
                            holder: holder.clone(),
                            first: *first,
                        })
                        .collect(),
                    left: held.left.clone(),
                })
                .collect()
        }
    }
}

fn budgets(part: &Part) -> Vec<Record> {
    let place = |scope: &String, member: &String, at: Time| Record::Budget {
        scope: scope.clone(),
        member: member.clone(),
        at,
    };
    let budgets = part.budgets.iter();
    budgets
        .flat_map(|(scope, members)| members.iter().map(move |(member, at)| place(scope, member, *at)))
        .collect()
}

fn of_instance(part: &Part, kind: Kind) -> Vec<Record> {
    let control = &part.control;
    match kind {
        Kind::Switches if control.switches == Switches::default() => Vec::new(),
        Kind::Switches => vec![Record::Switches(control.switches.clone())],
        Kind::Principal => control
            .principals
            .values()
            .cloned()
            .map(Record::Principal)
            .collect(),
        Kind::Secret => {
            let secrets = control.secrets.iter();
            secrets
                .map(|(handle, sealed)| Record::Secret {
                    handle: handle.clone(),
                    sealed: sealed.clone(),
                })
                .collect()
        }
        _ => {
            let bundles = control.bundles.iter();
            bundles
                .map(|(digest, bytes)| Record::Bundle {
                    digest: *digest,
                    bytes: bytes.clone(),
                })
                .collect()
        }
    }
}

/// Refuses a record whose place is taken; `Ok(true)` when it is there already.
fn is_there(part: &Part, there: &BTreeMap<Kind, BTreeMap<String, Record>>, record: &Record) -> Result<bool> {
    let occupied = |what: String| Error::Occupied { what };
    let known = there
        .get(&record.kind())
        .and_then(|kind| kind.get(&record.name()));
    match (known, record) {
        (Some(known), record) if known == record => return Ok(true),
        // The end of a feed comes after what is in it, which has moved it.
        (_, Record::Feed { last }) if *last >= part.fed => return Ok(false),
        (Some(_), record) => {
            let word = record.kind().word();
            return Err(occupied(format!(
                "record of the {word} named `{}`",
                record.name()
            )));
        }
        (None, _) => {}
    }
    for item in record.chain() {
        if part.feed.contains_key(&item.position) {
            return Err(occupied(format!("entry at place {} of the feed", item.position)));
        }
    }
    Ok(false)
}

fn put(part: &mut Part, record: Record) {
    match record {
        Record::Alert {
            row,
            headers,
            body,
            chain,
        } => {
            part.put_chain(ChainId::Alert(row.id), chain);
            part.alerts.insert(row.id, Alert { row, headers, body });
        }
        Record::Run {
            row,
            claim_until,
            woken_at,
            chain,
            approvals,
            votes,
            signals,
        } => {
            let id: RunId = row.id;
            part.put_chain(ChainId::Run(id), chain);
            part.approvals
                .extend(approvals.into_iter().map(|row| (row.id, row)));
            if !votes.is_empty() {
                part.votes.insert(id, votes);
            }
            if !signals.is_empty() {
                part.signals.insert(id, signals);
            }
            part.runs.insert(
                id,
                Run {
                    row,
                    claim_until,
                    woken_at,
                },
            );
        }
        Record::Gone { chain, at } => drop(part.gone.insert(chain, at)),
        Record::Claim {
            key,
            owner,
            until,
            lost,
        } => {
            let lost = lost.into_iter().collect();
            part.claims.insert(key, Once { owner, until, lost });
        }
        Record::Notice(notice) => drop(part.notices.insert(notice.key.clone(), notice)),
        Record::Cursor { follower, position } => drop(part.cursors.insert(follower, position)),
        Record::Follower {
            follower,
            holder,
            until,
        } => drop(part.followers.insert(follower, (holder, until))),
        Record::Lock {
            target,
            effect,
            run,
            since,
        } => drop(part.locks.insert(target, (effect, run, since))),
        Record::Change { target, at } => drop(part.changes.insert(target, at)),
        Record::Hold {
            target,
            facet,
            prior,
            undo,
            holders,
            left,
        } => {
            let held = Held {
                prior,
                undo,
                left,
                holders: holders
                    .into_iter()
                    .map(|share| (share.holder, share.first))
                    .collect(),
                target,
            };
            part.holds.insert((held.target.key(), facet), held);
        }
        Record::Budget { scope, member, at } => {
            part.budgets.entry(scope).or_default().insert(member, at);
        }
        Record::Feed { last } => part.fed = part.fed.max(last),
        Record::Switches(switches) => part.control.switches = switches,
        Record::Principal(principal) => {
            part.control.principals.insert(principal.name.clone(), principal);
        }
        Record::Secret { handle, sealed } => drop(part.control.secrets.insert(handle, sealed)),
        Record::Bundle { digest, bytes } => drop(part.control.bundles.insert(digest, bytes)),
    }
}

#[async_trait]
impl Dump for MemoryStore {
    async fn dump(
        &self,
        partition: Partition,
        kind: Kind,
        next: Option<&str>,
        limit: usize,
    ) -> Result<Dumped> {
        let part = self.part(partition)?;
        let mut left: Vec<String> = names(&part, kind);
        left.retain(|name| next.is_none_or(|next| name.as_str() > next));
        let more = left.len() > limit;
        left.truncate(limit.max(1));
        let mut all = records(&part, kind);
        Ok(Dumped {
            records: left.iter().filter_map(|name| all.remove(name)).collect(),
            next: left.pop().filter(|_| more),
        })
    }

    async fn restore(&self, partition: Partition, given: Vec<Record>) -> Result<()> {
        for record in &given {
            home::of_record(partition, record)?;
        }
        let mut part = self.part(partition)?;
        let mut there = BTreeMap::new();
        for record in &given {
            there
                .entry(record.kind())
                .or_insert_with(|| records(&part, record.kind()));
        }
        let mut new = Vec::new();
        for record in given {
            if !is_there(&part, &there, &record)? {
                new.push(record);
            }
        }
        for record in new {
            put(&mut part, record);
        }
        Ok(())
    }

    async fn mark(&self) -> Result<Option<Mark>> {
        Ok(self.part(Partition::CONTROL)?.control.mark.clone())
    }

    async fn set_mark(&self, mark: Option<Mark>) -> Result<()> {
        self.part(Partition::CONTROL)?.control.mark = mark;
        Ok(())
    }
}
