//! What the shipped senders' scripts make of deliveries in their vendors' shapes, read by the very code that serves.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use async_trait::async_trait;
use cordon::clock::Time;
use cordon::config::{Config, Machine};
use cordon::connector::Catalog;
use cordon::finding::{Activity, Entity, EntityType, Finding, Role, SeverityId};
use cordon::intake::{Delivery, LookUps, NoAnswer, NotRead, Offline, Profile, Reading, read_with};
use cordon::playbook;
use cordon::script::{Asked, Evaluators};
use cordon::secret::{Handle, Secret};
use serde_json::{Value, json};

const RECEIVED: Time = Time(1_795_000_100_000);
/// Looks like a token and is none.
const CANARY: &str = "ghp_CanaryCanaryCanaryCanaryCanary0001";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYCANARYKEY0";

fn data(path: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/alerts/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn profile(connector: &str, more: &str) -> Profile {
    let auth = match connector {
        "github" => {
            "{ kind = \"hmac\", header = \"x-hub-signature-256\", prefix = \"sha256=\", secrets = [\"env:HOME\"] }"
        }
        _ => "{ kind = \"header\", header = \"x-test\", secrets = [\"env:HOME\"] }",
    };
    let text = format!("[[source]]\nname = \"here\"\nuse = \"{connector}\"\nauth = {auth}\n{more}");
    let config = Config::parse("cordon.toml", &text, Path::new(".")).unwrap_or_else(|found| {
        panic!(
            "{:?}",
            found
                .iter()
                .map(|one| (&one.message, one.line))
                .collect::<Vec<_>>()
        )
    });
    let catalog = Catalog::embedded().unwrap();
    let resolved = config.resolve(&catalog, &Machine { run_commands: false });
    resolved
        .unwrap_or_else(|found| {
            panic!(
                "{:?}",
                found
                    .iter()
                    .map(|one| (&one.message, one.line))
                    .collect::<Vec<_>>()
            )
        })
        .profiles["here"]
        .clone()
}

/// Answers by path, and what was sealed.
#[derive(Default)]
struct Vendor {
    answers: BTreeMap<String, Result<Value, NoAnswer>>,
    asked: Mutex<Vec<String>>,
    sealed: Mutex<BTreeMap<String, String>>,
}

#[async_trait]
impl LookUps for Vendor {
    async fn look_up(&self, _: &Profile, asked: &Asked) -> Result<Value, NoAnswer> {
        let parts = asked.args[0].as_array().unwrap();
        let path: Vec<String> = parts
            .iter()
            .map(|part| part.as_str().unwrap().to_owned())
            .collect();
        let path = path.join("/");
        self.asked.lock().unwrap().push(path.clone());
        self.answers[&path]
            .clone()
            .map(|body| json!({ "status": 200, "headers": {}, "body": body }))
    }

    async fn keep(&self, handle: &Handle, secret: &Secret) -> Result<(), NoAnswer> {
        self.sealed
            .lock()
            .unwrap()
            .insert(handle.0.clone(), secret.expose().to_owned());
        Ok(())
    }
}

async fn reading_at(
    profile: &Profile,
    look_ups: &dyn LookUps,
    headers: &[(&str, &str)],
    body: &[u8],
    now: Time,
) -> Result<Reading, NotRead> {
    let evaluators = Evaluators::start(1).unwrap();
    let headers: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let delivery = Delivery {
        id: "al_1",
        headers: &headers,
        body,
        received: RECEIVED,
        now,
    };
    let reading = read_with(&evaluators, look_ups, profile, &delivery).await;
    evaluators.stop();
    reading
}

async fn read(connector: &str, file: &str) -> Reading {
    let profile = profile(connector, "");
    let body = data(&format!("{connector}/{file}.json"));
    reading_at(&profile, &Offline::default(), &[], &body, RECEIVED)
        .await
        .unwrap()
}

async fn one(connector: &str, file: &str) -> Finding {
    let reading = read(connector, file).await;
    assert_eq!(reading.findings.len(), 1, "{file}: {reading:?}");
    reading.findings.into_iter().next().unwrap()
}

async fn github(event: &str, file: &str, vendor: &dyn LookUps) -> Reading {
    let body = data(&format!("github/{file}.json"));
    let headers = [("x-github-event", event)];
    reading_at(&profile("github", ""), vendor, &headers, &body, RECEIVED)
        .await
        .unwrap()
}

fn who(finding: &Finding, role: Role) -> Vec<(EntityType, &str)> {
    finding
        .with_role(role)
        .map(|entity: &Entity| (entity.kind, entity.name.as_str()))
        .collect()
}

/// Shipped playbooks start on nothing of this.
fn starts_nothing(finding: &Finding) {
    let connectors = Catalog::embedded().unwrap();
    let playbooks = playbook::Catalog::load(&[], &connectors).unwrap_or_else(|found| {
        panic!(
            "{:?}",
            found
                .iter()
                .map(|one| (&one.message, one.line))
                .collect::<Vec<_>>()
        )
    });
    let index = playbooks.index();
    let met: Vec<&str> = index
        .matches(finding)
        .iter()
        .map(|found| found.trigger.title.as_str())
        .collect();
    assert!(met.is_empty(), "{} starts {met:?}", finding.title);
}

#[tokio::test]
async fn a_stolen_key_is_affected_with_its_user_and_the_caller_is_the_actor() {
    let finding = one("aws-guardduty", "stolen_key").await;
    assert_eq!(
        who(&finding, Role::Affected),
        [
            (EntityType::ServiceAccount, "svc-backup"),
            (EntityType::AccessKey, "AKIAIOSFODNN7EXAMPLE")
        ]
    );
    assert_eq!(who(&finding, Role::Actor), [(EntityType::Ip, "198.51.100.7")]);
    assert_eq!(
        (finding.severity_id, finding.activity),
        (SeverityId(4), Activity::Create)
    );
    assert_eq!(
        finding.rule.uid,
        "UnauthorizedAccess:IAMUser/MaliciousIPCaller.Custom"
    );
    assert_eq!(finding.attack[0].technique, "T1078.004");
    assert_eq!(finding.time, Time::parse("2026-11-20T08:25:00Z").unwrap());
    let key = finding.with_role(Role::Affected).nth(1).unwrap();
    assert_eq!(key.attributes["owner"], "svc-backup");
    assert_eq!(key.attributes["temporary"], false);
    // The same through a topic, JSON inside a text.
    let wrapped = one("aws-guardduty", "in_sns").await;
    assert_eq!((wrapped.uid, wrapped.entities), (finding.uid, finding.entities));
}

#[tokio::test]
async fn guarddutys_updates_and_archived_findings_start_nothing() {
    let new = one("aws-guardduty", "stolen_key").await;
    for (file, activity) in [
        ("stolen_key_again", Activity::Update),
        ("stolen_key_archived", Activity::Close),
    ] {
        let finding = one("aws-guardduty", file).await;
        assert_eq!((&finding.uid, finding.activity), (&new.uid, activity), "{file}");
        starts_nothing(&finding);
    }
}

#[tokio::test]
async fn the_first_delivery_of_a_finding_is_new_however_often_it_was_seen_before() {
    let here = profile("aws-guardduty", "");
    for (made, changed, activity) in [
        (
            "2026-11-20T08:26:00.000Z",
            "2026-11-20T08:40:59.000Z",
            Activity::Create,
        ),
        (
            "2026-11-20T08:26:00.000Z",
            "2026-11-20T08:41:00.000Z",
            Activity::Update,
        ),
        (
            "2026-11-20T23:58:00.000Z",
            "2026-11-21T00:02:00.000Z",
            Activity::Create,
        ),
        (
            "2026-11-20T08:26:00.000Z",
            "2026-11-21T08:26:00.000Z",
            Activity::Update,
        ),
        ("2026-11-20T08:26:00.000Z", "once upon a time", Activity::Update),
    ] {
        let mut event: Value = serde_json::from_slice(&data("aws-guardduty/stolen_key.json")).unwrap();
        event["detail"]["createdAt"] = made.into();
        event["detail"]["updatedAt"] = changed.into();
        let body = event.to_string();
        let reading = reading_at(&here, &Offline::default(), &[], body.as_bytes(), RECEIVED)
            .await
            .unwrap();
        assert_eq!(reading.findings[0].activity, activity, "{made} to {changed}");
    }
}

#[tokio::test]
async fn an_instance_and_its_role_are_affected_and_whom_it_spoke_to_is_only_seen() {
    let credentials = one("aws-guardduty", "instance_credentials").await;
    assert_eq!(credentials.severity_id, SeverityId(5));
    let affected = who(&credentials, Role::Affected);
    for wanted in [
        (EntityType::ServiceAccount, "web-role"),
        (EntityType::AccessKey, "ASIAIOSFODNN7EXAMPLE"),
        (EntityType::Host, "i-0a1b2c3d4e5f60718"),
    ] {
        assert!(affected.contains(&wanted), "{affected:?}");
    }
    assert!(
        credentials
            .attack
            .iter()
            .any(|attack| attack.technique == "T1552.005")
    );
    let control = one("aws-guardduty", "command_and_control").await;
    assert_eq!(
        who(&control, Role::Affected),
        [(EntityType::Host, "i-0a1b2c3d4e5f60718")]
    );
    assert_eq!(who(&control, Role::Actor), []);
    assert!(who(&control, Role::Observed).contains(&(EntityType::Domain, "control.example.net")));
    let probe = one("aws-guardduty", "port_probe").await;
    assert_eq!(
        (probe.severity_id, who(&probe, Role::Actor)),
        (SeverityId(2), vec![(EntityType::Ip, "198.51.100.7")])
    );
}

#[tokio::test]
async fn a_sample_finding_names_no_key_and_another_event_is_told_apart() {
    let sample = one("aws-guardduty", "sample").await;
    assert_eq!(who(&sample, Role::Affected), []);
    assert_eq!(sample.entities_left_out, 2, "{:?}", sample.entities);
    let other = read("aws-guardduty", "other_event").await;
    assert!(other.findings.is_empty());
    assert!(
        other.control[0].contains("EC2 Instance State-change"),
        "{:?}",
        other.control
    );
}

#[tokio::test]
async fn what_is_no_guardduty_is_unreadable_or_said() {
    let here = profile("aws-guardduty", "");
    for (body, why) in [
        (
            r#"{"Type":"SubscriptionConfirmation","TopicArn":"t","Token":"t"}"#,
            "kind = \"sns\"",
        ),
        (r#"{"a":1}"#, "neither a finding"),
        (
            r#"{"detail-type":"GuardDuty Finding","detail":"{}"}"#,
            "neither a finding",
        ),
        (r#"{"type":"X:Y/Z"}"#, "neither a finding"),
    ] {
        let refused = reading_at(&here, &Offline::default(), &[], body.as_bytes(), RECEIVED).await;
        let Err(NotRead::Unreadable(unreadable)) = refused else {
            panic!("{body}: {refused:?}");
        };
        assert!(unreadable.reason.contains(why), "{unreadable}");
    }
    let text = r#"{"Type":"Notification","TopicArn":"t","Subject":"hello","Message":"just words"}"#;
    let said = reading_at(&here, &Offline::default(), &[], text.as_bytes(), RECEIVED)
        .await
        .unwrap();
    assert!(said.control[0].contains("no JSON"), "{said:?}");
}

fn alert_path(more: &str) -> String {
    format!("repos/example-org/backup-jobs/secret-scanning/alerts{more}")
}

fn vendor(answers: &[(&str, Value)]) -> Vendor {
    let answers = answers
        .iter()
        .map(|(path, body)| (alert_path(path), Ok(body.clone())));
    Vendor {
        answers: answers.collect(),
        ..Vendor::default()
    }
}

#[tokio::test]
async fn a_leaked_access_key_is_looked_up_and_becomes_a_target() {
    let here = vendor(&[(
        "/42",
        json!({ "secret": "AKIAIOSFODNN7EXAMPLE", "secret_type": "amazon_aws_access_key_id" }),
    )]);
    let reading = github("secret_scanning_alert", "secret_created", &here).await;
    let finding = &reading.findings[0];
    assert_eq!(
        who(finding, Role::Affected),
        [(EntityType::AccessKey, "AKIAIOSFODNN7EXAMPLE")]
    );
    assert_eq!(
        who(finding, Role::Observed),
        [(EntityType::Repository, "example-org/backup-jobs")]
    );
    assert_eq!(
        (finding.severity_id, finding.activity),
        (SeverityId(4), Activity::Create)
    );
    assert_eq!(finding.uid, "example-org/backup-jobs/secret-scanning/42");
    assert_eq!(finding.raw["lookup"], "answered");
    assert!(here.sealed.lock().unwrap().is_empty(), "a key's id is no secret");
    assert!(reading.unanswered.is_empty());
}

#[tokio::test]
async fn a_leaked_token_is_sealed_and_the_finding_holds_its_handle() {
    let here = vendor(&[(
        "/42",
        json!({ "secret": CANARY, "secret_type": "github_personal_access_token", "validity": "active" }),
    )]);
    let reading = github("secret_scanning_alert", "token_created", &here).await;
    let finding = &reading.findings[0];
    let token = finding.with_role(Role::Affected).next().unwrap();
    assert_eq!(token.kind, EntityType::Token);
    assert_eq!(token.attributes["secret"], json!({ "secret": "alert/al_1/0" }));
    assert!(token.name.starts_with("sha256:"), "{}", token.name);
    assert_eq!(finding.severity_id, SeverityId(5));
    assert_eq!(here.sealed.lock().unwrap()["alert/al_1/0"], CANARY);
    assert!(!serde_json::to_string(finding).unwrap().contains(CANARY));
}

#[tokio::test]
async fn a_secret_key_is_tied_to_the_only_key_in_the_same_file() {
    let place = |blob: &str| json!({ "path": "a.env", "blob_sha": blob });
    let found = json!({ "secret": SECRET_KEY, "secret_type": "amazon_aws_secret_access_key", "first_location_detected": place("b1") });
    let id = |id: &str, blob: &str| json!({ "secret": id, "first_location_detected": place(blob) });
    let mine = id("AKIAIOSFODNN7EXAMPLE", "b1");
    let elsewhere = id("AKIAELSEWHEREEXAMPLE", "b2");
    let here = vendor(&[("/42", found.clone()), ("", json!([elsewhere, mine]))]);
    let reading = github("secret_scanning_alert", "secret_key_created", &here).await;
    let finding = &reading.findings[0];
    let key = finding.with_role(Role::Affected).next().unwrap();
    assert_eq!(
        (key.kind, key.name.as_str()),
        (EntityType::AccessKey, "AKIAIOSFODNN7EXAMPLE")
    );
    assert_eq!(here.sealed.lock().unwrap()["alert/al_1/0"], SECRET_KEY);
    let whole = serde_json::to_string(finding).unwrap();
    assert!(
        !whole.contains(SECRET_KEY) && !whole.contains("AKIAELSEWHERE"),
        "{whole}"
    );
    // Two keys in that file: nothing is guessed.
    let other = id("AKIAANOTHERONEEXAMPL", "b1");
    let here = vendor(&[
        ("/42", found),
        ("", json!([id("AKIAIOSFODNN7EXAMPLE", "b1"), other])),
    ]);
    let reading = github("secret_scanning_alert", "secret_key_created", &here).await;
    let affected = who(&reading.findings[0], Role::Affected);
    assert!(
        matches!(affected.as_slice(), [(EntityType::Token, _)]),
        "{affected:?}"
    );
}

#[tokio::test]
async fn while_the_vendor_is_down_the_alert_waits_and_then_goes_on_and_says_so() {
    let down = || NoAnswer {
        code: "lookup-failed",
        why: "`github`: no answer in time".into(),
        after_ms: Some(7_000),
    };
    let here = Vendor {
        answers: BTreeMap::from([(alert_path("/42"), Err(down()))]),
        ..Vendor::default()
    };
    let body = data("github/secret_created.json");
    let headers = [("x-github-event", "secret_scanning_alert")];
    let github = profile("github", "");
    let waits = reading_at(&github, &here, &headers, &body, RECEIVED).await;
    assert!(
        matches!(waits, Err(NotRead::Later { after_ms: 7_000, .. })),
        "{waits:?}"
    );
    let later = RECEIVED.plus_ms(cordon::limits::LOOKUP_WAIT_MS);
    let reading = reading_at(&github, &here, &headers, &body, later).await.unwrap();
    let finding = &reading.findings[0];
    assert_eq!(who(finding, Role::Affected), []);
    assert_eq!(finding.activity, Activity::Create);
    assert!(
        finding.message.contains("no answer in time"),
        "{}",
        finding.message
    );
    assert_eq!(reading.unanswered, ["`github`: no answer in time"]);
}

#[tokio::test]
async fn what_closes_or_updates_an_alert_of_github_asks_nothing_and_starts_nothing() {
    for (event, file, activity) in [
        ("secret_scanning_alert", "secret_resolved", Activity::Close),
        ("secret_scanning_alert", "secret_validated", Activity::Update),
        (
            "secret_scanning_alert_location",
            "secret_created",
            Activity::Update,
        ),
        ("code_scanning_alert", "code_fixed", Activity::Close),
        ("dependabot_alert", "dependabot_fixed", Activity::Close),
        (
            "repository_vulnerability_alert",
            "vulnerability_resolved",
            Activity::Close,
        ),
    ] {
        let here = Vendor::default();
        let reading = github(event, file, &here).await;
        let finding = &reading.findings[0];
        assert_eq!(finding.activity, activity, "{file}");
        assert!(here.asked.lock().unwrap().is_empty(), "{file}");
        starts_nothing(finding);
    }
    // What was closed and is open again is new once more.
    let answers = || vendor(&[("/42", json!({ "secret": "AKIAIOSFODNN7EXAMPLE" }))]);
    let first = github("secret_scanning_alert", "secret_created", &answers()).await;
    let again = github("secret_scanning_alert", "secret_reopened", &answers()).await;
    assert_eq!(again.findings[0].activity, Activity::Create);
    assert_ne!(again.findings[0].uid, first.findings[0].uid);
}

#[tokio::test]
async fn the_other_alerts_of_github_are_about_the_repository() {
    for (event, file, severity, rule) in [
        (
            "code_scanning_alert",
            "code_created",
            5,
            "py/command-line-injection",
        ),
        ("dependabot_alert", "dependabot_created", 4, "GHSA-aaaa-bbbb-cccc"),
        (
            "repository_vulnerability_alert",
            "vulnerability_created",
            3,
            "GHSA-aaaa-bbbb-cccc",
        ),
    ] {
        let reading = github(event, file, &Offline::default()).await;
        let finding = &reading.findings[0];
        assert_eq!(
            (finding.severity_id, finding.rule.uid.as_str()),
            (SeverityId(severity), rule),
            "{file}"
        );
        assert_eq!(
            who(finding, Role::Affected),
            [(EntityType::Repository, "example-org/backup-jobs")]
        );
        assert_eq!(finding.activity, Activity::Create);
        starts_nothing(finding);
    }
}

#[tokio::test]
async fn a_ping_or_another_event_of_github_is_a_message_about_the_channel() {
    for (event, file, said) in [("ping", "ping", "hook 31337"), ("push", "push", "\"push\"")] {
        let reading = github(event, file, &Offline::default()).await;
        assert!(reading.findings.is_empty());
        assert!(reading.control[0].contains(said), "{:?}", reading.control);
    }
    let body = data("github/secret_created.json");
    let without = reading_at(&profile("github", ""), &Offline::default(), &[], &body, RECEIVED).await;
    assert!(matches!(without, Err(NotRead::Unreadable(_))), "{without:?}");
}

#[tokio::test]
async fn an_attack_on_an_okta_account_affects_it_and_the_address_acted() {
    for (file, severity) in [("threat", 4), ("signin_elsewhere", 4)] {
        let finding = one("okta", file).await;
        assert_eq!(
            (finding.severity_id, finding.activity),
            (SeverityId(severity), Activity::Create),
            "{file}"
        );
        let affected = who(&finding, Role::Affected);
        assert_eq!(
            affected[0],
            (EntityType::User, "svc-backup@example.com"),
            "{file}"
        );
        assert!(matches!(affected[1], (EntityType::Session, _)));
        assert_eq!(who(&finding, Role::Actor), [(EntityType::Ip, "198.51.100.7")]);
        let account = finding.with_role(Role::Affected).next().unwrap();
        assert_eq!(account.ids["okta"], "00u1svcbackup0000001");
    }
}

#[tokio::test]
async fn what_was_done_to_an_okta_thing_names_the_administrator_as_actor() {
    let finding = one("okta", "token_created").await;
    assert_eq!(who(&finding, Role::Affected), [(EntityType::Token, "deploy")]);
    assert_eq!(
        who(&finding, Role::Actor),
        [(EntityType::User, "ana@example.com")]
    );
    assert_eq!(finding.severity_id, SeverityId(4));
}

#[tokio::test]
async fn what_okta_only_tells_starts_nothing_our_own_suspension_least() {
    for file in [
        "signin_usual",
        "signin_denied",
        "token_revoked",
        "suspended_by_us",
    ] {
        for finding in read("okta", file).await.findings {
            assert_eq!(finding.activity, Activity::Update, "{file}");
            assert_eq!(who(&finding, Role::Affected), [], "{file}");
            starts_nothing(&finding);
        }
    }
}

#[tokio::test]
async fn every_event_of_an_okta_batch_is_a_finding_also_one_nobody_knows() {
    let reading = read("okta", "batch").await;
    let seen: Vec<(&str, u8, usize)> = reading
        .findings
        .iter()
        .map(|finding| {
            (
                finding.rule.uid.as_str(),
                finding.severity_id.0,
                who(finding, Role::Affected).len(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("user.account.lock", 3, 2),
            ("user.mfa.factor.deactivate", 3, 1),
            ("zone.update", 1, 0),
            ("user.account.privilege.grant", 4, 1)
        ]
    );
}

#[tokio::test]
async fn a_firing_alert_is_new_a_resolved_one_is_over_and_one_that_fires_again_is_new_again() {
    let firing = one("alertmanager", "firing").await;
    assert_eq!(
        who(&firing, Role::Affected),
        [(EntityType::Host, "web-07.example.com")]
    );
    assert_eq!(
        (firing.severity_id, firing.activity),
        (SeverityId(5), Activity::Create)
    );
    assert_eq!(firing.uid, "0000000000000001@2026-11-20T08:26:40.123Z");
    assert_eq!(firing.url, "http://prometheus.example.com/graph?g0.expr=x");
    let resolved = one("alertmanager", "resolved").await;
    assert_eq!((&resolved.uid, resolved.activity), (&firing.uid, Activity::Close));
    starts_nothing(&resolved);
    let again = one("alertmanager", "again").await;
    assert_eq!(again.activity, Activity::Create);
    assert_ne!(again.uid, firing.uid);
}

#[tokio::test]
async fn a_group_of_alertmanager_is_split_and_what_was_left_out_is_a_finding() {
    let reading = read("alertmanager", "mixed").await;
    let activities: Vec<Activity> = reading.findings.iter().map(|finding| finding.activity).collect();
    assert_eq!(
        activities,
        [
            Activity::Close,
            Activity::Create,
            Activity::Create,
            Activity::Create
        ]
    );
    let pod = &reading.findings[1];
    assert_eq!(
        who(pod, Role::Affected),
        [
            (EntityType::ServiceAccount, "cart"),
            (EntityType::Workload, "shop/cart-7d9f")
        ]
    );
    assert_eq!(who(pod, Role::Actor), [(EntityType::Ip, "198.51.100.7")]);
    let cut = &reading.findings[3];
    assert!(cut.title.contains("left out 3 alerts"), "{}", cut.title);
    starts_nothing(cut);
}

#[tokio::test]
async fn a_source_says_what_its_own_labels_name() {
    let more =
        "settings = { labels = { machine_name = \"host\", svc = \"service_account\", instance = \"\" } }\n";
    let body = data("alertmanager/mixed.json");
    let reading = reading_at(
        &profile("alertmanager", more),
        &Offline::default(),
        &[],
        &body,
        RECEIVED,
    )
    .await
    .unwrap();
    let third = &reading.findings[2];
    assert_eq!(
        who(third, Role::Affected),
        [
            (EntityType::Host, "db-01"),
            (EntityType::ServiceAccount, "svc-backup")
        ]
    );
    let without = read("alertmanager", "mixed").await;
    assert_eq!(
        who(&without.findings[2], Role::Affected),
        [],
        "an address is only seen"
    );
}

#[tokio::test]
async fn a_label_that_is_no_entity_never_becomes_one() {
    let more = "settings = { labels = { alertname = \"hosts\" } }\n";
    let body = data("alertmanager/firing.json");
    let wrong = reading_at(
        &profile("alertmanager", more),
        &Offline::default(),
        &[],
        &body,
        RECEIVED,
    )
    .await;
    let Err(NotRead::Unreadable(unreadable)) = wrong else {
        panic!("{wrong:?}");
    };
    assert!(unreadable.reason.contains("did you mean `host`"), "{unreadable}");
}
