//! Runs: from the first ask to the last verification. `next` says what to do, `perform` does it, its events are
//! appended, and the state folds on. A crash at any point leads back to the same place.

mod bind;
mod cleanup;
mod context;
mod drive;
mod handle;
mod next;
mod perform;
mod prepare;
mod receipt;
mod record;
mod vendors;
mod worker;

pub use bind::{ACT, UNDO};
pub use context::{Context, HaltSwitch, NoBundle};
pub use drive::{LetGo, drive};
pub use handle::{Builtins, CannotStart, Handle, Start};
pub use next::{Next, Progress, Task, next, verification};
pub use perform::{Performed, perform};
pub use vendors::{Acted, Binding, Looked, Vendors};
pub use worker::work;
