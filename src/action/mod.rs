//! What a connector can do, and what doing it leaves behind: names, specifications, outcomes, effects and
//! holds. Knows nothing of how anything is done.

mod hold;
mod name;
mod outcome;
mod spec;
mod target;

pub use hold::{Hold, Holder, Leaver};
pub use name::{ActionName, NotAnActionName};
pub use outcome::{Done, Fault, Outcome, Request, Retry, Verification};
pub use spec::{ActionSpec, Class, ReadBack, Standing, Undo, UndoSpec, facet_arguments};
pub use target::{Reading, Target};
