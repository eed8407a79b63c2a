//! AWS's stand-in: who may sign, what keys and policies do, and sessions of roles.

use serde_json::json;

use super::others::{Client, Hand, KEY, OTHER_KEY, element, start};
use crate::range::{Fault, FaultKind, IdentityKind, KeyStatus};

const WHO: &[(&str, &str)] = &[("Action", "GetCallerIdentity"), ("Version", "2011-06-15")];

async fn set_status(client: &Client, hand: &Hand, key: &str, status: &str) -> (u16, String) {
    let fields = [
        ("Action", "UpdateAccessKey"),
        ("UserName", "svc-build"),
        ("AccessKeyId", key),
        ("Status", status),
    ];
    client.aws(hand, "iam", &fields).await
}

#[tokio::test]
async fn a_key_that_is_inactive_opens_nothing_until_it_is_active_again() {
    let (range, client) = start().await;
    let (hand, thief) = (Hand::configured(), Hand::of(&range, KEY));
    let (status, xml) = client.aws(&thief, "sts", WHO).await;
    assert_eq!(
        (status, element(&xml, "Arn")),
        (200, "arn:aws:iam::111122223333:user/svc-build".to_owned())
    );

    assert_eq!(set_status(&client, &hand, KEY, "Inactive").await.0, 200);
    let (status, xml) = client.aws(&thief, "sts", WHO).await;
    assert_eq!(
        (status, element(&xml, "Code")),
        (403, "InvalidClientTokenId".to_owned())
    );
    let (_, xml) = client
        .aws(
            &hand,
            "iam",
            &[("Action", "ListAccessKeys"), ("UserName", "svc-build")],
        )
        .await;
    assert!(
        xml.contains(&format!(
            "<AccessKeyId>{KEY}</AccessKeyId><Status>Inactive</Status>"
        )),
        "{xml}"
    );

    assert_eq!(set_status(&client, &hand, KEY, "Active").await.0, 200);
    assert_eq!(client.aws(&thief, "sts", WHO).await.0, 200);
    assert_eq!(range.ledger().walk(KEY), ["Inactive", "Active"]);
    assert_eq!(
        range.key(OTHER_KEY).unwrap().status,
        KeyStatus::Inactive,
        "nobody touched the other"
    );
}

#[tokio::test]
async fn a_deleted_key_is_gone_for_good() {
    let (range, client) = start().await;
    let hand = Hand::configured();
    let delete = [
        ("Action", "DeleteAccessKey"),
        ("UserName", "svc-build"),
        ("AccessKeyId", KEY),
    ];
    assert_eq!(client.aws(&hand, "iam", &delete).await.0, 200);
    let (status, xml) = client.aws(&hand, "iam", &delete).await;
    assert_eq!((status, element(&xml, "Code")), (404, "NoSuchEntity".to_owned()));
    assert_eq!(set_status(&client, &hand, KEY, "Active").await.0, 404);
    assert_eq!(range.key(KEY).unwrap().status, KeyStatus::Deleted);
    assert_eq!(client.aws(&Hand::of(&range, KEY), "sts", WHO).await.0, 403);
}

#[tokio::test]
async fn a_wrong_secret_or_an_altered_request_is_refused() {
    let (range, client) = start().await;
    let mut hand = Hand::configured();
    hand.secret = "range-aws-secrex".to_owned();
    let (status, xml) = set_status(&client, &hand, KEY, "Inactive").await;
    assert_eq!(
        (status, element(&xml, "Code")),
        (403, "SignatureDoesNotMatch".to_owned())
    );
    let unsigned = client
        .http
        .post(&client.base_url)
        .body("Action=GetCallerIdentity");
    let unsigned = unsigned.send().await.unwrap();
    assert_eq!(unsigned.status(), 403);
    assert_eq!(
        element(&unsigned.text().await.unwrap(), "Code"),
        "MissingAuthenticationToken"
    );
    // Signed for one service, sent to another.
    let (status, _) = client.aws(&Hand::configured(), "iam", WHO).await;
    assert_eq!(status, 403);
    assert_eq!(range.key(KEY).unwrap().status, KeyStatus::Active);
    assert_eq!(range.ledger().applied_anywhere("UpdateAccessKey"), 0);
}

#[tokio::test]
async fn a_deny_policy_denies_and_its_removal_allows() {
    let (range, client) = start().await;
    let (hand, user) = (Hand::configured(), Hand::of(&range, KEY));
    let read = [("Action", "ListAccessKeys"), ("UserName", "svc-build")];
    assert_eq!(client.aws(&user, "iam", &read).await.0, 200);
    let document = json!({ "Version": "2012-10-17",
        "Statement": [{ "Effect": "Deny", "Action": "*", "Resource": "*" }] })
    .to_string();
    let named = [("UserName", "svc-build"), ("PolicyName", "CordonDenyAll")];
    let put = [
        named[0],
        named[1],
        ("Action", "PutUserPolicy"),
        ("PolicyDocument", &document),
    ];
    assert_eq!(client.aws(&hand, "iam", &put).await.0, 200);
    let (status, xml) = client.aws(&user, "iam", &read).await;
    assert_eq!((status, element(&xml, "Code")), (403, "AccessDenied".to_owned()));
    let (_, xml) = client
        .aws(&hand, "iam", &[named[0], named[1], ("Action", "GetUserPolicy")])
        .await;
    let told = format!("x={}", element(&xml, "PolicyDocument"));
    let (_, told) = url::form_urlencoded::parse(told.as_bytes()).next().unwrap();
    assert_eq!(told, document);

    let delete = [named[0], named[1], ("Action", "DeleteUserPolicy")];
    assert_eq!(client.aws(&hand, "iam", &delete).await.0, 200);
    assert_eq!(client.aws(&hand, "iam", &delete).await.0, 404);
    assert_eq!(client.aws(&user, "iam", &read).await.0, 200);
    assert!(
        range
            .identity(IdentityKind::User, "svc-build")
            .unwrap()
            .policies
            .is_empty()
    );
    let bad = [
        named[0],
        named[1],
        ("Action", "PutUserPolicy"),
        ("PolicyDocument", "{}"),
    ];
    let (status, xml) = client.aws(&hand, "iam", &bad).await;
    assert_eq!(
        (status, element(&xml, "Code")),
        (400, "MalformedPolicyDocument".to_owned())
    );
}

#[tokio::test]
async fn a_session_of_a_role_acts_until_it_ends() {
    let (range, client) = start().await;
    let arn = "arn:aws:iam::111122223333:role/cordon-responder";
    let mut assume = vec![
        ("Action", "AssumeRole"),
        ("RoleArn", arn),
        ("RoleSessionName", "cordon"),
    ];
    let (status, _) = client.aws(&Hand::configured(), "sts", &assume).await;
    assert_eq!(status, 403, "the external id is missing");
    assume.push(("ExternalId", "range-external"));
    let (_, xml) = client.aws(&Hand::configured(), "sts", &assume).await;
    let session = Hand {
        key_id: element(&xml, "AccessKeyId"),
        secret: element(&xml, "SecretAccessKey"),
        token: Some(element(&xml, "SessionToken")),
    };
    assert_eq!(set_status(&client, &session, KEY, "Inactive").await.0, 200);
    range
        .fault(Fault::on_action("UpdateAccessKey", FaultKind::ExpireToken))
        .unwrap();
    let (status, xml) = set_status(&client, &session, KEY, "Active").await;
    assert_eq!((status, element(&xml, "Code")), (403, "ExpiredToken".to_owned()));
    assert_eq!(
        set_status(&client, &session, KEY, "Active").await.0,
        403,
        "that session stays over"
    );
    assert_eq!(
        set_status(&client, &Hand::configured(), KEY, "Active").await.0,
        200
    );
}

#[tokio::test]
async fn a_rotation_with_the_same_token_is_the_same_rotation() {
    let (range, client) = start().await;
    let hand = Hand::configured();
    let token = "0123456789abcdef0123456789abcdef";
    for _ in 0..2 {
        let body = json!({ "SecretId": "prod/db", "ClientRequestToken": token });
        let (status, body) = client.secret(&hand, "RotateSecret", body).await;
        assert_eq!((status, &body["VersionId"]), (200, &json!(token)));
    }
    assert_eq!(range.secrets()[0].rotations, [token]);
    let ledger = range.ledger();
    assert_eq!(
        (
            ledger.applied("RotateSecret", "prod/db"),
            ledger.changed("RotateSecret", "prod/db")
        ),
        (2, 1)
    );
    let (_, body) = client
        .secret(&hand, "DescribeSecret", json!({ "SecretId": "prod/db" }))
        .await;
    assert_eq!(body["VersionIdsToStages"][token], json!(["AWSCURRENT"]));
    let (status, body) = client
        .secret(&hand, "DescribeSecret", json!({ "SecretId": "nobody" }))
        .await;
    assert_eq!(
        (status, &body["__type"]),
        (400, &json!("ResourceNotFoundException"))
    );
}
