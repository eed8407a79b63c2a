//! Where everything durable is: one trait family, one contract suite (`tests/contract`), several back ends. Every operation names
//! one partition and touches nothing outside it, is atomic, checks before its first write, and may be repeated.
//! A store decides nothing.

mod alerts;
mod approvals;
mod budgets;
mod control;
mod dump;
mod error;
mod feed;
mod home;
mod losses;
pub mod memory;
mod notices;
mod place;
pub mod redis;
mod retention;
mod runs;
mod sealed;
mod signals;
pub mod sqlite;
mod targets;

pub use alerts::{Accepted, Alert, AlertRow, Alerts, Claimed, Disposition, NewAlert};
pub use approvals::{ApprovalQuery, ApprovalRow, Approvals, Put};
pub use budgets::{Budgets, Reserved};
pub use control::{Control, Principal, Switches};
pub use dump::{Dump, Dumped, HeldBy, Kind, Mark, Record};
pub use error::{Error, Result};
pub use feed::{Counts, Feed, FeedItem, Health};
pub use losses::{Losses, Parked, Recovered, Recovery};
pub use notices::{Notice, NoticeQuery, NoticeState, Notices};
pub use retention::{Bygone, Forgot, Retention, Swept};
pub use runs::{Appended, Claim, Created, NewRun, RunQuery, RunRow, RunStatus, RunUpdate, Runs};
pub use sealed::Sealed;
pub use signals::{Signal, Signalled, Signals};
pub use targets::{DueHolder, HoldEnd, Lock, Locked, NewHold, Share, Taken, Targets, Took};

/// Everything a store can do.
pub trait Store:
    Alerts
    + Runs
    + Approvals
    + Signals
    + Targets
    + Budgets
    + Control
    + Feed
    + Notices
    + Dump
    + Retention
    + Losses
    + Send
    + Sync
{
}

impl<T> Store for T where
    T: Alerts
        + Runs
        + Approvals
        + Signals
        + Targets
        + Budgets
        + Control
        + Feed
        + Notices
        + Dump
        + Retention
        + Losses
        + Send
        + Sync
{
}
