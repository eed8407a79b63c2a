use serde_json::{Map, Value, json};

use super::vendor::{Reply, Vendor, bound_to, invoker};
use crate::action::{Done, Outcome, Retry, Standing, Target};
use crate::connector::{Acted, Bound};
use crate::finding::EntityType;

const POST: &str = "POST /api/chat.postMessage";
const UPDATE: &str = "POST /api/chat.update";
const HISTORY: &str = "GET /api/conversations.history";
const REPLIES: &str = "GET /api/conversations.replies";

fn bound(vendor: &Vendor) -> Bound {
    bound_to("slack", "chat::send", &vendor.base, None)
}

fn args(more: Value) -> Map<String, Value> {
    let mut args = json!({ "to": "C024BE91L", "subject": "Contained", "text": "see the run" });
    args.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    args.as_object().unwrap().clone()
}

async fn send(vendor: &Vendor, more: Value) -> Acted {
    invoker().act(&bound(vendor), None, &args(more), "key-1").await
}

fn posted() -> Reply {
    Reply::Json(
        200,
        json!({ "ok": true, "channel": "C024BE91L", "ts": "1700000000.000100" }),
    )
}

fn says_no(word: &str) -> Reply {
    Reply::Json(200, json!({ "ok": false, "error": word, "needed": "chat:write" }))
}

fn body(vendor: &Vendor) -> Value {
    serde_json::from_str(&vendor.seen().pop().unwrap().body).unwrap()
}

#[tokio::test]
async fn a_message_is_posted_with_our_key_and_answered_with_its_id() {
    let vendor = Vendor::start().await;
    vendor.on(POST, posted());
    let acted = send(&vendor, json!({})).await;
    let result = json!({ "id": "1700000000.000100", "thread": "1700000000.000100" });
    assert_eq!(
        acted.outcome,
        Outcome::Done {
            how: Done::Acted,
            result
        }
    );
    let sent = body(&vendor);
    assert_eq!(sent["metadata"]["event_payload"]["key"], "key-1");
    assert_eq!(sent["text"], "Contained\nsee the run");
    let types: Vec<String> = vendor.seen()[0]
        .headers
        .get("content-type")
        .cloned()
        .into_iter()
        .collect();
    assert_eq!(types, ["application/json; charset=utf-8"]);
}

#[tokio::test]
async fn hostile_text_calls_nobody_and_shows_as_it_was_written() {
    let vendor = Vendor::start().await;
    vendor.on(POST, posted());
    let text = "<!channel> <@U012AB3CD> <https://evil.example|our portal> a & b *bold* @channel @HERE @everyone x@corp.example";
    send(&vendor, json!({ "text": text })).await;
    let sent = body(&vendor);
    let shown = sent["text"].as_str().unwrap();
    assert!(!shown.contains('<') && !shown.contains('>'), "{shown}");
    assert!(
        shown.contains("&lt;!channel&gt; &lt;@U012AB3CD&gt;") && shown.contains("a &amp; b"),
        "{shown}"
    );
    for word in ["channel", "HERE", "everyone"] {
        assert!(!shown.contains(&format!("@{word}")), "{shown}");
        assert!(shown.contains(&format!("@\u{200b}{word}")), "{shown}");
    }
    assert!(shown.contains("x@corp.example"), "{shown}");
    for off in ["mrkdwn", "link_names", "unfurl_links", "unfurl_media"] {
        assert_eq!(sent[off], false, "{off}");
    }
}

#[tokio::test]
async fn a_long_text_is_cut_and_says_so() {
    let vendor = Vendor::start().await;
    vendor.on(POST, posted());
    send(&vendor, json!({ "text": "x".repeat(50_000) })).await;
    let shown = body(&vendor)["text"].as_str().unwrap().to_owned();
    assert!(
        shown.len() < 4_000 && shown.ends_with("(cut: the rest is in Cordon)"),
        "{}",
        shown.len()
    );
}

#[tokio::test]
async fn a_no_in_a_200_is_no() {
    for (word, code, retry) in [
        ("invalid_auth", "credentials", Retry::Never),
        ("token_expired", "credentials", Retry::Never),
        ("missing_scope", "permission", Retry::Never),
        ("not_in_channel", "refused", Retry::Never),
        ("channel_not_found", "refused", Retry::Never),
        ("a_word_of_next_year", "refused", Retry::Never),
        ("ratelimited", "rate-limited", Retry::Backoff),
    ] {
        let vendor = Vendor::start().await;
        vendor.on(POST, says_no(word));
        match send(&vendor, json!({})).await.outcome {
            Outcome::NotDone { fault, retry: found } => {
                assert_eq!((fault.code.as_str(), found), (code, retry), "{word}")
            }
            other => panic!("{word}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_error_after_which_slack_itself_does_not_know_is_unknown() {
    for reply in [
        says_no("fatal_error"),
        says_no("internal_error"),
        Reply::Json(200, json!("<html>")),
        Reply::Drop,
    ] {
        let vendor = Vendor::start().await;
        vendor.on(POST, reply);
        let acted = send(&vendor, json!({})).await;
        assert!(matches!(acted.outcome, Outcome::Unknown { .. }), "{acted:?}");
    }
}

#[tokio::test]
async fn threads_and_updates_go_where_they_belong() {
    let vendor = Vendor::start().await;
    vendor.on(POST, posted()).on(UPDATE, posted());
    let acted = send(&vendor, json!({ "thread": "1699999999.000200" })).await;
    assert_eq!(body(&vendor)["thread_ts"], "1699999999.000200");
    let Outcome::Done { result, .. } = acted.outcome else {
        panic!("{acted:?}")
    };
    assert_eq!(result["thread"], "1699999999.000200");
    send(&vendor, json!({ "update": "1699999999.000200" })).await;
    assert_eq!(body(&vendor)["ts"], "1699999999.000200");
    assert_eq!(vendor.asked(), [POST, UPDATE]);
}

#[tokio::test]
async fn whom_it_cannot_be_sent_to_is_refused_before_anything_is_sent() {
    for more in [
        json!({ "to": "#general" }),
        json!({ "to": "U012AB3CD" }),
        json!({ "to": "C024/../x" }),
        json!({ "thread": "x", "subject": "s" }),
        json!({ "thread": "1.2", "update": "1.2" }),
    ] {
        let vendor = Vendor::start().await;
        match send(&vendor, more.clone()).await.outcome {
            Outcome::NotDone { fault, .. } => assert_eq!(fault.code, "bad-argument", "{more}"),
            other => panic!("{more}: {other:?}"),
        }
        assert!(vendor.seen().is_empty());
    }
}

async fn look(vendor: &Vendor, more: Value) -> Standing {
    let bound = bound(vendor);
    let verify = bound.spec.verify.clone().unwrap();
    let made = Target {
        instance: "slack".into(),
        kind: EntityType::Resource,
        id: "key-1".into(),
        name: String::new(),
        aliases: vec![],
    };
    let looked = invoker().read(&bound, &verify.read, &made, &args(more)).await;
    verify.judge(&looked.result.unwrap())
}

fn page(messages: Value, cursor: &str) -> Reply {
    Reply::Json(
        200,
        json!({ "ok": true, "messages": messages, "response_metadata": { "next_cursor": cursor } }),
    )
}

fn tagged(key: &str) -> Value {
    json!({ "ts": "1.2", "text": "t", "metadata": { "event_type": "cordon_message", "event_payload": { "key": key } } })
}

#[tokio::test]
async fn a_message_is_found_again_by_its_key_and_by_nothing_else() {
    let other = json!({ "ts": "1.1", "text": "key-1" });
    let forged = json!({ "ts": "1.1", "metadata": { "event_type": "somebody_else", "event_payload": { "key": "key-1" } } });
    for (messages, standing) in [
        (json!([other.clone(), tagged("key-1")]), Standing::InForce),
        (json!([other, forged, tagged("key-2")]), Standing::Absent),
        (json!([]), Standing::Absent),
    ] {
        let vendor = Vendor::start().await;
        vendor.on(HISTORY, page(messages, ""));
        assert_eq!(look(&vendor, json!({})).await, standing);
    }
}

#[tokio::test]
async fn older_pages_and_threads_are_looked_through() {
    let vendor = Vendor::start().await;
    vendor
        .on(HISTORY, page(json!([tagged("key-0")]), "older"))
        .on(HISTORY, page(json!([tagged("key-1")]), ""));
    assert_eq!(look(&vendor, json!({})).await, Standing::InForce);
    assert!(vendor.asked()[1].contains("cursor=older"), "{:?}", vendor.asked());
    let vendor = Vendor::start().await;
    vendor.on(REPLIES, page(json!([tagged("key-1")]), ""));
    assert_eq!(look(&vendor, json!({ "thread": "1.0" })).await, Standing::InForce);
    assert!(vendor.asked()[0].contains("ts=1.0"), "{:?}", vendor.asked());
}
