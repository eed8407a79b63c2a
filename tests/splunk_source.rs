//! The Splunk connector's `source.rhai` against alerts in Splunk's shape. Runs the script in an engine with the
//! settings of the script room, so that the mapping is tested apart from it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use cordon::clock::Time;
use cordon::finding::{Activity, Finding, SeverityId};
use cordon::intake::{Context, Unreadable, from_drafts, items};
use rhai::packages::{
    ArithmeticPackage, BasicArrayPackage, BasicFnPackage, BasicIteratorPackage, BasicMapPackage,
    BasicMathPackage, BasicStringPackage, LogicPackage, MoreStringPackage, Package,
};
use rhai::serde::{from_dynamic, to_dynamic};
use rhai::{Array, Dynamic, Engine, Map, OptimizationLevel, Scope};
use serde_json::Value;

const RECEIVED: Time = Time(1_795_000_100_000);

fn file(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn engine() -> Engine {
    let mut engine = Engine::new_raw();
    for package in [
        ArithmeticPackage::new().as_shared_module(),
        BasicStringPackage::new().as_shared_module(),
        MoreStringPackage::new().as_shared_module(),
        BasicIteratorPackage::new().as_shared_module(),
        BasicFnPackage::new().as_shared_module(),
        LogicPackage::new().as_shared_module(),
        BasicMathPackage::new().as_shared_module(),
        BasicArrayPackage::new().as_shared_module(),
        BasicMapPackage::new().as_shared_module(),
    ] {
        engine.register_global_module(package);
    }
    engine
        .set_optimization_level(OptimizationLevel::None)
        .set_strict_variables(true)
        .set_fail_on_invalid_map_property(true)
        .set_max_expr_depths(64, 32)
        .set_max_operations(1_000_000);
    engine
}

fn normalise(alert: &Value) -> Result<Vec<Finding>, Unreadable> {
    let engine = engine();
    let program = engine.compile(file("connectors/splunk/source.rhai")).unwrap();
    let raw: Dynamic = to_dynamic(alert).unwrap();
    let drafts = engine
        .call_fn::<Array>(&mut Scope::new(), &program, "normalise", (raw, Map::new()))
        .map_err(|error| Unreadable::because(error.to_string()))?;
    let drafts = drafts
        .iter()
        .map(|draft| from_dynamic::<Value>(draft).unwrap())
        .collect();
    from_drafts(
        "splunk",
        drafts,
        &Context {
            received: RECEIVED,
            alert,
        },
    )
}

fn alert(name: &str) -> Value {
    items(file(&format!("tests/data/alerts/splunk/{name}.json")).as_bytes())
        .unwrap()
        .remove(0)
}

fn finding(name: &str) -> Finding {
    normalise(&alert(name)).unwrap().remove(0)
}

fn who(finding: &Finding) -> Vec<String> {
    let mut who: Vec<String> = finding
        .entities
        .iter()
        .map(|entity| format!("{} {} {}", entity.role.word(), entity.kind.word(), entity.name))
        .collect();
    who.sort();
    who
}

#[test]
fn a_saved_search_names_its_host_and_its_attacker() {
    let finding = finding("saved_search");
    assert_eq!(
        who(&finding),
        [
            "actor ip 198.51.100.7",
            "affected host web-07.corp.example",
            "affected user CORP\\jdoe",
            "observed file 275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f",
            "observed ip 192.0.2.20",
        ]
    );
    assert_eq!(
        (finding.severity_id, finding.severity.as_str()),
        (SeverityId(4), "4")
    );
    assert_eq!(finding.time, Time(1_795_000_000_250));
    assert_eq!(finding.rule.uid, "Malware on endpoint");
    let techniques: Vec<&str> = finding
        .attack
        .iter()
        .map(|attack| attack.technique.as_str())
        .collect();
    assert_eq!(techniques, ["T1204.002", "T1059"]);
    assert_eq!(
        finding.raw.pointer("/result/sourcetype").and_then(Value::as_str),
        Some("av")
    );
}

#[test]
fn a_notable_brings_its_own_id_urgency_and_kind_of_account() {
    let finding = finding("notable");
    assert_eq!(
        finding.uid,
        "6D1C0F7A-2B1E-4B7C-9B53-0A4D4E1F9A11@@notable@@4f1c2d"
    );
    assert_eq!(finding.severity_id, SeverityId(5));
    assert_eq!(finding.time, Time(1_794_990_400_000));
    assert_eq!(
        who(&finding),
        [
            "actor ip 203.0.113.9",
            "affected host db-01",
            "affected service_account svc-backup",
            "observed host jump-01"
        ]
    );
    assert_eq!(finding.entities_left_out, 1, "`unknown` is counted");
}

#[test]
fn placeholders_and_the_log_server_are_nobody() {
    let finding = finding("placeholders");
    assert_eq!(who(&finding), ["observed user SYSTEM", "observed user WEB07$"]);
    assert_eq!(finding.title, "Splunk alert");
    assert_eq!(finding.url, "");
    assert_eq!(finding.time, RECEIVED);
    assert_eq!(finding.severity_id, SeverityId::UNKNOWN);
}

#[test]
fn a_closed_notable_about_traffic_starts_nothing_and_affects_nobody() {
    let finding = finding("closed_notable");
    assert_eq!(finding.activity, Activity::Close);
    assert_eq!(
        who(&finding),
        ["actor ip 10.1.2.3", "observed host c2.example.net"]
    );
}

#[test]
fn a_redelivery_is_the_same_finding_and_the_next_run_of_the_search_another() {
    let first = finding("saved_search");
    assert_eq!(first.id, finding("saved_search").id);
    let mut next = alert("saved_search");
    next["sid"] = Value::from("scheduler__soc__search__RMD5a1f_at_1795000300_78");
    assert_ne!(first.id, normalise(&next).unwrap()[0].id);
    let mut row = alert("saved_search");
    row["result"]["user"] = Value::from("CORP\\asmith");
    assert_ne!(first.id, normalise(&row).unwrap()[0].id);
}

#[test]
fn what_is_not_of_splunk_is_unreadable() {
    assert!(normalise(&serde_json::json!({"title": "x"})).is_err());
}

#[test]
fn a_trigger_reads_our_fields_and_splunk_s_own_side_by_side() {
    let source = "title: Service account logs on interactively\n\
        logsource: { product: cordon, category: finding }\n\
        detection:\n  \
          who: { affected.type: service_account, severity_id|gte: 4 }\n  \
          where: { raw.result.user_category: SERVICE, rule.name|startswith: 'Access - ' }\n  \
          condition: who and where\n\
        cordon: { key: [affected.uid], window: 4h }\n";
    let trigger = cordon::trigger::Trigger::load("trigger.yml", source, "compromised-service-account");
    let index = cordon::trigger::Index::build(vec![trigger.unwrap()]);
    let notable = finding("notable");
    let matches = index.matches(&notable);
    assert_eq!(matches.len(), 1);
    assert_eq!(
        serde_json::to_value(&matches[0].key).unwrap()[0][1],
        serde_json::json!(["db-01", "svc-backup"])
    );
    assert!(index.matches(&finding("saved_search")).is_empty());
}
