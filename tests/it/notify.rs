//! A whole node tells people through the connector that ships for Matrix, over HTTP.

use std::collections::BTreeSet;
use std::sync::Arc;

use cordon::notify::Plan;
use cordon::range::{Fault, FaultKind};
use cordon::store::sqlite::{Options, SqliteStore};

use crate::chat::{Homeserver, way};
use crate::estate::{CONTAIN, Estate, Setup, device, range};
use crate::house::House;

/// Ana by chat, then by another homeserver; everything goes to her.
fn plan() -> Plan {
    let mut plan = Plan {
        public_url: Some("https://cordon.example.com".into()),
        default: vec!["person:ana".parse().unwrap()],
        window_ms: 2_000,
        ..Plan::default()
    };
    plan.people.insert(
        "ana".into(),
        vec![way("chat", "!soc:example.org"), way("other", "!ops:example.org")],
    );
    plan
}

fn setup(chat: &Homeserver, other: &Homeserver) -> Setup {
    let mut setup = Setup::new(CONTAIN);
    setup.instances = vec![
        chat.instance("chat", "token-1"),
        other.instance("other", "token-2"),
    ];
    setup.notify = plan();
    setup
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contained_host_is_told_with_what_was_done_and_shown_by_the_api() {
    let dir = tempfile::tempdir().unwrap();
    let (chat, other) = (Homeserver::start().await, Homeserver::start().await);
    let house = House::open(dir.path(), range(&["web-07"]).await, setup(&chat, &other)).await;
    house.estate.finding("f-1", &["web-07"]).await;
    let run = house.estate.settled(1).await[0].id;
    let message = chat.until(1).await.remove(0);
    for part in [
        "[HIGH] Malware found (f-1)",
        "about host web-07 (affected)",
        "What was done",
        "crowdstrike::contain_host on host web-07",
        "results: 1 of 1 went well",
        &format!("to see it: cordon show {run}"),
        &format!("https://cordon.example.com/api/runs/{run}"),
    ] {
        assert!(
            message.text().contains(part),
            "no {part:?} in\n{}",
            message.text()
        );
    }
    assert_eq!(message.room, "!soc:example.org");
    assert!(other.posted().is_empty());
    let listed = house
        .way
        .until("/api/notifications?state=delivered", |body| {
            body["notifications"].as_array().unwrap().len() == 1
        })
        .await;
    let told = &listed["notifications"][0];
    assert_eq!(told["run"], run.to_string());
    assert_eq!(told["to"][0]["by"], "chat to !soc:example.org");
    let tested = house
        .way
        .post("/api/notifications/test", serde_json::json!({}))
        .await;
    assert_eq!(tested.status, 200, "{}", tested.text);
    assert_eq!(
        tested.body["trials"].as_array().unwrap().len(),
        2,
        "every way is tried"
    );
    assert_eq!(other.taken().len(), 1);
    let nobody = serde_json::json!({ "to": ["person:bob"] });
    assert_eq!(
        house.way.post("/api/notifications/test", nobody).await.status,
        404
    );
    assert_eq!(house.way.get("/api/notifications?state=lost").await.status, 400);
    house.stop().await;
    chat.stop();
    other.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_is_one_message_and_one_count_and_contains_every_host_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..40).map(|n| format!("web-{n}")).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let (chat, other) = (Homeserver::start().await, Homeserver::start().await);
    // The chat is slow to take anything at first: containment does not wait for it.
    chat.answers([(429, Some(1))]);
    let store = Arc::new(SqliteStore::open(dir.path().join("cordon.db"), Options::default()).unwrap());
    let mut setup = setup(&chat, &other);
    setup.notify.window_ms = 6_000;
    let estate = Estate::with(store, range(&hosts).await, setup).await;
    for host in &hosts {
        estate.finding(&format!("f-{host}"), &[host]).await;
    }
    let runs = estate.settled(hosts.len()).await;
    assert_eq!(runs.len(), 40);
    let told = chat.until(2).await;
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[1].text().starts_with("39 more in 6s"), "{}", told[1].text());
    assert!(told[1].text().contains("40 since the first"));
    let first: Vec<_> = chat.posted().into_iter().take(2).collect();
    assert_eq!((first[0].status, first[1].status), (429, 200));
    assert_eq!(
        first[0].transaction, first[1].transaction,
        "the same key on a repeat"
    );
    let parent = &told[1].body["m.relates_to"];
    assert_eq!(
        (parent["rel_type"].as_str(), parent["event_id"].as_str()),
        (Some("m.thread"), Some("$event-1"))
    );
    assert!(other.posted().is_empty());
    estate.stop().await.stop().await;
    chat.stop();
    other.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_refuses_is_passed_by_and_alarms_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let (chat, other) = (Homeserver::start().await, Homeserver::start().await);
    chat.answers((0..50).map(|_| (403, None)));
    let house = House::open(dir.path(), range(&["web-08"]).await, setup(&chat, &other)).await;
    let lie = Fault::on_action("contain", FaultKind::Lie).target(device("web-08"));
    house.estate.range.fault(lie).unwrap();
    house.estate.finding("lie", &["web-08"]).await;
    house.estate.settled(1).await;
    // What the playbook says, the alarm, and the end of the run.
    let told = other.until(3).await;
    let texts: Vec<&str> = told.iter().map(|one| one.text()).collect();
    assert!(
        texts
            .iter()
            .any(|text| text.starts_with("[ALARM]") && text.contains("contradicted")),
        "{texts:?}"
    );
    assert!(
        texts
            .iter()
            .any(|text| text.contains("CONTRADICTED, it reads otherwise")),
        "{texts:?}"
    );
    assert!(texts.iter().any(|text| text.starts_with("[KEPT]")), "{texts:?}");
    let keys: BTreeSet<&str> = told.iter().map(|one| one.transaction.as_str()).collect();
    assert_eq!(keys.len(), 3);
    house
        .way
        .until("/api/notifications?state=detoured", |body| {
            body["notifications"].as_array().unwrap().len() == 3
        })
        .await;
    assert_eq!(house.way.metric("cordon_notify_lag_seconds").await, 0);
    assert_eq!(
        house.way.metric("cordon_notifications{state=\"detoured\"}").await,
        3
    );
    house.stop().await;
    chat.stop();
    other.stop();
}
