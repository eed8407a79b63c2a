//! `cordon test`: cases in TOML beside playbooks and connectors, run by the real engine over a store in memory, a
//! clock that jumps, and vendors that do what the case says. `case` is what a file says, `read_*` reads it,
//! `world` and `play` are a playbook's vendors and its course, `call` and `delivery` run a connector's own scripts,
//! `judge` holds what came of it against what was expected. Nothing here reaches a network or sleeps.

mod call;
mod case;
mod compare;
mod delivery;
mod judge;
mod known;
mod play;
mod read;
mod read_call;
mod read_play;
mod suite;
mod verdict;
mod wire;
mod world;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod tests;

pub use suite::{CannotTest, Found, Suite, gather};
pub use verdict::{Kind, Verdict};
