//! Things to store.

use std::sync::Arc;

use serde_json::json;

use cordon::action::{ActionName, Reading, Target, Undo};
use cordon::clock::Time;
use cordon::digest::Digest;
use cordon::finding::{EntityType, SeverityId};
use cordon::id::{AlertId, EffectId, Partition, RunId};
use cordon::journal::{ChainId, Entry, Event, seal};
use cordon::store::{Claim, Error, NewAlert, NewHold, NewRun, RunRow, RunStatus, RunUpdate, Store};

/// Later than any test.
pub const FAR: Time = Time(i64::MAX);

/// A store under test.
pub type Any = Arc<dyn Store>;

/// The partition most cases use; neither the first nor the control partition.
pub fn here() -> Partition {
    Partition::number(5).unwrap()
}

/// Another one.
pub fn elsewhere() -> Partition {
    Partition::number(6).unwrap()
}

/// The `n`-th name of a kind that lives in `partition`.
fn nth<T>(n: usize, partition: Partition, make: impl Fn(usize) -> T, home: impl Fn(&T) -> Partition) -> T {
    (0..)
        .map(make)
        .filter(|made| home(made) == partition)
        .nth(n)
        .unwrap()
}

pub fn run_id(n: usize, partition: Partition) -> RunId {
    nth(
        n,
        partition,
        |i| RunId::derive(&[i.to_string()]),
        RunId::partition,
    )
}

pub fn alert_id(n: usize, partition: Partition) -> AlertId {
    nth(
        n,
        partition,
        |i| AlertId::derive(&[i.to_string()]),
        AlertId::partition,
    )
}

pub fn key(n: usize, partition: Partition) -> Digest {
    nth(
        n,
        partition,
        |i| Digest::of(i.to_string().as_bytes()),
        Partition::of,
    )
}

pub fn effect(n: usize) -> EffectId {
    EffectId::derive(&[n.to_string()])
}

pub fn target(n: usize, partition: Partition) -> Target {
    let make = |i: usize| Target {
        instance: "range".into(),
        kind: EntityType::Host,
        id: format!("device-{i}"),
        name: format!("web-{i}"),
        aliases: vec![format!("10.0.0.{i}")],
    };
    nth(n, partition, make, Target::partition)
}

/// An entry; `flavour` tells entries at the same place apart.
pub fn entry(chain: ChainId, seq: u64, flavour: u8) -> Entry {
    let event = Event::RunClaimed {
        epoch: seq,
        worker: format!("worker {flavour}"),
    };
    seal(chain, &Digest::ZERO, seq, Time(1_000), &event, [flavour; 16]).unwrap()
}

pub fn entries(chain: ChainId, seqs: std::ops::Range<u64>) -> Vec<Entry> {
    seqs.map(|seq| entry(chain, seq, 0)).collect()
}

pub fn new_alert(id: AlertId, received_at: i64) -> NewAlert {
    NewAlert {
        id,
        source: "siem".into(),
        received_at: Time(received_at),
        headers: vec![("content-type".into(), "application/json".into())],
        body: b"{\"a\":\"\xc3\xa9\"}".to_vec(),
        entry: entry(ChainId::Alert(id), 0, 0),
    }
}

pub fn new_run(id: RunId, started_at: i64, wake_at: Option<i64>) -> NewRun {
    let entry = entry(ChainId::Run(id), 0, 0);
    NewRun {
        row: RunRow {
            id,
            playbook: "leaked-key".into(),
            title: "Leaked key".into(),
            subject: "access_key AKIA1".into(),
            cause: "trigger x".into(),
            severity_id: SeverityId(4),
            status: RunStatus::Open,
            end: None,
            started_at: Time(started_at),
            updated_at: Time(started_at),
            waits_for: String::new(),
            wake_at: wake_at.map(Time),
            epoch: 0,
            worker: None,
            len: 1,
            last: entry.digest,
        },
        entry,
    }
}

pub fn open_update(wake_at: Option<i64>, release: bool) -> RunUpdate {
    RunUpdate {
        status: RunStatus::Open,
        end: None,
        wake_at: wake_at.map(Time),
        waits_for: "a timer".into(),
        release,
        approvals: Vec::new(),
    }
}

/// Creates the `n`-th run here, due at once, and claims it for `worker` until 10,000.
pub async fn claimed(store: &Any, n: usize, worker: &str) -> Claim {
    let id = run_id(n, here());
    store
        .create_run(here(), new_run(id, 100, Some(100)))
        .await
        .unwrap();
    store
        .claim_run(here(), id, worker, Time(100), Time(10_000))
        .await
        .unwrap()
        .unwrap()
}

pub fn reading(state: &str) -> Reading {
    Reading {
        state: state.into(),
        fields: json!({ "tags": ["a", 1.5, null] }),
    }
}

pub fn undo() -> Undo {
    Undo {
        action: ActionName::new("range", "release").unwrap(),
        args: json!({ "why": "undo" }).as_object().cloned().unwrap(),
    }
}

pub fn new_hold(target: &Target, n: usize, at: i64, until: Option<i64>) -> NewHold {
    NewHold {
        target: target.clone(),
        facet: "network".into(),
        effect: effect(n),
        run: RunId::derive(&["of", &n.to_string()]),
        at: Time(at),
        until: until.map(Time),
        prior: reading(&format!("before {n}")),
        undo: Some(undo()),
    }
}

pub fn assert_wrong_partition<T: std::fmt::Debug>(answer: Result<T, Error>) {
    match answer {
        Err(Error::WrongPartition { partition, .. }) => assert_eq!(partition, elsewhere().index()),
        other => panic!("not refused for its partition: {other:?}"),
    }
}

pub fn assert_missing<T: std::fmt::Debug>(answer: Result<T, Error>) {
    assert!(
        matches!(answer, Err(Error::Missing { .. })),
        "not missing: {answer:?}"
    );
}

pub fn assert_fenced<T: std::fmt::Debug>(answer: Result<T, Error>, claim: &Claim, last: u64) {
    assert_eq!(
        answer.unwrap_err(),
        Error::Fenced {
            run: claim.run.to_string(),
            ours: claim.epoch,
            theirs: last
        }
    );
}
