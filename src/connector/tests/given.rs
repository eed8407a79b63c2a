//! What a script is given beside its target: settings, the moment, handles of secrets; and what becomes of the
//! secrets it returns.

use std::sync::Arc;

use serde_json::{Value, json};

use super::vendor::{Reply, Vendor, invoker, own};
use crate::action::{Done, Outcome};
use crate::connector::{Acted, Bound, Instance, Invoker, Settings};
use crate::secret::{Handle, SealingKey, Secret};
use crate::store::{Sealed, memory::MemoryStore};

const KEY: &str = "key-7";

fn at(vendor: &Vendor) -> Instance {
    Instance {
        name: "own".into(),
        base_url: Some(vendor.base.clone()),
        ..Instance::default()
    }
}

fn sealed() -> Sealed {
    Sealed::new(Arc::new(MemoryStore::new()), SealingKey::new([1; 32]))
}

async fn act(invoker: &Invoker, bound: &Bound, args: Value) -> Acted {
    let Value::Object(args) = args else {
        panic!("arguments are a map")
    };
    invoker.act(bound, None, &args, KEY).await
}

fn result(acted: &Acted) -> &Value {
    match &acted.outcome {
        Outcome::Done {
            how: Done::Acted,
            result,
        } => result,
        other => panic!("{other:?}"),
    }
}

const LOOK: &str = r#"
hosts = ["api.example.com"]
[settings]
site = "required"
zone = "optional"
pages = { default = 3 }
tags = { default = ["a", "b"] }
[actions.look]
title = "Looks"
class = "read"
permission = "none"
"#;

#[tokio::test]
async fn every_declared_setting_is_there_for_every_function() {
    let script = r#"
        fn pages() { settings.pages + 1 }
        fn look(target, args) {
            #{ done: true, result: #{
                site: settings.site, no_zone: settings.zone == (), pages: pages(), tags: settings.tags.len(), now: args.now,
            } }
        }
    "#;
    let vendor = Vendor::start().await;
    let instance = Instance {
        settings: Settings::from([("site".to_owned(), json!("berlin"))]),
        ..at(&vendor)
    };
    let bound = own(LOOK, script, instance);
    let acted = act(&invoker(), &bound, json!({})).await;
    let expected = json!({
        "site": "berlin", "no_zone": true, "pages": 4, "tags": 2, "now": "2023-11-14T22:13:20.000Z",
    });
    assert_eq!(result(&acted), &expected);
}

#[test]
fn a_setting_cannot_be_declared_again_by_a_script() {
    let script = "fn look(target, args) { let settings = 1; #{ done: true } }";
    let head = "name = \"own\"\ntitle = \"Own\"\nversion = \"1\"\n";
    let files = [
        ("connector.toml", format!("{head}{LOOK}")),
        ("actions.rhai", script.to_owned()),
    ];
    let files = files.map(|(name, text)| (name.to_owned(), text)).into();
    let found = crate::connector::Connector::parse(&files, "connectors/own").unwrap_err();
    assert_eq!(found[0].code, "P005");
}

const ROTATE: &str = r#"
hosts = ["api.example.com"]
[actions.rotate]
title = "Rotates"
class = "keyed"
irreversible = true
permission = "rotate"
secret = ["result.password", "result.absent"]
args = { old = "optional", more = "optional" }
"#;
const ROTATES: &str = r#"
    fn rotate(target, args) {
        let answer = http::post("/rotate", #{ json: #{ old: args.get("old", ()), more: args.get("more", ()) } });
        #{ done: true, result: #{ id: "s-1", password: answer.body.password } }
    }
"#;

#[tokio::test]
async fn a_secret_result_is_sealed_and_its_handle_can_be_sent_on() {
    let vendor = Vendor::start().await;
    let word = "hunter2-made-by-the-vendor";
    vendor.on("POST /rotate", Reply::Json(200, json!({ "password": word })));
    let bound = own(ROTATE, ROTATES, at(&vendor));
    let sealed = sealed();
    let invoker = invoker().keeping_secrets(sealed.clone());
    let acted = act(&invoker, &bound, json!({})).await;
    let handle = "result/key-7/password";
    assert_eq!(
        result(&acted),
        &json!({ "id": "s-1", "password": { "secret": handle } })
    );
    assert!(!format!("{acted:?}").contains("hunter2"));
    let kept = sealed.get(&Handle(handle.to_owned())).await.unwrap().unwrap();
    assert_eq!(kept.expose(), word);

    let again = act(&invoker, &bound, json!({ "old": { "secret": handle } })).await;
    assert!(!format!("{again:?}").contains("hunter2"));
    assert_eq!(
        vendor.seen()[1].body,
        format!("{{\"more\":null,\"old\":\"{word}\"}}")
    );
    let unknown = act(
        &invoker,
        &bound,
        json!({ "old": { "secret": "result/other/password" } }),
    )
    .await;
    assert!(
        matches!(&unknown.outcome, Outcome::NotDone { fault, .. } if fault.code == "secret-not-found"),
        "{unknown:?}"
    );
    assert_eq!(vendor.seen().len(), 2);
}

#[tokio::test]
async fn a_secret_that_cannot_be_kept_leaves_the_outcome_unknown() {
    let vendor = Vendor::start().await;
    vendor.on(
        "POST /rotate",
        Reply::Json(200, json!({ "password": "hunter2-again" })),
    );
    let acted = act(&invoker(), &own(ROTATE, ROTATES, at(&vendor)), json!({})).await;
    assert!(
        matches!(&acted.outcome, Outcome::Unknown { fault } if fault.code == "secret-not-kept"),
        "{acted:?}"
    );
    assert!(!format!("{acted:?}").contains("hunter2"));
}

#[tokio::test]
async fn an_argument_cannot_ask_for_a_credential() {
    let vendor = Vendor::start().await;
    let instance = Instance {
        credentials: [("token".to_owned(), Secret::new("hunter2-of-the-account"))].into(),
        ..at(&vendor)
    };
    let bound = own(ROTATE, ROTATES, instance);
    let hostile = json!({ "more": [{ "deep": { "credential": "token" } }] });
    let acted = act(&invoker(), &bound, hostile).await;
    assert!(
        matches!(&acted.outcome, Outcome::NotDone { fault, .. } if fault.code == "bad-argument"),
        "{acted:?}"
    );
    assert!(vendor.seen().is_empty());
}

#[tokio::test]
async fn a_post_reads_where_its_header_says_so() {
    let manifest = r#"
        hosts = ["api.example.com"]
        [http]
        reads_header = { name = "X-Amz-Target", values = ["s.Describe"] }
        [actions.look]
        title = "Looks"
        class = "read"
        permission = "none"
        args = { target = "required" }
    "#;
    let script = r#"
        fn look(target, args) {
            let answer = http::post("/", #{ headers: args.target, json: #{} });
            #{ done: true, result: answer.body }
        }
    "#;
    let vendor = Vendor::start().await;
    vendor.on("POST /", Reply::Json(200, json!("read")));
    let bound = own(manifest, script, at(&vendor));
    let read = act(
        &invoker(),
        &bound,
        json!({ "target": { "x-amz-target": "s.Describe" } }),
    )
    .await;
    assert_eq!(result(&read), "read");
    for headers in [
        json!({ "x-amz-target": "s.Delete" }),
        json!({}),
        json!({ "x-amz-target": ["s.Describe", "s.Delete"] }),
    ] {
        let acted = act(&invoker(), &bound, json!({ "target": headers })).await;
        assert!(matches!(acted.outcome, Outcome::NotDone { .. }), "{acted:?}");
    }
    assert_eq!(vendor.seen().len(), 1);
}

#[tokio::test]
async fn an_answer_in_xml_reads_as_maps() {
    let script = r#"
        fn look(target, args) {
            let body = http::get("/").body;
            #{ done: true, result: body.Answer.Keys.member[0].Id }
        }
    "#;
    let vendor = Vendor::start().await;
    let xml = "<?xml version=\"1.0\"?><Answer><Keys><member><Id>k-1</Id></member></Keys></Answer>";
    vendor.on(
        "GET /",
        Reply::Text(200, "text/xml; charset=utf-8", xml.to_owned()),
    );
    let instance = Instance {
        settings: Settings::from([("site".to_owned(), json!("berlin"))]),
        ..at(&vendor)
    };
    let acted = act(&invoker(), &own(LOOK, script, instance), json!({})).await;
    assert_eq!(result(&acted), "k-1");
}
