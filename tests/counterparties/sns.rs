//! Topics of moto, which signs what it delivers and serves the certificate: subscribed, published, verified. Moto asks
//! no question before it delivers, so the question is ours, signed with our own certificate; the answer goes to moto.

use cordon::store::Disposition;
use serde_json::json;

use crate::serving::{Serving, watch};
use crate::{sns_key, told};

const RULE: &str = "UnauthorizedAccess:IAMUser/MaliciousIPCaller.Custom";

/// One call of the SNS API; the answer's text.
async fn call(serving: &Serving, fields: &[(&str, &str)]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::from("Version=2010-03-31"));
    for (name, value) in fields {
        form.append_pair(name, value);
    }
    let answer = serving
        .http
        .post(format!("{}/", told("CORDON_SNS_ENDPOINT")))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.finish())
        .send()
        .await
        .unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{status}: {text}");
    text
}

fn source(name: &str, topic: &str, more: &str) -> String {
    format!(
        "[[source]]\nname = \"{name}\"\nuse = \"aws-guardduty\"\nauth = {{ kind = \"sns\", topics = [\"{topic}\"], endpoint = \"{}\"{more} }}\n",
        told("CORDON_SNS_ENDPOINT")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_topic_delivers_is_verified_and_starts_a_run() {
    let topic = |name: &str| format!("arn:aws:sns:us-east-1:123456789012:{name}");
    let ours = format!("guardduty-{}", std::process::id());
    let other = format!("other-{}", std::process::id());
    let dir = tempfile::tempdir().unwrap();
    watch(dir.path(), RULE);
    std::fs::write(dir.path().join("password"), "sns-password").unwrap();
    let pinned = format!(", certificates = [\"file:{}\"]", sns_key::CERTIFICATE);
    let with_password = ", user = \"sns\", secrets = [\"file:password\"]";
    let text = [
        "[content]\nplaybooks = \"playbooks\"\n".to_owned(),
        source("topic", &topic(&ours), with_password),
        source("asked", &topic(&ours), &pinned),
        source("unknown", &topic("is-not-there"), &pinned),
    ];
    let serving = Serving::start(dir.path(), &text.concat()).await;

    // The handshake, for a topic that is there and for one that moto does not know.
    call(&serving, &[("Action", "CreateTopic"), ("Name", &ours)]).await;
    let address = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription";
    let question = serving
        .kept("asked", &[], sns_key::question(&topic(&ours), address))
        .await;
    let (disposition, said) = serving.disposed(question).await;
    assert_eq!(disposition, Disposition::Control, "{said}");
    let question = sns_key::question(&topic("is-not-there"), address);
    let question = serving.kept("unknown", &[], question).await;
    let (disposition, said) = serving.disposed(question).await;
    assert_eq!(disposition, Disposition::Unreadable);
    assert!(said.contains("404"), "{said}");

    // Moto delivers over HTTP, with the password of the address, and signs with a certificate that is fetched from it.
    call(&serving, &[("Action", "CreateTopic"), ("Name", &other)]).await;
    let hook = serving.url.replace("http://", "http://sns:sns-password@");
    for name in [&ours, &other] {
        let fields = [
            ("Action", "Subscribe"),
            ("TopicArn", &topic(name)),
            ("Protocol", "http"),
            ("Endpoint", &format!("{hook}/hooks/topic")),
        ];
        call(&serving, &fields).await;
    }
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/alerts/aws-guardduty/stolen_key.json"
    );
    let finding = std::fs::read_to_string(path).unwrap();
    let publish = async |name: &str, message: &str| {
        let fields = [
            ("Action", "Publish"),
            ("TopicArn", &topic(name)),
            ("Message", message),
        ];
        call(&serving, &fields).await;
    };
    publish(&ours, &finding).await;
    let told = serving.all_disposed("topic", 1).await;
    assert_eq!(told[0].0, Disposition::Split, "{}", told[0].1);
    assert_eq!(serving.runs().await, 1);

    // Published again it is the same finding; another topic that delivers here is not believed, however well signed.
    publish(&ours, &finding).await;
    assert!(serving.all_disposed("topic", 2).await[1].1.contains("duplicate"));
    publish(&other, &finding).await;
    publish(&ours, &json!({ "detail-type": "Test", "detail": {} }).to_string()).await;
    let told = serving.all_disposed("topic", 3).await;
    assert_eq!(
        (told.len(), told[2].0),
        (3, Disposition::Control),
        "{}",
        told[2].1
    );
    assert_eq!(serving.runs().await, 1);

    // What moto delivered, with one letter changed, is nobody's.
    let genuine = serving.alerts("topic").await[0].body.clone();
    let changed = String::from_utf8(genuine)
        .unwrap()
        .replacen("svc-backup", "svc-backUp", 1);
    let basic = format!("Basic {}", data_encoding::BASE64.encode(b"sns:sns-password"));
    let (status, _) = serving
        .deliver("topic", &[("authorization", &basic)], changed.into_bytes())
        .await;
    assert_eq!(status, 401);
    // So is what somebody else signed, with a certificate that moto does not have.
    let forged = sns_key::notification(&topic(&ours), "m-1", &finding);
    let (status, _) = serving
        .deliver("topic", &[("authorization", &basic)], forged)
        .await;
    assert_eq!(status, 401);
    serving.server.stop().await.unwrap();
}
