//! Sources at a running server: look-ups over HTTP, secrets at rest, and the handshake of SNS.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use cordon::digest::Digest;
use cordon::store::Disposition;
use serde_json::{Value, json};

use crate::serving::{Serving, watch};
use crate::sns_key;

const TOKEN: &str = "ghp_CanaryCanaryCanaryCanaryCanary0002";
const OURS: &str = "github-token-of-ours-canary";
const HOOK: &str = "hook-secret-canary";
const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:guardduty";

fn data(path: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/alerts/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A vendor that answers in the order laid out, the last answer again and again, and remembers what was asked.
#[derive(Clone, Default)]
struct Vendor {
    replies: Arc<Mutex<VecDeque<(u16, Value)>>>,
    seen: Arc<Mutex<Vec<(String, HeaderMap)>>>,
}

impl Vendor {
    async fn start(replies: &[(u16, Value)]) -> (String, Vendor) {
        let vendor = Vendor {
            replies: Arc::new(Mutex::new(replies.iter().cloned().collect())),
            ..Vendor::default()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(answer).with_state(vendor.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (url, vendor)
    }

    fn asked(&self) -> Vec<String> {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .map(|(line, _)| line.clone())
            .collect()
    }
}

async fn answer(State(vendor): State<Vendor>, request: Request) -> Response {
    let line = format!("{} {}", request.method(), request.uri());
    vendor
        .seen
        .lock()
        .unwrap()
        .push((line, request.headers().clone()));
    let mut replies = vendor.replies.lock().unwrap();
    let (status, body) = if replies.len() > 1 {
        replies.pop_front().unwrap()
    } else {
        replies[0].clone()
    };
    let wait = body["retry_after"].as_str().map(str::to_owned);
    let mut response = (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response();
    if let Some(wait) = wait {
        response
            .headers_mut()
            .insert("retry-after", wait.parse().unwrap());
    }
    response
}

fn github(dir: &Path, url: &str) -> String {
    std::fs::write(dir.join("token"), OURS).unwrap();
    std::fs::write(dir.join("hook"), HOOK).unwrap();
    format!(
        "[[source]]\nname = \"github\"\nuse = \"github\"\nlookup = \"github-org\"\n\
         auth = {{ kind = \"hmac\", header = \"X-Hub-Signature-256\", prefix = \"sha256=\", secrets = [\"file:hook\"] }}\n\
         [connectors.github-org]\nuse = \"github\"\nbase_url = \"{url}\"\ncredentials = {{ token = \"file:token\" }}\n\
         [content]\nplaybooks = \"playbooks\"\n"
    )
}

fn signature(body: &[u8]) -> String {
    let Digest(mac) = Digest::keyed(HOOK.as_bytes(), body);
    format!("sha256={}", data_encoding::HEXLOWER.encode(&mac))
}

/// Every file below a folder, held against a text.
fn nowhere(dir: &Path, text: &str) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            nowhere(&path, text);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!found, "{} holds it", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaked_token_is_looked_up_after_an_outage_and_is_nowhere_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    watch(dir.path(), "github_personal_access_token");
    let found =
        json!({ "secret": TOKEN, "secret_type": "github_personal_access_token", "validity": "active" });
    let (url, vendor) = Vendor::start(&[(502, json!({})), (503, json!({})), (200, found)]).await;
    let serving = Serving::start(dir.path(), &github(dir.path(), &url)).await;
    let body = data("github/token_created.json");
    let signed = signature(&body);
    let headers = [
        ("x-hub-signature-256", signed.as_str()),
        ("x-github-event", "secret_scanning_alert"),
        ("x-github-delivery", "d-1"),
    ];
    let alert = serving.kept("github", &headers, body.clone()).await;
    let (disposition, said) = serving.disposed(alert).await;
    assert_eq!(disposition, Disposition::Split, "{said}");
    assert_eq!(
        vendor.asked(),
        ["GET /repos/example-org/backup-jobs/secret-scanning/alerts/42"; 3]
    );
    let (_, asked) = vendor.seen.lock().unwrap()[2].clone();
    assert_eq!(asked["authorization"], format!("Bearer {OURS}"));
    assert_eq!(asked["x-github-api-version"], "2022-11-28");
    assert_eq!(serving.runs().await, 1);
    // A redelivery is the same alert and asks nobody.
    let again = serving.kept("github", &headers, body).await;
    assert_eq!((again, vendor.asked().len()), (alert, 3));
    assert_eq!(serving.all_disposed("github", 1).await.len(), 1);
    serving.server.stop().await.unwrap();
    nowhere(dir.path(), TOKEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_permission_makes_a_finding_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    watch(dir.path(), "amazon_aws_access_key_id");
    let (url, vendor) = Vendor::start(&[(403, json!({ "message": "Resource not accessible" }))]).await;
    let serving = Serving::start(dir.path(), &github(dir.path(), &url)).await;
    let body = data("github/secret_created.json");
    let signed = signature(&body);
    let headers = [
        ("x-hub-signature-256", signed.as_str()),
        ("x-github-event", "secret_scanning_alert"),
    ];
    let alert = serving.kept("github", &headers, body.clone()).await;
    assert_eq!(serving.disposed(alert).await.0, Disposition::Split);
    assert_eq!((vendor.asked().len(), serving.runs().await), (1, 1));
    // One byte more, and it is not GitHub's.
    let (status, _) = serving
        .deliver("github", &headers, [body, b" ".to_vec()].concat())
        .await;
    assert_eq!(status, 401);
    serving.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_says_too_many_by_403_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    watch(dir.path(), "amazon_aws_access_key_id");
    let found = json!({ "secret": "AKIAIOSFODNN7EXAMPLE" });
    let (url, vendor) = Vendor::start(&[(403, json!({ "retry_after": "1" })), (200, found)]).await;
    let serving = Serving::start(dir.path(), &github(dir.path(), &url)).await;
    let body = data("github/secret_created.json");
    let signed = signature(&body);
    let headers = [
        ("x-hub-signature-256", signed.as_str()),
        ("x-github-event", "secret_scanning_alert"),
    ];
    let alert = serving.kept("github", &headers, body).await;
    assert_eq!(serving.disposed(alert).await.0, Disposition::Split);
    assert_eq!(vendor.asked().len(), 2);
    serving.server.stop().await.unwrap();
}

fn topic(endpoint: &str) -> String {
    format!(
        "[[source]]\nname = \"topic\"\nuse = \"aws-guardduty\"\n\
         auth = {{ kind = \"sns\", topics = [\"{TOPIC}\"], certificates = [\"file:{}\"], endpoint = \"{endpoint}\" }}\n\
         [content]\nplaybooks = \"playbooks\"\n",
        sns_key::CERTIFICATE
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_confirmed_after_an_outage_and_a_notification_starts_one_run() {
    let dir = tempfile::tempdir().unwrap();
    watch(dir.path(), "UnauthorizedAccess:IAMUser/MaliciousIPCaller.Custom");
    let (url, vendor) = Vendor::start(&[(503, json!({})), (200, json!({}))]).await;
    let serving = Serving::start(dir.path(), &topic(&url)).await;
    let address = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription";
    let question = serving
        .kept("topic", &[], sns_key::question(TOPIC, address))
        .await;
    let (disposition, said) = serving.disposed(question).await;
    assert_eq!(disposition, Disposition::Control);
    assert!(said.contains("was confirmed"), "{said}");
    let asked = vendor.asked();
    assert_eq!(asked.len(), 2);
    assert!(
        asked[1].starts_with("GET /?Action=ConfirmSubscription&TopicArn=arn"),
        "{asked:?}"
    );

    let finding = String::from_utf8(data("aws-guardduty/stolen_key.json")).unwrap();
    let body = sns_key::notification(TOPIC, "m-1", &finding);
    let alert = serving.kept("topic", &[], body.clone()).await;
    assert_eq!(serving.disposed(alert).await.0, Disposition::Split);
    assert_eq!(serving.runs().await, 1);
    // The same once more is a repeat; the same finding in another message a duplicate; its update starts nothing.
    assert_eq!(serving.kept("topic", &[], body).await, alert);
    let other = serving
        .kept("topic", &[], sns_key::notification(TOPIC, "m-2", &finding))
        .await;
    assert!(serving.disposed(other).await.1.contains("duplicate"));
    let update = String::from_utf8(data("aws-guardduty/stolen_key_again.json")).unwrap();
    let update = serving
        .kept("topic", &[], sns_key::notification(TOPIC, "m-3", &update))
        .await;
    assert!(serving.disposed(update).await.1.contains("unmatched"));
    assert_eq!(serving.runs().await, 1);
    serving.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_is_taken_for_sns_and_no_address_of_theirs_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    watch(dir.path(), "none");
    let (url, vendor) = Vendor::start(&[(200, json!({}))]).await;
    let (evil, lured) = Vendor::start(&[(200, json!({}))]).await;
    let serving = Serving::start(dir.path(), &topic(&url)).await;
    let other = TOPIC.replace("guardduty", "other");
    let mut changed: Value = serde_json::from_slice(&sns_key::notification(TOPIC, "m-1", "{}")).unwrap();
    changed["Message"] = "{ }".into();
    for body in [
        sns_key::notification(&other, "m-1", "{}"),
        sns_key::question(&other, &format!("{evil}/")),
        serde_json::to_vec(&changed).unwrap(),
        data("aws-guardduty/in_sns.json"),
        data("aws-guardduty/stolen_key.json"),
        b"{}".to_vec(),
    ] {
        let (status, _) = serving.deliver("topic", &[], body).await;
        assert_eq!(status, 401);
    }
    // Genuine, and leads elsewhere: kept, not confirmed, and said.
    let question = serving
        .kept("topic", &[], sns_key::question(TOPIC, &format!("{evil}/")))
        .await;
    let (disposition, said) = serving.disposed(question).await;
    assert_eq!(disposition, Disposition::Unreadable);
    assert!(said.contains("another host"), "{said}");
    assert!(vendor.asked().is_empty() && lured.asked().is_empty());
    serving.server.stop().await.unwrap();
}
