//! Redis that misbehaves: replies lost, late and doubled by a proxy, primaries that die, are stopped, are cut off, and
//! replicas that take over without what was acknowledged. Each test prints its seed and its figures.
//! `scripts/redis-battery` runs it in a network and among processes of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod blow;
mod cut;
mod dice;
mod estate;
mod failover;
mod judge;
mod load;
mod open;
mod proxy;
mod replies;
mod resp;
mod server;
mod trial;

use std::io::Write as _;

/// Written past the capture of the test harness, so that the figures are always seen.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A number from the environment.
pub fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The seed of this run; printed by whoever uses it.
pub fn seed() -> u64 {
    variable("CORDON_FAULTS_SEED").unwrap_or(1)
}
