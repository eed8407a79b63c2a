//! Each kind of fault does what it says, to the caller, to the world and to the ledger.

use reqwest::Method;
use serde_json::json;

use super::caller::{CONTAIN, DEVICES, estate, start};
use crate::range::{Fault, FaultKind, LateAnswer, Match, RunningRange, Status};

/// Who was contained how often, and the fault that the last `contain` line of DB-01 names.
fn told(range: &RunningRange) -> (usize, Status, Option<String>) {
    let ledger = range.ledger();
    let fault = ledger
        .about("contain", "DB-01")
        .last()
        .and_then(|line| line.fault.clone());
    (
        ledger.applied("contain", "DB-01"),
        range.host("DB-01").unwrap().status,
        fault,
    )
}

fn named(name: &str) -> Option<String> {
    Some(name.to_owned())
}

#[tokio::test]
async fn a_lost_answer_is_an_error_to_the_caller_and_a_fact_in_the_world() {
    let (range, caller) = start(estate()).await;
    range
        .fault(Fault::on_action("contain", FaultKind::LoseAnswer))
        .unwrap();
    let error = caller.contain("aid-3").await.unwrap_err();
    assert!(
        error.is_request() && !error.is_timeout() && !error.is_connect(),
        "{error:?}"
    );
    assert_eq!(
        told(&range),
        (1, Status::ContainmentPending, named("lose_answer"))
    );
    assert_eq!(
        range.ledger().about("contain", "aid-3").next().unwrap().status,
        None
    );
    assert_eq!(caller.status("aid-3").await, "contained");
}

#[tokio::test]
async fn a_lost_request_is_the_same_error_and_no_fact() {
    let (range, caller) = start(estate()).await;
    range
        .fault(Fault::on_action("contain", FaultKind::LoseRequest))
        .unwrap();
    let error = caller.contain("aid-3").await.unwrap_err();
    assert!(
        error.is_request() && !error.is_timeout() && !error.is_connect(),
        "{error:?}"
    );
    assert_eq!(told(&range), (0, Status::Normal, named("lose_request")));
}

#[tokio::test]
async fn a_slow_answer_comes_after_the_change() {
    let (range, caller) = start(estate()).await;
    range
        .fault(Fault::on_action("lift_containment", FaultKind::Slow { ms: 1 }))
        .unwrap();
    assert_eq!(caller.lift("aid-3").await.unwrap().status, 202);

    range
        .fault(Fault::on_action("contain", FaultKind::Slow { ms: 3_600_000 }))
        .unwrap();
    let call = tokio::spawn(async move { caller.contain("aid-3").await.map(|answer| answer.status) });
    while !range.faults().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(told(&range), (1, Status::ContainmentPending, named("slow")));
    assert!(!call.is_finished());
    call.abort();
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_slow_answer() {
    let (range, caller) = start(estate()).await;
    range
        .fault(Fault::on_action("contain", FaultKind::Slow { ms: 3_600_000 }))
        .unwrap();
    let call = tokio::spawn(async move { caller.contain("aid-3").await.map(|answer| answer.status) });
    while !range.faults().is_empty() {
        tokio::task::yield_now().await;
    }
    range.stop().await;
    assert!(call.await.unwrap().unwrap_err().is_request());
}

#[tokio::test]
async fn a_failure_says_what_was_scripted_and_does_nothing() {
    let (range, caller) = start(estate()).await;
    let body = json!({ "errors": [{ "code": 500, "message": "scripted" }] });
    range
        .fault(Fault::on_action(
            "contain",
            FaultKind::Fail {
                status: 500,
                body: body.clone(),
            },
        ))
        .unwrap();
    let answer = caller.contain("aid-3").await.unwrap();
    assert_eq!((answer.status, answer.body), (500, body));
    assert_eq!(told(&range), (0, Status::Normal, named("fail")));
    assert_eq!(caller.contain("aid-3").await.unwrap().status, 202);
}

#[tokio::test]
async fn too_many_requests_says_when_to_come_back() {
    let (range, caller) = start(estate()).await;
    range
        .fault(Fault::on_action("contain", FaultKind::TooMany { retry_after_s: 7 }).times(2))
        .unwrap();
    for _ in 0..2 {
        let answer = caller.contain("aid-3").await.unwrap();
        assert_eq!(answer.status, 429);
        assert_eq!(answer.headers["retry-after"], "7");
        let until_s: i64 = answer.headers["x-ratelimit-retryafter"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        let at_ms = range.ledger().about("contain", "aid-3").last().unwrap().at_ms;
        assert!(
            (at_ms / 1_000 + 6..=at_ms / 1_000 + 7).contains(&until_s),
            "{until_s} {at_ms}"
        );
    }
    assert_eq!(told(&range), (0, Status::Normal, named("too_many")));
    assert_eq!(caller.contain("aid-3").await.unwrap().status, 202);
}

#[tokio::test]
async fn a_lie_is_a_success_that_did_nothing() {
    let (range, caller) = start(estate()).await;
    range.fault(Fault::on_action("contain", FaultKind::Lie)).unwrap();
    let answer = caller.contain("aid-3").await.unwrap();
    assert_eq!(
        (answer.status, &answer.body["resources"][0]["id"]),
        (202, &json!("aid-3"))
    );
    assert_eq!(told(&range), (0, Status::Normal, named("lie")));
    assert_eq!(caller.status("aid-3").await, "normal");
}

#[tokio::test]
async fn a_lying_reading_tells_a_status_that_is_not() {
    let (range, caller) = start(estate()).await;
    range
        .fault(Fault::on_action(
            "read",
            FaultKind::LieRead {
                status: "contained".to_owned(),
            },
        ))
        .unwrap();
    assert_eq!(caller.status("aid-3").await, "contained");
    assert_eq!(range.host("aid-3").unwrap().status, Status::Normal);
    assert_eq!(caller.status("aid-3").await, "normal");
    let ledger = range.ledger();
    let line = ledger.about("read", "aid-3").next().unwrap();
    assert_eq!(
        (line.fault.as_deref(), line.state_after.as_deref()),
        (Some("lie_read"), Some("normal"))
    );
}

#[tokio::test]
async fn a_truncated_answer_begins_well() {
    let (range, caller) = start(estate()).await;
    range
        .fault(Fault::on_action("contain", FaultKind::Truncate))
        .unwrap();
    let request = caller
        .request(Method::POST, CONTAIN)
        .json(&json!({ "ids": ["aid-3"] }));
    let mut response = request.send().await.unwrap();
    assert_eq!(response.status(), 202);
    let announced: usize = response.headers()["content-length"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let mut got = Vec::new();
    let error = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => got.extend_from_slice(&chunk),
            Ok(None) => panic!("the whole answer came"),
            Err(error) => break error,
        }
    };
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert_eq!(got.len(), announced / 2);
    assert_eq!(told(&range), (1, Status::ContainmentPending, named("truncate")));
}

#[tokio::test]
async fn a_token_can_end_in_the_middle_of_things() {
    let (range, mut caller) = start(estate()).await;
    range
        .fault(Fault::on_action("contain", FaultKind::ExpireToken))
        .unwrap();
    assert_eq!(caller.contain("aid-3").await.unwrap().status, 401);
    assert_eq!(caller.find("hostname:'DB-01'").await.status, 401);
    caller.log_in().await;
    assert_eq!(told(&range), (0, Status::Normal, named("expire_token")));
    assert_eq!(caller.contain("aid-3").await.unwrap().status, 202);
}

#[tokio::test]
async fn a_ghost_effect_comes_after_it_was_denied() {
    let (range, caller) = start(estate()).await;
    let late = |answer| FaultKind::Late { ms: 50, answer };
    range
        .fault(Fault::on_action("contain", late(LateAnswer::Error)))
        .unwrap();
    assert_eq!(caller.contain("aid-3").await.unwrap().status, 500);
    range.late_effects_done().await;
    assert_eq!(told(&range), (1, Status::ContainmentPending, named("late")));
    let far_apart = FaultKind::Late {
        ms: 200,
        answer: LateAnswer::Error,
    };
    range
        .fault(Fault::on_action("contain", far_apart).target("aid-1"))
        .unwrap();
    assert_eq!(caller.contain("aid-1").await.unwrap().status, 500);
    assert_eq!(caller.contain("aid-1").await.unwrap().status, 202);
    range.late_effects_done().await;
    assert_eq!(range.ledger().asked("contain", "aid-1"), 2);
    assert_eq!(range.ledger().applied("contain", "aid-1"), 2);
    let ledger = range.ledger();
    let lines: Vec<_> = ledger.about("contain", "aid-3").collect();
    assert_eq!(
        lines.iter().map(|line| line.applied).collect::<Vec<_>>(),
        [false, true]
    );
    assert_eq!(lines[0].request, lines[1].request);
    assert_eq!(ledger.asked("contain", "aid-3"), 1);

    range
        .fault(Fault::on_action("lift_containment", late(LateAnswer::Cut)))
        .unwrap();
    assert!(caller.lift("aid-3").await.is_err());
    range.late_effects_done().await;
    assert_eq!(range.ledger().applied("lift_containment", "aid-3"), 1);
}

#[tokio::test]
async fn a_reset_forgets_late_effects() {
    let (range, caller) = start(estate()).await;
    range
        .fault(Fault::on_action(
            "contain",
            FaultKind::Late {
                ms: 50,
                answer: LateAnswer::Error,
            },
        ))
        .unwrap();
    caller.contain("aid-3").await.unwrap();
    range.reset().await.unwrap();
    range.late_effects_done().await;
    assert_eq!(told(&range), (0, Status::Normal, None));
}

#[tokio::test]
async fn faults_befall_only_what_they_match_and_in_their_order() {
    let (range, caller) = start(estate()).await;
    let fail = |status| FaultKind::Fail {
        status,
        body: json!({}),
    };
    range
        .fault(Fault::on_action("contain", fail(500)).target("aid-1"))
        .unwrap();
    range.fault(Fault::on_action("contain", fail(502))).unwrap();
    range.fault(Fault::on_action("contain", fail(503))).unwrap();
    let by_path = Match {
        vendor: Some("crowdstrike".to_owned()),
        method: Some("POST".to_owned()),
        path: Some(DEVICES.to_owned()),
        ..Match::default()
    };
    range
        .fault(Fault {
            on: by_path,
            times: 1,
            kind: fail(504),
        })
        .unwrap();

    let mut statuses = Vec::new();
    for id in ["aid-3", "aid-1", "aid-3", "aid-3"] {
        statuses.push(caller.contain(id).await.unwrap().status);
    }
    assert_eq!(statuses, [502, 500, 503, 202]);
    assert_eq!(
        caller
            .post(DEVICES, json!({ "ids": ["aid-3"] }))
            .await
            .unwrap()
            .status,
        504
    );
    assert_eq!(range.faults(), []);
}

#[tokio::test]
async fn a_caller_without_a_token_uses_up_no_fault() {
    let (range, mut caller) = start(estate()).await;
    range
        .fault(Fault::on_action("contain", FaultKind::LoseAnswer))
        .unwrap();
    range.expire_tokens().await.unwrap();
    assert_eq!(caller.contain("aid-3").await.unwrap().status, 401);
    assert_eq!(range.faults().len(), 1);
    caller.log_in().await;
    assert!(caller.contain("aid-3").await.is_err());
}

#[tokio::test]
async fn a_cut_befalls_one_connection_and_its_client_does_not_repeat_unseen() {
    let (range, caller) = start(estate()).await;
    // The connection is kept from the login, and from call to call.
    for kind in [FaultKind::LoseAnswer, FaultKind::LoseRequest] {
        range
            .fault(Fault::on_action("contain", kind).target("aid-3"))
            .unwrap();
        let (lost, kept) = tokio::join!(caller.contain("aid-3"), caller.contain("aid-1"));
        assert!(lost.is_err());
        assert_eq!(kept.unwrap().status, 202);
    }
    let ledger = range.ledger();
    assert_eq!(
        (
            ledger.asked("contain", "aid-3"),
            ledger.applied("contain", "aid-3")
        ),
        (2, 1)
    );
    assert_eq!(
        (
            ledger.asked("contain", "aid-1"),
            ledger.applied("contain", "aid-1")
        ),
        (2, 2)
    );
}
