//! Thousands of damaged deliveries through the door and the pipeline: never a panic, never a fault of ours, and
//! each that was accepted reaches a disposition. Seeded, so that a failure can be seen again.

use std::path::Path;
use std::sync::Arc;

use cordon::id::{AlertId, Partition};
use cordon::intake::{Headers, Turned};
use cordon::store::memory::MemoryStore;
use cordon::store::{Disposition, Store};

use crate::estate::{Estate, FIXED, Setup, finding, range};
use crate::house::signature;

/// Mutations tried; `MUTATIONS` in the environment asks for more.
const MUTATIONS: usize = 20_000;
/// Where they begin; `SEED` in the environment names another.
const SEED: u64 = 0x5eed_c0de;

/// Small, seeded, and good enough to damage bodies (SplitMix64, Steele and others 2014).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`, or 0 where nothing is below it.
    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % (n.max(1) as u64)).unwrap()
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// Pieces that parsers stumble over.
const PIECES: [&[u8]; 32] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"true",
    b"-1",
    b"1e400",
    b"99999999999999999999",
    b"\\ud800",
    b"\\u0000",
    b"\xff",
    b"\xc3\x28",
    b"\xf0\x9f\x92\xa9",
    b"\0",
    b"\r\n",
    b"\"title\":",
    b"\"entities\":",
    b"\"type\":\"ping\"",
    b"\"class_uid\":2004",
    b"\"result\":",
    b"[[[[[[[[[[[[[[[[[[[[",
    b"{\"a\":{\"a\":{\"a\":",
    b"\"\"",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"0x1F",
    b"'",
];

fn damage(chance: &mut Chance, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut body = chance.of(seeds).clone();
    for _ in 0..chance.below(4) {
        let at = chance.below(body.len() + 1);
        let to = (at + chance.below(40)).min(body.len());
        match chance.below(9) {
            0 => body.truncate(at),
            1 => drop(body.drain(at..to)),
            2 if !body.is_empty() => {
                let at = chance.below(body.len());
                body[at] ^= 1 << chance.below(8);
            }
            3 | 4 => drop(body.splice(at..at, chance.of(&PIECES).iter().copied())),
            5 => drop(body.splice(at..to, chance.of(&PIECES).iter().copied())),
            6 => {
                let copied = body[at..to].to_vec();
                let times = 1 + chance.below(30);
                body.splice(at..at, copied.repeat(times));
            }
            7 => {
                let other = chance.of(seeds);
                let from = chance.below(other.len() + 1);
                body.truncate(at);
                body.extend_from_slice(&other[from..]);
            }
            _ => {
                // A value in place of another: from one colon to what follows.
                if let Some(colon) = body[at..]
                    .iter()
                    .position(|byte| *byte == b':')
                    .map(|n| at + n + 1)
                {
                    let end = body[colon..]
                        .iter()
                        .position(|byte| b",}]".contains(byte))
                        .map_or(body.len(), |n| colon + n);
                    body.splice(colon..end, chance.of(&PIECES).iter().copied());
                }
            }
        }
    }
    body
}

fn seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/alerts");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    let mut seeds: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(seeds.len() >= 6);
    seeds.push(finding("f-1", &["web-07", "web-08"]).to_string().into_bytes());
    seeds.push(b"{\"type\":\"ping\"}".to_vec());
    seeds.push(b"[]".to_vec());
    seeds
}

fn from_environment<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_deliveries_are_refused_or_reach_a_disposition() {
    let count: usize = from_environment("MUTATIONS", MUTATIONS);
    let seed: u64 = from_environment("SEED", SEED);
    let mut chance = Chance(seed);
    let seeds = seeds();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    // A playbook that touches nothing: the way to it is what is tried here.
    let estate = Estate::with(store.clone(), range(&[]).await, Setup::new("note(finding.title)")).await;
    let mut kept: Vec<AlertId> = Vec::new();
    let mut refused = 0;
    for n in 0..count {
        let body = damage(&mut chance, &seeds);
        let mut signed = signature(&format!("msg_{n}"), 0, &body);
        // Now and then what proves it is damaged as well.
        if n % 10 == 0 {
            let name = ["webhook-id", "webhook-timestamp", "webhook-signature"][chance.below(3)];
            let mut value = signed[name].clone().into_bytes();
            let at = chance.below(value.len());
            value[at] = value[at].wrapping_add(1 + u8::try_from(chance.below(255)).unwrap());
            signed.insert(name.to_owned(), String::from_utf8_lossy(&value).into_owned());
        }
        let (source, headers) = match n % 3 {
            0 => ("signed", Headers::of(signed)),
            1 => ("generic", Headers::of([("x-test", FIXED)])),
            _ => ("splunk", Headers::of([("x-test", FIXED)])),
        };
        match estate.node.gate.receive(source, &headers, &body).await {
            Ok(delivery) => {
                // The node's own pipeline has it, too; who comes second finds it done.
                let done = estate.node.pipeline.process(delivery.alert).await;
                assert!(done.is_ok(), "seed {seed}, {n}: {done:?}");
                kept.push(delivery.alert);
            }
            Err(Turned::Refused(_) | Turned::TooLarge) => refused += 1,
            Err(other) => panic!("seed {seed}, {n}: {other}"),
        }
    }
    assert_eq!(kept.len() + refused, count);
    assert!(refused < count / 10, "{refused}");
    kept.sort();
    kept.dedup();
    let mut by_word = std::collections::BTreeMap::new();
    for id in &kept {
        let row = estate.alert(*id).await;
        assert_ne!(row.disposition, Disposition::Pending, "seed {seed}: {id}");
        *by_word.entry(row.disposition.word()).or_insert(0) += 1;
    }
    let stored: usize = {
        let mut sum = 0;
        for partition in Partition::all() {
            let now = cordon::clock::Time(i64::MAX);
            sum += store
                .counts(partition, now)
                .await
                .unwrap()
                .alerts
                .values()
                .sum::<u64>();
        }
        usize::try_from(sum).unwrap()
    };
    assert_eq!(
        stored,
        kept.len(),
        "everything accepted is there, and nothing else"
    );
    // Damage must not have broken everything, or nothing was tried.
    for word in ["split", "unreadable", "control"] {
        assert!(
            by_word.get(word).copied().unwrap_or(0) > count / 1_000,
            "{by_word:?}"
        );
    }
    eprintln!("{count} mutations: {by_word:?}, {refused} refused");
    estate.stop().await.stop().await;
}
