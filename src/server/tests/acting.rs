//! Runs by hand, containment, undo and release, with a worker that does them.

use serde_json::{Value, json};

use super::estate::ISOLATE;
use super::house::{Answer, House, finding};
use crate::action::{Reading, Target, Undo};
use crate::finding::{EntityType, Finding};
use crate::id::{EffectId, RunId};
use crate::store::{NewHold, Targets};

async fn isolate(house: &House, name: &str, options: Value) -> Answer {
    let target = json!({ "type": "host", "name": name });
    let asked = json!({ "action": ISOLATE, "target": target, "options": options, "reason": "INC-1" });
    house.post("/api/act", asked).await
}

async fn holds(house: &House) -> Vec<Value> {
    house.get("/api/contained").await.body["contained"]
        .as_array()
        .unwrap()
        .clone()
}

#[tokio::test]
async fn a_host_is_isolated_shown_and_released_by_its_name() {
    let house = House::open().await;
    let acted = isolate(&house, "web-07.corp.example", json!({ "lease": "4h" })).await;
    let run = house.settled(&acted).await;
    assert_eq!(run["run"]["end"], "succeeded", "{run:#}");
    assert_eq!(run["run"]["cause"], "admin: INC-1");
    assert_eq!(house.estate.state("id-of-web-07.corp.example"), "contained");

    let held = holds(&house).await;
    assert_eq!(held.len(), 1);
    assert_eq!(
        (&held[0]["verified"], &held[0]["overdue"]),
        (&json!("yes"), &json!(false))
    );
    assert_eq!(held[0]["holders"][0]["run"], acted.body["run"]);
    let left = held[0]["holders"][0]["left_ms"].as_u64().unwrap();
    assert!((1..=14_400_000).contains(&left), "{left}");

    assert_eq!(
        house
            .post("/api/release", json!({ "entity": "db-1", "reason": "x" }))
            .await
            .status,
        404
    );
    assert_eq!(
        house
            .post("/api/release", json!({ "entity": "web-07", "reason": "" }))
            .await
            .status,
        400
    );
    let released = house
        .post(
            "/api/release",
            json!({ "entity": "WEB-07", "reason": "false alarm" }),
        )
        .await;
    let run = house.settled(&released).await;
    assert_eq!(run["run"]["end"], "succeeded", "{run:#}");
    assert!(
        run["run"]["cause"]
            .as_str()
            .unwrap()
            .contains("by admin: false alarm")
    );
    assert_eq!(house.estate.state("id-of-web-07.corp.example"), "normal");
    assert!(holds(&house).await.is_empty());
}

#[tokio::test]
async fn a_name_of_two_held_targets_releases_neither() {
    let house = House::open().await;
    for (id, name) in [("a1", "web-07.corp.example"), ("b2", "web-07.lab.example")] {
        let target = Target {
            instance: "crowdstrike".into(),
            kind: EntityType::Host,
            id: id.into(),
            name: name.into(),
            aliases: vec![],
        };
        let hold = NewHold {
            facet: "network".into(),
            effect: EffectId::derive(&[id]),
            run: RunId::derive(&[id]),
            at: house.now(),
            until: Some(house.now()),
            prior: Reading {
                state: "normal".into(),
                fields: Value::Null,
            },
            undo: Some(Undo {
                action: ISOLATE.parse().unwrap(),
                args: Default::default(),
            }),
            target: target.clone(),
        };
        house
            .store
            .inner
            .hold_take(target.partition(), crate::clock::Time(i64::MAX), hold)
            .await
            .unwrap();
    }
    let refused = house
        .post("/api/release", json!({ "entity": "web-07", "reason": "x" }))
        .await;
    assert_eq!((refused.status, refused.code()), (409, "ambiguous-target"));
    for key in ["crowdstrike/host/a1", "crowdstrike/host/b2"] {
        assert!(refused.text.contains(key), "{}", refused.text);
    }
    assert_eq!(holds(&house).await.len(), 2);
    assert!(holds(&house).await.iter().all(|hold| hold["overdue"] == true));
    let one = house
        .post(
            "/api/release",
            json!({ "entity": "crowdstrike/host/b2", "reason": "x" }),
        )
        .await;
    assert_eq!(one.status, 200, "{}", one.text);
}

#[tokio::test]
async fn a_run_and_an_effect_are_undone_with_a_reason() {
    let house = House::open().await;
    for by_effect in [false, true] {
        let acted = isolate(&house, "db-1", json!({})).await;
        house.settled(&acted).await;
        assert_eq!(house.estate.state("id-of-db-1"), "contained");
        let run = acted.body["run"].as_str().unwrap();
        let effect = holds(&house).await[0]["holders"][0]["effect"]
            .as_str()
            .unwrap()
            .to_owned();
        let path = if by_effect {
            format!("/api/effects/{effect}/undo")
        } else {
            format!("/api/runs/{run}/undo")
        };
        assert_eq!(house.post(&path, json!({ "reason": " " })).await.status, 400);
        let undone = house.post(&path, json!({ "reason": "over" })).await;
        assert_eq!(house.settled(&undone).await["run"]["end"], "succeeded");
        assert_eq!(house.estate.state("id-of-db-1"), "normal");
    }
    let (run, effect) = (RunId::derive(&["none"]), EffectId::derive(&["none"]));
    assert_eq!(
        house
            .post(&format!("/api/runs/{run}/undo"), json!({ "reason": "x" }))
            .await
            .status,
        404
    );
    assert_eq!(
        house
            .post(&format!("/api/effects/{effect}/undo"), json!({ "reason": "x" }))
            .await
            .status,
        404
    );
    let named = json!({ "reason": "x", "run": run });
    assert_eq!(
        house
            .post(&format!("/api/effects/{effect}/undo"), named)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_run_that_changed_nothing_has_nothing_to_undo() {
    let house = House::open().await;
    let started = house
        .post("/api/runs", json!({ "playbook": "watch", "reason": "to see" }))
        .await;
    house.settled(&started).await;
    let run = started.body["run"].as_str().unwrap();
    let undone = house
        .post(&format!("/api/runs/{run}/undo"), json!({ "reason": "x" }))
        .await;
    assert_eq!((undone.status, undone.code()), (409, "nothing-to-do"));
}

#[tokio::test]
async fn an_action_that_cannot_be_meant_is_refused_before_a_run_begins() {
    let house = House::open().await;
    let host = json!({ "type": "host", "name": "web-07" });
    for asked in [
        json!({ "action": ISOLATE, "target": host, "reason": "" }),
        json!({ "action": ISOLATE, "target": host, "reason": "  \n" }),
        json!({ "action": ISOLATE, "target": host }),
        json!({ "action": "isolate", "target": host, "reason": "x" }),
        json!({ "action": ISOLATE, "target": { "type": "host", "name": "n/a" }, "reason": "x" }),
        json!({ "action": ISOLATE, "target": { "type": "planet", "name": "x" }, "reason": "x" }),
        json!({ "action": ISOLATE, "target": host, "reason": "x", "opt": {} }),
        json!({ "action": ISOLATE, "target": host, "reason": "x".repeat(2_000) }),
    ] {
        let refused = house.post("/api/act", asked.clone()).await;
        assert_eq!((refused.status, refused.code()), (400, "bad-request"), "{asked}");
    }
    assert_eq!(house.get("/api/runs").await.body["runs"], json!([]));
}

#[tokio::test]
async fn a_playbook_is_started_about_a_finding_an_alert_or_inputs() {
    let house = House::open().await;
    let low = house.alert("f-1", "Low").await;
    let second = json!([finding("f-2", "Low"), finding("f-3", "Low")]).to_string();
    let two = house.hook(second).await.body["alert"]
        .as_str()
        .unwrap()
        .to_owned();
    let start = |body: Value| {
        let mut asked = json!({ "playbook": "watch", "reason": "INC-1" });
        asked
            .as_object_mut()
            .unwrap()
            .extend(body.as_object().unwrap().clone());
        house.post("/api/runs", asked)
    };
    let raw = finding("f-9", "High").to_string();
    let found: Finding = crate::intake::builtin_findings("siem", raw.as_bytes(), house.now())
        .unwrap()
        .remove(0);
    for body in [
        json!({ "finding": found }),
        json!({ "alert": low }),
        json!({ "alert": two, "index": 1 }),
        json!({ "inputs": { "x": 1 } }),
        json!({ "finding": found, "inputs": { "x": 1 } }),
        json!({}),
    ] {
        let run = house.settled(&start(body.clone()).await).await;
        assert_eq!(
            (&run["run"]["end"], &run["run"]["cause"]),
            (&json!("succeeded"), &json!("admin: INC-1")),
            "{body}"
        );
        let header = &run["events"][0]["event"]["run_started"];
        let title = &header["inputs"]["finding"]["title"];
        match body.get("index") {
            Some(_) => assert_eq!(title, "Ransomware f-3"),
            None if body.get("alert").is_some() => {
                assert_eq!(
                    (title, &header["weak_source"]),
                    (&json!("Ransomware f-1"), &json!(true))
                );
            }
            None => assert_eq!(title.is_null(), body.get("finding").is_none()),
        }
    }
    for (body, status) in [
        (json!({ "alert": two }), 400),
        (json!({ "alert": two, "index": 2 }), 404),
        (json!({ "alert": low, "inputs": { "y": 1 } }), 400),
        (json!({ "alert": low, "inputs": { "finding": {} } }), 400),
        (json!({ "index": 0 }), 400),
        (json!({ "alert": crate::id::AlertId::derive(&["none"]) }), 404),
        (json!({ "playbook": "other" }), 404),
        (json!({ "reason": "" }), 400),
    ] {
        assert_eq!(start(body.clone()).await.status, status, "{body}");
    }
}
