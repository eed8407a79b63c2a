//! Okta's stand-in: the machine of the status, what is revoked, and what is refused.

use reqwest::Method;
use serde_json::json;

use super::others::{LOGIN, estate, start, started};
use crate::range::{Fault, FaultKind, RangeConfig, User, UserStatus};

#[tokio::test]
async fn a_user_is_suspended_once_and_comes_back() {
    let (range, client) = start().await;
    let found = client.okta(Method::GET, &format!("/users/{LOGIN}")).await;
    assert_eq!(
        (found.status, &found.body["id"], &found.body["status"]),
        (200, &json!("00u1"), &json!("ACTIVE"))
    );
    assert_eq!(
        client
            .okta(Method::POST, "/users/00u1/lifecycle/suspend")
            .await
            .status,
        200
    );
    assert_eq!(range.user(LOGIN).unwrap().status, UserStatus::Suspended);

    let again = client.okta(Method::POST, "/users/00u1/lifecycle/suspend").await;
    assert_eq!(
        (again.status, &again.body["errorCode"]),
        (400, &json!("E0000001"))
    );
    assert_eq!(
        client
            .okta(Method::POST, "/users/00u1/lifecycle/unsuspend")
            .await
            .status,
        200
    );
    let ledger = range.ledger();
    assert_eq!(ledger.walk(LOGIN), ["SUSPENDED", "ACTIVE"]);
    assert_eq!(
        (ledger.asked("suspend", LOGIN), ledger.applied("suspend", "00u1")),
        (2, 1)
    );
    assert_eq!(range.user("ana@corp.example").unwrap().status, UserStatus::Active);
}

#[tokio::test]
async fn a_wrong_token_reads_nothing_and_changes_nothing() {
    let (range, client) = start().await;
    let answer = client
        .okta_as("guess", Method::POST, "/users/00u1/lifecycle/suspend")
        .await;
    assert_eq!(
        (answer.status, &answer.body["errorCode"]),
        (401, &json!("E0000011"))
    );
    assert_eq!(range.user("00u1").unwrap().status, UserStatus::Active);
    assert_eq!(range.ledger().applied_anywhere("suspend"), 0);
}

#[tokio::test]
async fn sessions_tokens_and_api_tokens_are_revoked() {
    let (range, client) = start().await;
    let tokens = client
        .okta(Method::GET, "/users/00u1/clients/ci-client/tokens")
        .await;
    assert_eq!(tokens.body[0]["id"], "oar1");
    let cleared = client
        .okta(Method::DELETE, "/users/00u1/sessions?oauthTokens=true")
        .await;
    assert_eq!(cleared.status, 204);
    let user = range.user("00u1").unwrap();
    assert_eq!((user.sessions, user.tokens.len()), (0, 0));
    assert_eq!(range.ledger().walk(LOGIN), ["0 sessions, 0 tokens"]);
    let log = client
        .okta(Method::GET, "/logs?filter=eventType+eq+%22user.session.clear%22")
        .await;
    assert_eq!(log.body[0]["target"][0]["id"], "00u1");

    assert_eq!(client.okta(Method::DELETE, "/api-tokens/00T1").await.status, 204);
    assert_eq!(client.okta(Method::GET, "/api-tokens/00T1").await.status, 404);
    assert_eq!(client.okta(Method::DELETE, "/api-tokens/00T1").await.status, 404);
    assert_eq!(range.ledger().applied("revoke_api_token", "00T1"), 1);
}

#[tokio::test]
async fn members_come_and_go() {
    let (range, client) = start().await;
    let group = client
        .okta(
            Method::GET,
            "/groups?search=profile.name+eq+%22production-admins%22",
        )
        .await;
    assert_eq!(group.body[0]["id"], "00g1");
    assert_eq!(
        client.okta(Method::PUT, "/groups/00g1/users/00u1").await.status,
        204
    );
    let members = client.okta(Method::GET, "/groups/00g1/users").await;
    assert_eq!(members.body.as_array().unwrap().len(), 2);
    assert_eq!(
        client
            .okta(Method::DELETE, "/groups/00g1/users/00u1")
            .await
            .status,
        204
    );
    assert_eq!(range.group("production-admins").unwrap().members, ["00u2"]);
    assert_eq!(range.ledger().changed("add_to_group", "00u1"), 1);
}

#[tokio::test]
async fn a_search_that_is_not_understood_or_not_escaped_is_refused() {
    let (_range, client) = start().await;
    for search in [
        "profile.login+sw+%22a%22",
        "profile.login+eq+%22a%22+or+id+pr",
        "profile.login+eq+a",
    ] {
        assert_eq!(
            client
                .okta(Method::GET, &format!("/users?search={search}"))
                .await
                .status,
            400,
            "{search}"
        );
    }
    let found = client
        .okta(
            Method::GET,
            &format!("/users?search=profile.login+eq+%22{LOGIN}%22"),
        )
        .await;
    assert_eq!(found.body.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn faults_befall_every_vendor_alike() {
    let (range, client) = start().await;
    range
        .fault(Fault::on_action(
            "suspend",
            FaultKind::TooMany { retry_after_s: 3 },
        ))
        .unwrap();
    range.fault(Fault::on_action("suspend", FaultKind::Lie)).unwrap();
    let limited = client.okta(Method::POST, "/users/00u1/lifecycle/suspend").await;
    assert_eq!(
        (
            limited.status,
            limited.headers["x-rate-limit-remaining"].to_str().unwrap()
        ),
        (429, "0")
    );
    assert!(
        limited.headers.get("retry-after").is_none(),
        "this vendor has no such header"
    );
    assert_eq!(
        client
            .okta(Method::POST, "/users/00u1/lifecycle/suspend")
            .await
            .status,
        200
    );
    assert_eq!(range.user("00u1").unwrap().status, UserStatus::Active, "it lied");
    let told: Vec<_> = range.ledger().into_iter().filter_map(|line| line.fault).collect();
    assert_eq!(told, ["too_many", "lie"]);
}

#[tokio::test]
async fn a_restarted_range_knows_the_accounts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let kept = || RangeConfig {
        ledger: Some(path.clone()),
        ..estate()
    };
    let (range, client) = started(kept()).await;
    client.okta(Method::POST, "/users/00u1/lifecycle/suspend").await;
    range
        .set_user(User::new("00u9", "new@corp.example"))
        .await
        .unwrap();
    client.okta(Method::PUT, "/groups/00g1/users/00u9").await;
    let before = (range.users(), range.group("00g1"), range.keys(), range.ledger());
    range.stop().await;
    let (again, _) = started(kept()).await;
    assert_eq!(
        (again.users(), again.group("00g1"), again.keys(), again.ledger()),
        before
    );
    again.reset().await.unwrap();
    assert_eq!(again.user("00u1").unwrap().status, UserStatus::Active);
    assert_eq!(again.user("00u9"), None);
}
