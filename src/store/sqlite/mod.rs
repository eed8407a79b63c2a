//! The embedded store: one SQLite file, one writer thread that commits in groups, a few readers. An operation
//! is answered after the commit that holds it has reached the disk, and a disk that fails once is not trusted
//! again.

mod alerts;
mod approvals;
mod budgets;
mod control;
mod dump;
mod dump_read;
mod dump_write;
mod failure;
mod feed;
#[cfg(test)]
mod fixture;
mod job;
mod journal;
mod notices;
mod open;
mod readers;
mod retention;
mod row;
mod runs;
mod schema;
mod signals;
mod store;
mod targets;
#[cfg(test)]
mod tests;
mod writer;

pub use open::Options;
pub use store::SqliteStore;
