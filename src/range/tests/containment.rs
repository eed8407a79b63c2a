//! The vendor as it behaves when nothing is wrong.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};

use super::caller::{CONTAIN, Caller, DEVICES, LIFT, answer, estate, start};
use crate::clock::{SetClock, Time};
use crate::range::{HostChange, Range, RangeConfig, RangeError, Settle, Status, serve};

#[tokio::test]
async fn a_host_walks_into_containment_and_back() {
    let (range, caller) = start(estate()).await;

    let accepted = caller.contain("aid-3").await.unwrap();
    assert_eq!(accepted.status, 202);
    assert_eq!(accepted.body["resources"][0]["id"], "aid-3");
    assert_eq!(accepted.body["errors"], json!([]));
    assert!(accepted.body["meta"]["trace_id"].is_string());
    assert_eq!(range.host("aid-3").unwrap().status, Status::ContainmentPending);

    assert_eq!(caller.status("aid-3").await, "contained");
    assert_eq!(caller.lift("aid-3").await.unwrap().status, 202);
    assert_eq!(
        range.host("aid-3").unwrap().status,
        Status::LiftContainmentPending
    );
    assert_eq!(caller.status("aid-3").await, "normal");

    let ledger = range.ledger();
    let walk = [
        "containment_pending",
        "contained",
        "lift_containment_pending",
        "normal",
    ];
    assert_eq!(ledger.walk("DB-01"), walk);
    assert_eq!(ledger.applied("contain", "DB-01"), 1);
    assert_eq!(ledger.applied("contain", "WEB-01"), 0);
    assert_eq!(ledger.applied_anywhere("contain"), 1);
    assert!(
        ledger.lines().iter().all(|line| line.action != "read"),
        "reads were not asked for"
    );
}

#[tokio::test]
async fn details_and_search_have_the_vendors_shape() {
    let (_range, caller) = start(estate()).await;
    let details = caller
        .post(DEVICES, json!({ "ids": ["aid-1", "aid-nobody"] }))
        .await
        .unwrap();
    assert_eq!(details.status, 200);
    let keys: Vec<&String> = details.body["resources"][0].as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "device_id",
            "hostname",
            "last_seen",
            "local_ip",
            "platform_name",
            "status",
            "tags"
        ]
    );
    assert_eq!(details.body["errors"][0]["code"], 404);
    assert_eq!(details.headers["x-ratelimit-limit"], "6000");

    let by_get = caller.get("/devices/entities/devices/v2?ids=aid-1").await;
    assert_eq!(by_get.body["resources"], details.body["resources"]);
    let page = caller.get("/devices/queries/devices/v1?limit=2&offset=1").await;
    assert_eq!(page.body["resources"], json!(["aid-2", "aid-3"]));
    assert_eq!(
        page.body["meta"]["pagination"],
        json!({ "offset": 1, "limit": 2, "total": 4 })
    );
}

#[tokio::test]
async fn an_ambiguous_name_answers_two_ids() {
    let (_range, caller) = start(estate()).await;
    let ids = |answer: super::caller::Answer| answer.body["resources"].clone();
    assert_eq!(
        ids(caller.find("hostname:'Web-01'").await),
        json!(["aid-1", "aid-2"])
    );
    assert_eq!(ids(caller.find("hostname:'db-01'").await), json!(["aid-3"]));
    assert_eq!(ids(caller.find("device_id:'aid-2'").await), json!(["aid-2"]));
    assert_eq!(ids(caller.find("hostname:'WEB'").await), json!([]));
}

#[tokio::test]
async fn a_filter_that_was_not_escaped_or_is_not_understood_is_refused() {
    let (_range, caller) = start(estate()).await;
    for filter in [
        "hostname:'a'+hostname:'b'",
        "hostname:'a",
        "hostname:a",
        "hostname",
        "hostname:'a'b'",
        "os:'x'",
    ] {
        let answer = caller.find(filter).await;
        assert_eq!(answer.status, 400, "{filter}");
        assert_eq!(answer.body["resources"], json!([]), "{filter}");
    }
}

#[tokio::test]
async fn an_offline_host_stays_pending_until_it_is_seen_again() {
    let (range, caller) = start(estate()).await;
    caller.contain("aid-4").await.unwrap();
    for _ in 0..3 {
        assert_eq!(caller.status("aid-4").await, "containment_pending");
    }
    range
        .set_host(HostChange::of("aid-4").online(true))
        .await
        .unwrap();
    assert_eq!(caller.status("aid-4").await, "contained");
    assert_eq!(range.ledger().applied("settle", "LAPTOP-7"), 1);
}

#[tokio::test]
async fn a_sensor_may_take_some_readings_to_confirm() {
    let (_range, caller) = start(RangeConfig {
        settle: Settle::AfterReads(2),
        ..estate()
    })
    .await;
    caller.contain("aid-3").await.unwrap();
    assert_eq!(caller.status("aid-3").await, "containment_pending");
    assert_eq!(caller.status("aid-3").await, "containment_pending");
    assert_eq!(caller.status("aid-3").await, "contained");
}

#[tokio::test]
async fn a_sensor_may_take_some_time_to_confirm() {
    let clock = Arc::new(SetClock::at(Time(1_000_000)));
    let config = RangeConfig {
        settle: Settle::AfterMs(5_000),
        clock: clock.clone(),
        ..estate()
    };
    let (_range, caller) = start(config).await;
    caller.contain("aid-3").await.unwrap();
    clock.advance_ms(4_999);
    assert_eq!(caller.status("aid-3").await, "containment_pending");
    clock.advance_ms(1);
    assert_eq!(caller.status("aid-3").await, "contained");
}

#[tokio::test]
async fn a_repeat_changes_nothing_and_is_seen_all_the_same() {
    let (range, caller) = start(estate()).await;
    caller.contain("aid-3").await.unwrap();
    assert_eq!(caller.status("aid-3").await, "contained");
    assert_eq!(caller.contain("aid-3").await.unwrap().status, 202);
    assert_eq!(range.host("aid-3").unwrap().status, Status::Contained);
    let ledger = range.ledger();
    assert_eq!(
        (
            ledger.applied("contain", "aid-3"),
            ledger.changed("contain", "aid-3")
        ),
        (2, 1)
    );

    assert_eq!(caller.lift("aid-1").await.unwrap().status, 202);
    assert_eq!(range.host("aid-1").unwrap().status, Status::Normal);
    assert_eq!(range.ledger().changed("lift_containment", "aid-1"), 0);
}

#[tokio::test]
async fn a_call_on_several_hosts_answers_for_each() {
    let (range, caller) = start(estate()).await;
    let ids = json!({ "ids": ["aid-1", "aid-nobody", "aid-3", "aid-1"] });
    let answer = caller.post(CONTAIN, ids).await.unwrap();
    assert_eq!(answer.status, 202);
    assert_eq!(answer.body["resources"].as_array().unwrap().len(), 2);
    assert_eq!(answer.body["errors"][0]["code"], 404);
    let ledger = range.ledger();
    let lines: Vec<_> = ledger
        .lines()
        .iter()
        .filter(|line| line.action == "contain")
        .collect();
    assert_eq!(lines.len(), 3);
    assert!(
        lines
            .iter()
            .all(|line| line.request == lines[0].request && line.status == Some(202))
    );
    assert_eq!(ledger.applied("contain", "aid-nobody"), 0);
    assert_eq!(ledger.asked("contain", "aid-nobody"), 1);
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused_and_kept() {
    let (range, caller) = start(estate()).await;
    let many: Vec<String> = (0..101).map(|n| format!("aid-{n}")).collect();
    let refused = [
        (CONTAIN, json!({ "ids": [] }), 400),
        (CONTAIN, json!({ "ids": many }), 400),
        (CONTAIN, json!({ "ids": "aid-1" }), 400),
        (CONTAIN, json!({ "ids": [1] }), 400),
        (LIFT, json!([]), 400),
        (
            "/devices/entities/devices-actions/v2?action_name=wipe",
            json!({ "ids": ["aid-1"] }),
            400,
        ),
        (
            "/devices/entities/devices-actions/v2",
            json!({ "ids": ["aid-1"] }),
            400,
        ),
        ("/devices/queries/devices/v1", json!({}), 405),
        ("/nowhere", json!({}), 404),
    ];
    for (path, body, status) in refused {
        let before = range.ledger().lines().len();
        let answer = caller.post(path, body.clone()).await.unwrap();
        assert_eq!(answer.status, status, "{path} {body}");
        assert_eq!(answer.body["errors"][0]["code"], status, "{path} {body}");
        let ledger = range.ledger();
        assert!(ledger.lines().len() > before, "{path} {body}");
        assert!(
            ledger.lines()[before..].iter().all(|line| !line.applied),
            "{path} {body}"
        );
    }
    assert!(range.hosts().iter().all(|host| host.status == Status::Normal));
}

#[tokio::test]
async fn wrong_credentials_get_no_token() {
    let (range, caller) = start(estate()).await;
    for (id, secret) in [("range-client", "wrong"), ("wrong", "range-secret"), ("", "")] {
        let answer = caller.token(id, secret).await;
        assert_eq!(answer.status, 401, "{id}");
        assert_eq!(answer.body["errors"][0]["code"], 401);
        assert_eq!(answer.body["access_token"], Value::Null);
    }
    let empty = answer(caller.request(Method::POST, "/oauth2/token"))
        .await
        .unwrap();
    assert_eq!(empty.status, 400);
    let text = serde_json::to_string(range.ledger().lines()).unwrap();
    assert!(text.contains("\"token\"") && !text.contains("range-secret") && !text.contains("wrong"));
}

#[tokio::test]
async fn nothing_is_done_without_a_token_that_holds() {
    let clock = Arc::new(SetClock::at(Time(1_000_000)));
    let config = RangeConfig {
        token_ms: 60_000,
        clock: clock.clone(),
        ..estate()
    };
    let (range, mut caller) = start(config).await;
    let good = caller.token.clone();

    let forged = good.replacen("1060000", "9060000", 1);
    assert_ne!(forged, good);
    for token in ["", "x", "0.9999999999999.1.00", forged.as_str()] {
        caller.token = token.to_owned();
        assert_eq!(caller.contain("aid-3").await.unwrap().status, 401, "{token}");
        assert_eq!(caller.find("hostname:'DB-01'").await.status, 401, "{token}");
    }
    caller.token = good;
    assert_eq!(caller.contain("aid-3").await.unwrap().status, 202);
    clock.advance_ms(60_000);
    assert_eq!(caller.lift("aid-3").await.unwrap().status, 401);
    caller.log_in().await;
    range.expire_tokens().await.unwrap();
    assert_eq!(caller.lift("aid-3").await.unwrap().status, 401);
    caller.log_in().await;
    assert_eq!(caller.lift("aid-3").await.unwrap().status, 202);

    let ledger = range.ledger();
    assert_eq!(
        (
            ledger.asked("contain", "aid-3"),
            ledger.applied("contain", "aid-3")
        ),
        (5, 1)
    );
    assert_eq!(
        (
            ledger.asked("lift_containment", "aid-3"),
            ledger.applied("lift_containment", "aid-3")
        ),
        (3, 1)
    );
}

#[tokio::test]
async fn the_ledger_keeps_what_identifies_a_request_and_no_body() {
    let (range, caller) = start(RangeConfig {
        log_reads: true,
        ..estate()
    })
    .await;
    let request = caller
        .request(Method::POST, CONTAIN)
        .json(&json!({ "ids": ["aid-3"] }));
    answer(
        request
            .header("Idempotency-Key", "k-1")
            .header("X-Request-Id", "r-1"),
    )
    .await
    .unwrap();
    caller.status("aid-3").await;

    let ledger = range.ledger();
    let line = ledger.about("contain", "db-01").next().unwrap();
    assert_eq!(line.method, "POST");
    assert_eq!(line.path, "/devices/entities/devices-actions/v2");
    assert_eq!(line.query, "action_name=contain");
    assert_eq!(
        (line.idempotency_key.as_deref(), line.request_id.as_deref()),
        (Some("k-1"), Some("r-1"))
    );
    assert_eq!(line.body_digest.as_ref().unwrap().len(), 64);
    assert_eq!(
        (line.state_before.as_deref(), line.state_after.as_deref()),
        (Some("normal"), Some("containment_pending"))
    );
    assert_eq!(ledger.asked("read", "aid-3"), 1, "reads were asked for");
    let numbers: Vec<u64> = ledger.lines().iter().map(|line| line.n).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_range_is_steered_over_http() {
    let (range, caller) = start(estate()).await;
    let added = caller
        .post(
            "/_range/hosts",
            json!({ "device_id": "aid-9", "hostname": "NEW" }),
        )
        .await
        .unwrap();
    assert_eq!((added.status, &added.body["status"]), (200, &json!("normal")));
    let altered = json!({ "device_id": "aid-9", "status": "contained", "online": false });
    assert_eq!(
        caller.post("/_range/hosts", altered).await.unwrap().body["online"],
        false
    );
    assert_eq!(caller.status("aid-9").await, "contained");

    let fault = json!({ "match": { "action": "contain" }, "kind": { "fail": { "status": 503 } } });
    assert_eq!(
        caller.post("/_range/faults", fault.clone()).await.unwrap().status,
        200
    );
    let state = caller.get("/_range/state").await.body;
    assert_eq!(state["hosts"].as_array().unwrap().len(), 5);
    assert_eq!(state["faults"][0]["kind"]["fail"]["status"], 503);
    let kept = caller.get("/_range/ledger").await.body;
    assert_eq!(kept, serde_json::to_value(range.ledger().lines()).unwrap());

    for (path, wrong) in [
        ("/_range/hosts", json!({ "device_id": "aid-10" })),
        (
            "/_range/hosts",
            json!({ "device_id": "aid-9", "statsu": "normal" }),
        ),
        ("/_range/faults", json!({ "kind": "explode" })),
        ("/_range/faults", json!({ "kind": "lie", "times": 0 })),
    ] {
        let answer = caller.post(path, wrong.clone()).await.unwrap();
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(answer.body["error"].is_string(), "{wrong}");
    }

    assert_eq!(
        caller
            .post("/_range/tokens/expire", json!({}))
            .await
            .unwrap()
            .status,
        200
    );
    assert_eq!(caller.contain("aid-1").await.unwrap().status, 401);
    assert_eq!(caller.post("/_range/reset", json!({})).await.unwrap().status, 200);
    assert_eq!(range.hosts(), estate().seed);
    assert_eq!(range.faults(), []);
    assert_eq!(range.ledger().asked("contain", "aid-1"), 0);
}

#[tokio::test]
async fn ranges_share_nothing() {
    let (one, caller) = start(estate()).await;
    let (other, _) = start(estate()).await;
    caller.contain("aid-3").await.unwrap();
    assert_eq!(one.ledger().applied("contain", "aid-3"), 1);
    assert_eq!(other.ledger().applied("contain", "aid-3"), 0);
    assert_ne!(one.address(), other.address());
}

#[tokio::test]
async fn a_range_listens_on_loopback_only() {
    let config = RangeConfig {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..estate()
    };
    let error = Range::start(config).await.err().unwrap();
    assert!(matches!(error, RangeError::NotLoopback(_)), "{error}");
}

#[tokio::test]
async fn serving_ends_with_its_shutdown() {
    // A port that was free a moment ago; the test fails loudly where it is taken in between.
    let listen = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(serve(RangeConfig { listen, ..estate() }, async {
        drop(stopped.await)
    }));
    let client = Caller::new(&format!("http://{listen}"));
    let answered = loop {
        if let Ok(found) = answer(client.request(Method::GET, "/_range/state")).await {
            break found.status;
        }
        assert!(!task.is_finished(), "serving ended before it began");
        tokio::task::yield_now().await;
    };
    assert_eq!(answered, 200);
    stop.send(()).unwrap();
    task.await.unwrap().unwrap();
    assert!(
        answer(client.request(Method::GET, "/_range/state"))
            .await
            .is_err()
    );
}
