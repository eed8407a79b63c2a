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
#[allow(dead_code, reason = "shared with the crash battery, which uses more of it")]
#[path = "../crash/estate.rs"]
mod estate;
mod failover;
mod host;
mod judge;
mod load;
#[allow(dead_code, reason = "shared with the crash battery, which uses more of it")]
#[path = "../crash/server.rs"]
mod node;
mod nodes;
mod open;
mod proxy;
mod replies;
mod resp;
#[allow(dead_code, reason = "shared with the kill battery, which uses more of it")]
#[path = "../kill/load.rs"]
mod senders;
mod standby;
mod trial;
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the crash battery, which uses more of it"
)]
#[path = "../witness/mod.rs"]
mod witness;

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
