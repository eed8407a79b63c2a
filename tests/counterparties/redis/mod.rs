//! Redis and Valkey, alone and durable, as `scripts/counterparties/redis` starts them. Each test takes a prefix of its
//! own, so that all of them can use the same server.

mod deaths;
mod durability;
mod keys;
mod links;
mod model;
mod nodes;
mod servers;
mod stores;
mod twice;

use crate::told;

crate::cases::contract_suite!(
    contract_on_redis,
    crate::redis::stores::empty(&crate::told("CORDON_REDIS_URL"))
);
crate::cases::contract_suite!(
    contract_on_valkey,
    crate::redis::stores::empty(&crate::told("CORDON_VALKEY_URL"))
);

/// Where each server is.
fn servers() -> [(&'static str, String); 2] {
    [
        ("redis", told("CORDON_REDIS_URL")),
        ("valkey", told("CORDON_VALKEY_URL")),
    ]
}

#[tokio::test]
async fn the_servers_lose_nothing_they_answered() {
    for (name, url) in servers() {
        let client = ::redis::Client::open(url).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        for (setting, wanted) in [
            ("appendonly", "yes"),
            ("appendfsync", "always"),
            ("maxmemory-policy", "noeviction"),
        ] {
            let (_, found): (String, String) = ::redis::cmd("CONFIG")
                .arg("GET")
                .arg(setting)
                .query_async(&mut connection)
                .await
                .unwrap();
            assert_eq!(found, wanted, "{setting} of {name}");
        }
    }
}
