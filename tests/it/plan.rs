//! A plan walks a whole playbook over the state of now and changes nothing: the range's ledger is the witness.

use cordon::clock::Time;
use cordon::guardrail::Groups;
use cordon::intake::builtin_findings;
use cordon::range::{HostChange, Status};
use serde_json::{Value, json};

use crate::estate::{Setup, device, finding, range};
use crate::house::House;

const SCRIPT: &str = r#"
let hosts = finding.all("host");
note(`looking at ${hosts.len()}`);
let seen = endpoint::lookup(hosts[0]);
let results = each(hosts, |host| endpoint::isolate(host, #{ lease: "4h" }));
wait("2m");
let failed = results.filter(|one| !one.ok);
notify::oncall(#{ subject: `${failed.len()} failed`, severity: finding.severity });
let receipt = results[0].value;
if receipt.verified == "yes" { undo(receipt); }
if seen.result == 1 { note("never"); }
"#;

fn body(playbook: &str, hosts: &[&str]) -> Value {
    let bytes = serde_json::to_vec(&finding("f-1", hosts)).unwrap();
    let findings = builtin_findings("by-hand", &bytes, Time(0)).unwrap();
    json!({ "playbook": playbook, "finding": findings[0] })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_would_happen_to_each_target_and_only_reads() {
    let dir = tempfile::tempdir().unwrap();
    let range = range(&["web-07", "web-08", "dc-01"]).await;
    range
        .set_host(HostChange::of(device("web-08")).status(Status::Contained))
        .await
        .unwrap();
    let script = SCRIPT.replace("if seen.result == 1 { note(\"never\"); }\n", "");
    let house = House::open(dir.path(), range, Setup::new(&script)).await;
    let hosts = ["web-07", "web-08", "dc-01", "ghost-1"];
    let answer = house.way.post("/api/plan", body("malware-on-host", &hosts)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let plan = answer.body;
    assert_eq!(plan["end"], "returned", "{plan:#}");

    let steps = plan["steps"].as_array().unwrap();
    let calls: Vec<&str> = steps.iter().map(|step| step["call"].as_str().unwrap()).collect();
    let isolations = ["endpoint::isolate"; 4];
    let wanted = [
        &["note", "endpoint::lookup"][..],
        &isolations,
        &["wait", "notify::oncall", "undo"],
    ]
    .concat();
    assert_eq!(calls, wanted);
    assert_eq!(steps[1]["kind"], "read");
    let of = |n: usize| &steps[2 + n]["effects"][0];
    assert_eq!(of(0)["would"], "change");
    assert_eq!(of(0)["present"]["state"], "normal");
    assert_eq!(of(0)["target"]["id"], device("web-07"));
    assert_eq!(of(0)["undo"]["action"], "crowdstrike::lift_containment");
    assert_eq!(of(0)["lease_ms"], 14_400_000);
    assert_eq!(of(0)["verdict"]["decision"], "allow");
    assert_eq!(of(1)["would"], "already_so");
    assert_eq!(of(1)["undo"], Value::Null);
    assert_eq!(of(2)["would"], "not_done");
    assert_eq!(of(2)["verdict"]["decision"], "deny");
    assert!(of(2)["fault"].as_str().unwrap().contains("domain controllers"));
    assert_eq!(of(3)["would"], "not_done");
    assert!(of(3)["fault"].as_str().unwrap().contains("target-not-found"));
    // The script saw both refusals, and the receipt that the plan assumed.
    assert_eq!(steps[7]["args"][0]["subject"], "2 failed");
    assert_eq!(steps[8]["effects"][0]["action"], "crowdstrike::lift_containment");

    let ledger = house.estate.range.ledger();
    // Its own line is what this test did to a host by hand.
    let by_request = ledger.lines().iter().filter(|line| line.vendor != "range");
    let changed: Vec<_> = by_request.filter(|line| line.changed_state()).collect();
    assert!(changed.is_empty(), "{changed:?}");
    for host in hosts {
        assert_eq!(
            ledger.asked("contain", host) + ledger.asked("lift_containment", host),
            0,
            "{host}"
        );
    }
    assert_eq!(house.estate.range.host("web-07").unwrap().status, Status::Normal);
    assert!(plan["reads"].as_u64().unwrap() > 4, "{plan:#}");

    // Nothing of it is anywhere: no run, no hold, no message.
    assert_eq!(house.way.get("/api/runs").await.body["runs"], json!([]));
    assert_eq!(house.way.get("/api/contained").await.body["contained"], json!([]));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playbook_that_would_fail_fails_in_its_plan() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup::new("let host = finding.affected(\"host\");\nendpoint::isolate(host);\nthrow \"no\";");
    let house = House::open(dir.path(), range(&["dc-01"]).await, setup).await;
    let plan = house
        .way
        .post("/api/plan", body("malware-on-host", &["dc-01"]))
        .await;
    assert_eq!(plan.status, 200, "{}", plan.text);
    let failed = &plan.body["end"]["failed"];
    assert_eq!(
        (&failed["code"], &failed["line"]),
        (&json!("denied"), &json!(2)),
        "{failed}"
    );
    let unknown = house.way.post("/api/plan", body("nothing", &["dc-01"])).await;
    assert_eq!(unknown.status, 404);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_would_be_asked_is_part_of_a_plan() {
    let dir = tempfile::tempdir().unwrap();
    let script = "let host = finding.affected(\"host\");\n\
        let answer = approve(#{ ask: \"Isolate it?\", covers: [#{ action: \"endpoint::isolate\", target: host }], \
        by: \"leads\", quorum: 2, within: \"8h\" });\n\
        if answer.granted { endpoint::isolate(host); }";
    let mut setup = Setup::new(script);
    let leads = ["ben".to_owned(), "cleo".to_owned()].into();
    setup.policy.groups = Groups([("leads".to_owned(), leads)].into());
    let house = House::open(dir.path(), range(&["web-07"]).await, setup).await;
    let plan = house
        .way
        .post("/api/plan", body("malware-on-host", &["web-07"]))
        .await
        .body;
    assert_eq!(plan["end"], "returned", "{plan:#}");
    let asks = json!({ "ask": "Isolate it?", "by": "leads", "quorum": 2, "covers": 1 });
    assert_eq!(plan["steps"][0]["asks"], asks, "{plan:#}");
    assert_eq!(plan["steps"][1]["effects"][0]["would"], "change");
    let ledger = house.estate.range.ledger();
    assert!(ledger.lines().iter().all(|line| !line.changed_state()));
    let asked = house.way.get("/api/approvals").await.body;
    assert_eq!(asked["approvals"], json!([]), "{asked}");
    house.stop().await;
}
