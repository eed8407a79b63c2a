//! Each invariant is fed a violation and has to see it: a checker that cannot fail proves nothing.

use cordon::action::{Hold, Holder, Reading, Target};
use cordon::clock::Time;
use cordon::digest::Digest;
use cordon::finding::{EntityType, SeverityId};
use cordon::id::{AlertId, EffectId, FindingId, Partition, RunId};
use cordon::journal::{ChainId, End, Entry, Event, FindingFate, FindingRecord, seal};
use cordon::range::LedgerLine;
use cordon::store::{AlertRow, Disposition, FeedItem, Lock, RunRow, RunStatus};
use serde_json::{Value, json};

use crate::witness::{Facts, Invariant, Sent, Told, violations};

fn run_id() -> RunId {
    RunId::derive(&["run"])
}

fn alert_id() -> AlertId {
    AlertId::derive(&["alert"])
}

fn effect_id() -> EffectId {
    EffectId::derive(&["effect"])
}

fn event(value: Value) -> Event {
    serde_json::from_value(value).unwrap()
}

fn chain(chain: ChainId, events: &[(i64, Event)]) -> Vec<Entry> {
    let mut previous = Digest::ZERO;
    (0_u64..)
        .zip(events)
        .map(|(seq, (at, event))| {
            let entry = seal(chain, &previous, seq, Time(*at), event, [7; 16]).unwrap();
            previous = entry.digest;
            entry
        })
        .collect()
}

fn started() -> Event {
    event(json!({ "run_started": {
        "run": run_id(), "playbook": "beacon", "title": "Contain", "kind": "response", "on_failure": "keep",
        "bundle": Digest::ZERO, "engine_abi": 1,
        "cause": { "trigger": { "trigger": "t", "finding": FindingId::derive(&["finding"]), "alert": alert_id() } },
        "inputs": {}, "deadline": 90_000, "severity_id": SeverityId(4), "subject": "host web-07",
    } }))
}

fn bound(class: &str) -> Event {
    event(json!({ "effect_bound": {
        "effect": effect_id(), "step": "0", "instance": "crowdstrike", "entity": null, "args": {}, "lease_ms": null,
        "reverts": null,
        "spec": {
            "name": "crowdstrike::contain_host", "title": "Contain", "class": class, "targets": ["host"],
            "facet": "network", "permission": "p", "propagation_ms": 1, "in_flight_ms": 1,
        },
    } }))
}

fn asked() -> Event {
    event(json!({ "step_asked": {
        "step": "0", "name": "endpoint::isolate", "args": [], "digest": Digest::ZERO, "line": 1, "column": 1,
    } }))
}

fn target() -> Target {
    Target {
        instance: "crowdstrike".into(),
        kind: EntityType::Host,
        id: "h1".into(),
        name: "web-07".into(),
        aliases: Vec::new(),
    }
}

fn resolved() -> Event {
    Event::EffectResolved {
        effect: effect_id(),
        target: target(),
        requests: Vec::new(),
    }
}

fn intended(attempt: u32, epoch: u64) -> Event {
    event(json!({ "effect_intended": {
        "effect": effect_id(), "attempt": attempt, "epoch": epoch, "key": "k", "args": {}, "prior": null, "undo": null,
    } }))
}

fn ended(attempt: u32, outcome: Value) -> Event {
    event(json!({ "effect_ended": {
        "effect": effect_id(), "attempt": attempt, "outcome": outcome, "requests": [], "duration_ms": 1,
    } }))
}

fn acted() -> Value {
    json!({ "done": { "how": "acted", "result": {} } })
}

fn observed() -> Value {
    json!({ "done": { "how": "observed", "result": {} } })
}

fn unknown() -> Value {
    json!({ "unknown": { "fault": { "code": "interrupted", "message": "nobody knows" } } })
}

fn not_done() -> Value {
    json!({ "not_done": { "fault": { "code": "absent", "message": "not there" }, "retry": "backoff" } })
}

fn probed() -> Event {
    event(json!({ "effect_probed": {
        "effect": effect_id(), "found": { "Ok": { "state": "normal", "fields": {} } }, "requests": [],
    } }))
}

fn seen() -> Event {
    event(json!({ "effect_verified": {
        "effect": effect_id(), "verification": "yes", "reading": null, "requests": [],
    } }))
}

fn claimed(epoch: u64) -> Event {
    Event::RunClaimed {
        epoch,
        worker: "w".into(),
    }
}

fn settled(end: End) -> Event {
    Event::RunSettled {
        end,
        why: "it is over".into(),
    }
}

fn line(n: u64, at_ms: i64, action: &str, before: &str, after: &str) -> LedgerLine {
    LedgerLine {
        n,
        at_ms,
        request: n,
        vendor: "crowdstrike".into(),
        method: "POST".into(),
        action: action.into(),
        target: Some("h1".into()),
        target_name: Some("web-07".into()),
        applied: true,
        state_before: Some(before.into()),
        state_after: Some(after.into()),
        status: Some(202),
        ..LedgerLine::default()
    }
}

/// One alert, its run with this course after the start, and what the vendor saw; a host that is held.
fn story(course: Vec<(i64, Event)>, end: Option<End>, ledger: Vec<LedgerLine>) -> Facts {
    let mut events = vec![(10, started())];
    events.extend(course);
    if let Some(end) = end {
        events.push((90, settled(end)));
    }
    let entries = chain(ChainId::Run(run_id()), &events);
    let row = RunRow {
        id: run_id(),
        playbook: "beacon".into(),
        title: "Contain".into(),
        subject: "host web-07".into(),
        cause: String::new(),
        severity_id: SeverityId(4),
        status: if end.is_some() {
            RunStatus::Settled
        } else {
            RunStatus::Open
        },
        end,
        started_at: Time(10),
        updated_at: Time(90),
        waits_for: String::new(),
        wake_at: end.is_none().then_some(Time(100)),
        epoch: 9,
        worker: None,
        len: entries.len() as u64,
        last: entries.last().unwrap().digest,
    };
    let record = FindingRecord {
        finding: FindingId::derive(&["finding"]),
        title: "beacon".into(),
        fate: FindingFate::Matched { runs: vec![run_id()] },
    };
    let split = Event::AlertSplit {
        findings: vec![record],
    };
    let alert = chain(ChainId::Alert(alert_id()), &[(1, accepted()), (2, split)]);
    let alert_row = AlertRow {
        id: alert_id(),
        source: "generic".into(),
        received_at: Time(1),
        times: 1,
        disposition: Disposition::Split,
        len: 2,
        last: alert.last().unwrap().digest,
    };
    let fed = alert.iter().chain(&entries).cloned();
    let feed: Vec<FeedItem> = (1..)
        .zip(fed)
        .map(|(position, entry)| FeedItem { position, entry })
        .collect();
    Facts {
        sent: vec![Sent {
            alert: alert_id(),
            runs: Some(1),
        }],
        alerts: vec![(alert_row, alert)],
        runs: vec![Told::of(row, entries)],
        feeds: [(Partition::number(0).unwrap(), feed)].into(),
        holds: vec![hold()],
        locks: Vec::new(),
        stuck: 0,
        ledger,
    }
}

fn accepted() -> Event {
    Event::AlertAccepted {
        alert: alert_id(),
        source: "generic".into(),
        delivery: "d".into(),
        body: Digest::ZERO,
        bytes: 1,
        proof: "header".into(),
    }
}

fn hold() -> Hold {
    Hold {
        target: target(),
        facet: "network".into(),
        prior: Reading {
            state: "normal".into(),
            fields: Value::Null,
        },
        undo: None,
        left: vec![],
        holders: vec![Holder {
            effect: effect_id(),
            run: run_id(),
            since: Time(20),
            until: None,
            tries: 0,
            ending: false,
            seen: None,
        }],
    }
}

/// Up to an intent at 30.
fn intent() -> Vec<(i64, Event)> {
    vec![
        (11, asked()),
        (12, bound("set")),
        (13, resolved()),
        (30, intended(1, 1)),
    ]
}

fn with(course: Vec<(i64, Event)>, more: impl IntoIterator<Item = (i64, Event)>) -> Vec<(i64, Event)> {
    course.into_iter().chain(more).collect()
}

fn contained(at_ms: i64) -> Vec<LedgerLine> {
    vec![
        line(1, at_ms, "contain", "normal", "containment_pending"),
        line(2, at_ms + 1, "settle", "containment_pending", "contained"),
    ]
}

fn good() -> Facts {
    let course = with(intent(), [(50, ended(1, acted())), (60, seen())]);
    story(course, Some(End::Succeeded), contained(40))
}

/// The invariants that are violated, each once.
fn broken(facts: &Facts) -> Vec<Invariant> {
    let mut all: Vec<Invariant> = violations(facts)
        .into_iter()
        .map(|violation| violation.of)
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn a_story_without_a_fault_passes() {
    assert_eq!(violations(&good()), []);
    // One that was interrupted, looked into, and found not to have happened, and was tried again.
    let course = with(
        intent(),
        [
            (35, claimed(2)),
            (36, ended(1, unknown())),
            (37, probed()),
            (38, ended(1, not_done())),
            (39, intended(2, 2)),
            (50, ended(2, acted())),
            (60, seen()),
        ],
    );
    assert_eq!(
        violations(&story(course, Some(End::Succeeded), contained(40))),
        []
    );
}

#[test]
fn i1_sees_an_alert_that_is_lost_pending_or_starts_too_much_or_too_little() {
    let mut lost = good();
    lost.sent.push(Sent {
        alert: AlertId::derive(&["another"]),
        runs: None,
    });
    let mut pending = good();
    pending.alerts[0].0.disposition = Disposition::Pending;
    let mut twice = good();
    twice.sent[0].runs = Some(2);
    for facts in [lost, pending, twice] {
        assert_eq!(broken(&facts), [Invariant::I1]);
    }
    let mut gone = good();
    gone.runs.clear();
    assert!(broken(&gone).contains(&Invariant::I1));
    let mut stray = good();
    stray.alerts.clear();
    assert!(broken(&stray).contains(&Invariant::I1));
}

#[test]
fn i2_sees_a_change_before_its_intent_and_a_word_it_does_not_know() {
    let mut early = good();
    early.ledger = contained(29);
    assert_eq!(broken(&early), [Invariant::I2]);
    let mut strange = good();
    strange
        .ledger
        .push(line(3, 70, "reformat", "contained", "contained"));
    assert_eq!(broken(&strange), [Invariant::I2]);
}

#[test]
fn i3_sees_a_blind_repeat() {
    let mut again = good();
    again
        .ledger
        .push(line(3, 70, "contain", "contained", "contained"));
    assert_eq!(broken(&again), [Invariant::I2, Invariant::I3]);
    // With an intent of its own, and nobody looked: the repeat is seen all the same.
    let course = with(
        intent(),
        [
            (41, ended(1, not_done())),
            (42, intended(2, 1)),
            (50, ended(2, acted())),
            (60, seen()),
        ],
    );
    let ledger = with_repeat();
    assert_eq!(
        broken(&story(course, Some(End::Succeeded), ledger)),
        [Invariant::I3]
    );
    // What nobody can see is tried once.
    let opaque = vec![
        (11, asked()),
        (12, bound("opaque")),
        (13, resolved()),
        (30, intended(1, 1)),
        (36, ended(1, unknown())),
        (42, intended(2, 1)),
        (50, ended(2, acted())),
    ];
    assert!(broken(&story(opaque, Some(End::Succeeded), contained(45))).contains(&Invariant::I3));
}

fn with_repeat() -> Vec<LedgerLine> {
    let mut ledger = contained(40);
    ledger.push(line(3, 45, "contain", "contained", "contained"));
    ledger
}

#[test]
fn i4_sees_an_outcome_that_nobody_saw() {
    let by_another = with(
        intent(),
        [(45, claimed(2)), (50, ended(1, acted())), (60, seen())],
    );
    assert_eq!(
        broken(&story(by_another, Some(End::Succeeded), contained(40))),
        [Invariant::I4]
    );
    let without_a_look = with(
        intent(),
        [(45, ended(1, unknown())), (50, ended(1, acted())), (60, seen())],
    );
    assert_eq!(
        broken(&story(without_a_look, Some(End::Succeeded), contained(40))),
        [Invariant::I4]
    );
    let left = with(intent(), [(45, ended(1, unknown()))]);
    assert!(broken(&story(left, Some(End::Kept), contained(40))).contains(&Invariant::I4));
    let mut unlooked = story(
        with(intent(), [(45, ended(1, unknown())), (50, ended(1, not_done()))]),
        Some(End::Kept),
        Vec::new(),
    );
    unlooked.holds.clear();
    assert_eq!(broken(&unlooked), [Invariant::I4]);
    let looked = with(
        intent(),
        [
            (45, ended(1, unknown())),
            (50, ended(1, observed())),
            (60, seen()),
        ],
    );
    assert_eq!(broken(&story(looked, Some(End::Succeeded), contained(40))), []);
}

#[test]
fn i5_sees_a_gap_a_stale_epoch_and_what_comes_after_the_end() {
    let stale = with(
        vec![
            (11, asked()),
            (12, bound("set")),
            (13, resolved()),
            (14, claimed(3)),
        ],
        [(30, intended(1, 2)), (50, ended(1, acted())), (60, seen())],
    );
    assert_eq!(
        broken(&story(stale, Some(End::Succeeded), contained(40))),
        [Invariant::I5]
    );
    let back = with(
        with(intent(), [(50, ended(1, acted())), (60, seen())]),
        [(61, claimed(3)), (62, claimed(3))],
    );
    assert_eq!(
        broken(&story(back, Some(End::Succeeded), contained(40))),
        [Invariant::I5]
    );
    let after = with(
        with(
            intent(),
            [
                (50, ended(1, acted())),
                (60, seen()),
                (61, settled(End::Succeeded)),
            ],
        ),
        [],
    );
    assert_eq!(
        broken(&story(after, Some(End::Succeeded), contained(40))),
        [Invariant::I5]
    );
    let mut short = good();
    short.runs[0].row.len += 1;
    assert_eq!(broken(&short), [Invariant::I5]);
    let mut gap = good();
    gap.runs[0].entries.remove(2);
    assert!(broken(&gap).contains(&Invariant::I5));
}

#[test]
fn i6_sees_what_nothing_will_wake_and_what_stays_locked() {
    let mut asleep = story(
        with(intent(), [(50, ended(1, acted())), (60, seen())]),
        None,
        contained(40),
    );
    assert_eq!(broken(&asleep), []);
    asleep.runs[0].row.wake_at = None;
    assert_eq!(broken(&asleep), [Invariant::I6]);
    let mut stuck = good();
    stuck.stuck = 1;
    assert_eq!(broken(&stuck), [Invariant::I6]);
    let mut locked = good();
    locked.locks.push(Lock {
        target: target().key(),
        effect: effect_id(),
        run: run_id(),
    });
    assert_eq!(broken(&locked), [Invariant::I6]);
}

#[test]
fn i7_sees_what_is_held_and_not_in_force_or_in_force_and_not_held() {
    let mut forgotten = good();
    forgotten.holds.clear();
    assert_eq!(broken(&forgotten), [Invariant::I7]);
    let mut lifted = good();
    let lift = line(3, 70, "lift_containment", "contained", "lift_containment_pending");
    lifted.ledger.push(lift);
    assert!(broken(&lifted).contains(&Invariant::I7));
    let mut ending = good();
    ending.holds[0].holders[0].ending = true;
    assert_eq!(broken(&ending), [Invariant::I7]);
    let course = with(intent(), [(50, ended(1, acted())), (60, seen())]);
    let rolled_back = story(course, Some(End::RolledBack), contained(40));
    assert_eq!(broken(&rolled_back), [Invariant::I7]);
}

#[test]
fn i8_sees_a_changed_entry_a_follower_that_misses_one_and_a_change_nobody_tells_of() {
    let mut changed = good();
    let text = changed.runs[0].entries[3].payload.replace("web-07", "web-08");
    changed.runs[0].entries[3].payload = text;
    assert_eq!(broken(&changed), [Invariant::I8]);
    let mut missed = good();
    for feed in missed.feeds.values_mut() {
        feed.remove(3);
    }
    assert_eq!(broken(&missed), [Invariant::I8]);
    let mut twice = good();
    for feed in twice.feeds.values_mut() {
        feed.insert(3, feed[3].clone());
    }
    assert_eq!(broken(&twice), [Invariant::I8]);
    let untold = with(
        intent(),
        [
            (45, ended(1, unknown())),
            (47, probed()),
            (50, ended(1, not_done())),
        ],
    );
    assert_eq!(
        broken(&story(untold, Some(End::Kept), contained(40))),
        [Invariant::I8]
    );
    let mut dreamt = good();
    dreamt.ledger.clear();
    assert_eq!(broken(&dreamt), [Invariant::I8]);
}
