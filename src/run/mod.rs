//! Runs: from the first ask to the last verification. `next` says what to do, `perform` does it, its events are
//! appended, and the state folds on. A crash at any point leads back to the same place.

mod again;
mod approve;
mod bind;
mod child;
mod cleanup;
mod compensate;
mod connected;
mod consent;
mod context;
mod drive;
mod handle;
mod next;
mod outlook;
mod pace;
mod perform;
mod plan;
mod prepare;
mod receipt;
mod record;
mod signals;
mod speaking;
mod under;
mod vendors;
mod voting;
mod weigh;
mod worker;

#[cfg(test)]
mod tests;

pub use again::{compare, whole};
pub use bind::{ACT, UNDO};
pub use child::{child_of, open_children};
pub use connected::Connected;
pub use consent::APPROVE;
pub use context::{Context, HaltSwitch, NoBundle};
pub use drive::{LetGo, drive};
pub use handle::{Builtins, CannotPlan, CannotStart, Handle, Start};
pub use next::{Next, Progress, Task, next, verification};
pub use outlook::{Asking, Ending, Foreseen, Kind, Outlook, Planned, Would};
pub use pace::{Pace, RealPace, Waiting};
pub use perform::{Performed, perform};
pub use plan::NotPlanned;
pub use signals::{RESOLVE, Word};
pub use speaking::{Heard, NotHeard, Retried};
pub use vendors::{Binding, Vendors};
pub use voting::{Ballot, NotTaken, Taken};
pub use worker::work;
