//! A leaver whose run is killed half way: after the restart it goes on where it was, does nothing twice, and its
//! reconciliation names what is left over. The server is a child that is killed with SIGKILL; the vendors are the range,
//! which lives on in this process and is the witness. Every secret of the estate is a canary, and is looked for afterwards
//! in all that was left behind: files, log, answers, mail and chat.

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

use cordon::range::{Channel, Fault, FaultKind, KeyStatus, Range, RangeConfig, RunningRange, UserStatus};
use cordon::secret::Secret;
use serde_json::{Value, json};
use server::Server;

/// The key that AWS does not let go of.
const STUBBORN: &str = "AKIARANGE00000KIM001";
const KEY: &str = "a key for tests, not secret";
/// How long the run may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// The secrets of the estate: file in the server's folder, and what stands in it.
const CANARIES: [(&str, &str); 5] = [
    ("key", KEY),
    ("okta", "canary-okta-7f3a9c21d4"),
    ("aws", "canary-aws-Zk4TqW8vR2mXs6"),
    ("slack", "canary-slack-5d8e0b7f16"),
    ("mail", "canary-mail-c93b1fa280"),
];

fn secret(name: &str) -> Secret {
    let (_, text) = CANARIES.iter().find(|(known, _)| *known == name).unwrap();
    Secret::new(*text)
}

fn config() -> RangeConfig {
    let mut config = RangeConfig::example(&[]);
    config.okta.token = secret("okta");
    config.aws.secret_access_key = secret("aws");
    config.slack.token = secret("slack");
    config.mail.password = secret("mail");
    config
}

async fn range() -> RunningRange {
    Range::start(config()).await.unwrap()
}

/// Where any of these texts stands in a file below a folder, save the files that hold them by design.
fn leaks(dir: &Path, texts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() || CANARIES.iter().any(|(file, _)| *file == name) {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for text in texts {
            if bytes.windows(text.len()).any(|part| part == text.as_bytes()) {
                found.push(format!("{text} in {name}"));
            }
        }
    }
    found
}

fn write(dir: &Path, range: &RunningRange) {
    let example = config();
    for (name, text) in CANARIES {
        std::fs::write(dir.join(name), text).unwrap();
    }
    std::fs::write(dir.join("aws-id"), &example.aws.access_key_id).unwrap();
    std::fs::write(dir.join("mail-user"), &example.mail.user).unwrap();
    let mail = range.mail_url();
    let channel = Channel::new("incidents").id;
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
[connectors.slack]
base_url = "{url}"
credentials = {{ token = "file:slack" }}
[connectors.email]
base_url = "{mail}"
tls = "none"
settings = {{ from = "cordon@corp.example" }}
credentials = {{ username = "file:mail-user", password = "file:mail" }}
[notify]
default = ["channel:incidents"]
[notify.channels.incidents]
use = "slack"
to = "{channel}"
[notify.channels.identity]
use = "email"
to = "identity@corp.example"
[notify.teams.identity-operations]
to = ["channel:identity"]
[identities.kim]
type = "user"
aliases = ["kim@corp.example"]
aws = "kim"
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
        "title": "Kim left", "severity": "informational", "uid": "hr-4711",
        "rule": { "uid": "leaver", "name": "Leaver" },
        "entities": [
            { "type": "user", "role": "affected", "name": "kim@corp.example" },
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
    let said_before = server.said.clone();
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
    assert!(verified.contains(&"account kim@corp.example"), "{report:#}");
    assert!(verified.contains(&"secret prod/warehouse"), "{report:#}");

    // The witness: everything once, and what is left over is what the report says.
    let all = changes(&range);
    for change in &all {
        let times = all.iter().filter(|other| *other == change).count();
        assert_eq!(times, 1, "{change:?} in {all:#?}");
    }
    assert_eq!(
        range.user("kim@corp.example").unwrap().status,
        UserStatus::Suspended
    );
    assert_eq!(range.key(STUBBORN).unwrap().status, KeyStatus::Active);
    let told = events
        .iter()
        .filter_map(|entry| entry["event"].get("step_told"))
        .find(|told| told["name"] == "notify::team")
        .unwrap_or_else(|| panic!("nobody was told: {run:#}"));
    assert!(told.to_string().contains(STUBBORN), "{told:#}");

    // People were told by mail and by chat, and no secret is anywhere.
    tokio::time::timeout(PATIENCE, async {
        while range.mails().is_empty() || range.messages().is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("nobody was told: {}", server.last_words()));
    let mails = format!("{:?}", range.mails());
    assert!(mails.contains(STUBBORN), "{mails}");
    let secrets: Vec<&str> = CANARIES
        .iter()
        .map(|(_, text)| *text)
        .chain([token.as_str()])
        .collect();
    let alerts = get(&client, &server, &token, "/api/alerts").await;
    let notifications = get(&client, &server, &token, "/api/notifications").await;
    let said: Vec<String> = [&said_before, &server.said]
        .iter()
        .flat_map(|said| said.lock().unwrap().clone())
        // The one line that shows the first token, once, to whoever starts the server.
        .filter(|line| !line.contains("export CORDON_TOKEN="))
        .collect();
    server.stop().await.unwrap();
    let told = format!("{mails} {:?}", range.messages());
    for (place, text) in [
        ("the run", run.to_string()),
        ("alerts", alerts.to_string()),
        ("notifications", notifications.to_string()),
        ("mail and chat", told),
        ("the log", said.join("\n")),
    ] {
        for secret in &secrets {
            assert!(!text.contains(secret), "{secret} in {place}");
        }
    }
    assert_eq!(leaks(dir.path(), &secrets), Vec::<String>::new());
    // The search itself works: the key's public id is in the journal.
    assert!(!leaks(dir.path(), &[STUBBORN]).is_empty());
    range.stop().await;
}
