//! How fast appends become durable: 1, 16 and 64 writers at once on SQLite, beside the bare `fdatasync` of
//! the same disk, without which the numbers mean nothing. With `CORDON_REDIS_URL` set, on that server too, below a
//! prefix of its own that is left there.

#![allow(
    clippy::expect_used,
    reason = "a benchmark that cannot run has nothing to say but why"
)]

use std::fs::OpenOptions;
use std::hint::black_box;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cordon::clock::Time;
use cordon::digest::Digest;
use cordon::finding::SeverityId;
use cordon::id::RunId;
use cordon::journal::{ChainId, Entry, Event, seal};
use cordon::store::redis::{Address, Options as RedisOptions, Promise, RedisStore};
use cordon::store::sqlite::{Options, SqliteStore};
use cordon::store::{Claim, NewRun, RunRow, RunStatus, RunUpdate, Store};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// On the disk the build is on: a temporary folder may be in memory.
fn folder() -> tempfile::TempDir {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    tempfile::tempdir_in(home).expect("the target folder can be written")
}

fn entry(run: RunId, seq: u64) -> Entry {
    let event = Event::RunClaimed {
        epoch: seq,
        // About the size of an intent.
        worker: "w".repeat(400),
    };
    seal(ChainId::Run(run), &Digest::ZERO, seq, Time(0), &event, [7; 16]).expect("an event is JSON")
}

fn new_run(run: RunId) -> NewRun {
    let entry = entry(run, 0);
    NewRun {
        row: RunRow {
            id: run,
            playbook: "bench".into(),
            title: "Bench".into(),
            subject: "host web-07".into(),
            cause: "bench".into(),
            severity_id: SeverityId(4),
            status: RunStatus::Open,
            end: None,
            started_at: Time(0),
            updated_at: Time(0),
            waits_for: String::new(),
            wake_at: Some(Time(0)),
            epoch: 0,
            worker: None,
            len: 1,
            last: entry.digest,
        },
        entry,
    }
}

async fn begin(store: &dyn Store, name: &str) -> Claim {
    let run = RunId::derive(&[name]);
    let partition = run.partition();
    store
        .create_run(partition, new_run(run))
        .await
        .expect("a run is created");
    let claim = store.claim_run(partition, run, "bench", Time(0), Time(1)).await;
    claim.expect("the store answers").expect("the run is free")
}

/// Appends `count` entries one after the other.
async fn append(store: &dyn Store, claim: &Claim, count: u64) {
    for seq in 1..=count {
        let update = RunUpdate {
            status: RunStatus::Open,
            end: None,
            wake_at: Some(Time(0)),
            waits_for: String::new(),
            release: false,
            approvals: Vec::new(),
        };
        let entries = vec![entry(claim.run, seq)];
        let appended = store.append(claim.run.partition(), claim, seq, Time(1), entries, update);
        black_box(appended.await.expect("it is appended"));
    }
}

/// How long `count` appends take when `writers` share them.
async fn timed(store: &Arc<dyn Store>, round: u64, writers: u64, count: u64) -> Duration {
    let mut claims = Vec::new();
    for writer in 0..writers {
        claims.push(begin(&**store, &format!("{round}/{writers}/{writer}")).await);
    }
    let each = count.div_ceil(writers);
    let begun = Instant::now();
    let tasks = claims.into_iter().map(|claim| {
        let store = Arc::clone(store);
        tokio::spawn(async move { append(&*store, &claim, each).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("a writer ends well");
    }
    // Rounding up makes a few more than asked for; criterion is told the time of those asked for.
    begun.elapsed().mul_f64(count as f64 / (each * writers) as f64)
}

/// Appends on one store, by 1, 16 and 64 writers.
fn by_writers(
    criterion: &mut Criterion,
    runtime: &tokio::runtime::Runtime,
    name: &str,
    store: &Arc<dyn Store>,
) {
    let mut round = 0;
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    for writers in [1, 16, 64] {
        group.bench_function(BenchmarkId::new("writers", writers), |bencher| {
            bencher.iter_custom(|count| {
                round += 1;
                runtime.block_on(timed(store, round, writers, count))
            });
        });
    }
    group.finish();
}

fn appends(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let folder = folder();
    let sqlite = SqliteStore::open(folder.path().join("bench.db"), Options::default());
    let sqlite = Arc::new(sqlite.expect("a new database opens"));
    let store: Arc<dyn Store> = sqlite.clone();
    by_writers(criterion, &runtime, "append", &store);
    eprintln!(
        "{} operations in {} commits",
        sqlite.operations(),
        sqlite.commits()
    );
}

fn appends_on_redis(criterion: &mut Criterion) {
    let Ok(url) = std::env::var("CORDON_REDIS_URL") else {
        eprintln!("CORDON_REDIS_URL is not set: nothing is measured on Redis");
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let address = format!("{url}?prefix=bench-{}:", std::process::id());
    let options = RedisOptions {
        address: Address::parse(&address).expect("CORDON_REDIS_URL is an address"),
        password: None,
        sentinel_password: None,
        ca: None,
        promise: Promise::default(),
        node: "bench".to_owned(),
        witness: None,
    };
    let store = runtime.block_on(RedisStore::open(options));
    let store: Arc<dyn Store> = Arc::new(store.expect("the server can be used"));
    by_writers(criterion, &runtime, "append on Redis", &store);
}

fn bare_sync(criterion: &mut Criterion) {
    let folder = folder();
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.path().join("probe"))
        .expect("a file opens");
    let mut group = criterion.benchmark_group("disk");
    group.throughput(Throughput::Elements(1));
    group.bench_function("append 512 bytes and fdatasync", |bencher| {
        bencher.iter(|| {
            file.write_all(&[7; 512]).expect("it is written");
            file.sync_data().expect("it is synced");
        });
    });
    group.finish();
}

criterion_group!(benches, bare_sync, appends, appends_on_redis);
criterion_main!(benches);
