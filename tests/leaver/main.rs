//! A leaver whose run is killed half way: after the restart it goes on where it was, does nothing twice, and its
//! reconciliation names what is left over. The server is a child that is killed with SIGKILL; the vendors are the range,
//! which lives on in this process and is the witness.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic: that is how it fails"
)]

#[allow(dead_code, reason = "shared with the crash tests, which use more of it")]
#[path = "../crash/server.rs"]
mod server;

use std::path::Path;
use std::time::Duration;

use cordon::range::{Fault, FaultKind, KeyStatus, Range, RangeConfig, RunningRange, UserStatus};
use serde_json::{Value, json};
use server::Server;

/// The key that AWS does not let go of.
const STUBBORN: &str = "AKIARANGE00000ANA001";
const KEY: &str = "a key for tests, not secret";
/// How long the run may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(60);

async fn range() -> RunningRange {
    Range::start(RangeConfig::example(&[])).await.unwrap()
}

fn write(dir: &Path, range: &RunningRange) {
    let example = RangeConfig::example(&[]);
    for (name, text) in [
        ("key", KEY),
        ("okta", example.okta.token.expose()),
        ("aws", example.aws.secret_access_key.expose()),
    ] {
        std::fs::write(dir.join(name), text).unwrap();
    }
    std::fs::write(dir.join("aws-id"), &example.aws.access_key_id).unwrap();
    let url = range.base_url();
    let short = "lag = \"200ms\"\nin_flight = \"300ms\"\npropagation = \"2s\"\ntimeout = \"2s\"";
    let aws = "credentials = { access_key_id = \"file:aws-id\", secret_access_key = \"file:aws\" }";
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:0"
[store]
url = "sqlite:cordon.db"
[[source]]
name = "hr"
use = "generic"
auth = {{ kind = "header", header = "x-cordon-key", secrets = ["file:key"] }}
[connectors.okta]
base_url = "{url}"
credentials = {{ token = "file:okta" }}
{short}
[connectors.aws]
base_url = "{url}"
{aws}
{short}
[connectors.secretsmanager]
base_url = "{url}"
settings = {{ region = "us-east-1" }}
{aws}
{short}
[identities.ana]
type = "user"
aliases = ["ana@corp.example"]
aws = "ana"
"#
    );
    std::fs::write(dir.join("cordon.toml"), text).unwrap();
}

/// What the range carried out that changes something at a vendor's, as `(action, target)`.
fn changes(range: &RunningRange) -> Vec<(String, String)> {
    const CHANGES: [&str; 6] = [
        "suspend",
        "clear_sessions",
        "revoke_token",
        "revoke_api_token",
        "UpdateAccessKey",
        "RotateSecret",
    ];
    range
        .ledger()
        .lines()
        .iter()
        .filter(|line| line.applied && line.vendor != "range" && CHANGES.contains(&line.action.as_str()))
        .map(|line| (line.action.clone(), line.target.clone().unwrap_or_default()))
        .collect()
}

async fn get(client: &reqwest::Client, server: &Server, token: &str, path: &str) -> Value {
    let answer = client
        .get(format!("{}{path}", server.url))
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaver_killed_half_way_finishes_after_restart_and_names_what_is_left() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let range = range().await;
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &range);
    let denied = json!({ "Error": { "Code": "AccessDenied" } });
    let refuse = FaultKind::Fail {
        status: 403,
        body: denied,
    };
    range
        .fault(
            Fault::on_action("UpdateAccessKey", refuse)
                .target(STUBBORN)
                .times(50),
        )
        .unwrap();

    let mut server = Server::start(dir.path(), None, None).await.unwrap().unwrap();
    let token = server.token.clone().unwrap();
    let finding = json!({
        "title": "Ana left", "severity": "informational", "uid": "hr-4711",
        "rule": { "uid": "leaver", "name": "Leaver" },
        "entities": [
            { "type": "user", "role": "affected", "name": "ana@corp.example" },
            { "type": "resource", "role": "affected", "name": "prod/warehouse" },
        ],
    });
    let sent = client
        .post(format!("{}/hooks/hr", server.url))
        .header("x-cordon-key", KEY)
        .json(&finding)
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 202);

    // Half way: the account is suspended, and not everything after it is done.
    tokio::time::timeout(PATIENCE, async {
        while changes(&range).is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("nothing happened: {}", server.last_words()));
    server.kill().await.unwrap();
    let before = changes(&range);
    assert_eq!(before[0].0, "suspend", "{before:?}");
    assert!(
        !before.iter().any(|(action, _)| action == "revoke_api_token"),
        "killed too late to be half way: {before:?}"
    );

    let mut server = Server::start(dir.path(), None, None).await.unwrap().unwrap();
    let settled = tokio::time::timeout(PATIENCE, async {
        loop {
            let runs = get(&client, &server, &token, "/api/runs").await;
            let run = runs["runs"][0].clone();
            if run["status"] == "settled" {
                return run;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("the run does not end: {}", server.last_words()));
    assert_eq!(settled["end"], "kept", "{settled}");

    let path = format!("/api/runs/{}", settled["id"].as_str().unwrap());
    let run = get(&client, &server, &token, &path).await;
    let events = run["events"].as_array().unwrap();
    let failed = events
        .iter()
        .find_map(|entry| entry["event"].get("script_failed"))
        .unwrap_or_else(|| panic!("{run:#}"));
    let report = &failed["fault"]["data"];
    let left: Vec<&str> = report["left_over"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["what"].as_str())
        .collect();
    assert_eq!(left, [format!("key {STUBBORN}")], "{report:#}");
    let verified: Vec<&str> = report["verified"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(verified.contains(&"account ana@corp.example"), "{report:#}");
    assert!(verified.contains(&"secret prod/warehouse"), "{report:#}");

    // The witness: everything once, and what is left over is what the report says.
    let all = changes(&range);
    for change in &all {
        let times = all.iter().filter(|other| *other == change).count();
        assert_eq!(times, 1, "{change:?} in {all:#?}");
    }
    assert_eq!(
        range.user("ana@corp.example").unwrap().status,
        UserStatus::Suspended
    );
    assert_eq!(range.key(STUBBORN).unwrap().status, KeyStatus::Active);
    let told = events
        .iter()
        .filter_map(|entry| entry["event"].get("step_told"))
        .find(|told| told["name"] == "notify::team")
        .unwrap_or_else(|| panic!("nobody was told: {run:#}"));
    assert!(told.to_string().contains(STUBBORN), "{told:#}");
    server.stop().await.unwrap();
    range.stop().await;
}
