//! What a message says, whom it goes to, and that text of strangers stays text.

use serde_json::json;

use super::office::*;
use crate::approval::{Decided, Request};
use crate::digest::Digest;
use crate::id::ApprovalId;
use crate::journal::{Cause, ENGINE_ABI, End, Event, Header, OnFailure, PlaybookKind};
use crate::store::NoticeState;

#[tokio::test]
async fn an_alarm_says_what_happened_what_is_asked_and_where_to_look() {
    let office = Office::open();
    let run = office
        .run(
            "web-07",
            vec![alarm("contradicted", "isolate on web-07 reads normal")],
        )
        .await;
    office.settle(&mut office.follower("one")).await;
    let sent = office.channels.sent().pop().unwrap();
    assert_eq!(
        sent.subject,
        "[ALARM] Malware on a host (host web-07): isolate on web-07 reads normal"
    );
    for part in [
        "What is wrong\n- contradicted: isolate on web-07 reads normal\n",
        "Malware on web-07 (severity high, from edr)",
        "about host web-07 (affected)",
        "at the sender: https://edr.example.com/a/1",
        "What is asked\n- look at the vendor",
        &format!("to see it: cordon show {run}"),
        &format!("The run: https://cordon.example.com/api/runs/{run}"),
    ] {
        assert!(sent.text.contains(part), "no {part:?} in\n{}", sent.text);
    }
}

#[tokio::test]
async fn hostile_text_of_an_alert_stays_text_in_every_form() {
    let title = "\r\nBcc: eve@evil.example\r\n\r\n<script>alert(1)</script> <!channel> @everyone \
                 <https://evil.example|your bank> \u{202e}cod.exe\u{0}";
    for title in [title.to_owned(), "x".repeat(100 << 10)] {
        let office = Office::open();
        let told = told(
            "notify::oncall",
            vec![json!({ "subject": title, "text": title, "why": title, "list": [title, { "a": title }] })],
        );
        office.run_of(finding(&title, "web-07"), vec![told]).await;
        office.settle(&mut office.follower("one")).await;
        let sent = office.channels.sent().pop().unwrap();
        assert!(!sent.subject.chars().any(char::is_control), "{:?}", sent.subject);
        assert!(sent.subject.chars().count() <= 201, "{}", sent.subject);
        assert!(sent.text.len() < 16 << 10, "{} bytes", sent.text.len());
        assert!(!sent.text.contains("\nBcc:"), "{}", sent.text);
        for form in [&sent.subject, &sent.text, &sent.html] {
            for harm in [
                "<script",
                "<!channel>",
                "@everyone",
                "<https://evil",
                "\u{202e}",
                "\u{0}",
                "\r",
            ] {
                assert!(!form.contains(harm), "{harm:?} in {form}");
            }
        }
        // Nothing of the sender's becomes an element or an address that leads elsewhere.
        let tags: Vec<&str> = sent.html.split('<').skip(1).collect();
        let ours = [
            "!doctype",
            "html",
            "body",
            "h2",
            "h3",
            "ul",
            "li",
            "p>",
            "a href=\"https://cordon.example.com/",
            "/",
        ];
        for tag in tags {
            assert!(ours.iter().any(|own| tag.starts_with(own)), "<{tag}");
        }
    }
}

#[tokio::test]
async fn whom_a_playbook_names_is_told_and_whom_nobody_knows_goes_to_the_default_with_a_note() {
    let subject = json!({ "subject": "look" });
    for (name, whom, to, note) in [
        ("notify::team", "soc", "#soc", ""),
        ("notify::person", "ana", "@ana-id", ""),
        ("notify::channel", "ops", "ops@example.com", ""),
        ("notify::team", "sco", "@ana-id", "asks for the team `sco`"),
        ("notify::person", "bob", "@ana-id", "asks for the person `bob`"),
        ("notify::channel", "x", "@ana-id", "asks for the channel `x`"),
    ] {
        let office = Office::open();
        office
            .run("web-07", vec![told(name, vec![json!(whom), subject.clone()])])
            .await;
        office.settle(&mut office.follower("one")).await;
        let sent = office.channels.sent().pop().unwrap();
        assert_eq!(sent.to, to, "{name} {whom}");
        assert_eq!(sent.text.contains("\nNote\n"), !note.is_empty());
        assert!(sent.text.contains(note), "{}", sent.text);
    }
}

#[tokio::test]
async fn a_run_that_ends_otherwise_than_well_is_told_once_and_a_good_end_not_at_all() {
    let ended = |end, why: &str| Event::RunSettled { end, why: why.into() };
    for (events, messages) in [
        (vec![ended(End::Succeeded, "all well")], 0),
        (vec![ended(End::Kept, "1 effect(s) did not happen")], 1),
        (vec![ended(End::Cancelled, "by ana")], 1),
        (
            vec![alarm("run-failed", "it ended kept"), ended(End::Kept, "why")],
            1,
        ),
        (
            vec![alarm("in-doubt", "nobody knows"), ended(End::InDoubt, "why")],
            2,
        ),
    ] {
        let office = Office::open();
        office.run("web-07", events.clone()).await;
        office.settle(&mut office.follower("one")).await;
        assert_eq!(office.channels.sent().len(), messages, "{events:?}");
    }
}

#[tokio::test]
async fn a_note_and_what_is_not_for_people_is_not_told() {
    let office = Office::open();
    office.run("web-07", vec![told("note", vec![json!("n")])]).await;
    office.settle(&mut office.follower("one")).await;
    assert!(office.channels.sent().is_empty() && office.views().await.is_empty());
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_is_told_as_that() {
    let office = Office::open();
    // Of a step that nobody asked for: its journal makes no sense.
    let senseless = Event::TimerSet {
        step: "9".parse().unwrap(),
        due: NOW,
    };
    let run = office.run("web-07", vec![senseless, oncall("look")]).await;
    office.settle(&mut office.follower("one")).await;
    let sent = office.channels.sent().pop().unwrap();
    assert_eq!(sent.subject, format!("[ALARM] an entry of {run} cannot be told"));
    assert!(sent.text.contains("step 9 was never asked"), "{}", sent.text);
}

#[tokio::test]
async fn without_anybody_the_log_is_told() {
    let mut office = Office::open();
    office.plan = Default::default();
    office.run("web-07", vec![oncall("look")]).await;
    office.settle(&mut office.follower("one")).await;
    assert!(office.channels.sent().is_empty());
    let views = office.views().await;
    assert_eq!(
        (views[0].state, views[0].to[0].by.as_str()),
        (NoticeState::Delivered, "log")
    );
}

#[tokio::test]
async fn the_good_end_of_a_run_that_ends_no_lease_costs_nothing_and_says_nothing() {
    let office = Office::open();
    let header = json!({
        "run": crate::id::RunId::derive(&["revert"]), "playbook": "cordon/revert", "title": "Restore",
        "kind": PlaybookKind::Internal, "on_failure": OnFailure::Keep,
        "bundle": Digest::ZERO, "engine_abi": ENGINE_ABI,
        "cause": Cause::Undo { principal: "ana".into(), reason: "false alarm".into(), of: None },
        "inputs": {}, "deadline": NOW, "severity_id": 1, "subject": "host web-07",
    });
    let header: Header = serde_json::from_value(header).unwrap();
    let ended = Event::RunSettled {
        end: End::Succeeded,
        why: String::new(),
    };
    office.begin(header, vec![ended]).await;
    office.settle(&mut office.follower("one")).await;
    assert!(office.channels.sent().is_empty());
}

/// The step that asks.
fn step() -> Event {
    Event::StepAsked {
        step: "0".parse().unwrap(),
        name: "approve".into(),
        args: vec![],
        digest: Digest::ZERO,
        line: 1,
        column: 1,
        file: None,
    }
}

fn request(run: crate::id::RunId, ask: &str) -> Request {
    Request {
        approval: ApprovalId::of_run(run, &["step"]),
        run,
        title: "Malware on a host".into(),
        subject: "host web-07".into(),
        ask: ask.into(),
        covers: vec![],
        by: "identity-leads".into(),
        quorum: 2,
        until: NOW.plus_ms(3_600_000),
        may_decide: vec!["ana".into(), "zoe".into()],
        requester: None,
        author: "cordon".into(),
        rule: None,
        again: 0,
        digest: Digest::of(b"what they saw"),
    }
}

#[tokio::test]
async fn a_request_for_approval_says_what_is_asked_of_whom_until_when_and_how_to_answer() {
    let office = Office::open();
    let run = crate::id::RunId::derive(&["r"]);
    let asked = request(run, "Delete 3 keys of svc-backup? <!channel>");
    let (id, digest) = (asked.approval, asked.digest);
    let decided = Decided {
        granted: false,
        by: vec![],
        why: "nobody answered in time".into(),
    };
    let events = vec![
        step(),
        Event::ApprovalRequested {
            step: "0".parse().unwrap(),
            effect: None,
            request: Box::new(asked),
        },
        Event::ApprovalDecided {
            approval: id,
            decided,
        },
    ];
    office.run("web-07", events).await;
    office.settle(&mut office.follower("one")).await;
    let sent = office.channels.sent();
    assert_eq!(sent.len(), 2);
    let (asked, decided) = match sent[0].subject.starts_with("[APPROVAL]") {
        true => (&sent[0], &sent[1]),
        false => (&sent[1], &sent[0]),
    };
    assert_eq!(
        asked.subject,
        "[APPROVAL] Delete 3 keys of svc-backup? < !channel>"
    );
    assert_eq!(asked.to, "@ana-id", "zoe cannot be reached");
    for part in [
        "2 of `identity-leads` have to agree: ana, zoe",
        &format!("until {}", NOW.plus_ms(3_600_000)),
        &format!("cordon approve {id} --digest {digest}"),
        &format!("POST /api/approvals/{id}/approve"),
        &format!("The request: https://cordon.example.com/api/approvals/{id}"),
        "of `identity-leads`, `zoe` cannot be reached",
    ] {
        assert!(asked.text.contains(part), "no {part:?} in\n{}", asked.text);
    }
    assert!(
        decided.subject.starts_with("[DENIED] Delete 3 keys"),
        "{}",
        decided.subject
    );
    assert!(
        decided.text.contains("nobody answered in time"),
        "{}",
        decided.text
    );
}

#[tokio::test]
async fn requests_in_a_storm_are_each_named_in_its_count() {
    let office = Office::open();
    let mut follower = office.follower("one");
    let mut ids = Vec::new();
    for host in ["a", "b", "c"] {
        let asked = request(crate::id::RunId::derive(&[host]), "Delete it?");
        ids.push(asked.approval);
        let event = Event::ApprovalRequested {
            step: "0".parse().unwrap(),
            effect: None,
            request: Box::new(asked),
        };
        office.run(host, vec![step(), event]).await;
        office.settle(&mut follower).await;
    }
    office.clock.advance_ms(300_000);
    office.settle(&mut follower).await;
    let update = office.channels.sent().pop().unwrap();
    assert!(update.subject.starts_with("2 more in 5m"), "{}", update.subject);
    for id in &ids[1..] {
        assert!(
            update.text.contains(&format!("cordon approve {id}")),
            "{}",
            update.text
        );
    }
}
