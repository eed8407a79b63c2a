//! The contract of a store, over the back ends that need no server. Redis runs the same cases in
//! `tests/counterparties`; random sequences of operations are in `tests/model`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod cases;

use std::sync::Arc;

use cases::fixture::Any;
use cordon::store::memory::MemoryStore;
use cordon::store::sqlite::{Options, SqliteStore};

async fn memory() -> (Any, ()) {
    (Arc::new(MemoryStore::new()), ())
}

async fn sqlite() -> (Any, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("cordon.db"), Options::default()).unwrap();
    (Arc::new(store), folder)
}

cases::contract_suite!(memory, crate::memory());
cases::contract_suite!(sqlite, crate::sqlite());
