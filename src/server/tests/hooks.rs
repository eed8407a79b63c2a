//! What senders and machines get.

use reqwest::Method;
use serde_json::json;

use super::house::{House, SECRET, answer, finding};
use crate::id::AlertId;
use crate::limits::ALERT_BODY_BYTES_MAX;
use crate::store::{Alerts, Error};

#[tokio::test]
async fn a_delivery_is_answered_202_once_it_is_kept_and_again_when_it_is_repeated() {
    let house = House::open().await;
    let body = finding("f-1", "High").to_string();
    let first = house.hook(body.clone()).await;
    assert_eq!(
        (first.status, &first.body["times"]),
        (202, &json!(1)),
        "{}",
        first.text
    );
    let id: AlertId = first.body["alert"].as_str().unwrap().parse().unwrap();
    let kept = house.store.alert(id.partition(), id).await.unwrap().unwrap();
    assert_eq!(kept.body, body.as_bytes());
    assert!(kept.headers.iter().all(|(name, _)| name != "authorization"));
    let again = house.hook(body).await;
    assert_eq!((again.status, &again.body["times"]), (202, &json!(2)));
    assert_eq!(again.body["alert"], first.body["alert"]);
}

#[tokio::test]
async fn whoever_proves_nothing_gets_the_same_401_whatever_was_wrong() {
    let house = House::open().await;
    let mut texts = Vec::new();
    for token in ["", "wrong", SECRET.split_at(3).0] {
        let refused = answer(
            house
                .request(Method::POST, "/hooks/siem")
                .bearer_auth(token)
                .body("{}"),
        )
        .await;
        assert_eq!((refused.status, refused.code()), (401, "unauthorized"));
        texts.push(refused.text);
    }
    let refused = answer(house.request(Method::POST, "/hooks/siem").body("{}")).await;
    assert_eq!(refused.status, 401);
    texts.push(refused.text);
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    let counts = house.get("/api/status").await.body["counts"].clone();
    assert_eq!(counts["alerts"], json!({}), "nothing was kept");
}

#[tokio::test]
async fn an_unknown_source_is_404_and_another_method_405() {
    let house = House::open().await;
    let unknown = answer(
        house
            .request(Method::POST, "/hooks/nobody")
            .bearer_auth(SECRET)
            .body("{}"),
    )
    .await;
    assert_eq!((unknown.status, unknown.code()), (404, "not-found"));
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let other = answer(house.request(method.clone(), "/hooks/siem").bearer_auth(SECRET)).await;
        assert_eq!(
            (other.status, other.code()),
            (405, "method-not-allowed"),
            "{method}"
        );
        assert_eq!(other.header("allow"), "POST", "{method}");
    }
    assert_eq!(answer(house.request(Method::GET, "/nothing")).await.status, 404);
}

#[tokio::test]
async fn a_body_may_be_as_large_as_the_limit_and_no_larger() {
    let house = House::open().await;
    let fits = house.hook(vec![b' '; ALERT_BODY_BYTES_MAX]).await;
    assert_eq!(fits.status, 202, "{}", fits.text);
    for bytes in [ALERT_BODY_BYTES_MAX + 1, 3 * ALERT_BODY_BYTES_MAX] {
        let large = house.hook(vec![b' '; bytes]).await;
        assert_eq!((large.status, large.code()), (413, "too-large"));
    }
    // Without a declared length, too.
    let parts = (0..3).map(|_| Ok::<_, std::io::Error>(vec![b' '; ALERT_BODY_BYTES_MAX / 2]));
    let large = house
        .hook(reqwest::Body::wrap_stream(futures_util::stream::iter(parts)))
        .await;
    assert_eq!((large.status, large.code()), (413, "too-large"));
    assert_eq!(
        house.get("/api/status").await.body["counts"]["alerts"],
        json!({ "pending": 1 })
    );
}

#[tokio::test]
async fn a_compressed_body_is_415() {
    let house = House::open().await;
    let request = house.request(Method::POST, "/hooks/siem").bearer_auth(SECRET);
    let refused = answer(request.header("content-encoding", "gzip").body("{}")).await;
    assert_eq!((refused.status, refused.code()), (415, "compressed"));
}

#[tokio::test]
async fn a_store_that_cannot_keep_it_makes_the_sender_try_again() {
    let house = House::open().await;
    for error in [
        Error::Busy { waiting: 4_096 },
        Error::Full {
            why: "no space".into(),
        },
        Error::Unavailable { why: "gone".into() },
        Error::Corrupt { why: "odd".into() },
    ] {
        house.store.refuse("accept", error.clone());
        let refused = house.hook(finding("f-1", "High").to_string()).await;
        assert_eq!(
            (refused.status, refused.header("retry-after")),
            (503, "5"),
            "{error}"
        );
    }
    house.store.recover();
    assert_eq!(
        house.hook(finding("f-1", "High").to_string()).await.body["times"],
        1
    );
}

#[tokio::test]
async fn probes_say_whether_it_lives_and_whether_it_takes_writes() {
    let house = House::open().await;
    let plain = |path: &'static str| answer(house.request(Method::GET, path));
    assert_eq!(plain("/healthz").await.status, 200);
    assert_eq!(plain("/readyz").await.status, 200);
    house.store.refuse(
        "ready",
        Error::Full {
            why: "no space on `/var`".into(),
        },
    );
    assert_eq!(plain("/healthz").await.status, 200);
    let unready = plain("/readyz").await;
    assert_eq!((unready.status, unready.header("retry-after")), (503, "5"));
    assert!(unready.text.contains("no space on `/var`"), "{}", unready.text);
}

#[tokio::test]
async fn metrics_count_what_came_and_what_became_of_it() {
    let house = House::open().await;
    house.alert("f-1", "High").await;
    house.alert("f-2", "Low").await;
    house.hook(finding("f-1", "High").to_string()).await;
    answer(house.request(Method::POST, "/hooks/siem").body("{}")).await;
    answer(house.request(Method::POST, "/hooks/made-up").body("{}")).await;
    for _ in 0..2 {
        let metrics = answer(house.request(Method::GET, "/metrics")).await;
        assert_eq!(metrics.status, 200);
        assert!(
            metrics
                .header("content-type")
                .starts_with("application/openmetrics-text")
        );
        for line in [
            r#"cordon_build_info{version="1.2.3"} 1"#,
            r#"cordon_deliveries_total{source="siem",status="202"} 3"#,
            r#"cordon_deliveries_total{source="siem",status="401"} 1"#,
            r#"cordon_deliveries_total{source="(unknown)",status="404"} 1"#,
            r#"cordon_alerts{disposition="split"} 2"#,
            r#"cordon_alerts{disposition="unreadable"} 0"#,
            "cordon_repeats 1",
            r#"cordon_findings_total{fate="matched"} 1"#,
            r#"cordon_findings_total{fate="unmatched"} 1"#,
            "cordon_accounting_unbalanced 0",
            "cordon_holds_overdue 0",
            "# EOF",
        ] {
            assert!(
                metrics.text.lines().any(|found| found == line),
                "{line} in\n{}",
                metrics.text
            );
        }
        assert!(!metrics.text.contains("made-up"));
    }
}

#[tokio::test]
async fn every_answer_has_an_id_that_the_caller_cannot_choose() {
    let house = House::open().await;
    let request = house
        .request(Method::GET, "/healthz")
        .header("x-request-id", "chosen");
    let first = answer(request).await;
    let second = answer(house.request(Method::GET, "/healthz")).await;
    let ids = [first.header("x-request-id"), second.header("x-request-id")];
    assert!(ids.iter().all(|id| id.len() == 16), "{ids:?}");
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn only_a_sender_that_asks_a_question_is_answered_and_with_nothing_else() {
    let house = House::open().await;
    let ask = |name: &str, value: &str| {
        house
            .request(Method::GET, &format!("/hooks/{name}"))
            .header("x-okta-verification-challenge", value)
    };
    let answered = answer(ask("okta", "qwerty-0123")).await;
    assert_eq!(
        (answered.status, answered.body),
        (200, json!({ "verification": "qwerty-0123" }))
    );
    let hostile = answer(ask("okta", "<script>alert(1)</script>")).await;
    assert_eq!(hostile.header("content-type"), "application/json");
    for long in ["", &"x".repeat(crate::limits::CHALLENGE_CHARS_MAX + 1)] {
        assert_eq!(answer(ask("okta", long)).await.status, 400);
    }
    assert_eq!(
        answer(house.request(Method::GET, "/hooks/okta")).await.status,
        400
    );
    assert_eq!(
        answer(ask("siem", "qwerty")).await.status,
        405,
        "this sender asks nothing"
    );
    assert_eq!(answer(ask("nobody", "qwerty")).await.status, 404);
    let other = answer(house.request(Method::PUT, "/hooks/okta")).await;
    assert_eq!((other.status, other.header("allow")), (405, "GET, POST"));
}
