//! People asked over the API, on a store that is on disk, with the range as witness of what was done.

use std::collections::{BTreeMap, BTreeSet};

use cordon::guardrail::{ApprovalRule, Approvers, Groups, Policy, Which};
use cordon::range::Status;
use serde_json::{Value, json};

use crate::estate::{Setup, finding, range};
use crate::house::{House, Way, act};

const ASKS: &str = r#"
let host = finding.affected("host");
let answer = approve(#{
    ask: `Isolate ${host.name}?`,
    covers: [#{ action: "endpoint::isolate", target: host }],
    by: "leads", quorum: 2, within: "5m",
});
if answer.granted { endpoint::isolate(host); }
"#;

fn policy(rules: &[&str]) -> Policy {
    let names = |list: &[&str]| -> BTreeSet<String> { list.iter().map(|name| (*name).to_owned()).collect() };
    let approvers = Approvers {
        by: "leads".into(),
        quorum: 1,
        within_ms: 300_000,
    };
    Policy {
        groups: Groups(BTreeMap::from([(
            "leads".to_owned(),
            names(&["ana", "ben", "eve"]),
        )])),
        approvals: rules
            .iter()
            .map(|action| ApprovalRule {
                which: Which {
                    actions: vec![(*action).to_owned()],
                    ..Which::default()
                },
                approvers: approvers.clone(),
                why: "hosts are ours".into(),
            })
            .collect(),
        ..Policy::default()
    }
}

async fn house(dir: &std::path::Path, script: &str, rules: &[&str]) -> House {
    let setup = Setup {
        policy: policy(rules),
        ..Setup::new(script)
    };
    House::open(dir, range(&["web-07"]).await, setup).await
}

/// The same server, as somebody else.
async fn as_person(way: &Way, name: &str) -> Way {
    let made = way.post("/api/tokens", json!({ "name": name })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    Way::to(way.url.clone(), made.body["token"].as_str().unwrap().to_owned())
}

async fn open(way: &Way) -> Value {
    let list = way
        .until("/api/approvals?open=true", |body| {
            body["approvals"].as_array().is_some_and(|list| list.len() == 1)
        })
        .await;
    list["approvals"][0].clone()
}

fn path(approval: &Value, word: &str) -> String {
    format!("/api/approvals/{}{word}", approval["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_approve_over_the_api_and_looking_decides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let house = house(dir.path(), ASKS, &[]).await;
    let way = &house.way;
    let (ana, ben) = (as_person(way, "ana").await, as_person(way, "ben").await);
    way.signed("msg_1", finding("f-1", &["web-07"]).to_string().as_bytes())
        .await
        .alert();
    let asked = open(way).await;
    let run = asked["run"].as_str().unwrap().to_owned();
    let text = asked["text"].to_string();
    for says in [
        "Isolate web-07?",
        "now `normal`",
        "undone by",
        "2 of `leads` decide (ana, ben, eve)",
    ] {
        assert!(text.contains(says), "{says} is not in {text}");
    }
    for _ in 0..3 {
        let one = ana.get(&path(&asked, "")).await;
        assert_eq!(one.body["approval"]["votes"], json!([]), "{}", one.text);
    }
    let row = way.get(&format!("/api/runs/{run}")).await.body["run"].clone();
    let waits = row["waits_for"].as_str().unwrap();
    assert!(waits.starts_with("the approval of leads until "), "{waits}");

    let answer = |digest: &Value| json!({ "reason": "seen", "digest": digest });
    let stranger = way
        .post(&path(&asked, "/approve"), answer(&asked["digest"]))
        .await;
    assert_eq!(
        (stranger.status, &stranger.body["error"]["code"]),
        (403, &json!("forbidden"))
    );
    let stale = ana
        .post(&path(&asked, "/approve"), answer(&json!("0".repeat(64))))
        .await;
    assert_eq!(
        (stale.status, &stale.body["error"]["code"]),
        (409, &json!("stale"))
    );
    assert_eq!(
        stale.body["approval"]["digest"], asked["digest"],
        "what is asked now"
    );
    let first = ana
        .post(&path(&asked, "/approve"), answer(&asked["digest"]))
        .await;
    assert_eq!(
        (first.status, &first.body["counted"]),
        (200, &json!(true)),
        "{}",
        first.text
    );
    assert_eq!(house.estate.range.host("web-07").unwrap().status, Status::Normal);
    let second = ben
        .post(&path(&asked, "/approve"), answer(&asked["digest"]))
        .await;
    assert_eq!(
        second.body["approval"]["decided"]["by"],
        json!(["ana", "ben"]),
        "{}",
        second.text
    );
    let late = ben.post(&path(&asked, "/deny"), answer(&asked["digest"])).await;
    assert_eq!(
        (late.status, &late.body["error"]["code"]),
        (409, &json!("decided"))
    );

    assert_eq!(way.over(&run).await["end"], "succeeded");
    assert_eq!(house.estate.range.ledger().asked("contain", "web-07"), 1);
    let recent = way.get("/api/approvals").await.body;
    assert_eq!(recent["approvals"][0]["open"], false, "{recent}");
    let whole = way.get(&format!("/api/runs/{run}")).await.body;
    assert_eq!(whole["digest_ok"], true);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_does_by_hand_is_asked_of_others_and_a_no_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let house = house(dir.path(), "note(\"unused\");", &["endpoint::isolate"]).await;
    let way = &house.way;
    let (ana, ben) = (as_person(way, "ana").await, as_person(way, "ben").await);
    let started = ana
        .post("/api/act", act("endpoint::isolate", "web-07", json!({})))
        .await;
    let run = started.body["run"].as_str().unwrap().to_owned();
    let asked = open(way).await;
    assert_eq!(asked["request"]["rule"], "hosts are ours");
    assert_eq!(asked["request"]["may_decide"], json!(["ben", "eve"]));
    let body = json!({ "reason": "mine", "digest": asked["digest"] });
    let own = ana.post(&path(&asked, "/approve"), body).await;
    assert_eq!(own.status, 403, "{}", own.text);
    assert!(own.text.contains("asked for this run"), "{}", own.text);
    let wordless = ben
        .post(
            &path(&asked, "/deny"),
            json!({ "reason": " ", "digest": asked["digest"] }),
        )
        .await;
    assert_eq!(wordless.status, 400, "a no has a reason");
    let denied = ben
        .post(
            &path(&asked, "/deny"),
            json!({ "reason": "wrong host", "digest": asked["digest"] }),
        )
        .await;
    assert_eq!(denied.status, 200, "{}", denied.text);
    assert_eq!(way.over(&run).await["end"], "kept");
    let whole = way.get(&format!("/api/runs/{run}")).await.text;
    assert!(whole.contains("ben denied it: wrong host"), "{whole}");
    assert_eq!(house.estate.range.ledger().asked("contain", "web-07"), 0);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_outlives_its_server() {
    let dir = tempfile::tempdir().unwrap();
    let first = house(dir.path(), ASKS, &[]).await;
    let (ana, ben) = (
        as_person(&first.way, "ana").await,
        as_person(&first.way, "ben").await,
    );
    first
        .way
        .signed("msg_1", finding("f-1", &["web-07"]).to_string().as_bytes())
        .await
        .alert();
    let asked = open(&first.way).await;
    let body = json!({ "reason": "seen", "digest": asked["digest"] });
    let voted = ana.post(&path(&asked, "/approve"), body.clone()).await;
    assert_eq!(voted.body["counted"], true, "{}", voted.text);
    let range = first.stop_leaving_the_range().await;

    let setup = Setup {
        policy: policy(&[]),
        ..Setup::new(ASKS)
    };
    let second = House::reopen(dir.path(), range, setup, &ana.token).await;
    let ben = Way::to(second.way.url.clone(), ben.token);
    let again = open(&second.way).await;
    assert_eq!(again["votes"].as_array().unwrap().len(), 1);
    let voted = ben.post(&path(&again, "/approve"), body).await;
    assert_eq!(
        voted.body["approval"]["decided"]["granted"], true,
        "{}",
        voted.text
    );
    assert_eq!(
        second.way.over(again["run"].as_str().unwrap()).await["end"],
        "succeeded"
    );
    assert_eq!(second.estate.range.ledger().asked("contain", "web-07"), 1);
    second.stop().await;
}
