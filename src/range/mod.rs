//! The range: stateful stand-ins of vendors over real HTTP on loopback, for `cordon demo` and the crash
//! tests. Every request that mattered is one fsynced line of the *effect ledger* before it is answered, so a
//! test can compare what really happened with what the journal says. Faults are scripted per request. It
//! knows nothing of journals, playbooks or connectors, calls nobody, and listens on loopback only.
//!
//! A request goes through once: `server` (bytes) -> `world` (one owner of all state: fault, decide, write
//! the ledger, apply) -> `server` (deliver, or cut the `wire`). A further vendor is one more folder like
//! `crowdstrike`, its lines in `vendor`, and its field in `world`.

mod config;
mod control;
mod crowdstrike;
mod fault;
mod host;
mod ledger;
mod ledger_file;
mod running;
mod server;
mod vendor;
mod wire;
mod world;

#[cfg(test)]
mod tests;

pub use config::{RangeConfig, RangeError, Settle};
pub use fault::{Fault, FaultKind, LateAnswer, Match};
pub use host::{Host, HostChange, Status};
pub use ledger::{Ledger, LedgerLine};
pub use ledger_file::LedgerError;
pub use running::{Range, RunningRange, serve};
