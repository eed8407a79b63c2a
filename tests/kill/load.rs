//! Alerts at a steady rate, each sent until it is answered 2xx, about targets that many runs share.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cordon::id::AlertId;
use cordon::range::{AccessKey, AwsConfig, Host, Identity, OktaConfig, RangeConfig, User};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::estate::{KEY, Playbook};
use super::witness::Sent;

/// Targets of each kind.
const TARGETS: u64 = 240;
/// Before a sender that was not answered tries again.
const AGAIN: Duration = Duration::from_millis(100);

/// Three kinds of runs, which all sleep for a while so that many are under way: one whose lease ends while it sleeps, one
/// that undoes what it did when it wakes, and one that changes two systems beside each other and tells somebody.
pub const PLAYBOOKS: [Playbook; 3] = [
    Playbook {
        on_failure: "keep",
        id: "leased",
        script: "endpoint::isolate(finding.affected(\"host\"), #{ lease: \"4s\" });\n\
                 wait(\"8s\");\n",
    },
    Playbook {
        on_failure: "keep",
        id: "sleeper",
        script: "let done = identity::suspend(finding.affected(\"user\"));\n\
                 wait(\"8s\");\n\
                 undo(done);\n",
    },
    Playbook {
        on_failure: "keep",
        id: "both",
        script: "let who = finding.affected(\"service_account\");\n\
                 wait(\"7s\");\n\
                 all([\n\
                     || cloud::deny(who, #{ lease: \"5s\" }),\n\
                     || endpoint::isolate(finding.affected(\"host\"), #{ lease: \"3s\" }),\n\
                 ]);\n\
                 notify::oncall(#{ subject: finding.title });\n",
    },
];

/// Runs an alert comes to on the average: its own, and the ends of its leases.
pub const RUNS_EACH: u64 = 2;

pub fn range() -> RangeConfig {
    let example = RangeConfig::example(&[]);
    let names = |what: &str| (0..TARGETS).map(|n| format!("{what}-{n}")).collect::<Vec<_>>();
    RangeConfig {
        seed: names("host")
            .into_iter()
            .map(|name| Host::new(digits("", 32, &name), name))
            .collect(),
        okta: OktaConfig {
            users: names("user")
                .into_iter()
                .map(|name| User::new(digits("00u", 17, &name), format!("{name}@corp.example")))
                .collect(),
            ..example.okta
        },
        aws: AwsConfig {
            identities: names("svc").into_iter().map(Identity::user).collect(),
            keys: vec![AccessKey::new("AKIARANGE00REPORT001", "svc-0")],
            ..example.aws
        },
        ..example
    }
}

fn digits(kind: &str, count: usize, name: &str) -> String {
    let digest = cordon::digest::Digest::of(name.as_bytes()).to_string();
    format!("{kind}{}", &digest[..count])
}

fn body(n: u64) -> String {
    let place = n % TARGETS;
    let rule = PLAYBOOKS[usize::try_from(n % 3).unwrap()].id;
    let one = |kind: &str, name: String| json!({ "type": kind, "role": "affected", "name": name });
    let entities = match rule {
        "leased" => vec![one("host", format!("host-{place}"))],
        "sleeper" => vec![one("user", format!("user-{place}@corp.example"))],
        _ => vec![
            one("service_account", format!("svc-{place}")),
            one("host", format!("host-{}", (place + 7) % TARGETS)),
        ],
    };
    json!({
        "uid": format!("alert-{n}"),
        "title": format!("{rule} {n}"),
        "severity": "high",
        "rule": { "uid": rule, "name": rule },
        "entities": entities,
    })
    .to_string()
}

/// Sends `count` alerts, one every `pace`, to whichever server listens, and answers when all were answered 2xx.
pub async fn send(
    count: u64,
    pace: Duration,
    urls: watch::Receiver<Vec<Option<String>>>,
    client: reqwest::Client,
) -> Vec<Sent> {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let mut tick = tokio::time::interval(pace);
    let mut senders = JoinSet::new();
    for n in 0..count {
        tick.tick().await;
        let (urls, client, sent) = (urls.clone(), client.clone(), sent.clone());
        senders.spawn(async move {
            let body = body(n);
            let mut place = usize::try_from(n).unwrap();
            loop {
                let listening: Vec<String> = urls.borrow().iter().flatten().cloned().collect();
                if let Some(url) = listening.get(place % listening.len().max(1))
                    && let Some(alert) = post(&client, url, &body).await
                {
                    sent.lock().unwrap().push(Sent { alert, runs: Some(1) });
                    return;
                }
                place += 1;
                tokio::time::sleep(AGAIN).await;
            }
        });
        while senders.try_join_next().is_some() {}
    }
    while senders.join_next().await.is_some() {}
    std::mem::take(&mut *sent.lock().unwrap())
}

async fn post(client: &reqwest::Client, url: &str, body: &str) -> Option<AlertId> {
    let request = client
        .post(format!("{url}/hooks/generic"))
        .header("content-type", "application/json")
        .header("x-cordon-key", KEY)
        .body(body.to_owned());
    let answer = request.send().await.ok()?;
    if !answer.status().is_success() {
        return None;
    }
    let mut body: Value = answer.json().await.ok()?;
    serde_json::from_value(body["alert"].take()).ok()
}
