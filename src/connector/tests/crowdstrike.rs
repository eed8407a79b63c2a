use serde_json::{Map, Value, json};

use super::vendor::{NOW, Reply, Vendor, bound, host, invoker};
use crate::action::{Done, Outcome, Retry, Standing, Target};
use crate::connector::{Acted, Bound, Invoker};
use crate::finding::EntityType;

const TOKEN: &str = "POST /oauth2/token";
const NAMED: &str = "GET /devices/queries/devices/v1";
const DETAILS: &str = "POST /devices/entities/devices/v2";
const ACT: &str = "POST /devices/entities/devices-actions/v2";
const AID: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";

fn token(text: &str) -> Reply {
    Reply::Json(
        201,
        json!({ "access_token": text, "token_type": "bearer", "expires_in": 1799 }),
    )
}

fn device(id: &str, status: &str) -> Value {
    json!({
        "device_id": id, "hostname": "WEB-07", "status": status, "last_seen": "2026-11-23T10:00:00Z",
        "local_ip": "10.0.0.7", "platform_name": "Linux",
    })
}

fn resources(list: Value) -> Reply {
    Reply::Json(200, json!({ "resources": list, "errors": [] }))
}

async fn vendor() -> Vendor {
    let vendor = Vendor::start().await;
    vendor.on(TOKEN, token("issued-token-1"));
    vendor
}

fn contain(vendor: &Vendor) -> (Invoker, Bound) {
    (
        invoker(),
        bound("endpoint::isolate", &vendor.base, Some(&host("web-07"))),
    )
}

fn target() -> Target {
    Target {
        instance: "crowdstrike".into(),
        kind: EntityType::Host,
        id: AID.into(),
        name: "WEB-07".into(),
        aliases: vec![],
    }
}

async fn act(invoker: &Invoker, bound: &Bound) -> Acted {
    invoker.act(bound, Some(&target()), &Map::new(), "key-1").await
}

/// The outcome of containing a host of a vendor that answers the change like this.
async fn contained_by(reply: Reply) -> (Acted, Vendor) {
    let vendor = vendor().await;
    vendor
        .on(ACT, reply)
        .on(DETAILS, resources(json!([device(AID, "normal")])));
    let (invoker, bound) = contain(&vendor);
    (act(&invoker, &bound).await, vendor)
}

fn taken() -> Reply {
    Reply::Json(
        202,
        json!({ "resources": [{ "id": AID, "path": "/devices/x" }], "errors": [] }),
    )
}

#[track_caller]
fn assert_not_done(acted: &Acted, code: &str, retry: Retry) {
    match &acted.outcome {
        Outcome::NotDone { fault, retry: found } => assert_eq!((fault.code.as_str(), *found), (code, retry)),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_unknown(acted: &Acted, code: &str) {
    match &acted.outcome {
        Outcome::Unknown { fault } => assert_eq!(fault.code, code),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_host_is_contained_by_one_request_for_one_id() {
    let (acted, vendor) = contained_by(taken()).await;
    assert_eq!(
        acted.outcome,
        Outcome::Done {
            how: Done::Acted,
            result: json!({ "id": AID })
        }
    );
    assert_eq!(
        vendor.asked(),
        ["POST /devices/entities/devices-actions/v2?action_name=contain"]
    );
    let sent = vendor.seen().pop().unwrap();
    assert_eq!(sent.headers["authorization"], "Bearer issued-token-1");
    assert_eq!(
        serde_json::from_str::<Value>(&sent.body).unwrap(),
        json!({ "ids": [AID] })
    );
}

#[tokio::test]
async fn what_is_written_down_of_a_request_holds_no_query_and_no_secret() {
    let (acted, vendor) = contained_by(taken()).await;
    let [token, change] = acted.requests.as_slice() else {
        panic!("{:?}", acted.requests)
    };
    assert_eq!(token.url, format!("{}oauth2/token", vendor.base));
    assert_eq!(
        change.url,
        format!("{}devices/entities/devices-actions/v2", vendor.base)
    );
    assert_eq!((change.method.as_str(), change.status), ("POST", Some(202)));
    assert_eq!(change.peer.as_deref(), Some(vendor.base.authority()));
    let shown = format!("{acted:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("issued-token"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_name_is_resolved_to_the_one_id() {
    let vendor = vendor().await;
    vendor
        .on(NAMED, resources(json!([AID])))
        .on(DETAILS, resources(json!([device(AID, "normal")])));
    let (invoker, bound) = contain(&vendor);
    let looked = invoker.resolve(&bound, &host("web-07")).await;
    let found = looked.result.unwrap();
    assert_eq!(
        (found.id.as_str(), found.name.as_str(), found.instance.as_str()),
        (AID, "WEB-07", "crowdstrike")
    );
    assert_eq!(found.aliases, ["WEB-07", "10.0.0.7"]);
    assert_eq!(
        vendor.asked()[0],
        "GET /devices/queries/devices/v1?filter=hostname%3A%27web-07%27&limit=100"
    );
    assert_eq!(looked.requests.len(), 3);
}

#[tokio::test]
async fn a_name_with_two_hosts_is_refused_and_both_are_listed() {
    let vendor = vendor().await;
    vendor.on(NAMED, resources(json!([AID, OTHER]))).on(
        DETAILS,
        resources(json!([device(AID, "normal"), device(OTHER, "normal")])),
    );
    let (invoker, bound) = contain(&vendor);
    let (fault, retry) = invoker.resolve(&bound, &host("web-07")).await.result.unwrap_err();
    assert_eq!((fault.code.as_str(), retry), ("ambiguous-target", Retry::Never));
    assert_eq!(fault.data["candidates"][1]["id"], OTHER);
    assert_eq!(fault.data["candidates"][1]["last_seen"], "2026-11-23T10:00:00Z");
}

#[tokio::test]
async fn an_unknown_name_and_one_that_the_vendor_only_thinks_alike_are_not_found() {
    for (ids, devices) in [
        (json!([]), json!([])),
        (json!([AID]), json!([device(AID, "normal")])),
    ] {
        let vendor = vendor().await;
        vendor.on(NAMED, resources(ids)).on(DETAILS, resources(devices));
        let (invoker, bound) = contain(&vendor);
        let (fault, _) = invoker.resolve(&bound, &host("web-08")).await.result.unwrap_err();
        assert_eq!(fault.code, "target-not-found");
    }
}

#[tokio::test]
async fn a_known_id_is_read_back_and_never_exchanged() {
    let vendor = vendor().await;
    vendor
        .on(DETAILS, resources(json!([device(AID, "normal")])))
        .on(DETAILS, resources(json!([device(OTHER, "normal")])));
    let (invoker, bound) = contain(&vendor);
    let mut entity = host("an-old-name");
    entity.ids.insert("crowdstrike".into(), AID.into());
    assert_eq!(invoker.resolve(&bound, &entity).await.result.unwrap().id, AID);
    let (fault, _) = invoker.resolve(&bound, &entity).await.result.unwrap_err();
    assert_eq!(fault.code, "target-not-found");
    assert_eq!(vendor.asked(), [DETAILS, DETAILS]);
}

#[tokio::test]
async fn a_name_that_would_change_the_filter_is_refused_before_anything_is_sent() {
    let vendor = vendor().await;
    let (invoker, bound) = contain(&vendor);
    for name in ["web(07)", "web;07", "web+status:x", "web[07]"] {
        let (fault, _) = invoker.resolve(&bound, &host(name)).await.result.unwrap_err();
        assert_eq!(fault.code, "bad-name", "{name}");
    }
    let mut quoted = host("web-07");
    quoted.name = "x'+hostname:*'".into();
    assert!(invoker.resolve(&bound, &quoted).await.result.is_err());
    let mut entity = host("web-07");
    entity.ids.insert("crowdstrike".into(), "../x".into());
    assert_eq!(
        invoker.resolve(&bound, &entity).await.result.unwrap_err().0.code,
        "bad-name"
    );
    assert!(vendor.seen().is_empty());
}

#[tokio::test]
async fn each_state_of_a_host_is_read_and_judged() {
    for (status, standing) in [
        ("normal", Standing::Absent),
        ("containment_pending", Standing::Pending),
        ("contained", Standing::InForce),
        ("lift_containment_pending", Standing::Absent),
    ] {
        let vendor = vendor().await;
        vendor.on(DETAILS, resources(json!([device(AID, status)])));
        let (invoker, bound) = contain(&vendor);
        let verify = bound.spec.verify.clone().unwrap();
        let reading = invoker
            .read(&bound, &verify.read, &target(), &Map::new())
            .await
            .result
            .unwrap();
        assert_eq!(reading.state, status);
        assert_eq!(reading.fields["hostname"], "WEB-07");
        assert_eq!(verify.judge(&reading), standing, "{status}");
    }
}

#[tokio::test]
async fn a_vendor_that_wants_a_pause_gets_it_from_everyone() {
    let vendor = vendor().await;
    let until = (NOW.0 / 1_000 + 9).to_string();
    vendor.on(ACT, Reply::With(429, "X-Ratelimit-RetryAfter", until, json!({})));
    let (invoker, bound) = contain(&vendor);
    assert_not_done(
        &act(&invoker, &bound).await,
        "rate-limited",
        Retry::AfterMs(9_000),
    );
    assert_not_done(
        &act(&invoker, &bound).await,
        "rate-limited",
        Retry::AfterMs(9_000),
    );
    let looked = invoker.read(&bound, "host_state", &target(), &Map::new()).await;
    assert_eq!(looked.result.unwrap_err().1, Retry::AfterMs(9_000));
    assert_eq!(vendor.asked().len(), 1);
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_unknown() {
    for reply in [
        Reply::Drop,
        Reply::Cut(202),
        Reply::Json(500, json!({})),
        Reply::Json(408, json!({})),
    ] {
        let (acted, vendor) = contained_by(reply).await;
        assert!(
            matches!(acted.outcome, Outcome::Unknown { .. }),
            "{:?}",
            acted.outcome
        );
        assert_eq!(vendor.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_look_whose_answer_is_lost_is_tried_again() {
    for reply in [Reply::Drop, Reply::Cut(200), Reply::Json(500, json!({}))] {
        let vendor = vendor().await;
        vendor.on(DETAILS, reply);
        let (invoker, bound) = contain(&vendor);
        let looked = invoker.read(&bound, "host_state", &target(), &Map::new()).await;
        assert_eq!(looked.result.unwrap_err().1, Retry::Backoff);
    }
}

#[tokio::test]
async fn a_vendor_that_cannot_be_connected_to_did_nothing() {
    let vendor = vendor().await;
    let (invoker, mut bound) = contain(&vendor);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    bound.instance.base_url = Some(free.parse().unwrap());
    let acted = act(&invoker, &bound).await;
    assert_not_done(&acted, "unreachable", Retry::Backoff);
    assert_eq!(acted.requests.len(), 1);
    assert!(acted.requests[0].error.is_some());
}

#[tokio::test]
async fn a_token_that_ended_early_is_renewed_once() {
    let vendor = vendor().await;
    vendor
        .on(TOKEN, token("issued-token-2"))
        .on(ACT, Reply::Json(401, json!({})))
        .on(ACT, taken());
    let (invoker, bound) = contain(&vendor);
    assert!(matches!(
        act(&invoker, &bound).await.outcome,
        Outcome::Done { .. }
    ));
    assert_eq!((vendor.tokens(), vendor.asked().len()), (2, 2));
    assert_eq!(
        vendor.seen().pop().unwrap().headers["authorization"],
        "Bearer issued-token-2"
    );
}

#[tokio::test]
async fn credentials_that_are_refused_twice_end_the_attempt() {
    let (acted, vendor) = contained_by(Reply::Json(401, json!({}))).await;
    assert_not_done(&acted, "credentials", Retry::Never);
    assert_eq!(vendor.asked().len(), 2);
}

#[tokio::test]
async fn without_a_token_nothing_is_done() {
    for (reply, code, retry) in [
        (
            Reply::Json(401, json!({"echo": "hunter2-of-the-client"})),
            "credentials",
            Retry::Never,
        ),
        (
            Reply::Json(201, json!({"access_token": ""})),
            "credentials",
            Retry::Backoff,
        ),
        (Reply::Json(308, json!({})), "redirected", Retry::Never),
        (Reply::Json(503, json!({})), "vendor-error", Retry::Backoff),
        (
            Reply::With(429, "Retry-After", "3".into(), json!({})),
            "rate-limited",
            Retry::AfterMs(3_000),
        ),
        (Reply::Drop, "connection-lost", Retry::Backoff),
    ] {
        let vendor = Vendor::start().await;
        vendor.on(TOKEN, reply);
        let (invoker, bound) = contain(&vendor);
        let acted = act(&invoker, &bound).await;
        assert_not_done(&acted, code, retry);
        assert!(!format!("{acted:?}").contains("hunter2"));
        assert!(vendor.asked().is_empty());
    }
}

#[tokio::test]
async fn one_token_serves_all_who_ask_at_once() {
    let vendor = vendor().await;
    vendor.on(DETAILS, resources(json!([device(AID, "normal")])));
    let (invoker, bound) = contain(&vendor);
    let target = target();
    let none = Map::new();
    let look = || invoker.read(&bound, "host_state", &target, &none);
    let (one, two, three) = tokio::join!(look(), look(), look());
    assert!([one, two, three].iter().all(|looked| looked.result.is_ok()));
    assert_eq!(vendor.tokens(), 1);
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    let (acted, _) = contained_by(Reply::Json(403, json!({}))).await;
    assert_not_done(&acted, "permission", Retry::Never);
    let Outcome::NotDone { fault, .. } = acted.outcome else {
        unreachable!()
    };
    assert!(fault.message.contains("Hosts: read, Hosts: write"), "{fault}");
}

#[tokio::test]
async fn a_202_that_carries_errors_is_not_success() {
    let refused = Reply::Json(
        202,
        json!({ "resources": [], "errors": [{ "code": 409, "message": "not managed" }] }),
    );
    let (acted, _) = contained_by(refused).await;
    assert_not_done(&acted, "refused", Retry::Never);
    for unclear in [
        json!({ "resources": [{ "id": AID }], "errors": [{ "code": 500, "message": "x" }] }),
        json!({ "resources": [{ "id": OTHER }], "errors": [] }),
        json!({ "resources": null }),
    ] {
        let (acted, _) = contained_by(Reply::Json(202, unclear)).await;
        assert_unknown(&acted, "unclear");
    }
}

#[tokio::test]
async fn already_so_is_believed_only_when_reading_agrees() {
    let conflict = || Reply::Json(409, json!({ "errors": [{ "code": 409, "message": "already" }] }));
    let (acted, _) = contained_by(conflict()).await;
    assert_not_done(&acted, "refused", Retry::Never);
    let vendor = vendor().await;
    vendor
        .on(ACT, conflict())
        .on(DETAILS, resources(json!([device(AID, "contained")])));
    let (invoker, bound) = contain(&vendor);
    let acted = act(&invoker, &bound).await;
    assert!(
        matches!(
            acted.outcome,
            Outcome::Done {
                how: Done::AlreadySo,
                ..
            }
        ),
        "{acted:?}"
    );
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let long = || Reply::Long(200, crate::limits::VENDOR_BODY_BYTES_MAX + 1);
    let (acted, _) = contained_by(long()).await;
    assert_unknown(&acted, "too-large");
    let vendor = vendor().await;
    vendor.on(DETAILS, long());
    let (invoker, bound) = contain(&vendor);
    let (fault, retry) = invoker
        .read(&bound, "host_state", &target(), &Map::new())
        .await
        .result
        .unwrap_err();
    assert_eq!((fault.code.as_str(), retry), ("too-large", Retry::Never));
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let to = |status| Reply::With(status, "Location", "/elsewhere".into(), json!({}));
    let (acted, vendor) = contained_by(to(308)).await;
    assert_not_done(&acted, "redirected", Retry::Never);
    assert_eq!(vendor.asked().len(), 1);
    let (acted, vendor) = contained_by(to(303)).await;
    assert_unknown(&acted, "redirected");
    assert_eq!(vendor.asked().len(), 1);
}

#[tokio::test]
async fn a_host_is_looked_up() {
    let vendor = vendor().await;
    vendor.on(DETAILS, resources(json!([device(AID, "contained")])));
    let bound = bound("crowdstrike::lookup_host", &vendor.base, Some(&host("web-07")));
    let Outcome::Done { result, .. } = act(&invoker(), &bound).await.outcome else {
        panic!()
    };
    assert_eq!(
        (result["state"].as_str(), result["platform"].as_str()),
        (Some("contained"), Some("Linux"))
    );
}

#[tokio::test]
async fn lifting_asks_for_lifting() {
    let vendor = vendor().await;
    vendor.on(ACT, taken());
    let bound = bound("endpoint::release", &vendor.base, Some(&host("web-07")));
    assert!(matches!(
        act(&invoker(), &bound).await.outcome,
        Outcome::Done { .. }
    ));
    assert_eq!(
        vendor.asked(),
        ["POST /devices/entities/devices-actions/v2?action_name=lift_containment"]
    );
}
