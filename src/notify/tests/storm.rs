//! A storm is one message with a count.

use super::office::*;
use crate::notify::plan::GroupBy;
use crate::store::NoticeState;

#[tokio::test]
async fn a_storm_of_a_thousand_is_one_message_and_one_count() {
    let office = Office::open();
    let mut follower = office.follower("one");
    for n in 0..1_000 {
        let host = format!("web-{n}");
        office
            .run(&host, vec![oncall(&format!("{host} is isolated"))])
            .await;
    }
    office.settle(&mut follower).await;
    let sent = office.channels.sent();
    assert_eq!(sent.len(), 1, "the first at once, and no other");
    let views = office.views().await;
    let leader = views.iter().find(|view| view.state == NoticeState::Delivered);
    assert_eq!(leader.unwrap().counts, 999);
    assert_eq!(office.count(NoticeState::Counted).await, 999);

    office.clock.advance_ms(299_999);
    office.settle(&mut follower).await;
    assert_eq!(office.channels.sent().len(), 1, "the window is open");
    office.clock.advance_ms(1);
    office.settle(&mut follower).await;
    let sent = office.channels.sent();
    assert_eq!(sent.len(), 2);
    assert!(
        sent[1].subject.starts_with("999 more in 5m: [HIGH] web-"),
        "{}",
        sent[1].subject
    );
    assert!(sent[1].text.contains("1000 since the first"), "{}", sent[1].text);
    assert!(sent[1].text.contains("and 980 more"), "{}", sent[1].text);
    assert!(sent[1].text.contains("cordon runs --playbook endpoint/malware"));
    assert_eq!(
        sent[1].thread.as_deref(),
        Some("thread-1"),
        "where the first went"
    );
    assert_ne!(sent[0].key, sent[1].key);

    // A window without anything new ends the group; the next one begins afresh.
    office.clock.advance_ms(300_000);
    office.settle(&mut follower).await;
    assert_eq!(office.channels.sent().len(), 2);
    office.run("web-again", vec![oncall("again")]).await;
    office.settle(&mut follower).await;
    assert_eq!(office.channels.sent().len(), 3);
    assert_eq!(office.channels.sent()[2].subject, "[HIGH] again");
}

#[tokio::test]
async fn a_storm_that_goes_on_is_one_update_a_window() {
    let office = Office::open();
    let mut follower = office.follower("one");
    for n in 0..30 {
        office.run(&format!("web-{n}"), vec![oncall("isolated")]).await;
        office.settle(&mut follower).await;
        office.clock.advance_ms(60_000);
    }
    office.clock.advance_ms(600_000);
    office.settle(&mut follower).await;
    let subjects: Vec<String> = office
        .channels
        .sent()
        .into_iter()
        .map(|sent| sent.subject)
        .collect();
    let updates = subjects
        .iter()
        .filter(|subject| subject.contains(" more in 5m"))
        .count();
    assert_eq!((subjects.len(), updates), (7, 6), "{subjects:?}");
    let last = office.channels.sent().pop().unwrap();
    assert!(last.text.contains("30 since the first"), "{}", last.text);
}

#[tokio::test]
async fn what_is_more_severe_or_of_another_kind_is_not_hidden_in_a_count() {
    let office = Office::open();
    let worse = told(
        "notify::oncall",
        vec![serde_json::json!({ "subject": "worse", "severity": "critical" })],
    );
    for (host, event) in [
        ("a", oncall("first")),
        ("b", worse),
        ("c", alarm("contradicted", "it is not so")),
        ("d", alarm("in-doubt", "nobody knows")),
        ("e", oncall("second")),
        ("f", alarm("in-doubt", "nobody knows")),
    ] {
        office.run(host, vec![event]).await;
    }
    office.settle(&mut office.follower("one")).await;
    assert_eq!(office.channels.sent().len(), 4);
    assert_eq!(office.count(NoticeState::Counted).await, 2);
}

#[tokio::test]
async fn subjects_are_kept_apart_where_that_is_wanted_and_no_window_counts_nothing() {
    let mut office = Office::open();
    office.plan.group_by = GroupBy::Subject;
    for host in ["a", "b", "c"] {
        office.run(host, vec![oncall("look")]).await;
    }
    office.settle(&mut office.follower("one")).await;
    assert_eq!(office.channels.sent().len(), 3);

    let mut office = Office::open();
    office.plan.window_ms = 0;
    for host in ["a", "b", "c"] {
        office.run(host, vec![oncall("look")]).await;
    }
    office.settle(&mut office.follower("one")).await;
    assert_eq!(office.channels.sent().len(), 3);
}

#[tokio::test]
async fn a_storm_goes_on_over_a_restart() {
    let office = Office::open();
    let mut first = office.follower("one");
    office.run("a", vec![oncall("look")]).await;
    office.settle(&mut first).await;
    first.stop().await;
    for host in ["b", "c"] {
        office.run(host, vec![oncall("look")]).await;
    }
    let mut second = office.follower("two");
    office.settle(&mut second).await;
    assert_eq!(office.channels.sent().len(), 1, "the window is in the store");
    office.clock.advance_ms(300_000);
    office.settle(&mut second).await;
    let sent = office.channels.sent();
    assert_eq!(sent.len(), 2);
    assert!(sent[1].subject.starts_with("2 more in 5m"), "{}", sent[1].subject);
}
