//! A request for approval as its events tell it: asked once, decided once, and nothing after that.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::approval::{Decided, Request, Vote};
use crate::clock::Time;
use crate::digest::Digest;
use crate::finding::SeverityId;
use crate::guardrail::Verdict;
use crate::id::{ApprovalId, RunId};

fn run() -> RunId {
    RunId::derive(&["approvals"])
}

fn approval() -> ApprovalId {
    ApprovalId::of_run(run(), &["0"])
}

fn state() -> RunState {
    let header = Header {
        run: run(),
        playbook: "ask".into(),
        title: "Ask".into(),
        kind: PlaybookKind::Response,
        on_failure: OnFailure::Keep,
        ask: None,
        bundle: Digest::ZERO,
        engine_abi: ENGINE_ABI,
        cause: Cause::Person {
            principal: "ana".into(),
            reason: String::new(),
        },
        inputs: BTreeMap::new(),
        deadline: Time(1_000),
        severity_id: SeverityId(1),
        subject: "host a".into(),
        weak_source: false,
        author: SHIPPED.into(),
    };
    let mut state = RunState::begin(header, Time(0), Digest::ZERO);
    let asked = Event::StepAsked {
        step: "0".parse().unwrap(),
        name: "approve".into(),
        args: vec![],
        digest: Digest::ZERO,
        line: 1,
        column: 1,
        file: None,
    };
    state.apply(Time(1), &asked, Digest::ZERO).unwrap();
    state
}

fn requested() -> Event {
    Event::ApprovalRequested {
        step: "0".parse().unwrap(),
        effect: None,
        request: Box::new(Request {
            approval: approval(),
            run: run(),
            title: "Ask".into(),
            subject: "host a".into(),
            ask: "Go on?".into(),
            covers: vec![],
            by: "leads".into(),
            quorum: 1,
            until: Time(900),
            may_decide: vec!["ben".into()],
            requester: Some("ana".into()),
            author: SHIPPED.into(),
            rule: None,
            again: 0,
            digest: Digest::ZERO,
        }),
    }
}

fn voted() -> Event {
    Event::ApprovalVoted {
        approval: approval(),
        vote: Vote {
            principal: "ben".into(),
            approve: true,
            reason: String::new(),
            digest: Digest::ZERO,
            at: Time(3),
        },
    }
}

fn decided() -> Event {
    Event::ApprovalDecided {
        approval: approval(),
        decided: Decided {
            granted: true,
            by: vec!["ben".into()],
            why: "approved by ben".into(),
        },
    }
}

#[test]
fn a_request_is_asked_answered_and_decided_once() {
    let mut state = state();
    let mut apply = |at, event: &Event| state.apply(Time(at), event, Digest::ZERO);
    assert!(apply(2, &voted()).unwrap_err().contains("was never asked for"));
    apply(2, &requested()).unwrap();
    assert!(apply(2, &requested()).unwrap_err().contains("asked for before"));
    apply(3, &voted()).unwrap();
    apply(4, &decided()).unwrap();
    for late in [voted(), decided()] {
        assert!(apply(5, &late).unwrap_err().contains("was decided before"));
    }
    let approval = state.approvals_in_order().next().unwrap();
    assert!(approval.is_granted() && !approval.is_open());
    assert_eq!((approval.at, approval.votes.len()), (Time(2), 1));
}

#[test]
fn each_event_reads_back_under_its_kind() {
    for (event, kind) in [
        (requested(), "approval_requested"),
        (voted(), "approval_voted"),
        (decided(), "approval_decided"),
    ] {
        let entry = seal(ChainId::Run(run()), &Digest::ZERO, 1, Time(2), &event, [0; 16]).unwrap();
        assert_eq!(entry.kind, kind);
        assert_eq!(entry.event().unwrap(), (Time(2), event));
    }
}

#[test]
fn a_verdict_from_before_there_were_approvals_reads_and_writes_as_it_did() {
    let old = json!({ "decision": "allow", "reasons": [] });
    let verdict: Verdict = serde_json::from_value(old.clone()).unwrap();
    assert!(verdict.approvals.is_empty());
    assert_eq!(serde_json::to_value(verdict).unwrap(), old);
}
