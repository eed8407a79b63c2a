//! Stores on real servers, each with a prefix of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cordon::store::redis::{Address, Options, Promise, RedisStore};

use crate::cases::fixture::Any;

/// A prefix that no other test uses, in this process or another.
pub fn prefix() -> String {
    static TESTS: AtomicU32 = AtomicU32::new(0);
    let test = TESTS.fetch_add(1, Ordering::Relaxed);
    let mut process = [0; 6];
    getrandom::fill(&mut process).unwrap();
    format!("t{}.{test}:", data_encoding::HEXLOWER.encode(&process))
}

/// Opens a store of this prefix.
pub async fn open(url: &str, prefix: &str) -> RedisStore {
    let options = Options {
        address: Address::parse(&format!("{url}?prefix={prefix}")).unwrap(),
        password: None,
        sentinel_password: None,
        ca: None,
        promise: Promise::default(),
        node: "test".to_owned(),
        witness: None,
    };
    RedisStore::open(options).await.unwrap()
}

/// An empty store.
pub async fn empty(url: &str) -> (Any, ()) {
    (Arc::new(open(url, &prefix()).await), ())
}
