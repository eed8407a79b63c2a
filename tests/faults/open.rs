//! How the battery opens a store, and how a store says that acknowledged writes are gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cordon::store::Error;
use cordon::store::memory::MemoryStore;
use cordon::store::redis::{Address, Durability, Options, Promise, RedisStore};

use crate::load::Any;

/// How long servers may take to be what `strict` asks for after a failover.
const PATIENCE: Duration = Duration::from_secs(20);

pub fn memory() -> Any {
    Arc::new(MemoryStore::new())
}

/// A node's store. `replicas` a commit has to reach; `None` for what the store makes of the servers it finds.
pub async fn redis_with(url: &str, durability: Durability, replicas: Option<u32>, node: &str) -> Any {
    let begun = Instant::now();
    loop {
        let options = Options {
            address: Address::parse(url).unwrap(),
            password: None,
            sentinel_password: None,
            ca: None,
            promise: Promise {
                durability,
                replicas,
                managed: None,
            },
            node: node.to_owned(),
            witness: None,
        };
        match RedisStore::open(options).await {
            Ok(store) => return Arc::new(store),
            Err(error) if begun.elapsed() > PATIENCE => panic!("{url}: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

pub async fn redis(url: &str, durability: Durability, node: &str) -> Any {
    redis_with(url, durability, None, node).await
}

pub fn says_lost(error: &Error) -> bool {
    matches!(error, Error::Parked { .. })
}
