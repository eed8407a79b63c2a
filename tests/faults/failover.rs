//! Primaries under load that die, freeze, are cut off, and are followed by a replica that does not have everything. In
//! `strict` nothing that was acknowledged is lost; in `relaxed` each loss is found, and nothing is written after it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use cordon::clock::Time;
use cordon::digest::Digest;
use cordon::id::Partition;
use cordon::store::redis::Durability;

use crate::blow::{Blow, deal};
use crate::cut::Cuts;
use crate::dice::Dice;
use crate::host::PORT;
use crate::judge::judge;
use crate::load::{Any, Board, Load};
use crate::standby::{Layout, Standby};
use crate::{open, say, seed, variable};

const CLIENTS: usize = 12;
/// Longest from a blow to a write in each partition it fell on.
const PATIENCE: Duration = Duration::from_secs(45);

#[derive(Default)]
struct Sum {
    rounds: u64,
    failovers: u64,
    acked: u64,
    lost: u64,
    losses: u64,
    detected: u64,
    false_alarms: u64,
    again: u64,
    fenced: u64,
    silence_ms: Vec<i64>,
    violations: Vec<String>,
}

/// Whether every node knows that a partition is parked, and refuses to write there, soon after the blow.
async fn refused_by_all(stores: &[Any], partition: u8) -> bool {
    let partition = Partition::number(partition).unwrap();
    let key = (0_u64..)
        .map(|n| Digest::of(&n.to_be_bytes()))
        .find(|key| Partition::of(key) == partition)
        .unwrap();
    let begun = Instant::now();
    for store in stores {
        loop {
            let asked = store
                .claim_once(partition, key, "afterwards", Time(1), Time(2))
                .await;
            let known = store.parked().await.unwrap();
            let is_known = known.iter().any(|one| one.partition == partition);
            if is_known && asked.is_err_and(|error| open::says_lost(&error)) {
                break;
            }
            if begun.elapsed() > PATIENCE {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    true
}

async fn round(
    standby: &mut Standby,
    cuts: &Cuts,
    blow: Blow,
    durability: Durability,
    n: u64,
    sum: &mut Sum,
) {
    let name = format!("{:?} {durability:?} {blow:?} round {n}", standby.layout);
    let mut dice = Dice::of(seed(), &name);
    let url = standby.url(&format!("round{n}:"));
    let mut stores = Vec::new();
    for node in 0..3 {
        stores.push(open::redis(&url, durability, &format!("{n}-{node}")).await);
    }
    let board = Board::new();
    let load = Load::start(&stores, CLIENTS, seed().wrapping_add(n), &board);
    tokio::time::sleep(Duration::from_millis(700)).await;
    let partition = Partition::number(u8::try_from(dice.below(16)).unwrap()).unwrap();
    let primary = standby.primary_of(partition).unwrap();
    let affected = standby.partitions_of(primary);
    tokio::task::block_in_place(|| deal(blow, standby, cuts, partition, &mut dice, &board));
    let begun = Instant::now();
    while board.heard_of(&affected) < affected.len() && begun.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    if board.heard_of(&affected) < affected.len() {
        let errors = board.errors.lock().unwrap().clone();
        sum.violations.push(format!(
            "{name}: still no write in some of {affected:?}: {errors:?}"
        ));
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    let told = load.stop().await;
    tokio::task::block_in_place(|| standby.whole());
    // One that remembers nothing, so that it answers whatever is there.
    let fresh = open::redis(&url, Durability::Relaxed, &format!("{n}-judge")).await;
    let found = judge(&fresh, &told).await;
    let mut parked: BTreeSet<u8> = board.parked.lock().unwrap().keys().copied().collect();
    // Where nobody asked any more the nodes look by themselves.
    for partition in found.lost.keys() {
        if refused_by_all(&stores, *partition).await {
            parked.insert(*partition);
        }
    }
    for store in stores.iter().chain([&fresh]) {
        let known = store.parked().await.unwrap();
        parked.extend(known.iter().map(|one| one.partition.index()));
    }
    drop(stores);
    sum.rounds += 1;
    sum.failovers += u64::from(blow.fails_over());
    sum.acked += found.acked;
    sum.lost += found.lost_in_all();
    sum.again += board.again.load(std::sync::atomic::Ordering::SeqCst);
    sum.fenced += board.fenced.load(std::sync::atomic::Ordering::SeqCst);
    let silence = board.silence_ms(&affected);
    sum.silence_ms
        .extend(silence.filter(|_| blow.fails_over() && parked.is_empty()));
    let mut wrong: Vec<String> = board.violations.lock().unwrap().clone();
    wrong.extend(found.violations.iter().cloned());
    for (partition, lost) in &found.lost {
        sum.losses += 1;
        if parked.contains(partition) {
            sum.detected += 1;
        } else {
            wrong.push(format!(
                "p{partition:02} lost {lost} acknowledged things and nobody noticed"
            ));
        }
        if durability == Durability::Strict && !blow.spares_nobody() {
            wrong.push(format!("p{partition:02} lost {lost} acknowledged things"));
        }
    }
    let idle = parked
        .iter()
        .filter(|partition| !found.lost.contains_key(partition))
        .count();
    sum.false_alarms += u64::try_from(idle).unwrap();
    if durability == Durability::Strict && idle > 0 && !blow.spares_nobody() {
        wrong.push(format!("parked although nothing is lost: {parked:?}"));
    }
    say(&format!(
        "  {name}: {} acknowledged, {} lost in {} partitions, {} parked, silent for {silence:?} ms",
        found.acked,
        found.lost_in_all(),
        found.lost.len(),
        parked.len()
    ));
    for text in wrong {
        say(&format!("VIOLATION: {name}: {text}"));
        sum.violations.push(format!("{name}: {text}"));
    }
}

async fn battery(layout: Layout, durability: Durability, short: &[Blow]) {
    let begun = Instant::now();
    let cuts = Cuts::none();
    let mut standby = tokio::task::block_in_place(|| Standby::start(layout));
    let mut sum = Sum::default();
    let mut dealt: BTreeMap<Blow, u64> = BTreeMap::new();
    let mut all = Blow::all(layout);
    if let Ok(word) = std::env::var("CORDON_FAULTS_BLOW") {
        all.retain(|blow| format!("{blow:?}") == word);
        assert!(!all.is_empty(), "no such blow here: {word}");
    }
    let long = variable("CORDON_FAULTS_FAILOVERS");
    let mut dice = Dice::of(seed(), &format!("{layout:?} {durability:?}"));
    let mut n = 0;
    loop {
        let blow = match long {
            // Each in turn first, then whatever comes.
            Some(failovers) if sum.failovers < failovers => {
                let turn = usize::try_from(n).unwrap();
                all.get(turn)
                    .copied()
                    .unwrap_or_else(|| all[usize::try_from(dice.below(all.len() as u64)).unwrap()])
            }
            None if n < short.len() as u64 => short[usize::try_from(n).unwrap()],
            _ => break,
        };
        round(&mut standby, &cuts, blow, durability, n, &mut sum).await;
        *dealt.entry(blow).or_default() += 1;
        n += 1;
    }
    sum.silence_ms.sort_unstable();
    let at = |percent: usize| {
        sum.silence_ms
            .get(sum.silence_ms.len().saturating_sub(1) * percent / 100)
            .copied()
    };
    say(&format!("dealt: {dealt:?}"));
    say(&format!(
        "{layout:?} {durability:?}: {} rounds, {} failovers, {} acknowledged, {} lost, {} of {} losses detected, {} parked \
         without a loss, {} asked again, {} claims gone, silent at a failover p50 {:?} max {:?} ms, {} violations, \
         seed {}, in {} s",
        sum.rounds,
        sum.failovers,
        sum.acked,
        sum.lost,
        sum.detected,
        sum.losses,
        sum.false_alarms,
        sum.again,
        sum.fenced,
        at(50),
        at(100),
        sum.violations.len(),
        seed(),
        begun.elapsed().as_secs()
    ));
    assert!(
        sum.violations.is_empty(),
        "{} violations, see above",
        sum.violations.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinel_strict_loses_nothing_acknowledged() {
    battery(
        Layout::Sentinel,
        Durability::Strict,
        &[Blow::Behind, Blow::Freeze],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinel_relaxed_finds_every_loss() {
    battery(Layout::Sentinel, Durability::Relaxed, &[Blow::Behind]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_strict_loses_nothing_acknowledged() {
    battery(Layout::Cluster, Durability::Strict, &[Blow::Behind, Blow::Moved]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_relaxed_finds_every_loss() {
    battery(
        Layout::Cluster,
        Durability::Relaxed,
        &[Blow::Behind, Blow::Usurped],
    )
    .await;
}

/// What the blow is worth: somebody who believes every reply, and waits for no replica, loses what it was told.
async fn believer(layout: Layout) {
    let cuts = Cuts::none();
    let mut standby = tokio::task::block_in_place(|| Standby::start(layout));
    let partition = Partition::number(3).unwrap();
    let primary = standby.primary_of(partition).unwrap();
    let address = format!("redis://{}:{PORT}", standby.servers[primary].ip);
    let key = format!("believed:{{{partition}}}");
    let list = key.clone();
    let believing = tokio::spawn(async move {
        let client = redis::Client::open(address).unwrap();
        let mut open = client.get_multiplexed_async_connection().await.unwrap();
        let mut told = 0_u64;
        loop {
            let pushed: redis::RedisResult<u64> = redis::cmd("RPUSH")
                .arg(&list)
                .arg(told)
                .query_async(&mut open)
                .await;
            match pushed {
                Ok(_) => told += 1,
                Err(_) => return told,
            }
        }
    });
    let mut dice = Dice::of(seed(), "believer");
    tokio::task::block_in_place(|| {
        deal(
            Blow::Behind,
            &mut standby,
            &cuts,
            partition,
            &mut dice,
            &Board::new(),
        )
    });
    let told = believing.await.unwrap();
    tokio::task::block_in_place(|| standby.whole());
    let now = standby.primary_of(partition).unwrap();
    let there: u64 = standby.servers[now].ask(&["LLEN", &key]).parse().unwrap();
    say(&format!(
        "{layout:?}: who believes every reply was told of {told} writes and has {there}"
    ));
    assert!(
        there < told,
        "the blow does not lose anything, so it shows nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinel_takes_from_who_believes_replies() {
    believer(Layout::Sentinel).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_takes_from_who_believes_replies() {
    believer(Layout::Cluster).await;
}
