//! A store that can be told to say no to one operation; everything else is the memory store's.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::action::{Hold, Verification};
use crate::approval::Vote;
use crate::clock::{SetClock, Time};
use crate::digest::Digest;
use crate::guardrail::Halt;
use crate::id::{AlertId, ApprovalId, EffectId, Partition, RunId};
use crate::journal::{ChainId, Entry};
use crate::secret::Handle;
use crate::store::memory::MemoryStore;
use crate::store::{
    Accepted, Alert, AlertRow, Alerts, Appended, ApprovalQuery, ApprovalRow, Approvals, Budgets, Bygone,
    Claim, Claimed, Control, Counts, Created, Disposition, DueHolder, Dump, Dumped, Error, Feed, FeedItem,
    Forgot, Health, HoldEnd, Kind, Lock, Locked, Mark, NewAlert, NewHold, NewRun, Notice, NoticeQuery,
    Notices, Principal, Put, Record, Reserved, Result, Retention, RunQuery, RunRow, RunUpdate, Runs, Signal,
    Signalled, Signals, Swept, Switches, Taken, Targets, Took,
};

pub struct Flaky {
    pub inner: MemoryStore,
    says_no: Mutex<Option<(&'static str, Error)>>,
}

impl Flaky {
    /// One whose present is this clock's.
    pub fn at(clock: Arc<SetClock>) -> Flaky {
        Flaky {
            inner: MemoryStore::with_clock(clock),
            says_no: Mutex::default(),
        }
    }

    /// From now on `operation` answers `error`.
    pub fn refuse(&self, operation: &'static str, error: Error) {
        *self.says_no.lock().unwrap() = Some((operation, error));
    }

    pub fn recover(&self) {
        *self.says_no.lock().unwrap() = None;
    }

    fn check(&self, operation: &str) -> Result<()> {
        match &*self.says_no.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((refused, error)) if *refused == operation => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

macro_rules! pass_on {
    ($trait:ident { $(fn $name:ident($($arg:ident: $ty:ty),*) -> $out:ty;)* }) => {
        #[async_trait]
        impl $trait for Flaky {
            $(async fn $name(&self, $($arg: $ty),*) -> Result<$out> {
                self.check(stringify!($name))?;
                self.inner.$name($($arg),*).await
            })*
        }
    };
}

pass_on!(Alerts {
    fn accept(partition: Partition, alert: NewAlert) -> Accepted;
    fn unprocessed(partition: Partition, limit: usize) -> Vec<AlertId>;
    fn alert(partition: Partition, id: AlertId) -> Option<Alert>;
    fn dispose(partition: Partition, id: AlertId, expected_len: u64, entries: Vec<Entry>, disposition: Disposition) -> ();
    fn alerts(partition: Partition, before: Option<Time>, disposition: Option<Disposition>, limit: usize) -> Vec<AlertRow>;
    fn claim_once(partition: Partition, key: Digest, owner: &str, now: Time, until: Time) -> Claimed;
});

pass_on!(Runs {
    fn create_run(partition: Partition, run: NewRun) -> Created;
    fn claim_due(partition: Partition, worker: &str, now: Time, until: Time, limit: usize) -> Vec<Claim>;
    fn claim_run(partition: Partition, id: RunId, worker: &str, now: Time, until: Time) -> Option<Claim>;
    fn renew(partition: Partition, claim: &Claim, until: Time) -> ();
    fn append(partition: Partition, claim: &Claim, expected_len: u64, now: Time, entries: Vec<Entry>, update: RunUpdate) -> Appended;
    fn wake(partition: Partition, id: RunId, at: Time) -> ();
    fn release_worker(partition: Partition, worker: &str) -> ();
    fn journal(partition: Partition, chain: ChainId, from: u64) -> Vec<Entry>;
    fn run(partition: Partition, id: RunId) -> Option<RunRow>;
    fn runs(partition: Partition, query: &RunQuery) -> Vec<RunRow>;
    fn next_wake(partition: Partition) -> Option<Time>;
});

pass_on!(Approvals {
    fn put_vote(partition: Partition, approval: ApprovalId, vote: Vote) -> Put;
    fn votes(partition: Partition, run: RunId) -> Vec<(ApprovalId, Vote)>;
    fn approval(partition: Partition, id: ApprovalId) -> Option<ApprovalRow>;
    fn approvals(partition: Partition, query: ApprovalQuery) -> Vec<ApprovalRow>;
});

pass_on!(Targets {
    fn lock(partition: Partition, before: Time, target: &str, effect: EffectId, run: RunId, now: Time) -> Locked;
    fn unlock(partition: Partition, before: Time, target: &str, effect: EffectId) -> ();
    fn note_change(partition: Partition, before: Time, target: &str, at: Time) -> ();
    fn changed_at(partition: Partition, target: &str) -> Option<Time>;
    fn locks(partition: Partition) -> Vec<Lock>;
    fn hold_take(partition: Partition, before: Time, hold: NewHold) -> Took;
    fn hold_end(partition: Partition, before: Time, target: &str, facet: &str, effect: EffectId) -> HoldEnd;
    fn hold_drop(partition: Partition, before: Time, target: &str, facet: &str, effect: EffectId) -> ();
    fn hold_give_up(partition: Partition, before: Time, target: &str, facet: &str, effect: EffectId, at: Time) -> ();
    fn hold_until(partition: Partition, before: Time, target: &str, facet: &str, effect: EffectId, until: Option<Time>, tries: u32) -> ();
    fn hold_seen(partition: Partition, before: Time, target: &str, facet: &str, effect: EffectId, seen: Verification) -> ();
    fn hold(partition: Partition, target: &str, facet: &str) -> Option<Hold>;
    fn taken_by(partition: Partition, run: RunId) -> Taken;
    fn holds(partition: Partition) -> Vec<Hold>;
    fn due_holders(partition: Partition, now: Time, limit: usize) -> Vec<DueHolder>;
    fn next_lease_end(partition: Partition) -> Option<Time>;
});

pass_on!(Signals {
    fn put_signal(partition: Partition, signal: Signal) -> Signalled;
    fn signals(partition: Partition, run: RunId) -> Vec<Signal>;
});

pass_on!(Budgets {
    fn budget_reserve(partition: Partition, scope: &str, member: &str, now: Time, window_ms: u64, limit: u32) -> Reserved;
    fn budget_release(partition: Partition, scope: &str, member: &str) -> ();
    fn budget_used(partition: Partition, scope: &str, now: Time, window_ms: u64) -> u32;
});

pass_on!(Control {
    fn switches() -> Switches;
    fn set_halt(halt: Option<Halt>) -> ();
    fn put_principal(principal: Principal) -> ();
    fn principals() -> Vec<Principal>;
    fn put_bundle(digest: Digest, bytes: Vec<u8>) -> ();
    fn bundle(digest: Digest) -> Option<Vec<u8>>;
    fn put_secret(handle: &Handle, sealed: Vec<u8>) -> ();
    fn secret(handle: &Handle) -> Option<Vec<u8>>;
});

pass_on!(Feed {
    fn feed(partition: Partition, after: u64, limit: usize) -> Vec<FeedItem>;
    fn cursor(partition: Partition, follower: &str) -> u64;
    fn claim_follower(partition: Partition, follower: &str, holder: &str, now: Time, until: Time) -> bool;
    fn release_follower(partition: Partition, follower: &str, holder: &str) -> ();
    fn set_cursor(partition: Partition, follower: &str, position: u64) -> ();
    fn counts(partition: Partition, now: Time) -> Counts;
    fn health() -> Health;
    fn ready() -> ();
});

pass_on!(Notices {
    fn put_notices(partition: Partition, notices: Vec<Notice>) -> u64;
    fn due_notices(partition: Partition, now: Time, limit: usize) -> Vec<Notice>;
    fn leading_notice(partition: Partition, group: Digest) -> Option<Notice>;
    fn save_notices(partition: Partition, follower: &str, holder: &str, notices: Vec<Notice>) -> bool;
    fn notice(partition: Partition, key: &str) -> Option<Notice>;
    fn notices(partition: Partition, query: &NoticeQuery) -> Vec<Notice>;
    fn forget_notices(partition: Partition, before: Time, limit: usize) -> u64;
});

pass_on!(Dump {
    fn dump(partition: Partition, kind: Kind, next: Option<&str>, limit: usize) -> Dumped;
    fn restore(partition: Partition, records: Vec<Record>) -> ();
    fn mark() -> Option<Mark>;
    fn set_mark(mark: Option<Mark>) -> ();
});

pass_on!(Retention {
    fn old_runs(partition: Partition, before: Time, after: Option<(Time, RunId)>, limit: usize) -> Vec<(Time, RunId)>;
    fn old_alerts(partition: Partition, before: Time, after: Option<(Time, AlertId)>, limit: usize) -> Vec<(Time, AlertId)>;
    fn forget_run(partition: Partition, run: RunId, at: Time, followers: &[&str]) -> Forgot;
    fn forget_alert(partition: Partition, alert: AlertId, at: Time, followers: &[&str]) -> Forgot;
    fn sweep(partition: Partition, before: &Bygone, limit: usize) -> Swept;
    fn forget_bundle(digest: Digest) -> ();
    fn bundles() -> Vec<Digest>;
});
impl crate::store::Losses for Flaky {}
