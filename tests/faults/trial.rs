//! The battery's own parts tried: clients and judge against a store that is known to be right, a judge that is lied to,
//! the proxy against a server, and cuts.

use std::time::Duration;

use crate::cut::{CLIENTS, Cuts, Way};
use crate::host::{PORT, Server};
use crate::judge::judge;
use crate::load::{Board, Load, Told};
use crate::proxy::{Proxy, Spoil, Weather};
use crate::{open, say, seed};

async fn told() -> (crate::load::Any, Told) {
    let store = open::memory();
    let board = Board::new();
    let load = Load::start(&[store.clone(), store.clone()], 8, seed(), &board);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let told = load.stop().await;
    let violations = board.violations.lock().unwrap().clone();
    assert!(violations.is_empty(), "{violations:?}");
    assert!(told.stories.len() > 50, "{} stories", told.stories.len());
    (store, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_right_is_found_right() {
    let (store, told) = told().await;
    let found = judge(&store, &told).await;
    assert!(found.violations.is_empty(), "{:?}", found.violations);
    assert_eq!(found.lost_in_all(), 0);
    say(&format!(
        "judge: {} acknowledged, none lost, over memory",
        found.acked
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_judge_sees_what_is_missing_foreign_and_too_much() {
    let (store, told) = told().await;
    let whole = |change: &dyn Fn(&mut Told)| {
        let mut other = Told {
            stories: told.stories.clone(),
            facts: told.facts.clone(),
        };
        change(&mut other);
        other
    };
    let long = told
        .stories
        .iter()
        .position(|story| story.acked.len() > 2)
        .unwrap();
    // Acknowledged, and not there: as if the last entry of a journal had been lost.
    let lost = whole(&|told: &mut Told| {
        let story = &mut told.stories[long];
        let mut more = story.acked.last().unwrap().clone();
        more.seq += 1;
        story.acked.push(more);
    });
    assert_eq!(judge(&store, &lost).await.lost_in_all(), 1);
    // There, and nobody asked for it.
    let more = whole(&|told: &mut Told| {
        told.stories[long].acked.pop();
    });
    assert!(!judge(&store, &more).await.violations.is_empty());
    // Another than was acknowledged.
    let foreign = whole(&|told: &mut Told| told.stories[long].acked[1].salt = [7; 16]);
    assert!(!judge(&store, &foreign).await.violations.is_empty());
    // A journal that the feed has and nobody knows of.
    let unknown = whole(&|told: &mut Told| {
        told.stories.remove(long);
    });
    assert!(!judge(&store, &unknown).await.violations.is_empty());
}

async fn increments(address: std::net::SocketAddr, times: usize) -> usize {
    let client = redis::Client::open(format!("redis://{address}")).unwrap();
    let mut acknowledged = 0;
    let mut connection = None;
    for _ in 0..times {
        if connection.is_none() {
            let config = redis::AsyncConnectionConfig::new()
                .set_response_timeout(Some(Duration::from_millis(100)))
                .set_connection_timeout(Some(Duration::from_millis(500)));
            connection = client
                .get_multiplexed_async_connection_with_config(&config)
                .await
                .ok();
        }
        let Some(open) = &mut connection else { continue };
        let script = "return redis.call('INCR', KEYS[1])";
        let answer: redis::RedisResult<i64> = redis::cmd("EVAL")
            .arg(script)
            .arg(1)
            .arg("n")
            .query_async(open)
            .await;
        match answer {
            Ok(_) => acknowledged += 1,
            Err(_) => connection = None,
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_does_what_it_counts() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::durable(dir.path(), "127.0.0.10", "");
    let upstream = format!("{}:{PORT}", server.ip).parse().unwrap();
    let count = || server.ask(&["GET", "n"]).parse::<usize>().unwrap_or(0);
    for (spoil, heard, done) in [
        (Spoil::LoseReply, 0, 20),
        (Spoil::LoseRequest, 0, 0),
        (Spoil::Reset, 0, 20),
        (Spoil::Trickle, 20, 20),
        (Spoil::DelayReply, 0, 20),
        (Spoil::Deaf, 0, 20),
        (Spoil::Mute, 0, 0),
        (Spoil::Twice, 20, 40),
        (Spoil::Again, 20, 40),
        (Spoil::Linger, 0, 20),
    ] {
        server.ask(&["DEL", "n"]);
        let proxy = Proxy::start(upstream, seed()).await;
        proxy.set(Weather {
            per_mille: 1_000,
            late_ms: (150, 200),
            only: Some(spoil),
        });
        let answered = increments(proxy.address, 20).await;
        // What was delayed has come through by then.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(answered, heard, "{spoil:?}: answered");
        assert_eq!(count(), done, "{spoil:?}: carried out");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_is_a_cut_in_the_way_it_says_and_heals() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::durable(dir.path(), "127.0.0.10", "");
    let cuts = Cuts::none();
    assert_eq!(server.ask(&["INCR", "n"]), "1");
    let client = redis::Client::open(format!("redis://{}:{PORT}", server.ip)).unwrap();
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_millis(300)));
    let connect = || client.get_multiplexed_async_connection_with_config(&config);
    for (way, carried_out) in [(Way::There, false), (Way::Back, true), (Way::Both, false)] {
        server.ask(&["SET", "n", "0"]);
        let mut open = connect().await.unwrap();
        cuts.between(CLIENTS, &server.ip, way);
        let answer: redis::RedisResult<i64> = redis::cmd("INCR").arg("n").query_async(&mut open).await;
        assert!(answer.is_err(), "{way:?}");
        cuts.heal();
        drop(open);
        // What a cut request left in the kernel may still come; what was carried out is there at once.
        let n = server.ask(&["GET", "n"]);
        assert!(!carried_out || n == "1", "{way:?}: {n}");
    }
}
