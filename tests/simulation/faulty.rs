//! The store in memory as a node sees it through a bad day: busy, full, unreachable before an operation or after it,
//! slow, and its node dying with the operation not begun or just done.

use std::sync::Arc;

use async_trait::async_trait;
use cordon::action::{Hold, Verification};
use cordon::approval::Vote;
use cordon::clock::{Clock as _, Time};
use cordon::digest::Digest;
use cordon::guardrail::Halt;
use cordon::id::{AlertId, ApprovalId, EffectId, Partition, RunId};
use cordon::journal::{ChainId, Entry};
use cordon::secret::Handle;
use cordon::store::memory::MemoryStore;
use cordon::store::{
    Accepted, Alert, AlertRow, Alerts, Appended, ApprovalQuery, ApprovalRow, Approvals, Budgets, Bygone,
    Claim, Claimed, Control, Counts, Created, Disposition, DueHolder, Dump, Dumped, Error, Feed, FeedItem,
    Forgot, Health, HoldEnd, Kind, Lock, Locked, Losses, Mark, NewAlert, NewHold, NewRun, Notice,
    NoticeQuery, Notices, Principal, Put, Record, Reserved, Result, Retention, RunQuery, RunRow, RunUpdate,
    Runs, Signal, Signalled, Signals, Swept, Switches, Taken, Targets, Took,
};
use tokio::sync::Notify;

use crate::sabotage::Sabotage;
use crate::time::Sim;
use crate::weather::Weather;

/// A node's view of the store.
pub struct Faulty {
    pub store: Arc<MemoryStore>,
    pub sim: Sim,
    pub weather: Arc<Weather>,
    /// Told when the node is to die where it stands.
    pub death: Arc<Notify>,
    /// People's calls do not die.
    pub mortal: bool,
    pub sabotage: Sabotage,
    /// Whose view it is.
    pub name: String,
}

impl Faulty {
    async fn die(&self) {
        if self.mortal {
            self.death.notify_one();
            std::future::pending::<()>().await;
        }
    }

    async fn before(&self, write: bool) -> Result<()> {
        if self.weather.is_calm() {
            return Ok(());
        }
        if self.weather.is_store_down(&self.sim) {
            return Err(unreachable());
        }
        if !self.sim.in_thousand(if write { 30 } else { 6 }) {
            return Ok(());
        }
        match self.sim.between(0, 20) {
            0..6 => Err(unreachable()),
            6..9 if write => Err(Error::Busy { waiting: 4_096 }),
            9..11 if write => Err(Error::Full {
                why: "no space".into(),
            }),
            11 | 12 => {
                self.die().await;
                Ok(())
            }
            13 => {
                // Longer than the claim, now and then: an append is fenced by its epoch, a lock or a hold by its time.
                self.sim.sleep(self.sim.between(5_000, 40_000)).await;
                Ok(())
            }
            _ => {
                self.sim.sleep(self.sim.between(1, 2_000)).await;
                Ok(())
            }
        }
    }

    async fn after<T>(&self, write: bool, answer: Result<T>) -> Result<T> {
        if self.weather.is_calm() || !write || !self.sim.in_thousand(25) {
            return answer;
        }
        match self.sim.between(0, 10) {
            0..4 => Err(unreachable()),
            4 | 5 => {
                self.die().await;
                answer
            }
            6 => {
                self.sim.sleep(self.sim.between(5_000, 40_000)).await;
                answer
            }
            _ => {
                self.sim.sleep(self.sim.between(1, 2_000)).await;
                answer
            }
        }
    }
}

/// What a copy of a call is made of, for as long as it is on its way.
trait OnItsWay {
    type Kept: Send + 'static;
    fn kept(&self) -> Self::Kept;
}

/// And as it arrives.
trait Arrives {
    type As<'a>
    where
        Self: 'a;
    fn arrives(&self) -> Self::As<'_>;
}

impl OnItsWay for &str {
    type Kept = String;
    fn kept(&self) -> String {
        (*self).to_owned()
    }
}

impl Arrives for String {
    type As<'a> = &'a str;
    fn arrives(&self) -> &str {
        self
    }
}

macro_rules! on_its_way {
    ($($type:ty),*) => {
        $(
            impl OnItsWay for $type {
                type Kept = $type;
                fn kept(&self) -> $type {
                    self.clone()
                }
            }

            impl Arrives for $type {
                type As<'a> = $type;
                fn arrives(&self) -> $type {
                    self.clone()
                }
            }
        )*
    };
}

on_its_way!(Time, Option<Time>, EffectId, RunId, NewHold, Verification, u32);

/// A copy of a change of a lock or a hold, that a network or a queue keeps until the claim is over under which it was
/// asked for.
macro_rules! copy_later {
    (claimed $self:ident $name:ident ($partition:ident: $of:ty, $before:ident: $until:ty $(, $arg:ident: $type:ty)*)) => {
        if !$self.weather.is_calm() && $self.sim.in_thousand(if $self.sabotage == Sabotage::TakesLate { 300 } else { 40 }) {
            let (store, sim, sabotage, weather) =
                ($self.store.clone(), $self.sim.clone(), $self.sabotage, $self.weather.clone());
            let (partition, before) = ($partition, $before);
            $(let $arg = OnItsWay::kept(&$arg);)*
            let pause_ms = $self.sim.between(1, 60_000);
            $self.weather.keep(tokio::spawn(async move {
                sim.sleep(pause_ms).await;
                // By the clock that the store goes by, which may be set back meanwhile.
                while sim.now() < before {
                    sim.sleep(before.since_ms(sim.now()).max(1)).await;
                }
                let before = if sabotage == Sabotage::TakesLate { Time(i64::MAX) } else { before };
                let came = store.$name(partition, before $(, Arrives::arrives(&$arg))*).await;
                if sim.is_told() {
                    sim.tell(format!("a copy of {} came late -> {came:?}", stringify!($name)));
                }
                if sabotage != Sabotage::TakesLate && !matches!(came, Err(Error::Late)) {
                    weather.taken_late(format!("{} was done after its claim: {came:?}", stringify!($name)));
                }
            }));
        }
    };
    ($kind:ident $self:ident $name:ident ($($arg:ident: $type:ty),*)) => {};
}

fn unreachable() -> Error {
    Error::Unavailable {
        why: "the connection was lost".into(),
    }
}

/// Each operation of a trait, with faults around it. `reads` change nothing; what is `claimed` is a change of a lock or a hold
/// that a worker asks for under its claim.
macro_rules! faulty {
    ($($trait:ident { $($kind:ident fn $name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)* })*) => {
        $(
            #[async_trait]
            impl $trait for Faulty {
                $(
                    async fn $name(&self, $($arg: $type),*) -> Result<$answer> {
                        let write = stringify!($kind) != "reads";
                        self.before(write).await?;
                        if let Some(told) = self.sabotage.instead::<$answer>(&self.sim, stringify!($name)) {
                            return told;
                        }
                        copy_later!($kind self $name ($($arg: $type),*));
                        let asked = (write && self.sim.is_told()).then(|| format!("{:?}", ($(&$arg,)*)));
                        let answer = self.store.$name($($arg),*).await;
                        if let Some(asked) = asked {
                            self.sim.tell(format!("{} {} {asked} -> {answer:?}", self.name, stringify!($name)));
                        }
                        let answer = self.after(write, answer).await;
                        if write && self.sim.is_told() && answer.is_err() {
                            self.sim.tell(format!("{} {} heard {answer:?}", self.name, stringify!($name)));
                        }
                        answer
                    }
                )*
            }
        )*
    };
}

// A new trait of the store, or a new operation, is added here in one line each.
faulty! {
    Alerts {
        writes fn accept(partition: Partition, alert: NewAlert) -> Accepted;
        reads fn unprocessed(partition: Partition, limit: usize) -> Vec<AlertId>;
        reads fn alert(partition: Partition, id: AlertId) -> Option<Alert>;
        writes fn dispose(partition: Partition, id: AlertId, expected_len: u64, entries: Vec<Entry>, disposition: Disposition) -> ();
        reads fn alerts(partition: Partition, before: Option<Time>, disposition: Option<Disposition>, limit: usize) -> Vec<AlertRow>;
        writes fn claim_once(partition: Partition, key: Digest, owner: &str, now: Time, until: Time) -> Claimed;
    }
    Runs {
        writes fn create_run(partition: Partition, run: NewRun) -> Created;
        writes fn claim_due(partition: Partition, worker: &str, now: Time, until: Time, limit: usize) -> Vec<Claim>;
        writes fn claim_run(partition: Partition, id: RunId, worker: &str, now: Time, until: Time) -> Option<Claim>;
        writes fn renew(partition: Partition, claim: &Claim, until: Time) -> ();
        writes fn append(partition: Partition, claim: &Claim, expected_len: u64, now: Time, entries: Vec<Entry>, update: RunUpdate) -> Appended;
        writes fn wake(partition: Partition, id: RunId, at: Time) -> ();
        writes fn release_worker(partition: Partition, worker: &str) -> ();
        reads fn journal(partition: Partition, chain: ChainId, from: u64) -> Vec<Entry>;
        reads fn run(partition: Partition, id: RunId) -> Option<RunRow>;
        reads fn runs(partition: Partition, query: &RunQuery) -> Vec<RunRow>;
        reads fn next_wake(partition: Partition) -> Option<Time>;
    }
    Approvals {
        writes fn put_vote(partition: Partition, approval: ApprovalId, vote: Vote) -> Put;
        reads fn votes(partition: Partition, run: RunId) -> Vec<(ApprovalId, Vote)>;
        reads fn approval(partition: Partition, id: ApprovalId) -> Option<ApprovalRow>;
        reads fn approvals(partition: Partition, query: ApprovalQuery) -> Vec<ApprovalRow>;
    }
    Targets {
        claimed fn lock(partition: Partition, before: Time, target: &str, effect: EffectId, run: RunId, now: Time) -> Locked;
        claimed fn unlock(partition: Partition, before: Time, target: &str, effect: EffectId) -> ();
        claimed fn note_change(partition: Partition, before: Time, target: &str, at: Time) -> ();
        reads fn changed_at(partition: Partition, target: &str) -> Option<Time>;
        reads fn locks(partition: Partition) -> Vec<Lock>;
        claimed fn hold_take(partition: Partition, before: Time, hold: NewHold) -> Took;
        claimed fn hold_end(partition: Partition, before: Time, target: &str, facet: &str, effect: EffectId) -> HoldEnd;
        claimed fn hold_drop(partition: Partition, before: Time, target: &str, facet: &str, effect: EffectId) -> ();
        claimed fn hold_give_up(partition: Partition, before: Time, target: &str, facet: &str, effect: EffectId, at: Time) -> ();
        claimed fn hold_until(partition: Partition, before: Time, target: &str, facet: &str, effect: EffectId, until: Option<Time>, tries: u32) -> ();
        claimed fn hold_seen(partition: Partition, before: Time, target: &str, facet: &str, effect: EffectId, seen: Verification) -> ();
        reads fn hold(partition: Partition, target: &str, facet: &str) -> Option<Hold>;
        reads fn taken_by(partition: Partition, run: RunId) -> Taken;
        reads fn holds(partition: Partition) -> Vec<Hold>;
        reads fn due_holders(partition: Partition, now: Time, limit: usize) -> Vec<DueHolder>;
        reads fn next_lease_end(partition: Partition) -> Option<Time>;
    }
    Budgets {
        writes fn budget_reserve(partition: Partition, scope: &str, member: &str, now: Time, window_ms: u64, limit: u32) -> Reserved;
        writes fn budget_release(partition: Partition, scope: &str, member: &str) -> ();
        reads fn budget_used(partition: Partition, scope: &str, now: Time, window_ms: u64) -> u32;
    }
    Control {
        reads fn switches() -> Switches;
        writes fn set_halt(halt: Option<Halt>) -> ();
        writes fn put_principal(principal: Principal) -> ();
        reads fn principals() -> Vec<Principal>;
        writes fn put_bundle(digest: Digest, bytes: Vec<u8>) -> ();
        reads fn bundle(digest: Digest) -> Option<Vec<u8>>;
        writes fn put_secret(handle: &Handle, sealed: Vec<u8>) -> ();
        reads fn secret(handle: &Handle) -> Option<Vec<u8>>;
    }
    Feed {
        reads fn feed(partition: Partition, after: u64, limit: usize) -> Vec<FeedItem>;
        reads fn cursor(partition: Partition, follower: &str) -> u64;
        writes fn claim_follower(partition: Partition, follower: &str, holder: &str, now: Time, until: Time) -> bool;
        writes fn release_follower(partition: Partition, follower: &str, holder: &str) -> ();
        writes fn set_cursor(partition: Partition, follower: &str, position: u64) -> ();
        reads fn counts(partition: Partition, now: Time) -> Counts;
        reads fn ready() -> ();
        reads fn health() -> Health;
    }
    Notices {
        writes fn put_notices(partition: Partition, notices: Vec<Notice>) -> u64;
        reads fn due_notices(partition: Partition, now: Time, limit: usize) -> Vec<Notice>;
        reads fn leading_notice(partition: Partition, group: Digest) -> Option<Notice>;
        writes fn save_notices(partition: Partition, follower: &str, holder: &str, notices: Vec<Notice>) -> bool;
        reads fn notice(partition: Partition, key: &str) -> Option<Notice>;
        reads fn notices(partition: Partition, query: &NoticeQuery) -> Vec<Notice>;
        writes fn forget_notices(partition: Partition, before: Time, limit: usize) -> u64;
    }
    Retention {
        reads fn old_runs(partition: Partition, before: Time, after: Option<(Time, RunId)>, limit: usize) -> Vec<(Time, RunId)>;
        reads fn old_alerts(partition: Partition, before: Time, after: Option<(Time, AlertId)>, limit: usize) -> Vec<(Time, AlertId)>;
        writes fn forget_run(partition: Partition, run: RunId, at: Time, followers: &[&str]) -> Forgot;
        writes fn forget_alert(partition: Partition, alert: AlertId, at: Time, followers: &[&str]) -> Forgot;
        writes fn sweep(partition: Partition, before: &Bygone, limit: usize) -> Swept;
        writes fn forget_bundle(digest: Digest) -> ();
        reads fn bundles() -> Vec<Digest>;
    }
    Dump {
        reads fn dump(partition: Partition, kind: Kind, next: Option<&str>, limit: usize) -> Dumped;
        writes fn restore(partition: Partition, records: Vec<Record>) -> ();
        reads fn mark() -> Option<Mark>;
        writes fn set_mark(mark: Option<Mark>) -> ();
    }
    Signals {
        writes fn put_signal(partition: Partition, signal: Signal) -> Signalled;
        reads fn signals(partition: Partition, run: RunId) -> Vec<Signal>;
    }
}

impl Losses for Faulty {}
