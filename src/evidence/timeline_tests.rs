//! Whole pages, as a person would read them. `cargo insta review` shows what a change does to them.

use serde_json::{Value, json};

use super::timeline::{one_line, render};
use crate::action::{
    ActionSpec, Class, Done, Fault, Outcome, ReadBack, Reading, Request, Retry, Target, Undo, UndoSpec,
    Verification,
};
use crate::clock::Time;
use crate::digest::Digest;
use crate::finding::{Entity, EntityType, Role, SeverityId};
use crate::guardrail::{Decision, Reason, Verdict};
use crate::id::{AlertId, EffectId, FindingId, RunId};
use crate::journal::{
    Answered, Bound, Cause, ENGINE_ABI, End, Event, Header, Intent, OnFailure, PlaybookKind, Reverts,
};
use crate::script::StepId;
use crate::store::{RunRow, RunStatus};

const START: i64 = 1_795_000_000_000;

fn run() -> RunId {
    RunId::derive(&["timeline"])
}

fn effect(n: u8) -> EffectId {
    EffectId::derive(&[[n]])
}

fn step(text: &str) -> StepId {
    text.parse().unwrap()
}

fn row(end: Option<End>) -> RunRow {
    RunRow {
        id: run(),
        playbook: "isolate-host".into(),
        title: "Isolate a compromised host".into(),
        subject: "host web-07".into(),
        cause: "trigger".into(),
        severity_id: SeverityId(4),
        status: if end.is_some() {
            RunStatus::Settled
        } else {
            RunStatus::Open
        },
        end,
        started_at: Time(START),
        updated_at: Time(START),
        waits_for: String::new(),
        wake_at: None,
        epoch: 1,
        worker: None,
        len: 1,
        last: Digest::ZERO,
    }
}

fn contain() -> ActionSpec {
    ActionSpec {
        name: "crowdstrike::contain_host".parse().unwrap(),
        title: "Contain a host".into(),
        class: Class::Set,
        provides: "endpoint::isolate".parse().ok(),
        targets: vec![EntityType::Host],
        args: Default::default(),
        facet: Some("network".into()),
        resolve: Some("find_host".into()),
        capture: None,
        verify: Some(ReadBack {
            read: "host_state".into(),
            in_force: vec!["contained".into()],
            pending: vec![],
            lag_ms: 5_000,
        }),
        undo: Some(UndoSpec {
            action: "crowdstrike::lift_containment".parse().unwrap(),
            from_captured: Default::default(),
        }),
        permission: "hosts:write".into(),
        propagation_ms: 60_000,
        in_flight_ms: 20_000,
        unseen: None,
        d3fend: None,
    }
}

fn request(method: &str, path: &str, status: Option<u16>, ms: u64) -> Request {
    Request {
        method: method.into(),
        url: format!("https://api.crowdstrike.example{path}"),
        peer: Some("192.0.2.10:443".into()),
        status,
        error: status
            .is_none()
            .then(|| "the connection was closed before an answer".to_owned()),
        duration_ms: ms,
    }
}

fn reading(state: &str) -> Reading {
    Reading {
        state: state.into(),
        fields: Value::Null,
    }
}

/// A journal being written by hand: each event so many ms after the start.
struct Story(Vec<(Time, Event)>);

impl Story {
    fn begin(cause: Cause) -> Story {
        let header = Header {
            run: run(),
            playbook: "isolate-host".into(),
            title: "Isolate a compromised host".into(),
            kind: PlaybookKind::Response,
            on_failure: OnFailure::Keep,
            ask: None,
            bundle: Digest::of(b"bundle"),
            engine_abi: ENGINE_ABI,
            cause,
            inputs: Default::default(),
            deadline: Time(START).plus_ms(86_400_000),
            severity_id: SeverityId(4),
            subject: "host web-07".into(),
            weak_source: false,
            author: "cordon".into(),
        };
        Story(vec![(Time(START), Event::RunStarted(Box::new(header)))])
    }

    fn triggered() -> Story {
        Story::begin(Cause::Trigger {
            trigger: "Ransomware on a server".into(),
            finding: FindingId::derive(&["f"]),
            alert: AlertId::derive(&["a"]),
        })
    }

    fn at(&mut self, ms: u64, event: Event) -> &mut Story {
        self.0.push((Time(START).plus_ms(ms), event));
        self
    }

    /// Ask, binding, target and state before: how every effect on the host begins.
    fn asked(&mut self) -> &mut Story {
        let web_07 = json!({ "type": "host", "name": "web-07", "role": "affected", "uid": "web-07" });
        self.at(
            4,
            Event::StepAsked {
                step: step("1"),
                name: "endpoint::isolate".into(),
                args: vec![web_07, json!({ "lease": "4h" })],
                digest: Digest::ZERO,
                line: 3,
                column: 1,
                file: None,
            },
        )
        .at(
            6,
            Event::EffectBound(Box::new(Bound {
                effect: effect(1),
                step: step("1"),
                spec: contain(),
                instance: "crowdstrike".into(),
                entity: Entity::new(EntityType::Host, Role::Affected, "web-07"),
                args: Default::default(),
                lease_ms: Some(14_400_000),
                reverts: None,
                rollback: false,
            })),
        )
        .at(
            118,
            Event::EffectResolved {
                effect: effect(1),
                target: target(),
                requests: vec![request("GET", "/devices/queries/devices/v1", Some(200), 110)],
            },
        )
        .at(
            202,
            Event::EffectCaptured {
                effect: effect(1),
                reading: reading("normal"),
                requests: vec![request("GET", "/devices/entities/devices/v2", Some(200), 80)],
            },
        )
    }

    fn weighed(&mut self, ms: u64, reasons: Vec<Reason>) -> &mut Story {
        self.at(
            ms,
            Event::EffectWeighed {
                effect: effect(1),
                verdict: Verdict::join(reasons),
            },
        )
    }

    fn intended(&mut self, ms: u64) -> &mut Story {
        let intent = Intent {
            effect: effect(1),
            attempt: 1,
            epoch: 1,
            key: "0123456789abcdef0123456789abcdef".into(),
            args: Default::default(),
            prior: Some(reading("normal")),
            undo: Some(Undo {
                action: "crowdstrike::lift_containment".parse().unwrap(),
                args: Default::default(),
            }),
            budgets: vec![],
        };
        self.at(ms, Event::EffectIntended(Box::new(intent)))
    }

    fn ended(&mut self, ms: u64, outcome: Outcome, requests: Vec<Request>, duration_ms: u64) -> &mut Story {
        self.at(
            ms,
            Event::EffectEnded {
                effect: effect(1),
                attempt: 1,
                outcome,
                requests,
                duration_ms,
            },
        )
    }

    fn verified(&mut self, ms: u64, verification: Verification, state: &str) -> &mut Story {
        let event = Event::EffectVerified {
            effect: effect(1),
            verification,
            reading: Some(reading(state)),
            requests: vec![request("GET", "/devices/entities/devices/v2", Some(200), 75)],
        };
        self.at(ms, event)
    }

    fn settled(&mut self, ms: u64, end: End, why: &str) -> String {
        self.at(ms, Event::RunSettled { end, why: why.into() });
        render(&row(Some(end)), &self.0, false, 100)
    }
}

fn target() -> Target {
    Target {
        instance: "crowdstrike".into(),
        kind: EntityType::Host,
        id: "6f1a77".into(),
        name: "web-07".into(),
        aliases: vec![],
    }
}

fn yes() -> Outcome {
    Outcome::Done {
        how: Done::Acted,
        result: Value::Null,
    }
}

const ACTION: &str = "/devices/entities/devices-actions/v2";

fn note(text: &str, line: u32) -> Event {
    let args = vec![json!(text)];
    Event::StepTold {
        step: step("0"),
        name: "note".into(),
        args,
        digest: Digest::ZERO,
        line,
        file: None,
    }
}

#[test]
fn a_containment_that_went_well() {
    let mut story = Story::triggered();
    story
        .at(3, note("Ransomware on a server: web-07", 1))
        .asked()
        .weighed(203, vec![])
        .intended(204);
    story.ended(415, yes(), vec![request("POST", ACTION, Some(202), 210)], 211);
    story.verified(500, Verification::Yes, "contained");
    story.at(
        501,
        Event::StepAnswered {
            step: step("1"),
            result: Answered::Value(json!({ "effect": effect(1), "how": "acted", "verified": "yes" })),
        },
    );
    let subject = json!({ "subject": "Contained web-07" });
    story.at(
        503,
        Event::StepTold {
            step: step("2"),
            name: "notify::oncall".into(),
            args: vec![subject],
            digest: Digest::ZERO,
            line: 5,
            file: None,
        },
    );
    story.at(504, Event::ScriptReturned { value: Value::Null });
    insta::assert_snapshot!(story.settled(505, End::Succeeded, "every effect was seen in force"));
}

#[test]
fn an_answer_that_was_lost_is_looked_for_and_found() {
    let mut story = Story::triggered();
    story.asked().weighed(203, vec![]).intended(204);
    let lost = Outcome::Unknown {
        fault: Fault::new("timeout", "no answer within 20s"),
    };
    story.ended(20_210, lost, vec![request("POST", ACTION, None, 20_000)], 20_006);
    story.at(
        20_800,
        Event::EffectProbed {
            effect: effect(1),
            found: Ok(reading("normal")),
            requests: vec![request("GET", "/devices/entities/devices/v2", Some(200), 90)],
        },
    );
    story.at(
        75_000,
        Event::RunClaimed {
            epoch: 2,
            worker: "node-b".into(),
        },
    );
    let found = Outcome::Done {
        how: Done::Observed,
        result: Value::Null,
    };
    story.ended(76_000, found, vec![], 75_796);
    story.verified(76_000, Verification::Yes, "contained");
    insta::assert_snapshot!(story.settled(76_010, End::Succeeded, "every effect was seen in force"));
}

#[test]
fn a_vendor_that_said_yes_and_did_nothing_is_loud() {
    let mut story = Story::triggered();
    story.asked().weighed(203, vec![]).intended(204);
    story.ended(415, yes(), vec![request("POST", ACTION, Some(202), 210)], 211);
    story.verified(500, Verification::Pending, "normal");
    story.verified(6_000, Verification::Contradicted, "normal");
    story.at(
        6_000,
        Event::Alarmed {
            code: "contradicted".into(),
            message: "crowdstrike said yes to crowdstrike::contain_host, but host web-07 (6f1a77) reads `normal`: it is NOT in force".into(),
            effect: Some(effect(1)),
        },
    );
    insta::assert_snapshot!(story.settled(6_001, End::Kept, "an effect is not seen in force"));
}

#[test]
fn a_protected_target_is_not_touched_and_says_why() {
    let mut story = Story::triggered();
    let reason = Reason {
        rule: "protected".into(),
        decision: Decision::Deny,
        why: "`web-*` is protected: the shop runs there, call the duty manager before anybody isolates one"
            .into(),
    };
    story.asked().weighed(203, vec![reason]);
    let fault = Fault::new("denied", "the guardrails refuse crowdstrike::contain_host");
    let refused = Outcome::NotDone {
        fault: fault.clone(),
        retry: Retry::Never,
    };
    story.at(
        203,
        Event::EffectEnded {
            effect: effect(1),
            attempt: 0,
            outcome: refused,
            requests: vec![],
            duration_ms: 0,
        },
    );
    story.at(
        204,
        Event::StepAnswered {
            step: step("1"),
            result: Answered::Fault(fault.clone()),
        },
    );
    story.at(
        206,
        Event::ScriptFailed {
            fault,
            line: 3,
            column: 1,
            file: None,
        },
    );
    insta::assert_snapshot!(story.settled(207, End::Kept, "the playbook failed; nothing was undone"));
}

#[test]
fn a_release_while_another_run_still_holds_sends_nothing() {
    let mut story = Story::begin(Cause::Undo {
        principal: "maria".into(),
        reason: "false alarm, see INC-4711".into(),
        of: Some(RunId::derive(&["other"])),
    });
    let mut spec = contain();
    spec.name = "crowdstrike::lift_containment".parse().unwrap();
    let left = spec.verify.clone().unwrap();
    story.at(
        2,
        Event::StepAsked {
            step: step("0"),
            name: "cordon::undo".into(),
            args: vec![json!({ "run": RunId::derive(&["other"]), "effect": effect(9) })],
            digest: Digest::ZERO,
            line: 4,
            column: 9,
            file: None,
        },
    );
    story.at(
        4,
        Event::EffectBound(Box::new(Bound {
            effect: effect(1),
            step: step("0"),
            spec,
            instance: "crowdstrike".into(),
            entity: None,
            args: Default::default(),
            lease_ms: None,
            reverts: Some(Reverts {
                run: RunId::derive(&["other"]),
                effect: effect(9),
                left,
                late_until: None,
                replaced: None,
            }),
            rollback: false,
        })),
    );
    story.at(
        5,
        Event::EffectResolved {
            effect: effect(1),
            target: target(),
            requests: vec![],
        },
    );
    let intent = Intent {
        effect: effect(1),
        attempt: 1,
        epoch: 1,
        key: "fedcba9876543210".into(),
        args: Default::default(),
        prior: None,
        undo: None,
        budgets: vec![],
    };
    story.at(7, Event::EffectIntended(Box::new(intent)));
    let held = Outcome::Done {
        how: Done::StillHeld,
        result: json!({ "remaining": 1 }),
    };
    story.ended(7, held, vec![], 0);
    story.at(9, Event::ScriptReturned { value: Value::Null });
    insta::assert_snapshot!(story.settled(10, End::Succeeded, "every effect was seen in force"));
}

#[test]
fn an_open_run_says_what_it_waits_for() {
    let mut story = Story::triggered();
    story.at(
        2,
        Event::StepAsked {
            step: step("0"),
            name: "wait".into(),
            args: vec![json!("2d")],
            digest: Digest::ZERO,
            line: 2,
            column: 1,
            file: None,
        },
    );
    story.at(
        2,
        Event::TimerSet {
            step: step("0"),
            due: Time(START).plus_ms(172_800_002),
        },
    );
    let mut row = row(None);
    row.waits_for = "the wait at line 2".into();
    row.wake_at = Some(Time(START).plus_ms(172_800_002));
    insta::assert_snapshot!(render(&row, &story.0, false, 100));
    assert!(
        one_line(&row).ends_with("isolate-host  host web-07  (waits for the wait at line 2)"),
        "{}",
        one_line(&row)
    );
}

#[test]
fn no_page_is_wider_than_it_may_be_and_colours_change_no_word() {
    let mut story = Story::triggered();
    story
        .at(3, note(&"a long note ".repeat(40), 1))
        .asked()
        .weighed(203, vec![])
        .intended(204);
    story.ended(415, yes(), vec![request("POST", ACTION, Some(202), 210)], 211);
    for width in [60, 80, 100] {
        let plain = render(&row(None), &story.0, false, width);
        for line in plain.lines() {
            assert!(line.chars().count() <= width, "{line}");
        }
        let mut coloured = render(&row(None), &story.0, true, width);
        assert!(coloured.contains('\u{1b}'));
        for code in ["1", "2", "32", "33", "1;31", "0"] {
            coloured = coloured.replace(&format!("\u{1b}[{code}m"), "");
        }
        assert_eq!(coloured, plain);
    }
}
