use serde_json::{Map, Value, json};

use super::vendor::{Reply, Vendor, bound, invoker};
use crate::action::{Done, Outcome, Retry};
use crate::connector::Acted;
use crate::finding::{Entity, EntityType, Role};

const CHANGE: &str = "POST /change";

async fn act(vendor: &Vendor, verb: &str, args: Value) -> Acted {
    let bound = bound(&format!("probe::{verb}"), &vendor.base, None);
    let Value::Object(args) = args else {
        panic!("arguments are a map")
    };
    invoker().act(&bound, None, &args, "key-7").await
}

async fn vendor(reply: Reply) -> Vendor {
    let vendor = Vendor::start().await;
    vendor.on(CHANGE, reply);
    vendor
}

fn ok() -> Reply {
    Reply::Json(200, json!({ "ok": true }))
}

fn word(acted: &Acted) -> String {
    match &acted.outcome {
        Outcome::Done { how, .. } => format!("done {how:?}"),
        Outcome::NotDone { fault, retry } => format!("not done {retry:?} {}", fault.code),
        Outcome::Unknown { fault } => format!("unknown {}", fault.code),
    }
}

#[tokio::test]
async fn a_second_change_is_never_sent() {
    let vendor = vendor(ok()).await;
    let acted = act(&vendor, "two_changes", json!({})).await;
    assert_eq!(word(&acted), "unknown connector-script");
    assert_eq!(vendor.asked(), [CHANGE]);
}

#[tokio::test]
async fn a_script_that_throws_after_an_accepted_change_leaves_it_unknown() {
    let vendor = vendor(ok()).await;
    assert_eq!(
        word(&act(&vendor, "throws_after", json!({})).await),
        "unknown odd"
    );
}

#[tokio::test]
async fn a_refusal_inside_a_200_is_the_connectors_word() {
    let vendor = vendor(ok()).await;
    assert_eq!(
        word(&act(&vendor, "says_no_after", json!({})).await),
        "not done Never no-op"
    );
}

#[tokio::test]
async fn a_broken_look_after_a_change_leaves_it_unknown_whatever_the_script_catches() {
    for reply in [
        Reply::Drop,
        Reply::Json(500, json!({})),
        Reply::With(429, "Retry-After", "1".into(), json!({})),
    ] {
        let vendor = vendor(ok()).await;
        vendor.on("GET /look", reply);
        let acted = act(&vendor, "looks_after", json!({})).await;
        assert!(word(&acted).starts_with("unknown"), "{acted:?}");
    }
}

#[tokio::test]
async fn a_lost_change_cannot_be_caught() {
    let vendor = vendor(Reply::Drop).await;
    assert_eq!(
        word(&act(&vendor, "looks_after", json!({})).await),
        "unknown connection-lost"
    );
}

#[tokio::test]
async fn a_status_that_promises_nothing_was_done_is_believed_where_the_manifest_says_so() {
    let busy = vendor(Reply::Json(503, json!({}))).await;
    assert_eq!(
        word(&act(&busy, "one_change", json!({})).await),
        "not done Backoff vendor-busy"
    );
    assert_eq!(
        word(&act(&busy, "throws_after", json!({})).await),
        "unknown vendor-error"
    );
}

#[tokio::test]
async fn what_only_reads_cannot_change() {
    let vendor = vendor(ok()).await;
    let acted = act(&vendor, "changes_in_read", json!({})).await;
    assert_eq!(word(&acted), "not done Never connector-script");
    assert!(vendor.seen().is_empty());
}

#[tokio::test]
async fn a_post_the_manifest_lists_reads() {
    let vendor = Vendor::start().await;
    vendor.on("POST /search", ok());
    let acted = act(&vendor, "searches", json!({})).await;
    let Outcome::Done {
        how: Done::Acted,
        result,
    } = &acted.outcome
    else {
        panic!("{acted:?}")
    };
    assert_eq!(result["body"], json!({ "ok": true }));
    assert_eq!(vendor.seen()[0].body, "n=3&q=x");
}

#[tokio::test]
async fn an_attempt_has_few_requests() {
    let vendor = Vendor::start().await;
    vendor.on("GET /look", ok());
    let acted = act(&vendor, "asks_for_ever", json!({})).await;
    assert_eq!(word(&acted), "not done Never connector-script");
    assert_eq!(vendor.asked().len(), crate::limits::REQUESTS_PER_ACTION_MAX);
}

#[tokio::test]
async fn credentials_travel_by_handle_and_the_key_is_given() {
    let vendor = Vendor::start().await;
    vendor.on(
        "POST /keys/a%2Fb",
        Reply::Json(
            200,
            json!({ "echo": ["hunter2-of-the-route", "hunter2-of-the-probe"] }),
        ),
    );
    let acted = act(&vendor, "signs", json!({})).await;
    assert_eq!(word(&acted), "done Acted");
    let sent = vendor.seen().pop().unwrap();
    assert_eq!(sent.headers["x-key"], "key-7");
    assert_eq!(sent.headers["x-api-token"], "Token hunter2-of-the-probe");
    assert_eq!(sent.body, r#"{"list":["hunter2-of-the-route"]}"#);
    assert!(!format!("{acted:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_vendor_that_repeats_a_secret_does_not_tell_it_to_scripts() {
    let vendor = vendor(Reply::Json(200, json!({ "you": "hunter2-of-the-probe" }))).await;
    let acted = act(&vendor, "one_change", json!({})).await;
    let Outcome::Done { result, .. } = acted.outcome else {
        panic!()
    };
    assert_eq!(result, json!({ "you": "[secret]" }));
}

#[tokio::test]
async fn nothing_is_sent_elsewhere() {
    let vendor = Vendor::start().await;
    for place in [
        "https://evil.example/look",
        "https://api.probe.example@evil.example/look",
        "https://169.254.169.254/look",
        "http://api.probe.example/look",
        "//evil.example/look",
        "/a/../look",
        "look",
    ] {
        let acted = act(&vendor, "goes_elsewhere", json!({ "place": place })).await;
        assert_eq!(word(&acted), "not done Never egress-refused", "{place}");
    }
    assert!(vendor.seen().is_empty());
    vendor.on("GET /look", ok());
    let acted = act(
        &vendor,
        "goes_elsewhere",
        json!({ "place": "https://a.eu.probe.example/look" }),
    )
    .await;
    assert_eq!(word(&acted), "done Acted");
    assert_eq!(vendor.asked(), ["GET /look"]);
}

#[tokio::test]
async fn a_base_url_that_may_not_be_used_is_refused() {
    let invoker = invoker();
    for base in [
        "http://localhost:1/",
        "http://10.0.0.1/",
        "https://169.254.169.254/",
        "http://[::ffff:127.0.0.1]:1/",
    ] {
        let bound = bound("probe::one_change", &base.parse().unwrap(), None);
        let acted = invoker.act(&bound, None, &Map::new(), "k").await;
        assert_eq!(word(&acted), "not done Never egress-refused", "{base}");
        assert!(acted.requests.is_empty());
    }
}

#[tokio::test]
async fn a_script_cannot_set_our_headers() {
    let vendor = Vendor::start().await;
    assert_eq!(
        word(&act(&vendor, "sends_header", json!({})).await),
        "not done Never connector-script"
    );
    assert!(vendor.seen().is_empty());
}

#[tokio::test]
async fn a_missing_credential_is_named_and_nothing_is_sent() {
    let vendor = vendor(ok()).await;
    let mut bound = bound("probe::one_change", &vendor.base, None);
    bound.instance.credentials.clear();
    let acted = invoker().act(&bound, None, &Map::new(), "k").await;
    let Outcome::NotDone {
        fault,
        retry: Retry::Never,
    } = &acted.outcome
    else {
        panic!("{acted:?}")
    };
    assert!(fault.message.contains("`token`"), "{fault}");
    assert!(vendor.seen().is_empty());
}

#[tokio::test]
async fn arguments_are_the_manifests() {
    let vendor = vendor(ok()).await;
    assert_eq!(
        word(&act(&vendor, "one_change", json!({ "nota": 1 })).await),
        "not done Never bad-argument"
    );
    assert_eq!(
        word(&act(&vendor, "goes_elsewhere", json!({})).await),
        "not done Never bad-argument"
    );
    assert!(vendor.seen().is_empty());
    assert_eq!(
        word(&act(&vendor, "one_change", json!({ "note": "hello" })).await),
        "done Acted"
    );
    assert_eq!(vendor.seen()[0].body, r#"{"note":"hello"}"#);
}

#[tokio::test]
async fn an_empty_target_acts_on_nothing() {
    let vendor = Vendor::start().await;
    let user = Entity::new(EntityType::User, Role::Affected, "ann").unwrap();
    let bound = bound("identity::suspend", &vendor.base, Some(&user));
    let invoker = invoker();
    let acted = invoker.act(&bound, None, &Map::new(), "k").await;
    assert_eq!(word(&acted), "not done Never target-not-found");
    for candidates in [
        json!([{ "id": "" }]),
        json!([{ "id": "null" }]),
        json!([{ "name": "ann" }]),
        json!([]),
    ] {
        vendor.on("GET /users", Reply::Json(200, candidates));
    }
    for _ in 0..4 {
        let (fault, _) = invoker.resolve(&bound, &user).await.result.unwrap_err();
        assert_eq!(fault.code, "target-not-found");
    }
    assert_eq!(vendor.asked().len(), 4);
}

#[tokio::test]
async fn a_reading_without_a_state_is_none() {
    let vendor = Vendor::start().await;
    let user = Entity::new(EntityType::User, Role::Affected, "ann").unwrap();
    let bound = bound("identity::suspend", &vendor.base, Some(&user));
    vendor.on(
        "GET /users",
        Reply::Json(200, json!([{ "id": "u1", "name": "ann" }])),
    );
    let invoker = invoker();
    let target = invoker.resolve(&bound, &user).await.result.unwrap();
    for body in [
        json!({}),
        json!({ "state": "" }),
        json!([]),
        json!({ "state": 7 }),
    ] {
        vendor.on("GET /users/u1", Reply::Json(200, body));
    }
    for _ in 0..4 {
        let (fault, retry) = invoker
            .read(&bound, "user_state", &target, &Map::new())
            .await
            .result
            .unwrap_err();
        assert_eq!((fault.code.as_str(), retry), ("connector-script", Retry::Never));
    }
}

#[tokio::test]
async fn a_reading_that_takes_arguments_is_given_those_of_its_effect() {
    let vendor = Vendor::start().await;
    let user = Entity::new(EntityType::User, Role::Affected, "ann").unwrap();
    let bound = bound("identity::grant", &vendor.base, Some(&user));
    vendor.on(
        "GET /users",
        Reply::Json(200, json!([{ "id": "u1", "name": "ann" }])),
    );
    let invoker = invoker();
    let target = invoker.resolve(&bound, &user).await.result.unwrap();
    for (group, state) in [("admins", "member"), ("ops", "outside")] {
        vendor.on("GET /users/u1/groups", Reply::Json(200, json!(["admins"])));
        let args = json!({ "group": group }).as_object().unwrap().clone();
        let looked = invoker.read(&bound, "membership", &target, &args).await;
        let reading = looked.result.unwrap();
        assert_eq!(
            (reading.state.as_str(), &reading.fields),
            (state, &json!({ "group": group }))
        );
    }
}
