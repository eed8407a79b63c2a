//! The contract of a store, over the back ends that need no server, and a differential test that they answer the same
//! to the same operations. Redis runs the same cases in `tests/counterparties`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod cases;
mod differential;

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
