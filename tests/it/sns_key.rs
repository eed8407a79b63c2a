//! Messages of SNS, signed with the key of our own in `tests/data/sns`.

use cordon::clock::{Clock, SystemClock};
use data_encoding::BASE64;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Map, Value, json};

const KEY: &str = include_str!("../data/sns/key.pem");

/// Where the certificate of that key is.
pub const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sns/certificate.pem");

/// A notification of now.
pub fn notification(topic: &str, id: &str, message: &str) -> Vec<u8> {
    signed(json!({ "Type": "Notification", "TopicArn": topic, "MessageId": id, "Message": message }))
}

/// A question of now whether a topic's messages are wanted.
pub fn question(topic: &str, address: &str) -> Vec<u8> {
    signed(json!({
        "Type": "SubscriptionConfirmation",
        "TopicArn": topic,
        "MessageId": "question-1",
        "Message": "You have chosen to subscribe to the topic.",
        "Token": "2336412f37",
        "SubscribeURL": address,
    }))
}

fn signed(message: Value) -> Vec<u8> {
    let mut message: Map<String, Value> = message.as_object().unwrap().clone();
    let sent = jiff::Timestamp::from_millisecond(SystemClock.now().0).unwrap();
    message.insert("Timestamp".into(), format!("{sent:.3}").into());
    let names: &[&str] = if message.contains_key("Token") {
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
        &["Message", "MessageId", "Timestamp", "TopicArn", "Type"]
    };
    let text: String = names
        .iter()
        .map(|name| format!("{name}\n{}\n", message[*name].as_str().unwrap()))
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
    message.insert(
        "SigningCertURL".into(),
        "https://sns.us-east-1.amazonaws.com/a.pem".into(),
    );
    serde_json::to_vec(&message).unwrap()
}
