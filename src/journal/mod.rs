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
pub use effect::{Attempt, Bound, EffectState, Intent, NO_ANSWER, Reverts, Stage};
pub use event::{Answered, Event, FindingFate, FindingRecord};
pub use header::{Cause, End, Header, OnFailure, PlaybookKind, SHIPPED};
pub use state::{Alarm, ApprovalState, CannotFold, RunState, ScriptEnd, Step};
pub use upcast::UnknownEvent;

/// The number of the engine's replay rules. A run begun under another number is replayed dry before it goes on.
pub const ENGINE_ABI: u32 = 1;
