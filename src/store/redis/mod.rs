//! The store of many nodes: Redis or Valkey, one server, under Sentinel or as a Cluster. Every operation is one
//! function of ours that a server runs as a whole, in one partition, whose keys share a slot. An operation is answered
//! when its write has reached the disk, and the replicas where there are any; what a server promises is looked at and
//! not assumed.

mod address;
mod alerts;
mod answer;
mod approvals;
mod args;
mod budgets;
mod call;
mod clock;
mod control;
mod dump;
mod durability;
mod entry;
mod feed;
mod guard;
mod health;
mod lane;
mod library;
mod link;
mod noted;
mod notices;
mod reply;
mod retention;
mod runs;
mod shared;
mod signals;
mod store;
mod targets;
mod topology;
mod trouble;
mod wire;
mod witness;

pub use address::{Address, Layout, NotAnAddress, Server};
pub use clock::ServerClock;
pub use durability::{Durability, Finding, Promise};
pub use store::{NotOpened, Options, RedisStore};

use redis::Value;

use crate::id::Partition;
use crate::store::error::Error;

/// What a function refused, as the caller of the store is told.
fn refused(partition: Partition, answer: &[Value]) -> Error {
    let words: Vec<String> = answer.iter().filter_map(wire::text_of).collect();
    if words.first().is_some_and(|word| word == "LATE") {
        return Error::Late;
    }
    Error::Corrupt {
        why: format!("partition {partition}: {}", words.join(" ")),
    }
}
