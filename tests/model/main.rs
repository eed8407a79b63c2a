//! The stores against what the documentation of their traits promises: random sequences of operations of every trait,
//! sensible or not, repeated as after a lost answer. `scripts/model` is the long form. The same over Redis is in
//! `tests/counterparties/redis`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod sequences;

use std::sync::Arc;

use cordon::store::Control as _;
use cordon::store::memory::MemoryStore;
use cordon::store::sqlite::{Options, SqliteStore};
use sequences::{Any, answers, compare, differs, found};

fn memory() -> (Any, ()) {
    (Arc::new(MemoryStore::new()), ())
}

fn sqlite() -> (Any, tempfile::TempDir) {
    let folder = folder();
    let store = SqliteStore::open(folder.path().join("cordon.db"), Options::default()).unwrap();
    (Arc::new(store), folder)
}

#[test]
fn the_store_in_memory_keeps_what_is_promised() {
    compare("memory", async || memory());
}

#[test]
fn sqlite_keeps_what_is_promised() {
    compare("SQLite", async || sqlite());
}

#[tokio::test]
async fn what_was_found_once_is_not_there_again() {
    for (what, ops) in found::all() {
        let (store, ()) = memory();
        assert_eq!(differs(&store, &ops, &|| {}).await, Ok(()), "memory: {what}");
        let (store, _folder) = sqlite();
        assert_eq!(differs(&store, &ops, &|| {}).await, Ok(()), "SQLite: {what}");
    }
}

#[tokio::test]
async fn a_store_that_differs_is_told() {
    let store = MemoryStore::new();
    store
        .put_bundle(cordon::digest::Digest::of(b"bundle 0"), vec![1])
        .await
        .unwrap();
    let why = differs(&(Arc::new(store) as Any), &[], &|| {}).await.unwrap_err();
    assert!(why.contains("Bundle") && why.contains("promised: None"), "{why}");
}

/// A sequence of refusals would compare nothing.
#[test]
fn what_is_drawn_mostly_makes_sense_and_sometimes_does_not() {
    let answers = answers(1_500);
    let count = |deed: &str, answer: &str| {
        let given = answers.get(deed).map(Vec::as_slice).unwrap_or_default();
        given.iter().filter(|text| text.starts_with(answer)).count()
    };
    for (deed, answer) in [
        ("Accept", "Repeat"),
        ("Dispose", "()"),
        ("Dispose", "gap"),
        ("Dispose", "conflict"),
        ("ClaimOnce", "Lost"),
        ("CreateRun", "Exists"),
        ("ClaimDue", "[Claim"),
        ("ClaimRun", "Some"),
        ("ClaimRun", "None"),
        ("Renew", "()"),
        ("Renew", "run_"),
        ("Append", "New"),
        ("Append", "Already"),
        ("Append", "run_"),
        ("Append", "gap"),
        ("Append", "conflict"),
        ("Append", "lives elsewhere"),
        ("Wake", "()"),
        ("PutVote", "New"),
        ("PutVote", "Already"),
        ("PutVote", "Decided"),
        ("Lock", "Busy"),
        ("HoldTake", "Took { first: false"),
        ("HoldEnd", "Others"),
        ("HoldEnd", "Last"),
        ("HoldGiveUp", "()"),
        ("HoldUntil", "()"),
        ("Lock", "late"),
        ("HoldTake", "late"),
        ("Reserve", "Granted"),
        ("Reserve", "Spent"),
        ("ClaimFollower", "false"),
        ("PutNotices", "1"),
        ("SaveNotices", "true"),
        ("SaveNotices", "false"),
        ("ForgetNotices", "1"),
    ] {
        assert!(
            count(deed, answer) >= 3,
            "{deed} was answered {answer} {} times",
            count(deed, answer)
        );
    }
}

/// A folder in memory where there is one: this is about answers, not about disks.
fn folder() -> tempfile::TempDir {
    let shared = std::path::Path::new("/dev/shm");
    tempfile::tempdir_in(shared)
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}
