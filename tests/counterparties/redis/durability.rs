//! What a store asks of its servers, and what it does when they lose what they acknowledged.

use std::path::Path;
use std::time::{Duration, Instant};

use cordon::clock::{Clock as _, Time};
use cordon::digest::Digest;
use cordon::id::Partition;
use cordon::store::redis::{Address, Durability, NotOpened, Options, Promise, RedisStore};
use cordon::store::{Alerts as _, Claimed, Control as _, Error, Feed as _, Losses as _, Principal};

use super::servers::{Own, STRICT};

const PATIENCE: Duration = Duration::from_secs(30);

fn options(url: &str, node: &str) -> Options {
    Options {
        address: Address::parse(url).unwrap(),
        password: None,
        sentinel_password: None,
        ca: None,
        promise: Promise::default(),
        node: node.to_owned(),
        witness: None,
    }
}

fn relaxed(url: &str, node: &str) -> Options {
    Options {
        promise: Promise {
            durability: Durability::Relaxed,
            ..Promise::default()
        },
        ..options(url, node)
    }
}

fn witnessed(url: &str, node: &str, dir: &Path) -> Options {
    Options {
        witness: Some(dir.to_owned()),
        ..relaxed(url, node)
    }
}

fn principal(name: &str) -> Principal {
    Principal {
        name: name.to_owned(),
        token: Digest::of(name.as_bytes()),
        created_at: Time(1),
        created_by: "test".to_owned(),
    }
}

async fn names(store: &RedisStore) -> Vec<String> {
    let found = store.principals().await.unwrap();
    found.into_iter().map(|one| one.name).collect()
}

/// Waits until something is so.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_server_that_may_lose_what_it_acknowledged_is_refused_with_what_mends_it() {
    let server = Own::start(&["--maxmemory-policy", "allkeys-lru"]);
    let refused = RedisStore::open(options(&server.url(), "a")).await.unwrap_err();
    let NotOpened::Unsafe(findings) = &refused else {
        panic!("{refused}");
    };
    assert_eq!(findings.len(), 3, "{refused}");
    let told = refused.to_string();
    for words in [
        "`appendonly` is `no`",
        "CONFIG SET appendonly yes",
        "`appendfsync` is `everysec`",
        "CONFIG SET appendfsync always",
        "`maxmemory-policy` is `allkeys-lru`",
        "CONFIG SET maxmemory-policy noeviction",
    ] {
        assert!(told.contains(words), "{told}");
    }
    // As the message says.
    for command in [
        "appendonly yes",
        "appendfsync always",
        "maxmemory-policy noeviction",
    ] {
        let words: Vec<&str> = ["CONFIG", "SET"].into_iter().chain(command.split(' ')).collect();
        server.ask(&words);
    }
    let store = RedisStore::open(options(&server.url(), "a")).await.unwrap();
    store.ready().await.unwrap();
    // Said otherwise, it is borne.
    server.ask(&["CONFIG", "SET", "appendfsync", "no"]);
    RedisStore::open(relaxed(&server.url(), "b")).await.unwrap();
}

#[tokio::test]
async fn a_server_made_unsafe_while_we_are_connected_is_written_to_no_more_once_the_connection_is_new() {
    let server = Own::start(STRICT);
    let store = RedisStore::open(options(&server.url(), "a")).await.unwrap();
    store.put_principal(principal("ana")).await.unwrap();
    server.ask(&["CONFIG", "SET", "appendfsync", "everysec"]);
    server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    let refused = store.put_principal(principal("ben")).await.unwrap_err();
    assert!(
        refused.to_string().contains("CONFIG SET appendfsync always"),
        "{refused}"
    );
    server.ask(&["CONFIG", "SET", "appendfsync", "always"]);
    store.put_principal(principal("ben")).await.unwrap();
    assert_eq!(names(&store).await, ["ana", "ben"]);
}

#[tokio::test]
async fn a_commit_waits_for_the_replica_and_without_it_nothing_is_acknowledged() {
    let (primary, mut replica) = (Own::start(STRICT), Own::start(STRICT));
    replica.follow(&primary);
    let store = RedisStore::open(options(&primary.url(), "a")).await.unwrap();
    store.put_principal(principal("ana")).await.unwrap();
    assert!(replica.ask(&["INFO", "keyspace"]).contains("db0"));
    replica.kill();
    let refused = store.put_principal(principal("ben")).await.unwrap_err();
    assert!(
        matches!(&refused, Error::Unavailable { why } if why.contains("0 of 1 replicas")),
        "{refused}"
    );
    // A repeat finds it written, and still does not take that for kept.
    assert!(store.put_principal(principal("ben")).await.is_err());
    replica.again();
    replica.follow(&primary);
    store.put_principal(principal("ben")).await.unwrap();
    assert_eq!(names(&store).await, ["ana", "ben"]);
}

#[tokio::test]
async fn lost_connections_and_a_server_that_comes_back_are_no_errors_for_callers() {
    let mut server = Own::start(STRICT);
    let store = RedisStore::open(options(&server.url(), "a")).await.unwrap();
    for round in 0..3 {
        store
            .put_principal(principal(&format!("r{round}")))
            .await
            .unwrap();
        server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    }
    server.kill();
    let (put, ()) = tokio::join!(store.put_principal(principal("after")), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.again();
    });
    put.unwrap();
    // The functions are part of what a server keeps; one that has lost them is given them again.
    server.ask(&["FUNCTION", "FLUSH"]);
    assert_eq!(names(&store).await, ["after", "r0", "r1", "r2"]);
    assert!(store.parked().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_server_without_room_says_full_and_goes_on_when_there_is_some() {
    let server = Own::start(STRICT);
    let store = RedisStore::open(options(&server.url(), "a")).await.unwrap();
    store.ready().await.unwrap();
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = store.put_principal(principal("ana")).await.unwrap_err();
    assert!(matches!(full, Error::Full { .. }), "{full}");
    assert!(store.ready().await.is_err());
    server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    store.put_principal(principal("ana")).await.unwrap();
}

#[tokio::test]
async fn the_clock_is_the_servers() {
    let server = Own::start(STRICT);
    let store = RedisStore::open(options(&server.url(), "a")).await.unwrap();
    let said = server.ask(&["TIME"]);
    let seconds: i64 = said.lines().next().unwrap().parse().unwrap();
    let now = store.clock().now();
    assert!((now.0 / 1_000 - seconds).abs() <= 1, "{now:?} {said}");
    assert!(store.clock().now() >= now);
}

/// A server that loses the last writes, as a replica does that takes over before it has them.
#[tokio::test]
async fn acknowledged_writes_that_are_lost_park_the_partition_and_are_put_back_from_the_nodes() {
    let mut server = Own::start(STRICT);
    let kept = tempfile::tempdir().unwrap();
    let witness = tempfile::tempdir().unwrap();
    let one = RedisStore::open(witnessed(&server.url(), "one", witness.path()))
        .await
        .unwrap();
    let two = RedisStore::open(relaxed(&server.url(), "two")).await.unwrap();
    one.put_principal(principal("before")).await.unwrap();
    server.copy_of_disk(kept.path());
    one.put_principal(principal("by-one")).await.unwrap();
    two.put_principal(principal("by-two")).await.unwrap();
    one.put_principal(principal("by-one-too")).await.unwrap();
    server.kill();
    server.restore_disk(kept.path());
    server.again();

    let parked = until("it is noticed", async || {
        one.parked().await.unwrap().into_iter().next()
    })
    .await;
    assert_eq!(parked.partition, Partition::CONTROL);
    assert!(parked.acknowledged > parked.stored, "{parked}");
    // Every node refuses, also one that was acknowledged nothing and comes later; and everybody may look.
    let three = RedisStore::open(relaxed(&server.url(), "three")).await.unwrap();
    for store in [&one, &two, &three] {
        until("every node knows", async || {
            store.parked().await.unwrap().first().map(|_| ())
        })
        .await;
        let refused = store.put_principal(principal("late")).await.unwrap_err();
        assert_eq!(refused, Error::Parked { partition: 0 });
        assert_eq!(names(store).await, ["before"]);
    }
    until("both have brought what they had", async || {
        let parked = three.parked().await.unwrap();
        (parked.first()?.brought >= 3).then_some(())
    })
    .await;
    let missing = three.missing(Partition::CONTROL).await.unwrap();
    assert!(
        missing.iter().any(|line| line.contains("put_principal")),
        "{missing:?}"
    );

    let recovered = three.recover(Partition::CONTROL, "ana", "a test").await.unwrap();
    assert_eq!((recovered.put_back, recovered.refused), (3, 0), "{recovered:?}");
    for store in [&one, &two, &three] {
        until("it goes on", async || {
            store.parked().await.unwrap().is_empty().then_some(())
        })
        .await;
        assert_eq!(names(store).await, ["before", "by-one", "by-one-too", "by-two"]);
    }
    for store in [&one, &two, &three] {
        store.put_principal(principal("after")).await.unwrap();
    }
    let history = two.recoveries().await.unwrap();
    assert_eq!((history.len(), history[0].by.as_str()), (1, "ana"), "{history:?}");
    assert!(matches!(
        one.recover(Partition::CONTROL, "ana", "again").await,
        Err(Error::Missing { .. })
    ));
}

/// Everything dies at once: what the nodes knew is on their disks.
#[tokio::test]
async fn a_node_that_was_restarted_knows_from_its_witness_what_it_was_acknowledged() {
    let mut server = Own::start(STRICT);
    let kept = tempfile::tempdir().unwrap();
    let witness = tempfile::tempdir().unwrap();
    let one = RedisStore::open(witnessed(&server.url(), "one", witness.path()))
        .await
        .unwrap();
    one.put_principal(principal("before")).await.unwrap();
    server.copy_of_disk(kept.path());
    one.put_principal(principal("lost")).await.unwrap();
    drop(one);
    server.kill();
    server.restore_disk(kept.path());
    server.again();
    let again = until("the file is free", async || {
        RedisStore::open(witnessed(&server.url(), "one", witness.path()))
            .await
            .ok()
    })
    .await;
    until("it is noticed", async || {
        again.parked().await.unwrap().first().map(|_| ())
    })
    .await;
    let recovered = again.recover(Partition::CONTROL, "ana", "a test").await.unwrap();
    assert_eq!(recovered.put_back, 1, "{recovered:?}");
    assert_eq!(names(&again).await, ["before", "lost"]);
}

/// Others have written since, so that the partition is as far as it was: the loss is found by what is a node's own.
#[tokio::test]
async fn a_loss_is_found_although_others_have_written_more_since() {
    let mut server = Own::start(STRICT);
    let kept = tempfile::tempdir().unwrap();
    let key = |n: u8| {
        Digest([
            0, n, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ])
    };
    let witness = tempfile::tempdir().unwrap();
    let one = RedisStore::open(witnessed(&server.url(), "one", witness.path()))
        .await
        .unwrap();
    one.put_principal(principal("before")).await.unwrap();
    server.copy_of_disk(kept.path());
    assert_eq!(
        one.claim_once(Partition::CONTROL, key(1), "one", Time(1), Time(9_000))
            .await,
        Ok(Claimed::Won)
    );
    drop(one);
    server.kill();
    server.restore_disk(kept.path());
    server.again();
    // A node that never heard of it writes more than was lost.
    let two = RedisStore::open(relaxed(&server.url(), "two")).await.unwrap();
    for n in 1..20 {
        two.claim_once(Partition::CONTROL, key(n), "two", Time(1), Time(9_000))
            .await
            .unwrap();
    }
    let one = until("the file is free", async || {
        RedisStore::open(witnessed(&server.url(), "one", witness.path()))
            .await
            .ok()
    })
    .await;
    until("it is noticed", async || {
        one.parked().await.unwrap().first().map(|_| ())
    })
    .await;
    until("the other node stops", async || {
        let refused = two.put_principal(principal("late")).await;
        (refused == Err(Error::Parked { partition: 0 })).then_some(())
    })
    .await;
}
