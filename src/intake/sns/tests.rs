//! What SNS can send, and what somebody can send who would like to be taken for it. Signed with a key of our own.

use std::sync::{Arc, Mutex};

use data_encoding::BASE64;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::certificates::Certificates;
use super::confirm::{Handshake, NotConfirmed, handshake};
use super::subscription::Subscription;
use super::verify::{NotProven, verify};
use crate::clock::Time;
use crate::connector::Fetcher;
use crate::intake::Headers;
use crate::secret::Secret;

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:alerts";
const CERTIFICATE: &str = include_str!("../../../tests/data/sns/certificate.pem");
const EXPIRED: &str = include_str!("../../../tests/data/sns/expired.pem");
const OTHER_KEY: &str = include_str!("../../../tests/data/sns/other_key.pem");
const OTHER_NAME: &str = include_str!("../../../tests/data/sns/other_name.pem");
const KEY: &str = include_str!("../../../tests/data/sns/key.pem");
const VERSION_1: &str = include_str!("../../../tests/data/sns/version1.json");
/// A minute after the message of `version1.json` was sent.
const NOW: &str = "2026-11-20T08:27:40Z";

fn now() -> Time {
    Time::parse(NOW).unwrap()
}

fn subscription(certificates: &[&str]) -> Subscription {
    Subscription {
        topics: vec![TOPIC.to_owned()],
        user: None,
        secrets: Vec::new(),
        raw: false,
        certificates: certificates.iter().map(|pem| Secret::new(*pem)).collect(),
        endpoint: None,
    }
}

fn sign(message: &mut Map<String, Value>) {
    let asks = message.contains_key("Token");
    let names: &[&str] = if asks {
        &[
            "Message",
            "MessageId",
            "SubscribeURL",
            "Timestamp",
            "Token",
            "TopicArn",
            "Type",
        ]
    } else {
        &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    };
    let text: String = names
        .iter()
        .filter_map(|name| Some(format!("{name}\n{}\n", message.get(*name)?.as_str()?)))
        .collect();
    let der: String = KEY.lines().filter(|line| !line.starts_with('-')).collect();
    let pair = RsaKeyPair::from_pkcs8(&BASE64.decode(der.as_bytes()).unwrap()).unwrap();
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        text.as_bytes(),
        &mut signature,
    )
    .unwrap();
    message.insert("SignatureVersion".into(), "2".into());
    message.insert("Signature".into(), BASE64.encode(&signature).into());
}

/// A signed message with these members changed before it was signed.
fn message(changed: Value) -> Vec<u8> {
    let mut message: Map<String, Value> = serde_json::from_str(VERSION_1).unwrap();
    for (name, value) in changed.as_object().unwrap() {
        message.insert(name.clone(), value.clone());
    }
    sign(&mut message);
    serde_json::to_vec(&message).unwrap()
}

fn asks(address: &str) -> Vec<u8> {
    message(json!({ "Type": "SubscriptionConfirmation", "Token": "2336412f37", "SubscribeURL": address }))
}

async fn judged(subscription: &Subscription, body: &[u8]) -> Result<String, String> {
    let verified = verify(
        subscription,
        &Certificates::default(),
        &Headers::default(),
        body,
        now(),
    )
    .await;
    match verified {
        Ok(verified) => Ok(verified.delivery_id.unwrap()),
        Err(NotProven::Refused(why)) => Err(why.to_owned()),
        Err(NotProven::Later(why)) => Err(format!("later: {why}")),
    }
}

#[tokio::test]
async fn both_versions_of_a_signature_are_believed_with_the_right_certificate() {
    let id = Ok("5f3c1d9e-1b7a-5c0f-9a57-43d0a2b1c001".to_owned());
    let here = subscription(&[OTHER_KEY, CERTIFICATE]);
    assert_eq!(judged(&here, VERSION_1.as_bytes()).await, id);
    assert_eq!(judged(&here, &message(json!({}))).await, id);
    assert_eq!(judged(&here, &message(json!({ "Subject": null }))).await, id);
    assert_eq!(
        judged(&here, &asks("https://sns.eu-west-1.amazonaws.com/?x")).await,
        id
    );
}

#[tokio::test]
async fn a_message_with_one_part_changed_is_refused() {
    let here = subscription(&[CERTIFICATE]);
    for body in [
        VERSION_1.as_bytes().to_vec(),
        message(json!({})),
        asks("https://sns.eu-west-1.amazonaws.com/"),
    ] {
        let whole: Map<String, Value> = serde_json::from_slice(&body).unwrap();
        for name in whole.keys() {
            if [
                "UnsubscribeURL",
                "SigningCertURL",
                "SignatureVersion",
                "Signature",
            ]
            .contains(&name.as_str())
                || (name == "Subject" && whole.contains_key("Token"))
            {
                continue;
            }
            let mut changed = whole.clone();
            let longer = format!("{} ", whole[name].as_str().unwrap());
            changed.insert(name.clone(), longer.into());
            let refused = judged(&here, &serde_json::to_vec(&changed).unwrap()).await;
            assert!(refused.is_err(), "{name}");
        }
        let mut other = whole.clone();
        let version = if whole["SignatureVersion"] == "1" {
            "2"
        } else {
            "1"
        };
        other.insert("SignatureVersion".into(), version.into());
        let refused = judged(&here, &serde_json::to_vec(&other).unwrap())
            .await
            .unwrap_err();
        assert!(refused.contains("not of this message"), "{refused}");
    }
}

#[tokio::test]
async fn who_is_not_a_topic_of_ours_is_refused_before_anything_is_fetched() {
    let cases = [
        (
            message(json!({ "TopicArn": "arn:aws:sns:eu-west-1:123456789012:others" })),
            "none of the source's `topics`",
        ),
        (
            message(json!({ "TopicArn": "arn:aws:sns:eu-west-1:999999999999:alerts" })),
            "none of the source's `topics`",
        ),
        (
            message(json!({ "SigningCertURL": "https://evil.example/a.pem" })),
            "another host",
        ),
        (
            message(json!({ "SigningCertURL": "https://sns.us-east-1.amazonaws.com/a.pem" })),
            "another host",
        ),
        (
            message(json!({ "SigningCertURL": "http://sns.eu-west-1.amazonaws.com/a.pem" })),
            "another host",
        ),
        (
            message(json!({ "SigningCertURL": "https://169.254.169.254/a.pem" })),
            "another host",
        ),
        (
            message(json!({ "Timestamp": "2026-11-20T05:00:00Z" })),
            "older than",
        ),
        (message(json!({ "Timestamp": "2026-11-20T09:00:00Z" })), "future"),
        (message(json!({ "Timestamp": "yesterday" })), "no moment"),
        (message(json!({ "Type": "Surprise" })), "no `Type`"),
        (b"[]".to_vec(), "no `Type`"),
        (
            b"{\"Type\": \"Notification\", \"Type\": \"Notification\"}".to_vec(),
            "not JSON",
        ),
        (b"not json".to_vec(), "not JSON"),
    ];
    for (body, why) in cases {
        // Without a fetcher: an attempt to fetch would be answered with `later`.
        let refused = judged(&subscription(&[]), &body).await.unwrap_err();
        assert!(refused.contains(why), "{refused} instead of {why}");
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_count_is_refused() {
    for (pem, why) in [(EXPIRED, "did not count"), (OTHER_KEY, "not of this message")] {
        let refused = judged(&subscription(&[pem]), &message(json!({})))
            .await
            .unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
}

#[tokio::test]
async fn raw_deliveries_need_the_password_and_the_topic() {
    let mut here = subscription(&[CERTIFICATE]);
    let raw = |topic: &str, password: &str| {
        let pair = BASE64.encode(format!("sns:{password}").as_bytes());
        Headers::of([
            ("x-amz-sns-rawdelivery", "true".to_owned()),
            ("x-amz-sns-topic-arn", topic.to_owned()),
            ("x-amz-sns-message-id", "m-1".to_owned()),
            ("authorization", format!("Basic {pair}")),
        ])
    };
    let judge = async |here: &Subscription, headers: &Headers| {
        verify(here, &Certificates::default(), headers, b"{}", now()).await
    };
    assert!(
        judge(&here, &raw(TOPIC, "pass")).await.is_err(),
        "raw was not asked for"
    );
    here.raw = true;
    assert!(here.check().is_err(), "nothing would speak for a raw delivery");
    here.user = Some("sns".into());
    here.secrets = vec![Secret::new("pass")];
    here.check().unwrap();
    let verified = judge(&here, &raw(TOPIC, "pass")).await.unwrap();
    assert!(verified.weak);
    assert_eq!(verified.delivery_id.as_deref(), Some("m-1"));
    assert!(judge(&here, &raw(TOPIC, "other")).await.is_err());
    assert!(
        judge(&here, &raw("arn:aws:sns:eu-west-1:123456789012:others", "pass"))
            .await
            .is_err()
    );
    assert!(
        judge(&here, &Headers::default()).await.is_err(),
        "signed ones need the password too"
    );
}

#[test]
fn what_could_never_be_right_does_not_start() {
    let wrong = |change: fn(&mut Subscription)| {
        let mut here = subscription(&[CERTIFICATE]);
        change(&mut here);
        here.check().unwrap_err().to_string()
    };
    assert!(wrong(|s| s.topics.clear()).contains("topics"));
    assert!(wrong(|s| s.topics.push("arn:aws:sns:eu-west-1:123456789012:*".into())).contains("not the name"));
    assert!(wrong(|s| s.user = Some("a".into())).contains("go together"));
    assert!(wrong(|s| s.certificates.push(Secret::new("no pem"))).contains("cannot be used"));
    assert!(wrong(|s| s.endpoint = Some("http://sns.example.com".into())).contains("plain http"));
    assert!(wrong(|s| s.endpoint = Some("http://127.0.0.1:1/x".into())).contains("path"));
}

/// A stand-in of SNS: answers every GET with this, and remembers what was asked.
async fn stand_in(status: u16, body: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let asked = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = vec![0; 8 << 10];
            let n = stream.read(&mut bytes).await.unwrap();
            let line = String::from_utf8_lossy(&bytes[..n])
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            asked.lock().unwrap().push(line);
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (base, seen)
}

#[tokio::test]
async fn a_certificate_is_fetched_once_from_the_host_that_was_named() {
    let (base, seen) = stand_in(200, CERTIFICATE).await;
    let certificates = Certificates::new(Arc::new(Fetcher::new().unwrap()));
    let here = Subscription {
        endpoint: Some(base),
        ..subscription(&[])
    };
    for _ in 0..3 {
        let body = message(json!({}));
        verify(&here, &certificates, &Headers::default(), &body, now())
            .await
            .unwrap();
    }
    assert_eq!(
        *seen.lock().unwrap(),
        ["GET /SimpleNotificationService-0a1b2c3d.pem HTTP/1.1"]
    );
}

#[tokio::test]
async fn made_up_certificates_are_neither_believed_nor_asked_for_without_end() {
    let (base, seen) = stand_in(200, OTHER_NAME).await;
    let certificates = Certificates::new(Arc::new(Fetcher::new().unwrap()));
    let here = Subscription {
        endpoint: Some(base),
        ..subscription(&[])
    };
    let mut later = 0;
    for n in 0..20 {
        let body =
            message(json!({ "SigningCertURL": format!("https://sns.eu-west-1.amazonaws.com/a{n}.pem") }));
        match verify(&here, &certificates, &Headers::default(), &body, now()).await {
            Err(NotProven::Refused(why)) => assert!(why.contains("not made out to SNS"), "{why}"),
            Err(NotProven::Later(_)) => later += 1,
            Ok(verified) => panic!("{verified:?}"),
        }
    }
    assert_eq!((seen.lock().unwrap().len(), later), (10, 10));
}

#[tokio::test]
async fn a_vendor_that_is_down_makes_the_sender_come_again() {
    let (base, _) = stand_in(503, "").await;
    let certificates = Certificates::new(Arc::new(Fetcher::new().unwrap()));
    let here = Subscription {
        endpoint: Some(base),
        ..subscription(&[])
    };
    let judged = verify(
        &here,
        &certificates,
        &Headers::default(),
        &message(json!({})),
        now(),
    )
    .await;
    assert!(matches!(judged, Err(NotProven::Later(_))), "{judged:?}");
}

#[tokio::test]
async fn a_subscription_is_confirmed_where_the_operator_said_and_nowhere_else() {
    let (base, seen) = stand_in(200, "<ok/>").await;
    let fetcher = Fetcher::new().unwrap();
    let here = Subscription {
        endpoint: Some(base),
        ..subscription(&[CERTIFICATE])
    };
    let genuine = asks("https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37");
    let over = handshake(&here, Some(&fetcher), &genuine).await.unwrap();
    assert_eq!(
        over,
        Handshake::Over(format!("the subscription to {TOPIC} was confirmed"))
    );
    assert_eq!(
        *seen.lock().unwrap(),
        [
            "GET /?Action=ConfirmSubscription&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A123456789012%3Aalerts&Token=2336412f37 HTTP/1.1"
        ]
    );
    for address in [
        "https://evil.example/?Token=2336412f37",
        "http://127.0.0.1:9/",
        "https://10.0.0.1/",
    ] {
        let refused = handshake(&here, Some(&fetcher), &asks(address)).await;
        assert!(
            matches!(refused, Err(NotConfirmed::Never(_))),
            "{address}: {refused:?}"
        );
    }
    assert_eq!(seen.lock().unwrap().len(), 1, "nobody else was asked");
}

#[tokio::test]
async fn messages_that_ask_nothing_are_no_handshake_and_an_end_is_told() {
    let here = subscription(&[CERTIFICATE]);
    let none = handshake(&here, None, &message(json!({}))).await.unwrap();
    assert_eq!(none, Handshake::No);
    let end = message(
        json!({ "Type": "UnsubscribeConfirmation", "Token": "t", "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/" }),
    );
    let over = handshake(&here, None, &end).await.unwrap();
    assert!(matches!(over, Handshake::Over(what) if what.contains("was ended")));
}
