//! What happened, in order, provably: the events, the salted chain that holds them, and the state that a run's
//! events fold into. Events are the only thing ever appended; nothing here writes, waits or reads a clock.

mod chain;
mod effect;
mod event;
mod header;
mod state;
mod upcast;

#[cfg(test)]
mod approval_tests;

pub use chain::{Broken, ChainId, Entry, Salt, seal, verify};
pub use effect::{
    Attempt, Bound, EffectState, Intent, LANDED_LATE, NO_ANSWER, Reverts, SAID_NOT, Said, Stage,
};
pub use event::{Answered, Event, FindingFate, FindingRecord};
pub use header::{AskOnFailure, Cause, End, Header, OnFailure, PlaybookKind, SHIPPED};
pub use state::{Alarm, ApprovalState, Cancelled, CannotFold, RunState, ScriptEnd, Step};
pub use upcast::UnknownEvent;

/// The number of the engine's replay rules. A run that goes by another number is replayed dry before it goes on, and parked
/// where that gives something else than its journal has.
///
/// It is raised by whatever may make the same bundle with the same answers ask, say or return something else: another
/// version of the script language or another setting of it (packages, limits, the seed of closure names, symbols that
/// are off); another result, error or cost of a function of our own (`data`, `text`, `branch`, what `finding` gives);
/// how places are numbered; how an ask is digested and values become JSON; a lint that refuses what ran before; a
/// word taken away, or one that takes fewer arguments. It is not raised by a new word, by what an answer says (answers
/// are recorded), or by the order in which asks are worked on. `tests/data/journal` shows when somebody forgot.
pub const ENGINE_ABI: u32 = 1;
