//! Whole nodes against the range over real HTTP, on a store that is on disk.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod approvals;
mod bad_input;
mod broken;
mod canary;
mod chat;
mod estate;
mod full_store;
mod golden;
mod holds;
mod hostile;
mod house;
mod mutations;
mod notify;
mod plan;
mod reload;
mod senders;
mod serving;
mod sns_key;
mod sources;
mod spine;
