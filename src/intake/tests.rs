use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::clock::Time;
use crate::finding::{Activity, EntityType, Finding, Role, SeverityId};
use crate::limits;

const RECEIVED: Time = Time(1_795_000_100_000);

fn fixture(path: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn one(body: &[u8]) -> Finding {
    let mut found = builtin_findings("siem", body, RECEIVED).unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

/// `role type name`, sorted.
fn who(finding: &Finding) -> Vec<String> {
    let mut who: Vec<String> = finding
        .entities
        .iter()
        .map(|entity| format!("{} {} {}", entity.role.word(), entity.kind.word(), entity.name))
        .collect();
    who.sort();
    who
}

fn reason(body: &[u8]) -> String {
    builtin_findings("siem", body, RECEIVED).unwrap_err().to_string()
}

#[test]
fn our_own_format_is_read() {
    let finding = one(&fixture("alerts/cordon/finding.json"));
    assert_eq!(finding.uid, "edr-4711");
    assert_eq!(finding.id, Finding::id_for("siem", "edr-4711"));
    assert_eq!(
        (finding.severity_id, finding.severity.as_str()),
        (SeverityId(4), "High")
    );
    assert_eq!(finding.time, Time::parse("2026-11-18T08:26:40Z").unwrap());
    assert_eq!(
        who(&finding),
        ["affected host build-03", "affected service_account svc-build"]
    );
    assert_eq!(
        finding.entities[0].ids,
        BTreeMap::from([("crowdstrike".to_owned(), "aid-6f1a".to_owned())])
    );
    assert_eq!(finding.entities_left_out, 1);
    assert_eq!(finding.raw, json!({"pipeline": "nightly"}));
}

#[test]
fn an_ocsf_finding_keeps_who_is_who() {
    let finding = one(&fixture("alerts/ocsf/compromised_key.json"));
    assert_eq!(
        who(&finding),
        [
            // The service account and its key stand where an actor does, but are in somebody's hands.
            "actor ip 203.0.113.9",
            "actor user jdoe",
            "affected access_key AKIAEXAMPLE1",
            "affected resource ledger",
            "affected service_account svc-ledger",
            "observed file 275a021bbfb6489e54d471899f7db9d1",
            "observed host dns-01.corp.example",
            "observed host gate-01",
            "observed host gate-02",
            "observed ip 192.0.2.53",
        ]
    );
    assert_eq!(finding.rule.uid, "RULE-12");
    assert_eq!(finding.product, "Cloud Watchtower");
    assert_eq!(
        (
            finding.attack[0].technique.as_str(),
            finding.attack[0].tactic.as_str()
        ),
        ("T1078.004", "TA0001")
    );
    assert_eq!(finding.activity, Activity::Create);
}

#[test]
fn an_ocsf_finding_that_is_over_or_unclear_is_not_new() {
    let event: Value = serde_json::from_slice(&fixture("alerts/ocsf/compromised_key.json")).unwrap();
    for (field, value, expected) in [
        ("activity_id", json!(2), Activity::Update),
        ("activity_id", json!(3), Activity::Close),
        ("activity_id", json!(0), Activity::Update),
        ("activity_id", json!(99), Activity::Update),
        ("activity_id", json!("1"), Activity::Create),
        ("status_id", json!(4), Activity::Close),
        ("status_id", json!(3), Activity::Close),
        ("verdict_id", json!(1), Activity::Close),
    ] {
        let mut event = event.clone();
        event[field] = value.clone();
        assert_eq!(
            builtin("s", &event, RECEIVED).unwrap()[0].activity,
            expected,
            "{field} {value}"
        );
    }
    let mut event = event;
    event.as_object_mut().unwrap().remove("activity_id");
    event["type_uid"] = json!(200_400);
    assert_eq!(
        builtin("s", &event, RECEIVED).unwrap()[0].activity,
        Activity::Update
    );
}

#[test]
fn the_only_device_of_all_evidence_is_where_it_happened() {
    let mut event: Value = serde_json::from_slice(&fixture("alerts/ocsf/compromised_key.json")).unwrap();
    event["evidences"][1]["device"]["hostname"] = json!("GATE-01");
    let finding = builtin("s", &event, RECEIVED).unwrap().remove(0);
    assert!(who(&finding).contains(&"affected host gate-01".to_owned()));
    event["evidences"][0]["verdict_id"] = json!(5);
    event["evidences"][1]["verdict_id"] = json!(5);
    let finding = builtin("s", &event, RECEIVED).unwrap().remove(0);
    assert_eq!(
        finding.with_role(Role::Actor).count(),
        0,
        "what the sender cleared incriminates nobody"
    );
    assert_eq!(
        who(&finding)
            .iter()
            .filter(|who| who.starts_with("affected"))
            .count(),
        1,
        "{:?}",
        who(&finding)
    );
}

#[test]
fn other_classes_and_unknown_formats_say_why_they_start_nothing() {
    for (body, expected) in [
        (
            r#"{"class_uid": 2003, "finding_info": {"title": "t", "uid": "u"}}"#,
            "compliance",
        ),
        (r#"{"class_uid": 3002}"#, "class 3002"),
        (r#"{"class_uid": "2004"}"#, "without a `class_uid` number"),
        (r#"{"class_uid": 2004}"#, "without `finding_info`"),
        (r#"{"alert": "x"}"#, "neither a Cordon finding"),
        (r#"{"title": "n/a"}"#, "no title"),
        (r#"{"title": "t", "activity": "closed"}"#, "`activity`"),
        (r#"{"title": "t", "severity_id": 7}"#, "`severity_id`"),
        (
            r#"{"title": "t", "entities": [{"type": "hosts", "role": "affected", "name": "a"}]}"#,
            "did you mean `host`",
        ),
        (
            r#"{"title": "t", "entities": [{"type": "host", "role": "victim", "name": "a"}]}"#,
            "`victim` is no role",
        ),
        (r#"["text"]"#, "an alert is an object"),
        ("", "empty"),
        ("  \n", "empty"),
    ] {
        assert!(
            reason(body.as_bytes()).contains(expected),
            "{body}: {}",
            reason(body.as_bytes())
        );
    }
}

#[test]
fn a_control_message_is_no_finding() {
    for body in [
        r#"{"type": "ping"}"#,
        r#"{"type": "heartbeat", "at": 1}"#,
        "[]",
        r#"{"findings": []}"#,
    ] {
        assert_eq!(
            builtin_findings("s", body.as_bytes(), RECEIVED),
            Ok(vec![]),
            "{body}"
        );
    }
    let alert = r#"{"type": "ping", "title": "ping of death"}"#;
    assert_eq!(
        builtin_findings("s", alert.as_bytes(), RECEIVED).unwrap().len(),
        1
    );
}

#[test]
fn batches_in_every_wrapper_keep_their_order() {
    for body in [
        r#"[{"title":"a"},{"title":"b"}]"#,
        r#"{"findings":[{"title":"a"},{"title":"b"}]}"#,
        "{\"title\":\"a\"}\n{\"title\":\"b\"}\n",
        r#"[{"findings":[{"title":"a"}]},[[{"title":"b"}]]]"#,
    ] {
        let found = builtin_findings("s", body.as_bytes(), RECEIVED).unwrap();
        assert_eq!(
            found.iter().map(|f| f.title.as_str()).collect::<Vec<_>>(),
            ["a", "b"],
            "{body}"
        );
    }
    let deep = format!("{}{{\"title\":\"a\"}}{}", "[".repeat(20), "]".repeat(20));
    assert!(reason(deep.as_bytes()).contains("wrappers"));
    let many = format!(
        "[{}]",
        vec![r#"{"title":"a"}"#; limits::FINDINGS_PER_ALERT_MAX + 1].join(",")
    );
    assert!(reason(many.as_bytes()).contains("more than 500"));
}

#[test]
fn a_missing_id_is_made_of_what_the_finding_says() {
    let id = |body: &str| one(body.as_bytes()).id;
    assert_eq!(
        id(r#"{"title":"a","severity":"low"}"#),
        id(r#"{ "severity":"low", "title":"a" }"#)
    );
    assert_ne!(id(r#"{"title":"a"}"#), id(r#"{"title":"b"}"#));
    assert_ne!(id(r#"{"title":"a","x":1}"#), id(r#"{"title":"a","x":2}"#));
    assert_eq!(
        id(r#"{"title":"a","uid":"n/a"}"#),
        id(r#"{"title":"a","uid":"n/a"}"#)
    );
    let long = |last: char| format!(r#"{{"title":"a","uid":"{}{last}"}}"#, "x".repeat(5_000));
    assert_ne!(id(&long('1')), id(&long('2')), "two long ids do not become one");
}

#[test]
fn what_people_read_is_short_and_cannot_move_a_cursor() {
    let body = json!({
        "title": format!("\u{202e}a\u{1b}[2J\nb{}", "x".repeat(5_000)),
        "url": "javascript:alert(1)",
        "time": "yesterday",
    });
    let finding = one(body.to_string().as_bytes());
    assert!(finding.title.starts_with("a[2J bx"), "{}", &finding.title[..20]);
    assert_eq!(finding.title.chars().count(), limits::ALERT_TEXT_CHARS_MAX);
    assert_eq!(finding.url, "");
    assert_eq!(finding.time, RECEIVED);
}

#[test]
fn a_damaged_name_becomes_no_target() {
    let entity =
        |name: Value, uid: Value| json!({"type": "host", "role": "affected", "name": name, "uid": uid});
    let body = json!({"title": "t", "entities": [
        entity(json!("web\n07"), json!(null)),
        entity(json!("web-07"), json!("6f\u{0}1a")),
        entity(json!("unknown"), json!("-")),
        entity(json!({"a": 1}), json!(null)),
        entity(json!("x".repeat(2_000)), json!(null)),
        entity(json!("n/a"), json!("6f1a")),
        entity(json!("web-08"), json!("n/a")),
        entity(json!("WEB-08"), json!("web-08")),
    ]});
    let finding = one(body.to_string().as_bytes());
    assert_eq!(who(&finding), ["affected host 6f1a", "affected host web-08"]);
    assert_eq!(finding.entities_left_out, 5);
}

#[test]
fn too_many_entities_are_counted_not_kept() {
    let entities: Vec<Value> = (0..1_200)
        .map(|n| json!({"type": "host", "role": "affected", "name": format!("web-{n}")}))
        .collect();
    let finding = one(json!({"title": "t", "entities": entities}).to_string().as_bytes());
    assert_eq!(
        (finding.entities.len(), finding.entities_left_out),
        (limits::ENTITIES_PER_FINDING_MAX, 200)
    );
}

#[test]
fn a_script_s_draft_is_held_to_its_contract() {
    let alert = json!({"a": 1});
    let context = Context {
        received: RECEIVED,
        alert: &alert,
    };
    let wrong = |draft: Value| from_drafts("s", vec![draft], &context).unwrap_err().reason;
    assert!(wrong(json!({"title": "t", "entites": []})).contains("did you mean `entities`"));
    assert!(
        wrong(json!({"title": "t", "entities": [{"type": "host", "role": "actor", "nme": "a"}]}))
            .contains("`nme`")
    );
    assert!(wrong(json!("t")).contains("not an object"));
    assert!(wrong(json!({"title": "t", "uid_parts": []})).contains("uid_parts"));
    assert_eq!(from_drafts("s", vec![], &context), Ok(vec![]));
    let single = from_drafts(
        "s",
        vec![json!({"title": "t", "uid_parts": ["sid", {"b": 1, "a": 2}]})],
        &context,
    )
    .unwrap();
    let again = from_drafts(
        "s",
        vec![json!({"title": "u", "uid_parts": ["sid", {"a": 2, "b": 1}]})],
        &context,
    )
    .unwrap();
    assert_eq!(single[0].id, again[0].id, "only the parts make the id");
    assert_eq!(single[0].raw, alert);
    let two = from_drafts(
        "s",
        vec![json!({"title": "t"}), json!({"title": "u", "raw": {"b": 2}})],
        &context,
    )
    .unwrap();
    assert_eq!((&two[0].raw, &two[1].raw), (&Value::Null, &json!({"b": 2})));
}

#[test]
fn attack_references_are_found_in_their_spellings() {
    let body = json!({"title": "t", "attack": ["TA0043-T1595", "attack.t1059.001", "T1111 - Name", "TA0001", "Custom Intelligence", "", "n/a"]});
    let finding = one(body.to_string().as_bytes());
    let found: Vec<(&str, &str)> = finding
        .attack
        .iter()
        .map(|a| (a.technique.as_str(), a.tactic.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("T1595", "TA0043"),
            ("T1059.001", ""),
            ("T1111", ""),
            ("", "TA0001"),
            ("Custom Intelligence", "")
        ]
    );
}

// Strict JSON.

#[test]
fn no_digit_of_a_number_is_lost() {
    let value = parse(br#"[9007199254740991, 9007199254740992, -9007199254740993, 18446744073709551616, 1.5, -0, 1e3, -2.9637166173858926e-195, 123456789012345678901234567890]"#).unwrap();
    assert_eq!(
        value,
        json!([
            9_007_199_254_740_991_i64,
            "9007199254740992",
            "-9007199254740993",
            "18446744073709551616",
            1.5,
            0,
            1000.0,
            -2.9637166173858926e-195,
            "123456789012345678901234567890"
        ])
    );
}

#[test]
fn what_is_not_strict_json_says_where_and_why() {
    for (body, line, column, expected) in [
        (&b"{\"a\":1,\n \"a\":2}"[..], 2, 2, "`a` is here twice"),
        (b"{\"a\":1,\"\\u0061\":2}", 1, 8, "`a` is here twice"),
        (b"{\"a\":1} x", 1, 9, "after the end"),
        (b"{\"a\":\xff}", 1, 6, "UTF-8"),
        (b"{\"a\":01}", 1, 6, "number"),
        (b"{\"a\":1e999}", 1, 6, "number"),
        (b"{\"a\":\"\n\"}", 1, 6, "escape or character"),
        (b"{\"a\":\"\\ud800\"}", 1, 6, "escape or character"),
        (b"{\"a\":nul}", 1, 6, "not JSON"),
        (b"{\"a\":1", 1, 7, "comma or `}`"),
        (b"{\"a\":\"x", 1, 6, "closing quote"),
        (b"{\"a\":\"x\\\"", 1, 6, "closing quote"),
        (b"{'a':1}", 1, 2, "name in quotes"),
        (b"[1,]", 1, 4, "not JSON"),
        (b"NaN", 1, 1, "not JSON"),
        (b"\xef\xbb\xbf{}", 1, 1, "not JSON"),
    ] {
        let error = parse(body).unwrap_err();
        assert!(
            error.reason.contains(expected),
            "{}: {error}",
            String::from_utf8_lossy(body)
        );
        assert_eq!(
            (error.line, error.column),
            (line, column),
            "{}",
            String::from_utf8_lossy(body)
        );
    }
}

#[test]
fn depth_and_size_are_bounded() {
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(parse(nested(limits::JSON_DEPTH_MAX).as_bytes()).is_ok());
    assert!(
        parse(nested(100_000).as_bytes())
            .unwrap_err()
            .reason
            .contains("deeper")
    );
    let wide = |n: usize| format!("[{}]", vec!["0"; n].join(","));
    assert!(parse(wide(limits::JSON_NODES_MAX - 1).as_bytes()).is_ok());
    assert!(
        parse(wide(limits::JSON_NODES_MAX).as_bytes())
            .unwrap_err()
            .reason
            .contains("more than")
    );
    let lines = "{}\n".repeat(limits::JSON_NODES_MAX + 1);
    assert!(
        parse_several(lines.as_bytes())
            .unwrap_err()
            .reason
            .contains("more than")
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-(1_i64 << 53) + 1..1_i64 << 53).prop_map(Value::from),
        any::<f64>()
            .prop_filter("finite", |f| f.is_finite())
            .prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_serde_json_writes_is_read_back(value in any_json()) {
        prop_assert_eq!(parse(value.to_string().as_bytes()).unwrap(), value.clone());
        prop_assert_eq!(parse(serde_json::to_string_pretty(&value).unwrap().as_bytes()).unwrap(), value);
    }

    #[test]
    fn what_we_accept_serde_json_accepts_too(text in "[\\[\\]{}:,\"\\\\/a-eu0-9 .eE+\\-\ntrfalsn]{0,40}") {
        let ours = parse(text.as_bytes());
        let theirs = serde_json::from_str::<Value>(&text);
        if ours.is_ok() {
            prop_assert!(theirs.is_ok(), "{}", text);
        } else if let Ok(theirs) = theirs {
            // The one thing we refuse besides bounds: a name that is there twice.
            prop_assert!(ours.unwrap_err().reason.contains("twice"), "{} {}", text, theirs);
        }
    }

    #[test]
    fn a_mutated_alert_is_a_finding_or_unreadable_but_never_a_panic(
        which in 0_usize..2,
        at in 0_usize..2_000,
        put in prop::collection::vec(any::<u8>(), 0..6),
        cut in 0_usize..30,
    ) {
        let mut body = fixture(["alerts/cordon/finding.json", "alerts/ocsf/compromised_key.json"][which]);
        let start = at.min(body.len());
        let end = (start + cut).min(body.len());
        body.splice(start..end, put);
        match builtin_findings("siem", &body, RECEIVED) {
            Ok(found) => for finding in found {
                prop_assert!(finding.entities.iter().all(|entity| entity.is_real()));
                prop_assert!(finding.title.chars().count() <= limits::ALERT_TEXT_CHARS_MAX);
            },
            Err(error) => prop_assert!(!error.reason.is_empty()),
        }
    }
}

#[test]
fn a_broken_body_is_told_apart_by_its_reason() {
    let whole = fixture("alerts/ocsf/compromised_key.json");
    for n in 1..whole.trim_ascii_end().len() {
        assert!(
            builtin_findings("s", &whole[..n], RECEIVED).is_err(),
            "cut at {n}"
        );
    }
    assert!(reason(&[whole.as_slice(), b"\xc3\x28"].concat()).contains("UTF-8"));
    assert!(reason(&[whole.as_slice(), b"garbage"].concat()).contains("after the end"));
    let text = String::from_utf8(whole).unwrap();
    assert!(reason(text.replacen("\"time\"", "\"class_uid\"", 1).as_bytes()).contains("twice"));
    let deep = format!(
        "{{\"title\":\"t\",\"x\":{}1{}}}",
        "[".repeat(500),
        "]".repeat(500)
    );
    assert!(reason(deep.as_bytes()).contains("deeper"));
}

#[test]
fn values_are_only_read_as_their_type() {
    let finding = one(br#"{"title":"t","uid":12345678901234567890,"entities":[{"type":"access_key","role":"affected","name":9007199254740993}]}"#);
    assert_eq!(finding.uid, "12345678901234567890");
    assert_eq!(
        (finding.entities[0].kind, finding.entities[0].name.as_str()),
        (EntityType::AccessKey, "9007199254740993")
    );
}
