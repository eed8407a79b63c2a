//! The promises of `store`, as the documentation of its traits makes them, and nothing of how they are kept: plain
//! lists that are looked through from end to end. Where a store differs from this, one of the two is wrong.

mod alerts;
mod budgets;
mod control;
mod feed;
mod notices;
mod runs;
mod targets;

use std::collections::{BTreeMap, BTreeSet};

use cordon::approval::Vote;
use cordon::clock::Time;
use cordon::digest::Digest;
use cordon::id::{ApprovalId, EffectId, Partition, RunId};
use cordon::journal::{ChainId, Entry};
use cordon::store::{Alert, ApprovalRow, Error, Notice, Result, RunRow};

use super::answers::told;
use super::op::{Deed, Look, Op};
use super::things::{self, place};

/// Everything that was promised to be kept.
#[derive(Clone, Debug, Default)]
pub struct Reference {
    alerts: Vec<Alert>,
    once: BTreeMap<Digest, Once>,
    runs: Vec<Run>,
    /// Every entry in the order in which it was appended, all partitions together.
    entries: Vec<Entry>,
    approvals: Vec<ApprovalRow>,
    votes: Vec<(RunId, ApprovalId, Vote)>,
    locks: BTreeMap<String, (EffectId, RunId)>,
    changes: BTreeMap<String, Time>,
    holds: Vec<targets::Held>,
    budgets: budgets::Places,
    cursors: BTreeMap<(Partition, String), u64>,
    followers: BTreeMap<(Partition, String), (String, Time)>,
    notices: Vec<(Partition, Notice)>,
    control: control::Instance,
    /// Claims that were given, the last one last.
    pub given: Vec<(usize, u64)>,
}

#[derive(Clone, Debug)]
struct Once {
    owner: String,
    until: Time,
    others: BTreeSet<String>,
}

#[derive(Clone, Debug)]
struct Run {
    row: RunRow,
    /// Until when its worker has it.
    until: Option<Time>,
    /// Wakes since the last claim.
    wakes: Vec<Time>,
}

/// What becomes of entries.
enum Fate {
    /// They follow.
    Next,
    /// They are there.
    Already,
}

impl Reference {
    /// Does an operation; the answer as text.
    pub fn perform(&mut self, op: &Op) -> String {
        let at = |n: usize| if op.astray { place(n + 1) } else { place(n) };
        if op.late
            && let Some(target) = op.deed.changes_target()
        {
            let home = things::target(target).partition();
            return told(lives(at(target), home).and(Err::<(), _>(Error::Late)));
        }
        match &op.deed {
            Deed::Accept { alert, at: moment } => told(self.accept(at(*alert), *alert, *moment)),
            Deed::Dispose {
                alert,
                len,
                entries,
                to,
            } => told(self.dispose(at(*alert), *alert, *len, entries, *to)),
            Deed::ClaimOnce {
                key,
                owner,
                now,
                until,
            } => told(self.claim_once(at(*key), *key, *owner, Time(*now), Time(*until))),
            Deed::CreateRun {
                run,
                at: moment,
                wake,
            } => told(self.create_run(at(*run), *run, *moment, *wake)),
            Deed::ClaimDue {
                place: n,
                worker,
                now,
                until,
                limit,
            } => told(self.claim_due(place(*n), *worker, Time(*now), Time(*until), *limit)),
            Deed::ClaimRun {
                run,
                worker,
                now,
                until,
            } => told(self.claim_run(at(*run), *run, *worker, Time(*now), Time(*until))),
            Deed::Renew { run, epoch, until } => told(self.renew(at(*run), *run, *epoch, Time(*until))),
            Deed::Append {
                run,
                epoch,
                len,
                now,
                entries,
                says,
            } => told(self.append(at(*run), *run, *epoch, *len, Time(*now), entries, says)),
            Deed::Wake { run, at: moment } => told(self.wake(at(*run), things::run(*run), Time(*moment))),
            Deed::ReleaseWorker { place: n, worker } => told(self.release_worker(place(*n), *worker)),
            Deed::PutVote {
                approval,
                principal,
                approve,
                at: moment,
            } => told(self.put_vote(at(*approval), *approval, *principal, *approve, *moment)),
            Deed::Lock { target, effect } => told(self.lock(at(*target), *target, *effect)),
            Deed::Unlock { target, effect } => told(self.unlock(at(*target), *target, *effect)),
            Deed::NoteChange { target, at: moment } => {
                told(self.note_change(at(*target), *target, Time(*moment)))
            }
            Deed::HoldTake {
                target,
                facet,
                effect,
                at: moment,
                until,
            } => told(self.hold_take(at(*target), *target, *facet, *effect, *moment, *until)),
            Deed::HoldEnd {
                target,
                facet,
                effect,
            } => told(self.hold_end(at(*target), *target, *facet, *effect)),
            Deed::HoldDrop {
                target,
                facet,
                effect,
            } => told(self.hold_drop(at(*target), *target, *facet, *effect)),
            Deed::HoldGiveUp {
                target,
                facet,
                effect,
                at: moment,
            } => told(self.hold_give_up(at(*target), *target, *facet, *effect, Time(*moment))),
            Deed::HoldUntil {
                target,
                facet,
                effect,
                until,
                tries,
            } => told(self.hold_until(at(*target), *target, *facet, *effect, *until, *tries)),
            Deed::HoldSeen {
                target,
                facet,
                effect,
                seen,
            } => told(self.hold_seen(at(*target), *target, *facet, *effect, *seen)),
            Deed::Reserve {
                scope,
                member,
                now,
                limit,
            } => told(self.reserve(at(*scope), *scope, *member, Time(*now), *limit)),
            Deed::Return { scope, member } => told(self.give_back(at(*scope), *scope, *member)),
            Deed::SetCursor {
                place: n,
                follower,
                position,
            } => told(self.set_cursor(place(*n), *follower, *position)),
            Deed::ClaimFollower {
                place: n,
                follower,
                holder,
                now,
                until,
            } => told(self.claim_follower(place(*n), *follower, *holder, Time(*now), Time(*until))),
            Deed::ReleaseFollower {
                place: n,
                follower,
                holder,
            } => told(self.release_follower(place(*n), *follower, *holder)),
            Deed::PutNotices { place: n, notices } => told(self.put_notices(place(*n), notices)),
            Deed::SaveNotices {
                place: n,
                follower,
                holder,
                notices,
            } => told(self.save_notices(place(*n), *follower, *holder, notices)),
            Deed::ForgetNotices { place: n, before } => told(self.forget_notices(place(*n), Time(*before))),
            Deed::SetHalt(halt) => told(self.control.set_halt(*halt)),
            Deed::PutPrincipal { name, version } => told(self.control.put_principal(*name, *version)),
            Deed::PutBundle { bundle, version } => told(self.control.put_bundle(*bundle, *version)),
            Deed::PutSecret { handle, version } => told(self.control.put_secret(*handle, *version)),
            Deed::Look(look) => self.look(look, op.astray),
        }
    }

    fn look(&self, look: &Look, astray: bool) -> String {
        let at = |n: usize| if astray { place(n + 1) } else { place(n) };
        match look {
            Look::Unprocessed { place: n, limit } => told(self.unprocessed(place(*n), *limit)),
            Look::Alert { alert } => told(self.alert(at(*alert), *alert)),
            Look::Alerts {
                place: n,
                before,
                disposition,
                limit,
            } => told(self.list_alerts(place(*n), before.map(Time), *disposition, *limit)),
            Look::Journal {
                alert: Some(n), from, ..
            } => told(self.journal(at(*n), ChainId::Alert(things::alert(*n)), *from)),
            Look::Journal { run, from, .. } => {
                told(self.journal(at(*run), ChainId::Run(things::run(*run)), *from))
            }
            Look::Run { run } => told(self.run(at(*run), *run)),
            Look::Runs {
                place: n,
                status,
                playbook,
                before,
                limit,
            } => told(self.list_runs(place(*n), *status, *playbook, before.map(Time), *limit)),
            Look::NextWake { place: n } => told(self.next_wake(place(*n))),
            Look::Votes { run } => told(self.list_votes(at(*run), *run)),
            Look::Approval { approval } => told(self.approval(at(*approval), *approval)),
            Look::Approvals {
                place: n,
                open,
                before,
                limit,
            } => told(self.list_approvals(place(*n), *open, before.map(Time), *limit)),
            Look::ChangedAt { target } => told(self.changed_at(at(*target), *target)),
            Look::Locks { place: n } => told(self.list_locks(place(*n))),
            Look::Hold { target, facet } => told(self.hold(at(*target), *target, *facet)),
            Look::TakenBy { place: n, run } => told(self.taken_by(place(*n), *run)),
            Look::Used { scope, now } => told(self.used(at(*scope), *scope, Time(*now))),
            Look::Holds { place: n } => told(self.list_holds(place(*n))),
            Look::DueHolders { place: n, now, limit } => {
                told(self.due_holders(place(*n), Time(*now), *limit))
            }
            Look::NextLeaseEnd { place: n } => told(self.next_lease_end(place(*n))),
            Look::Feed {
                place: n,
                after,
                limit,
            } => told(self.feed(place(*n), *after, *limit)),
            Look::Cursor { place: n, follower } => told(self.cursor(place(*n), *follower)),
            Look::Counts { place: n, now } => told(self.counts(place(*n), Time(*now))),
            Look::DueNotices { place: n, now, limit } => {
                told(self.due_notices(place(*n), Time(*now), *limit))
            }
            Look::LeadingNotice { group } => told(self.leading_notice(at(*group), *group)),
            Look::Notice { place: n, notice } => told(self.notice(place(*n), *notice)),
            Look::Notices {
                place: n,
                state,
                before,
                limit,
            } => told(self.list_notices(place(*n), *state, before.map(Time), *limit)),
            Look::Switches => told(self.control.switches()),
            Look::Principals => told(self.control.principals()),
            Look::Bundle { bundle } => told(self.control.bundle(*bundle)),
            Look::Secret { handle } => told(self.control.secret(*handle)),
        }
    }

    /// The latest moment that a budget has seen: what is older than its window may be forgotten from then on.
    pub fn budget_at(&self, scope: usize) -> i64 {
        self.budgets.at(scope)
    }

    /// True when there is such a request for approval.
    pub fn is_asked(&self, n: usize) -> bool {
        self.approvals.iter().any(|row| row.id == things::approval(n))
    }

    /// Entries in a chain.
    pub fn len(&self, chain: ChainId) -> u64 {
        self.entries.iter().filter(|entry| entry.chain == chain).count() as u64
    }

    /// The number of a run's last claim.
    pub fn epoch(&self, run: usize) -> u64 {
        let id = things::run(run);
        let found = self.runs.iter().find(|known| known.row.id == id);
        found.map_or(0, |known| known.row.epoch)
    }

    /// What an append at `expected_len` comes to.
    fn place_entries(&self, chain: ChainId, expected_len: u64, entries: &[Entry]) -> Result<Fate> {
        let there: Vec<&Entry> = self.entries.iter().filter(|entry| entry.chain == chain).collect();
        let len = there.len() as u64;
        if expected_len > len {
            return Err(gap(chain, len, expected_len));
        }
        if expected_len < len {
            for entry in entries {
                if there
                    .get(entry.seq as usize)
                    .is_none_or(|known| known.digest != entry.digest)
                {
                    return Err(conflict(chain, entry.seq));
                }
            }
            return Ok(Fate::Already);
        }
        Ok(Fate::Next)
    }
}

/// Refuses what lives elsewhere.
fn lives(partition: Partition, home: Partition) -> Result<()> {
    if partition == home {
        return Ok(());
    }
    Err(Error::WrongPartition {
        what: String::new(),
        partition: partition.index(),
    })
}

/// Refuses entries that are not numbered on from `first`, or are of another chain.
fn numbered(chain: ChainId, first: u64, entries: &[Entry]) -> Result<()> {
    for (seq, entry) in (first..).zip(entries) {
        if entry.chain != chain || entry.seq < seq {
            return Err(conflict(chain, entry.seq));
        }
        if entry.seq > seq {
            return Err(gap(chain, seq, entry.seq));
        }
    }
    Ok(())
}

fn missing() -> Error {
    Error::Missing { what: String::new() }
}

fn conflict(chain: ChainId, seq: u64) -> Error {
    let chain = chain.to_string();
    Error::Conflict { chain, seq }
}

fn gap(chain: ChainId, len: u64, seq: u64) -> Error {
    let chain = chain.to_string();
    Error::Gap { chain, len, seq }
}
