//! A store that forgets: real in every other respect, for tests, simulation and `cordon demo`. One mutex a
//! partition, held for one operation and never across an await, so that nothing here can do what a cluster
//! could not.

mod alerts;
mod approvals;
mod budgets;
mod control;
mod dump;
mod feed;
mod notices;
mod part;
mod retention;
mod runs;
mod signals;
mod store;
mod targets;

pub use store::MemoryStore;
