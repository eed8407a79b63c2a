//! What is contained, by whom, and until when, held against the vendor's own account of what was asked of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cordon::clock::{Clock, SystemClock};
use cordon::range::{Host, Range, RangeConfig, Status};
use serde_json::{Value, json};

use crate::estate::{CONTAIN, Setup, device, finding, range};
use crate::house::{House, Way, act};

async fn isolated(way: &Way, host: &str, options: Value) -> String {
    let started = way
        .post("/api/act", act("endpoint::isolate", host, options))
        .await;
    assert_eq!(started.status, 200, "{}", started.text);
    let run = started.body["run"].as_str().unwrap().to_owned();
    assert_eq!(way.over(&run).await["end"], "succeeded");
    run
}

async fn holders(way: &Way) -> usize {
    let contained = way.get("/api/contained").await.body["contained"].clone();
    contained
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["holders"].as_array().unwrap().len())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_two_runs_hold_is_released_once_by_the_end_of_the_later_lease() {
    let dir = tempfile::tempdir().unwrap();
    let script = r#"each(finding.all("host"), |host| endpoint::isolate(host, #{ lease: "8s" }));"#;
    let house = House::open(dir.path(), range(&["web-07"]).await, Setup::new(script)).await;
    let way = &house.way;
    way.signed("msg_1", finding("f-1", &["web-07"]).to_string().as_bytes())
        .await
        .alert();
    assert_eq!(way.all_over(1).await[0]["end"], "succeeded");
    isolated(way, "web-07", json!({ "lease": "2s" })).await;
    assert_eq!(holders(way).await, 2);
    let listed = way.get("/api/contained").await.body["contained"][0].clone();
    let later = listed["until"].as_i64().unwrap();
    let ends: Vec<i64> = listed["holders"]
        .as_array()
        .unwrap()
        .iter()
        .map(|held| held["until"].as_i64().unwrap())
        .collect();
    assert!(
        ends.contains(&later) && ends.iter().min().unwrap() + 3_000 < later,
        "{listed}"
    );

    // The shorter lease is over: one holder less, and nothing changed at the vendor.
    way.until("/api/contained", |body| {
        body["contained"][0]["holders"]
            .as_array()
            .is_some_and(|all| all.len() == 1)
    })
    .await;
    assert_eq!(
        house.estate.range.host("web-07").unwrap().status,
        Status::Contained
    );
    assert_eq!(house.estate.range.ledger().asked("lift_containment", "web-07"), 0);

    way.until("/api/contained", |body| {
        body["contained"].as_array().unwrap().is_empty()
    })
    .await;
    way.all_over(4).await;
    let ledger = house.estate.range.ledger();
    let lifts: Vec<_> = ledger.about("lift_containment", "web-07").collect();
    assert_eq!(lifts.len(), 1, "{lifts:?}");
    assert!(
        lifts[0].applied && lifts[0].at_ms >= later,
        "{} {later}",
        lifts[0].at_ms
    );
    assert_eq!(house.estate.range.host("web-07").unwrap().status, Status::Normal);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_contained_before_stays_so_after_undo() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::new(device("web-07"), "web-07");
    host.status = Status::Contained;
    let config = RangeConfig {
        seed: vec![host],
        ..RangeConfig::default()
    };
    let house = House::open(
        dir.path(),
        Range::start(config).await.unwrap(),
        Setup::new(CONTAIN),
    )
    .await;
    let way = &house.way;
    way.signed("msg_1", finding("f-1", &["web-07"]).to_string().as_bytes())
        .await
        .alert();
    let run = way.all_over(1).await[0].clone();
    assert_eq!(run["end"], "succeeded");
    assert_eq!(
        way.get("/api/contained").await.body["contained"][0]["restores"],
        false
    );
    let path = format!("/api/runs/{}/undo", run["id"].as_str().unwrap());
    let undo = way.post(&path, json!({ "reason": "a test" })).await;
    assert_eq!(undo.status, 200, "{}", undo.text);
    let over = way.over(undo.body["run"].as_str().unwrap()).await;
    assert_eq!(over["end"], "succeeded", "{over}");
    assert_eq!(
        house.estate.range.host("web-07").unwrap().status,
        Status::Contained
    );
    assert_eq!(house.estate.range.ledger().asked("lift_containment", "web-07"), 0);
    assert_eq!(holders(way).await, 0);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_ends_every_hold_and_restores_once() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(dir.path(), range(&["web-07"]).await, Setup::new(CONTAIN)).await;
    let way = &house.way;
    isolated(way, "web-07", json!({})).await;
    isolated(way, "WEB-07", json!({ "lease": "4h" })).await;
    assert_eq!(holders(way).await, 2);
    let released = way
        .post("/api/release", json!({ "entity": "web-07", "reason": "a test" }))
        .await;
    assert_eq!(released.status, 200, "{}", released.text);
    let run = released.body["run"].as_str().unwrap();
    assert_eq!(way.over(run).await["end"], "succeeded");
    assert_eq!(holders(way).await, 0);
    let ledger = house.estate.range.ledger();
    assert_eq!(ledger.asked("lift_containment", "web-07"), 1);
    assert_eq!(house.estate.range.host("web-07").unwrap().status, Status::Normal);
    let nothing = way
        .post("/api/release", json!({ "entity": "web-07", "reason": "again" }))
        .await;
    assert_eq!(nothing.status, 404, "{}", nothing.text);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_host_is_protected_under_every_name() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(dir.path(), range(&["dc-01", "web-07"]).await, Setup::new(CONTAIN)).await;
    let way = &house.way;
    let by_uid = json!({ "type": "host", "role": "affected", "name": "printer-3", "ids": { "crowdstrike": device("dc-01") } });
    let both = json!({ "type": "host", "role": "affected", "name": "web-07", "uid": "dc-01" });
    let upper = json!({ "type": "host", "role": "affected", "name": "DC-01" });
    for (n, entity) in [by_uid, both, upper].into_iter().enumerate() {
        let mut alert = finding(&format!("f-{n}"), &[]);
        alert["entities"] = json!([entity]);
        way.signed(&format!("msg_{n}"), alert.to_string().as_bytes())
            .await
            .alert();
        let runs = way.all_over(n + 1).await;
        assert_eq!(runs[0]["end"], "kept", "{runs:?}");
        let whole = way
            .get(&format!("/api/runs/{}", runs[0]["id"].as_str().unwrap()))
            .await
            .text;
        assert!(whole.contains("protected: domain controllers"), "{whole}");
    }
    assert_eq!(house.estate.range.ledger().applied_anywhere("contain"), 0);
    for host in ["dc-01", "web-07"] {
        assert_eq!(house.estate.range.ledger().asked("contain", host), 0);
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn halt_stops_every_change_while_alerts_pour_in_and_resume_lets_all_go_on() {
    const HOSTS: usize = 60;
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..HOSTS).map(|n| format!("web-{n:02}")).collect();
    let list: Vec<&str> = names.iter().map(String::as_str).collect();
    let house = House::open(dir.path(), range(&list).await, Setup::new(CONTAIN)).await;
    let way = house.way.clone();
    let first = isolated(&way, "web-00", json!({})).await;

    let pouring = Arc::new(AtomicBool::new(true));
    let sender = tokio::spawn({
        let (way, pouring, names) = (way.clone(), pouring.clone(), names.clone());
        async move {
            let mut sent = 0;
            // Many a second, before, while and after all is halted.
            for name in names.iter().skip(1) {
                if !pouring.load(Ordering::Relaxed) {
                    break;
                }
                let body = finding(name, &[name]).to_string();
                way.signed(&format!("msg_{name}"), body.as_bytes()).await.alert();
                sent += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            sent
        }
    });
    // In the midst of it.
    while house.estate.range.ledger().applied_anywhere("contain") < 5 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let halted = way.post("/api/halt", json!({ "reason": "a test" })).await;
    let acknowledged = SystemClock.now().0;
    assert_eq!(halted.status, 200, "{}", halted.text);
    let undo = way
        .post(&format!("/api/runs/{first}/undo"), json!({ "reason": "a test" }))
        .await;
    assert_eq!(undo.status, 200, "{}", undo.text);
    let undo = undo.body["run"].as_str().unwrap().to_owned();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    pouring.store(false, Ordering::Relaxed);
    let sent = sender.await.unwrap();
    let changes = |after: i64| {
        let ledger = house.estate.range.ledger();
        let changing = |line: &&cordon::range::LedgerLine| {
            ["contain", "lift_containment"].contains(&line.action.as_str()) && line.at_ms > after
        };
        ledger
            .lines()
            .iter()
            .filter(changing)
            .cloned()
            .collect::<Vec<_>>()
    };
    let late = changes(acknowledged);
    assert!(
        late.is_empty(),
        "{} ms after: {late:?}",
        late[0].at_ms - acknowledged
    );
    let before = house.estate.range.ledger().applied_anywhere("contain");
    assert!(
        before < sent,
        "{before} of {sent} went through before it was halted"
    );
    let waiting = way.get(&format!("/api/runs/{undo}")).await.body["run"].clone();
    assert_eq!(waiting["status"], "open", "the undo waits too: {waiting}");
    assert_eq!(
        house.estate.range.host("web-00").unwrap().status,
        Status::Contained
    );
    // Alerts are kept and read all the same.
    way.until("/api/alerts?disposition=pending", |body| {
        body["alerts"].as_array().unwrap().is_empty()
    })
    .await;

    assert_eq!(
        way.post("/api/resume", json!({ "reason": "a test" }))
            .await
            .status,
        200
    );
    assert_eq!(way.over(&undo).await["end"], "succeeded");
    let runs = way.all_over(2 + sent).await;
    assert!(runs.iter().all(|run| run["end"] == "succeeded"), "{runs:?}");
    let ledger = house.estate.range.ledger();
    for name in names.iter().take(sent + 1) {
        assert_eq!(ledger.asked("contain", name), 1, "{name}");
    }
    assert_eq!(ledger.asked("lift_containment", "web-00"), 1);
    assert_eq!(house.estate.range.host("web-00").unwrap().status, Status::Normal);
    drop(way);
    house.stop().await;
}
