//! Things to store, for the tests of SQLite alone. The contract suite (`tests/contract`) has its own, because it sees the
//! public face of the library only.

use crate::clock::Time;
use crate::digest::Digest;
use crate::finding::SeverityId;
use crate::id::{AlertId, Partition, RunId};
use crate::journal::{ChainId, Entry, Event, seal};
use crate::store::{NewAlert, NewRun, RunRow, RunStatus, RunUpdate};

/// The partition most cases use; neither the first nor the control partition.
pub(super) fn here() -> Partition {
    Partition::number(5).unwrap()
}

/// The `n`-th name of a kind that lives in `partition`.
fn nth<T>(n: usize, partition: Partition, make: impl Fn(usize) -> T, home: impl Fn(&T) -> Partition) -> T {
    (0..)
        .map(make)
        .filter(|made| home(made) == partition)
        .nth(n)
        .unwrap()
}

pub(super) fn run_id(n: usize, partition: Partition) -> RunId {
    nth(
        n,
        partition,
        |i| RunId::derive(&[i.to_string()]),
        RunId::partition,
    )
}

pub(super) fn alert_id(n: usize, partition: Partition) -> AlertId {
    nth(
        n,
        partition,
        |i| AlertId::derive(&[i.to_string()]),
        AlertId::partition,
    )
}

/// An entry; `flavour` tells entries at the same place apart.
pub(super) fn entry(chain: ChainId, seq: u64, flavour: u8) -> Entry {
    let event = Event::RunClaimed {
        epoch: seq,
        worker: format!("worker {flavour}"),
    };
    seal(chain, &Digest::ZERO, seq, Time(1_000), &event, [flavour; 16]).unwrap()
}

pub(super) fn entries(chain: ChainId, seqs: std::ops::Range<u64>) -> Vec<Entry> {
    seqs.map(|seq| entry(chain, seq, 0)).collect()
}

pub(super) fn new_alert(id: AlertId, received_at: i64) -> NewAlert {
    NewAlert {
        id,
        source: "siem".into(),
        received_at: Time(received_at),
        headers: vec![("content-type".into(), "application/json".into())],
        body: b"{\"a\":\"\xc3\xa9\"}".to_vec(),
        entry: entry(ChainId::Alert(id), 0, 0),
    }
}

pub(super) fn new_run(id: RunId, started_at: i64, wake_at: Option<i64>) -> NewRun {
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

pub(super) fn open_update(wake_at: Option<i64>, release: bool) -> RunUpdate {
    RunUpdate {
        status: RunStatus::Open,
        end: None,
        wake_at: wake_at.map(Time),
        waits_for: "a timer".into(),
        release,
        approvals: Vec::new(),
    }
}
