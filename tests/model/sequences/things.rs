//! Things to store, named by small numbers so that a failing sequence can be read. Each lives where its number says:
//! even ones in one partition, odd ones in another.

use std::sync::OnceLock;

use cordon::action::{ActionName, Reading, Target, Undo};
use cordon::approval::{Decided, Request, Vote};
use cordon::clock::Time;
use cordon::digest::Digest;
use cordon::finding::{EntityType, SeverityId};
use cordon::guardrail::Halt;
use cordon::id::{AlertId, ApprovalId, EffectId, Partition, RunId};
use cordon::journal::{ApprovalState, ChainId, Entry, Event, seal};
use cordon::secret::Handle;
use cordon::store::{ApprovalRow, NewAlert, NewHold, NewRun, Notice, Principal, RunRow, RunStatus};
use serde_json::json;

use super::op::{Bill, Grant, Piece};

/// How many there are of each.
pub const ALERTS: usize = 4;
pub const RUNS: usize = 4;
pub const APPROVALS: usize = 8;
pub const KEYS: usize = 4;
pub const TARGETS: usize = 4;
pub const EFFECTS: usize = 4;
pub const NOTICES: usize = 4;
pub const NAMES: usize = 3;
pub const SCOPES: usize = 2;
/// Window of every budget, ms.
pub const WINDOW_MS: u64 = 100;
pub const FACETS: [&str; 2] = ["login", "network"];

/// The `n`-th partition that is used; neither is the one that belongs to the whole instance.
pub fn place(n: usize) -> Partition {
    Partition::number(if n.is_multiple_of(2) { 5 } else { 6 }).unwrap()
}

/// The `n`-th name of a kind that lives in its place.
fn named<T: Copy>(
    kept: &OnceLock<Vec<T>>,
    n: usize,
    make: impl Fn(usize) -> T,
    home: impl Fn(&T) -> Partition,
) -> T {
    let all = kept.get_or_init(|| {
        let named = |n: usize| {
            let mut mine = (0..).map(&make).filter(|made| home(made) == place(n));
            mine.nth(n / 2).unwrap()
        };
        (0..8).map(named).collect()
    });
    all[n]
}

pub fn alert(n: usize) -> AlertId {
    static KEPT: OnceLock<Vec<AlertId>> = OnceLock::new();
    named(
        &KEPT,
        n,
        |i| AlertId::derive(&[i.to_string()]),
        AlertId::partition,
    )
}

pub fn run(n: usize) -> RunId {
    static KEPT: OnceLock<Vec<RunId>> = OnceLock::new();
    named(&KEPT, n, |i| RunId::derive(&[i.to_string()]), RunId::partition)
}

pub fn key(n: usize) -> Digest {
    static KEPT: OnceLock<Vec<Digest>> = OnceLock::new();
    named(&KEPT, n, |i| Digest::of(i.to_string().as_bytes()), Partition::of)
}

pub fn target(n: usize) -> Target {
    static KEPT: OnceLock<Vec<usize>> = OnceLock::new();
    let make = |i: usize| Target {
        instance: "range".into(),
        kind: EntityType::Host,
        id: format!("device-{i}"),
        name: format!("web-{i}"),
        aliases: vec![format!("10.0.0.{i}")],
    };
    make(named(&KEPT, n, |i| i, |i| make(*i).partition()))
}

pub fn scope(n: usize) -> String {
    static KEPT: OnceLock<Vec<usize>> = OnceLock::new();
    let make = |i: usize| format!("scope {i}");
    make(named(&KEPT, n, |i| i, |i| Partition::of_text(&make(*i))))
}

pub fn effect(n: usize) -> EffectId {
    EffectId::derive(&[n.to_string()])
}

/// Whose request the `n`-th one is.
pub fn run_of_approval(n: usize) -> usize {
    n % RUNS
}

pub fn approval(n: usize) -> ApprovalId {
    ApprovalId::of_run(run(run_of_approval(n)), &[n.to_string()])
}

pub fn name(n: usize) -> String {
    format!("name {n}")
}

pub fn notice_key(n: usize) -> String {
    format!("notice {n}")
}

pub fn handle(n: usize) -> Handle {
    Handle(format!("handle {n}"))
}

pub fn bundle_digest(n: usize) -> Digest {
    Digest::of(format!("bundle {n}").as_bytes())
}

/// An entry; `flavour` tells entries at the same place apart.
pub fn entry(chain: ChainId, seq: u64, flavour: u8) -> Entry {
    let event = Event::RunClaimed {
        epoch: seq,
        worker: format!("worker {flavour}"),
    };
    seal(chain, &Digest::ZERO, seq, Time(1_000), &event, [flavour; 16]).unwrap()
}

/// Entries for a chain; a piece that is `strange` is of another chain of the same partition.
pub fn entries(chain: ChainId, pieces: &[Piece]) -> Vec<Entry> {
    let other = |chain: ChainId| match chain {
        ChainId::Alert(id) if id == alert(0) => ChainId::Alert(alert(2)),
        ChainId::Alert(id) if id == alert(1) => ChainId::Alert(alert(3)),
        ChainId::Alert(id) => ChainId::Alert(if id == alert(2) { alert(0) } else { alert(1) }),
        ChainId::Run(id) if id == run(0) => ChainId::Run(run(2)),
        ChainId::Run(id) if id == run(1) => ChainId::Run(run(3)),
        ChainId::Run(id) => ChainId::Run(if id == run(2) { run(0) } else { run(1) }),
    };
    let of = |piece: &Piece| if piece.strange { other(chain) } else { chain };
    let all = pieces.iter();
    all.map(|piece| entry(of(piece), piece.seq, piece.flavour))
        .collect()
}

pub fn new_alert(n: usize, at: i64) -> NewAlert {
    NewAlert {
        id: alert(n),
        source: "siem".into(),
        received_at: Time(at),
        headers: vec![("content-type".into(), format!("text/plain; n={at}"))],
        body: vec![b'{', 0, 0xff, u8::try_from(at % 200).unwrap()],
        entry: entry(ChainId::Alert(alert(n)), 0, 0),
    }
}

pub fn new_run(n: usize, at: i64, wake: Option<i64>) -> NewRun {
    let entry = entry(ChainId::Run(run(n)), 0, 0);
    NewRun {
        row: RunRow {
            id: run(n),
            playbook: format!("playbook {}", n % 2),
            title: "Leaked key".into(),
            subject: "access_key AKIA1".into(),
            cause: "trigger x".into(),
            severity_id: SeverityId(4),
            status: RunStatus::Open,
            end: None,
            started_at: Time(at),
            updated_at: Time(at),
            waits_for: String::new(),
            wake_at: wake.map(Time),
            epoch: 0,
            worker: None,
            len: 1,
            last: entry.digest,
        },
        entry,
    }
}

pub fn approval_row(grant: &Grant) -> ApprovalRow {
    let request = Request {
        approval: approval(grant.approval),
        run: run(run_of_approval(grant.approval)),
        title: "Leaked key".into(),
        subject: "access_key AKIA1".into(),
        ask: format!("May it happen, version {}?", grant.version),
        covers: Vec::new(),
        by: "leads".into(),
        quorum: 1,
        until: Time(9_000),
        may_decide: vec!["ben".into()],
        requester: None,
        author: "cordon".into(),
        rule: None,
        again: 0,
        digest: Digest::ZERO,
    };
    let decided = Decided {
        granted: true,
        by: vec!["ben".into()],
        why: "enough agreed".into(),
    };
    ApprovalRow::of(&ApprovalState {
        request,
        step: "1".parse().unwrap(),
        effect: None,
        at: Time(grant.asked),
        votes: Vec::new(),
        decided: (!grant.open).then_some((Time(grant.asked + 1), decided)),
    })
}

pub fn vote(principal: usize, approve: bool, at: i64) -> Vote {
    Vote {
        principal: name(principal),
        approve,
        reason: format!("said at {at}"),
        digest: Digest::ZERO,
        at: Time(at),
    }
}

pub fn reading(n: usize) -> Reading {
    Reading {
        state: format!("before {n}"),
        fields: json!({ "tags": ["a", 1.5, null, []], "n": n }),
    }
}

pub fn new_hold(on: usize, facet: usize, by: usize, at: i64, until: Option<i64>) -> NewHold {
    let undo = Undo {
        action: ActionName::new("range", "release").unwrap(),
        args: json!({ "by": by }).as_object().cloned().unwrap(),
    };
    NewHold {
        target: target(on),
        facet: FACETS[facet].into(),
        effect: effect(by),
        run: run(by % RUNS),
        at: Time(at),
        until: until.map(Time),
        prior: reading(by),
        undo: (by != 1).then_some(undo),
    }
}

pub fn notice(bill: &Bill) -> Notice {
    Notice {
        key: notice_key(bill.notice),
        group: key(bill.group),
        at: Time(bill.at),
        state: bill.state,
        leads: bill.leads,
        due_at: bill.due.map(Time),
        content: json!({ "n": bill.at, "list": [] }),
    }
}

pub fn halt(n: usize) -> Halt {
    Halt {
        by: name(n),
        at: Time(7),
        reason: "drill".into(),
    }
}

pub fn principal(n: usize, version: u8) -> Principal {
    Principal {
        name: name(n),
        token: Digest::of(&[version]),
        created_at: Time(i64::from(version)),
        created_by: "ana".into(),
    }
}
