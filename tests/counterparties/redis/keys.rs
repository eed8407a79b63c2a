//! What the contract does not see: where the keys are, what may expire, what other libraries are there, and what a call
//! that is executed twice leaves behind.

use std::collections::BTreeSet;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;

use super::stores::{open, prefix};
use super::{servers, twice};
use crate::cases::dump::{everything, fill};
use crate::cases::fixture::Any;
use cordon::id::Partition;
use cordon::store::Counts;

async fn connect(url: &str) -> MultiplexedConnection {
    let client = ::redis::Client::open(url).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn ask<T: ::redis::FromRedisValue>(connection: &mut MultiplexedConnection, words: &[&str]) -> T {
    let mut command = ::redis::cmd(words[0]);
    for word in &words[1..] {
        command.arg(*word);
    }
    command.query_async(connection).await.unwrap()
}

/// Database 9 has this test to itself, so that a key outside the prefix would be seen.
#[tokio::test]
async fn a_partition_is_one_slot_below_the_prefix_and_only_what_may_be_forgotten_expires() {
    for (name, url) in servers() {
        let url = format!("{url}/9");
        let mut connection = connect(&url).await;
        let before: BTreeSet<String> = ask(&mut connection, &["KEYS", "*"]).await;
        let prefix = prefix();
        let store: Any = Arc::new(open(&url, &prefix).await);
        fill(&store).await;
        let after: BTreeSet<String> = ask(&mut connection, &["KEYS", "*"]).await;
        let ours: Vec<&String> = after.difference(&before).collect();
        assert!(ours.len() > 50, "{name}: {ours:?}");
        for key in ours {
            let home = Partition::all()
                .map(|partition| format!("{prefix}{{{partition}}}"))
                .find(|root| key.starts_with(&format!("{root}:")));
            let root = home.unwrap_or_else(|| panic!("{name}: `{key}` is in no partition"));
            // The slot follows from what stands between the first braces, on a server that is no cluster, too.
            assert_eq!(key.find('{'), root.find('{'), "{name}: `{key}`");
            let ttl: i64 = ask(&mut connection, &["PTTL", key]).await;
            assert_eq!(
                ttl > 0,
                key.contains(":asked:"),
                "{name}: `{key}` ends in {ttl} ms"
            );
        }
    }
}

#[tokio::test]
async fn a_library_of_another_version_is_left_alone() {
    const OTHER: &str = "#!lua name=cordon_v0_other\nredis.register_function{ function_name = 'cordon_v0_other_gen', \
                         flags = { 'no-writes' }, callback = function() return 'mine' end }";
    for (name, url) in servers() {
        let mut connection = connect(&url).await;
        let _: String = ask(&mut connection, &["FUNCTION", "LOAD", "REPLACE", OTHER]).await;
        let store: Any = Arc::new(open(&url, &prefix()).await);
        fill(&store).await;
        let said: String = ask(&mut connection, &["FCALL_RO", "cordon_v0_other_gen", "0"]).await;
        assert_eq!(said, "mine", "{name}");
        let _: String = ask(&mut connection, &["FUNCTION", "DELETE", "cordon_v0_other"]).await;
    }
}

/// Every write is executed twice, as it is when its answer is lost and it is sent again; the first answer counts.
#[tokio::test]
async fn a_call_that_is_executed_twice_leaves_what_one_leaves() {
    for (name, url) in servers() {
        let once: Any = Arc::new(open(&url, &prefix()).await);
        fill(&once).await;
        let between = twice::start(&url).await;
        let doubled: Any = Arc::new(open(&between.url, &prefix()).await);
        fill(&doubled).await;
        assert!(between.doubled() > 40, "{name}: nothing was executed twice");
        let (one, other) = (everything(&*once, 100).await, everything(&*doubled, 100).await);
        for (place, record) in &one {
            assert_eq!(Some(record), other.get(place), "{name}");
        }
        assert_eq!(one.len(), other.len(), "{name}");
        for partition in Partition::all() {
            let counts: Counts = once.counts(partition, cordon::clock::Time(600)).await.unwrap();
            assert_eq!(
                doubled.counts(partition, cordon::clock::Time(600)).await,
                Ok(counts),
                "{name}"
            );
        }
    }
}
